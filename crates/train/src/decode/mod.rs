//! Captions from memory: beam search or sampling, by one model or several, over a batch of images.
//!
//! Padding, BEGIN and UNKNOWN are never said, and a caption has at least one word; log-probabilities are those of the
//! full softmax. A hypothesis of `max_words` words can only say END. Images do not see each other: a batch gives what its
//! images give one by one.

mod beam;
mod constraints;
mod ensemble;
mod sampling;
#[cfg(test)]
mod tests;

pub use ensemble::Model;

use crate::params::Params;
use burn::tensor::TensorData;
use capwright_blueprint::DecoderSpec;
use capwright_contract::{Decoding, Sampling};
use ensemble::Ensemble;

/// What is said of an image.
#[derive(Debug, Clone, PartialEq)]
pub struct Caption {
    /// The words, END left out.
    pub words: Vec<u32>,
    /// Log-probability in nats, END included, before any temperature and penalty.
    pub log_probability: f64,
    /// What captions of an image are ranked by: the log-probability under the length penalty.
    pub score: f64,
}

/// Words of the best caption for each image of `memory` `[images, tokens, dim]`, END left out. A caption that is drawn is
/// the first of its stream; the images have the streams 0, 1, ...
///
/// # Panics
/// Where `max_words` is more than the positions that a Transformer has learned: a bug of the caller.
pub fn decode(spec: &DecoderSpec, params: &Params, memory: TensorData, decoding: Decoding) -> Vec<Vec<u32>> {
    let streams: Vec<u64> = (0..memory.shape()[0] as u64).collect();
    let said = captions(vec![Model { spec, params, memory }], &decoding, 1, &streams);
    said.into_iter().map(|all| all.into_iter().next().map(|c| c.words).unwrap_or_default()).collect()
}

/// Captions for each image by the models together: each step's distribution is the mean of theirs.
///
/// Beam search gives up to `n` different captions, best first, and never more than the beam has finished; sampling
/// gives `n` in the order drawn, equal ones too. `streams` numbers the images for the draws.
///
/// # Panics
/// As [`decode`], for models of different numbers of images or words, and for other than one stream an image: bugs of
/// the caller.
pub fn captions(models: Vec<Model<'_>>, decoding: &Decoding, n: usize, streams: &[u64]) -> Vec<Vec<Caption>> {
    let ensemble = Ensemble::new(models);
    match &decoding.sample {
        Some(sampling) => sampling::sample(ensemble, decoding, sampling, n, streams),
        None => beam::search(ensemble, decoding, n),
    }
}

/// `per_image` captions drawn for each image of `memory` `[images, tokens, dim]`: their words, END left out.
///
/// Draw `i` of an image depends on the seed of `sampling`, the image's stream, its memory and `i` alone: not on the
/// batch, nor on how many are drawn.
///
/// # Panics
/// As [`captions`].
pub fn sample(
    spec: &DecoderSpec,
    params: &Params,
    memory: TensorData,
    per_image: usize,
    sampling: Sampling,
    max_words: usize,
    streams: &[u64],
) -> Vec<Vec<Vec<u32>>> {
    let decoding = Decoding { sample: Some(sampling), ..Decoding::of(1, max_words) };
    let said = captions(vec![Model { spec, params, memory }], &decoding, per_image, streams);
    said.into_iter().map(|all| all.into_iter().map(|caption| caption.words).collect()).collect()
}
