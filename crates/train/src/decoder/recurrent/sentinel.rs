//! The sentinel of adaptive attention: what a row looks at instead of the image. Formulas: `capwright_blueprint::RecurrentSpec`.

use super::Recurrent;
use super::attention::Own;
use crate::decoder::loss::{linear, weights_back};
use crate::math::{self, Packed, View, gemm_packed};
use crate::params::Grads;

/// What rows of all steps keep for backward; empty without adaptive attention.
#[derive(Default)]
pub(super) struct Sentinels {
    /// How far the cell is shown, and what is shown of it: `[positions, hidden]`.
    gate: Vec<f32>,
    shown: Vec<f32>,
    /// The sentinel as value and as key: `[positions, dim]`.
    values: Vec<f32>,
    keys: Vec<f32>,
}

/// Gradients of rows of all steps; of the gate before its activation.
pub(super) struct SentinelFlow {
    pub gate: Vec<f32>,
    values: Vec<f32>,
    keys: Vec<f32>,
}

/// Weights as backward multiplies with them.
pub(super) struct SentinelWeights {
    gate_x: Packed,
    gate_h: Packed,
    sentinel: Packed,
    key: Packed,
}

impl Sentinels {
    pub(super) fn new(decoder: &Recurrent<'_>, positions: usize) -> Self {
        let (hidden, dim) = (positions * decoder.wiring.hidden, positions * decoder.wiring.dim);
        Self {
            gate: vec![0.0; hidden],
            shown: vec![0.0; hidden],
            values: vec![0.0; dim],
            keys: vec![0.0; dim],
        }
    }

    /// The tokens of `n` rows from a position on.
    pub(super) fn own(&self, dim: usize, from: usize, n: usize) -> Own<'_> {
        Own { keys: &self.keys[from * dim..][..n * dim], values: &self.values[from * dim..][..n * dim] }
    }
}

impl SentinelFlow {
    pub(super) fn new(kept: &Sentinels) -> Self {
        let zeros = |x: &[f32]| vec![0.0; x.len()];
        Self { gate: zeros(&kept.gate), values: zeros(&kept.values), keys: zeros(&kept.keys) }
    }
}

impl SentinelWeights {
    pub(super) fn new(decoder: &Recurrent<'_>) -> Self {
        let of = |name: &str, width: usize| {
            let weight = decoder.params.values(&format!("decoder.attn.{name}.weight"));
            Packed::new(View::new(weight, width))
        };
        let w = decoder.wiring;
        Self {
            gate_x: of("gate_x", w.input(w.top())),
            gate_h: of("gate_h", w.hidden),
            sentinel: of("sentinel", w.hidden),
            key: of("sentinel_key", w.dim),
        }
    }
}

impl Recurrent<'_> {
    /// Before the top cell, of whose input and old states: how far its new cell is shown.
    pub(super) fn open(&self, x: &[f32], h: &[f32], (kept, from): (&mut Sentinels, usize)) {
        let mut gate = linear(self.params, "decoder.attn.gate_x", x);
        math::add_row(&mut gate, &linear(self.params, "decoder.attn.gate_h", h));
        math::sigmoid_all(&mut gate);
        kept.gate[from * self.wiring.hidden..][..gate.len()].copy_from_slice(&gate);
    }

    /// The sentinels of rows with new cells `c`.
    pub(super) fn sentinels(&self, c: &[f32], (kept, from): (&mut Sentinels, usize)) {
        let mut shown = c.to_vec();
        math::tanh_all(&mut shown);
        math::multiply(&mut shown, &kept.gate[from * self.wiring.hidden..]);
        let values = linear(self.params, "decoder.attn.sentinel", &shown);
        let keys = linear(self.params, "decoder.attn.sentinel_key", &values);
        let put = |to: &mut [f32], x: &[f32], width: usize| {
            to[from * width..][..x.len()].copy_from_slice(x);
        };
        put(&mut kept.shown, &shown, self.wiring.hidden);
        put(&mut kept.values, &values, self.wiring.dim);
        put(&mut kept.keys, &keys, self.wiring.dim);
    }

    /// Backward of [`Recurrent::sentinels`], from the gradients of the rows' keys and values; adds to that of the cells.
    pub(super) fn sentinels_back(
        &self,
        [d_keys, d_values]: [&[f32]; 2],
        (c, dc): (&[f32], &mut [f32]),
        (kept, from): (&Sentinels, usize),
        (flow, weights): (&mut SentinelFlow, &SentinelWeights),
    ) {
        let (hidden, dim) = (self.wiring.hidden, self.wiring.dim);
        let mut d_values = d_values.to_vec();
        gemm_packed(&mut d_values, View::new(d_keys, dim), (&weights.key, 0), true);
        let mut d_shown = vec![0.0; c.len()];
        gemm_packed(&mut d_shown, View::new(&d_values, dim), (&weights.sentinel, 0), false);
        flow.keys[from * dim..][..d_keys.len()].copy_from_slice(d_keys);
        flow.values[from * dim..][..d_values.len()].copy_from_slice(&d_values);
        let mut t = c.to_vec();
        math::tanh_all(&mut t);
        let gates = kept.gate[from * hidden..].iter().zip(&mut flow.gate[from * hidden..]);
        for (((gate, d_gate), t), (d, dc)) in gates.zip(&t).zip(d_shown.iter().zip(dc)) {
            *d_gate = d * t * gate * (1.0 - gate);
            *dc += d * gate * (1.0 - t * t);
        }
    }

    /// Adds what the gates of `n` rows give to the gradients of the input and of the old states.
    pub(super) fn open_back(
        &self,
        (flow, weights): (&SentinelFlow, &SentinelWeights),
        (from, n): (usize, usize),
        dx: Option<&mut [f32]>,
        dh: &mut [f32],
    ) {
        let hidden = self.wiring.hidden;
        let d_gate = View::new(&flow.gate[from * hidden..][..n * hidden], hidden);
        gemm_packed(dh, d_gate, (&weights.gate_h, 0), true);
        if let Some(dx) = dx {
            gemm_packed(dx, d_gate, (&weights.gate_x, 0), true);
        }
    }

    /// Gradients of the weights; `x` and `h`: inputs and old states of the top cell.
    pub(super) fn sentinel_weights_back(
        &self,
        kept: &Sentinels,
        flow: &SentinelFlow,
        (x, h): (&[f32], &[f32]),
        grads: &mut Grads,
    ) {
        let mut add = |name: &str, x: &[f32], dy: &[f32]| {
            weights_back(self.params, &format!("decoder.attn.{name}"), x, dy, grads)
        };
        add("gate_x", x, &flow.gate);
        add("gate_h", h, &flow.gate);
        add("sentinel", &kept.shown, &flow.values);
        add("sentinel_key", &kept.values, &flow.keys);
    }
}
