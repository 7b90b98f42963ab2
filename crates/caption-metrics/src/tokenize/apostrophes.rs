//! Apostrophes: clitics, shortened words, names.

use super::lexer::{Found, Kind};
use super::text::{Text, class, is_word, Class};

/// Clitics behind the apostrophe, which no ASCII letter may follow.
const CLITICS: [&str; 6] = ["ll", "re", "ve", "s", "m", "d"];

/// Words that start with an apostrophe.
const SHORTENED: [&str; 4] = ["till", "til", "cause", "em"];

/// Words with an apostrophe inside or at the end.
const WORDS: [&str; 10] =
    ["c'mon", "dunkin'", "e'er", "ev'ry", "li'l", "nat'l", "nor'easter", "ol'", "s'mores", "somethin'"];

/// Tokens that start with an apostrophe.
pub(super) fn offer(text: Text, i: usize, found: &mut Found) {
    let Some(j) = text.apostrophe(i) else { return };
    for clitic in CLITICS {
        if text.has(j, clitic) && !text.byte(j + clitic.len()).is_ascii_alphabetic() {
            let end = j + clitic.len();
            found.offer_seen(end, end + usize::from(text.byte(end) != 0), Kind::Clitic);
        }
    }
    for (word, at) in [("'tis", 2), ("'twas", 2)] {
        if text.has(i, word) {
            found.offer(i + word.len(), Kind::Parted(at));
        }
    }
    for word in SHORTENED {
        if text.has(j, word) {
            found.offer(j + word.len(), Kind::Plain);
        }
    }
    if text.has(j, "n") {
        found.offer(text.apostrophe(j + 1).unwrap_or(j + 1), Kind::Plain);
    }
    if matches!(text.byte(j), b'2'..=b'9') && text.byte(j + 1) == b'0' && text.byte(j + 2) == b's' {
        found.offer(j + 3, Kind::Plain);
    }
}

/// Tokens that have an apostrophe behind their first letters.
pub(super) fn offer_after_letter(text: Text, i: usize, found: &mut Found) {
    let first = text.byte(i);
    if first.is_ascii_alphabetic() && !text.byte(i + 1).is_ascii_alphanumeric() {
        single(text, i, found);
    }
    if matches!(first | 0x20, b'c' | b'd' | b'e' | b'l' | b'n' | b'o' | b's') {
        for word in WORDS {
            if text.has(i, word) {
                found.offer(i + word.len(), Kind::Plain);
            }
        }
    }
    negation(text, i, found);
    vowels(text, i, found);
}

/// `n't` alone and, as context, behind its stem.
fn negation(text: Text, i: usize, found: &mut Found) {
    if let Some(end) = not(text, i) {
        found.offer(end, Kind::Clitic);
    }
    let run = text.bytes(i, |b| b.is_ascii_alphabetic());
    if run >= i + 2
        && text.byte(run - 1) | 0x20 == b'n'
        && text.byte(run - 2) | 0x20 != b'n'
        && let Some(seen) = not(text, run - 1)
    {
        found.offer_seen(run - 1, seen, Kind::Plain);
    }
}

/// Behind `n't`, with a left quote for the apostrophe as well.
fn not(text: Text, i: usize) -> Option<usize> {
    if !text.has(i, "n") {
        return None;
    }
    let t = match text.at(i + 1) {
        '`' => i + 2,
        '\u{2018}' | '\u{91}' => i + 1 + text.at(i + 1).len_utf8(),
        _ => text.apostrophe(i + 1)?,
    };
    text.has(t, "t").then_some(t + 1)
}

/// `o'brien`, `d'angelo`, `T'Pol`; `l'` before anything.
fn single(text: Text, i: usize, found: &mut Found) {
    let first = text.byte(i);
    if let Some(j) = text.apostrophe(i + 1) {
        if matches!(first | 0x20, b'd' | b'j' | b'l') {
            found.offer(j, Kind::Plain);
        }
        if first | 0x20 == b'y' && class(text.at(j)) == Class::Letter {
            found.offer_seen(j, j + text.at(j).len_utf8(), Kind::Plain);
        }
    }
    let j = match text.at(i + 1) {
        c @ ('\u{2018}' | '\u{91}' | '`') => Some(i + 1 + c.len_utf8()),
        _ => text.apostrophe(i + 1),
    };
    if let Some(j) = j
        && (matches!(first, b'd' | b'l' | b'n' | b'o') || first.is_ascii_uppercase() && first != b'I' && first != b'Y')
    {
        let end = text.run(j, |c| class(c) == Class::Letter);
        if text.s[j..end].chars().count() >= 2 {
            found.offer(end, Kind::Plain);
        }
    }
}

/// `hawai'i`, `ma'am`, `qu'il`: an apostrophe between vowels, or between a vowel and a capital.
fn vowels(text: Text, i: usize, found: &mut Found) {
    let letters = text.run(i, |c| class(c) == Class::Letter);
    if letters < i + 2 || !is_vowel(text.byte(letters - 1)) {
        return;
    }
    if let Some(j) = text.apostrophe(letters)
        && (is_vowel(text.byte(j)) && text.byte(j) != b'y' || text.byte(j).is_ascii_uppercase())
    {
        found.offer(text.run(j, |c| class(c) == Class::Letter), Kind::Plain);
    }
}

fn is_vowel(b: u8) -> bool {
    matches!(b | 0x20, b'a' | b'e' | b'i' | b'o' | b'u' | b'y')
}

#[allow(dead_code)]
fn unused(c: char) -> bool {
    is_word(c)
}
