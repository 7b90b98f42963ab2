//! How varied captions are, apart from how right they are.

use rustc_hash::FxHashSet;
use serde::Serialize;

use crate::words::Interner;

/// Longest n-gram of [`Diversity::distinct`] and of the repetition figures.
const MAX_N: usize = 4;

/// Statistics of the words of a set of captions. Shares lie in 0..=1 and are 0 where there is nothing to take a share
/// of.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Diversity {
    /// distinct-n (Li et al. 2016, "A diversity-promoting objective function for neural conversation models"):
    /// different n-grams of all captions / n-grams of all captions, for n = 1..=4. Compare it between sets of equal
    /// size only: it falls with size.
    pub distinct: [f64; MAX_N],
    /// Different words in the captions.
    pub vocabulary: usize,
    /// Share of the different words of the references that the captions use.
    pub vocabulary_coverage: f64,
    /// Share of captions that are no training caption, word for word; `None` where no training captions were given.
    pub novel: Option<f64>,
    /// `lengths[k]`: number of captions of `k` words.
    pub lengths: Vec<usize>,
    /// Mean words of a caption.
    pub mean_length: f64,
    /// Share of captions that have an n-gram more than once, for n = 1..=4.
    pub with_repetition: [f64; MAX_N],
    /// Mean over captions of the share of their n-grams that occurred before in the same caption, for n = 1..=4.
    pub repetition: [f64; MAX_N],
}

impl Diversity {
    /// Looks at tokenised captions, in any order.
    ///
    /// `references` are the captions whose vocabulary is to be covered, those of the same images; `training` those
    /// against which a caption is novel; both may be empty.
    pub fn new<W, S>(captions: &[S], references: &[S], training: &[S]) -> Self
    where
        W: AsRef<str>,
        S: AsRef<[W]>,
    {
        let mut words = Interner::default();
        let captions: Vec<Vec<u32>> = captions.iter().map(|c| words.ids(c.as_ref())).collect();
        let vocabulary = words.words().len();
        let in_references: FxHashSet<u32> = references.iter().flat_map(|r| words.ids(r.as_ref())).collect();
        let covered = in_references.iter().filter(|word| (**word as usize) < vocabulary).count();
        let known: FxHashSet<Vec<u32>> = training.iter().map(|t| words.ids(t.as_ref())).collect();
        let novel = captions.iter().filter(|c| !known.contains(*c)).count();
        let total: usize = captions.iter().map(Vec::len).sum();
        let mut lengths = vec![0; captions.iter().map(|c| c.len() + 1).max().unwrap_or(0)];
        captions.iter().for_each(|c| lengths[c.len()] += 1);
        let repeated = [1, 2, 3, 4].map(|n| repeated_share(&captions, n));
        Self {
            distinct: [1, 2, 3, 4].map(|n| distinct_share(&captions, n)),
            vocabulary,
            vocabulary_coverage: share(covered, in_references.len()),
            novel: (!training.is_empty()).then(|| share(novel, captions.len())),
            lengths,
            mean_length: share(total, captions.len()),
            with_repetition: repeated.map(|(captions, _)| captions),
            repetition: repeated.map(|(_, mean)| mean),
        }
    }
}

fn share(part: usize, of: usize) -> f64 {
    if of == 0 { 0.0 } else { part as f64 / of as f64 }
}

fn distinct_share(captions: &[Vec<u32>], n: usize) -> f64 {
    let grams = || captions.iter().flat_map(|c| c.windows(n));
    share(grams().collect::<FxHashSet<_>>().len(), grams().count())
}

/// Share of captions with an n-gram more than once, and the mean share of n-grams that were there before.
fn repeated_share(captions: &[Vec<u32>], n: usize) -> (f64, f64) {
    let (mut with, mut sum) = (0, 0.0);
    for caption in captions {
        let different = caption.windows(n).collect::<FxHashSet<_>>().len();
        let all = caption.windows(n).count();
        with += usize::from(different < all);
        sum += share(all - different, all);
    }
    let mean = if captions.is_empty() { 0.0 } else { sum / captions.len() as f64 };
    (share(with, captions.len()), mean)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(texts: &[&'static str]) -> Vec<Vec<&'static str>> {
        texts.iter().map(|t| t.split_whitespace().collect()).collect()
    }

    #[test]
    fn counts_words_and_captions() {
        let captions = words(&["a dog a dog", "a cat", ""]);
        let references = words(&["the dog", "a cat sleeps"]);
        let diversity = Diversity::new(&captions, &references, &words(&["a cat", "a bus"]));
        assert_eq!(diversity.distinct, [3.0 / 6.0, 3.0 / 4.0, 1.0, 1.0]);
        assert_eq!(diversity.vocabulary, 3);
        // a, dog and cat of the, dog, a, cat, sleeps.
        assert_eq!(diversity.vocabulary_coverage, 3.0 / 5.0);
        assert_eq!(diversity.novel, Some(2.0 / 3.0));
        assert_eq!(diversity.lengths, [1, 0, 1, 0, 1]);
        assert_eq!(diversity.mean_length, 2.0);
        assert_eq!(diversity.with_repetition, [1.0 / 3.0, 1.0 / 3.0, 0.0, 0.0]);
        assert_eq!(diversity.repetition[0], 0.5 / 3.0);
        assert!((diversity.repetition[1] - 1.0 / 9.0).abs() < 1e-15);
    }

    #[test]
    fn nothing_is_no_problem() {
        let none: Vec<Vec<&str>> = Vec::new();
        let diversity = Diversity::new(&none, &none, &none);
        assert_eq!((diversity.distinct, diversity.novel, diversity.lengths), ([0.0; 4], None, vec![]));
    }
}
