//! Causal grouped-query attention over a cache of keys and values.
//!
//! Several query rows, and the heads that share a key, go over the cache together: each key is loaded once
//! for all of them. Every row is computed alone, so results do not depend on how rows are grouped.

use std::sync::Arc;

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

/// Query rows that go over the cache together.
const ROWS: usize = 4;
/// Positions, or values of a head, that are computed at once: one register of AVX-512, two of AVX2.
const LANES: usize = 16;
/// Queries whose sums are kept in registers while keys or values go by.
const TOGETHER: usize = 4;

/// How the width of a layer is divided.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Heads {
    /// Query heads.
    pub(crate) q: usize,
    /// Key and value heads, each shared by `q / kv` query heads.
    pub(crate) kv: usize,
    /// Values in a head.
    pub(crate) dim: usize,
}

impl Heads {
    pub(crate) fn q_width(self) -> usize {
        self.q * self.dim
    }

    pub(crate) fn kv_width(self) -> usize {
        self.kv * self.dim
    }

    /// Values of the query heads that share one key head.
    fn group_width(self) -> usize {
        self.q / self.kv * self.dim
    }
}

/// Keys and values of the positions so far. Texts with a common beginning share those of its whole blocks.
#[derive(Clone, Default)]
pub(crate) struct Cache {
    /// Whole blocks of [`LANES`] positions.
    shared: Arc<Blocks>,
    /// The positions after these.
    own: Blocks,
}

/// Keys and values head by head, as the sums over them read them.
#[derive(Clone, Default)]
struct Blocks {
    /// Of each head, blocks of [`LANES`] positions: one row of lanes for each value of a key.
    keys: Vec<Vec<[f32; LANES]>>,
    /// Of each head, position by position; rows are filled up with zeros.
    values: Vec<Vec<[f32; LANES]>>,
    positions: usize,
}

impl Cache {
    fn positions(&self) -> usize {
        self.shared.positions + self.own.positions
    }

    /// Appends rows of keys and values, `kv_width` each.
    pub(crate) fn extend(&mut self, heads: Heads, keys: &[f32], values: &[f32]) {
        self.own.extend(heads, keys, values);
    }

    /// Forgets all positions after the first `n`.
    pub(crate) fn truncate(&mut self, heads: Heads, n: usize) {
        if n < self.shared.positions {
            self.own = Arc::make_mut(&mut self.shared).split_off(heads, n / LANES);
        }
        self.own.truncate(heads, n - self.shared.positions);
    }

    /// A cache of a text that begins like this one.
    pub(crate) fn fork(&mut self, heads: Heads) -> Self {
        let whole = self.own.positions / LANES;
        // Where nothing is new, others may hold what is shared.
        if whole > 0 {
            let rest = self.own.split_off(heads, whole);
            Arc::make_mut(&mut self.shared).append(std::mem::replace(&mut self.own, rest));
        }
        self.clone()
    }

    /// Keys and values of a head, those that are shared and its own.
    fn of(&self, head: usize) -> [[&[f32]; 2]; 2] {
        [
            [&self.shared.keys, &self.own.keys].map(|all| flattened(all, head)),
            [&self.shared.values, &self.own.values].map(|all| flattened(all, head)),
        ]
    }
}

fn flattened(all: &[Vec<[f32; LANES]>], head: usize) -> &[f32] {
    all.get(head).map_or(&[], |rows| rows.as_flattened())
}

impl Blocks {
    fn extend(&mut self, heads: Heads, keys: &[f32], values: &[f32]) {
        self.keys.resize_with(heads.kv, Vec::new);
        self.values.resize_with(heads.kv, Vec::new);
        let width = heads.kv_width();
        for (key, value) in keys.chunks_exact(width).zip(values.chunks_exact(width)) {
            let lane = self.positions % LANES;
            for (head, key) in self.keys.iter_mut().zip(key.chunks_exact(heads.dim)) {
                if lane == 0 {
                    head.resize(head.len() + heads.dim, [0.0; LANES]);
                }
                let first = head.len() - heads.dim;
                head[first..].iter_mut().zip(key).for_each(|(row, x)| row[lane] = *x);
            }
            for (head, value) in self.values.iter_mut().zip(value.chunks_exact(heads.dim)) {
                head.extend(value.chunks(LANES).map(|part| {
                    let mut row = [0.0; LANES];
                    row[..part.len()].copy_from_slice(part);
                    row
                }));
            }
            self.positions += 1;
        }
    }

