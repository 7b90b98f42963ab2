//! The state of a trial after an epoch, in one file that is replaced atomically.

use crate::error::TrainError;
use crate::extractor::own_graphs;
use crate::learner::Learner;
use crate::network::Network;
use crate::optim::Steps;
use crate::params::{Params, prefixed};
use crate::store;
use crate::trunk::Stats;
use capwright_blueprint::Design;
use capwright_study::{Epoch, SampleCaption, TrialSpec};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// What is known of a trial beside its tensors.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Progress {
    /// What decides the result; another specification must not go on from here.
    key: String,
    /// Steps of the optimiser.
    steps: u64,
    /// Those of them with gradients for the encoder; all where left out.
    #[serde(default)]
    encoder_steps: Option<u64>,
    /// Epochs of teacher forcing, once they are over.
    #[serde(default)]
    pub taught: Option<u32>,
    /// Finished epochs.
    pub history: Vec<Epoch>,
    /// The best of them, from 1; 0 for none.
    pub best_epoch: u32,
    /// Captions of the best epoch.
    pub samples: Vec<SampleCaption>,
    /// [`TrialResult::by_image`](capwright_study::TrialResult::by_image) of the best epoch.
    #[serde(default)]
    pub by_image: Vec<f32>,
    /// Wall seconds so far.
    pub seconds: f64,
    /// Those of processors.
    #[serde(default)]
    pub cpu_seconds: f64,
}

/// Network, optimiser, moving average and history of a trial.
pub(crate) struct Checkpoint {
    pub learner: Learner,
    /// The network of the best epoch.
    pub best: Network,
    pub progress: Progress,
}

fn path(out: &Path) -> PathBuf {
    out.join("checkpoint.safetensors")
}

/// All of the specification that decides the result, and the digests of graphs of one's own, which it only names; where files lie
/// does not.
fn key(spec: &TrialSpec, own: &[String]) -> String {
    let weights: Vec<&str> = spec.weights.iter().map(|w| w.sha256.as_str()).collect();
    let parts = (&spec.blueprint, &spec.data_fingerprint, weights, spec.seed, spec.epochs, spec.decoding);
    let choice = (spec.self_critical, spec.select);
    let text = match own {
        [] => serde_json::to_string(&(parts, choice)),
        own => serde_json::to_string(&(parts, choice, own)),
    };
    text.unwrap_or_default()
}

/// What an earlier run of this very specification has left, if there is something.
///
/// # Errors
/// A damaged file: it is reported and not silently trained over.
fn progress(spec: &TrialSpec, design: &Design) -> Result<Option<Progress>, TrainError> {
    let path = path(&spec.out);
    if !path.exists() {
        return Ok(None);
    }
    let progress: Progress =
        serde_json::from_str(&store::note(&path)?).map_err(|e| TrainError::format(&path, e))?;
    if progress.key != key(spec, &own_graphs(design)) {
        let reason = "it belongs to another trial; give this trial a folder of its own, or delete the file";
        return Err(TrainError::format(&path, reason));
    }
    Ok(Some(progress))
}

/// Epochs of earlier runs of a trial.
///
/// # Errors
/// As [`Checkpoint::resume`].
pub(crate) fn history(spec: &TrialSpec, design: &Design) -> Result<Vec<Epoch>, TrainError> {
    Ok(progress(spec, design)?.map(|progress| progress.history).unwrap_or_default())
}

impl Checkpoint {
    /// The start of a trial.
    pub fn new(spec: &TrialSpec, learner: Learner) -> Self {
        let best = learner.network.inner();
        let progress = Progress {
            key: key(spec, &own_graphs(best.design())),
            steps: 0,
            encoder_steps: None,
            taught: None,
            history: Vec::new(),
            best_epoch: 0,
            samples: Vec::new(),
            by_image: Vec::new(),
            seconds: 0.0,
            cpu_seconds: 0.0,
        };
        Self { learner, best, progress }
    }

    /// Takes the state of an earlier run, if there is one of this very specification.
    ///
    /// # Errors
    /// A damaged file: it is reported and not silently trained over.
    pub fn resume(&mut self, spec: &TrialSpec) -> Result<(), TrainError> {
        let Some(progress) = progress(spec, self.best.design())? else { return Ok(()) };
        let path = path(&spec.out);
        let learner = &mut self.learner;
        learner.network = read(&path, "", &learner.network)?;
        self.best = read(&path, "best.", &self.best)?;
        if let Some(average) = &mut learner.average {
            *average = read(&path, "average.", average)?;
        }
        let all = progress.steps;
        let steps = Steps { all, encoder: progress.encoder_steps.unwrap_or(all) };
        learner.optimiser.restore(&learner.network.params, &path, steps)?;
        self.progress = progress;
        Ok(())
    }

    /// Writes the state.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn save(&mut self, out: &Path) -> Result<(), TrainError> {
        let Learner { network, optimiser, average, .. } = &self.learner;
        let steps = optimiser.steps();
        (self.progress.steps, self.progress.encoder_steps) = (steps.all, Some(steps.encoder));
        let mut all = optimiser.tensors(&network.params);
        let average = average.as_ref().map(|average| ("average.", average));
        for (prefix, network) in [("", network), ("best.", &self.best)].into_iter().chain(average) {
            let tensors = network.params.saved().chain(network.stats.tensors());
            all.extend(tensors.map(|(name, shape, values)| (format!("{prefix}{name}"), shape, values)));
        }
        let path = path(out);
        let note = serde_json::to_string(&self.progress).map_err(|e| TrainError::format(&path, e))?;
        store::write_noted(&path, all.iter().map(|(n, s, v)| (n.as_str(), *s, *v)), Some(note))
    }
}

/// A network like `like` from the tensors with that prefix.
fn read(path: &Path, prefix: &str, like: &Network) -> Result<Network, TrainError> {
    let design = like.design();
    let (wanted, buffers) = (design.trainable(), design.trunk.buffers());
    let mut network = like.inner();
    network.params = Params::load(path, prefix, &wanted, like.params.device())?;
    network.stats = Stats::from_values(&buffers, store::read(path, &prefixed(prefix, &buffers))?);
    Ok(network)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use capwright_contract::{Decoding, Score};
    use capwright_study::ComputeDevice;

    fn spec() -> TrialSpec {
        let checked = testing::checked();
        TrialSpec {
            trial: 1,
            blueprint: checked.blueprint().clone(),
            cost: checked.cost(),
            data: "data".into(),
            data_fingerprint: "ab".into(),
            vocabulary: "vocabulary.json".into(),
            weights: Vec::new(),
            start: None,
            cache: "cache".into(),
            out: "out".into(),
            seed: 7,
            epochs: 3,
            stop_after: None,
            self_critical: 0,
            patience: 0,
            select: Score::default(),
            decoding: Decoding::of(2, 5),
            threads: 1,
            device: ComputeDevice::Cpu,
        }
    }

    #[test]
    fn a_graph_of_one_s_own_is_a_part_of_the_key() {
        let key = |own: &[&str]| key(&spec(), &own.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert!(key(&[]).ends_with(r#",[0,"bleu4"]]"#), "as it always was: {}", key(&[]));
        assert_eq!(key(&["ab"]), key(&["ab"]));
        assert_ne!(key(&["ab"]), key(&["ac"]));
        assert_ne!(key(&["ab"]), key(&[]));
    }
}
