//! Work of the decoders that run on the tensor engine: a step is many small operations there.

use super::trunk::product;
use super::{Kernel, Work};
use crate::decoder::RecurrentSpec;
use crate::decoder_more::{ConvolutionSpec, TopDownSpec};
use crate::language::{Attention, Between, Cell, RnnNorm};

/// A linear layer with its transposed weight and its bias.
fn linear(work: &mut Work, rows: usize, input: usize, output: usize) {
    product(work, rows, input, output);
    work.put(Kernel::Join, rows * output);
    work.put(Kernel::Operation, 4);
}

/// A cell that reads `input` values.
fn cell(work: &mut Work, kind: Cell, (rows, input, hidden): (usize, usize, usize)) {
    let gates = if kind == Cell::Lstm { 4 } else { 3 } * hidden;
    linear(work, rows, input, gates);
    linear(work, rows, hidden, gates);
    work.put(Kernel::Silu, rows * gates);
    work.put(Kernel::Join, 4 * rows * hidden);
    work.put(Kernel::Operation, 20);
}

/// Scores, their softmax and the weighted sum, with rows' memory gathered first.
fn attend(work: &mut Work, (rows, tokens, dim): (usize, usize, usize), heads: usize) {
    work.put(Kernel::Gemm, 2 * rows * tokens * dim);
    work.put(Kernel::GemmValues, 2 * rows * tokens * dim);
    work.put(Kernel::Softmax, rows * heads * tokens);
    work.put(Kernel::Operation, 14);
}

/// A hyperbolic tangent of every value of the keys.
fn additive(work: &mut Work, (rows, tokens, dim): (usize, usize, usize)) {
    work.put(Kernel::Silu, rows * tokens * dim);
    work.put(Kernel::Gate, rows * tokens * dim);
    attend(work, (rows, tokens, dim), 1);
}

/// A step of a recurrence that is not plain.
pub(super) fn recurrent(work: &mut Work, spec: &RecurrentSpec, (tokens, dim): (usize, usize), rows: usize) {
    let hidden = spec.hidden;
    for layer in 0..spec.layers {
        cell(work, spec.cell, (rows, if layer == 0 { spec.input(dim) } else { hidden }, hidden));
        if spec.rnn_norm == RnnNorm::Layer {
            work.put(Kernel::LayerNorm, rows * (2 * spec.gates() + 1) * hidden);
            work.put(Kernel::Operation, 36);
        }
        match spec.between {
            Between::Highway if layer > 0 => {
                linear(work, rows, hidden, hidden);
                work.put(Kernel::Silu, rows * hidden);
            }
            _ => {}
        }
    }
    if spec.attention != Attention::None {
        linear(work, rows, hidden, dim);
    }
    match spec.attention {
        Attention::None => {}
        Attention::Dot => attend(work, (rows, tokens, dim), 1),
        Attention::Additive => additive(work, (rows, tokens, dim)),
        Attention::MultiHead => {
            attend(work, (rows, tokens, dim), RecurrentSpec::heads(dim));
            linear(work, rows, dim, dim);
        }
        Attention::Adaptive => {
            linear(work, rows, spec.top_input(dim), hidden);
            linear(work, rows, hidden, hidden);
            linear(work, rows, hidden, dim);
            linear(work, rows, dim, dim);
            additive(work, (rows, tokens + 1, dim));
        }
    }
}

/// A step of the top-down decoder.
pub(super) fn top_down(work: &mut Work, spec: &TopDownSpec, (tokens, dim): (usize, usize), rows: usize) {
    for input in spec.inputs(dim) {
        cell(work, Cell::Lstm, (rows, input, spec.hidden));
    }
    linear(work, rows, spec.hidden, dim);
    additive(work, (rows, tokens, dim));
}

/// A step of the convolutional decoder.
pub(super) fn convolution(work: &mut Work, spec: &ConvolutionSpec, tokens: usize, rows: usize) {
    let dim = spec.dim;
    for layer in 0..spec.layers {
        linear(work, rows, spec.kernel * dim, 2 * dim);
        work.put(Kernel::Silu, rows * dim);
        work.put(Kernel::Operation, 8);
        // The weight is brought into the order of the taps.
        work.put(Kernel::Gate, 2 * dim * dim * spec.kernel);
        if layer < spec.attending() {
            linear(work, rows, dim, dim);
            attend(work, (rows, tokens, dim), 1);
        }
    }
}
