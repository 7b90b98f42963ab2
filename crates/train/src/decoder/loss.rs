//! Vocabulary layer and cross entropy in one: logits live for a block of rows only.

use super::Target;
use crate::math::{self, Packed, View, gemm, gemm_packed};
use crate::params::{Grads, Params};
use capwright_caption_data::Vocabulary;

/// Logit of what is never said: its probability is 0.
pub(super) const NEVER: f32 = -1e9;

/// Rows whose logits exist at once: they stay in the cache.
const BLOCK: usize = 256;

/// Sum of the cross entropy in nats over all rows of `x` (`[words, width]`), against `targets`; gradients are those
/// of the mean over words. Where targets have advantages, each row counts by its own, and probabilities are those of a
/// sampler: padding, BEGIN and UNKNOWN are never said, nor END at first. Gradients of `decoder.out` are added
/// to `grads`; the gradient of `x` is returned.
pub(crate) fn vocabulary_loss(
    params: &Params,
    x: &[f32],
    targets: &[Target],
    smoothing: f32,
    grads: &mut Grads,
) -> (f64, Vec<f32>) {
    let name = vocabulary_weight(params);
    let (weight, bias) = (params.values(name), params.values("decoder.out.bias"));
    let vocab = bias.len();
    let width = weight.len() / vocab;
    let (mut d_weight, mut d_bias) = (vec![0.0; weight.len()], vec![0.0; vocab]);
    let mut dx = vec![0.0; x.len()];
    let mut logits = vec![0.0; BLOCK.min(targets.len()) * vocab];
    let (back, packed) = (Packed::new(View::new(weight, width)), params.packed(name));
    let (factor, mut loss) = (1.0 / targets.len() as f32, 0.0);
    let blocks = x.chunks(BLOCK * width).zip(dx.chunks_mut(BLOCK * width)).zip(targets.chunks(BLOCK));
    for (i, ((x, dx), targets)) in blocks.enumerate() {
        let logits = &mut logits[..targets.len() * vocab];
        logits.chunks_exact_mut(vocab).for_each(|row| row.copy_from_slice(bias));
        gemm_packed(logits, View::new(x, width), (packed, 0), true);
        tempered(logits, params);
        for (row, target) in logits.chunks_exact_mut(vocab).zip(targets) {
            let weight = target.advantage.unwrap_or(1.0);
            let slope = factor * weight / params.temperature();
            if target.advantage.is_some() {
                never_said(target.first).for_each(|word| row[word as usize] = NEVER);
            }
            let nats = math::cross_entropy(row, target.word as usize, smoothing, slope);
            loss += f64::from(weight * nats);
        }
        gemm_packed(dx, View::new(logits, vocab), (&back, 0), false);
        gemm(&mut d_weight, View::new(logits, vocab).t(), View::new(x, width), i > 0);
        math::column_sums(&mut d_bias, logits);
    }
    grads.add(params.id(name), d_weight);
    grads.add(params.id("decoder.out.bias"), d_bias);
    (loss, dx)
}

/// Words that no sample has: at its beginning, or later.
pub(crate) fn never_said(first: bool) -> impl Iterator<Item = u32> {
    let end = first.then_some(Vocabulary::EOS);
    [Vocabulary::PAD, Vocabulary::BOS, Vocabulary::UNK].into_iter().chain(end)
}

/// The weight of the vocabulary layer: its own, or the embeddings where they are tied.
pub(crate) fn vocabulary_weight(params: &Params) -> &'static str {
    if params.has("decoder.out.weight") { "decoder.out.weight" } else { "decoder.embed.weight" }
}

/// The logits of rows `x`, `[rows, vocabulary]`.
pub(crate) fn logits(params: &Params, x: &[f32]) -> Vec<f32> {
    let mut all = affine(params.packed(vocabulary_weight(params)), params.values("decoder.out.bias"), x);
    tempered(&mut all, params);
    all
}

/// Logits at the network's temperature.
fn tempered(logits: &mut [f32], params: &Params) {
    if params.temperature() != 1.0 {
        logits.iter_mut().for_each(|logit| *logit /= params.temperature());
    }
}

/// `x Wᵀ + b` for the layer called `name`, row-major.
pub(crate) fn linear(params: &Params, name: &str, x: &[f32]) -> Vec<f32> {
    affine(params.packed(&format!("{name}.weight")), params.values(&format!("{name}.bias")), x)
}

/// Rows `x` times a weight, and a bias added.
pub(super) fn affine(weight: &Packed, bias: &[f32], x: &[f32]) -> Vec<f32> {
    let width = weight.inputs();
    let mut out = bias.repeat(x.len() / width);
    gemm_packed(&mut out, View::new(x, width), (weight, 0), true);
    out
}

/// Adds the gradients of layer `name` for the gradient `dy` of its output on `x`.
pub(crate) fn weights_back(params: &Params, name: &str, x: &[f32], dy: &[f32], grads: &mut Grads) {
    let (weight, bias) = (format!("{name}.weight"), format!("{name}.bias"));
    let outputs = params.values(&bias).len();
    let inputs = params.values(&weight).len() / outputs;
    grads.add(params.id(&weight), math::product(View::new(dy, outputs).t(), View::new(x, inputs)));
    let mut sums = vec![0.0; outputs];
    math::column_sums(&mut sums, dy);
    grads.add(params.id(&bias), sums);
}

/// [`weights_back`], and the gradient of `x`.
pub(crate) fn linear_back(params: &Params, name: &str, x: &[f32], dy: &[f32], grads: &mut Grads) -> Vec<f32> {
    weights_back(params, name, x, dy, grads);
    let weight = params.values(&format!("{name}.weight"));
    let outputs = params.values(&format!("{name}.bias")).len();
    math::product(View::new(dy, outputs), View::new(weight, weight.len() / outputs))
}
