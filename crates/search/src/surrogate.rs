//! A predictor of what designs will score, learned from those that were trained: a Gaussian process (Rasmussen and Williams,
//! "Gaussian Processes for Machine Learning", MIT Press 2006, algorithm 2.1) over the choices that a design is made of and
//! what it costs.

use crate::features::{Features, GROUPS, Reading};
use capwright_blueprint::{Blueprint, Cost};
use capwright_study::{Prediction, Study, Trial, TrialStatus, hypervolume};
use std::collections::BTreeMap;

/// Designs that must be trained before anything is predicted.
const FEWEST: usize = 8;

/// Designs that are learned from, the youngest: time grows with the cube of them.
const MOST: usize = 256;

/// Trials that must have gone on as far before what they gained is compared.
const COMPARED: usize = 3;

/// How fast two designs become strangers with each choice that they do not share, for each part of a design.
const RATES: [f64; 4] = [0.01, 0.03, 0.1, 0.3];

/// Variance of the same design's score from run to run, as a share of the variance over designs.
const NOISES: [f64; 4] = [0.01, 0.05, 0.1, 0.4];

/// Standard deviations that a design is given the benefit of: what is little known is tried.
const BENEFIT: f64 = 2.0;

/// Times that each rate is chosen anew, given the others.
const TURNS: usize = 2;

/// What is believed of the scores of designs after their first rung.
#[derive(Debug)]
pub struct Surrogate {
    reading: Reading,
    seen: Vec<Features>,
    fit: Fit,
    mean: f64,
    spread: f64,
    epochs: u32,
    /// Logarithm of the cost and score of each trained design, where the contract asks for a score at little cost.
    known: Vec<(f64, f64)>,
}

/// A Gaussian process with the rates and the noise under which the scores are most likely.
#[derive(Debug)]
struct Fit {
    rates: [f64; GROUPS],
    noise: f64,
    /// The lower factor of the kernel matrix, row by row.
    lower: Vec<Vec<f64>>,
    /// The kernel matrix divides the scores.
    alpha: Vec<f64>,
    likelihood: f64,
}

impl Surrogate {
    /// What a study teaches; `None` before enough designs are trained, or where all score the same.
    pub fn of(study: &Study) -> Option<Self> {
        let scores = scores(study);
        // What could not be trained is as bad as the worst that could.
        let worst = scores.iter().flatten().copied().reduce(f64::min)?;
        let over = study.trials.values().zip(scores).rev().filter_map(|(trial, score)| {
            let failed = matches!(trial.status, TrialStatus::Failed(_)).then_some(worst);
            Some((trial, score.or(failed)?))
        });
        let (trials, scores): (Vec<&Trial>, Vec<f64>) = over.take(MOST).unzip();
        if trials.len() < FEWEST {
            return None;
        }
        let reading = Reading::of(trials.iter().map(|trial| (&trial.blueprint, &trial.cost)));
        let seen: Vec<Features> =
            trials.iter().map(|trial| reading.read(&trial.blueprint, &trial.cost)).collect();
        let n = scores.len() as f64;
        let mean = scores.iter().sum::<f64>() / n;
        let spread = (scores.iter().map(|score| (score - mean).powi(2)).sum::<f64>() / n).sqrt();
        if spread < 1e-9 {
            return None;
        }
        let scaled: Vec<f64> = scores.iter().map(|score| (score - mean) / spread).collect();
        let fit = Fit::best(&distances(&seen), &scaled)?;
        let cost = |trial: &Trial| Some(study.expense(&trial.cost)?.max(1.0).ln());
        let known =
            trials.iter().zip(&scores).filter_map(|(trial, score)| Some((cost(trial)?, *score))).collect();
        Some(Self { reading, seen, fit, mean, spread, epochs: study.first_rung(), known })
    }

    /// What a design will score, and how sure that is.
    pub fn predict(&self, blueprint: &Blueprint, cost: &Cost) -> Prediction {
        let new = self.reading.read(blueprint, cost);
        let near: Vec<f64> = self.seen.iter().map(|seen| self.fit.alike(&new.apart(seen))).collect();
        let mean: f64 = near.iter().zip(&self.fit.alpha).map(|(near, alpha)| near * alpha).sum();
        let explained: f64 = forward(&self.fit.lower, &near).iter().map(|x| x * x).sum();
        let variance = (1.0 + self.fit.noise - explained).max(0.0);
        Prediction {
            epochs: self.epochs,
            score: self.mean + self.spread * mean,
            sd: self.spread * variance.sqrt(),
        }
    }

