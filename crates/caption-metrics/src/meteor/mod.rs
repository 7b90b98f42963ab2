//! METEOR 1.5: words of hypothesis and reference are aligned, exactly or by stem, synonym and paraphrase.
//!
//! The measure: Denkowski and Lavie 2014, "Meteor Universal: language specific translation evaluation for any target
//! language", with the aligner of their 2011 paper (Meteor 1.3). Upstream: `meteor-1.5.jar`, which pycocoevalcap 1.2
//! runs as `-l en -norm`. With English parameters α = 0.85, β = 0.2, γ = 0.6, δ = 0.75 and stage weights `w` of
//! 1 (exact), 0.6 (stem), 0.8 (synonym) and 0.6 (paraphrase):
//!
//! - matched content and function words count δ and 1 - δ times their stage's weight:
//!   `P = Σ w (δ content + (1-δ) function) / (δ content words + (1-δ) function words)` over the hypothesis, `R` over
//!   the reference;
//! - `F = P R / (α P + (1-α) R)`;
//! - `chunks` runs of matches are contiguous on both sides; with `m` the mean of matched words of both sides the
//!   penalty is `γ (chunks / m)^β`, and 0 where two sentences match wholly in one chunk;
//! - score `F (1 - penalty)`, in 0..=1. Of several references the best scoring counts. A corpus is scored from the sums
//!   of all these counts over images, not by a mean of scores.
//!
//! # Stages
//! Exact and stem (Snowball's English stemmer) always run. Synonyms and paraphrases run where [`MeteorData`] has
//! tables, because the paraphrase table (62 MB packed) has no clear licence and is not shipped. Without both tables
//! the score is not METEOR, and [`Meteor::name`] says so: `meteor_exact_stem`.
//!
//! # Agreement with upstream
//! With the same stages and word lists, and plain words without `-norm`: 300 drawn images and four of five COCO
//! val2017 cases of 5,000 images are equal to 1e-9; the fifth, with words doubled and dropped, differs by 2.3e-5 (see
//! `align.rs`). Exact and stem with the own list of function words against the full jar with `-norm`, on the same
//! five cases: the corpus score is 0.004 to 0.014 lower, because fewer words match (human captions 0.229 against
//! 0.242), and Spearman's rank correlation over images is 0.94 to 0.99, 0.80 for captions of wrong images. With
//! upstream's list of function words the score changes by 0.0004 at most.
//!
//! What is not here is upstream's `-norm`, which splits raw text into words: words come from
//! [`tokenize`](crate::tokenize).

mod align;
mod data;
mod stats;

pub use data::MeteorData;
pub use stats::MeteorStats;

use align::{Match, align};
use data::Lexicon;

use crate::words::Interner;

/// What makes two pieces of text match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Exact,
    Stem,
    Synonym,
    Paraphrase,
}

impl Stage {
    fn weight(self) -> f64 {
        match self {
            Stage::Exact => 1.0,
            Stage::Stem | Stage::Paraphrase => 0.6,
            Stage::Synonym => 0.8,
        }
    }
}

/// The measure, ready for the words of one [`Interner`].
///
/// ```
/// use capwright_caption_metrics::{Interner, Meteor, MeteorData};
/// let mut words = Interner::default();
/// let hyp = words.ids(&["a", "dog", "runs"]);
/// let refs = [words.ids(&["a", "dog", "running"]), words.ids(&["two", "cats"])];
/// let meteor = Meteor::new(&MeteorData::default(), &words);
/// assert_eq!(meteor.name(), "meteor_exact_stem");
/// let score = meteor.stats(&hyp, &refs).score();
/// assert!(score > 0.8 && score < 0.9);
/// ```
#[derive(Debug, Clone)]
pub struct Meteor {
    lexicon: Lexicon,
    name: &'static str,
}

impl Meteor {
    /// Looks up stems, synonyms and paraphrases of all words that the interner knows now; words that it learns later
    /// match exactly only.
    pub fn new(data: &MeteorData, words: &Interner) -> Self {
        Self { lexicon: Lexicon::new(data, words), name: data.name() }
    }

    /// The name under which the score must be shown: `meteor` only when all four stages have data.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Counts of one hypothesis against the reference that it scores best with (the first on a tie); all zero where
    /// there are no references.
    pub fn stats<S: AsRef<[u32]>>(&self, hyp: &[u32], references: &[S]) -> MeteorStats {
        let mut best: Option<(f64, MeteorStats)> = None;
        let mut candidates = Vec::new();
        for reference in references {
            let stats = self.against(hyp, reference.as_ref(), &mut candidates);
            let score = stats.score();
            if best.is_none_or(|(most, _)| score > most) {
                best = Some((score, stats));
            }
        }
        best.unwrap_or_default().1
    }

    fn against(&self, hyp: &[u32], reference: &[u32], candidates: &mut Vec<Match>) -> MeteorStats {
        candidates.clear();
        self.lexicon.candidates(hyp, reference, candidates);
        let alignment = align(hyp.len(), reference.len(), candidates);
        MeteorStats::new(&self.lexicon, hyp, reference, &alignment)
    }
}
