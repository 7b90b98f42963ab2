//! Captioned image data sets: reading many formats strictly or leniently, converting them, splits, words, pixels, and a set that draws
//! itself.
//!
//! - [`Dataset`]: images with captions and splits in a folder of any [`Format`] with plain image files, checked as a whole;
//! - [`convert`]: from any format to another, the way in for shards and Parquet;
//! - [`make_splits`], [`inspect`]: splits that keep near duplicates together, and what is in a data set;
//! - [`Vocabulary`]: words of the training captions as token ids, whole or in pieces;
//! - [`decode`], [`load_rgb`], [`load_batch`], [`Preprocess`]: from image files to normalised pixels;
//! - [`Download`]: known data sets and their way into a folder;
//! - [`Augment`]: training images varied;
//! - [`make_scenes`]: the procedural data set `scenes`, so that a first run needs no download; [`scenes`]: it as a benchmark.
//!
//! Everything read from disk is untrusted: sizes are limited before memory is taken, and errors name the file. This crate
//! knows nothing about models, tensors or training.

mod augment;
mod convert;
mod dataset;
mod downloads;
mod error;
mod formats;
mod image_file;
mod inspect;
mod preprocess;
mod problems;
mod quarantine;
mod results;
pub mod scenes;
mod similar;
mod splits;
mod staging;
mod visit;
mod vocabulary;
mod write;

pub use capwright_caption_metrics::segment;

pub use augment::{Augment, Jitter, RandAugment, mirrored, names_a_side};
pub use convert::{ConvertOptions, Converted, convert};
pub use dataset::{Dataset, ImageRecord, LoadOptions, Split};
pub use downloads::{Archive, DOWNLOADS, Download, DownloadProgress, DownloadStage};
pub use error::{DataError, ImageError};
pub use formats::Format;
pub use image_file::{Filter, Framing, ImageLimits, RgbImage, decode, load_batch, load_rgb};
pub use inspect::{Captions, ImageKinds, Inspection, Spread, inspect};
pub use preprocess::Preprocess;
pub use problems::{Problem, Problems};
pub use quarantine::{DEFAULT_BAD_SHARE, Quarantine, Quarantined};
pub use results::{Hypothesis, read_hypotheses, read_references, write_hypotheses};
pub use scenes::{SceneOptions, make_scenes};
pub use splits::{Ratios, Splits, make_splits};
pub use vocabulary::Vocabulary;
