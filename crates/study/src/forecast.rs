//! How well designs were predicted before they were trained.

use crate::{Prediction, Study, Trial};
use capwright_contract::Score;
use serde::Serialize;

/// Predictions against what came of them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Forecast {
    /// Numbers of the trials, what was predicted of each, and what it scored.
    pub designs: Vec<(u64, Prediction, f64)>,
    /// Spearman's correlation of their ranks; 0 where all are alike.
    pub rank_correlation: f64,
    /// Mean of the differences without their sign.
    pub mean_error: f64,
    /// Share of the designs within two standard deviations of what was predicted: about 0.95 where it knows how sure it is.
    pub covered: f64,
}

impl Trial {
    /// Its best score within its first epochs, or its result's where no epochs were told; none before it has a result.
    pub fn score_after(&self, epochs: u32, score: Score) -> Option<f64> {
        let whole = self.result()?.scores.of(score);
        let first = self.epochs.iter().take(epochs as usize);
        Some(first.map(|epoch| epoch.scores.of(score)).reduce(f64::max).unwrap_or(whole))
    }
}

impl Study {
    /// How well designs were predicted; none before one was.
    pub fn forecast(&self) -> Option<Forecast> {
        let score = self.contract().score();
        let told = |(number, trial): (&u64, &Trial)| {
            let predicted = trial.predicted?;
            Some((*number, predicted, trial.score_after(predicted.epochs, score)?))
        };
        let designs: Vec<(u64, Prediction, f64)> = self.trials.iter().filter_map(told).collect();
        if designs.is_empty() {
            return None;
        }
        let n = designs.len() as f64;
        let errors = designs.iter().map(|(_, predicted, scored)| (scored - predicted.score).abs());
        let within = designs.iter().zip(errors.clone()).filter(|((_, p, _), error)| *error <= 2.0 * p.sd);
        let predicted: Vec<f64> = designs.iter().map(|(_, predicted, _)| predicted.score).collect();
        let scored: Vec<f64> = designs.iter().map(|(.., scored)| *scored).collect();
        Some(Forecast {
            rank_correlation: correlation(&ranks(&predicted), &ranks(&scored)),
            mean_error: errors.clone().sum::<f64>() / n,
            covered: within.count() as f64 / n,
            designs,
        })
    }
}

/// Ranks from 0, equal values sharing the mean of theirs.
fn ranks(values: &[f64]) -> Vec<f64> {
    let rank = |value: &f64| {
        let below = values.iter().filter(|other| *other < value).count();
        let equal = values.iter().filter(|other| *other == value).count();
        below as f64 + (equal - 1) as f64 / 2.0
    };
    values.iter().map(rank).collect()
}

/// Pearson's correlation.
fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
    let (mean_a, mean_b) = (mean(a), mean(b));
    let product: f64 = a.iter().zip(b).map(|(a, b)| (a - mean_a) * (b - mean_b)).sum();
    let square = |values: &[f64], mean: f64| values.iter().map(|v| (v - mean).powi(2)).sum::<f64>();
    let scale = (square(a, mean_a) * square(b, mean_b)).sqrt();
    if scale > 0.0 { product / scale } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Event;
    use crate::conformance::{admitted, draft, epoch, opened, result};

    #[test]
    fn predictions_are_held_against_the_scores_of_their_epoch() {
        let mut study = Study::fold([opened()]).expect("a study");
        for (trial, (predicted, scored)) in (1..).zip([(0.1, 0.2), (0.3, 0.29), (0.2, 0.21), (0.5, 0.4)]) {
            let mut proposal = draft(trial, 0, admitted(trial, &format!("b{trial}")));
            proposal.predicted = Some(Prediction { epochs: 1, score: predicted, sd: 0.02 });
            let events = [
                Event::Proposed(Box::new(proposal)),
                Event::TrialStarted { trial },
                Event::TrialEpoch { trial, epoch: epoch(1, scored) },
                Event::TrialEpoch { trial, epoch: epoch(2, 0.9) },
                Event::TrialFinished { trial, result: Box::new(result(epoch(2, 0.9).scores)) },
            ];
            events.iter().for_each(|event| study.apply(event).expect("it follows"));
        }
        let forecast = study.forecast().expect("predictions");
        assert_eq!(forecast.designs.len(), 4);
        // Ranks 0 2 1 3 against 0 2 1 3.
        assert!((forecast.rank_correlation - 1.0).abs() < 1e-12, "{forecast:?}");
        assert!((forecast.mean_error - 0.055).abs() < 1e-12);
        assert!((forecast.covered - 0.5).abs() < 1e-12);
    }

    #[test]
    fn equal_values_share_a_rank() {
        assert_eq!(ranks(&[0.5, 0.1, 0.5]), [1.5, 0.0, 1.5]);
        assert!(correlation(&[1.0, 1.0], &[0.0, 2.0]).abs() < 1e-12);
        assert!((correlation(&[0.0, 1.0, 2.0], &[2.0, 1.0, 0.0]) + 1.0).abs() < 1e-12);
    }
}
