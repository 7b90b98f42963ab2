//! Non-linearities, layer norm and cross entropy, with their backward passes.

use super::kernels::{dot_any, exp, kernel, sigmoid, sum_any, tanh, top_any};

/// Share of the normal distribution below x, and its density there; erf by Abramowitz & Stegun 7.1.26 (error below 2e-7).
#[inline(always)]
fn normal(x: f32) -> (f32, f32) {
    const PEAK: f32 = 0.398_942_3;
    let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * z);
    let p = ((((1.061_405_4 * t - 1.453_152) * t + 1.421_413_7) * t - 0.284_496_74) * t + 0.254_829_6) * t;
    let e = exp(-z * z);
    (0.5 * (1.0 + (1.0 - p * e).copysign(x)), PEAK * e)
}

kernel! {
    /// tanh of each value.
    pub fn tanh_all(x: &mut [f32]) {
        x.iter_mut().for_each(|x| *x = tanh(*x));
    }
}

kernel! {
    /// The logistic function of each value.
    pub fn sigmoid_all(x: &mut [f32]) {
        x.iter_mut().for_each(|x| *x = sigmoid(*x));
    }
}

kernel! {
    /// `x · sigmoid(x)` of each value.
    pub fn silu_all(x: &mut [f32]) {
        x.iter_mut().for_each(|x| *x *= sigmoid(*x));
    }
}

kernel! {
    /// Gaussian error linear unit of each value.
    pub fn gelu(x: &mut [f32]) {
        x.iter_mut().for_each(|x| *x *= normal(*x).0);
    }
}

kernel! {
    /// Backward of [`gelu`] at `x`: `grad` becomes the gradient of `x`.
    pub fn gelu_back(grad: &mut [f32], x: &[f32]) {
        for (g, x) in grad.iter_mut().zip(x) {
            let (below, density) = normal(*x);
            *g *= below + x * density;
        }
    }
}

kernel! {
    /// `x *= silu(gate)`, `silu(g) = g · sigmoid(g)`.
    pub fn silu_times(x: &mut [f32], gate: &[f32]) {
        x.iter_mut().zip(gate).for_each(|(x, g)| *x *= g * sigmoid(*g));
    }
}

kernel! {
    /// Backward of [`silu_times`] at `x` and `gate`, from the gradient in both of the first: they become those of `x` and `gate`.
    pub fn silu_times_back(d_x: &mut [f32], d_gate: &mut [f32], x: &[f32], gate: &[f32]) {
        for (((d_x, d_gate), x), g) in d_x.iter_mut().zip(d_gate).zip(x).zip(gate) {
            let s = sigmoid(*g);
            *d_x *= g * s;
            *d_gate *= x * s * (1.0 + g * (1.0 - s));
        }
    }
}

kernel! {
    /// Layer norm of each `n` values, eps 1e-5; weight and bias are those of a row, which may hold several norms. `unit` holds the
    /// values and becomes them less the mean over the deviation; `scale` becomes one over the deviation of each.
    pub fn layer_norm(
        out: &mut [f32], unit: &mut [f32], scale: &mut [f32], weight: &[f32], bias: &[f32], n: usize,
    ) {
        let affine = weight.chunks_exact(n).zip(bias.chunks_exact(n)).cycle();
        let rows = out.chunks_exact_mut(n).zip(unit.chunks_exact_mut(n)).zip(scale);
        for (((out, x), scale), (weight, bias)) in rows.zip(affine) {
            let mean = sum_any(x) / n as f32;
            x.iter_mut().for_each(|x| *x -= mean);
            *scale = 1.0 / (dot_any(x, x) / n as f32 + 1e-5).sqrt();
            for (((out, x), w), b) in out.iter_mut().zip(x).zip(weight).zip(bias) {
                *x *= *scale;
                *out = *x * w + b;
            }
        }
    }
}

kernel! {
    /// Backward of [`layer_norm`]: `grad` becomes the gradient of the values; those of weight and bias are added to.
    pub fn layer_norm_back(
        grad: &mut [f32], unit: &[f32], scale: &[f32], weight: &[f32], d_weight: &mut [f32], d_bias: &mut [f32], n: usize,
    ) {
        let norms = weight.len() / n;
        for (i, ((g, x), scale)) in grad.chunks_exact_mut(n).zip(unit.chunks_exact(n)).zip(scale).enumerate() {
            let at = i % norms * n;
            d_bias[at..at + n].iter_mut().zip(&*g).for_each(|(d, g)| *d += g);
            d_weight[at..at + n].iter_mut().zip(&*g).zip(x).for_each(|((d, g), x)| *d += g * x);
            g.iter_mut().zip(&weight[at..at + n]).for_each(|(g, w)| *g *= w);
            let (mean, along) = (sum_any(g) / n as f32, dot_any(g, x) / n as f32);
            g.iter_mut().zip(x).for_each(|(g, x)| *g = scale * (*g - mean - along * x));
        }
    }
}

