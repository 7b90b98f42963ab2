//! Words joined by hyphens, underscores and slashes.

use super::abbreviations::letters_with_stops;
use super::apostrophes::left_or_right;
use super::lexer::{Found, Kind, Memory};
use super::text::{SOFT_HYPHEN, Text, is_letter_or_digit};

/// Compounds that start with the letter or digit at `i`.
pub(super) fn offer(text: Text, i: usize, memory: &mut Memory, found: &mut Found) {
    if let Some(end) = named_part(text, i) {
        found.offer_word(text, end);
        named_tail(text, end, found);
    }
    // These two keep their hyphen when nothing follows it.
    for prefix in ["anti-", "pro-"] {
        if text.has(i, prefix) {
            found.offer(i + prefix.len(), Kind::Plain);
        }
    }
    slashed(text, i, found);
    let plain = ascii_part(text, i);
    if plain == i {
        return;
    }
    if text.byte(plain) == b'-' {
        acronym_tail(text, plain, found);
    }
    // The first part may have dots and commas inside and behind: `5.5-inch`, `1,000-foot`, `mr.-and-mrs`.
    if i >= memory.no_dotted_before {
        let dotted = text.run(plain, |c| matches!(c, '.' | ',') || is_ascii_part(c));
        if dotted > plain && text.byte(dotted) == b'-' && is_ascii_part(text.at(dotted + 1)) {
            acronym_tail(text, dotted, found);
        } else {
            memory.no_dotted_before = dotted;
        }
    }
}

/// Letters and digits, or a name such as `o'brien`.
fn named_part(text: Text, i: usize) -> Option<usize> {
    if matches!(text.byte(i) | 0x20, b'd' | b'l' | b'o')
        && let Some(j) = left_or_right(text, i + 1)
    {
        let end = text.run(j, is_letter_or_digit);
        if text.s[j..end].chars().nth(1).is_some() {
            return Some(end);
        }
    }
    let end = text.run(i, is_letter_or_digit);
    (end > i).then_some(end)
}

/// Hyphens or underscores, each with a part behind it.
fn named_tail(text: Text, mut end: usize, found: &mut Found) {
    loop {
        let c = text.at(end);
        if !matches!(c, '-' | '_' | '\u{58a}' | '\u{2010}' | '\u{2011}') {
            return;
        }
        let Some(next) = named_part(text, end + c.len_utf8()) else { return };
        end = next;
        found.offer_word(text, end);
    }
}

/// ASCII letters and digits, soft hyphens among them.
fn ascii_part(text: Text, i: usize) -> usize {
    if !text.byte(i).is_ascii_alphanumeric() {
        return i;
    }
    text.run(i, is_ascii_part)
}

fn is_ascii_part(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == SOFT_HYPHEN
}

/// Hyphens with parts of ASCII letters and digits or acronyms (`anti-u.s.`), then perhaps parts after underscores.
fn acronym_tail(text: Text, mut end: usize, found: &mut Found) {
    while matches!(text.byte(end), b'-') {
        let acronym = letters_with_stops(text, end + 1);
        let part = text.run(end + 1, is_ascii_part);
        if acronym > end + 3 {
            end = acronym;
        } else if part > end + 1 {
            end = part;
        } else {
            return;
        }
        found.offer_word(text, end);
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
