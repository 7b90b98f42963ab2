//! Words of captions as token ids.

use std::collections::HashMap;
use std::io::Write;
use std::path::Path;

use capwright_caption_metrics::tokenize;
use serde::{Deserialize, Serialize};

use crate::error::read_limited;
use crate::{DataError, Dataset, Split};

/// Names of the special tokens, in the order of their ids. No word of a caption can look like them.
const SPECIALS: [&str; 4] = ["<pad>", "<bos>", "<eos>", "<unk>"];
/// Most bytes of a vocabulary file.
const MAX_FILE_BYTES: u64 = 64 << 20;

/// The words that a model can read and say, each with its id; ids 0..4 are special.
///
/// As JSON: `{"words": ["<pad>", "<bos>", "<eos>", "<unk>", "a", ...]}`, the id being the place in the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "WordList", try_from = "WordList")]
pub struct Vocabulary {
    words: Vec<String>,
    ids: HashMap<String, u32>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WordList {
    words: Vec<String>,
}

impl From<Vocabulary> for WordList {
    fn from(vocabulary: Vocabulary) -> Self {
        WordList { words: vocabulary.words }
    }
}

impl TryFrom<WordList> for Vocabulary {
    type Error = String;

    fn try_from(WordList { words }: WordList) -> Result<Self, String> {
        if words.len() < SPECIALS.len() || words.iter().zip(SPECIALS).any(|(word, special)| word != special) {
            return Err(format!("a vocabulary starts with the words {}", SPECIALS.join(" ")));
        }
        if u32::try_from(words.len()).is_err() {
            return Err("too many words".into());
        }
        let mut ids = HashMap::with_capacity(words.len());
        for (id, word) in words.iter().enumerate() {
            if word.is_empty() || word.contains(char::is_whitespace) {
                return Err(format!("word {id} ({word:?}) is empty or holds white space"));
            }
            if let Some(earlier) = ids.insert(word.clone(), id as u32) {
                return Err(format!("words {earlier} and {id} are both {word:?}"));
            }
        }
        Ok(Vocabulary { words, ids })
    }
}

impl Vocabulary {
    /// Id of the filler after the end of a sentence.
    pub const PAD: u32 = 0;
    /// Id of the mark that a sentence begins with.
    pub const BOS: u32 = 1;
    /// Id of the mark that a sentence ends with.
    pub const EOS: u32 = 2;
    /// Id of every word that is not in the vocabulary.
    pub const UNK: u32 = 3;

    /// The words that occur at least `min_count` times in the captions, the most frequent first, then by alphabet.
    pub fn build<S: AsRef<str>>(captions: impl IntoIterator<Item = S>, min_count: usize) -> Self {
        let mut counts: HashMap<String, usize> = HashMap::new();
        for caption in captions {
            for word in tokenize(caption.as_ref()) {
                *counts.entry(word).or_default() += 1;
            }
        }
        let mut frequent: Vec<(String, usize)> =
            counts.into_iter().filter(|&(_, count)| count >= min_count).collect();
        frequent.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let words: Vec<String> = SPECIALS
            .into_iter()
            .map(str::to_owned)
            .chain(frequent.into_iter().map(|(word, _)| word))
            .collect();
        let ids = words.iter().enumerate().map(|(id, word)| (word.clone(), id as u32)).collect();
        Vocabulary { words, ids }
    }

    /// [`build`](Self::build) from the captions of the train split; validation and test words play no part.
    pub fn from_dataset(dataset: &Dataset, min_count: usize) -> Self {
        Self::build(dataset.records(Split::Train).flat_map(|image| &image.captions), min_count)
    }

    /// The vocabulary with at most that many ids, the four special ones included: the rarest words go.
    pub fn at_most(mut self, ids: usize) -> Self {
        self.words.truncate(ids.max(SPECIALS.len()));
        let kept = self.words.len() as u32;
        self.ids.retain(|_, id| *id < kept);
        self
    }

