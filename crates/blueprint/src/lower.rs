//! Blocks to graph nodes: what the ops share, and the combinators. Nothing is allocated but the graph.

use crate::check::MAX_TOKENS;
use crate::diagnostic::{Code, Diagnostic};
use crate::fix::misfit_heads;
use crate::graph::{Activation, Conv, Graph, NodeId, Op, Padding, Shape};
use crate::language::{
    Block, Channels, Expansion, Heads, Kernel, Leaf, Merge, NormKind, Shortcut, Stage, StageKind, Stride,
};
use crate::ops::{InvertedResidual, LeafOp, Place};

/// Values in one feature map of one image, at most: 224 × 224 × 256.
pub(crate) const MAX_MAP: usize = 224 * 224 * 256;

/// What to do about a map that is too small.
pub(crate) const TOO_SMALL: &str = "use a larger image, an earlier cut, or fewer blocks that shrink the map";

/// What norms add to the variance, in millionths: PyTorch's 1e-5.
pub(crate) const EPS_MICRO: u32 = 10;

/// Groups of a group norm, where they divide the channels.
const NORM_GROUPS: [usize; 4] = [8, 4, 2, 1];

/// Builds the trainable part of an encoder and collects what does not fit.
pub(crate) struct Lowering {
    pub(crate) graph: Graph,
    pub(crate) diagnostics: Vec<Diagnostic>,
}

pub(crate) type Lowered = Result<NodeId, ()>;

/// A convolution without bias, a norm and an optional non-linearity.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ConvNorm {
    out: usize,
    kernel: usize,
    stride: usize,
    dilation: usize,
    groups: usize,
    norm: NormKind,
    act: Option<Activation>,
}

impl ConvNorm {
    /// A dense convolution with batch norm.
    pub(crate) fn new(out: usize, kernel: usize, stride: usize) -> Self {
        Self { out, kernel, stride, dilation: 1, groups: 1, norm: NormKind::Batch, act: None }
    }

    pub(crate) fn dilation(self, dilation: usize) -> Self {
        Self { dilation, ..self }
    }

    pub(crate) fn groups(self, groups: usize) -> Self {
        Self { groups, ..self }
    }

    pub(crate) fn norm(self, norm: NormKind) -> Self {
        Self { norm, ..self }
    }

    pub(crate) fn act(self, act: Activation) -> Self {
        Self { act: Some(act), ..self }
    }
}

impl Block {
    /// What it becomes on a map of that shape, by itself.
    ///
    /// # Errors
    /// Why it does not fit there.
    pub fn alone(&self, on: Shape) -> Result<Graph, Vec<Diagnostic>> {
        Lowering::over(Graph::new(on)).end(|to| to.block("", "block", 0, self))
    }
}

/// What a from-scratch encoder becomes for images of side `size`, by itself.
///
/// # Errors
/// Why it does not fit them.
pub fn scratch_alone(stem: Channels, stages: &[Stage], size: usize) -> Result<Graph, Vec<Diagnostic>> {
    Lowering::over(Graph::new(Shape::new(3, size, size))).end(|to| to.scratch("", stem.0 as usize, stages))
}

impl Lowering {
    fn end(mut self, lower: impl FnOnce(&mut Self) -> Lowered) -> Result<Graph, Vec<Diagnostic>> {
        match lower(&mut self) {
            Ok(_) if self.diagnostics.is_empty() => Ok(self.graph),
            _ => Err(self.diagnostics),
        }
    }

    /// Goes on with a graph that is the input alone, or the trained part of a backbone.
    pub(crate) fn over(graph: Graph) -> Self {
        Self { graph, diagnostics: Vec::new() }
    }

    pub(crate) fn report(&mut self, code: Code, at: &str, message: String, hint: &str) {
        self.diagnostics.push(Diagnostic::new(code, at, message, hint));
    }

