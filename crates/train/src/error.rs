//! What can go wrong while a design is trained or used.

use std::path::{Path, PathBuf};

/// Why a trial or a captioner cannot go on. Each message says what is wrong, where, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// A file or folder could not be read or written.
    #[error("{}: {source}; check that the path exists, is writable and that the disk is not full", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file does not hold what it should.
    #[error("{}: {reason}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        reason: String,
    },
    /// The data folder could not be read.
    #[error(transparent)]
    Data(#[from] capwright_caption_data::DataError),
    /// Weights of the frozen backbone cannot be used.
    #[error(transparent)]
    Weights(#[from] crate::vision::WeightsError),
    /// Features or pixels could not be computed or kept.
    #[error(transparent)]
    Cache(#[from] crate::vision::CacheError),
    /// The data are not those of the specification.
    #[error(
        "the data in {} have fingerprint {found}, but the trial is for {expected}; \
         restore the data of the study or start another study", path.display()
    )]
    Fingerprint {
        /// The data folder.
        path: PathBuf,
        /// Fingerprint in the specification.
        expected: String,
        /// Fingerprint of the folder.
        found: String,
    },
    /// A tensor has another shape than the design says, or is missing.
    #[error("weight {name}: expected {expected}, found {found}; these weights belong to another design")]
    Weight {
        /// Name of the weight.
        name: String,
        /// Expected shape.
        expected: String,
        /// What was found.
        found: String,
    },
    /// The device that is asked for cannot be used.
    #[error("{device} cannot be used: {reason}")]
    Device {
        /// The device.
        device: capwright_study::ComputeDevice,
        /// Why, and what to do.
        reason: String,
    },
    /// The specification cannot be trained.
    #[error("this trial cannot be run: {0}")]
    Spec(String),
    /// No captions can be decoded like that; all that is wrong.
    #[error("captions cannot be decoded like that: {0}")]
    Decoding(String),
    /// Models that cannot caption together.
    #[error("these models cannot caption together: {0}")]
    Ensemble(String),
    /// The loss or the gradients stopped being finite numbers.
    #[error(
        "training diverged in epoch {epoch} at batch {batch}: {what} is not a finite number; \
         use a lower learning rate or a smaller clipping norm"
    )]
    Diverged {
        /// The epoch, from 1.
        epoch: u32,
        /// The batch, from 1.
        batch: usize,
        /// Loss or gradient norm.
        what: &'static str,
    },
}

impl TrainError {
    /// An input or output error at a path.
    pub fn io(path: impl AsRef<Path>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.as_ref().to_path_buf();
        move |source| Self::Io { path, source }
    }

    /// A file with the wrong content.
    pub fn format(path: impl AsRef<Path>, reason: impl std::fmt::Display) -> Self {
        Self::Format { path: path.as_ref().to_path_buf(), reason: reason.to_string() }
    }
}