    /// Number of ids, the four special ones included.
    #[allow(
        clippy::len_without_is_empty,
        reason = "a vocabulary is never empty: the special tokens are always there"
    )]
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// All words by id, the four special ones first.
    pub fn words(&self) -> &[String] {
        &self.words
    }

    /// The word with this id.
    pub fn word(&self, id: u32) -> Option<&str> {
        self.words.get(id as usize).map(String::as_str)
    }

    /// The id of a word, [`UNK`](Self::UNK) when it is not in the vocabulary.
    pub fn id(&self, word: &str) -> u32 {
        self.ids.get(word).copied().unwrap_or(Self::UNK)
    }

    /// Ids of the first `max_len` words of a caption, without marks for begin and end.
    pub fn encode(&self, caption: &str, max_len: usize) -> Vec<u32> {
        tokenize(caption).iter().take(max_len).map(|word| self.id(word)).collect()
    }

    /// The sentence up to the first [`EOS`](Self::EOS); other special and unknown ids are left out.
    ///
    /// Contractions are joined again (`do n't` becomes `don't`); [`tokenize`] splits them in the same way.
    pub fn decode(&self, ids: &[u32]) -> String {
        let sentence = ids.iter().take_while(|&&id| id != Self::EOS);
        let words = sentence.filter(|&&id| id > Self::UNK).filter_map(|&id| self.word(id));
        let mut text = String::new();
        let mut joinable = false;
        for word in words {
            let clitic = matches!(word, "n't" | "'s" | "'re" | "'ve" | "'ll" | "'d" | "'m");
            let joined = text.is_empty() || (clitic && joinable);
            if !joined {
                text.push(' ');
            }
            text.push_str(word);
            joinable = !clitic && word.chars().all(char::is_alphabetic);
        }
        text
    }

    /// Reads a vocabulary file.
    ///
    /// # Errors
    /// [`DataError`] naming the file when it cannot be read, has more than 64 MiB, is not JSON of the form above, lacks a
    /// special token or holds a word twice.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, DataError> {
        let path = path.as_ref();
        let bytes = read_limited(path, MAX_FILE_BYTES)?;
        serde_json::from_slice(&bytes).map_err(|e| DataError::json(path, &e))
    }

    /// Writes a vocabulary file; the place holds either the old content or all of the new.
    ///
    /// # Errors
    /// [`DataError::Write`].
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), DataError> {
        let path = path.as_ref();
        let failed = |e| DataError::write(path, e);
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let json = serde_json::to_vec(self).map_err(|e| failed(e.into()))?;
        let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
        file.write_all(&json).and_then(|()| file.as_file().sync_all()).map_err(failed)?;
        file.persist(path).map_err(|e| failed(e.error))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn small() -> Vocabulary {
        Vocabulary::build(["A dog's ball.", "a dog runs", "a cat doesn't run"], 1)
    }

    #[test]
    fn frequent_words_come_first_then_the_alphabet() {
        let words = small().words()[4..].join(" ");
        assert_eq!(words, "a dog 's ball cat does n't run runs");
        assert_eq!(Vocabulary::build(["a dog", "a cat"], 2).words()[4..], ["a"]);
    }

    #[test]
    fn the_rarest_words_go_first() {
        let all = small();
        let short = small().at_most(5);
        assert_eq!(short.words(), &all.words()[..5]);
        assert_eq!(short.id(&all.words()[5]), Vocabulary::UNK);
        assert_eq!(small().at_most(0).len(), 4);
    }

    #[test]
    fn encodes_unknown_words_and_cuts() {
        let vocabulary = small();
        let ids = vocabulary.encode("A zebra's dog runs", 3);
        assert_eq!(ids, [vocabulary.id("a"), Vocabulary::UNK, vocabulary.id("'s")]);
    }

    #[test]
    fn decoding_stops_at_the_end_and_skips_specials() {
        let vocabulary = small();
        let (a, cat, not) = (vocabulary.id("a"), vocabulary.id("cat"), vocabulary.id("n't"));
        let ids = [Vocabulary::BOS, a, Vocabulary::UNK, cat, 9999, Vocabulary::EOS, a, Vocabulary::PAD];
        assert_eq!(vocabulary.decode(&ids), "a cat");
        assert_eq!(vocabulary.decode(&[vocabulary.id("does"), not, not]), "doesn't n't");
    }

    #[test]
    fn files_round_trip_and_bad_ones_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("vocabulary.json");
        small().save(&path).unwrap();
        assert_eq!(Vocabulary::load(&path).unwrap(), small());
        let specials = r#""<pad>", "<bos>", "<eos>", "<unk>""#;
        for (json, expected) in [
            (r#"{"words": ["a"]}"#.to_owned(), "starts with"),
            (format!(r#"{{"words": [{specials}, "a", "b", "a"]}}"#), "words 4 and 6 are both"),
            (format!(r#"{{"words": [{specials}, "a b"]}}"#), "white space"),
            (format!(r#"{{"words": [{specials}"#), "line 1, column"),
        ] {
            std::fs::write(&path, json).unwrap();
            let message = Vocabulary::load(&path).unwrap_err().to_string();
            assert!(message.contains(expected) && message.contains("vocabulary.json"), "{message}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn decoded_sentences_have_the_same_words(
            words in prop::collection::vec("[a-z]{1,5}|n't|'s|'re|[0-9]{1,3}|t-shirt|black/white", 0..12),
        ) {
            let caption = words.join(" ");
            let vocabulary = Vocabulary::build([&caption], 1);
            let ids = vocabulary.encode(&caption, usize::MAX);
            prop_assert!(!ids.contains(&Vocabulary::UNK));
            prop_assert_eq!(tokenize(&vocabulary.decode(&ids)), tokenize(&caption));
        }
    }
}
