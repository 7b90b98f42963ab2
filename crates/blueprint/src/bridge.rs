//! The resolved bridge: from a feature map to the memory that a decoder reads.

use crate::graph::{Param, Shape};
use crate::language::{Memory, Places, Scales};
use crate::sink::{Count, Sink, linear, norm};
use serde::{Deserialize, Serialize};

/// Width of a head of the resampler; every width of a bridge is a multiple of it.
const HEAD: usize = 32;

/// Side of the pooled map of [`Scales::Pyramid`].
pub const PYRAMID_SIDE: usize = 2;

/// How features become memory, `[tokens, dim]`.
///
/// * Cells: a grid has one token a cell (row-major), behind the tokens of coarser scales: the mean over all cells, and
///   for `pyramid` also the 2 × 2 means of adaptive pooling. The global memory is the mean alone.
/// * `x = LayerNorm(Linear(cells))`; parameters `bridge.proj.{weight,bias}` and `bridge.norm.{weight,bias}` (eps 1e-5).
/// * Places are added to the tokens of the grid: `bridge.position.weight` `[h · w, dim]`; or `bridge.row.weight` `[h,
///   dim]` plus `bridge.column.weight` `[w, dim]`; or sines and cosines, the first half of the channels by row and the
///   second by column, each as Vaswani et al. 2017 (so DETR, Carion et al. 2020).
/// * With `queries`, a resampler (the attention pooling of Lee et al. 2019, as the Perceiver resampler of Alayrac et
///   al. 2022 with one layer) makes that many tokens. With `q` the learned `bridge.queries.weight` `[queries, dim]`:
///   `y = q + attn(norm1(q), x)`, `memory = norm3(y + ff2(gelu(ff1(norm2(y)))))`, attention with heads of 32 channels,
///   the feed-forward layer twice as wide as the memory. Parameters `bridge.resampler.*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BridgeSpec {
    /// Grid or global.
    pub memory: Memory,
    /// Shape of the feature map that comes in.
    pub input: Shape,
    /// Width of a memory token.
    pub dim: usize,
    /// Dropout on the memory, in percent.
    pub dropout_pct: u8,
    /// How the places of cells are known.
    #[serde(default)]
    pub positions: Places,
    /// Tokens of coarser scales beside the cells.
    #[serde(default)]
    pub scales: Scales,
    /// Learned queries of the resampler; 0 for none.
    #[serde(default)]
    pub queries: usize,
}

impl BridgeSpec {
    /// A linear layer and a norm on each token, and nothing else.
    pub fn plain(memory: Memory, input: Shape, dim: usize) -> Self {
        let (positions, scales) = (Places::None, Scales::Cells);
        Self { memory, input, dim, dropout_pct: 0, positions, scales, queries: 0 }
    }

    /// Tokens before the resampler.
    pub fn cells(&self) -> usize {
        match self.memory {
            Memory::Grid => self.coarse() + self.input.h * self.input.w,
            Memory::Global => 1,
        }
    }

    /// Tokens of coarser scales.
    pub fn coarse(&self) -> usize {
        match self.scales {
            Scales::Cells => 0,
            Scales::Global => 1,
            Scales::Pyramid => 1 + PYRAMID_SIDE * PYRAMID_SIDE,
        }
    }

    /// Number of memory tokens.
    pub fn tokens(&self) -> usize {
        if self.queries > 0 { self.queries } else { self.cells() }
    }

    /// Heads of the resampler.
    pub fn heads(&self) -> usize {
        (self.dim / HEAD).max(1)
    }

    /// Width of the resampler's feed-forward layer.
    pub fn wide(&self) -> usize {
        2 * self.dim
    }

    /// Parameters by name and shape.
    pub fn parameters(&self) -> Vec<Param> {
        let mut all = Vec::new();
        self.list(&mut all);
        all
    }

    /// Learned values of all parameters.
    pub fn learned(&self) -> u64 {
        let mut count = Count(0);
        self.list(&mut count);
        count.0
    }

    fn list(&self, all: &mut impl Sink) {
        let (dim, h, w) = (self.dim, self.input.h, self.input.w);
        linear(all, format_args!("bridge.proj"), dim, self.input.c);
        norm(all, format_args!("bridge.norm"), dim);
        match self.positions {
            Places::None | Places::Sinusoidal => {}
            Places::Learned => all.put(format_args!("bridge.position.weight"), &[h * w, dim]),
            Places::Learned2d => {
                all.put(format_args!("bridge.row.weight"), &[h, dim]);
                all.put(format_args!("bridge.column.weight"), &[w, dim]);
            }
        }
        if self.queries > 0 {
            let name = format_args!("bridge.resampler");
            all.put(format_args!("bridge.queries.weight"), &[self.queries, dim]);
            (1..=3).for_each(|i| norm(all, format_args!("{name}.norm{i}"), dim));
            ["q", "k", "v", "o"].iter().for_each(|leaf| linear(all, format_args!("{name}.{leaf}"), dim, dim));
            linear(all, format_args!("{name}.ff1"), self.wide(), dim);
            linear(all, format_args!("{name}.ff2"), dim, self.wide());
        }
    }

    /// Multiply-accumulates for one image.
    pub fn macs(&self) -> u64 {
        (self.cells() * self.input.c * self.dim) as u64 + self.resampler_macs()
    }

    fn resampler_macs(&self) -> u64 {
        let (n, cells, dim) = (self.queries, self.cells(), self.dim);
        if n == 0 {
            return 0;
        }
        let projections = 2 * (n + cells) * dim * dim;
        (projections + 2 * n * cells * dim + 2 * n * dim * self.wide()) as u64
    }
}