    /// How promising a design is: what it may well score (Srinivas et al., "Gaussian Process Optimization in the Bandit Setting",
    /// ICML 2010).
    pub fn promise(prediction: &Prediction) -> f64 {
        prediction.score + BENEFIT * prediction.sd
    }

    /// By how much a design of that cost would enlarge the area below the front of scores against the logarithm of costs, were it
    /// as good as it may well be (Emmerich et al., "Single- and multiobjective evolutionary optimization assisted by Gaussian random
    /// field metamodels", IEEE TEC 2006).
    pub fn growth(&self, prediction: &Prediction, expense: f64) -> f64 {
        let most = self.known.iter().map(|point| point.0).fold(f64::NEG_INFINITY, f64::max);
        let mut points = self.known.clone();
        let before = hypervolume(&points, most);
        points.push((expense.max(1.0).ln(), Self::promise(prediction)));
        hypervolume(&points, most) - before
    }
}

/// Scores of all trials after their first rung. The first epochs favour what learns fast over what ends well: what a trial has gained since,
/// more or less than the others that came as far did in the mean, is added.
fn scores(study: &Study) -> Vec<Option<f64>> {
    let (first, by) = (study.first_rung(), study.contract().score());
    let gain = |trial: &Trial| {
        let further = trial.epochs.len() > first as usize;
        further.then(|| Some(trial.score_after(u32::MAX, by)? - trial.score_after(first, by)?)).flatten()
    };
    // One that goes on, with nothing known of that yet, may train longer than what is known of it.
    let rung = |trial: &Trial| match &trial.status {
        TrialStatus::Finished(result) if result.paused => Some(result.epochs),
        _ => trial.granted,
    };
    let mut gains: BTreeMap<Option<u32>, Vec<f64>> = BTreeMap::new();
    for trial in study.trials.values() {
        gains.entry(rung(trial)).or_default().extend(gain(trial));
    }
    let more = |trial: &Trial| {
        let others = gains.get(&rung(trial)).filter(|gains| gains.len() >= COMPARED)?;
        Some(gain(trial)? - others.iter().sum::<f64>() / others.len() as f64)
    };
    let score = |trial: &Trial| Some(trial.score_after(first, by)? + more(trial).unwrap_or(0.0));
    study.trials.values().map(score).collect()
}

/// How far each two designs are apart, row by row, in each of their parts.
fn distances(seen: &[Features]) -> Vec<Vec<[f64; GROUPS]>> {
    seen.iter().enumerate().map(|(row, a)| seen[..=row].iter().map(|b| a.apart(b)).collect()).collect()
}

impl Fit {
    /// One rate after the other is set to what makes the scores most likely.
    fn best(distances: &[Vec<[f64; GROUPS]>], scores: &[f64]) -> Option<Self> {
        let mut best = Self::with(distances, scores, [RATES[2]; GROUPS], NOISES[2])?;
        for _ in 0..TURNS {
            for group in 0..GROUPS {
                for rate in RATES {
                    let mut rates = best.rates;
                    rates[group] = rate;
                    let other = Self::with(distances, scores, rates, best.noise);
                    best = best.or_better(other);
                }
            }
            for noise in NOISES {
                let other = Self::with(distances, scores, best.rates, noise);
                best = best.or_better(other);
            }
        }
        Some(best)
    }

    fn or_better(self, other: Option<Self>) -> Self {
        other.filter(|other| other.likelihood > self.likelihood).unwrap_or(self)
    }

    /// `None` where rounding leaves no factor.
    fn with(
        distances: &[Vec<[f64; GROUPS]>],
        scores: &[f64],
        rates: [f64; GROUPS],
        noise: f64,
    ) -> Option<Self> {
        let kernel = distances.iter().map(|row| row.iter().map(|apart| alike(&rates, apart)).collect());
        let lower = factor(kernel.collect(), noise)?;
        let half = forward(&lower, scores);
        let likelihood = -0.5 * half.iter().map(|x| x * x).sum::<f64>()
            - lower.iter().enumerate().map(|(row, values)| values[row].ln()).sum::<f64>();
        let alpha = backward(&lower, half);
        Some(Self { rates, noise, lower, alpha, likelihood })
    }

