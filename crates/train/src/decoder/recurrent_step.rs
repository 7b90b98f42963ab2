//! LSTM and GRU decoders, one word at a time: the cells and the attention of training, with nothing kept for backward.
//!
//! What the first layer's gates get from a word depends on the word alone. It is computed when the word is read for the first
//! time, whichever row reads it, and looked up afterwards: captions are made of few different words.

use super::loss::linear;
use super::recurrent::{Encoded, Recurrent, States};
use crate::math::{self, View, gemm_packed};
use crate::params::Params;
use capwright_blueprint::RecurrentSpec;
use capwright_blueprint::language::{Cell, ImageMode};
use std::collections::HashMap;

/// A decoding in progress: rows (hypotheses) that each show one image.
pub(crate) struct RecurrentSession {
    spec: RecurrentSpec,
    encoded: Encoded,
    word_gates: WordGates,
    /// Image of each row.
    images: Vec<usize>,
    states: States,
}

/// What the first layer's gates get from the words read so far, biases included.
#[derive(Default)]
struct WordGates {
    places: HashMap<u32, usize>,
    values: Vec<f32>,
}

impl WordGates {
    /// Sees to it that all of `words` are there.
    fn read(&mut self, decoder: Recurrent<'_>, words: &[u32]) {
        let (embed, table) = (decoder.spec.embed, decoder.params.values("decoder.embed.weight"));
        let mut unread = Vec::new();
        for word in words {
            let next = self.places.len();
            self.places.entry(*word).or_insert_with(|| {
                unread.extend_from_slice(&table[*word as usize * embed..][..embed]);
                next
            });
        }
        let known = self.values.len();
        self.values.resize(self.places.len() * decoder.gates(), 0.0);
        let gates = &mut self.values[known..];
        gemm_packed(gates, View::new(&unread, embed), (decoder.packed(0, "weight_ih"), 0), false);
        math::add_bias(gates, decoder.rnn(0, "bias_ih"));
    }

    fn of(&self, word: u32, gates: usize) -> &[f32] {
        &self.values[self.places[&word] * gates..][..gates]
    }
}

impl RecurrentSession {
    /// One row for each image of the memory `[images, tokens, dim]`; where the image is the first token, it is read.
    pub fn new(
        spec: &RecurrentSpec,
        params: &Params,
        memory: Vec<f32>,
        (tokens, dim): (usize, usize),
    ) -> Self {
        let images: Vec<usize> = (0..memory.len() / (tokens * dim)).collect();
        let encoded = Encoded::new(spec, params, memory, tokens, dim);
        let states = States::first(spec, &encoded, &images);
        let word_gates = WordGates::default();
        let mut session = Self { spec: *spec, encoded, word_gates, images, states };
        if spec.image == ImageMode::FirstToken {
            let decoder = Recurrent { spec, params, dim };
            let mut gates = decoder.rnn(0, "bias_ih").repeat(session.images.len());
            session.add_images(decoder, 0, &mut gates);
            session.advance(params, gates);
        }
        session
    }

    /// Adds what the first layer's gates get from images that stand in their input from column `from` on.
    fn add_images(&self, decoder: Recurrent<'_>, from: usize, gates: &mut [f32]) {
        let embed = self.spec.embed;
        let of_row = |image: &usize| &self.encoded.word[image * embed..][..embed];
        let words: Vec<f32> = self.images.iter().flat_map(of_row).copied().collect();
        gemm_packed(gates, View::new(&words, embed), (decoder.packed(0, "weight_ih"), from), true);
    }

    /// Keeps the given rows, in that order; a row may be repeated.
    pub fn select(&mut self, rows: &[usize]) {
        self.images = rows.iter().map(|row| self.images[*row]).collect();
        self.states.select(rows, self.spec.hidden);
    }

    /// Reads a word a row and returns what the vocabulary layer reads, `[rows, hidden + context]`.
    pub fn step(&mut self, params: &Params, words: &[u32]) -> Vec<f32> {
        let decoder = Recurrent { spec: &self.spec, params, dim: self.encoded.dim };
        let width = decoder.gates();
        self.word_gates.read(decoder, words);
        let mut gates = Vec::with_capacity(words.len() * width);
        words.iter().for_each(|word| gates.extend_from_slice(self.word_gates.of(*word, width)));
        if self.spec.image == ImageMode::EveryStep {
            self.add_images(decoder, self.spec.embed, &mut gates);
        }
        self.advance(params, gates)
    }

    /// All layers, from what the first one's gates get from words and images.
    fn advance(&mut self, params: &Params, mut gates: Vec<f32>) -> Vec<f32> {
        let spec = &self.spec;
        let decoder = Recurrent { spec, params, dim: self.encoded.dim };
        let (hidden, context) = (spec.hidden, decoder.context());
        let wide = hidden + context;
        let mut out = vec![0.0; self.images.len() * wide];
        if context > 0 {
            self.attend(decoder, &mut out);
            let seen = View::new(&out, wide).columns(hidden, wide);
            gemm_packed(&mut gates, seen, (decoder.packed(0, "weight_ih"), decoder.words_width()), true);
        }
        let mut from_state = vec![0.0; if spec.cell == Cell::Gru { gates.len() } else { 0 }];
        for layer in 0..spec.layers {
            let (below, above) = self.states.h.split_at_mut(layer);
            if let Some(x) = below.last() {
                gemm_packed(&mut gates, View::new(x, hidden), (decoder.packed(layer, "weight_ih"), 0), false);
                math::add_bias(&mut gates, decoder.rnn(layer, "bias_ih"));
            }
            decoder.advance(layer, &mut gates, &mut from_state, &mut above[0], &mut self.states.c[layer]);
        }
        let top = self.states.h[spec.layers - 1].chunks_exact(hidden);
        out.chunks_exact_mut(wide).zip(top).for_each(|(out, h)| out[..hidden].copy_from_slice(h));
        out
    }

    /// Attention from the top states, into its part of `out`.
    fn attend(&self, decoder: Recurrent<'_>, out: &mut [f32]) {
        let (dim, hidden) = (decoder.dim, self.spec.hidden);
        let queries = linear(decoder.params, "decoder.attn.query", &self.states.h[self.spec.layers - 1]);
        let mut weights = vec![0.0; self.encoded.tokens];
        let rows = out.chunks_exact_mut(hidden + dim).zip(queries.chunks_exact(dim));
        for ((out, query), image) in rows.zip(&self.images) {
            decoder.look(&self.encoded, *image, query, &mut weights, &mut out[hidden..]);
        }
    }
}
