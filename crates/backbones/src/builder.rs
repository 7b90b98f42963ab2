//! Shared steps of the families: convolution with batch norm, and what a built backbone is.

use capwright_blueprint::language::Cut;
use capwright_blueprint::{Activation, Conv, Graph, NodeId, Op, Padding, Shape, ShapeError};
use std::collections::BTreeMap;

/// A backbone as a graph for one image size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackboneGraph {
    /// The full network, classifier included; input `[3, size, size]`, output `[1000, 1, 1]`.
    pub graph: Graph,
    /// The node at which each cut is taken; `graph.cut(id)` is the part that computes its features.
    pub cuts: BTreeMap<Cut, NodeId>,
}

/// An image size that a backbone cannot read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{backbone} cannot read images of {size} × {size} pixels: {reason}")]
pub struct SizeError {
    /// The backbone.
    pub backbone: &'static str,
    /// The side asked for, in pixels.
    pub size: usize,
    /// Why not.
    pub reason: String,
}

/// How a family pads its convolutions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pad {
    /// `kernel / 2` on each side, as torchvision does.
    Half,
    /// TensorFlow's "SAME", which depends on the size of the map.
    Same,
}

/// Extents of a convolution: output channels, kernel, stride, groups.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ConvSpec {
    pub output: usize,
    pub kernel: usize,
    pub stride: usize,
    pub groups: usize,
}

impl ConvSpec {
    pub(crate) fn dense(output: usize, kernel: usize, stride: usize) -> Self {
        Self { output, kernel, stride, groups: 1 }
    }

    pub(crate) fn depthwise(channels: usize, kernel: usize, stride: usize) -> Self {
        Self { output: channels, kernel, stride, groups: channels }
    }
}

/// Appends nodes at the end of a growing graph.
pub(crate) struct Builder {
    pub graph: Graph,
    pad: Pad,
    eps_micro: u32,
}

impl Builder {
    pub(crate) fn new(size: usize, pad: Pad, eps_micro: u32) -> Self {
        Self { graph: Graph::new(Shape::new(3, size, size)), pad, eps_micro }
    }

    pub(crate) fn add(&mut self, name: &str, op: Op, inputs: &[NodeId]) -> Result<NodeId, ShapeError> {
        self.graph.add(name, op, inputs)
    }

    /// Channels of a node's output.
    pub(crate) fn channels(&self, id: NodeId) -> usize {
        self.graph.shape(id).c
    }

    /// A bias-free convolution called `conv` and its batch norm called `norm`.
    pub(crate) fn conv_norm(
        &mut self,
        conv: &str,
        norm: &str,
        spec: ConvSpec,
        x: NodeId,
    ) -> Result<NodeId, ShapeError> {
        let ConvSpec { output, kernel, stride, groups } = spec;
        let shape = self.graph.shape(x);
        let padding = match self.pad {
            Pad::Half => Padding::symmetric(kernel / 2),
            Pad::Same => Padding::same(shape.h, shape.w, kernel, stride),
        };
        let op = Conv { input: shape.c, output, kernel, stride, padding, dilation: 1, groups, bias: false };
        let x = self.add(conv, Op::Conv(op), &[x])?;
        self.add(norm, Op::BatchNorm { channels: output, eps_micro: self.eps_micro }, &[x])
    }

    /// A non-linearity called `name`.
    pub(crate) fn act(&mut self, name: &str, act: Activation, x: NodeId) -> Result<NodeId, ShapeError> {
        self.add(name, Op::Act(act), &[x])
    }

    /// Global mean and a linear classifier of 1,000 classes called `name`.
    pub(crate) fn classifier(&mut self, name: &str, x: NodeId) -> Result<NodeId, ShapeError> {
        let input = self.channels(x);
        let x = self.add("pool", Op::GlobalAvgPool, &[x])?;
        self.add(name, Op::Linear { input, output: 1000 }, &[x])
    }

    pub(crate) fn finish(self, s8: NodeId, s16: NodeId, s32: NodeId) -> BackboneGraph {
        let cuts = BTreeMap::from([(Cut::S8, s8), (Cut::S16, s16), (Cut::S32, s32)]);
        BackboneGraph { graph: self.graph, cuts }
    }
}
