//! Work of the decoder: once an image, then word by word for all hypotheses of a beam.

use super::{Kernel, NEAR, SHARED, Work};
use crate::bridge::BridgeSpec;
use crate::decoder::{DecoderSpec, RecurrentSpec, TransformerSpec};
use crate::decoder_more::{ConvolutionSpec, TopDownSpec};
use crate::language::{Attention, Between, Cell, FeedForwardKind, ImageMode, RnnNorm};

/// What is computed once an image before the first word: keys, values, first states.
pub fn setup_work(spec: &DecoderSpec, bridge: &BridgeSpec) -> Work {
    let mut work = Work::default();
    let (tokens, dim) = (bridge.tokens(), bridge.dim);
    if let DecoderSpec::Convolution(spec) = spec {
        // Weights are brought into the order of the taps.
        work.put(Kernel::Gate, spec.layers * 2 * spec.dim * spec.dim * spec.kernel);
    }
    let mut product = |rows: usize, input: usize, output: usize| {
        work.put(Kernel::Setup, rows * input * output);
        work.put(Kernel::SetupValues, rows * (input + output) + input * output);
    };
    match spec {
        DecoderSpec::Transformer(spec) => (0..2 * spec.layers).for_each(|_| product(tokens, dim, spec.dim)),
        DecoderSpec::TopDown(_) => product(tokens, dim, dim),
        DecoderSpec::Convolution(spec) => {
            product(1, dim, spec.dim);
            (0..2 * spec.attending()).for_each(|_| product(tokens, dim, spec.dim));
        }
        DecoderSpec::Recurrent(spec) => {
            match spec.image {
                ImageMode::InitialState => {
                    // An LSTM has a first cell beside its first state.
                    let states = if spec.cell == Cell::Lstm { 2 } else { 1 };
                    (0..states).for_each(|_| product(1, dim, spec.layers * spec.hidden));
                }
                ImageMode::FirstToken | ImageMode::EveryStep => product(1, dim, spec.embed),
            }
            match spec.attention {
                Attention::None | Attention::Dot => {}
                Attention::Additive | Attention::Adaptive => product(tokens, dim, dim),
                Attention::MultiHead => (0..2).for_each(|_| product(tokens, dim, dim)),
            }
        }
    }
    if let DecoderSpec::Recurrent(spec) = spec
        && spec.image == ImageMode::FirstToken
    {
        recurrent(&mut work, spec, (tokens, dim), 1);
    }
    work
}

/// A caption of `words` words: a step that reads BEGIN with one hypothesis, and one with `beam` for each word.
pub fn decode_work(spec: &DecoderSpec, bridge: &BridgeSpec, vocab: usize, words: usize, beam: usize) -> Work {
    let mut work = Work::default();
    for step in 0..=words {
        let rows = if step == 0 { 1 } else { beam.max(1) };
        let before = work.of(Kernel::Vector) + work.of(Kernel::Weights);
        let width = match spec {
            DecoderSpec::Recurrent(spec) => {
                recurrent(&mut work, spec, (bridge.tokens(), bridge.dim), rows);
                spec.hidden + spec.context(bridge.dim)
            }
            DecoderSpec::TopDown(spec) => {
                top_down(&mut work, spec, (bridge.tokens(), bridge.dim), rows);
                spec.hidden
            }
            DecoderSpec::Convolution(spec) => {
                convolutional(&mut work, spec, bridge.tokens(), rows);
                spec.dim
            }
            DecoderSpec::Transformer(spec) => {
                transformer(&mut work, spec, bridge.tokens(), step, rows);
                spec.dim
            }
        };
        linear(&mut work, rows, width, vocab);
        let weights = (work.of(Kernel::Vector) + work.of(Kernel::Weights) - before) as usize;
        work.put(
            if rows == 1 { Kernel::VectorFar } else { Kernel::WeightsFar },
            weights.saturating_sub(NEAR),
        );
        work.put(Kernel::StepFarther, weights.saturating_sub(SHARED));
        work.put(Kernel::Rank, rows * vocab);
        work.put(Kernel::Step, 1);
    }
    work
}

fn linear(work: &mut Work, rows: usize, input: usize, output: usize) {
    work.put(Kernel::Call, 1);
    if rows == 1 {
        work.put(Kernel::Vector, input * output);
    } else {
        work.put(Kernel::Weights, input * output);
        work.put(Kernel::Rows, rows * input * output);
    }
}

