//! Successive halving: every design is trained for a few epochs, the best third of them for three times as many, and so on
//! (Jamieson and Talwalkar, AISTATS 2016; promotion against all that reached a rung so far as in Li et al., "A System for
//! Massively Parallel Hyperparameter Tuning", MLSys 2020).

use crate::front::in_fronts;
use crate::{Leaderboard, Scores, Study, TrialStatus};
use capwright_contract::Score;
use std::collections::BTreeMap;

/// One of so many is promoted, and trains so many times as long.
const FACTOR: u32 = 3;

/// Epochs after which a trial of at most `epochs` waits, and at last those themselves. A rung that is more than half of the
/// whole is left out.
fn rungs(first: u32, epochs: u32) -> Vec<u32> {
    let steps = std::iter::successors(Some(first.max(1)), |rung| rung.checked_mul(FACTOR));
    let below = steps.take_while(|rung| rung.saturating_mul(2) <= epochs);
    below.chain([epochs]).collect()
}

/// A trial at a rung.
struct Reached {
    trial: u64,
    /// Whether it had more to say than one thing where it was best.
    varied: bool,
    /// Its best score up to there, and its best BLEU-1: after few epochs many have a BLEU-4 of 0.
    score: [f64; 2],
    /// What it costs, where the contract asks for a score at little cost.
    expense: Option<f64>,
    /// Whether it waits there.
    waits: bool,
}

impl Study {
    /// Epochs that every design trains for: those of the first rung, all of them without halving.
    pub fn first_rung(&self) -> u32 {
        let epochs = self.contract().training.epochs;
        self.contract().search.halving.map_or(epochs, |first| rungs(first, epochs)[0])
    }

    /// Epochs after which a run of the trial ends for now; none where it may train to its end.
    pub fn stop_after(&self, trial: u64) -> Option<u32> {
        let (first, epochs) = (self.contract().search.halving?, self.contract().training.epochs);
        let granted = self.run(trial)?.granted;
        let granted = granted.unwrap_or_else(|| rungs(first, epochs)[0]);
        (granted < epochs).then_some(granted)
    }

    /// Trials to go on with, and up to how many epochs, once no trial is under way: of each rung those in the best third of all
    /// that reached it. With `ending`, when no design will follow, at least the best of all is trained to its end.
    ///
    /// The same events give the same promotions, whoever was faster.
    pub fn promotions(&self, ending: bool) -> Vec<(u64, u32)> {
        let Some(first) = self.contract().search.halving else { return Vec::new() };
        let rungs = rungs(first, self.contract().training.epochs);
        let mut all: Vec<(u64, u32)> =
            rungs.windows(2).flat_map(|pair| self.promoted_from(pair[0], pair[1])).collect();
        if all.is_empty() && ending {
            let likely = || self.reached(rungs[0]).first().map(|reached| reached.trial);
            let best = Leaderboard::for_choices(self).best().or_else(likely);
            all.extend(best.and_then(|trial| Some((trial, self.next_rung(trial, &rungs)?))));
        }
        all
    }

    fn promoted_from(&self, rung: u32, next: u32) -> Vec<(u64, u32)> {
        let reached = self.reached(rung);
        let best = reached.len() / FACTOR as usize;
        reached
            .iter()
            .take(best)
            .filter(|reached| reached.waits)
            .map(|reached| (reached.trial, next))
            .collect()
    }

