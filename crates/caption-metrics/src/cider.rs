//! CIDEr and CIDEr-D: agreement with the references in n-grams, rare ones weighing more.
//!
//! The measures: Vedantam, Zitnick and Parikh 2015, "CIDEr: consensus-based image description evaluation". For n-grams
//! of each length n = 1..=4 a caption is the vector `g` of `count × ln(images / images with the n-gram)`; one that no
//! reference has counts as in one image. With references `r_1..r_m` of an image and hypothesis `h`:
//!
//! - CIDEr   = 10 × mean over n and i of `g(h)·g(r_i) / (|g(h)| |g(r_i)|)`, in 0..=10;
//! - CIDEr-D = 10 × mean over n and i of `min(g(h), g(r_i))·g(r_i) / (|g(h)| |g(r_i)|) × exp(-δ² / 2σ²)`, where δ is
//!   the difference in length and σ = 6, in 0..=10. Clipping and the length penalty keep a caption from winning by
//!   repetition.
//!
//! Upstream: what pycocoevalcap 1.2 (`cider/cider_scorer.py`) and papers since 2015 call "CIDEr" is CIDEr-D;
//! its lengths are counted in bigrams, which differs only for empty captions and is kept. The original measure is
//! that of the authors' own code (github.com/vrama91/cider, `pyciderevalcap/cider`), whose factor of 10 is kept; like
//! there, words are not stemmed, although the paper stems them. With a single image all weights are 0, and so are the
//! scores. Tables in papers multiply by 100: "CIDEr 110" is 1.10 here.

use rayon::prelude::*;

use crate::error::{MetricError, check_references};
use crate::frequencies::{DocumentFrequencies, MAX_N};

/// Standard deviation of the penalty for a difference in length, in words.
const SIGMA: f64 = 6.0;
/// The authors' factor.
const SCALE: f64 = 10.0;

/// The references of a set of images, weighed and ready: scores one hypothesis in a few microseconds.
///
/// Made for rewards in self-critical training as much as for evaluation. Words are numbers, those of the trainer's
/// vocabulary or of an [`Interner`](crate::Interner). Where CIDEr-D is a reward, let the end mark be a word on both
/// sides: without it, captions that break off are not punished.
///
/// ```
/// use capwright_caption_metrics::Cider;
/// let refs = vec![vec![vec![1, 2, 3, 4, 0], vec![1, 2, 5, 0]], vec![vec![7, 8, 9, 0]]];
/// let cider = Cider::new(&refs).unwrap();
/// let reward = cider.score(0, &[1, 2, 3, 4, 0]).cider_d;
/// assert!(reward > cider.score(0, &[7, 8, 9, 0]).cider_d);
/// ```
#[derive(Debug, Clone)]
pub struct Cider {
    frequencies: DocumentFrequencies,
    /// Weight of each n-gram.
    inverse: Vec<f64>,
    images: Vec<Image>,
}

/// The references of one image.
#[derive(Debug, Clone)]
struct Image {
    /// Sorted by n-gram.
    entries: Vec<Entry>,
    references: Vec<Reference>,
}

/// How often a reference has an n-gram.
#[derive(Debug, Clone, Copy)]
struct Entry {
    gram: u32,
    /// Position among the references of the image.
    reference: u32,
    count: u32,
}

#[derive(Debug, Clone, Copy)]
struct Reference {
    norms: [f64; MAX_N],
    bigrams: usize,
}

/// Both measures of one hypothesis.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct CiderScore {
    /// The original measure, in 0..=10.
    pub cider: f64,
    /// CIDEr-D, which pycocoevalcap calls CIDEr, in 0..=10.
    pub cider_d: f64,
}

/// Sums over shared n-grams of a hypothesis and one reference.
#[derive(Clone, Copy, Default)]
struct Shared {
    plain: [f64; MAX_N],
    clipped: [f64; MAX_N],
}

