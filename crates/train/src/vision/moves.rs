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

/// What `op` makes of one image.
pub(crate) fn moved(op: Op, (from, to): (Shape, Shape), x: &[f32], out: &mut [f32]) {
    let cells = from.h * from.w;
    match op {
        // Whole planes.
        Op::Slice { .. } | Op::Shuffle { .. } => {
            for (channel, plane) in out.chunks_exact_mut(cells).enumerate() {
                plane.copy_from_slice(&x[origin(op, (from, to), channel * cells)..][..cells]);
            }
        }
        Op::Flatten => out.copy_from_slice(x),
        op => out.iter_mut().enumerate().for_each(|(i, out)| *out = x[origin(op, (from, to), i)]),
    }
}

/// Whether `op` only moves values.
pub(crate) fn only_moves(op: Op) -> bool {
    matches!(op, Op::Cells { .. } | Op::Slice { .. } | Op::Shuffle { .. } | Op::Quarters | Op::Flatten)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(op: Op, from: Shape) -> Vec<usize> {
        let to = op.shape(&[from]).unwrap();
        let places: Vec<usize> = (0..to.len()).map(|i| origin(op, (from, to), i)).collect();
        let (x, mut out) = ((0..from.len()).map(|i| i as f32).collect::<Vec<f32>>(), vec![0.0; to.len()]);
        moved(op, (from, to), &x, &mut out);
        assert!(out.iter().zip(&places).all(|(x, place)| *x == *place as f32), "{op:?}");
        places
    }

    #[test]
    fn values_come_from_where_the_definition_says() {
        let map = Shape::new(2, 2, 4);
        assert_eq!(places(Op::Cells { from: 1, h: 1, w: 2 }, map), [1, 2, 9, 10]);
        assert_eq!(places(Op::Slice { from: 1, channels: 1 }, map), [8, 9, 10, 11, 12, 13, 14, 15]);
        assert_eq!(places(Op::Shuffle { groups: 2 }, Shape::new(6, 1, 1)), [0, 3, 1, 4, 2, 5]);
        let quarters = [0, 2, 8, 10, 4, 6, 12, 14, 1, 3, 9, 11, 5, 7, 13, 15];
        assert_eq!(places(Op::Quarters, map), quarters);
        assert_eq!(places(Op::Flatten, map), (0..16).collect::<Vec<usize>>());
    }
}
