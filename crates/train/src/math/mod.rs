//! Host arithmetic of the training step: matrix products and fused loops.
//!
//! Why not tensors: a recurrence made of small tensor operations spends most of its time on copies and on gradients
//! of slices. Here each step is a few matrix products and one pass a row, and every weight gradient is a single
//! product over all time steps. Nothing here knows about layers.

mod gemm;
mod kernels;
mod packed;
mod rng;
mod update;

pub use gemm::{View, gemm, product};
pub use kernels::{
    add_bias, add_row, add_scaled, additive_scores, additive_scores_back, column_sums, cross_entropy, dot,
    gelu, gru_back, gru_cell, lstm_back, lstm_cell, multiply, softmax, softmax_back, sum_of_squares,
    tanh_all,
};
pub use packed::{Packed, gemm_packed};
pub use rng::Dropout;
pub use update::{adam, adamw, follow, lion, sgd};
