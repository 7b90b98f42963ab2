//! Matrix products over slices, by the same kernels that burn's CPU back end uses.

use crate::macs;

/// A matrix inside a slice: extents and strides in values.
#[derive(Clone, Copy)]
pub struct View<'a> {
    data: &'a [f32],
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
}

impl<'a> View<'a> {
    /// A row-major matrix of `cols` columns; the slice is all of it.
    pub fn new(data: &'a [f32], cols: usize) -> Self {
        Self { data, rows: data.len() / cols, cols, row_stride: cols, col_stride: 1 }
    }

    /// The transpose.
    pub fn t(self) -> Self {
        Self {
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
            ..self
        }
    }

    /// The columns from `from` up to `to`.
    pub fn columns(self, from: usize, to: usize) -> Self {
        assert!(from <= to && to <= self.cols);
        let start = (from * self.col_stride).min(self.data.len());
        Self { data: &self.data[start..], cols: to - from, ..self }
    }

    /// Rows and columns.
    pub(super) fn extents(&self) -> (usize, usize) {
        (self.rows, self.cols)
    }

    /// The values of a row, which lie side by side.
    pub(super) fn row(&self, i: usize) -> &'a [f32] {
        assert!(i < self.rows && self.col_stride == 1);
        &self.data[i * self.row_stride..][..self.cols]
    }

    /// Index after the last value that the matrix reaches.
    fn reach(&self) -> usize {
        if self.rows == 0 || self.cols == 0 {
            return 0;
        }
        (self.rows - 1) * self.row_stride + (self.cols - 1) * self.col_stride + 1
    }
}

/// `out = a · b`, or `out += a · b` where `add`; `out` is row-major and contiguous.
///
/// # Panics
/// Where extents do not fit.
pub fn gemm(out: &mut [f32], a: View<'_>, b: View<'_>, add: bool) {
    let (m, n, k) = (a.rows, b.cols, a.cols);
    assert_eq!(k, b.rows, "inner extents");
    assert_eq!(out.len(), m * n, "outer extents");
    assert!(a.reach() <= a.data.len() && b.reach() <= b.data.len(), "views inside their slices");
    if m == 0 || n == 0 {
        return;
    }
    macs::add(m * n * k);
    let threads = rayon::current_num_threads();
    let large = m * n * k > 1 << 22;
    let parallelism =
        if threads > 1 && large { gemm::Parallelism::Rayon(threads) } else { gemm::Parallelism::None };
    let stride = |s: usize| s as isize;
    // SAFETY: the assertions above keep every index inside the three slices, `out` is borrowed mutably and so
    // overlaps neither input, and all three hold initialised values.
    #[allow(unsafe_code)]
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            stride(n),
            add,
            a.data.as_ptr(),
            stride(a.col_stride),
            stride(a.row_stride),
            b.data.as_ptr(),
            stride(b.col_stride),
            stride(b.row_stride),
            1.0f32,
            1.0f32,
            false,
            false,
            false,
            parallelism,
        );
    }
}

/// `a · b` in a new vector, row-major.
pub fn product(a: View<'_>, b: View<'_>) -> Vec<f32> {
    let mut out = vec![0.0; a.rows * b.cols];
    gemm(&mut out, a, b, false);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_of_views() {
        let a = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let b = [1.0, 0.0, 2.0, 1.0, 1.0, 1.0];
        assert_eq!(product(View::new(&a, 3), View::new(&b, 2)), [8.0, 5.0, 20.0, 11.0]);
        assert_eq!(product(View::new(&a, 3).t(), View::new(&b[..4], 2)), [9.0, 4.0, 12.0, 5.0, 15.0, 6.0]);
        let part = View::new(&a, 3).columns(1, 3);
        assert_eq!(product(part, View::new(&b[..4], 2)), [8.0, 3.0, 17.0, 6.0]);
        let mut sum = vec![1.0; 4];
        gemm(&mut sum, part, View::new(&b[..4], 2), true);
        assert_eq!(sum, [9.0, 4.0, 18.0, 7.0]);
    }

    #[test]
    #[should_panic(expected = "inner extents")]
    fn extents_that_do_not_fit_are_refused() {
        product(View::new(&[1.0, 2.0], 2), View::new(&[1.0, 2.0, 3.0], 1));
    }
}
