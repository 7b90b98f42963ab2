//! From an image of any size to the square that a network reads, as Pillow and torchvision resize.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use serde::{Deserialize, Serialize};

use super::RgbImage;
use crate::ImageError;

/// Largest side that images are resized to.
const MAX_SIDE: u32 = 4096;

/// How an image becomes square.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Framing {
    /// All of the image is squashed; the aspect ratio is not kept.
    #[default]
    Squash,
    /// The shorter side is resized to so many pixels, the aspect ratio being kept, and the middle is cut out: torchvision's
    /// `Resize(shorter_side)` followed by `CenterCrop(size)`, with their rounding.
    CentreCrop {
        /// Pixels of the shorter side, at least the size of the square.
        shorter_side: u32,
    },
}

/// What a pixel is computed with. Both filters widen with the reduction (antialiasing), as in Pillow.
///
/// The cubic overshoots at sharp edges and is cut to 0..=255 after each pass; versions of Pillow differ in which pass comes
/// first, so single pixels there may differ by a few of 255, the mean by less than 0.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Filter {
    /// A triangle.
    #[default]
    Bilinear,
    /// Keys' cubic with a = -0.5.
    Bicubic,
}

impl RgbImage {
    /// Squashes to `size` x `size` pixels; the aspect ratio is not kept.
    ///
    /// Bilinear with a filter as wide as the reduction asks (antialiased), as Pillow's `resize(BILINEAR)` and torchvision's
    /// `Resize(antialias=True)`.
    ///
    /// # Errors
    /// [`ImageError::Size`] when `size` is 0 or above 4096.
    pub fn squash(&self, size: u32) -> Result<Vec<u8>, ImageError> {
        self.framed(size, Framing::Squash, Filter::Bilinear)
    }

    /// A square of `size` x `size` pixels: `size * size * 3` bytes, rows of RGB (HWC).
    ///
    /// # Errors
    /// [`ImageError::Size`] when `size` is 0 or above 4096, [`ImageError::Crop`] when the shorter side gets fewer pixels than
    /// `size` or more than 4096.
    pub fn framed(&self, size: u32, framing: Framing, filter: Filter) -> Result<Vec<u8>, ImageError> {
        if !(1..=MAX_SIDE).contains(&size) {
            return Err(ImageError::Size(size));
        }
        let whole = (0.0, 0.0, f64::from(self.width), f64::from(self.height));
        let part = match framing {
            Framing::Squash => whole,
            Framing::CentreCrop { shorter_side } if !(size..=MAX_SIDE).contains(&shorter_side) => {
                return Err(ImageError::Crop { shorter_side, size });
            }
            Framing::CentreCrop { shorter_side } => {
                let short = self.width.min(self.height);
                let (left, width) = crop(self.width, short, shorter_side, size);
                let (top, height) = crop(self.height, short, shorter_side, size);
                (left, top, width, height)
            }
        };
        let view = RgbView { width: self.width, height: self.height, pixels: &self.pixels };
        view.resized(part, (size, size), filter)
    }
}

/// An [`RgbImage`] that belongs to someone else.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RgbView<'a> {
    pub width: u32,
    pub height: u32,
    pub pixels: &'a [u8],
}

impl<'a> RgbView<'a> {
    /// A square of `side` x `side` pixels.
    pub fn square(pixels: &'a [u8], side: u32) -> Result<Self, ImageError> {
        if !(1..=MAX_SIDE).contains(&side) {
            return Err(ImageError::Size(side));
        }
        let (bytes, wanted) = (pixels.len() as u64, 3 * u64::from(side) * u64::from(side));
        if bytes != wanted {
            return Err(ImageError::Damaged(format!("{bytes} bytes for {side} x {side} pixels")));
        }
        Ok(Self { width: side, height: side, pixels })
    }

    /// A part of the image (left, top, width, height in pixels, which need not be whole) at another size.
    pub fn resized(
        &self,
        (left, top, width, height): (f64, f64, f64, f64),
        (columns, rows): (u32, u32),
        filter: Filter,
    ) -> Result<Vec<u8>, ImageError> {
        let damaged = |e: &dyn std::fmt::Display| ImageError::Damaged(e.to_string());
        let source =
            ImageRef::new(self.width, self.height, self.pixels, PixelType::U8x3).map_err(|e| damaged(&e))?;
        let mut target = Image::new(columns, rows, PixelType::U8x3);
        let ((left, width), (top, height)) = (apart(left, width, columns), apart(top, height, rows));
        let options = options(filter).crop(left, top, width, height);
        Resizer::new().resize(&source, &mut target, &options).map_err(|e| damaged(&e))?;
        Ok(target.into_vec())
    }

