//! What is timed of the encoder: single convolutions and steps of both engines, bridges, resizing.

use super::Calibration;
use crate::bridge::bridge;
use crate::error::TrainError;
use crate::extractor::features;
use crate::math::Dropout;
use crate::params::Params;
use crate::trunk::{Mode, Stats, forward};
use crate::untrained::{photo, random_weights};
use crate::vision::FrozenNet;
use burn::tensor::{Device, Tensor, TensorData};
use capwright_blueprint::language::Memory;
use capwright_blueprint::latency::{Kernel, Work, bridge_work, frozen_work, trunk_work};
use capwright_blueprint::{Activation, BridgeSpec, Conv, Graph, Op, Padding, Shape};
use capwright_caption_data::Preprocess;
use std::sync::Arc;

/// Input and output channels, side of the map, kernel, stride, groups.
type Extents = (usize, usize, usize, usize, usize, usize);

/// Convolutions of the host engine: pointwise, dense, strided, depthwise.
const FROZEN: &[Extents] = &[
    (16, 96, 56, 1, 1, 1),
    (96, 24, 28, 1, 1, 1),
    (64, 384, 14, 1, 1, 1),
    (384, 64, 14, 1, 1, 1),
    (160, 960, 7, 1, 1, 1),
    (320, 1280, 7, 1, 1, 1),
    (960, 160, 3, 1, 1, 1),
    (24, 144, 4, 1, 1, 1),
    (512, 512, 2, 1, 1, 1),
    (16, 96, 64, 1, 1, 1),
    (96, 24, 32, 1, 1, 1),
    (24, 144, 32, 1, 1, 1),
    (32, 16, 96, 1, 1, 1),
    (64, 64, 32, 3, 1, 1),
    (64, 64, 28, 3, 1, 1),
    (128, 128, 14, 3, 1, 1),
    (256, 256, 7, 3, 1, 1),
    (512, 512, 3, 3, 1, 1),
    (64, 128, 28, 3, 2, 1),
    (64, 128, 28, 1, 2, 1),
    (256, 512, 14, 1, 2, 1),
    (3, 64, 96, 7, 2, 1),
    (3, 32, 128, 3, 2, 1),
    (3, 32, 64, 3, 2, 1),
    (96, 96, 28, 3, 1, 96),
    (144, 144, 56, 3, 2, 144),
    (384, 384, 14, 3, 1, 384),
    (960, 960, 7, 3, 1, 960),
    (240, 240, 28, 5, 2, 240),
    (672, 672, 14, 5, 1, 672),
    (1152, 1152, 4, 5, 1, 1152),
];

/// Convolutions of the tensor engine; the last ones are from few channels to few.
const TRAINED: &[Extents] = &[
    (32, 64, 28, 1, 1, 1),
    (256, 64, 14, 1, 1, 1),
    (128, 512, 7, 1, 1, 1),
    (512, 128, 4, 1, 1, 1),
    (96, 96, 14, 1, 1, 4),
    (3, 32, 96, 3, 2, 1),
    (3, 64, 64, 3, 2, 1),
    (32, 32, 28, 3, 1, 1),
    (64, 128, 14, 3, 2, 1),
    (128, 64, 7, 5, 1, 1),
    (256, 256, 4, 3, 1, 1),
    (320, 160, 7, 3, 1, 1),
    (64, 256, 14, 1, 2, 1),
    (64, 64, 14, 3, 1, 8),
    (192, 96, 7, 3, 1, 32),
    (32, 32, 28, 3, 1, 32),
    (128, 128, 14, 5, 1, 128),
    (64, 64, 28, 3, 2, 64),
    (320, 320, 7, 7, 1, 320),
    (512, 512, 4, 3, 1, 512),
    (3, 16, 96, 3, 2, 1),
    (3, 8, 64, 3, 2, 1),
    (2, 1, 28, 7, 1, 1),
    (2, 1, 14, 7, 1, 1),
    (3, 16, 40, 3, 1, 1),
    (64, 32, 64, 3, 1, 1),
    (24, 96, 48, 3, 2, 1),
    (32, 64, 80, 1, 1, 1),
    (24, 24, 112, 3, 1, 24),
    (48, 48, 96, 3, 2, 48),
    (32, 16, 112, 3, 1, 1),
    (256, 64, 16, 3, 1, 1),
    (64, 64, 32, 3, 2, 1),
    (384, 384, 2, 3, 1, 1),
    (64, 96, 64, 3, 2, 1),
    (48, 48, 80, 3, 1, 1),
    (96, 48, 96, 1, 1, 1),
    (128, 128, 40, 1, 1, 1),
    (48, 160, 32, 1, 1, 1),
    (256, 64, 32, 1, 1, 1),
    (16, 64, 64, 1, 1, 1),
    (24, 128, 112, 1, 1, 1),
    (64, 128, 96, 1, 2, 1),
    (128, 64, 32, 3, 1, 1),
    (96, 96, 48, 3, 1, 4),
];

