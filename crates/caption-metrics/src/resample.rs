//! Intervals and paired tests for metrics that are functions of sums over images.
//!
//! Corpus BLEU, corpus METEOR and every mean depend on their images only through a sum of rows of numbers. A
//! resampled corpus is then a sum of drawn rows, at the cost of an addition for each number, and several metrics
//! share the same draws. Draw `i` of a seed has a random stream of its own, so that results do not depend on the
//! number of threads.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::bootstrap::{MAX_DRAWS, percentile};
use crate::error::MetricError;

/// The most images for which a paired test goes through all swaps: 2^14 of them.
const MAX_EXACT: usize = 14;

/// The two ends of an interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// What a paired permutation test found.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PairedTest {
    /// Metric of the left model minus that of the right one.
    pub difference: f64,
    /// Probability of a difference at least this large in either direction, were the two models alike.
    pub p_value: f64,
    /// Swaps that were looked at; all of them when `exact`.
    pub swaps: usize,
    /// True when every way to swap was counted, false when they were drawn.
    pub exact: bool,
}

/// Percentile bootstrap intervals (Efron 1979) of several metrics at once.
///
/// `rows` has one row for each image; `metrics` turns the sum of as many rows into metrics. As
/// [`bootstrap`](crate::bootstrap), for sums: `None` where there is nothing to draw or more than
/// [`MAX_DRAWS`](crate::MAX_DRAWS), or the confidence does not lie between 0 and 1.
pub fn bootstrap_sums<const K: usize, const M: usize>(
    rows: &[[f64; K]],
    resamples: usize,
    confidence: f64,
    seed: u64,
    metrics: impl Fn(&[f64; K]) -> [f64; M] + Sync,
) -> Option<[Interval; M]> {
    if rows.is_empty() || !(1..=MAX_DRAWS).contains(&resamples) || !(confidence > 0.0 && confidence < 1.0) {
        return None;
    }
    let resample = |draw: usize| {
        let mut rng = stream(seed, draw);
        let mut sum = [0.0; K];
        for _ in 0..rows.len() {
            add(&mut sum, &rows[rng.random_range(0..rows.len())], 1.0);
        }
        metrics(&sum)
    };
    let values: Vec<[f64; M]> = (0..resamples).into_par_iter().map(resample).collect();
    let tail = (1.0 - confidence) / 2.0;
    Some(std::array::from_fn(|metric| {
        let mut sorted: Vec<f64> = values.iter().map(|v| v[metric]).collect();
        sorted.sort_by(f64::total_cmp);
        Interval { low: percentile(&sorted, tail), high: percentile(&sorted, 1.0 - tail) }
    }))
}

/// Paired permutation test (approximate randomisation, Noreen 1989) of several metrics at once: are two models
/// different?
///
/// If the models were alike, it would not matter which of the two made which caption of an image. So their rows of an
/// image are swapped or not, and the p-value is the share of swaps whose difference is at least as large as the real
/// one. Up to 14 images all swaps are counted; above, `swaps` of them are drawn and the p-value is `(1 + as large) /
/// (1 + drawn)`, which is never 0.
///
/// # Errors
/// [`MetricError`] when the models were scored on different numbers of images, or on none.
pub fn paired_test<const K: usize, const M: usize>(
    left: &[[f64; K]],
    right: &[[f64; K]],
    swaps: usize,
    seed: u64,
    metrics: impl Fn(&[f64; K]) -> [f64; M] + Sync,
) -> Result<[PairedTest; M], MetricError> {
    if left.len() != right.len() {
        return Err(MetricError::Unpaired { left: left.len(), right: right.len() });
    }
    if left.is_empty() {
        return Err(MetricError::EmptyCorpus);
    }
    let sum = |rows: &[[f64; K]]| {
        let mut sum = [0.0; K];
        rows.iter().for_each(|row| add(&mut sum, row, 1.0));
        sum
    };
    let (left_sum, right_sum) = (sum(left), sum(right));
    let difference = |moved: &[f64; K]| {
        let (mut a, mut b) = (left_sum, right_sum);
        add(&mut a, moved, -1.0);
        add(&mut b, moved, 1.0);
        let (a, b) = (metrics(&a), metrics(&b));
        std::array::from_fn::<f64, M, _>(|metric| a[metric] - b[metric])
    };
    let observed = difference(&[0.0; K]);
    let exact = left.len() <= MAX_EXACT;
    let count = if exact { 1 << left.len() } else { swaps };
    let at_least = |draw: usize| {
        let mut rng = stream(seed, draw);
        let mut moved = [0.0; K];
        for (left, right) in left.chunks(64).zip(right.chunks(64)) {
            // An exact test has one chunk: the number of the draw says what is swapped.
            let mut bits: u64 = if exact { draw as u64 } else { rng.random() };
            for (left, right) in left.iter().zip(right) {
                // A factor instead of a branch: the bits are random, so a branch is mispredicted every other time.
                let swapped = (bits & 1) as f64;
                (0..K).for_each(|k| moved[k] += swapped * (left[k] - right[k]));
                bits >>= 1;
            }
        }
        let found = difference(&moved);
        // Sums in another order differ in the last digits, which must not make an equal difference smaller.
        std::array::from_fn(|m| usize::from(found[m].abs() >= observed[m].abs() * (1.0 - 1e-9) - 1e-12))
    };
    let as_large: [usize; M] = (0..count)
        .into_par_iter()
        .map(at_least)
        .reduce(|| [0; M], |a: [usize; M], b| std::array::from_fn(|m| a[m] + b[m]));
    Ok(std::array::from_fn(|m| PairedTest {
        difference: observed[m],
        p_value: if exact {
            as_large[m] as f64 / count as f64
        } else {
            (1 + as_large[m]) as f64 / (1 + count) as f64
        },
        swaps: count,
        exact,
    }))
}

