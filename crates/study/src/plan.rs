//! What a study spent, what the next steps cost, and which of them fit into some time.

use crate::{Epoch, Event, FinalStep, Recorded, Study, Trial, TrialStatus};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Something that a study would do next.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Step {
    /// Trains a trial or a repetition up to so many epochs.
    Train {
        /// Its number.
        trial: u64,
        /// Epochs that it has.
        from: u32,
        /// Epochs that it will have.
        to: u32,
        /// Expected seconds of one worker.
        seconds: f64,
    },
    /// Trains a finalist once more, from another seed.
    Again {
        /// Number of the trial.
        of: u64,
        /// Expected seconds of one worker.
        seconds: f64,
    },
    /// Asks for new designs and trains each for its first rung.
    Designs {
        /// How many.
        count: u64,
        /// Expected seconds of one worker for all of them.
        seconds: f64,
    },
}

impl Step {
    /// Expected seconds of one worker.
    pub fn seconds(&self) -> f64 {
        let (Self::Train { seconds, .. } | Self::Again { seconds, .. } | Self::Designs { seconds, .. }) =
            self;
        *seconds
    }
}

/// Wall seconds that were worked on a study: between its events, but for the pauses before it was resumed. What a killed process worked
/// after its last event is not known.
pub fn worked(events: &[Recorded]) -> f64 {
    let gaps = events.windows(2).filter(|pair| !matches!(pair[1].event, Event::StudyResumed));
    gaps.map(|pair| pair[1].at_unix_ms.saturating_sub(pair[0].at_unix_ms) as f64 / 1_000.0).sum()
}

impl Study {
    /// Seconds that processors worked for all runs so far: as they were measured, and what was trained since, or by runs that came to
    /// nothing, by what a second of the others took.
    pub fn cpu_seconds(&self) -> f64 {
        let each = self.cpu_per_second();
        let worked = |run: &Trial| {
            let known = run.result().and_then(|result| Some((result.cpu_seconds?, result.epochs)));
            let (measured, epochs) = known.unwrap_or_default();
            measured + each * run.epochs.iter().skip(epochs as usize).map(seconds_of).sum::<f64>()
        };
        self.all_runs().map(worked).sum()
    }

    /// Seconds of processors for a wall second of a worker; 1 where nothing is known.
    pub fn cpu_per_second(&self) -> f64 {
        let results = self.all_runs().filter_map(Trial::result);
        let known = results.filter_map(|result| Some((result.cpu_seconds?, result.seconds)));
        let (cpu, wall) = known.fold((0.0, 0.0), |(cpu, wall), (c, w)| (cpu + c, wall + w));
        if cpu > 0.0 && wall > 0.0 { cpu / wall } else { 1.0 }
    }

    fn all_runs(&self) -> impl Iterator<Item = &Trial> {
        self.trials.values().chain(self.repeats.values().map(|repeat| &repeat.run))
    }

    /// Expected seconds of one worker for what is under way or waits for a worker.
    pub fn seconds_under_way(&self) -> f64 {
        self.unfinished().into_iter().map(|number| self.seconds_to(number, self.until(number))).sum()
    }

    /// Epochs of teacher forcing that a run may train for now.
    pub fn until(&self, number: u64) -> u32 {
        self.stop_after(number).unwrap_or(self.contract().training.epochs)
    }

    /// Expected seconds to train a trial or a repetition up to so many epochs of teacher forcing, and through the self-critical ones
    /// where these are all; nothing for one that has come to its end. One that has not begun takes as long as others did.
    pub fn seconds_to(&self, number: u64, epochs: u32) -> f64 {
        let Some(run) = self.run(number) else { return 0.0 };
        if matches!(&run.status, TrialStatus::Finished(result) if !result.paused) {
            return 0.0;
        }
        if run.epochs.is_empty() {
            let like_others = match self.repeats.get(&number) {
                Some(repeat) => self.seconds_again(repeat.of),
                None => self.seconds_per_design(),
            };
            if like_others > 0.0 {
                return like_others;
            }
        }
        let training = &self.contract().training;
        let critical = if epochs >= training.epochs { training.self_critical } else { 0 };
        let rewarded = run.epochs.iter().filter(|epoch| epoch.reward.is_some()).count() as u32;
        // Self-critical epochs come last, and sooner where teacher forcing has ended for want of patience.
        let taught = if rewarded > 0 { 0 } else { epochs.saturating_sub(run.epochs.len() as u32) };
        f64::from(taught) * self.seconds_of_epoch(run, false)
            + f64::from(critical.saturating_sub(rewarded)) * self.seconds_of_epoch(run, true)
    }

