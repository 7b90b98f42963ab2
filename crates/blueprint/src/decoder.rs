//! Resolved decoders: every extent fixed, every parameter named. The written form is in [`crate::language`].
//!
//! Recurrences are not static graphs, so back ends implement the three families directly from these
//! descriptions; the formulas stand at each type. All linear layers are PyTorch's: `y = x Wᵀ + b`, weight
//! `[out, in]`. Words 0 to 3 are padding, begin, end and unknown.

use crate::bridge::BridgeSpec;
use crate::decoder_more::{ConvolutionSpec, TopDownSpec};
use crate::graph::Param;
use crate::language::{
    Attention, Between, Cell, Embeddings, FeedForwardKind, ImageMode, LayerWeights, NormPlace, Positions,
    RnnNorm,
};
use crate::sink::{Count, Sink, linear, norm, vocabulary};
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
///   appended to the input (with `first_token` too) and to the state before the vocabulary layer. `multi_head`:
///   `out(heads(query(h), key(m), value(m)))`, all of width `dim`, in heads of 32 channels.
/// * `adaptive` attends after the cells, and its context joins the state before the vocabulary layer alone. With `x`
///   the top cell's input: sentinel `s = sentinel(sigmoid(gate_x(x) + gate_h(h_old)) · tanh(c))`; the scores are those
///   of `additive` with the new `h`, over `key(m)` of all tokens and `sentinel_key(s)`, the sum is over tokens and `s`.
///   (Lu et al. add context and state, which have one width there; here they stand side by side.)
/// * norm `layer`: `bias_ih` and `bias_hh` give way to layer norms (eps 1e-5) of the input's and of the state's part of
///   each gate, `norm_ih` and `norm_hh`, and an LSTM shows `tanh(norm_c(c))`.
/// * between: a layer above the first hands on `h + x`, or `x + sigmoid(highway(x)) · (h - x)`; attention's query and
///   the next step see `h` itself.
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
    /// Norms within the cells.
    #[serde(default)]
    pub rnn_norm: RnnNorm,
    /// What layers above the first hand on.
    #[serde(default)]
    pub between: Between,
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
    /// Two LSTMs with attention between.
    TopDown(TopDownSpec),
    /// Causal convolutions.
    Convolution(ConvolutionSpec),
    /// Transformer.
    Transformer(TransformerSpec),
}

impl RecurrentSpec {
    /// Width of the attended context that joins input and output; 0 without attention.
    pub fn context(&self, memory: usize) -> usize {
        if self.attention == Attention::None { 0 } else { memory }
    }

    /// Width of what the first cell reads, for memory tokens of width `memory`.
    pub fn input(&self, memory: usize) -> usize {
        let image = if self.image == ImageMode::EveryStep { self.embed } else { 0 };
        let context = if self.attention == Attention::Adaptive { 0 } else { self.context(memory) };
        self.embed + image + context
    }

    /// Width of what the top cell reads.
    pub fn top_input(&self, memory: usize) -> usize {
        if self.layers == 1 { self.input(memory) } else { self.hidden }
    }

    /// Heads of multi-head attention in memory of that width.
    pub fn heads(memory: usize) -> usize {
        (memory / 32).max(1)
    }

    /// Gates of the cell: rows of its weights in units of `hidden`.
    pub fn gates(&self) -> usize {
        match self.cell {
            Cell::Lstm => 4,
            Cell::Gru => 3,
        }
    }

    fn list(&self, all: &mut impl Sink, memory: usize, vocab: usize) {
        all.put(format_args!("decoder.embed.weight"), &[vocab, self.embed]);
        match self.image {
            ImageMode::InitialState => {
                linear(all, format_args!("decoder.init_h"), self.layers * self.hidden, memory);
                if self.cell == Cell::Lstm {
                    linear(all, format_args!("decoder.init_c"), self.layers * self.hidden, memory);
                }
            }
            ImageMode::FirstToken | ImageMode::EveryStep => {
                linear(all, format_args!("decoder.image"), self.embed, memory);
            }
        }
        self.attention_parameters(all, memory);
        for layer in 0..self.layers {
            self.cell_parameters(all, layer, if layer == 0 { self.input(memory) } else { self.hidden });
        }
        vocabulary(all, self.embeddings, vocab, self.hidden + self.context(memory));
    }

    fn attention_parameters(&self, all: &mut impl Sink, memory: usize) {
        let (kind, hidden) = (self.attention, self.hidden);
        if kind == Attention::None {
            return;
        }
        linear(all, format_args!("decoder.attn.query"), memory, hidden);
        if kind != Attention::Dot {
            linear(all, format_args!("decoder.attn.key"), memory, memory);
        }
        if kind == Attention::MultiHead {
            linear(all, format_args!("decoder.attn.value"), memory, memory);
            linear(all, format_args!("decoder.attn.out"), memory, memory);
            return;
        }
        if kind != Attention::Dot {
            all.put(format_args!("decoder.attn.score.weight"), &[1, memory]);
        }
        if kind == Attention::Adaptive {
            linear(all, format_args!("decoder.attn.gate_x"), hidden, self.top_input(memory));
            linear(all, format_args!("decoder.attn.gate_h"), hidden, hidden);
            linear(all, format_args!("decoder.attn.sentinel"), memory, hidden);
            linear(all, format_args!("decoder.attn.sentinel_key"), memory, memory);
        }
    }

