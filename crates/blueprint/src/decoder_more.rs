//! Resolved decoders beside the stacked recurrences and the Transformer: top-down and convolutional.

use crate::language::{Embeddings, Memory};
use crate::sink::{Sink, linear, vocabulary};
use serde::{Deserialize, Serialize};

/// The two-layer LSTM of Anderson et al. 2018 ("bottom-up and top-down attention"), with states that start at zero.
///
/// `h1 = rnn.0([h2_old; pooled; word])`, `context` = additive attention with query `h1` (see
/// [`RecurrentSpec`](crate::RecurrentSpec)), `h2 = rnn.1([context; h1])`, `logits = out(dropout(h2))`; dropout also on
/// embeddings and on `h1` where the second LSTM reads it. `pooled` is the mean of the memory tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopDownSpec {
    /// Width of word embeddings.
    pub embed: usize,
    /// Width of both states.
    pub hidden: usize,
    /// Dropout in percent.
    pub dropout_pct: u8,
    /// Whether the vocabulary layer has its own weights; `out.bias` it always has.
    #[serde(default)]
    pub embeddings: Embeddings,
}

/// Causal convolutions with gated linear units (Gehring et al. 2017, for captions Aneja et al. 2018).
///
/// `x = dropout(embed(w) + image(pooled))`; each layer: `y = a · sigmoid(b)` with `[a; b] = conv(dropout(x))`, a
/// convolution over a word and the `kernel - 1` before it (zeros before the first); where it reads the grid, `y +=
/// softmax(q(y) · k(m) / √dim) v(m)`; `x = (x + y) / √2`. At the end `logits = out(dropout(x))`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConvolutionSpec {
    /// Grid: each layer attends to all tokens; global: none does.
    pub memory: Memory,
    /// Width.
    pub dim: usize,
    /// Layers.
    pub layers: usize,
    /// Words that a convolution sees at once.
    pub kernel: usize,
    /// Dropout in percent.
    pub dropout_pct: u8,
    /// Whether the vocabulary layer has its own weights; `out.bias` it always has.
    #[serde(default)]
    pub embeddings: Embeddings,
}

impl TopDownSpec {
    /// Widths of what the two LSTMs read.
    pub fn inputs(&self, memory: usize) -> [usize; 2] {
        [self.hidden + memory + self.embed, memory + self.hidden]
    }

    pub(crate) fn list(&self, all: &mut impl Sink, memory: usize, vocab: usize) {
        all.put(format_args!("decoder.embed.weight"), &[vocab, self.embed]);
        linear(all, format_args!("decoder.attn.query"), memory, self.hidden);
        linear(all, format_args!("decoder.attn.key"), memory, memory);
        all.put(format_args!("decoder.attn.score.weight"), &[1, memory]);
        let rows = 4 * self.hidden;
        for (layer, input) in self.inputs(memory).into_iter().enumerate() {
            let name = format_args!("decoder.rnn.{layer}");
            all.put(format_args!("{name}.weight_ih"), &[rows, input]);
            all.put(format_args!("{name}.weight_hh"), &[rows, self.hidden]);
            all.put(format_args!("{name}.bias_ih"), &[rows]);
            all.put(format_args!("{name}.bias_hh"), &[rows]);
        }
        vocabulary(all, self.embeddings, vocab, self.hidden);
    }

    pub(crate) fn macs_per_token(&self, tokens: usize, memory: usize, vocab: usize) -> u64 {
        let read: usize = self.inputs(memory).iter().sum();
        let cells = 4 * self.hidden * (read + 2 * self.hidden);
        (cells + memory * self.hidden + 2 * tokens * memory + vocab * self.hidden) as u64
    }
}

impl ConvolutionSpec {
    /// Layers that attend to the memory.
    pub fn attending(&self) -> usize {
        if self.memory == Memory::Grid { self.layers } else { 0 }
    }

    pub(crate) fn list(&self, all: &mut impl Sink, memory: usize, vocab: usize) {
        let (dim, kernel) = (self.dim, self.kernel);
        all.put(format_args!("decoder.embed.weight"), &[vocab, dim]);
        linear(all, format_args!("decoder.image"), dim, memory);
        for layer in 0..self.layers {
            let name = format_args!("decoder.layers.{layer}");
            all.put(format_args!("{name}.conv.weight"), &[2 * dim, dim, kernel]);
            all.put(format_args!("{name}.conv.bias"), &[2 * dim]);
            if layer < self.attending() {
                linear(all, format_args!("{name}.attn.q"), dim, dim);
                linear(all, format_args!("{name}.attn.k"), dim, memory);
                linear(all, format_args!("{name}.attn.v"), dim, memory);
            }
        }
        vocabulary(all, self.embeddings, vocab, dim);
    }

    pub(crate) fn macs_per_token(&self, tokens: usize, vocab: usize) -> u64 {
        let (dim, convolution) = (self.dim, 2 * self.dim * self.dim * self.kernel);
        let attention = dim * dim + 2 * tokens * dim;
        (self.layers * convolution + self.attending() * attention + vocab * dim) as u64
    }

    pub(crate) fn macs_per_image(&self, tokens: usize, memory: usize) -> usize {
        self.dim * memory + self.attending() * 2 * tokens * memory * self.dim
    }
}
