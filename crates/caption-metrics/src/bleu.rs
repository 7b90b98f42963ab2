//! Corpus BLEU as the COCO caption evaluation computes it.
//!
//! Source of the formula and its constants: pycocoevalcap 1.2, `bleu/bleu_scorer.py`, `compute_score(option="closest")`;
//! the measure itself: Papineni et al. 2002, "BLEU: a method for automatic evaluation of machine translation".

use std::collections::HashMap;

use thiserror::Error;

/// Longest n-gram that is counted.
const MAX_N: usize = 4;
/// Upstream's `small`: keeps denominators away from zero.
const SMALL: f64 = 1e-9;
/// Upstream's `tiny`: keeps numerators away from zero.
const TINY: f64 = 1e-15;

/// Corpus BLEU with the counts it was computed from.
#[derive(Debug, Clone, PartialEq)]
pub struct Bleu {
    /// BLEU-1, BLEU-2, BLEU-3, BLEU-4, each in 0..=1 (multiply by 100 for the tables of papers).
    pub scores: [f64; MAX_N],
    /// Clipped n-gram matches over the corpus, for n = 1..=4.
    pub matches: [u64; MAX_N],
    /// n-grams in all hypotheses, for n = 1..=4.
    pub guesses: [u64; MAX_N],
    /// Words in all hypotheses.
    pub hyp_len: u64,
    /// Sum over images of the length of the reference closest in length (the shorter one on a tie).
    pub ref_len: u64,
    /// The factor in 0..=1 by which too short hypotheses were punished (1 = not punished).
    pub brevity_penalty: f64,
}

/// Why no BLEU can be computed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BleuError {
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
    #[error("no captions to score: BLEU of an empty corpus is undefined")]
    EmptyCorpus,
    /// An image has nothing to be compared with.
    #[error(
        "image number {image} (counted from 0) has no reference caption: leave it out or add a reference"
    )]
    NoReferences {
        /// Position of the image in both lists, from 0.
        image: usize,
    },
}

/// Corpus BLEU-1..4 of tokenised hypotheses, one for each image, against any number of references for each image.
///
/// `hyps[i]` and each element of `refs[i]` are lists of words, e.g. `Vec<String>` or `Vec<&str>`. Words are compared
/// as they are; see [`tokenize`](crate::tokenize). An empty hypothesis is allowed and counts as zero words.
///
/// ```
/// let hyps = vec![vec!["a", "dog", "runs", "fast"]];
/// let refs = vec![vec![vec!["a", "dog", "runs", "fast"], vec!["one", "dog"]]];
/// let bleu = capwright_caption_metrics::bleu(&hyps, &refs).unwrap();
/// assert!((bleu.scores[3] - 1.0).abs() < 1e-8);
/// ```
///
/// # Errors
/// [`BleuError`] when the sides differ in length, are empty, or an image has no reference.
pub fn bleu<W, S, R>(hyps: &[S], refs: &[R]) -> Result<Bleu, BleuError>
where
    W: AsRef<str>,
    S: AsRef<[W]>,
    R: AsRef<[S]>,
{
    if hyps.len() != refs.len() {
        return Err(BleuError::LengthMismatch { hyps: hyps.len(), refs: refs.len() });
    }
    if hyps.is_empty() {
        return Err(BleuError::EmptyCorpus);
    }
    let mut words = Interner::default();
    let mut totals = Totals::default();
    for (image, (hyp, references)) in hyps.iter().zip(refs).enumerate() {
        let hyp = words.ids(hyp.as_ref());
        let references: Vec<Vec<u32>> = references.as_ref().iter().map(|r| words.ids(r.as_ref())).collect();
        totals.add(&hyp, &references).ok_or(BleuError::NoReferences { image })?;
    }
    Ok(totals.finish())
}

/// [`bleu`] of plain sentences: both sides go through [`tokenize`](crate::tokenize) first.
///
/// # Errors
/// As [`bleu`].
pub fn bleu_of_captions<S, R>(hyps: &[S], refs: &[R]) -> Result<Bleu, BleuError>
where
    S: AsRef<str>,
    R: AsRef<[S]>,
{
    let words = |s: &S| crate::tokenize(s.as_ref());
    let hyps: Vec<Vec<String>> = hyps.iter().map(words).collect();
    let refs: Vec<Vec<Vec<String>>> = refs.iter().map(|r| r.as_ref().iter().map(words).collect()).collect();
    bleu(&hyps, &refs)
}

/// Gives each distinct word a small number, so that n-grams compare as integers.
#[derive(Default)]
struct Interner<'a> {
    ids: HashMap<&'a str, u32>,
}

impl<'a> Interner<'a> {
    fn ids<W: AsRef<str>>(&mut self, words: &'a [W]) -> Vec<u32> {
        let mut id = |word: &'a W| {
            let next = self.ids.len() as u32;
            *self.ids.entry(word.as_ref()).or_insert(next)
        };
        words.iter().map(&mut id).collect()
    }
}

