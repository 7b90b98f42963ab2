//! The operations on pixels that variations are made of, with the arithmetic of Pillow, which torchvision calls.

use crate::RgbImage;

/// Left and right changed places.
pub(super) fn flip(image: &mut RgbImage) {
    for row in image.pixels.chunks_exact_mut(3 * image.width.max(1) as usize) {
        let (pixels, _) = row.as_chunks_mut::<3>();
        pixels.reverse();
    }
}

/// Each value replaced by what a table says.
fn mapped(image: &mut RgbImage, table: impl Fn(u8) -> u8) {
    let table: [u8; 256] = std::array::from_fn(|v| table(v as u8));
    image.pixels.iter_mut().for_each(|v| *v = table[usize::from(*v)]);
}

/// `from + amount * (to - from)`, cut to 0..=255; Pillow truncates.
fn blend(from: u8, to: u8, amount: f32) -> u8 {
    (f32::from(from) + amount * (f32::from(to) - f32::from(from))).clamp(0.0, 255.0) as u8
}

/// Luma of ITU-R 601-2 in Pillow's fixed point.
fn luma(pixel: [u8; 3]) -> u8 {
    let [r, g, b] = pixel.map(u32::from);
    ((r * 19595 + g * 38470 + b * 7471 + 0x8000) >> 16) as u8
}

/// 0 is black, 1 changes nothing.
pub(super) fn brightness(image: &mut RgbImage, factor: f32) {
    mapped(image, |v| blend(0, v, factor));
}

/// 0 is the mean grey, 1 changes nothing.
pub(super) fn contrast(image: &mut RgbImage, factor: f32) {
    let (pixels, _) = image.pixels.as_chunks::<3>();
    let sum: u64 = pixels.iter().map(|p| u64::from(luma(*p))).sum();
    let mean = (sum as f64 / pixels.len().max(1) as f64 + 0.5) as u8;
    mapped(image, |v| blend(mean, v, factor));
}

/// 0 is grey, 1 changes nothing.
pub(super) fn saturation(image: &mut RgbImage, factor: f32) {
    let (pixels, _) = image.pixels.as_chunks_mut::<3>();
    for pixel in pixels {
        let grey = luma(*pixel);
        *pixel = pixel.map(|v| blend(grey, v, factor));
    }
}

/// Colours turned by a share of the circle, -0.5..=0.5.
pub(super) fn hue(image: &mut RgbImage, turn: f32) {
    // torchvision adds to Pillow's hue of 8 bits and lets it wrap.
    let shift = (turn * 255.0) as i32 as u8;
    let (pixels, _) = image.pixels.as_chunks_mut::<3>();
    for pixel in pixels {
        let [h, s, v] = to_hsv(*pixel);
        *pixel = from_hsv([h.wrapping_add(shift), s, v]);
    }
}

fn to_hsv([r, g, b]: [u8; 3]) -> [u8; 3] {
    let (most, least) = (r.max(g).max(b), r.min(g).min(b));
    if most == least {
        return [0, 0, most];
    }
    let range = f32::from(most - least);
    let [rc, gc, bc] = [r, g, b].map(|v| f32::from(most - v) / range);
    let sixth = if r == most {
        bc - gc
    } else if g == most {
        2.0 + rc - bc
    } else {
        4.0 + gc - rc
    };
    let hue = (sixth / 6.0 + 1.0).fract();
    [(hue * 255.0) as u8, (range / f32::from(most) * 255.0) as u8, most]
}

fn from_hsv([h, s, v]: [u8; 3]) -> [u8; 3] {
    let (sixth, s, value) = (f32::from(h) * 6.0 / 255.0, f32::from(s) / 255.0, f32::from(v));
    let part = sixth.fract();
    let [p, q, t] = [1.0 - s, 1.0 - s * part, 1.0 - s * (1.0 - part)].map(|k| (value * k).round() as u8);
    match sixth as u32 % 6 {
        0 => [v, t, p],
        1 => [q, v, p],
        2 => [p, v, t],
        3 => [p, q, v],
        4 => [t, p, v],
        _ => [v, p, q],
    }
}

