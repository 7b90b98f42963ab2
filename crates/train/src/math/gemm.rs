//! Matrix products whose right side is laid out first: once for the weights of a layer, which every step of a recurrence
//! and every word of a decoding multiplies with; otherwise for the product in hand.
//!
//! The right side lies in panels of [`PANEL`] columns. Each value is one chain of fused multiply-adds along the inner extent,
//! [`DEPTH`] at a time, so that a row's result does not depend on the rows beside it, nor on the number of threads.

use super::View;
use super::tile::{Block, PANEL, Strided, TILE, multiply};
use crate::macs;
use rayon::prelude::*;
use std::ops::Range;

/// Inner extent of one pass: that part of a panel stays in a near cache while the rows go by.
const DEPTH: usize = 512;
/// Rows of one pass: with one panel they fit in the second cache, so that panels come from farther away once in so many rows.
const ROWS: usize = 16 * TILE;
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
    /// Lays out a matrix.
    pub fn new(b: View<'_>) -> Self {
        let (k, n) = b.extents();
        let mut panels = Vec::with_capacity(n.div_ceil(PANEL) * k);
        for first in (0..n).step_by(PANEL) {
            let width = PANEL.min(n - first);
            if b.lies_by_rows() {
                panels.extend((0..k).map(|p| widened(&b.row(p)[first..first + width])));
                continue;
            }
            let start = panels.len();
            panels.resize(start + k, [0.0; PANEL]);
            for c in 0..width {
                panels[start..].iter_mut().zip(b.t().row(first + c)).for_each(|(row, x)| row[c] = *x);
            }
        }
        Self { panels, k, n }
    }

    /// Inner extent: inputs of the linear layer.
    pub fn inputs(&self) -> usize {
        self.k
    }

    /// A part of the inner extent of each panel, with its columns.
    fn panels(&self, part: Range<usize>) -> impl Iterator<Item = (&[[f32; PANEL]], Range<usize>)> {
        let panels = self.panels.chunks_exact(self.k).map(move |panel| &panel[part.clone()]);
        panels.enumerate().map(|(j, panel)| (panel, j * PANEL..self.n.min((j + 1) * PANEL)))
    }
}

/// A panel's row, with zeros beside the last column.
fn widened(row: &[f32]) -> [f32; PANEL] {
    row.try_into().unwrap_or_else(|_| {
        let mut wide = [0.0; PANEL];
        wide[..row.len()].copy_from_slice(row);
        wide
    })
}

/// `out = a · b`, or `out += a · b` where `add`; `out` is row-major and contiguous.
///
/// # Panics
/// Where extents do not fit.
pub fn gemm(out: &mut [f32], a: View<'_>, b: View<'_>, add: bool) {
    assert_eq!(a.extents().1, b.extents().0, "inner extents");
    gemm_packed(out, a, (&Packed::new(b), 0), add);
}

/// `a · b` in a new vector, row-major.
pub fn product(a: View<'_>, b: View<'_>) -> Vec<f32> {
    let mut out = vec![0.0; a.extents().0 * b.extents().1];
    gemm(&mut out, a, b, false);
    out
}

/// `a · b` into the columns of `out` from `first` on; `out` is row-major and has `columns`.
///
/// # Panics
/// Where extents do not fit.
pub fn gemm_columns(out: &mut [f32], (columns, first): (usize, usize), a: View<'_>, b: View<'_>) {
    let ((m, k), n) = (a.extents(), b.extents().1);
    assert_eq!(k, b.extents().0, "inner extents");
    assert!(first + n <= columns && out.len() == m * columns, "outer extents");
    let out = out.get_mut(first..).unwrap_or_default();
    into((out, columns), a, (&Packed::new(b), 0), false);
}

/// [`gemm`] with the rows of `b` from `from` on, as many as `a` has columns.
///
/// # Panics
/// Where extents do not fit.
pub fn gemm_packed(out: &mut [f32], a: View<'_>, (b, from): (&Packed, usize), add: bool) {
    assert_eq!(out.len(), a.extents().0 * b.n, "outer extents");
    into((out, b.n), a, (b, from), add);
}

