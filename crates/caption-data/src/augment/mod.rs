//! Training images varied: mirrored, cut, recoloured; pure, and the same for the same seed, epoch and image.
//!
//! Names, ranges and the order of draws are those of torchvision's `RandomHorizontalFlip`, `RandomResizedCrop`,
//! `ColorJitter` and `RandAugment`; the numbers drawn are our own. Of `RandAugment` only the operations on colours are here:
//! turning and shearing would move what captions call left, right, above and below.

mod pixels;

use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::{Filter, ImageError, RgbImage};

/// Draws of a window before the whole image is taken.
const DRAWS: usize = 10;

/// How training images are varied. The default varies nothing.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Augment {
    /// Mirrors half of the images, but none whose captions [name a side](names_a_side).
    pub flip: bool,
    /// Cuts a random part of at least this share of the area, its sides 3 : 4 to 4 : 3.
    pub crop: Option<f64>,
    /// Changes brightness, contrast, saturation and hue, in random order.
    pub jitter: Option<Jitter>,
    /// Applies random operations on colours.
    pub rand_augment: Option<RandAugment>,
}

/// Ranges of changes of colour: a factor of 1 - x to 1 + x each (not below 0); of the hue, a turn of -x to x of the circle.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "each says what it is")]
pub struct Jitter {
    pub brightness: f32,
    pub contrast: f32,
    pub saturation: f32,
    /// At most 0.5.
    pub hue: f32,
}

/// How many operations are applied, and how strongly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RandAugment {
    /// Operations one after the other; torchvision's default is 2.
    pub operations: usize,
    /// 0 to 30, torchvision's default is 9 of its 31 steps; what is above counts as 30.
    pub magnitude: u8,
}

/// Whether a caption says `left` or `right`, so that the mirrored image would make it false.
pub fn names_a_side<S: AsRef<str>>(captions: impl IntoIterator<Item = S>) -> bool {
    let side = |word: &str| matches!(word, "left" | "right");
    captions.into_iter().any(|caption| {
        let words = capwright_caption_metrics::tokenize(caption.as_ref());
        words.iter().any(|word| word.split('-').any(side)) || caption.as_ref().contains(['左', '右'])
    })
}

/// Numbers for one image in one epoch; what is drawn for one does not depend on the others.
fn numbers(seed: u64, epoch: u64, image: u64) -> ChaCha8Rng {
    // Seed and epoch choose the key, the image the stream: 2^64 streams of a key never meet.
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&epoch.to_le_bytes());
    let mut rng = ChaCha8Rng::from_seed(key);
    rng.set_stream(image);
    rng
}

impl Augment {
    /// The image as it is seen in an epoch; `image` is its place in the split, `keeps_sides` whether it must not be mirrored.
    ///
    /// The result has the size of what was cut; resize it afterwards.
    ///
    /// # Errors
    /// [`ImageError::Damaged`] for an image whose pixels do not fit its size.
    pub fn apply(
        &self,
        source: &RgbImage,
        keeps_sides: bool,
        (seed, epoch, image): (u64, u64, u64),
    ) -> Result<RgbImage, ImageError> {
        let mut rng = numbers(seed, epoch, image);
        // Drawn in any case, so that other draws do not depend on the captions.
        let mirrored = rng.random_bool(0.5);
        let mut varied = match self.crop {
            Some(least) => cut(source, least, &mut rng)?,
            None => source.clone(),
        };
        if self.flip && mirrored && !keeps_sides {
            pixels::flip(&mut varied);
        }
        if let Some(jitter) = &self.jitter {
            jitter.apply(&mut varied, &mut rng);
        }
        if let Some(rand_augment) = &self.rand_augment {
            rand_augment.apply(&mut varied, &mut rng);
        }
        Ok(varied)
    }
}

/// A range cut to 0..=`most`; what is no number counts as 0.
fn within(value: f64, most: f64) -> f64 {
    if value > 0.0 { value.min(most) } else { 0.0 }
}

/// A random part, by the draws of Szegedy et al. (2015, arXiv 1409.4842).
fn cut(image: &RgbImage, least: f64, rng: &mut ChaCha8Rng) -> Result<RgbImage, ImageError> {
    let area = f64::from(image.width) * f64::from(image.height);
    for _ in 0..DRAWS {
        let part = area * rng.random_range(within(least, 1.0)..=1.0);
        let ratio = rng.random_range((0.75f64).ln()..=(4.0f64 / 3.0).ln()).exp();
        let width = ((part * ratio).sqrt().round() as u32).max(1);
        let height = ((part / ratio).sqrt().round() as u32).max(1);
        if width <= image.width && height <= image.height {
            let left = rng.random_range(0..=image.width - width);
            let top = rng.random_range(0..=image.height - height);
            let window = [left, top, width, height].map(f64::from);
            let pixels = image.resized(window.into(), (width, height), Filter::Bilinear)?;
            return Ok(RgbImage { width, height, pixels });
        }
    }
    Ok(image.clone())
}

