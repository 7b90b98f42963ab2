//! Corpus BLEU as the COCO caption evaluation computes it.
//!
//! Source of the formula and its constants: pycocoevalcap 1.2, `bleu/bleu_scorer.py`,
//! `compute_score(option="closest")`; the measure itself: Papineni et al. 2002, "BLEU: a method for automatic
//! evaluation of machine translation".

use std::ops::{AddAssign, SubAssign};

use crate::error::{MetricError, check_corpus};
use crate::words::Interner;

/// Longest n-gram that is counted.
const MAX_N: usize = 4;
/// Upstream's `small`: keeps denominators away from zero.
const SMALL: f64 = 1e-9;
/// Upstream's `tiny`: keeps numerators away from zero.
const TINY: f64 = 1e-15;

/// What one image, or the sum over many, contributes to corpus BLEU.
///
/// Corpus BLEU is a function of sums, so these are kept for each image and added up: over all images for the score,
/// over drawn images for an interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BleuStats {
    /// Clipped n-gram matches, for n = 1..=4.
    pub matches: [u64; MAX_N],
    /// n-grams of the hypothesis, for n = 1..=4.
    pub guesses: [u64; MAX_N],
    /// Words of the hypothesis.
    pub hyp_len: u64,
    /// Length of the reference closest in length (the shorter one on a tie); 0 where there is none.
    pub ref_len: u64,
}

impl BleuStats {
    /// Counts one hypothesis against its references. Words are anything that can be ordered: strings or token ids.
    pub fn new<W: Ord, S: AsRef<[W]>>(hyp: &[W], references: &[S]) -> Self {
        let lengths = references.iter().map(|r| r.as_ref().len());
        let closest = lengths.map(|length| (length.abs_diff(hyp.len()), length)).min().unwrap_or_default().1;
        let n_grams = |n: usize| (hyp.len() + 1).saturating_sub(n) as u64;
        BleuStats {
            matches: [1, 2, 3, 4].map(|n| clipped_matches(hyp, references, n)),
            guesses: [1, 2, 3, 4].map(n_grams),
            hyp_len: hyp.len() as u64,
            ref_len: closest as u64,
        }
    }

    /// The factor in 0..=1 by which too short hypotheses are punished (1 = not punished).
    pub fn brevity_penalty(&self) -> f64 {
        let ratio = (self.hyp_len as f64 + TINY) / (self.ref_len as f64 + SMALL);
        if ratio < 1.0 { (1.0 - 1.0 / ratio).exp() } else { 1.0 }
    }

    /// BLEU-1, BLEU-2, BLEU-3, BLEU-4 of these counts, each in 0..=1.
    pub fn scores(&self) -> [f64; MAX_N] {
        let brevity_penalty = self.brevity_penalty();
        let mut product = 1.0;
        std::array::from_fn(|k| {
            product *= (self.matches[k] as f64 + TINY) / (self.guesses[k] as f64 + SMALL);
            product.powf(1.0 / (k + 1) as f64) * brevity_penalty
        })
    }
}

impl AddAssign for BleuStats {
    fn add_assign(&mut self, other: Self) {
        for n in 0..MAX_N {
            self.matches[n] += other.matches[n];
            self.guesses[n] += other.guesses[n];
        }
        self.hyp_len += other.hyp_len;
        self.ref_len += other.ref_len;
    }
}

impl SubAssign for BleuStats {
    /// Takes an image out of the sum that holds it.
    fn sub_assign(&mut self, other: Self) {
        for n in 0..MAX_N {
            self.matches[n] -= other.matches[n];
            self.guesses[n] -= other.guesses[n];
        }
        self.hyp_len -= other.hyp_len;
        self.ref_len -= other.ref_len;
    }
}

/// What each image adds to corpus BLEU-4: the jackknife's pseudo-values `n · score - (n - 1) · score without the image` (Tukey
/// 1958), moved so that their mean is the score. Their variance over `n` is the variance of the score.
///
/// So scores that are no means can be compared image by image like those that are.
pub fn bleu4_by_image(images: &[BleuStats]) -> Vec<f64> {
    let mut sum = BleuStats::default();
    images.iter().for_each(|image| sum += *image);
    let (n, whole) = (images.len() as f64, sum.scores()[MAX_N - 1]);
    let without = |image: &BleuStats| {
        let mut rest = sum;
        rest -= *image;
        rest.scores()[MAX_N - 1]
    };
    let values: Vec<f64> = images.iter().map(|image| n * whole - (n - 1.0) * without(image)).collect();
    let bias = values.iter().sum::<f64>() / n - whole;
    values.into_iter().map(|value| value - bias).collect()
}

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
/// [`MetricError`] when the sides differ in length, are empty, or an image has no reference.
pub fn bleu<W, S, R>(hyps: &[S], refs: &[R]) -> Result<Bleu, MetricError>
where
    W: AsRef<str>,
    S: AsRef<[W]>,
    R: AsRef<[S]>,
{
    check_corpus(hyps.len(), refs)?;
    let mut words = Interner::default();
    let mut sum = BleuStats::default();
    for (hyp, references) in hyps.iter().zip(refs) {
        let hyp = words.ids(hyp.as_ref());
        let references: Vec<Vec<u32>> = references.as_ref().iter().map(|r| words.ids(r.as_ref())).collect();
        sum += BleuStats::new(&hyp, &references);
    }
    let (scores, brevity_penalty) = (sum.scores(), sum.brevity_penalty());
    let BleuStats { matches, guesses, hyp_len, ref_len } = sum;
    Ok(Bleu { scores, matches, guesses, hyp_len, ref_len, brevity_penalty })
}