    fn truncate(&mut self, heads: Heads, n: usize) {
        self.keys.iter_mut().for_each(|head| head.truncate(n.div_ceil(LANES) * heads.dim));
        self.values.iter_mut().for_each(|head| head.truncate(n * heads.dim.div_ceil(LANES)));
        self.positions = self.positions.min(n);
    }

    /// Keeps the first blocks, of which there are as many; what comes after them.
    fn split_off(&mut self, heads: Heads, blocks: usize) -> Self {
        let first = blocks * LANES;
        let rest = Self {
            keys: self.keys.iter_mut().map(|head| head.split_off(blocks * heads.dim)).collect(),
            values: self
                .values
                .iter_mut()
                .map(|head| head.split_off(first * heads.dim.div_ceil(LANES)))
                .collect(),
            positions: self.positions - first,
        };
        self.positions = first;
        rest
    }

    /// Puts others behind these, which must be whole.
    fn append(&mut self, other: Self) {
        for (own, other) in [(&mut self.keys, other.keys), (&mut self.values, other.values)] {
            own.resize_with(other.len().max(own.len()), Vec::new);
            own.iter_mut().zip(other).for_each(|(own, mut other)| own.append(&mut other));
        }
        self.positions += other.positions;
    }
}

/// The rows of `q` (`q_width` each), the last of which stands at the last position of the cache, each over all positions
/// up to its own, or over the last `window` of these. As many rows of `q_width`.
pub(crate) fn attend(heads: Heads, q: &[f32], cache: &Cache, window: Option<usize>) -> Vec<f32> {
    let window = window.unwrap_or(usize::MAX);
    let (width, group) = (heads.q_width(), heads.group_width());
    let rows = q.len() / width;
    let first = cache.positions() - rows;
    // Key head by key head, so that each job owns a contiguous piece of the result.
    let mut by_head = vec![0.0; q.len()];
    let jobs: Vec<_> = by_head
        .chunks_mut(rows * group)
        .enumerate()
        .flat_map(|(head, out)| {
            out.chunks_mut(ROWS * group).enumerate().map(move |(i, out)| (head, i * ROWS, out))
        })
        .collect();
    let work = |(head, row, out): (usize, usize, &mut [f32])| {
        let queries = (row..row + out.len() / group)
            .flat_map(|row| &q[row * width + head * group..row * width + (head + 1) * group])
            .copied()
            .collect::<Vec<f32>>();
        let [keys, values] = cache.of(head);
        Arch::new().dispatch(Group { heads, first: first + row, window, q: &queries, keys, values, out });
    };
    if rayon::current_num_threads() > 1 && jobs.len() > 1 {
        jobs.into_par_iter().for_each(work);
    } else {
        jobs.into_iter().for_each(work);
    }
    let mut out = vec![0.0; q.len()];
    for (head, piece) in by_head.chunks_exact(rows * group).enumerate() {
        for (row, piece) in piece.chunks_exact(group).enumerate() {
            out[row * width + head * group..][..group].copy_from_slice(piece);
        }
    }
    out
}

/// A few rows of the query heads that share one key head, the first row at position `first`.
struct Group<'a> {
    heads: Heads,
    first: usize,
    window: usize,
    q: &'a [f32],
    /// In two parts, the first of whole blocks.
    keys: [&'a [f32]; 2],
    values: [&'a [f32]; 2],
    out: &'a mut [f32],
}

impl WithSimd for Group<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { heads, first, window, q, keys, values, out } = self;
        let (dim, per_row) = (heads.dim, heads.q / heads.kv);
        // Query `i` belongs to row `i / per_row` and sees the positions up to that row's own.
        let seen = |i: usize| first + i / per_row + 1;
        let count = q.len() / dim;
        let padded = seen(count - 1).next_multiple_of(LANES);
        let (mut weights, mut sums) = (vec![0.0; TOGETHER * padded], vec![0.0; TOGETHER * padded_width(dim)]);
        for i in (0..count).step_by(TOGETHER) {
            // Where fewer are left, the last one stands in for the others.
            let at: [usize; TOGETHER] = std::array::from_fn(|j| (i + j).min(count - 1));
            scores(simd, at.map(|i| &q[i * dim..][..dim]), keys, &mut weights);
            for (i, weights) in at.iter().zip(weights.chunks_exact_mut(padded)) {
                let begin = seen(*i).saturating_sub(window);
                weights[..begin].fill(0.0);
                softmax(&mut weights[begin..seen(*i)]);
                weights[seen(*i)..].fill(0.0);
            }
            let longest = seen(at[TOGETHER - 1]);
            weighted_sums(simd, &weights, longest, values, &mut sums);
            for (sums, out) in sums.chunks_exact(padded_width(dim)).zip(out[i * dim..].chunks_exact_mut(dim))
            {
                out.copy_from_slice(&sums[..dim]);
            }
        }
    }
}

