//! The blocks' part of the language: what stands between the source and the bridge, or makes up a stage.

use crate::graph::Activation;
use crate::language::{Leaf, Times, is_default};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A non-linearity that a block may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Nonlinearity {
    /// max(x, 0).
    Relu,
    /// min(max(x, 0), 6).
    Relu6,
    /// x · sigmoid(x).
    Silu,
    /// Gaussian error linear unit.
    Gelu,
    /// Hard swish.
    HardSwish,
}

impl From<Nonlinearity> for Activation {
    fn from(kind: Nonlinearity) -> Self {
        match kind {
            Nonlinearity::Relu => Self::Relu,
            Nonlinearity::Relu6 => Self::Relu6,
            Nonlinearity::Silu => Self::Silu,
            Nonlinearity::Gelu => Self::Gelu,
            Nonlinearity::HardSwish => Self::HardSwish,
        }
    }
}

/// A norm over a feature map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum NormKind {
    /// Batch norm (Ioffe and Szegedy 2015).
    #[default]
    Batch,
    /// Layer norm over the channels of each cell (Ba et al. 2016, as in ConvNeXt).
    Layer,
    /// Group norm (Wu and He 2018) of 8 groups, or of as many of 4, 2 and 1 as divide the channels.
    Group,
}

/// A pooling rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum PoolKind {
    /// Maximum.
    Max,
    /// Mean.
    Avg,
}

/// How branches are joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Merge {
    /// Sum; all branches must have one shape.
    Add,
    /// Concatenation over channels; all branches must have one height and width.
    Concat,
    /// Sum weighted by a gate for each branch, value by value: the sigmoid of a 1 × 1 convolution of all branches side
    /// by side (as highway networks and gated fusion do). All branches must have one shape.
    Gated,
}

/// A block: a leaf, or a combinator over leaves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Block {
    /// `x + body(x)`, with a projection of `x` where the body changes the shape.
    Residual(Residual),
    /// The same input through each branch, then joined.
    Parallel(Parallel),
    /// A body several times over, each with its own weights.
    Repeat(Repeated),
    /// A single block.
    Leaf(Leaf),
}

/// `x + body(x)`. Where the body changes channels or stride, `x` passes a strided 1 × 1 convolution and a batch norm
/// first (the projection shortcut of He et al. 2016).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Residual {
    /// Always `residual`.
    pub op: ResidualTag,
    /// Leaves in order.
    #[schemars(length(min = 1, max = 3))]
    pub body: Vec<Leaf>,
}

/// The word `residual`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum ResidualTag {
    /// The only value.
    Residual,
}

/// A body several times over, each with its own weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Repeated {
    /// Always `repeat`.
    pub op: RepeatTag,
    /// How often.
    pub times: Times,
    /// Plain, or each time a residual: `x + body(x)`, with the shortcut of [`Residual`]; plain where left out.
    #[serde(default, skip_serializing_if = "is_default")]
    pub shortcut: Shortcut,
    /// Leaves in order.
    #[schemars(length(min = 1, max = 3))]
    pub body: Vec<Leaf>,
}

/// Whether a repeated body has a shortcut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Shortcut {
    /// `body(x)`.
    #[default]
    None,
    /// `x + body(x)`.
    Residual,
}

/// The word `repeat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum RepeatTag {
    /// The only value.
    Repeat,
}

/// The same input through each branch, then joined.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Parallel {
    /// Always `parallel`.
    pub op: ParallelTag,
    /// Add or concatenate.
    pub merge: Merge,
    /// Branches of leaves.
    #[schemars(length(min = 2, max = 3))]
    pub branches: Vec<Branch>,
}

/// One branch of a parallel block.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Branch(#[schemars(length(min = 1, max = 2))] pub Vec<Leaf>);

/// The word `parallel`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum ParallelTag {
    /// The only value.
    Parallel,
}
