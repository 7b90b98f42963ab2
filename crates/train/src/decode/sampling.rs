//! Captions drawn word by word: temperature, the `k` likeliest words (Fan et al. 2018, arXiv 1805.04833), the nucleus
//! (Holtzman et al. 2020, arXiv 1904.09751).

use super::Caption;
use super::constraints::Allowed;
use super::ensemble::Ensemble;
use crate::math;
use capwright_caption_data::Vocabulary;
use capwright_contract::{Decoding, Sampling};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::cmp::Ordering;

/// A caption that is being drawn.
struct Draw {
    rng: ChaCha8Rng,
    words: Vec<u32>,
    log_probability: f64,
    ended: bool,
}

/// `n` captions for each image, in the order drawn.
pub(super) fn sample(
    mut ensemble: Ensemble<'_>,
    decoding: &Decoding,
    sampling: &Sampling,
    n: usize,
    streams: &[u64],
) -> Vec<Vec<Caption>> {
    assert_eq!(streams.len(), ensemble.images, "one stream for each image");
    let start = |stream: &u64| (0..n).map(|i| Draw::new(sampling.seed, *stream, i)).collect::<Vec<_>>();
    let mut draws: Vec<Draw> = streams.iter().flat_map(start).collect();
    // All draws of an image read BEGIN in one row.
    let mut rows: Vec<usize> = (0..draws.len()).map(|draw| draw / n).collect();
    let mut read = vec![Vocabulary::BOS; if draws.is_empty() { 0 } else { ensemble.images }];
    while !read.is_empty() {
        let (logits, vocab) = (ensemble.step(&read), ensemble.vocab);
        let mut open: Vec<_> = rows.into_iter().zip(draws.iter_mut().filter(|draw| !draw.ended)).collect();
        math::each(open.len() * vocab, open.iter_mut(), |(row, draw)| {
            draw.go_on(&logits[*row * vocab..][..vocab], decoding, sampling);
        });
        let going = || open.iter().filter(|(_, draw)| !draw.ended);
        let kept: Vec<usize> = going().map(|(row, _)| *row).collect();
        read = going().filter_map(|(_, draw)| draw.words.last().copied()).collect();
        if !kept.is_empty() {
            ensemble.select(&kept);
        }
        rows = (0..kept.len()).collect();
    }
    let mut said = draws.into_iter().map(|draw| draw.caption(decoding));
    streams.iter().map(|_| said.by_ref().take(n).collect()).collect()
}

impl Draw {
    /// Draw `i` of an image. Each has 2^32 words of the image's stream, so that none depends on how many there are.
    fn new(seed: u64, stream: u64, i: usize) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(stream);
        rng.set_word_pos((i as u128) << 32);
        Self { rng, words: Vec::new(), log_probability: 0.0, ended: false }
    }

    /// Draws the next word.
    fn go_on(&mut self, logits: &[f32], decoding: &Decoding, sampling: &Sampling) {
        let allowed = Allowed::after(&self.words, decoding, logits.len());
        let word = Words::default().draw(logits, &allowed, sampling, &mut self.rng);
        self.log_probability += f64::from(logits[word as usize]) - math::log_sum_exp(logits);
        if word == Vocabulary::EOS {
            self.ended = true;
        } else {
            self.words.push(word);
        }
    }

    fn caption(self, decoding: &Decoding) -> Caption {
        let score = decoding.length_penalty.score(self.log_probability, self.words.len() + 1);
        Caption { words: self.words, log_probability: self.log_probability, score }
    }
}

/// The words that one may be drawn from, with their logits and later their weights.
#[derive(Default)]
struct Words {
    all: Vec<(u32, f32)>,
    weights: Vec<f64>,
}

impl Words {
    fn draw(&mut self, logits: &[f32], allowed: &Allowed, by: &Sampling, rng: &mut ChaCha8Rng) -> u32 {
        self.narrow(logits, allowed, by);
        let sum: f64 = self.weights.iter().sum();
        let mut left = rng.random::<f64>() * sum;
        let at = self.weights.iter().position(|weight| {
            left -= weight;
            left < 0.0
        });
        // Rounding may leave a little over the last word.
        let word = self.all.get(at.unwrap_or(self.all.len().saturating_sub(1)));
        word.map_or(Vocabulary::EOS, |(word, _)| *word)
    }

    /// Leaves the words that may be drawn, with weights proportional to their probabilities.
    fn narrow(&mut self, logits: &[f32], allowed: &Allowed, by: &Sampling) {
        let words = allowed.words.start as usize..allowed.words.end as usize;
        self.all.clear();
        self.all.extend(allowed.end.then(|| (Vocabulary::EOS, logits[Vocabulary::EOS as usize])));
        self.all.extend(allowed.words.clone().zip(logits[words].iter().copied()));
        if allowed.bans() {
            self.all.retain(|(word, _)| *word == Vocabulary::EOS || allowed.word(*word));
        }
        if let Some(k) = by.top_k.filter(|k| *k < self.all.len()) {
            self.all.select_nth_unstable_by(k, order);
            self.all.truncate(k);
        }
        let top = f64::from(self.all.iter().fold(f32::NEG_INFINITY, |top, (_, logit)| top.max(*logit)));
        let weight = |(_, logit): &(u32, f32)| ((f64::from(*logit) - top) / by.temperature).exp();
        if let Some(p) = by.top_p.filter(|p| *p < 1.0) {
            let sum: f64 = self.all.iter().map(weight).sum();
            self.nucleus(p * sum, weight);
        } else if by.top_k.is_some() {
            self.all.sort_unstable_by(order);
        }
        self.weights.clear();
        self.weights.extend(self.all.iter().map(weight));
    }

