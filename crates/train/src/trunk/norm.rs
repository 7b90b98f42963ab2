//! Norms of a batch, forward and backward: each sees its map as sets of values that share a mean and a deviation.

use super::Place;

/// Means and one over the deviations.
#[derive(Default)]
pub(crate) struct Moments {
    pub(super) mean: Vec<f32>,
    pub(super) inverse: Vec<f32>,
}

/// Sums of a row in lanes, as vector code takes them.
#[inline(always)]
pub(super) fn sum(row: &[f32], of: impl Fn(f32) -> f32) -> f32 {
    let (blocks, rest) = row.as_chunks::<16>();
    let mut sums = [0.0f32; 16];
    for block in blocks {
        (0..16).for_each(|i| sums[i] += of(block[i]));
    }
    sums.iter().sum::<f32>() + rest.iter().map(|x| of(*x)).sum::<f32>()
}

/// The same over two rows.
#[inline(always)]
fn sum_of_two(a: &[f32], b: &[f32], of: impl Fn(f32, f32) -> f32) -> f32 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<16>(), b.as_chunks::<16>());
    let mut sums = [0.0f32; 16];
    for (a, b) in a.iter().zip(b) {
        (0..16).for_each(|i| sums[i] += of(a[i], b[i]));
    }
    sums.iter().sum::<f32>() + a_rest.iter().zip(b_rest).map(|(a, b)| of(*a, *b)).sum::<f32>()
}

/// Mean and variance of each channel of a batch.
pub(super) fn of_batch(x: &[f32], channels: usize) -> (Vec<f32>, Vec<f32>) {
    let size = x.len() / channels;
    pulp::Arch::new().dispatch(|| {
        let of = |row: &[f32]| {
            let mean = sum(row, |x| x) / size as f32;
            (mean, sum(row, |x| (x - mean) * (x - mean)) / size as f32)
        };
        x.chunks_exact(size).map(of).unzip()
    })
}

/// `(x - mean) · inverse · weight + bias`, channel by channel.
pub(super) fn by_channel(x: &[f32], moments: &Moments, weight: &[f32], bias: &[f32]) -> Vec<f32> {
    let size = x.len() / weight.len();
    let mut out = vec![0.0; x.len()];
    pulp::Arch::new().dispatch(|| {
        for (c, (out, x)) in out.chunks_exact_mut(size).zip(x.chunks_exact(size)).enumerate() {
            let scale = moments.inverse[c] * weight[c];
            let shift = bias[c] - moments.mean[c] * scale;
            out.iter_mut().zip(x).for_each(|(out, x)| *out = x * scale + shift);
        }
    });
    out
}

/// Backward of [`by_channel`]: gradients of the map, of weight and of bias. With `batch`, mean and deviation are those of the map.
pub(super) fn by_channel_back(
    x: &[f32],
    moments: &Moments,
    weight: &[f32],
    mut d_y: Vec<f32>,
    batch: bool,
) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
    let size = x.len() / weight.len();
    let (mut d_weight, mut d_bias) = (vec![0.0; weight.len()], vec![0.0; weight.len()]);
    pulp::Arch::new().dispatch(|| {
        for (c, (d, x)) in d_y.chunks_exact_mut(size).zip(x.chunks_exact(size)).enumerate() {
            let (mean, inverse) = (moments.mean[c], moments.inverse[c]);
            let of_bias = sum(d, |d| d);
            let of_weight = sum_of_two(d, x, |d, x| d * (x - mean)) * inverse;
            let scale = inverse * weight[c];
            if batch {
                let (level, slope) = (of_bias / size as f32, of_weight / size as f32 * inverse);
                d.iter_mut().zip(x).for_each(|(d, x)| *d = scale * (*d - level - (x - mean) * slope));
            } else {
                d.iter_mut().for_each(|d| *d *= scale);
            }
            (d_weight[c], d_bias[c]) = (of_weight, of_bias);
        }
    });
    (d_y, d_weight, d_bias)
}

/// Layer norm over the channels of each cell.
pub(crate) fn over_channels(x: &[f32], weight: &[f32], bias: &[f32], eps: f32) -> (Vec<f32>, Moments) {
    let (channels, size) = (weight.len(), x.len() / weight.len());
    let (mut mean, mut inverse, mut out) = (vec![0.0f32; size], vec![0.0f32; size], vec![0.0; x.len()]);
    pulp::Arch::new().dispatch(|| {
        for row in x.chunks_exact(size) {
            mean.iter_mut().zip(row).for_each(|(m, x)| *m += x);
        }
        mean.iter_mut().for_each(|m| *m /= channels as f32);
        for row in x.chunks_exact(size) {
            let cells = inverse.iter_mut().zip(&mean).zip(row);
            cells.for_each(|((v, m), x)| *v += (x - m) * (x - m));
        }
        inverse.iter_mut().for_each(|v| *v = 1.0 / (*v / channels as f32 + eps).sqrt());
        for (c, (out, row)) in out.chunks_exact_mut(size).zip(x.chunks_exact(size)).enumerate() {
            let cells = out.iter_mut().zip(row).zip(mean.iter().zip(&inverse));
            cells.for_each(|((out, x), (m, i))| *out = (x - m) * i * weight[c] + bias[c]);
        }
    });
    (out, Moments { mean, inverse })
}

