//! Host arithmetic of the training step: matrix products and fused loops.
//!
//! Why not tensors: a recurrence made of small tensor operations spends most of its time on copies and on gradients
//! of slices. Here each step is a few matrix products and one pass a row, and every weight gradient is a single
//! product over all time steps. Nothing here knows about layers.

mod attention;
mod cells;
mod gemm;
mod kernels;
mod layers;
mod rng;
mod share;
mod tile;
mod update;
mod view;

pub use attention::{
    additive_scores, additive_scores_back, attend, attend_back, log_sum_exp, softmax, softmax_back, top,
    weighted_sum, weighted_sum_back,
};
pub use cells::{gru_back, gru_cell, lstm_back, lstm_cell};
pub use gemm::{Packed, gemm, gemm_columns, gemm_packed, product};
pub use kernels::{add_bias, add_row, add_scaled, column_sums, dot, multiply, sum_of_squares};
pub use layers::{
    cross_entropy, gelu, gelu_back, layer_norm, layer_norm_back, sigmoid_all, silu_all, silu_times,
    silu_times_back, tanh_all,
};
pub use rng::Dropout;
pub use share::each;
pub use update::{adam, adamw, follow, lion, sgd};
pub use view::View;

/// Made-up values for tests.
#[cfg(test)]
mod testing {
    /// A wave, from an angle on.
    pub fn values(n: usize, from: f32) -> Vec<f32> {
        (0..n).map(|i| (from + 0.7 * i as f32).sin() * 1.5).collect()
    }

    /// Scattered in -0.5..0.5.
    pub fn numbers(n: usize) -> Vec<f32> {
        (0..n).map(|i| ((i * 7919 % 1009) as f32 / 1009.0) - 0.5).collect()
    }
}
