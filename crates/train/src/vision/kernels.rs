//! Host kernels of the frozen forward pass, one image at a time, channels first.
//!
//! Loops run inside [`pulp::Arch::dispatch`], which compiles them for AVX2 where the machine has it. Why not tensors:
//! a frozen pass spends its time on memory traffic between small operations; here bias and non-linearity are one
//! pass over a map that is still in the cache, and maps are reused.

mod depthwise;

pub(crate) use depthwise::{depthwise, depthwise_weights, is_depthwise};

use crate::math::{View, gelu, gemm_columns, sigmoid_all, silu_all};
use capwright_blueprint::{Activation, Conv, Shape};

/// Values that the depthwise kernel handles at once.
const LANES: usize = 32;
/// Values of input and output of a 1 × 1 convolution that are in work at once: they stay in the second cache.
const CACHED: usize = 300_000;

/// Values of gathered columns that are in work at once.
const COLUMNS: usize = 1 << 17;

/// Weights of a layer, its bias for each output channel, and what follows it.
pub(crate) type Layer<'a> = (&'a [f32], &'a [f32], Option<Activation>);

/// Adds the bias of its channel to a row and applies the non-linearity.
#[inline(always)]
fn bias_act(row: &mut [f32], b: f32, act: Option<Activation>) {
    match act {
        None => row.iter_mut().for_each(|x| *x += b),
        Some(Activation::Relu) => row.iter_mut().for_each(|x| *x = (*x + b).max(0.0)),
        Some(Activation::Relu6) => row.iter_mut().for_each(|x| *x = (*x + b).clamp(0.0, 6.0)),
        Some(act @ (Activation::Gelu | Activation::Silu | Activation::Sigmoid)) => {
            row.iter_mut().for_each(|x| *x += b);
            curve(row, act);
        }
        Some(act) => row.iter_mut().for_each(|x| *x = activate(act, *x + b)),
    }
}

/// A non-linearity of a whole row: those with exponentials in lanes.
pub(crate) fn curve(row: &mut [f32], act: Activation) {
    match act {
        Activation::Gelu => gelu(row),
        Activation::Silu => silu_all(row),
        Activation::Sigmoid => sigmoid_all(row),
        act => row.iter_mut().for_each(|x| *x = activate(act, *x)),
    }
}

/// One value of a non-linearity.
pub(crate) fn activate(act: Activation, x: f32) -> f32 {
    let sigmoid = |x: f32| 1.0 / (1.0 + (-x).exp());
    match act {
        Activation::Relu => x.max(0.0),
        Activation::Relu6 => x.clamp(0.0, 6.0),
        Activation::Silu => x * sigmoid(x),
        Activation::Gelu => 0.5 * x * (1.0 + libm::erff(x * std::f32::consts::FRAC_1_SQRT_2)),
        Activation::HardSwish => x * (x + 3.0).clamp(0.0, 6.0) / 6.0,
        Activation::Sigmoid => sigmoid(x),
        Activation::HardSigmoid => (x + 3.0).clamp(0.0, 6.0) / 6.0,
    }
}

/// A 1 × 1 convolution with stride 1: `out[o][p] = act(Σ weight[o][i] · x[i][p] + bias[o])`, so many cells at a time that
/// bias and non-linearity find them in the cache.
pub(crate) fn pointwise(
    out: &mut [f32],
    (weight, bias, act): Layer<'_>,
    x: &[f32],
    input: usize,
    cells: usize,
) {
    let part = (CACHED / (input + bias.len())).max(1).next_multiple_of(LANES);
    for first in (0..cells).step_by(part) {
        let last = cells.min(first + part);
        let columns = View::new(x, cells).columns(first, last);
        gemm_columns(out, (cells, first), View::new(weight, input), columns);
        pulp::Arch::new().dispatch(|| {
            let rows = out.chunks_exact_mut(cells).zip(bias);
            rows.for_each(|(row, b)| bias_act(&mut row[first..last], *b, act));
        });
    }
}

