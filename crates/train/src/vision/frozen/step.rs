//! One step of a frozen pass: which kernel does it, and where its result lies.

use super::{NodeId, Scratch, Step, Work};
use crate::math::dot;
use crate::trunk::over_channels;
use crate::vision::kernels::{self, Layer};
use crate::vision::moves;
use capwright_blueprint::{Conv, Op, Shape};

impl Step {
    /// The value that the step makes, from those made before.
    pub(super) fn run(&self, values: &mut [Option<Vec<f32>>], scratch: &mut Scratch) -> Vec<f32> {
        // A value that nothing reads afterwards can be changed in place.
        let in_place = matches!(
            &self.work,
            Work::Affine { .. } | Work::Offset(_) | Work::Plain(Op::Act(_) | Op::Add | Op::Mul)
        );
        let (first, same) = (self.inputs[0], self.inputs.get(1) == self.inputs.first());
        if in_place && !same && self.done.contains(&first) {
            let mut out = values[first].take().unwrap_or_default();
            self.change(&mut out, values);
            return out;
        }
        let mut out = scratch.maps.pop().unwrap_or_default();
        out.resize(self.to.len(), 0.0);
        let x = input(values, first);
        if in_place {
            out.copy_from_slice(x);
            self.change(&mut out, values);
            return out;
        }
        let shapes = (self.from, self.to);
        match &self.work {
            Work::Conv { conv, weight, bias, act } => {
                convolve(&mut out, conv, (weight, bias, *act), x, shapes, &mut scratch.columns);
            }
            Work::Linear { weight, bias, act } => {
                let cells = self.from.h * self.from.w;
                pointwise(&mut out, (weight, bias, *act), x, self.from.c, cells);
            }
            Work::LayerNorm { weight, bias, eps } => out = over_channels(x, weight, bias, *eps).0,
            Work::Attention { sight, table } => out = sight.forward(x, 1, table).0,
            Work::Token(token) => {
                let rows = out.chunks_exact_mut(self.to.w).zip(x.chunks_exact(self.to.w - 1)).zip(token);
                rows.for_each(|((out, x), token)| {
                    out[0] = *token;
                    out[1..].copy_from_slice(x);
                });
            }
            Work::Plain(op) => self.gather(*op, &mut out, values),
            Work::Affine { .. } | Work::Offset(_) => {}
        }
        out
    }

    /// Steps that change their first input.
    fn change(&self, out: &mut [f32], values: &[Option<Vec<f32>>]) {
        let second = |i: &[NodeId]| input(values, i[1]);
        match &self.work {
            Work::Affine { scale, shift } => {
                for ((row, s), t) in out.chunks_exact_mut(self.to.h * self.to.w).zip(scale).zip(shift) {
                    row.iter_mut().for_each(|x| *x = *x * s + t);
                }
            }
            Work::Offset(map) => out.iter_mut().zip(map).for_each(|(x, y)| *x += y),
            Work::Plain(Op::Act(act)) => kernels::curve(out, *act),
            Work::Plain(Op::Add) => {
                out.iter_mut().zip(second(&self.inputs)).for_each(|(x, y)| *x += y);
            }
            Work::Plain(Op::Mul) => {
                let (gate, cells) = (second(&self.inputs), self.to.h * self.to.w);
                if gate.len() == self.to.c {
                    for (row, g) in out.chunks_exact_mut(cells).zip(gate) {
                        row.iter_mut().for_each(|x| *x *= g);
                    }
                } else {
                    let parts = out.chunks_exact_mut(gate.len().max(1));
                    parts.for_each(|part| part.iter_mut().zip(gate).for_each(|(x, g)| *x *= g));
                }
            }
            _ => {}
        }
    }

