//! The time that a contract leaves, on the wall and of processors, and what fits into it.

use capwright_study::{FinalStep, Leaderboard, Recorded, Study, Trial, worked};
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

    /// Whether it is too late for new designs: one more, and then the best so far to its end, would take too long.
    pub fn is_late(&self, study: &Study) -> bool {
        let best = Leaderboard::of_first_runs(study).best();
        let finish = best.map_or(0.0, |trial| study.seconds_to(trial, study.contract().training.epochs));
        self.wall_left(study).min(Self::work_left(study)) <= study.seconds_per_design() + finish
    }

    /// Trials to go on with, as far as time allows; at the end one is trained to its end whatever it takes.
    pub fn promotions(&self, study: &Study, ending: bool) -> Vec<(u64, u32)> {
        let due = study.promotions(ending);
        let (wall, mut work) = (self.wall_left(study), Self::work_left(study));
        let fits = |(trial, epochs): &(u64, u32)| {
            let seconds = study.seconds_to(*trial, *epochs);
            let fits = seconds <= wall.min(work);
            work -= if fits { seconds } else { 0.0 };
            fits
        };
        let fitting: Vec<(u64, u32)> = due.iter().copied().filter(fits).collect();
        let complete = |trial: &Trial| trial.result().is_some_and(|result| !result.paused);
        let enough = !fitting.is_empty() || !ending || study.trials.values().any(complete);
        if enough { fitting } else { due.into_iter().take(1).collect() }
    }

    /// What the finals still need, if there is time for it with so many workers.
    pub fn finals_due(&self, study: &Study, workers: usize) -> Vec<FinalStep> {
        let steps = study.finals_due();
        let seconds: f64 = steps.iter().map(|step| study.seconds_for(*step)).sum();
        let late =
            seconds / workers.max(1) as f64 > self.wall_left(study) || seconds > Self::work_left(study);
        if late { Vec::new() } else { steps }
    }
}
