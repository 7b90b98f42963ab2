//! Caption metrics over strings: what a generated caption is worth against human references.
//!
//! - [`tokenize`]: words as the COCO caption evaluation sees them, equal to its PTB tokenizer;
//! - [`bleu`]: corpus BLEU-1..4, equal to pycocoevalcap's `BleuScorer` with the closest reference length;
//! - [`bootstrap`]: the interval of any of them over resampled images;
//! - [`CollapseReport`]: does a model say (nearly) the same sentence for every image?
//!
//! Pure: no files, no tensors, no clock; random draws follow a given seed. Nothing here knows about models or token ids:
//! start and end marks must be gone before a caption comes here.

mod bleu;
mod bootstrap;
mod collapse;
mod tokenize;

pub use bleu::{Bleu, BleuError, bleu, bleu_of_captions};
pub use bootstrap::{bootstrap, percentile};
pub use collapse::CollapseReport;
pub use tokenize::{tokenize, tokenize_each};
