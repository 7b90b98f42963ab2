//! Work of the decoders that run on the tensor engine: a step is many small operations there. Each function returns the
//! weights that it reads.

use super::trunk::product;
use super::{Kernel, Work};
use crate::decoder::RecurrentSpec;
use crate::decoder_more::{ConvolutionSpec, TopDownSpec};
use crate::language::{Attention, Between, Cell, RnnNorm};

/// A linear layer with its transposed weight and its bias.
fn linear(work: &mut Work, rows: usize, input: usize, output: usize) -> usize {
    product(work, rows, input, output);
    work.put(Kernel::Join, rows * output);
    work.put(Kernel::Operation, 4);
    input * output
}

/// A cell that reads `input` values.
fn cell(work: &mut Work, kind: Cell, (rows, input, hidden): (usize, usize, usize)) -> usize {
    let gates = if kind == Cell::Lstm { 4 } else { 3 } * hidden;
    work.put(Kernel::Silu, rows * gates);
    work.put(Kernel::Join, 4 * rows * hidden);
    work.put(Kernel::Operation, 20);
    linear(work, rows, input, gates) + linear(work, rows, hidden, gates)
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
pub(super) fn recurrent(
    work: &mut Work,
    spec: &RecurrentSpec,
    (tokens, dim): (usize, usize),
    rows: usize,
) -> usize {
    let (hidden, mut weights) = (spec.hidden, 0);
    for layer in 0..spec.layers {
        weights += cell(work, spec.cell, (rows, if layer == 0 { spec.input(dim) } else { hidden }, hidden));
        if spec.rnn_norm == RnnNorm::Layer {
            work.put(Kernel::LayerNorm, rows * (2 * spec.gates() + 1) * hidden);
            work.put(Kernel::Operation, 36);
        }
        match spec.between {
            Between::Highway if layer > 0 => {
                weights += linear(work, rows, hidden, hidden);
                work.put(Kernel::Silu, rows * hidden);
            }
            _ => {}
        }
    }
    if spec.attention != Attention::None {
        weights += linear(work, rows, hidden, dim);
    }
    match spec.attention {
        Attention::None => {}
        Attention::Dot => attend(work, (rows, tokens, dim), 1),
        Attention::Additive => additive(work, (rows, tokens, dim)),
        Attention::MultiHead => {
            attend(work, (rows, tokens, dim), RecurrentSpec::heads(dim));
            weights += linear(work, rows, dim, dim);
        }
        Attention::Adaptive => {
            weights += linear(work, rows, spec.top_input(dim), hidden);
            weights += linear(work, rows, hidden, hidden);
            weights += linear(work, rows, hidden, dim);
            weights += linear(work, rows, dim, dim);
            additive(work, (rows, tokens + 1, dim));
        }
    }
    weights
}

/// A step of the top-down decoder.
pub(super) fn top_down(
    work: &mut Work,
    spec: &TopDownSpec,
    (tokens, dim): (usize, usize),
    rows: usize,
) -> usize {
    let mut weights = linear(work, rows, spec.hidden, dim);
    for input in spec.inputs(dim) {
        weights += cell(work, Cell::Lstm, (rows, input, spec.hidden));
    }
    additive(work, (rows, tokens, dim));
    weights
}

/// A step of the convolutional decoder.
pub(super) fn convolution(work: &mut Work, spec: &ConvolutionSpec, tokens: usize, rows: usize) -> usize {
    let (dim, mut weights) = (spec.dim, 0);
    for layer in 0..spec.layers {
        weights += linear(work, rows, spec.kernel * dim, 2 * dim);
        work.put(Kernel::Silu, rows * dim);
        work.put(Kernel::Operation, 8);
        if layer < spec.attending() {
            weights += linear(work, rows, dim, dim);
            attend(work, (rows, tokens, dim), 1);
        }
    }
    weights
}
