//! Self-critical sequence training: captions that the model samples itself, rewarded by CIDEr-D.
//!
//! For each image several captions are sampled word by word. A caption's advantage is its CIDEr-D against the image's
//! references minus the mean CIDEr-D of the image's other samples, and the step follows the gradient of
//! `-Σ advantage · log p(word)` over the words (Rennie et al. 2017, arXiv 1612.00563; with the mean of the other samples
//! in place of a greedy caption as Luo 2020, arXiv 2003.09971, which needs no second decoding). END is a word of sample
//! and reference alike: without it captions that break off in the middle are not punished. Sampling and training see the
//! same network, without dropout and with the encoder's running statistics, so that each step is on its own policy.

use crate::decode::sample;
use crate::decoder::{self, CaptionBatch};
use crate::error::TrainError;
use crate::math::Dropout;
use crate::network::{Input, Network, Step};
use capwright_caption_data::Vocabulary;
use capwright_caption_metrics::Cider;
use capwright_contract::Sampling;

/// Factor on the recipe's learning rate: policies are spoilt by steps that cross entropy bears.
pub const RATE: f64 = 0.1;

/// Captions sampled for each image.
const SAMPLES: usize = 5;

/// Rewards of captions of the training images.
pub struct Critic {
    cider: Cider,
    max_words: usize,
}

/// A step with what it was taken for.
pub struct Rewarded {
    /// Loss and gradients. The loss has no meaning of its own.
    pub step: Step,
    /// Mean CIDEr-D of the samples, in 0..=10, END counted as a word.
    pub reward: f64,
}

impl Critic {
    /// Rewards against encoded references, one list an image; captions have at most `max_words` words.
    ///
    /// # Errors
    /// [`TrainError::Spec`] where an image has no reference.
    pub fn new(references: &[Vec<Vec<u32>>], max_words: usize) -> Result<Self, TrainError> {
        let all: Vec<Vec<Vec<u32>>> = references
            .iter()
            .map(|own| own.iter().map(|words| ended(words)).collect())
            .map(|own: Vec<_>| if own.is_empty() { vec![ended(&[])] } else { own })
            .collect();
        let cider = Cider::new(&all).map_err(|e| TrainError::Spec(format!("no rewards: {e}")))?;
        Ok(Self { cider, max_words })
    }

    /// CIDEr-D of a sample of an image; one of the longest length was broken off and has no END.
    fn reward(&self, image: usize, words: &[u32]) -> f64 {
        let whole = if words.len() < self.max_words { ended(words) } else { words.to_vec() };
        self.cider.score(image, &whole).cider_d
    }

    /// Samples of one image with their advantages, and the sum of their rewards.
    fn judge(&self, image: usize, samples: Vec<Vec<u32>>) -> (Vec<(Vec<u32>, f32)>, f64) {
        let rewards: Vec<f64> = samples.iter().map(|words| self.reward(image, words)).collect();
        let total: f64 = rewards.iter().sum();
        let others = (samples.len() - 1).max(1) as f64;
        let advantage = |reward: f64| (reward - (total - reward) / others) as f32;
        (samples.into_iter().zip(rewards).map(|(words, reward)| (words, advantage(reward))).collect(), total)
    }
}

fn ended(words: &[u32]) -> Vec<u32> {
    words.iter().copied().chain([Vocabulary::EOS]).collect()
}

impl Network {
    /// Gradients of one batch; `images` are places among the critic's images, in the order of the input. What is drawn
    /// for an image depends on seed, epoch and its place.
    pub fn self_critical_step(
        &mut self,
        input: Input,
        images: &[usize],
        critic: &Critic,
        (seed, epoch): (u64, u32),
    ) -> Rewarded {
        let memory = self.memory(input, false, &mut Dropout::off());
        let host = memory.clone().inner().into_data();
        let (spec, params) = (&self.design().decoder, &self.params);
        let sampling = Sampling { seed, ..Sampling::default() };
        let streams: Vec<u64> = images.iter().map(|i| (u64::from(epoch) << 32) + *i as u64).collect();
        let drawn = sample(spec, params, host.clone(), SAMPLES, sampling, critic.max_words, &streams);
        let (mut judged, mut total) = (Vec::with_capacity(images.len()), 0.0);
        for (image, samples) in images.iter().zip(drawn) {
            let (samples, rewards) = critic.judge(*image, samples);
            judged.push(samples);
            total += rewards;
        }
        let batch = CaptionBatch::sampled(&judged, critic.max_words);
        let outcome = decoder::train(spec, params, host, &batch, 0.0, &mut Dropout::off());
        let reward = total / (SAMPLES * images.len()).max(1) as f64;
        Rewarded { step: self.into_encoder(memory, outcome), reward }
    }
}
