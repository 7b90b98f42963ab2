//! Words of captions as token ids, whole or cut into pieces.

mod pieces;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use capwright_caption_metrics::{segment, stands_alone, tokenize};
use serde::{Deserialize, Serialize};

use self::pieces::Merges;
use crate::error::read_limited;
use crate::{DataError, Dataset, Split, staging};

/// Names of the special tokens, in the order of their ids.
const SPECIALS: [&str; 4] = ["<pad>", "<bos>", "<eos>", "<unk>"];
/// Most bytes of a vocabulary file.
const MAX_FILE_BYTES: u64 = 64 << 20;

/// Form of the file that also holds merges.
const PIECES_VERSION: u32 = 2;

/// The words that a model can read and say, each with its id; ids 0..4 are special.
///
/// Words are those of [`tokenize`]: lower case, without punctuation, numbers as they are written; each Han character and
/// each kana is a word ([`segment`](segment())). What is not in the vocabulary is [`UNK`](Self::UNK), and so is a word of a
/// caption that is the name of a special token.
///
/// As JSON: `{"words": ["<pad>", "<bos>", "<eos>", "<unk>", "a", ...]}`, the id being the place in the list. A vocabulary of
/// pieces ([`build_pieces`](Self::build_pieces)) adds `"version": 2` and `"merges": [[ID, ID], ...]`, in the order learned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "WordList", try_from = "WordList")]
pub struct Vocabulary {
    words: Vec<String>,
    ids: HashMap<String, u32>,
    /// None for whole words.
    merges: Option<Merges>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WordList {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<u32>,
    words: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    merges: Option<Vec<(u32, u32)>>,
}

impl From<Vocabulary> for WordList {
    fn from(vocabulary: Vocabulary) -> Self {
        let merges = vocabulary.merges.map(|merges| merges.list().to_vec());
        WordList { version: merges.is_some().then_some(PIECES_VERSION), words: vocabulary.words, merges }
    }
}

impl TryFrom<WordList> for Vocabulary {
    type Error = String;

    fn try_from(WordList { version, words, merges }: WordList) -> Result<Self, String> {
        match (version, &merges) {
            (None | Some(1), None) | (Some(PIECES_VERSION), Some(_)) => {}
            (None | Some(1 | PIECES_VERSION), _) => {
                return Err(format!("merges and version {PIECES_VERSION} come together or not at all"));
            }
            (Some(version), _) => {
                return Err(format!("it has version {version}, this program reads up to {PIECES_VERSION}"));
            }
        }
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
        let merges = merges.map(|list| Merges::new(list, &words, &ids)).transpose()?;
        Ok(Vocabulary { words, ids, merges })
    }
}

fn specials() -> Vec<String> {
    SPECIALS.map(str::to_owned).to_vec()
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
        let mut frequent: Vec<(String, u64)> =
            counted(captions, false).into_iter().filter(|&(_, count)| count >= min_count as u64).collect();
        frequent.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let words: Vec<String> =
            specials().into_iter().chain(frequent.into_iter().map(|(word, _)| word)).collect();
        Self::of(words, None)
    }

    /// A vocabulary of pieces of words with at most `size` ids, the four special ones included, learned from the captions
    /// by byte pair encoding (Sennrich et al. 2016).
    ///
    /// Frequent words are one piece, rare ones several; only characters that the captions do not hold are unknown, and
    /// markup such as `<b>`. Where `size` is too small for all characters, the rarest are unknown too. The same captions
    /// give the same pieces.
    pub fn build_pieces<S: AsRef<str>>(captions: impl IntoIterator<Item = S>, size: usize) -> Self {
        let (words, merges) = pieces::learn(&counted(captions, true), specials(), size);
        Self::of(words, Some(merges))
    }

    fn of(words: Vec<String>, merges: Option<Vec<(u32, u32)>>) -> Self {
        let ids: HashMap<String, u32> = words.iter().cloned().zip(0..).collect();
        // Merges that were just learned make what they should.
        let merges = merges.map(|list| Merges::new(list, &words, &ids).unwrap_or_default());
        Vocabulary { words, ids, merges }
    }

    /// [`build_pieces`](Self::build_pieces) from the captions of the train split.
    pub fn pieces_from_dataset(dataset: &Dataset, size: usize) -> Self {
        Self::build_pieces(dataset.records(Split::Train).flat_map(|image| &image.captions), size)
    }

    /// Whether the ids are of pieces rather than of whole words.
    pub fn is_of_pieces(&self) -> bool {
        self.merges.is_some()
    }

    /// [`build`](Self::build) from the captions of the train split; validation and test words play no part.
    pub fn from_dataset(dataset: &Dataset, min_count: usize) -> Self {
        Self::build(dataset.records(Split::Train).flat_map(|image| &image.captions), min_count)
    }

