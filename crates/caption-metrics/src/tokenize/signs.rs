//! Punctuation, currency, quotation marks, dashes, brackets, fractions in one sign.

use super::lexer::{Found, Kind};
use super::text::{Class, SOFT_HYPHEN, Text, class};

/// Tokens of letters with a sign: `c++`, `f#`, `us$`, `at&t`.
pub(super) fn offer_after_letter(text: Text, i: usize, found: &mut Found) {
    if matches!(text.byte(i) | 0x20, b'c' | b'f') && text.byte(i + 1) == b'#' {
        found.offer(i + 2, Kind::Plain);
    }
    if text.byte(i) | 0x20 == b'c' && text.byte(i + 1) == b'+' && text.byte(i + 2) == b'+' {
        found.offer(i + 3, Kind::Plain);
    }
    let capitals = |i| text.bytes(i, |b| b.is_ascii_uppercase());
    let mut end = capitals(i);
    if end == i {
        return;
    }
    if text.byte(end) == b'$' {
        found.offer(end + 1, Kind::Plain);
    }
    loop {
        let behind = match text.byte(end) {
            b'&' if text.has(end, "&amp;") => end + 5,
            b'&' | b'+' => end + 1,
            _ => return,
        };
        end = capitals(behind);
        if end == behind {
            return;
        }
        found.offer_joined(text, end, Kind::Ampersands);
    }
}

/// The sign at `i`.
pub(super) fn offer(text: Text, i: usize, found: &mut Found) {
    let c = text.at(i);
    let one = i + c.len_utf8();
    let run = |most: usize| text.bytes_within(i, most, |b| b as char == c);
    match c {
        '.' => {
            dots(text, i, found);
            found.offer(one, Kind::Punctuation);
        }
        '?' | '!' => {
            let end = text.bytes(i, |b| matches!(b, b'?' | b'!'));
            found.offer(end, if end == one { Kind::Punctuation } else { Kind::Plain });
        }
        ',' | ';' | ':' => found.offer(one, Kind::Punctuation),
        '-' => {
            let end = run(usize::MAX - i);
            found.offer(end, if end <= i + 4 { Kind::Punctuation } else { Kind::Plain });
        }
        '\'' | '`' => {
            let end = run(2);
            found.offer(end, Kind::Punctuation);
            let next = text.at(one);
            if c == '`' && is_quote(next) {
                found.offer(one + next.len_utf8(), Kind::Quotes);
            }
        }
        '"' => found.offer(one, Kind::Punctuation),
        '\u{96}' | '\u{97}' | '\u{2013}'..='\u{2015}' | '\u{85}' | '\u{2026}' => {
            found.offer(one, Kind::Punctuation)
        }
        '(' => found.offer(one, Kind::Spelled("-lrb-")),
        ')' => found.offer(one, Kind::Spelled("-rrb-")),
        '[' => found.offer(one, Kind::Spelled("-lsb-")),
        ']' => found.offer(one, Kind::Spelled("-rsb-")),
        '{' => found.offer(one, Kind::Spelled("-lcb-")),
        '}' => found.offer(one, Kind::Spelled("-rcb-")),
        '\u{80}' | '\u{a4}' | '\u{20a0}' | '\u{20ac}' => found.offer(one, Kind::Spelled("$")),
        '\u{a3}' => found.offer(one, Kind::Spelled("#")),
        '\u{a2}' => found.offer(one, Kind::Spelled("cents")),
        '\u{bc}' => found.offer(one, Kind::Spelled("1/4")),
        '\u{bd}' => found.offer(one, Kind::Spelled("1/2")),
        '\u{be}' => found.offer(one, Kind::Spelled("3/4")),
        '\u{2153}' => found.offer(one, Kind::Spelled("1/3")),
        '\u{2154}' => found.offer(one, Kind::Spelled("2/3")),
        '_' | '*' | '#' | '@' => found.offer(run(usize::MAX - i), Kind::Plain),
        '<' | '>' => found.offer(run(2), Kind::Plain),
        '\\' => {
            let mut end = one;
            let mut at = i;
            while at < i + 6 && text.byte(at) == b'\\' && text.byte(at + 1) == b'*' {
                at += 2;
                end = at;
            }
            found.offer(end, Kind::Plain);
        }
        SOFT_HYPHEN => found.offer(one, Kind::Punctuation),
        _ if is_quote(c) => {
            let next = text.at(one);
            found.offer(if is_quote(next) { one + next.len_utf8() } else { one }, Kind::Quotes);
        }
        _ if is_small(c) => found.offer(text.run(i, is_small), Kind::Plain),
        _ if class(c) == Class::Symbol => found.offer(one, Kind::Plain),
        _ => {}
    }
}

/// Three to five dots, with single spaces between all of them or none.
fn dots(text: Text, i: usize, found: &mut Found) {
    let end = text.bytes_within(i, 5, |b| b == b'.');
    if end >= i + 3 {
        found.offer(end, Kind::Punctuation);
    }
    for ellipsis in [". . .", ". . . .", ". . . . ."] {
        if text.has(i, ellipsis) {
            found.offer(i + ellipsis.len(), Kind::Punctuation);
        }
    }
}

/// Small digits above or below the line stand together.
fn is_small(c: char) -> bool {
    matches!(c, '\u{b2}' | '\u{b3}' | '\u{b9}' | '\u{2070}' | '\u{2074}'..='\u{2079}' | '\u{2080}'..='\u{2089}')
}

fn is_quote(c: char) -> bool {
    matches!(c, '`' | '\u{91}'..='\u{94}' | '\u{2018}'..='\u{201f}' | '\u{2039}' | '\u{203a}' | '«' | '»')
}

/// A quotation mark in ASCII.
pub(super) fn quote(c: char) -> &'static str {
    match c {
        '`' | '\u{91}' | '\u{2018}' | '\u{201b}' | '\u{2039}' => "`",
        '\u{92}' | '\u{2019}' | '\u{203a}' => "'",
        '\u{93}' | '\u{201c}' | '«' => "``",
        '\u{94}' | '\u{201d}' | '»' => "''",
        '\u{201a}' => "\u{201a}",
        '\u{201e}' => "\u{201e}",
        _ => "\u{201f}",
    }
}