    /// Leaves the fewest likeliest words that weigh `share` together. Only as many are sorted as are needed, doubled.
    fn nucleus(&mut self, share: f64, weight: impl Fn(&(u32, f32)) -> f64) {
        let (mut sorted, mut sum) = (0, 0.0);
        while sorted < self.all.len() {
            let next = (2 * sorted).max(32).min(self.all.len());
            if next < self.all.len() {
                self.all[sorted..].select_nth_unstable_by(next - sorted, order);
            }
            self.all[sorted..next].sort_unstable_by(order);
            for at in sorted..next {
                sum += weight(&self.all[at]);
                if sum >= share {
                    self.all.truncate(at + 1);
                    return;
                }
            }
            sorted = next;
        }
    }
}

/// Likeliest first; of equals the first word.
fn order(a: &(u32, f32), b: &(u32, f32)) -> Ordering {
    b.1.total_cmp(&a.1).then(a.0.cmp(&b.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const VOCAB: usize = 80;

    fn logits() -> Vec<f32> {
        (0..VOCAB).map(|i| ((i * 37 % 101) as f32 / 9.0 + i as f32 * 0.9).sin() * 3.0).collect()
    }

    /// Exact chances of all words, by the definitions: sort all, cut, normalise.
    fn chances(logits: &[f32], allowed: &Allowed, by: &Sampling) -> Vec<f64> {
        let may = |word: u32| match word {
            Vocabulary::EOS => allowed.end,
            _ => allowed.words.contains(&word) && allowed.word(word),
        };
        let mut all: Vec<(u32, f64)> = (0..logits.len() as u32)
            .filter(|word| may(*word))
            .map(|word| (word, (f64::from(logits[word as usize]) / by.temperature).exp()))
            .collect();
        all.sort_by(|a, b| b.1.total_cmp(&a.1));
        all.truncate(by.top_k.unwrap_or(usize::MAX));
        let sum: f64 = all.iter().map(|word| word.1).sum();
        let mut before = 0.0;
        all.retain(|word| {
            let within = before < by.top_p.unwrap_or(1.0);
            before += word.1 / sum;
            within
        });
        let sum: f64 = all.iter().map(|word| word.1).sum();
        let mut chances = vec![0.0; logits.len()];
        all.iter().for_each(|(word, weight)| chances[*word as usize] = weight / sum);
        chances
    }

    fn cases() -> Vec<(Sampling, Allowed)> {
        let plain = Sampling::default();
        let open = Allowed::after(&[5], &Decoding::default(), VOCAB);
        let start = Allowed::after(&[], &Decoding::default(), VOCAB);
        let blocked = Decoding { no_repeat_ngram: Some(1), ..Decoding::default() };
        vec![
            (plain, open.clone()),
            (Sampling { temperature: 0.5, ..plain }, start.clone()),
            (Sampling { top_k: Some(6), ..plain }, open.clone()),
            (Sampling { top_p: Some(0.6), ..plain }, open.clone()),
            (Sampling { top_p: Some(0.97), temperature: 3.0, ..plain }, start),
            (Sampling { top_k: Some(40), top_p: Some(0.9), temperature: 1.5, ..plain }, open),
            (Sampling { top_p: Some(0.9), ..plain }, Allowed::after(&[4, 9, 40], &blocked, VOCAB)),
        ]
    }

    #[test]
    fn what_may_be_drawn_has_its_exact_chance() {
        let (logits, mut words) = (logits(), Words::default());
        for (by, allowed) in cases() {
            words.narrow(&logits, &allowed, &by);
            let sum: f64 = words.weights.iter().sum();
            let mut found = vec![0.0; VOCAB];
            for ((word, _), weight) in words.all.iter().zip(&words.weights) {
                found[*word as usize] = weight / sum;
            }
            for (word, exact) in chances(&logits, &allowed, &by).iter().enumerate() {
                assert!((found[word] - exact).abs() < 1e-12, "{by:?} {word}: {} {exact}", found[word]);
            }
        }
    }

    #[test]
    fn draws_follow_the_chances() {
        const DRAWS: usize = 40_000;
        let (logits, mut words) = (logits(), Words::default());
        for (by, allowed) in cases() {
            let (mut rng, mut counts) = (ChaCha8Rng::seed_from_u64(3), vec![0usize; VOCAB]);
            for _ in 0..DRAWS {
                counts[words.draw(&logits, &allowed, &by, &mut rng) as usize] += 1;
            }
            let (mut chi, mut kinds) = (0.0, 0.0);
            for (count, chance) in counts.iter().zip(chances(&logits, &allowed, &by)) {
                assert!(chance > 0.0 || *count == 0, "{by:?}: never drawn");
                if chance > 0.0 {
                    let expected = chance * DRAWS as f64;
                    chi += (*count as f64 - expected).powi(2) / expected;
                    kinds += 1.0;
                }
            }
            // Mean and deviation of chi-square with one degree of freedom less than kinds.
            let beyond = (chi - (kinds - 1.0)) / (2.0f64 * (kinds - 1.0)).sqrt();
            assert!(kinds > 1.0 && beyond.abs() < 3.0, "{by:?}: chi-square {chi} of {kinds} words");
        }
    }

    #[test]
    fn a_low_temperature_is_greedy_also_where_the_likeliest_is_banned() {
        let blocked = Decoding { no_repeat_ngram: Some(1), ..Decoding::default() };
        let mut logits = logits();
        (logits[40], logits[12]) = (60.0, 8.0);
        let allowed = Allowed::after(&[40], &blocked, VOCAB);
        let by = Sampling { temperature: 0.01, ..Sampling::default() };
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for _ in 0..20 {
            assert_eq!(Words::default().draw(&logits, &allowed, &by, &mut rng), 12);
        }
    }
}
