//! What a study has before it, however much time there is.

use crate::{FinalStep, Leaderboard, Study};

/// Trainings that can go on side by side, by what they are expected to take.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Load {
    /// Seconds of one worker for all of them.
    pub seconds: f64,
    /// Those of the longest.
    pub longest: f64,
}

/// So many trainings of so many seconds each.
impl FromIterator<(u64, f64)> for Load {
    fn from_iter<I: IntoIterator<Item = (u64, f64)>>(all: I) -> Self {
        let some = all.into_iter().filter(|(count, _)| *count > 0);
        some.fold(Self::default(), |sum, (count, each)| Self {
            seconds: sum.seconds + count as f64 * each,
            longest: sum.longest.max(each),
        })
    }
}

impl Load {
    /// Wall seconds of so many workers. One training is not shared among them.
    pub fn wall(&self, workers: usize) -> f64 {
        self.longest.max(self.seconds / workers.max(1) as f64)
    }
}

/// What a study has before it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ahead {
    /// What is under way or waits for a worker.
    pub under_way: Load,
    /// That, what goes on beside the leaders, and new designs.
    pub trials: Load,
    /// Expected seconds of one worker to train the best to its end, beside what is under way.
    pub best: f64,
    /// The other finalists to their ends, and the further runs of all of them.
    pub finals: Load,
}

impl Study {
    /// What the contract asks for, where so many designs follow: by what is known now, which leaves out what those may be promoted to.
    pub fn ahead(&self, designs: u64) -> Ahead {
        let leading = self.leading(designs);
        let finalists: &[(u64, u64)] =
            if self.contract().search.finalists.is_some() { &leading } else { &[] };
        let seconds = |(trial, epochs): (u64, u32)| (1, self.seconds_to(trial, epochs));
        let open = self.unfinished().into_iter().map(|number| seconds((number, self.until(number))));
        let open: Vec<(u64, f64)> = open.collect();
        let leads = |trial: u64| leading.iter().any(|(leader, _)| *leader == trial);
        let promoted = self.promotions(false).into_iter().filter(|(trial, _)| !leads(*trial)).map(seconds);
        let new = (designs, self.seconds_per_design());
        let trials = open.iter().copied().chain(promoted).chain([new]).collect();
        let best = leading.first().map_or(0.0, |(trial, _)| self.seconds_to_the_end(*trial));
        let longer = finalists.iter().enumerate().map(|(place, (trial, count))| {
            let others = count - u64::from(place == 0);
            (others, self.seconds_to_the_end(*trial))
        });
        let runs = u64::from(self.contract().search.final_runs);
        let again = finalists.iter().map(|(trial, count)| {
            let missing = runs.saturating_sub(self.runs_of(*trial).count() as u64);
            (count * missing, self.seconds_for(FinalStep::Again { of: *trial }))
        });
        let (under_way, finals) = (open.into_iter().collect(), longer.chain(again).collect());
        Ahead { under_way, trials, best, finals }
    }

    /// The best so far, or the finalists, each with the number of places that it stands for: there are more where finalists are yet to
    /// be designed, who are expected to take what these take. Where none is ranked, those that collapsed stand for them.
    fn leading(&self, designs: u64) -> Vec<(u64, u64)> {
        let board = Leaderboard::for_choices(self);
        let finalists = u64::from(self.contract().search.finalists.unwrap_or(1));
        let places = finalists.min((board.rows.len() + board.unfinished.len()) as u64 + designs);
        let ranked = board.rows.iter().map(|row| row.trial);
        let mut known: Vec<u64> = ranked.collect();
        if known.is_empty() {
            known.extend(board.collapsed.iter().map(|apart| apart.trial));
        }
        let among = known.len().max(1) as u64;
        let count = |place: u64| places / among + u64::from(place < places % among);
        let all = (0..).zip(known).map(|(place, trial)| (trial, count(place)));
        all.filter(|(_, count)| *count > 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::study;
    use crate::{Event, TrialStatus};

    fn load(seconds: f64, longest: f64) -> Load {
        Load { seconds, longest }
    }

    #[test]
    fn one_training_is_not_shared_among_workers() {
        let some: Load = [(2, 10.0), (0, 99.0), (1, 30.0)].into_iter().collect();
        assert_eq!(some, load(50.0, 30.0));
        assert_eq!([0, 1, 2].map(|workers| some.wall(workers)), [50.0, 50.0, 30.0]);
    }

    #[test]
    fn new_designs_train_for_a_rung_and_the_best_to_its_end() {
        let mut study = study(10.0);
        let (none, new) = (Load::default(), load(24.0, 12.0));
        assert_eq!(study.ahead(2), Ahead { under_way: none, trials: new, best: 90.0, finals: none });
        study.apply(&Event::TrialPromoted { trial: 2, epochs: 3 }).expect("it follows");
        let soon = load(20.0, 20.0);
        assert_eq!(study.ahead(0), Ahead { under_way: soon, trials: soon, best: 70.0, finals: none });
    }

    #[test]
    fn finals_are_ahead_whoever_will_be_in_them() {
        let mut study = study(10.0);
        study.opened.contract.search.finalists = Some(2);
        let ahead = study.ahead(2);
        assert_eq!((ahead.trials, ahead.best), (load(24.0, 12.0), 90.0));
        assert_eq!(ahead.finals, load(90.0 + 4.0 * 100.0, 100.0), "another to its end, and two runs of each");
        study.opened.contract.search.finalists = Some(9);
        assert_eq!(study.ahead(0).finals, load(3.0 * 90.0 + 8.0 * 100.0, 100.0), "four designs are all");
        assert_eq!(study.ahead(2).finals, load(5.0 * 90.0 + 12.0 * 100.0, 100.0), "two more are like them");
        for trial in study.trials.values_mut() {
            if let TrialStatus::Finished(result) = &mut trial.status {
                result.scores.collapsed = true;
            }
        }
        assert_eq!(study.ahead(2).finals, load(90.0 + 4.0 * 100.0, 100.0), "two that do not collapse");
        assert_eq!(study.ahead(0).finals, Load::default());
    }

    #[test]
    fn runs_of_finals_that_are_under_way_are_no_longer_ahead() {
        let mut study = study(10.0);
        study.opened.contract.search.finalists = Some(1);
        let best = study.trials.get_mut(&2).expect("a trial");
        if let TrialStatus::Finished(result) = &mut best.status {
            result.paused = false;
        }
        assert_eq!(study.ahead(0).finals, load(20.0, 10.0));
        study.apply(&Event::TrialRepeated { trial: 5, of: 2 }).expect("it follows");
        let ahead = study.ahead(0);
        assert_eq!((ahead.under_way, ahead.best, ahead.finals), (load(10.0, 10.0), 0.0, load(10.0, 10.0)));
    }
}
