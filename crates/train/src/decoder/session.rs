//! Word-by-word decoding of a batch of rows, one interface for all families.

use super::convolution::ConvolutionSession;
use super::layout::ints;
use super::loss::logits;
use super::recurrent_step::RecurrentSession;
use super::seen::Seen;
use super::transformer_step::TransformerSession;
use super::unrolled::{State, Unrolled};
use crate::math::Dropout;
use crate::params::Params;
use burn::tensor::{Int, Tensor, TensorData};
use capwright_blueprint::DecoderSpec;

/// Decoding in progress: rows (hypotheses) that each show one image.
pub struct Session<'a> {
    params: &'a Params,
    kind: Kind,
}

enum Kind {
    Recurrent(Box<RecurrentSession>),
    Transformer(TransformerSession),
    Convolution(Box<ConvolutionSession>),
    Unrolled { spec: DecoderSpec, seen: Box<Seen>, state: State },
}

impl Kind {
    fn new(spec: &DecoderSpec, params: &Params, memory: TensorData) -> Self {
        let tensor = |memory| Tensor::<3>::from_data(memory, params.device());
        match spec {
            DecoderSpec::Recurrent(spec) if spec.is_plain() => {
                let shape = (memory.shape()[1], memory.shape()[2]);
                let memory = memory.try_into_vec().expect("memory is f32");
                Self::Recurrent(Box::new(RecurrentSession::new(spec, params, memory, shape)))
            }
            DecoderSpec::Recurrent(_) | DecoderSpec::TopDown(_) => {
                let seen = Box::new(Seen::new(spec, params, tensor(memory)));
                let decoder = Unrolled { spec, params };
                let mut state = decoder.first(&seen);
                if let Some(image) = decoder.image_first(&seen) {
                    state = decoder.step(&seen, image, state, &mut Dropout::off()).1;
                }
                Self::Unrolled { spec: *spec, seen, state }
            }
            DecoderSpec::Convolution(spec) => {
                Self::Convolution(Box::new(ConvolutionSession::new(spec, params, tensor(memory))))
            }
            DecoderSpec::Transformer(spec) => {
                let (rows, tokens) = (memory.shape()[0], memory.shape()[1]);
                let images: Vec<usize> = (0..rows).collect();
                let memory: Vec<f32> = memory.try_into_vec().expect("memory is f32");
                Self::Transformer(TransformerSession::new(spec, params, &memory, tokens, &images))
            }
        }
    }
}

impl<'a> Session<'a> {
    /// One row for each image of the memory `[images, tokens, dim]`.
    ///
    /// # Panics
    /// Where the memory is no such 32-bit tensor.
    pub fn new(spec: &DecoderSpec, params: &'a Params, memory: TensorData) -> Self {
        Self { params, kind: Kind::new(spec, params, memory) }
    }

    /// Keeps the given rows, in that order; a row may be repeated.
    pub fn select(&mut self, rows: &[usize]) {
        match &mut self.kind {
            Kind::Transformer(session) => session.select(rows),
            Kind::Convolution(session) => session.select(&indices(rows, self.params)),
            Kind::Unrolled { seen, state, .. } => {
                let rows = indices(rows, self.params);
                **seen = seen.select(&rows);
                *state = state.select(&rows);
            }
            Kind::Recurrent(session) => session.select(rows),
        }
    }

    /// Reads one word a row and returns the logits of the next, `[rows, vocabulary]`.
    pub fn step(&mut self, words: &[u32]) -> Vec<f32> {
        let params = self.params;
        let host = |x: Tensor<2>| x.into_data().try_into_vec().expect("activations are f32");
        let out = match &mut self.kind {
            Kind::Recurrent(session) => session.step(params, words),
            Kind::Transformer(session) => session.step(params, words),
            Kind::Convolution(session) => host(session.step(params, words)),
            Kind::Unrolled { spec, seen, state } => {
                let decoder = Unrolled { spec, params };
                let (out, after) =
                    decoder.step(seen, decoder.embed(words), state.clone(), &mut Dropout::off());
                *state = after;
                host(out)
            }
        };
        logits(params, &out)
    }
}

fn indices(rows: &[usize], params: &Params) -> Tensor<1, Int> {
    ints(rows.iter().map(|row| *row as i64).collect(), params.device())
}
