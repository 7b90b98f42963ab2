//! How long a trained design takes for a caption, and how much energy.

use crate::error::TrainError;
use crate::extractor::{BackboneWeights, FeatureExtractor, preprocess, weights_of};
use crate::meters::Meter;
use crate::network::Network;
use capwright_caption_data::{ImageRecord, load_rgb};
use capwright_contract::Decoding;
use std::time::Instant;

/// Photos that are timed.
const PHOTOS: usize = 12;

/// What a caption takes, from the pixels of a photo to its words, photos one at a time, on the threads of this process.
pub struct Pace {
    /// Milliseconds: the lower quartile over some photos or, where that is less, the mean time that processors worked for one. Other
    /// programs run beside, and what a caption waited for them is not its own.
    pub milliseconds: f64,
    /// Joules, where counters can be read: see [`Meter::joules`].
    pub joules: Option<f64>,
}

/// Measures what a caption takes.
///
/// # Errors
/// [`TrainError`] for photos or weights that cannot be read, and where there is no photo.
pub fn of_caption(
    network: &Network,
    weights: &BackboneWeights,
    images: &[ImageRecord],
    decoding: Decoding,
) -> Result<Pace, TrainError> {
    let design = network.design();
    let parts = design.frozen.iter().map(|part| weights_of(weights, &part.name));
    let extractor =
        FeatureExtractor::new(design, parts.collect::<Result<Vec<_>, _>>()?, preprocess(design)?)?;
    let network = network.inner();
    let photos = images.iter().take(PHOTOS).map(|image| load_rgb(&image.path, extractor.side()));
    let photos = photos.collect::<Result<Vec<_>, _>>()?;
    let caption = |pixels: &Vec<u8>| {
        let start = Instant::now();
        let input = extractor.batch(&network, &[extractor.extract(pixels)]);
        network.decode(input, decoding);
        1_000.0 * start.elapsed().as_secs_f64()
    };
    let first = photos.first().ok_or_else(|| TrainError::Spec("there is no validation image".into()))?;
    // The first caption of all also lays out matrices.
    caption(first);
    let meter = Meter::start();
    let times: Vec<f64> = photos.iter().map(caption).collect();
    let mean = |total: f64| total / photos.len() as f64;
    let joules = meter.joules().map(mean);
    Ok(Pace { milliseconds: own_time(times, meter.cpu_seconds().map(|s| 1_000.0 * mean(s))), joules })
}

/// The time of a caption from what passed for each of some and what processors worked for one in the mean.
fn own_time(mut times: Vec<f64>, worked: Option<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    let quartile = times[times.len() / 4];
    // A slow clock may not tell of so short a time.
    worked.filter(|mean| *mean > 0.0).map_or(quartile, |mean| quartile.min(mean))
}

#[cfg(test)]
mod tests {
    use super::own_time;

    #[test]
    fn what_others_took_does_not_count() {
        assert_eq!(own_time(vec![10.0, 30.0, 12.0, 31.0], Some(10.5)), 10.5);
        assert_eq!(own_time(vec![10.0, 30.0, 11.0, 31.0], Some(90.0)), 11.0, "several threads");
        assert_eq!(own_time(vec![10.0, 11.0], Some(0.0)), 10.0, "a clock that does not tell");
        assert_eq!(own_time(vec![90.0], None), 90.0);
    }
}
