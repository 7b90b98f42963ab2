//! Images decoded a second by random decoders: `RAYON_NUM_THREADS=1 cargo run --release --example caption_speed`.
//! What makes memory is not counted; captions run to nearly their longest length.
#![recursion_limit = "256"]

use burn::tensor::{Device, TensorData};
use capwright_blueprint::language::{
    Attention, Between, Cell, Embeddings, FeedForwardKind, ImageMode, LayerWeights, NormPlace, Positions,
    RnnNorm,
};
use capwright_blueprint::{DecoderSpec, RecurrentSpec, TransformerSpec};
use capwright_contract::Decoding;
use capwright_train::Params;
use capwright_train::decode::decode;
use std::time::Instant;

const IMAGES: usize = 16;
const TOKENS: usize = 49;
const DIM: usize = 256;
const WORDS: usize = 20;
const ROUNDS: usize = 7;

fn lstm() -> DecoderSpec {
    DecoderSpec::Recurrent(RecurrentSpec {
        cell: Cell::Lstm,
        embed: 256,
        hidden: 256,
        layers: 1,
        image: ImageMode::InitialState,
        attention: Attention::Dot,
        dropout_pct: 0,
        embeddings: Embeddings::Separate,
        rnn_norm: RnnNorm::None,
        between: Between::Plain,
    })
}

fn transformer() -> DecoderSpec {
    DecoderSpec::Transformer(TransformerSpec {
        dim: 256,
        layers: 2,
        heads: 4,
        ff: 1024,
        dropout_pct: 0,
        norm: NormPlace::Pre,
        ff_kind: FeedForwardKind::Gelu,
        positions: Positions::Learned,
        embeddings: Embeddings::Separate,
        layer_weights: LayerWeights::Separate,
    })
}

fn main() {
    for (name, spec) in [("LSTM", lstm()), ("Transformer", transformer())] {
        for vocab in [2_500, 10_000] {
            let params = Params::init(&spec.parameters(DIM, vocab, WORDS + 1), 1, &Device::flex());
            for beam in [1, 3] {
                let rate = images_a_second(&spec, &params, Decoding::of(beam, WORDS));
                println!("{name}, {vocab} words, beam {beam}: {rate:.1} images/s");
            }
        }
    }
}

/// The fastest of some rounds.
fn images_a_second(spec: &DecoderSpec, params: &Params, decoding: Decoding) -> f64 {
    let values: Vec<f32> = (0..IMAGES * TOKENS * DIM).map(|i| (i as f32 * 1.3).sin()).collect();
    let memory = TensorData::new(values, [IMAGES, TOKENS, DIM]);
    let round = |_| {
        let start = Instant::now();
        let said = decode(spec, params, memory.clone(), decoding);
        assert_eq!(said.len(), IMAGES);
        start.elapsed().as_secs_f64()
    };
    IMAGES as f64 / (0..ROUNDS).map(round).fold(f64::INFINITY, f64::min)
}
