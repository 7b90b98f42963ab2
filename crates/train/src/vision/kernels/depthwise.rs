//! Depthwise convolutions: forward, and back to their weights.

use super::{LANES, Layer, curve};
use capwright_blueprint::{Activation, Conv, Shape};

/// Whether each channel is convolved by itself, with a square kernel.
pub(crate) fn is_depthwise(conv: &Conv) -> bool {
    conv.is_depthwise() && conv.kernel == conv.width
}

/// A depthwise convolution with bias and non-linearity, of one image or of several, `[c, n, h, w]`.
///
/// Each channel is copied into a padded plane, split by the phases of the stride, so that every tap of the kernel
/// is a shift of one long contiguous row whatever the width of the map; the few junk cells between rows are
/// computed and dropped.
pub(crate) fn depthwise(
    out: &mut [f32],
    conv: &Conv,
    (weight, bias, act): Layer<'_>,
    x: &[f32],
    (from, to): (Shape, Shape),
    scratch: &mut Vec<f32>,
) {
    let k = conv.kernel;
    let layout = Phases::of(conv, to);
    let (phases, sums) = layout.buffers(scratch);
    let Phases { rows, width, taps, .. } = layout;
    // Planes of one channel, of as many images as there are.
    let images = x.len() / (from.h * from.w) / bias.len();
    pulp::Arch::new().dispatch(|| {
        for (at, x) in x.chunks_exact(from.h * from.w).enumerate() {
            let c = at / images;
            scatter(phases, conv, x, from, (rows, width));
            convolve(sums, phases, &taps, &weight[c * k * k..][..k * k], bias[c]);
            let out = &mut out[at * to.h * to.w..][..to.h * to.w];
            for (row, sums) in out.chunks_exact_mut(to.w).zip(sums.chunks(width)) {
                let sums = &sums[..to.w];
                match act {
                    None => row.copy_from_slice(sums),
                    Some(Activation::Relu6) => {
                        row.iter_mut().zip(sums).for_each(|(r, x)| *r = x.clamp(0.0, 6.0));
                    }
                    Some(act) => {
                        row.copy_from_slice(sums);
                        curve(row, act);
                    }
                }
            }
        }
    });
}

/// How a padded plane lies when it is split by the phases of the stride.
struct Phases {
    /// Rows and width of one phase.
    rows: usize,
    width: usize,
    /// Cells of a result whose rows are as wide, in whole lanes.
    flat: usize,
    /// Where what each tap reads begins.
    taps: Vec<usize>,
    /// Values of all phases, with room for lanes that reach beyond.
    size: usize,
}

impl Phases {
    fn of(conv: &Conv, to: Shape) -> Self {
        let (k, s) = (conv.kernel, conv.stride);
        let (rows, width) = (((to.h - 1) * s + k).div_ceil(s), ((to.w - 1) * s + k).div_ceil(s));
        let plane = rows * width;
        let tap = |t: usize| {
            let (ky, kx) = (t / k, t % k);
            (ky % s * s + kx % s) * plane + ky / s * width + kx / s
        };
        let flat = ((to.h - 1) * width + to.w).next_multiple_of(LANES);
        Self { rows, width, flat, taps: (0..k * k).map(tap).collect(), size: s * s * plane + 2 * LANES }
    }

    /// Zeros for the phases of a plane, and for a result with rows as wide.
    fn buffers<'a>(&self, scratch: &'a mut Vec<f32>) -> (&'a mut [f32], &'a mut [f32]) {
        scratch.clear();
        scratch.resize(self.size + self.flat, 0.0);
        scratch.split_at_mut(self.size)
    }
}

/// Adds to the gradients of the weights of a depthwise convolution of several images, `[c, n, h, w]`, from those of its result.
pub(crate) fn depthwise_weights(
    d_weight: &mut [f32],
    conv: &Conv,
    d_y: &[f32],
    x: &[f32],
    (from, to): (Shape, Shape),
    scratch: &mut Vec<f32>,
) {
    let k = conv.kernel;
    let layout = Phases::of(conv, to);
    let (phases, wide) = layout.buffers(scratch);
    let Phases { rows, width, flat, taps, .. } = layout;
    let images = x.len() / (from.h * from.w) / conv.output;
    pulp::Arch::new().dispatch(|| {
        let planes = x.chunks_exact(from.h * from.w).zip(d_y.chunks_exact(to.h * to.w));
        for (at, (x, d_y)) in planes.enumerate() {
            scatter(phases, conv, x, from, (rows, width));
            for (row, d) in wide.chunks_mut(width).zip(d_y.chunks_exact(to.w)) {
                row[..to.w].copy_from_slice(d);
            }
            let d_weight = &mut d_weight[at / images * k * k..][..k * k];
            for (d, tap) in d_weight.iter_mut().zip(&taps) {
                let blocks = phases[*tap..tap + flat].as_chunks::<LANES>().0.iter();
                let mut sums = [0.0f32; LANES];
                for (x, d) in blocks.zip(wide.as_chunks::<LANES>().0) {
                    (0..LANES).for_each(|i| sums[i] += x[i] * d[i]);
                }
                *d += sums.iter().sum::<f32>();
            }
        }
    });
}

/// Copies a channel into its padded phases; what is padding stays zero from channel to channel.
#[inline(always)]
fn scatter(phases: &mut [f32], conv: &Conv, plane: &[f32], from: Shape, (rows, width): (usize, usize)) {
    let (s, pad) = (conv.stride, conv.padding);
    for (y, line) in plane.chunks_exact(from.w).enumerate() {
        let (row, py) = ((y + pad.top) / s, (y + pad.top) % s);
        if row >= rows {
            break;
        }
        for px in 0..s {
            let start = (px + s - pad.left % s) % s;
            let first = (start + pad.left) / s;
            let to = &mut phases[(py * s + px) * rows * width + row * width..][..width];
            let to = to.get_mut(first..).unwrap_or_default();
            let source = line.get(start..).unwrap_or_default();
            match s {
                1 => to.iter_mut().zip(source).for_each(|(t, v)| *t = *v),
                2 => to.iter_mut().zip(source.iter().step_by(2)).for_each(|(t, v)| *t = *v),
                _ => to.iter_mut().zip(source.iter().step_by(s)).for_each(|(t, v)| *t = *v),
            }
        }
    }
}

#[inline(always)]
fn convolve(sums: &mut [f32], phases: &[f32], taps: &[usize], weight: &[f32], bias: f32) {
    for (block, out) in sums.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
        let mut acc = [bias; LANES];
        for (tap, w) in taps.iter().zip(weight) {
            let at = tap + block * LANES;
            let source = &phases[at..at + LANES];
            for i in 0..LANES {
                acc[i] += w * source[i];
            }
        }
        *out = acc;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vision::kernels::tests::agrees;
    use capwright_blueprint::Padding;

    #[test]
    fn depthwise_convolutions_agree_with_the_definition() {
        for case in [
            (6, 9, 3, 1, 6, Padding::symmetric(1)),
            (6, 9, 3, 2, 6, Padding::symmetric(1)),
            (4, 14, 5, 2, 4, Padding::same(14, 14, 5, 2)),
            (4, 8, 3, 2, 4, Padding::same(8, 8, 3, 2)),
            (5, 7, 5, 1, 5, Padding::symmetric(2)),
            (3, 40, 7, 1, 3, Padding::symmetric(3)),
            (2, 1, 5, 2, 2, Padding::same(1, 1, 5, 2)),
            (4, 10, 1, 2, 4, Padding::symmetric(0)),
        ] {
            agrees(depthwise, case);
        }
    }
}