fn stream(seed: u64, draw: usize) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(draw as u64);
    rng
}

fn add<const K: usize>(sum: &mut [f64; K], row: &[f64; K], factor: f64) {
    (0..K).for_each(|k| sum[k] += factor * row[k]);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows (1, value), and their mean.
    fn rows(values: &[f64]) -> Vec<[f64; 2]> {
        values.iter().map(|v| [1.0, *v]).collect()
    }

    fn mean(sum: &[f64; 2]) -> [f64; 1] {
        [sum[1] / sum[0]]
    }

    #[test]
    fn the_interval_of_a_mean_has_the_width_that_theory_gives() {
        let flips: Vec<f64> = (0..400).map(|i| f64::from(i % 2)).collect();
        let [Interval { low, high }] = bootstrap_sums(&rows(&flips), 2_000, 0.95, 1, mean).unwrap();
        assert!((high - low - 0.098).abs() < 0.012 && (low + high - 1.0).abs() < 0.02, "{low} {high}");
        assert_eq!(bootstrap_sums(&rows(&flips), 2_000, 0.95, 1, mean), Some([Interval { low, high }]));
        assert_eq!(bootstrap_sums(&[], 10, 0.95, 1, mean), None);
        assert_eq!(bootstrap_sums(&rows(&flips), usize::MAX, 0.95, 1, mean), None);
        assert_eq!(bootstrap_sums(&rows(&flips), 10, 1.0, 1, mean), None);
    }

    #[test]
    fn few_images_are_tested_exactly() {
        // All ten differences are 1: only no swap and all swaps reach the real difference.
        let test = paired_test(&rows(&[1.0; 10]), &rows(&[0.0; 10]), 5, 1, mean).unwrap()[0];
        assert_eq!((test.difference, test.exact, test.swaps), (1.0, true, 1024));
        assert!((test.p_value - 2.0 / 1024.0).abs() < 1e-15);
        let same = paired_test(&rows(&[0.3; 10]), &rows(&[0.3; 10]), 5, 1, mean).unwrap()[0];
        assert_eq!(same.p_value, 1.0);
    }

    #[test]
    fn drawn_swaps_agree_with_a_sign_test() {
        // 12 of 16 images speak for the left model: P(|k - 8| >= 4) for 16 fair coins is 0.0768.
        let left: Vec<f64> = (0..16).map(|i| if i < 12 { 1.0 } else { -1.0 }).collect();
        let test = paired_test(&rows(&left), &rows(&[0.0; 16]), 20_000, 7, mean).unwrap()[0];
        assert!(!test.exact && (test.p_value - 0.0768).abs() < 0.006, "{test:?}");
        // Never zero, however clear the case.
        let clear = paired_test(&rows(&[1.0; 99]), &rows(&[0.0; 99]), 999, 7, mean).unwrap()[0];
        assert!((clear.p_value - 0.001).abs() < 1e-12);
    }

    #[test]
    fn results_do_not_depend_on_threads() {
        let values: Vec<f64> = (0..100).map(|i| f64::from(i * i % 17)).collect();
        let other: Vec<f64> = (0..100).map(|i| f64::from(i * i % 13)).collect();
        let run = || {
            let interval = bootstrap_sums(&rows(&values), 100, 0.9, 3, mean);
            (interval, paired_test(&rows(&values), &rows(&other), 100, 3, mean))
        };
        let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap().install(run);
        let three = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap().install(run);
        assert_eq!(one, three);
    }

    #[test]
    fn models_must_be_paired() {
        let unpaired = MetricError::Unpaired { left: 1, right: 2 };
        assert_eq!(paired_test(&rows(&[1.0]), &rows(&[1.0; 2]), 5, 1, mean), Err(unpaired));
        assert_eq!(paired_test(&[], &[], 5, 1, mean), Err(MetricError::EmptyCorpus));
    }
}
