//! Small copies of pictures inside the page.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use capwright_caption_data::{ImageLimits, decode};
use image::codecs::jpeg::JpegEncoder;
use image::{RgbImage, imageops};

/// Most pixels of the longer side of a picture in the page; smaller ones keep their size.
pub const PICTURE_SIDE: u32 = 224;
/// Most bytes of a picture file that is read.
pub const MAX_FILE_BYTES: u64 = 64 << 20;
/// Most bytes of all pictures in a page together, as written there.
pub const MAX_PICTURES_BYTES: usize = 4 << 20;
/// Quality of the copies: no blocks to be seen, about 10 kB each.
const JPEG_QUALITY: u8 = 85;

/// What is shown for an image.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Picture {
    /// A JPEG as base64, and its width and height in pixels.
    Jpeg(String, u32, u32),
    /// Nothing, and why.
    Absent(&'static str),
}

/// The pictures of a page, which share its limit.
#[derive(Default)]
pub(crate) struct Pictures {
    bytes: usize,
}

impl Pictures {
    /// A small copy of a picture file. It is drawn anew, so that places and names which cameras store in files stay out.
    pub fn load(&mut self, path: Option<&Path>) -> Picture {
        let Some(path) = path else { return Picture::Absent("no picture was given") };
        let Some(bytes) = read(path) else { return Picture::Absent("the file cannot be read") };
        match copy(&bytes) {
            None => Picture::Absent("the file is damaged or no picture"),
            Some((base64, ..)) if self.bytes + base64.len() > MAX_PICTURES_BYTES => {
                Picture::Absent("left out, the page would be too large")
            }
            Some((base64, width, height)) => {
                self.bytes += base64.len();
                Picture::Jpeg(base64, width, height)
            }
        }
    }
}

/// The content of a plain file within the limit; pipes and devices are not opened, since they could block.
fn read(path: &Path) -> Option<Vec<u8>> {
    let known = std::fs::metadata(path).ok()?;
    if !known.is_file() || known.len() > MAX_FILE_BYTES {
        return None;
    }
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(MAX_FILE_BYTES).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

fn copy(bytes: &[u8]) -> Option<(String, u32, u32)> {
    let decoded = decode(bytes, &ImageLimits::default()).ok()?;
    let mut picture = RgbImage::from_raw(decoded.width, decoded.height, decoded.pixels)?;
    let longer = picture.width().max(picture.height());
    if longer > PICTURE_SIDE {
        let scaled = |side: u32| {
            let scaled = u64::from(side) * u64::from(PICTURE_SIDE) / u64::from(longer);
            u32::try_from(scaled).unwrap_or(PICTURE_SIDE).max(1)
        };
        picture = imageops::thumbnail(&picture, scaled(picture.width()), scaled(picture.height()));
    }
    let mut jpeg = Vec::new();
    picture.write_with_encoder(JpegEncoder::new_with_quality(&mut jpeg, JPEG_QUALITY)).ok()?;
    Some((STANDARD.encode(jpeg), picture.width(), picture.height()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn png(width: u32, height: u32) -> Vec<u8> {
        let picture = RgbImage::from_fn(width, height, |x, y| image::Rgb([x as u8, y as u8, 9]));
        let mut bytes = Vec::new();
        picture.write_with_encoder(image::codecs::png::PngEncoder::new(&mut bytes)).unwrap();
        bytes
    }

    #[test]
    fn large_pictures_shrink_and_keep_their_shape() {
        let (base64, width, height) = copy(&png(448, 100)).unwrap();
        assert_eq!((width, height), (PICTURE_SIDE, 50));
        let again = decode(&STANDARD.decode(base64).unwrap(), &ImageLimits::default()).unwrap();
        assert_eq!((again.width, again.height), (PICTURE_SIDE, 50));
        let (_, width, height) = copy(&png(5000, 1)).unwrap();
        assert_eq!((width, height), (PICTURE_SIDE, 1));
        let (_, width, height) = copy(&png(30, 20)).unwrap();
        assert_eq!((width, height), (30, 20));
    }

    #[test]
    fn what_cannot_be_shown_says_why() {
        let dir = tempfile::tempdir().unwrap();
        let mut pictures = Pictures::default();
        let mut why = |path: Option<&Path>| match pictures.load(path) {
            Picture::Absent(why) => why,
            Picture::Jpeg(..) => "shown",
        };
        let whole = png(40, 40);
        let (good, cut) = (dir.path().join("good.png"), dir.path().join("cut.png"));
        std::fs::write(&good, &whole).unwrap();
        std::fs::write(&cut, &whole[..whole.len() / 2]).unwrap();
        assert_eq!(why(Some(&good)), "shown");
        assert_eq!(why(None), "no picture was given");
        assert_eq!(why(Some(&dir.path().join("none.png"))), "the file cannot be read");
        assert_eq!(why(Some(dir.path())), "the file cannot be read");
        assert_eq!(why(Some(&cut)), "the file is damaged or no picture");
        let mut full = Pictures { bytes: MAX_PICTURES_BYTES };
        assert_eq!(full.load(Some(&good)), Picture::Absent("left out, the page would be too large"));
    }
}
