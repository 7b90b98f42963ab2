//! Loops over rows, compiled for AVX2 where the machine has it.
//!
//! No fused multiply-add and no reordering that depends on the machine: results are the same with and without AVX2.

/// Declares a function that is compiled twice and chooses at run time.
macro_rules! kernel {
    ($(#[$meta:meta])* pub fn $name:ident($($arg:ident: $kind:ty),* $(,)?) $(-> $out:ty)? $body:block) => {
        $(#[$meta])*
        #[allow(clippy::too_many_arguments)]
        pub fn $name($($arg: $kind),*) $(-> $out)? {
            #[inline(always)]
            #[allow(clippy::too_many_arguments)]
            fn any($($arg: $kind),*) $(-> $out)? $body
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2")]
                #[allow(clippy::too_many_arguments)]
                fn wide($($arg: $kind),*) $(-> $out)? {
                    any($($arg),*)
                }
                if std::arch::is_x86_feature_detected!("avx2") {
                    // SAFETY: the processor has just been asked for the one feature that `wide` needs.
                    #[allow(unsafe_code)]
                    return unsafe { wide($($arg),*) };
                }
            }
            any($($arg),*)
        }
    };
}

pub(super) use kernel;

/// e^x to about 1e-7 relative (Cephes' polynomial), without branches; NaN stays NaN.
#[inline(always)]
fn exp(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0;
    let x = x.clamp(-87.0, 88.0);
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = x - n * 0.693_359_4 + n * 2.121_944_4e-4;
    let p = ((((1.987_569_1e-4 * r + 1.398_2e-3) * r + 8.333_452e-3) * r + 4.166_579_6e-2) * r
        + 1.666_666_6e-1)
        * r
        + 0.5;
    let scale = f32::from_bits((shifted.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127)) << 23);
    (p * r * r + r + 1.0) * scale
}

#[inline(always)]
fn tanh(x: f32) -> f32 {
    1.0 - 2.0 / (exp(2.0 * x) + 1.0)
}

#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// Values that loops over rows take at once. Sums have one accumulator for each of them, and so one fixed order.
const LANES: usize = 16;

