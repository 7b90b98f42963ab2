//! Words that may offend.
//!
//! The list is that of the crate [rustrict](https://github.com/finnbear/rustrict) (MIT or Apache-2.0), which ranks words
//! as profane, offensive or sexual, and as mild, moderate or severe. It is made for chats, where people hide words from it;
//! captions hide nothing, so words are looked at one by one, and guesses at hidden ones (`hoes`, `roddick`) do not count.

use rustrict::{Censor, Type};

/// What is said about the list on the page.
pub(crate) const SOURCE: &str =
    "the word list of rustrict 0.7 (MIT or Apache-2.0), moderate and severe words";

/// Longer words, in bytes, are in no list.
const LONGEST: usize = 64;

/// The first of the words that is moderately or severely profane, offensive or sexual.
pub(crate) fn word(words: &[String]) -> Option<&str> {
    words.iter().map(String::as_str).filter(|word| word.len() <= LONGEST).find(|word| {
        let found = Censor::from_str(word).analyze();
        found.is(Type::INAPPROPRIATE & Type::MODERATE_OR_HIGHER) && found.isnt(Type::EVASIVE)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Option<String> {
        let words: Vec<String> = text.split(' ').map(str::to_owned).collect();
        word(&words).map(str::to_owned)
    }

    #[test]
    fn finds_words_and_nothing_across_words() {
        assert_eq!(found("a picture of shit on the grass").as_deref(), Some("shit"));
        assert_eq!(found("a naked man"), Some("naked".into()));
        // Each of these holds a word of the list, across a space or inside a word.
        for harmless in
            ["a woman jogger", "he can push it", "a bass player", "a serving tennis player", "hoes"]
        {
            assert_eq!(found(harmless), None, "{harmless}");
        }
    }
}
