//! Word-by-word decoding of a batch of rows, one interface for all families.

use super::convolution::ConvolutionSession;
use super::layout::ints;
use super::loss::logits;
use super::recurrent::{Encoded, Plan, Recurrent, States};
use super::seen::Seen;
use super::transformer_step::TransformerSession;
use super::unrolled::{State, Unrolled};
use crate::math::Dropout;
use crate::params::Params;
use burn::tensor::{Int, Tensor, TensorData};
use capwright_blueprint::language::ImageMode;
use capwright_blueprint::{DecoderSpec, RecurrentSpec};

/// Decoding in progress: rows (hypotheses) that each show one image.
pub struct Session<'a> {
    params: &'a Params,
    kind: Kind,
}

enum Kind {
    Recurrent { spec: RecurrentSpec, encoded: Box<Encoded>, images: Vec<usize>, states: States },
    Transformer(TransformerSession),
    Convolution(Box<ConvolutionSession>),
    Unrolled { spec: DecoderSpec, seen: Box<Seen>, state: State },
}

impl Kind {
    fn new(spec: &DecoderSpec, params: &Params, memory: TensorData) -> Self {
        let tensor = |memory| Tensor::<3>::from_data(memory, params.device());
        match spec {
            DecoderSpec::Recurrent(spec) if spec.is_plain() => {
                let (rows, tokens, dim) = (memory.shape()[0], memory.shape()[1], memory.shape()[2]);
                let images: Vec<usize> = (0..rows).collect();
                let memory = memory.try_into_vec().expect("memory is f32");
                let encoded = Encoded::new(spec, params, memory, tokens, dim);
                let states = States::first(spec, &encoded, &images);
                Self::Recurrent { spec: *spec, encoded: Box::new(encoded), images, states }
            }
            DecoderSpec::Recurrent(_) | DecoderSpec::TopDown(_) => {
                let seen = Box::new(Seen::new(spec, params, tensor(memory)));
                let state = Unrolled { spec, params }.first(&seen);
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
        let mut session = Self { params, kind: Kind::new(spec, params, memory) };
        session.show_first();
        session
    }

    /// Image mode `first_token`: the image is read before any word.
    fn show_first(&mut self) {
        match &mut self.kind {
            Kind::Recurrent { spec, images, .. } if spec.image == ImageMode::FirstToken => {
                let rows = images.len();
                self.read(vec![None; rows]);
            }
            Kind::Unrolled { spec, seen, state } => {
                let decoder = Unrolled { spec, params: self.params };
                if let Some(image) = decoder.image_first(seen) {
                    *state = decoder.step(seen, image, state.clone(), &mut Dropout::off()).1;
                }
            }
            _ => {}
        }
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
            Kind::Recurrent { spec, images, states, .. } => {
                let width = spec.hidden;
                let pick = |all: &Vec<f32>| -> Vec<f32> {
                    if all.is_empty() {
                        return Vec::new();
                    }
                    rows.iter().flat_map(|r| all[r * width..(r + 1) * width].iter().copied()).collect()
                };
                states.h = states.h.iter().map(pick).collect();
                states.c = states.c.iter().map(pick).collect();
                *images = rows.iter().map(|r| images[*r]).collect();
            }
        }
    }

    /// Reads one word a row and returns the logits of the next, `[rows, vocabulary]`.
    pub fn step(&mut self, words: &[u32]) -> Vec<f32> {
        let out = self.read(words.iter().map(|w| Some(*w)).collect());
        logits(self.params, &out)
    }

    fn read(&mut self, words: Vec<Option<u32>>) -> Vec<f32> {
        let host = |x: Tensor<2>| x.into_data().try_into_vec().expect("activations are f32");
        let said = |words: Vec<Option<u32>>| words.into_iter().flatten().collect::<Vec<u32>>();
        match &mut self.kind {
            Kind::Convolution(session) => host(session.step(self.params, &said(words))),
            Kind::Unrolled { spec, seen, state } => {
                let decoder = Unrolled { spec, params: self.params };
                let word = decoder.embed(&said(words));
                let (out, after) = decoder.step(seen, word, state.clone(), &mut Dropout::off());
                *state = after;
                host(out)
            }
            Kind::Transformer(session) => session.step(self.params, &said(words)),
            Kind::Recurrent { spec, encoded, images, states } => {
                let plan = Plan::new(vec![images.len()], images.clone(), words);
                let decoder = Recurrent { spec, params: self.params, dim: encoded.dim };
                decoder.unroll(encoded, &plan, states, &mut Dropout::off()).out
            }
        }
    }
}

fn indices(rows: &[usize], params: &Params) -> Tensor<1, Int> {
    ints(rows.iter().map(|row| *row as i64).collect(), params.device())
}
