//! Convolutions of a batch, forward and backward.
//!
//! Maps lie channel by channel, `[c, n, h, w]`: a 1 × 1 convolution is one matrix product over all cells of all images, and so is
//! any other over its columns, which are gathered for as many images at a time as stay in the cache.

use super::Place;
use crate::macs;
use crate::math::{View, gemm, gemm_columns, product};
use crate::vision::kernels;
use capwright_blueprint::{Conv, Padding, Shape};
use std::ops::Range;

/// Values of columns that are in work at once.
const CACHED: usize = 1 << 18;

/// One group of a convolution over a batch.
struct Group<'a> {
    conv: &'a Conv,
    from: Shape,
    to: Shape,
    images: usize,
}

impl Group<'_> {
    fn outputs(&self) -> usize {
        self.conv.output / self.conv.groups
    }

    /// Rows of the columns: what one output value reads.
    fn taps(&self) -> usize {
        self.conv.taps()
    }

    /// Images whose columns are in work at once.
    fn parts(&self) -> impl Iterator<Item = Range<usize>> {
        let (images, cells) = (self.images, self.to.h * self.to.w);
        let step = (CACHED / (self.taps() * cells).max(1)).max(1);
        (0..images).step_by(step).map(move |first| first..(first + step).min(images))
    }

    /// Calls `with` for each line of the columns of some images: where it begins there, and what it reads, as a place in the map
    /// and the part of the line that lies within it.
    #[inline(always)]
    fn lines(&self, images: &Range<usize>, mut with: impl FnMut(usize, usize, Range<usize>)) {
        let Self { conv, from, to, .. } = self;
        let (high, wide, s, d) = (conv.kernel, conv.width, conv.stride, conv.dilation);
        let (cells, mut at) = (to.h * to.w, 0);
        for tap in 0..self.taps() {
            let (channel, ky, kx) = (tap / (high * wide), tap / wide % high, tap % wide);
            // Columns x with 0 ≤ x · s + kx · d - left < w.
            let first = conv.padding.left.saturating_sub(kx * d).div_ceil(s).min(to.w);
            let last = (from.w + conv.padding.left).saturating_sub(kx * d).div_ceil(s).clamp(first, to.w);
            for image in images.clone() {
                let plane = (channel * self.images + image) * from.h * from.w;
                for y in 0..to.h {
                    let row = (y * s + ky * d).checked_sub(conv.padding.top).filter(|row| *row < from.h);
                    match row {
                        Some(row) if first < last => {
                            let source = plane + row * from.w + first * s + kx * d - conv.padding.left;
                            with(at + y * to.w, source, first..last);
                        }
                        _ => with(at + y * to.w, 0, 0..0),
                    }
                }
                at += cells;
            }
        }
    }

    /// What each output cell of these images reads, `[taps, images · cells]`.
    fn columns(&self, x: &[f32], images: &Range<usize>, out: &mut Vec<f32>) {
        let (w, s) = (self.to.w, self.conv.stride);
        out.resize(self.taps() * images.len() * self.to.h * w, 0.0);
        self.lines(images, |at, source, inside| {
            let line = &mut out[at..at + w];
            line[..inside.start].fill(0.0);
            line[inside.end..].fill(0.0);
            let line = &mut line[inside.clone()];
            if s == 1 {
                line.copy_from_slice(&x[source..source + inside.len()]);
            } else {
                line.iter_mut().zip(x[source.min(x.len())..].iter().step_by(s)).for_each(|(to, x)| *to = *x);
            }
        });
    }

    /// Adds gradients of columns to those of the map.
    fn columns_back(&self, columns: &[f32], images: &Range<usize>, d_x: &mut [f32]) {
        let s = self.conv.stride;
        self.lines(images, |at, source, inside| {
            let line = &columns[at..][inside];
            if s == 1 {
                d_x[source..source + line.len()].iter_mut().zip(line).for_each(|(to, d)| *to += d);
            } else {
                let length = d_x.len();
                let to = d_x[source.min(length)..].iter_mut().step_by(s);
                to.zip(line).for_each(|(to, d)| *to += d);
            }
        });
    }

    fn forward(&self, out: &mut [f32], weight: &[f32], x: &[f32]) {
        let (cells, taps) = (self.to.h * self.to.w, self.taps());
        let all = self.images * cells;
        if self.conv.is_pointwise() {
            let none = vec![0.0; self.outputs()];
            return kernels::pointwise(out, (weight, &none, None), x, taps, all);
        }
        let mut columns = Vec::new();
        for part in self.parts() {
            self.columns(x, &part, &mut columns);
            let right = View::new(&columns, part.len() * cells);
            gemm_columns(out, (all, part.start * cells), View::new(weight, taps), right);
        }
    }

    /// Adds to the gradients of weights and, where wanted, of the map.
    fn backward(
        &self,
        d_weight: &mut [f32],
        d_x: Option<&mut [f32]>,
        d_y: &[f32],
        weight: &[f32],
        x: &[f32],
    ) {
        let (cells, taps) = (self.to.h * self.to.w, self.taps());
        let all = self.images * cells;
        let (d_y, weight) = (View::new(d_y, all), View::new(weight, taps));
        if self.conv.is_pointwise() {
            add_product(d_weight, d_y, View::new(x, all), (self.outputs(), taps));
            if let Some(d_x) = d_x {
                gemm(d_x, weight.t(), d_y, true);
            }
            return;
        }
        let (mut columns, mut d_x) = (Vec::new(), d_x);
        for part in self.parts() {
            self.columns(x, &part, &mut columns);
            let d_y = d_y.columns(part.start * cells, part.end * cells);
            add_product(d_weight, d_y, View::new(&columns, part.len() * cells), (self.outputs(), taps));
            if let Some(d_x) = d_x.as_deref_mut() {
                self.columns_back(&product(weight.t(), d_y), &part, d_x);
            }
        }
    }
}