/// Values of a head with the zeros that fill it up.
fn padded_width(dim: usize) -> usize {
    dim.next_multiple_of(LANES)
}

/// Dot products of each query with every key of the blocks that its share of `out` covers, scaled.
#[inline(always)]
fn scores<S: Simd>(simd: S, q: [&[f32]; TOGETHER], keys: [&[f32]; 2], out: &mut [f32]) {
    let dim = q[0].len();
    let scale = simd.splat_f32s(1.0 / (dim as f32).sqrt());
    let (out, _) = S::as_mut_simd_f32s(out);
    let (parts, padded) = (LANES / S::F32_LANES, out.len() / TOGETHER);
    let blocks = keys.into_iter().flat_map(|keys| S::as_simd_f32s(keys).0.chunks_exact(dim * parts));
    for (at, block) in blocks.take(padded / parts).enumerate() {
        for part in 0..parts {
            let mut sums = [simd.splat_f32s(0.0); TOGETHER];
            for d in 0..dim {
                let key = block[d * parts + part];
                for j in 0..TOGETHER {
                    sums[j] = simd.mul_add_f32s(simd.splat_f32s(q[j][d]), key, sums[j]);
                }
            }
            for j in 0..TOGETHER {
                out[j * padded + at * parts + part] = simd.mul_f32s(sums[j], scale);
            }
        }
    }
}

/// The sums of the first `longest` values by weight; a row of weights and one of sums for each query.
#[inline(always)]
fn weighted_sums<S: Simd>(simd: S, weights: &[f32], longest: usize, values: [&[f32]; 2], out: &mut [f32]) {
    let values = values.map(|values| S::as_simd_f32s(values).0);
    let (out, _) = S::as_mut_simd_f32s(out);
    let (parts, padded) = (out.len() / TOGETHER, weights.len() / TOGETHER);
    let weights: [&[f32]; TOGETHER] = std::array::from_fn(|j| &weights[j * padded..][..longest]);
    for part in 0..parts {
        let mut sums = [simd.splat_f32s(0.0); TOGETHER];
        let mut p = 0;
        for values in values {
            for row in values.chunks_exact(parts).take(longest - p) {
                for j in 0..TOGETHER {
                    sums[j] = simd.mul_add_f32s(simd.splat_f32s(weights[j][p]), row[part], sums[j]);
                }
                p += 1;
            }
        }
        for j in 0..TOGETHER {
            out[j * parts + part] = sums[j];
        }
    }
}

#[inline(always)]
fn softmax(x: &mut [f32]) {
    let largest = x.iter().fold(f32::NEG_INFINITY, |m, x| if *x > m { *x } else { m });
    for x in x.iter_mut() {
        *x = exp_not_positive(*x - largest);
    }
    let total = dot_ones(x);
    for x in x.iter_mut() {
        *x /= total;
    }
}

/// The sum, in partial sums like those of [`dot`].
#[inline(always)]
fn dot_ones(x: &[f32]) -> f32 {
    let (chunks, rest) = x.as_chunks::<16>();
    let mut sums = [0f32; 16];
    for chunk in chunks {
        for i in 0..16 {
            sums[i] += chunk[i];
        }
    }
    sums.iter().sum::<f32>() + rest.iter().sum::<f32>()
}

