//! Decoders as tensors on a device of burn's, with its autodiff: how they are trained away from the processor.
//!
//! The same formulas, parameters and dropout masks as the processor's own passes, which are faster there: a recurrence of tensor
//! operations is bound by the number of operations, which a graphics processor has to overcome with larger batches.

use super::layout::{Layout, ints};
use super::loss::{NEVER, never_said, vocabulary_weight};
use super::recurrent::{self, Wiring};
use super::{CaptionBatch, Outcome, Target, convolution, transformer_autodiff};
use crate::bridge::matmul;
use crate::math::Dropout;
use crate::params::{Grads, Params, host};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Tensor, TensorData};
use capwright_blueprint::DecoderSpec;
use capwright_caption_data::Vocabulary;
use std::time::Instant;

/// [`super::train`] on the device of the parameters.
pub(super) fn train(
    spec: &DecoderSpec,
    params: &Params,
    memory: TensorData,
    batch: &CaptionBatch,
    smoothing: f32,
    dropout: &mut Dropout,
) -> Outcome {
    let dim = memory.shape()[2];
    let memory = Tensor::<3>::from_data(memory, params.device()).require_grad();
    let (said, targets) = said(spec, params, (memory.clone(), dim), batch, dropout);
    let sum = vocabulary_loss(params, said, &targets, smoothing);
    let words = targets.len();
    let start = Instant::now();
    let mut grads = Grads::new(params);
    let memory = carried_back(params, sum.clone() / words as f64, memory, &mut grads);
    let loss = f64::from(host(sum.inner())[0]);
    Outcome { loss, words, grads, memory, backward: start.elapsed() }
}

/// Adds the gradients of a loss to those of the parameters and returns that of the memory, which is a leaf.
pub(super) fn carried_back(
    params: &Params,
    loss: Tensor<1>,
    memory: Tensor<3>,
    grads: &mut Grads,
) -> Vec<f32> {
    let mut found = loss.backward();
    params.collect(&mut found, grads);
    host(memory.grad_remove(&mut found).expect("the memory is a leaf"))
}

/// What the vocabulary layer reads, one row a word, and what is to be said there.
fn said(
    spec: &DecoderSpec,
    params: &Params,
    (memory, dim): (Tensor<3>, usize),
    batch: &CaptionBatch,
    dropout: &mut Dropout,
) -> (Tensor<2>, Vec<Target>) {
    let layout = || Layout::new(batch, params.device());
    let mut recurrent = |wiring: &Wiring, memory| {
        (recurrent::outputs(wiring, params, memory, batch, dropout), recurrent::targets(batch))
    };
    match spec {
        DecoderSpec::Recurrent(spec) => recurrent(&Wiring::stacked(spec, dim), memory),
        DecoderSpec::TopDown(spec) => recurrent(&Wiring::top_down(spec, dim), memory),
        DecoderSpec::Transformer(spec) => {
            let layout = layout();
            (transformer_autodiff::outputs(spec, params, memory, &layout, dropout), layout.words.targets)
        }
        DecoderSpec::Convolution(spec) => {
            let layout = layout();
            (convolution::outputs(spec, params, memory, &layout, dropout), layout.words.targets)
        }
    }
}

/// The sum that [`super::loss::vocabulary_loss`] describes, `[1]`.
fn vocabulary_loss(params: &Params, x: Tensor<2>, targets: &[Target], smoothing: f32) -> Tensor<1> {
    let (device, words) = (params.device(), targets.len());
    let bias = params.get::<1>("decoder.out.bias").unsqueeze::<2>();
    let weight = params.get::<2>(vocabulary_weight(params)).transpose();
    let mut logits = (matmul(x, weight) + bias) / f64::from(params.temperature());
    let advantages: Option<Vec<f32>> = targets.iter().map(|target| target.advantage).collect();
    if advantages.is_some() {
        let vocab = logits.dims()[1];
        logits = logits + of_samples(targets, vocab, device);
    }
    let logs = log_softmax(logits, 1);
    let wanted = ints(targets.iter().map(|target| i64::from(target.word)), device);
    let mut nats = logs.clone().gather(1, wanted.reshape([words, 1])).neg();
    if smoothing > 0.0 {
        let (rest, spread) = (f64::from(1.0 - smoothing), f64::from(smoothing));
        nats = nats * rest - logs.mean_dim(1) * spread;
    }
    if let Some(advantages) = advantages {
        nats = nats * Tensor::<2>::from_data(TensorData::new(advantages, [words, 1]), device);
    }
    nats.sum()
}

/// What is added to logits so that words which no sample has are never said, `[words, vocabulary]`.
fn of_samples(targets: &[Target], vocab: usize, device: &Device) -> Tensor<2> {
    let mut never = vec![0.0; vocab];
    never_said(false).for_each(|word| never[word as usize] = NEVER);
    let mut end = vec![0.0; vocab];
    end[Vocabulary::EOS as usize] = NEVER;
    let first: Vec<f32> = targets.iter().map(|target| f32::from(u8::from(target.first))).collect();
    let row = |values| Tensor::<2>::from_data(TensorData::new(values, [1, vocab]), device);
    let first = Tensor::<2>::from_data(TensorData::new(first, [targets.len(), 1]), device);
    row(never) + first * row(end)
}
