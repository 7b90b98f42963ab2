//! The leaderboard: a fold over a study, never written down separately. It holds no time, so that a study that is trained again
//! has the same to the byte.

use crate::rank::{Told, ranked};
use crate::{Scores, Study, Trial, TrialResult, TrialStatus, describe};
use capwright_contract::Score;
use serde::{Deserialize, Serialize};

/// Trials by merit, and apart those that cannot be ranked. Scores are of the validation split.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Leaderboard {
    /// Finalists first. By the contract's objectives; without any by BLEU-4 (high first), then trainable parameters, then total
    /// ones (few first), then number.
    pub rows: Vec<Row>,
    /// Finished with one or few distinct captions: never ranked, whatever the score.
    pub collapsed: Vec<Unranked>,
    /// Ended without a result.
    pub failed: Vec<Unranked>,
    /// Not over yet.
    pub unfinished: Vec<Unranked>,
}

/// A ranked trial.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// From 1.
    pub rank: usize,
    /// Number of the trial.
    pub trial: u64,
    /// Who proposed it.
    pub author: String,
    /// The design in a few words.
    pub design: String,
    /// Learned values that training changed.
    pub params_trainable: u64,
    /// Learned values, frozen ones included.
    pub params_total: u64,
    /// Corpus BLEU-1..4.
    pub bleu: [f64; 4],
    /// Corpus CIDEr-D.
    #[serde(default)]
    pub cider_d: f64,
    /// Distinct captions.
    pub distinct: usize,
    /// Images scored.
    pub images: usize,
    /// Epochs trained.
    pub epochs: u32,
    /// Runs from different seeds whose scores these are the means of: 1 but for finalists.
    #[serde(default = "one")]
    pub runs: usize,
    /// Of a finalist behind the one of the highest mean: how likely the two would be as far apart if they were alike.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lead_p: Option<f64>,
}

fn one() -> usize {
    1
}

/// A trial apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unranked {
    /// Number of the trial.
    pub trial: u64,
    /// Who proposed it.
    pub author: String,
    /// The design in a few words.
    pub design: String,
    /// Why it has no rank.
    pub reason: String,
}

impl Leaderboard {
    /// The leaderboard of a study. Once its finals are over, finalists come first, by the means of their runs: one run of many
    /// tends to be the luckiest, not the best.
    pub fn of(study: &Study) -> Self {
        let mut board = Self::of_first_runs(study, Told::Measured);
        let Some(finals) = study.finals() else { return board };
        let (mut finalists, others): (Vec<Row>, Vec<Row>) = std::mem::take(&mut board.rows)
            .into_iter()
            .partition(|row| finals.standings.iter().any(|s| s.finalist == row.trial));
        for row in &mut finalists {
            let runs: Vec<u64> = study.runs_of(row.trial).collect();
            let results: Vec<_> = runs.iter().filter_map(|run| study.counted(*run)).collect();
            // A run that could not be finished or collapsed scores nothing.
            let mean = |of: fn(&Scores) -> f64| {
                results.iter().map(|result| of(&result.scores)).sum::<f64>() / runs.len() as f64
            };
            row.bleu = [mean(|s| s.bleu[0]), mean(|s| s.bleu[1]), mean(|s| s.bleu[2]), mean(|s| s.bleu[3])];
            row.cider_d = mean(|s| s.cider_d);
            row.runs = runs.len();
            let standing = finals.standings.iter().find(|s| s.finalist == row.trial);
            row.lead_p = standing.and_then(|standing| standing.p);
        }
        board.rows = ranked(finalists, study, Told::Measured);
        board.rows.extend(others);
        board.number();
        board
    }

    /// The leaderboard that decides what is tried and trained next: by the first run of each design, times and energy told by
    /// multiply-accumulates. The same scores give the same choices, however fast the machine was and what ran beside them.
    pub fn for_choices(study: &Study) -> Self {
        Self::of_first_runs(study, Told::Foreseen)
    }

    fn of_first_runs(study: &Study, told: Told) -> Self {
        let mut board = Self::default();
        for (number, trial) in &study.trials {
            let apart = |reason: String| Unranked {
                trial: *number,
                author: trial.author.clone(),
                design: describe(&trial.blueprint),
                reason,
            };
            match (trial.result(), &trial.status) {
                (Some(result), _) if result.scores.collapsed => {
                    board.collapsed.push(apart(collapse(result)));
                }
                (Some(result), _) => board.rows.push(row(*number, trial, result)),
                (None, TrialStatus::Failed(reason)) => board.failed.push(apart(reason.clone())),
                (None, TrialStatus::Running) => {
                    board.unfinished.push(apart(format!("{} epochs so far", trial.epochs.len())));
                }
                (None, _) => board.unfinished.push(apart("not started".to_owned())),
            }
        }
        board.rows = ranked(std::mem::take(&mut board.rows), study, told);
        board.number();
        board
    }

