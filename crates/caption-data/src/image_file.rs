//! From image files to RGB pixels, strictly: damaged files are errors, and sizes are limited before memory is taken.

use std::io::Cursor;
use std::path::Path;

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use image::codecs::png::PngDecoder;
use image::{DynamicImage, ImageDecoder};
use rayon::prelude::*;
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

use crate::error::read_limited;
use crate::{DataError, ImageError};

/// Most bytes of an image file.
pub(crate) const MAX_FILE_BYTES: u64 = 64 << 20;
/// Largest side that images are resized to.
const MAX_SIDE: u32 = 4096;

/// What [`decode`] accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageLimits {
    /// Most pixels (width times height); three bytes each are allocated.
    pub max_pixels: u64,
}

impl Default for ImageLimits {
    /// 64 Mi pixels: more than any usual camera makes, 192 MiB of memory.
    fn default() -> Self {
        ImageLimits { max_pixels: 64 << 20 }
    }
}

/// Pixels in RGB order, 8 bits each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RgbImage {
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// `height * width * 3` bytes, row after row, red green blue.
    pub pixels: Vec<u8>,
}

/// Decodes a JPEG or PNG, recognised by its first bytes.
///
/// Transparency is dropped, grey becomes RGB, 16 bits become 8. The orientation mark of cameras is not applied, as in the
/// usual training pipelines.
///
/// # Errors
/// [`ImageError`] for another format, damaged or cut-off content, or more pixels than `limits` allow.
pub fn decode(bytes: &[u8], limits: &ImageLimits) -> Result<RgbImage, ImageError> {
    if bytes.starts_with(&[0xff, 0xd8, 0xff]) {
        decode_jpeg(bytes, limits)
    } else if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        decode_png(bytes, limits)
    } else {
        Err(ImageError::UnknownFormat)
    }
}

fn decode_jpeg(bytes: &[u8], limits: &ImageLimits) -> Result<RgbImage, ImageError> {
    // Not strict, zune fills the missing part of a cut-off file with grey.
    let options = DecoderOptions::default().set_strict_mode(true).jpeg_set_out_colorspace(ColorSpace::RGB);
    let options = options.set_max_width(1 << 16).set_max_height(1 << 16);
    let damaged = |e: zune_jpeg::errors::DecodeErrors| ImageError::Damaged(e.to_string());
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(damaged)?;
    let (width, height) = decoder.dimensions().ok_or_else(|| ImageError::Damaged("no size".into()))?;
    check_pixels(width, height, limits)?;
    let pixels = decoder.decode().map_err(damaged)?;
    finish(width, height, pixels)
}

fn decode_png(bytes: &[u8], limits: &ImageLimits) -> Result<RgbImage, ImageError> {
    let damaged = |e: image::ImageError| ImageError::Damaged(e.to_string());
    let mut memory = image::Limits::default();
    // At most 16 bits and four channels are decoded before the conversion to RGB.
    memory.max_alloc = Some(limits.max_pixels.saturating_mul(8).saturating_add(1 << 20));
    let decoder = PngDecoder::with_limits(Cursor::new(bytes), memory).map_err(damaged)?;
    let (width, height) = decoder.dimensions();
    check_pixels(width as usize, height as usize, limits)?;
    let pixels = DynamicImage::from_decoder(decoder).map_err(damaged)?.into_rgb8().into_raw();
    finish(width as usize, height as usize, pixels)
}

fn check_pixels(width: usize, height: usize, limits: &ImageLimits) -> Result<(), ImageError> {
    let pixels = (width as u64).saturating_mul(height as u64);
    match pixels {
        0 => Err(ImageError::Damaged("it has no pixels".into())),
        p if p > limits.max_pixels => {
            Err(ImageError::TooManyPixels { width, height, limit: limits.max_pixels })
        }
        _ => Ok(()),
    }
}

fn finish(width: usize, height: usize, pixels: Vec<u8>) -> Result<RgbImage, ImageError> {
    if pixels.len() != width * height * 3 {
        return Err(ImageError::Damaged(format!("{} bytes for {width} x {height} pixels", pixels.len())));
    }
    Ok(RgbImage { width: width as u32, height: height as u32, pixels })
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
        if !(1..=MAX_SIDE).contains(&size) {
            return Err(ImageError::Size(size));
        }
        let damaged = |e: &dyn std::fmt::Display| ImageError::Damaged(e.to_string());
        let source =
            ImageRef::new(self.width, self.height, &self.pixels, PixelType::U8x3).map_err(|e| damaged(&e))?;
        let mut target = Image::new(size, size, PixelType::U8x3);
        let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
        Resizer::new().resize(&source, &mut target, &options).map_err(|e| damaged(&e))?;
        Ok(target.into_vec())
    }
}

