//! Small decoders for tests.

use crate::params::Params;
use burn::tensor::{Device, TensorData};
use capwright_backbones::Library;
use capwright_blueprint::language::{
    Attention, Between, Cell, Embeddings, FeedForwardKind, ImageMode, LayerWeights, Memory, NormPlace,
    Positions, Recipe, RnnNorm,
};
use capwright_blueprint::{
    Checked, ConvolutionSpec, DecoderSpec, Design, RecurrentSpec, Target, TopDownSpec, TransformerSpec,
};

/// Width and number of memory tokens.
pub const DIM: usize = 6;
pub const TOKENS: usize = 4;

pub fn recurrent(cell: Cell, image: ImageMode, attention: Attention, layers: usize) -> DecoderSpec {
    DecoderSpec::Recurrent(stacked(cell, image, attention, layers))
}

fn stacked(cell: Cell, image: ImageMode, attention: Attention, layers: usize) -> RecurrentSpec {
    RecurrentSpec {
        cell,
        embed: 8,
        hidden: 10,
        layers,
        image,
        attention,
        dropout_pct: 0,
        embeddings: Embeddings::Separate,
        rnn_norm: RnnNorm::None,
        between: Between::Plain,
    }
}

/// A two-layer Transformer with everything at its default.
fn transformer() -> TransformerSpec {
    TransformerSpec {
        dim: 8,
        layers: 2,
        heads: 2,
        ff: 16,
        dropout_pct: 0,
        norm: NormPlace::Pre,
        ff_kind: FeedForwardKind::Gelu,
        positions: Positions::Learned,
        embeddings: Embeddings::Separate,
        layer_weights: LayerWeights::Separate,
    }
}

/// A convolutional decoder of that width.
pub fn convolution(dim: usize) -> DecoderSpec {
    let (memory, embeddings) = (Memory::Grid, Embeddings::Separate);
    DecoderSpec::Convolution(ConvolutionSpec {
        memory,
        dim,
        layers: 2,
        kernel: 3,
        dropout_pct: 0,
        embeddings,
    })
}

/// The decoder with that much dropout.
pub fn with_dropout(mut spec: DecoderSpec, percent: u8) -> DecoderSpec {
    match &mut spec {
        DecoderSpec::Recurrent(spec) => spec.dropout_pct = percent,
        DecoderSpec::TopDown(spec) => spec.dropout_pct = percent,
        DecoderSpec::Transformer(spec) => spec.dropout_pct = percent,
        DecoderSpec::Convolution(spec) => spec.dropout_pct = percent,
    }
    spec
}

/// One decoder of each family and each way to see the image.
pub fn families() -> Vec<DecoderSpec> {
    vec![
        recurrent(Cell::Lstm, ImageMode::InitialState, Attention::Additive, 1),
        recurrent(Cell::Gru, ImageMode::FirstToken, Attention::Dot, 2),
        recurrent(Cell::Lstm, ImageMode::EveryStep, Attention::None, 2),
        DecoderSpec::Recurrent(RecurrentSpec {
            rnn_norm: RnnNorm::Layer,
            between: Between::Highway,
            ..stacked(Cell::Lstm, ImageMode::FirstToken, Attention::Adaptive, 2)
        }),
        recurrent(Cell::Gru, ImageMode::EveryStep, Attention::MultiHead, 1),
        DecoderSpec::TopDown(TopDownSpec {
            embed: 8,
            hidden: 10,
            dropout_pct: 0,
            embeddings: Embeddings::Separate,
        }),
        convolution(8),
        DecoderSpec::Transformer(transformer()),
        DecoderSpec::Transformer(TransformerSpec {
            norm: NormPlace::Post,
            ff_kind: FeedForwardKind::SwiGlu,
            positions: Positions::Rotary,
            embeddings: Embeddings::Tied,
            ..transformer()
        }),
        DecoderSpec::Transformer(TransformerSpec {
            positions: Positions::Sinusoidal,
            layer_weights: LayerWeights::Shared,
            ..transformer()
        }),
    ]
}

