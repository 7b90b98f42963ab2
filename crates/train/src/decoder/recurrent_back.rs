//! LSTM and GRU decoders, backward through time. Weight gradients are one matrix product over all positions.

use super::Target;
use super::loss::{linear_back, vocabulary_loss};
use super::recurrent::{Encoded, LayerTape, Plan, Recurrent, Tape};
use super::{CaptionBatch, Outcome};
use crate::math::{self, Dropout, Packed, View, gemm_packed, product};
use crate::params::Grads;
use capwright_blueprint::language::{Attention, Cell, ImageMode};
use std::time::Instant;

/// Weights as backward multiplies with them, laid out once for all steps.
struct Weights {
    /// For each layer those of the state, and of what it reads from the layer below; of the first, from the image.
    state: Vec<Packed>,
    below: Vec<Packed>,
    query: Option<Packed>,
}

/// Gradients that flow between steps and to the images.
struct Flow {
    /// Of the states after the step in hand, for each layer `[rows, hidden]`.
    h: Vec<Vec<f32>>,
    c: Vec<Vec<f32>>,
    /// Of the memory and of the keys.
    memory: Vec<f32>,
    keys: Vec<f32>,
    score: Vec<f32>,
    /// Of the queries, packed.
    queries: Vec<f32>,
    weights: Weights,
}

