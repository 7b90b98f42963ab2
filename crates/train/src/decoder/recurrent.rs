//! LSTM and GRU decoders with attention, forward. Formulas: [`RecurrentSpec`]; backward: `recurrent_back`.
//!
//! Works on host slices. Positions (row, step) are packed step by step without padding: the word part of the first
//! layer is one matrix product over all of them, and all that backward needs is kept in [`Tape`]s of that layout.
//! Decoding word by word: `recurrent_step`.

use super::CaptionBatch;
use super::loss::linear;
use crate::macs;
use crate::math::{self, Dropout, Packed, View, gemm_packed};
use crate::params::Params;
use capwright_blueprint::RecurrentSpec;
use capwright_blueprint::language::{Attention, Cell, ImageMode};

/// What is computed once for each image.
pub(crate) struct Encoded {
    /// Memory tokens of an image.
    pub tokens: usize,
    /// Width of a token.
    pub dim: usize,
    /// `[images, tokens, dim]`.
    pub memory: Vec<f32>,
    /// Keys of additive attention, as `memory`; otherwise empty.
    pub keys: Vec<f32>,
    /// Mean tokens, `[images, dim]`.
    pub pooled: Vec<f32>,
    /// The image as a word, `[images, embed]`, or empty.
    pub word: Vec<f32>,
    /// First states, `[images, layers · hidden]`, or empty for zeros.
    pub first_h: Vec<f32>,
    /// First cells, likewise.
    pub first_c: Vec<f32>,
}

impl Encoded {
    pub fn new(spec: &RecurrentSpec, params: &Params, memory: Vec<f32>, tokens: usize, dim: usize) -> Self {
        let mut pooled = Vec::with_capacity(memory.len() / tokens);
        for image in memory.chunks_exact(tokens * dim) {
            let mut mean = vec![0.0; dim];
            math::column_sums(&mut mean, image);
            pooled.extend(mean.iter().map(|x| x / tokens as f32));
        }
        let state = |name: &str, wanted: bool| {
            if !wanted {
                return Vec::new();
            }
            let mut x = linear(params, name, &pooled);
            math::tanh_all(&mut x);
            x
        };
        let initial = spec.image == ImageMode::InitialState;
        let first_h = state("decoder.init_h", initial);
        let first_c = state("decoder.init_c", initial && spec.cell == Cell::Lstm);
        let word = if initial { Vec::new() } else { linear(params, "decoder.image", &pooled) };
        let additive = spec.attention == Attention::Additive;
        let keys = if additive { linear(params, "decoder.attn.key", &memory) } else { Vec::new() };
        Self { tokens, dim, memory, keys, pooled, word, first_h, first_c }
    }

    /// Tokens of one image in an array like `memory`.
    pub fn of<'a>(&self, all: &'a [f32], image: usize) -> &'a [f32] {
        let n = self.tokens * self.dim;
        &all[image * n..(image + 1) * n]
    }
}

/// States of rows: for each layer `[rows, hidden]`.
#[derive(Clone)]
pub(crate) struct States {
    pub h: Vec<Vec<f32>>,
    pub c: Vec<Vec<f32>>,
}

impl States {
    /// First states of rows that show these images.
    pub fn first(spec: &RecurrentSpec, encoded: &Encoded, images: &[usize]) -> Self {
        let width = spec.hidden;
        let of_layer = |all: &[f32], layer: usize| -> Vec<f32> {
            if all.is_empty() {
                return vec![0.0; images.len() * width];
            }
            let from = |image: &usize| (image * spec.layers + layer) * width;
            images.iter().flat_map(|i| all[from(i)..from(i) + width].iter().copied()).collect()
        };
        let all = |values: &[f32]| (0..spec.layers).map(|l| of_layer(values, l)).collect();
        Self { h: all(&encoded.first_h), c: all(&encoded.first_c) }
    }

    /// Keeps the given rows of `width` values, in that order; a row may be repeated.
    pub fn select(&mut self, rows: &[usize], width: usize) {
        for state in self.h.iter_mut().chain(&mut self.c) {
            *state = rows.iter().flat_map(|row| &state[row * width..][..width]).copied().collect();
        }
    }
}

/// Positions in packed order: which rows are alive at each step, what they read, and what they look at.
pub(crate) struct Plan {
    /// Rows alive at each step, falling.
    pub active: Vec<usize>,
    /// First position of each step, and the number of positions.
    pub offsets: Vec<usize>,
    /// Image of each row.
    pub images: Vec<usize>,
    /// Words read at each position; `None`: the image itself, as the first token.
    pub words: Vec<Option<u32>>,
}