    pub(crate) fn channels(&self, x: NodeId) -> usize {
        self.graph.shape(x).c
    }

    pub(crate) fn add(&mut self, at: &str, name: &str, op: Op, inputs: &[NodeId]) -> Lowered {
        match self.graph.add(name, op, inputs) {
            Ok(id) if self.graph.shape(id).len() > MAX_MAP => {
                let shape = self.graph.shape(id);
                self.report(
                    Code::MapTooLarge,
                    at,
                    format!("the map {shape} has more than {MAX_MAP} values"),
                    "use fewer channels, a larger stride or a smaller image",
                );
                Err(())
            }
            Ok(id) => Ok(id),
            Err(error) => {
                self.report(Code::MapTooSmall, at, error.reason, TOO_SMALL);
                Err(())
            }
        }
    }

    /// Reports heads that do not divide the width of what they attend to. Shapes are known all the same, so that what comes
    /// after is checked too.
    pub(crate) fn heads_divide(&mut self, at: &str, heads: usize, width: usize, of: &str) {
        if heads == 0 || !width.is_multiple_of(heads) {
            let at = format!("{at}/heads");
            self.diagnostics.push(misfit_heads(&at, heads as u32, width as u32, of, Heads::CHOICES));
        }
    }

    /// Reports maps with too many cells for ops whose cost grows with their square; what comes after is checked too.
    pub(crate) fn few_cells(&mut self, at: &str, x: NodeId) {
        let shape = self.graph.shape(x);
        if shape.h * shape.w > MAX_TOKENS {
            let message = format!("a map of {} cells; the limit is {MAX_TOKENS}", shape.h * shape.w);
            self.report(Code::TooManyTokens, at, message, "use a later cut, a smaller image, or pool");
        }
    }

    pub(crate) fn norm(&mut self, at: &str, name: &str, x: NodeId, kind: NormKind) -> Lowered {
        let (channels, eps_micro) = (self.channels(x), EPS_MICRO);
        let op = match kind {
            NormKind::Batch => Op::BatchNorm { channels, eps_micro, fixed: false },
            NormKind::Layer => Op::LayerNorm { channels, eps_micro },
            NormKind::Group => {
                let groups = NORM_GROUPS.into_iter().find(|g| channels.is_multiple_of(*g)).unwrap_or(1);
                Op::GroupNorm { channels, groups, eps_micro }
            }
        };
        self.add(at, name, op, &[x])
    }

    /// Convolution, norm and an optional non-linearity.
    pub(crate) fn conv(&mut self, at: &str, name: &str, x: NodeId, spec: ConvNorm) -> Lowered {
        let ConvNorm { out: output, kernel, stride, dilation, groups, norm, act } = spec;
        let padding = Padding::symmetric(dilation * (kernel / 2));
        let input = self.channels(x);
        let conv =
            Conv { input, output, kernel, width: kernel, stride, padding, dilation, groups, bias: false };
        let y = self.add(at, &format!("{name}.conv"), Op::Conv(conv), &[x])?;
        let y = self.norm(at, &format!("{name}.norm"), y, norm)?;
        match act {
            Some(act) => self.add(at, &format!("{name}.act"), Op::Act(act), &[y]),
            None => Ok(y),
        }
    }

    /// The shortcut of a ResNet block: the input, or a strided 1 × 1 convolution where shapes differ.
    pub(crate) fn shortcut(&mut self, at: &str, name: &str, x: NodeId, out: usize, stride: usize) -> Lowered {
        if stride == 1 && self.channels(x) == out {
            return Ok(x);
        }
        self.conv(at, &format!("{name}.shortcut"), x, ConvNorm::new(out, 1, stride))
    }

    pub(crate) fn add_relu(&mut self, at: &str, name: &str, a: NodeId, b: NodeId) -> Lowered {
        let sum = self.add(at, &format!("{name}.sum"), Op::Add, &[a, b])?;
        self.add(at, &format!("{name}.act"), Op::Act(Activation::Relu), &[sum])
    }

