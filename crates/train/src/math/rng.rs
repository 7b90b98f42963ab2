//! Dropout masks from a seeded generator, so that a run is repeated exactly on any device.

use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Draws dropout masks; switched off it draws none.
pub struct Dropout(Option<ChaCha8Rng>);

impl Dropout {
    /// Masks of one epoch of one run.
    pub fn seeded(seed: u64, epoch: u32) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(u64::from(epoch) + 1);
        Self(Some(rng))
    }

    /// No dropout: evaluation.
    pub fn off() -> Self {
        Self(None)
    }

    /// A mask of `n` factors, 0 with a chance of `percent` and `1 / (1 - p)` otherwise; `None` means all ones.
    pub fn mask(&mut self, n: usize, percent: u8) -> Option<Vec<f32>> {
        let rng = self.0.as_mut().filter(|_| percent > 0)?;
        let keep = 1.0 / (1.0 - f32::from(percent) / 100.0);
        let threshold = (u64::from(percent) * (1 << 32) / 100) as u32;
        Some((0..n).map(|_| if rng.next_u32() < threshold { 0.0 } else { keep }).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_keep_the_mean_and_follow_the_seed() {
        let mask = Dropout::seeded(1, 1).mask(20_000, 30).unwrap();
        let mean = mask.iter().sum::<f32>() / mask.len() as f32;
        assert!((mean - 1.0).abs() < 0.03, "{mean}");
        assert_eq!(mask, Dropout::seeded(1, 1).mask(20_000, 30).unwrap());
        assert_ne!(mask, Dropout::seeded(1, 2).mask(20_000, 30).unwrap());
        assert!(Dropout::off().mask(5, 30).is_none());
    }
}