impl Recurrent<'_> {
    /// Loss and gradients of a batch: forward, then backward.
    pub fn train(
        &self,
        encoded: &Encoded,
        batch: &CaptionBatch,
        smoothing: f32,
        dropout: &mut Dropout,
    ) -> Outcome {
        let plan = Plan::of_batch(self.spec, batch);
        let mut tape = self.unroll(encoded, &plan, dropout);
        let mut grads = Grads::new(self.params);
        let wide = self.spec.hidden + self.context();
        let skipped = plan.positions() - batch.words();
        let targets: Vec<Target> = (0..batch.steps())
            .flat_map(|t| (0..batch.active(t)).map(move |row| batch.target(row, t)))
            .collect();
        let said = &tape.out[skipped * wide..];
        let (loss, mut d_said) = vocabulary_loss(self.params, said, &targets, smoothing, &mut grads);
        let start = Instant::now();
        if let Some(mask) = &tape.out_mask {
            math::multiply(&mut d_said, &mask[skipped * wide..]);
        }
        let mut d_out = vec![0.0; skipped * wide];
        d_out.append(&mut d_said);
        let memory = self.back(encoded, &plan, &mut tape, &d_out, &mut grads);
        Outcome { loss, words: targets.len(), grads, memory, backward: start.elapsed() }
    }

    /// Backward from the gradient of `tape.out` before its dropout; returns the gradient of the memory.
    fn back(
        &self,
        encoded: &Encoded,
        plan: &Plan,
        tape: &mut Tape,
        d_out: &[f32],
        grads: &mut Grads,
    ) -> Vec<f32> {
        let rows = plan.images.len();
        let zeros =
            |cells: bool| vec![vec![0.0; if cells { rows * self.spec.hidden } else { 0 }]; self.spec.layers];
        let mut flow = Flow {
            h: zeros(true),
            c: zeros(self.spec.cell == Cell::Lstm),
            memory: vec![0.0; encoded.memory.len()],
            keys: vec![0.0; encoded.keys.len()],
            score: vec![0.0; if encoded.keys.is_empty() { 0 } else { self.dim }],
            queries: vec![0.0; tape.queries.len()],
            weights: self.weights(),
        };
        for step in (0..plan.active.len()).rev() {
            self.step_back(encoded, plan, step, tape, d_out, &mut flow);
        }
        self.weights_back(tape, &flow, grads);
        self.images_back(encoded, plan, tape, flow, grads)
    }

    fn weights(&self) -> Weights {
        let hidden = self.spec.hidden;
        let below = |layer: usize| {
            let weight = self.rnn(layer, "weight_ih");
            let width = weight.len() / self.gates();
            Packed::new(match layer {
                0 => View::new(weight, width).columns(self.words_width(), width),
                _ => View::new(weight, width),
            })
        };
        let query = || Packed::new(View::new(self.params.values("decoder.attn.query.weight"), hidden));
        let layers = 0..self.spec.layers;
        Weights {
            state: layers.clone().map(|l| Packed::new(View::new(self.rnn(l, "weight_hh"), hidden))).collect(),
            below: layers.map(below).collect(),
            query: (self.context() > 0).then(query),
        }
    }

    fn step_back(
        &self,
        encoded: &Encoded,
        plan: &Plan,
        step: usize,
        tape: &mut Tape,
        d_out: &[f32],
        flow: &mut Flow,
    ) {
        let (hidden, context, gates) = (self.spec.hidden, self.context(), self.gates());
        let (n, from, wide) = (plan.active[step], plan.offsets[step], hidden + context);
        let mut d_context = vec![0.0; n * context];
        for row in 0..n {
            let d = &d_out[(from + row) * wide..(from + row + 1) * wide];
            math::add_row(&mut flow.h[self.spec.layers - 1][row * hidden..(row + 1) * hidden], &d[..hidden]);
            d_context[row * context..(row + 1) * context].copy_from_slice(&d[hidden..]);
        }
        for layer in (0..self.spec.layers).rev() {
            let kept = &mut tape.layers[layer];
            self.cell_back(layer, n, from, kept, flow);
            let width = kept.x.len() / plan.positions();
            let d_gates = View::new(&kept.gates[from * gates..(from + n) * gates], gates);
            let weight = (&flow.weights.below[layer], 0);
            if layer > 0 {
                let mut dx = vec![0.0; n * width];
                gemm_packed(&mut dx, d_gates, weight, false);
                if let Some(mask) = &kept.mask {
                    math::multiply(&mut dx, &mask[from * width..(from + n) * width]);
                }
                math::add_row(&mut flow.h[layer - 1][..n * hidden], &dx);
            } else if context > 0 {
                gemm_packed(&mut d_context, d_gates, weight, true);
            }
        }
        if context > 0 {
            self.attend_back(encoded, plan, step, tape, &mut d_context, flow);
        }
    }

    /// Backward of one cell: gates in `kept` become their gradients, the flow that of the states before.
    fn cell_back(&self, layer: usize, n: usize, from: usize, kept: &mut LayerTape, flow: &mut Flow) {
        let (hidden, gates) = (self.spec.hidden, self.gates());
        let range = |w: usize| from * w..(from + n) * w;
        let part = |row: usize, w: usize| (from + row) * w..(from + row + 1) * w;
        let (dh, weight) = (&mut flow.h[layer][..n * hidden], (&flow.weights.state[layer], 0));
        match self.spec.cell {
            Cell::Lstm => {
                for (row, dh) in dh.chunks_exact(hidden).enumerate() {
                    let dc = &mut flow.c[layer][row * hidden..(row + 1) * hidden];
                    let pre = &mut kept.gates[part(row, gates)];
                    math::lstm_back(pre, &kept.c_old[part(row, hidden)], &kept.c[part(row, hidden)], dh, dc);
                }
                gemm_packed(dh, View::new(&kept.gates[range(gates)], gates), weight, false);
            }
            Cell::Gru => {
                for (row, dh) in dh.chunks_exact_mut(hidden).enumerate() {
                    let (x, y) = (&mut kept.gates[part(row, gates)], &mut kept.state_gates[part(row, gates)]);
                    math::gru_back(x, y, &kept.h_old[part(row, hidden)], dh);
                }
                gemm_packed(dh, View::new(&kept.state_gates[range(gates)], gates), weight, true);
            }
        }
    }

    fn attend_back(
        &self,
        encoded: &Encoded,
        plan: &Plan,
        step: usize,
        tape: &Tape,
        d_context: &mut [f32],
        flow: &mut Flow,
    ) {
        let (dim, tokens, hidden) = (self.dim, encoded.tokens, self.spec.hidden);
        let (from, n, area) = (plan.offsets[step], plan.active[step], encoded.tokens * encoded.dim);
        let mut d_scores = vec![0.0; tokens];
        for row in 0..n {
            let (p, image) = (from + row, plan.images[row]);
            let d = &d_context[row * dim..(row + 1) * dim];
            let weights = &tape.attention[p * tokens..(p + 1) * tokens];
            let query = &tape.queries[p * dim..(p + 1) * dim];
            let memory = encoded.of(&encoded.memory, image);
            let d_memory = &mut flow.memory[image * area..(image + 1) * area];
            let d_query = &mut flow.queries[p * dim..(p + 1) * dim];
            for (i, m) in memory.chunks_exact(dim).enumerate() {
                d_scores[i] = math::dot(d, m);
                math::add_scaled(&mut d_memory[i * dim..(i + 1) * dim], d, weights[i]);
            }
            math::softmax_back(&mut d_scores, weights);
            if self.spec.attention == Attention::Additive {
                let v = self.params.values("decoder.attn.score.weight");
                let d_keys = &mut flow.keys[image * area..(image + 1) * area];
                let keys = encoded.of(&encoded.keys, image);
                math::additive_scores_back(&d_scores, query, keys, v, d_query, d_keys, &mut flow.score);
            } else {
                let scale = 1.0 / (dim as f32).sqrt();
                for (i, m) in memory.chunks_exact(dim).enumerate() {
                    math::add_scaled(d_query, m, d_scores[i] * scale);
                    math::add_scaled(&mut d_memory[i * dim..(i + 1) * dim], query, d_scores[i] * scale);
                }
            }
        }
        let d_queries = View::new(&flow.queries[from * dim..(from + n) * dim], dim);
        if let Some(weight) = &flow.weights.query {
            gemm_packed(&mut flow.h[self.spec.layers - 1][..n * hidden], d_queries, (weight, 0), true);
        }
    }

    /// Gradients of the cells' and the query's weights.
    fn weights_back(&self, tape: &Tape, flow: &Flow, grads: &mut Grads) {
        let (hidden, gates) = (self.spec.hidden, self.gates());
        for (layer, kept) in tape.layers.iter().enumerate() {
            let width = kept.x.len() / (kept.h_old.len() / hidden);
            let by_input = &kept.gates;
            let by_state = if self.spec.cell == Cell::Lstm { &kept.gates } else { &kept.state_gates };
            let mut add = |leaf: &str, gradient: Vec<f32>| {
                grads.add(self.params.id(&format!("decoder.rnn.{layer}.{leaf}")), gradient);
            };
            let sums = |rows: &[f32]| {
                let mut sums = vec![0.0; gates];
                math::column_sums(&mut sums, rows);
                sums
            };
            add("weight_ih", product(View::new(by_input, gates).t(), View::new(&kept.x, width)));
            add("weight_hh", product(View::new(by_state, gates).t(), View::new(&kept.h_old, hidden)));
            add("bias_ih", sums(by_input));
            add("bias_hh", sums(by_state));
        }
        if self.context() > 0 {
            let h = &tape.layers[self.spec.layers - 1].h_old;
            let weight = product(View::new(&flow.queries, self.dim).t(), View::new(h, hidden));
            let mut bias = vec![0.0; self.dim];
            math::column_sums(&mut bias, &flow.queries);
            grads.add(self.params.id("decoder.attn.query.weight"), weight);
            grads.add(self.params.id("decoder.attn.query.bias"), bias);
        }
    }

    /// Gradients of embeddings and of all that reads the image; returns that of the memory.
    fn images_back(
        &self,
        encoded: &Encoded,
        plan: &Plan,
        tape: &Tape,
        flow: Flow,
        grads: &mut Grads,
    ) -> Vec<f32> {
        let mut memory = flow.memory;
        let d_word = self.words_back(encoded, plan, tape, grads);
        let mut pooled = vec![0.0; encoded.pooled.len()];
        let mut add = |name: &str, dy: &[f32], grads: &mut Grads| {
            math::add_row(&mut pooled, &linear_back(self.params, name, &encoded.pooled, dy, grads));
        };
        if self.spec.image == ImageMode::InitialState {
            add("decoder.init_h", &self.first_back(&encoded.first_h, &plan.images, &flow.h), grads);
            if self.spec.cell == Cell::Lstm {
                add("decoder.init_c", &self.first_back(&encoded.first_c, &plan.images, &flow.c), grads);
            }
        } else {
            add("decoder.image", &d_word, grads);
        }
        if self.spec.attention == Attention::Additive {
            let back = linear_back(self.params, "decoder.attn.key", &encoded.memory, &flow.keys, grads);
            math::add_row(&mut memory, &back);
            grads.add(self.params.id("decoder.attn.score.weight"), flow.score);
        }
        let share = 1.0 / encoded.tokens as f32;
        let images =
            memory.chunks_exact_mut(encoded.tokens * encoded.dim).zip(pooled.chunks_exact(encoded.dim));
        for (image, pooled) in images {
            image.chunks_exact_mut(encoded.dim).for_each(|token| math::add_scaled(token, pooled, share));
        }
        memory
    }

    /// Gradient of first states before tanh, `[images, layers · hidden]`.
    fn first_back(&self, first: &[f32], images: &[usize], flow: &[Vec<f32>]) -> Vec<f32> {
        let hidden = self.spec.hidden;
        let mut sum = vec![0.0; first.len()];
        for (layer, d) in flow.iter().enumerate() {
            for (image, d) in images.iter().zip(d.chunks_exact(hidden)) {
                math::add_row(&mut sum[(image * self.spec.layers + layer) * hidden..][..hidden], d);
            }
        }
        sum.iter_mut().zip(first).for_each(|(s, h)| *s *= 1.0 - h * h);
        sum
    }

    /// Gradient of the embeddings; returns that of the image as a word.
    fn words_back(&self, encoded: &Encoded, plan: &Plan, tape: &Tape, grads: &mut Grads) -> Vec<f32> {
        let (embed, width, gates) = (self.spec.embed, self.words_width(), self.gates());
        let first = &tape.layers[0];
        let weight = View::new(self.rnn(0, "weight_ih"), self.spec.input(self.dim)).columns(0, width);
        let mut dx = product(View::new(&first.gates, gates), weight);
        let mut table = vec![0.0; self.params.values("decoder.embed.weight").len()];
        let mut d_word = vec![0.0; encoded.word.len()];
        for ((p, row), dx) in plan.rows().enumerate().zip(dx.chunks_exact_mut(width)) {
            let (words, image) = dx.split_at_mut(embed);
            let shown = plan.images[row] * embed;
            match plan.words[p] {
                Some(word) => {
                    if let Some(mask) = &first.mask {
                        math::multiply(words, &mask[p * embed..(p + 1) * embed]);
                    }
                    math::add_row(&mut table[word as usize * embed..][..embed], words);
                }
                None => math::add_row(&mut d_word[shown..shown + embed], words),
            }
            if !image.is_empty() {
                math::add_row(&mut d_word[shown..shown + embed], image);
            }
        }
        grads.add(self.params.id("decoder.embed.weight"), table);
        d_word
    }
}
