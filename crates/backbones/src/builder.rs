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

/// A node, or why it does not fit.
pub(crate) type Made = Result<NodeId, ShapeError>;

/// A whole backbone, or why an image size does not fit it.
pub(crate) type Built = Result<BackboneGraph, ShapeError>;

/// How a family pads its convolutions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pad {
    /// `kernel / 2` on each side, as torchvision does.
    Half,
    /// TensorFlow's "SAME", which depends on the size of the map.
    Same,
}

/// Extents of a convolution: output channels, kernel, stride, groups; padded as its family pads, without bias.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ConvSpec {
    pub output: usize,
    pub kernel: usize,
    pub width: usize,
    pub stride: usize,
    pub groups: usize,
    pub bias: bool,
    /// Cells on each side, above and below, left and right, where not the family's.
    pub padding: Option<(usize, usize)>,
}

impl ConvSpec {
    pub(crate) fn dense(output: usize, kernel: usize, stride: usize) -> Self {
        Self { output, kernel, width: kernel, stride, groups: 1, bias: false, padding: None }
    }

    pub(crate) fn depthwise(channels: usize, kernel: usize, stride: usize) -> Self {
        Self { groups: channels, ..Self::dense(channels, kernel, stride) }
    }

    pub(crate) fn groups(self, groups: usize) -> Self {
        Self { groups, ..self }
    }

    pub(crate) fn bias(self) -> Self {
        Self { bias: true, ..self }
    }

    pub(crate) fn padding(self, cells: usize) -> Self {
        Self { padding: Some((cells, cells)), ..self }
    }

