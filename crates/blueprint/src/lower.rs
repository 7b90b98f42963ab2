//! Blocks to graph nodes. Every rule of composition lives here; nothing is allocated.

use crate::diagnostic::{Code, Diagnostic};
use crate::graph::{Activation, Conv, Graph, NodeId, Op, Padding, Shape};
use crate::language::{Act, Block, Leaf, Merge, PoolKind, Stage, StageKind};

/// Values in one feature map of one image, at most: 224 × 224 × 256.
pub(crate) const MAX_MAP: usize = 224 * 224 * 256;

/// Builds the trainable part of an encoder and collects what does not fit.
pub(crate) struct Lowering {
    pub(crate) graph: Graph,
    pub(crate) diagnostics: Vec<Diagnostic>,
}

type Lowered = Result<NodeId, ()>;

/// By how much a leaf shrinks the map.
fn stride(leaf: &Leaf) -> usize {
    match leaf {
        Leaf::Conv { stride, .. }
        | Leaf::Depthwise { stride, .. }
        | Leaf::Bottleneck { stride, .. }
        | Leaf::InvertedResidual { stride, .. } => stride.0 as usize,
        Leaf::Se { .. } | Leaf::Cbam { .. } => 1,
        Leaf::Pool { .. } => 2,
    }
}

fn activation(act: Act) -> Activation {
    match act {
        Act::Relu => Activation::Relu,
        Act::Relu6 => Activation::Relu6,
        Act::Silu => Activation::Silu,
        Act::Gelu => Activation::Gelu,
        Act::HardSwish => Activation::HardSwish,
    }
}

impl Lowering {
    pub(crate) fn new(input: Shape) -> Self {
        Self { graph: Graph::new(input), diagnostics: Vec::new() }
    }

    fn report(&mut self, code: Code, at: &str, message: String, hint: &str) {
        self.diagnostics.push(Diagnostic::new(code, at, message, hint));
    }

