//! Work of the trained part of the encoder on the tensor engine, which runs a graph node by node.

use super::{Kernel, NEAR, PAGE, Work};
use crate::bridge::BridgeSpec;
use crate::graph::{Activation, Conv, Graph, Node, Op, Shape};
use crate::language::Places;

/// Channels in and out up to which the engine convolves without gathering columns.
const SMALL_CHANNELS: (usize, usize) = (4, 16);

/// Channels so many values apart share few places of the first cache.
const CONFLICT: usize = 256;

/// Work for one image.
pub fn trunk_work(graph: &Graph) -> Work {
    let mut work = Work::default();
    for node in graph.nodes().iter().skip(1) {
        let from = node.inputs.first().map_or(node.shape, |i| graph.shape(*i));
        let second = node.inputs.get(1).map(|i| graph.shape(*i));
        step(&mut work, node, from, second);
    }
    work.put(Kernel::Far, (graph.totals().parameters as usize).saturating_sub(NEAR));
    work
}

/// From a feature map of one image to memory.
pub fn bridge_work(spec: &BridgeSpec) -> Work {
    let (mut work, cells, dim) = (Work::default(), spec.cells(), spec.dim);
    product(&mut work, cells, spec.input.c, dim);
    work.put(Kernel::Memory, cells * dim);
    work.put(Kernel::Reduce, spec.input.len());
    work.put(Kernel::Image, 1);
    if spec.coarse() > 0 {
        work.put(Kernel::Operation, 3);
        work.put(Kernel::Adaptive, spec.input.len());
    }
    if spec.positions != Places::None {
        work.put(Kernel::Operation, 2);
        work.put(Kernel::Gate, cells * dim);
    }
    resampler_work(&mut work, spec);
    work
}

fn resampler_work(work: &mut Work, spec: &BridgeSpec) {
    let (n, cells, dim) = (spec.queries, spec.cells(), spec.dim);
    if n == 0 {
        return;
    }
    (0..2).for_each(|_| product(work, n, dim, dim));
    (0..2).for_each(|_| product(work, cells, dim, dim));
    product(work, n, dim, spec.wide());
    product(work, n, spec.wide(), dim);
    work.put(Kernel::Gemm, 2 * n * cells * dim);
    work.put(Kernel::GemmValues, 2 * cells * dim);
    work.put(Kernel::Softmax, spec.heads() * n * cells);
    work.put(Kernel::LayerNorm, 3 * n * dim);
    work.put(Kernel::Gelu, n * spec.wide());
    work.put(Kernel::Operation, 50);
}

/// `rows` × `inner` times `inner` × `columns`.
fn product(work: &mut Work, rows: usize, inner: usize, columns: usize) {
    work.put(Kernel::Gemm, rows * inner * columns);
    work.put(Kernel::GemmValues, rows * inner + rows * columns);
    work.put(if rows == 1 { Kernel::GemmValues } else { Kernel::GemmWeights }, inner * columns);
}

