//! What a match is written as: lower case, ASCII quotation marks, spelled-out brackets; punctuation is left out.

use super::lexer::Kind;
use super::text::{SOFT_HYPHEN, is_line_break};
use super::{sigma, signs};

/// Tokens that the evaluation removes. It compares them after the tokens were lower-cased, so that its `-LRB-` and the
/// other brackets never match: they stay as words.
const PUNCTUATION: [&str; 13] = ["''", "'", "``", "`", ".", "?", "!", ",", ":", "-", "--", "...", ";"];

/// Sends the tokens of a match to `emit`. `scratch` is room to write them in.
pub(super) fn send(raw: &str, kind: Kind, scratch: &mut String, emit: &mut impl FnMut(&str)) {
    match kind {
        Kind::Punctuation => {}
        Kind::Spelled(word) => emit(word),
        Kind::Plain if raw.bytes().all(|b| b.is_ascii_graphic()) => send_ascii(raw, scratch, emit),
        Kind::Plain => send_parts(&raw.replace(SOFT_HYPHEN, ""), emit),
        Kind::Verbatim => send_parts(raw, emit),
        Kind::Clitic => {
            let plain = raw.replace(SOFT_HYPHEN, "").replace("&apos;", "'");
            send_parts(
                &plain.replace(['\u{2019}', '\u{92}'], "'").replace(['\u{2018}', '\u{91}'], "`"),
                emit,
            );
        }
        Kind::Ampersands => send_parts(&raw.to_lowercase().replace("&amp;", "&"), emit),
        Kind::Brackets => send_parts(&raw.replace('(', "-lrb-").replace(')', "-rrb-"), emit),
        Kind::Quotes => send_parts(&raw.chars().map(signs::quote).collect::<String>(), emit),
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

/// The parts between spaces in lower case. BLEU and CIDEr split the sentence at every kind of space, also at those
/// inside a token.
fn send_parts(raw: &str, emit: &mut impl FnMut(&str)) {
    let text = if raw.contains('Σ') { sigma::lower(raw) } else { raw.to_lowercase() };
    if !PUNCTUATION.contains(&text.as_str()) {
        text.split(is_split).filter(|p| !p.is_empty()).for_each(emit);
    }
}

fn is_split(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{1c}'..='\u{1f}') || is_line_break(c)
}
