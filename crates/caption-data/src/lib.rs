//! Captioned image data sets: reading them strictly, words, pixels, and a set that draws itself.
//!
//! - [`Dataset`]: a folder with `captions.json` (COCO captions), `splits.json` and `images/`, checked as a whole;
//! - [`Vocabulary`]: words of the training captions as token ids, whole or in pieces;
//! - [`decode`], [`load_rgb`], [`load_batch`], [`Preprocess`]: from image files to normalised pixels;
//! - [`Augment`]: training images varied;
//! - [`make_scenes`]: the procedural data set `scenes`, so that a first run needs no download; [`scenes`]: it as a benchmark.
//!
//! Everything read from disk is untrusted: sizes are limited before memory is taken, and errors name the file. This crate
//! knows nothing about models, tensors or training.

mod augment;
mod coco;
mod dataset;
mod error;
mod image_file;
mod preprocess;
mod problems;
pub mod scenes;
mod vocabulary;

pub use augment::{Augment, Jitter, RandAugment, names_a_side};
pub use dataset::{Dataset, ImageRecord, Split};
pub use error::{DataError, ImageError};
pub use image_file::{Filter, Framing, ImageLimits, RgbImage, decode, load_batch, load_rgb};
pub use preprocess::Preprocess;
pub use problems::{Problem, Problems};
pub use scenes::{SceneOptions, make_scenes};
pub use vocabulary::{Vocabulary, segment};