/// `eˣ` for x ≤ 0 to about 2e-7, relative; vector code where the library's is not. Below -87 it is 2⁻¹²⁶.
///
/// x = n ln 2 + r with |r| ≤ ln 2 / 2: a Taylor polynomial for eʳ, then n goes into the exponent.
#[inline(always)]
fn exp_not_positive(x: f32) -> f32 {
    // ln 2 in two parts, so that n · ln 2 loses nothing.
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let x = if x > -87.0 { x } else { -87.0 };
    let n = (x * std::f32::consts::LOG2_E).round_ties_even();
    let r = (x - n * LN2_HIGH) - n * LN2_LOW;
    let tail = 1.0 / 6.0 + r * (1.0 / 24.0 + r * (1.0 / 120.0 + r * (1.0 / 720.0 + r * (1.0 / 5040.0))));
    let e = 1.0 + r + r * r * (0.5 + r * tail);
    let power = f32::from_bits(((n as i32 + 127) as u32) << 23);
    e * power
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponential_is_accurate() {
        for i in 0..=8_700 {
            let x = -(i as f32) / 100.0;
            let exact = f64::from(x).exp();
            let error = (f64::from(exp_not_positive(x)) - exact).abs() / exact;
            assert!(error < 3e-7, "{x}: {error}");
        }
        assert!(exp_not_positive(f32::NEG_INFINITY) < 1e-37);
    }

    #[test]
    fn attention_is_the_textbook_one() {
        let heads = Heads { q: 6, kv: 2, dim: 10 };
        let (first, rows) = (3, 7);
        let wave = |n: usize, step: f32| (0..n).map(|i| (i as f32 * step).sin()).collect::<Vec<f32>>();
        let q = wave(rows * 60, 0.7);
        let (keys, values) = (wave((first + rows) * 20, 0.3), wave((first + rows) * 20, 1.1));
        let mut cache = Cache::default();
        cache.extend(heads, &keys, &values);
        // What was cut off must leave no trace.
        cache.extend(heads, &wave(60, 0.9), &wave(60, 0.8));
        cache.truncate(heads, first + rows);
        // A fork goes on from what is shared; the middle and the beginning come back.
        let mut whole = Cache::default();
        whole.extend(heads, &keys, &values);
        let long = [&keys[..], &wave(20 * 40, 0.5)].concat();
        whole.extend(heads, &long[keys.len()..], &wave(20 * 40, 0.2));
        let mut fork = whole.fork(heads);
        assert_eq!((fork.shared.positions, fork.own.positions), (48, 2));
        assert!(Arc::ptr_eq(&fork.shared, &whole.fork(heads).shared), "nothing is copied twice");
        fork.truncate(heads, first + rows);
        assert_eq!((fork.shared.positions, fork.own.positions), (0, 10));
        for window in [None, Some(4)] {
            assert_eq!(attend(heads, &q, &fork, window), attend(heads, &q, &cache, window));
            check(heads, (first, rows), &q, (&keys, &values), window, &attend(heads, &q, &cache, window));
        }
    }

    fn check(
        heads: Heads,
        (first, rows): (usize, usize),
        q: &[f32],
        (keys, values): (&[f32], &[f32]),
        window: Option<usize>,
        got: &[f32],
    ) {
        assert_eq!((heads.q_width(), heads.kv_width()), (60, 20));
        for row in 0..rows {
            let begin = window.map_or(0, |window| (first + row + 1).saturating_sub(window));
            for head in 0..6 {
                let at = |p: usize| p * 20 + head / 3 * 10;
                let q = &q[row * 60 + head * 10..][..10];
                let score = |p| q.iter().zip(&keys[at(p)..]).map(|(a, b)| a * b).sum::<f32>() / 10f32.sqrt();
                let seen = |p: usize| if p >= begin { score(p).exp() } else { 0.0 };
                let weights: Vec<f32> = (0..=first + row).map(seen).collect();
                let total: f32 = weights.iter().sum();
                for d in 0..10 {
                    let exact =
                        weights.iter().enumerate().map(|(p, w)| w / total * values[at(p) + d]).sum::<f32>();
                    let got = got[row * 60 + head * 10 + d];
                    assert!((got - exact).abs() < 1e-5, "{got} {exact}");
                }
            }
        }
    }
}
