//! Cuts a request into numbers, words and signs.

use super::number::{number_end, spelled};

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Digits with `.`, `,`, `_` or `'` between them, and powers and products of such: `5×10^6`.
    Number,
    /// Letters, digits and underscores, starting with a letter.
    Word,
    /// Any other character; `<=` and `>=` are one sign.
    Sign,
}

/// A piece of the request.
#[derive(Debug, Clone)]
pub(super) struct Token {
    pub kind: Kind,
    /// In lower case; a number in one spelling of its signs.
    pub text: String,
    /// First byte in the request.
    pub start: usize,
    /// Byte after the last.
    pub end: usize,
}

/// The tokens of a text. A hyphen beside a letter only joins: `5M-parameter` is `5`, `m`, `parameter`; but a hyphen
/// between a letter and a digit belongs to a name, as in `resnet-18`.
pub(super) fn tokens(text: &str) -> Vec<Token> {
    let chars: Vec<(usize, char)> = text.char_indices().map(|(i, c)| (i, narrow(c))).collect();
    let at = |i: usize| chars.get(i).map_or('\0', |c| c.1);
    let mut tokens: Vec<Token> = Vec::new();
    let mut i = 0;
    while i < chars.len() {
        let first = i;
        let c = at(i);
        i += 1;
        let point = c == '.' && at(i).is_ascii_digit() && leads(first.checked_sub(1).map(at));
        let kind = if c.is_ascii_digit() || point {
            i = number_end(&at, first);
            Kind::Number
        } else if is_ideograph(c) {
            Kind::Word
        } else if c.is_alphabetic() {
            while (at(i).is_alphanumeric() && !is_ideograph(at(i)))
                || matches!(at(i), '_' | '\'' | '’')
                || (at(i) == '-' && at(i + 1).is_ascii_digit())
            {
                i += 1;
            }
            Kind::Word
        } else if c.is_whitespace() || (c == '-' && joins(first.checked_sub(1).map(at), at(i))) {
            continue;
        } else {
            if matches!(c, '<' | '>') && at(i) == '=' {
                i += 1;
            }
            Kind::Sign
        };
        let end = chars.get(i).map_or(text.len(), |c| c.0);
        let start = chars[first].0;
        let plain: String = chars[first..i].iter().map(|(_, c)| *c).collect();
        let text = match kind {
            Kind::Number => spelled(&plain),
            _ => plain.to_lowercase().replace("<=", "≤").replace(">=", "≥").replace('’', "'"),
        };
        tokens.push(Token { kind, text, start, end });
    }
    tokens
}

/// How many of these tokens are one number with blanks between its groups of three digits, as `5 000 000`; 1 if none.
pub(super) fn grouped(text: &str, tokens: &[Token]) -> usize {
    let plain = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let blank = |a: &Token, b: &Token| {
        let mut between = text[a.end..b.start].chars();
        between.next().is_some_and(|c| c.is_whitespace() && !matches!(c, '\n' | '\r'))
            && between.next().is_none()
    };
    let mut count = 1;
    let Some(first) = tokens.first() else { return count };
    let mut whole = first.kind == Kind::Number && first.text.len() <= 3 && plain(&first.text);
    while let Some(next) = tokens.get(count).filter(|next| whole && next.kind == Kind::Number) {
        let digits = next.text.bytes().take_while(u8::is_ascii_digit).count();
        if digits != 3 || !blank(&tokens[count - 1], next) {
            break;
        }
        whole = plain(&next.text);
        count += 1;
    }
    count
}

/// Full-width digits, letters and signs as their plain forms.
fn narrow(c: char) -> char {
    match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(c as u32 - 0xfee0).unwrap_or(c),
        '。' => ';',
        _ => c,
    }
}

/// Chinese is written without spaces: each of its characters is a token.
fn is_ideograph(c: char) -> bool {
    matches!(c, '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}')
}

/// Whether a point behind this character begins a number, as in `.5`: it does not end a sentence, a name or a number.
fn leads(before: Option<char>) -> bool {
    before.is_none_or(|c| c != '.' && (is_ideograph(c) || !c.is_alphanumeric()))
}

/// Whether a hyphen between these characters only joins two words.
fn joins(before: Option<char>, after: char) -> bool {
    before.is_some_and(char::is_alphanumeric) && after.is_alphabetic()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hyphens_join_words_and_stay_in_names() {
        let words = |text| tokens(text).into_iter().map(|t| t.text).collect::<Vec<_>>();
        assert_eq!(words("5M-parameter ResNet-18"), ["5", "m", "parameter", "resnet-18"]);
        assert_eq!(words("2-5 <=3, -1."), ["2", "-", "5", "≤", "3", ",", "-", "1", "."]);
    }

    #[test]
    fn a_point_leads_a_number_or_ends_what_stands_before_it() {
        let words = |text| tokens(text).into_iter().map(|t| t.text).collect::<Vec<_>>();
        assert_eq!(words(".5M >= -.2"), [".5", "m", "≥", "-", ".2"]);
        assert_eq!(words("低于.5秒"), ["低", "于", ".5", "秒"]);
        assert_eq!(words("an LSTM.5 layers"), ["an", "lstm", ".", "5", "layers"]);
        assert_eq!(words("so ..5"), ["so", ".", ".", "5"]);
    }

    #[test]
    fn blanks_group_three_digits() {
        for (text, count) in [
            ("5 000 000 parameters", 3),
            ("12 500", 2),
            ("1\u{a0}000,5", 2),
            ("5 000.25 300", 2),
            ("1500 000", 1),
            ("5  000", 1),
            ("5\n000", 1),
            ("5 0000", 1),
            ("0.5 200", 1),
            ("5 M 200", 1),
        ] {
            assert_eq!(grouped(text, &tokens(text)), count, "{text}");
        }
    }

    #[test]
    fn powers_and_products_are_one_number() {
        let words = |text| tokens(text).into_iter().map(|t| t.text).collect::<Vec<_>>();
        assert_eq!(words("5 × 10^6 params, 10⁶"), ["5×10^6", "params", ",", "10^6"]);
        assert_eq!(words("224x224 px; ResNeXt50_32x4d"), ["224×224", "px", ";", "resnext50_32x4d"]);
    }
}