    /// Two 1 × 1 convolutions with a ReLU between, on pooled maps: the gate of SE and CBAM before its sigmoid.
    pub(crate) fn narrow_wide(&mut self, at: &str, name: &str, pooled: NodeId, narrow: usize) -> Lowered {
        let c = self.channels(pooled);
        let y = self.add(at, &format!("{name}.down"), Op::Conv(Conv::pointwise(c, narrow)), &[pooled])?;
        let y = self.add(at, &format!("{name}.relu"), Op::Act(Activation::Relu), &[y])?;
        self.add(at, &format!("{name}.up"), Op::Conv(Conv::pointwise(narrow, c)), &[y])
    }

    fn chain(&mut self, at: &str, name: &str, x: NodeId, leaves: &[Leaf]) -> Lowered {
        let mut y = x;
        for (i, leaf) in leaves.iter().enumerate() {
            let place = Place { at: &format!("{at}/{i}"), name: &format!("{name}.{i}"), x: y };
            y = leaf.lower(self, place)?;
        }
        Ok(y)
    }

    fn residual(&mut self, at: &str, name: &str, x: NodeId, body: &[Leaf]) -> Lowered {
        let y = self.chain(&format!("{at}/body"), name, x, body)?;
        let after = self.graph.shape(y);
        let strides: Option<usize> = body.iter().map(Leaf::stride).product();
        let short = match strides {
            Some(stride) => self.shortcut(at, name, x, after.c, stride)?,
            None => x,
        };
        let beside = self.graph.shape(short);
        if beside != after {
            let message = format!("the body gives {after} and its shortcut {beside}, which cannot be added");
            self.report(Code::ResidualShape, at, message, "use a stride of 2 in place of the pool");
            return Err(());
        }
        self.add(at, &format!("{name}.sum"), Op::Add, &[short, y])
    }

    fn parallel(&mut self, at: &str, name: &str, x: NodeId, merge: Merge, branches: &[&[Leaf]]) -> Lowered {
        // Every branch is lowered before giving up, so that all their problems are reported at once.
        let ends: Vec<Lowered> = branches
            .iter()
            .enumerate()
            .map(|(i, leaves)| self.chain(&format!("{at}/branches/{i}"), &format!("{name}.{i}"), x, leaves))
            .collect();
        let ends: Vec<NodeId> = ends.into_iter().collect::<Result<_, ()>>()?;
        let shapes: Vec<Shape> = ends.iter().map(|id| self.graph.shape(*id)).collect();
        let listed = || shapes.iter().map(Shape::to_string).collect::<Vec<_>>().join(", ");
        match merge {
            Merge::Add | Merge::Gated if shapes.iter().any(|s| *s != shapes[0]) => {
                let hint = "give all branches the same stride and channels, or merge by concat";
                let message = format!("branches give {}: they cannot be added", listed());
                self.report(Code::AddShapes, at, message, hint);
                Err(())
            }
            Merge::Concat if shapes.iter().any(|s| (s.h, s.w) != (shapes[0].h, shapes[0].w)) => {
                let hint = "give all branches the same stride";
                let message = format!("branches give {}: they cannot be concatenated", listed());
                self.report(Code::ConcatShapes, at, message, hint);
                Err(())
            }
            Merge::Add => self.sum(at, name, &ends),
            Merge::Concat => self.add(at, &format!("{name}.concat"), Op::Concat, &ends),
            Merge::Gated => {
                let all = self.add(at, &format!("{name}.concat"), Op::Concat, &ends)?;
                let gate = Op::Conv(Conv::pointwise(self.channels(all), shapes[0].c));
                let gated: Result<Vec<NodeId>, ()> = ends
                    .iter()
                    .enumerate()
                    .map(|(i, end)| {
                        let g = self.add(at, &format!("{name}.gate{i}"), gate, &[all])?;
                        let g =
                            self.add(at, &format!("{name}.sigmoid{i}"), Op::Act(Activation::Sigmoid), &[g])?;
                        self.add(at, &format!("{name}.gated{i}"), Op::Mul, &[*end, g])
                    })
                    .collect();
                self.sum(at, name, &gated?)
            }
        }
    }