    /// A kernel of one row or column, padded to keep the size.
    pub(crate) fn line(output: usize, kernel: usize, width: usize) -> Self {
        let padding = Some((kernel / 2, width / 2));
        Self { kernel, width, padding, ..Self::dense(output, 1, 1) }
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

    pub(crate) fn add(&mut self, name: &str, op: Op, inputs: &[NodeId]) -> Made {
        self.graph.add(name, op, inputs)
    }

    /// Channels of a node's output.
    pub(crate) fn channels(&self, id: NodeId) -> usize {
        self.graph.shape(id).c
    }

    /// A convolution called `name`.
    pub(crate) fn conv(&mut self, name: &str, spec: ConvSpec, x: NodeId) -> Made {
        let ConvSpec { output, kernel, width, stride, groups, bias, padding } = spec;
        let shape = self.graph.shape(x);
        let padding = match (padding, self.pad) {
            (Some((v, u)), _) => Padding { top: v, bottom: v, left: u, right: u },
            (None, Pad::Half) => Padding::symmetric(kernel / 2),
            (None, Pad::Same) => Padding::same(shape.h, shape.w, kernel, stride),
        };
        let op = Conv { input: shape.c, output, kernel, width, stride, padding, dilation: 1, groups, bias };
        self.add(name, Op::Conv(op), &[x])
    }

    /// A batch norm called `name`.
    pub(crate) fn norm(&mut self, name: &str, x: NodeId) -> Made {
        let op = Op::BatchNorm { channels: self.channels(x), eps_micro: self.eps_micro, fixed: false };
        self.add(name, op, &[x])
    }

    /// A layer norm over channels called `name`; `eps_micro` as in the op.
    pub(crate) fn layer_norm(&mut self, name: &str, eps_micro: u32, x: NodeId) -> Made {
        let op = Op::LayerNorm { channels: self.channels(x), eps_micro };
        self.add(name, op, &[x])
    }

    /// A convolution called `conv` and its batch norm called `norm`.
    pub(crate) fn conv_norm(&mut self, conv: &str, norm: &str, spec: ConvSpec, x: NodeId) -> Made {
        let x = self.conv(conv, spec, x)?;
        self.norm(norm, x)
    }

    /// torchvision's `Conv2dNormActivation`: `name.0` convolves, `name.1` normalises, `name.2` is the non-linearity, if any.
    pub(crate) fn block(
        &mut self,
        name: &str,
        spec: ConvSpec,
        act: impl Into<Option<Activation>>,
        x: NodeId,
    ) -> Made {
        let x = self.conv_norm(&format!("{name}.0"), &format!("{name}.1"), spec, x)?;
        match act.into() {
            Some(act) => self.act(&format!("{name}.2"), act, x),
            None => Ok(x),
        }
    }

    /// torchvision's `SqueezeExcitation`: means, `fc1`, a non-linearity, `fc2`, a gate.
    pub(crate) fn squeeze(
        &mut self,
        name: &str,
        narrow: usize,
        acts: (Activation, Activation),
        input: NodeId,
    ) -> Made {
        self.squeeze_as(name, ["fc1", "activation", "fc2", "scale_activation"], narrow, acts, input)
    }

    /// The same with names of its own for the four layers after the means.
    pub(crate) fn squeeze_as(
        &mut self,
        name: &str,
        [reduce, between, expand, last]: [&str; 4],
        narrow: usize,
        (act, gate): (Activation, Activation),
        input: NodeId,
    ) -> Made {
        let (at, wide) = (|leaf: &str| format!("{name}.{leaf}"), self.channels(input));
        let x = self.add(&at("avgpool"), Op::GlobalAvgPool, &[input])?;
        let x = self.conv(&at(reduce), ConvSpec::dense(narrow, 1, 1).bias(), x)?;
        let x = self.act(&at(between), act, x)?;
        let x = self.conv(&at(expand), ConvSpec::dense(wide, 1, 1).bias(), x)?;
        let x = self.act(&at(last), gate, x)?;
        self.add(&at("scale"), Op::Mul, &[input, x])
    }

    /// The maximum over windows.
    pub(crate) fn max_pool(&mut self, name: &str, kernel: usize, stride: usize, x: NodeId) -> Made {
        self.add(name, Op::MaxPool { kernel, stride, padding: 0, ceil: false }, &[x])
    }

    /// The same, padded by one cell, windows of three with stride 2.
    pub(crate) fn stem_pool(&mut self, name: &str, x: NodeId) -> Made {
        self.add(name, Op::MaxPool { kernel: 3, stride: 2, padding: 1, ceil: false }, &[x])
    }

    /// The same with a last window that may reach beyond the map.
    pub(crate) fn ceil_pool(&mut self, name: &str, kernel: usize, stride: usize, x: NodeId) -> Made {
        self.add(name, Op::MaxPool { kernel, stride, padding: usize::from(stride == 1), ceil: true }, &[x])
    }

    /// A linear layer with bias over the channels of each cell.
    pub(crate) fn linear(&mut self, name: &str, output: usize, x: NodeId) -> Made {
        let op = Op::Linear { input: self.channels(x), output, bias: true };
        self.add(name, op, &[x])
    }

    /// A non-linearity called `name`.
    pub(crate) fn act(&mut self, name: &str, act: Activation, x: NodeId) -> Made {
        self.add(name, Op::Act(act), &[x])
    }

    /// Global mean and a linear classifier of 1,000 classes called `name`.
    pub(crate) fn classifier(&mut self, name: &str, x: NodeId) -> Made {
        let x = self.add("pool", Op::GlobalAvgPool, &[x])?;
        self.linear(name, 1000, x)
    }

    /// What was built, with the nodes of its cuts.
    pub(crate) fn finish(self, cuts: impl IntoIterator<Item = (Cut, NodeId)>) -> Built {
        Ok(BackboneGraph { graph: self.graph, cuts: cuts.into_iter().collect() })
    }

    /// The same for the usual three strides.
    pub(crate) fn cut(self, s8: NodeId, s16: NodeId, s32: NodeId) -> Built {
        self.finish([(Cut::S8, s8), (Cut::S16, s16), (Cut::S32, s32)])
    }
}

/// The nearest multiple of `by` that is not below nine tenths of `n` (TensorFlow's `make_divisible`).
pub(crate) fn divisible(n: f64, by: usize) -> usize {
    let near = (((n + by as f64 / 2.0) as usize) / by * by).max(by);
    if (near as f64) < 0.9 * n { near + by } else { near }
}
