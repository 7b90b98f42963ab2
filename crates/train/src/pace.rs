//! How long a trained design takes for a caption.

use crate::error::TrainError;
use crate::extractor::{BackboneWeights, FeatureExtractor, preprocess, weights_of};
use crate::meters::cpu_seconds;
use crate::network::Network;
use capwright_caption_data::{ImageRecord, load_rgb};
use capwright_contract::Decoding;
use std::time::Instant;

/// Photos that are timed, and one before them that is not.
const PHOTOS: usize = 12;

/// Milliseconds from the pixels of a photo to its words, photos one at a time, on the threads of this process: the lower quartile
/// over some photos or, where that is less, the mean time that processors worked for one. Other programs run beside, and what a
/// caption waited for them is not its own.
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
    let mut worked = Vec::with_capacity(PHOTOS + 1);
    for image in images.iter().take(PHOTOS + 1) {
        let pixels = load_rgb(&image.path, extractor.side())?;
        let (start, before) = (Instant::now(), cpu_seconds());
        let input = extractor.batch(&network, &[extractor.extract(&pixels)]);
        network.decode(input, decoding);
        times.push(1_000.0 * start.elapsed().as_secs_f64());
        worked.extend(before.zip(cpu_seconds()).map(|(before, after)| 1_000.0 * (after - before)));
    }
    own_time(times, worked).ok_or_else(|| TrainError::Spec("there is no validation image".into()))
}

/// The time of a caption from what passed and what processors worked for each; the first, which also lays out matrices, counts only
/// where there is no other.
fn own_time(mut times: Vec<f64>, mut worked: Vec<f64>) -> Option<f64> {
    for all in [&mut times, &mut worked] {
        if all.len() > 1 {
            all.remove(0);
        }
    }
    times.sort_by(f64::total_cmp);
    let quartile = *times.get(times.len() / 4)?;
    // One by one they may be ticks of a slow clock.
    let mean = worked.iter().sum::<f64>() / worked.len() as f64;
    Some(if mean > 0.0 { quartile.min(mean) } else { quartile })
}

#[cfg(test)]
mod tests {
    use super::own_time;

    #[test]
    fn what_others_took_does_not_count() {
        assert_eq!(
            own_time(vec![90.0, 10.0, 30.0, 12.0, 31.0], vec![90.0, 9.0, 11.0, 10.0, 10.0]),
            Some(10.0)
        );
        assert_eq!(
            own_time(vec![90.0, 10.0, 30.0, 11.0, 31.0], vec![90.0; 5]),
            Some(11.0),
            "several threads"
        );
        assert_eq!(own_time(vec![90.0, 10.0, 11.0], vec![0.0; 3]), Some(10.0), "a clock that does not tell");
        assert_eq!(own_time(vec![90.0], Vec::new()), Some(90.0));
        assert_eq!(own_time(Vec::new(), Vec::new()), None);
    }
}
