//! `capwright worker`: one trial in a process of its own. Events are JSON lines on standard output.

use crate::failure::Failure;
use capwright_backbones::Library;
use capwright_blueprint::{Cost, Target, check};
use capwright_caption_data::Vocabulary;
use capwright_study::{TrialEvent, TrialSpec};
use capwright_train::{TrainError, run_trial};
use std::io::{Read, Write};
use std::path::Path;

/// Runs the trial of a specification file.
pub fn run(path: &Path) -> Result<(), Failure> {
    end_with_driver();
    yield_to_driver();
    let text = std::fs::read_to_string(path).map_err(|error| Failure::file(path, error))?;
    let spec: TrialSpec = serde_json::from_str(&text).map_err(|error| Failure::file(path, error))?;
    compute_here_too(spec.threads)?;
    emit(&train(&spec));
    Ok(())
}

/// Trains; the last word of the trial.
fn train(spec: &TrialSpec) -> TrialEvent {
    let blocked = |reason: String| TrialEvent::Blocked { reason };
    let vocabulary = match Vocabulary::load(&spec.vocabulary) {
        Ok(vocabulary) => vocabulary,
        Err(error) => return blocked(error.to_string()),
    };
    let target = Target { vocab: vocabulary.len(), max_words: spec.decoding.max_words };
    let checked = match check(spec.blueprint.clone(), &Library::default(), target) {
        Ok(checked) if as_admitted(checked.cost(), &spec.cost) => checked,
        Ok(_) => return blocked("the design's cost is not the one that was admitted".into()),
        Err(diagnostics) => {
            return blocked(diagnostics.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "));
        }
    };
    match run_trial(spec, checked.design(), &mut |event| emit(&event)) {
        Ok(result) => TrialEvent::Finished(Box::new(result)),
        Err(error @ TrainError::Diverged { .. }) => TrialEvent::Failed { reason: error.to_string() },
        Err(error) => blocked(error.to_string()),
    }
}

/// Whether a cost is the admitted one; studies of earlier versions did not count what is trained.
fn as_admitted(cost: Cost, admitted: &Cost) -> bool {
    let macs_trained = if admitted.macs_trained == 0 { 0 } else { cost.macs_trained };
    Cost { macs_trained, ..cost } == *admitted
}

/// Writes an event; when nobody listens any more, there is nothing to work for.
fn emit(event: &TrialEvent) {
    let mut out = std::io::stdout().lock();
    let line = serde_json::to_string(event).map(|text| text + "\n");
    let written = line.map_err(std::io::Error::other).and_then(|line| out.write_all(line.as_bytes()));
    if written.and_then(|()| out.flush()).is_err() {
        std::process::exit(130);
    }
}

/// Ends this process when its standard input does: the driver that holds the other end is gone.
fn end_with_driver() {
    std::thread::spawn(|| {
        let mut byte = [0];
        while matches!(std::io::stdin().read(&mut byte), Ok(n) if n > 0) {}
        std::process::exit(130);
    });
}

/// Makes this thread one of those that compute: many loops are shorter than it takes to hand them to another one and to wait.
fn compute_here_too(threads: usize) -> Result<(), Failure> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.max(1)).use_current_thread();
    pool.build_global().map_err(Failure::input)
}

/// Lets the driver go first where cores are short: a language model in its process computes with all of them in short
/// turns, and each would wait for the slices of the trainings.
fn yield_to_driver() {
    #[cfg(unix)]
    let _ = rustix::process::nice(10);
}