    fn cell_parameters(&self, all: &mut impl Sink, layer: usize, input: usize) {
        let (rows, name) = (self.gates() * self.hidden, format_args!("decoder.rnn.{layer}"));
        all.put(format_args!("{name}.weight_ih"), &[rows, input]);
        all.put(format_args!("{name}.weight_hh"), &[rows, self.hidden]);
        match self.rnn_norm {
            RnnNorm::None => {
                all.put(format_args!("{name}.bias_ih"), &[rows]);
                all.put(format_args!("{name}.bias_hh"), &[rows]);
            }
            RnnNorm::Layer => {
                norm(all, format_args!("{name}.norm_ih"), rows);
                norm(all, format_args!("{name}.norm_hh"), rows);
                if self.cell == Cell::Lstm {
                    norm(all, format_args!("{name}.norm_c"), self.hidden);
                }
            }
        }
        if layer > 0 && self.between == Between::Highway {
            linear(all, format_args!("{name}.highway"), self.hidden, self.hidden);
        }
    }

    fn macs_per_token(&self, tokens: usize, memory: usize, vocab: usize) -> u64 {
        self.macs_per_step(tokens, memory) + (vocab * (self.hidden + self.context(memory))) as u64
    }

    /// Multiply-accumulates to read one word (or the image as the first one).
    fn macs_per_step(&self, tokens: usize, memory: usize) -> u64 {
        let rows = self.gates() * self.hidden;
        let first = rows * (self.input(memory) + self.hidden);
        let rest = (self.layers - 1) * rows * 2 * self.hidden;
        let highway = if self.between == Between::Highway { self.hidden * self.hidden } else { 0 };
        let rest = rest + (self.layers - 1) * highway;
        let attention = match self.attention {
            Attention::None => 0,
            Attention::Dot | Attention::Additive => memory * self.hidden + 2 * tokens * memory,
            Attention::MultiHead => memory * self.hidden + 2 * tokens * memory + memory * memory,
            Attention::Adaptive => {
                let gate = self.hidden * (self.top_input(memory) + self.hidden);
                let sentinel = memory * self.hidden + memory * memory;
                gate + sentinel + memory * self.hidden + 2 * (tokens + 1) * memory
            }
        };
        (first + rest + attention) as u64
    }
}

impl TransformerSpec {
    /// The layer whose weights a layer uses.
    pub fn stored(&self, layer: usize) -> usize {
        if self.layer_weights == LayerWeights::Shared { 0 } else { layer }
    }

    fn list(&self, all: &mut impl Sink, memory: usize, vocab: usize, positions: usize) {
        all.put(format_args!("decoder.embed.weight"), &[vocab, self.dim]);
        if self.positions == Positions::Learned {
            all.put(format_args!("decoder.position.weight"), &[positions, self.dim]);
        }
        let stored = if self.layer_weights == LayerWeights::Shared { 1 } else { self.layers };
        for layer in 0..stored {
            let name = format_args!("decoder.layers.{layer}");
            for (block, source) in [("self_attn", self.dim), ("cross_attn", memory)] {
                linear(all, format_args!("{name}.{block}.q"), self.dim, self.dim);
                linear(all, format_args!("{name}.{block}.k"), self.dim, source);
                linear(all, format_args!("{name}.{block}.v"), self.dim, source);
                linear(all, format_args!("{name}.{block}.o"), self.dim, self.dim);
            }
            for i in 1..=3 {
                norm(all, format_args!("{name}.norm{i}"), self.dim);
            }
            linear(all, format_args!("{name}.ff1"), self.ff, self.dim);
            if self.ff_kind == FeedForwardKind::SwiGlu {
                linear(all, format_args!("{name}.gate"), self.ff, self.dim);
            }
            linear(all, format_args!("{name}.ff2"), self.dim, self.ff);
        }
        if self.norm == NormPlace::Pre {
            norm(all, format_args!("decoder.norm"), self.dim);
        }
        vocabulary(all, self.embeddings, vocab, self.dim);
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
        let mut all = Vec::new();
        self.list(&mut all, memory, vocab, positions);
        all
    }

    /// Learned values of all parameters.
    pub fn learned(&self, memory: usize, vocab: usize, positions: usize) -> u64 {
        let mut count = Count(0);
        self.list(&mut count, memory, vocab, positions);
        count.0
    }

    fn list(&self, all: &mut impl Sink, memory: usize, vocab: usize, positions: usize) {
        match self {
            Self::Recurrent(spec) => spec.list(all, memory, vocab),
            Self::TopDown(spec) => spec.list(all, memory, vocab),
            Self::Convolution(spec) => spec.list(all, memory, vocab),
            Self::Transformer(spec) => spec.list(all, memory, vocab, positions),
        }
    }

    /// Multiply-accumulates for one generated word of one hypothesis.
    pub fn macs_per_token(&self, bridge: &BridgeSpec, vocab: usize, positions: usize) -> u64 {
        match self {
            Self::Recurrent(spec) => spec.macs_per_token(bridge.tokens(), bridge.dim, vocab),
            Self::TopDown(spec) => spec.macs_per_token(bridge.tokens(), bridge.dim, vocab),
            Self::Convolution(spec) => spec.macs_per_token(bridge.tokens(), vocab),
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
                let keyed = match spec.attention {
                    Attention::None | Attention::Dot => 0,
                    Attention::Additive | Attention::Adaptive => 1,
                    Attention::MultiHead => 2,
                };
                image + keyed * tokens * memory * memory
            }
            Self::TopDown(_) => tokens * memory * memory,
            Self::Convolution(spec) => spec.macs_per_image(tokens, memory),
            Self::Transformer(spec) => spec.layers * 2 * tokens * memory * spec.dim,
        }) as u64
    }
}
