//! Least squares with coefficients that are not negative.

/// Sweeps over all coefficients, at most.
const SWEEPS: usize = 200_000;

/// `x ≥ 0` that minimises `Σ (a · x / b − 1)²` over rows `(a, b)`: errors count relative to what was measured.
///
/// Coordinate descent on the normal equations with columns scaled to unit length; the problem is convex, so that it
/// ends near the one minimum. Columns that no row has stay 0. Rows with `b ≤ 0` are left out.
pub(crate) fn relative_nnls(rows: &[(Vec<f64>, f64)]) -> Vec<f64> {
    let columns = rows.first().map_or(0, |row| row.0.len());
    let scaled: Vec<Vec<f64>> =
        rows.iter().filter(|r| r.1 > 0.0).map(|(a, b)| a.iter().map(|v| v / b).collect()).collect();
    let length = |j: usize| scaled.iter().map(|a| a[j] * a[j]).sum::<f64>().sqrt();
    let lengths: Vec<f64> = (0..columns).map(length).collect();
    let used: Vec<usize> = (0..columns).filter(|j| lengths[*j] > 0.0).collect();
    let dot =
        |i: usize, j: usize| scaled.iter().map(|a| a[i] * a[j]).sum::<f64>() / (lengths[i] * lengths[j]);
    let gram: Vec<Vec<f64>> = used.iter().map(|i| used.iter().map(|j| dot(*i, *j)).collect()).collect();
    let mut x = vec![0.0; used.len()];
    // The gradient's negative: what is still to be explained along each column.
    let mut rest: Vec<f64> =
        used.iter().map(|j| scaled.iter().map(|a| a[*j]).sum::<f64>() / lengths[*j]).collect();
    for _ in 0..SWEEPS {
        let mut moved = 0.0f64;
        for j in 0..x.len() {
            let step = (x[j] + rest[j]).max(0.0) - x[j];
            if step != 0.0 {
                x[j] += step;
                rest.iter_mut().zip(&gram[j]).for_each(|(r, g)| *r -= step * g);
                moved = moved.max(step.abs());
            }
        }
        if moved < 1e-12 {
            break;
        }
    }
    let mut all = vec![0.0; columns];
    used.iter().zip(x).for_each(|(j, x)| all[*j] = x / lengths[*j]);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_coefficients_are_found() {
        let truth = [2e-9, 0.0, 5e-6];
        let rows: Vec<(Vec<f64>, f64)> = [[1e6, 3.0, 1.0], [2e6, 1.0, 4.0], [5e5, 9.0, 2.0], [0.0, 2.0, 7.0]]
            .iter()
            .map(|a| (a.to_vec(), a.iter().zip(&truth).map(|(a, t)| a * t).sum()))
            .collect();
        // The zero may be off by what explains less than a millionth of the smallest row, 35 microseconds.
        for (found, truth) in relative_nnls(&rows).iter().zip(truth) {
            assert!((found - truth).abs() <= (1e-6 * truth).max(1e-14), "{found} and {truth}");
        }
    }

    /// Without the bound the second coefficient were −1; with it, the first alone explains both rows as well as it can:
    /// the minimum of (x − 1)² + (2 x / 1 − 1)² is at 3/5.
    #[test]
    fn coefficients_stay_non_negative() {
        let found = relative_nnls(&[(vec![1.0, 0.0], 1.0), (vec![2.0, 1.0], 1.0)]);
        assert_eq!(found[1], 0.0);
        assert!((found[0] - 0.6).abs() < 1e-9, "{found:?}");
    }

    #[test]
    fn unused_columns_and_empty_problems_are_no_problem() {
        assert_eq!(relative_nnls(&[(vec![0.0, 2.0], 4.0), (vec![0.0, 1.0], 0.0)]), [0.0, 2.0]);
        assert!(relative_nnls(&[]).is_empty());
    }
}
