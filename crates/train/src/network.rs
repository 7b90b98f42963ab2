//! A design with its values: encoder trunk, bridge and decoder as one network.

use crate::bridge::{PROJECTION, bridge_tokens, gathered, projected};
use crate::decode::decode;
use crate::decoder::{self, CaptionBatch, Outcome};
use crate::error::TrainError;
use crate::math::{self, Dropout};
use crate::params::{Grads, Params, host};
use crate::store;
use crate::teaching::Teaching;
use crate::trunk::{self, Mode, Pass, Stats};
use crate::vision::{Weights, WeightsError};
use burn::tensor::{Device, Tensor, TensorData};
use capwright_blueprint::{Design, Param, TUNED};
use capwright_contract::Decoding;
use std::path::Path;
use std::time::{Duration, Instant};

/// What a network reads for a batch of images.
pub enum Input {
    /// Frozen features in token order, `[images, cells, channels]`, for designs without a trained trunk.
    Tokens(Tensor<3>),
    /// Feature maps or images, `[images, channels, height, width]`.
    Map(Tensor<4>),
}

/// A network of a design.
pub struct Network {
    design: Design,
    /// Learned values.
    pub params: Params,
    /// Running statistics of the trunk's batch norms.
    pub stats: Stats,
}

/// What a training step gives.
pub struct Step {
    /// Sum of the cross entropy over all words, in nats.
    pub loss: f64,
    /// Words said, ENDs included.
    pub words: usize,
    /// Gradients of the mean loss per word.
    pub grads: Grads,
    /// Time of the backward pass, from the gradient that the vocabulary layer hands on.
    pub backward: Duration,
}

/// Memory of a batch, on its way into a decoder that hands its gradient back.
pub(crate) struct Recorded {
    memory: Tensor<3>,
    before: Before,
}

/// What comes before autodiff, which knows the bridge alone: its way back begins at the gradient of what the bridge was given.
enum Before {
    /// Nothing that autodiff does not know.
    Nothing,
    /// The bridge's first layer, where it reads frozen features: what it read, and what it gave.
    Projection(Vec<f32>, Tensor<2>),
    /// The trunk, and what it gave.
    Trunk(Box<Pass>, Tensor<3>),
}

impl Recorded {
    /// The values of the memory.
    pub fn values(&self) -> TensorData {
        self.memory.clone().inner().into_data()
    }
}

impl Network {
    /// A network with first values drawn from `seed`.
    pub fn new(design: &Design, seed: u64, device: &Device) -> Self {
        let params = Params::init(&design.trainable(), seed, device);
        Self { design: design.clone(), params, stats: Stats::new(&design.trunk) }
    }

    /// A network with given values and running statistics of 0 and 1.
    pub(crate) fn with_params(design: &Design, params: Params) -> Self {
        Self { design: design.clone(), params, stats: Stats::new(&design.trunk) }
    }

    /// A network from a file that [`Network::save`] has written.
    ///
    /// # Errors
    /// A missing file, or one of another design.
    pub fn load(path: &Path, design: &Design, device: &Device) -> Result<Self, TrainError> {
        let params = Params::load(path, "", &design.trainable(), device)?;
        let buffers: Vec<Param> = design.trunk.buffers();
        let stats = Stats::from_values(&buffers, store::read(path, &buffers)?);
        Ok(Self { design: design.clone(), params, stats })
    }

