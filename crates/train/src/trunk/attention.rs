//! Self-attention of the cells of each image to each other (PyTorch's `MultiheadAttention`), forward and backward.

use super::{Place, layer, layer_back};
use crate::macs;
use crate::math::{View, product, softmax, softmax_back};
use rayon::prelude::*;

/// What backward needs: queries, keys and values of all cells, the probabilities, and what was attended to.
pub(super) struct Kept {
    /// `[3 c, n · cells]`.
    all: Vec<f32>,
    /// `[n, heads, cells, cells]`.
    weights: Vec<f32>,
    /// `[c, n · cells]`.
    attended: Vec<f32>,
}

/// Weights and biases.
#[derive(Clone, Copy)]
pub(super) struct Layers<'a> {
    pub(super) qkv: (&'a [f32], &'a [f32]),
    pub(super) out: (&'a [f32], &'a [f32]),
}

/// Gradients, in the order of [`Layers`].
pub(super) struct Back {
    pub(super) x: Vec<f32>,
    pub(super) qkv: (Vec<f32>, Vec<f32>),
    pub(super) out: (Vec<f32>, Vec<f32>),
}

/// Rows of one head in one image: `[width, cells]` of part 0 (queries), 1 (keys) or 2 (values), side by side.
fn head(all: &[f32], place: Place, heads: usize, (part, image, at): (usize, usize, usize)) -> Vec<f32> {
    let (c, cells) = (place.from.c, place.from.h * place.from.w);
    let width = c / heads;
    let columns = place.images * cells;
    let rows = part * c + at * width..part * c + (at + 1) * width;
    let mut out = Vec::with_capacity(width * cells);
    rows.for_each(|row| out.extend_from_slice(&all[row * columns + image * cells..][..cells]));
    out
}

pub(super) fn forward(place: Place, heads: usize, layers: Layers<'_>, x: &[f32]) -> (Vec<f32>, Kept) {
    let (c, cells) = (place.from.c, place.from.h * place.from.w);
    let (columns, width) = (place.images * cells, c / heads);
    let all = layer(layers.qkv, x, columns);
    let scale = 1.0 / (width as f32).sqrt();
    let one = |set: usize| {
        let part = |part: usize| head(&all, place, heads, (part, set / heads, set % heads));
        let (q, k, v) = (part(0), part(1), part(2));
        let mut weights = product(View::new(&q, cells).t(), View::new(&k, cells));
        for row in weights.chunks_exact_mut(cells) {
            row.iter_mut().for_each(|x| *x *= scale);
            softmax(row);
        }
        // `[width, cells]`: values by the weights of each query.
        let attended = product(View::new(&v, cells), View::new(&weights, cells).t());
        (weights, attended)
    };
    macs::add(2 * place.images * cells * cells * c);
    let sets: Vec<_> =
        (0..place.images * heads).into_par_iter().map(|set| macs::uncounted(|| one(set))).collect();
    let mut attended = vec![0.0; x.len()];
    let mut weights = Vec::with_capacity(sets.len() * cells * cells);
    for (set, (own, found)) in sets.into_iter().enumerate() {
        weights.extend(own);
        put(&mut attended, place, heads, (0, set / heads, set % heads), &found);
    }
    let y = layer(layers.out, &attended, columns);
    (y, Kept { all, weights, attended })
}

/// Writes the rows of one head in one image.
fn put(all: &mut [f32], place: Place, heads: usize, (part, image, at): (usize, usize, usize), rows: &[f32]) {
    let (c, cells) = (place.from.c, place.from.h * place.from.w);
    let (width, columns) = (c / heads, place.images * cells);
    for (i, row) in rows.chunks_exact(cells).enumerate() {
        all[(part * c + at * width + i) * columns + image * cells..][..cells].copy_from_slice(row);
    }
}

pub(super) fn backward(
    place: Place,
    heads: usize,
    layers: Layers<'_>,
    x: &[f32],
    kept: &Kept,
    d_y: &[f32],
) -> Back {
    let (c, cells) = (place.from.c, place.from.h * place.from.w);
    let (columns, width) = (place.images * cells, c / heads);
    let (d_attended, d_out, d_out_bias) = layer_back(layers.out.0, &kept.attended, d_y, columns);
    let scale = 1.0 / (width as f32).sqrt();
    let one = |set: usize| {
        let (image, at) = (set / heads, set % heads);
        let part = |part: usize| head(&kept.all, place, heads, (part, image, at));
        let (q, k, v) = (part(0), part(1), part(2));
        let d = head(&d_attended, place, heads, (0, image, at));
        let weights = &kept.weights[set * cells * cells..][..cells * cells];
        let d_v = product(View::new(&d, cells), View::new(weights, cells));
        let mut d_scores = product(View::new(&d, cells).t(), View::new(&v, cells));
        for (d, weights) in d_scores.chunks_exact_mut(cells).zip(weights.chunks_exact(cells)) {
            softmax_back(d, weights);
            d.iter_mut().for_each(|d| *d *= scale);
        }
        let d_q = product(View::new(&k, cells), View::new(&d_scores, cells).t());
        let d_k = product(View::new(&q, cells), View::new(&d_scores, cells));
        [d_q, d_k, d_v]
    };
    let sets: Vec<_> = (0..place.images * heads).into_par_iter().map(one).collect();
    let mut d_all = vec![0.0; kept.all.len()];
    for (set, parts) in sets.iter().enumerate() {
        for (part, rows) in parts.iter().enumerate() {
            put(&mut d_all, place, heads, (part, set / heads, set % heads), rows);
        }
    }
    let (d_x, d_qkv, d_qkv_bias) = layer_back(layers.qkv.0, x, &d_all, columns);
    Back { x: d_x, qkv: (d_qkv, d_qkv_bias), out: (d_out, d_out_bias) }
}
