//! The finals: the designs that did best train again from other seeds, and one is called the best only where neither the draw of
//! the images nor that of the seeds explains its lead.

use crate::{Leaderboard, Standing, Study, Trial, TrialResult, TrialStatus, compare};

/// How likely a lead may be by chance where a design is called better.
pub(crate) const LEVEL: f64 = 0.05;

/// What the finals still need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FinalStep {
    /// A finalist that waits at a rung of the halving trains to its end.
    Longer {
        /// The trial.
        trial: u64,
        /// Epochs that it may train in all.
        epochs: u32,
    },
    /// A finalist trains once more, from another seed.
    Again {
        /// The trial of the design.
        of: u64,
    },
}

/// What came of the finals.
#[derive(Debug, Clone, PartialEq)]
pub struct Finals {
    /// Finalists, best mean first; [`Standing::finalist`] is the number of the trial.
    pub standings: Vec<Standing>,
}

impl Finals {
    /// Whether the first is better than every other, or may only have been luckier.
    pub fn decided(&self) -> bool {
        self.standings.iter().all(|standing| standing.p.is_none_or(|p| p < LEVEL))
    }
}

impl Study {
    /// What the finals need next, where the contract asks for them and no trial is under way: first that every finalist is trained
    /// to its end, then its further runs. Finalists are the best by their first runs, so that the same events give the same steps.
    pub fn finals_due(&self) -> Vec<FinalStep> {
        let search = &self.contract().search;
        let count = search.finalists.unwrap_or(0) as usize;
        if count == 0 {
            return Vec::new();
        }
        let epochs = self.contract().training.epochs;
        let finalists: Vec<u64> =
            Leaderboard::for_choices(self).rows.iter().take(count).map(|row| row.trial).collect();
        let waits = |trial: &&u64| matches!(&self.trials[trial].status, TrialStatus::Finished(result) if result.paused);
        let waiting = finalists.iter().filter(waits);
        let longer: Vec<_> = waiting.map(|trial| FinalStep::Longer { trial: *trial, epochs }).collect();
        if !longer.is_empty() {
            return longer;
        }
        let has = |of: u64| self.repeats.values().filter(|repeat| repeat.of == of).count() as u32;
        let runs = 1..search.final_runs;
        runs.flat_map(|run| finalists.iter().filter(move |of| has(**of) < run))
            .map(|of| FinalStep::Again { of: *of })
            .collect()
    }

    /// The finalists compared, once all their runs are over; none where there are no finals.
    pub fn finals(&self) -> Option<Finals> {
        let mut finalists: Vec<u64> = Vec::new();
        for repeat in self.repeats.values() {
            if !finalists.contains(&repeat.of) {
                finalists.push(repeat.of);
            }
        }
        let open = |run: &Trial| matches!(run.status, TrialStatus::Admitted | TrialStatus::Running);
        if finalists.is_empty() || self.repeats.values().any(|repeat| open(&repeat.run)) {
            return None;
        }
        let images = self.trials[&finalists[0]].result()?.by_image.len();
        // A run that does not count scores nothing on any image.
        let nothing = vec![0.0; images];
        let scores = |run: u64| self.counted(run).map_or(&nothing[..], |result| &result.by_image);
        let all: Vec<Vec<&[f32]>> =
            finalists.iter().map(|of| self.runs_of(*of).map(scores).collect()).collect();
        if all.iter().flatten().any(|run| run.len() != images) {
            return None;
        }
        let mut standings = compare(&all);
        standings.iter_mut().for_each(|standing| standing.finalist = finalists[standing.finalist as usize]);
        Some(Finals { standings })
    }

    /// Numbers of all runs of a trial's design, its own first.
    pub fn runs_of(&self, trial: u64) -> impl Iterator<Item = u64> {
        let again =
            self.repeats.iter().filter(move |(_, repeat)| repeat.of == trial).map(|(number, _)| *number);
        std::iter::once(trial).chain(again)
    }

    /// What came of a run where that counts: nothing of one that could not be finished or collapsed, whatever it scored.
    pub(crate) fn counted(&self, run: u64) -> Option<&TrialResult> {
        self.run(run)?.result().filter(|result| !result.scores.collapsed)
    }

