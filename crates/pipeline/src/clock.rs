//! The time that a contract leaves, on the wall and of processors, and what fits into it.

use capwright_study::{FinalStep, Leaderboard, Recorded, Study, Trial, TrialStatus, worked};
use std::time::Instant;

/// The time of a study's sittings.
pub struct Clock {
    /// Wall seconds of earlier sittings.
    worked: f64,
    /// The start of this one.
    begun: Instant,
}

impl Clock {
    /// A sitting begins now, after those that the ledger tells of.
    pub fn start(recorded: &[Recorded]) -> Self {
        Self { worked: worked(recorded), begun: Instant::now() }
    }

    /// Wall seconds that the contract leaves.
    fn wall_left(&self, study: &Study) -> f64 {
        let hours = study.contract().search.hours.unwrap_or(f64::INFINITY);
        hours * 3_600.0 - self.worked - self.begun.elapsed().as_secs_f64()
    }

    /// Seconds of one worker that the contract's time of processors leaves beside what is under way.
    fn work_left(study: &Study) -> f64 {
        let hours = study.contract().search.cpu_hours.unwrap_or(f64::INFINITY);
        (hours * 3_600.0 - study.cpu_seconds()) / study.cpu_per_second() - study.seconds_under_way()
    }

    /// What is left for more than is under way.
    fn left(&self, study: &Study, workers: usize) -> Left {
        let workers = workers.max(1) as f64;
        let wall = self.wall_left(study) - study.seconds_under_way() / workers;
        Left { wall, work: Self::work_left(study), workers }
    }

    /// Whether it is too late for new designs: one more, and then the best so far to its end, would take too long.
    pub fn is_late(&self, study: &Study, workers: usize) -> bool {
        let left = self.left(study, workers);
        left.wall.min(left.work) <= study.seconds_per_design() + to_the_end(study).map_or(0.0, |(_, s)| s)
    }

    /// Of the trials that are due by what is `known`, those that time allows to go on, with enough left to train the best to its
    /// end; where designs are no longer asked for and none has come to its end, the best is trained there whatever it takes.
    pub fn promotions(&self, known: &Study, study: &Study, ending: bool, workers: usize) -> Vec<(u64, u32)> {
        let due = known.promotions(ending);
        let mut left = self.left(study, workers);
        let best = to_the_end(study);
        let fits = |(trial, epochs): &(u64, u32)| {
            let seconds = study.seconds_to(*trial, *epochs);
            // What the best trains now it need not train later.
            let kept = best.map_or(0.0, |(best, whole)| if best == *trial { whole - seconds } else { whole });
            left.take(seconds, kept)
        };
        let fitting: Vec<(u64, u32)> = due.iter().copied().filter(fits).collect();
        let complete = |trial: &Trial| trial.result().is_some_and(|result| !result.paused);
        let enough = !fitting.is_empty() || !ending || study.trials.values().any(complete);
        if enough || due.is_empty() {
            return fitting;
        }
        match best {
            Some((trial, _)) => vec![(trial, study.contract().training.epochs)],
            None => due.into_iter().take(1).collect(),
        }
    }

    /// What the finals still need, if there is time for it with so many workers.
    pub fn finals_due(&self, study: &Study, workers: usize) -> Vec<FinalStep> {
        let steps = study.finals_due();
        let each: Vec<f64> = steps.iter().map(|step| study.seconds_for(*step)).collect();
        let (all, longest) = (each.iter().sum::<f64>(), each.iter().copied().fold(0.0, f64::max));
        let left = self.left(study, workers);
        let late = longest.max(all / left.workers) > left.wall || all > left.work;
        if late { Vec::new() } else { steps }
    }
}

/// Time that is left beside what is under way: of the wall's clock, and of one worker.
struct Left {
    wall: f64,
    work: f64,
    workers: f64,
}

impl Left {
    /// Takes so many seconds of one worker if they fit, and `kept` more would after them.
    fn take(&mut self, seconds: f64, kept: f64) -> bool {
        // One training is not shared among workers.
        let fits = seconds + kept <= self.wall.min(self.work);
        if fits {
            self.wall -= seconds / self.workers;
            self.work -= seconds;
        }
        fits
    }
}

/// The best trial, and the seconds that it takes to its end beside what is under way.
fn to_the_end(study: &Study) -> Option<(u64, f64)> {
    let best = Leaderboard::for_choices(study).best()?;
    let epochs = study.contract().training.epochs;
    let under_way = matches!(study.trials[&best].status, TrialStatus::Admitted | TrialStatus::Running);
    let soon = if under_way { study.seconds_to(best, study.until(best)) } else { 0.0 };
    Some((best, study.seconds_to(best, epochs) - soon))
}