/// The upper `bits` bits of each value, 1..=8.
pub(super) fn posterize(image: &mut RgbImage, bits: u32) {
    mapped(image, |v| v & !(0xffu32 >> bits.min(8)) as u8);
}

/// Values from a threshold on are inverted.
pub(super) fn solarize(image: &mut RgbImage, threshold: f32) {
    mapped(image, |v| if f32::from(v) < threshold { v } else { 255 - v });
}

/// How often each value of a channel comes.
fn histogram(image: &RgbImage, channel: usize) -> [usize; 256] {
    let mut counts = [0; 256];
    image.pixels.iter().skip(channel).step_by(3).for_each(|v| counts[usize::from(*v)] += 1);
    counts
}

/// Each channel stretched to 0..=255.
pub(super) fn auto_contrast(image: &mut RgbImage) {
    channels(image, |counts| {
        let low = counts.iter().position(|n| *n > 0).unwrap_or(0);
        let high = counts.iter().rposition(|n| *n > 0).unwrap_or(0);
        let scale = if high > low { 255.0 / (high - low) as f64 } else { 1.0 };
        let shift = if high > low { -(low as f64) * scale } else { 0.0 };
        std::array::from_fn(|v| (v as f64 * scale + shift).clamp(0.0, 255.0) as u8)
    });
}

/// Each channel so that its values are about equally frequent.
pub(super) fn equalize(image: &mut RgbImage) {
    channels(image, |counts| {
        let last = counts.iter().rev().find(|n| **n > 0).copied().unwrap_or(0);
        let step = (counts.iter().sum::<usize>() - last) / 255;
        if step == 0 {
            return std::array::from_fn(|v| v as u8);
        }
        let mut seen = step / 2;
        std::array::from_fn(|v| {
            let value = (seen / step).min(255) as u8;
            seen += counts[v];
            value
        })
    });
}

/// Each channel mapped by a table made from its histogram.
fn channels(image: &mut RgbImage, table: impl Fn(&[usize; 256]) -> [u8; 256]) {
    for channel in 0..3 {
        let table = table(&histogram(image, channel));
        image.pixels.iter_mut().skip(channel).step_by(3).for_each(|v| *v = table[usize::from(*v)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ImageLimits, decode};

    #[test]
    fn operations_are_those_of_torchvision() {
        #[derive(serde::Deserialize)]
        struct Case {
            op: String,
            value: f32,
            expected: String,
        }
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/augment");
        let bytes = |name: &str| std::fs::read(folder.join(name)).unwrap();
        let read = |name: &str| decode(&bytes(name), &ImageLimits::default()).unwrap();
        let cases: Vec<Case> = serde_json::from_slice(&bytes("cases.json")).unwrap();
        assert_eq!(cases.len(), 19);
        for Case { op, value, expected } in cases {
            let mut image = read("source.png");
            match op.as_str() {
                "brightness" => brightness(&mut image, value),
                "contrast" => contrast(&mut image, value),
                "saturation" => saturation(&mut image, value),
                "hue" => hue(&mut image, value),
                "posterize" => posterize(&mut image, value as u32),
                "solarize" => solarize(&mut image, value),
                "auto_contrast" => auto_contrast(&mut image),
                "equalize" => equalize(&mut image),
                "flip" => flip(&mut image),
                other => panic!("{other}"),
            }
            let theirs = read(&expected).pixels;
            let apart: Vec<u8> = image.pixels.iter().zip(&theirs).map(|(a, b)| a.abs_diff(*b)).collect();
            let mean = apart.iter().map(|d| f64::from(*d)).sum::<f64>() / apart.len() as f64;
            assert!(mean < 0.02, "{expected}: {mean:.4} on average, {:?} at worst", apart.iter().max());
        }
    }
}
