//! One trial from specification to result: load, train, validate, keep the best, write the model folder.

use crate::checkpoint::{self, Checkpoint, Progress};
use crate::device;
use crate::error::TrainError;
use crate::extractor::{BackboneWeights, open_weights, weights_of};
use crate::fit::{self, Lesson};
use crate::learner::Learner;
use crate::meters::{Meter, cpu_seconds, peak_memory};
use crate::model_folder;
use crate::network::Network;
use crate::pace;
use crate::score::score_by_image;
use crate::self_critical::{Critic, TEMPERATURE};
use crate::source::Source;
use crate::store;
use capwright_blueprint::Design;
use capwright_blueprint::language::Augment;
use capwright_caption_data::{Dataset, ImageRecord, Split, Vocabulary, names_a_side};
use capwright_contract::Score;
use capwright_files::clear_leftovers;
use capwright_study::{Epoch, SampleCaption, TrialEvent, TrialResult, TrialSpec};
use std::path::Path;
use std::time::{Duration, Instant};

/// Name of the model folder in the trial's folder.
const MODEL: &str = "model";
/// Captions shown to people.
const SAMPLES: usize = 8;

/// Everything a trial reads.
struct Setting<'a> {
    spec: &'a TrialSpec,
    vocabulary: Vocabulary,
    weights: BackboneWeights,
    source: Source,
    /// Encoded references of the training images.
    references: Vec<Vec<Vec<u32>>>,
    /// Whether a reference of a training image names a side; empty where images are not varied.
    sides: Vec<bool>,
    /// Validation images and their places in the source.
    validation: Vec<ImageRecord>,
    places: Vec<usize>,
}

/// Runs a trial, or goes on with it: a finished one is returned at once, an interrupted one continues after its last
/// epoch with the same result as without interruption. `design` is `spec.blueprint`, lowered.
///
/// With `spec.stop_after` it ends there with a result of what there is, and a later call with more, or without, goes on as if it
/// had not.
///
/// Epochs of earlier runs are told again: whoever listened then may have ended before hearing of them.
///
/// Computes on rayon's current pool; how many threads that has (`spec.threads`) is the caller's to see to, and changes nothing of the
/// result. `spec.patience` 0 means no early stopping.
///
/// # Errors
/// [`TrainError`] for wrong or unreadable data, vocabulary or weights, a full disk, and training that diverges.
///
/// # Panics
/// Where the built network has another number of parameters than `spec.cost`: a bug in one of the two.
pub fn run_trial(
    spec: &TrialSpec,
    design: &Design,
    emit: &mut dyn FnMut(TrialEvent),
) -> Result<TrialResult, TrainError> {
    std::fs::create_dir_all(&spec.out).map_err(TrainError::io(&spec.out))?;
    let finished = spec.out.join("result.json");
    if finished.exists() {
        let result: TrialResult = store::read_json(&finished)?;
        if !result.paused || spec.stop_after.is_some_and(|stop| stop <= result.epochs) {
            checkpoint::history(spec, design)?.into_iter().for_each(|epoch| emit(TrialEvent::Epoch(epoch)));
            return Ok(result);
        }
    }
    // Weights half written by a worker that was killed.
    clear_leftovers(&spec.out);
    clear_leftovers(&spec.out.join(MODEL));
    let start = Instant::now();
    let setting = Setting::load(spec, design, emit)?;
    let mut network = Network::new(design, spec.seed, &device::open(spec.device)?.autodiff());
    if let Some(name) = &design.tuned {
        network.start_from(weights_of(&setting.weights, name)?)?;
    }
    if let Some(start) = &spec.start {
        network.inherit(&start.path, &start.sha256)?;
    }
    let learner = Learner::of(network, &spec.blueprint.recipe);
    let built = learner.network.params.elements();
    assert_eq!(built, spec.cost.params_trainable, "the built network and its cost differ in parameters");
    let mut state = Checkpoint::new(spec, learner);
    state.resume(spec)?;
    state.progress.history.iter().for_each(|epoch| emit(TrialEvent::Epoch(epoch.clone())));
    let paused = setting.train(&mut state, start, emit)?;
    let result = setting.finish(&state, start, built, paused)?;
    store::write_json(&finished, &result)?;
    Ok(result)
}

/// Whether the last `patience` epochs of the present kind brought nothing better.
fn out_of_patience(spec: &TrialSpec, state: &Checkpoint) -> bool {
    let Progress { history, best_epoch, taught, .. } = &state.progress;
    let since = history.len() as u32 - (*best_epoch).max(taught.unwrap_or(0));
    spec.patience > 0 && since >= spec.patience
}