/// Backward of [`over_channels`].
pub(super) fn over_channels_back(
    x: &[f32],
    Moments { mean, inverse }: &Moments,
    weight: &[f32],
    mut d_y: Vec<f32>,
) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
    let (channels, size) = (weight.len(), x.len() / weight.len());
    let (mut d_weight, mut d_bias) = (vec![0.0; channels], vec![0.0; channels]);
    let (mut level, mut slope, mut unit) = (vec![0.0f32; size], vec![0.0f32; size], vec![0.0f32; size]);
    pulp::Arch::new().dispatch(|| {
        for (c, (d, x)) in d_y.chunks_exact_mut(size).zip(x.chunks_exact(size)).enumerate() {
            let cells = unit.iter_mut().zip(x).zip(mean.iter().zip(inverse));
            cells.for_each(|((unit, x), (m, i))| *unit = (x - m) * i);
            d_bias[c] = sum(d, |d| d);
            d_weight[c] = sum_of_two(d, &unit, |d, unit| d * unit);
            d.iter_mut().for_each(|d| *d *= weight[c]);
            level.iter_mut().zip(&*d).for_each(|(level, d)| *level += d);
            slope.iter_mut().zip(&*d).zip(&unit).for_each(|((slope, d), unit)| *slope += d * unit);
        }
        let share = 1.0 / channels as f32;
        for (d, x) in d_y.chunks_exact_mut(size).zip(x.chunks_exact(size)) {
            let sets = mean.iter().zip(inverse).zip(level.iter().zip(&slope));
            for ((d, x), ((m, i), (level, slope))) in d.iter_mut().zip(x).zip(sets) {
                *d = i * (*d - share * level - share * slope * (x - m) * i);
            }
        }
    });
    (d_y, d_weight, d_bias)
}

/// The planes of a group of channels in one image.
fn planes(
    place: Place,
    groups: usize,
    group: usize,
    image: usize,
) -> impl Iterator<Item = (usize, usize)> + Clone {
    let (each, cells) = (place.from.c / groups, place.from.h * place.from.w);
    (group * each..(group + 1) * each).map(move |c| (c, (c * place.images + image) * cells))
}

/// Group norm over cells and channels of each group in each image.
pub(super) fn by_group(
    x: &[f32],
    place: Place,
    groups: usize,
    (weight, bias): (&[f32], &[f32]),
    eps: f32,
) -> (Vec<f32>, Moments) {
    let cells = place.from.h * place.from.w;
    let count = (place.from.c / groups * cells) as f32;
    let (mut moments, mut out) = (Moments::default(), vec![0.0; x.len()]);
    pulp::Arch::new().dispatch(|| {
        for set in 0..groups * place.images {
            let planes = planes(place, groups, set / place.images, set % place.images);
            let mean = planes.clone().map(|(_, at)| sum(&x[at..at + cells], |x| x)).sum::<f32>() / count;
            let squares = planes.clone().map(|(_, at)| sum(&x[at..at + cells], |x| (x - mean) * (x - mean)));
            let inverse = 1.0 / (squares.sum::<f32>() / count + eps).sqrt();
            for (c, at) in planes {
                let cells = out[at..at + cells].iter_mut().zip(&x[at..at + cells]);
                cells.for_each(|(out, x)| *out = (x - mean) * inverse * weight[c] + bias[c]);
            }
            moments.mean.push(mean);
            moments.inverse.push(inverse);
        }
    });
    (out, moments)
}

/// Backward of [`by_group`].
pub(super) fn by_group_back(
    x: &[f32],
    place: Place,
    groups: usize,
    moments: &Moments,
    weight: &[f32],
    mut d_y: Vec<f32>,
) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
    let cells = place.from.h * place.from.w;
    let count = (place.from.c / groups * cells) as f32;
    let (mut d_weight, mut d_bias) = (vec![0.0; weight.len()], vec![0.0; weight.len()]);
    pulp::Arch::new().dispatch(|| {
        for set in 0..groups * place.images {
            let (mean, inverse) = (moments.mean[set], moments.inverse[set]);
            let planes = planes(place, groups, set / place.images, set % place.images);
            let (mut level, mut slope) = (0.0, 0.0);
            for (c, at) in planes.clone() {
                let (d, x) = (&d_y[at..at + cells], &x[at..at + cells]);
                let of_bias = sum(d, |d| d);
                let of_weight = sum_of_two(d, x, |d, x| d * (x - mean)) * inverse;
                d_bias[c] += of_bias;
                d_weight[c] += of_weight;
                level += of_bias * weight[c] / count;
                slope += of_weight * weight[c] / count;
            }
            for (c, at) in planes {
                let cells = d_y[at..at + cells].iter_mut().zip(&x[at..at + cells]);
                let unit = |x: f32| (x - mean) * inverse;
                cells.for_each(|(d, x)| *d = inverse * (*d * weight[c] - level - slope * unit(*x)));
            }
        }
    });
    (d_y, d_weight, d_bias)
}
