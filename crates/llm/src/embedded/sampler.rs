//! Choosing the next token from scores.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use toktrie::{SimpleVob, TokenId};

/// Temperature and nucleus (top-p) sampling with its own random numbers: same seed, same choices.
pub(crate) struct Sampler {
    temperature: f32,
    top_p: f32,
    rng: ChaCha8Rng,
}

impl Sampler {
    pub(crate) fn new(temperature: f32, top_p: f32, seed: u64) -> Self {
        Self { temperature, top_p, rng: ChaCha8Rng::seed_from_u64(seed) }
    }

    /// One of the allowed tokens (all of them without a mask). `None` when nothing is allowed.
    pub(crate) fn pick(&mut self, scores: &[f32], allowed: Option<&SimpleVob>) -> Option<TokenId> {
        let mut candidates: Vec<(f32, TokenId)> = scores
            .iter()
            .zip(0..)
            .filter(|(_, id)| allowed.is_none_or(|mask| mask.is_allowed(*id)))
            .map(|(score, id)| (*score, id))
            .collect();
        // Ties go to the lower number, so that the order is always the same.
        let by_rank = |a: &(f32, TokenId), b: &(f32, TokenId)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
        let best = *candidates.iter().min_by(|a, b| by_rank(a, b))?;
        if self.temperature == 0.0 || candidates.len() == 1 {
            return Some(best.1);
        }
        for (score, _) in &mut candidates {
            *score = ((*score - best.0) / self.temperature).exp();
        }
        if self.top_p < 1.0 {
            candidates.sort_unstable_by(by_rank);
            let total: f32 = candidates.iter().map(|c| c.0).sum();
            let mut sum = 0.0;
            let within = candidates.iter().take_while(|c| {
                let take = sum < self.top_p * total;
                sum += c.0;
                take
            });
            let n = within.count().max(1);
            candidates.truncate(n);
        }
        let total: f32 = candidates.iter().map(|c| c.0).sum();
        let mut left = self.rng.random::<f32>() * total;
        let chosen = candidates.iter().find(|c| {
            left -= c.0;
            left < 0.0
        });
        Some(chosen.map_or(best.1, |c| c.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCORES: [f32; 4] = [1.0, 3.0, 2.9, -1.0];

    fn counts(temperature: f32, top_p: f32, allowed: Option<&SimpleVob>) -> [usize; 4] {
        let mut sampler = Sampler::new(temperature, top_p, 7);
        let mut counts = [0; 4];
        for _ in 0..2000 {
            counts[sampler.pick(&SCORES, allowed).unwrap() as usize] += 1;
        }
        counts
    }

    #[test]
    fn temperature_zero_takes_the_likeliest() {
        assert_eq!(counts(0.0, 1.0, None), [0, 2000, 0, 0]);
    }

    #[test]
    fn samples_follow_the_softmax() {
        let total: f32 = SCORES.iter().map(|s| s.exp()).sum();
        for (n, score) in counts(1.0, 1.0, None).iter().zip(SCORES) {
            let expected = 2000.0 * score.exp() / total;
            // Four standard deviations of a binomial count, and some for small ones.
            assert!((*n as f32 - expected).abs() < 4.0 * expected.sqrt() + 3.0, "{n} {expected}");
        }
    }

    #[test]
    fn top_p_cuts_the_tail_and_masks_are_obeyed() {
        // The two likeliest hold 0.93 of the probability.
        let [a, b, c, d] = counts(1.0, 0.9, None);
        assert!(a == 0 && d == 0 && b > 0 && c > 0);
        let mut mask = SimpleVob::alloc(4);
        mask.allow_token(0);
        mask.allow_token(3);
        let [a, b, c, d] = counts(1.0, 1.0, Some(&mask));
        assert!(a > 0 && b == 0 && c == 0 && d > 0);
        assert_eq!(Sampler::new(1.0, 1.0, 0).pick(&SCORES, Some(&SimpleVob::alloc(4))), None);
    }
}
