//! Why captions cannot be scored.

use thiserror::Error;

use crate::bootstrap::MAX_DRAWS;

/// Why no score can be computed. Each metric of a corpus has the same demands, so they share this type.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MetricError {
    /// The two sides do not describe the same images.
    #[error(
        "{hyps} hypotheses but references for {refs} images: give exactly one hypothesis and one list of references for each image, in the same order"
    )]
    LengthMismatch {
        /// Number of hypotheses.
        hyps: usize,
        /// Number of reference lists.
        refs: usize,
    },
    /// There is nothing to score.
    #[error("no captions to score: a metric of an empty corpus is undefined")]
    EmptyCorpus,
    /// Images that have nothing to be compared with.
    #[error(
        "{count} of the images have no reference caption, the first is number {first} (counted from 0): leave them out or add references"
    )]
    NoReferences {
        /// Position of the first such image in both lists, from 0.
        first: usize,
        /// How many such images there are.
        count: usize,
    },
    /// Two models to be compared were not scored on the same images.
    #[error(
        "{left} images on one side and {right} on the other: a paired test compares two models on the same images, in the same order"
    )]
    Unpaired {
        /// Images of the first model.
        left: usize,
        /// Images of the second model.
        right: usize,
    },
    /// More draws than a bootstrap keeps in memory.
    #[error("{draws} draws: intervals come from at most {MAX_DRAWS}, and hardly change after some thousands")]
    TooManyDraws {
        /// Draws that were asked for.
        draws: usize,
    },
    /// Document frequencies that were read back do not describe n-grams.
    #[error(
        "document frequencies are damaged at entry {entry}: {problem}; build them again from the references"
    )]
    DamagedFrequencies {
        /// Position in the stored lists, from 0.
        entry: usize,
        /// What is wrong there.
        problem: &'static str,
    },
}

/// Checks what every corpus metric demands: as many hypotheses as lists of references, at least one of each, and no
/// list that is empty.
pub(crate) fn check_corpus<S, R: AsRef<[S]>>(hyps: usize, refs: &[R]) -> Result<(), MetricError> {
    if hyps != refs.len() {
        return Err(MetricError::LengthMismatch { hyps, refs: refs.len() });
    }
    check_references(refs)
}

/// As [`check_corpus`], for references alone.
pub(crate) fn check_references<S, R: AsRef<[S]>>(refs: &[R]) -> Result<(), MetricError> {
    if refs.is_empty() {
        return Err(MetricError::EmptyCorpus);
    }
    let mut without = refs.iter().enumerate().filter(|(_, r)| r.as_ref().is_empty()).map(|(image, _)| image);
    match without.next() {
        Some(first) => Err(MetricError::NoReferences { first, count: 1 + without.count() }),
        None => Ok(()),
    }
}
