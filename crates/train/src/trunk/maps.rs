//! What has nothing learned: non-linearities, pools, means, gates and joins of a batch, forward and backward.

use super::Place;
use crate::math::{add_row, gelu, gelu_back, sigmoid_all};
use crate::vision::{kernels, moves};
use capwright_blueprint::{Activation, Op, Shape};
use std::ops::Range;

/// A non-linearity of each value.
pub(super) fn activate(act: Activation, x: &[f32]) -> Vec<f32> {
    let mut y = x.to_vec();
    pulp::Arch::new().dispatch(|| match act {
        Activation::Relu => y.iter_mut().for_each(|y| *y = y.max(0.0)),
        Activation::Relu6 => y.iter_mut().for_each(|y| *y = y.clamp(0.0, 6.0)),
        Activation::HardSwish => y.iter_mut().for_each(|y| *y *= (*y + 3.0).clamp(0.0, 6.0) / 6.0),
        Activation::Silu => {
            sigmoid_all(&mut y);
            y.iter_mut().zip(x).for_each(|(y, x)| *y *= x);
        }
        Activation::Gelu => gelu(&mut y),
        Activation::Sigmoid => sigmoid_all(&mut y),
        Activation::HardSigmoid => y.iter_mut().for_each(|y| *y = (*y + 3.0).clamp(0.0, 6.0) / 6.0),
    });
    y
}

/// Backward of [`activate`] from `x` to `y`.
pub(super) fn activate_back(act: Activation, x: &[f32], y: &[f32], mut d: Vec<f32>) -> Vec<f32> {
    let keep = |d: &mut [f32], inside: fn(f32) -> bool| {
        d.iter_mut().zip(x).for_each(|(d, x)| *d = if inside(*x) { *d } else { 0.0 });
    };
    pulp::Arch::new().dispatch(|| match act {
        Activation::Relu => keep(&mut d, |x| x > 0.0),
        Activation::Relu6 => keep(&mut d, |x| x > 0.0 && x < 6.0),
        Activation::HardSwish => d.iter_mut().zip(x).for_each(|(d, x)| {
            let slope = if *x <= -3.0 {
                0.0
            } else if *x >= 3.0 {
                1.0
            } else {
                (2.0 * x + 3.0) / 6.0
            };
            *d *= slope;
        }),
        Activation::Silu => {
            let mut gate = x.to_vec();
            sigmoid_all(&mut gate);
            d.iter_mut().zip(gate.iter().zip(x)).for_each(|(d, (g, x))| *d *= g * (1.0 + x * (1.0 - g)));
        }
        Activation::Gelu => gelu_back(&mut d, x),
        Activation::Sigmoid => d.iter_mut().zip(y).for_each(|(d, y)| *d *= y * (1.0 - y)),
        Activation::HardSigmoid => {
            keep(&mut d, |x| x > -3.0 && x < 3.0);
            d.iter_mut().for_each(|d| *d /= 6.0);
        }
    });
    d
}

/// Ops that read one map, plane by plane or across its channels.
pub(super) fn pooled(op: Op, place: Place, x: &[f32]) -> Vec<f32> {
    let Place { from, to, images } = place;
    let (cells, made) = (from.h * from.w, to.h * to.w);
    let mut out = vec![0.0; images * to.len()];
    let mut each = |one: &dyn Fn(&mut [f32], &[f32])| {
        out.chunks_exact_mut(made).zip(x.chunks_exact(cells)).for_each(|(out, plane)| one(out, plane));
    };
    match op {
        Op::MaxPool { kernel, stride, padding, .. } => {
            kernels::pool(&mut out, x, (from, to), (kernel, stride, padding), true);
        }
        Op::AvgPool { kernel, stride, padding } => {
            kernels::pool(&mut out, x, (from, to), (kernel, stride, padding), false);
        }
        Op::AdaptiveAvgPool { side } => each(&|out, plane| {
            for (i, out) in out.iter_mut().enumerate() {
                let (rows, columns) = adaptive(i, from, side);
                let count = (rows.len() * columns.len()) as f32;
                let sum: f32 = rows.map(|r| plane[r * from.w..][columns.clone()].iter().sum::<f32>()).sum();
                *out = sum / count;
            }
        }),
        Op::GlobalAvgPool => each(&|out, plane| out[0] = plane.iter().sum::<f32>() / cells as f32),
        Op::GlobalMaxPool => each(&|out, plane| out[0] = plane[top(plane.iter().copied())]),
        Op::SumCells => each(&|out, plane| out[0] = plane.iter().sum()),
        Op::AxisMeans => each(&|out, plane| {
            for (row, line) in plane.chunks_exact(from.w).enumerate() {
                out[row] = line.iter().sum::<f32>() / from.w as f32;
                add_row(&mut out[from.h..], line);
            }
            out[from.h..].iter_mut().for_each(|sum| *sum /= from.h as f32);
        }),
        Op::ChannelMean => {
            x.chunks_exact(out.len()).for_each(|row| add_row(&mut out, row));
            out.iter_mut().for_each(|sum| *sum /= from.c as f32);
        }
        Op::ChannelMax => {
            out.fill(f32::NEG_INFINITY);
            for row in x.chunks_exact(out.len()) {
                out.iter_mut().zip(row).for_each(|(out, x)| *out = if *x > *out { *x } else { *out });
            }
        }
        _ => unreachable!("{op:?} reads more than one map, or learns"),
    }
    out
}