/// Any convolution: columns are gathered group by group, for as many rows of the result as stay in the cache, then multiplied.
pub(crate) fn dense(
    out: &mut [f32],
    conv: &Conv,
    (weight, bias, act): Layer<'_>,
    x: &[f32],
    (from, to): (Shape, Shape),
    scratch: &mut Vec<f32>,
) {
    let (inputs, outputs) = (conv.input / conv.groups, conv.output / conv.groups);
    let (taps, cells, plane) = (conv.taps(), to.h * to.w, from.h * from.w);
    let step = (COLUMNS / (taps * to.w)).clamp(1, to.h);
    let (high, wide) = (conv.kernel, conv.width);
    for group in 0..conv.groups {
        let part = &x[group * inputs * plane..][..inputs * plane];
        let weight = &weight[group * outputs * taps..][..outputs * taps];
        let bias = &bias[group * outputs..][..outputs];
        let out = &mut out[group * outputs * cells..][..outputs * cells];
        for top in (0..to.h).step_by(step) {
            let rows = top..to.h.min(top + step);
            let (first, last) = (rows.start * to.w, rows.end * to.w);
            scratch.resize(taps * (last - first), 0.0);
            for (tap, row) in scratch.chunks_exact_mut(last - first).enumerate() {
                let (channel, ky, kx) = (tap / (high * wide), tap / wide % high, tap % wide);
                column(row, conv, &part[channel * plane..][..plane], (from, to.w, rows.start), (ky, kx));
            }
            let columns = View::new(scratch, last - first);
            gemm_columns(out, (cells, first), View::new(weight, taps), columns);
            pulp::Arch::new().dispatch(|| {
                let rows = out.chunks_exact_mut(cells).zip(bias);
                rows.for_each(|(row, b)| bias_act(&mut row[first..last], *b, act));
            });
        }
    }
}

/// What one tap of the kernel sees of one channel, for each cell of some rows of the result, from row `top` on.
fn column(
    row: &mut [f32],
    conv: &Conv,
    plane: &[f32],
    (from, width, top): (Shape, usize, usize),
    (ky, kx): (usize, usize),
) {
    let (stride, pad) = (conv.stride, conv.padding);
    // Columns x with 0 ≤ x · stride + kx - left < w.
    let first = pad.left.saturating_sub(kx).div_ceil(stride).min(width);
    let last = (from.w + pad.left).saturating_sub(kx).div_ceil(stride).clamp(first, width);
    for (y, line) in row.chunks_exact_mut(width).enumerate() {
        let at = ((top + y) * stride + ky).checked_sub(pad.top).filter(|at| *at < from.h);
        let Some(at) = at.filter(|_| first < last) else {
            line.fill(0.0);
            continue;
        };
        line[..first].fill(0.0);
        line[last..].fill(0.0);
        let source = &plane[at * from.w..][..from.w][first * stride + kx - pad.left..];
        let line = &mut line[first..last];
        if stride == 1 {
            line.copy_from_slice(&source[..line.len()]);
        } else {
            line.iter_mut().zip(source.iter().step_by(stride)).for_each(|(to, x)| *to = *x);
        }
    }
}

