//! Rounds of trials. Proposals and promotions of a round see the results of earlier rounds and no others, so that the ledger does not
//! depend on which worker was faster.

use capwright_study::{Study, Trial, TrialStatus};

/// Trials of one round.
const ROUND: u64 = 4;

/// The number of the first trial of the round to which the next trial belongs.
pub fn start(study: &Study) -> u64 {
    let next = study.next_trial() - 1;
    next - next % ROUND + 1
}

/// Whether a promoted trial goes on beside the round that begins with a number. It does so for as many rounds as train for as many
/// epochs, whenever it is done.
fn beside(study: &Study, run: &Trial, start: u64) -> bool {
    let promoted = run.promoted_before.zip(run.granted);
    promoted.is_some_and(|(before, granted)| {
        let had = run.earlier.as_ref().map_or(0, |earlier| earlier.epochs);
        let training = &study.contract().training;
        let after = if granted >= training.epochs { training.self_critical } else { 0 };
        let of_round = ROUND * u64::from(study.first_rung().max(1));
        let rounds = u64::from(granted.saturating_sub(had) + after).div_ceil(of_round).max(1);
        start < before.saturating_add(ROUND * rounds)
    })
}

/// Whether all is over that the round of the next trial sees.
pub fn earlier_is_over(study: &Study) -> bool {
    let start = start(study);
    let beside = |trial: &u64| study.run(*trial).is_some_and(|run| beside(study, run, start));
    study.unfinished().iter().all(|trial| *trial >= start || beside(trial))
}

/// What the round of the next trial sees: every design, and the results of the rounds that are over; of what goes on beside it, those
/// that it had before.
pub fn visible(study: &Study) -> Study {
    let (mut seen, start) = (study.clone(), start(study));
    for run in seen.trials.values_mut().filter(|run| beside(study, run, start)) {
        if let Some(earlier) = run.earlier.clone() {
            run.epochs.truncate(earlier.epochs as usize);
            run.status = TrialStatus::Finished(earlier);
        }
    }
    for (_, run) in seen.trials.range_mut(start..) {
        run.status = TrialStatus::Admitted;
        run.epochs.clear();
    }
    seen
}
