//! What recurrent decoders compute once for each image.

use super::wiring::{Image, Wiring};
use crate::decoder::loss::{linear, linear_back};
use crate::math;
use crate::params::{Grads, Params};
use capwright_blueprint::language::{Attention, Cell};

/// Images as the decoder sees them.
pub(crate) struct Encoded {
    /// Memory tokens of an image.
    pub tokens: usize,
    /// Width of a token.
    pub dim: usize,
    /// `[images, tokens, dim]`.
    pub memory: Vec<f32>,
    /// Keys and values of attention that has its own, as `memory`; otherwise empty.
    keys: Vec<f32>,
    values: Vec<f32>,
    /// Mean tokens, `[images, dim]`.
    pub pooled: Vec<f32>,
    /// The image as a word, `[images, embed]`, or empty.
    pub word: Vec<f32>,
    /// First states, `[images, layers · hidden]`, or empty for zeros.
    pub first_h: Vec<f32>,
    /// First cells, likewise.
    pub first_c: Vec<f32>,
    /// The places of an image's tokens.
    pub places: Vec<usize>,
}

/// Gradients of what was computed once, as in [`Encoded`].
pub(super) struct EncodedFlow {
    pub memory: Vec<f32>,
    /// Of the keys, or of the memory where it serves as keys.
    pub keys: Vec<f32>,
    /// Of values that attention has of its own.
    pub values: Vec<f32>,
    pub pooled: Vec<f32>,
    pub word: Vec<f32>,
}

impl Encoded {
    pub fn new(wiring: &Wiring, params: &Params, memory: Vec<f32>, tokens: usize) -> Self {
        let dim = wiring.dim;
        let mut pooled = Vec::with_capacity(memory.len() / tokens);
        for image in memory.chunks_exact(tokens * dim) {
            let mut mean = vec![0.0; dim];
            math::column_sums(&mut mean, image);
            pooled.extend(mean.iter().map(|x| x / tokens as f32));
        }
        let of = |name: &str, x: &[f32], wanted: bool| {
            if wanted { linear(params, name, x) } else { Vec::new() }
        };
        let state = |name: &str, wanted: bool| {
            let mut x = of(name, &pooled, wanted);
            math::tanh_all(&mut x);
            x
        };
        let initial = wiring.image == Image::States;
        let as_word = matches!(wiring.image, Image::FirstWord | Image::EveryWord);
        let keyed = !matches!(wiring.attention, Attention::None | Attention::Dot);
        Self {
            tokens,
            dim,
            keys: of("decoder.attn.key", &memory, keyed),
            values: of("decoder.attn.value", &memory, wiring.attention == Attention::MultiHead),
            first_h: state("decoder.init_h", initial),
            first_c: state("decoder.init_c", initial && wiring.cell == Cell::Lstm),
            word: of("decoder.image", &pooled, as_word),
            memory,
            pooled,
            places: (0..tokens).collect(),
        }
    }

    /// Values of the tokens of one image.
    pub(super) fn area(&self) -> usize {
        self.tokens * self.dim
    }

    /// Tokens of one image in an array like `memory`.
    fn of<'a>(&self, all: &'a [f32], image: usize) -> &'a [f32] {
        &all[image * self.area()..][..self.area()]
    }

    /// What queries are compared with.
    pub fn keys(&self, image: usize) -> &[f32] {
        self.of(if self.keys.is_empty() { &self.memory } else { &self.keys }, image)
    }

    /// What is summed.
    pub fn values(&self, image: usize) -> &[f32] {
        self.of(if self.values.is_empty() { &self.memory } else { &self.values }, image)
    }

    /// What is read of an image beside each word.
    pub fn shown(&self, wiring: &Wiring, image: usize) -> &[f32] {
        let width = wiring.shown().len();
        let all = if wiring.image == Image::Pooled { &self.pooled } else { &self.word };
        &all[image * width..][..width]
    }

    /// No gradients yet.
    pub(super) fn flow(&self, attends: bool) -> EncodedFlow {
        let zeros = |n: usize| vec![0.0; n];
        EncodedFlow {
            memory: zeros(self.memory.len()),
            keys: zeros(if attends { self.memory.len() } else { 0 }),
            values: zeros(self.values.len()),
            pooled: zeros(self.pooled.len()),
            word: zeros(self.word.len()),
        }
    }

    /// Gradients of all that reads the image; returns that of the memory. `first_h` and `first_c` are those of the first states
    /// before their tanh.
    pub(super) fn back(
        &self,
        params: &Params,
        flow: EncodedFlow,
        (first_h, first_c): (&[f32], &[f32]),
        grads: &mut Grads,
    ) -> Vec<f32> {
        let EncodedFlow { mut memory, keys, values, mut pooled, word } = flow;
        let mut add = |to: &mut Vec<f32>, name: &str, x: &[f32], dy: &[f32], there: &[f32]| {
            if !there.is_empty() {
                math::add_row(to, &linear_back(params, name, x, dy, grads));
            }
        };
        add(&mut pooled, "decoder.init_h", &self.pooled, first_h, &self.first_h);
        add(&mut pooled, "decoder.init_c", &self.pooled, first_c, &self.first_c);
        add(&mut pooled, "decoder.image", &self.pooled, &word, &self.word);
        add(&mut memory, "decoder.attn.key", &self.memory, &keys, &self.keys);
        add(&mut memory, "decoder.attn.value", &self.memory, &values, &self.values);
        if self.keys.is_empty() {
            math::add_row(&mut memory, &keys);
        }
        let share = 1.0 / self.tokens as f32;
        for (image, pooled) in memory.chunks_exact_mut(self.area()).zip(pooled.chunks_exact(self.dim)) {
            image.chunks_exact_mut(self.dim).for_each(|token| math::add_scaled(token, pooled, share));
        }
        memory
    }
}

impl EncodedFlow {
    /// Gradients of the keys and of the values of one image.
    pub fn of(&mut self, image: usize, area: usize) -> (&mut [f32], &mut [f32]) {
        let at = image * area..(image + 1) * area;
        let values = if self.values.is_empty() { &mut self.memory } else { &mut self.values };
        (&mut self.keys[at.clone()], &mut values[at])
    }
}
