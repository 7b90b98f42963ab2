//! Ranks by the objectives of a contract.

use crate::{Row, Study, Trial, TrialResult};
use capwright_contract::Merit;

/// By what merits of time and energy are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// By clocks and counters.
    Measured,
    /// By multiply-accumulates.
    Foreseen,
}

impl Told {
    /// A merit of a ranked trial as a number of which less is better.
    pub(crate) fn value(self, merit: Merit, row: &Row, study: &Study) -> f64 {
        let trial = study.trials.get(&row.trial);
        let foreseen = trial.filter(|_| self == Self::Foreseen).and_then(|t| study.cost_in(merit, &t.cost));
        foreseen.unwrap_or_else(|| measured(merit, row, study))
    }
}

/// A merit as it was measured, as a number of which less is better. Times are those of the first run.
fn measured(merit: Merit, row: &Row, study: &Study) -> f64 {
    let trial = study.trials.get(&row.trial);
    let of_run = |value: fn(&TrialResult) -> Option<f64>| trial.and_then(Trial::result).and_then(value);
    let value = match merit {
        Merit::Bleu4 => Some(-row.bleu[3]),
        Merit::CiderD => Some(-row.cider_d),
        Merit::TrainingSeconds => of_run(|result| Some(result.seconds)),
        Merit::CaptionMs => of_run(|result| result.caption_ms),
        Merit::CaptionJoules => of_run(|result| result.caption_joules),
        of_design => trial.and_then(|trial| study.cost_in(of_design, &trial.cost)),
    };
    value.unwrap_or(f64::INFINITY)
}

/// Rows in the order of the contract's objectives; without any by BLEU-4, then few parameters, then age.
pub(crate) fn ranked(mut rows: Vec<Row>, study: &Study, told: Told) -> Vec<Row> {
    rows.sort_by(|a, b| {
        b.bleu[3]
            .total_cmp(&a.bleu[3])
            .then(a.params_trainable.cmp(&b.params_trainable))
            .then(a.params_total.cmp(&b.params_total))
            .then(a.trial.cmp(&b.trial))
    });
    by_objectives(rows, study, told)
}

/// Of the rows that are left, those near the best in the first merit go on to the second, and so on; who is left first is the next
/// in rank. Rows that no objective tells apart keep their order.
fn by_objectives(mut rows: Vec<Row>, study: &Study, told: Told) -> Vec<Row> {
    let objectives = &study.contract().objectives;
    if objectives.is_empty() {
        return rows;
    }
    let mut ranked = Vec::with_capacity(rows.len());
    while !rows.is_empty() {
        let mut left: Vec<usize> = (0..rows.len()).collect();
        for objective in objectives {
            let value = |at: usize| told.value(objective.merit, &rows[at], study);
            let best = left.iter().map(|at| value(*at)).fold(f64::INFINITY, f64::min);
            left.retain(|at| value(*at) <= best + objective.within);
        }
        let next = left.first().copied().unwrap_or(0);
        ranked.push(rows.remove(next));
    }
    ranked
}
