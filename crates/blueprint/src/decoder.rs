//! Resolved decoders: every extent fixed, every parameter named. The written form is in [`crate::language`].
//!
//! Recurrences are not static graphs, so back ends implement the three families directly from these
//! descriptions; the formulas stand at each type. All linear layers are PyTorch's: `y = x Wᵀ + b`, weight
//! `[out, in]`. Words 0 to 3 are padding, begin, end and unknown.

use crate::bridge::BridgeSpec;
use crate::graph::Param;
use crate::language::{
    Attention, Cell, Embeddings, FeedForwardKind, ImageMode, LayerWeights, NormPlace, Positions,
};
use serde::{Deserialize, Serialize};

/// An LSTM or GRU decoder, PyTorch's cells: gate order i f g o (LSTM) and r z n (GRU), two biases.
///
/// * `pooled` = mean of the memory tokens.
/// * image `initial_state`: `h0 = tanh(init_h(pooled))`, LSTM also `c0 = tanh(init_c(pooled))`, outputs
///   `[layers · hidden]` in layer order. Otherwise states start at zero.
/// * image `first_token`: `image(pooled)` (`[embed]`) is fed as the word before BEGIN; its output is unused.
/// * image `every_step`: `image(pooled)` is appended to each word embedding.
/// * attention over memory tokens, query = previous top-layer state `h`:
///   `dot`: `softmax(query(h) · m / √dim)`; `additive`: `softmax(score · tanh(query(h) + key(m)))`,
///   `query`, `key` to `dim`, both with bias, `score` `[1, dim]` without. The context (weighted sum of `m`) is
///   appended to the input (with `first_token` too) and to the state before the vocabulary layer.
/// * `logits = out(dropout([h; context]))`; dropout also on embeddings and between layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecurrentSpec {
    /// LSTM or GRU.
    pub cell: Cell,
    /// Width of word embeddings.
    pub embed: usize,
    /// Width of the state.
    pub hidden: usize,
    /// Stacked cells.
    pub layers: usize,
    /// How the image enters.
    pub image: ImageMode,
    /// Attention over the memory.
    pub attention: Attention,
    /// Dropout in percent.
    pub dropout_pct: u8,
    /// Whether the vocabulary layer has its own weights; `out.bias` it always has.
    #[serde(default)]
    pub embeddings: Embeddings,
}

/// A Transformer decoder (Vaswani et al. 2017).
///
/// `x = embed(w) · √dim + position`; each layer, norm first: `x += self_attn(norm1(x))` (causal),
/// `x += cross_attn(norm2(x), memory)`, `x += ff(norm3(x))`; then `norm`, `out`. Norm last: `x = norm1(x +
/// self_attn(x))` and so on, without the last `norm`. `ff(x)` is `ff2(gelu(ff1(x)))` or
/// `ff2(silu(gate(x)) · ff1(x))`. Rotary places turn queries and keys of the self-attention, pairing value `i` of a head
/// with `i + width / 2`. Shared layers all use the weights of layer 0. Dropout on the sum of embedding and position,
/// and on each branch before it is added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransformerSpec {
    /// Width.
    pub dim: usize,
    /// Layers.
    pub layers: usize,
    /// Attention heads; divides `dim`.
    pub heads: usize,
    /// Width of the feed-forward layer.
    pub ff: usize,
    /// Dropout in percent.
    pub dropout_pct: u8,
    /// Where layer norms stand.
    #[serde(default)]
    pub norm: NormPlace,
    /// The feed-forward layer.
    #[serde(default)]
    pub ff_kind: FeedForwardKind,
    /// How places are known.
    #[serde(default)]
    pub positions: Positions,
    /// Whether the vocabulary layer has its own weights; `out.bias` it always has.
    #[serde(default)]
    pub embeddings: Embeddings,
    /// Whether layers have their own weights.
    #[serde(default)]
    pub layer_weights: LayerWeights,
}

/// A decoder with all extents fixed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "family", rename_all = "snake_case")]
pub enum DecoderSpec {
    /// LSTM or GRU.
    Recurrent(RecurrentSpec),
    /// Transformer.
    Transformer(TransformerSpec),
}

