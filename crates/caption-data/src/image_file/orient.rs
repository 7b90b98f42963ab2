//! The orientation that a camera notes in a picture, applied.

use image::metadata::Orientation;

use super::RgbImage;

/// The picture as it is meant to be seen, given the EXIF block of its file (from its byte order mark on).
///
/// A block that cannot be read, or that holds no orientation of 1..=8, changes nothing.
pub(super) fn upright(image: RgbImage, exif: Option<&[u8]>) -> RgbImage {
    // JPEG's prefix, which some writers of PNG and WebP put before the block too.
    let exif = exif.map(|e| e.strip_prefix(b"Exif\0\0").unwrap_or(e));
    match exif.and_then(Orientation::from_exif_chunk) {
        None | Some(Orientation::NoTransforms) => image,
        Some(orientation) => turned(&image, orientation.to_exif()),
    }
}

/// The picture after the turn that an EXIF orientation of 2..=8 asks for (EXIF 2.3, tag 274).
fn turned(image: &RgbImage, orientation: u8) -> RgbImage {
    let (w, h) = (image.width as usize, image.height as usize);
    let (width, height) = if orientation >= 5 { (h, w) } else { (w, h) };
    let mut pixels = Vec::with_capacity(image.pixels.len());
    for y in 0..height {
        for x in 0..width {
            // Column and row of the file that is seen at (x, y).
            let (column, row) = match orientation {
                2 => (w - 1 - x, y),
                3 => (w - 1 - x, h - 1 - y),
                4 => (x, h - 1 - y),
                5 => (y, x),
                6 => (y, h - 1 - x),
                7 => (w - 1 - y, h - 1 - x),
                8 => (w - 1 - y, x),
                _ => (x, y),
            };
            let at = (row * w + column) * 3;
            pixels.extend_from_slice(&image.pixels[at..at + 3]);
        }
    }
    RgbImage { width: width as u32, height: height as u32, pixels }
}
