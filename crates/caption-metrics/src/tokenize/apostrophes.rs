//! Apostrophes: clitics, shortened words, names.

use super::lexer::{Found, Kind};
use super::text::{Class, END, SOFT_HYPHEN, Text, class, is_blank};

/// Clitics behind the apostrophe, which no ASCII letter may follow.
const CLITICS: [&str; 6] = ["ll", "re", "ve", "s", "m", "d"];

/// Words that start with an apostrophe.
const SHORTENED: [&str; 4] = ["till", "til", "cause", "em"];

/// Words with an apostrophe inside or at the end.
const WORDS: [&str; 9] =
    ["c'est", "c'mon", "cap'n", "e'er", "ev'ry", "li'l", "nat'l", "nor'easter", "s'mores"];

/// Words that end in an apostrophe of any form.
const ENDING: [&str; 3] = ["dunkin", "ol", "somethin"];

/// Tokens that start with an apostrophe.
pub(super) fn offer(text: Text, i: usize, found: &mut Found) {
    let Some(j) = text.apostrophe(i) else { return };
    for clitic in CLITICS {
        if let Some(end) = clitic_end(text, i, j, clitic) {
            let context = if text.byte(i) == b'\'' { text.at(end).len_utf8() } else { 0 };
            found.offer_seen(end, end + context, Kind::Clitic);
        }
    }
    for word in ["'tis", "'twas"] {
        if text.has(i, word) {
            found.offer_seen(i + 2, i + word.len(), Kind::Plain);
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
    if matches!(text.byte(j), b'2'..=b'9') && text.byte(j + 1) == b'0' && text.byte(j + 2) | 0x20 == b's' {
        found.offer(j + 3, Kind::Plain);
    }
    let c = text.at(j + 2);
    if text.byte(j).is_ascii_digit() && text.byte(j + 1).is_ascii_digit() && (is_blank(c) || c == END) {
        found.offer_seen(j + 2, j + 2 + c.len_utf8(), Kind::Plain);
    }
    let behind = text.at(i + 2);
    if text.byte(i) == b'\''
        && text.byte(j).is_ascii_alphabetic()
        && !matches!(behind, ' ' | '\t' | '\r' | '\u{a0}' | END)
    {
        found.offer_seen(j, i + 2 + behind.len_utf8(), Kind::Punctuation);
    }
}

/// Behind a clitic whose apostrophe is at `i` and whose letters are at `j`. Behind a plain apostrophe, which may be a
/// quotation mark, no ASCII letter may follow.
fn clitic_end(text: Text, i: usize, j: usize, clitic: &str) -> Option<usize> {
    let end = j + clitic.len();
    let whole = text.byte(i) != b'\'' || !text.byte(end).is_ascii_alphabetic();
    (whole && text.has(j, clitic)).then_some(end)
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
        for word in ENDING {
            if text.has(i, word)
                && let Some(end) = text.apostrophe(i + word.len())
            {
                found.offer(end, Kind::Plain);
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
    let run = text.run(i, |c| c.is_ascii_alphabetic() || c == SOFT_HYPHEN);
    if run >= i + 2
        && text.byte(run - 1) | 0x20 == b'n'
        && text.s[i..run - 1].trim_end_matches(SOFT_HYPHEN).ends_with(|c| !matches!(c, 'n' | 'N'))
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
    let t = left_or_right(text, i + 1)?;
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
    if let Some(j) = left_or_right(text, i + 1)
        && (matches!(first, b'd' | b'l' | b'n' | b'o')
            || first.is_ascii_uppercase() && first != b'I' && first != b'Y')
    {
        let end = text.run(j, |c| class(c) == Class::Letter);
        if text.s[j..end].chars().nth(1).is_some() {
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
    if let Some(j) = left_or_right(text, letters)
        && (is_vowel(text.byte(j)) && text.byte(j) != b'y' || text.byte(j).is_ascii_uppercase())
    {
        found.offer(text.run(j, |c| class(c) == Class::Letter), Kind::Plain);
    }
}

/// Behind the clitic that a word ends before at `i`, whatever follows it.
pub(super) fn clitic_behind(text: Text, i: usize) -> Option<usize> {
    let j = text.apostrophe(i)?;
    CLITICS.into_iter().find(|c| text.has(j, c)).map(|c| j + c.len())
}

/// Behind an apostrophe or a single left quotation mark at `i`.
pub(super) fn left_or_right(text: Text, i: usize) -> Option<usize> {
    match text.at(i) {
        c @ ('`' | '\u{2018}' | '\u{91}') => Some(i + c.len_utf8()),
        _ => text.apostrophe(i),
    }
}

fn is_vowel(b: u8) -> bool {
    matches!(b | 0x20, b'a' | b'e' | b'i' | b'o' | b'u' | b'y')
}
