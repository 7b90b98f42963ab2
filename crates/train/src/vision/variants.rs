//! How training images are varied: pixels anew in each epoch; of images of a frozen backbone a few variants are kept.
//!
//! Variants depend on the image and their number alone, so that all designs, seeds and studies share their features.

use capwright_blueprint::language;
use capwright_caption_data::{Augment, ImageError, mirrored};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Changes whenever a variant would come out differently for the same image.
const VERSION: &str = "variants 1";
/// Least share of the area that a random part of an image keeps.
const LEAST_AREA: f64 = 0.5;

/// What the language's word means for pixels.
pub(crate) fn augment(kind: language::Augment) -> Augment {
    match kind {
        language::Augment::None => Augment::default(),
        language::Augment::Flip => Augment { flip: true, ..Augment::default() },
        language::Augment::FlipCrop => Augment { flip: true, crop: Some(LEAST_AREA), ..Augment::default() },
    }
}

/// One way to show an image: 0 as it is, 1 mirrored, 2 a part of it enlarged, 3 another part, mirrored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Variant(usize);

impl Variant {
    /// The image as it is.
    pub const PLAIN: Self = Self(0);

    /// Those that a recipe asks for; the first is the image as it is.
    pub fn of(kind: language::Augment) -> impl Iterator<Item = Self> + Clone {
        (0..kind.variants()).map(Self)
    }

    /// The one that a training image is shown as in an epoch, each equally often. Where the image `keeps_sides`, the one before
    /// it, which is not mirrored, takes the place of a mirrored one.
    pub(crate) fn drawn(
        kind: language::Augment,
        keeps_sides: bool,
        (seed, epoch, place): (u64, u32, usize),
    ) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..12].copy_from_slice(&epoch.to_le_bytes());
        let mut rng = ChaCha8Rng::from_seed(key);
        rng.set_stream(place as u64);
        let number = rng.random_range(0..kind.variants());
        Self(if keeps_sides { number & !1 } else { number })
    }

    /// Its number, 0 for the image as it is.
    pub(crate) fn number(self) -> usize {
        self.0
    }

    /// What tells its features from those of other variants; nothing for the image as it is.
    pub(crate) fn key(self) -> Option<String> {
        (self != Self::PLAIN).then(|| format!("{VERSION}: {}", self.0))
    }

    /// The variant of an image of `side` x `side` pixels, rows of RGB (HWC), whose file has this sha256.
    ///
    /// # Errors
    /// As [`Augment::apply`].
    pub(crate) fn apply(self, image: &[u8], side: u32, sha256: &[u8; 32]) -> Result<Vec<u8>, ImageError> {
        let crop = augment(language::Augment::FlipCrop).crop.filter(|_| self.0 > 1);
        let (numbers, _) = sha256.as_chunks::<8>();
        let draw = (u64::from_le_bytes(numbers[0]), self.0 as u64, u64::from_le_bytes(numbers[1]));
        let part = Augment { crop, ..Augment::default() }.apply(image, side, true, draw)?;
        if self.0 % 2 == 1 { mirrored(&part, side) } else { Ok(part) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use language::Augment::{Flip, FlipCrop, None};

    fn image() -> Vec<u8> {
        (0..3 * 32 * 32).map(|i: usize| (i * 7 % 251) as u8).collect()
    }

    fn shown(variant: usize, sha256: &[u8; 32]) -> Vec<u8> {
        Variant(variant).apply(&image(), 32, sha256).unwrap()
    }

    #[test]
    fn variants_are_the_image_its_mirror_image_and_two_parts() {
        let (one, other) = ([1; 32], [2; 32]);
        assert_eq!(shown(0, &one), image());
        assert_eq!(shown(1, &one), mirrored(&image(), 32).unwrap());
        let part = |number| {
            let crop = Augment { crop: Some(LEAST_AREA), ..Augment::default() };
            let eight = u64::from_le_bytes([1; 8]);
            crop.apply(&image(), 32, false, (eight, number, eight)).unwrap()
        };
        assert_eq!(shown(2, &one), part(2));
        assert_eq!(shown(3, &one), mirrored(&part(3), 32).unwrap());
        assert_ne!(part(2), part(3));
        assert_ne!(shown(2, &one), shown(2, &other), "parts are drawn for each image");
    }

    #[test]
    fn each_variant_is_drawn_equally_often_and_the_same_for_the_same_numbers() {
        for (kind, k) in [(None, 1), (Flip, 2), (FlipCrop, 4)] {
            assert_eq!(Variant::of(kind).count(), k);
            let mut counts = vec![0usize; k];
            for place in 0..4000 {
                let drawn = Variant::drawn(kind, false, (5, 2, place));
                assert_eq!(drawn, Variant::drawn(kind, false, (5, 2, place)));
                counts[drawn.number()] += 1;
            }
            assert!(counts.iter().all(|n| n.abs_diff(4000 / k) < 150), "{counts:?}");
        }
        let draws = |seed, epoch| -> Vec<usize> {
            (0..100).map(|place| Variant::drawn(FlipCrop, false, (seed, epoch, place)).number()).collect()
        };
        assert_ne!(draws(5, 2), draws(6, 2));
        assert_ne!(draws(5, 2), draws(5, 3));
    }

    #[test]
    fn what_keeps_its_sides_is_never_mirrored() {
        for place in 0..200 {
            for kind in [Flip, FlipCrop] {
                let free = Variant::drawn(kind, false, (1, 1, place)).number();
                let kept = Variant::drawn(kind, true, (1, 1, place)).number();
                assert_eq!(kept, [0, 0, 2, 2][free]);
            }
        }
    }
}
