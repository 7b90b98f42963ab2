//! From 8-bit pixels to the numbers that a backbone was trained on.

use std::path::Path;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::image_file::load;
use crate::{DataError, Filter, Framing, ImageError, RgbImage};

/// How an image becomes the input of a backbone: make it square, scale to 0..=1, then normalise each channel.
///
/// `mean` and `std` are for values in 0..=1, not 0..=255. As JSON, `framing` and `filter` may be left out, and are where they
/// are the default ones.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preprocess {
    /// Side of the square input in pixels.
    pub size: u32,
    /// Mean of red, green, blue.
    pub mean: [f32; 3],
    /// Standard deviation of red, green, blue.
    pub std: [f32; 3],
    /// How the image becomes square.
    #[serde(default, skip_serializing_if = "is_default")]
    pub framing: Framing,
    /// What pixels are resized with.
    #[serde(default, skip_serializing_if = "is_default")]
    pub filter: Filter,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Preprocess {
    /// Squash, bilinear, and these statistics.
    pub const fn new(size: u32, mean: [f32; 3], std: [f32; 3]) -> Self {
        Preprocess { size, mean, std, framing: Framing::Squash, filter: Filter::Bilinear }
    }

    /// The statistics of ImageNet, as torchvision uses them.
    pub const fn imagenet(size: u32) -> Self {
        Self::new(size, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    }

    /// Numbers in an input: `3 * size * size`.
    pub const fn numel(&self) -> usize {
        3 * self.size as usize * self.size as usize
    }

    /// The square that the backbone sees, not yet normalised: `size * size * 3` bytes, rows of RGB (HWC).
    ///
    /// # Errors
    /// As [`RgbImage::framed`].
    pub fn apply(&self, image: &RgbImage) -> Result<Vec<u8>, ImageError> {
        image.framed(self.size, self.framing, self.filter)
    }

    /// Normalises: `out[c][y][x] = (rgb[y][x][c] / 255 - mean[c]) / std[c]`.
    ///
    /// # Panics
    /// When either slice does not hold [`numel`](Self::numel) elements.
    pub fn to_chw(&self, rgb_hwc: &[u8], out: &mut [f32]) {
        assert_eq!(rgb_hwc.len(), self.numel(), "pixels do not fit the input size {}", self.size);
        assert_eq!(out.len(), self.numel(), "output does not fit the input size {}", self.size);
        let tables: [[f32; 256]; 3] =
            std::array::from_fn(|c| std::array::from_fn(|v| (v as f32 / 255.0 - self.mean[c]) / self.std[c]));
        let (red, rest) = out.split_at_mut(out.len() / 3);
        let (green, blue) = rest.split_at_mut(rest.len() / 2);
        let planes = red.iter_mut().zip(green).zip(blue);
        for (pixel, ((red, green), blue)) in rgb_hwc.chunks_exact(3).zip(planes) {
            *red = tables[0][usize::from(pixel[0])];
            *green = tables[1][usize::from(pixel[1])];
            *blue = tables[2][usize::from(pixel[2])];
        }
    }

    /// Reads and decodes an image file and makes it square: [`apply`](Self::apply) of the file.
    ///
    /// # Errors
    /// [`DataError`] naming the file when it cannot be read (at most 64 MiB are), decoded or resized.
    pub fn load_rgb(&self, path: impl AsRef<Path>) -> Result<Vec<u8>, DataError> {
        let path = path.as_ref();
        self.apply(&load(path)?).map_err(|source| DataError::Image { path: path.to_owned(), source })
    }

    /// [`load_rgb`](Self::load_rgb) of many files in parallel (on rayon's current pool); the result keeps their order.
    ///
    /// # Errors
    /// As [`load_rgb`](Self::load_rgb), for the first file in the list that fails.
    pub fn load_batch<P: AsRef<Path> + Sync>(&self, paths: &[P]) -> Result<Vec<Vec<u8>>, DataError> {
        // Collected before the first error is looked for, so that it does not depend on the order of work.
        let loaded: Vec<_> = paths.par_iter().map(|path| self.load_rgb(path)).collect();
        loaded.into_iter().collect()
    }

    /// [`load_rgb`](Self::load_rgb) followed by [`to_chw`](Self::to_chw).
    ///
    /// # Errors
    /// As [`load_rgb`](Self::load_rgb).
    ///
    /// # Panics
    /// When `out` does not hold [`numel`](Self::numel) elements.
    pub fn load_chw(&self, path: impl AsRef<Path>, out: &mut [f32]) -> Result<(), DataError> {
        self.to_chw(&self.load_rgb(path)?, out);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normalises_and_moves_channels_first() {
        let preprocess = Preprocess::new(2, [0.0, 0.5, 1.0], [1.0, 0.5, 0.25]);
        let rgb = [0, 0, 0, 255, 255, 255, 51, 51, 51, 102, 102, 102];
        let mut out = [0.0; 12];
        preprocess.to_chw(&rgb, &mut out);
        let expected = [0.0, 1.0, 0.2, 0.4, -1.0, 1.0, -0.6, -0.2, -4.0, 0.0, -3.2, -2.4];
        for (ours, expected) in out.iter().zip(expected) {
            assert!((ours - expected).abs() < 1e-6, "{out:?}");
        }
    }

    #[test]
    fn models_stored_before_there_was_a_choice_are_read_and_written_alike() {
        let stored = r#"{"size":8,"mean":[0.5,0.5,0.5],"std":[0.25,0.25,0.25]}"#;
        let read: Preprocess = serde_json::from_str(stored).unwrap();
        assert_eq!(read, Preprocess::new(8, [0.5; 3], [0.25; 3]));
        assert_eq!(serde_json::to_string(&read).unwrap(), stored);
        let chosen = Preprocess {
            framing: Framing::CentreCrop { shorter_side: 9 },
            filter: Filter::Bicubic,
            ..Preprocess::imagenet(8)
        };
        let text = serde_json::to_string(&chosen).unwrap();
        assert!(
            text.contains(r#""framing":{"centre_crop":{"shorter_side":9}},"filter":"bicubic""#),
            "{text}"
        );
        assert_eq!(serde_json::from_str::<Preprocess>(&text).unwrap(), chosen);
    }
}