/// Appends `name.weight` `[output, input]` and `name.bias`.
pub(crate) fn linear(all: &mut Vec<Param>, name: &str, output: usize, input: usize) {
    all.push(Param::new(format!("{name}.weight"), &[output, input]));
    all.push(Param::new(format!("{name}.bias"), &[output]));
}

/// Appends the vocabulary layer, whose weight is that of the embeddings where they are tied.
fn vocabulary(all: &mut Vec<Param>, embeddings: Embeddings, vocab: usize, width: usize) {
    match embeddings {
        Embeddings::Separate => linear(all, "decoder.out", vocab, width),
        Embeddings::Tied => all.push(Param::new("decoder.out.bias", &[vocab])),
    }
}

/// Appends the weight and bias of a layer norm.
pub(crate) fn norm(all: &mut Vec<Param>, name: &str, dim: usize) {
    all.push(Param::new(format!("{name}.weight"), &[dim]));
    all.push(Param::new(format!("{name}.bias"), &[dim]));
}

impl RecurrentSpec {
    /// Width of the attended context that joins input and output; 0 without attention.
    pub fn context(&self, memory: usize) -> usize {
        if self.attention == Attention::None { 0 } else { memory }
    }

    /// Width of what the first cell reads, for memory tokens of width `memory`.
    pub fn input(&self, memory: usize) -> usize {
        let image = if self.image == ImageMode::EveryStep { self.embed } else { 0 };
        self.embed + image + self.context(memory)
    }

    /// Gates of the cell: rows of its weights in units of `hidden`.
    pub fn gates(&self) -> usize {
        match self.cell {
            Cell::Lstm => 4,
            Cell::Gru => 3,
        }
    }

    fn parameters(&self, memory: usize, vocab: usize) -> Vec<Param> {
        let mut all = vec![Param::new("decoder.embed.weight", &[vocab, self.embed])];
        match self.image {
            ImageMode::InitialState => {
                linear(&mut all, "decoder.init_h", self.layers * self.hidden, memory);
                if self.cell == Cell::Lstm {
                    linear(&mut all, "decoder.init_c", self.layers * self.hidden, memory);
                }
            }
            ImageMode::FirstToken | ImageMode::EveryStep => {
                linear(&mut all, "decoder.image", self.embed, memory);
            }
        }
        if self.attention != Attention::None {
            linear(&mut all, "decoder.attn.query", memory, self.hidden);
        }
        if self.attention == Attention::Additive {
            linear(&mut all, "decoder.attn.key", memory, memory);
            all.push(Param::new("decoder.attn.score.weight", &[1, memory]));
        }
        let rows = self.gates() * self.hidden;
        for layer in 0..self.layers {
            let input = if layer == 0 { self.input(memory) } else { self.hidden };
            let param =
                |leaf: &str, shape: &[usize]| Param::new(format!("decoder.rnn.{layer}.{leaf}"), shape);
            all.push(param("weight_ih", &[rows, input]));
            all.push(param("weight_hh", &[rows, self.hidden]));
            all.push(param("bias_ih", &[rows]));
            all.push(param("bias_hh", &[rows]));
        }
        vocabulary(&mut all, self.embeddings, vocab, self.hidden + self.context(memory));
        all
    }

    fn macs_per_token(&self, tokens: usize, memory: usize, vocab: usize) -> u64 {
        self.macs_per_step(tokens, memory) + (vocab * (self.hidden + self.context(memory))) as u64
    }

    /// Multiply-accumulates to read one word (or the image as the first one).
    fn macs_per_step(&self, tokens: usize, memory: usize) -> u64 {
        let rows = self.gates() * self.hidden;
        let first = rows * (self.input(memory) + self.hidden);
        let rest = (self.layers - 1) * rows * 2 * self.hidden;
        let attention = match self.attention {
            Attention::None => 0,
            Attention::Dot => memory * self.hidden + 2 * tokens * memory,
            Attention::Additive => memory * self.hidden + 2 * tokens * memory,
        };
        (first + rest + attention) as u64
    }
}

