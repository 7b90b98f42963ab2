//! Words of a caption, as the COCO caption evaluation compares them.

mod abbreviations;
mod apostrophes;
mod compounds;
mod lexer;
mod numbers;
mod sigma;
mod signs;
mod smileys;
mod text;
mod web;
mod words;

use std::borrow::Cow;

use lexer::Memory;
use text::Text;

/// Lower-cased words of a caption.
pub fn tokenize(caption: &str) -> Vec<String> {
    let mut words = Vec::new();
    tokenize_each(caption, |word| words.push(word.into_owned()));
    words
}

/// [`tokenize`] without a list.
pub fn tokenize_each<'a>(caption: &'a str, mut emit: impl FnMut(Cow<'a, str>)) {
    let text = Text { s: caption };
    let mut memory = Memory::default();
    let mut i = 0;
    while i < caption.len() {
        if text.byte(i) == b' ' {
            i = text.run(i, text::is_space);
            continue;
        }
        match lexer::longest(text, i, &mut memory) {
            Some(found) => {
                lexer::send(&caption[i..found.end], found.kind, &mut emit);
                i = found.end;
            }
            None => i += caption[i..].chars().next().map_or(1, char::len_utf8),
        }
    }
}
