//! Whether one design is better than others, or only luckier.

use statrs::distribution::{ContinuousCDF, StudentsT};

/// A finalist among its like.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// Its place among the finalists as they were given.
    pub finalist: u64,
    /// Mean score over its runs.
    pub mean: f64,
    /// How likely the two would be as far apart or more, either way, were they alike; `None` for the leader.
    pub p: Option<f64>,
}

/// Compares finalists by what each image adds to their scores ([`TrialResult::by_image`](crate::TrialResult::by_image)), run by
/// run; best mean first.
///
/// A lead has two sources of noise: the images of the validation split, known from the differences of the two image by image, and
/// the seeds, known from how the runs of one design differ, all finalists together. Both variances are added, and the lead is
/// compared with Student's t (degrees of freedom by Welch and Satterthwaite). Runs must have as many images.
pub fn compare(finalists: &[Vec<&[f32]>]) -> Vec<Standing> {
    let scores: Vec<Vec<f64>> =
        finalists.iter().map(|runs| runs.iter().map(|run| mean(run)).collect()).collect();
    let means: Vec<f64> = scores.iter().map(|scores| average(scores)).collect();
    let mut order: Vec<usize> = (0..finalists.len()).collect();
    order.sort_by(|a, b| means[*b].total_cmp(&means[*a]).then(a.cmp(b)));
    let seeds = Seeds::of(&scores, &means);
    let leader = order.first().copied();
    let chance = |other: usize| {
        let leader = leader.filter(|leader| *leader != other)?;
        Some(lead_by_chance(&finalists[leader], &finalists[other], means[leader] - means[other], seeds))
    };
    order
        .into_iter()
        .map(|finalist| Standing { finalist: finalist as u64, mean: means[finalist], p: chance(finalist) })
        .collect()
}

/// How runs of one design differ.
#[derive(Clone, Copy)]
struct Seeds {
    variance: f64,
    freedom: f64,
}

impl Seeds {
    fn of(scores: &[Vec<f64>], means: &[f64]) -> Self {
        let runs = scores.iter().zip(means);
        let squares: f64 = runs.map(|(s, mean)| s.iter().map(|x| (x - mean).powi(2)).sum::<f64>()).sum();
        let freedom = scores.iter().map(|s| s.len().saturating_sub(1)).sum::<usize>() as f64;
        Self { variance: if freedom > 0.0 { squares / freedom } else { f64::INFINITY }, freedom }
    }
}

fn lead_by_chance(leader: &[&[f32]], other: &[&[f32]], lead: f64, seeds: Seeds) -> f64 {
    let images = leader.first().map_or(0, |run| run.len());
    let at = |runs: &[&[f32]], image: usize| {
        runs.iter().map(|run| f64::from(run[image])).sum::<f64>() / runs.len() as f64
    };
    let differences: Vec<f64> = (0..images).map(|image| at(leader, image) - at(other, image)).collect();
    let centre = average(&differences);
    let squares: f64 = differences.iter().map(|d| (d - centre).powi(2)).sum();
    let free_images = images.saturating_sub(1) as f64;
    let of_images = squares / free_images / images as f64;
    let of_seeds = seeds.variance * (1.0 / leader.len() as f64 + 1.0 / other.len() as f64);
    let variance = of_images + of_seeds;
    if !variance.is_finite() {
        return 1.0;
    }
    if variance == 0.0 {
        return if lead > 0.0 { 0.0 } else { 1.0 };
    }
    let freedom = variance.powi(2) / (of_images.powi(2) / free_images + of_seeds.powi(2) / seeds.freedom);
    StudentsT::new(0.0, 1.0, freedom).map_or(1.0, |t| 2.0 * t.sf(lead / variance.sqrt()))
}

fn average(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

fn mean(values: &[f32]) -> f64 {
    values.iter().map(|x| f64::from(*x)).sum::<f64>() / values.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn compared(finalists: &[Vec<Vec<f32>>]) -> Vec<Standing> {
        let all: Vec<Vec<&[f32]>> =
            finalists.iter().map(|runs| runs.iter().map(Vec::as_slice).collect()).collect();
        compare(&all)
    }

    /// All images the same, so that only the seeds make noise: runs at m - 1, m, m + 1 have variance 1, the lead variance 2/3 with
    /// 4 degrees of freedom, and tables of Student's t say 2.776 for 5 % on both sides.
    #[test]
    fn a_lead_by_seeds_alone_is_students_t() {
        let runs = |mean: f32| [-1.0, 0.0, 1.0].map(|d| vec![mean + d; 50]).to_vec();
        let lead = 2.776_445 * (2.0f32 / 3.0).sqrt();
        let found = compared(&[runs(5.0), runs(5.0 + lead)]);
        assert_eq!((found[0].finalist, found[0].p, found[1].finalist), (1, None, 0));
        assert!((found[1].p.expect("behind") - 0.05).abs() < 1e-4, "{found:?}");
        assert!((found[0].mean - found[1].mean - f64::from(lead)).abs() < 1e-6);
    }

    /// Runs that agree: the variance is that of the image differences, here 0 and 2 in turn; 99 degrees of freedom, 1.984 for 5 %.
    #[test]
    fn a_lead_by_images_alone_is_the_paired_t() {
        let worse: Vec<f32> = (0..100).map(|image| image as f32).collect();
        let spread = (100.0f32 / 99.0).sqrt();
        let lead = 1.984_217 * spread / 10.0;
        let better =
            worse.iter().enumerate().map(|(i, x)| x + lead + if i % 2 == 0 { 1.0 } else { -1.0 }).collect();
        let found = compared(&[vec![worse; 2], vec![better; 2]]);
        assert!((found[1].p.expect("behind") - 0.05).abs() < 1e-3, "{found:?}");
    }

    #[test]
    fn single_runs_decide_nothing_and_equal_ones_neither() {
        let found = compared(&[vec![vec![1.0; 9]], vec![vec![0.0; 9]]]);
        assert_eq!(found[1].p, Some(1.0));
        let found = compared(&[vec![vec![1.0; 9]; 3], vec![vec![1.0; 9]; 3]]);
        assert_eq!((found[0].finalist, found[1].p), (0, Some(1.0)));
        let found = compared(&[vec![vec![1.0; 9]; 3], vec![vec![2.0; 9]; 3]]);
        assert_eq!((found[0].finalist, found[1].p), (1, Some(0.0)));
        assert_eq!(compare(&[]), []);
    }

    /// Three designs that are alike, with noise of images, of seeds, and of both together in every run.
    #[test]
    fn what_is_alike_is_seldom_told_apart() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut noise = |scale: f32| scale * (0..12).map(|_| rng.random::<f32>() - 0.5).sum::<f32>();
        let (mut decided, draws) = (0, 1_500);
        for _ in 0..draws {
            let images: Vec<f32> = (0..60).map(|_| noise(1.0)).collect();
            let finalists: Vec<Vec<Vec<f32>>> = (0..3)
                .map(|_| {
                    let own: Vec<f32> = images.iter().map(|x| x + noise(0.3)).collect();
                    (0..3)
                        .map(|_| {
                            let seed = noise(0.1);
                            own.iter().map(|x| x + seed + noise(0.4)).collect()
                        })
                        .collect()
                })
                .collect();
            decided += usize::from(compared(&finalists).iter().all(|s| s.p.is_none_or(|p| p < 0.05)));
        }
        assert!(decided as f64 / f64::from(draws) < 0.05, "{decided} of {draws}");
    }
}