/// Channels, side of the map, kernel and length of chains of convolutions whose weights no near cache holds.
const CHAINS: &[(usize, usize, usize, usize)] = &[
    (512, 1, 1, 10),
    (512, 3, 1, 8),
    (320, 2, 1, 20),
    (320, 7, 1, 12),
    (256, 2, 3, 5),
    (512, 1, 3, 3),
    (128, 4, 3, 12),
];

/// Maps on which the other steps of the tensor engine are timed.
const MAPS: [Shape; 6] = [
    Shape { c: 64, h: 112, w: 112 },
    Shape { c: 32, h: 80, w: 80 },
    Shape { c: 24, h: 40, w: 40 },
    Shape { c: 96, h: 14, w: 14 },
    Shape { c: 256, h: 7, w: 7 },
    Shape { c: 32, h: 3, w: 3 },
];

/// All calibrations of the encoder.
pub(super) fn all() -> Result<Vec<Calibration>, TrainError> {
    let mut all = Vec::new();
    for extents in FROZEN {
        let graph = convolution(*extents, Some(Activation::Relu6))?;
        all.push(frozen(format!("host convolution {extents:?}"), graph)?);
    }
    for (shape, op) in frozen_steps() {
        let mut graph = Graph::new(shape);
        let inputs: &[usize] = if matches!(op, Op::Add) { &[0, 0] } else { &[0] };
        graph.add("step", op, inputs).map_err(misfit)?;
        all.push(frozen(format!("host {op:?} of {shape}"), graph)?);
    }
    for extents in TRAINED {
        all.push(trained(format!("convolution {extents:?}"), convolution(*extents, None)?));
    }
    for chain in CHAINS {
        all.push(frozen(format!("host chain {chain:?}"), chained(*chain)?)?);
        all.push(trained(format!("chain {chain:?}"), chained(*chain)?));
    }
    for shape in MAPS {
        for op in trained_steps(shape) {
            all.push(trained(format!("{op:?} of {shape}"), step(shape, op)?));
        }
    }
    for (c, side, dim, memory) in [
        (64, 14, 64, Memory::Grid),
        (320, 7, 256, Memory::Grid),
        (512, 4, 640, Memory::Grid),
        (1280, 7, 384, Memory::Global),
        (32, 2, 96, Memory::Global),
        (128, 12, 128, Memory::Global),
        (128, 10, 512, Memory::Grid),
    ] {
        all.push(bridged(BridgeSpec::plain(memory, Shape::new(c, side, side), dim)));
    }
    for (c, side, dim, queries) in [(320, 7, 256, 16), (128, 10, 128, 32)] {
        let spec = BridgeSpec::plain(Memory::Grid, Shape::new(c, side, side), dim);
        all.push(bridged(BridgeSpec { queries, ..spec }));
    }
    all.extend([48, 96, 160, 224].map(resized));
    Ok(all)
}

fn misfit(error: capwright_blueprint::ShapeError) -> TrainError {
    TrainError::Spec(error.to_string())
}

/// A convolution with, on the host engine, the norm and non-linearity that it takes up.
fn convolution(
    (input, output, side, kernel, stride, groups): Extents,
    act: Option<Activation>,
) -> Result<Graph, TrainError> {
    let padding = Padding::symmetric(kernel / 2);
    let conv =
        Conv { input, output, kernel, width: kernel, stride, padding, dilation: 1, groups, bias: false };
    let mut graph = Graph::new(Shape::new(input, side, side));
    let mut at = graph.add("conv", Op::Conv(conv), &[0]).map_err(misfit)?;
    if let Some(act) = act {
        at = graph
            .add("norm", Op::BatchNorm { channels: output, eps_micro: 10, fixed: false }, &[at])
            .map_err(misfit)?;
        graph.add("act", Op::Act(act), &[at]).map_err(misfit)?;
    }
    Ok(graph)
}

/// Convolutions after each other.
fn chained((channels, side, kernel, length): (usize, usize, usize, usize)) -> Result<Graph, TrainError> {
    let mut graph = Graph::new(Shape::new(channels, side, side));
    for i in 0..length {
        let conv = Op::Conv(Conv::same(channels, channels, kernel));
        graph.add(format!("conv{i}"), conv, &[i]).map_err(misfit)?;
    }
    Ok(graph)
}

/// Steps of the host engine that are no convolution.
fn frozen_steps() -> Vec<(Shape, Op)> {
    let mut all = Vec::new();
    for shape in [Shape::new(64, 28, 28), Shape::new(256, 14, 14), Shape::new(8, 2, 2)] {
        all.push((shape, Op::MaxPool { kernel: 3, stride: 2, padding: 1, ceil: false }));
        all.push((shape, Op::GlobalAvgPool));
        all.push((shape, Op::Add));
        all.push((shape, Op::Act(Activation::Relu)));
        all.push((shape, Op::Act(Activation::Silu)));
    }
    all
}

