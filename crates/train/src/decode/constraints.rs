//! What may be said at a step.

use capwright_caption_data::Vocabulary;
use capwright_contract::Decoding;

/// The first word that is no special of the vocabulary.
const FIRST: u32 = Vocabulary::UNK + 1;

/// What a hypothesis may say next.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Allowed {
    /// END.
    pub end: bool,
    /// Words, from the first that is no special on; none where the caption is as long as it may be.
    pub words: std::ops::Range<u32>,
    /// Those of them that would repeat an n-gram.
    banned: Vec<u32>,
}

impl Allowed {
    /// What may follow `said` in a vocabulary of `vocab` words. END is kept back until there are `min_words`; but where
    /// all words are banned, it is all that is left.
    pub fn after(said: &[u32], decoding: &Decoding, vocab: usize) -> Self {
        let last = if said.len() < decoding.max_words { vocab as u32 } else { FIRST };
        let words = FIRST..last.max(FIRST);
        let banned = match decoding.no_repeat_ngram {
            Some(n) if !words.is_empty() => repeating(said, n),
            _ => Vec::new(),
        };
        let end =
            said.len() >= decoding.min_words.max(1) || (!said.is_empty() && banned.len() >= words.len());
        Self { end, words, banned }
    }

    /// Whether some words of the range may not be said.
    pub fn bans(&self) -> bool {
        !self.banned.is_empty()
    }

    /// Whether a word of the range may be said.
    pub fn word(&self, word: u32) -> bool {
        !self.banned.contains(&word)
    }
}

/// The words that would end an n-gram which `said` has already.
fn repeating(said: &[u32], n: usize) -> Vec<u32> {
    let Some(start) = (said.len() + 1).checked_sub(n).filter(|_| n > 0) else { return Vec::new() };
    let open = &said[start..];
    let mut banned: Vec<u32> = said.windows(n).filter(|w| w[..n - 1] == *open).map(|w| w[n - 1]).collect();
    banned.sort_unstable();
    banned.dedup();
    banned
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_ends_of_said_ngrams_are_banned() {
        assert_eq!(repeating(&[4, 5, 6, 4], 2), [5]);
        assert_eq!(repeating(&[4, 5, 4, 7, 4], 2), [5, 7]);
        assert_eq!(repeating(&[5, 4, 5], 1), [4, 5]);
        assert_eq!(repeating(&[4, 4, 4], 3), [4]);
        assert!(repeating(&[4, 5, 4], 3).is_empty() && repeating(&[], 1).is_empty());
    }

    #[test]
    fn end_is_left_where_every_word_is_banned() {
        let decoding = Decoding { min_words: 9, no_repeat_ngram: Some(1), ..Decoding::of(1, 20) };
        let allowed = |said: &[u32]| Allowed::after(said, &decoding, 7);
        assert!(!allowed(&[]).end && !allowed(&[4, 5]).end);
        assert!(allowed(&[4, 5, 6]).end);
    }

    proptest! {
        /// A word is banned if, and only if, it makes an n-gram that occurs twice.
        #[test]
        fn banned_is_what_would_repeat(said in prop::collection::vec(4u32..8, 0..12), n in 1usize..5) {
            let repeats = |words: &[u32]| {
                let grams: Vec<&[u32]> = words.windows(n).collect();
                grams.last().is_some_and(|last| grams[..grams.len() - 1].contains(last))
            };
            for word in 4..8 {
                let next: Vec<u32> = said.iter().copied().chain([word]).collect();
                prop_assert_eq!(repeating(&said, n).contains(&word), repeats(&next));
            }
        }
    }
}