/// The product into rows of `out` that begin `stride` values apart.
fn into((out, stride): (&mut [f32], usize), a: View<'_>, (b, from): (&Packed, usize), add: bool) {
    let ((m, k), n) = (a.extents(), b.n);
    assert!(from + k <= b.k, "inner extents");
    if m == 0 || n == 0 {
        return;
    }
    macs::add(m * n * k);
    if k == 0 && !add {
        out.chunks_mut(stride).for_each(|row| row[..n].fill(0.0));
    }
    let threads = rayon::current_num_threads();
    if threads == 1 || m * n * k < LARGE {
        return rows((out, stride), a, (0, m), (b, from), add);
    }
    let share = m.div_ceil(threads).next_multiple_of(4);
    out.par_chunks_mut(share * stride).enumerate().for_each(|(i, out)| {
        rows((out, stride), a, (i * share, share.min(m - i * share)), (b, from), add);
    });
}

/// The product for `m` rows of `a`, from `first` on.
fn rows(
    (out, stride): (&mut [f32], usize),
    a: View<'_>,
    (first, m): (usize, usize),
    (b, from): (&Packed, usize),
    add: bool,
) {
    let mut scratch = Vec::new();
    for (block, out) in out.chunks_mut(ROWS * stride).enumerate() {
        let rows = (first + block * ROWS, ROWS.min(m - block * ROWS));
        for start in (0..a.extents().1).step_by(DEPTH) {
            let depth = DEPTH.min(a.extents().1 - start);
            let left = Left::new(a, rows, (start, depth), &mut scratch);
            let part = from + start..from + start + depth;
            for (panel, columns) in b.panels(part) {
                let right = Right { panel, columns, add: add || start > 0 };
                let mut done = 0;
                while done < rows.1 {
                    let out = &mut out[done * stride + right.columns.start..];
                    done += match rows.1 - done {
                        TILE.. => tile::<TILE>((out, stride), &left, done, &right),
                        8.. => tile::<8>((out, stride), &left, done, &right),
                        4.. => tile::<4>((out, stride), &left, done, &right),
                        2.. => tile::<2>((out, stride), &left, done, &right),
                        _ => tile::<1>((out, stride), &left, done, &right),
                    };
                }
            }
        }
    }
}

/// A block of the left side: rows as they lie, or where a matrix lies by columns, tiles of [`TILE`] rows side by side.
enum Left<'a> {
    Rows { a: View<'a>, first: usize, start: usize, depth: usize },
    Tiles { values: &'a [f32], depth: usize },
}

impl<'a> Left<'a> {
    fn new(
        a: View<'a>,
        (first, m): (usize, usize),
        (start, depth): (usize, usize),
        scratch: &'a mut Vec<f32>,
    ) -> Self {
        if a.lies_by_rows() {
            return Self::Rows { a, first, start, depth };
        }
        scratch.resize(m.div_ceil(TILE) * depth * TILE, 0.0);
        for p in 0..depth {
            let (whole, rest) = a.t().row(start + p)[first..first + m].as_chunks::<TILE>();
            let (tiles, _) = scratch[p * TILE..].as_chunks_mut::<TILE>();
            let mut tiles = tiles.iter_mut().step_by(depth);
            whole.iter().zip(tiles.by_ref()).for_each(|(part, tile)| *tile = *part);
            tiles.take(1).for_each(|tile| tile[..rest.len()].copy_from_slice(rest));
        }
        Self::Tiles { values: scratch, depth }
    }

    /// `M` rows from `row` on, each a multiple of some smaller tile: values, distance of rows, distance along a row.
    fn rows<const M: usize>(&self, row: usize) -> Strided<'_, M> {
        match *self {
            Self::Rows { a, first, start, depth } => {
                let (values, distance) = a.rows_from(first + row, M);
                Strided::new(&values[start..], distance, 1, depth)
            }
            Self::Tiles { values, depth } => {
                let at = row / TILE * TILE * depth + row % TILE;
                Strided::new(&values[at..], 1, TILE, depth)
            }
        }
    }
}

/// A part of the inner extent of a panel, the columns that it stands for, and whether their product is added.
struct Right<'a> {
    panel: &'a [[f32; PANEL]],
    columns: Range<usize>,
    add: bool,
}