impl Plan {
    /// Teacher forcing over a batch.
    pub fn of_batch(spec: &RecurrentSpec, batch: &CaptionBatch) -> Self {
        let images: Vec<usize> = batch.rows.iter().map(|row| row.image).collect();
        let (mut active, mut words) = (Vec::new(), Vec::new());
        if spec.image == ImageMode::FirstToken {
            active.push(images.len());
            words.resize(images.len(), None);
        }
        for t in 0..batch.steps() {
            active.push(batch.active(t));
            words.extend((0..batch.active(t)).map(|row| Some(batch.input(row, t))));
        }
        let mut offsets = vec![0];
        active.iter().for_each(|n| offsets.push(offsets[offsets.len() - 1] + n));
        Self { active, offsets, images, words }
    }

    /// Positions in all.
    pub fn positions(&self) -> usize {
        self.words.len()
    }

    /// Each position with its row.
    pub fn rows(&self) -> impl Iterator<Item = usize> {
        self.active.iter().flat_map(|n| 0..*n)
    }
}

/// What one layer keeps for backward, packed.
pub(crate) struct LayerTape {
    /// What the cell read: `[positions, input]`.
    pub x: Vec<f32>,
    /// Activated gates, `[positions, gates · hidden]`.
    pub gates: Vec<f32>,
    /// GRU: the state's part of the gates before activation.
    pub state_gates: Vec<f32>,
    /// State before the step, `[positions, hidden]`.
    pub h_old: Vec<f32>,
    /// LSTM: cell before and after the step.
    pub c_old: Vec<f32>,
    pub c: Vec<f32>,
    /// Dropout of `x`, or of its word part in layer 0.
    pub mask: Option<Vec<f32>>,
}

/// What an unrolling keeps for backward.
pub(crate) struct Tape {
    pub layers: Vec<LayerTape>,
    /// Attention weights, `[positions, tokens]`.
    pub attention: Vec<f32>,
    /// Attention queries, `[positions, dim]`.
    pub queries: Vec<f32>,
    /// What the vocabulary layer reads after dropout, `[positions, hidden + context]`.
    pub out: Vec<f32>,
    pub out_mask: Option<Vec<f32>>,
}

/// A view on one decoder: description and values.
#[derive(Clone, Copy)]
pub(crate) struct Recurrent<'a> {
    pub spec: &'a RecurrentSpec,
    pub params: &'a Params,
    /// Width of a memory token.
    pub dim: usize,
}

