//! The written form of a design: what a person or a language model writes, as JSON or TOML.
//!
//! Closed and typed: every field is required unless it has a default, every number comes from a menu, lists are bounded, there is no free
//! text but the name of a zoo backbone (and that is checked against the zoo).

mod blocks;
mod decoder;
mod recipe;

use crate::menu::menu;
pub use crate::ops::*;
pub use blocks::*;
pub use decoder::*;
pub use recipe::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

menu! {
    /// Side in pixels to which each image is resized.
    ImageSize: u32 = [32, 48, 64, 96, 128, 160, 192, 224]
}
menu! {
    /// Channels of a feature map.
    Channels: u32 = [8, 16, 24, 32, 48, 64, 96, 128, 160, 192, 256, 320, 384, 512]
}
menu! {
    /// Side of a square kernel.
    Kernel: u32 = [1, 3, 5, 7]
}
menu! {
    /// Stride of a convolution.
    Stride: u32 = [1, 2]
}
menu! {
    /// How many times an inverted residual widens its input.
    Expansion: u32 = [1, 2, 3, 4, 6]
}
menu! {
    /// By how much a bottleneck or a gate narrows its input.
    Reduction: u32 = [2, 4, 8, 16]
}
menu! {
    /// Width of memory tokens, embeddings and states.
    Width: u32 = [64, 96, 128, 192, 256, 320, 384, 512, 640, 768]
}
menu! {
    /// Stacked decoder layers.
    Layers: u32 = [1, 2, 3, 4, 6]
}
menu! {
    /// Attention heads.
    Heads: u32 = [1, 2, 4, 6, 8, 12]
}
menu! {
    /// Width of the feed-forward layer in units of the decoder's width.
    FeedForward: u32 = [1, 2, 3, 4]
}
menu! {
    /// Dropout in percent.
    Dropout: u8 = [0, 10, 20, 30, 40, 50]
}
menu! {
    /// Cells between the taps of a kernel.
    Dilation: u32 = [1, 2, 4]
}
menu! {
    /// Groups of channels that do not mix.
    Groups: u32 = [1, 2, 4, 8, 16, 32]
}
menu! {
    /// Side of a pooled map, in cells.
    GridSide: u32 = [1, 2, 4, 6, 7, 14]
}
menu! {
    /// How often a body is repeated.
    Times: u32 = [1, 2, 3, 4, 6]
}

menu! {
    /// Cuts of a backbone that are used at once.
    Cuts: u32 = [1, 2, 3]
}

impl Default for Cuts {
    fn default() -> Self {
        Self(1)
    }
}

impl Default for Dilation {
    fn default() -> Self {
        Self(1)
    }
}

impl Default for Groups {
    fn default() -> Self {
        Self(1)
    }
}

/// A complete design: encoder, bridge, decoder and training recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Blueprint {
    /// From the image to a feature map.
    pub encoder: Encoder,
    /// From the feature map to the decoder's memory.
    pub bridge: Bridge,
    /// From memory and earlier words to the next word.
    pub decoder: Decoder,
    /// How it is trained.
    pub recipe: Recipe,
}

/// From the image to a feature map.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Encoder {
    /// Image size.
    pub input: ImageSize,
    /// Where features come from.
    pub source: Source,
    /// Blocks trained on top of the source, in order.
    #[schemars(length(max = 4))]
    pub blocks: Vec<Block>,
}

/// Where features come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Source {
    /// A pretrained backbone of the zoo, cut where its map has that stride.
    Pretrained {
        /// Name in the zoo.
        backbone: String,
        /// Where it is cut.
        cut: Cut,
        /// How many cuts: that one, and the next finer ones, pooled to its grid, as further channels. One where left
        /// out.
        #[serde(default, skip_serializing_if = "is_default")]
        cuts: Cuts,
        /// How much of it is trained; nothing where left out.
        #[serde(default, skip_serializing_if = "is_default")]
        tune: Tune,
        /// A second backbone, frozen, whose map is pooled to the grid of the first and put behind its channels; none
        /// where left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(with = "Beside")]
        beside: Option<Beside>,
    },
    /// A convolution stack trained from scratch: a strided 3 × 3 convolution, then `stages` that each halve the map.
    Scratch {
        /// Output channels of the stem.
        stem: Channels,
        /// The stages, in order.
        #[schemars(length(min = 1, max = 5))]
        stages: Vec<Stage>,
    },
}

/// How much of a backbone is trained. Its batch norms keep the statistics that it was pretrained with, unless these are named too:
/// small batches of captioned images tell little of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Tune {
    /// Nothing: its features are computed once.
    #[default]
    Frozen,
    /// What lies behind the next finer cut; features up to there are computed once.
    LastStage,
    /// All of it, from the pixels.
    All,
    /// As `last_stage`, and its batch norms use the statistics of each batch, which the running ones follow.
    LastStageWithStatistics,
    /// As `all`, likewise.
    AllWithStatistics,
}

impl Tune {
    /// Whether batch norms of the trained part use the statistics of batches.
    pub fn follows_batches(self) -> bool {
        matches!(self, Self::LastStageWithStatistics | Self::AllWithStatistics)
    }
}

/// A second backbone beside the first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct Beside {
    /// Name in the zoo; another one than the first.
    pub backbone: String,
    /// Where it is cut; not coarser than the first.
    pub cut: Cut,
}

impl Source {
    /// Names of the backbones whose weights are needed, first the one that the source is named after.
    pub fn backbones(&self) -> Vec<&str> {
        match self {
            Self::Pretrained { backbone, beside, .. } => {
                let second = beside.iter().map(|beside| beside.backbone.as_str());
                std::iter::once(backbone.as_str()).chain(second).collect()
            }
            Self::Scratch { .. } => Vec::new(),
        }
    }
}

/// One stage of a from-scratch encoder: one block of that kind with stride 2, then `repeat - 1` with stride 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// What it is made of.
    pub kind: StageKind,
    /// Output channels.
    pub out: Channels,
    /// Number of blocks.
    pub repeat: Repeat,
}

menu! {
    /// Number of blocks in a stage.
    Repeat: u32 = [1, 2, 3]
}

/// What a stage is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum StageKind {
    /// 3 × 3 convolution, batch norm, ReLU.
    Conv,
    /// Depthwise-separable convolution.
    Separable,
    /// Inverted residual with expansion 4 (MobileNetV2).
    InvertedResidual,
    /// ResNet's basic block.
    Basic,
}

/// Stride of the feature map at which a backbone is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Cut {
    /// One cell for 8 × 8 pixels.
    S8,
    /// One cell for 16 × 16 pixels.
    S16,
    /// One cell for 32 × 32 pixels.
    S32,
}

impl Cut {
    /// Pixels for one cell, in each direction.
    pub fn stride(self) -> usize {
        match self {
            Self::S8 => 8,
            Self::S16 => 16,
            Self::S32 => 32,
        }
    }
}

impl std::fmt::Display for Cut {
    /// As designs write it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "s{}", self.stride())
    }
}

/// Whether a field has the value that it has when left out, and so need not be written.
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
