//! The decoders of each format, held to the same rules: all of the file or an error, and limits before memory.

use std::io::Cursor;

use image::codecs::gif::GifDecoder;
use image::codecs::png::PngDecoder;
use image::codecs::webp::WebPDecoder;
use image::{ColorType, ImageDecoder};
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

use super::orient::upright;
use super::{ImageLimits, RgbImage, whole};
use crate::ImageError;

pub(super) fn jpeg(bytes: &[u8], limits: &ImageLimits) -> Result<RgbImage, ImageError> {
    let damaged = |e: zune_jpeg::errors::DecodeErrors| ImageError::Damaged(e.to_string());
    // Not strict, zune fills what is missing with grey.
    let options = DecoderOptions::default().set_strict_mode(true).jpeg_set_out_colorspace(ColorSpace::RGB);
    let options = options.set_max_width(1 << 16).set_max_height(1 << 16);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(damaged)?;
    let (width, height) = decoder.dimensions().ok_or_else(|| ImageError::Damaged("no size".into()))?;
    check_pixels(width, height, limits)?;
    whole::jpeg(bytes)?;
    let pixels = decoder.decode().map_err(damaged)?;
    let exif = decoder.exif().map(Vec::as_slice);
    Ok(upright(finish(width, height, pixels)?, exif))
}

pub(super) fn png(bytes: &[u8], limits: &ImageLimits) -> Result<RgbImage, ImageError> {
    let decoder = PngDecoder::with_limits(Cursor::new(bytes), memory(limits)).map_err(damaged)?;
    check_size(&decoder, limits)?;
    whole::png(bytes)?;
    decoded(decoder)
}

pub(super) fn gif(bytes: &[u8], limits: &ImageLimits) -> Result<RgbImage, ImageError> {
    let mut decoder = GifDecoder::new(Cursor::new(bytes)).map_err(damaged)?;
    check_size(&decoder, limits)?;
    decoder.set_limits(memory(limits)).map_err(damaged)?;
    whole::gif(bytes)?;
    decoded(decoder)
}

pub(super) fn webp(bytes: &[u8], limits: &ImageLimits) -> Result<RgbImage, ImageError> {
    let file = whole::webp(bytes, &mut |width, height| check_pixels(width, height, limits))?;
    let decoder = WebPDecoder::new(Cursor::new(file)).map_err(damaged)?;
    check_size(&decoder, limits)?;
    decoded(decoder)
}

fn damaged(error: image::ImageError) -> ImageError {
    ImageError::Damaged(error.to_string())
}

/// At most 16 bits and four channels are decoded before the conversion to RGB.
fn memory(limits: &ImageLimits) -> image::Limits {
    let mut memory = image::Limits::default();
    memory.max_alloc = Some(limits.max_pixels.saturating_mul(8).saturating_add(1 << 20));
    memory
}

fn check_size(decoder: &impl ImageDecoder, limits: &ImageLimits) -> Result<(), ImageError> {
    let (width, height) = decoder.dimensions();
    check_pixels(width as usize, height as usize, limits)
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

/// Decodes what passed [`check_size`], turns it upright and converts it to RGB.
fn decoded(mut decoder: impl ImageDecoder) -> Result<RgbImage, ImageError> {
    let (width, height) = decoder.dimensions();
    let color = decoder.color_type();
    let exif = decoder.exif_metadata().map_err(damaged)?;
    let length = usize::try_from(decoder.total_bytes()).map_err(|e| ImageError::Damaged(e.to_string()))?;
    let mut bytes = vec![0; length];
    decoder.read_image(&mut bytes).map_err(damaged)?;
    Ok(upright(finish(width as usize, height as usize, to_rgb(bytes, color)?)?, exif.as_deref()))
}

/// Drops alpha, repeats grey, and keeps the upper byte of 16 bits, as Pillow does when it reads such files.
fn to_rgb(bytes: Vec<u8>, color: ColorType) -> Result<Vec<u8>, ImageError> {
    let grey = |pixel: &[u8], at: usize| [pixel[at]; 3];
    let high = usize::from(cfg!(target_endian = "little"));
    let pixels = |width: usize, rgb: &dyn Fn(&[u8]) -> [u8; 3]| {
        bytes.chunks_exact(width).flat_map(rgb).collect::<Vec<u8>>()
    };
    Ok(match color {
        ColorType::Rgb8 => bytes,
        ColorType::Rgba8 => pixels(4, &|p| [p[0], p[1], p[2]]),
        ColorType::L8 => pixels(1, &|p| grey(p, 0)),
        ColorType::La8 => pixels(2, &|p| grey(p, 0)),
        ColorType::L16 => pixels(2, &|p| grey(p, high)),
        ColorType::La16 => pixels(4, &|p| grey(p, high)),
        ColorType::Rgb16 => pixels(6, &|p| [p[high], p[high + 2], p[high + 4]]),
        ColorType::Rgba16 => pixels(8, &|p| [p[high], p[high + 2], p[high + 4]]),
        other => return Err(ImageError::Damaged(format!("pixels of the kind {other:?} are not read"))),
    })
}

fn finish(width: usize, height: usize, pixels: Vec<u8>) -> Result<RgbImage, ImageError> {
    if Some(pixels.len()) != width.checked_mul(height).and_then(|n| n.checked_mul(3)) {
        return Err(ImageError::Damaged(format!("{} bytes for {width} x {height} pixels", pixels.len())));
    }
    Ok(RgbImage { width: width as u32, height: height as u32, pixels })
}
