//! Training images varied: mirrored, a part enlarged, recoloured; pure, and the same for the same seed, epoch and image.
//!
//! Names, ranges and the order of draws are those of torchvision's `RandomHorizontalFlip`, `RandomResizedCrop`,
//! `ColorJitter` and `RandAugment`; the numbers drawn are our own. Of `RandAugment` only the operations on colours are here:
//! turning and shearing would move what captions call left, right, above and below.

mod pixels;

use capwright_caption_metrics::Tokenizer;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::image_file::RgbView;
use crate::{ImageError, RgbImage};

/// Draws of a window before the whole image is taken.
const DRAWS: usize = 10;

/// How training images are varied. The default varies nothing.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Augment {
    /// Mirrors half of the images, but none whose captions [name a side](names_a_side).
    pub flip: bool,
    /// Shows a random part of at least this share of the area, its sides 3 : 4 to 4 : 3. torchvision takes 0.08 for classifiers;
    /// that would cut away what captions name, 0.5 rarely does.
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

/// Whether a caption says left or right, so that the mirrored image would make it false: in English, Chinese or Japanese,
/// the languages that [`Vocabulary`](crate::Vocabulary) parts into words. `right` in another sense counts too: that costs a
/// mirrored image, the other way would teach a false caption.
pub fn names_a_side<S: AsRef<str>>(captions: impl IntoIterator<Item = S>) -> bool {
    captions.into_iter().any(|caption| {
        let caption = caption.as_ref();
        let words = Tokenizer::Characters.words(caption);
        words.iter().any(|word| word.split(['-', '/']).any(is_side))
            || ["ひだり", "みぎ", "ヒダリ", "ミギ"].iter().any(|side| caption.contains(side))
    })
}

fn is_side(word: &str) -> bool {
    let word = word.strip_suffix("ward").or(word.strip_suffix("wards")).unwrap_or(word);
    let word = word.strip_suffix("most").or(word.strip_suffix("hand")).unwrap_or(word);
    matches!(word, "left" | "right" | "左" | "右")
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
    /// The image as it is seen in an epoch, at the same size. `image` has `side` x `side` pixels, rows of RGB (HWC); `place` is
    /// its place in the split, `keeps_sides` whether it must not be mirrored.
    ///
    /// A part that is cut is resized to the whole with centres of pixels on centres, as `RandomResizedCrop` does.
    ///
    /// # Errors
    /// [`ImageError::Size`] when `side` is 0 or above 4096, [`ImageError::Damaged`] for pixels that do not fill the square.
    pub fn apply(
        &self,
        image: &[u8],
        side: u32,
        keeps_sides: bool,
        (seed, epoch, place): (u64, u64, u64),
    ) -> Result<Vec<u8>, ImageError> {
        let image = RgbView::square(image, side)?;
        let mut rng = numbers(seed, epoch, place);
        // Drawn in any case, so that other draws do not depend on the captions.
        let mirrored = rng.random_bool(0.5);
        let part = self.crop.map(|least| window(side, least, &mut rng));
        let pixels = match part {
            Some(part) if part != [0, 0, side, side] => enlarged(image, part)?,
            _ => image.pixels.to_vec(),
        };
        let mut varied = RgbImage { width: side, height: side, pixels };
        if self.flip && mirrored && !keeps_sides {
            pixels::flip(&mut varied);
        }
        if let Some(jitter) = &self.jitter {
            jitter.apply(&mut varied, &mut rng);
        }
        if let Some(rand_augment) = &self.rand_augment {
            rand_augment.apply(&mut varied, &mut rng);
        }
        Ok(varied.pixels)
    }
}

/// The mirror image of `side` x `side` pixels, rows of RGB (HWC): left and right changed places.
///
/// # Errors
/// As [`Augment::apply`].
pub fn mirrored(image: &[u8], side: u32) -> Result<Vec<u8>, ImageError> {
    let pixels = RgbView::square(image, side)?.pixels.to_vec();
    let mut image = RgbImage { width: side, height: side, pixels };
    pixels::flip(&mut image);
    Ok(image.pixels)
}

/// A range cut to 0..=`most`; what is no number counts as 0.
fn within(value: f64, most: f64) -> f64 {
    if value > 0.0 { value.min(most) } else { 0.0 }
}

/// A random part of a square (left, top, width, height), by the draws of Szegedy et al. (2015, arXiv 1409.4842).
fn window(side: u32, least: f64, rng: &mut ChaCha8Rng) -> [u32; 4] {
    let area = f64::from(side) * f64::from(side);
    for _ in 0..DRAWS {
        let part = area * rng.random_range(within(least, 1.0)..=1.0);
        let ratio = rng.random_range((0.75f64).ln()..=(4.0f64 / 3.0).ln()).exp();
        let width = ((part * ratio).sqrt().round() as u32).max(1);
        let height = ((part / ratio).sqrt().round() as u32).max(1);
        if width <= side && height <= side {
            let (left, top) = (rng.random_range(0..=side - width), rng.random_range(0..=side - height));
            return [left, top, width, height];
        }
    }
    [0, 0, side, side]
}

