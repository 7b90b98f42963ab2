//! Ops of the graph: what a node computes, with its shape, values and cost.

use crate::param::{Param, Slots, named, slot, vector};
use serde::{Deserialize, Serialize};

/// Channels, height and width of a feature map, without the batch dimension.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// Channels.
    pub c: usize,
    /// Height in cells.
    pub h: usize,
    /// Width in cells.
    pub w: usize,
}

impl Shape {
    /// A feature map of `c` channels and `h` × `w` cells.
    pub fn new(c: usize, h: usize, w: usize) -> Self {
        Self { c, h, w }
    }

    /// Number of values, saturating.
    pub fn len(&self) -> usize {
        self.c.saturating_mul(self.h).saturating_mul(self.w)
    }

    /// Whether the map holds no value.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}×{}×{}", self.c, self.h, self.w)
    }
}

/// Zero padding in cells; asymmetric because TensorFlow's "SAME" is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Padding {
    /// Rows above.
    pub top: usize,
    /// Rows below.
    pub bottom: usize,
    /// Columns to the left.
    pub left: usize,
    /// Columns to the right.
    pub right: usize,
}

impl Padding {
    /// The same number of cells on each side, as PyTorch's `padding=p`.
    pub fn symmetric(p: usize) -> Self {
        Self { top: p, bottom: p, left: p, right: p }
    }

    /// TensorFlow's "SAME" for one input size: output is `ceil(in / stride)`, the odd cell goes below and right.
    pub fn same(h: usize, w: usize, kernel: usize, stride: usize) -> Self {
        let total = |n: usize| {
            let out = n.div_ceil(stride);
            ((out.saturating_sub(1)) * stride + kernel).saturating_sub(n)
        };
        let (v, u) = (total(h), total(w));
        Self { top: v / 2, bottom: v - v / 2, left: u / 2, right: u - u / 2 }
    }
}

/// A two-dimensional convolution, weights `[out, in / groups, kernel, width]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conv {
    /// Input channels.
    pub input: usize,
    /// Output channels.
    pub output: usize,
    /// Height of the kernel.
    pub kernel: usize,
    /// Its width.
    pub width: usize,
    /// Stride in both directions.
    pub stride: usize,
    /// Zero padding.
    pub padding: Padding,
    /// Cells from one tap of the kernel to the next; 1 is an ordinary convolution.
    pub dilation: usize,
    /// Groups: 1 is dense, `input` is depthwise.
    pub groups: usize,
    /// Whether there is a bias.
    pub bias: bool,
}

impl Conv {
    /// An odd kernel with stride 1, padded to keep the size; dense, without bias.
    pub fn same(input: usize, output: usize, kernel: usize) -> Self {
        let padding = Padding::symmetric(kernel / 2);
        Self { input, output, kernel, width: kernel, stride: 1, padding, dilation: 1, groups: 1, bias: false }
    }

    /// A 1 × 1 convolution with bias: a linear layer on each cell.
    pub fn pointwise(input: usize, output: usize) -> Self {
        Self { bias: true, ..Self::same(input, output, 1) }
    }

    /// Cells from the first to the last tap of the kernel, both counted: downwards and across.
    pub fn extent(&self) -> (usize, usize) {
        let extent = |taps: usize| taps.saturating_sub(1) * self.dilation + 1;
        (extent(self.kernel), extent(self.width))
    }

    /// What one output value is a sum of.
    pub fn taps(&self) -> usize {
        self.input / self.groups * self.kernel * self.width
    }

    /// Whether it is a linear layer on each cell, of each group: the map is its own columns.
    pub fn is_pointwise(&self) -> bool {
        self.kernel * self.width == 1 && self.stride == 1 && self.padding == Padding::symmetric(0)
    }

    /// Whether each channel is convolved by itself.
    pub fn is_depthwise(&self) -> bool {
        self.groups > 1 && self.groups == self.input && self.groups == self.output
    }
}

/// A pointwise non-linearity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Activation {
    /// max(x, 0).
    Relu,
    /// min(max(x, 0), 6).
    Relu6,
    /// x · sigmoid(x).
    Silu,
    /// Gaussian error linear unit (erf form).
    Gelu,
    /// x · relu6(x + 3) / 6.
    HardSwish,
    /// relu6(x + 3) / 6.
    HardSigmoid,
    /// Logistic function.
    Sigmoid,
}