    /// Steps that read whole maps.
    fn gather(&self, op: Op, out: &mut [f32], values: &[Option<Vec<f32>>]) {
        let x = input(values, self.inputs[0]);
        let cells = self.from.h * self.from.w;
        let planes = || x.chunks_exact(cells);
        match op {
            op if moves::only_moves(op) => moves::moved(op, (self.from, self.to), x, out),
            Op::MaxPool { kernel, stride, padding, .. } => {
                kernels::pool(out, x, (self.from, self.to), (kernel, stride, padding), true);
            }
            Op::AvgPool { kernel, stride, padding } => {
                kernels::pool(out, x, (self.from, self.to), (kernel, stride, padding), false);
            }
            Op::AdaptiveAvgPool { side } => {
                let planes = planes().zip(out.chunks_exact_mut(side * side));
                planes.for_each(|(plane, out)| adaptive(out, plane, (self.from.h, self.from.w), side));
            }
            Op::GlobalAvgPool => out
                .iter_mut()
                .zip(planes())
                .for_each(|(o, plane)| *o = plane.iter().sum::<f32>() / cells as f32),
            Op::GlobalMaxPool => out
                .iter_mut()
                .zip(planes())
                .for_each(|(o, plane)| *o = plane.iter().copied().fold(f32::NEG_INFINITY, f32::max)),
            Op::SumCells => out.iter_mut().zip(planes()).for_each(|(o, plane)| *o = plane.iter().sum()),
            Op::Stack => {
                let parts: Vec<&[f32]> = self.inputs.iter().map(|id| input(values, *id)).collect();
                let rows = out.chunks_exact_mut(parts.len().max(1)).enumerate();
                rows.for_each(|(c, row)| row.iter_mut().zip(&parts).for_each(|(o, part)| *o = part[c]));
            }
            Op::ChannelMean => {
                out.fill(0.0);
                planes().for_each(|plane| out.iter_mut().zip(plane).for_each(|(o, x)| *o += x));
                out.iter_mut().for_each(|o| *o /= self.from.c as f32);
            }
            Op::ChannelMax => {
                out.fill(f32::NEG_INFINITY);
                planes().for_each(|plane| out.iter_mut().zip(plane).for_each(|(o, x)| *o = o.max(*x)));
            }
            Op::Concat => {
                let mut at = 0;
                for id in &self.inputs {
                    let part = input(values, *id);
                    out[at..at + part.len()].copy_from_slice(part);
                    at += part.len();
                }
            }
            Op::Cells { .. } | Op::Slice { .. } | Op::Shuffle { .. } | Op::Quarters | Op::Flatten => {}
            Op::Input(_) | Op::Conv(_) | Op::BatchNorm { .. } | Op::Act(_) | Op::Linear { .. } => {}
            Op::LayerNorm { .. } | Op::LayerScale { .. } | Op::Attend { .. } | Op::WindowAttend { .. } => {}
            Op::ClassToken { .. } | Op::Positions { .. } | Op::Add | Op::Mul => {}
            Op::GroupNorm { .. } | Op::MixCells { .. } | Op::ChannelConv { .. } | Op::AxisMeans => {
                unreachable!("no backbone of the zoo has {op:?}")
            }
        }
    }
}

/// Means over the windows of PyTorch's `AdaptiveAvgPool2d`: from `⌊i · n / side⌋` to `⌈(i + 1) · n / side⌉`.
fn adaptive(out: &mut [f32], plane: &[f32], (h, w): (usize, usize), side: usize) {
    let window = |i: usize, n: usize| i * n / side..((i + 1) * n).div_ceil(side);
    for (i, out) in out.iter_mut().enumerate() {
        let (rows, columns) = (window(i / side, h), window(i % side, w));
        let cells = (rows.len() * columns.len()) as f32;
        *out = rows.map(|r| plane[r * w..][columns.clone()].iter().sum::<f32>()).sum::<f32>() / cells;
    }
}

/// A value that an earlier step made; graphs are in evaluation order, so it is there.
fn input(values: &[Option<Vec<f32>>], id: NodeId) -> &[f32] {
    values[id].as_deref().unwrap_or_default()
}

fn convolve(
    out: &mut [f32],
    conv: &Conv,
    layer: Layer<'_>,
    x: &[f32],
    (from, to): (Shape, Shape),
    scratch: &mut Vec<f32>,
) {
    if kernels::is_depthwise(conv) {
        return kernels::depthwise(out, conv, layer, x, (from, to), scratch);
    }
    if conv.is_pointwise() && conv.groups == 1 {
        return pointwise(out, layer, x, conv.input, to.h * to.w);
    }
    kernels::dense(out, conv, layer, x, (from, to), scratch);
}

/// [`kernels::pointwise`]; of a single cell, as gates are, by scalar products: a product of matrices lays out columns in panels, of
/// which one would fill a small part. Their sums have another order, so that the trunk, which sees an image alone as it sees several,
/// must not take them.
fn pointwise(out: &mut [f32], layer: Layer<'_>, x: &[f32], input: usize, cells: usize) {
    if cells > 1 {
        return kernels::pointwise(out, layer, x, input, cells);
    }
    let (weight, bias, act) = layer;
    let rows = out.iter_mut().zip(weight.chunks_exact(input)).zip(bias);
    rows.for_each(|((out, row), b)| *out = dot(row, x) + b);
    act.into_iter().for_each(|act| kernels::curve(out, act));
}
