//! Words joined by hyphens, underscores and slashes.

use super::abbreviations::{letters_with_stops, title};
use super::lexer::{Found, Kind};
use super::text::{Text, is_letter_or_digit};

/// Compounds that start with the letter or digit at `i`.
pub(super) fn offer(text: Text, i: usize, found: &mut Found) {
    slashed(text, i, found);
    for end in [text.run(i, is_letter_or_digit), head(text, i), letters_with_stops(text, i)] {
        if end > i {
            tail(text, end, found);
        }
    }
    let end = text.bytes(i, |b| b.is_ascii_alphabetic());
    if end > i && text.byte(end) == b'.' && (title(text, i, end) || end == i + 1) {
        tail(text, end + 1, found);
    }
    let end = text.run(i, is_letter_or_digit);
    if end > i {
        found.offer(end, Kind::Plain);
    }
}

/// The first part may have dots and commas inside: `5.5-inch`, `1,000-foot`, `u.s-led`.
fn head(text: Text, i: usize) -> usize {
    let part = |i| text.bytes(i, |b| b.is_ascii_alphanumeric());
    let mut end = part(i);
    while end > i && matches!(text.byte(end), b'.' | b',') && part(end + 1) > end + 1 {
        end = part(end + 1);
    }
    end
}

/// Hyphens or underscores, each with a part behind it; acronyms may be among the parts.
fn tail(text: Text, mut end: usize, found: &mut Found) {
    while matches!(text.byte(end), b'-' | b'_') {
        let acronym = letters_with_stops(text, end + 1);
        let part = text.run(end + 1, is_letter_or_digit);
        if acronym > end + 3 {
            end = acronym;
        } else if part > end + 1 {
            end = part;
        } else {
            return;
        }
        found.offer(end, Kind::Plain);
    }
}

/// `and/or`, `black-and-white/red/blue`: up to three parts of ASCII letters and digits, each with up to two hyphens
/// before letters.
fn slashed(text: Text, i: usize, found: &mut Found) {
    let part = |i: usize| {
        let mut end = text.bytes(i, |b| b.is_ascii_alphanumeric());
        if end == i {
            return None;
        }
        for _ in 0..2 {
            if text.byte(end) == b'-' && text.byte(end + 1).is_ascii_alphabetic() {
                end = text.bytes(end + 1, |b| b.is_ascii_alphabetic());
            }
        }
        Some(end)
    };
    let Some(mut end) = part(i) else { return };
    for _ in 0..2 {
        let slash = if text.byte(end) == b'\\' { end + 1 } else { end };
        if text.byte(slash) != b'/' {
            return;
        }
        let Some(next) = part(slash + 1) else { return };
        end = next;
        found.offer(end, Kind::Plain);
    }
}