/// A query of each row, its scores and what they sum.
fn attend(work: &mut Work, kind: Attention, (tokens, dim): (usize, usize), hidden: usize, rows: usize) {
    linear(work, rows, hidden, dim);
    let heads = if kind == Attention::MultiHead { RecurrentSpec::heads(dim) } else { 1 };
    work.put(Kernel::Score, rows * heads * tokens);
    match kind {
        Attention::Additive | Attention::Adaptive => {
            work.put(Kernel::Additive, rows * tokens * dim);
            work.put(Kernel::Attend, rows * tokens * dim);
        }
        _ => work.put(Kernel::Attend, 2 * rows * tokens * dim),
    }
    if kind == Attention::MultiHead {
        linear(work, rows, dim, dim);
    }
}

fn cell(work: &mut Work, rows: usize, gates: usize, hidden: usize) {
    linear(work, rows, hidden, gates);
    work.put(Kernel::Cell, rows * gates);
    work.put(Kernel::Keep, rows * 2 * hidden);
}

fn recurrent(work: &mut Work, spec: &RecurrentSpec, (tokens, dim): (usize, usize), rows: usize) {
    let (gates, hidden) = (spec.gates() * spec.hidden, spec.hidden);
    match spec.attention {
        Attention::None => {}
        Attention::Adaptive => {
            linear(work, rows, spec.top_input(dim), hidden);
            linear(work, rows, hidden, hidden);
            linear(work, rows, hidden, dim);
            linear(work, rows, dim, dim);
            work.put(Kernel::Cell, rows * 2 * hidden);
            attend(work, spec.attention, (tokens + 1, dim), hidden, rows);
        }
        kind => {
            attend(work, kind, (tokens, dim), hidden, rows);
            linear(work, rows, dim, gates);
        }
    }
    let known = spec.input(dim) - if spec.attention == Attention::Adaptive { 0 } else { spec.context(dim) };
    for layer in 0..spec.layers {
        linear(work, rows, if layer == 0 { known } else { hidden }, gates);
        cell(work, rows, gates, hidden);
        if spec.rnn_norm == RnnNorm::Layer {
            work.put(Kernel::Element, 4 * rows * (2 * gates + hidden));
        }
        if layer > 0 && spec.between == Between::Highway {
            linear(work, rows, hidden, hidden);
            work.put(Kernel::Cell, rows * hidden);
        }
    }
}

fn top_down(work: &mut Work, spec: &TopDownSpec, (tokens, dim): (usize, usize), rows: usize) {
    attend(work, Attention::Additive, (tokens, dim), spec.hidden, rows);
    // Of the first cell, word, mean token and top state are multiplied one by one.
    for input in [spec.embed, dim, spec.hidden, dim + spec.hidden] {
        linear(work, rows, input, 4 * spec.hidden);
    }
    (0..2).for_each(|_| cell(work, rows, 4 * spec.hidden, spec.hidden));
}

fn convolutional(work: &mut Work, spec: &ConvolutionSpec, tokens: usize, rows: usize) {
    let dim = spec.dim;
    for layer in 0..spec.layers {
        linear(work, rows, spec.kernel * dim, 2 * dim);
        work.put(Kernel::Keep, rows * spec.kernel * dim);
        work.put(Kernel::Curve, rows * dim);
        work.put(Kernel::Element, rows * dim);
        if layer < spec.attending() {
            attend(work, Attention::Dot, (tokens, dim), dim, rows);
        }
    }
}

fn transformer(work: &mut Work, spec: &TransformerSpec, tokens: usize, step: usize, rows: usize) {
    let (dim, seen) = (spec.dim, step + 1);
    for _ in 0..spec.layers {
        (0..6).for_each(|_| linear(work, rows, dim, dim));
        linear(work, rows, dim, spec.ff);
        linear(work, rows, spec.ff, dim);
        work.put(Kernel::Element, rows * (12 * dim + spec.ff));
        if spec.ff_kind == FeedForwardKind::SwiGlu {
            linear(work, rows, dim, spec.ff);
            work.put(Kernel::Curve, rows * spec.ff);
        }
        work.put(Kernel::Attend, 2 * rows * (tokens + seen) * dim);
        work.put(Kernel::Score, rows * spec.heads * (tokens + seen));
        // Each hypothesis owns the keys and values of its words.
        work.put(Kernel::Keep, 2 * rows * seen * dim);
        work.put(Kernel::Call, 3);
    }
}