kernel! {
    /// Cross entropy in nats of one row of logits, against `1 - smoothing` on the target and the rest spread evenly
    /// (Szegedy et al. 2016). The row becomes its gradient times `factor`.
    pub fn cross_entropy(logits: &mut [f32], target: usize, smoothing: f32, factor: f32) -> f32 {
        let n = logits.len() as f32;
        let top = top_any(logits);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::testing::values;

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

    /// The gradient of `Σ factor · f(x)` at `x`, by differences in double steps.
    fn slopes(x: &[f32], f: impl Fn(&[f32]) -> f64) -> Vec<f64> {
        let moved = |i: usize, by: f32| {
            let mut x = x.to_vec();
            x[i] += by;
            f(&x)
        };
        (0..x.len()).map(|i| (moved(i, 0.01) - moved(i, -0.01)) / 0.02).collect()
    }

    fn same(ours: &[f32], wanted: &[f64]) {
        assert_eq!(ours.len(), wanted.len());
        for (i, (o, w)) in ours.iter().zip(wanted).enumerate() {
            assert!((f64::from(*o) - w).abs() < 3e-4 * w.abs().max(1.0), "{i}: {o} {w}");
        }
    }

    fn weighted(x: &[f32], factors: &[f32]) -> f64 {
        x.iter().zip(factors).map(|(x, f)| f64::from(*x) * f64::from(*f)).sum()
    }

    #[test]
    fn activations_and_their_gradients() {
        let (x, gate, factors) = (values(21, 0.0), values(21, 2.0), values(21, 5.0));
        let mut grad = factors.clone();
        gelu_back(&mut grad, &x);
        let of_gelu = |x: &[f32]| {
            let mut y = x.to_vec();
            gelu(&mut y);
            weighted(&y, &factors)
        };
        same(&grad, &slopes(&x, of_gelu));
        let of_silu = |x: &[f32], gate: &[f32]| {
            let mut y = x.to_vec();
            silu_times(&mut y, gate);
            weighted(&y, &factors)
        };
        let (mut d_x, mut d_gate) = (factors.clone(), factors.clone());
        silu_times_back(&mut d_x, &mut d_gate, &x, &gate);
        same(&d_x, &slopes(&x, |x| of_silu(x, &gate)));
        same(&d_gate, &slopes(&gate, |gate| of_silu(&x, gate)));
    }

    #[test]
    fn layer_norm_and_its_gradients() {
        const N: usize = 19;
        // Two rows of two norms each.
        let (x, weight, bias, factors) =
            (values(4 * N, 0.0), values(2 * N, 3.0), values(2 * N, 4.0), values(4 * N, 6.0));
        let norm = |x: &[f32], weight: &[f32], bias: &[f32]| {
            let (mut out, mut unit, mut scale) = (vec![0.0; 4 * N], x.to_vec(), vec![0.0; 4]);
            layer_norm(&mut out, &mut unit, &mut scale, weight, bias, N);
            (out, unit, scale)
        };
        let (out, unit, scale) = norm(&x, &weight, &bias);
        let mean = x[..N].iter().sum::<f32>() / N as f32;
        let variance = x[..N].iter().map(|x| (x - mean).powi(2)).sum::<f32>() / N as f32;
        assert!((out[3] - ((x[3] - mean) / (variance + 1e-5).sqrt() * weight[3] + bias[3])).abs() < 1e-5);
        let (mut grad, mut d_weight, mut d_bias) = (factors.clone(), vec![0.0; 2 * N], vec![0.0; 2 * N]);
        layer_norm_back(&mut grad, &unit, &scale, &weight, &mut d_weight, &mut d_bias, N);
        same(&grad, &slopes(&x, |x| weighted(&norm(x, &weight, &bias).0, &factors)));
        same(&d_weight, &slopes(&weight, |weight| weighted(&norm(&x, weight, &bias).0, &factors)));
        same(&d_bias, &slopes(&bias, |bias| weighted(&norm(&x, &weight, bias).0, &factors)));
    }
}