/// What a node computes. Inputs are feature maps `[batch, c, h, w]`; vectors are maps of 1 × 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Op {
    /// The graph's input.
    Input(Shape),
    /// Convolution: `weight`, `bias`.
    Conv(Conv),
    /// Batch norm over channels: `weight`, `bias`; buffers `running_mean`, `running_var`.
    BatchNorm {
        /// Channels.
        channels: usize,
        /// Added to the variance, in millionths (1e-5 is 10).
        eps_micro: u32,
        /// Whether it uses its running statistics in training too, and leaves them as they are.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        fixed: bool,
    },
    /// Layer norm over the channels of each cell: `weight`, `bias`.
    LayerNorm {
        /// Channels.
        channels: usize,
        /// Added to the variance, in millionths.
        eps_micro: u32,
    },
    /// Group norm over the cells and channels of each group: `weight`, `bias`.
    GroupNorm {
        /// Channels.
        channels: usize,
        /// Groups; they divide the channels.
        groups: usize,
        /// Added to the variance, in millionths.
        eps_micro: u32,
    },
    /// Each channel times a learned value (Touvron et al. 2021): `layer_scale` `[c, 1, 1]`.
    LayerScale {
        /// Channels.
        channels: usize,
    },
    /// Multi-head attention of all cells to all: queries, keys and values behind each other over channels, `[3 c, h, w]`, to
    /// `[c, h, w]`.
    Attend {
        /// Heads; they divide the channels.
        heads: usize,
    },
    /// The same within square windows, which may be moved up and left and then go round the edge, with a learned bias for each
    /// distance between two cells (Liu et al. 2021): `relative_position_bias_table` `[(2 window - 1)², heads]`.
    WindowAttend {
        /// Heads; they divide the channels.
        heads: usize,
        /// Side of a window in cells; it divides the map's.
        window: usize,
        /// Cells by which the windows are moved; less than a window.
        shift: usize,
    },
    /// A learned cell before all others, which become one row: `[c, 1, 1 + cells]`; its name is the node's, its shape `[1, 1, c]`.
    ClassToken {
        /// Channels.
        channels: usize,
    },
    /// A learned vector for each cell, added: its name is the node's, its shape `[1, cells, c]`.
    Positions {
        /// Channels.
        channels: usize,
        /// Cells.
        cells: usize,
    },
    /// Linear layer over the cells of each channel, to `h` × `w` cells: `weight` `[h w, cells]`, `bias`.
    MixCells {
        /// Cells that come in.
        cells: usize,
        /// Height that comes out.
        h: usize,
        /// Width that comes out.
        w: usize,
    },
    /// One-dimensional convolution over the channels of a `[c, 1, 1]` map, zero-padded: `weight` `[1, 1, kernel]`.
    ChannelConv {
        /// Taps, an odd number.
        kernel: usize,
    },
    /// Means over each row, then over each column: `[c, h + w, 1]`.
    AxisMeans,
    /// Some cells, row by row, as a map of their own: `[c, h, w]`.
    Cells {
        /// The first of them.
        from: usize,
        /// Height that comes out.
        h: usize,
        /// Width that comes out.
        w: usize,
    },
    /// Some channels: `[channels, h, w]`.
    Slice {
        /// The first of them.
        from: usize,
        /// How many.
        channels: usize,
    },
    /// Channels in another order (Zhang et al. 2018): the first of each of so many groups, then the second of each, and so on.
    Shuffle {
        /// Groups; they divide the channels.
        groups: usize,
    },
    /// The four cells of each 2 × 2 square behind each other over channels: upper left, lower left, upper right, lower right.
    Quarters,
    /// All values as one vector, channel by channel: `[c h w, 1, 1]`.
    Flatten,
    /// Mean over the windows of PyTorch's `AdaptiveAvgPool2d`: `[c, side, side]`.
    AdaptiveAvgPool {
        /// Side that comes out.
        side: usize,
    },
    /// Pointwise non-linearity.
    Act(Activation),
    /// Maximum over windows; padding counts as minus infinity.
    MaxPool {
        /// Side of the window.
        kernel: usize,
        /// Stride.
        stride: usize,
        /// Padding on each side.
        padding: usize,
        /// Whether a last window may begin within the map and reach beyond it (PyTorch's `ceil_mode`).
        ceil: bool,
    },
    /// Mean over windows; padding counts as zeros.
    AvgPool {
        /// Side of the window.
        kernel: usize,
        /// Stride.
        stride: usize,
        /// Padding on each side.
        padding: usize,
    },
    /// Mean over all cells: `[c, 1, 1]`.
    GlobalAvgPool,
    /// Maximum over all cells: `[c, 1, 1]`.
    GlobalMaxPool,
    /// Mean over channels: `[1, h, w]`.
    ChannelMean,
    /// Maximum over channels: `[1, h, w]`.
    ChannelMax,
    /// Two or more `[c, 1, 1]` maps side by side: `[c, 1, n]`.
    Stack,
    /// Sum over all cells: `[c, 1, 1]`.
    SumCells,
    /// Linear layer over the channels of each cell: `weight` `[out, in]`, `bias`.
    Linear {
        /// Channels that come in.
        input: usize,
        /// Channels that come out.
        output: usize,
        /// Whether there is a bias.
        bias: bool,
    },
    /// Sum of two maps of one shape.
    Add,
    /// Product of a map and a gate that has its shape, `[c, 1, 1]`, `[1, h, w]`, `[c, h, 1]` or `[c, 1, w]`.
    Mul,
    /// Concatenation over channels of two or more maps.
    Concat,
}

