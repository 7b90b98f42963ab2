//! Word-by-word decoding of a batch of rows, one interface for all families.

use super::loss::logits;
use super::recurrent::{Encoded, Plan, Recurrent, States};
use super::transformer_step::TransformerSession;
use crate::math::Dropout;
use crate::params::Params;
use burn::tensor::TensorData;
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
}

impl<'a> Session<'a> {
    /// One row for each image of the memory `[images, tokens, dim]`.
    ///
    /// # Panics
    /// Where the memory is no such 32-bit tensor.
    pub fn new(spec: &DecoderSpec, params: &'a Params, memory: TensorData) -> Self {
        let (images, tokens, dim) = (memory.shape()[0], memory.shape()[1], memory.shape()[2]);
        let memory: Vec<f32> = memory.try_into_vec().expect("memory is f32");
        let images: Vec<usize> = (0..images).collect();
        let kind = match spec {
            DecoderSpec::Transformer(spec) => {
                Kind::Transformer(TransformerSession::new(spec, params, &memory, tokens, &images))
            }
            DecoderSpec::Recurrent(spec) => {
                let encoded = Encoded::new(spec, params, memory, tokens, dim);
                let states = States::first(spec, &encoded, &images);
                Kind::Recurrent { spec: *spec, encoded: Box::new(encoded), images, states }
            }
        };
        let mut session = Self { params, kind };
        session.show_first();
        session
    }

    /// Image mode `first_token`: the image is read before any word.
    fn show_first(&mut self) {
        let Kind::Recurrent { spec, images, .. } = &self.kind else { return };
        if spec.image == ImageMode::FirstToken {
            let rows = images.len();
            self.read(vec![None; rows]);
        }
    }

    /// Keeps the given rows, in that order; a row may be repeated.
    pub fn select(&mut self, rows: &[usize]) {
        match &mut self.kind {
            Kind::Transformer(session) => session.select(rows),
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
        match &mut self.kind {
            Kind::Transformer(session) => {
                let words: Vec<u32> = words.into_iter().flatten().collect();
                session.step(self.params, &words)
            }
            Kind::Recurrent { spec, encoded, images, states } => {
                let plan = Plan::new(vec![images.len()], images.clone(), words);
                let decoder = Recurrent { spec, params: self.params, dim: encoded.dim };
                decoder.unroll(encoded, &plan, states, &mut Dropout::off()).out
            }
        }
    }
}
