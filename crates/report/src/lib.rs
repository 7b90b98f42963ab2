//! One HTML page about the captions of one or several models on one data set.
//!
//! [`render`] turns a [`Report`] into a page, [`write()`] puts it into a file. The page stands alone: pictures, plots and
//! styles are inside it, it has no scripts, and it loads nothing. Equal input gives an equal page; no clock is read.
//!
//! The page has the scores of all metrics with bootstrap intervals, paired tests against the first model, the lengths
//! and the variety of the captions, the pictures with the best and the worst captions, what the captions say about
//! gender, words that may offend, licences, and where the figures come from.
//!
//! Captions, names and paths are untrusted: all text is escaped, and long texts are cut. A picture that is missing or
//! damaged becomes a placeholder. This crate trains nothing and runs no model; captions come from the caller.

mod analysis;
mod error;
mod file;
mod gender;
mod html;
mod input;
mod offensive;
mod page;
mod picture;
mod plot;
mod sections;
mod study;

pub use error::{Problem, ReportError};
pub use file::write;
pub use input::{Image, Licence, MAX_MODELS, Model, Report, ReportOptions};
pub use page::render;
pub use picture::{MAX_FILE_BYTES, MAX_PICTURES_BYTES, PICTURE_SIDE};
pub use study::render_study;