    /// The whole at another size, bilinear, computed in 32-bit floats: rounded once, where [`RgbView::resized`] rounds after
    /// each of two passes.
    pub fn resized_in_floats(&self, (columns, rows): (u32, u32)) -> Result<Vec<u8>, ImageError> {
        let mut source = Image::new(self.width, self.height, PixelType::F32x3);
        for (to, from) in source.buffer_mut().chunks_exact_mut(4).zip(self.pixels) {
            to.copy_from_slice(&f32::from(*from).to_ne_bytes());
        }
        let mut target = Image::new(columns, rows, PixelType::F32x3);
        let resized = Resizer::new().resize(&source, &mut target, &options(Filter::Bilinear));
        resized.map_err(|e| ImageError::Damaged(e.to_string()))?;
        let value = |bytes: &[u8]| f32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        Ok(target.buffer().chunks_exact(4).map(|bytes| value(bytes).round() as u8).collect())
    }
}

/// Start and length along one side, made shorter by less than a hundred-thousandth of a pixel where the middle of the first or the
/// last pixel that comes out is the middle of one that goes in.
///
/// A bicubic filter is zero at its neighbours then. `fast_image_resize` 6.1 leaves zeros out, takes the first and the last pixel for
/// those that read farthest, and reads outside of the image where another one reads farther.
fn apart(start: f64, length: f64, count: u32) -> (f64, f64) {
    const LEAST: f64 = 1e-6;
    let meets = |(start, length): (f64, f64)| {
        let half = length / f64::from(count) / 2.0;
        let middle = |at: f64| (at - 0.5 - (at - 0.5).round()).abs() < LEAST / 2.0;
        middle(start + half) || middle(start + length - half)
    };
    let shorter = |by: f64| (start + by, length - 2.0 * by);
    // Both ends move alike, so that one of three steps meets no middle.
    (0..4).map(|i| shorter(f64::from(i) * LEAST)).find(|part| !meets(*part)).unwrap_or((start, length))
}

fn options(filter: Filter) -> ResizeOptions {
    ResizeOptions::new().resize_alg(ResizeAlg::Convolution(match filter {
        Filter::Bilinear => FilterType::Bilinear,
        Filter::Bicubic => FilterType::CatmullRom,
    }))
}

/// Start and length along one side, in pixels of the image, of the middle `size` pixels after resizing.
///
/// Cutting before resizing spares the pixels that would be thrown away. The filter still sees what lies beyond the cut, so
/// the result is that of resizing first.
fn crop(side: u32, short: u32, shorter_side: u32, size: u32) -> (f64, f64) {
    // torchvision truncates the longer side.
    let resized = u64::from(shorter_side) * u64::from(side) / u64::from(short.max(1));
    // Python's `round` of half the difference: halves go to the even number.
    let difference = resized.saturating_sub(u64::from(size));
    let start = difference / 2 + u64::from(difference % 4 == 3);
    let scale = f64::from(side) / resized.max(1) as f64;
    // Rounding must not push the end past the last pixel.
    let (start, length) = (start as f64 * scale, f64::from(size) * scale);
    (start, length.min(f64::from(side) - start))
}

#[cfg(test)]
mod tests {
    use super::super::tests::gradient;
    use super::*;

