//! The decoder's part of the language, and what it reads of the image.

use crate::language::{Dropout, FeedForward, Heads, Layers, Width, is_default};
use crate::menu::menu;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the decoder sees of the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Memory {
    /// One token for each cell of the feature map.
    Grid,
    /// One token: the mean over cells.
    Global,
}

/// How the decoder's memory tells the places of cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Places {
    /// Not at all.
    #[default]
    None,
    /// A learned vector for each cell.
    Learned,
    /// A learned vector for each row plus one for each column.
    #[serde(rename = "learned_2d")]
    Learned2d,
    /// Sines and cosines of row and column.
    Sinusoidal,
}

/// Tokens of coarser scales beside the cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Scales {
    /// The cells alone.
    #[default]
    Cells,
    /// The mean over all cells, then the cells.
    Global,
    /// The mean over all cells, those of the four quarters, then the cells (spatial pyramid, He et al. 2014).
    Pyramid,
}

menu! {
    /// Tokens that a resampler makes of all cells; 0: no resampler.
    Queries: u32 = [0, 1, 4, 8, 16, 32, 64], else 0
}

/// From the feature map to the decoder's memory: a linear layer and a layer norm on each token.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bridge {
    /// Width of a token.
    pub dim: Width,
    /// Dropout on the memory.
    pub dropout_pct: Dropout,
    /// How the places of cells are known; not at all where left out.
    #[serde(default, skip_serializing_if = "is_default")]
    pub positions: Places,
    /// Tokens of coarser scales; the cells alone where left out.
    #[serde(default, skip_serializing_if = "is_default")]
    pub scales: Scales,
    /// Learned queries that gather all tokens into so many; none where left out.
    #[serde(default, skip_serializing_if = "is_default")]
    pub queries: Queries,
}

/// A recurrent cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Cell {
    /// Long short-term memory (Hochreiter and Schmidhuber 1997).
    Lstm,
    /// Gated recurrent unit (Cho et al. 2014).
    Gru,
}

/// How the image enters a recurrent decoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum ImageMode {
    /// It sets the first state.
    InitialState,
    /// It is read as a word before the first word.
    FirstToken,
    /// It is read with each word.
    EveryStep,
}

/// Attention of a recurrent decoder. With attention its memory is the grid; without, the mean over cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Attention {
    /// No attention: the image enters as one vector.
    None,
    /// Additive (Bahdanau et al. 2015; Xu et al. 2015).
    Additive,
    /// Scaled dot product (Luong et al. 2015).
    Dot,
    /// Scaled dot product by heads of 32 channels, with keys and values of its own (Vaswani et al. 2017).
    MultiHead,
    /// Additive, with a sentinel beside the cells that says "look at the words" (Lu et al. 2017); LSTM only.
    Adaptive,
}

/// Norms within a recurrent cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum RnnNorm {
    /// None.
    #[default]
    None,
    /// Layer norm of each gate's two parts, and of an LSTM's cell (Ba et al. 2016).
    Layer,
}

/// What a recurrent layer above the first hands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Between {
    /// Its state.
    #[default]
    Plain,
    /// Its state plus its input (Wu et al. 2016).
    Residual,
    /// State and input, mixed by a gate (Srivastava et al. 2015).
    Highway,
}

/// Whether the vocabulary layer has its own weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Embeddings {
    /// Its own weights.
    #[default]
    Separate,
    /// The weights of the word embeddings (Press and Wolf 2017).
    Tied,
}

/// Where a Transformer's layer norms stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum NormPlace {
    /// Before each branch, and once after the last layer (Xiong et al. 2020).
    #[default]
    Pre,
    /// After each sum (Vaswani et al. 2017).
    Post,
}

/// The feed-forward layer of a Transformer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum FeedForwardKind {
    /// Two linear layers with a GELU between.
    #[default]
    Gelu,
    /// SwiGLU (Shazeer 2020): `ff2(silu(gate(x)) · ff1(x))`.
    #[serde(rename = "swiglu")]
    SwiGlu,
}

/// How a Transformer knows where a word stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Positions {
    /// A learned vector for each place.
    #[default]
    Learned,
    /// Sines and cosines (Vaswani et al. 2017).
    Sinusoidal,
    /// Queries and keys turned by their place (Su et al. 2021).
    Rotary,
}

