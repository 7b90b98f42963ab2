//! Products of 32 bytes at once.

use pulp::x86::V3;
use pulp::{cast, f32x8, i32x8};

use super::BLOCK;

/// Dot products of one row of blocks with `N` others of the same length.
///
/// AVX2 multiplies unsigned by signed bytes, so the sign of the weight is moved to the other factor.
/// Pairs are summed in 16 bits: 2 · 127 · 127 fits.
#[inline(always)]
pub(super) fn dots<const N: usize>(
    simd: V3,
    (w, w_scales): (&[[i8; BLOCK]], &[f32]),
    x: [(&[[i8; BLOCK]], &[f32]); N],
) -> [f32; N] {
    let blocks = w.len();
    let w_scales = &w_scales[..blocks];
    let x = x.map(
        #[inline(always)]
        |(values, scales)| (&values[..blocks], &scales[..blocks]),
    );
    let ones = simd.splat_i16x16(1);
    let mut sums = [simd.splat_f32x8(0.0); N];
    for b in 0..blocks {
        let signs = cast(w[b]);
        let sizes = simd.avx2._mm256_abs_epi8(signs);
        for j in 0..N {
            let (values, scales) = x[j];
            let signed = simd.avx2._mm256_sign_epi8(cast(values[b]), signs);
            let pairs = simd.avx2._mm256_maddubs_epi16(sizes, signed);
            let fours: i32x8 = cast(simd.avx2._mm256_madd_epi16(pairs, cast(ones)));
            let scale = simd.splat_f32x8(w_scales[b] * scales[b]);
            sums[j] = simd.mul_add_f32x8(simd.convert_i32x8_to_f32x8(fours), scale, sums[j]);
        }
    }
    sums.map(total)
}

#[inline(always)]
fn total(sum: f32x8) -> f32 {
    let s: [f32; 8] = cast(sum);
    ((s[0] + s[4]) + (s[1] + s[5])) + ((s[2] + s[6]) + (s[3] + s[7]))
}
