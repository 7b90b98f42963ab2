//! Writing HTML in which text cannot become markup.

use std::fmt::{self, Display, Write};

/// Most characters of one text from outside.
const MAX_TEXT: usize = 600;

/// A page under construction.
///
/// Markup is `&'static str`, so only what stands in this program's source can be markup; everything else goes through
/// [`text`](Self::text) or [`attr`](Self::attr), which escape.
#[derive(Default)]
pub(crate) struct Html(String);

impl Html {
    /// Markup as it is.
    pub fn raw(&mut self, markup: &'static str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// Text, escaped.
    pub fn text(&mut self, text: impl Display) -> &mut Self {
        // Writing to a string cannot fail, only a `Display` that says so can; then the text ends there.
        let _ = write!(Escape(&mut self.0), "{text}");
        self
    }

    /// Text from outside, cut when very long, and kept apart from the direction of the text around it.
    pub fn foreign(&mut self, text: &str) -> &mut Self {
        self.raw("<bdi>").text(shorten(text, MAX_TEXT)).raw("</bdi>")
    }

    /// ` name="value"`, the value escaped.
    pub fn attr(&mut self, name: &'static str, value: impl Display) -> &mut Self {
        self.raw(" ").raw(name).raw("=\"").text(value).raw("\"")
    }

    /// An element without attributes around a text.
    pub fn element(&mut self, open: &'static str, text: impl Display, close: &'static str) -> &mut Self {
        self.raw(open).text(text).raw(close)
    }

    /// The page so far.
    pub fn finish(self) -> String {
        self.0
    }
}

/// The first characters of a text.
pub(crate) fn shorten(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// A name of at most so many characters, cut inside: names of models often differ at their ends only.
pub(crate) fn shorten_inside(name: &str, most: usize) -> String {
    let characters: Vec<char> = name.chars().collect();
    if characters.len() <= most {
        return name.to_owned();
    }
    let front = most * 2 / 5;
    let back = most.saturating_sub(front + 1);
    characters[..front].iter().chain(&['…']).chain(&characters[characters.len() - back..]).collect()
}

/// Share as per cent, such as `12.5 %`.
pub(crate) fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

/// `1 image`, `2 images`, with commas in thousands.
pub(crate) fn count(number: usize, one: &str, many: &str) -> String {
    format!("{} {}", thousands(number), if number == 1 { one } else { many })
}

/// `12,345`.
pub(crate) fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Escapes what is written through it.
struct Escape<'a>(&'a mut String);

impl Write for Escape<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                '\n' | '\t' => self.0.push(c),
                c if c.is_control() => self.0.push(char::REPLACEMENT_CHARACTER),
                c => self.0.push(c),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_never_markup() {
        let mut html = Html::default();
        html.raw("<p").attr("title", "\" onload='x'").raw(">").text("<script>&]]>\0").raw("</p>");
        let expected = "<p title=\"&quot; onload=&#39;x&#39;\">&lt;script&gt;&amp;]]&gt;\u{fffd}</p>";
        assert_eq!(html.finish(), expected);
    }

    #[test]
    fn long_texts_are_cut_at_characters() {
        assert_eq!(shorten("äöü", 2), "äö…");
        assert_eq!(shorten("äöü", 3), "äöü");
        assert_eq!(shorten_inside("fifteen letters", 15), "fifteen letters");
        assert_eq!(shorten_inside("résumé-of-a-long-run", 15), "résumé…long-run");
        let mut html = Html::default();
        html.foreign(&"x".repeat(1_000_000));
        assert!(html.finish().len() < 1_000);
    }

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(thousands), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(count(1, "image", "images"), "1 image");
        assert_eq!(percent(0.125), "12.5 %");
    }
}
