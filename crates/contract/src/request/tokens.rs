//! Cuts a request into numbers, words and signs, and reads written numbers exactly.

use crate::MAX_BOUND;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Digits with `.`, `,` or `_` between them.
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
    /// In lower case.
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
        let kind = if c.is_ascii_digit() {
            while at(i).is_ascii_digit() || (matches!(at(i), '.' | ',' | '_') && at(i + 1).is_ascii_digit()) {
                i += 1;
            }
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
        let lower = plain.to_lowercase().replace("<=", "≤").replace(">=", "≥").replace('’', "'");
        tokens.push(Token { kind, text: lower, start, end });
    }
    tokens
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

/// Whether a hyphen between these characters only joins two words.
fn joins(before: Option<char>, after: char) -> bool {
    before.is_some_and(char::is_alphanumeric) && after.is_alphabetic()
}

/// A written number, exactly: `mantissa / 10^decimals`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Number {
    mantissa: u128,
    decimals: u32,
}

/// Why a number is no bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadNumber {
    #[error("this is not a number that is read; write 1.5, 1500, 1,000,000 or 1_000_000")]
    Malformed,
    #[error("the bound is zero, which no design can keep")]
    Zero,
    #[error("the bound is larger than {MAX_BOUND}")]
    TooLarge,
}

impl Number {
    /// Reads `1500`, `1.5`, `1,000,000`, `1_000_000`; commas only between groups of three digits.
    pub(super) fn read(text: &str) -> Result<Self, BadNumber> {
        let plain = text.replace('_', "");
        let (whole, part) = plain.split_once('.').unwrap_or((&plain, ""));
        let mut groups = whole.split(',');
        let first = groups.next().unwrap_or_default().len();
        let grouped = whole.contains(',') && !((1..=3).contains(&first) && groups.all(|g| g.len() == 3));
        if grouped || part.contains(['.', ',']) {
            return Err(BadNumber::Malformed);
        }
        let part = part.trim_end_matches('0');
        let digits = format!("{}{part}", whole.replace(',', ""));
        let digits = digits.trim_start_matches('0');
        if digits.len() > 28 || part.len() > 28 {
            return Err(BadNumber::TooLarge);
        }
        let mantissa =
            if digits.is_empty() { 0 } else { digits.parse().map_err(|_| BadNumber::Malformed)? };
        Ok(Self { mantissa, decimals: part.len() as u32 })
    }

    /// The number times `up / down` as a whole bound: rounded down, or up for a lower bound, so that the whole bound
    /// allows what the words allow.
    pub(super) fn whole(self, up: u64, down: u64, round_up: bool) -> Result<u64, BadNumber> {
        let product = self.mantissa.checked_mul(u128::from(up)).ok_or(BadNumber::TooLarge)?;
        let divisor = u128::from(down) * 10u128.pow(self.decimals);
        let whole = if round_up { product.div_ceil(divisor) } else { product / divisor };
        match u64::try_from(whole) {
            Ok(0) => Err(BadNumber::Zero),
            Ok(bound) if bound <= MAX_BOUND => Ok(bound),
            _ => Err(BadNumber::TooLarge),
        }
    }

    /// The number times `up / down`, as the nearest floating-point number.
    pub(super) fn real(self, up: u64, down: u64) -> f64 {
        let above = self.mantissa.saturating_mul(u128::from(up));
        let below = u128::from(down) * 10u128.pow(self.decimals);
        let divisor = gcd(above, below).max(1);
        (above / divisor) as f64 / (below / divisor) as f64
    }
}

fn gcd(a: u128, b: u128) -> u128 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, factor: u64) -> Result<u64, BadNumber> {
        Number::read(text)?.whole(factor, 1, false)
    }

    #[test]
    fn numbers_are_exact() {
        assert_eq!(read("2.5", 1 << 20), Ok(2_621_440));
        assert_eq!(read("1,000,000", 1), Ok(1_000_000));
        assert_eq!(read("1_000.50", 1000), Ok(1_000_500));
        assert_eq!(read("0.000001", 1_000_000), Ok(1));
        assert_eq!(read("9223372036854775807", 1), Ok(MAX_BOUND));
    }

    #[test]
    fn numbers_that_are_no_bound_say_why() {
        assert_eq!(read("1,5", 1), Err(BadNumber::Malformed));
        assert_eq!(read("1.2.3", 1), Err(BadNumber::Malformed));
        assert_eq!(read("1.000,5", 1), Err(BadNumber::Malformed));
        assert_eq!(read("0", 1000), Err(BadNumber::Zero));
        assert_eq!(read("0.4", 1), Err(BadNumber::Zero));
        assert_eq!(read("9223372036854775808", 1), Err(BadNumber::TooLarge));
        assert_eq!(read(&"9".repeat(500), 1), Err(BadNumber::TooLarge));
        assert_eq!(read("9999999999999999999999999999", u64::MAX), Err(BadNumber::TooLarge));
    }

    #[test]
    fn hyphens_join_words_and_stay_in_names() {
        let words = |text| tokens(text).into_iter().map(|t| t.text).collect::<Vec<_>>();
        assert_eq!(words("5M-parameter ResNet-18"), ["5", "m", "parameter", "resnet-18"]);
        assert_eq!(words("2-5 <=3, -1."), ["2", "-", "5", "≤", "3", ",", "-", "1", "."]);
    }
}