impl Jitter {
    fn apply(&self, image: &mut RgbImage, rng: &mut ChaCha8Rng) {
        let mut factor = |range: f32| {
            let range = within(range.into(), 10.0) as f32;
            rng.random_range((1.0 - range).max(0.0)..=1.0 + range)
        };
        let factors = [self.brightness, self.contrast, self.saturation].map(&mut factor);
        let most = within(self.hue.into(), 0.5) as f32;
        let turn = rng.random_range(-most..=most);
        let mut order = [0, 1, 2, 3];
        order.shuffle(rng);
        for step in order {
            match step {
                0 => pixels::brightness(image, factors[0]),
                1 => pixels::contrast(image, factors[1]),
                2 => pixels::saturation(image, factors[2]),
                _ => pixels::hue(image, turn),
            }
        }
    }
}

/// torchvision's names of the operations that are drawn.
#[derive(Clone, Copy)]
enum Operation {
    Identity,
    Brightness,
    Color,
    Contrast,
    Posterize,
    Solarize,
    AutoContrast,
    Equalize,
}

impl Operation {
    const ALL: [Operation; 8] = [
        Operation::Identity,
        Operation::Brightness,
        Operation::Color,
        Operation::Contrast,
        Operation::Posterize,
        Operation::Solarize,
        Operation::AutoContrast,
        Operation::Equalize,
    ];
}

impl RandAugment {
    fn apply(&self, image: &mut RgbImage, rng: &mut ChaCha8Rng) {
        let share = f32::from(self.magnitude.min(30)) / 30.0;
        for _ in 0..self.operations {
            let operation = Operation::ALL.choose(rng).copied().unwrap_or(Operation::Identity);
            let sign = if rng.random_bool(0.5) { -1.0 } else { 1.0 };
            let factor = 1.0 + sign * 0.9 * share;
            match operation {
                Operation::Identity => {}
                Operation::Brightness => pixels::brightness(image, factor),
                Operation::Color => pixels::saturation(image, factor),
                Operation::Contrast => pixels::contrast(image, factor),
                Operation::Posterize => pixels::posterize(image, 8 - (4.0 * share).round_ties_even() as u32),
                Operation::Solarize => pixels::solarize(image, 255.0 * (1.0 - share)),
                Operation::AutoContrast => pixels::auto_contrast(image),
                Operation::Equalize => pixels::equalize(image),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image_file::tests::gradient;

    const ALL: Augment = Augment {
        flip: true,
        crop: Some(0.5),
        jitter: Some(Jitter { brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.1 }),
        rand_augment: Some(RandAugment { operations: 2, magnitude: 9 }),
    };

    #[test]
    fn variation_follows_seed_epoch_and_image() {
        let image = gradient(40, 30);
        let draw = |key| ALL.apply(&image, false, key).unwrap();
        assert_eq!(draw((1, 2, 3)), draw((1, 2, 3)));
        for other in [(2, 2, 3), (1, 3, 3), (1, 2, 4)] {
            assert_ne!(draw((1, 2, 3)), draw(other));
        }
        assert_eq!(Augment::default().apply(&image, false, (1, 2, 3)).unwrap(), image);
    }

    #[test]
    fn half_are_mirrored_but_none_that_keeps_its_sides() {
        let image = gradient(8, 6);
        let flips = Augment { flip: true, ..Augment::default() };
        let mirrored =
            |keeps| (0..400).filter(|i| flips.apply(&image, keeps, (7, 0, *i)).unwrap() != image).count();
        assert!((160..240).contains(&mirrored(false)), "{}", mirrored(false));
        assert_eq!(mirrored(true), 0);
    }

    #[test]
    fn parts_are_unscaled_and_keep_their_share_of_the_area() {
        let image = gradient(40, 30);
        let crops = Augment { crop: Some(0.5), ..Augment::default() };
        let mut sizes = std::collections::HashSet::new();
        for number in 0..300 {
            let part = crops.apply(&image, true, (1, 1, number)).unwrap();
            assert!(part.width * part.height >= 40 * 30 * 47 / 100, "{} x {}", part.width, part.height);
            let row = &part.pixels[..3 * part.width as usize];
            assert!(image.pixels.windows(row.len()).any(|w| w == row), "part {number} is no part");
            sizes.insert((part.width, part.height));
        }
        assert!(sizes.len() > 50);
    }

    #[test]
    fn sides_are_found_in_words_only() {
        for (caption, expected) in [
            ("A dog to the Left of a cat.", true),
            ("a left-handed man", true),
            ("the bright leftovers", false),
            ("左边有一只狗", true),
            ("一只狗", false),
        ] {
            assert_eq!(names_a_side([caption]), expected, "{caption}");
        }
        assert!(names_a_side(["a dog", "turn right"]) && !names_a_side(Vec::<String>::new()));
    }

    #[test]
    fn choices_are_stored_as_json() {
        let text = serde_json::to_string(&ALL).unwrap();
        assert_eq!(serde_json::from_str::<Augment>(&text).unwrap(), ALL);
        assert_eq!(serde_json::from_str::<Augment>("{}").unwrap(), Augment::default());
    }
}
