//! The counts behind a METEOR score.

use std::ops::AddAssign;

use super::align::Alignment;
use super::data::Lexicon;

/// How much more recall counts than precision.
const ALPHA: f64 = 0.85;
/// How the penalty grows with fragmentation.
const BETA: f64 = 0.2;
/// The largest penalty.
const GAMMA: f64 = 0.6;
/// Weight of a content word; that of a function word is the rest to 1.
const DELTA: f64 = 0.75;

/// What one image, or the sum over many, contributes to METEOR.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct MeteorStats {
    /// Words of the hypothesis.
    pub hyp_len: f64,
    /// Words of the reference.
    pub ref_len: f64,
    /// Words of the hypothesis that take part in a match.
    pub hyp_matched: f64,
    /// Words of the reference that take part in a match.
    pub ref_matched: f64,
    /// Runs of matches that are contiguous and in the same order on both sides; upstream counts none for an image whose
    /// sentences match wholly in one run, alone and in sums.
    pub chunks: f64,
    /// All words of the hypothesis, each by its weight: 0.75 for a content word, 0.25 for a function word.
    pub hyp_weight: f64,
    /// All words of the reference by their weight.
    pub ref_weight: f64,
    /// Matched words of the hypothesis by their weight times that of the stage.
    pub hyp_hits: f64,
    /// Matched words of the reference by their weight times that of the stage.
    pub ref_hits: f64,
}

impl MeteorStats {
    pub(super) fn new(lexicon: &Lexicon, hyp: &[u32], reference: &[u32], alignment: &Alignment) -> Self {
        let weight = |words: &[u32]| {
            let function = words.iter().filter(|w| lexicon.is_function(**w)).count() as f64;
            DELTA * (words.len() as f64 - function) + (1.0 - DELTA) * function
        };
        let mut stats = MeteorStats {
            hyp_len: hyp.len() as f64,
            ref_len: reference.len() as f64,
            chunks: alignment.chunks as f64,
            hyp_weight: weight(hyp),
            ref_weight: weight(reference),
            ..Self::default()
        };
        for m in &alignment.matches {
            stats.hyp_matched += m.hyp_len as f64;
            stats.ref_matched += m.reference_len as f64;
            stats.hyp_hits += m.stage.weight() * weight(&hyp[m.hyp..m.hyp + m.hyp_len]);
            stats.ref_hits +=
                m.stage.weight() * weight(&reference[m.reference..m.reference + m.reference_len]);
        }
        let whole = stats.hyp_matched == stats.hyp_len && stats.ref_matched == stats.ref_len;
        if whole && stats.chunks == 1.0 {
            stats.chunks = 0.0;
        }
        stats
    }

    /// All counts in a fixed order, to be added up.
    pub(crate) fn numbers(&self) -> [f64; 9] {
        let Self {
            hyp_len,
            ref_len,
            hyp_matched,
            ref_matched,
            chunks,
            hyp_weight,
            ref_weight,
            hyp_hits,
            ref_hits,
        } = *self;
        [hyp_len, ref_len, hyp_matched, ref_matched, chunks, hyp_weight, ref_weight, hyp_hits, ref_hits]
    }

    /// The inverse of [`MeteorStats::numbers`].
    pub(crate) fn from_numbers(numbers: [f64; 9]) -> Self {
        let [hyp_len, ref_len, hyp_matched, ref_matched, chunks, hyp_weight, ref_weight, hyp_hits, ref_hits] =
            numbers;
        Self {
            hyp_len,
            ref_len,
            hyp_matched,
            ref_matched,
            chunks,
            hyp_weight,
            ref_weight,
            hyp_hits,
            ref_hits,
        }
    }

    /// The score of these counts, in 0..=1.
    pub fn score(&self) -> f64 {
        if self.hyp_hits == 0.0 || self.ref_hits == 0.0 {
            return 0.0;
        }
        let (precision, recall) = (self.hyp_hits / self.hyp_weight, self.ref_hits / self.ref_weight);
        let mean = precision * recall / (ALPHA * precision + (1.0 - ALPHA) * recall);
        let matched = (self.hyp_matched + self.ref_matched) / 2.0;
        mean * (1.0 - GAMMA * (self.chunks / matched).powf(BETA))
    }
}

impl AddAssign for MeteorStats {
    fn add_assign(&mut self, other: Self) {
        let (left, right) = (self.numbers(), other.numbers());
        *self = Self::from_numbers(std::array::from_fn(|k| left[k] + right[k]));
    }
}
