//! Matrix products with one right side for many left ones: the weights of a layer, at every step of a recurrence and
//! every word of a decoding.
//!
//! A general product arranges its right side anew each time, which for few rows costs more than the product. Here it is
//! arranged once, in panels of [`PANEL`] columns. Each value is one chain of fused multiply-adds along the inner extent, so
//! that a row's result does not depend on the rows beside it, nor on the number of threads.

use super::View;
use crate::macs;
use rayon::prelude::*;

/// Columns of a panel.
const PANEL: usize = 32;
/// Inner extent of one pass: its part of a panel stays in the cache while the rows go by.
const DEPTH: usize = 512;
/// Multiply-accumulates from which a product is shared among threads.
const LARGE: usize = 1 << 22;

/// The right side of products, `[k, n]`.
#[derive(Debug, Clone)]
pub struct Packed {
    /// For each panel its rows, `[panels, k, PANEL]`, with zeros beside the last column.
    panels: Vec<[f32; PANEL]>,
    k: usize,
    n: usize,
}

impl Packed {
    /// The transpose of `weight`, `[n, k]` row-major: what a linear layer multiplies with.
    pub fn transposed(weight: &[f32], k: usize) -> Self {
        let n = weight.len() / k;
        let mut panels = vec![[0.0; PANEL]; n.div_ceil(PANEL) * k];
        for (panel, columns) in panels.chunks_exact_mut(k).zip(weight.chunks(PANEL * k)) {
            for (c, column) in columns.chunks_exact(k).enumerate() {
                panel.iter_mut().zip(column).for_each(|(row, x)| row[c] = *x);
            }
        }
        Self { panels, k, n }
    }

    /// Inner extent: inputs of the linear layer.
    pub fn inputs(&self) -> usize {
        self.k
    }
}

/// `out = a · b`, or `out += a · b` where `add`; only the rows of `b` from `from` on, as many as `a` has columns. `out` is
/// row-major and contiguous.
///
/// # Panics
/// Where extents do not fit, or the columns of `a` do not lie side by side.
pub fn gemm_packed(out: &mut [f32], a: View<'_>, (b, from): (&Packed, usize), add: bool) {
    let ((m, k), n) = (a.extents(), b.n);
    assert!(from + k <= b.k, "inner extents");
    assert_eq!(out.len(), m * n, "outer extents");
    if m == 0 || n == 0 {
        return;
    }
    macs::add(m * n * k);
    let threads = rayon::current_num_threads();
    if threads == 1 || m * n * k < LARGE {
        return rows(out, a, 0, (b, from), add);
    }
    let share = m.div_ceil(threads).next_multiple_of(4);
    out.par_chunks_mut(share * n).enumerate().for_each(|(i, out)| rows(out, a, i * share, (b, from), add));
}

/// The product for as many rows of `a`, from `first` on, as `out` has.
fn rows(out: &mut [f32], a: View<'_>, first: usize, (b, from): (&Packed, usize), add: bool) {
    let ((_, k), n) = (a.extents(), b.n);
    if k == 0 && !add {
        out.fill(0.0);
    }
    let m = out.len() / n;
    for start in (0..k).step_by(DEPTH) {
        let depth = DEPTH.min(k - start);
        let inner = (start, depth, add || start > 0);
        for (j, panel) in b.panels.chunks_exact(b.k).enumerate() {
            let panel = &panel[from + start..][..depth];
            let mut done = 0;
            while done < m {
                let at = Place { row: done, column: j * PANEL, n };
                let rows = (a, first + done);
                done += match m - done {
                    12.. => tile::<12>(out, at, rows, panel, inner),
                    8.. => tile::<8>(out, at, rows, panel, inner),
                    4.. => tile::<4>(out, at, rows, panel, inner),
                    2.. => tile::<2>(out, at, rows, panel, inner),
                    _ => tile::<1>(out, at, rows, panel, inner),
                };
            }
        }
    }
}

/// Where a tile lies in a row-major result of `n` columns.
#[derive(Clone, Copy)]
struct Place {
    row: usize,
    column: usize,
    n: usize,
}

