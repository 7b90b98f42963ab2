//! Loops over rows, compiled for AVX2 and AVX-512 too, where the machine has them.
//!
//! No fused multiply-add and no reordering that depends on the machine: results are the same on all of them.

/// Declares a function that is compiled three times and chooses at run time.
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
                #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw")]
                #[allow(clippy::too_many_arguments)]
                fn wide($($arg: $kind),*) $(-> $out)? {
                    any($($arg),*)
                }
                #[target_feature(enable = "avx2")]
                #[allow(clippy::too_many_arguments)]
                fn half($($arg: $kind),*) $(-> $out)? {
                    any($($arg),*)
                }
                if $crate::math::kernels::has_avx512() {
                    // SAFETY: the processor has just been asked for the features that `wide` needs.
                    #[allow(unsafe_code)]
                    return unsafe { wide($($arg),*) };
                }
                if std::arch::is_x86_feature_detected!("avx2") {
                    // SAFETY: the processor has just been asked for the one feature that `half` needs.
                    #[allow(unsafe_code)]
                    return unsafe { half($($arg),*) };
                }
            }
            any($($arg),*)
        }
    };
}

pub(super) use kernel;

/// Whether the machine has those parts of AVX-512 that loops are compiled for.
#[cfg(target_arch = "x86_64")]
pub(super) fn has_avx512() -> bool {
    use std::arch::is_x86_feature_detected;
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512bw")
}

/// e^x to about 1e-7 relative (Cephes' polynomial), without branches; NaN stays NaN.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
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
pub(super) fn tanh(x: f32) -> f32 {
    1.0 - 2.0 / (exp(2.0 * x) + 1.0)
}

#[inline(always)]
pub(super) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// Values that loops over rows take at once. Sums have one accumulator for each of them, and so one fixed order.
pub(super) const LANES: usize = 16;

#[inline(always)]
pub(super) fn dot_any(a: &[f32], b: &[f32]) -> f32 {
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
pub(super) fn sum_any(x: &[f32]) -> f32 {
    let (x, rest) = x.as_chunks::<LANES>();
    let mut sums = [0.0f32; LANES];
    for x in x {
        (0..LANES).for_each(|j| sums[j] += x[j]);
    }
    sums.iter().sum::<f32>() + rest.iter().sum::<f32>()
}

/// The largest value; several lanes at once, for the comparisons of one chain would wait for each other.
#[inline(always)]
pub(super) fn top_any(x: &[f32]) -> f32 {
    let (blocks, rest) = x.as_chunks::<LANES>();
    let mut tops = [f32::NEG_INFINITY; LANES];
    for x in blocks {
        (0..LANES).for_each(|j| tops[j] = if x[j] > tops[j] { x[j] } else { tops[j] });
    }
    tops.iter().chain(rest).fold(f32::NEG_INFINITY, |top, x| if *x > top { *x } else { top })
}

#[inline(always)]
pub(super) fn add_scaled_any(to: &mut [f32], x: &[f32], factor: f32) {
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
    fn dot_of_odd_lengths() {
        let a: Vec<f32> = (0..37).map(|i| i as f32).collect();
        assert_eq!(dot(&a, &a), 16206.0);
        assert_eq!(sum_of_squares(&a), 16206.0);
    }
}