    /// The vocabulary with at most that many ids, the four special ones included: the rarest words go, or the pieces that
    /// were learned last.
    pub fn at_most(mut self, ids: usize) -> Self {
        self.words.truncate(ids.max(SPECIALS.len()));
        let kept = self.words.len() as u32;
        self.ids.retain(|_, id| *id < kept);
        if let Some(merges) = &mut self.merges {
            merges.keep_below(kept);
        }
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

    /// Ids of the first `max_len` words of a caption (or pieces, which may cut the last word), without marks for begin and
    /// end.
    pub fn encode(&self, caption: &str, max_len: usize) -> Vec<u32> {
        let words = known_words(caption, self.is_of_pieces());
        let unknown = Self::UNK;
        match &self.merges {
            None => words.take(max_len).map(|word| word.map_or(unknown, |word| self.id(&word))).collect(),
            Some(merges) => {
                let cut = |word: String| merges.cut(&word, &self.ids, unknown);
                words.flat_map(|word| word.map_or_else(|| vec![unknown], cut)).take(max_len).collect()
            }
        }
    }

    /// The sentence up to the first [`EOS`](Self::EOS); other special and unknown ids are left out.
    ///
    /// Contractions are joined again (`do n't` becomes `don't`) where [`tokenize`] splits them in the same way. No space
    /// stands beside Han characters and kana.
    pub fn decode(&self, ids: &[u32]) -> String {
        let sentence = ids.iter().take_while(|&&id| id != Self::EOS);
        let words = sentence.filter(|&&id| id > Self::UNK).filter_map(|&id| self.word(id));
        let words: Vec<String> = match self.merges {
            None => words.map(str::to_owned).collect(),
            Some(_) => pieces::glue(words),
        };
        let mut text = String::new();
        // The word before, where a contraction may follow it.
        let mut stem: Option<&str> = None;
        for word in &words {
            let clitic = matches!(word.as_str(), "n't" | "'s" | "'re" | "'ve" | "'ll" | "'d" | "'m");
            let alone = text.chars().next_back().is_some_and(stands_alone) || word.starts_with(stands_alone);
            let joined =
                text.is_empty() || alone || (clitic && stem.is_some_and(|stem| contracts(stem, word)));
            if !joined {
                text.push(' ');
            }
            text.push_str(word);
            stem = (!clitic && word.chars().all(char::is_alphabetic)).then_some(word);
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
        let json = serde_json::to_vec(self).map_err(|e| DataError::write(path, e.into()))?;
        staging::replace(path, &json)
    }
}

/// The words of a caption.
pub(crate) fn words_of(caption: &str) -> Vec<String> {
    tokenize(&segment(caption))
}

/// The words of a caption; `None` for one that no vocabulary lists.
fn known_words(caption: &str, in_pieces: bool) -> impl Iterator<Item = Option<String>> {
    // The tokenizer leaves tags whole, so that a caption can hold the very name of a special token.
    let unknown = move |word: &str| SPECIALS.contains(&word) || (in_pieces && pieces::is_markup(word));
    words_of(caption).into_iter().map(move |word| (!unknown(&word)).then_some(word))
}

/// How often each word comes.
fn counted<S: AsRef<str>>(captions: impl IntoIterator<Item = S>, in_pieces: bool) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for caption in captions {
        for word in known_words(caption.as_ref(), in_pieces).flatten() {
            *counts.entry(word).or_default() += 1;
        }
    }
    counts
}

/// Whether both words come back when they are written as one.
fn contracts(stem: &str, clitic: &str) -> bool {
    tokenize(&format!("{stem}{clitic}")) == [stem, clitic]
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
        assert!(std::fs::read_to_string(&path).unwrap().starts_with(r#"{"words":["#));
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

    #[test]
    fn names_of_special_tokens_are_unknown_words() {
        let captions = ["a <unk> dog <EOS>", "a <pad> dog <bos>"];
        for vocabulary in [Vocabulary::build(captions, 1), Vocabulary::build_pieces(captions, 60)] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("vocabulary.json");
            vocabulary.save(&path).unwrap();
            assert_eq!(Vocabulary::load(&path).unwrap(), vocabulary);
            let ids = vocabulary.encode("<EOS> a <unk> dog", 99);
            assert_eq!(ids[..3], [Vocabulary::UNK, vocabulary.id("a"), Vocabulary::UNK]);
            assert_eq!(vocabulary.decode(&ids), "a dog");
        }
    }

    #[test]
    fn other_tags_are_whole_words() {
        let vocabulary = Vocabulary::build(["a <b>dog</b> >> a cat"], 1);
        let ids = vocabulary.encode("a <b>dog</b> >> a cat", 99);
        assert!(!ids.contains(&Vocabulary::UNK));
        assert_eq!(vocabulary.decode(&ids), "a <b> dog </b> >> a cat");
    }

    /// Sentences in Chinese: who, does what, where.
    fn chinese() -> Vec<String> {
        let who = ["一只黑狗", "两个孩子", "一位老人", "几名骑手", "一只白猫"];
        let what = ["在奔跑", "坐着休息", "看着镜头", "追一个红球"];
        let place = ["海边。", "公园的草地上，", "街上！"];
        let sentences = who.iter().flat_map(|who| what.iter().map(move |what| format!("{who}{what}")));
        sentences.flat_map(|s| place.iter().map(move |place| format!("{place}{s}"))).collect()
    }

    #[test]
    fn chinese_is_cut_into_characters_and_written_without_spaces() {
        let captions = chinese();
        assert_eq!(captions.len(), 60);
        for vocabulary in [Vocabulary::build(&captions, 1), Vocabulary::build_pieces(&captions, 200)] {
            assert!(
                vocabulary.words()[4..].iter().all(|w| w.chars().count() == 1),
                "{:?}",
                vocabulary.words()
            );
            for caption in &captions {
                let ids = vocabulary.encode(caption, usize::MAX);
                assert!(!ids.contains(&Vocabulary::UNK), "{caption}");
                assert_eq!(vocabulary.decode(&ids), caption.replace(['。', '，', '！'], ""));
            }
            assert_eq!(vocabulary.encode("龙", 9), [Vocabulary::UNK]);
        }
        let mixed = Vocabulary::build(["穿T恤的2个人", "a dog"], 1);
        assert_eq!(mixed.decode(&mixed.encode("穿T恤的2个人", 99)), "穿t恤的2个人");
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