/// `M` rows from `row` on with a panel; `out` begins at their first value.
fn tile<const M: usize>(
    (out, stride): (&mut [f32], usize),
    left: &Left<'_>,
    row: usize,
    right: &Right<'_>,
) -> usize {
    let (rows, panel, add) = (left.rows::<M>(row), right.panel, right.add);
    if right.columns.len() == PANEL {
        multiply(&rows, panel, &mut Block::new(out, stride, add));
        return M;
    }
    let mut sums = [[0.0; PANEL]; M];
    multiply(&rows, panel, &mut Block::new(sums.as_flattened_mut(), PANEL, false));
    for (out, sums) in out.chunks_mut(stride).zip(&sums) {
        let own = out[..right.columns.len()].iter_mut().zip(sums);
        own.for_each(|(o, s)| *o = if add { *o + s } else { *s });
    }
    M
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::testing::numbers;

    /// The products in double precision.
    fn plain(a: &[f32], b: &[f32], (m, k, n): (usize, usize, usize)) -> Vec<f64> {
        let at = |i: usize, j: usize| (0..k).map(|p| f64::from(a[i * k + p]) * f64::from(b[j * k + p])).sum();
        (0..m * n).map(|i| at(i / n, i % n)).collect()
    }

    #[test]
    fn products_of_all_kinds_of_extents() {
        for (m, k, n) in [(1, 1, 1), (3, 5, 31), (7, 513, 33), (12, 8, 64), (27, 1030, 70), (130, 600, 100)] {
            let (a, b) = (numbers(m * k), numbers(n * k));
            let packed = Packed::new(View::new(&b, k).t());
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
    fn products_of_transposes_and_into_columns() {
        for (m, k, n) in [(1, 3, 2), (30, 520, 40), (250, 7, 33)] {
            let (a, b) = (numbers(m * k), numbers(n * k));
            let turned = |x: &[f32], rows: usize, columns: usize| -> Vec<f32> {
                (0..x.len()).map(|i| x[i % rows * columns + i / rows]).collect()
            };
            let (a_turned, b_turned) = (turned(&a, m, k), turned(&b, n, k));
            let (left, right) = (View::new(&a, k), View::new(&b, k).t());
            let wanted = product(left, right);
            assert_eq!(product(View::new(&a_turned, m).t(), right), wanted);
            assert_eq!(product(left, View::new(&b_turned, n)), wanted);
            let mut out = vec![7.0; m * (n + 5)];
            gemm_columns(&mut out, (n + 5, 2), View::new(&a_turned, m).t(), right);
            for (out, wanted) in out.chunks(n + 5).zip(wanted.chunks(n)) {
                assert_eq!(&out[2..n + 2], wanted);
                assert!(out[..2].iter().chain(&out[n + 2..]).all(|x| *x == 7.0));
            }
        }
    }

    #[test]
    fn a_part_of_the_inner_extent() {
        let (a, b) = (numbers(5 * 40), numbers(9 * 100));
        let (packed, mut out) = (Packed::new(View::new(&b, 100).t()), vec![0.0; 5 * 9]);
        gemm_packed(&mut out, View::new(&a, 40), (&packed, 60), false);
        let part: Vec<f32> = b.chunks(100).flat_map(|row| row[60..].to_vec()).collect();
        let wanted = plain(&a, &part, (5, 40, 9));
        assert!(out.iter().zip(wanted).all(|(o, w)| (f64::from(*o) - w).abs() < 1e-5));
    }

    #[test]
    fn a_row_does_not_depend_on_its_neighbours() {
        let (m, k, n) = (29, 700, 50);
        let (a, packed) = (numbers(m * k), Packed::new(View::new(&numbers(n * k), k).t()));
        let mut all = vec![0.0; m * n];
        gemm_packed(&mut all, View::new(&a, k), (&packed, 0), false);
        for (row, wanted) in a.chunks(k).zip(all.chunks(n)) {
            let mut one = vec![0.0; n];
            gemm_packed(&mut one, View::new(row, k), (&packed, 0), false);
            assert_eq!(one, wanted);
        }
    }

    #[test]
    #[should_panic(expected = "inner extents")]
    fn extents_that_do_not_fit_are_refused() {
        gemm_packed(&mut [0.0], View::new(&[1.0, 2.0], 2), (&Packed::new(View::new(&[1.0], 1)), 0), false);
    }
}
