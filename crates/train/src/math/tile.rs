//! The innermost product: some rows with a panel of columns, by the widest registers of the machine.

/// Columns of a panel.
pub(super) const PANEL: usize = 32;
/// Rows of the largest tile.
pub(super) const TILE: usize = 12;

/// `M` rows of `depth` values inside a slice.
pub(super) struct Strided<'a, const M: usize> {
    values: &'a [f32],
    rows: usize,
    along: usize,
    depth: usize,
}

impl<'a, const M: usize> Strided<'a, M> {
    pub fn new(values: &'a [f32], rows: usize, along: usize, depth: usize) -> Self {
        assert!(depth > 0 && (M - 1) * rows + (depth - 1) * along < values.len(), "inside the slice");
        Self { values, rows, along, depth }
    }
}

/// `M` rows of [`PANEL`] values, `stride` apart, that a product is written to, or added to.
pub(super) struct Block<'a, const M: usize> {
    values: &'a mut [f32],
    stride: usize,
    add: bool,
}

impl<'a, const M: usize> Block<'a, M> {
    pub fn new(values: &'a mut [f32], stride: usize, add: bool) -> Self {
        assert!((M - 1) * stride + PANEL <= values.len(), "inside the slice");
        Self { values, stride, add }
    }
}

/// `out[i] = Σ a[i][p] · panel[p]`, each a chain of fused multiply-adds, or where it is added, `out[i]` plus that sum.
pub(super) fn multiply<const M: usize>(a: &Strided<'_, M>, panel: &[[f32; PANEL]], out: &mut Block<'_, M>) {
    assert_eq!(a.depth, panel.len());
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::is_x86_feature_detected;
        if is_x86_feature_detected!("avx512f") {
            // SAFETY: the machine has the instructions, and the rows of `a` are as long as the panel.
            #[allow(unsafe_code)]
            return unsafe { x86::wide(a, panel, out) };
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            // SAFETY: likewise.
            #[allow(unsafe_code)]
            return unsafe { x86::half(a, panel, out) };
        }
    }
    portable(a, panel, out);
}

fn portable<const M: usize>(a: &Strided<'_, M>, panel: &[[f32; PANEL]], out: &mut Block<'_, M>) {
    let mut sums = [[0.0; PANEL]; M];
    for (p, panel) in panel.iter().enumerate() {
        for (i, sums) in sums.iter_mut().enumerate() {
            let x = a.values[i * a.rows + p * a.along];
            sums.iter_mut().zip(panel).for_each(|(s, b)| *s = fused(x, *b, *s));
        }
    }
    let add = out.add;
    for (out, sums) in out.values.chunks_mut(out.stride).zip(&sums) {
        out.iter_mut().zip(sums).for_each(|(o, s)| *o = if add { *o + s } else { *s });
    }
}

/// `x · b + s`, rounded once where that is one instruction.
#[inline(always)]
fn fused(x: f32, b: f32, s: f32) -> f32 {
    if cfg!(target_arch = "aarch64") { x.mul_add(b, s) } else { x * b + s }
}

#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
mod x86 {
    use super::{Block, PANEL, Strided};
    use std::arch::x86_64::*;

    /// Rows of a panel between what is multiplied and what is fetched.
    const AHEAD: usize = 24;

    /// Two registers of 16 values for each row.
    ///
    /// # Safety
    /// The machine has AVX-512F, and the rows of `a` are as long as the panel.
    #[target_feature(enable = "avx512f")]
    pub unsafe fn wide<const M: usize>(a: &Strided<'_, M>, panel: &[[f32; PANEL]], out: &mut Block<'_, M>) {
        let mut acc = [[_mm512_setzero_ps(); 2]; M];
        let mut values = a.values.as_ptr();
        for panel in panel {
            // SAFETY: a panel's row holds 32 values; `Strided` vouches for its rows up to their length.
            unsafe {
                let b = [_mm512_loadu_ps(panel.as_ptr()), _mm512_loadu_ps(panel.as_ptr().add(16))];
                // What lies behind the panel is the next one, from another page that the processor does not foresee.
                let ahead = panel.as_ptr().wrapping_add(AHEAD * PANEL);
                _mm_prefetch::<_MM_HINT_T0>(ahead.cast());
                _mm_prefetch::<_MM_HINT_T0>(ahead.wrapping_add(16).cast());
                for (i, acc) in acc.iter_mut().enumerate() {
                    let x = _mm512_set1_ps(*values.add(i * a.rows));
                    *acc = [_mm512_fmadd_ps(x, b[0], acc[0]), _mm512_fmadd_ps(x, b[1], acc[1])];
                }
            }
            values = values.wrapping_add(a.along);
        }
        for (i, acc) in acc.into_iter().enumerate() {
            for (half, mut sum) in acc.into_iter().enumerate() {
                // SAFETY: `Block` vouches for 32 values in each of its rows.
                unsafe {
                    let at = out.values.as_mut_ptr().add(i * out.stride + 16 * half);
                    if out.add {
                        sum = _mm512_add_ps(_mm512_loadu_ps(at), sum);
                    }
                    _mm512_storeu_ps(at, sum);
                }
            }
        }
    }

