//! Decoders: teacher-forced training, and word-by-word decoding. Formulas: `capwright_blueprint::decoder`.

mod batch;
mod convolution;
mod layout;
mod loss;
mod places;
mod recurrent;
mod recurrent_back;
mod seen;
mod session;
#[cfg(test)]
pub(crate) mod tests;
mod transformer;
mod transformer_step;
mod unrolled;

pub use batch::{CaptionBatch, Row};
pub(crate) use places::sinusoid;
pub use session::Session;

use crate::math::Dropout;
use crate::params::{Grads, Params};
use burn::tensor::{Tensor, TensorData};
use capwright_blueprint::DecoderSpec;
use recurrent::{Encoded, Recurrent};

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
            transformer::train(spec, params, leaf(memory), batch, smoothing, dropout)
        }
        DecoderSpec::Convolution(spec) => {
            convolution::train(spec, params, leaf(memory), batch, smoothing, dropout)
        }
        DecoderSpec::Recurrent(_) | DecoderSpec::TopDown(_) => {
            unrolled::train(spec, params, leaf(memory), batch, smoothing, dropout)
        }
    }
}
