//! What is timed of the decoder: its start, and whole captions by greedy and beam search.

use super::Calibration;
use crate::decode::decode;
use crate::decoder::Session;
use crate::untrained::endless;
use burn::tensor::TensorData;
use capwright_blueprint::language::{
    Attention, Between, Cell, Embeddings, FeedForwardKind, ImageMode, LayerWeights, Memory, NormPlace,
    Positions, RnnNorm,
};
use capwright_blueprint::latency::{decode_work, setup_work};
use capwright_blueprint::{
    BridgeSpec, ConvolutionSpec, DecoderSpec, RecurrentSpec, Shape, TopDownSpec, TransformerSpec,
};
use capwright_contract::Decoding;

/// Words of the captions that are timed.
const WORDS: usize = 4;

/// All calibrations of the decoder.
pub(super) fn all() -> Vec<Calibration> {
    let mut all = Vec::new();
    for (i, (spec, tokens, dim, vocab)) in decoders().into_iter().enumerate() {
        all.push(start(spec, tokens, dim));
        let beams: &[usize] = if i % 2 == 0 { &[1, 3] } else { &[2, 5] };
        all.extend(beams.iter().map(|beam| caption(spec, (tokens, dim), vocab, *beam)));
    }
    all
}

/// Decoders with tokens and width of the memory and words of the vocabulary.
fn decoders() -> Vec<(DecoderSpec, usize, usize, usize)> {
    use Attention::{Adaptive, Additive, Dot, MultiHead, None};
    use Cell::{Gru, Lstm};
    use ImageMode::{EveryStep, FirstToken, InitialState};
    vec![
        (recurrent(Lstm, 64, 64, 1, InitialState, None), 1, 64, 300),
        (recurrent(Gru, 96, 192, 2, InitialState, None), 1, 640, 9000),
        (recurrent(Lstm, 256, 512, 1, InitialState, Additive), 49, 256, 3000),
        (recurrent(Gru, 320, 320, 1, FirstToken, Dot), 196, 320, 1000),
        (recurrent(Lstm, 768, 640, 2, EveryStep, None), 1, 512, 2000),
        (recurrent(Gru, 64, 96, 1, EveryStep, Additive), 144, 128, 5000),
        (recurrent(Lstm, 128, 128, 1, FirstToken, Dot), 16, 768, 500),
        (recurrent(Gru, 512, 768, 2, InitialState, Additive), 16, 384, 1500),
        // One part each that outweighs the others: vocabulary, attention, cells, gated feed-forward layers, heads.
        (recurrent(Lstm, 64, 64, 1, InitialState, None), 1, 64, 8000),
        (recurrent(Gru, 64, 64, 1, InitialState, None), 1, 64, 5000),
        (recurrent(Gru, 64, 64, 1, InitialState, Dot), 196, 512, 60),
        (recurrent(Gru, 64, 64, 1, InitialState, Additive), 196, 128, 60),
        (recurrent(Lstm, 64, 256, 2, InitialState, None), 1, 64, 60),
        (transformer(64, 4, 8, 1, FeedForwardKind::Gelu), 196, 64, 60),
        (transformer(256, 1, 1, 1, FeedForwardKind::Gelu), 196, 64, 60),
        (transformer(96, 3, 2, 4, FeedForwardKind::SwiGlu), 1, 64, 60),
        (transformer(128, 3, 4, 4, FeedForwardKind::Gelu), 1, 64, 60),
        (transformer(64, 1, 2, 1, FeedForwardKind::Gelu), 9, 64, 300),
        (transformer(128, 4, 8, 4, FeedForwardKind::SwiGlu), 49, 256, 1000),
        (transformer(256, 2, 4, 2, FeedForwardKind::Gelu), 196, 128, 4000),
        (transformer(384, 6, 12, 3, FeedForwardKind::Gelu), 16, 320, 2000),
        (transformer(512, 3, 1, 4, FeedForwardKind::SwiGlu), 49, 512, 800),
        (transformer(192, 3, 6, 2, FeedForwardKind::SwiGlu), 1, 768, 7000),
        (transformer(768, 2, 8, 1, FeedForwardKind::Gelu), 4, 96, 1500),
        (top_down(128, 160), 49, 128, 1000),
        (top_down(320, 448), 9, 320, 2500),
        (normed(Gru, 128, 192, MultiHead, Between::Plain), 49, 192, 1000),
        (normed(Lstm, 256, 384, Adaptive, Between::Highway), 16, 256, 2000),
        (convolution(128, 2, 3), 49, 128, 1000),
        (convolution(320, 3, 5), 16, 192, 600),
        (convolution(640, 2, 3), 4, 320, 2500),
    ]
}