    /// Trials that reached a rung, best first, by the scores they had there. Those that said one thing of everything come last: most
    /// designs do so in their first steps. Where the contract asks for a score and then for a low cost, those that no other is
    /// better than in both (Schmucker et al., "Multi-objective Asynchronous Successive Halving", 2021) and those with the best scores take
    /// turns: with one of each cost, the best of all would rest on one design, and early scores are known to so much only.
    fn reached(&self, rung: u32) -> Vec<Reached> {
        let score = self.contract().score();
        let trials = self.trials.iter().filter_map(|(number, trial)| {
            let result = trial.result()?;
            let epochs = trial.epochs.iter().take(rung as usize).map(|epoch| &epoch.scores);
            let best =
                |of: fn(&Scores, Score) -> f64| epochs.clone().map(|s| of(s, score)).fold(0.0, f64::max);
            let over = matches!(trial.status, TrialStatus::Finished(_));
            (result.epochs >= rung || !result.paused).then(|| Reached {
                trial: *number,
                varied: epochs
                    .clone()
                    .max_by(|a, b| a.of(score).total_cmp(&b.of(score)))
                    .is_some_and(|scores| !scores.collapsed),
                score: [best(Scores::of), best(|scores, _| scores.bleu[0])],
                expense: self.expense(&trial.cost),
                waits: over
                    && result.paused
                    && result.epochs == rung
                    && trial.granted.is_none_or(|granted| granted <= rung),
            })
        });
        let mut all: Vec<Reached> = trials.collect();
        all.sort_by(|a, b| {
            let by = |at: usize| b.score[at].total_cmp(&a.score[at]);
            b.varied.cmp(&a.varied).then(by(0)).then(by(1)).then(a.trial.cmp(&b.trial))
        });
        let points: Option<Vec<(f64, f64)>> =
            all.iter().filter(|reached| reached.varied).map(|r| Some((r.expense?, r.score[0]))).collect();
        if let Some(points) = points {
            let mut places = BTreeMap::new();
            for place in in_fronts(&points).into_iter().zip(0..).flat_map(|(wide, best)| [wide, best]) {
                let next = places.len();
                places.entry(all[place].trial).or_insert(next);
            }
            all.sort_by_key(|reached| places.get(&reached.trial).copied().unwrap_or(usize::MAX));
        }
        all
    }