/// Whether layers have their own weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum LayerWeights {
    /// Each its own.
    #[default]
    Separate,
    /// One set for all (Lan et al. 2020).
    Shared,
}

/// From memory and earlier words to the next word.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "family", rename_all = "snake_case", deny_unknown_fields)]
pub enum Decoder {
    /// LSTM or GRU.
    Recurrent {
        /// The cell.
        cell: Cell,
        /// Width of word embeddings.
        embed: Width,
        /// Width of the state.
        hidden: Width,
        /// Stacked cells.
        layers: RnnLayers,
        /// How the image enters.
        image: ImageMode,
        /// Attention over the memory.
        attention: Attention,
        /// Dropout.
        dropout_pct: Dropout,
        /// Whether the vocabulary layer reuses the word embeddings: then `embed` is `hidden`, plus the memory's width
        /// with attention. Separate where left out.
        #[serde(default, skip_serializing_if = "is_default")]
        embeddings: Embeddings,
        /// Norms within the cells; none where left out.
        #[serde(default, skip_serializing_if = "is_default")]
        rnn_norm: RnnNorm,
        /// What layers above the first hand on; their state where left out.
        #[serde(default, skip_serializing_if = "is_default")]
        between: Between,
    },
    /// Two LSTMs, the first of which attends for the second (Anderson et al. 2018).
    TopDown {
        /// Width of word embeddings.
        embed: Width,
        /// Width of both states.
        hidden: Width,
        /// Dropout.
        dropout_pct: Dropout,
        /// Whether the vocabulary layer reuses the word embeddings: then `embed` is `hidden`. Separate where left out.
        #[serde(default, skip_serializing_if = "is_default")]
        embeddings: Embeddings,
    },
    /// Causal convolutions over the words (Gehring et al. 2017; Aneja et al. 2018).
    Convolution {
        /// Whether each layer attends to the grid, or the mean over cells is added to the words and no more.
        memory: Memory,
        /// Width.
        dim: Width,
        /// Layers.
        layers: Layers,
        /// Words that a convolution sees at once.
        kernel: WordKernel,
        /// Dropout.
        dropout_pct: Dropout,
        /// Whether the vocabulary layer reuses the word embeddings; separate where left out.
        #[serde(default, skip_serializing_if = "is_default")]
        embeddings: Embeddings,
    },
    /// Transformer decoder with cross-attention to the memory.
    Transformer {
        /// What it attends to.
        memory: Memory,
        /// Width.
        dim: Width,
        /// Layers.
        layers: Layers,
        /// Heads.
        heads: Heads,
        /// Feed-forward width over `dim`.
        ff: FeedForward,
        /// Dropout.
        dropout_pct: Dropout,
        /// Where layer norms stand; before the branches where left out.
        #[serde(default, skip_serializing_if = "is_default")]
        norm: NormPlace,
        /// The feed-forward layer; GELU where left out.
        #[serde(default, skip_serializing_if = "is_default")]
        ff_kind: FeedForwardKind,
        /// How places are known; learned where left out.
        #[serde(default, skip_serializing_if = "is_default")]
        positions: Positions,
        /// Whether the vocabulary layer reuses the word embeddings; separate where left out.
        #[serde(default, skip_serializing_if = "is_default")]
        embeddings: Embeddings,
        /// Whether layers share weights; separate where left out.
        #[serde(default, skip_serializing_if = "is_default")]
        layer_weights: LayerWeights,
    },
}

impl Decoder {
    /// The memory that this decoder reads.
    pub fn memory(&self) -> Memory {
        match self {
            Self::Recurrent { attention: Attention::None, .. } => Memory::Global,
            Self::Recurrent { .. } | Self::TopDown { .. } => Memory::Grid,
            Self::Convolution { memory, .. } | Self::Transformer { memory, .. } => *memory,
        }
    }
}

menu! {
    /// Words that a causal convolution sees at once.
    WordKernel: u32 = [2, 3, 5, 7]
}

menu! {
    /// Stacked recurrent cells.
    RnnLayers: u32 = [1, 2]
}