#[inline(always)]
fn dot_any(a: &[f32], b: &[f32]) -> f32 {
    let n = a.len().min(b.len());
    let ((a, a_rest), (b, b_rest)) = (a[..n].as_chunks::<LANES>(), b[..n].as_chunks::<LANES>());
    let mut sums = [0.0f32; LANES];
    for (a, b) in a.iter().zip(b) {
        (0..LANES).for_each(|j| sums[j] += a[j] * b[j]);
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f32>() + rest
}

#[inline(always)]
fn sum_any(x: &[f32]) -> f32 {
    let (x, rest) = x.as_chunks::<LANES>();
    let mut sums = [0.0f32; LANES];
    for x in x {
        (0..LANES).for_each(|j| sums[j] += x[j]);
    }
    sums.iter().sum::<f32>() + rest.iter().sum::<f32>()
}

#[inline(always)]
fn add_scaled_any(to: &mut [f32], x: &[f32], factor: f32) {
    to.iter_mut().zip(x).for_each(|(t, x)| *t += factor * x);
}

kernel! {
    /// Scalar product.
    pub fn dot(a: &[f32], b: &[f32]) -> f32 {
        dot_any(a, b)
    }
}

kernel! {
    /// Sum of squares in double precision.
    pub fn sum_of_squares(x: &[f32]) -> f64 {
        x.chunks(4096).map(|part| f64::from(dot_any(part, part))).sum()
    }
}

kernel! {
    /// `to += factor · x`.
    pub fn add_scaled(to: &mut [f32], x: &[f32], factor: f32) {
        add_scaled_any(to, x, factor);
    }
}

kernel! {
    /// `to += x`.
    pub fn add_row(to: &mut [f32], x: &[f32]) {
        to.iter_mut().zip(x).for_each(|(t, x)| *t += x);
    }
}

kernel! {
    /// `to *= x`.
    pub fn multiply(to: &mut [f32], x: &[f32]) {
        to.iter_mut().zip(x).for_each(|(t, x)| *t *= x);
    }
}

kernel! {
    /// Adds `bias` to each row.
    pub fn add_bias(rows: &mut [f32], bias: &[f32]) {
        for row in rows.chunks_exact_mut(bias.len()) {
            row.iter_mut().zip(bias).for_each(|(x, b)| *x += b);
        }
    }
}

kernel! {
    /// Sum over rows, added to `sums`.
    pub fn column_sums(sums: &mut [f32], rows: &[f32]) {
        for row in rows.chunks_exact(sums.len()) {
            sums.iter_mut().zip(row).for_each(|(s, x)| *s += x);
        }
    }
}

kernel! {
    /// tanh of each value.
    pub fn tanh_all(x: &mut [f32]) {
        x.iter_mut().for_each(|x| *x = tanh(*x));
    }
}

kernel! {
    /// Gaussian error linear unit of each value; erf by Abramowitz & Stegun 7.1.26 (error below 2e-7).
    pub fn gelu(x: &mut [f32]) {
        for x in x.iter_mut() {
            let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
            let t = 1.0 / (1.0 + 0.327_591_1 * z);
            let p = ((((1.061_405_4 * t - 1.453_152) * t + 1.421_413_7) * t - 0.284_496_74) * t + 0.254_829_6) * t;
            let erf = 1.0 - p * exp(-z * z);
            *x *= 0.5 * (1.0 + erf.copysign(*x));
        }
    }
}

kernel! {
    /// Softmax of one row, in place.
    pub fn softmax(x: &mut [f32]) {
        let top = x.iter().fold(f32::NEG_INFINITY, |m, v| m.max(*v));
        x.iter_mut().for_each(|v| *v = exp(*v - top));
        let total = sum_any(x);
        x.iter_mut().for_each(|v| *v /= total);
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
    /// Cross entropy in nats of one row of logits, against `1 - smoothing` on the target and the rest spread evenly
    /// (Szegedy et al. 2016). The row becomes its gradient times `factor`.
    pub fn cross_entropy(logits: &mut [f32], target: usize, smoothing: f32, factor: f32) -> f32 {
        let n = logits.len() as f32;
        let top = logits.iter().fold(f32::NEG_INFINITY, |m, v| m.max(*v));
        let mean = sum_any(logits) / n;
        let wanted = logits[target];
        logits.iter_mut().for_each(|v| *v = exp(*v - top));
        let total = sum_any(logits);
        let (scale, even) = (factor / total, factor * smoothing / n);
        logits.iter_mut().for_each(|v| *v = *v * scale - even);
        logits[target] -= factor * (1.0 - smoothing);
        top + total.ln() - (1.0 - smoothing) * wanted - smoothing * mean
    }
}

kernel! {
    /// One LSTM cell on one row: `gates` holds i, f, g, o before activation and afterwards activated; `c` and `h`
    /// become the new state.
    pub fn lstm_cell(gates: &mut [f32], c: &mut [f32], h: &mut [f32]) {
        let n = c.len();
        let (i, rest) = gates.split_at_mut(n);
        let (f, rest) = rest.split_at_mut(n);
        let (g, o) = rest.split_at_mut(n);
        let (g, o, h) = (&mut g[..n], &mut o[..n], &mut h[..n]);
        for j in 0..n {
            i[j] = sigmoid(i[j]);
            f[j] = sigmoid(f[j]);
            g[j] = tanh(g[j]);
            o[j] = sigmoid(o[j]);
            c[j] = f[j] * c[j] + i[j] * g[j];
            h[j] = o[j] * tanh(c[j]);
        }
    }
}

kernel! {
    /// Backward of [`lstm_cell`]: `gates` (activated) become the gradients before activation; `dc` is the gradient
    /// of the new cell and becomes that of the old one.
    pub fn lstm_back(gates: &mut [f32], c_old: &[f32], c: &[f32], dh: &[f32], dc: &mut [f32]) {
        let n = c.len();
        let (i, rest) = gates.split_at_mut(n);
        let (f, rest) = rest.split_at_mut(n);
        let (g, o) = rest.split_at_mut(n);
        let (g, o, c_old, dh, dc) = (&mut g[..n], &mut o[..n], &c_old[..n], &dh[..n], &mut dc[..n]);
        for j in 0..n {
            let (a, b, w, out, t) = (i[j], f[j], g[j], o[j], tanh(c[j]));
            let d = dc[j] + dh[j] * out * (1.0 - t * t);
            i[j] = d * w * a * (1.0 - a);
            f[j] = d * c_old[j] * b * (1.0 - b);
            g[j] = d * a * (1.0 - w * w);
            o[j] = dh[j] * t * out * (1.0 - out);
            dc[j] = d * b;
        }
    }
}

kernel! {
    /// One GRU cell on one row: `x` and `y` hold r, z, n of the input and of the state before activation; `x`
    /// becomes the activated gates, `y` keeps its n part, `h` becomes the new state.
    pub fn gru_cell(x: &mut [f32], y: &[f32], h: &mut [f32]) {
        let n = h.len();
        let (xr, rest) = x.split_at_mut(n);
        let (xz, xn) = rest.split_at_mut(n);
        let (yr, rest) = y.split_at(n);
        let (yz, yn) = rest.split_at(n);
        let (xn, yn) = (&mut xn[..n], &yn[..n]);
        for j in 0..n {
            xr[j] = sigmoid(xr[j] + yr[j]);
            xz[j] = sigmoid(xz[j] + yz[j]);
            xn[j] = tanh(xn[j] + xr[j] * yn[j]);
            h[j] = (1.0 - xz[j]) * xn[j] + xz[j] * h[j];
        }
    }
}

kernel! {
    /// Backward of [`gru_cell`]: `x` (activated) becomes the gradient of the input's gates, `y` that of the state's;
    /// `dh` is the gradient of the new state and becomes the part that reaches the old one directly.
    pub fn gru_back(x: &mut [f32], y: &mut [f32], h_old: &[f32], dh: &mut [f32]) {
        let n = dh.len();
        let (xr, rest) = x.split_at_mut(n);
        let (xz, xn) = rest.split_at_mut(n);
        let (yr, rest) = y.split_at_mut(n);
        let (yz, yn) = rest.split_at_mut(n);
        let (xn, yn, h_old) = (&mut xn[..n], &mut yn[..n], &h_old[..n]);
        for j in 0..n {
            let (r, z, w, d) = (xr[j], xz[j], xn[j], dh[j]);
            let dn = d * (1.0 - z) * (1.0 - w * w);
            let dz = d * (h_old[j] - w) * z * (1.0 - z);
            let dr = dn * yn[j] * r * (1.0 - r);
            (xr[j], xz[j], xn[j]) = (dr, dz, dn);
            (yr[j], yz[j], yn[j]) = (dr, dz, dn * r);
            dh[j] = d * z;
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

    #[test]
    fn exp_tanh_and_sigmoid_follow_the_standard_library() {
        for i in -2000..2000 {
            let x = i as f32 * 0.01;
            assert!((exp(x) / x.exp() - 1.0).abs() < 3e-7, "exp {x}");
            assert!((tanh(x) - x.tanh()).abs() < 3e-7, "tanh {x}");
            assert!((sigmoid(x) - 1.0 / (1.0 + (-x).exp())).abs() < 3e-7, "sigmoid {x}");
        }
        assert!(exp(f32::NAN).is_nan() && tanh(f32::NAN).is_nan());
        assert_eq!((tanh(1e9), tanh(-1e9)), (1.0, -1.0));
    }

    #[test]
    fn cross_entropy_and_its_gradient() {
        let logits = [0.5f32, -1.0, 2.0, 0.1];
        let loss = |x: [f32; 4]| cross_entropy(&mut x.clone(), 2, 0.1, 1.0);
        let mut gradient = logits;
        let value = cross_entropy(&mut gradient, 2, 0.1, 1.0);
        let total = logits.iter().map(|x| x.exp()).sum::<f32>().ln();
        let expected = logits.iter().enumerate().map(|(i, x)| {
            let wanted = if i == 2 { 0.925 } else { 0.025 };
            wanted * (total - x)
        });
        assert!((value - expected.sum::<f32>()).abs() < 1e-5);
        for i in 0..4 {
            let (mut up, mut down) = (logits, logits);
            (up[i], down[i]) = (up[i] + 0.01, down[i] - 0.01);
            let slope = (loss(up) - loss(down)) / 0.02;
            assert!((slope - gradient[i]).abs() < 1e-3, "{i}: {slope} {}", gradient[i]);
        }
    }

    #[test]
    fn dot_and_softmax_of_odd_lengths() {
        let a: Vec<f32> = (0..37).map(|i| i as f32).collect();
        assert_eq!(dot(&a, &a), 16206.0);
        assert_eq!(sum_of_squares(&a), 16206.0);
        let mut p = vec![1.0, 2.0, 3.0];
        softmax(&mut p);
        assert!((p.iter().sum::<f32>() - 1.0).abs() < 1e-6 && (p[2] / p[1] - 1f32.exp()).abs() < 1e-5);
    }
}