/// Reads, decodes and [squashes](RgbImage::squash) an image file: `size * size * 3` bytes, rows of RGB (HWC).
///
/// # Errors
/// [`DataError`] naming the file when it cannot be read (at most 64 MiB are), decoded or resized.
pub fn load_rgb(path: impl AsRef<Path>, size: u32) -> Result<Vec<u8>, DataError> {
    let path = path.as_ref();
    let bytes = read_limited(path, MAX_FILE_BYTES)?;
    decode(&bytes, &ImageLimits::default())
        .and_then(|image| image.squash(size))
        .map_err(|source| DataError::Image { path: path.to_owned(), source })
}

/// [`load_rgb`] of many files in parallel (on rayon's current pool); the result keeps their order.
///
/// # Errors
/// As [`load_rgb`], for the first file in the list that fails.
pub fn load_batch<P: AsRef<Path> + Sync>(paths: &[P], size: u32) -> Result<Vec<Vec<u8>>, DataError> {
    let loaded: Vec<_> = paths.par_iter().map(|path| load_rgb(path, size)).collect();
    loaded.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture that a short computation gives, the same in Python.
    fn gradient(width: u32, height: u32) -> RgbImage {
        let pixel = |x: u32, y: u32| [(x * 37 + y * 11) % 256, (x * x + 3 * y) % 256, (x * y) % 256];
        let pixels =
            (0..height).flat_map(|y| (0..width).flat_map(move |x| pixel(x, y)).map(|v| v as u8)).collect();
        RgbImage { width, height, pixels }
    }

    fn jpeg(image: &RgbImage) -> Vec<u8> {
        let mut bytes = Vec::new();
        let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 90);
        let (w, h) = (image.width, image.height);
        image::ImageEncoder::write_image(encoder, &image.pixels, w, h, image::ExtendedColorType::Rgb8)
            .unwrap();
        bytes
    }

    fn png(image: &RgbImage) -> Vec<u8> {
        let mut bytes = Vec::new();
        let encoder = image::codecs::png::PngEncoder::new(&mut bytes);
        let (w, h) = (image.width, image.height);
        image::ImageEncoder::write_image(encoder, &image.pixels, w, h, image::ExtendedColorType::Rgb8)
            .unwrap();
        bytes
    }

    #[test]
    fn png_round_trips_and_jpeg_keeps_its_size() {
        let image = gradient(31, 17);
        assert_eq!(decode(&png(&image), &ImageLimits::default()).unwrap(), image);
        let lossy = decode(&jpeg(&image), &ImageLimits::default()).unwrap();
        assert_eq!((lossy.width, lossy.height, lossy.pixels.len()), (31, 17, 31 * 17 * 3));
    }

    #[test]
    fn cut_off_files_are_errors() {
        for whole in [jpeg(&gradient(64, 64)), png(&gradient(64, 64))] {
            for part in [whole.len() / 4, whole.len() / 2, whole.len() * 9 / 10] {
                let error = decode(&whole[..part], &ImageLimits::default()).unwrap_err();
                assert!(matches!(error, ImageError::Damaged(_)), "{error}");
            }
        }
    }

    #[test]
    fn too_many_pixels_are_refused_from_the_header() {
        let mut bomb = png(&gradient(4, 4));
        // Width and height stand at bytes 16..24 of a PNG, the checksum of that chunk at 29..33.
        bomb[16..24].copy_from_slice(&[0, 0, 0x75, 0x30, 0, 0, 0x75, 0x30]);
        let checksum = crc32(&bomb[12..29]);
        bomb[29..33].copy_from_slice(&checksum.to_be_bytes());
        let error = decode(&bomb, &ImageLimits::default()).unwrap_err();
        assert!(matches!(error, ImageError::TooManyPixels { width: 30_000, height: 30_000, .. }), "{error}");
        let limits = ImageLimits { max_pixels: 63 };
        let error = decode(&jpeg(&gradient(8, 8)), &limits).unwrap_err();
        assert!(matches!(error, ImageError::TooManyPixels { .. }), "{error}");
    }

    /// The checksum of PNG chunks (ISO 3309).
    fn crc32(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(!0u32, |crc, &byte| {
            (0..8).fold(crc ^ u32::from(byte), |c, _| (c >> 1) ^ if c & 1 == 1 { 0xedb8_8320 } else { 0 })
        })
    }

    #[test]
    fn other_files_are_refused() {
        let error = decode(b"GIF89a", &ImageLimits::default()).unwrap_err();
        assert!(matches!(error, ImageError::UnknownFormat));
        assert!(matches!(gradient(2, 2).squash(0), Err(ImageError::Size(0))));
    }

    #[test]
    fn errors_name_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cut.jpg");
        let whole = jpeg(&gradient(64, 64));
        std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        let message = load_batch(&[&path], 8).unwrap_err().to_string();
        assert!(message.contains("cut.jpg") && message.contains("damaged"), "{message}");
        let message = load_rgb(dir.path().join("none.jpg"), 8).unwrap_err().to_string();
        assert!(message.contains("none.jpg"), "{message}");
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
