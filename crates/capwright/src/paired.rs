//! Few paired differences: their mean, an interval, and how easily chance gives as much.

use capwright_caption_metrics::paired_test;
use serde::Serialize;
use statrs::distribution::{ContinuousCDF, StudentsT};

/// What is known of the mean of paired differences.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Paired {
    /// Mean difference.
    pub mean: f64,
    /// Ends of its 95 % interval (Student's t).
    pub low: f64,
    pub high: f64,
    /// Share of all ways to swap the members of pairs that give a mean at least as far from 0 (two sides); of drawn ones where
    /// there are many pairs.
    pub p: f64,
}

/// Most pairs of which all swaps are tried.
const ALL: usize = 16;
/// Swaps that are drawn for more pairs, and the seed of the draws.
const DRAWS: usize = 100_000;
const SEED: u64 = 1;

impl Paired {
    /// From one difference a pair.
    pub fn new(differences: &[f64]) -> Self {
        let n = differences.len();
        let mean = differences.iter().sum::<f64>() / n.max(1) as f64;
        let spread = match n.checked_sub(1) {
            None | Some(0) => f64::INFINITY,
            Some(free) => {
                let variance = differences.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / free as f64;
                let t = StudentsT::new(0.0, 1.0, free as f64).expect("at least one degree of freedom");
                t.inverse_cdf(0.975) * (variance / n as f64).sqrt()
            }
        };
        Self { mean, low: mean - spread, high: mean + spread, p: swaps(differences) }
    }
}

fn swaps(differences: &[f64]) -> f64 {
    if differences.len() > ALL {
        return drawn(differences);
    }
    let found: f64 = differences.iter().sum::<f64>().abs();
    let ways = 1u32 << differences.len();
    let sum = |way: u32| -> f64 {
        let signed = differences.iter().enumerate().map(|(i, d)| if way >> i & 1 == 1 { -d } else { *d });
        signed.sum::<f64>().abs()
    };
    let as_far = (0..ways).filter(|way| sum(*way) >= found * (1.0 - 1e-12)).count();
    as_far as f64 / f64::from(ways)
}

/// The share of drawn swaps, what was found counted as one of them, so that it is never 0 (Phipson and Smyth 2010).
fn drawn(differences: &[f64]) -> f64 {
    let left: Vec<[f64; 1]> = differences.iter().map(|d| [*d]).collect();
    let right = vec![[0.0]; left.len()];
    let [test] = paired_test(&left, &right, DRAWS, SEED, |sum| *sum).expect("as many on both sides");
    test.p_value
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By hand: mean 2, deviation 1.5811, t 2.776.
    #[test]
    fn mean_interval_and_swaps() {
        let paired = Paired::new(&[0.0, 1.0, 2.0, 3.0, 4.0]);
        assert!((paired.mean - 2.0).abs() < 1e-12);
        assert!((paired.high - 2.0 - 2.776 * 0.5f64.sqrt()).abs() < 1e-3, "{paired:?}");
        // All signs as they are, all turned, and the same with the zero turned.
        assert_eq!(paired.p, 4.0 / 32.0);
        assert_eq!(Paired::new(&[1.0; 5]).p, 2.0 / 32.0);
        assert_eq!(Paired::new(&[1.0, -1.0]).p, 1.0);
        assert!(Paired::new(&[0.3]).high.is_infinite());
    }

    #[test]
    fn more_than_sixteen_pairs_all_count() {
        // 15 of 20 coins fall alike: 2 · 21700 / 2^20. The first sixteen alone would give 0.21.
        let coins: Vec<f64> = (0..20).map(|i| if i < 5 { -1.0 } else { 1.0 }).collect();
        let p = Paired::new(&coins).p;
        assert!((p - 0.0414).abs() < 0.003, "{p}");
        assert_eq!(Paired::new(&coins).p, p);
        assert_eq!(Paired::new(&[1.0; 100]).p, 1.0 / 100_001.0);
        // Of sixteen, every swap is tried.
        assert_eq!(Paired::new(&[1.0; 16]).p, 2.0 / 65_536.0);
    }
}
