//! How long a trained design takes for a caption.

use crate::error::TrainError;
use crate::extractor::{BackboneWeights, FeatureExtractor, preprocess, weights_of};
use crate::network::Network;
use capwright_caption_data::{ImageRecord, load_rgb};
use capwright_contract::Decoding;
use std::time::Instant;

/// Photos that are timed, and one before them that is not.
const PHOTOS: usize = 12;

/// Milliseconds from the pixels of a photo to its words, photos one at a time, on the threads of this process: the lower quartile
/// over some photos, because other trials run beside.
///
/// # Errors
/// [`TrainError`] for a photo or weights that cannot be read.
pub fn milliseconds(
    network: &Network,
    weights: &BackboneWeights,
    images: &[ImageRecord],
    decoding: Decoding,
) -> Result<f64, TrainError> {
    let design = network.design();
    let parts = design.frozen.iter().map(|part| weights_of(weights, &part.name));
    let extractor =
        FeatureExtractor::new(design, parts.collect::<Result<Vec<_>, _>>()?, preprocess(design)?)?;
    let network = network.inner();
    let mut times = Vec::with_capacity(PHOTOS + 1);
    for image in images.iter().take(PHOTOS + 1) {
        let pixels = load_rgb(&image.path, extractor.side())?;
        let start = Instant::now();
        let input = extractor.batch(&network, &[extractor.extract(&pixels)]);
        network.decode(input, decoding);
        times.push(1_000.0 * start.elapsed().as_secs_f64());
    }
    // The first also lays out matrices.
    let timed = if times.len() > 1 { &mut times[1..] } else { &mut times[..] };
    timed.sort_by(f64::total_cmp);
    let quartile = timed.get(timed.len() / 4).copied();
    quartile.ok_or_else(|| TrainError::Spec("there is no validation image".into()))
}
