//! Decoders: teacher-forced training, and word-by-word decoding. Formulas: `capwright_blueprint::decoder`.

mod batch;
mod convolution;
mod layout;
mod loss;
mod places;
mod recurrent;
mod recurrent_back;
mod recurrent_step;
mod seen;
mod session;
#[cfg(test)]
pub(crate) mod tests;
mod transformer;
mod transformer_back;
mod transformer_step;
mod unrolled;

pub use batch::{CaptionBatch, Row, Target};
pub(crate) use loss::{linear, weights_back};
pub(crate) use places::sinusoid;
pub use session::Session;

use crate::math::Dropout;
use crate::params::{Grads, Params};
use burn::tensor::{Tensor, TensorData};
use capwright_blueprint::DecoderSpec;
use recurrent::{Encoded, Recurrent};
use std::time::Duration;

/// Loss and gradients of a batch.
pub struct Outcome {
    /// Sum of the cross entropy over all words, in nats.
    pub loss: f64,
    /// Words said, ENDs included.
    pub words: usize,
    /// Gradients of the mean loss per word; those of the decoder's parameters.
    pub grads: Grads,
    /// Gradient of the memory, as the memory.
    pub memory: Vec<f32>,
    /// Time of the backward pass, from the gradient that the vocabulary layer hands on.
    pub backward: Duration,
}

/// Teacher-forced loss and gradients of `batch` for memory `[images, tokens, dim]`.
pub fn train(
    spec: &DecoderSpec,
    params: &Params,
    memory: TensorData,
    batch: &CaptionBatch,
    smoothing: f32,
    dropout: &mut Dropout,
) -> Outcome {
    let (tokens, dim) = (memory.shape()[1], memory.shape()[2]);
    let leaf = |memory| Tensor::<3>::from_data(memory, params.device()).require_grad();
    match spec {
        DecoderSpec::Recurrent(spec) if spec.is_plain() => {
            let memory = memory.try_into_vec().expect("memory is f32");
            let encoded = Encoded::new(spec, params, memory, tokens, dim);
            Recurrent { spec, params, dim }.train(&encoded, batch, smoothing, dropout)
        }
        DecoderSpec::Transformer(spec) => {
            let memory: Vec<f32> = memory.try_into_vec().expect("memory is f32");
            transformer_back::train(spec, params, (&memory, tokens), batch, smoothing, dropout)
        }
        DecoderSpec::Convolution(spec) => {
            convolution::train(spec, params, leaf(memory), batch, smoothing, dropout)
        }
        DecoderSpec::Recurrent(_) | DecoderSpec::TopDown(_) => {
            unrolled::train(spec, params, leaf(memory), batch, smoothing, dropout)
        }
    }
}

/// The likeliest word at each step of each row of `batch` after the words that it reads, END included: row by row, as
/// many as the row has steps. Without dropout and without gradients; the first of equals.
pub fn predict(
    spec: &DecoderSpec,
    params: &Params,
    memory: TensorData,
    batch: &CaptionBatch,
) -> Vec<Vec<u32>> {
    let vocab = params.values("decoder.out.bias").len();
    let mut session = Session::new(spec, params, memory);
    session.select(&batch.rows.iter().map(|row| row.image).collect::<Vec<_>>());
    let mut said: Vec<Vec<u32>> = vec![Vec::new(); batch.rows.len()];
    let mut alive = batch.rows.len();
    for t in 0..batch.steps() {
        if batch.active(t) < alive {
            alive = batch.active(t);
            session.select(&(0..alive).collect::<Vec<_>>());
        }
        let words: Vec<u32> = (0..alive).map(|row| batch.input(row, t)).collect();
        let logits = session.step(&words);
        for (said, logits) in said.iter_mut().zip(logits.chunks_exact(vocab)) {
            said.push(likeliest(logits));
        }
    }
    said
}

fn likeliest(logits: &[f32]) -> u32 {
    let mut best = 0;
    for (word, value) in logits.iter().enumerate() {
        if *value > logits[best] {
            best = word;
        }
    }
    best as u32
}
