//! What METEOR knows about words.

use std::collections::BTreeMap;

use rayon::prelude::*;
use rust_stemmers::{Algorithm, Stemmer};
use rustc_hash::{FxHashMap, FxHashSet};

use super::Stage;
use super::align::Match;
use crate::words::Interner;

/// English words that make up more than one in a thousand words of running text, METEOR's rule for function words.
///
/// Counted by the frequencies of the Python package wordfreq 3.1 (`large`), words of letters only, and the Penn
/// Treebank's `'s` and `n't`. Upstream's list was counted in news text; it lacks words of speech (`me`, `your`,
/// `like`) and has punctuation, which captions lose before they come here.
const FUNCTION_WORDS: &str = "a about after all also an and any are as at back be because been but by can could do first \
    for from get go good had has have he her him his how i if in into is it its just know like make me more my new no \
    not now of on one only or other our out over people said see she so some than that the their them then there these \
    they think this time to two up us want was way we well were what when which who will with would you your 's n't";

/// The word lists of METEOR. What is empty runs without its stage.
///
/// The default has function words and neither synonyms nor paraphrases. For upstream's own figures, fill it from
/// upstream's files:
/// `function/english.words` and `synonym/` inside `meteor-1.5.jar`, `data/paraphrase-en.gz` beside it.
#[derive(Debug, Clone, PartialEq)]
pub struct MeteorData {
    /// Frequent words, which count a third of others.
    pub function_words: Vec<String>,
    /// For a word, the numbers of the sets of synonyms that it belongs to; two words match when they share one.
    /// Inflected forms need entries of their own.
    pub synonyms: BTreeMap<String, Vec<u32>>,
    /// Pairs of phrases, words separated by spaces, that match each other in both directions.
    pub paraphrases: Vec<(String, String)>,
}

impl Default for MeteorData {
    fn default() -> Self {
        Self {
            function_words: FUNCTION_WORDS.split_whitespace().map(str::to_owned).collect(),
            synonyms: BTreeMap::new(),
            paraphrases: Vec::new(),
        }
    }
}

impl MeteorData {
    /// The name of the score: it says which stages have data.
    pub fn name(&self) -> &'static str {
        match (self.synonyms.is_empty(), self.paraphrases.is_empty()) {
            (true, true) => "meteor_exact_stem",
            (false, true) => "meteor_exact_stem_synonym",
            (true, false) => "meteor_exact_stem_paraphrase",
            (false, false) => "meteor",
        }
    }
}

/// [`MeteorData`] for the words of one interner, by their numbers.
#[derive(Debug, Clone)]
pub(super) struct Lexicon {
    /// Equal numbers for equal stems.
    stems: Vec<u32>,
    function: Vec<bool>,
    /// Sorted numbers of the sets of synonyms; empty where there are none at all.
    synonyms: Vec<Vec<u32>>,
    /// From a phrase to those that it matches.
    paraphrases: FxHashMap<Box<[u32]>, Vec<Box<[u32]>>>,
    longest_phrase: usize,
}

impl Lexicon {
    pub fn new(data: &MeteorData, words: &Interner) -> Self {
        let all: Vec<&str> = words.words().collect();
        let stemmer = Stemmer::create(Algorithm::English);
        let stemmed: Vec<_> = all.par_iter().with_min_len(256).map(|word| stemmer.stem(word)).collect();
        let mut stems = Interner::default();
        let function: FxHashSet<&str> = data.function_words.iter().map(String::as_str).collect();
        let sets = |word: &&str| {
            let mut sets = data.synonyms.get(*word).cloned().unwrap_or_default();
            sets.sort_unstable();
            sets
        };
        let mut new = Self {
            stems: stemmed.iter().map(|stem| stems.id(stem)).collect(),
            function: all.iter().map(|word| function.contains(word)).collect(),
            synonyms: if data.synonyms.is_empty() { Vec::new() } else { all.iter().map(sets).collect() },
            paraphrases: FxHashMap::default(),
            longest_phrase: 0,
        };
        let ids: FxHashMap<&str, u32> = all.iter().copied().zip(0..).collect();
        // A phrase with a word that no caption has can match nothing.
        let phrase = |text: &str| {
            text.split_whitespace().map(|word| ids.get(word).copied()).collect::<Option<Box<[u32]>>>()
        };
        for (left, right) in &data.paraphrases {
            if let (Some(left), Some(right)) = (phrase(left), phrase(right)) {
                new.add_paraphrase(left.clone(), right.clone());
                new.add_paraphrase(right, left);
            }
        }
        new
    }

    fn add_paraphrase(&mut self, from: Box<[u32]>, to: Box<[u32]>) {
        if from.is_empty() || to.is_empty() || from == to {
            return;
        }
        self.longest_phrase = self.longest_phrase.max(from.len());
        let known = self.paraphrases.entry(from).or_default();
        if !known.contains(&to) {
            known.push(to);
        }
    }

    pub fn is_function(&self, word: u32) -> bool {
        self.function.get(word as usize).copied().unwrap_or(false)
    }

    /// Everything that may match, sorted by its place in the reference, then stage, then place in the hypothesis.
    pub fn candidates(&self, hyp: &[u32], reference: &[u32], found: &mut Vec<Match>) {
        for (j, right) in reference.iter().enumerate() {
            for (i, left) in hyp.iter().enumerate() {
                let single = |stage| Match { stage, hyp: i, hyp_len: 1, reference: j, reference_len: 1 };
                if left == right {
                    found.push(single(Stage::Exact));
                    continue;
                }
                if self.same_stem(*left, *right) {
                    found.push(single(Stage::Stem));
                }
                if self.are_synonyms(*left, *right) {
                    found.push(single(Stage::Synonym));
                }
            }
        }
        self.paraphrased(hyp, reference, found);
        if !self.synonyms.is_empty() || !self.paraphrases.is_empty() {
            found.sort_by_key(|m| (m.reference, m.stage as u8));
        }
    }

    fn same_stem(&self, left: u32, right: u32) -> bool {
        let stem = |word: u32| self.stems.get(word as usize);
        stem(left).is_some_and(|left| stem(right) == Some(left))
    }

    fn are_synonyms(&self, left: u32, right: u32) -> bool {
        let sets = |word: u32| self.synonyms.get(word as usize).map_or(&[][..], Vec::as_slice);
        let right = sets(right);
        sets(left).iter().any(|set| right.binary_search(set).is_ok())
    }

    fn paraphrased(&self, hyp: &[u32], reference: &[u32], found: &mut Vec<Match>) {
        for i in 0..hyp.len() {
            for hyp_len in 1..=self.longest_phrase.min(hyp.len() - i) {
                for other in self.paraphrases.get(&hyp[i..i + hyp_len]).into_iter().flatten() {
                    let places =
                        reference.windows(other.len()).enumerate().filter(|(_, at)| *at == &other[..]);
                    found.extend(places.map(|(j, _)| Match {
                        stage: Stage::Paraphrase,
                        hyp: i,
                        hyp_len,
                        reference: j,
                        reference_len: other.len(),
                    }));
                }
            }
        }
    }
}
