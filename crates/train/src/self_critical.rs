//! Self-critical sequence training: captions that the model samples itself, rewarded by CIDEr-D.
//!
//! For each image several captions are sampled word by word. A caption's advantage is its CIDEr-D against the image's
//! references minus the mean CIDEr-D of the image's other samples, and the step follows the gradient of
//! `-Σ advantage · log p(word)` over the words (Rennie et al. 2017, arXiv 1612.00563; with the mean of the other samples
//! in place of a greedy caption as Luo 2020, arXiv 2003.09971, which needs no second decoding). END is a word of sample
//! and reference alike: without it captions that break off in the middle are not punished. Where the network says pieces of
//! words, the words that they make are rewarded, as they are scored: over pieces one long word would count as several that agree.
//!
//! Two things differ from the papers, because a few thousand images are soon known by heart (docs/results.md has the runs):
//!
//! - The policy is `softmax(logits / temperature)` at temperature 0.5, in sampling, in the gradient, and from then on in all
//!   that the network says: it is a part of its weights. At 1 most samples of a network from teacher forcing are much worse
//!   than what it says greedily, and the first thing learned is to be brief and general, which costs more than it brings.
//!   A beam search that ranked hypotheses at 1 would not go by the probabilities that were trained.
//! - The whole decoder samples, and the gradient passes through its dropout; that of the bridge is the same for both.
//!   The encoder keeps its running statistics, and its values for as long as the recipe freezes it.

use crate::decode::sample;
use crate::decoder::{self, CaptionBatch};
use crate::error::TrainError;
use crate::network::{Input, Network, Step};
use crate::teaching::Teaching;
use crate::trunk::Mode;
use capwright_caption_data::Vocabulary;
use capwright_caption_metrics::{Cider, segment, tokenize};
use capwright_contract::Sampling;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Factor on the recipe's learning rate, whose schedule begins anew: policies are spoilt by steps that cross entropy bears.
pub const RATE: f64 = 0.1;

/// Temperature of the policy.
pub const TEMPERATURE: f32 = 0.5;

/// Captions sampled for each image.
const SAMPLES: usize = 5;

/// Rewards of captions of the training images.
pub struct Critic {
    cider: Cider,
    /// None where the ids are of whole words.
    words: Option<Words>,
    max_words: usize,
}

/// Words that pieces make, as numbers.
struct Words {
    vocabulary: Vocabulary,
    /// Those of the references.
    numbers: HashMap<String, u32>,
}

/// A step with what it was taken for.
pub struct Rewarded {
    /// Loss and gradients. The loss has no meaning of its own.
    pub step: Step,
    /// Mean CIDEr-D of the samples, in 0..=10, END counted as a word.
    pub reward: f64,
    /// Time of sampling.
    pub sampling: Duration,
}

impl Critic {
    /// Rewards against references that `vocabulary` has encoded, one list an image; captions have at most `max_words` of its ids.
    ///
    /// # Errors
    /// [`TrainError::Spec`] where an image has no reference.
    pub fn new(
        references: &[Vec<Vec<u32>>],
        vocabulary: &Vocabulary,
        max_words: usize,
    ) -> Result<Self, TrainError> {
        let mut words = vocabulary.is_of_pieces().then(|| Words::new(vocabulary));
        let mut whole = |ids: &Vec<u32>| match &mut words {
            Some(words) => ended(&words.learn(ids)),
            None => ended(ids),
        };
        let all: Vec<Vec<Vec<u32>>> = references
            .iter()
            .map(|own| own.iter().map(&mut whole).collect())
            .map(|own: Vec<_>| if own.is_empty() { vec![ended(&[])] } else { own })
            .collect();
        let cider = Cider::new(&all).map_err(|e| TrainError::Spec(format!("no rewards: {e}")))?;
        Ok(Self { cider, words, max_words })
    }

