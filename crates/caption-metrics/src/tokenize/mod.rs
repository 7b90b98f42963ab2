//! Words of a caption, as the COCO caption evaluation compares them.
//!
//! pycocoevalcap 1.2 runs the PTB tokenizer of Stanford CoreNLP 3.4.1 (`-preserveLines -lowerCase`) and removes
//! punctuation. This module gives the same words. It was written from the published description of that tokenizer and
//! from what it answers: `tests/fixtures/ptb` holds the questions.
//!
//! At each place every recogniser says how far it sees, and the one that sees furthest makes the next token
//! ([`lexer::longest`]); what it needs behind the token counts as seen. What the recognisers know:
//!
//! - [`words`]: letters of any script with their accents; `cannot` is two words;
//! - [`apostrophes`]: `do n't`, `it 's`, `o'clock`, `'til`;
//! - [`abbreviations`]: `mr.`, `u.s.` and `etc.` keep their full stop, `no.` only before a number;
//! - [`compounds`]: `well-known`, `anti-u.s.`, `and/or`;
//! - [`numbers`]: `1,000.50`, `7:30`, `1/2`, dates, telephone numbers;
//! - [`web`]: addresses, `@name`, `#word`, file names, tags and entities;
//! - [`smileys`] and [`signs`]: everything else, one token a sign or a run of signs.
//!
//! Chinese and Japanese have no spaces between words: [`characters`] takes their characters as words instead, and
//! [`Tokenizer`] is the choice between the two.

mod abbreviations;
mod apostrophes;
mod characters;
mod choice;
mod compounds;
mod lexer;
mod numbers;
mod sigma;
mod signs;
mod smileys;
mod spelling;
mod text;
mod web;
mod words;

pub use characters::{segment, stands_alone};
pub use choice::Tokenizer;
use lexer::Memory;
use spelling::Spaces;
pub(crate) use spelling::is_split;
use text::{END, Text};

/// Lower-cased words of a caption without punctuation, as pycocoevalcap 1.2 has them.
///
/// `don't` gives `do n't`, `dog's` gives `dog 's`, words joined by hyphens stay whole, `mr.` keeps its full stop.
/// Quotation marks, dashes up to four hyphens, single `? !` and `. , : ; ...` vanish. Brackets become `-lrb-` and the like
/// and stay as words, since the evaluation misses them in lower case. Emoji and control characters vanish.
///
/// Three things differ from calling the Java program on a whole file:
/// - the end of a caption counts as followed by a caption that starts with `A`. There, the first word of the next
///   caption decides whether a single letter at the end keeps its full stop (`vitamin c.`);
/// - a line break inside the caption is a space. There, a carriage return shifts all later captions by one;
/// - tags of more than 1024 bytes are taken apart, and a tag never goes on into the next caption.
///
/// Spaces inside a token (`1 1/2`, `(412) 555-1234`) part it, as BLEU and CIDEr do when they split the sentence; ROUGE-L does not, and
/// [`score_captions`](crate::score_captions) heeds that. Never fails: text without words gives an empty list. The time is linear in the
/// length of the caption.
pub fn tokenize(caption: &str) -> Vec<String> {
    let mut words = Vec::new();
    tokenize_each(caption, |word| words.push(word.to_owned()));
    words
}

/// Sends each word of [`tokenize`] to `emit`, without making a list.
pub fn tokenize_each(caption: &str, emit: impl FnMut(&str)) {
    each(caption, Spaces::Part, emit);
}

/// [`tokenize`] with tokens left whole that have spaces inside, which are written as CoreNLP writes them (U+00A0).
pub(crate) fn tokens(caption: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    each(caption, Spaces::Keep, |token| tokens.push(token.to_owned()));
    tokens
}

fn each(caption: &str, spaces: Spaces, mut emit: impl FnMut(&str)) {
    let text = Text { s: caption };
    let mut memory = Memory::default();
    let mut scratch = String::new();
    let mut i = 0;
    while i < caption.len() {
        if text.byte(i) == b' ' {
            i = text.run(i, text::is_space);
        } else if let Some(end) = plain_word(text, i) {
            spelling::send_ascii(&caption[i..end], &mut scratch, &mut emit);
            i = end;
        } else if let Some(found) = lexer::longest(text, i, &mut memory) {
            spelling::send(&caption[i..found.end], found.kind, spaces, &mut scratch, &mut emit);
            i = found.end;
        } else {
            i += text.at(i).len_utf8();
        }
    }
}

/// The end of ASCII letters before a space, a comma with a space or the end of the caption: a word and nothing else, so
/// that no recogniser needs to look. Most words of captions are.
fn plain_word(text: Text, i: usize) -> Option<usize> {
    let end = text.bytes(i, |b| b.is_ascii_alphabetic());
    let behind = if text.byte(end) == b',' { end + 1 } else { end };
    let plain = end > i && matches!(text.at(behind), ' ' | END) && !words::is_assimilated(text, i, end);
    plain.then_some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(text: &str) -> String {
        tokenize(text).join(" ")
    }

    #[test]
    fn lower_cases_and_drops_punctuation() {
        assert_eq!(joined("A Man , riding a WAVE."), "a man riding a wave");
        assert_eq!(
            joined("two dogs; one (brown), one \"white\"!?"),
            "two dogs one -lrb- brown -rrb- one white !?"
        );
        assert_eq!(joined("wait... a dog -- no: a cat - really"), "wait a dog no a cat really");
        assert_eq!(joined("''quoted'' ``words''"), "quoted words");
    }

    #[test]
    fn splits_contractions() {
        assert_eq!(
            joined("The dog's toy isn't there, they're sad"),
            "the dog 's toy is n't there they 're sad"
        );
        assert_eq!(joined("can't cannot don\u{2019}t Cannot"), "ca n't can not do n't can not");
        assert_eq!(joined("a dog 's toy, the boys' ball"), "a dog 's toy the boys ball");
    }

    #[test]
    fn abbreviations_keep_their_stop() {
        assert_eq!(
            joined("Mr. Smith of the U.S. on St. Louis Ave."),
            "mr. smith of the u.s. on st. louis ave."
        );
        assert_eq!(joined("it is no. 5, is it? no."), "it is no. 5 is it no");
        assert_eq!(joined("a sign with a K. A dog"), "a sign with a k a dog");
        assert_eq!(joined("vitamin C. and a dog, vitamin c."), "vitamin c. and a dog vitamin c");
    }

    #[test]
    fn hyphenated_words_and_numbers_stay_whole() {
        assert_eq!(joined("a black-and-white t-shirt"), "a black-and-white t-shirt");
        assert_eq!(joined("1.5 miles at 7:30, 10,000 people, $5"), "1.5 miles at 7:30 10,000 people $ 5");
        assert_eq!(joined("a black/white cat, and / or a dog."), "a black/white cat and / or a dog");
    }

    /// As CoreNLP 3.4.1 answers.
    #[test]
    fn spaces_inside_tokens_part_them_or_stay() {
        let text = "1 1/2 cups, (412) 555-1234 <a href=\"x y\" b>";
        let kept = "1~1/2 cups -lrb-412-rrb-~555-1234 <a~href=\"x~y\"~b>";
        assert_eq!(tokens(text).join(" "), kept.replace('~', "\u{a0}"));
        assert_eq!(joined(text), kept.replace('~', " "));
    }

    #[test]
    fn text_without_words_is_empty() {
        assert!(tokenize(" \t. ,, '' - \u{1f600}\u{1}").is_empty());
        assert!(tokenize("").is_empty());
    }
}