    /// The run of a trial's design that scored best.
    pub fn best_run(&self, trial: u64) -> u64 {
        let score = self.contract().score();
        let of = |run: u64| self.counted(run).map_or(-1.0, |result| result.scores.of(score));
        // The earlier of equals.
        self.runs_of(trial).reduce(|best, run| if of(run) > of(best) { run } else { best }).unwrap_or(trial)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{admitted, draft, epoch, opened, result};
    use crate::{Event, Opened};

    /// A study of designs whose first runs score as said on each of 40 images, give or take.
    fn study(finalists: Option<u32>, scores: &[f64]) -> Study {
        let Event::StudyOpened(opened) = opened() else { unreachable!() };
        let mut contract = opened.contract.clone();
        contract.search.finalists = finalists;
        let mut study =
            Study::fold([Event::StudyOpened(Box::new(Opened { contract, ..*opened }))]).expect("a study");
        for (trial, score) in (1..).zip(scores) {
            let verdict = admitted(trial, &format!("b{trial}"));
            study.apply(&Event::Proposed(Box::new(draft(trial, 0, verdict)))).expect("it follows");
            run(&mut study, trial, Some(*score));
        }
        study
    }

    /// A run with that score, or one that fails.
    fn run(study: &mut Study, trial: u64, score: Option<f64>) {
        study.apply(&Event::TrialStarted { trial }).expect("it follows");
        let event = match score {
            None => Event::TrialFailed { trial, reason: "not finite".into() },
            Some(score) => {
                let by_image =
                    (0..40).map(|image| score as f32 + 0.01 * ((image + trial) % 3) as f32).collect();
                let result = TrialResult { by_image, ..result(epoch(1, score).scores) };
                Event::TrialFinished { trial, result: Box::new(result) }
            }
        };
        study.apply(&event).expect("it follows");
    }

    /// Trains all that is due, and says of which designs.
    fn train(study: &mut Study, score: impl Fn(u64) -> Option<f64>) -> Vec<u64> {
        let mut trained = Vec::new();
        for step in study.finals_due() {
            let FinalStep::Again { of } = step else { panic!("{step:?}") };
            let trial = study.next_trial();
            study.apply(&Event::TrialRepeated { trial, of }).expect("it follows");
            trained.push(of);
        }
        study.unfinished().into_iter().for_each(|trial| run(study, trial, score(study.repeats[&trial].of)));
        trained
    }

    #[test]
    fn the_best_by_first_runs_train_twice_again_in_turn() {
        let mut study = study(Some(2), &[0.1, 0.3, 0.2]);
        assert_eq!(study.finals(), None);
        assert_eq!(train(&mut study, |of| Some(if of == 2 { 0.15 } else { 0.25 })), [2, 3, 2, 3]);
        assert_eq!(study.finals_due(), []);
        let board = Leaderboard::of(&study);
        let rows: Vec<_> = board.rows.iter().map(|row| (row.trial, row.runs)).collect();
        assert_eq!(rows, [(3, 3), (2, 3), (1, 1)], "the mean of the second is higher");
        assert!((board.rows[0].bleu[3] - (0.2 + 0.25 + 0.25) / 3.0).abs() < 1e-12);
        assert_eq!((study.best_run(3), study.best_run(2)), (5, 2));
        let p = board.rows[1].lead_p.expect("behind");
        assert!((0.05..1.0).contains(&p) && board.rows[0].lead_p.is_none(), "runs differ by as much: {p}");
        assert!(board.verdict().expect("finals").contains("chance explains its lead over trial 2"));
        assert!((study.seconds(3) - 6.0).abs() < 1e-12);
    }

    #[test]
    fn a_lead_of_every_run_decides_and_a_failed_run_scores_nothing() {
        let mut clear = study(Some(3), &[0.1, 0.3, 0.2]);
        train(&mut clear, |of| Some([0.0, 0.101, 0.301, 0.201][of as usize]));
        assert!(clear.finals().expect("finals").decided());
        let verdict = Leaderboard::of(&clear).verdict().expect("finals");
        assert_eq!(verdict, "finals: trial 2 is better than every other finalist, 3 runs each (p < 0.05)");
        let mut broken = study(Some(2), &[0.1, 0.3, 0.2]);
        train(&mut broken, |of| (of != 2).then_some(0.2));
        let board = Leaderboard::of(&broken);
        assert_eq!(board.best(), Some(3));
        assert!((board.rows[1].bleu[3] - 0.1).abs() < 1e-12, "{:?}", board.rows[1]);
    }

    #[test]
    fn a_run_that_collapsed_scores_nothing_and_is_not_the_best() {
        let mut study = study(Some(2), &[0.1, 0.3, 0.2]);
        train(&mut study, |of| Some(if of == 2 { 0.9 } else { 0.2 }));
        for repeat in study.repeats.values_mut().filter(|repeat| repeat.of == 2) {
            let TrialStatus::Finished(result) = &mut repeat.run.status else { panic!("it is over") };
            result.scores.collapsed = true;
        }
        assert_eq!(study.best_run(2), 2);
        let board = Leaderboard::of(&study);
        assert_eq!(board.best(), Some(3));
        assert!((board.rows[1].bleu[3] - 0.1).abs() < 1e-12, "{:?}", board.rows[1]);
        let standings = study.finals().expect("finals").standings;
        assert_eq!(standings.iter().map(|standing| standing.finalist).collect::<Vec<_>>(), [3, 2]);
    }

    #[test]
    fn finals_are_asked_for_and_wait_for_the_end() {
        assert_eq!(study(None, &[0.1, 0.3]).finals_due(), []);
        assert_eq!(study(Some(2), &[]).finals_due(), []);
        let mut open = study(Some(2), &[0.1, 0.3]);
        for of in [2, 1] {
            let trial = open.next_trial();
            open.apply(&Event::TrialRepeated { trial, of }).expect("it follows");
        }
        assert_eq!(open.finals_due(), [FinalStep::Again { of: 2 }, FinalStep::Again { of: 1 }]);
        assert_eq!((open.finals(), open.unfinished()), (None, vec![3, 4]));
        assert!(Leaderboard::of(&open).rows.iter().all(|row| row.runs == 1));
    }
}
