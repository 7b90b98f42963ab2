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

kernel! {
    /// Backward of softmax: `grad` becomes the gradient of the scores.
    pub fn softmax_back(grad: &mut [f32], probabilities: &[f32]) {
        let mean = dot_any(grad, probabilities);
        grad.iter_mut().zip(probabilities).for_each(|(g, p)| *g = p * (*g - mean));
    }
}

kernel! {
    /// Scaled dot-product attention of one query to some rows of `keys` and `values`, as wide as the query, in `heads` parts:
    /// `out += Σ weight · value`. `weights` become the probabilities, head by head.
    pub fn attend(
        out: &mut [f32], weights: &mut [f32], query: &[f32], keys: &[f32], values: &[f32], rows: &[usize], heads: usize,
    ) {
        let width = query.len() / heads;
        let scale = 1.0 / (width as f32).sqrt();
        for (head, weights) in weights.chunks_exact_mut(rows.len()).enumerate() {
            let from = head * width;
            for (weight, row) in weights.iter_mut().zip(rows) {
                *weight = dot_any(&query[from..][..width], &keys[row * query.len() + from..][..width]) * scale;
            }
            softmax_any(weights);
            for (weight, row) in weights.iter().zip(rows) {
                add_scaled_any(&mut out[from..][..width], &values[row * query.len() + from..][..width], *weight);
            }
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
}