impl TransformerSpec {
    /// The layer whose weights a layer uses.
    pub fn stored(&self, layer: usize) -> usize {
        if self.layer_weights == LayerWeights::Shared { 0 } else { layer }
    }

    fn parameters(&self, memory: usize, vocab: usize, positions: usize) -> Vec<Param> {
        let mut all = vec![Param::new("decoder.embed.weight", &[vocab, self.dim])];
        if self.positions == Positions::Learned {
            all.push(Param::new("decoder.position.weight", &[positions, self.dim]));
        }
        let stored = if self.layer_weights == LayerWeights::Shared { 1 } else { self.layers };
        for layer in 0..stored {
            let name = |leaf: &str| format!("decoder.layers.{layer}.{leaf}");
            for (block, source) in [("self_attn", self.dim), ("cross_attn", memory)] {
                linear(&mut all, &name(&format!("{block}.q")), self.dim, self.dim);
                linear(&mut all, &name(&format!("{block}.k")), self.dim, source);
                linear(&mut all, &name(&format!("{block}.v")), self.dim, source);
                linear(&mut all, &name(&format!("{block}.o")), self.dim, self.dim);
            }
            for i in 1..=3 {
                norm(&mut all, &name(&format!("norm{i}")), self.dim);
            }
            linear(&mut all, &name("ff1"), self.ff, self.dim);
            if self.ff_kind == FeedForwardKind::SwiGlu {
                linear(&mut all, &name("gate"), self.ff, self.dim);
            }
            linear(&mut all, &name("ff2"), self.dim, self.ff);
        }
        if self.norm == NormPlace::Pre {
            norm(&mut all, "decoder.norm", self.dim);
        }
        vocabulary(&mut all, self.embeddings, vocab, self.dim);
        all
    }

    /// With a cache of keys and values; the mean over a caption of full length, in which the word at place `i` attends to
    /// `i + 1` words.
    fn macs_per_token(&self, tokens: usize, vocab: usize, positions: usize) -> u64 {
        let projections = 6 * self.dim * self.dim;
        let attention = 2 * self.dim * tokens + self.dim * (positions + 1);
        let linears = if self.ff_kind == FeedForwardKind::SwiGlu { 3 } else { 2 };
        (self.layers * (projections + attention + linears * self.dim * self.ff) + vocab * self.dim) as u64
    }
}

impl DecoderSpec {
    /// Parameters by name and shape, for memory tokens of width `memory`, `vocab` words (specials included) and
    /// `positions` decoding steps.
    pub fn parameters(&self, memory: usize, vocab: usize, positions: usize) -> Vec<Param> {
        match self {
            Self::Recurrent(spec) => spec.parameters(memory, vocab),
            Self::Transformer(spec) => spec.parameters(memory, vocab, positions),
        }
    }

    /// Multiply-accumulates for one generated word of one hypothesis.
    pub fn macs_per_token(&self, bridge: &BridgeSpec, vocab: usize, positions: usize) -> u64 {
        match self {
            Self::Recurrent(spec) => spec.macs_per_token(bridge.tokens(), bridge.dim, vocab),
            Self::Transformer(spec) => spec.macs_per_token(bridge.tokens(), vocab, positions),
        }
    }

    /// Multiply-accumulates spent once an image before the first word (keys, values, initial states).
    pub fn macs_per_image(&self, bridge: &BridgeSpec) -> u64 {
        let (tokens, memory) = (bridge.tokens(), bridge.dim);
        (match self {
            Self::Recurrent(spec) => {
                let states = if spec.cell == Cell::Lstm { 2 } else { 1 };
                let image = match spec.image {
                    ImageMode::InitialState => states * spec.layers * spec.hidden * memory,
                    ImageMode::FirstToken => {
                        spec.embed * memory + spec.macs_per_step(tokens, memory) as usize
                    }
                    ImageMode::EveryStep => spec.embed * memory,
                };
                let keys = if spec.attention == Attention::Additive { tokens * memory * memory } else { 0 };
                image + keys
            }
            Self::Transformer(spec) => spec.layers * 2 * tokens * memory * spec.dim,
        }) as u64
    }
}
