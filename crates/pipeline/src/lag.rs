//! What is known when the next trial is chosen. Results come with a fixed lag, counted in trials: not the fastest worker decides what a
//! proposal sees, and the ledger is the same with any number of them.

use capwright_study::{Study, Trial, TrialStatus};

/// A trial sees what came of the trials up to that which is so many before it: as many may train side by side.
const LAG: u64 = 4;

/// Whether what comes of a promoted trial is known to the next one that is chosen. More epochs take longer: for each rung's worth of them
/// one more trial is chosen meanwhile.
fn is_known(study: &Study, run: &Trial) -> bool {
    run.promoted_before.zip(run.granted).is_none_or(|(before, granted)| {
        let had = run.earlier.as_ref().map_or(0, |earlier| earlier.epochs);
        let training = &study.contract().training;
        let after = if granted >= training.epochs { training.self_critical } else { 0 };
        let rungs = (granted.saturating_sub(had) + after).div_ceil(study.first_rung().max(1));
        // A new design trains for one rung.
        study.next_trial() >= before + LAG - 1 + u64::from(rungs.max(1))
    })
}

/// The first of the trials of which the next one knows nothing but the design.
fn first_unknown(study: &Study) -> u64 {
    (study.next_trial() + 1).saturating_sub(LAG)
}

/// Whether all is over that the choice of the next trial sees.
pub fn is_over(study: &Study) -> bool {
    let unknown = |trial: &u64| {
        *trial >= first_unknown(study) || study.run(*trial).is_some_and(|run| !is_known(study, run))
    };
    study.unfinished().iter().all(unknown)
}

/// What the choice of the next trial sees: every design, and the results that are known to it; of promoted trials that are not, those that
/// they had before.
pub fn visible(study: &Study) -> Study {
    let mut seen = study.clone();
    for run in seen.trials.values_mut().filter(|run| !is_known(study, run)) {
        if let Some(earlier) = run.earlier.clone() {
            run.epochs.truncate(earlier.epochs as usize);
            run.status = TrialStatus::Finished(earlier);
        }
    }
    for (_, run) in seen.trials.range_mut(first_unknown(study)..) {
        run.status = TrialStatus::Admitted;
        run.epochs.clear();
    }
    seen
}
