//! The longest match: every recogniser looks at the same place and the one that sees furthest wins.

use super::text::{Class, SOFT_HYPHEN, Text, class, is_space};
use super::{abbreviations, apostrophes, compounds, numbers, signs, smileys, web, words};

/// How the text of a match becomes tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// As it stands, without soft hyphens; spaces inside part it.
    Plain,
    /// As [`Kind::Plain`], but with soft hyphens and entities: addresses.
    Verbatim,
    /// As [`Kind::Plain`], with round brackets spelled out.
    Brackets,
    /// As [`Kind::Plain`], with `&` for its entity.
    Ampersands,
    /// As [`Kind::Plain`], with one shape for all apostrophes.
    Clitic,
    /// Typographic quotation marks, each written in ASCII.
    Quotes,
    /// Another spelling.
    Spelled(&'static str),
    /// Punctuation that the evaluation removes.
    Punctuation,
}

/// The best match so far at one place.
pub(super) struct Found {
    /// Behind the last character of the token.
    pub(super) end: usize,
    /// Behind the last character that the match looked at.
    seen: usize,
    pub(super) kind: Kind,
}

impl Found {
    /// Takes a match that ends where it looked. Of equally long matches the first one offered stays.
    #[inline]
    pub(super) fn offer(&mut self, end: usize, kind: Kind) {
        self.offer_seen(end, end, kind);
    }

    /// Takes a match that needs context: `seen` is behind the last character that it looked at.
    /// Takes a match of letters and digits. Its full stop belongs to it when a comma, colon or semicolon follows, as
    /// after an abbreviation inside a sentence.
    #[inline]
    pub(super) fn offer_word(&mut self, text: Text, end: usize) {
        self.offer_joined(text, end, Kind::Plain);
    }

    /// [`Found::offer_word`] of another kind.
    pub(super) fn offer_joined(&mut self, text: Text, end: usize, kind: Kind) {
        self.offer(end, kind);
        if text.byte(end) == b'.' {
            let c = text.at(end + 1);
            if matches!(c, ',' | ';' | ':' | '\u{3001}') {
                self.offer_seen(end + 1, end + 1 + c.len_utf8(), kind);
            }
        }
    }

    #[inline]
    pub(super) fn offer_seen(&mut self, end: usize, seen: usize, kind: Kind) {
        if seen > self.seen {
            *self = Found { end, seen, kind };
        }
    }
}

/// What earlier failures taught about the rest of the caption, so that no stretch is searched over and over: nothing of
/// the kind starts before this place.
#[derive(Default)]
pub(super) struct Memory {
    pub(super) no_email_before: usize,
    pub(super) no_domain_before: usize,
    pub(super) no_www_before: usize,
    pub(super) no_file_before: usize,
    pub(super) no_dotted_before: usize,
}

/// The match at `i`, or nothing for a character that vanishes.
pub(super) fn longest(text: Text, i: usize, memory: &mut Memory) -> Option<Found> {
    let mut found = Found { end: i, seen: i, kind: Kind::Plain };
    let c = text.at(i);
    match class(c) {
        Class::Letter | Class::Mark => {
            words::assimilated(text, i, &mut found);
            words::offer(text, i, &mut found);
            web::email(text, i, memory, &mut found);
            abbreviations::offer(text, i, &mut found);
            web::offer(text, i, memory, &mut found);
            apostrophes::offer_after_letter(text, i, &mut found);
            compounds::offer(text, i, memory, &mut found);
            smileys::offer(text, i, &mut found);
            signs::offer_after_letter(text, i, &mut found);
            if c == SOFT_HYPHEN {
                numbers::offer(text, i, &mut found);
            }
        }
        Class::Digit => {
            numbers::offer(text, i, &mut found);
            web::email(text, i, memory, &mut found);
            web::offer(text, i, memory, &mut found);
            compounds::offer(text, i, memory, &mut found);
        }
        Class::Symbol => {
            apostrophes::offer(text, i, &mut found);
            numbers::offer(text, i, &mut found);
            web::email(text, i, memory, &mut found);
            web::offer(text, i, memory, &mut found);
            words::offer(text, i, &mut found);
            smileys::offer(text, i, &mut found);
            signs::offer(text, i, &mut found);
        }
        Class::Space | Class::Gone => {
            numbers::offer(text, i, &mut found);
            web::email(text, i, memory, &mut found);
            web::offer(text, i, memory, &mut found);
            signs::offer(text, i, &mut found);
            apostrophes::offer(text, i, &mut found);
            found.offer(text.run(i, is_space), Kind::Punctuation);
        }
    }
    (found.end > i).then_some(found)
}