    /// Expected seconds of one worker to train a trial to its end, beside what is under way of it.
    pub fn seconds_to_the_end(&self, trial: u64) -> f64 {
        let under_way = self.unfinished().contains(&trial);
        let soon = if under_way { self.seconds_to(trial, self.until(trial)) } else { 0.0 };
        self.seconds_to(trial, self.contract().training.epochs) - soon
    }

    /// Expected seconds of a run's next epoch, of self-critical training or not: by its own of that kind, else by its others and by how
    /// the two kinds compare in all trials; by those of all where it has none.
    fn seconds_of_epoch(&self, run: &Trial, critical: bool) -> f64 {
        let of = |kind: bool| move |epoch: &&Epoch| epoch.reward.is_some() == kind;
        let all = |kind| mean(self.trials.values().flat_map(|trial| &trial.epochs).filter(of(kind)));
        let own = |kind| mean(run.epochs.iter().filter(of(kind)));
        let dearer = || all(critical).zip(all(!critical)).map_or(1.0, |(this, other)| this / other);
        own(critical)
            .or_else(|| Some(own(!critical)? * dearer()))
            .or_else(|| all(critical))
            .unwrap_or_else(|| self.seconds_per_epoch())
    }

    /// Mean seconds of an epoch over all trials; 0 before there is one.
    pub fn seconds_per_epoch(&self) -> f64 {
        mean(self.trials.values().flat_map(|trial| &trial.epochs)).unwrap_or_default()
    }

    /// Expected seconds of one worker for a new design's first rung, or all of its training without halving; features included, as
    /// they were needed so far.
    pub fn seconds_per_design(&self) -> f64 {
        let first = self.first_rung();
        let whole = first >= self.contract().training.epochs;
        let over: Vec<f64> = self
            .trials
            .values()
            .filter_map(|trial| {
                let rung = if whole { usize::MAX } else { first as usize };
                let own: f64 = trial.epochs.iter().take(rung).map(seconds_of).sum();
                let result = trial.result()?;
                Some(own + (result.seconds - trial.epoch_seconds()).max(0.0))
            })
            .collect();
        over.iter().sum::<f64>() / over.len().max(1) as f64
    }

    /// Expected seconds of one worker to train a finalist once more: as long as its first run.
    fn seconds_again(&self, of: u64) -> f64 {
        let so_far = self.run(of).map_or(0.0, Trial::epoch_seconds);
        so_far + self.seconds_to(of, self.contract().training.epochs)
    }

    /// Expected seconds of one worker for a step of the finals.
    pub fn seconds_for(&self, step: FinalStep) -> f64 {
        match step {
            FinalStep::Longer { trial, epochs } => self.seconds_to(trial, epochs),
            FinalStep::Again { of } => self.seconds_again(of),
        }
    }