    /// 285 × 256 pixels at a shorter side of 292, the middle 260: the first pixel's middle is one of the image. It ended in a segmentation
    /// fault.
    #[test]
    fn middles_that_meet_read_nothing_outside() {
        let flat = |width: u32, height: u32| RgbImage {
            width,
            height,
            pixels: vec![7; (3 * width * height) as usize],
        };
        let framing = |size, shorter_side, filter| {
            for (width, height) in (251..290).map(|n| (n, 256)).chain((251..290).map(|n| (256, n))) {
                let framing = Framing::CentreCrop { shorter_side };
                let pixels = flat(width, height).framed(size, framing, filter).unwrap();
                assert!(pixels.iter().all(|x| *x == 7), "{width} × {height} to {size} of {shorter_side}");
            }
        };
        for filter in [Filter::Bilinear, Filter::Bicubic] {
            for (size, shorter_side) in
                [(260, 292), (224, 256), (240, 272), (224, 232), (128, 128), (288, 288)]
            {
                framing(size, shorter_side, filter);
            }
            // Starts at every eighth of a pixel, sizes from half to twice.
            let image = flat(64, 64);
            let view = RgbView { width: 64, height: 64, pixels: &image.pixels };
            for (start, count) in
                (0..96).flat_map(|start| (12..48).map(move |count| (f64::from(start) / 8.0, count)))
            {
                let pixels = view.resized((start, start, 24.0, 24.0), (count, count), filter).unwrap();
                assert!(pixels.iter().all(|x| *x == 7), "{count} from {start}");
            }
        }
    }

    #[test]
    fn sizes_out_of_range_are_refused() {
        let image = gradient(2, 2);
        assert!(matches!(image.squash(0), Err(ImageError::Size(0))));
        assert!(matches!(image.squash(4097), Err(ImageError::Size(4097))));
        for shorter_side in [7, 4097] {
            let error = image.framed(8, Framing::CentreCrop { shorter_side }, Filter::Bilinear).unwrap_err();
            assert!(matches!(error, ImageError::Crop { size: 8, .. }), "{error}");
        }
    }

    #[test]
    fn the_middle_starts_where_torchvision_starts_it() {
        // `int(R * long / short)` and `int(round((side - size) / 2.0))`, computed in Python.
        for (side, shorter_side, size, start, resized) in
            [(341, 256, 224, 58, 341), (384, 256, 224, 80, 384), (50, 33, 32, 4, 41), (33, 33, 32, 0, 33)]
        {
            let short = if side == 50 { 40 } else { side.min(256) };
            let (from, length) = crop(side, short, shorter_side, size);
            let scale = f64::from(side) / f64::from(resized);
            assert!((from - f64::from(start) * scale).abs() < 1e-9, "{side}: {from}");
            assert!((length - f64::from(size) * scale).abs() < 1e-9, "{side}: {length}");
        }
    }

    #[test]
    fn a_crop_of_the_size_of_the_image_is_the_image() {
        let image = gradient(9, 9);
        let whole = Framing::CentreCrop { shorter_side: 9 };
        assert_eq!(image.framed(9, whole, Filter::Bicubic).unwrap(), image.pixels);
    }

    const SMALLER: [u8; 75] = [
        96, 12, 2, 127, 48, 7, 135, 129, 13, 112, 117, 18, 135, 141, 23, 121, 19, 8, 126, 55, 24, 140, 136,
        41, 120, 124, 58, 114, 148, 74, 140, 28, 15, 115, 64, 42, 144, 145, 72, 130, 133, 102, 102, 157, 129,
        146, 36, 21, 115, 72, 59, 129, 152, 102, 140, 133, 145, 109, 148, 183, 155, 43, 27, 124, 79, 76, 113,
        153, 130, 142, 105, 184, 113, 133, 177,
    ];
    const LARGER: [u8; 75] = [
        0, 0, 0, 15, 0, 0, 37, 1, 0, 59, 3, 0, 74, 4, 0, 8, 2, 0, 23, 2, 0, 45, 3, 1, 67, 5, 1, 82, 6, 1, 17,
        5, 0, 32, 5, 1, 54, 6, 2, 76, 8, 3, 91, 9, 3, 25, 7, 0, 40, 7, 1, 62, 8, 2, 84, 10, 4, 99, 11, 5, 33,
        9, 0, 48, 9, 1, 70, 10, 3, 92, 12, 5, 107, 13, 6,
    ];

    #[test]
    fn resizes_as_pillow_does() {
        // Expected bytes: Pillow's `Image.resize((5, 5), Image.Resampling.BILINEAR)` of the same picture.
        for (width, height, expected) in [(23, 14, SMALLER), (3, 4, LARGER)] {
            let ours = gradient(width, height).squash(5).unwrap();
            let worst = ours.iter().zip(expected).map(|(a, b)| a.abs_diff(b)).max();
            assert!(worst <= Some(1), "{width} x {height}: off by {worst:?}");
        }
    }
}