    /// Writes learned values and running statistics as safetensors.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), TrainError> {
        store::write(path, self.params.saved().chain(self.stats.tensors()))
    }

    /// Gives the trained part of a backbone the values and statistics that it was pretrained with.
    ///
    /// # Errors
    /// [`WeightsError::Mismatch`] with all that is missing or has another shape.
    pub fn start_from(&mut self, weights: &Weights) -> Result<(), WeightsError> {
        let (trunk, mut problems) = (&self.design.trunk, Vec::new());
        for param in trunk.parameters().into_iter().chain(trunk.buffers()) {
            let Some(name) = param.name.strip_prefix(TUNED) else { continue };
            let wanted = Param::new(name, &param.shape);
            match weights.fault(&wanted) {
                Some(problem) => problems.push(problem),
                None => {
                    let values = weights.get(name).map(|tensor| tensor.values.clone()).unwrap_or_default();
                    if self.params.has(&param.name) {
                        let id = self.params.id(&param.name);
                        *self.params.values_mut(id) = values;
                    } else {
                        self.stats.set(&param.name, values);
                    }
                }
            }
        }
        if problems.is_empty() { Ok(()) } else { Err(WeightsError::Mismatch { problems }) }
    }

    /// A copy that records no gradients, for decoding and scoring.
    pub fn inner(&self) -> Self {
        Self { design: self.design.clone(), params: self.params.inner(), stats: self.stats.clone() }
    }

    /// The design.
    pub fn design(&self) -> &Design {
        &self.design
    }

    /// Whether the network reads tokens: there is nothing to train between frozen features and bridge.
    pub fn reads_tokens(&self) -> bool {
        !self.design.frozen.is_empty() && self.design.trunk.nodes().len() == 1
    }

    /// The device that reads a batch: a trained trunk works on the processor.
    pub(crate) fn reader(&self) -> Device {
        if self.reads_tokens() { self.params.device().clone() } else { Device::flex() }
    }

    /// Memory `[images, tokens, dim]`, as in inference.
    pub fn memory(&self, input: Input, dropout: &mut Dropout) -> Tensor<3> {
        let tokens = match input {
            Input::Tokens(tokens) => tokens,
            Input::Map(map) => self.inferred(map),
        };
        bridge_tokens(&self.design.bridge, &self.params, tokens, dropout)
    }

    /// A batch through the trunk as in inference, which leaves the statistics as they are: its result as tokens.
    fn inferred(&self, map: Tensor<4>) -> Tensor<3> {
        let (images, mut stats) = (map.dims()[0], self.stats.clone());
        let pass = trunk::forward(&self.design.trunk, &self.params, &mut stats, &host(map), Mode::Inference);
        self.tokens(&pass, images)
    }

    /// The result of a pass as tokens.
    fn tokens(&self, pass: &Pass, images: usize) -> Tensor<3> {
        let (graph, shape) = (&self.design.trunk, self.design.trunk.output_shape());
        let tokens = TensorData::new(pass.tokens(graph), [images, shape.h * shape.w, shape.c]);
        Tensor::from_data(tokens, self.params.device())
    }

    /// [`Network::memory`] for [`Network::carried_back`]. A trunk in [`Mode::Inference`] has no gradients.
    pub(crate) fn recorded(&mut self, input: Input, mode: Mode, dropout: &mut Dropout) -> Recorded {
        match input {
            Input::Map(map) if mode == Mode::Inference => {
                Recorded { memory: self.memory(Input::Map(map), dropout), before: Before::Nothing }
            }
            Input::Map(map) => {
                let images = map.dims()[0];
                let pass =
                    trunk::forward(&self.design.trunk, &self.params, &mut self.stats, &host(map), mode);
                let tokens = self.tokens(&pass, images).require_grad();
                let memory = bridge_tokens(&self.design.bridge, &self.params, tokens.clone(), dropout);
                Recorded { memory, before: Before::Trunk(Box::new(pass), tokens) }
            }
            input @ Input::Tokens(_) if !self.params.on_processor() => {
                Recorded { memory: self.memory(input, dropout), before: Before::Nothing }
            }
            Input::Tokens(cells) => {
                let (spec, params) = (&self.design.bridge, &self.params);
                let read = host(gathered(spec, cells));
                let given = decoder::linear(params, PROJECTION, &read);
                let shape = [given.len() / spec.dim, spec.dim];
                let given = Tensor::from_data(TensorData::new(given, shape), params.device()).require_grad();
                let memory = projected(spec, params, given.clone(), dropout);
                Recorded { memory, before: Before::Projection(read, given) }
            }
        }
    }

    /// Loss and gradients of one batch. A frozen encoder has no gradients.
    pub fn step(&mut self, input: Input, batch: &CaptionBatch, teaching: &mut Teaching) -> Step {
        let mode = if teaching.encoder_frozen { Mode::Inference } else { Mode::Training };
        let memory = self.recorded(input, mode, &mut teaching.dropout);
        let host = memory.values();
        let (spec, params) = (&self.design.decoder, &self.params);
        let replaced = teaching.replaced(batch, || decoder::predict(spec, params, host.clone(), batch));
        let (batch, smoothing) = (replaced.as_ref().unwrap_or(batch), teaching.smoothing);
        let outcome = decoder::train(spec, params, host, batch, smoothing, &mut teaching.dropout);
        self.carried_back(memory, outcome)
    }

    /// The step that a decoder's outcome makes, with the gradients of all that `memory` was computed from.
    pub(crate) fn carried_back(&self, Recorded { memory, before }: Recorded, outcome: Outcome) -> Step {
        let (mut grads, start) = (outcome.grads, Instant::now());
        // The decoder's gradient of the memory is known: a loss with just that gradient carries it into autodiff.
        let back = TensorData::new(outcome.memory, memory.dims());
        let back = Tensor::<3>::from_data(back, self.params.device());
        let mut found = (memory * back).sum().backward();
        self.params.collect(&mut found, &mut grads);
        match before {
            Before::Nothing => {}
            Before::Projection(read, given) => {
                if let Some(gradient) = given.grad_remove(&mut found) {
                    decoder::weights_back(&self.params, PROJECTION, &read, &host(gradient), &mut grads);
                }
            }
            Before::Trunk(pass, tokens) => {
                if let Some(gradient) = tokens.grad_remove(&mut found) {
                    pass.backward(&self.design.trunk, &self.params, &host(gradient), &mut grads);
                }
            }
        }
        let backward = outcome.backward + start.elapsed();
        Step { loss: outcome.loss, words: outcome.words, grads, backward }
    }

    /// Moves values and running statistics towards those of another network of the design: `1 - keep` of the way.
    pub(crate) fn follow(&mut self, other: &Self, keep: f64) {
        let share = (1.0 - keep) as f32;
        for (id, (.., values)) in other.params.tensors().enumerate() {
            math::follow(self.params.values_mut(id), values, share);
        }
        self.stats.follow(&other.stats, share);
    }

    /// Takes values and running statistics of another network of the design.
    pub(crate) fn take(&mut self, other: &Self) {
        for (id, (.., values)) in other.params.tensors().enumerate() {
            self.params.values_mut(id).copy_from_slice(values);
        }
        self.params.set_temperature(other.params.temperature());
        self.stats = other.stats.clone();
    }

    /// Words of the best caption of each image, END left out.
    pub fn decode(&self, input: Input, decoding: Decoding) -> Vec<Vec<u32>> {
        let memory = self.memory(input, &mut Dropout::off()).into_data();
        decode(&self.design.decoder, &self.params, memory, decoding)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    fn input(device: &Device) -> Input {
        let values: Vec<f32> = (0..2 * 3 * 32 * 32).map(|i| (i as f32 * 0.7).sin()).collect();
        Input::Map(Tensor::from_data(TensorData::new(values, [2, 3, 32, 32]), device))
    }

    #[test]
    fn a_frozen_encoder_has_no_gradients_and_keeps_its_statistics() {
        let batch = CaptionBatch::new(&[vec![vec![4, 9, 5]], vec![vec![7, 6]]]);
        let mut network = Network::new(&testing::design(), 1, &Device::flex().autodiff());
        let before = network.stats.clone();
        let mut teaching = Teaching::plain(0.0, Dropout::off());
        teaching.encoder_frozen = true;
        let device = network.params.device().clone();
        let memory = network.inner().memory(input(&device), &mut Dropout::off()).into_data();
        let frozen = network.step(input(&device), &batch, &mut teaching);
        assert_eq!(network.stats, before);
        for (id, (name, ..)) in network.params.tensors().enumerate() {
            assert_eq!(frozen.grads.get(id).is_none(), name.starts_with("encoder."), "{name}");
        }
        let spec = &network.design.decoder;
        let alone = decoder::train(spec, &network.params, memory, &batch, 0.0, &mut Dropout::off());
        assert!((frozen.loss - alone.loss).abs() < 1e-5, "the statistics are those of inference");
        teaching.encoder_frozen = false;
        let trained = network.step(input(&device), &batch, &mut teaching);
        assert_ne!(network.stats, before);
        assert!((0..network.params.len()).all(|id| trained.grads.get(id).is_some()));
    }

    /// Frozen features as tokens pass the bridge's first layer by our own products; as a map, by autodiff's.
    #[test]
    fn both_ways_into_the_bridge_have_the_same_gradients() {
        let design = testing::design_over_tokens();
        let mut network = Network::new(&design, 1, &Device::flex().autodiff());
        assert!(network.reads_tokens());
        let device = network.params.device().clone();
        let (c, h, w) = (design.bridge.input.c, design.bridge.input.h, design.bridge.input.w);
        let values: Vec<f32> = (0..2 * c * h * w).map(|i| (i as f32 * 0.7).sin()).collect();
        let map = Tensor::<4>::from_data(TensorData::new(values, [2, c, h, w]), &device);
        let tokens = map.clone().reshape([2, c, h * w]).swap_dims(1, 2);
        let batch = CaptionBatch::new(&[vec![vec![4, 9, 5]], vec![vec![7, 6]]]);
        let mut step = |input| network.step(input, &batch, &mut Teaching::plain(0.0, Dropout::off()));
        let (ours, theirs) = (step(Input::Tokens(tokens)), step(Input::Map(map)));
        assert!((ours.loss - theirs.loss).abs() < 1e-5);
        for (id, (name, ..)) in network.params.tensors().enumerate() {
            let (ours, theirs) = (ours.grads.get(id).unwrap(), theirs.grads.get(id).unwrap());
            assert!(theirs.iter().any(|g| *g != 0.0), "{name}");
            assert!(ours.iter().zip(theirs).all(|(o, t)| (o - t).abs() < 1e-5), "{name}");
        }
    }

    #[test]
    fn other_devices_have_the_steps_of_the_processor() {
        let batch = CaptionBatch::new(&[vec![vec![4, 9, 5]], vec![vec![7, 6]]]);
        for (design, device) in crate::device::others().into_iter().flat_map(|device| {
            [testing::design(), testing::design_over_tokens()].map(|design| (design, device.clone()))
        }) {
            let step = |device: Device| {
                let mut network = Network::new(&design, 1, &device.autodiff());
                let (reader, input) = (network.reader(), input(&Device::flex()));
                let input = match (input, network.reads_tokens()) {
                    (Input::Map(map), true) => {
                        let (shape, values) = (design.bridge.input, host(map));
                        let dims = [2, shape.h * shape.w, shape.c];
                        let values = values[..dims.iter().product()].to_vec();
                        Input::Tokens(Tensor::from_data(TensorData::new(values, dims), &reader))
                    }
                    (input, _) => input,
                };
                network.step(input, &batch, &mut Teaching::plain(0.1, Dropout::seeded(1, 1)))
            };
            let (ours, theirs) = (step(Device::flex()), step(device.clone()));
            assert!((ours.loss - theirs.loss).abs() < 1e-3 * ours.loss, "{} {}", ours.loss, theirs.loss);
            for (ours, theirs) in ours.grads.0.iter().zip(&theirs.grads.0) {
                let both = ours.iter().flatten().zip(theirs.iter().flatten());
                assert_eq!(ours.as_ref().map(Vec::len), theirs.as_ref().map(Vec::len));
                both.for_each(|(o, t)| assert!((o - t).abs() < 3e-3 * o.abs().max(0.1), "{o} {t}"));
            }
        }
    }

    #[test]
    fn plain_teaching_is_teaching_with_everything_at_zero() {
        let batch = CaptionBatch::new(&[vec![vec![4, 9, 5]], vec![vec![7, 6]]]);
        let step = |batch: &CaptionBatch, teaching: &mut Teaching| {
            let mut network = Network::new(&testing::design(), 1, &Device::flex().autodiff());
            let bias = network.params.id("decoder.out.bias");
            network.params.values_mut(bias)[8] = 10.0;
            let device = network.params.device().clone();
            let step = network.step(input(&device), batch, teaching);
            (step.loss, step.grads.norm())
        };
        let plain = step(&batch, &mut Teaching::plain(0.0, Dropout::off()));
        let mut teaching = Teaching::of_epoch(&testing::recipe(), 3, 1);
        assert_eq!(step(&batch, &mut teaching), plain);
        teaching.sampling = 1.0;
        let own = step(&batch, &mut teaching);
        assert_ne!(own, plain);
        teaching.sampling = 0.0;
        let read = batch.reading(vec![vec![8; 3], vec![8; 2]]);
        assert_eq!(own, step(&read, &mut teaching), "it reads what it says itself");
    }
}