/// `M` rows of a panel's columns.
fn tile<const M: usize>(
    out: &mut [f32],
    at: Place,
    (a, first): (View<'_>, usize),
    panel: &[[f32; PANEL]],
    (start, depth, add): (usize, usize, bool),
) -> usize {
    let a: [&[f32]; M] = std::array::from_fn(|i| &a.row(first + i)[start..start + depth]);
    let mut sums = [[0.0; PANEL]; M];
    multiply(&a, panel, &mut sums);
    let width = PANEL.min(at.n - at.column);
    for (i, sums) in sums.iter().enumerate() {
        let out = &mut out[(at.row + i) * at.n + at.column..][..width];
        if add {
            out.iter_mut().zip(sums).for_each(|(o, s)| *o += s);
        } else {
            out.copy_from_slice(&sums[..width]);
        }
    }
    M
}

/// `sums[i] = Σ a[i][p] · panel[p]`, by the widest registers of the machine.
fn multiply<const M: usize>(a: &[&[f32]; M], panel: &[[f32; PANEL]], sums: &mut [[f32; PANEL]; M]) {
    assert!(a.iter().all(|row| row.len() == panel.len()));
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::is_x86_feature_detected;
        if is_x86_feature_detected!("avx512f") {
            // SAFETY: the machine has the instructions, and each row of `a` is as long as the panel.
            #[allow(unsafe_code)]
            return unsafe { x86::wide(a, panel, sums) };
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            // SAFETY: likewise.
            #[allow(unsafe_code)]
            return unsafe { x86::half(a, panel, sums) };
        }
    }
    for (p, panel) in panel.iter().enumerate() {
        for (sums, row) in sums.iter_mut().zip(a) {
            let x = row[p];
            sums.iter_mut().zip(panel).for_each(|(s, b)| *s = fused(x, *b, *s));
        }
    }
}

/// `x · b + s`, rounded once where that is one instruction.
#[inline(always)]
fn fused(x: f32, b: f32, s: f32) -> f32 {
    if cfg!(target_arch = "aarch64") { x.mul_add(b, s) } else { x * b + s }
}

#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
mod x86 {
    use super::PANEL;
    use std::arch::x86_64::*;

    /// Two registers of 16 values for each row.
    ///
    /// # Safety
    /// The machine has AVX-512F, and each row of `a` is as long as the panel.
    #[target_feature(enable = "avx512f")]
    pub unsafe fn wide<const M: usize>(
        a: &[&[f32]; M],
        panel: &[[f32; PANEL]],
        sums: &mut [[f32; PANEL]; M],
    ) {
        let mut acc = [[_mm512_setzero_ps(); 2]; M];
        for (p, panel) in panel.iter().enumerate() {
            // SAFETY: a panel's row holds 32 values, and p is below the length of each row of `a`.
            let b = unsafe { [_mm512_loadu_ps(panel.as_ptr()), _mm512_loadu_ps(panel.as_ptr().add(16))] };
            for i in 0..M {
                let x = _mm512_set1_ps(unsafe { *a[i].get_unchecked(p) });
                acc[i] = [_mm512_fmadd_ps(x, b[0], acc[i][0]), _mm512_fmadd_ps(x, b[1], acc[i][1])];
            }
        }
        for (acc, sums) in acc.iter().zip(sums) {
            // SAFETY: a row of sums holds 32 values.
            unsafe {
                _mm512_storeu_ps(sums.as_mut_ptr(), acc[0]);
                _mm512_storeu_ps(sums.as_mut_ptr().add(16), acc[1]);
            }
        }
    }

    /// Two passes over at most six rows at a time, each over half of the columns in two registers of 8 values.
    ///
    /// # Safety
    /// The machine has AVX2 and FMA, and each row of `a` is as long as the panel.
    #[target_feature(enable = "avx2,fma")]
    pub unsafe fn half<const M: usize>(
        a: &[&[f32]; M],
        panel: &[[f32; PANEL]],
        sums: &mut [[f32; PANEL]; M],
    ) {
        for (a, sums) in a.chunks(6).zip(sums.chunks_mut(6)) {
            for column in [0, 16] {
                // SAFETY: as for this function; 16 columns from 0 or 16 on are inside a panel's row.
                unsafe {
                    match a.len() {
                        6 => six::<6>(a, panel, sums, column),
                        4 => six::<4>(a, panel, sums, column),
                        2 => six::<2>(a, panel, sums, column),
                        _ => (0..a.len()).for_each(|i| six::<1>(&a[i..], panel, &mut sums[i..], column)),
                    }
                }
            }
        }
    }

