//! Written numbers, exactly: where one ends, and what it is.

use crate::MAX_BOUND;

/// Where the number ends that starts at `from`. Powers and products belong to it: a part of `5 × 10^6` alone would be read
/// as another number.
pub(super) fn number_end(at: &impl Fn(usize) -> char, from: usize) -> usize {
    let mut end = digits_end(at, from);
    loop {
        let ten = from + 2 <= end && (at(end - 2), at(end - 1)) == ('1', '0');
        if ten && superscript(at(end)).is_some() {
            while superscript(at(end)).is_some() {
                end += 1;
            }
        } else if let Some(next) = operand(at, end) {
            end = digits_end(at, next);
        } else {
            return end;
        }
    }
}

fn digits_end(at: &impl Fn(usize) -> char, mut i: usize) -> usize {
    let separates = |c: char| matches!(c, '.' | ',' | '_' | '\'' | '’');
    while at(i).is_ascii_digit() || (separates(at(i)) && at(i + 1).is_ascii_digit()) {
        i += 1;
    }
    i
}

/// Where the digits of a factor or an exponent begin that follows a number up to `end`.
fn operand(at: &impl Fn(usize) -> char, end: usize) -> Option<usize> {
    // No line ends inside a number: there, "*" begins the next entry of a list.
    let blank = |c: char| c.is_whitespace() && !matches!(c, '\n' | '\r');
    let after_blanks = |mut i: usize| {
        while blank(at(i)) {
            i += 1;
        }
        i
    };
    if at(end) == '*' && at(end + 1) == '*' {
        return at(end + 2).is_ascii_digit().then_some(end + 2);
    }
    let sign = after_blanks(end);
    let next = after_blanks(sign + 1);
    if at(sign) == '^' {
        let digits = next + usize::from(matches!(at(next), '-' | '−' | '+'));
        return at(digits).is_ascii_digit().then_some(digits);
    }
    let even = (sign > end) == (next > sign + 1);
    (is_times(at(sign)) && even && at(next).is_ascii_digit()).then_some(next)
}

fn is_times(c: char) -> bool {
    matches!(c, '×' | '*' | '·' | '⋅' | 'x' | 'X')
}

fn superscript(c: char) -> Option<char> {
    let plain = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '-'];
    "⁰¹²³⁴⁵⁶⁷⁸⁹⁻".chars().position(|high| high == c).map(|i| plain[i])
}

/// A number in one spelling of its signs: `5×10^6` for `5 * 10**6` and for `5 × 10⁶`.
pub(super) fn spelled(written: &str) -> String {
    let mut plain = String::new();
    let mut raised = false;
    for c in written.replace("**", "^").chars().filter(|c| !c.is_whitespace()) {
        let high = superscript(c);
        if high.is_some() && !raised {
            plain.push('^');
        }
        raised = high.is_some();
        plain.push(match c {
            _ if is_times(c) => '×',
            '−' => '-',
            '’' => '\'',
            _ => high.unwrap_or(c),
        });
    }
    plain
}

/// A written number, exactly: `mantissa / 10^decimals`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Number {
    mantissa: u128,
    decimals: u32,
}

