//! From image files to RGB pixels, strictly: damaged files are errors, and sizes are limited before memory is taken.

mod codecs;
mod orient;
mod resize;
mod whole;

use std::path::Path;

pub(crate) use self::resize::RgbView;
pub use self::resize::{Filter, Framing};
use crate::error::read_limited;
use crate::{DataError, ImageError, Preprocess};

/// Most bytes of an image file.
pub(crate) const MAX_FILE_BYTES: u64 = 64 << 20;

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

/// Decodes a JPEG, PNG, WebP or GIF, recognised by its first bytes; of an animation, the first frame.
///
/// What comes out is what Pillow's `ImageOps.exif_transpose(image).convert("RGB")` gives, within the rounding of JPEG and
/// WebP: the orientation that a camera noted is applied, transparency is dropped (nothing is laid under it), grey becomes RGB,
/// of 16 bits the upper 8 stay, and CMYK is taken as inverted and multiplied out, as Adobe writes it. Colour profiles are not
/// applied. A JPEG whose data stops short of its end mark is read as libjpeg reads it, since no length of it is recorded.
/// At most 12 bytes a pixel are allocated on the way (about as much again for an animated WebP).
///
/// # Errors
/// [`ImageError`] for another format, damaged or cut-off content (of an animation, in any frame's blocks), or more pixels
/// than `limits` allow.
pub fn decode(bytes: &[u8], limits: &ImageLimits) -> Result<RgbImage, ImageError> {
    match bytes {
        [0xff, 0xd8, 0xff, ..] => codecs::jpeg(bytes, limits),
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => codecs::png(bytes, limits),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => codecs::webp(bytes, limits),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => codecs::gif(bytes, limits),
        _ => Err(ImageError::UnknownFormat),
    }
}

/// Reads and decodes an image file, at its own size.
///
/// # Errors
/// [`DataError`] naming the file when it cannot be read (at most 64 MiB are) or decoded.
pub(crate) fn load(path: &Path) -> Result<RgbImage, DataError> {
    let bytes = read_limited(path, MAX_FILE_BYTES)?;
    decode(&bytes, &ImageLimits::default())
        .map_err(|source| DataError::Image { path: path.to_owned(), source })
}

/// Reads, decodes and [squashes](RgbImage::squash) an image file: `size * size * 3` bytes, rows of RGB (HWC).
///
/// # Errors
/// [`DataError`] naming the file when it cannot be read (at most 64 MiB are), decoded or resized.
pub fn load_rgb(path: impl AsRef<Path>, size: u32) -> Result<Vec<u8>, DataError> {
    Preprocess::imagenet(size).load_rgb(path)
}

/// [`load_rgb`] of many files in parallel (on rayon's current pool); the result keeps their order.
///
/// # Errors
/// As [`load_rgb`], for the first file in the list that fails.
pub fn load_batch<P: AsRef<Path> + Sync>(paths: &[P], size: u32) -> Result<Vec<Vec<u8>>, DataError> {
    Preprocess::imagenet(size).load_batch(paths)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A picture that a short computation gives, the same in Python.
    pub(crate) fn gradient(width: u32, height: u32) -> RgbImage {
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

    pub(crate) fn png(image: &RgbImage) -> Vec<u8> {
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
        let error = decode(b"BM6", &ImageLimits::default()).unwrap_err();
        assert!(matches!(error, ImageError::UnknownFormat));
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
}