/// Calls `with` for each value that `op` moves: its place in the map that comes out, and in the one that it comes from.
fn moving(op: Op, Place { from, to, images }: Place, mut with: impl FnMut(usize, usize)) {
    let (cells, made) = (from.h * from.w, to.h * to.w);
    for i in 0..to.len() {
        let origin = moves::origin(op, (from, to), i);
        let here = i / made * images * made + i % made;
        let there = origin / cells * images * cells + origin % cells;
        (0..images).for_each(|image| with(here + image * made, there + image * cells));
    }
}

/// Ops that only move values.
pub(super) fn moved(op: Op, place: Place, x: &[f32]) -> Vec<f32> {
    let mut out = vec![0.0; place.images * place.to.len()];
    moving(op, place, |here, there| out[here] = x[there]);
    out
}

/// Backward of [`moved`].
pub(super) fn moved_back(op: Op, place: Place, d_y: &[f32]) -> Vec<f32> {
    let mut d_x = vec![0.0; place.images * place.from.len()];
    moving(op, place, |here, there| d_x[there] += d_y[here]);
    d_x
}

/// Place of the largest value, the first of equals.
fn top(values: impl Iterator<Item = f32>) -> usize {
    let mut best = (0, f32::NEG_INFINITY);
    values.enumerate().for_each(|(i, x)| best = if x > best.1 { (i, x) } else { best });
    best.0
}

/// The window of PyTorch's `AdaptiveAvgPool2d`: from `⌊i · n / side⌋` to `⌈(i + 1) · n / side⌉` in both directions.
fn adaptive(i: usize, from: Shape, side: usize) -> (Range<usize>, Range<usize>) {
    let window = |i: usize, n: usize| i * n / side..((i + 1) * n).div_ceil(side);
    (window(i / side, from.h), window(i % side, from.w))
}

/// Adds to the gradient of a plane, from the plane and the gradient of what came of it.
type PlaneBack<'a> = &'a dyn Fn(&mut [f32], &[f32], &[f32]);

/// Backward of [`pooled`].
pub(super) fn pooled_back(op: Op, place: Place, x: &[f32], d_y: &[f32]) -> Vec<f32> {
    let Place { from, to, .. } = place;
    let (cells, made) = (from.h * from.w, to.h * to.w);
    let mut d_x = vec![0.0; x.len()];
    let mut each = |one: PlaneBack<'_>| {
        let planes = d_x.chunks_exact_mut(cells).zip(x.chunks_exact(cells)).zip(d_y.chunks_exact(made));
        planes.for_each(|((d_x, x), d_y)| one(d_x, x, d_y));
    };
    match op {
        Op::MaxPool { kernel, stride, padding, .. } => each(&|d_x, x, d_y| {
            for (i, d) in d_y.iter().enumerate() {
                let inside = |at: usize, n: usize| window(at, (kernel, stride, padding), n);
                let (rows, columns) = (inside(i / to.w, from.h), inside(i % to.w, from.w));
                let places = rows.flat_map(|row| columns.clone().map(move |column| row * from.w + column));
                let best = top(places.clone().map(|at| x[at]));
                places.clone().nth(best).into_iter().for_each(|at| d_x[at] += d);
            }
        }),
        Op::AvgPool { kernel, stride, padding } => each(&|d_x, _, d_y| {
            for (i, d) in d_y.iter().enumerate() {
                let inside = |at: usize, n: usize| window(at, (kernel, stride, padding), n);
                for row in inside(i / to.w, from.h) {
                    let line = &mut d_x[row * from.w..][inside(i % to.w, from.w)];
                    line.iter_mut().for_each(|x| *x += d / (kernel * kernel) as f32);
                }
            }
        }),
        Op::AdaptiveAvgPool { side } => each(&|d_x, _, d_y| {
            for (i, d) in d_y.iter().enumerate() {
                let (rows, columns) = adaptive(i, from, side);
                let share = d / (rows.len() * columns.len()) as f32;
                rows.for_each(|r| d_x[r * from.w..][columns.clone()].iter_mut().for_each(|x| *x += share));
            }
        }),
        Op::GlobalAvgPool => each(&|d_x, _, d_y| d_x.fill(d_y[0] / cells as f32)),
        Op::GlobalMaxPool => each(&|d_x, x, d_y| d_x[top(x.iter().copied())] = d_y[0]),
        Op::SumCells => each(&|d_x, _, d_y| d_x.fill(d_y[0])),
        Op::AxisMeans => each(&|d_x, _, d_y| {
            for (row, line) in d_x.chunks_exact_mut(from.w).enumerate() {
                let (of_row, of_columns) = (d_y[row] / from.w as f32, &d_y[from.h..]);
                line.iter_mut().zip(of_columns).for_each(|(x, d)| *x = of_row + d / from.h as f32);
            }
        }),
        Op::ChannelMean => {
            let share = 1.0 / from.c as f32;
            d_x.chunks_exact_mut(d_y.len())
                .for_each(|row| row.iter_mut().zip(d_y).for_each(|(x, d)| *x = share * d));
        }
        Op::ChannelMax => {
            for (cell, d) in d_y.iter().enumerate() {
                d_x[top(x.iter().skip(cell).step_by(d_y.len()).copied()) * d_y.len() + cell] = *d;
            }
        }
        _ => unreachable!("{op:?} reads more than one map, or learns"),
    }
    d_x
}