    fn number(&mut self) {
        for (row, rank) in self.rows.iter_mut().zip(1..) {
            row.rank = rank;
        }
    }

    /// The trial on top, if any is ranked.
    pub fn best(&self) -> Option<u64> {
        self.rows.first().map(|row| row.trial)
    }
}

impl Study {
    /// The design to keep: the first of the leaderboard. Designs are trained on by what no clock decides; where the first for its measured
    /// times waits for more epochs, it is the first by those choices, which was trained to its end.
    pub fn best(&self) -> Option<u64> {
        let waits = |trial: &u64| {
            let status = self.trials.get(trial).map(|trial| &trial.status);
            matches!(status, Some(TrialStatus::Finished(result)) if result.paused)
        };
        let first = Leaderboard::of(self).best()?;
        let chosen = Some(first).filter(waits).and_then(|_| Leaderboard::for_choices(self).best());
        chosen.filter(|trial| !waits(trial)).or(Some(first))
    }
}

fn row(number: u64, trial: &Trial, result: &TrialResult) -> Row {
    Row {
        rank: 0,
        trial: number,
        author: trial.author.clone(),
        design: describe(&trial.blueprint),
        params_trainable: trial.cost.params_trainable,
        params_total: trial.cost.params_total,
        bleu: result.scores.bleu,
        cider_d: result.scores.cider_d,
        distinct: result.scores.distinct,
        images: result.scores.images,
        epochs: result.epochs,
        runs: 1,
        lead_p: None,
    }
}

fn collapse(result: &TrialResult) -> String {
    let scores = &result.scores;
    format!(
        "{} distinct captions on {} images, {:.0} % of them the same",
        scores.distinct,
        scores.images,
        100.0 * scores.top_share
    )
}

impl Row {
    /// One of the scores.
    pub fn score(&self, score: Score) -> f64 {
        match score {
            Score::Bleu4 => self.bleu[3],
            Score::CiderD => self.cider_d,
        }
    }

