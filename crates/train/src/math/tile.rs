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

/// `sums[i] = Σ a[i][p] · panel[p]`, each a chain of fused multiply-adds.
pub(super) fn multiply<const M: usize>(
    a: &Strided<'_, M>,
    panel: &[[f32; PANEL]],
    sums: &mut [[f32; PANEL]; M],
) {
    assert_eq!(a.depth, panel.len());
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::is_x86_feature_detected;
        if is_x86_feature_detected!("avx512f") {
            // SAFETY: the machine has the instructions, and the rows of `a` are as long as the panel.
            #[allow(unsafe_code)]
            return unsafe { x86::wide(a, panel, sums) };
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            // SAFETY: likewise.
            #[allow(unsafe_code)]
            return unsafe { x86::half(a, panel, sums) };
        }
    }
    for (p, panel) in panel.iter().enumerate() {
        for (i, sums) in sums.iter_mut().enumerate() {
            let x = a.values[i * a.rows + p * a.along];
            sums.iter_mut().zip(panel).for_each(|(s, b)| *s = fused(x, *b, *s));
        }
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
    use super::{PANEL, Strided};
    use std::arch::x86_64::*;

    /// Rows of a panel between what is multiplied and what is fetched.
    const AHEAD: usize = 24;

    /// Two registers of 16 values for each row.
    ///
    /// # Safety
    /// The machine has AVX-512F, and the rows of `a` are as long as the panel.
    #[target_feature(enable = "avx512f")]
    pub unsafe fn wide<const M: usize>(
        a: &Strided<'_, M>,
        panel: &[[f32; PANEL]],
        sums: &mut [[f32; PANEL]; M],
    ) {
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
        for (acc, sums) in acc.iter().zip(sums) {
            // SAFETY: a row of sums holds 32 values.
            unsafe {
                _mm512_storeu_ps(sums.as_mut_ptr(), acc[0]);
                _mm512_storeu_ps(sums.as_mut_ptr().add(16), acc[1]);
            }
        }
    }

    /// Two passes over at most six rows at a time, each over half of the columns in two registers of 8 values.
    ///
    /// # Safety
    /// The machine has AVX2 and FMA, and the rows of `a` are as long as the panel.
    #[target_feature(enable = "avx2,fma")]
    pub unsafe fn half<const M: usize>(
        a: &Strided<'_, M>,
        panel: &[[f32; PANEL]],
        sums: &mut [[f32; PANEL]; M],
    ) {
        let mut first = 0;
        for sums in sums.chunks_mut(6) {
            for column in [0, 16] {
                // SAFETY: as for this function; 16 columns from 0 or 16 on are inside a panel's row.
                unsafe {
                    match sums.len() {
                        6 => six::<6, M>(a, first, panel, sums, column),
                        4 => six::<4, M>(a, first, panel, sums, column),
                        2 => six::<2, M>(a, first, panel, sums, column),
                        n => (0..n).for_each(|i| six::<1, M>(a, first + i, panel, &mut sums[i..], column)),
                    }
                }
            }
            first += sums.len();
        }
    }

    /// # Safety
    /// As [`half`]; `a` has `N` rows from `first` on, `sums` has `N`, and `column` is at most 16.
    #[target_feature(enable = "avx2,fma")]
    unsafe fn six<const N: usize, const M: usize>(
        a: &Strided<'_, M>,
        first: usize,
        panel: &[[f32; PANEL]],
        sums: &mut [[f32; PANEL]],
        column: usize,
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
        for (acc, sums) in acc.iter().zip(sums) {
            // SAFETY: see above.
            unsafe {
                _mm256_storeu_ps(sums.as_mut_ptr().add(column), acc[0]);
                _mm256_storeu_ps(sums.as_mut_ptr().add(column + 8), acc[1]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::testing::numbers;

    #[test]
    fn all_instruction_sets_agree_to_the_last_bit() {
        let (a, b) = (numbers(12 * 300), numbers(300 * PANEL));
        let rows = Strided::<12>::new(&a, 300, 1, 300);
        let panel = b.as_chunks::<PANEL>().0;
        let mut wanted = [[0.0f32; PANEL]; 12];
        for (p, panel) in panel.iter().enumerate() {
            for (i, sums) in wanted.iter_mut().enumerate() {
                sums.iter_mut().zip(panel).for_each(|(s, b)| *s = a[i * 300 + p].mul_add(*b, *s));
            }
        }
        let mut sums = [[0.0; PANEL]; 12];
        multiply(&rows, panel, &mut sums);
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
            assert_eq!(sums, wanted);
            let mut half = [[0.0; PANEL]; 12];
            // SAFETY: the machine has the instructions.
            #[allow(unsafe_code)]
            unsafe {
                x86::half(&rows, panel, &mut half);
            }
            assert_eq!(half, wanted);
        }
        assert!(sums.iter().flatten().zip(wanted.iter().flatten()).all(|(s, w)| (s - w).abs() < 1e-4));
    }
}