/// Steps of the tensor engine that are no convolution, for a map of that shape.
fn trained_steps(shape: Shape) -> Vec<Op> {
    let (channels, eps_micro, cells) = (shape.c, 10, shape.h * shape.w);
    let mut all = vec![
        Op::BatchNorm { channels, eps_micro, fixed: false },
        Op::LayerNorm { channels, eps_micro },
        Op::GroupNorm { channels, groups: 8, eps_micro },
        Op::LayerScale { channels },
        Op::Act(Activation::Relu),
        Op::Act(Activation::Silu),
        Op::Act(Activation::Gelu),
        Op::Act(Activation::HardSwish),
        Op::Add,
        Op::Concat,
        Op::Mul,
        Op::MaxPool { kernel: 2, stride: 2, padding: 0, ceil: false },
        Op::AvgPool { kernel: 2, stride: 2, padding: 0 },
        Op::AdaptiveAvgPool { side: 2 },
        Op::GlobalAvgPool,
        Op::GlobalMaxPool,
        Op::ChannelMean,
        Op::ChannelMax,
        Op::AxisMeans,
    ];
    if cells <= 256 {
        all.push(Op::Linear { input: channels, output: 3 * channels, bias: true });
        if channels.is_multiple_of(12) {
            all.push(Op::Attend { heads: 4 });
        }
        all.push(Op::MixCells { cells, h: shape.h, w: shape.w });
    }
    all
}

/// A graph of one step.
fn step(shape: Shape, op: Op) -> Result<Graph, TrainError> {
    let mut graph = Graph::new(shape);
    match op {
        Op::Mul => {
            let gate = graph.add("gate", Op::GlobalAvgPool, &[0]).map_err(misfit)?;
            graph.add("step", op, &[0, gate]).map_err(misfit)?;
        }
        Op::Add | Op::Concat => drop(graph.add("step", op, &[0, 0]).map_err(misfit)?),
        op => drop(graph.add("step", op, &[0]).map_err(misfit)?),
    }
    Ok(graph)
}

fn wave(n: usize) -> Vec<f32> {
    (0..n).map(|i| ((i * 37 % 101) as f32 / 50.0 - 1.0) * 0.7).collect()
}

fn tensor(shape: Shape) -> Tensor<4> {
    Tensor::from_data(TensorData::new(wave(shape.len()), [1, shape.c, shape.h, shape.w]), &Device::flex())
}

fn frozen(name: String, graph: Graph) -> Result<Calibration, TrainError> {
    let mut work = frozen_work(&graph);
    work.put(Kernel::Features, graph.output_shape().len());
    let net = FrozenNet::load(&graph, &random_weights(&graph, 1))?;
    let image = wave(graph.input_shape().len());
    let shape = graph.output_shape();
    // The copies of a captioner: its input from the pixels, its output as a tensor.
    let run = Box::new(move || {
        let features = [features(&net, &image.clone())].concat();
        let data = TensorData::new(features, [1, shape.c, shape.h, shape.w]);
        std::hint::black_box(Tensor::<4>::from_data(data, &Device::flex()));
    });
    Ok(Calibration { name, work, run })
}

fn trained(name: String, graph: Graph) -> Calibration {
    let work = trunk_work(&graph);
    let params = Params::init(&graph.parameters(), 1, &Device::flex());
    let (mut stats, x) = (Stats::new(&graph), wave(graph.input_shape().len()));
    let run = Box::new(move || {
        std::hint::black_box(forward(&graph, &params, &mut stats, &x, Mode::Inference).tokens(&graph));
    });
    Calibration { name, work, run }
}

fn bridged(spec: BridgeSpec) -> Calibration {
    let params = Params::init(&spec.parameters(), 1, &Device::flex());
    let x = tensor(spec.input);
    let run = Box::new(move || {
        std::hint::black_box(bridge(&spec, &params, x.clone(), &mut Dropout::off()).into_data());
    });
    Calibration { name: format!("bridge {spec:?}"), work: bridge_work(&spec), run }
}

fn resized(side: u32) -> Calibration {
    let (photo, preprocess) = (Arc::new(photo()), Preprocess::imagenet(side));
    let mut work = Work::default();
    work.put(Kernel::Pixels, preprocess.numel());
    work.put(Kernel::Photo, 1);
    let run = Box::new(move || {
        let mut pixels = vec![0.0; preprocess.numel()];
        if let Ok(squashed) = photo.squash(side) {
            preprocess.to_chw(&squashed, &mut pixels);
        }
        std::hint::black_box(pixels);
    });
    Calibration { name: format!("resize to {side}"), work, run }
}
