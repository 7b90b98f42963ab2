//! Work of a frozen graph on the host engine, which folds norms and non-linearities into the convolution before them.

use super::{Kernel, NEAR, PAGE, Work};
use crate::graph::{Activation, Conv, Graph, Node, NodeId, Op, Shape};

/// Values that the depthwise kernel handles at once.
const LANES: usize = 32;

/// Work for one image.
pub fn frozen_work(graph: &Graph) -> Work {
    let nodes = graph.nodes();
    let mut users = vec![0usize; nodes.len()];
    nodes.iter().flat_map(|n| &n.inputs).for_each(|i| users[*i] += 1);
    users[graph.output()] += 1;
    let mut work = Work::default();
    // The convolution that may still take up what follows it: its node and whether a non-linearity is in.
    let mut open: Option<(NodeId, bool)> = None;
    for (id, node) in nodes.iter().enumerate().skip(1) {
        if let Some((makes, closed)) = open
            && !closed
            && node.inputs == [makes]
            && users[makes] == 1
            && let Op::BatchNorm { .. } | Op::Act(_) = node.op
        {
            if let Op::Act(act) = node.op {
                work.put(element(act), node.shape.len());
            }
            open = Some((id, matches!(node.op, Op::Act(_))));
            continue;
        }
        open = matches!(node.op, Op::Conv(_)).then_some((id, false));
        step(&mut work, graph, node);
    }
    work.put(Kernel::FrozenFar, (graph.totals().parameters as usize).saturating_sub(NEAR));
    work
}

/// The kind of a non-linearity; those without exponential cost what the pass over the map costs anyway.
fn element(act: Activation) -> Kernel {
    match act {
        Activation::Silu | Activation::Gelu | Activation::Sigmoid => Kernel::FrozenCurve,
        Activation::Relu | Activation::Relu6 | Activation::HardSwish | Activation::HardSigmoid => {
            Kernel::FrozenElement
        }
    }
}

fn step(work: &mut Work, graph: &Graph, node: &Node) {
    let from = node.inputs.first().map_or(node.shape, |i| graph.shape(*i));
    let (to, values) = (node.shape, node.shape.len());
    work.put(Kernel::FrozenStep, 1);
    match node.op {
        Op::Conv(conv) => convolution(work, &conv, from, to),
        Op::Linear { input, output, .. } => pointwise(work, input * output, from, to),
        Op::Attend { .. } => work.put(Kernel::FrozenGemm, 2 * to.h * to.w * values),
        Op::WindowAttend { window, .. } => work.put(Kernel::FrozenGemm, 2 * window * window * values),
        Op::Act(act) => work.put(element(act), values),
        Op::MaxPool { kernel, .. } | Op::AvgPool { kernel, .. } => {
            work.put(Kernel::FrozenPool, values * kernel * kernel);
        }
        Op::AdaptiveAvgPool { .. } => work.put(Kernel::FrozenPool, from.len().max(values)),
        Op::GlobalAvgPool | Op::GlobalMaxPool | Op::SumCells | Op::ChannelMean | Op::ChannelMax => {
            work.put(Kernel::FrozenPool, from.len());
        }
        _ => work.put(Kernel::FrozenElement, values),
    }
}

fn convolution(work: &mut Work, conv: &Conv, from: Shape, to: Shape) {
    let taps = conv.taps();
    if conv.is_depthwise() {
        let width = ((to.w - 1) * conv.stride + conv.kernel).div_ceil(conv.stride);
        let flat = ((to.h - 1) * width + to.w).next_multiple_of(LANES);
        work.put(Kernel::FrozenDepthwise, to.c * flat * taps);
        work.put(Kernel::FrozenPlane, from.len() + to.len());
        return;
    }
    let cells = to.h * to.w;
    work.put(Kernel::FrozenGemm, to.len() * taps);
    let kind = if cells.is_multiple_of(PAGE) { Kernel::FrozenConflicts } else { Kernel::FrozenGemmValues };
    work.put(kind, conv.groups * taps * cells + to.len());
    work.put(if cells == 1 { Kernel::FrozenVector } else { Kernel::FrozenWeights }, conv.output * taps);
    work.put(Kernel::FrozenElement, to.len());
    if !conv.is_pointwise() || conv.groups > 1 {
        work.put(Kernel::FrozenGather, conv.groups * taps * cells);
    }
}

/// A linear layer over the channels of each cell.
fn pointwise(work: &mut Work, weights: usize, from: Shape, to: Shape) {
    let cells = to.h * to.w;
    work.put(Kernel::FrozenGemm, weights * cells);
    if cells == 1 {
        return work.put(Kernel::FrozenVector, weights);
    }
    work.put(Kernel::FrozenGemmValues, from.len() + to.len());
    work.put(Kernel::FrozenWeights, weights);
    work.put(Kernel::FrozenElement, to.len());
}
