//! From 8-bit pixels to the numbers that a backbone was trained on.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{DataError, load_rgb};

/// How an image becomes the input of a backbone: squash to `size` x `size`, scale to 0..=1, then normalise each channel.
///
/// `mean` and `std` are for values in 0..=1, not 0..=255.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preprocess {
    /// Side of the square input in pixels.
    pub size: u32,
    /// Mean of red, green, blue.
    pub mean: [f32; 3],
    /// Standard deviation of red, green, blue.
    pub std: [f32; 3],
}

impl Preprocess {
    /// The statistics of ImageNet, as torchvision uses them.
    pub const fn imagenet(size: u32) -> Self {
        Preprocess { size, mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] }
    }

    /// Numbers in an input: `3 * size * size`.
    pub const fn numel(&self) -> usize {
        3 * self.size as usize * self.size as usize
    }

    /// Normalises: `out[c][y][x] = (rgb[y][x][c] / 255 - mean[c]) / std[c]`.
    ///
    /// # Panics
    /// When either slice does not hold [`numel`](Self::numel) elements.
    pub fn to_chw(&self, rgb_hwc: &[u8], out: &mut [f32]) {
        assert_eq!(rgb_hwc.len(), self.numel(), "pixels do not fit the input size {}", self.size);
        assert_eq!(out.len(), self.numel(), "output does not fit the input size {}", self.size);
        let plane = out.len() / 3;
        if plane == 0 {
            return;
        }
        for (channel, plane) in out.chunks_exact_mut(plane).enumerate() {
            let table: [f32; 256] =
                std::array::from_fn(|v| (v as f32 / 255.0 - self.mean[channel]) / self.std[channel]);
            for (value, pixel) in plane.iter_mut().zip(rgb_hwc.chunks_exact(3)) {
                *value = table[usize::from(pixel[channel])];
            }
        }
    }

    /// [`load_rgb`] followed by [`to_chw`](Self::to_chw).
    ///
    /// # Errors
    /// As [`load_rgb`].
    ///
    /// # Panics
    /// When `out` does not hold [`numel`](Self::numel) elements.
    pub fn load_chw(&self, path: impl AsRef<Path>, out: &mut [f32]) -> Result<(), DataError> {
        self.to_chw(&load_rgb(path, self.size)?, out);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normalises_and_moves_channels_first() {
        let preprocess = Preprocess { size: 2, mean: [0.0, 0.5, 1.0], std: [1.0, 0.5, 0.25] };
        let rgb = [0, 0, 0, 255, 255, 255, 51, 51, 51, 102, 102, 102];
        let mut out = [0.0; 12];
        preprocess.to_chw(&rgb, &mut out);
        let expected = [0.0, 1.0, 0.2, 0.4, -1.0, 1.0, -0.6, -0.2, -4.0, 0.0, -3.2, -2.4];
        for (ours, expected) in out.iter().zip(expected) {
            assert!((ours - expected).abs() < 1e-6, "{out:?}");
        }
    }
}