    fn add(&mut self, at: &str, name: &str, op: Op, inputs: &[NodeId]) -> Lowered {
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
                let hint = "use a larger image, an earlier cut, or fewer blocks that shrink the map";
                self.report(Code::MapTooSmall, at, error.reason, hint);
                Err(())
            }
        }
    }

    /// Convolution, batch norm and an optional non-linearity.
    #[allow(clippy::too_many_arguments)]
    fn conv(
        &mut self,
        at: &str,
        name: &str,
        x: NodeId,
        out: usize,
        kernel: usize,
        stride: usize,
        groups: usize,
        act: Option<Activation>,
    ) -> Lowered {
        let input = self.graph.shape(x).c;
        let padding = Padding::symmetric(kernel / 2);
        let conv = Conv { input, output: out, kernel, stride, padding, groups, bias: false };
        let y = self.add(at, &format!("{name}.conv"), Op::Conv(conv), &[x])?;
        let norm = Op::BatchNorm { channels: out, eps_micro: 10 };
        let y = self.add(at, &format!("{name}.norm"), norm, &[y])?;
        match act {
            Some(act) => self.add(at, &format!("{name}.act"), Op::Act(act), &[y]),
            None => Ok(y),
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn inverted_residual(
        &mut self,
        at: &str,
        name: &str,
        x: NodeId,
        out: usize,
        expand: usize,
        kernel: usize,
        stride: usize,
    ) -> Lowered {
        let c = self.graph.shape(x).c;
        let mut y = x;
        if expand > 1 {
            y = self.conv(at, &format!("{name}.expand"), y, c * expand, 1, 1, 1, Some(Activation::Relu6))?;
        }
        let wide = c * expand;
        let relu = Some(Activation::Relu6);
        y = self.conv(at, &format!("{name}.depthwise"), y, wide, kernel, stride, wide, relu)?;
        y = self.conv(at, &format!("{name}.project"), y, out, 1, 1, 1, None)?;
        if stride == 1 && out == c { self.add(at, &format!("{name}.sum"), Op::Add, &[x, y]) } else { Ok(y) }
    }

    /// The shortcut of a ResNet block: the input, or a strided 1 × 1 convolution where shapes differ.
    fn shortcut(&mut self, at: &str, name: &str, x: NodeId, out: usize, stride: usize) -> Lowered {
        if stride == 1 && self.graph.shape(x).c == out {
            return Ok(x);
        }
        self.conv(at, &format!("{name}.shortcut"), x, out, 1, stride, 1, None)
    }

    fn add_relu(&mut self, at: &str, name: &str, a: NodeId, b: NodeId) -> Lowered {
        let sum = self.add(at, &format!("{name}.sum"), Op::Add, &[a, b])?;
        self.add(at, &format!("{name}.act"), Op::Act(Activation::Relu), &[sum])
    }

    fn bottleneck(
        &mut self,
        at: &str,
        name: &str,
        x: NodeId,
        out: usize,
        narrow: usize,
        stride: usize,
    ) -> Lowered {
        let relu = Some(Activation::Relu);
        let y = self.conv(at, &format!("{name}.reduce"), x, narrow, 1, 1, 1, relu)?;
        let y = self.conv(at, &format!("{name}.middle"), y, narrow, 3, stride, 1, relu)?;
        let y = self.conv(at, &format!("{name}.expand"), y, out, 1, 1, 1, None)?;
        let short = self.shortcut(at, name, x, out, stride)?;
        self.add_relu(at, name, y, short)
    }

    fn basic(&mut self, at: &str, name: &str, x: NodeId, out: usize, stride: usize) -> Lowered {
        let y = self.conv(at, &format!("{name}.first"), x, out, 3, stride, 1, Some(Activation::Relu))?;
        let y = self.conv(at, &format!("{name}.second"), y, out, 3, 1, 1, None)?;
        let short = self.shortcut(at, name, x, out, stride)?;
        self.add_relu(at, name, y, short)
    }

    /// Two 1 × 1 convolutions with a ReLU between, on pooled maps: the gate of SE and CBAM before its sigmoid.
    fn narrow_wide(&mut self, at: &str, name: &str, pooled: NodeId, narrow: usize) -> Lowered {
        let c = self.graph.shape(pooled).c;
        let layer = |input, output| {
            let padding = Padding::symmetric(0);
            Op::Conv(Conv { input, output, kernel: 1, stride: 1, padding, groups: 1, bias: true })
        };
        let y = self.add(at, &format!("{name}.down"), layer(c, narrow), &[pooled])?;
        let y = self.add(at, &format!("{name}.relu"), Op::Act(Activation::Relu), &[y])?;
        self.add(at, &format!("{name}.up"), layer(narrow, c), &[y])
    }

    fn se(&mut self, at: &str, name: &str, x: NodeId, reduction: usize) -> Lowered {
        let narrow = (self.graph.shape(x).c / reduction).max(1);
        let pooled = self.add(at, &format!("{name}.pool"), Op::GlobalAvgPool, &[x])?;
        let gate = self.narrow_wide(at, name, pooled, narrow)?;
        let gate = self.add(at, &format!("{name}.gate"), Op::Act(Activation::Sigmoid), &[gate])?;
        self.add(at, &format!("{name}.scale"), Op::Mul, &[x, gate])
    }

    /// The channel gate's small network is shared between mean and maximum: both run through it side by side.
    fn cbam(&mut self, at: &str, name: &str, x: NodeId, reduction: usize) -> Lowered {
        let narrow = (self.graph.shape(x).c / reduction).max(1);
        let avg = self.add(at, &format!("{name}.avg"), Op::GlobalAvgPool, &[x])?;
        let max = self.add(at, &format!("{name}.max"), Op::GlobalMaxPool, &[x])?;
        let both = self.add(at, &format!("{name}.stats"), Op::Stack, &[avg, max])?;
        let gates = self.narrow_wide(at, &format!("{name}.channel"), both, narrow)?;
        let gate = self.add(at, &format!("{name}.channel.sum"), Op::SumCells, &[gates])?;
        let gate = self.add(at, &format!("{name}.channel.gate"), Op::Act(Activation::Sigmoid), &[gate])?;
        let y = self.add(at, &format!("{name}.channel.scale"), Op::Mul, &[x, gate])?;
        let mean = self.add(at, &format!("{name}.mean"), Op::ChannelMean, &[y])?;
        let peak = self.add(at, &format!("{name}.peak"), Op::ChannelMax, &[y])?;
        let maps = self.add(at, &format!("{name}.maps"), Op::Concat, &[peak, mean])?;
        let gate = self.conv(at, &format!("{name}.spatial"), maps, 1, 7, 1, 1, Some(Activation::Sigmoid))?;
        self.add(at, &format!("{name}.scale"), Op::Mul, &[y, gate])
    }

    fn leaf(&mut self, at: &str, name: &str, x: NodeId, leaf: &Leaf) -> Lowered {
        match leaf {
            Leaf::Conv { out, kernel, stride, act } => {
                let (out, kernel, stride) = (out.0 as usize, kernel.0 as usize, stride.0 as usize);
                self.conv(at, name, x, out, kernel, stride, 1, Some(activation(*act)))
            }
            Leaf::Depthwise { kernel, stride, act } => {
                let c = self.graph.shape(x).c;
                let (kernel, stride) = (kernel.0 as usize, stride.0 as usize);
                self.conv(at, name, x, c, kernel, stride, c, Some(activation(*act)))
            }
            Leaf::Bottleneck { out, reduction, stride } => {
                let narrow = (out.0 / reduction.0).max(1) as usize;
                self.bottleneck(at, name, x, out.0 as usize, narrow, stride.0 as usize)
            }
            Leaf::InvertedResidual { out, expand, kernel, stride } => {
                let (out, expand) = (out.0 as usize, expand.0 as usize);
                self.inverted_residual(at, name, x, out, expand, kernel.0 as usize, stride.0 as usize)
            }
            Leaf::Se { reduction } => self.se(at, name, x, reduction.0 as usize),
            Leaf::Cbam { reduction } => self.cbam(at, name, x, reduction.0 as usize),
            Leaf::Pool { kind } => {
                let op = match kind {
                    PoolKind::Max => Op::MaxPool { kernel: 2, stride: 2, padding: 0 },
                    PoolKind::Avg => Op::AvgPool { kernel: 2, stride: 2 },
                };
                self.add(at, name, op, &[x])
            }
        }
    }

    fn chain(&mut self, at: &str, name: &str, x: NodeId, leaves: &[Leaf]) -> Lowered {
        let mut y = x;
        for (i, leaf) in leaves.iter().enumerate() {
            y = self.leaf(&format!("{at}/{i}"), &format!("{name}.{i}"), y, leaf)?;
        }
        Ok(y)
    }

    fn residual(&mut self, at: &str, name: &str, x: NodeId, body: &[Leaf]) -> Lowered {
        let y = self.chain(&format!("{at}/body"), name, x, body)?;
        let after = self.graph.shape(y);
        let stride = body.iter().map(stride).product();
        let short = self.shortcut(at, name, x, after.c, stride)?;
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
        let listed = shapes.iter().map(Shape::to_string).collect::<Vec<_>>().join(", ");
        match merge {
            Merge::Add if shapes.iter().any(|s| *s != shapes[0]) => {
                let hint = "give all branches the same stride and channels, or merge by concat";
                self.report(
                    Code::AddShapes,
                    at,
                    format!("branches give {listed}: they cannot be added"),
                    hint,
                );
                Err(())
            }
            Merge::Concat if shapes.iter().any(|s| (s.h, s.w) != (shapes[0].h, shapes[0].w)) => {
                let hint = "give all branches the same stride";
                let message = format!("branches give {listed}: they cannot be concatenated");
                self.report(Code::ConcatShapes, at, message, hint);
                Err(())
            }
            Merge::Add => {
                let mut sum = ends[0];
                for (i, end) in ends.iter().enumerate().skip(1) {
                    sum = self.add(at, &format!("{name}.sum{i}"), Op::Add, &[sum, *end])?;
                }
                Ok(sum)
            }
            Merge::Concat => self.add(at, &format!("{name}.concat"), Op::Concat, &ends),
        }
    }

    /// Lowers one block; `Err` means that diagnostics say why.
    pub(crate) fn block(&mut self, at: &str, name: &str, x: NodeId, block: &Block) -> Lowered {
        match block {
            Block::Leaf(leaf) => self.leaf(at, name, x, leaf),
            Block::Residual(residual) => self.residual(at, name, x, &residual.body),
            Block::Parallel(parallel) => {
                let branches: Vec<&[Leaf]> = parallel.branches.iter().map(|b| b.0.as_slice()).collect();
                self.parallel(at, name, x, parallel.merge, &branches)
            }
        }
    }

    /// Lowers a from-scratch encoder.
    pub(crate) fn scratch(&mut self, at: &str, stem: usize, stages: &[Stage]) -> Lowered {
        let relu = Some(Activation::Relu);
        let mut x = self.conv(&format!("{at}/stem"), "encoder.stem", 0, stem, 3, 2, 1, relu)?;
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

    fn stage_block(&mut self, at: &str, name: &str, x: NodeId, stage: &Stage, stride: usize) -> Lowered {
        let out = stage.out.0 as usize;
        let relu = Some(Activation::Relu);
        match stage.kind {
            StageKind::Conv => self.conv(at, name, x, out, 3, stride, 1, relu),
            StageKind::Separable => {
                let c = self.graph.shape(x).c;
                let y = self.conv(at, &format!("{name}.depthwise"), x, c, 3, stride, c, relu)?;
                self.conv(at, &format!("{name}.pointwise"), y, out, 1, 1, 1, relu)
            }
            StageKind::InvertedResidual => self.inverted_residual(at, name, x, out, 4, 3, stride),
            StageKind::Basic => self.basic(at, name, x, out, stride),
        }
    }
}
