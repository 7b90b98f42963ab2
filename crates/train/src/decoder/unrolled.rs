//! Recurrent decoders on burn's autodiff, step by step: all that the hand-written path of [`super::recurrent`] leaves out.
//!
//! That path knows LSTM and GRU with additive, dot or no attention, which most searches end with, and is faster. Layer
//! norm, highway and residual layers, multi-head and adaptive attention, and the top-down decoder run here; formulas
//! stand at [`RecurrentSpec`] and [`capwright_blueprint::TopDownSpec`]. Training and decoding take the same steps.

use super::layout::ints;
use super::loss::vocabulary_loss;
use super::seen::Seen;
use super::{CaptionBatch, Outcome};
use crate::bridge::{dropped, linear, matmul, normed};
use crate::math::Dropout;
use crate::params::{Grads, Params};
use burn::tensor::activation::{sigmoid, softmax};
use burn::tensor::{Int, Tensor, TensorData};
use capwright_blueprint::language::{Attention, Between, Cell, ImageMode, RnnNorm};
use capwright_blueprint::{DecoderSpec, RecurrentSpec};
use std::time::Instant;

/// A decoder and its values.
#[derive(Clone, Copy)]
pub(crate) struct Unrolled<'a> {
    pub spec: &'a DecoderSpec,
    pub params: &'a Params,
}

/// States of rows, `[rows, hidden]` for each layer; GRUs have no cells.
#[derive(Clone)]
pub(crate) struct State {
    h: Vec<Tensor<2>>,
    c: Vec<Tensor<2>>,
}

impl State {
    fn each(&self, f: impl Fn(Tensor<2>) -> Tensor<2>) -> Self {
        let all = |from: &[Tensor<2>]| from.iter().cloned().map(&f).collect();
        Self { h: all(&self.h), c: all(&self.c) }
    }

    /// The given rows, in that order.
    pub fn select(&self, rows: &Tensor<1, Int>) -> Self {
        self.each(|x| x.select(0, rows.clone()))
    }

    /// The first `n` rows.
    fn first(&self, n: usize) -> Self {
        self.each(|x| x.narrow(0, 0, n))
    }

    fn rows(&self) -> usize {
        self.h[0].dims()[0]
    }
}

/// Loss and gradients; `memory` is a leaf.
pub(crate) fn train(
    spec: &DecoderSpec,
    params: &Params,
    memory: Tensor<3>,
    batch: &CaptionBatch,
    smoothing: f32,
    dropout: &mut Dropout,
) -> Outcome {
    let decoder = Unrolled { spec, params };
    let images = ints(batch.rows.iter().map(|row| row.image as i64).collect(), params.device());
    let mut seen = Seen::new(spec, params, memory.clone()).select(&images);
    let mut state = decoder.first(&seen);
    if let Some(image) = decoder.image_first(&seen) {
        state = decoder.step(&seen, image, state, dropout).1;
    }
    let (mut said, mut targets) = (Vec::new(), Vec::new());
    for t in 0..batch.steps() {
        let n = batch.active(t);
        if n < state.rows() {
            (seen, state) = (seen.first(n), state.first(n));
        }
        let words: Vec<u32> = (0..n).map(|row| batch.input(row, t)).collect();
        let word = dropped(decoder.embed(&words), decoder.dropout_pct(), dropout);
        let (out, after) = decoder.step(&seen, word, state, dropout);
        said.push(out);
        state = after;
        targets.extend((0..n).map(|row| batch.target(row, t)));
    }
    let x = dropped(Tensor::cat(said, 0), decoder.dropout_pct(), dropout);
    let host: Vec<f32> = x.clone().inner().into_data().try_into_vec().expect("activations are f32");
    let mut grads = Grads::new(params);
    let (loss, dx) = vocabulary_loss(params, &host, &targets, smoothing, &mut grads);
    let start = Instant::now();
    // The gradient of x is known: a loss with just that gradient carries it into autodiff.
    let dx = Tensor::<2>::from_data(TensorData::new(dx, x.dims()), params.device());
    let mut found = (x * dx).sum().backward();
    params.collect(&mut found, &mut grads);
    let d_memory = memory.grad_remove(&mut found).expect("the memory is a leaf");
    let memory = d_memory.into_data().try_into_vec().expect("gradients are f32");
    Outcome { loss, words: targets.len(), grads, memory, backward: start.elapsed() }
}

