//! Work of the convolutional decoder, which runs on the tensor engine: a step is many small operations there.

use super::trunk::product;
use super::{Kernel, Work};
use crate::decoder_more::ConvolutionSpec;

/// A linear layer with its transposed weight and its bias.
fn linear(work: &mut Work, rows: usize, input: usize, output: usize) -> usize {
    product(work, rows, input, output);
    work.put(Kernel::Join, rows * output);
    work.put(Kernel::Operation, 4);
    input * output
}

/// Scores, their softmax and the weighted sum, with rows' memory gathered first.
fn attend(work: &mut Work, (rows, tokens, dim): (usize, usize, usize)) {
    work.put(Kernel::Gemm, 2 * rows * tokens * dim);
    work.put(Kernel::GemmValues, 2 * rows * tokens * dim);
    work.put(Kernel::Softmax, rows * tokens);
    work.put(Kernel::Operation, 14);
}

/// A step; returns the weights that it reads.
pub(super) fn step(work: &mut Work, spec: &ConvolutionSpec, tokens: usize, rows: usize) -> usize {
    let (dim, mut weights) = (spec.dim, 0);
    for layer in 0..spec.layers {
        weights += linear(work, rows, spec.kernel * dim, 2 * dim);
        work.put(Kernel::Silu, rows * dim);
        work.put(Kernel::Operation, 8);
        if layer < spec.attending() {
            weights += linear(work, rows, dim, dim);
            attend(work, (rows, tokens, dim));
        }
    }
    weights
}