/// A part (left, top, width, height) at the size of the image. What lies beside the part is not seen, as where it is cut out.
fn enlarged(image: RgbView<'_>, [left, top, width, height]: [u32; 4]) -> Result<Vec<u8>, ImageError> {
    let (row, from, length) = (3 * image.width as usize, 3 * left as usize, 3 * width as usize);
    let rows = image.pixels.chunks_exact(row).skip(top as usize).take(height as usize);
    let mut part = Vec::with_capacity(length * height as usize);
    rows.for_each(|row| part.extend_from_slice(&row[from..from + length]));
    RgbView { width, height, pixels: &part }.resized_in_floats((image.width, image.height))
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
        let image = gradient(40, 40).pixels;
        let draw = |key| ALL.apply(&image, 40, false, key).unwrap();
        assert_eq!(draw((1, 2, 3)), draw((1, 2, 3)));
        for other in [(2, 2, 3), (1, 3, 3), (1, 2, 4)] {
            assert_ne!(draw((1, 2, 3)), draw(other));
        }
        assert_eq!(Augment::default().apply(&image, 40, false, (1, 2, 3)).unwrap(), image);
    }

    #[test]
    fn half_are_mirrored_but_none_that_keeps_its_sides() {
        let image = gradient(8, 8).pixels;
        let flips = Augment { flip: true, ..Augment::default() };
        let mirrored =
            |keeps| (0..400).filter(|i| flips.apply(&image, 8, keeps, (7, 0, *i)).unwrap() != image).count();
        assert!((160..240).contains(&mirrored(false)), "{}", mirrored(false));
        assert_eq!(mirrored(true), 0);
    }

    #[test]
    fn captions_do_not_move_the_window() {
        let image = gradient(40, 40).pixels;
        let both = Augment { flip: true, crop: Some(0.5), ..Augment::default() };
        for place in 0..20 {
            let free = both.apply(&image, 40, false, (1, 1, place)).unwrap();
            let kept = both.apply(&image, 40, true, (1, 1, place)).unwrap();
            assert!(free == kept || free == mirrored(&kept, 40).unwrap(), "image {place}");
        }
    }

    #[test]
    fn a_mirror_image_has_its_rows_turned_round() {
        let image: Vec<u8> = (0..12).collect();
        assert_eq!(mirrored(&image, 2).unwrap(), [3, 4, 5, 0, 1, 2, 9, 10, 11, 6, 7, 8]);
        assert!(matches!(mirrored(&image, 3), Err(ImageError::Damaged(_))));
    }

    #[test]
    fn windows_lie_inside_and_keep_their_share_of_the_area() {
        let mut rng = numbers(1, 1, 1);
        let mut seen = std::collections::HashSet::new();
        for _ in 0..500 {
            let [left, top, width, height] = window(64, 0.5, &mut rng);
            assert!(left + width <= 64 && top + height <= 64);
            assert!(width * height >= 64 * 64 * 48 / 100, "{width} x {height}");
            seen.insert((width, height));
        }
        assert!(seen.len() > 50);
    }

    /// The numbers are PyTorch's: `tests/fixtures/train/make.py`.
    #[test]
    fn parts_are_resized_as_by_pytorch() {
        #[derive(serde::Deserialize)]
        struct Case {
            window: Window,
            pixels: Vec<f64>,
        }
        #[derive(serde::Deserialize)]
        struct Window {
            top: u32,
            left: u32,
            height: u32,
            width: u32,
        }
        let image: Vec<u8> = (0..3 * 6 * 6).map(|i| (i * 37 % 256) as u8).collect();
        let view = RgbView::square(&image, 6).unwrap();
        let text = include_str!("../../../../tests/fixtures/train/crops.json");
        let cases: Vec<Case> = serde_json::from_str(text).unwrap();
        assert_eq!(cases.len(), 4);
        for Case { window: Window { top, left, height, width }, pixels } in cases {
            let part = [left, top, width, height];
            let ours = enlarged(view, part).unwrap();
            for (ours, theirs) in ours.iter().zip(&pixels) {
                assert!((f64::from(*ours) - theirs).abs() < 0.502, "{part:?}: {ours}, PyTorch {theirs}");
            }
        }
    }

    #[test]
    fn what_is_no_square_is_refused() {
        let augment = Augment::default();
        assert!(matches!(augment.apply(&[0; 11], 2, false, (0, 0, 0)), Err(ImageError::Damaged(_))));
        for side in [0, 4097, u32::MAX] {
            assert!(matches!(augment.apply(&[], side, false, (0, 0, 0)), Err(ImageError::Size(_))));
        }
    }

    #[test]
    fn sides_are_found_in_words_only() {
        for (caption, expected) in [
            ("A dog to the Left of a cat.", true),
            ("a left-handed man", true),
            ("the leftmost of two boats", true),
            ("a sign that says LEFT/RIGHT", true),
            ("a car that turns rightwards", true),
            ("the bright leftovers", false),
            ("an upright man", false),
            ("左边有一只狗", true),
            ("一只狗", false),
            ("箭头指向ＬＥＦＴ", true),
            ("ねこがみぎにいる", true),
            ("猫が二匹いる", false),
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