    fn alike(&self, apart: &[f64; GROUPS]) -> f64 {
        alike(&self.rates, apart)
    }
}

/// The kernel: 1 for the same design.
fn alike(rates: &[f64; GROUPS], apart: &[f64; GROUPS]) -> f64 {
    (-rates.iter().zip(apart).map(|(rate, apart)| rate * apart).sum::<f64>()).exp()
}

/// The Cholesky factor of a symmetric matrix, of which the lower half is given, with `noise` more on its diagonal.
fn factor(mut matrix: Vec<Vec<f64>>, noise: f64) -> Option<Vec<Vec<f64>>> {
    for row in 0..matrix.len() {
        let (done, rest) = matrix.split_at_mut(row);
        let own = &mut rest[0];
        for column in 0..row {
            let known: f64 = own[..column].iter().zip(&done[column]).map(|(a, b)| a * b).sum();
            own[column] = (own[column] - known) / done[column][column];
        }
        let left = own[row] + noise - own[..row].iter().map(|x| x * x).sum::<f64>();
        if left.is_nan() || left <= 0.0 {
            return None;
        }
        own[row] = left.sqrt();
    }
    Some(matrix)
}

/// Solves `lower · x = values`.
fn forward(lower: &[Vec<f64>], values: &[f64]) -> Vec<f64> {
    let mut x: Vec<f64> = Vec::with_capacity(values.len());
    for (row, value) in lower.iter().zip(values) {
        let known: f64 = row.iter().zip(&x).map(|(a, b)| a * b).sum();
        x.push((value - known) / row[x.len()]);
    }
    x
}

/// Solves `lowerᵀ · x = values`.
fn backward(lower: &[Vec<f64>], mut values: Vec<f64>) -> Vec<f64> {
    for row in (0..values.len()).rev() {
        values[row] /= lower[row][row];
        let (before, own) = values.split_at_mut(row);
        before.iter_mut().zip(&lower[row]).for_each(|(value, known)| *value -= known * own[0]);
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three designs, of which the first two are near.
    fn three() -> Vec<Vec<[f64; GROUPS]>> {
        let apart = |x: f64| [x, 0.0, 0.0, 0.0, x];
        vec![vec![apart(0.0)], vec![apart(1.0), apart(0.0)], vec![apart(4.0), apart(5.0), apart(0.0)]]
    }

    fn product(lower: &[Vec<f64>], row: usize, column: usize) -> f64 {
        lower[row].iter().zip(&lower[column]).map(|(a, b)| a * b).sum()
    }

    #[test]
    fn the_factor_is_that_of_the_kernel_and_solves_it() {
        let scores = [1.0, 0.5, -1.5];
        let (rates, noise) = ([0.1; GROUPS], 0.3);
        let fit = Fit::with(&three(), &scores, rates, noise).expect("a factor");
        let kernel = |row: usize, column: usize| {
            let (row, column) = (row.max(column), row.min(column));
            alike(&rates, &three()[row][column]) + if row == column { noise } else { 0.0 }
        };
        assert!((kernel(1, 0) - (-0.2f64).exp()).abs() < 1e-12);
        for (row, score) in scores.iter().enumerate() {
            for column in 0..=row {
                assert!((product(&fit.lower, row, column) - kernel(row, column)).abs() < 1e-12);
            }
            let back: f64 = (0..3).map(|column| kernel(row, column) * fit.alpha[column]).sum();
            assert!((back - score).abs() < 1e-12, "the kernel times alpha are the scores");
        }
        // log p(y) but for its constant: -y'K⁻¹y/2 - ln det(K)/2.
        let explained: f64 = scores.iter().zip(&fit.alpha).map(|(a, b)| a * b).sum();
        let det = fit.lower.iter().enumerate().map(|(row, values)| values[row].powi(2)).product::<f64>();
        assert!((fit.likelihood - (-0.5 * explained - 0.5 * det.ln())).abs() < 1e-12);
    }

    #[test]
    fn what_is_likelier_is_kept() {
        let scores = [1.0, 1.0, -2.0];
        let first = Fit::with(&three(), &scores, [RATES[2]; GROUPS], NOISES[2]).expect("a factor");
        let best = Fit::best(&three(), &scores).expect("a factor");
        assert!(best.likelihood > first.likelihood);
        assert!(factor(vec![vec![1.0], vec![1.0, 1.0]], 0.0).is_none(), "two equal rows have no factor");
    }
}
