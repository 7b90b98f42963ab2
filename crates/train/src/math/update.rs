//! One step of an optimiser on one parameter; formulas in [`crate::optim`].
//!
//! In all of them gradients are first multiplied by `scale` (clipping).

use super::kernels::kernel;

kernel! {
    /// AdamW: `rate` and `eps` already hold the bias corrections, `shrink` is `1 - lr · decay`.
    pub fn adamw(
        x: &mut [f32], gradient: &[f32], m: &mut [f32], v: &mut [f32],
        betas: (f32, f32), rate: f32, eps: f32, shrink: f32, scale: f32,
    ) {
        let n = x.len();
        let (gradient, m, v) = (&gradient[..n], &mut m[..n], &mut v[..n]);
        for j in 0..n {
            let g = gradient[j] * scale;
            m[j] = betas.0 * m[j] + (1.0 - betas.0) * g;
            v[j] = betas.1 * v[j] + (1.0 - betas.1) * g * g;
            x[j] = x[j] * shrink - rate * m[j] / (v[j].sqrt() + eps);
        }
    }
}

kernel! {
    /// Adam: as [`adamw`], with `decay · x` in the gradient in place of the shrinking.
    pub fn adam(
        x: &mut [f32], gradient: &[f32], m: &mut [f32], v: &mut [f32],
        betas: (f32, f32), rate: f32, eps: f32, decay: f32, scale: f32,
    ) {
        let n = x.len();
        let (gradient, m, v) = (&gradient[..n], &mut m[..n], &mut v[..n]);
        for j in 0..n {
            let g = gradient[j] * scale + decay * x[j];
            m[j] = betas.0 * m[j] + (1.0 - betas.0) * g;
            v[j] = betas.1 * v[j] + (1.0 - betas.1) * g * g;
            x[j] -= rate * m[j] / (v[j].sqrt() + eps);
        }
    }
}

kernel! {
    /// SGD with momentum; `decay · x` is part of the gradient.
    pub fn sgd(
        x: &mut [f32], gradient: &[f32], m: &mut [f32], momentum: f32, rate: f32, decay: f32, scale: f32,
    ) {
        let n = x.len();
        let (gradient, m) = (&gradient[..n], &mut m[..n]);
        for j in 0..n {
            m[j] = momentum * m[j] + (gradient[j] * scale + decay * x[j]);
            x[j] -= rate * m[j];
        }
    }
}

kernel! {
    /// Lion; `shrink` is `1 - lr · decay`. The sign of 0 is 0.
    pub fn lion(
        x: &mut [f32], gradient: &[f32], m: &mut [f32], betas: (f32, f32), rate: f32, shrink: f32, scale: f32,
    ) {
        let n = x.len();
        let (gradient, m) = (&gradient[..n], &mut m[..n]);
        for j in 0..n {
            let g = gradient[j] * scale;
            let c = betas.0 * m[j] + (1.0 - betas.0) * g;
            let sign = f32::from(u8::from(c > 0.0)) - f32::from(u8::from(c < 0.0));
            x[j] = x[j] * shrink - rate * sign;
            m[j] = betas.1 * m[j] + (1.0 - betas.1) * g;
        }
    }
}

kernel! {
    /// Moves an average towards `x`: `average ← average + share · (x - average)`.
    pub fn follow(average: &mut [f32], x: &[f32], share: f32) {
        average.iter_mut().zip(x).for_each(|(a, x)| *a += share * (x - *a));
    }
}
