//! Eight-bit matrices and their product with activations: where nearly all of the time goes.
//!
//! Every 32 values share one scale (ggml's Q8_0 with an `f32` scale). Weights of any GGUF format are brought
//! to it when the model is loaded: candle's kernel for Q4_1 has no vector code, and one format needs one
//! kernel. Results do not depend on the number of threads; between processors with and without AVX2 or the byte products of
//! AVX-512 they may differ in the last bits, because sums are taken in another order.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod vnni;

use rayon::prelude::*;

/// Values that share a scale.
pub(crate) const BLOCK: usize = 32;
/// Rows of a matrix that one thread takes at a time.
const ROWS_PER_JOB: usize = 32;
/// Activation rows that share one pass over a weight row.
const TILE: usize = 4;

/// `rows` × `cols` 8-bit values, row-major; `cols` is a multiple of [`BLOCK`].
pub(crate) struct Matrix {
    rows: usize,
    cols: usize,
    values: Vec<[i8; BLOCK]>,
    scales: Vec<f32>,
}

impl Matrix {
    /// Rounds `values` (row-major, finite) to eight bits.
    ///
    /// # Panics
    /// When the length is not `rows * cols` or `cols` no multiple of [`BLOCK`]: loaders check shapes.
    pub(crate) fn new(values: &[f32], rows: usize, cols: usize) -> Self {
        assert!(values.len() == rows * cols && cols.is_multiple_of(BLOCK));
        let mut matrix = Self { rows, cols, values: Vec::new(), scales: Vec::new() };
        matrix.fill(values);
        matrix
    }