impl<'a> Recurrent<'a> {
    pub fn rnn(&self, layer: usize, leaf: &str) -> &'a [f32] {
        self.params.values(&format!("decoder.rnn.{layer}.{leaf}"))
    }

    pub fn packed(&self, layer: usize, leaf: &str) -> &'a Packed {
        self.params.packed(&format!("decoder.rnn.{layer}.{leaf}"))
    }

    /// Width of the context, 0 without attention.
    pub fn context(&self) -> usize {
        self.spec.context(self.dim)
    }

    /// Width of the word and image parts of the first input.
    pub fn words_width(&self) -> usize {
        self.spec.input(self.dim) - self.context()
    }

    /// Rows of the gate matrices.
    pub fn gates(&self) -> usize {
        self.spec.gates() * self.spec.hidden
    }

    /// Runs all steps of the plan.
    pub fn unroll(&self, encoded: &Encoded, plan: &Plan, dropout: &mut Dropout) -> Tape {
        let mut states = States::first(self.spec, encoded, &plan.images);
        let mut tape = self.start(encoded, plan, dropout);
        let mut from_input = self.project_words(plan, &mut tape);
        for step in 0..plan.active.len() {
            self.step(encoded, plan, step, &mut states, &mut tape, &mut from_input);
        }
        if let Some(mask) = &tape.out_mask {
            math::multiply(&mut tape.out, mask);
        }
        tape
    }

    /// Allocates a tape and fills in words, images and dropout masks.
    fn start(&self, encoded: &Encoded, plan: &Plan, dropout: &mut Dropout) -> Tape {
        let (spec, n, hidden) = (self.spec, plan.positions(), self.spec.hidden);
        let lstm = spec.cell == Cell::Lstm;
        let mut layers = Vec::with_capacity(spec.layers);
        for layer in 0..spec.layers {
            let (input, masked) =
                if layer == 0 { (spec.input(self.dim), spec.embed) } else { (hidden, hidden) };
            layers.push(LayerTape {
                x: vec![0.0; n * input],
                gates: vec![0.0; n * self.gates()],
                state_gates: vec![0.0; if lstm { 0 } else { n * self.gates() }],
                h_old: vec![0.0; n * hidden],
                c_old: vec![0.0; if lstm { n * hidden } else { 0 }],
                c: vec![0.0; if lstm { n * hidden } else { 0 }],
                mask: dropout.mask(n * masked, spec.dropout_pct),
            });
        }
        self.fill_words(encoded, plan, &mut layers[0]);
        let attends = self.context() > 0;
        Tape {
            layers,
            attention: vec![0.0; if attends { n * encoded.tokens } else { 0 }],
            queries: vec![0.0; if attends { n * encoded.dim } else { 0 }],
            out: vec![0.0; n * (hidden + self.context())],
            out_mask: dropout.mask(n * (hidden + self.context()), spec.dropout_pct),
        }
    }

    fn fill_words(&self, encoded: &Encoded, plan: &Plan, first: &mut LayerTape) {
        let (embed, input) = (self.spec.embed, self.spec.input(self.dim));
        let table = self.params.values("decoder.embed.weight");
        let every_step = self.spec.image == ImageMode::EveryStep;
        for (p, row) in plan.rows().enumerate() {
            let image = plan.images[row];
            let x = &mut first.x[p * input..(p + 1) * input];
            match plan.words[p] {
                Some(word) => x[..embed].copy_from_slice(&table[word as usize * embed..][..embed]),
                None => x[..embed].copy_from_slice(&encoded.word[image * embed..][..embed]),
            }
            if let (Some(mask), Some(_)) = (&first.mask, plan.words[p]) {
                math::multiply(&mut x[..embed], &mask[p * embed..(p + 1) * embed]);
            }
            if every_step {
                x[embed..2 * embed].copy_from_slice(&encoded.word[image * embed..][..embed]);
            }
        }
    }

    /// The word part of the first layer's gates, with its bias, for all positions.
    fn project_words(&self, plan: &Plan, tape: &mut Tape) -> Vec<f32> {
        let (input, words) = (self.spec.input(self.dim), self.words_width());
        let mut gates = vec![0.0; plan.positions() * self.gates()];
        let x = View::new(&tape.layers[0].x, input).columns(0, words);
        gemm_packed(&mut gates, x, (self.packed(0, "weight_ih"), 0), false);
        math::add_bias(&mut gates, self.rnn(0, "bias_ih"));
        gates
    }

    fn step(
        &self,
        encoded: &Encoded,
        plan: &Plan,
        step: usize,
        states: &mut States,
        tape: &mut Tape,
        from_words: &mut [f32],
    ) {
        let (spec, hidden, gates) = (self.spec, self.spec.hidden, self.gates());
        let (n, from) = (plan.active[step], plan.offsets[step]);
        if self.context() > 0 {
            self.attend(encoded, plan, step, &states.h[spec.layers - 1][..n * hidden], tape);
        }
        for layer in 0..spec.layers {
            let kept = &mut tape.layers[layer];
            let width = kept.x.len() / plan.positions();
            let range = |w: usize| from * w..(from + n) * w;
            let x = &mut kept.x[range(width)];
            if layer == 0 {
                let part = &mut from_words[range(gates)];
                let words = self.words_width();
                if self.context() > 0 {
                    let context = View::new(x, width).columns(words, width);
                    gemm_packed(part, context, (self.packed(0, "weight_ih"), words), true);
                }
                kept.gates[range(gates)].copy_from_slice(part);
            } else {
                x.copy_from_slice(&states.h[layer - 1][..n * hidden]);
                if let Some(mask) = &kept.mask {
                    math::multiply(x, &mask[range(width)]);
                }
                let weight = (self.packed(layer, "weight_ih"), 0);
                gemm_packed(&mut kept.gates[range(gates)], View::new(x, width), weight, false);
                math::add_bias(&mut kept.gates[range(gates)], self.rnn(layer, "bias_ih"));
            }
            self.cell(layer, n, from, states, kept);
        }
        let wide = hidden + self.context();
        let top = &states.h[spec.layers - 1];
        for row in 0..n {
            tape.out[(from + row) * wide..][..hidden].copy_from_slice(&top[row * hidden..(row + 1) * hidden]);
        }
    }

    /// One cell on the first `n` rows; the input's part of the gates is in place.
    fn cell(&self, layer: usize, n: usize, from: usize, states: &mut States, kept: &mut LayerTape) {
        let range = |w: usize| from * w..(from + n) * w;
        let (cells, gates) = (range(self.spec.hidden), range(self.gates()));
        let h = &mut states.h[layer][..n * self.spec.hidden];
        kept.h_old[cells.clone()].copy_from_slice(h);
        match self.spec.cell {
            Cell::Lstm => {
                let c = &mut states.c[layer][..h.len()];
                kept.c_old[cells.clone()].copy_from_slice(c);
                self.advance(layer, &mut kept.gates[gates], &mut [], h, c);
                kept.c[cells].copy_from_slice(c);
            }
            Cell::Gru => {
                let from_state = &mut kept.state_gates[gates.clone()];
                self.advance(layer, &mut kept.gates[gates], from_state, h, &mut []);
            }
        }
    }

    /// One cell on some rows: `pre` holds the input's part of the gates and becomes the activated gates, `h` and the cell `c`
    /// of an LSTM become the new states. Of a GRU, `from_state` becomes the state's part of the gates.
    pub fn advance(
        &self,
        layer: usize,
        pre: &mut [f32],
        from_state: &mut [f32],
        h: &mut [f32],
        c: &mut [f32],
    ) {
        let (hidden, gates) = (self.spec.hidden, self.gates());
        let weight = (self.packed(layer, "weight_hh"), 0);
        let bias = self.rnn(layer, "bias_hh");
        match self.spec.cell {
            Cell::Lstm => {
                gemm_packed(pre, View::new(h, hidden), weight, true);
                math::add_bias(pre, bias);
                let rows = pre.chunks_exact_mut(gates).zip(c.chunks_exact_mut(hidden));
                for ((pre, c), h) in rows.zip(h.chunks_exact_mut(hidden)) {
                    math::lstm_cell(pre, c, h);
                }
            }
            Cell::Gru => {
                gemm_packed(from_state, View::new(h, hidden), weight, false);
                math::add_bias(from_state, bias);
                let rows = pre.chunks_exact_mut(gates).zip(from_state.chunks_exact(gates));
                for ((pre, from_state), h) in rows.zip(h.chunks_exact_mut(hidden)) {
                    math::gru_cell(pre, from_state, h);
                }
            }
        }
    }

    /// Attention from the top states `h`: fills weights, queries and both places of the context.
    fn attend(&self, encoded: &Encoded, plan: &Plan, step: usize, h: &[f32], tape: &mut Tape) {
        let (dim, tokens, hidden) = (self.dim, encoded.tokens, self.spec.hidden);
        let (input, wide, from) = (self.spec.input(dim), hidden + dim, plan.offsets[step]);
        let queries = linear(self.params, "decoder.attn.query", h);
        tape.queries[from * dim..][..queries.len()].copy_from_slice(&queries);
        let mut context = vec![0.0; dim];
        for (row, query) in queries.chunks_exact(dim).enumerate() {
            let p = from + row;
            let weights = &mut tape.attention[p * tokens..(p + 1) * tokens];
            self.look(encoded, plan.images[row], query, weights, &mut context);
            tape.layers[0].x[p * input + input - dim..(p + 1) * input].copy_from_slice(&context);
            tape.out[p * wide + hidden..(p + 1) * wide].copy_from_slice(&context);
        }
    }

    /// One look at an image: the weights of its tokens, and their weighted sum.
    pub fn look(
        &self,
        encoded: &Encoded,
        image: usize,
        query: &[f32],
        weights: &mut [f32],
        context: &mut [f32],
    ) {
        let dim = self.dim;
        let memory = encoded.of(&encoded.memory, image);
        // Scores, and the weighted sum.
        macs::add(2 * encoded.tokens * dim);
        if self.spec.attention == Attention::Additive {
            let v = self.params.values("decoder.attn.score.weight");
            math::additive_scores(weights, query, encoded.of(&encoded.keys, image), v);
        } else {
            let scale = 1.0 / (dim as f32).sqrt();
            for (w, m) in weights.iter_mut().zip(memory.chunks_exact(dim)) {
                *w = math::dot(query, m) * scale;
            }
        }
        math::softmax(weights);
        context.fill(0.0);
        for (w, m) in weights.iter().zip(memory.chunks_exact(dim)) {
            math::add_scaled(context, m, *w);
        }
    }
}
