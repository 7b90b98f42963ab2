//! Time of a training step on random features: `RAYON_NUM_THREADS=1 cargo run --release --example step_speed`.
#![recursion_limit = "256"]

use burn::tensor::{Device, Tensor, TensorData};
use capwright_blueprint::language::{
    Attention, Between, Cell, Embeddings, FeedForwardKind, ImageMode, LayerWeights, Memory, NormPlace,
    OptimizerKind, Positions, RnnNorm,
};
use capwright_blueprint::{BridgeSpec, DecoderSpec, Param, RecurrentSpec, Shape, TransformerSpec};
use capwright_train::decoder::{self, CaptionBatch};
use capwright_train::optim::Optimizer;
use capwright_train::{Dropout, Params, bridge};
use std::time::Instant;

const VOCAB: usize = 2543;

fn lstm(attention: Attention) -> DecoderSpec {
    DecoderSpec::Recurrent(RecurrentSpec {
        cell: Cell::Lstm,
        embed: 256,
        hidden: 512,
        layers: 1,
        image: ImageMode::InitialState,
        attention,
        dropout_pct: 30,
        embeddings: Embeddings::Separate,
        rnn_norm: RnnNorm::None,
        between: Between::Plain,
    })
}

fn references(varied: bool) -> Vec<Vec<Vec<u32>>> {
    let length = |i: usize| if varied { 7 + (i * 7919) % 11 } else { 12 };
    let caption = |i: usize| (0..length(i)).map(|t| (4 + (i * 131 + t * 17) % (VOCAB - 4)) as u32).collect();
    (0..24).map(|image| (0..5).map(|r| caption(image * 5 + r)).collect()).collect()
}

fn main() {
    let bridge_spec = BridgeSpec::plain(Memory::Grid, Shape::new(1280, 7, 7), 256);
    let transformer = DecoderSpec::Transformer(TransformerSpec {
        dim: 256,
        layers: 2,
        heads: 4,
        ff: 1024,
        dropout_pct: 10,
        norm: NormPlace::Pre,
        ff_kind: FeedForwardKind::Gelu,
        positions: Positions::Learned,
        embeddings: Embeddings::Separate,
        layer_weights: LayerWeights::Separate,
    });
    let all = [
        ("dot LSTM", lstm(Attention::Dot)),
        ("additive LSTM", lstm(Attention::Additive)),
        ("Transformer", transformer),
    ];
    for (name, spec) in all {
        for varied in [false, true] {
            measure(name, &bridge_spec, &spec, varied);
        }
    }
}

fn measure(name: &str, bridge_spec: &BridgeSpec, spec: &DecoderSpec, varied: bool) {
    let device = Device::flex().autodiff();
    let mut wanted: Vec<Param> = bridge_spec.parameters();
    wanted.extend(spec.parameters(bridge_spec.dim, VOCAB, 25));
    let mut params = Params::init(&wanted, 1, &device);
    let mut optimiser = Optimizer::new(&params, OptimizerKind::Adamw, 0.01, 1.0);
    let values: Vec<f32> = (0..24 * 1280 * 49).map(|i| ((i * 31 % 1009) as f32 / 1009.0).powi(2)).collect();
    let batch = CaptionBatch::new(&references(varied));
    let mut dropout = Dropout::seeded(1, 1);
    let mut times = [0.0; 3];
    let (mut first, mut last) = (0.0, 0.0);
    for i in 0..12 {
        let start = Instant::now();
        let features = Tensor::from_data(TensorData::new(values.clone(), [24, 1280, 7, 7]), &device);
        let memory = bridge::bridge(bridge_spec, &params, features, &mut dropout);
        let outcome =
            decoder::train(spec, &params, memory.clone().inner().into_data(), &batch, 0.1, &mut dropout);
        let middle = Instant::now();
        let mut grads = outcome.grads;
        let back = Tensor::<3>::from_data(TensorData::new(outcome.memory, memory.dims()), &device);
        params.collect(&mut (memory * back).sum().backward(), &mut grads);
        let end = Instant::now();
        optimiser.step(&mut params, &grads, 1e-3);
        last = outcome.loss / outcome.words as f64;
        if i == 0 {
            first = last;
        }
        if i >= 2 {
            times[0] += (middle - start).as_secs_f64() * 100.0;
            times[1] += (end - middle).as_secs_f64() * 100.0;
            times[2] += end.elapsed().as_secs_f64() * 100.0;
        }
    }
    println!(
        "{name} ({} words, {} values): {:.0} ms a step (bridge and decoder {:.0}, bridge back {:.0}, AdamW {:.0}); loss {first:.3} -> {last:.3}",
        batch.words(),
        params.elements(),
        times.iter().sum::<f64>(),
        times[0],
        times[1],
        times[2],
    );
}
