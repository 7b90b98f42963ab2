//! Reasoning text, which some models write before their answer.

const OPEN: &str = "<think>";
const CLOSE: &str = "</think>";

/// Parts a text into the answer and the reasoning that stood in it.
///
/// Reasoning is what stands in `<think>…</think>`. A closing mark alone means that the server's template had
/// opened it; an opening mark alone, that the model was cut off while thinking.
pub(crate) fn separate(text: &str) -> (String, String) {
    let (mut answer, mut thinking) = (String::new(), String::new());
    let mut rest = text;
    if let Some(close) = rest.find(CLOSE)
        && rest.find(OPEN).is_none_or(|open| open > close)
    {
        thinking.push_str(&rest[..close]);
        rest = &rest[close + CLOSE.len()..];
    }
    while let Some((before, after)) = rest.split_once(OPEN) {
        answer.push_str(before);
        let (inside, next) = after.split_once(CLOSE).unwrap_or((after, ""));
        thinking.push_str(inside);
        rest = next;
    }
    answer.push_str(rest);
    (answer.trim().to_owned(), thinking)
}

/// Roughly how many tokens a text has: about four characters each in English.
pub(crate) fn estimate_tokens(text: &str) -> usize {
    text.chars().count().div_ceil(4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasoning_is_taken_out_wherever_it_stands() {
        let cases = [
            ("{\"a\":1}", "{\"a\":1}", ""),
            ("<think>hm</think>\n{}", "{}", "hm"),
            ("hm, so</think>{}", "{}", "hm, so"),
            ("<think>never ends {", "", "never ends {"),
            ("a<think>b</think>c<think>d</think>e", "ace", "bd"),
            ("x</think>a<think>b</think>c", "ac", "xb"),
            ("", "", ""),
        ];
        for (text, answer, thinking) in cases {
            assert_eq!(separate(text), (answer.to_owned(), thinking.to_owned()), "{text}");
        }
    }
}