    /// # Safety
    /// As [`half`]; `a` and `sums` have at least `M` rows, and `column` is at most 16.
    #[target_feature(enable = "avx2,fma")]
    unsafe fn six<const M: usize>(
        a: &[&[f32]],
        panel: &[[f32; PANEL]],
        sums: &mut [[f32; PANEL]],
        column: usize,
    ) {
        let mut acc = [[_mm256_setzero_ps(); 2]; M];
        for (p, panel) in panel.iter().enumerate() {
            // SAFETY: see above.
            unsafe {
                let at = panel.as_ptr().add(column);
                let b = [_mm256_loadu_ps(at), _mm256_loadu_ps(at.add(8))];
                for (acc, row) in acc.iter_mut().zip(a) {
                    let x = _mm256_set1_ps(*row.get_unchecked(p));
                    *acc = [_mm256_fmadd_ps(x, b[0], acc[0]), _mm256_fmadd_ps(x, b[1], acc[1])];
                }
            }
        }
        for (acc, sums) in acc.iter().zip(sums) {
            // SAFETY: see above.
            unsafe {
                _mm256_storeu_ps(sums.as_mut_ptr().add(column), acc[0]);
                _mm256_storeu_ps(sums.as_mut_ptr().add(column + 8), acc[1]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(n: usize) -> Vec<f32> {
        (0..n).map(|i| ((i * 7919 % 1009) as f32 / 1009.0) - 0.5).collect()
    }

    /// The products in double precision.
    fn plain(a: &[f32], b: &[f32], (m, k, n): (usize, usize, usize)) -> Vec<f64> {
        let at = |i: usize, j: usize| (0..k).map(|p| f64::from(a[i * k + p]) * f64::from(b[j * k + p])).sum();
        (0..m * n).map(|i| at(i / n, i % n)).collect()
    }

    #[test]
    fn products_of_all_kinds_of_extents() {
        for (m, k, n) in [(1, 1, 1), (3, 5, 31), (7, 513, 33), (12, 8, 64), (27, 1030, 70), (130, 600, 100)] {
            let (a, b) = (numbers(m * k), numbers(n * k));
            let packed = Packed::transposed(&b, k);
            let mut out = vec![1.0; m * n];
            gemm_packed(&mut out, View::new(&a, k), (&packed, 0), false);
            let wanted = plain(&a, &b, (m, k, n));
            for (o, w) in out.iter().zip(&wanted) {
                assert!((f64::from(*o) - w).abs() < 1e-4, "{m} {k} {n}: {o} {w}");
            }
            gemm_packed(&mut out, View::new(&a, k), (&packed, 0), true);
            assert!(out.iter().zip(&wanted).all(|(o, w)| (f64::from(*o) - 2.0 * w).abs() < 2e-4));
        }
    }

    #[test]
    fn a_part_of_the_inner_extent() {
        let (a, b) = (numbers(5 * 40), numbers(9 * 100));
        let (packed, mut out) = (Packed::transposed(&b, 100), vec![0.0; 5 * 9]);
        gemm_packed(&mut out, View::new(&a, 40), (&packed, 60), false);
        let part: Vec<f32> = b.chunks(100).flat_map(|row| row[60..].to_vec()).collect();
        let wanted = plain(&a, &part, (5, 40, 9));
        assert!(out.iter().zip(wanted).all(|(o, w)| (f64::from(*o) - w).abs() < 1e-5));
    }

    #[test]
    fn a_row_does_not_depend_on_its_neighbours() {
        let (m, k, n) = (29, 700, 50);
        let (a, packed) = (numbers(m * k), Packed::transposed(&numbers(n * k), k));
        let mut all = vec![0.0; m * n];
        gemm_packed(&mut all, View::new(&a, k), (&packed, 0), false);
        for (row, wanted) in a.chunks(k).zip(all.chunks(n)) {
            let mut one = vec![0.0; n];
            gemm_packed(&mut one, View::new(row, k), (&packed, 0), false);
            assert_eq!(one, wanted);
        }
    }

    #[test]
    fn all_instruction_sets_agree_to_the_last_bit() {
        let (a, b) = (numbers(12 * 300), numbers(300 * PANEL));
        let rows: [&[f32]; 12] = std::array::from_fn(|i| &a[i * 300..][..300]);
        let panel = b.as_chunks::<PANEL>().0;
        let mut wanted = [[0.0f32; PANEL]; 12];
        for (p, panel) in panel.iter().enumerate() {
            for (sums, row) in wanted.iter_mut().zip(rows) {
                sums.iter_mut().zip(panel).for_each(|(s, b)| *s = row[p].mul_add(*b, *s));
            }
        }
        let mut sums = [[0.0; PANEL]; 12];
        multiply(&rows, panel, &mut sums);
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
            assert_eq!(sums, wanted);
            let mut half = [[0.0; PANEL]; 12];
            // SAFETY: the machine has the instructions.
            #[allow(unsafe_code)]
            unsafe {
                x86::half(&rows, panel, &mut half);
            }
            assert_eq!(half, wanted);
        }
        assert!(sums.iter().flatten().zip(wanted.iter().flatten()).all(|(s, w)| (s - w).abs() < 1e-4));
    }

    #[test]
    #[should_panic(expected = "inner extents")]
    fn extents_that_do_not_fit_are_refused() {
        gemm_packed(&mut [0.0], View::new(&[1.0, 2.0], 2), (&Packed::transposed(&[1.0], 1), 0), false);
    }
}