#[derive(Default)]
struct Totals {
    matches: [u64; MAX_N],
    guesses: [u64; MAX_N],
    hyp_len: u64,
    ref_len: u64,
}

impl Totals {
    /// Adds one image; `None` when it has no reference.
    fn add(&mut self, hyp: &[u32], references: &[Vec<u32>]) -> Option<()> {
        let closest = references.iter().map(|r| (r.len().abs_diff(hyp.len()), r.len())).min()?.1;
        self.hyp_len += hyp.len() as u64;
        self.ref_len += closest as u64;
        for n in 1..=MAX_N {
            self.guesses[n - 1] += (hyp.len() + 1).saturating_sub(n) as u64;
            self.matches[n - 1] += clipped_matches(hyp, references, n);
        }
        Some(())
    }

    fn finish(self) -> Bleu {
        let ratio = (self.hyp_len as f64 + TINY) / (self.ref_len as f64 + SMALL);
        let brevity_penalty = if ratio < 1.0 { (1.0 - 1.0 / ratio).exp() } else { 1.0 };
        let mut product = 1.0;
        let mut scores = [0.0; MAX_N];
        for (k, score) in scores.iter_mut().enumerate() {
            product *= (self.matches[k] as f64 + TINY) / (self.guesses[k] as f64 + SMALL);
            *score = product.powf(1.0 / (k + 1) as f64) * brevity_penalty;
        }
        let Totals { matches, guesses, hyp_len, ref_len } = self;
        Bleu { scores, matches, guesses, hyp_len, ref_len, brevity_penalty }
    }
}

/// n-grams of the hypothesis found in a reference, each at most as often as in the reference that has it most often.
fn clipped_matches(hyp: &[u32], references: &[Vec<u32>], n: usize) -> u64 {
    let mut grams: Vec<&[u32]> = hyp.windows(n).collect();
    grams.sort_unstable();
    // Distinct n-grams in order; for each: count in the hypothesis, in the current reference, and the best so far.
    let mut distinct: Vec<(&[u32], [u64; 3])> = Vec::with_capacity(grams.len());
    for gram in grams {
        match distinct.last_mut() {
            Some((last, counts)) if *last == gram => counts[0] += 1,
            _ => distinct.push((gram, [1, 0, 0])),
        }
    }
    for reference in references {
        for gram in reference.windows(n) {
            if let Ok(at) = distinct.binary_search_by(|(g, _)| (*g).cmp(gram)) {
                distinct[at].1[1] += 1;
            }
        }
        for (_, counts) in &mut distinct {
            counts[2] = counts[2].max(counts[1]);
            counts[1] = 0;
        }
    }
    distinct.iter().map(|(_, [in_hyp, _, most])| in_hyp.min(most)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<&str> {
        text.split_whitespace().collect()
    }

    #[test]
    fn clips_repeated_words_at_the_best_reference() {
        // The example of the BLEU paper: seven times "the", of which a reference has at most two.
        let hyps = vec![words("the the the the the the the")];
        let refs = vec![vec![words("the cat is on the mat"), words("there is a cat on the mat")]];
        let bleu = bleu(&hyps, &refs).unwrap();
        assert_eq!(bleu.matches, [2, 0, 0, 0]);
        assert_eq!(bleu.guesses, [7, 6, 5, 4]);
        assert!((bleu.scores[0] - 2.0 / 7.0).abs() < 1e-9);
    }

    #[test]
    fn a_tie_in_length_takes_the_shorter_reference() {
        let refs = vec![vec![words("a b c d e f"), words("a b")]];
        assert_eq!(bleu(&[words("a b c d")], &refs).unwrap().ref_len, 2);
    }

    #[test]
    fn short_hypotheses_are_punished() {
        let bleu = bleu(&[words("a b")], &[vec![words("a b c d")]]).unwrap();
        assert!((bleu.brevity_penalty - (-1.0f64).exp()).abs() < 1e-8);
        assert!((bleu.scores[0] - bleu.brevity_penalty).abs() < 1e-8);
    }

    #[test]
    fn empty_hypotheses_score_zero_and_are_finite() {
        let bleu = bleu(&[words("")], &[vec![words("a b")]]).unwrap();
        assert_eq!(bleu.scores, [0.0; 4]);
    }

    #[test]
    fn bad_shapes_are_errors() {
        let none: Vec<Vec<Vec<&str>>> = vec![];
        assert_eq!(bleu(&[words("a")], &none), Err(BleuError::LengthMismatch { hyps: 1, refs: 0 }));
        assert_eq!(bleu::<&str, Vec<&str>, Vec<_>>(&[], &none), Err(BleuError::EmptyCorpus));
        let refs = vec![vec![words("a")], vec![]];
        assert_eq!(bleu(&[words("a"), words("b")], &refs), Err(BleuError::NoReferences { image: 1 }));
    }

    #[test]
    fn plain_sentences_are_tokenised_on_both_sides() {
        let bleu = bleu_of_captions(&["A dog, running!"], &[vec!["a dog running ."]]).unwrap();
        assert_eq!((bleu.matches[2], bleu.hyp_len), (1, 3));
    }
}