    /// Epochs trained, `3×9` for three runs of nine.
    pub fn trained(&self) -> String {
        if self.runs > 1 { format!("{}×{}", self.runs, self.epochs) } else { self.epochs.to_string() }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::Event;
    use crate::conformance::{admitted, draft, epoch, opened, result, samples};
    use capwright_contract::{Merit, Objective};

    /// A study whose trials finish with these BLEU-4 and trainable parameters.
    pub(crate) fn study(trials: &[(f64, u64)]) -> Study {
        study_for(trials, &[])
    }

    fn study_for(trials: &[(f64, u64)], objectives: &[Objective]) -> Study {
        let mut events = vec![opened()];
        if let Event::StudyOpened(first) = &mut events[0] {
            first.contract.objectives = objectives.to_vec();
        }
        for ((bleu, trainable), n) in trials.iter().zip(1..) {
            let mut verdict = admitted(n, &format!("net{n}"));
            if let crate::Verdict::Admitted { cost, .. } = &mut verdict {
                cost.params_trainable = *trainable;
            }
            events.push(Event::Proposed(Box::new(draft(n, 0, verdict))));
            events.push(Event::TrialStarted { trial: n });
            let result = Box::new(result(epoch(1, *bleu).scores));
            events.push(Event::TrialFinished { trial: n, result });
        }
        Study::fold(events).expect("a study")
    }

    #[test]
    fn the_order_is_bleu_then_size_then_age() {
        let board = Leaderboard::of(&study(&[(0.1, 5), (0.2, 9), (0.2, 7), (0.2, 7), (0.3, 99)]));
        let order: Vec<u64> = board.rows.iter().map(|r| r.trial).collect();
        assert_eq!(order, [5, 3, 4, 2, 1]);
        assert!(board.rows.iter().map(|r| r.rank).eq(1..=5));
        assert_eq!(board.best(), Some(5));
    }

    #[test]
    fn objectives_rank_and_a_tolerance_lets_the_next_decide() {
        let trials = [(0.20, 5), (0.21, 9), (0.205, 3), (0.10, 1)];
        let order = |objectives: &[Objective]| -> Vec<u64> {
            Leaderboard::of(&study_for(&trials, objectives)).rows.iter().map(|r| r.trial).collect()
        };
        let bleu = |within| Objective { merit: Merit::Bleu4, within };
        let small = Objective { merit: Merit::ParamsTrainable, within: 0.0 };
        assert_eq!(order(&[bleu(0.0), small]), [2, 3, 1, 4]);
        assert_eq!(order(&[bleu(0.0051), small]), [3, 2, 1, 4]);
        assert_eq!(order(&[bleu(0.02), small]), [3, 1, 2, 4]);
        assert_eq!(order(&[small]), [4, 3, 1, 2]);
        // Of the four, one is worse and larger than another.
        let front = |objectives: &[Objective]| {
            let study = study_for(&trials, objectives);
            study.on_front(&Leaderboard::of(&study)).into_iter().collect::<Vec<u64>>()
        };
        assert_eq!(front(&[bleu(0.0), small]), [2, 3, 4]);
        assert_eq!(front(&[bleu(0.0)]), [0u64; 0]);
    }

    #[test]
    fn choices_do_not_depend_on_clocks() {
        let objectives = [Merit::Bleu4, Merit::CaptionMs].map(|merit| Objective { merit, within: 0.02 });
        let mut study = study_for(&[(0.20, 5), (0.21, 5)], &objectives);
        study.trials.get_mut(&2).expect("a trial").cost.macs_image *= 2;
        let mut time = |trial: u64, milliseconds: f64| {
            let Some(TrialStatus::Finished(result)) = study.trials.get_mut(&trial).map(|t| &mut t.status)
            else {
                panic!("it is over")
            };
            result.caption_ms = Some(milliseconds);
        };
        time(1, 30.0);
        time(2, 10.0);
        assert_eq!(Leaderboard::of(&study).best(), Some(2));
        assert_eq!(Leaderboard::for_choices(&study).best(), Some(1));
    }

    #[test]
    fn what_is_kept_was_trained_to_its_end_whatever_clocks_say() {
        let objectives = [Merit::Bleu4, Merit::CaptionMs].map(|merit| Objective { merit, within: 0.02 });
        // The second does more work in less time.
        let kept = |paused: [bool; 2]| {
            let mut study = study_for(&[(0.20, 5), (0.21, 5)], &objectives);
            for ((trial, paused), milliseconds) in study.trials.values_mut().zip(paused).zip([30.0, 10.0]) {
                trial.cost.macs_image = (100.0 / milliseconds) as u64 * 1_000_000;
                let TrialStatus::Finished(result) = &mut trial.status else { panic!("it is over") };
                (result.caption_ms, result.paused) = (Some(milliseconds), paused);
            }
            assert_eq!(Leaderboard::of(&study).best(), Some(2));
            study.best()
        };
        assert_eq!(kept([false, false]), Some(2));
        assert_eq!(kept([false, true]), Some(1));
        assert_eq!(kept([true, true]), Some(2), "nothing was trained to its end");
        assert_eq!(Study::fold([opened()]).expect("a study").best(), None);
    }

    #[test]
    fn collapsed_and_failed_trials_stand_apart() {
        let board = Leaderboard::of(&Study::fold(samples()).expect("a study"));
        assert_eq!(board.rows.iter().map(|r| r.trial).collect::<Vec<_>>(), [1]);
        assert_eq!((board.collapsed[0].trial, board.failed[0].trial), (3, 2));
        assert!(board.collapsed[0].reason.starts_with("1 distinct captions on 100 images"));
        assert_eq!(board.failed[0].reason, "the loss is not finite");
        let text = board.table();
        assert!(
            text.contains("\nfailed: trial 2 by random, mobilenet_v2@s32 224px → lstm 512 dot: the loss"),
            "{text}"
        );
    }

    #[test]
    fn an_empty_study_has_no_best() {
        let board = Leaderboard::of(&Study::fold([opened()]).expect("a study"));
        assert_eq!((board.best(), board.table().as_str()), (None, "no trial is ranked\n"));
    }

    #[test]
    fn it_is_the_same_after_json() {
        let board = Leaderboard::of(&Study::fold(samples()).expect("a study"));
        let text = serde_json::to_string(&board).expect("serialises");
        assert_eq!(serde_json::from_str::<Leaderboard>(&text).expect("reads"), board);
    }
}