/// Random values with large weights, so that captions differ, and the memory of one image.
pub fn decoder(spec: &DecoderSpec, vocab: usize, positions: usize, seed: u64) -> (Params, TensorData) {
    let wanted = spec.parameters(DIM, vocab, positions);
    let drawn = Params::init(&wanted, seed, &Device::flex());
    let values = drawn.tensors().map(|(_, _, v)| v.iter().map(|x| 3.0 * x).collect()).collect();
    let memory: Vec<f32> = (0..TOKENS * DIM).map(|i| (i as f32 * 1.3).sin()).collect();
    (Params::from_values(&wanted, values, &Device::flex()), TensorData::new(memory, [1, TOKENS, DIM]))
}

/// As [`decoder`], with the memory of several images, no two alike.
pub fn images(
    spec: &DecoderSpec,
    vocab: usize,
    positions: usize,
    seed: u64,
    images: usize,
) -> (Params, TensorData) {
    let memory: Vec<f32> = (0..images * TOKENS * DIM).map(|i| (i as f32 * 1.3).sin()).collect();
    (decoder(spec, vocab, positions, seed).0, TensorData::new(memory, [images, TOKENS, DIM]))
}

/// One image of a memory.
pub fn image(memory: &TensorData, i: usize) -> TensorData {
    let values: Vec<f32> = memory.clone().try_into_vec().expect("memory is f32");
    TensorData::new(values[i * TOKENS * DIM..][..TOKENS * DIM].to_vec(), [1, TOKENS, DIM])
}

/// A recipe with every default.
pub fn recipe() -> Recipe {
    let text = r#"{"lr": 0.001, "schedule": "constant", "weight_decay": 0.0, "label_smoothing": 0.0, "clip": 1.0, "batch": 8}"#;
    serde_json::from_str(text).unwrap()
}

/// A small design from scratch with batch norms in its encoder.
pub fn design() -> Design {
    checked().design().clone()
}

/// The same with what it was made from.
pub fn checked() -> Checked {
    let text = r#"{"encoder": {"input": 32, "source": {"kind": "scratch", "stem": 8,
            "stages": [{"kind": "conv", "out": 8, "repeat": 1}]}, "blocks": []},
        "bridge": {"dim": 64, "dropout_pct": 0},
        "decoder": {"family": "recurrent", "cell": "gru", "embed": 64, "hidden": 64, "layers": 1,
            "image": "initial_state", "attention": "none", "dropout_pct": 0},
        "recipe": {"lr": 0.001, "schedule": "constant", "weight_decay": 0.0, "label_smoothing": 0.0, "clip": 1.0,
            "batch": 8}}"#;
    parsed(text)
}

/// A small design over frozen features of a real backbone, with coarser tokens and places in its bridge.
pub fn design_over_tokens() -> Design {
    let text = r#"{"encoder": {"input": 64, "source": {"kind": "pretrained", "backbone": "mobilenet_v2", "cut": "s16"},
            "blocks": []},
        "bridge": {"dim": 64, "dropout_pct": 0, "positions": "learned", "scales": "pyramid"},
        "decoder": {"family": "recurrent", "cell": "gru", "embed": 64, "hidden": 64, "layers": 1,
            "image": "initial_state", "attention": "dot", "dropout_pct": 0},
        "recipe": {"lr": 0.001, "schedule": "constant", "weight_decay": 0.0, "label_smoothing": 0.0, "clip": 1.0,
            "batch": 8}}"#;
    parsed(text).design().clone()
}

/// The design of a blueprint.
pub fn parsed(text: &str) -> Checked {
    let target = Target { vocab: 11, max_words: 5 };
    capwright_blueprint::parse(text, &Library::default(), target).unwrap()
}