impl Cider {
    /// Prepares references, with document frequencies of the same references: the published measure.
    ///
    /// # Errors
    /// [`MetricError`] when there are no images or one has no reference.
    pub fn new<S, R>(refs: &[R]) -> Result<Self, MetricError>
    where
        S: AsRef<[u32]>,
        R: AsRef<[S]> + Sync,
    {
        let (frequencies, grams) = DocumentFrequencies::with_grams(refs)?;
        Ok(Self::weigh(frequencies, grams, refs))
    }

    /// Prepares references, with document frequencies from elsewhere, such as the training references.
    ///
    /// # Errors
    /// [`MetricError`] when there are no images or one has no reference.
    pub fn with_frequencies<S, R>(
        mut frequencies: DocumentFrequencies,
        refs: &[R],
    ) -> Result<Self, MetricError>
    where
        S: AsRef<[u32]>,
        R: AsRef<[S]> + Sync,
    {
        check_references(refs)?;
        let mut grams = Vec::with_capacity(refs.len());
        for references in refs {
            let mut of_image = Vec::new();
            for reference in references.as_ref() {
                frequencies.insert_all(reference.as_ref(), |_, gram| of_image.push(gram));
            }
            grams.push(of_image);
        }
        Ok(Self::weigh(frequencies, grams, refs))
    }

    /// `grams`: the n-grams of each image in the order in which the frequencies went through them.
    fn weigh<S, R>(frequencies: DocumentFrequencies, grams: Vec<Vec<u32>>, refs: &[R]) -> Self
    where
        S: AsRef<[u32]>,
        R: AsRef<[S]> + Sync,
    {
        let inverse = frequencies.inverse();
        let images =
            refs.par_iter().zip(&grams).map(|(r, grams)| Image::new(grams, &inverse, r.as_ref())).collect();
        Self { frequencies, inverse, images }
    }

    /// Number of images.
    pub fn images(&self) -> usize {
        self.images.len()
    }

    /// The document frequencies in use.
    pub fn frequencies(&self) -> &DocumentFrequencies {
        &self.frequencies
    }

    /// Scores a hypothesis against the references of an image, counted from 0 in the order in which they were given.
    ///
    /// # Panics
    /// When there is no such image, as indexing a slice does.
    pub fn score(&self, image: usize, hyp: &[u32]) -> CiderScore {
        let Image { entries, references } = &self.images[image];
        let mut norms = [0.0; MAX_N];
        let mut shared = vec![Shared::default(); references.len()];
        let mut grams: Vec<(u32, u8)> = Vec::with_capacity(MAX_N * hyp.len());
        let mut unknown: Vec<&[u32]> = Vec::new();
        self.frequencies.walk(hyp, |n, gram| grams.push((gram, n as u8)), |gram| unknown.push(gram));
        grams.sort_unstable();
        let mut rest = entries.as_slice();
        for run in grams.chunk_by(|a, b| a == b) {
            let (gram, n) = (run[0].0, usize::from(run[0].1));
            let inverse = self.inverse[gram as usize];
            let weight = run.len() as f64 * inverse;
            norms[n] += weight * weight;
            // Both lists are short and sorted, so walking along beats searching.
            let smaller = rest.iter().take_while(|e| e.gram < gram).count();
            rest = &rest[smaller..];
            for entry in rest.iter().take_while(|e| e.gram == gram) {
                let other = f64::from(entry.count) * inverse;
                let sums = &mut shared[entry.reference as usize];
                sums.plain[n] += weight * other;
                sums.clipped[n] += weight.min(other) * other;
            }
        }
        unknown.sort_unstable();
        for run in unknown.chunk_by(|a, b| a == b) {
            norms[run[0].len() - 1] += (run.len() as f64 * self.frequencies.unseen()).powi(2);
        }
        mean_over_references(hyp.len().saturating_sub(1), norms.map(f64::sqrt), references, &shared)
    }
}

