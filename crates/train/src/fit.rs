//! One epoch of training and one of validation.

use crate::decoder::CaptionBatch;
use crate::error::TrainError;
use crate::learner::Learner;
use crate::network::{Input, Network, Step};
use crate::params::Grads;
use crate::self_critical::{Critic, RATE};
use crate::source::Source;
use crate::teaching::Teaching;
use capwright_blueprint::language::{Augment, Recipe, Schedule};
use capwright_caption_data::Vocabulary;
use capwright_contract::Decoding;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use std::ops::Range;
use std::time::{Duration, Instant};

/// Images decoded at once.
const DECODED: usize = 32;

/// Learning rate after `step` of `total` batches: linear warm-up, then the schedule.
pub fn learning_rate(recipe: &Recipe, step: u64, total: u64) -> f64 {
    const FLOOR: f64 = 0.02;
    let warm = (total * u64::from(recipe.warmup_pct.0)).div_ceil(100).max(1);
    if step < warm {
        return recipe.lr.0 * (step + 1) as f64 / warm as f64;
    }
    let done = (step - warm) as f64 / total.saturating_sub(warm + 1).max(1) as f64;
    let factor = match recipe.schedule {
        Schedule::Constant => 1.0,
        Schedule::Cosine => {
            FLOOR + (1.0 - FLOOR) * 0.5 * (1.0 + (std::f64::consts::PI * done.min(1.0)).cos())
        }
        Schedule::Linear => 1.0 - (1.0 - FLOOR) * done.min(1.0),
    };
    recipe.lr.0 * factor
}

/// Batches of an epoch: the images in an order drawn from seed and epoch. A last batch of a single image joins the
/// one before it, because batch norm needs more than one.
pub fn batches(images: usize, size: usize, seed: u64, epoch: u32) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..images).collect();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(u64::from(epoch) << 32);
    order.shuffle(&mut rng);
    let mut all: Vec<Vec<usize>> = order.chunks(size.max(1)).map(<[usize]>::to_vec).collect();
    if all.len() > 1 && all.last().is_some_and(|b| b.len() == 1) {
        let last = all.pop().unwrap_or_default();
        all.last_mut().into_iter().for_each(|batch| batch.extend(&last));
    }
    all
}

/// What training needs beside the network.
pub struct Lesson<'a> {
    /// Inputs of all images.
    pub source: &'a Source,
    /// Encoded references of the training images, which come first in the source.
    pub references: &'a [Vec<Vec<u32>>],
    /// Whether a training image is never mirrored, because a reference names a side; empty where none is varied.
    pub sides: &'a [bool],
    /// Recipe of the design.
    pub recipe: &'a Recipe,
    /// Seed of order, dropout, and everything else that is drawn.
    pub seed: u64,
    /// Epochs of this kind of training that are planned, behind those of teacher forcing where it is self-critical: they decide
    /// the schedule.
    pub epochs: Range<u32>,
    /// Who rewards the model's own captions; none in teacher forcing.
    pub critic: Option<&'a Critic>,
}

/// Parts of the time of an epoch of training; the rest is forward.
#[derive(Debug, Clone, Copy, Default)]
pub struct Times {
    /// Reading and preparing inputs.
    pub input: Duration,
    /// Sampling captions.
    pub sampling: Duration,
    /// Backward passes, from the gradient that the vocabulary layer hands on.
    pub backward: Duration,
    /// Steps of the optimiser.
    pub update: Duration,
}

/// Means over an epoch.
pub struct EpochLoss {
    /// Loss per word in nats.
    pub loss: f64,
    /// Gradient norm before clipping.
    pub grad_norm: f64,
    /// Words trained on.
    pub words: u64,
    /// Mean CIDEr-D of the model's samples, where they were rewarded.
    pub reward: Option<f64>,
    /// Learning rate of the last step.
    pub rate: f64,
    /// Where the time went.
    pub time: Times,
}

impl Lesson<'_> {
    /// What the network reads for some training images.
    fn input(&self, images: &[usize], network: &Network, epoch: u32) -> Input {
        let (tokens, device) = (network.reads_tokens(), network.reader());
        if self.recipe.augment == Augment::None {
            return self.source.input(images, tokens, &device);
        }
        self.source.varied(images, self.sides, self.recipe.augment, (self.seed, epoch), tokens, &device)
    }
}

/// A batch of training.
#[derive(Clone, Copy)]
struct At {
    epoch: u32,
    /// Batches of this kind of training before it.
    done: u64,
    /// Batches of this kind that are planned.
    total: u64,
}