    fn next_rung(&self, trial: u64, rungs: &[u32]) -> Option<u32> {
        match &self.trials.get(&trial)?.status {
            TrialStatus::Finished(result) if result.paused => {
                rungs.iter().copied().find(|rung| *rung > result.epochs)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{admitted, draft, epoch, opened, result};
    use crate::{Event, Opened, TrialResult};
    use capwright_contract::{Merit, Objective};

    fn study(halving: Option<u32>, epochs: u32) -> Study {
        let Event::StudyOpened(opened) = opened() else { unreachable!() };
        let mut contract = opened.contract.clone();
        (contract.search.halving, contract.training.epochs) = (halving, epochs);
        Study::fold([Event::StudyOpened(Box::new(Opened { contract, ..*opened }))]).expect("a study")
    }

    /// A new trial, or one that goes on, with that score after each of its epochs up to where it may train.
    fn train(study: &mut Study, trial: u64, score: f64) {
        let apply = |study: &mut Study, event| study.apply(&event).expect("it follows");
        if !study.trials.contains_key(&trial) {
            apply(study, Event::Proposed(Box::new(draft(trial, 0, admitted(trial, &format!("b{trial}"))))));
        }
        apply(study, Event::TrialStarted { trial });
        let stop = study.stop_after(trial);
        let until = stop.unwrap_or(study.contract().training.epochs);
        for number in study.trials[&trial].epochs.len() as u32 + 1..=until {
            apply(study, Event::TrialEpoch { trial, epoch: epoch(number, score) });
        }
        let scores = epoch(until, score).scores;
        let result = TrialResult { epochs: until, paused: stop.is_some(), ..result(scores) };
        apply(study, Event::TrialFinished { trial, result: Box::new(result) });
    }

    fn promote(study: &mut Study, ending: bool) -> Vec<(u64, u32)> {
        let all = study.promotions(ending);
        for (trial, epochs) in &all {
            let event = Event::TrialPromoted { trial: *trial, epochs: *epochs };
            study.apply(&event).expect("it follows");
        }
        all
    }

    #[test]
    fn rungs_grow_threefold_and_leave_out_what_is_nearly_all() {
        assert_eq!(rungs(1, 10), [1, 3, 10]);
        assert_eq!(rungs(1, 30), [1, 3, 9, 30]);
        assert_eq!(rungs(2, 12), [2, 6, 12]);
        assert_eq!(rungs(5, 6), [6]);
        assert_eq!(rungs(1, 1), [1]);
        assert_eq!(rungs(0, 2), [1, 2]);
    }

    #[test]
    fn without_halving_trials_train_to_their_end() {
        let mut study = study(None, 4);
        train(&mut study, 1, 0.1);
        assert_eq!((study.stop_after(1), study.promotions(true)), (None, Vec::new()));
    }

    #[test]
    fn the_best_third_goes_on_and_the_best_of_all_to_its_end() {
        let mut study = study(Some(1), 10);
        for (trial, score) in (1..).zip([0.10, 0.30, 0.20, 0.15, 0.05, 0.25]) {
            train(&mut study, trial, score);
            assert_eq!(study.stop_after(trial), Some(1));
        }
        assert_eq!(promote(&mut study, false), [(2, 3), (6, 3)]);
        assert_eq!(study.promotions(false), [], "nobody is promoted twice");
        assert_eq!(study.unfinished(), [2, 6]);
        assert_eq!(Leaderboard::of(&study).best(), Some(2), "a promoted trial keeps its place");
        train(&mut study, 2, 0.22);
        train(&mut study, 6, 0.26);
        assert_eq!(study.promotions(false), [], "two are too few for a third");
        // The rung is judged by the scores that the trials had there.
        train(&mut study, 7, 0.24);
        assert_eq!(study.promotions(false), [], "two of seven went on");
        assert_eq!(promote(&mut study, true), [(6, 10)], "the best of all, whatever its rung has");
        train(&mut study, 6, 0.31);
        assert_eq!((study.stop_after(6), study.promotions(true)), (None, Vec::new()));
    }

    #[test]
    fn where_cost_counts_the_front_and_the_best_go_on_in_turns() {
        let mut study = study(Some(1), 10);
        let merits = [Merit::Bleu4, Merit::ParamsTotal];
        study.opened.contract.objectives = merits.map(|merit| Objective { merit, within: 0.0 }).to_vec();
        // The third and the fifth score most, and the last least, at a tenth of their cost.
        for (trial, score) in (1..).zip([0.10, 0.20, 0.30, 0.15, 0.25, 0.05]) {
            train(&mut study, trial, score);
            study.trials.get_mut(&trial).expect("a trial").cost.params_total =
                if trial == 6 { 1 } else { 10 };
        }
        assert_eq!(promote(&mut study, false), [(3, 3), (6, 3)]);
        let order: Vec<u64> = study.reached(1).iter().map(|reached| reached.trial).collect();
        assert_eq!(order, [3, 6, 5, 2, 4, 1]);
        study.opened.contract.objectives.clear();
        assert_eq!(study.promotions(false), [(5, 3)]);
    }

    #[test]
    fn what_collapsed_comes_last_and_what_failed_not_at_all() {
        let mut study = study(Some(1), 10);
        for trial in 1..=4 {
            train(&mut study, trial, 0.1 * trial as f64);
        }
        let collapsed = |study: &mut Study, trial| {
            let trial = study.trials.get_mut(&trial).expect("a trial");
            trial.epochs[0].scores.collapsed = true;
            if let TrialStatus::Finished(result) = &mut trial.status {
                result.scores.collapsed = true;
            }
        };
        study.trials.get_mut(&4).expect("a trial").status = TrialStatus::Failed("not finite".into());
        collapsed(&mut study, 3);
        assert_eq!(study.promotions(false), [(2, 3)]);
        (1..=2).for_each(|trial| collapsed(&mut study, trial));
        assert_eq!(study.promotions(false), [(3, 3)], "nobody has more to say yet");
        study.trials.remove(&1);
        assert_eq!((study.promotions(false), study.promotions(true)), (vec![], vec![(3, 3)]));
    }
}
