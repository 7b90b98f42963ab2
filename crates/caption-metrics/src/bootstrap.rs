//! Bootstrap confidence intervals (Efron 1979): the percentile interval of a statistic over resampled images.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Most draws of a bootstrap, all of which it keeps in memory. Ends of intervals hardly move after some thousands.
pub const MAX_DRAWS: usize = 1_000_000;

/// The two-sided percentile interval of `statistic` at `confidence` (such as 0.95), over `resamples` draws of `n` items
/// with replacement. The statistic is given the drawn indices. The same seed gives the same interval.
///
/// `None` where there is nothing to draw or more than [`MAX_DRAWS`], or the confidence does not lie between 0 and 1.
pub fn bootstrap(
    n: usize,
    resamples: usize,
    confidence: f64,
    seed: u64,
    mut statistic: impl FnMut(&[usize]) -> f64,
) -> Option<(f64, f64)> {
    if n == 0 || !(1..=MAX_DRAWS).contains(&resamples) || !(confidence > 0.0 && confidence < 1.0) {
        return None;
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut drawn = vec![0; n];
    let mut values: Vec<f64> = (0..resamples)
        .map(|_| {
            drawn.iter_mut().for_each(|index| *index = rng.random_range(0..n));
            statistic(&drawn)
        })
        .collect();
    values.sort_by(f64::total_cmp);
    let tail = (1.0 - confidence) / 2.0;
    Some((percentile(&values, tail), percentile(&values, 1.0 - tail)))
}

/// The value below which that share of the sorted values lies, interpolated between neighbours (NumPy's `linear`).
/// NaN for no values.
pub fn percentile(sorted: &[f64], share: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let place = share.clamp(0.0, 1.0) * last as f64;
    let below = place.floor() as usize;
    let above = (below + 1).min(last);
    sorted[below] + (sorted[above] - sorted[below]) * (place - below as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_numpy_s() {
        let values = [1.0, 2.0, 4.0, 8.0];
        assert_eq!(percentile(&values, 0.5), 3.0);
        assert!((percentile(&values, 0.95) - 7.4).abs() < 1e-12);
        assert_eq!(percentile(&values, 1.0), 8.0);
        assert!(percentile(&[], 0.5).is_nan());
    }

    #[test]
    fn the_interval_of_a_mean_has_the_width_that_theory_gives() {
        // 400 coin flips: standard error 0.025, so the 95 % interval is 0.098 wide.
        let flips: Vec<f64> = (0..400).map(|i| f64::from(i % 2)).collect();
        let mean = |drawn: &[usize]| drawn.iter().map(|i| flips[*i]).sum::<f64>() / drawn.len() as f64;
        let (low, high) = bootstrap(400, 2_000, 0.95, 1, mean).expect("an interval");
        assert!((high - low - 0.098).abs() < 0.012, "{low} {high}");
        assert!((low + high - 1.0).abs() < 0.02);
        assert_eq!(bootstrap(400, 2_000, 0.95, 1, mean), Some((low, high)));
        assert_eq!(bootstrap(0, 10, 0.95, 1, mean), None);
        assert_eq!(bootstrap(400, usize::MAX, 0.95, 1, mean), None);
    }
}
