//! Matrices inside slices.

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

    /// Whether the values of a row lie side by side; otherwise those of a column do.
    pub(super) fn lies_by_rows(&self) -> bool {
        self.col_stride == 1
    }

    /// The slice from row `first` on, which has `count` more, and the distance from one to the next.
    pub(super) fn rows_from(&self, first: usize, count: usize) -> (&'a [f32], usize) {
        assert!(first + count <= self.rows);
        (&self.data[first * self.row_stride..], self.row_stride)
    }

    /// The values of a row, which lie side by side.
    pub(super) fn row(&self, i: usize) -> &'a [f32] {
        assert!(i < self.rows && self.col_stride == 1);
        &self.data[i * self.row_stride..][..self.cols]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::{gemm, product};

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