/// The part of a window that lies within `n` cells.
fn window(at: usize, (kernel, stride, padding): (usize, usize, usize), n: usize) -> Range<usize> {
    (at * stride).saturating_sub(padding)..(at * stride + kernel).saturating_sub(padding).min(n)
}

/// How a gate lies over a map: the gate's value for each cell of the planes of a channel, image by image.
#[derive(Clone, Copy)]
pub(super) struct Gate {
    /// The gate's shape.
    pub(super) shape: Shape,
    /// The map's.
    pub(super) map: Shape,
    /// Images.
    pub(super) images: usize,
}

impl Gate {
    /// Calls `with` for each line of the map: its place, and that of the gate's values with the distance from one to the next.
    #[inline(always)]
    fn lines(&self, mut with: impl FnMut(usize, usize, usize)) {
        let (map, gate) = (self.map, self.shape);
        let many = |extent: usize| usize::from(extent > 1);
        for c in 0..map.c {
            for image in 0..self.images {
                let plane = (c * many(gate.c) * self.images + image) * gate.h * gate.w;
                for row in 0..map.h {
                    let at = ((c * self.images + image) * map.h + row) * map.w;
                    with(at, plane + row * many(gate.h) * gate.w, many(gate.w));
                }
            }
        }
    }

    /// The map times the gate.
    pub(super) fn times(&self, x: &[f32], gate: &[f32]) -> Vec<f32> {
        let (mut out, w) = (x.to_vec(), self.map.w);
        self.lines(|at, from, step| {
            let line = &mut out[at..at + w];
            match step {
                0 => line.iter_mut().for_each(|x| *x *= gate[from]),
                _ => line.iter_mut().zip(&gate[from..from + w]).for_each(|(x, g)| *x *= g),
            }
        });
        out
    }

    /// Backward of [`Gate::times`]: gradients of map and gate.
    pub(super) fn times_back(&self, x: &[f32], gate: &[f32], d_y: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let (w, mut d_gate) = (self.map.w, vec![0.0; gate.len()]);
        self.lines(|at, from, step| {
            let cells = x[at..at + w].iter().zip(&d_y[at..at + w]);
            match step {
                0 => d_gate[from] += cells.map(|(x, d)| x * d).sum::<f32>(),
                _ => d_gate[from..from + w].iter_mut().zip(cells).for_each(|(g, (x, d))| *g += x * d),
            }
        });
        (self.times(d_y, gate), d_gate)
    }
}

/// Vectors side by side: `[c, n, 1, inputs]`.
pub(super) fn stacked(inputs: &[&[f32]]) -> Vec<f32> {
    (0..inputs[0].len()).flat_map(|i| inputs.iter().map(move |input| input[i])).collect()
}

/// Backward of [`stacked`]: the gradients of each.
pub(super) fn unstacked(d_y: &[f32], inputs: usize) -> impl Iterator<Item = Vec<f32>> {
    (0..inputs).map(move |at| d_y.iter().skip(at).step_by(inputs).copied().collect())
}

/// Backward of maps after each other: the gradients of each.
pub(super) fn parted(mut d_y: &[f32], inputs: &[&[f32]]) -> impl Iterator<Item = Vec<f32>> {
    inputs.iter().map(move |input| d_y.split_off(..input.len()).expect("a gradient for each value").to_vec())
}
