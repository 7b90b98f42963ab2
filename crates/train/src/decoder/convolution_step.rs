//! Convolutional decoder, one word at a time, with the inputs of the words before. Host slices; same formulas as training.

use super::convolution::HALF;
use super::loss::{affine, linear};
use super::transformer_step::{Cached, attend};
use crate::math::{self, Packed, View};
use crate::params::Params;
use capwright_blueprint::ConvolutionSpec;
use capwright_blueprint::language::Memory;

/// A decoding in progress.
pub(crate) struct ConvolutionSession {
    spec: ConvolutionSpec,
    /// Where the tokens of each image lie in the memory.
    tokens: Vec<Vec<usize>>,
    /// What is added to each word, `[images, dim]`.
    shown: Vec<f32>,
    /// For each layer the memory, `[images · tokens, dim]`; none without attention.
    memory: Vec<Cached>,
    /// For each layer the weight of its convolution: laid out once, not at every word.
    weights: Vec<Packed>,
    /// The image that each row shows.
    rows: Vec<usize>,
    /// For each layer the inputs of the words before, oldest first: `[rows, (kernel - 1) · dim]`.
    past: Vec<Vec<f32>>,
}

impl ConvolutionSession {
    /// One row for each image of the memory `[images, tokens, width]`.
    pub fn new(
        spec: &ConvolutionSpec,
        params: &Params,
        memory: &[f32],
        [images, tokens, width]: [usize; 3],
    ) -> Self {
        let part =
            |layer: usize, leaf: &str| linear(params, &format!("decoder.layers.{layer}.attn.{leaf}"), memory);
        let attending = if spec.memory == Memory::Grid { spec.layers } else { 0 };
        Self {
            spec: *spec,
            tokens: (0..images).map(|image| (image * tokens..(image + 1) * tokens).collect()).collect(),
            shown: linear(params, "decoder.image", &pooled(memory, tokens, width)),
            memory: (0..attending).map(|l| Cached { keys: part(l, "k"), values: part(l, "v") }).collect(),
            weights: (0..spec.layers).map(|layer| weight(spec, params, layer)).collect(),
            rows: (0..images).collect(),
            past: vec![vec![0.0; images * (spec.kernel - 1) * spec.dim]; spec.layers],
        }
    }

    /// Keeps and repeats rows.
    pub fn select(&mut self, rows: &[usize]) {
        let width = (self.spec.kernel - 1) * self.spec.dim;
        for past in &mut self.past {
            *past = rows.iter().flat_map(|row| &past[row * width..][..width]).copied().collect();
        }
        self.rows = rows.iter().map(|row| self.rows[*row]).collect();
    }

    /// Reads a word a row and returns what the vocabulary layer reads, `[rows, dim]`.
    pub fn step(&mut self, params: &Params, words: &[u32]) -> Vec<f32> {
        let mut x = self.embedded(params, words);
        for layer in 0..self.spec.layers {
            let name = |leaf: &str| format!("decoder.layers.{layer}.{leaf}");
            let taps = self.taps(layer, &x);
            let mut y = self.gated(&affine(&self.weights[layer], params.values(&name("conv.bias")), &taps));
            if let Some(memory) = self.memory.get(layer) {
                let query = linear(params, &name("attn.q"), &y);
                let seen = self.rows.iter().map(|image| &self.tokens[*image][..]);
                math::add_row(&mut y, &attend(1, &query, memory, seen));
            }
            x.iter_mut().zip(&y).for_each(|(x, y)| *x = (*x + y) * HALF as f32);
        }
        x
    }

    /// Words with their images, `[rows, dim]`.
    fn embedded(&self, params: &Params, words: &[u32]) -> Vec<f32> {
        let (dim, table) = (self.spec.dim, params.values("decoder.embed.weight"));
        let mut x = Vec::with_capacity(words.len() * dim);
        for (word, image) in words.iter().zip(&self.rows) {
            let (own, shown) = (&table[*word as usize * dim..][..dim], &self.shown[image * dim..][..dim]);
            x.extend(own.iter().zip(shown).map(|(own, shown)| own + shown));
        }
        x
    }

    /// What a layer's convolution reads, `[rows, kernel · dim]`; the oldest inputs are forgotten, and `x` comes behind the others.
    fn taps(&mut self, layer: usize, x: &[f32]) -> Vec<f32> {
        let (dim, width) = (self.spec.dim, (self.spec.kernel - 1) * self.spec.dim);
        let mut taps = Vec::with_capacity(self.past[layer].len() + x.len());
        for (row, x) in x.chunks_exact(dim).enumerate() {
            let past = &mut self.past[layer][row * width..][..width];
            taps.extend_from_slice(past);
            taps.extend_from_slice(x);
            past.copy_from_slice(&taps[taps.len() - width..]);
        }
        taps
    }

    /// The gated linear unit: of `[rows, 2 · dim]` the first half of each row times the logistic function of the second.
    fn gated(&self, both: &[f32]) -> Vec<f32> {
        let dim = self.spec.dim;
        let half = |from: usize| -> Vec<f32> {
            both.chunks_exact(2 * dim).flat_map(|row| &row[from..][..dim]).copied().collect()
        };
        let (mut y, mut gates) = (half(0), half(dim));
        math::sigmoid_all(&mut gates);
        math::multiply(&mut y, &gates);
        y
    }
}

/// The mean over the tokens of each image, `[images, width]`.
fn pooled(memory: &[f32], tokens: usize, width: usize) -> Vec<f32> {
    let mut means = Vec::with_capacity(memory.len() / tokens);
    for image in memory.chunks_exact(tokens * width) {
        let mut sums = vec![0.0; width];
        math::column_sums(&mut sums, image);
        means.extend(sums.iter().map(|sum| sum / tokens as f32));
    }
    means
}

/// The weight of a layer's convolution, `[2 · dim, dim, kernel]`, in the order of the taps: `[kernel · dim, 2 · dim]`.
fn weight(spec: &ConvolutionSpec, params: &Params, layer: usize) -> Packed {
    let (width, kernel) = (spec.kernel * spec.dim, spec.kernel);
    let weight = params.values(&format!("decoder.layers.{layer}.conv.weight"));
    let mut ordered: Vec<f32> = Vec::with_capacity(weight.len());
    for of_output in weight.chunks_exact(width) {
        (0..kernel).for_each(|tap| ordered.extend(of_output.iter().skip(tap).step_by(kernel)));
    }
    Packed::new(View::new(&ordered, width).t())
}
