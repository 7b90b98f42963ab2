//! Causal grouped-query attention over a cache of keys and values.
//!
//! Several query rows, and the heads that share a key, go over the cache together: each key is loaded once
//! for all of them. Every row is computed alone, so results do not depend on how rows are grouped.

use rayon::prelude::*;

use super::quant::{dot, vectorized};

/// Query rows that go over the cache together.
const ROWS: usize = 4;

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

/// The rows of `q` (`q_width` each), the first of which stands at position `first`, over the `keys` and
/// `values` (`kv_width` each) of all positions up to theirs. As many rows of `q_width`.
pub(crate) fn attend(heads: Heads, first: usize, q: &[f32], keys: &[f32], values: &[f32]) -> Vec<f32> {
    let (width, group) = (heads.q_width(), heads.group_width());
    let rows = q.len() / width;
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
        let offset = head * heads.dim;
        vectorized(
            #[inline(always)]
            || attend_group(heads, first + row, &queries, &keys[offset..], &values[offset..], out),
        );
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

/// A few rows of the query heads that share one key head; that head is at the beginning of each row of
/// `keys` and `values`.
#[inline(always)]
fn attend_group(heads: Heads, first: usize, q: &[f32], keys: &[f32], values: &[f32], out: &mut [f32]) {
    let (dim, stride, per_row) = (heads.dim, heads.kv_width(), heads.q / heads.kv);
    let queries = q.len() / dim;
    // Query `i` belongs to row `i / per_row` and sees the positions up to that row's own.
    let seen = |i: usize| first + i / per_row + 1;
    let longest = seen(queries - 1);
    let scale = 1.0 / (dim as f32).sqrt();
    let mut weights = vec![0.0; queries * longest];
    for p in 0..longest {
        let key = &keys[p * stride..][..dim];
        for (i, q) in q.chunks_exact(dim).enumerate().filter(|(i, _)| p < seen(*i)) {
            weights[i * longest + p] = dot(q, key) * scale;
        }
    }
    for (i, weights) in weights.chunks_exact_mut(longest).enumerate() {
        softmax(&mut weights[..seen(i)]);
    }
    for p in 0..longest {
        let value = &values[p * stride..][..dim];
        for (i, out) in out.chunks_exact_mut(dim).enumerate().filter(|(i, _)| p < seen(*i)) {
            let weight = weights[i * longest + p];
            for (out, value) in out.iter_mut().zip(value) {
                *out += weight * value;
            }
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
        let got = attend(heads, first, &q, &keys, &values);
        for row in 0..rows {
            for head in 0..6 {
                let at = |p: usize| p * 20 + head / 3 * 10;
                let q = &q[row * 60 + head * 10..][..10];
                let score = |p| q.iter().zip(&keys[at(p)..]).map(|(a, b)| a * b).sum::<f32>() / 10f32.sqrt();
                let weights: Vec<f32> = (0..=first + row).map(|p| score(p).exp()).collect();
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