    /// What the study would do within so many wall seconds, with so many workers: first what is under way, then what did well goes
    /// on, then new designs are asked for or, where no more are, the best is trained to its end and the finals are held. A step that
    /// does not fit is left out.
    pub fn plan(&self, seconds: f64, workers: usize) -> Vec<Step> {
        let under_way = self.unfinished().into_iter().map(|number| self.train(number, self.until(number)));
        let mut steps: Vec<Step> = under_way.collect();
        let designs = self.may_ask_for();
        steps.extend(self.promotions(designs == 0).into_iter().map(|(trial, to)| self.train(trial, to)));
        if designs == 0 {
            let finals = self.finals_due().into_iter().filter_map(|step| self.of_finals(step, &steps));
            let finals: Vec<Step> = finals.collect();
            steps.extend(finals);
        }
        let workers = workers.max(1);
        let left = keep_fitting(&mut steps, seconds, workers);
        let each = self.seconds_per_design();
        let at_most = ((seconds / each) as u64).saturating_mul(workers as u64).min((left / each) as u64);
        let count = if each > 0.0 { designs.min(at_most) } else { designs };
        steps.extend((count > 0).then_some(Step::Designs { count, seconds: each * count as f64 }));
        steps
    }

    /// A step of the finals after what is `planned`: a finalist that goes on by then does so from where it will be.
    fn of_finals(&self, step: FinalStep, planned: &[Step]) -> Option<Step> {
        let (trial, epochs) = match step {
            FinalStep::Again { of } => return Some(Step::Again { of, seconds: self.seconds_again(of) }),
            FinalStep::Longer { trial, epochs } => (trial, epochs),
        };
        let before = planned.iter().rev().find_map(|step| match *step {
            Step::Train { trial: other, to, seconds, .. } if other == trial => Some((to, seconds)),
            _ => None,
        });
        match before {
            None => Some(self.train(trial, epochs)),
            Some((from, seconds)) => (from < epochs).then(|| {
                let seconds = self.seconds_to(trial, epochs) - seconds;
                Step::Train { trial, from, to: epochs, seconds }
            }),
        }
    }

    fn train(&self, trial: u64, to: u32) -> Step {
        let from = self.run(trial).map_or(0, |run| run.epochs.len() as u32);
        Step::Train { trial, from, to, seconds: self.seconds_to(trial, to) }
    }
}

/// Keeps the steps that fit into so many wall seconds of so many workers; gives the seconds of one worker that are left. One training is
/// not shared among workers, whatever all of them have time for.
fn keep_fitting(steps: &mut Vec<Step>, seconds: f64, workers: usize) -> f64 {
    let mut left = seconds * workers as f64;
    let mut trained: BTreeMap<u64, f64> = BTreeMap::new();
    steps.retain(|step| {
        // A trial that goes on twice does so one after the other.
        let before = if let Step::Train { trial, .. } = step { trained.get(trial).copied() } else { None };
        let ends = before.unwrap_or_default() + step.seconds();
        let fits = ends <= seconds && step.seconds() <= left;
        if let Step::Train { trial, .. } = step {
            trained.insert(*trial, if fits { ends } else { f64::INFINITY });
        }
        left -= if fits { step.seconds() } else { 0.0 };
        fits
    });
    left
}

fn seconds_of(epoch: &Epoch) -> f64 {
    epoch.train_seconds + epoch.score_seconds
}

/// Mean seconds of some epochs, if there are any.
fn mean<'a>(epochs: impl Iterator<Item = &'a Epoch>) -> Option<f64> {
    let (seconds, count) = epochs.fold((0.0, 0.0), |(sum, n), epoch| (sum + seconds_of(epoch), n + 1.0));
    (count > 0.0).then(|| seconds / count)
}