    /// Two passes over at most six rows at a time, each over half of the columns in two registers of 8 values.
    ///
    /// # Safety
    /// The machine has AVX2 and FMA, and the rows of `a` are as long as the panel.
    #[target_feature(enable = "avx2,fma")]
    pub unsafe fn half<const M: usize>(a: &Strided<'_, M>, panel: &[[f32; PANEL]], out: &mut Block<'_, M>) {
        let mut first = 0;
        while first < M {
            // SAFETY: as for this function; there are as many rows from the first on.
            first += unsafe {
                match M - first {
                    // Four and four: two rows alone would wait for their sums.
                    8 => both::<4, M>(a, panel, out, first),
                    6.. => both::<6, M>(a, panel, out, first),
                    4.. => both::<4, M>(a, panel, out, first),
                    2.. => both::<2, M>(a, panel, out, first),
                    _ => both::<1, M>(a, panel, out, first),
                }
            };
        }
    }

    /// Both halves of the columns for `N` rows.
    ///
    /// # Safety
    /// As [`half`]; there are `N` rows from `first` on.
    #[target_feature(enable = "avx2,fma")]
    unsafe fn both<const N: usize, const M: usize>(
        a: &Strided<'_, M>,
        panel: &[[f32; PANEL]],
        out: &mut Block<'_, M>,
        first: usize,
    ) -> usize {
        for column in [0, 16] {
            // SAFETY: as for this function; 16 columns from 0 or 16 on are inside a panel's row.
            unsafe { rows::<N, M>(a, panel, out, (first, column)) };
        }
        N
    }

    /// # Safety
    /// As [`half`]; there are `N` rows from `first` on, and `column` is at most 16.
    #[target_feature(enable = "avx2,fma")]
    unsafe fn rows<const N: usize, const M: usize>(
        a: &Strided<'_, M>,
        panel: &[[f32; PANEL]],
        out: &mut Block<'_, M>,
        (first, column): (usize, usize),
    ) {
        let mut acc = [[_mm256_setzero_ps(); 2]; N];
        let mut values = a.values.as_ptr().wrapping_add(first * a.rows);
        for panel in panel {
            // SAFETY: see above.
            unsafe {
                let at = panel.as_ptr().add(column);
                let b = [_mm256_loadu_ps(at), _mm256_loadu_ps(at.add(8))];
                for (i, acc) in acc.iter_mut().enumerate() {
                    let x = _mm256_set1_ps(*values.add(i * a.rows));
                    *acc = [_mm256_fmadd_ps(x, b[0], acc[0]), _mm256_fmadd_ps(x, b[1], acc[1])];
                }
            }
            values = values.wrapping_add(a.along);
        }
        for (i, acc) in acc.into_iter().enumerate() {
            for (half, mut sum) in acc.into_iter().enumerate() {
                // SAFETY: see above; `Block` vouches for 32 values in each of its rows.
                unsafe {
                    let at = out.values.as_mut_ptr().add((first + i) * out.stride + column + 8 * half);
                    if out.add {
                        sum = _mm256_add_ps(_mm256_loadu_ps(at), sum);
                    }
                    _mm256_storeu_ps(at, sum);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::testing::numbers;

    const STRIDE: usize = PANEL + 3;

    /// What a product makes of ones.
    fn of_ones(add: bool, product: impl Fn(&mut Block<'_, 12>)) -> Vec<f32> {
        let mut out = vec![1.0; 12 * STRIDE - 3];
        product(&mut Block::new(&mut out, STRIDE, add));
        out
    }

    #[test]
    fn all_instruction_sets_agree_to_the_last_bit() {
        let (a, b) = (numbers(12 * 300), numbers(300 * PANEL));
        let rows = Strided::<12>::new(&a, 300, 1, 300);
        let panel = b.as_chunks::<PANEL>().0;
        for add in [false, true] {
            let mut wanted = vec![1.0; 12 * STRIDE - 3];
            for (i, wanted) in wanted.chunks_mut(STRIDE).enumerate() {
                for (column, wanted) in wanted[..PANEL].iter_mut().enumerate() {
                    let chain = |sum: f32, p: usize| a[i * 300 + p].mul_add(panel[p][column], sum);
                    let sum = (0..300).fold(0.0, chain);
                    *wanted = if add { 1.0 + sum } else { sum };
                }
            }
            let sums = of_ones(add, |out| multiply(&rows, panel, out));
            #[cfg(target_arch = "x86_64")]
            if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
                assert_eq!(sums, wanted);
                // SAFETY: the machine has the instructions.
                #[allow(unsafe_code)]
                let half = of_ones(add, |out| unsafe { x86::half(&rows, panel, out) });
                assert_eq!(half, wanted);
            }
            let portable = of_ones(add, |out| portable(&rows, panel, out));
            for found in [sums, portable] {
                assert!(found.iter().zip(&wanted).all(|(s, w)| (s - w).abs() < 1e-4));
                assert!(found.iter().zip(&wanted).skip(PANEL).step_by(STRIDE).all(|(s, w)| s == w));
            }
        }
    }

    #[test]
    #[should_panic(expected = "inside the slice")]
    fn a_block_ends_inside_its_slice() {
        Block::<2>::new(&mut [0.0; 2 * PANEL], PANEL + 1, false);
    }
}