impl Image {
    fn new<S: AsRef<[u32]>>(in_order: &[u32], inverse: &[f64], captions: &[S]) -> Self {
        let mut grams: Vec<(u32, u32, u8)> = Vec::with_capacity(in_order.len());
        let mut in_order = in_order.iter();
        for (at, caption) in (0u32..).zip(captions) {
            for left in (1..=caption.as_ref().len()).rev() {
                let longest = left.min(MAX_N) as u8;
                grams.extend((0..longest).zip(&mut in_order).map(|(n, gram)| (*gram, at, n)));
            }
        }
        grams.sort_unstable();
        let reference = |caption: &S| Reference {
            norms: [0.0; MAX_N],
            bigrams: caption.as_ref().len().saturating_sub(1),
        };
        let mut references: Vec<Reference> = captions.iter().map(reference).collect();
        let mut entries = Vec::with_capacity(grams.len());
        for run in grams.chunk_by(|a, b| a == b) {
            let (gram, reference, n) = run[0];
            let count = run.len() as u32;
            let weight = f64::from(count) * inverse[gram as usize];
            references[reference as usize].norms[usize::from(n)] += weight * weight;
            entries.push(Entry { gram, reference, count });
        }
        for reference in &mut references {
            reference.norms = reference.norms.map(f64::sqrt);
        }
        Self { entries, references }
    }
}

fn mean_over_references(
    bigrams: usize,
    norms: [f64; MAX_N],
    references: &[Reference],
    shared: &[Shared],
) -> CiderScore {
    let mut score = CiderScore::default();
    for (reference, sums) in references.iter().zip(shared) {
        let apart = bigrams.abs_diff(reference.bigrams) as f64;
        let penalty = (-apart * apart / (2.0 * SIGMA * SIGMA)).exp();
        for (n, hyp_norm) in norms.iter().enumerate() {
            let norm = hyp_norm * reference.norms[n];
            if norm > 0.0 {
                score.cider += sums.plain[n] / norm;
                score.cider_d += sums.clipped[n] / norm * penalty;
            }
        }
    }
    let scale = SCALE / (MAX_N * references.len()) as f64;
    CiderScore { cider: score.cider * scale, cider_d: score.cider_d * scale }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_right_caption_of_four_words_scores_ten() {
        let refs = vec![vec![vec![1, 2, 3, 4]], vec![vec![5, 6, 7, 8]]];
        let cider = Cider::new(&refs).unwrap();
        let score = cider.score(0, &[1, 2, 3, 4]);
        assert!((score.cider - 10.0).abs() < 1e-12 && (score.cider_d - 10.0).abs() < 1e-12);
        assert_eq!(cider.score(1, &[1, 2, 3, 4]), CiderScore::default());
        assert_eq!(cider.score(0, &[]), CiderScore::default());
    }

    #[test]
    fn repetition_pays_in_the_original_only() {
        let refs = vec![vec![vec![1, 2, 3, 4]], vec![vec![3, 4, 5, 6]]];
        let cider = Cider::new(&refs).unwrap();
        let (once, often) = (cider.score(0, &[1, 2]), cider.score(0, &[1, 2, 1, 2, 1, 2]));
        assert!(often.cider > 0.8 * once.cider);
        assert!(often.cider_d < 0.5 * once.cider_d);
    }

    #[test]
    fn n_grams_known_to_no_frequency_table_count_as_seen_once() {
        let frequencies = DocumentFrequencies::new(&vec![vec![vec![1]]; 9]).unwrap();
        let cider = Cider::with_frequencies(frequencies, &[vec![vec![2, 3]]]).unwrap();
        // Unigrams and bigrams agree; there are no longer ones.
        assert!((cider.score(0, &[2, 3]).cider_d - 5.0).abs() < 1e-12);
        // Of the two words one agrees, and the bigram does not: cosine 1/√1·1/√2.
        let half = cider.score(0, &[2, 7]).cider;
        assert!((half - 10.0 / 4.0 * 0.5).abs() < 1e-12, "{half}");
        assert_eq!(cider.frequencies().of(&[2]), 0);
    }

    #[test]
    fn one_image_has_no_weights() {
        let cider = Cider::new(&[vec![vec![1, 2]]]).unwrap();
        assert_eq!(cider.score(0, &[1, 2]), CiderScore::default());
        assert_eq!(cider.images(), 1);
    }
}
