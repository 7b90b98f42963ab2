//! Scores, probabilities and sums of attention, query by query.

use super::kernels::{LANES, add_scaled_any, dot_any, exp, kernel, sum_any, tanh, top_any};

#[inline(always)]
fn softmax_any(x: &mut [f32]) {
    let top = top_any(x);
    x.iter_mut().for_each(|v| *v = exp(*v - top));
    let total = sum_any(x);
    x.iter_mut().for_each(|v| *v /= total);
}

kernel! {
    /// Logarithm of the sum of e^x, the terms in single precision.
    pub fn log_sum_exp(x: &[f32]) -> f64 {
        let top = top_any(x);
        let (blocks, rest) = x.as_chunks::<LANES>();
        let mut sums = [0.0f32; LANES];
        for x in blocks {
            (0..LANES).for_each(|j| sums[j] += exp(x[j] - top));
        }
        let total = sums.iter().sum::<f32>() + rest.iter().map(|x| exp(x - top)).sum::<f32>();
        f64::from(top) + f64::from(total).ln()
    }
}

kernel! {
    /// The largest value.
    pub fn top(x: &[f32]) -> f32 {
        top_any(x)
    }
}

kernel! {
    /// Softmax of one row, in place.
    pub fn softmax(x: &mut [f32]) {
        softmax_any(x);
    }
}

#[inline(always)]
fn softmax_back_any(grad: &mut [f32], probabilities: &[f32]) {
    let mean = dot_any(grad, probabilities);
    grad.iter_mut().zip(probabilities).for_each(|(g, p)| *g = p * (*g - mean));
}

kernel! {
    /// Backward of softmax: `grad` becomes the gradient of the scores.
    pub fn softmax_back(grad: &mut [f32], probabilities: &[f32]) {
        softmax_back_any(grad, probabilities);
    }
}

kernel! {
    /// Scaled dot-product attention of one query to some rows of `keys` and `values`, as wide as the query, in `heads` parts:
    /// `out += Σ weight · value`. `weights` become the probabilities, head by head.
    pub fn attend(
        out: &mut [f32], weights: &mut [f32], query: &[f32], keys: &[f32], values: &[f32], rows: &[usize], heads: usize,
    ) {
        let (dim, width, seen) = (query.len(), query.len() / heads, rows.len());
        let scale = 1.0 / (width as f32).sqrt();
        // A row's heads one after the other: rows lie far apart, and what is near in a row is fetched together.
        for (i, row) in rows.iter().enumerate() {
            let parts = query.chunks_exact(width).zip(keys[row * dim..][..dim].chunks_exact(width));
            for (head, (query, key)) in parts.enumerate() {
                weights[head * seen + i] = dot_any(query, key) * scale;
            }
        }
        weights.chunks_exact_mut(seen).for_each(softmax_any);
        for (i, row) in rows.iter().enumerate() {
            let parts = out.chunks_exact_mut(width).zip(values[row * dim..][..dim].chunks_exact(width));
            for (head, (out, value)) in parts.enumerate() {
                add_scaled_any(out, value, weights[head * seen + i]);
            }
        }
    }
}

kernel! {
    /// Backward of [`attend`] to all rows of `keys` and `values`, from the gradient `d_out`: adds to the gradients of query, keys and values.
    pub fn attend_back(
        d_query: &mut [f32], d_keys: &mut [f32], d_values: &mut [f32], d_out: &[f32],
        weights: &[f32], query: &[f32], keys: &[f32], values: &[f32], heads: usize,
    ) {
        let (dim, width, rows) = (query.len(), query.len() / heads, weights.len() / heads);
        let scale = 1.0 / (width as f32).sqrt();
        let mut d_scores = vec![0.0; rows];
        for (head, weights) in weights.chunks_exact(rows).enumerate() {
            let part = head * width..(head + 1) * width;
            let (query, d_out) = (&query[part.clone()], &d_out[part.clone()]);
            let of_rows = values.chunks_exact(dim).zip(d_values.chunks_exact_mut(dim));
            for ((d, weight), (value, d_value)) in d_scores.iter_mut().zip(weights).zip(of_rows) {
                *d = dot_any(d_out, &value[part.clone()]);
                add_scaled_any(&mut d_value[part.clone()], d_out, *weight);
            }
            softmax_back_any(&mut d_scores, weights);
            let of_rows = keys.chunks_exact(dim).zip(d_keys.chunks_exact_mut(dim));
            for (d, (key, d_key)) in d_scores.iter().zip(of_rows) {
                add_scaled_any(&mut d_query[part.clone()], &key[part.clone()], d * scale);
                add_scaled_any(&mut d_key[part.clone()], query, d * scale);
            }
        }
    }
}

kernel! {
    /// `out += Σ weight · value`, over rows of `values`.
    pub fn weighted_sum(out: &mut [f32], weights: &[f32], values: &[f32]) {
        for (weight, value) in weights.iter().zip(values.chunks_exact(out.len())) {
            add_scaled_any(out, value, *weight);
        }
    }
}

kernel! {
    /// Backward of [`weighted_sum`], from the gradient `d_out`: `d_weights` becomes that of the weights, and that of the values is added to.
    pub fn weighted_sum_back(
        d_weights: &mut [f32], d_values: &mut [f32], d_out: &[f32], weights: &[f32], values: &[f32],
    ) {
        let n = d_out.len();
        let rows = values.chunks_exact(n).zip(d_values.chunks_exact_mut(n));
        for ((d, weight), (value, d_value)) in d_weights.iter_mut().zip(weights).zip(rows) {
            *d = dot_any(d_out, value);
            add_scaled_any(d_value, d_out, *weight);
        }
    }
}