/// `out += a · bᵀ`. A product lays out its right side first, so that the smaller of the two had better stand there.
fn add_product(out: &mut [f32], a: View<'_>, b: View<'_>, (rows, columns): (usize, usize)) {
    if columns <= rows {
        return gemm(out, a, b.t(), true);
    }
    let turned = product(b, a.t());
    for (column, values) in turned.chunks_exact(rows).enumerate() {
        values.iter().enumerate().for_each(|(row, x)| out[row * columns + column] += x);
    }
}

/// A square depthwise kernel without gaps: the taps of a dilated one with zeros between them.
fn without_gaps(conv: &Conv, weight: &[f32]) -> (Conv, Vec<f32>) {
    let (k, d, extent) = (conv.kernel, conv.dilation, conv.extent().0);
    let mut wide = vec![0.0; conv.output * extent * extent];
    for (i, w) in weight.iter().enumerate() {
        let (channel, ky, kx) = (i / (k * k), i / k % k, i % k);
        wide[channel * extent * extent + ky * d * extent + kx * d] = *w;
    }
    (Conv { kernel: extent, width: extent, dilation: 1, ..*conv }, wide)
}

/// `[c, n, h, w]` of a convolution without its bias.
pub(super) fn forward(conv: &Conv, place: Place, weight: &[f32], x: &[f32]) -> Vec<f32> {
    let Place { from, to, images } = place;
    let mut out = vec![0.0; images * to.len()];
    if kernels::is_depthwise(conv) {
        macs::add(out.len() * conv.kernel * conv.kernel);
        let (conv, weight) = without_gaps(conv, weight);
        let none = vec![0.0; conv.output];
        kernels::depthwise(&mut out, &conv, (&weight, &none, None), x, (from, to), &mut Vec::new());
        return out;
    }
    let group = Group { conv, from, to, images };
    let (reads, makes) = (x.len() / conv.groups, out.len() / conv.groups);
    let weights = weight.chunks_exact(weight.len() / conv.groups);
    for ((out, x), weight) in out.chunks_exact_mut(makes).zip(x.chunks_exact(reads)).zip(weights) {
        group.forward(out, weight, x);
    }
    out
}