    /// CIDEr-D of a sample of an image; one of the longest length was broken off and has no END.
    fn reward(&self, image: usize, ids: &[u32]) -> f64 {
        let words = self.words.as_ref().map_or_else(|| ids.to_vec(), |words| words.read(ids));
        let whole = if ids.len() < self.max_words { ended(&words) } else { words };
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

impl Words {
    fn new(vocabulary: &Vocabulary) -> Self {
        Self { vocabulary: vocabulary.clone(), numbers: HashMap::new() }
    }

    /// Numbers of the words of a reference; new words get new numbers.
    fn learn(&mut self, ids: &[u32]) -> Vec<u32> {
        let numbers = &mut self.numbers;
        numbered(&self.vocabulary, ids, |word| {
            let next = FIRST + numbers.len() as u32;
            *numbers.entry(word).or_insert(next)
        })
    }

    /// Numbers of the words of a sample. Those that no reference has get numbers of this sample's own, each another.
    fn read(&self, ids: &[u32]) -> Vec<u32> {
        let mut new: HashMap<String, u32> = HashMap::new();
        numbered(&self.vocabulary, ids, |word| {
            let next = FIRST + (self.numbers.len() + new.len()) as u32;
            self.numbers.get(&word).copied().unwrap_or_else(|| *new.entry(word).or_insert(next))
        })
    }
}

/// Numbers below are those of special tokens.
const FIRST: u32 = Vocabulary::UNK + 1;

/// The words that ids make, numbered. What is unknown is a word of its own, which parts those beside it.
fn numbered(vocabulary: &Vocabulary, ids: &[u32], mut number: impl FnMut(String) -> u32) -> Vec<u32> {
    let mut all = Vec::with_capacity(ids.len());
    for (i, known) in ids.split(|id| *id == Vocabulary::UNK).enumerate() {
        all.extend((i > 0).then_some(Vocabulary::UNK));
        all.extend(tokenize(&segment(&vocabulary.decode(known))).into_iter().map(&mut number));
    }
    all
}

fn ended(words: &[u32]) -> Vec<u32> {
    words.iter().copied().chain([Vocabulary::EOS]).collect()
}

impl Network {
    /// Gradients of one batch; `images` are places among the critic's images, in the order of the input. What is drawn
    /// for an image depends on seed, epoch and its place. Of `teaching`, dropout and whether the encoder is frozen count here.
    pub fn self_critical_step(
        &mut self,
        input: Input,
        images: &[usize],
        critic: &Critic,
        (seed, epoch): (u64, u32),
        teaching: &mut Teaching,
    ) -> Rewarded {
        let mode = if teaching.encoder_frozen { Mode::Inference } else { Mode::Fixed };
        let memory = self.recorded(input, mode, &mut teaching.dropout);
        let host = memory.values();
        let (spec, params) = (&self.design().decoder, &self.params);
        let sampling = Sampling { seed, ..Sampling::default() };
        let streams: Vec<u64> = images.iter().map(|i| (u64::from(epoch) << 32) + *i as u64).collect();
        let start = Instant::now();
        let drawn = sample(spec, params, host.clone(), SAMPLES, sampling, critic.max_words, &streams);
        let sampling = start.elapsed();
        let (mut judged, mut total) = (Vec::with_capacity(images.len()), 0.0);
        for (image, samples) in images.iter().zip(drawn) {
            let (samples, rewards) = critic.judge(*image, samples);
            judged.push(samples);
            total += rewards;
        }
        let batch = CaptionBatch::sampled(&judged, critic.max_words);
        let outcome = decoder::train(spec, params, host, &batch, 0.0, &mut teaching.dropout);
        let reward = total / (SAMPLES * images.len()).max(1) as f64;
        Rewarded { step: self.carried_back(memory, outcome), reward, sampling }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decoder::Session;
    use crate::learner::Learner;
    use crate::math::Dropout;
    use crate::params::Params;
    use crate::testing;
    use burn::tensor::{Device, Tensor, TensorData};
    use capwright_blueprint::DecoderSpec;

    const VOCAB: usize = 9;
    const MOST: usize = 4;

    /// Ids of whole words are rewarded as they are.
    fn whole_words() -> Vocabulary {
        Vocabulary::build(["a dog"], 1)
    }

    fn samples() -> Vec<Vec<(Vec<u32>, f32)>> {
        vec![vec![(vec![4, 5], 0.7), (vec![6, 4, 8, 7], -0.4), (vec![5], -0.3)]]
    }

    /// `-Σ advantage · log p` over words that a sampler chose, from the logits of one step after the other.
    fn by_hand(spec: &DecoderSpec, params: &Params, memory: &TensorData) -> f64 {
        let mut sum = 0.0;
        for (words, advantage) in &samples()[0] {
            let mut session = Session::new(spec, params, memory.clone());
            let mut read = Vocabulary::BOS;
            for (t, said) in ended(words).into_iter().enumerate().take(MOST) {
                let logits = session.step(&[read]);
                let may = |w: usize| w > 3 || (w == Vocabulary::EOS as usize && t > 0);
                let total: f64 = (0..VOCAB).filter(|w| may(*w)).map(|w| f64::from(logits[w]).exp()).sum();
                sum -= f64::from(*advantage) * (f64::from(logits[said as usize]) - total.ln());
                read = said;
            }
        }
        sum
    }

    #[test]
    fn loss_and_gradient_are_those_of_the_sampled_words() {
        for spec in testing::families() {
            let (params, memory) = testing::decoder(&spec, VOCAB, MOST + 1, 3);
            let wanted = spec.parameters(testing::DIM, VOCAB, MOST + 1);
            let values: Vec<Vec<f32>> =
                params.tensors().map(|(.., v)| v.iter().map(|x| x / 3.0).collect()).collect();
            let shifted = |by: f32, direction: &[Vec<f32>]| {
                let moved = values
                    .iter()
                    .zip(direction)
                    .map(|(v, d)| v.iter().zip(d).map(|(x, d)| x + by * d).collect());
                let mut params = Params::from_values(&wanted, moved.collect(), &Device::flex().autodiff());
                params.set_temperature(TEMPERATURE);
                params
            };
            let still: Vec<Vec<f32>> = values.iter().map(|v| vec![0.0; v.len()]).collect();
            let params = shifted(0.0, &still);
            let batch = CaptionBatch::sampled(&samples(), MOST);
            let outcome = decoder::train(&spec, &params, memory.clone(), &batch, 0.0, &mut Dropout::off());
            let wanted_loss = by_hand(&spec, &params, &memory);
            assert!((outcome.loss - wanted_loss).abs() < 1e-3, "{spec:?}: {} {wanted_loss}", outcome.loss);
            let norm = outcome.grads.norm();
            let along: Vec<Vec<f32>> = (0..params.len())
                .map(|id| match outcome.grads.get(id) {
                    Some(gradient) => gradient.iter().map(|g| g / norm as f32).collect(),
                    None => still[id].clone(),
                })
                .collect();
            let step = 0.002;
            let at = |by| by_hand(&spec, &shifted(by, &along), &memory) / outcome.words as f64;
            let slope = (at(step) - at(-step)) / f64::from(2.0 * step);
            assert!((slope / norm - 1.0).abs() < 0.03, "{spec:?}: slope {slope}, norm {norm}");
        }
    }

    #[test]
    fn advantages_are_against_the_other_samples() {
        let references = vec![vec![vec![4, 5, 6], vec![4, 5]], vec![vec![7, 8]], vec![]];
        let critic = Critic::new(&references, &whole_words(), MOST).unwrap();
        let (judged, total) = critic.judge(0, vec![vec![4, 5, 6], vec![7, 8], vec![7, 7]]);
        let best = critic.reward(0, &[4, 5, 6]);
        assert!(best > 1.0 && (total - best).abs() < 1e-9, "{best} {total}");
        let advantages: Vec<f32> = judged.iter().map(|(_, a)| *a).collect();
        let expected = [best, -best / 2.0, -best / 2.0];
        assert!(
            advantages.iter().zip(expected).all(|(a, e)| (f64::from(*a) - e).abs() < 1e-6),
            "{advantages:?}"
        );
        assert!(
            critic.reward(0, &[4, 5, 6]) > critic.reward(0, &[4, 5, 6, 4]),
            "what is broken off has no END"
        );
        assert_eq!(critic.reward(2, &[4]), 0.0);
    }

    /// A critic of pieces rewards a caption as one of the same words as whole ids.
    #[test]
    fn pieces_are_rewarded_as_the_words_that_they_make() {
        let captions = [["newest boat at low tide", "a newest boat"], ["widest dog", "the lowest dog runs"]];
        let (all, most) = (captions.concat(), 40);
        let vocabularies =
            [Vocabulary::build(&all, 1), Vocabulary::build_pieces(all.iter().flat_map(|c| [c, c]), 28)];
        let critics = vocabularies.each_ref().map(|vocabulary| {
            let encoded = captions.map(|own| own.map(|caption| vocabulary.encode(caption, most)).to_vec());
            Critic::new(&encoded, vocabulary, most).unwrap()
        });
        let [words, pieces] = &vocabularies;
        assert!(pieces.encode("newest boat", most).len() > words.encode("newest boat", most).len());
        let mut least = f64::INFINITY;
        for said in [["a newest boat", "newest boat at low tide"], ["lowest dog", "the widest dog runs"]] {
            for (image, caption) in said.into_iter().enumerate() {
                let rewards =
                    [0, 1].map(|i| critics[i].reward(image, &vocabularies[i].encode(caption, most)));
                assert!((rewards[0] - rewards[1]).abs() < 1e-9, "{caption}: {rewards:?}");
                least = least.min(rewards[0]);
            }
        }
        assert_eq!(least, 0.0, "words of the other image bring nothing");
        // A word that no reference has, of pieces that they have.
        assert!(!pieces.encode("tow", most).contains(&Vocabulary::UNK));
        let [known, strange] = ["a boat", "a tow"].map(|c| critics[1].reward(0, &pieces.encode(c, most)));
        assert!(known > strange && strange > 0.0, "{known} {strange}");
        let unknown = [pieces.encode("a", most), vec![Vocabulary::UNK], pieces.encode("boat", most)].concat();
        assert!(critics[1].reward(0, &unknown) < known, "what is unknown parts its neighbours");
    }

    #[test]
    fn a_frozen_encoder_has_no_gradients() {
        let critic = Critic::new(&[vec![vec![4, 5, 6]]], &whole_words(), 5).unwrap();
        let mut network = Network::new(&testing::design(), 1, &Device::flex().autodiff());
        for frozen in [true, false] {
            let mut teaching = Teaching::plain(0.0, Dropout::off());
            teaching.encoder_frozen = frozen;
            let values: Vec<f32> = (0..3 * 32 * 32).map(|i| (i as f32 * 0.7).sin()).collect();
            let data = TensorData::new(values, [1, 3, 32, 32]);
            let input = Input::Map(Tensor::from_data(data, network.params.device()));
            let grads = network.self_critical_step(input, &[0], &critic, (1, 1), &mut teaching).step.grads;
            let names = network.params.tensors().map(|(name, ..)| name).enumerate();
            for (id, name) in names.filter(|(_, name)| name.starts_with("encoder.")) {
                assert_eq!(grads.get(id).is_none(), frozen, "{name}");
            }
        }
    }

    #[test]
    fn the_reward_rises() {
        let references = vec![vec![vec![4, 5, 6]], vec![vec![7, 8]]];
        let critic = Critic::new(&references, &whole_words(), 5).unwrap();
        let device = Device::flex().autodiff();
        let mut learner = Learner::new(&testing::design(), &testing::recipe(), 1, &device);
        learner.network.params.set_temperature(TEMPERATURE);
        let values: Vec<f32> =
            (0..2 * 3 * 32 * 32).map(|i| (i as f32 * 0.7 + (i / 3072) as f32).sin()).collect();
        let mut rewards = Vec::new();
        for epoch in 0..300 {
            let input =
                Input::Map(Tensor::from_data(TensorData::new(values.clone(), [2, 3, 32, 32]), &device));
            let mut teaching = Teaching::plain(0.0, Dropout::seeded(1, epoch));
            let rewarded =
                learner.network.self_critical_step(input, &[0, 1], &critic, (1, epoch), &mut teaching);
            learner.step(&rewarded.step.grads, 0.002);
            rewards.push(rewarded.reward);
        }
        let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
        let (before, after) = (mean(&rewards[..10]), mean(&rewards[290..]));
        assert!(after > before + 1.0, "{before} {after}");
    }
}