/// The chosen score, and BLEU-1 where that is equal (as in the first epochs, when both are 0).
fn better(select: Score, epoch: &Epoch, best: Option<&Epoch>) -> bool {
    let rank = |e: &Epoch| (e.scores.of(select), e.scores.bleu[0]);
    best.is_none_or(|best| rank(epoch) > rank(best))
}

impl<'a> Setting<'a> {
    fn load(
        spec: &'a TrialSpec,
        design: &Design,
        emit: &mut dyn FnMut(TrialEvent),
    ) -> Result<Self, TrainError> {
        let data = Dataset::load(&spec.data)?;
        if data.fingerprint() != spec.data_fingerprint {
            return Err(TrainError::Fingerprint {
                path: spec.data.clone(),
                expected: spec.data_fingerprint.clone(),
                found: data.fingerprint().to_string(),
            });
        }
        let vocabulary = Vocabulary::load(&spec.vocabulary)?;
        check_target(spec, design, &vocabulary)?;
        let training: Vec<ImageRecord> = data.records(Split::Train).cloned().collect();
        let validation: Vec<ImageRecord> = data.records(Split::Val).cloned().collect();
        if training.is_empty() || validation.is_empty() {
            let reason = format!("{} needs training and validation images", spec.data.display());
            return Err(TrainError::Spec(reason));
        }
        let weights = open_weights(spec)?;
        let (images, augment) = ((&training[..], &validation[..]), spec.blueprint.recipe.augment);
        let source = Source::open(&spec.cache, design, &weights, images, augment, emit)?;
        let places = (training.len()..training.len() + validation.len()).collect();
        let encode = |caption: &String| vocabulary.encode(caption, design.target.max_words);
        let references = training
            .iter()
            .map(|image| image.captions.iter().map(encode).filter(|words| !words.is_empty()).collect())
            .collect();
        let sides = match augment {
            Augment::None => Vec::new(),
            _ => training.iter().map(|image| names_a_side(&image.captions)).collect(),
        };
        Ok(Self { spec, vocabulary, weights, source, references, sides, validation, places })
    }

    /// Trains to the end of the trial or of this run; whether it could go on.
    fn train(
        &self,
        state: &mut Checkpoint,
        start: Instant,
        emit: &mut dyn FnMut(TrialEvent),
    ) -> Result<bool, TrainError> {
        let (earlier, worked) = (state.progress.seconds, state.progress.cpu_seconds);
        let mut critic = None;
        while let Some(number) = self.next(state, &mut critic)? {
            if self.spec.stop_after.is_some_and(|stop| number > stop) {
                return Ok(true);
            }
            let (epoch, captions, by_image) = self.epoch(state, number, critic.as_ref(), emit)?;
            let best = state.progress.history.get((state.progress.best_epoch as usize).wrapping_sub(1));
            if better(self.spec.select, &epoch, best) {
                state.best = state.learner.learned();
                state.progress.best_epoch = number;
                state.progress.samples = self.samples(&captions);
                state.progress.by_image = by_image;
            }
            state.progress.history.push(epoch.clone());
            state.progress.seconds = earlier + start.elapsed().as_secs_f64();
            // A process trains one trial: all that it did was for this one.
            state.progress.cpu_seconds = worked + cpu_seconds().unwrap_or_default();
            state.save(&self.spec.out)?;
            emit(TrialEvent::Epoch(epoch));
        }
        Ok(false)
    }

    /// The number of the next epoch, none where training is over. After teacher forcing comes self-critical training
    /// from the best weights so far, and `critic` is there.
    fn next(&self, state: &mut Checkpoint, critic: &mut Option<Critic>) -> Result<Option<u32>, TrainError> {
        let (spec, done) = (self.spec, state.progress.history.len() as u32);
        let tired = out_of_patience(spec, state);
        if state.progress.taught.is_none() && (done >= spec.epochs || tired) && spec.self_critical > 0 {
            state.progress.taught = Some(done);
            let Checkpoint { learner, best, .. } = state;
            learner.restart(best, &spec.blueprint.recipe, TEMPERATURE);
        } else if tired {
            return Ok(None);
        }
        let planned = state.progress.taught.map_or(spec.epochs, |taught| taught + spec.self_critical);
        if state.progress.taught.is_some() && critic.is_none() {
            *critic = Some(Critic::new(&self.references, &self.vocabulary, spec.decoding.max_words)?);
        }
        Ok((done < planned).then_some(done + 1))
    }