impl Unrolled<'_> {
    fn dropout_pct(&self) -> u8 {
        match self.spec {
            DecoderSpec::Recurrent(spec) => spec.dropout_pct,
            DecoderSpec::TopDown(spec) => spec.dropout_pct,
            DecoderSpec::Transformer(_) | DecoderSpec::Convolution(_) => 0,
        }
    }

    /// Embedded words, `[rows, embed]`.
    pub fn embed(&self, words: &[u32]) -> Tensor<2> {
        let words = ints(words.iter().map(|w| i64::from(*w)).collect(), self.params.device());
        self.params.get::<2>("decoder.embed.weight").select(0, words)
    }

    /// First states of the rows.
    pub fn first(&self, seen: &Seen) -> State {
        let rows = seen.pooled.dims()[0];
        let (layers, hidden, lstm, initial) = match self.spec {
            DecoderSpec::Recurrent(spec) => {
                (spec.layers, spec.hidden, spec.cell == Cell::Lstm, spec.image == ImageMode::InitialState)
            }
            DecoderSpec::TopDown(spec) => (2, spec.hidden, true, false),
            DecoderSpec::Transformer(_) | DecoderSpec::Convolution(_) => (0, 0, false, false),
        };
        let all = |name: &str| -> Vec<Tensor<2>> {
            if !initial {
                return vec![Tensor::zeros([rows, hidden], self.params.device()); layers];
            }
            let x = linear(self.params, name, seen.pooled.clone()).tanh();
            (0..layers).map(|layer| x.clone().narrow(1, layer * hidden, hidden)).collect()
        };
        State { h: all("decoder.init_h"), c: if lstm { all("decoder.init_c") } else { Vec::new() } }
    }

    /// The image as the word before the first one, where the design has it so.
    pub fn image_first(&self, seen: &Seen) -> Option<Tensor<2>> {
        match self.spec {
            DecoderSpec::Recurrent(spec) if spec.image == ImageMode::FirstToken => seen.word.clone(),
            _ => None,
        }
    }

    /// Reads a word for each row; what the vocabulary layer reads, and the states after it.
    pub fn step(
        &self,
        seen: &Seen,
        word: Tensor<2>,
        mut state: State,
        dropout: &mut Dropout,
    ) -> (Tensor<2>, State) {
        let out = match self.spec {
            DecoderSpec::TopDown(_) => self.top_down(seen, word, &mut state, dropout),
            DecoderSpec::Recurrent(spec) => self.stacked(spec, seen, word, &mut state, dropout),
            DecoderSpec::Transformer(_) | DecoderSpec::Convolution(_) => word,
        };
        (out, state)
    }

    fn stacked(
        &self,
        spec: &RecurrentSpec,
        seen: &Seen,
        word: Tensor<2>,
        state: &mut State,
        dropout: &mut Dropout,
    ) -> Tensor<2> {
        let top = spec.layers - 1;
        let context = match spec.attention {
            Attention::None | Attention::Adaptive => None,
            kind => Some(self.attend(kind, seen, state.h[top].clone())),
        };
        let every_step = seen.word.clone().filter(|_| spec.image == ImageMode::EveryStep);
        let mut x = Tensor::cat([Some(word), every_step, context.clone()].into_iter().flatten().collect(), 1);
        let mut gate = None;
        for layer in 0..spec.layers {
            if layer > 0 {
                x = dropped(x, spec.dropout_pct, dropout);
            }
            if layer == top && spec.attention == Attention::Adaptive {
                gate = Some(self.sentinel_gate(x.clone(), state.h[top].clone()));
            }
            let h = self.cell(layer, (spec.cell, spec.rnn_norm), x.clone(), state);
            x = if layer == 0 { h } else { self.joined(spec, layer, x, h) };
        }
        let context = match gate {
            Some(gate) => Some(self.adaptive(seen, state.h[top].clone(), gate * state.c[top].clone().tanh())),
            None => context,
        };
        Tensor::cat([Some(x), context].into_iter().flatten().collect(), 1)
    }

    /// What a layer hands on: its state, and its input by a shortcut.
    fn joined(&self, spec: &RecurrentSpec, layer: usize, x: Tensor<2>, h: Tensor<2>) -> Tensor<2> {
        match spec.between {
            Between::Plain => h,
            Between::Residual => h + x,
            Between::Highway => {
                let gate = sigmoid(linear(self.params, &format!("decoder.rnn.{layer}.highway"), x.clone()));
                x.clone() + gate * (h - x)
            }
        }
    }

    /// One cell; returns its new state.
    fn cell(
        &self,
        layer: usize,
        (cell, norm): (Cell, RnnNorm),
        x: Tensor<2>,
        state: &mut State,
    ) -> Tensor<2> {
        let h = state.h[layer].clone();
        let hidden = h.dims()[1];
        let (a, b) =
            (self.gates(layer, "ih", norm, x, hidden), self.gates(layer, "hh", norm, h.clone(), hidden));
        let part = |x: &Tensor<2>, i: usize| x.clone().narrow(1, i * hidden, hidden);
        let new = match cell {
            Cell::Lstm => {
                let pre = a + b;
                let (i, f, o) = (sigmoid(part(&pre, 0)), sigmoid(part(&pre, 1)), sigmoid(part(&pre, 3)));
                let c = f * state.c[layer].clone() + i * part(&pre, 2).tanh();
                state.c[layer] = c.clone();
                let shown = match norm {
                    RnnNorm::None => c,
                    RnnNorm::Layer => self.affine(layer, "norm_c", normed(c)),
                };
                o * shown.tanh()
            }
            Cell::Gru => {
                let r = sigmoid(part(&a, 0) + part(&b, 0));
                let z = sigmoid(part(&a, 1) + part(&b, 1));
                let n = (part(&a, 2) + r * part(&b, 2)).tanh();
                n.clone() + z * (h - n)
            }
        };
        state.h[layer] = new.clone();
        new
    }

    /// The part of the gates that comes from the input (`ih`) or the state (`hh`).
    fn gates(&self, layer: usize, side: &str, norm: RnnNorm, x: Tensor<2>, hidden: usize) -> Tensor<2> {
        let weight = self.params.get::<2>(&format!("decoder.rnn.{layer}.weight_{side}"));
        let [rows, wide] = [x.dims()[0], weight.dims()[0]];
        let y = matmul(x, weight.transpose());
        match norm {
            RnnNorm::None => {
                y + self.params.get::<1>(&format!("decoder.rnn.{layer}.bias_{side}")).unsqueeze::<2>()
            }
            RnnNorm::Layer => {
                // Each gate by itself.
                let y = normed(y.reshape([rows * wide / hidden, hidden])).reshape([rows, wide]);
                self.affine(layer, &format!("norm_{side}"), y)
            }
        }
    }

    fn affine(&self, layer: usize, name: &str, x: Tensor<2>) -> Tensor<2> {
        let value =
            |leaf: &str| self.params.get::<1>(&format!("decoder.rnn.{layer}.{name}.{leaf}")).unsqueeze::<2>();
        x * value("weight") + value("bias")
    }

    /// The context of rows for a query state: `[rows, dim]`.
    fn attend(&self, kind: Attention, seen: &Seen, h: Tensor<2>) -> Tensor<2> {
        let query = linear(self.params, "decoder.attn.query", h);
        let [rows, dim] = query.dims();
        let weights = match kind {
            Attention::MultiHead => return self.many_heads(seen, query),
            Attention::Additive => softmax(self.scores(seen.keys(), query), 1),
            _ => {
                let scores = matmul(query.unsqueeze_dim::<3>(1), seen.memory.clone().swap_dims(1, 2));
                softmax(scores.reshape([rows, seen.tokens()]) / (dim as f64).sqrt(), 1)
            }
        };
        matmul(weights.unsqueeze_dim::<3>(1), seen.memory.clone()).reshape([rows, dim])
    }

    /// Scores of additive attention: `[rows, tokens]`.
    fn scores(&self, keys: Tensor<3>, query: Tensor<2>) -> Tensor<2> {
        let [rows, tokens, dim] = keys.dims();
        let x: Tensor<2> = (keys + query.unsqueeze_dim::<3>(1)).tanh().reshape([rows * tokens, dim]);
        let score = self.params.get::<2>("decoder.attn.score.weight").transpose();
        matmul(x, score).reshape([rows, tokens])
    }

    fn many_heads(&self, seen: &Seen, query: Tensor<2>) -> Tensor<2> {
        let ([rows, dim], tokens) = (query.dims(), seen.tokens());
        let heads = RecurrentSpec::heads(dim);
        let split = |x: Tensor<3>| -> Tensor<4> {
            let [_, length, _] = x.dims();
            x.reshape([rows, length, heads, dim / heads]).swap_dims(1, 2)
        };
        let scale = 1.0 / ((dim / heads) as f64).sqrt();
        let scores = matmul(split(query.unsqueeze_dim::<3>(1)) * scale, split(seen.keys()).swap_dims(2, 3));
        debug_assert_eq!(scores.dims(), [rows, heads, 1, tokens]);
        let found = matmul(softmax(scores, 3), split(seen.values())).swap_dims(1, 2);
        linear(self.params, "decoder.attn.out", found.reshape([rows, dim]))
    }

    fn sentinel_gate(&self, x: Tensor<2>, h: Tensor<2>) -> Tensor<2> {
        sigmoid(linear(self.params, "decoder.attn.gate_x", x) + linear(self.params, "decoder.attn.gate_h", h))
    }

    /// Adaptive attention: over the tokens and the sentinel.
    fn adaptive(&self, seen: &Seen, h: Tensor<2>, sentinel: Tensor<2>) -> Tensor<2> {
        let query = linear(self.params, "decoder.attn.query", h);
        let [rows, dim] = query.dims();
        let sentinel = linear(self.params, "decoder.attn.sentinel", sentinel);
        let key = linear(self.params, "decoder.attn.sentinel_key", sentinel.clone());
        let keys = Tensor::cat(vec![seen.keys(), key.unsqueeze_dim::<3>(1)], 1);
        let memory = Tensor::cat(vec![seen.memory.clone(), sentinel.unsqueeze_dim::<3>(1)], 1);
        let weights = softmax(self.scores(keys, query), 1);
        matmul(weights.unsqueeze_dim::<3>(1), memory).reshape([rows, dim])
    }

    fn top_down(&self, seen: &Seen, word: Tensor<2>, state: &mut State, dropout: &mut Dropout) -> Tensor<2> {
        let plain = (Cell::Lstm, RnnNorm::None);
        let x = Tensor::cat(vec![state.h[1].clone(), seen.pooled.clone(), word], 1);
        let h = self.cell(0, plain, x, state);
        let context = self.attend(Attention::Additive, seen, h.clone());
        let x = Tensor::cat(vec![context, dropped(h, self.dropout_pct(), dropout)], 1);
        self.cell(1, plain, x, state)
    }
}