/// [`bleu`] of plain sentences: both sides go through [`tokenize`](crate::tokenize) first.
///
/// # Errors
/// As [`bleu`].
pub fn bleu_of_captions<S, R>(hyps: &[S], refs: &[R]) -> Result<Bleu, MetricError>
where
    S: AsRef<str>,
    R: AsRef<[S]>,
{
    let words = |s: &S| crate::tokenize(s.as_ref());
    let hyps: Vec<Vec<String>> = hyps.iter().map(words).collect();
    let refs: Vec<Vec<Vec<String>>> = refs.iter().map(|r| r.as_ref().iter().map(words).collect()).collect();
    bleu(&hyps, &refs)
}

/// n-grams of the hypothesis found in a reference, each at most as often as in the reference that has it most often.
pub(crate) fn clipped_matches<W: Ord, S: AsRef<[W]>>(hyp: &[W], references: &[S], n: usize) -> u64 {
    let mut grams: Vec<&[W]> = hyp.windows(n).collect();
    grams.sort_unstable();
    // Distinct n-grams in order; for each: count in the hypothesis, in the current reference, and the best so far.
    let mut distinct: Vec<(&[W], [u64; 3])> = Vec::with_capacity(grams.len());
    for gram in grams {
        match distinct.last_mut() {
            Some((last, counts)) if *last == gram => counts[0] += 1,
            _ => distinct.push((gram, [1, 0, 0])),
        }
    }
    for reference in references {
        for gram in reference.as_ref().windows(n) {
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
    use rand::{Rng, SeedableRng};

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

    /// The variance of the jackknife against that of the bootstrap, on images whose captions share a drawn number of words.
    #[test]
    fn what_images_add_has_the_mean_and_the_noise_of_the_score() {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(3);
        let reference: Vec<u32> = (0..12).collect();
        let images: Vec<BleuStats> = (0..400)
            .map(|_| {
                let right = rng.random_range(3..10u32);
                let hyp: Vec<u32> = (0..10).map(|i| if i < right { i } else { 100 + i }).collect();
                BleuStats::new(&hyp, &[reference.as_slice()])
            })
            .collect();
        let mut sum = BleuStats::default();
        images.iter().for_each(|image| sum += *image);
        let values = bleu4_by_image(&images);
        let mean = values.iter().sum::<f64>() / 400.0;
        assert!((mean - sum.scores()[3]).abs() < 1e-12);
        let noise = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 399.0 / 400.0).sqrt();
        let draws: Vec<f64> = (0..4_000)
            .map(|_| {
                let mut sum = BleuStats::default();
                (0..400).for_each(|_| sum += images[rng.random_range(0..400)]);
                sum.scores()[3]
            })
            .collect();
        let centre = draws.iter().sum::<f64>() / 4_000.0;
        let wanted = (draws.iter().map(|d| (d - centre).powi(2)).sum::<f64>() / 3_999.0).sqrt();
        assert!((noise / wanted - 1.0).abs() < 0.05, "{noise} {wanted}");
    }

    #[test]
    fn empty_hypotheses_score_zero_and_are_finite() {
        let bleu = bleu(&[words("")], &[vec![words("a b")]]).unwrap();
        assert_eq!(bleu.scores, [0.0; 4]);
    }

    #[test]
    fn bad_shapes_are_errors() {
        let none: Vec<Vec<Vec<&str>>> = vec![];
        assert_eq!(bleu(&[words("a")], &none), Err(MetricError::LengthMismatch { hyps: 1, refs: 0 }));
        assert_eq!(bleu::<&str, Vec<&str>, Vec<_>>(&[], &none), Err(MetricError::EmptyCorpus));
        let refs = vec![vec![words("a")], vec![]];
        assert_eq!(
            bleu(&[words("a"), words("b")], &refs),
            Err(MetricError::NoReferences { first: 1, count: 1 })
        );
    }

    #[test]
    fn plain_sentences_are_tokenised_on_both_sides() {
        let bleu = bleu_of_captions(&["A dog, running!"], &[vec!["a dog running ."]]).unwrap();
        assert_eq!((bleu.matches[2], bleu.hyp_len), (1, 3));
    }
}
