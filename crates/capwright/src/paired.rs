//! Few paired differences: their mean, an interval, and how easily chance gives as much.

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
    /// Share of all ways to swap the members of pairs that give a mean at least as far from 0 (exact, two sides).
    pub p: f64,
}

/// Pairs of which all swaps are tried; of more, these.
const ALL: usize = 16;

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
    let used = &differences[..differences.len().min(ALL)];
    let found: f64 = used.iter().sum::<f64>().abs();
    let ways = 1u32 << used.len();
    let sum = |way: u32| -> f64 {
        let signed = used.iter().enumerate().map(|(i, d)| if way >> i & 1 == 1 { -d } else { *d });
        signed.sum::<f64>().abs()
    };
    let as_far = (0..ways).filter(|way| sum(*way) >= found * (1.0 - 1e-12)).count();
    as_far as f64 / f64::from(ways)
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
}