fn recurrent(
    cell: Cell,
    embed: usize,
    hidden: usize,
    layers: usize,
    image: ImageMode,
    attention: Attention,
) -> DecoderSpec {
    DecoderSpec::Recurrent(stack(cell, embed, hidden, layers, image, attention))
}

/// Two layers with layer norm.
fn normed(cell: Cell, embed: usize, hidden: usize, attention: Attention, between: Between) -> DecoderSpec {
    let plain = stack(cell, embed, hidden, 2, ImageMode::InitialState, attention);
    DecoderSpec::Recurrent(RecurrentSpec { rnn_norm: RnnNorm::Layer, between, ..plain })
}

fn convolution(dim: usize, layers: usize, kernel: usize) -> DecoderSpec {
    let embeddings = Embeddings::Separate;
    let memory = Memory::Grid;
    DecoderSpec::Convolution(ConvolutionSpec { memory, dim, layers, kernel, dropout_pct: 0, embeddings })
}

fn top_down(embed: usize, hidden: usize) -> DecoderSpec {
    let embeddings = Embeddings::Separate;
    DecoderSpec::TopDown(TopDownSpec { embed, hidden, dropout_pct: 0, embeddings })
}

fn stack(
    cell: Cell,
    embed: usize,
    hidden: usize,
    layers: usize,
    image: ImageMode,
    attention: Attention,
) -> RecurrentSpec {
    RecurrentSpec {
        cell,
        embed,
        hidden,
        layers,
        image,
        attention,
        dropout_pct: 0,
        embeddings: Embeddings::Separate,
        rnn_norm: RnnNorm::None,
        between: Between::Plain,
    }
}

fn transformer(
    dim: usize,
    layers: usize,
    heads: usize,
    wide: usize,
    ff_kind: FeedForwardKind,
) -> DecoderSpec {
    DecoderSpec::Transformer(TransformerSpec {
        dim,
        layers,
        heads,
        ff: wide * dim,
        dropout_pct: 0,
        norm: NormPlace::Pre,
        ff_kind,
        positions: Positions::Learned,
        embeddings: Embeddings::Separate,
        layer_weights: LayerWeights::Separate,
    })
}

/// A bridge whose memory has these extents.
fn bridge(tokens: usize, dim: usize) -> BridgeSpec {
    BridgeSpec::plain(Memory::Grid, Shape::new(dim, tokens, 1), dim)
}

fn memory(tokens: usize, dim: usize) -> TensorData {
    let values: Vec<f32> = (0..tokens * dim).map(|i| (i as f32 * 1.3).sin()).collect();
    TensorData::new(values, [1, tokens, dim])
}

fn start(spec: DecoderSpec, tokens: usize, dim: usize) -> Calibration {
    let params = endless(&spec.parameters(dim, 8, WORDS + 1), 1);
    let memory = memory(tokens, dim);
    let run = Box::new(move || drop(std::hint::black_box(Session::new(&spec, &params, memory.clone()))));
    Calibration { name: format!("start of {spec:?}"), work: setup_work(&spec, &bridge(tokens, dim)), run }
}

fn caption(spec: DecoderSpec, (tokens, dim): (usize, usize), vocab: usize, beam: usize) -> Calibration {
    let params = endless(&spec.parameters(dim, vocab, WORDS + 1), 1);
    let (memory, bridge) = (memory(tokens, dim), bridge(tokens, dim));
    let work = setup_work(&spec, &bridge) + decode_work(&spec, &bridge, vocab, WORDS, beam);
    let decoding = Decoding::of(beam, WORDS);
    let run = Box::new(move || drop(std::hint::black_box(decode(&spec, &params, memory.clone(), decoding))));
    Calibration { name: format!("{WORDS} words, beam {beam}, {vocab} of {spec:?}"), work, run }
}