/// Gradients of weights and, where wanted, of the map.
pub(super) fn backward(
    conv: &Conv,
    place: Place,
    weight: &[f32],
    x: &[f32],
    d_y: &[f32],
    wanted: bool,
) -> (Vec<f32>, Option<Vec<f32>>) {
    let Place { from, to, images } = place;
    if kernels::is_depthwise(conv) {
        return depthwise_back(conv, place, weight, x, d_y, wanted);
    }
    let group = Group { conv, from, to, images };
    let (mut d_weight, mut d_x) = (vec![0.0; weight.len()], wanted.then(|| vec![0.0; x.len()]));
    let (reads, makes, own) = (x.len() / conv.groups, d_y.len() / conv.groups, weight.len() / conv.groups);
    for i in 0..conv.groups {
        let d_x = d_x.as_deref_mut().map(|d_x| &mut d_x[i * reads..][..reads]);
        let (weight, d_weight) = (&weight[i * own..][..own], &mut d_weight[i * own..][..own]);
        group.backward(d_weight, d_x, &d_y[i * makes..][..makes], weight, &x[i * reads..][..reads]);
    }
    (d_weight, d_x)
}

fn depthwise_back(
    conv: &Conv,
    Place { from, to, images }: Place,
    weight: &[f32],
    x: &[f32],
    d_y: &[f32],
    wanted: bool,
) -> (Vec<f32>, Option<Vec<f32>>) {
    let (k, d, s) = (conv.kernel, conv.dilation, conv.stride);
    let (whole, mut wide) = without_gaps(conv, weight);
    let (extent, mut scratch) = (whole.kernel, Vec::new());
    let mut d_wide = vec![0.0; wide.len()];
    kernels::depthwise_weights(&mut d_wide, &whole, d_y, x, (from, to), &mut scratch);
    let tap = |i: usize| i / (k * k) * extent * extent + i / k % k * d * extent + i % k * d;
    let d_weight = (0..weight.len()).map(|i| d_wide[tap(i)]).collect();
    let d_x = wanted.then(|| {
        // The gradient of the map is the gradient of the result, its cells set apart by the stride, under the kernel turned round.
        let apart = Shape::new(to.c, (to.h - 1) * s + 1, (to.w - 1) * s + 1);
        let spread = if s == 1 { None } else { Some(set_apart(d_y, to, apart, s)) };
        wide.chunks_exact_mut(extent * extent).for_each(<[f32]>::reverse);
        let around = |pad: usize| (extent - 1).checked_sub(pad).expect("padding is less than the kernel");
        let padding = Padding {
            top: around(conv.padding.top),
            left: around(conv.padding.left),
            ..Padding::symmetric(0)
        };
        let turned = Conv { stride: 1, padding, ..whole };
        let (mut d_x, none) = (vec![0.0; images * from.len()], vec![0.0; conv.output]);
        let layer = (&wide[..], &none[..], None);
        kernels::depthwise(
            &mut d_x,
            &turned,
            layer,
            spread.as_deref().unwrap_or(d_y),
            (apart, from),
            &mut scratch,
        );
        d_x
    });
    (d_weight, d_x)
}

/// Planes whose cells lie `stride` apart, zeros between them.
fn set_apart(x: &[f32], from: Shape, to: Shape, stride: usize) -> Vec<f32> {
    let mut out = vec![0.0; x.len() / (from.h * from.w) * to.h * to.w];
    let planes = out.chunks_exact_mut(to.h * to.w).zip(x.chunks_exact(from.h * from.w));
    for (out, x) in planes {
        for (out, x) in out.chunks_mut(to.w * stride).zip(x.chunks_exact(from.w)) {
            out.iter_mut().step_by(stride).zip(x).for_each(|(out, x)| *out = *x);
        }
    }
    out
}