    fn fill(&mut self, values: &[f32]) {
        let (blocks, _) = values.as_chunks::<BLOCK>();
        self.values.clear();
        self.scales.clear();
        self.values.reserve(blocks.len());
        self.scales.reserve(blocks.len());
        for block in blocks {
            let largest = block.iter().fold(0f32, |max, x| max.max(x.abs()));
            let scale = largest / 127.0;
            let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
            // -128 cannot occur, which the vector kernel relies on.
            self.values.push(block.map(|x| (x * inverse).round() as i8));
            self.scales.push(scale);
        }
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    fn row_blocks(&self, row: usize) -> (&[[i8; BLOCK]], &[f32]) {
        let n = self.cols / BLOCK;
        (&self.values[row * n..(row + 1) * n], &self.scales[row * n..(row + 1) * n])
    }

    /// Writes one row, back in `f32`, to `out` of length `cols`.
    pub(crate) fn read_row(&self, row: usize, out: &mut [f32]) {
        let (values, scales) = self.row_blocks(row);
        for ((out, block), scale) in out.chunks_exact_mut(BLOCK).zip(values).zip(scales) {
            for (out, value) in out.iter_mut().zip(block) {
                *out = f32::from(*value) * scale;
            }
        }
    }

    /// `x · selfᵀ`: `x` holds rows of `cols` values, the result as many rows of `rows` values.
    pub(crate) fn apply(&self, x: &[f32]) -> Vec<f32> {
        let n = x.len() / self.cols;
        let x = Rounded::new(x, n, self.cols);
        // Column-major first, so that each job owns a contiguous piece of the result.
        let mut by_row = vec![0.0; self.rows * n];
        let job = |(index, out): (usize, &mut [f32])| {
            self.rows_times(index * ROWS_PER_JOB, &x, out);
        };
        if rayon::current_num_threads() > 1 {
            by_row.par_chunks_mut(ROWS_PER_JOB * n).enumerate().for_each(job);
        } else {
            by_row.chunks_mut(ROWS_PER_JOB * n).enumerate().for_each(job);
        }
        if n == 1 { by_row } else { transpose(&by_row, self.rows, n) }
    }

    /// What [`Matrix::apply`] gives for one row of `cols` values, of these rows of the matrix alone.
    pub(crate) fn apply_rows(&self, x: &[f32], rows: &[u32]) -> Vec<f32> {
        let x = Rounded::new(x, 1, self.cols);
        let mut out = vec![0.0; rows.len()];
        for (out, row) in out.chunks_exact_mut(1).zip(rows) {
            self.rows_times(*row as usize, &x, out);
        }
        out
    }

    /// Products of the weight rows from `first` on with every row of `x`; `out` is weight row by weight row.
    fn rows_times(&self, first: usize, x: &Rounded, out: &mut [f32]) {
        #[cfg(target_arch = "x86_64")]
        if let Some(x) = &x.pairs {
            // SAFETY: pairs are made where the processor has the features.
            #[allow(unsafe_code)]
            return unsafe { vnni::rows_times(self, first, x, out) };
        }
        let x = &x.matrix;
        #[cfg(target_arch = "x86_64")]
        if let Some(simd) = pulp::x86::V3::try_new() {
            return simd.vectorize(
                #[inline(always)]
                || self.rows_times_avx2(simd, first, x, out),
            );
        }
        self.rows_times_plain(first, x, out);
    }

    fn rows_times_plain(&self, first: usize, x: &Matrix, out: &mut [f32]) {
        for (i, out) in out.chunks_exact_mut(x.rows).enumerate() {
            let (w, w_scales) = self.row_blocks(first + i);
            for (t, out) in out.iter_mut().enumerate() {
                let (x, x_scales) = x.row_blocks(t);
                *out = 0.0;
                for b in 0..w.len() {
                    let products = w[b].iter().zip(&x[b]).map(|(w, x)| i32::from(*w) * i32::from(*x));
                    *out += products.sum::<i32>() as f32 * (w_scales[b] * x_scales[b]);
                }
            }
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    fn rows_times_avx2(&self, simd: pulp::x86::V3, first: usize, x: &Matrix, out: &mut [f32]) {
        for (i, out) in out.chunks_exact_mut(x.rows).enumerate() {
            let w = self.row_blocks(first + i);
            let (tiles, rest) = out.as_chunks_mut::<TILE>();
            let whole = tiles.len() * TILE;
            for (tile, out) in tiles.iter_mut().enumerate() {
                let rows = std::array::from_fn(|j| x.row_blocks(tile * TILE + j));
                *out = avx2::dots(simd, w, rows);
            }
            for (j, out) in rest.iter_mut().enumerate() {
                [*out] = avx2::dots(simd, w, [x.row_blocks(whole + j)]);
            }
        }
    }
}

/// Activations in eight bits.
struct Rounded {
    matrix: Matrix,
    /// As the byte products of AVX-512 read them, where the machine has these.
    #[cfg(target_arch = "x86_64")]
    pairs: Option<vnni::Pairs>,
}

impl Rounded {
    fn new(x: &[f32], rows: usize, cols: usize) -> Self {
        let matrix = Matrix::new(x, rows, cols);
        Self {
            #[cfg(target_arch = "x86_64")]
            pairs: vnni::is_there().then(|| vnni::Pairs::new(&matrix)),
            matrix,
        }
    }
}

fn transpose(x: &[f32], rows: usize, cols: usize) -> Vec<f32> {
    let mut out = vec![0.0; x.len()];
    for (r, row) in x.chunks_exact(cols).enumerate() {
        for (c, value) in row.iter().enumerate() {
            out[c * rows + r] = *value;
        }
    }
    out
}

/// Dot product in 32 partial sums, which compilers turn into vector code without long dependency chains.
#[inline(always)]
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let (a, a_rest) = a.as_chunks::<32>();
    let (b, b_rest) = b.as_chunks::<32>();
    let mut sums = [0f32; 32];
    for (a, b) in a.iter().zip(b) {
        for i in 0..32 {
            sums[i] += a[i] * b[i];
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    for half in [16, 8, 4, 2, 1] {
        for i in 0..half {
            sums[i] += sums[i + half];
        }
    }
    sums[0] + rest
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};

    use super::*;

    fn random(n: usize, seed: u64) -> Vec<f32> {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
        (0..n).map(|_| rng.random_range(-1.0..1.0)).collect()
    }

    #[test]
    fn product_is_near_the_exact_one_for_tiles_and_remainders() {
        let (rows, cols) = (70, 96);
        let w = random(rows * cols, 1);
        let matrix = Matrix::new(&w, rows, cols);
        for n in [1, 3, 4, 9] {
            let x = random(n * cols, 2);
            let got = matrix.apply(&x);
            assert_eq!(got.len(), n * rows);
            for t in 0..n {
                for r in 0..rows {
                    let exact: f32 = (0..cols).map(|c| w[r * cols + c] * x[t * cols + c]).sum();
                    // 96 products, each off by at most about 1/127 of either factor.
                    assert!((got[t * rows + r] - exact).abs() < 0.1, "{} {exact}", got[t * rows + r]);
                }
            }
        }
    }

    #[test]
    fn single_rows_are_those_of_the_whole_product() {
        let matrix = Matrix::new(&random(70 * 96, 6), 70, 96);
        let x = random(96, 7);
        let all = matrix.apply(&x);
        assert_eq!(matrix.apply_rows(&x, &[69, 0, 33]), [all[69], all[0], all[33]]);
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn vector_kernels_agree_with_the_plain_one() {
        let (rows, cols, n) = (33, 96, 7);
        let matrix = Matrix::new(&random(rows * cols, 3), rows, cols);
        let x = Rounded::new(&random(n * cols, 4), n, cols);
        let (mut fast, mut plain) = (vec![0.0; rows * n], vec![0.0; rows * n]);
        matrix.rows_times_plain(0, &x.matrix, &mut plain);
        let without = |x: Rounded| Rounded { pairs: None, ..x };
        for x in [x, without(Rounded::new(&random(n * cols, 4), n, cols))] {
            matrix.rows_times(0, &x, &mut fast);
            for (a, b) in fast.iter().zip(&plain) {
                assert!((a - b).abs() < 1e-5, "{a} {b}");
            }
        }
    }

    #[test]
    fn rows_come_back_and_zeros_stay_zero() {
        let mut values = random(64, 5);
        values[32..].fill(0.0);
        let matrix = Matrix::new(&values, 1, 64);
        let mut back = vec![9.0; 64];
        matrix.read_row(0, &mut back);
        for (a, b) in values.iter().zip(&back) {
            assert!((a - b).abs() <= 0.5 / 127.0, "{a} {b}");
        }
        assert!(back[32..].iter().all(|x| *x == 0.0));
    }
}
