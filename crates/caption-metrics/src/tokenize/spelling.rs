//! What a match is written as: lower case, ASCII quotation marks, spelled-out brackets; punctuation is left out.

use super::lexer::Kind;
use super::text::{SOFT_HYPHEN, is_line_break};
use super::{sigma, signs};

/// Tokens that the evaluation removes. It compares them after the tokens were lower-cased, so that its `-LRB-` and the
/// other brackets never match: they stay as words.
const PUNCTUATION: [&str; 13] = ["''", "'", "``", "`", ".", "?", "!", ",", ":", "-", "--", "...", ";"];

/// What becomes of spaces inside a token.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Spaces {
    /// They part it, as BLEU and CIDEr do, which split the sentence at every kind of space.
    Part,
    /// They stay, written as CoreNLP writes them: ROUGE splits at plain ones alone.
    Keep,
}

/// Sends the tokens of a match to `emit`. `scratch` is room to write them in.
pub(super) fn send(raw: &str, kind: Kind, spaces: Spaces, scratch: &mut String, emit: &mut impl FnMut(&str)) {
    let text: String = match kind {
        Kind::Punctuation => return,
        Kind::Spelled(word) => return emit(word),
        Kind::Plain if raw.bytes().all(|b| b.is_ascii_graphic()) => return send_ascii(raw, scratch, emit),
        Kind::Plain => raw.replace(SOFT_HYPHEN, ""),
        Kind::Verbatim => raw.to_owned(),
        Kind::Clitic => {
            let plain = raw.replace(SOFT_HYPHEN, "").replace("&apos;", "'");
            plain.replace(['\u{2019}', '\u{92}'], "'").replace(['\u{2018}', '\u{91}'], "`")
        }
        Kind::Ampersands => raw.to_lowercase().replace("&amp;", "&"),
        Kind::Brackets => raw.replace('(', "-lrb-").replace(')', "-rrb-"),
        Kind::Quotes => raw.chars().map(signs::quote).collect(),
    };
    let text = if text.contains('Σ') { sigma::lower(&text) } else { text.to_lowercase() };
    if PUNCTUATION.contains(&text.as_str()) {
        return;
    }
    match spaces {
        Spaces::Part => text.split(is_split).filter(|p| !p.is_empty()).for_each(emit),
        Spaces::Keep => emit(&text.replace(' ', "\u{a0}")),
    }
}

/// A word of ASCII letters and signs without spaces.
pub(super) fn send_ascii(word: &str, scratch: &mut String, emit: &mut impl FnMut(&str)) {
    if word.bytes().any(|b| b.is_ascii_uppercase()) {
        scratch.clear();
        scratch.push_str(word);
        scratch.make_ascii_lowercase();
        emit(scratch);
    } else {
        emit(word);
    }
}

/// Whether BLEU and CIDEr split a sentence there.
pub(crate) fn is_split(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{1c}'..='\u{1f}') || is_line_break(c)
}
