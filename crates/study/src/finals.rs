//! The finals: the designs that did best train again from other seeds, and one is called the best only where neither the draw of
//! the images nor that of the seeds explains its lead.

use crate::{Leaderboard, Standing, Study, Trial, TrialStatus, compare};

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
            Leaderboard::of_first_runs(self).rows.iter().take(count).map(|row| row.trial).collect();
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
        // A run that could not be finished scores nothing on any image.
        let nothing = vec![0.0; images];
        let scores =
            |run: u64| self.run(run).and_then(Trial::result).map_or(&nothing[..], |result| &result.by_image);
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

    /// The run of a trial's design that scored best.
    pub fn best_run(&self, trial: u64) -> u64 {
        let score = self.contract().score();
        let of =
            |run: u64| self.run(run).and_then(Trial::result).map_or(-1.0, |result| result.scores.of(score));
        // The earlier of equals.
        self.runs_of(trial).reduce(|best, run| if of(run) > of(best) { run } else { best }).unwrap_or(trial)
    }
}