impl Op {
    /// Learned values: the last part of the name and the extents, in PyTorch's order and layout.
    pub(crate) fn learned(&self) -> Slots {
        match *self {
            Op::Conv(c) => {
                let weight = slot("weight", [c.output, c.input / c.groups, c.kernel, c.width], 4);
                [weight, if c.bias { vector("bias", c.output) } else { None }, None, None]
            }
            Op::BatchNorm { channels, .. }
            | Op::LayerNorm { channels, .. }
            | Op::GroupNorm { channels, .. } => {
                [vector("weight", channels), vector("bias", channels), None, None]
            }
            Op::LayerScale { channels } => [slot("layer_scale", [channels, 1, 1, 1], 3), None, None, None],
            Op::WindowAttend { heads, window, .. } => {
                let distances = (2 * window - 1) * (2 * window - 1);
                [slot("relative_position_bias_table", [distances, heads, 1, 1], 2), None, None, None]
            }
            Op::ClassToken { channels } => [slot("", [1, 1, channels, 1], 3), None, None, None],
            Op::Positions { channels, cells } => [slot("", [1, cells, channels, 1], 3), None, None, None],
            Op::MixCells { cells, h, w } => {
                [slot("weight", [h * w, cells, 1, 1], 2), vector("bias", h * w), None, None]
            }
            Op::ChannelConv { kernel } => [slot("weight", [1, 1, kernel, 1], 3), None, None, None],
            Op::Linear { input, output, bias } => {
                let bias = if bias { vector("bias", output) } else { None };
                [slot("weight", [output, input, 1, 1], 2), bias, None, None]
            }
            _ => [None; 4],
        }
    }

    /// Kept values that are not learned; as [`Op::learned`].
    pub(crate) fn kept(&self) -> Slots {
        match *self {
            Op::BatchNorm { channels, .. } => {
                [vector("running_mean", channels), vector("running_var", channels), None, None]
            }
            _ => [None; 4],
        }
    }

    /// Parameters (learned values) of a node called `name`, in PyTorch's order and layout.
    pub fn parameters(&self, name: &str) -> Vec<Param> {
        named(name, self.learned())
    }

    /// Buffers (values that are kept but not learned) of a node called `name`.
    pub fn buffers(&self, name: &str) -> Vec<Param> {
        named(name, self.kept())
    }

    /// Multiply-accumulates for one image; convolutions, linear layers and the products of attention, as the field
    /// counts them.
    pub fn macs(&self, output: Shape) -> u64 {
        match *self {
            Op::Conv(c) => output.len() as u64 * c.taps() as u64,
            Op::Linear { input, .. } => (input * output.len()) as u64,
            Op::Attend { .. } => (2 * output.h * output.w * output.len()) as u64,
            Op::WindowAttend { window, .. } => (2 * window * window * output.len()) as u64,
            Op::MixCells { cells, .. } => (output.len() * cells) as u64,
            Op::ChannelConv { kernel } => (output.c * kernel) as u64,
            _ => 0,
        }
    }
}