kernel! {
    /// Additive attention of one query: `scores[n] = v · tanh(query + keys[n])`.
    pub fn additive_scores(scores: &mut [f32], query: &[f32], keys: &[f32], v: &[f32]) {
        let d = v.len();
        let ((vs, v_rest), (qs, q_rest)) = (v.as_chunks::<LANES>(), query[..d].as_chunks::<LANES>());
        for (score, key) in scores.iter_mut().zip(keys.chunks_exact(d)) {
            let (ks, k_rest) = key.as_chunks::<LANES>();
            let mut sums = [0.0f32; LANES];
            for ((v, q), k) in vs.iter().zip(qs).zip(ks) {
                (0..LANES).for_each(|j| sums[j] += v[j] * tanh(q[j] + k[j]));
            }
            let rest: f32 = v_rest.iter().zip(q_rest).zip(k_rest).map(|((v, q), k)| v * tanh(q + k)).sum();
            *score = sums.iter().sum::<f32>() + rest;
        }
    }
}

kernel! {
    /// Backward of [`additive_scores`]: adds to the gradients of query, keys and `v`.
    pub fn additive_scores_back(
        grad: &[f32], query: &[f32], keys: &[f32], v: &[f32],
        d_query: &mut [f32], d_keys: &mut [f32], d_v: &mut [f32],
    ) {
        let d = v.len();
        let (query, d_query, d_v) = (&query[..d], &mut d_query[..d], &mut d_v[..d]);
        for ((g, key), d_key) in grad.iter().zip(keys.chunks_exact(d)).zip(d_keys.chunks_exact_mut(d)) {
            for j in 0..d {
                let t = tanh(query[j] + key[j]);
                let p = g * v[j] * (1.0 - t * t);
                d_query[j] += p;
                d_key[j] += p;
                d_v[j] += g * t;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::testing::values;

    #[test]
    fn softmax_of_a_row() {
        let mut p = vec![1.0, 2.0, 3.0];
        softmax(&mut p);
        assert!((p.iter().sum::<f32>() - 1.0).abs() < 1e-6 && (p[2] / p[1] - 1f32.exp()).abs() < 1e-5);
    }

    #[test]
    fn log_sum_exp_of_odd_lengths() {
        for n in [1, 16, 37] {
            let x = values(n, 0.3);
            let wanted = x.iter().map(|x| f64::from(*x).exp()).sum::<f64>().ln();
            assert!((log_sum_exp(&x) - wanted).abs() < 1e-6, "{n}");
            assert_eq!(top(&x), x.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        }
    }

    #[test]
    fn attention_to_some_rows() {
        const DIM: usize = 6;
        let (query, keys, values, rows) =
            (values(DIM, 1.0), values(5 * DIM, 2.0), values(5 * DIM, 3.0), [4, 1, 2]);
        let (mut out, mut weights) = (vec![0.0; DIM], vec![0.0; 2 * rows.len()]);
        attend(&mut out, &mut weights, &query, &keys, &values, &rows, 2);
        for head in 0..2 {
            let of = |all: &[f32], row: usize, i: usize| f64::from(all[row * DIM + head * 3 + i]);
            let score = |row: usize| {
                ((0..3).map(|i| of(&query, 0, i) * of(&keys, row, i)).sum::<f64>() / 3f64.sqrt()).exp()
            };
            let total: f64 = rows.iter().map(|row| score(*row)).sum();
            for i in 0..3 {
                let wanted: f64 = rows.iter().map(|row| score(*row) / total * of(&values, *row, i)).sum();
                assert!((f64::from(out[head * 3 + i]) - wanted).abs() < 1e-5);
            }
            assert!((f64::from(weights[head * 3]) - score(4) / total).abs() < 1e-5);
        }
    }

    /// Gradients of attention with two heads, by differences.
    #[test]
    fn attention_backward_follows_its_slopes() {
        const DIM: usize = 6;
        const ROWS: usize = 4;
        let (query, keys, all) = (values(DIM, 1.0), values(ROWS * DIM, 2.0), values(ROWS * DIM, 3.0));
        let factors = values(DIM, 7.0);
        let rows: Vec<usize> = (0..ROWS).collect();
        let run = |query: &[f32], keys: &[f32], all: &[f32]| {
            let (mut out, mut weights) = (vec![0.0; DIM], vec![0.0; 2 * ROWS]);
            attend(&mut out, &mut weights, query, keys, all, &rows, 2);
            let sum: f64 = out.iter().zip(&factors).map(|(o, f)| f64::from(*o) * f64::from(*f)).sum();
            (sum, weights)
        };
        let weights = run(&query, &keys, &all).1;
        let (mut d_query, mut d_keys, mut d_all) =
            (vec![0.0; DIM], vec![0.0; ROWS * DIM], vec![0.0; ROWS * DIM]);
        attend_back(&mut d_query, &mut d_keys, &mut d_all, &factors, &weights, &query, &keys, &all, 2);
        let check = |x: &[f32], d: &[f32], f: &dyn Fn(&[f32]) -> f64| {
            for i in 0..x.len() {
                let moved = |by: f32| {
                    let mut x = x.to_vec();
                    x[i] += by;
                    f(&x)
                };
                let slope = (moved(0.01) - moved(-0.01)) / 0.02;
                assert!((slope - f64::from(d[i])).abs() < 1e-3, "{i}: {slope} {}", d[i]);
            }
        };
        check(&query, &d_query, &|query| run(query, &keys, &all).0);
        check(&keys, &d_keys, &|keys| run(&query, keys, &all).0);
        check(&all, &d_all, &|all| run(&query, &keys, all).0);
    }
}
