//! Words, and those that the Penn Treebank splits in two.

use super::apostrophes::clitic_behind;
use super::lexer::{Found, Kind};
use super::text::{Class, Text, class, is_word};

/// Words that are written as one and counted as two, with the length of the first part.
const ASSIMILATED: [(&str, usize); 6] =
    [("cannot", 3), ("gonna", 3), ("gotta", 3), ("wanna", 3), ("gimme", 3), ("lemme", 3)];

/// The first part of `cannot`, `gonna` and their kind. The second part is looked at anew.
pub(super) fn assimilated(text: Text, i: usize, found: &mut Found) {
    for (word, at) in ASSIMILATED {
        if text.has(i, word) {
            found.offer_seen(i + at, i + word.len(), Kind::Plain);
        }
    }
}

/// Is the text from `i` to `end` such a word?
pub(super) fn is_assimilated(text: Text, i: usize, end: usize) -> bool {
    matches!(end - i, 5 | 6) && ASSIMILATED.iter().any(|(word, _)| word.len() == end - i && text.has(i, word))
}

/// A word of letters, digits and signs that does not start with a digit. A full stop, exclamation or question mark
/// between it and a letter belongs to it: `u.s`, `dog.the`, `yahoo!s`. So do entities of accented vowels.
pub(super) fn offer(text: Text, i: usize, found: &mut Found) {
    if let Some(mut end) = run(text, i) {
        loop {
            if matches!(text.byte(end), b'.' | b'!' | b'?')
                && let Some(next) = run(text, end + 1)
            {
                end = next;
            } else {
                break;
            }
        }
        if let Some(seen) = clitic_behind(text, end) {
            found.offer_seen(end, seen, Kind::Plain);
        }
        found.offer_word(text, end);
    }
}

/// The end of the word that starts at `i`.
pub(super) fn run(text: Text, i: usize) -> Option<usize> {
    let starts = matches!(class(text.at(i)), Class::Letter | Class::Mark);
    let mut end = if starts { i } else { accented_entity(text, i)? };
    loop {
        end = text.run(end, is_word);
        match accented_entity(text, end) {
            Some(next) => end = next,
            None => return Some(end),
        }
    }
}

/// `&eacute;` and the other vowels with acute, grave or diaeresis.
pub(super) fn accented_entity(text: Text, i: usize) -> Option<usize> {
    if text.byte(i) != b'&' || !matches!(text.byte(i + 1) | 0x20, b'a' | b'e' | b'i' | b'o' | b'u') {
        return None;
    }
    ["acute;", "grave;", "uml;"].into_iter().find(|n| text.has(i + 2, n)).map(|n| i + 2 + n.len())
}
