//! Convolutional decoder on burn's autodiff: its training. Formulas: [`ConvolutionSpec`].

use super::autodiff::carried_back;
use super::layout::{Layout, ints};
use super::loss::vocabulary_loss;
use super::{CaptionBatch, Outcome};
use crate::bridge::{dropped, linear, matmul};
use crate::math::Dropout;
use crate::params::{Grads, Params, host};
use burn::tensor::activation::{sigmoid, softmax};
use burn::tensor::{Tensor, TensorData};
use capwright_blueprint::ConvolutionSpec;
use capwright_blueprint::language::Memory;
use std::time::Instant;

/// Keeps the scale of a sum of two terms (Gehring et al. 2017).
pub(super) const HALF: f64 = std::f64::consts::FRAC_1_SQRT_2;

/// A decoder and its values.
#[derive(Clone, Copy)]
struct Convolution<'a> {
    spec: &'a ConvolutionSpec,
    params: &'a Params,
}

/// What is computed once for each image.
struct Shown {
    /// What is added to each word, `[rows, dim]`.
    word: Tensor<2>,
    /// Keys and values of each layer, `[rows, tokens, dim]`; none without attention.
    layers: Vec<(Tensor<3>, Tensor<3>)>,
}

/// What the vocabulary layer reads, `[words, dim]`.
pub(super) fn outputs(
    spec: &ConvolutionSpec,
    params: &Params,
    memory: Tensor<3>,
    layout: &Layout,
    dropout: &mut Dropout,
) -> Tensor<2> {
    let x = Convolution { spec, params }.run(layout, memory, dropout);
    dropped(x, spec.dropout_pct, dropout)
}

/// Loss and gradients; `memory` is a leaf.
pub(crate) fn train(
    spec: &ConvolutionSpec,
    params: &Params,
    memory: Tensor<3>,
    batch: &CaptionBatch,
    smoothing: f32,
    dropout: &mut Dropout,
) -> Outcome {
    let layout = Layout::new(batch, params.device());
    let x = outputs(spec, params, memory.clone(), &layout, dropout);
    let mut grads = Grads::new(params);
    let (loss, dx) =
        vocabulary_loss(params, &host(x.clone().inner()), &layout.words.targets, smoothing, &mut grads);
    let start = Instant::now();
    // The gradient of x is known: a loss with just that gradient carries it into autodiff.
    let dx = Tensor::<2>::from_data(TensorData::new(dx, x.dims()), params.device());
    let memory = carried_back(params, (x * dx).sum(), memory, &mut grads);
    Outcome { loss, words: layout.words.targets.len(), grads, memory, backward: start.elapsed() }
}

impl Convolution<'_> {
    fn show(&self, memory: Tensor<3>) -> Shown {
        let [images, tokens, width] = memory.dims();
        let pooled: Tensor<2> = memory.clone().mean_dim(1).reshape([images, width]);
        let flat: Tensor<2> = memory.reshape([images * tokens, width]);
        let part = |layer: usize, leaf: &str| -> Tensor<3> {
            let name = format!("decoder.layers.{layer}.attn.{leaf}");
            linear(self.params, &name, flat.clone()).reshape([images, tokens, self.spec.dim])
        };
        let attending = if self.spec.memory == Memory::Grid { self.spec.layers } else { 0 };
        Shown {
            word: linear(self.params, "decoder.image", pooled),
            layers: (0..attending).map(|layer| (part(layer, "k"), part(layer, "v"))).collect(),
        }
    }

    /// Packed words through all layers: `[words, dim]`.
    fn run(&self, layout: &Layout, memory: Tensor<3>, dropout: &mut Dropout) -> Tensor<2> {
        let (shown, words, device) = (self.show(memory), &layout.words, self.params.device());
        let read = ints(words.read.iter().map(|word| i64::from(*word)), device);
        let of_image = ints(words.shown().into_iter().map(|image| image as i64), device);
        let x = self.params.get::<2>("decoder.embed.weight").select(0, read)
            + shown.word.clone().select(0, of_image);
        let mut x = dropped(x, self.spec.dropout_pct, dropout);
        for layer in 0..self.spec.layers {
            let taps = self.taps(layout, dropped(x.clone(), self.spec.dropout_pct, dropout));
            let mut y = self.convolve(layer, self.weight(layer), taps);
            if let Some((key, value)) = shown.layers.get(layer) {
                let query = layout.padded(self.query(layer, y.clone()));
                y = y + layout.packed(attend(query, key.clone(), value.clone()));
            }
            x = (x + y) * HALF;
        }
        x
    }

    /// Each word with those before it, oldest first: `[words, kernel · dim]`.
    fn taps(&self, layout: &Layout, x: Tensor<2>) -> Tensor<2> {
        // Row 0 stands for what is before the first word.
        let nothing = Tensor::zeros([1, self.spec.dim], &x.device());
        let table = Tensor::cat(vec![nothing, x], 0);
        let before = |back: usize| {
            let at = layout.words.places.iter().enumerate();
            ints(at.map(|(p, t)| if *t >= back { (p + 1 - back) as i64 } else { 0 }), self.params.device())
        };
        let taps = (0..self.spec.kernel).rev().map(|back| table.clone().select(0, before(back)));
        Tensor::cat(taps.collect(), 1)
    }

    /// The weight of a layer's convolution in the order of the taps: `[kernel · dim, 2 · dim]`.
    fn weight(&self, layer: usize) -> Tensor<2> {
        let (dim, kernel) = (self.spec.dim, self.spec.kernel);
        let weight = self.params.get::<3>(&format!("decoder.layers.{layer}.conv.weight"));
        weight.swap_dims(1, 2).reshape([2 * dim, kernel * dim]).transpose()
    }

    /// Convolution and gated linear unit.
    fn convolve(&self, layer: usize, weight: Tensor<2>, taps: Tensor<2>) -> Tensor<2> {
        let dim = self.spec.dim;
        let bias = self.params.get::<1>(&format!("decoder.layers.{layer}.conv.bias"));
        let y = matmul(taps, weight) + bias.unsqueeze::<2>();
        y.clone().narrow(1, 0, dim) * sigmoid(y.narrow(1, dim, dim))
    }

    fn query(&self, layer: usize, y: Tensor<2>) -> Tensor<2> {
        linear(self.params, &format!("decoder.layers.{layer}.attn.q"), y)
    }
}

/// Attention with one head: `[rows, length, dim]`.
fn attend(query: Tensor<3>, key: Tensor<3>, value: Tensor<3>) -> Tensor<3> {
    let scale = 1.0 / (query.dims()[2] as f64).sqrt();
    matmul(softmax(matmul(query * scale, key.swap_dims(1, 2)), 2), value)
}
