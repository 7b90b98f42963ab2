//! One word at a time: the cells and the attention of training, with nothing kept for backward.
//!
//! What the first layer's gates get from a word depends on the word alone. It is computed when the word is read for the first
//! time, whichever row reads it, and looked up afterwards: captions are made of few different words.

use super::attention::Looked;
use super::cell::{Norms, Step};
use super::encoded::Encoded;
use super::sentinel::Sentinels;
use super::unroll::States;
use super::wiring::{Image, Looks, Wiring};
use super::{Recurrent, put};
use crate::math::{View, gemm_packed};
use crate::params::Params;
use std::collections::HashMap;

/// A decoding in progress: rows (hypotheses) that each show one image.
pub(crate) struct RecurrentSession {
    wiring: Wiring,
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
        let (embed, table) = (decoder.wiring.embed, decoder.params.values("decoder.embed.weight"));
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
        decoder.read(0, View::new(&unread, embed), decoder.wiring.word(), gates);
    }

    fn of(&self, word: u32, gates: usize) -> &[f32] {
        &self.values[self.places[&word] * gates..][..gates]
    }
}

impl RecurrentSession {
    /// One row for each image of the memory `[images, tokens, dim]`; where the image is the first word, it is read.
    pub fn new(wiring: Wiring, params: &Params, memory: Vec<f32>, tokens: usize) -> Self {
        let images: Vec<usize> = (0..memory.len() / (tokens * wiring.dim)).collect();
        let encoded = Encoded::new(&wiring, params, memory, tokens);
        let states = States::first(&wiring, &encoded, &images);
        let mut session = Self { wiring, encoded, word_gates: WordGates::default(), images, states };
        if wiring.image == Image::FirstWord {
            let decoder = Recurrent { wiring: &wiring, params };
            let mut gates = vec![0.0; session.images.len() * decoder.gates()];
            let words = View::new(&session.encoded.word, wiring.embed);
            decoder.read(0, words, wiring.word(), &mut gates);
            let x = session.encoded.word.clone();
            session.advance(params, gates, &x);
        }
        session
    }

    /// Keeps the given rows, in that order; a row may be repeated.
    pub fn select(&mut self, rows: &[usize]) {
        self.images = rows.iter().map(|row| self.images[*row]).collect();
        self.states.select(rows, self.wiring.hidden);
    }

    /// Reads a word a row and returns what the vocabulary layer reads, `[rows, hidden + context]`.
    pub fn step(&mut self, params: &Params, words: &[u32]) -> Vec<f32> {
        let decoder = Recurrent { wiring: &self.wiring, params };
        let width = decoder.gates();
        self.word_gates.read(decoder, words);
        let mut gates = Vec::with_capacity(words.len() * width);
        words.iter().for_each(|word| gates.extend_from_slice(self.word_gates.of(*word, width)));
        let shown = self.wiring.shown();
        if !shown.is_empty() {
            let of_row = |image: &usize| self.encoded.shown(&self.wiring, *image);
            let images: Vec<f32> = self.images.iter().flat_map(of_row).copied().collect();
            let weight = (decoder.packed(0, "weight_ih"), shown.start);
            gemm_packed(&mut gates, View::new(&images, shown.len()), weight, true);
        }
        let x = if self.wiring.asks_for_words() { self.first_input(params, words) } else { Vec::new() };
        self.advance(params, gates, &x)
    }

    /// What the first layer reads, where nothing of it comes from the step before.
    fn first_input(&self, params: &Params, words: &[u32]) -> Vec<f32> {
        let (embed, table) = (self.wiring.embed, params.values("decoder.embed.weight"));
        let mut x = Vec::with_capacity(words.len() * self.wiring.input(0));
        for (word, image) in words.iter().zip(&self.images) {
            x.extend_from_slice(&table[*word as usize * embed..][..embed]);
            x.extend_from_slice(self.encoded.shown(&self.wiring, *image));
        }
        x
    }

    /// All layers, from what the first one's gates get from words and images. `first`: what it reads, where a sentinel asks for it.
    fn advance(&mut self, params: &Params, mut gates: Vec<f32>, first: &[f32]) -> Vec<f32> {
        let (w, n, hidden) = (self.wiring, self.images.len(), self.wiring.hidden);
        let decoder = Recurrent { wiring: &w, params };
        let (encoded, images, states) = (&self.encoded, &self.images, &mut self.states);
        let mut looked = Looked::new(&decoder, encoded, n);
        let mut sentinels = Sentinels::default();
        let mut norms = Norms::new(&decoder, n);
        let mut state_gates = vec![0.0; if w.parts_apart() { gates.len() } else { 0 }];
        let mut ask = |h: &[f32]| decoder.attend(encoded, images, h, None, (&mut looked, 0));
        let mut context = if w.looks == Looks::Before { ask(&states.h[w.top()]) } else { Vec::new() };
        let moving = w.moving();
        if !moving.is_empty() {
            let moved = if w.looks == Looks::Between { &states.h[1] } else { &context };
            let weight = (decoder.packed(0, "weight_ih"), moving.start);
            gemm_packed(&mut gates, View::new(moved, moving.len()), weight, true);
        }
        let (mut handed, mut x) = (Vec::new(), Vec::new());
        for layer in 0..w.layers {
            if layer > 0 {
                x = handed;
                if w.looks == Looks::Between {
                    let (below, input) = (x, w.input(layer));
                    x = vec![0.0; n * input];
                    put(&mut x, input, 0, &ask(&states.h[0]), w.dim);
                    put(&mut x, input, w.below(), &below, hidden);
                }
                decoder.read(layer, View::new(&x, w.input(layer)), 0, &mut gates);
            }
            if w.looks == Looks::After && layer == w.top() {
                sentinels = Sentinels::new(&decoder, n);
                let x = if layer == 0 { first } else { &x };
                decoder.open(x, &states.h[layer], (&mut sentinels, 0));
            }
            let step =
                Step { rows: (0, n), gates: &mut gates, state_gates: &mut state_gates, norms: &mut norms };
            decoder.advance(layer, step, &mut states.h[layer], &mut states.c[layer]);
            handed = match layer {
                0 => states.h[0].clone(),
                _ => decoder.joined(layer, &x, &states.h[layer]).0,
            };
        }
        if w.looks == Looks::After {
            decoder.sentinels(&states.c[w.top()], (&mut sentinels, 0));
            let own = sentinels.own(w.dim, 0, n);
            context = decoder.attend(encoded, images, &states.h[w.top()], Some(&own), (&mut looked, 0));
        }
        let mut out = vec![0.0; n * w.out()];
        put(&mut out, w.out(), 0, &handed, hidden);
        put(&mut out, w.out(), hidden, &context, w.context());
        out
    }
}
