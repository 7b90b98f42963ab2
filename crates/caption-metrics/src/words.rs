//! Words as small numbers, so that captions are compared, sorted and hashed as integers.

use rustc_hash::FxHashMap;

use crate::tokenize::is_split;

/// Gives each distinct word a number, from 0 upwards in the order of their first appearance.
///
/// What needs speed here takes words as `u32`: a trainer hands in its own token ids; callers with strings get numbers
/// from one interner, which must be the same for hypotheses and references.
///
/// ```
/// let mut words = capwright_caption_metrics::Interner::default();
/// assert_eq!(words.ids(&["a", "dog", "and", "a", "cat"]), [0, 1, 2, 0, 3]);
/// assert_eq!(words.word(1), Some("dog"));
/// ```
#[derive(Debug, Clone, Default)]
pub struct Interner {
    ids: FxHashMap<Box<str>, u32>,
    words: Vec<Box<str>>,
}

impl Interner {
    /// The numbers of these words; new words get new numbers.
    pub fn ids<W: AsRef<str>>(&mut self, words: &[W]) -> Vec<u32> {
        words.iter().map(|word| self.id(word.as_ref())).collect()
    }

    /// The number of one word; a new word gets a new number.
    pub fn id(&mut self, word: &str) -> u32 {
        if let Some(id) = self.ids.get(word) {
            return *id;
        }
        // More than u32::MAX distinct words would need over 100 GB of memory before this wraps.
        let id = self.words.len() as u32;
        self.ids.insert(word.into(), id);
        self.words.push(word.into());
        id
    }

    /// What words with spaces inside consist of, by their numbers.
    pub(crate) fn parts(&mut self) -> FxHashMap<u32, Vec<u32>> {
        let spaced = (0..).zip(&self.words).filter(|(_, word)| word.contains(is_split));
        let spaced: Vec<(u32, Box<str>)> = spaced.map(|(id, word)| (id, word.clone())).collect();
        let mut parts = FxHashMap::default();
        for (id, word) in spaced {
            let of_word = word.split(is_split).filter(|part| !part.is_empty());
            parts.insert(id, of_word.map(|part| self.id(part)).collect());
        }
        parts
    }

    /// The word with this number.
    pub fn word(&self, id: u32) -> Option<&str> {
        self.words.get(id as usize).map(AsRef::as_ref)
    }

    /// All words, in the order of their numbers.
    pub fn words(&self) -> impl ExactSizeIterator<Item = &str> {
        self.words.iter().map(AsRef::as_ref)
    }
}