/// The largest value or the mean of each window; padding counts as minus infinity, or as zeros.
pub(crate) fn pool(
    out: &mut [f32],
    x: &[f32],
    (from, to): (Shape, Shape),
    (kernel, stride, padding): (usize, usize, usize),
    max: bool,
) {
    let range = |at: usize, n: usize| {
        (at * stride).saturating_sub(padding)..(at * stride + kernel).saturating_sub(padding).min(n)
    };
    let (empty, share) = if max { (f32::NEG_INFINITY, 1.0) } else { (0.0, 1.0 / (kernel * kernel) as f32) };
    let mut joined = vec![empty; from.w];
    pulp::Arch::new().dispatch(|| {
        for (plane, out) in x.chunks_exact(from.h * from.w).zip(out.chunks_exact_mut(to.h * to.w)) {
            for (y, out) in out.chunks_exact_mut(to.w).enumerate() {
                // The rows of the windows first, all columns at once.
                joined.fill(empty);
                for line in
                    plane[range(y, from.h).start * from.w..range(y, from.h).end * from.w].chunks_exact(from.w)
                {
                    let cells = joined.iter_mut().zip(line);
                    if max {
                        cells.for_each(|(to, x)| *to = if *x > *to { *x } else { *to });
                    } else {
                        cells.for_each(|(to, x)| *to += x);
                    }
                }
                for (i, out) in out.iter_mut().enumerate() {
                    let window = joined[range(i, from.w)].iter();
                    *out = if max {
                        window.fold(f32::NEG_INFINITY, |a, b| if *b > a { *b } else { a })
                    } else {
                        window.sum::<f32>() * share
                    };
                }
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use capwright_blueprint::{Op, Padding};

    /// The definition of a convolution, cell by cell.
    fn plain(conv: &Conv, weight: &[f32], x: &[f32], from: Shape, to: Shape) -> Vec<f32> {
        let (inputs, outputs) = (conv.input / conv.groups, conv.output / conv.groups);
        let mut out = vec![0.0; to.len()];
        for (i, value) in out.iter_mut().enumerate() {
            let (o, y, x0) = (i / (to.h * to.w), i / to.w % to.h, i % to.w);
            for t in 0..inputs * conv.kernel * conv.kernel {
                let (c, ky, kx) =
                    (t / conv.kernel / conv.kernel, t / conv.kernel % conv.kernel, t % conv.kernel);
                let at_y = (y * conv.stride + ky) as isize - conv.padding.top as isize;
                let at_x = (x0 * conv.stride + kx) as isize - conv.padding.left as isize;
                if (0..from.h as isize).contains(&at_y) && (0..from.w as isize).contains(&at_x) {
                    let channel = o / outputs * inputs + c;
                    let at = (channel * from.h + at_y as usize) * from.w + at_x as usize;
                    *value += weight[o * inputs * conv.kernel * conv.kernel + t] * x[at];
                }
            }
        }
        out
    }

    fn wave(n: usize) -> Vec<f32> {
        (0..n).map(|i| ((i * 37 % 101) as f32 / 50.0 - 1.0) * 0.7).collect()
    }

    type Convolution = fn(&mut [f32], &Conv, Layer<'_>, &[f32], (Shape, Shape), &mut Vec<f32>);

    /// Holds a convolution of so many channels, side, kernel, stride, groups and padding to its definition.
    pub(super) fn agrees(
        convolution: Convolution,
        (channels, side, kernel, stride, groups, padding): (usize, usize, usize, usize, usize, Padding),
    ) {
        let conv = Conv {
            input: channels,
            output: channels,
            kernel,
            width: kernel,
            stride,
            padding,
            dilation: 1,
            groups,
            bias: false,
        };
        let from = Shape::new(channels, side, side);
        let to = Op::Conv(conv).shape(&[from]).unwrap();
        let (x, weight) = (wave(from.len()), wave(channels * channels / groups * kernel * kernel));
        let bias = wave(channels + 5)[5..].to_vec();
        let mut expected = plain(&conv, &weight, &x, from, to);
        for (row, b) in expected.chunks_exact_mut(to.h * to.w).zip(&bias) {
            row.iter_mut().for_each(|x| *x = (*x + b).max(0.0));
        }
        let layer = (&weight[..], &bias[..], Some(Activation::Relu));
        let mut out = vec![f32::NAN; to.len()];
        convolution(&mut out, &conv, layer, &x, (from, to), &mut vec![9.0; 7]);
        for (ours, expected) in out.iter().zip(&expected) {
            assert!((ours - expected).abs() < 1e-4, "{conv:?}: {ours} and {expected}");
        }
    }

    #[test]
    fn convolutions_agree_with_the_definition() {
        agrees(dense, (6, 8, 3, 2, 1, Padding { top: 0, bottom: 1, left: 0, right: 1 }));
        agrees(dense, (6, 8, 3, 1, 2, Padding::symmetric(1)));
    }

    #[test]
    fn a_map_is_multiplied_part_by_part() {
        let (input, output, cells) = (5, 3, 40_000);
        assert!(cells > CACHED / (input + output), "more than one part");
        let (weight, bias, x) = (wave(output * input), wave(output), wave(input * cells));
        for act in [None, Some(Activation::Relu), Some(Activation::Relu6), Some(Activation::Silu)] {
            let mut out = vec![f32::NAN; output * cells];
            pointwise(&mut out, (&weight, &bias, act), &x, input, cells);
            for (i, ours) in out.iter().enumerate() {
                let (o, p) = (i / cells, i % cells);
                let sum: f32 = (0..input).map(|c| weight[o * input + c] * x[c * cells + p]).sum();
                let expected = act.map_or(sum + bias[o], |act| activate(act, sum + bias[o]));
                assert!((ours - expected).abs() < 1e-4, "{act:?} {o} {p}: {ours} and {expected}");
            }
        }
    }

    #[test]
    fn pooling_ignores_padding() {
        let (from, to) = (Shape::new(1, 3, 3), Shape::new(1, 2, 2));
        let x: Vec<f32> = (0..9).map(|v| v as f32 - 20.0).collect();
        let mut out = vec![0.0; 4];
        pool(&mut out, &x, (from, to), (3, 2, 1), true);
        assert_eq!(out, [-16.0, -15.0, -13.0, -12.0]);
        pool(&mut out[..1], &x, (from, Shape::new(1, 1, 1)), (2, 2, 0), false);
        assert_eq!(out[0], -18.0);
    }
}