    /// Trains and validates one epoch.
    fn epoch(
        &self,
        state: &mut Checkpoint,
        number: u32,
        critic: Option<&Critic>,
        emit: &mut dyn FnMut(TrialEvent),
    ) -> Result<(Epoch, Vec<String>, Vec<f32>), TrainError> {
        let meter = Meter::start();
        let mut last: Option<Instant> = None;
        let mut tell = |done, total, loss| {
            if done == total || last.is_none_or(|at| at.elapsed() >= Duration::from_secs(1)) {
                last = Some(Instant::now());
                emit(TrialEvent::Step { epoch: number, done, total, loss });
            }
        };
        let lesson = Lesson {
            source: &self.source,
            references: &self.references,
            sides: &self.sides,
            recipe: &self.spec.blueprint.recipe,
            seed: self.spec.seed,
            epochs: state
                .progress
                .taught
                .map_or(0..self.spec.epochs, |taught| taught..taught + self.spec.self_critical),
            critic,
        };
        let trained = fit::train_epoch(&mut state.learner, &lesson, number, &mut tell)?;
        let train_seconds = meter.seconds();
        let mut network = state.learner.learned();
        let captions =
            fit::captions(&mut network, &self.source, &self.places, &self.vocabulary, self.spec.decoding);
        let references: Vec<Vec<String>> = self.validation.iter().map(|i| i.captions.clone()).collect();
        let (scores, by_image) = score_by_image(&captions, &references, self.spec.select)?;
        let epoch = Epoch {
            epoch: number,
            loss: trained.loss,
            grad_norm: trained.grad_norm,
            scores,
            learning_rate: trained.rate,
            train_seconds,
            input_seconds: trained.time.input.as_secs_f64(),
            sample_seconds: trained.time.sampling.as_secs_f64(),
            backward_seconds: trained.time.backward.as_secs_f64(),
            update_seconds: trained.time.update.as_secs_f64(),
            peak_memory_bytes: peak_memory(),
            joules: meter.joules(),
            score_seconds: meter.seconds() - train_seconds,
            words_per_second: trained.words as f64 / train_seconds.max(1e-9),
            reward: trained.reward,
        };
        Ok((epoch, captions, by_image))
    }

    fn samples(&self, captions: &[String]) -> Vec<SampleCaption> {
        let stride = (captions.len() / SAMPLES).max(1);
        let chosen = self.validation.iter().zip(captions).step_by(stride).take(SAMPLES);
        chosen
            .map(|(image, caption)| SampleCaption {
                image: image.file_name.clone(),
                caption: caption.clone(),
                references: image.captions.clone(),
            })
            .collect()
    }

    /// Writes the model folder and sums up.
    fn finish(
        &self,
        state: &Checkpoint,
        start: Instant,
        built: u64,
        paused: bool,
    ) -> Result<TrialResult, TrainError> {
        let progress = &state.progress;
        let best = progress.history.get((progress.best_epoch as usize).wrapping_sub(1));
        let Some(best) = best else {
            return Err(TrainError::Spec("it has no epoch to train; give it at least one".into()));
        };
        let folder = self.spec.out.join(MODEL);
        model_folder::write(&folder, self.spec, &state.best, &self.weights, &self.vocabulary, &best.scores)?;
        // A trial that was complete before this run only lacked its result: the time of writing it is not training.
        let trained_now = progress.seconds.max(start.elapsed().as_secs_f64());
        let pace = pace::of_caption(&state.best, &self.weights, &self.validation, self.spec.decoding)?;
        Ok(TrialResult {
            best_epoch: progress.best_epoch,
            epochs: progress.history.len() as u32,
            paused,
            scores: best.scores.clone(),
            built_trainable: built,
            model: Path::new(MODEL).to_path_buf(),
            samples: progress.samples.clone(),
            by_image: progress.by_image.clone(),
            seconds: trained_now,
            cpu_seconds: cpu_seconds().map(|own| progress.cpu_seconds.max(own)),
            caption_ms: Some(pace.milliseconds),
            caption_joules: pace.joules,
            peak_memory_bytes: peak_memory(),
        })
    }
}

/// Vocabulary and lengths must be those that the design was lowered for.
fn check_target(spec: &TrialSpec, design: &Design, vocabulary: &Vocabulary) -> Result<(), TrainError> {
    if vocabulary.len() != design.target.vocab {
        return Err(TrainError::Spec(format!(
            "{} has {} words, but the design is for {}; use the vocabulary of the study",
            spec.vocabulary.display(),
            vocabulary.len(),
            design.target.vocab
        )));
    }
    if spec.decoding.max_words > design.target.max_words || spec.decoding.max_words == 0 {
        return Err(TrainError::Spec(format!(
            "captions of {} words are asked for, but the design is for 1 to {}",
            spec.decoding.max_words, design.target.max_words
        )));
    }
    Ok(())
}
