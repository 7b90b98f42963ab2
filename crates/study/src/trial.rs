//! What a worker is told, and what it says.

use capwright_blueprint::{Blueprint, Cost};
use capwright_contract::{Decoding, Score};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// A file of pretrained weights, named by its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WeightsFile {
    /// Where it lies (`.pth` or `.safetensors`).
    pub path: PathBuf,
    /// sha256 in hex; a worker refuses another content.
    pub sha256: String,
}

/// Everything that a worker needs to train one design: the same specification gives the same result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrialSpec {
    /// Number of the trial in its study.
    pub trial: u64,
    /// The admitted design.
    pub blueprint: Blueprint,
    /// Its cost as admitted; the worker compares the built network with it.
    pub cost: Cost,
    /// The data folder.
    pub data: PathBuf,
    /// Fingerprint of the data; a worker refuses other data.
    pub data_fingerprint: String,
    /// The vocabulary file.
    pub vocabulary: PathBuf,
    /// Weights of the design's backbones, in the order of [`capwright_blueprint::language::Source::backbones`].
    pub weights: Vec<WeightsFile>,
    /// Trained values to begin with (`.safetensors`): those whose name and shape the design has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<WeightsFile>,
    /// Folder of the feature cache, shared by all trials.
    pub cache: PathBuf,
    /// The trial's own folder: checkpoint, result and model.
    pub out: PathBuf,
    /// Seed of initial weights, order and dropout.
    pub seed: u64,
    /// At most that many epochs of teacher forcing.
    pub epochs: u32,
    /// End this run once that many epochs are done, with a result of what there is; a later run may go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_after: Option<u32>,
    /// At most that many epochs of self-critical training after them, from the best weights.
    #[serde(default)]
    pub self_critical: u32,
    /// Stop after that many epochs without a better score; 0: never.
    pub patience: u32,
    /// The score by which epochs are compared.
    #[serde(default)]
    pub select: Score,
    /// How captions are decoded.
    pub decoding: Decoding,
    /// Threads that the worker may use.
    pub threads: usize,
    /// Where its training steps are computed.
    #[serde(default)]
    pub device: ComputeDevice,
}

/// A kind of device that computes training steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ComputeDevice {
    /// The processor.
    #[default]
    Cpu,
    /// An NVIDIA GPU.
    Cuda,
    /// A GPU by Vulkan, Metal or DirectX.
    Wgpu,
}

impl std::fmt::Display for ComputeDevice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
            Self::Wgpu => "wgpu",
        })
    }
}

/// Validation scores of one set of captions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// Corpus BLEU-1..4.
    pub bleu: [f64; 4],
    /// Corpus CIDEr-D in 0..=10; 0 in studies from before it was measured.
    #[serde(default)]
    pub cider_d: f64,
    /// Images scored.
    pub images: usize,
    /// Distinct captions among them.
    pub distinct: usize,
    /// Share of the most frequent caption.
    pub top_share: f64,
    /// Whether the captions have collapsed to one or few.
    pub collapsed: bool,
}

/// One finished epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// 1 for the first.
    pub epoch: u32,
    /// Mean training loss per word in nats (label smoothing included).
    pub loss: f64,
    /// Mean gradient norm before clipping.
    pub grad_norm: f64,
    /// Validation scores after the epoch.
    pub scores: Scores,
    /// Learning rate of the last step.
    #[serde(default)]
    pub learning_rate: f64,
    /// Seconds of training.
    pub train_seconds: f64,
    /// Of these: reading and preparing inputs.
    #[serde(default)]
    pub input_seconds: f64,
    /// Of these: sampling captions, in epochs of self-critical training.
    #[serde(default)]
    pub sample_seconds: f64,
    /// Of these: backward passes, from the gradient that the vocabulary layer hands on.
    #[serde(default)]
    pub backward_seconds: f64,
    /// Of these: steps of the optimiser; the rest is forward, the vocabulary layer included.
    #[serde(default)]
    pub update_seconds: f64,
    /// Seconds of decoding and scoring.
    pub score_seconds: f64,
    /// Largest resident memory of the process so far, where the system tells.
    #[serde(default)]
    pub peak_memory_bytes: Option<u64>,
    /// Energy of training and validation in joules, as this trial's share of what the processors took, where it can be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub joules: Option<f64>,
    /// Words trained on per second.
    pub words_per_second: f64,
    /// Mean CIDEr-D of the training samples, in epochs of self-critical training.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reward: Option<f64>,
}

impl Scores {
    /// The score that trials are compared by.
    pub fn of(&self, score: Score) -> f64 {
        match score {
            Score::Bleu4 => self.bleu[3],
            Score::CiderD => self.cider_d,
        }
    }
}

/// A caption with its image, as a sample for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SampleCaption {
    /// File name of the image.
    pub image: String,
    /// What the model says.
    pub caption: String,
    /// What people said.
    pub references: Vec<String>,
}

/// What came of a trial.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrialResult {
    /// The epoch whose weights were kept (best validation score).
    pub best_epoch: u32,
    /// Epochs trained.
    pub epochs: u32,
    /// Whether it was told to stop there and could go on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,
    /// Validation scores of the kept weights.
    pub scores: Scores,
    /// Parameters of the built network, counted on its tensors.
    pub built_trainable: u64,
    /// The model folder, relative to the trial's folder.
    pub model: PathBuf,
    /// Some captions of validation images.
    pub samples: Vec<SampleCaption>,
    /// What each validation image adds to the score that trials are compared by, in their order: values whose mean is the score
    /// and whose spread is its sampling noise. Empty in studies from before it was kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by_image: Vec<f32>,
    /// Wall seconds of the trial, over all its runs.
    pub seconds: f64,
    /// Seconds that processors worked for it, over all its runs and threads, where the system tells. None in studies from before it was
    /// measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_seconds: Option<f64>,
    /// Milliseconds from pixels to words, photos one at a time: measured beside the trials that ran then. None in studies from before
    /// it was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caption_ms: Option<f64>,
    /// Joules of such a caption: its share of what the processors took then, by the time that they worked. None where their counters
    /// cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caption_joules: Option<f64>,
    /// Peak resident memory of the process that finished it, in bytes, where the system tells.
    #[serde(default)]
    pub peak_memory_bytes: Option<u64>,
}

/// What a worker writes on standard output, one JSON object a line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum TrialEvent {
    /// Features are being computed.
    Features {
        /// Images done, each variant of an image counted, for each frozen part.
        done: usize,
        /// Those in all.
        total: usize,
    },
    /// Progress within an epoch.
    Step {
        /// The epoch, from 1.
        epoch: u32,
        /// Batches done.
        done: usize,
        /// Batches in all.
        total: usize,
        /// Loss of the last batch.
        loss: f64,
    },
    /// An epoch is over.
    Epoch(Epoch),
    /// The trial is over; `result.json` is on disk.
    Finished(Box<TrialResult>),
    /// The design cannot be trained, and why (it diverged).
    Failed {
        /// In a sentence.
        reason: String,
    },
    /// Something outside the design is in the way (a broken image, wrong weights, a full disk); every trial would meet it.
    Blocked {
        /// What, where, and what to do.
        reason: String,
    },
}
