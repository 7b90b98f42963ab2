//! Products of 64 bytes at once (AVX-512 VNNI).

use std::arch::x86_64::*;
use std::array;

use super::{BLOCK, Matrix, TILE};

/// Two blocks.
const PAIR: usize = 2 * BLOCK;

/// Rows in pairs of blocks, the last filled up with zeros.
pub(super) struct Pairs {
    rows: usize,
    values: Vec<[i8; PAIR]>,
    /// The scale of each block, once for every four products of it.
    scales: Vec<[f32; PAIR / 4]>,
}

pub(super) fn is_there() -> bool {
    use std::arch::is_x86_feature_detected;
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vnni")
}

fn pair(values: &[[i8; BLOCK]], scales: &[f32]) -> ([i8; PAIR], [f32; PAIR / 4]) {
    let value = |i: usize| values.get(i / BLOCK).map_or(0, |block| block[i % BLOCK]);
    let scale = |i: usize| scales.get(4 * i / BLOCK).copied().unwrap_or(0.0);
    (array::from_fn(value), array::from_fn(scale))
}

impl Pairs {
    pub(super) fn new(x: &Matrix) -> Self {
        let of_row = |row: usize| {
            let (values, scales) = x.row_blocks(row);
            values.chunks(2).zip(scales.chunks(2)).map(|(values, scales)| pair(values, scales))
        };
        let (values, scales) = (0..x.rows).flat_map(of_row).unzip();
        Self { rows: x.rows, values, scales }
    }
}

/// As [`Matrix::rows_times`].
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub(super) fn rows_times(matrix: &Matrix, first: usize, x: &Pairs, out: &mut [f32]) {
    let n = matrix.cols.div_ceil(PAIR);
    let row = |t: usize| (&x.values[t * n..(t + 1) * n], &x.scales[t * n..(t + 1) * n]);
    for (i, out) in out.chunks_exact_mut(x.rows).enumerate() {
        let w = matrix.row_blocks(first + i);
        let (tiles, rest) = out.as_chunks_mut::<TILE>();
        let whole = tiles.len() * TILE;
        for (tile, out) in tiles.iter_mut().enumerate() {
            *out = dots(w, array::from_fn(|j| row(tile * TILE + j)));
        }
        for (j, out) in rest.iter_mut().enumerate() {
            [*out] = dots(w, [row(whole + j)]);
        }
    }
}

type Row<'a> = (&'a [[i8; PAIR]], &'a [[f32; PAIR / 4]]);

/// Dot products of one row of blocks with `N` others. One factor of a byte product has no sign: that of the weight is moved to
/// the other.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
#[inline]
fn dots<const N: usize>((w, w_scales): (&[[i8; BLOCK]], &[f32]), x: [Row; N]) -> [f32; N] {
    let mut sums = [_mm512_setzero_ps(); N];
    let (pairs, left) = w.as_chunks::<2>();
    let (scale_pairs, scale_left) = w_scales.as_chunks::<2>();
    for (b, (w, scales)) in pairs.iter().zip(scale_pairs).enumerate() {
        let scales = _mm512_mask_blend_ps(0xff00, _mm512_set1_ps(scales[0]), _mm512_set1_ps(scales[1]));
        step(&mut sums, b, pulp::cast(*w), scales, &x);
    }
    if !left.is_empty() {
        let (w, scales) = pair(left, scale_left);
        step(&mut sums, pairs.len(), pulp::cast(w), pulp::cast(scales), &x);
    }
    sums.map(|sum| _mm512_reduce_add_ps(sum))
}

/// Adds the products of the pair of that number.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
#[inline]
fn step<const N: usize>(sums: &mut [__m512; N], b: usize, w: __m512i, scales: __m512, x: &[Row; N]) {
    let (sizes, below) = (_mm512_abs_epi8(w), _mm512_movepi8_mask(w));
    let zero = _mm512_setzero_si512();
    for j in 0..N {
        let (values, own) = (pulp::cast(x[j].0[b]), pulp::cast(x[j].1[b]));
        let signed = _mm512_mask_sub_epi8(values, below, zero, values);
        let products = _mm512_cvtepi32_ps(_mm512_dpbusd_epi32(zero, sizes, signed));
        sums[j] = _mm512_fmadd_ps(products, _mm512_mul_ps(scales, own), sums[j]);
    }
}
