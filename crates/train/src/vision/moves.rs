//! Ops that only move values: both engines do what is said here of one image.

use capwright_blueprint::{Op, Shape};

/// Where the value at `i` of what `op` makes stands in the map that it reads; both row-major, `[c, h, w]`.
pub(crate) fn origin(op: Op, (from, to): (Shape, Shape), i: usize) -> usize {
    let (cells, made) = (from.h * from.w, to.h * to.w);
    let (channel, cell) = (i / made, i % made);
    match op {
        Op::Cells { from: first, .. } => channel * cells + first + cell,
        Op::Slice { from: first, .. } => (first + channel) * cells + cell,
        Op::Shuffle { groups } => (channel % groups * (from.c / groups) + channel / groups) * cells + cell,
        Op::Quarters => {
            let (quarter, channel) = (channel / from.c, channel % from.c);
            let (row, column) = (2 * (cell / to.w) + quarter % 2, 2 * (cell % to.w) + quarter / 2);
            (channel * from.h + row) * from.w + column
        }
        _ => i,
    }
}

/// Whether `op` only moves values.
pub(crate) fn only_moves(op: Op) -> bool {
    matches!(op, Op::Cells { .. } | Op::Slice { .. } | Op::Shuffle { .. } | Op::Quarters | Op::Flatten)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moved(op: Op, from: Shape) -> Vec<usize> {
        let to = op.shape(&[from]).unwrap();
        (0..to.len()).map(|i| origin(op, (from, to), i)).collect()
    }

    #[test]
    fn values_come_from_where_the_definition_says() {
        let map = Shape::new(2, 2, 4);
        assert_eq!(moved(Op::Cells { from: 1, h: 1, w: 2 }, map), [1, 2, 9, 10]);
        assert_eq!(moved(Op::Slice { from: 1, channels: 1 }, map), [8, 9, 10, 11, 12, 13, 14, 15]);
        assert_eq!(moved(Op::Shuffle { groups: 2 }, Shape::new(6, 1, 1)), [0, 3, 1, 4, 2, 5]);
        let quarters = [0, 2, 8, 10, 4, 6, 12, 14, 1, 3, 9, 11, 5, 7, 13, 15];
        assert_eq!(moved(Op::Quarters, map), quarters);
        assert_eq!(moved(Op::Flatten, map), (0..16).collect::<Vec<usize>>());
    }
}