/// Sums over the batches and steps of an epoch.
#[derive(Default)]
struct Sums {
    loss: f64,
    norms: f64,
    steps: u64,
    words: u64,
    rewards: f64,
    /// Images whose samples were rewarded.
    rewarded: usize,
    rate: f64,
    time: Times,
}

impl Sums {
    /// Adds a batch by the mean over the samples of its images, of which each has as many.
    fn reward(&mut self, mean: f64, images: usize) {
        self.rewards += mean * images as f64;
        self.rewarded += images;
    }

    /// Mean over all samples: batches are not all of one size.
    fn mean_reward(&self) -> f64 {
        self.rewards / self.rewarded.max(1) as f64
    }
}

impl Lesson<'_> {
    /// Gradients of one batch; none where no image has a reference.
    fn step(
        &self,
        network: &mut Network,
        input: Input,
        images: &[usize],
        teaching: &mut Teaching,
        at: At,
        sums: &mut Sums,
    ) -> Option<Step> {
        if let Some(critic) = self.critic {
            let draw = (self.seed, at.epoch);
            let rewarded = network.self_critical_step(input, images, critic, draw, teaching);
            sums.reward(rewarded.reward, images.len());
            sums.time.sampling += rewarded.sampling;
            return Some(rewarded.step);
        }
        let references: Vec<Vec<Vec<u32>>> = images.iter().map(|i| self.references[*i].clone()).collect();
        let batch = CaptionBatch::new(&references);
        if batch.rows.is_empty() {
            return None;
        }
        teaching.at_step(self.recipe, at.done, at.total);
        Some(network.step(input, &batch, teaching))
    }

    fn rate(&self, at: At) -> f64 {
        let factor = if self.critic.is_some() { RATE } else { 1.0 };
        factor * learning_rate(self.recipe, at.done, at.total)
    }
}

/// One epoch (from 1) over all training images; `tell` hears batches done, batches in all and the last loss.
///
/// # Errors
/// [`TrainError::Diverged`] at once where loss or gradients are not finite.
pub fn train_epoch(
    learner: &mut Learner,
    lesson: &Lesson<'_>,
    epoch: u32,
    tell: &mut dyn FnMut(usize, usize, f64),
) -> Result<EpochLoss, TrainError> {
    let (recipe, seed) = (lesson.recipe, lesson.seed);
    let all = batches(lesson.references.len(), recipe.batch.0 as usize, seed, epoch);
    let steps = |epochs: u32| all.len() as u64 * u64::from(epochs);
    let total = steps(lesson.epochs.end - lesson.epochs.start);
    let mut teaching = Teaching::of_epoch(recipe, seed, epoch);
    let (mut sums, mut gathered) = (Sums::default(), Gathered::default());
    for (i, images) in all.iter().enumerate() {
        let diverged = |what| TrainError::Diverged { epoch, batch: i + 1, what };
        let at = At { epoch, done: steps(epoch - 1 - lesson.epochs.start) + i as u64, total };
        let start = Instant::now();
        let input = lesson.input(images, &learner.network, epoch);
        sums.time.input += start.elapsed();
        if let Some(step) = lesson.step(&mut learner.network, input, images, &mut teaching, at, &mut sums) {
            if !step.loss.is_finite() {
                return Err(diverged("the loss"));
            }
            sums.time.backward += step.backward;
            sums.loss += step.loss;
            sums.words += step.words as u64;
            tell(i + 1, all.len(), step.loss / step.words as f64);
            gathered.add(step);
        }
        let whole = (i + 1) % recipe.accumulate.0 as usize == 0 || i + 1 == all.len();
        if let Some(grads) = whole.then(|| gathered.take()).flatten() {
            let start = Instant::now();
            sums.rate = lesson.rate(at);
            let norm = learner.step(&grads, sums.rate);
            sums.time.update += start.elapsed();
            if !norm.is_finite() {
                return Err(diverged("the gradient norm"));
            }
            sums.norms += norm;
            sums.steps += 1;
        }
    }
    Ok(EpochLoss {
        loss: sums.loss / sums.words.max(1) as f64,
        grad_norm: sums.norms / sums.steps.max(1) as f64,
        words: sums.words,
        reward: lesson.critic.map(|_| sums.mean_reward()),
        rate: sums.rate,
        time: sums.time,
    })
}

/// Gradients of the batches that make one step together: their mean over all words.
#[derive(Default)]
struct Gathered {
    mean: Option<Grads>,
    words: usize,
}

impl Gathered {
    fn add(&mut self, step: Step) {
        self.words += step.words;
        match &mut self.mean {
            Some(mean) => mean.follow(&step.grads, step.words as f32 / self.words.max(1) as f32),
            none => *none = Some(step.grads),
        }
    }