fn step(work: &mut Work, node: &Node, from: Shape, second: Option<Shape>) {
    let (to, values, cells) = (node.shape, node.shape.len(), node.shape.h * node.shape.w);
    // Operations of the engine that one node is made of.
    let operations = match node.op {
        Op::LayerNorm { .. } | Op::GroupNorm { .. } => 9,
        Op::Attend { .. } | Op::WindowAttend { .. } => 18,
        Op::BatchNorm { .. } => 6,
        Op::MixCells { .. } => 4,
        Op::Linear { .. } | Op::AxisMeans => 3,
        Op::LayerScale { .. } | Op::Mul | Op::Act(Activation::HardSwish) => 2,
        _ => 1,
    };
    work.put(Kernel::Operation, operations);
    let widest = values.max(from.len());
    if widest > NEAR {
        work.put(Kernel::Large, widest * operations.min(4));
    }
    match node.op {
        Op::Conv(conv) => convolution(work, &conv, from, to),
        Op::Linear { input, output, .. } => product(work, cells, input, output),
        Op::MixCells { cells: inner, .. } => {
            product(work, to.c, inner, cells);
            work.put(Kernel::Join, values);
        }
        Op::Attend { heads } => attention(work, to, (heads, cells)),
        Op::WindowAttend { heads, window, .. } => attention(work, to, (heads, window * window)),
        Op::ChannelConv { kernel } => work.put(Kernel::TapRow, values * kernel),
        Op::BatchNorm { .. } => work.put(Kernel::BatchNorm, values),
        Op::LayerNorm { .. } => work.put(Kernel::LayerNorm, values),
        Op::GroupNorm { .. } => work.put(Kernel::GroupNorm, values),
        Op::LayerScale { .. } | Op::Positions { .. } => work.put(Kernel::Gate, values),
        Op::Act(act) => work.put(activation(act), values),
        Op::MaxPool { kernel, .. } | Op::AvgPool { kernel, .. } => {
            work.put(Kernel::Pool, values * kernel * kernel);
        }
        Op::AdaptiveAvgPool { .. } => work.put(Kernel::Adaptive, from.len().max(values)),
        Op::GlobalAvgPool | Op::SumCells | Op::ChannelMean => work.put(Kernel::Reduce, from.len()),
        Op::GlobalMaxPool | Op::ChannelMax => work.put(Kernel::Maximum, from.len()),
        Op::AxisMeans => work.put(Kernel::Reduce, 2 * from.len()),
        Op::Mul if second.is_some_and(|s| s != to) => work.put(Kernel::Gate, values),
        Op::Add | Op::Mul | Op::Concat | Op::Stack => work.put(Kernel::Join, values),
        Op::Shuffle { .. } | Op::Quarters | Op::Flatten | Op::ClassToken { .. } => {
            work.put(Kernel::Join, values)
        }
        Op::Input(_) | Op::Cells { .. } | Op::Slice { .. } => {}
    }
}

/// Heads that attend, each cell to so many.
fn attention(work: &mut Work, to: Shape, (heads, others): (usize, usize)) {
    work.put(Kernel::Gemm, 2 * others * to.len());
    work.put(Kernel::GemmValues, 6 * to.len());
    // Transposes pass over the projections.
    work.put(Kernel::Gate, 8 * to.len());
    work.put(Kernel::Softmax, heads * others * to.h * to.w);
}

fn activation(act: Activation) -> Kernel {
    match act {
        Activation::Relu | Activation::Relu6 => Kernel::Relu,
        Activation::Silu | Activation::Sigmoid => Kernel::Silu,
        Activation::Gelu => Kernel::Gelu,
        Activation::HardSwish | Activation::HardSigmoid => Kernel::HardSwish,
    }
}

fn convolution(work: &mut Work, conv: &Conv, from: Shape, to: Shape) {
    let taps = conv.taps();
    let (macs, weights, cells) = (to.len() * taps, conv.output * taps, to.h * to.w);
    let few = conv.input <= SMALL_CHANNELS.0 && conv.output <= SMALL_CHANNELS.1;
    if conv.bias {
        work.put(Kernel::Join, to.len());
    }
    if conv.is_pointwise() {
        work.put(Kernel::Gemm, macs);
        let conflict = cells.is_multiple_of(PAGE);
        let kind = if conflict { Kernel::GemmConflicts } else { Kernel::GemmValues };
        work.put(kind, from.len() + to.len());
        work.put(if cells == 1 { Kernel::GemmValues } else { Kernel::GemmWeights }, weights);
    } else if (conv.groups == conv.input && conv.groups == conv.output) || (conv.groups == 1 && few) {
        work.put(if conv.stride == 1 { Kernel::Depthwise } else { Kernel::Strided }, macs);
        work.put(Kernel::TapRow, to.c * to.h * conv.kernel * conv.input / conv.groups);
    } else {
        work.put(Kernel::Conv, macs);
        work.put(Kernel::ConvGather, conv.groups * taps * cells);
        work.put(Kernel::ConvWeights, weights);
        for map in [from, to] {
            let conflict = map.c > 8 && (map.h * map.w).is_multiple_of(CONFLICT);
            work.put(if conflict { Kernel::ConvConflicts } else { Kernel::ConvValues }, map.len());
        }
    }
}
