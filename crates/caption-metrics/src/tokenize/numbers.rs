//! Numbers, fractions, dates, telephone numbers.

use super::lexer::{Found, Kind};
use super::text::{SOFT_HYPHEN, Text, is_digit};

/// All of them that start at `i`.
pub(super) fn offer(text: Text, i: usize, found: &mut Found) {
    number(text, i, found);
    if is_digit(text.at(i)) {
        fraction(text, i, found);
        date(text, i, found);
    }
    if matches!(text.byte(i), b'0'..=b'9' | b'+' | b'(') {
        phone(text, i, found);
    }
}

/// A sign, digits, and separators that each have digits behind them: `-5`, `1,000.50`, `7:30`, `.5`.
fn number(text: Text, i: usize, found: &mut Found) {
    let mut end = if matches!(text.byte(i), b'+' | b'-') { i + 1 } else { i };
    let mut digits = false;
    loop {
        let run = text.run(end, is_digit);
        digits |= run > end;
        end = run;
        let c = text.at(end);
        let separates = matches!(c, '.' | ',' | ':' | '\u{66b}' | '\u{66c}' | SOFT_HYPHEN);
        if !separates || !is_digit(text.at(end + c.len_utf8())) {
            break;
        }
        end += c.len_utf8();
    }
    if digits {
        found.offer(end, Kind::Plain);
    }
}

/// Between `low` and `high` ASCII digits at `i`, as many as there are.
fn digits(text: Text, i: usize, low: usize, high: usize) -> Option<usize> {
    let end = text.bytes_within(i, high, |b| b.is_ascii_digit());
    (end >= i + low).then_some(end)
}

/// Between `low` and `high` digits of any script.
fn any_digits(text: Text, mut i: usize, low: usize, high: usize) -> Option<usize> {
    let mut count = 0;
    while count < high && is_digit(text.at(i)) {
        i += text.at(i).len_utf8();
        count += 1;
    }
    (count >= low).then_some(i)
}

/// `1/2`, `1 1/2`, `1-1/2`.
fn fraction(text: Text, i: usize, found: &mut Found) {
    let parts = |i| {
        let over = any_digits(text, i, 1, 4)?;
        let slash = match text.at(over) {
            '/' => over + 1,
            '\\' if text.byte(over + 1) == b'/' => over + 2,
            '\u{2044}' => over + 3,
            _ => return None,
        };
        any_digits(text, slash, 1, 4)
    };
    if let Some(end) = parts(i) {
        found.offer(end, Kind::Plain);
    }
    if let Some(whole) = any_digits(text, i, 1, 4)
        && matches!(text.at(whole), ' ' | '-' | '\u{a0}')
        && let Some(end) = parts(whole + text.at(whole).len_utf8())
    {
        found.offer(end, Kind::Plain);
    }
}

/// `12/31/1999`, `1-2-99`.
fn date(text: Text, i: usize, found: &mut Found) {
    let mark = |i| matches!(text.byte(i), b'/' | b'-').then_some(i + 1);
    let end = any_digits(text, i, 1, 2)
        .and_then(mark)
        .and_then(|i| any_digits(text, i, 1, 2))
        .and_then(mark)
        .and_then(|i| any_digits(text, i, 2, 4));
    if let Some(end) = end {
        found.offer(end, Kind::Plain);
    }
}

/// Groups of digits as telephone numbers have them: `(412) 555-1234`, `+44 20 7946 0958`, `412 555 1234`.
fn phone(text: Text, i: usize, found: &mut Found) {
    if let Some(local) = area_in_brackets(text, i) {
        local_number(text, local, found);
    }
    let plus = text.bytes_within(i, 2, |b| b == b'+');
    if let Some(local) = digits(text, plus, 2, 4).and_then(|end| gap(text, end)) {
        local_number(text, local, found);
        if let Some(local) = digits(text, local, 2, 4).and_then(|end| gap(text, end)) {
            local_number(text, local, found);
        }
    }
    dotted_phone(text, i, plus, found);
}

/// Behind `(412)` and perhaps a space.
fn area_in_brackets(text: Text, i: usize) -> Option<usize> {
    let close = digits(text, i + 1, 2, 3).filter(|&end| text.byte(i) == b'(' && text.byte(end) == b')')?;
    let space = matches!(text.at(close + 1), ' ' | '\u{a0}');
    Some(close + 1 + if space { text.at(close + 1).len_utf8() } else { 0 })
}

/// Behind the one sign that may part groups.
fn gap(text: Text, i: usize) -> Option<usize> {
    matches!(text.at(i), ' ' | '-' | '\u{a0}').then(|| i + text.at(i).len_utf8())
}

/// Three or four digits, then three to five, with or without a gap.
fn local_number(text: Text, i: usize, found: &mut Found) {
    for first in [digits(text, i, 3, 4), digits(text, i, 3, 3)].into_iter().flatten() {
        if let Some(end) = digits(text, gap(text, first).unwrap_or(first), 3, 5) {
            found.offer(end, Kind::Brackets);
        }
    }
}

/// `412.555.1234`, `+1.234.567.8901`.
fn dotted_phone(text: Text, i: usize, plus: usize, found: &mut Found) {
    let dot = |i: usize| (text.byte(i) == b'.').then_some(i + 1);
    let rest = |i| {
        digits(text, i, 2, 4)
            .and_then(dot)
            .and_then(|i| digits(text, i, 3, 4))
            .and_then(dot)
            .and_then(|i| digits(text, i, 3, 5))
    };
    let with_code = digits(text, plus, 2, 4).and_then(dot).and_then(rest);
    for end in [with_code, if plus == i { rest(i) } else { None }].into_iter().flatten() {
        found.offer(end, Kind::Plain);
    }
}