    /// What was gathered; none where no batch had a word.
    fn take(&mut self) -> Option<Grads> {
        self.words = 0;
        self.mean.take()
    }
}

/// Captions of images of the source, by their places; `network` must record no gradients.
pub fn captions(
    network: &mut Network,
    source: &Source,
    images: &[usize],
    vocabulary: &Vocabulary,
    decoding: Decoding,
) -> Vec<String> {
    let mut all = Vec::with_capacity(images.len());
    for part in images.chunks(DECODED) {
        let input = source.input(part, network.reads_tokens(), &network.reader());
        all.extend(network.decode(input, decoding).iter().map(|words| vocabulary.decode(words)));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use burn::tensor::{Device, Tensor, TensorData};
    use capwright_blueprint::language::WarmUp;

    /// Captions of different lengths: the mean is over words, not over batches.
    #[test]
    fn gathered_gradients_are_those_of_one_batch() {
        let design = testing::design_over_tokens();
        let mut network = Network::new(&design, 1, &Device::flex().autodiff());
        let device = network.params.device().clone();
        let (cells, channels) = (design.bridge.input.h * design.bridge.input.w, design.bridge.input.c);
        let values: Vec<f32> = (0..3 * cells * channels).map(|i| (i as f32 * 0.7).sin()).collect();
        let tokens = Tensor::<3>::from_data(TensorData::new(values, [3, cells, channels]), &device);
        let captions = [vec![vec![4, 9, 5, 4], vec![6]], vec![vec![7, 6]], vec![vec![8]]];
        let mut step = |images: Range<usize>| {
            let input = Input::Tokens(tokens.clone().slice(images.clone()));
            let batch = CaptionBatch::new(&captions[images]);
            network.step(input, &batch, &mut Teaching::plain(0.0, crate::Dropout::off()))
        };
        let whole = step(0..3).grads;
        let mut gathered = Gathered::default();
        [0..2, 2..3].into_iter().for_each(|images| gathered.add(step(images)));
        let found = gathered.take().unwrap();
        assert!(gathered.take().is_none());
        for (found, wanted) in found.0.iter().flatten().zip(whole.0.iter().flatten()) {
            assert!(wanted.iter().any(|g| *g != 0.0));
            assert!(found.iter().zip(wanted).all(|(f, w)| (f - w).abs() < 1e-6));
        }
    }

    /// The last batch has fewer images, or one more.
    #[test]
    fn every_sample_counts_once_in_the_reward() {
        let mut sums = Sums::default();
        assert_eq!(sums.mean_reward(), 0.0);
        for (mean, images) in [(1.0, 4), (0.5, 4), (3.0, 2)] {
            sums.reward(mean, images);
        }
        assert_eq!(sums.mean_reward(), (4.0 + 2.0 + 6.0) / 10.0);
    }

    #[test]
    fn learning_rate_warms_up_and_falls_to_two_percent() {
        for (schedule, last) in
            [(Schedule::Constant, 1.0), (Schedule::Cosine, 0.02), (Schedule::Linear, 0.02)]
        {
            let recipe = Recipe { schedule, ..testing::recipe() };
            let rate = |step| learning_rate(&recipe, step, 1000) / 0.001;
            assert!((rate(0) - 1.0 / 30.0).abs() < 1e-9 && (rate(29) - 1.0).abs() < 1e-9);
            assert!((rate(30) - 1.0).abs() < 1e-3, "{schedule:?}");
            assert!((rate(999) - last).abs() < 1e-6, "{schedule:?} {}", rate(999));
        }
    }

    #[test]
    fn the_warm_up_has_its_share_of_the_steps() {
        for (percent, steps) in [(0, 1), (1, 10), (20, 200)] {
            let recipe = Recipe { warmup_pct: WarmUp(percent), ..testing::recipe() };
            let rate = |step| learning_rate(&recipe, step, 1000) / 0.001;
            assert!((rate(0) - 1.0 / steps as f64).abs() < 1e-9 && (rate(steps - 1) - 1.0).abs() < 1e-9);
            assert_eq!(rate(steps), 1.0);
        }
    }

    #[test]
    fn each_epoch_sees_every_image_once_in_its_own_order() {
        let first = batches(17, 4, 3, 1);
        assert_eq!(first.iter().map(Vec::len).collect::<Vec<_>>(), [4, 4, 4, 5]);
        let mut seen = first.concat();
        seen.sort_unstable();
        assert_eq!(seen, (0..17).collect::<Vec<_>>());
        assert_eq!(first, batches(17, 4, 3, 1));
        assert_ne!(first, batches(17, 4, 3, 2));
        assert_ne!(first, batches(17, 4, 4, 1));
    }
}
