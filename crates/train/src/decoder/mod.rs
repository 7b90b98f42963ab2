//! Decoders: teacher-forced training, and word-by-word decoding. Formulas: `capwright_blueprint::decoder`.

mod autodiff;
mod batch;
mod convolution;
mod convolution_step;
mod layout;
mod loss;
mod places;
mod recurrent;
mod session;
#[cfg(test)]
pub(crate) mod tests;
mod transformer;
mod transformer_autodiff;
mod transformer_back;
mod transformer_step;

pub use batch::{CaptionBatch, Row, Target};
pub(crate) use loss::{linear, vocabulary_weight, weights_back};
pub(crate) use places::sinusoid;
pub use session::Session;

use crate::math::Dropout;
use crate::params::{Grads, Params};
use burn::tensor::{Tensor, TensorData};
use capwright_blueprint::DecoderSpec;
use recurrent::{Encoded, Recurrent, Wiring};
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

/// Teacher-forced loss and gradients of `batch` for memory `[images, tokens, dim]`, on the device of the parameters.
pub fn train(
    spec: &DecoderSpec,
    params: &Params,
    memory: TensorData,
    batch: &CaptionBatch,
    smoothing: f32,
    dropout: &mut Dropout,
) -> Outcome {
    if !params.on_processor() {
        return autodiff::train(spec, params, memory, batch, smoothing, dropout);
    }
    let (tokens, dim) = (memory.shape()[1], memory.shape()[2]);
    let host = |memory: TensorData| memory.try_into_vec::<f32>().expect("memory is f32");
    let mut recurrent = |wiring: &Wiring, memory| {
        let encoded = Encoded::new(wiring, params, host(memory), tokens);
        Recurrent { wiring, params }.train(&encoded, batch, smoothing, dropout)
    };
    match spec {
        DecoderSpec::Recurrent(spec) => recurrent(&Wiring::stacked(spec, dim), memory),
        DecoderSpec::TopDown(spec) => recurrent(&Wiring::top_down(spec, dim), memory),
        DecoderSpec::Transformer(spec) => {
            transformer_back::train(spec, params, (&host(memory), tokens), batch, smoothing, dropout)
        }
        DecoderSpec::Convolution(spec) => {
            let leaf = Tensor::<3>::from_data(memory, params.device()).require_grad();
            convolution::train(spec, params, leaf, batch, smoothing, dropout)
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
