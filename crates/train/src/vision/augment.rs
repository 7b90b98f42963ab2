//! Training images varied anew each epoch: mirrored, and a random part resized to the whole.
//!
//! Half of the images are mirrored, but none of those that must keep their sides. The part is drawn as Szegedy et al.
//! (2015, arXiv 1409.4842) and torchvision's `RandomResizedCrop` do, with sides of 3 : 4 to 4 : 3, but with 50 to 100 %
//! of the area: the 8 % of ImageNet's classifiers would cut away what captions name.

use capwright_blueprint::language::Augment;
use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// Smallest share of the area that is kept.
const LEAST_AREA: f64 = 0.5;
/// Draws before the whole image is taken.
const DRAWS: usize = 10;

/// A part of an image, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
struct Window {
    top: usize,
    left: usize,
    height: usize,
    width: usize,
}

/// One image of `side` × `side` pixels (RGB, row by row), varied; with `sides`, it is not mirrored.
pub(crate) fn vary(image: &[u8], side: usize, kind: Augment, sides: bool, rng: &mut ChaCha8Rng) -> Vec<u8> {
    if kind == Augment::None {
        return image.to_vec();
    }
    // Drawn in any case, so that what is drawn for one image does not depend on another's captions.
    let mirrored = rng.random_bool(0.5);
    let mut out = match kind {
        Augment::FlipCrop => resized(image, side, window(side, rng)),
        Augment::Flip | Augment::None => image.to_vec(),
    };
    if mirrored && !sides {
        mirror(&mut out, side);
    }
    out
}

fn mirror(image: &mut [u8], side: usize) {
    for row in image.chunks_exact_mut(3 * side) {
        for x in 0..side / 2 {
            for channel in 0..3 {
                row.swap(3 * x + channel, 3 * (side - 1 - x) + channel);
            }
        }
    }
}

fn window(side: usize, rng: &mut ChaCha8Rng) -> Window {
    for _ in 0..DRAWS {
        let area = (side * side) as f64 * rng.random_range(LEAST_AREA..=1.0);
        let ratio = rng.random_range((0.75f64).ln()..=(4.0f64 / 3.0).ln()).exp();
        let width = ((area * ratio).sqrt().round() as usize).max(1);
        let height = ((area / ratio).sqrt().round() as usize).max(1);
        if width <= side && height <= side {
            let (top, left) = (rng.random_range(0..=side - height), rng.random_range(0..=side - width));
            return Window { top, left, height, width };
        }
    }
    Window { top: 0, left: 0, height: side, width: side }
}

/// Where a row or column of the output reads: two places of the input and the share of the second.
fn taps(side: usize, start: usize, length: usize) -> Vec<(usize, usize, f32)> {
    let scale = length as f32 / side as f32;
    let last = length - 1;
    let one = |i: usize| {
        let at = ((i as f32 + 0.5) * scale - 0.5).max(0.0);
        let low = (at as usize).min(last);
        (start + low, start + (low + 1).min(last), at - low as f32)
    };
    (0..side).map(one).collect()
}

/// A part resized to the whole: bilinear, centres of pixels on centres. It only ever grows, so nothing is smoothed.
fn resized(image: &[u8], side: usize, part: Window) -> Vec<u8> {
    let columns = taps(side, part.left, part.width);
    let mut out = Vec::with_capacity(image.len());
    for (above, below, down) in taps(side, part.top, part.height) {
        for &(left, right, across) in &columns {
            for channel in 0..3 {
                let at = |y: usize, x: usize| f32::from(image[(y * side + x) * 3 + channel]);
                let row = |y: usize| at(y, left) + across * (at(y, right) - at(y, left));
                let value = row(above) + down * (row(below) - row(above));
                out.push(value.round() as u8);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    fn image() -> Vec<u8> {
        (0..3 * 6 * 6).map(|i| (i * 37 % 256) as u8).collect()
    }

    #[test]
    fn parts_are_resized_as_by_pytorch() {
        #[derive(serde::Deserialize)]
        struct Case {
            window: Window,
            pixels: Vec<f64>,
        }
        let text = include_str!("../../../../tests/fixtures/train/crops.json");
        let cases: Vec<Case> = serde_json::from_str(text).unwrap();
        assert_eq!(cases.len(), 4);
        for Case { window, pixels } in cases {
            for (ours, theirs) in resized(&image(), 6, window).iter().zip(&pixels) {
                assert!((f64::from(*ours) - theirs).abs() < 0.502, "{window:?}: {ours}, PyTorch {theirs}");
            }
        }
    }

    #[test]
    fn variation_follows_its_seed_and_keeps_sides_that_are_named() {
        let draw = |kind, sides, seed| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            (0..40).map(|_| vary(&image(), 6, kind, sides, &mut rng)).collect::<Vec<_>>()
        };
        let mut other = image();
        mirror(&mut other, 6);
        let flipped = draw(Augment::Flip, false, 1);
        assert!(flipped.iter().all(|i| *i == image() || *i == other));
        let count = flipped.iter().filter(|i| **i == other).count();
        assert!((10..30).contains(&count), "{count} of 40");
        assert!(draw(Augment::Flip, true, 1).iter().all(|i| *i == image()));
        assert!(draw(Augment::None, false, 1).iter().all(|i| *i == image()));
        assert_eq!(draw(Augment::FlipCrop, false, 1), draw(Augment::FlipCrop, false, 1));
        assert_ne!(draw(Augment::FlipCrop, false, 1), draw(Augment::FlipCrop, false, 2));
        mirror(&mut other, 6);
        assert_eq!(other, image());
    }

    #[test]
    fn windows_lie_inside_and_keep_half_of_the_area() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        for _ in 0..500 {
            let Window { top, left, height, width } = window(64, &mut rng);
            assert!(top + height <= 64 && left + width <= 64);
            assert!(height * width >= 64 * 64 * 48 / 100, "{height} {width}");
        }
    }
}
