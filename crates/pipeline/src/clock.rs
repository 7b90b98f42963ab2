//! The time that a contract leaves, on the wall and of processors, and what fits into it.

use capwright_study::{Ahead, FinalStep, Leaderboard, Load, Recorded, Study, Trial, worked};
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
        let enough = !fitting.is_empty() || !ending || one_is_complete(study);
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
        let load: Load = steps.iter().map(|step| (1, study.seconds_for(*step))).collect();
        let left = self.left(study, workers);
        let late = load.wall(workers) > left.wall || load.seconds > left.work;
        if late { Vec::new() } else { steps }
    }

    /// Expected wall seconds until the search is over, where so many designs are still asked for: with the finals if there is time for
    /// them, and no more than the contract leaves. What is under way ends whatever it takes; so does the best where none has come to its
    /// end.
    pub fn seconds_left(&self, study: &Study, designs: u64, workers: usize) -> f64 {
        let Ahead { under_way, trials, best, finals } = study.ahead(designs);
        let (left, wall) = (self.left(study, workers), self.wall_left(study));
        let (begun, searched) = (under_way.wall(workers), trials.wall(workers) + best);
        let whole = searched + finals.wall(workers);
        let work = trials.seconds - under_way.seconds + best + finals.seconds;
        if whole <= wall && work <= left.work {
            return whole;
        }
        let by_work = begun + best.min(left.work) + (left.work - best).max(0.0) / left.workers;
        let surely = if one_is_complete(study) { begun } else { begun + best };
        searched.min(wall).min(by_work).max(surely)
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

/// Whether a trial has come to its end.
fn one_is_complete(study: &Study) -> bool {
    let complete = |trial: &Trial| trial.result().is_some_and(|result| !result.paused);
    study.trials.values().any(complete)
}

/// The best trial, and the seconds that it takes to its end beside what is under way.
fn to_the_end(study: &Study) -> Option<(u64, f64)> {
    let best = Leaderboard::for_choices(study).best()?;
    Some((best, study.seconds_to_the_end(best)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use capwright_study::conformance::{admitted, draft, epoch, opened, result};
    use capwright_study::{Epoch, Event, TrialResult};

    /// A study of four epochs whose first two trials took ten seconds each, for their only epochs.
    fn study(halving: Option<u32>) -> Study {
        let mut study = Study::fold([opened()]).expect("a study");
        study.opened.contract.search.halving = halving;
        for (trial, score) in [(1, 0.2), (2, 0.1)] {
            begin(&mut study, trial);
            let told = epoch(1, score);
            let scores = told.scores.clone();
            let epoch = Epoch { train_seconds: 9.0, score_seconds: 1.0, reward: None, ..told };
            let paused = halving.is_some();
            let ended = TrialResult { paused, seconds: 10.0, cpu_seconds: Some(10.0), ..result(scores) };
            study.apply(&Event::TrialEpoch { trial, epoch }).expect("it follows");
            study.apply(&Event::TrialFinished { trial, result: Box::new(ended) }).expect("it follows");
        }
        study
    }

    fn begin(study: &mut Study, trial: u64) {
        let proposed = draft(trial, 0, admitted(trial, &format!("b{trial}")));
        study.apply(&Event::Proposed(Box::new(proposed))).expect("it follows");
        study.apply(&Event::TrialStarted { trial }).expect("it follows");
    }

    /// A sitting that begins after so many seconds of earlier ones.
    fn after(worked: f64) -> Clock {
        Clock { worked, begun: Instant::now() }
    }

    #[test]
    fn what_is_left_has_the_finals_in_it() {
        let mut study = study(None);
        assert_eq!(after(0.0).seconds_left(&study, 4, 2), 20.0);
        study.opened.contract.search.finalists = Some(2);
        assert_eq!(after(0.0).seconds_left(&study, 4, 2), 40.0, "two of ten seconds for each of two");
        assert_eq!(after(0.0).seconds_left(&study, 4, 1), 80.0);
        assert_eq!(after(0.0).seconds_left(&study, 4, 9), 20.0, "one training after another");
        assert_eq!(after(0.0).seconds_left(&study, 0, 2), 20.0);
    }

    #[test]
    fn what_is_left_is_no_more_than_the_hours_leave() {
        let mut study = study(None);
        study.opened.contract.search.finalists = Some(2);
        let mut within = |seconds: f64, worked: f64| {
            study.opened.contract.search.hours = Some(seconds / 3_600.0);
            after(worked).seconds_left(&study, 4, 2)
        };
        assert_eq!(within(500.0, 400.0), 40.0);
        assert_eq!(within(430.0, 400.0), 20.0, "finals that do not fit are not held");
        assert!((10.0..=15.0).contains(&within(415.0, 400.0)));
        assert_eq!(within(1.0, 400.0), 0.0);
        begin(&mut study, 3);
        assert_eq!(after(400.0).seconds_left(&study, 3, 2), 10.0, "what is under way ends");
    }

    #[test]
    fn the_best_comes_to_its_end_whatever_the_hours_say() {
        let mut study = study(Some(1));
        assert_eq!(after(0.0).seconds_left(&study, 4, 2), 50.0);
        study.opened.contract.search.hours = Some(1.0);
        assert_eq!(after(4_000.0).seconds_left(&study, 4, 2), 30.0);
    }

    #[test]
    fn what_is_left_fits_into_the_time_of_processors() {
        let mut study = study(None);
        let mut within = |seconds: f64| {
            study.opened.contract.search.cpu_hours = Some(seconds / 3_600.0);
            after(0.0).seconds_left(&study, 4, 2)
        };
        // Twenty were worked.
        assert_eq!(within(100.0), 20.0);
        assert!((within(35.0) - 7.5).abs() < 1e-6);
        assert_eq!(within(10.0), 0.0);
    }
}
