//! Word-by-word decoding of a batch of rows, one interface for all families: by host slices, so that parameters in training record
//! nothing of it.

use super::convolution_step::ConvolutionSession;
use super::loss::logits;
use super::recurrent::{RecurrentSession, Wiring};
use super::transformer_step::TransformerSession;
use crate::params::Params;
use burn::tensor::TensorData;
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
}

impl Kind {
    fn new(spec: &DecoderSpec, params: &Params, memory: TensorData) -> Self {
        let host = |memory: TensorData| memory.try_into_vec::<f32>().expect("memory is f32");
        let (rows, tokens, dim) = (memory.shape()[0], memory.shape()[1], memory.shape()[2]);
        let recurrent = |wiring, memory| {
            Self::Recurrent(Box::new(RecurrentSession::new(wiring, params, host(memory), tokens)))
        };
        match spec {
            DecoderSpec::Recurrent(spec) => recurrent(Wiring::stacked(spec, dim), memory),
            DecoderSpec::TopDown(spec) => recurrent(Wiring::top_down(spec, dim), memory),
            DecoderSpec::Convolution(spec) => {
                let extents = [rows, tokens, dim];
                Self::Convolution(Box::new(ConvolutionSession::new(spec, params, &host(memory), extents)))
            }
            DecoderSpec::Transformer(spec) => {
                let images: Vec<usize> = (0..rows).collect();
                Self::Transformer(TransformerSession::new(spec, params, &host(memory), tokens, &images))
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
            Kind::Convolution(session) => session.select(rows),
            Kind::Recurrent(session) => session.select(rows),
        }
    }

    /// Reads one word a row and returns the logits of the next, `[rows, vocabulary]`.
    pub fn step(&mut self, words: &[u32]) -> Vec<f32> {
        let params = self.params;
        let out = match &mut self.kind {
            Kind::Recurrent(session) => session.step(params, words),
            Kind::Transformer(session) => session.step(params, words),
            Kind::Convolution(session) => session.step(params, words),
        };
        logits(params, &out)
    }
}