    fn sum(&mut self, at: &str, name: &str, ends: &[NodeId]) -> Lowered {
        let mut sum = ends[0];
        for (i, end) in ends.iter().enumerate().skip(1) {
            sum = self.add(at, &format!("{name}.sum{i}"), Op::Add, &[sum, *end])?;
        }
        Ok(sum)
    }

    /// Lowers one block; `Err` means that diagnostics say why.
    pub(crate) fn block(&mut self, at: &str, name: &str, x: NodeId, block: &Block) -> Lowered {
        match block {
            Block::Leaf(leaf) => leaf.lower(self, Place { at, name, x }),
            Block::Residual(residual) => self.residual(at, name, x, &residual.body),
            Block::Parallel(parallel) => {
                let branches: Vec<&[Leaf]> = parallel.branches.iter().map(|b| b.0.as_slice()).collect();
                self.parallel(at, name, x, parallel.merge, &branches)
            }
            Block::Repeat(repeat) => {
                let mut y = x;
                for i in 0..repeat.times.0 {
                    let name = format!("{name}.{i}");
                    y = match repeat.shortcut {
                        Shortcut::None => self.chain(&format!("{at}/body"), &name, y, &repeat.body)?,
                        Shortcut::Residual => self.residual(at, &name, y, &repeat.body)?,
                    };
                }
                Ok(y)
            }
        }
    }

    /// Lowers a from-scratch encoder.
    pub(crate) fn scratch(&mut self, at: &str, stem: usize, stages: &[Stage]) -> Lowered {
        let first = ConvNorm::new(stem, 3, 2).act(Activation::Relu);
        let mut x = self.conv(&format!("{at}/stem"), "encoder.stem", 0, first)?;
        for (i, stage) in stages.iter().enumerate() {
            let at = format!("{at}/stages/{i}");
            for j in 0..stage.repeat.0 {
                let stride = if j == 0 { 2 } else { 1 };
                let name = format!("encoder.stages.{i}.{j}");
                x = self.stage_block(&at, &name, x, stage, stride)?;
            }
        }
        Ok(x)
    }

    fn stage_block(&mut self, at: &str, name: &str, x: NodeId, stage: &Stage, stride: u32) -> Lowered {
        let (out, relu) = (stage.out.0 as usize, Activation::Relu);
        let stride_cells = stride as usize;
        match stage.kind {
            StageKind::Conv => self.conv(at, name, x, ConvNorm::new(out, 3, stride_cells).act(relu)),
            StageKind::Separable => {
                let c = self.channels(x);
                let depthwise = ConvNorm::new(c, 3, stride_cells).groups(c).act(relu);
                let y = self.conv(at, &format!("{name}.depthwise"), x, depthwise)?;
                self.conv(at, &format!("{name}.pointwise"), y, ConvNorm::new(out, 1, 1).act(relu))
            }
            StageKind::InvertedResidual => {
                let op = InvertedResidual {
                    out: Channels(stage.out.0),
                    expand: Expansion(4),
                    kernel: Kernel(3),
                    stride: Stride(stride),
                };
                op.lower(self, Place { at, name, x })
            }
            StageKind::Basic => {
                let first = ConvNorm::new(out, 3, stride_cells).act(relu);
                let y = self.conv(at, &format!("{name}.first"), x, first)?;
                let y = self.conv(at, &format!("{name}.second"), y, ConvNorm::new(out, 3, 1))?;
                let short = self.shortcut(at, name, x, out, stride_cells)?;
                self.add_relu(at, name, y, short)
            }
        }
    }
}
