//! Recurrent decoders: LSTM and GRU with all that may surround their cells, and the top-down decoder. Formulas:
//! `capwright_blueprint::decoder`.
//!
//! Works on host slices. Positions (row, step) are packed step by step without padding: the word part of the first
//! layer is one matrix product over all of them, and all that backward needs is kept in a tape of that layout, so
//! that every weight gradient is one product too.
//!
//! [`Wiring`] says how the parts of a design hang together; `cell`, `attention` and `sentinel` are the parts, each forward and
//! backward; `unroll` and `back` put them in order for training, `step` for decoding word by word.

mod attention;
mod autodiff;
mod back;
mod cell;
mod encoded;
mod sentinel;
mod step;
mod unroll;
mod wiring;

pub(super) use autodiff::{outputs, targets};
pub(crate) use encoded::Encoded;
pub(crate) use step::RecurrentSession;
pub(crate) use wiring::Wiring;

use super::loss::linear;
use crate::math::{self, Packed, View, gemm_packed};
use crate::params::Params;
use capwright_blueprint::language::Between;

/// A view on one decoder: description and values.
#[derive(Clone, Copy)]
pub(crate) struct Recurrent<'a> {
    pub wiring: &'a Wiring,
    pub params: &'a Params,
}

impl<'a> Recurrent<'a> {
    fn rnn(&self, layer: usize, leaf: &str) -> &'a [f32] {
        self.params.values(&format!("decoder.rnn.{layer}.{leaf}"))
    }

    fn packed(&self, layer: usize, leaf: &str) -> &'a Packed {
        self.params.packed(&format!("decoder.rnn.{layer}.{leaf}"))
    }

    fn gates(&self) -> usize {
        self.wiring.gates()
    }

    /// The input's part of a layer's gates before any norm, of the input's columns from `from` on; with its bias, which is none
    /// where layer norms have it.
    fn read(&self, layer: usize, x: View<'_>, from: usize, gates: &mut [f32]) {
        gemm_packed(gates, x, (self.packed(layer, "weight_ih"), from), false);
        if !self.wiring.normed() {
            math::add_bias(gates, self.rnn(layer, "bias_ih"));
        }
    }

    /// What a layer above the first hands on for its input and its state, and the gate of a highway.
    fn joined(&self, layer: usize, x: &[f32], h: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let mut handed = h.to_vec();
        match self.wiring.between {
            Between::Plain => (handed, Vec::new()),
            Between::Residual => {
                math::add_row(&mut handed, x);
                (handed, Vec::new())
            }
            Between::Highway => {
                let mut gate = linear(self.params, &format!("decoder.rnn.{layer}.highway"), x);
                math::sigmoid_all(&mut gate);
                let values = handed.iter_mut().zip(&gate).zip(x);
                values.for_each(|((h, gate), x)| *h = x + gate * (*h - x));
                (handed, gate)
            }
        }
    }
}

/// Copies rows of `width` values into the columns of `to` from `at` on, whose rows have `wide`.
fn put(to: &mut [f32], wide: usize, at: usize, from: &[f32], width: usize) {
    if width > 0 {
        let rows = to.chunks_exact_mut(wide).zip(from.chunks_exact(width));
        rows.for_each(|(to, from)| to[at..at + width].copy_from_slice(from));
    }
}

/// The columns from `at` on, `width` of them, of rows of `wide` values.
fn columns(from: &[f32], wide: usize, at: usize, width: usize) -> Vec<f32> {
    gathered(from.chunks_exact(wide).map(|row| &row[at..at + width]), width)
}

/// Rows of `width` values, one behind the other.
fn gathered<'a>(rows: impl ExactSizeIterator<Item = &'a [f32]>, width: usize) -> Vec<f32> {
    let mut all = Vec::with_capacity(rows.len() * width);
    rows.for_each(|row| all.extend_from_slice(row));
    all
}
