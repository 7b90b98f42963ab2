//! What is learned beside convolutions, norms and attention: linear layers, scales, cells and places, forward and backward.

use super::{Place, norm};
use crate::macs;
use crate::math::{View, add_row, column_sums, dot, product};

/// Adds to all values of a channel.
pub(super) fn add_to_channels(y: &mut [f32], bias: &[f32]) {
    let size = y.len() / bias.len();
    y.chunks_exact_mut(size).zip(bias).for_each(|(row, b)| row.iter_mut().for_each(|y| *y += b));
}

/// Sums of the gradients of each channel.
pub(super) fn sums_of_channels(d: &[f32], channels: usize) -> Vec<f32> {
    d.chunks_exact(d.len() / channels).map(|row| norm::sum(row, |d| d)).collect()
}

/// A linear layer over the channels of each cell.
pub(super) fn linear(x: &[f32], weight: &[f32], bias: Option<&[f32]>, place: Place) -> Vec<f32> {
    let mut y = product(View::new(weight, place.from.c), View::new(x, place.columns()));
    if let Some(bias) = bias {
        add_to_channels(&mut y, bias);
    }
    y
}

/// Backward of [`linear`]: gradients of the map and of the weight.
pub(super) fn linear_back(x: &[f32], weight: &[f32], place: Place, d_y: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let d = View::new(d_y, place.columns());
    let d_weight = product(d, View::new(x, place.columns()).t());
    (product(View::new(weight, place.from.c).t(), d), d_weight)
}

/// A linear layer over the cells of each channel, `[out, cells]`.
pub(super) fn mix_cells(x: &[f32], weight: &[f32], bias: &[f32]) -> Vec<f32> {
    let cells = weight.len() / bias.len();
    let mut y = product(View::new(x, cells), View::new(weight, cells).t());
    y.chunks_exact_mut(bias.len()).for_each(|row| add_row(row, bias));
    y
}

/// Backward of [`mix_cells`] with so many cells made: gradients of the map, of weight and of bias.
pub(super) fn mix_cells_back(
    x: &[f32],
    weight: &[f32],
    made: usize,
    d_y: &[f32],
) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
    let (d, cells) = (View::new(d_y, made), weight.len() / made);
    let mut d_bias = vec![0.0; made];
    column_sums(&mut d_bias, d_y);
    (product(d, View::new(weight, cells)), product(d.t(), View::new(x, cells)), d_bias)
}

/// Each channel times a factor of its own.
pub(super) fn scaled(x: &[f32], by: &[f32]) -> Vec<f32> {
    let size = x.len() / by.len();
    let mut out = x.to_vec();
    out.chunks_exact_mut(size).zip(by).for_each(|(row, by)| row.iter_mut().for_each(|x| *x *= by));
    out
}

/// Backward of [`scaled`]: gradients of the map and of the factors.
pub(super) fn scaled_back(x: &[f32], by: &[f32], d_y: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let products: Vec<f32> = d_y.iter().zip(x).map(|(d, x)| d * x).collect();
    (scaled(d_y, by), sums_of_channels(&products, by.len()))
}

/// A learned cell before the cells of each image.
pub(super) fn with_token(x: &[f32], token: &[f32], images: usize) -> Vec<f32> {
    let cells = x.len() / token.len() / images;
    let mut out = Vec::with_capacity(x.len() + token.len() * images);
    for (row, token) in x.chunks_exact(cells).enumerate().map(|(i, row)| (row, token[i / images])) {
        out.push(token);
        out.extend_from_slice(row);
    }
    out
}

/// Backward of [`with_token`] with so many cells after: gradients of the map and of the token.
pub(super) fn with_token_back(d_y: &[f32], channels: usize, cells: usize) -> (Vec<f32>, Vec<f32>) {
    let firsts: Vec<f32> = d_y.iter().step_by(cells).copied().collect();
    let d_x = d_y.chunks_exact(cells).flat_map(|row| row[1..].iter().copied()).collect();
    (d_x, sums_of_channels(&firsts, channels))
}

/// Learned vectors `[cells, c]` added to the cells of each image.
pub(super) fn with_positions(x: &[f32], places: &[f32], (channels, images): (usize, usize)) -> Vec<f32> {
    let mut out = x.to_vec();
    for (i, row) in out.chunks_exact_mut(places.len() / channels).enumerate() {
        let places = places[i / images..].iter().step_by(channels);
        row.iter_mut().zip(places).for_each(|(x, place)| *x += place);
    }
    out
}

/// Backward of [`with_positions`] for the vectors; the gradients of the map are those of the result.
pub(super) fn positions_back(d_y: &[f32], (channels, cells): (usize, usize), images: usize) -> Vec<f32> {
    let mut d_places = vec![0.0; channels * cells];
    for (i, row) in d_y.chunks_exact(cells).enumerate() {
        let to = d_places[i / images..].iter_mut().step_by(channels);
        to.zip(row).for_each(|(to, d)| *to += d);
    }
    d_places
}

/// Which channels each tap reads and makes: `(tap, from, to)`.
fn channel_taps(channels: usize, kernel: usize) -> impl Iterator<Item = (usize, usize, usize)> {
    (0..kernel).flat_map(move |tap| {
        let read = move |to: usize| (to + tap).checked_sub(kernel / 2).filter(|from| *from < channels);
        (0..channels).filter_map(move |to| Some((tap, read(to)?, to)))
    })
}

/// A convolution over the channels of each image, which has one cell (Wang et al., "ECA-Net", CVPR 2020).
pub(super) fn channel_conv(x: &[f32], weight: &[f32], images: usize) -> Vec<f32> {
    macs::add(x.len() * weight.len());
    let mut y = vec![0.0; x.len()];
    for (tap, from, to) in channel_taps(x.len() / images, weight.len()) {
        let row = &x[from * images..][..images];
        y[to * images..][..images].iter_mut().zip(row).for_each(|(y, x)| *y += weight[tap] * x);
    }
    y
}

/// Backward of [`channel_conv`]: gradients of the map and of the weight.
pub(super) fn channel_conv_back(
    x: &[f32],
    weight: &[f32],
    images: usize,
    d_y: &[f32],
) -> (Vec<f32>, Vec<f32>) {
    let (mut d_x, mut d_weight) = (vec![0.0; x.len()], vec![0.0; weight.len()]);
    for (tap, from, to) in channel_taps(x.len() / images, weight.len()) {
        let (row, d) = (&x[from * images..][..images], &d_y[to * images..][..images]);
        d_weight[tap] += dot(row, d);
        d_x[from * images..][..images].iter_mut().zip(d).for_each(|(to, d)| *to += weight[tap] * d);
    }
    (d_x, d_weight)
}