/// Digits of a mantissa at most, and decimals at most: products with units stay within 128 bits.
const MAX_DIGITS: u32 = 28;

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
    /// Reads `1500`, `1.5`, `.5`, `1,000,000`, `1_000_000`, `1 000 000`, `1'000'000`, `10^6` and `5×10^6`; commas, blanks and
    /// apostrophes only between groups of three digits.
    pub(super) fn read(text: &str) -> Result<Self, BadNumber> {
        if let Some((factor, power)) = text.rsplit_once("10^") {
            let power = power.parse().map_err(|_| BadNumber::Malformed)?;
            let factor = match factor {
                "" => Self { mantissa: 1, decimals: 0 },
                _ => Self::read(factor.strip_suffix('×').ok_or(BadNumber::Malformed)?)?,
            };
            return factor.shifted(power);
        }
        let plain = text.replace('_', "").replace([' ', '\''], ",");
        let (whole, part) = plain.split_once('.').unwrap_or((&plain, ""));
        let mut groups = whole.split(',');
        let first = groups.next().unwrap_or_default().len();
        let grouped = whole.contains(',') && !((1..=3).contains(&first) && groups.all(|g| g.len() == 3));
        if grouped || part.contains(['.', ',']) {
            return Err(BadNumber::Malformed);
        }
        let part = part.trim_end_matches('0');
        let digits = format!("{}{part}", whole.replace(',', ""));
        if !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(BadNumber::Malformed);
        }
        let digits = digits.trim_start_matches('0');
        if digits.len() > MAX_DIGITS as usize || part.len() > MAX_DIGITS as usize {
            return Err(BadNumber::TooLarge);
        }
        let mantissa =
            if digits.is_empty() { 0 } else { digits.parse().map_err(|_| BadNumber::Malformed)? };
        Ok(Self { mantissa, decimals: part.len() as u32 })
    }

    /// The side of a square, as in `224×224` and, with its colours, `3×224×224`; any other number as it is.
    pub(super) fn side(text: &str) -> Result<Self, BadNumber> {
        let mut sides: Vec<&str> = text.split('×').collect();
        match sides[..] {
            ["3", _, _] => drop(sides.remove(0)),
            [_, _, "3"] => drop(sides.pop()),
            _ => {}
        }
        match sides[..] {
            [one, other] if one == other => Self::read(one),
            _ => Self::read(text),
        }
    }

    /// The number times `10^power`.
    fn shifted(self, power: i32) -> Result<Self, BadNumber> {
        let (up, shift) = (power >= 0, power.unsigned_abs());
        if !up {
            let decimals = self.decimals.checked_add(shift).filter(|d| *d <= MAX_DIGITS);
            return decimals.map(|decimals| Self { decimals, ..self }).ok_or(BadNumber::Zero);
        }
        let within = shift.min(self.decimals);
        let factor = 10u128.checked_pow(shift - within).and_then(|f| self.mantissa.checked_mul(f));
        Self::limited(factor, self.decimals - within)
    }

    /// The number times `times`, and `more`: hours and minutes as minutes.
    pub(super) fn times_plus(self, times: u64, more: Self) -> Result<Self, BadNumber> {
        let decimals = self.decimals.max(more.decimals);
        let raised = |n: Self| n.mantissa.checked_mul(10u128.pow(decimals - n.decimals));
        let product = raised(self).and_then(|mantissa| mantissa.checked_mul(u128::from(times)));
        Self::limited(product.zip(raised(more)).and_then(|(a, b)| a.checked_add(b)), decimals)
    }

    fn limited(mantissa: Option<u128>, decimals: u32) -> Result<Self, BadNumber> {
        let mantissa = mantissa.filter(|m| *m < 10u128.pow(MAX_DIGITS)).ok_or(BadNumber::TooLarge)?;
        Ok(Self { mantissa, decimals })
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

    pub(super) fn is_zero(self) -> bool {
        self.mantissa == 0
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
        assert_eq!(read(".5", 1_000_000), Ok(500_000));
        assert_eq!(read("1 000 000.5", 2), Ok(2_000_001));
        assert_eq!(read("1'000'000", 1), Ok(1_000_000));
    }

    #[test]
    fn powers_of_ten_are_exact() {
        for (written, expected) in [
            ("10^6", Ok(1_000_000)),
            ("10**6", Ok(1_000_000)),
            ("10⁶", Ok(1_000_000)),
            ("5 × 10^6", Ok(5_000_000)),
            ("2.5x10^+6", Ok(2_500_000)),
            ("2.5*10⁶", Ok(2_500_000)),
            ("25·10^6×10^−1", Ok(2_500_000)),
            ("3000 × 10⁻³", Ok(3)),
            ("10^-40", Err(BadNumber::Zero)),
            ("10^40", Err(BadNumber::TooLarge)),
            ("0×10^40", Err(BadNumber::TooLarge)),
            ("10^99999999999", Err(BadNumber::Malformed)),
            ("110^6", Err(BadNumber::Malformed)),
            ("2^20", Err(BadNumber::Malformed)),
            ("10^6.5", Err(BadNumber::Malformed)),
            ("10^2^3", Err(BadNumber::Malformed)),
            ("3×4", Err(BadNumber::Malformed)),
        ] {
            let chars: Vec<char> = written.chars().collect();
            let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
            assert_eq!(number_end(&at, 0), chars.len(), "{written}");
            assert_eq!(read(&spelled(written), 1), expected, "{written}");
        }
    }

    #[test]
    fn what_ends_a_number() {
        for (text, number) in [
            ("5\n* 3", "5"),
            ("5** 3", "5"),
            ("5 *3", "5"),
            ("2x faster", "2"),
            ("5, 3", "5"),
            ("5-3", "5"),
            ("5⁶", "5"),
            ("5.", "5"),
        ] {
            let chars: Vec<char> = text.chars().collect();
            let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
            assert_eq!(number_end(&at, 0), number.chars().count(), "{text}");
        }
    }

    #[test]
    fn numbers_add_up_exactly() {
        let number = |text| Number::read(text).unwrap();
        let sum = |a, times, b| number(a).times_plus(times, number(b)).unwrap().real(1, 1);
        assert_eq!(sum("1", 60, "30"), 90.0);
        assert_eq!(sum("1.5", 60, "0.25"), 90.25);
        assert_eq!(number(&"9".repeat(28)).times_plus(60, number("1")), Err(BadNumber::TooLarge));
    }

    #[test]
    fn a_square_is_said_by_its_side() {
        for (text, side) in [("224", 224), ("96×96", 96), ("3×96×96", 96), ("96×96×3", 96)] {
            assert_eq!(Number::side(text).unwrap().whole(1, 1, false), Ok(side), "{text}");
        }
        for text in ["96×128", "96×96×96", "2×96×96"] {
            assert_eq!(Number::side(text), Err(BadNumber::Malformed), "{text}");
        }
    }

    #[test]
    fn numbers_that_are_no_bound_say_why() {
        assert_eq!(read("1,5", 1), Err(BadNumber::Malformed));
        assert_eq!(read("1.2.3", 1), Err(BadNumber::Malformed));
        assert_eq!(read("1.000,5", 1), Err(BadNumber::Malformed));
        assert_eq!(read("5'00", 1), Err(BadNumber::Malformed));
        assert_eq!(read("5 000,5", 1), Err(BadNumber::Malformed));
        assert_eq!(read("0", 1000), Err(BadNumber::Zero));
        assert_eq!(read("0.4", 1), Err(BadNumber::Zero));
        assert_eq!(read("9223372036854775808", 1), Err(BadNumber::TooLarge));
        assert_eq!(read(&"9".repeat(500), 1), Err(BadNumber::TooLarge));
        assert_eq!(read("9999999999999999999999999999", u64::MAX), Err(BadNumber::TooLarge));
    }
}