impl Trial {
    /// Seconds of its epochs.
    pub fn epoch_seconds(&self) -> f64 {
        self.epochs.iter().map(seconds_of).sum()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::conformance::{admitted, draft, epoch, opened, result};
    use crate::{Opened, TrialResult};

    /// An epoch of teacher forcing of so many seconds.
    fn taught(number: u32, seconds: f64, score: f64) -> Epoch {
        Epoch { train_seconds: seconds - 1.0, score_seconds: 1.0, reward: None, ..epoch(number, score) }
    }

    /// A study of four designs of ten epochs, halved: each has one epoch of `seconds`, and two more to get ready.
    pub(crate) fn study(seconds: f64) -> Study {
        let Event::StudyOpened(opened) = opened() else { unreachable!() };
        let mut contract = opened.contract.clone();
        (contract.search.halving, contract.training.epochs, contract.search.trials) = (Some(1), 10, 6);
        let mut study =
            Study::fold([Event::StudyOpened(Box::new(Opened { contract, ..*opened }))]).expect("a study");
        for (trial, score) in (1..).zip([0.1, 0.4, 0.2, 0.3]) {
            let epoch = taught(1, seconds, score);
            let scores = epoch.scores.clone();
            let ended = TrialResult { epochs: 1, paused: true, seconds: seconds + 2.0, ..result(scores) };
            for event in [
                Event::Proposed(Box::new(draft(trial, 0, admitted(trial, &format!("b{trial}"))))),
                Event::TrialStarted { trial },
                Event::TrialEpoch { trial, epoch },
                Event::TrialFinished { trial, result: Box::new(ended) },
            ] {
                study.apply(&event).expect("it follows");
            }
        }
        study
    }

    #[test]
    fn what_fits_into_the_time_is_planned_in_the_order_of_the_search() {
        let study = study(10.0);
        assert!((study.seconds_per_design() - 12.0).abs() < 1e-9);
        let on = Step::Train { trial: 2, from: 1, to: 3, seconds: 20.0 };
        let designs = |count| Step::Designs { count, seconds: 12.0 * count as f64 };
        assert_eq!(study.plan(1_000.0, 2), [on, designs(2)], "six designs are asked for");
        assert_eq!(study.plan(21.0, 2), [on, designs(1)]);
        assert_eq!(study.plan(17.0, 2), [designs(2)], "twenty seconds of one worker are not ten of two");
        assert_eq!(study.plan(17.0, 1), [designs(1)], "what does not fit waits");
        assert_eq!(study.plan(11.0, 9), [], "nor is a design's first rung shared");
        assert_eq!(study.plan(1.0, 1), []);
    }

    #[test]
    fn designs_that_nobody_will_be_asked_for_are_not_planned() {
        let mut study = study(10.0);
        let on = Step::Train { trial: 2, from: 1, to: 3, seconds: 20.0 };
        study.opened.contract.search.max_proposals = 5;
        assert_eq!(study.plan(1_000.0, 1), [on, Step::Designs { count: 1, seconds: 12.0 }]);
        study.opened.contract.search.max_proposals = 4;
        assert_eq!(study.plan(1_000.0, 1), [on]);
        study.opened.contract.search.finalists = Some(1);
        let last = Step::Train { trial: 2, from: 3, to: 10, seconds: 70.0 };
        assert_eq!(study.plan(1_000.0, 1), [on, last], "the finals are next");
    }

    #[test]
    fn a_study_with_enough_designs_brings_the_best_to_its_end() {
        let mut study = study(10.0);
        study.opened.contract.search.trials = 4;
        study.apply(&Event::TrialPromoted { trial: 2, epochs: 3 }).expect("it follows");
        study.apply(&Event::TrialStarted { trial: 2 }).expect("it follows");
        assert_eq!(study.plan(1_000.0, 1), [Step::Train { trial: 2, from: 1, to: 3, seconds: 20.0 }]);
        for epoch in (2..=3).map(|number| taught(number, 10.0, 0.5)) {
            study.apply(&Event::TrialEpoch { trial: 2, epoch }).expect("it follows");
        }
        let ended = TrialResult { epochs: 3, paused: true, seconds: 32.0, ..result(epoch(3, 0.5).scores) };
        study.apply(&Event::TrialFinished { trial: 2, result: Box::new(ended) }).expect("it follows");
        let last = Step::Train { trial: 2, from: 3, to: 10, seconds: 70.0 };
        assert_eq!(study.plan(1_000.0, 1), [last]);
        study.opened.contract.search.finalists = Some(1);
        assert_eq!(study.plan(1_000.0, 1), [last], "to its end once, whatever for");
    }

    #[test]
    fn a_finalist_goes_on_from_where_its_promotion_leaves_it() {
        let mut study = study(10.0);
        (study.opened.contract.search.trials, study.opened.contract.search.finalists) = (4, Some(1));
        let to = |from, to, seconds| Step::Train { trial: 2, from, to, seconds };
        assert_eq!(study.plan(1_000.0, 1), [to(1, 3, 20.0), to(3, 10, 70.0)]);
        assert_eq!(study.plan(89.0, 1), [to(1, 3, 20.0)], "what does not fit waits");
        assert_eq!(study.plan(89.0, 2), [to(1, 3, 20.0)], "both are of one trial");
    }

    #[test]
    fn self_critical_epochs_are_counted_and_what_has_ended_costs_nothing_more() {
        let mut study = study(10.0);
        study.opened.contract.training.self_critical = 4;
        assert!((study.seconds_to(1, 3) - 20.0).abs() < 1e-9);
        assert!(
            (study.seconds_to(1, 10) - 130.0).abs() < 1e-9,
            "nine more, and four at the price of the others"
        );
        let critical = |number| Epoch { reward: Some(0.5), ..taught(number, 30.0, 0.5) };
        let begun = study.trials.get_mut(&1).expect("a trial");
        begun.status = TrialStatus::Running;
        begun.epochs.push(critical(2));
        assert!((study.seconds_to(1, 10) - 90.0).abs() < 1e-9, "teacher forcing was over after one epoch");
        assert!(
            (study.seconds_to(2, 10) - 210.0).abs() < 1e-9,
            "a self-critical epoch takes three times as long"
        );
        let last = study.trials.get_mut(&1).expect("a trial");
        let ended = TrialResult { epochs: 2, seconds: 42.0, ..result(epoch(2, 0.5).scores) };
        last.status = TrialStatus::Finished(Box::new(ended));
        assert_eq!(study.seconds_to(1, 10), 0.0, "it ended for want of patience");
        assert!((study.seconds_again(1) - 40.0).abs() < 1e-9);
    }

    #[test]
    fn the_work_of_runs_without_a_result_counts() {
        let mut study = study(10.0);
        let measured: f64 = 4.0 * 24.0;
        for trial in study.trials.values_mut() {
            if let TrialStatus::Finished(result) = &mut trial.status {
                result.cpu_seconds = Some(24.0);
            }
        }
        assert!((study.cpu_seconds() - measured).abs() < 1e-9 && (study.cpu_per_second() - 2.0).abs() < 1e-9);
        study.apply(&Event::TrialPromoted { trial: 2, epochs: 3 }).expect("it follows");
        assert!((study.seconds_under_way() - 20.0).abs() < 1e-9, "it waits for a worker");
        study.apply(&Event::TrialStarted { trial: 2 }).expect("it follows");
        study.apply(&Event::TrialEpoch { trial: 2, epoch: taught(2, 10.0, 0.5) }).expect("it follows");
        assert!((study.cpu_seconds() - measured - 20.0).abs() < 1e-9);
        assert!((study.seconds_under_way() - 10.0).abs() < 1e-9);
        study.apply(&Event::TrialFailed { trial: 2, reason: "not finite".into() }).expect("it follows");
        assert!((study.cpu_seconds() - 3.0 * 24.0 - 40.0).abs() < 1e-9, "two epochs of ten seconds");
    }

    #[test]
    fn pauses_are_no_work() {
        let at = |seq, at_unix_ms, event| Recorded { seq, at_unix_ms, event };
        let events = [
            at(1, 1_000, opened()),
            at(2, 4_000, Event::TrialStarted { trial: 1 }),
            at(3, 900_000, Event::StudyResumed),
            at(4, 900_500, Event::TrialStarted { trial: 1 }),
        ];
        assert!((worked(&events) - 3.5).abs() < 1e-9);
        let mut told = events.to_vec();
        told.insert(2, at(3, 6_000, Event::StudyPaused));
        assert!((worked(&told) - 5.5).abs() < 1e-9, "the last two seconds of the sitting were worked");
        assert!(worked(&[]) == 0.0);
    }
}
