//! Why there is no page.

use std::fmt::Write;
use std::path::PathBuf;

use capwright_caption_metrics::MetricError;
use thiserror::Error;

use crate::input::MAX_MODELS;

/// Problems that a message lists; of more it tells the number.
const LISTED: usize = 20;

/// Why a page cannot be made or written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReportError {
    /// The input does not fit together; all problems of it.
    #[error("{}", list(.0))]
    Input(Vec<Problem>),
    /// The captions cannot be scored.
    #[error("captions cannot be scored: {0}")]
    Metric(#[from] MetricError),
    /// The disk refuses.
    #[error("cannot write the report {}: {source}", path.display())]
    Write {
        /// The file that was to be written.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
}

/// What is wrong with the input of a report.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Problem {
    /// There are no images.
    #[error("there are no images")]
    NoImages,
    /// Too few or too many models.
    #[error("{0} models, but a page has 1 to {MAX_MODELS}")]
    Models(usize),
    /// Two images have this id.
    #[error("two images have the id {0:?}")]
    SameImage(String),
    /// Two models have this name.
    #[error("two models have the name {0:?}")]
    SameModel(String),
    /// The image with this id has no reference.
    #[error("image {0:?} has no reference caption")]
    NoReferences(String),
    /// A model has too few or too many captions.
    #[error("model {model:?} has {captions} captions for {images} images: give one for each, in their order")]
    Captions {
        /// Name of the model.
        model: String,
        /// Captions that it has.
        captions: usize,
        /// Images that there are.
        images: usize,
    },
}

fn list(problems: &[Problem]) -> String {
    let count = problems.len();
    let mut text =
        format!("{count} problem{} with the input of the report:", if count == 1 { "" } else { "s" });
    for problem in problems.iter().take(LISTED) {
        let _ = write!(text, "\n- {problem}");
    }
    if count > LISTED {
        let _ = write!(text, "\n- and {} more", count - LISTED);
    }
    text
}
