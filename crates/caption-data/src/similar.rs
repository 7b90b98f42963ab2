//! Pictures that are the same for the eye: saved again, resized, or changed a little.
//!
//! The difference hash (N. Krawetz, "Kind of Like That", 2013) has a bit for each pair of neighbours in a 9 x 8 grey version of the
//! picture. Pictures with large flat parts share hashes by chance, so the small versions themselves must agree, too.

use std::collections::HashMap;

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};

use crate::RgbImage;

/// Columns and rows of the small version.
const WIDTH: usize = 9;
const HEIGHT: usize = 8;
/// Most bits, of 64, in which the hashes of near duplicates differ.
pub(crate) const MAX_BITS: u32 = 4;
/// Most levels, of 256, by which the colours of near duplicates differ in the mean.
pub(crate) const MAX_LEVELS: u32 = 3;
/// Parts of the hash: with more parts than differing bits, one part is equal.
const PARTS: u32 = MAX_BITS + 1;

/// A picture as it is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Look {
    hash: u64,
    small: [u8; WIDTH * HEIGHT * 3],
}

impl Look {
    pub fn of(image: &RgbImage) -> Option<Look> {
        let source = ImageRef::new(image.width, image.height, &image.pixels, PixelType::U8x3).ok()?;
        let mut target = Image::new(WIDTH as u32, HEIGHT as u32, PixelType::U8x3);
        let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
        Resizer::new().resize(&source, &mut target, &options).ok()?;
        let small: [u8; WIDTH * HEIGHT * 3] = target.into_vec().try_into().ok()?;
        // Luma of ITU-R BT.601 in thousandths.
        let grey = |at: usize| {
            let [r, g, b] = [0, 1, 2].map(|c| u32::from(small[3 * at + c]));
            299 * r + 587 * g + 114 * b
        };
        let bits = (0..HEIGHT).flat_map(|y| (0..WIDTH - 1).map(move |x| y * WIDTH + x));
        let hash = bits.fold(0, |hash, at| hash << 1 | u64::from(grey(at) < grey(at + 1)));
        Some(Look { hash, small })
    }

    /// True for near duplicates.
    pub fn resembles(&self, other: &Look) -> bool {
        let levels: u32 = self.small.iter().zip(&other.small).map(|(a, b)| u32::from(a.abs_diff(*b))).sum();
        (self.hash ^ other.hash).count_ones() <= MAX_BITS && levels <= MAX_LEVELS * self.small.len() as u32
    }
}

/// Groups of pictures, as chains of those that resemble each other: the first member of each picture's group.
pub(crate) fn groups(looks: &[Look]) -> Vec<usize> {
    let mut roots: Vec<usize> = (0..looks.len()).collect();
    let width = 64_u32.div_ceil(PARTS);
    for part in 0..PARTS {
        let mut alike: HashMap<u64, Vec<usize>> = HashMap::new();
        let mask = (1_u64 << width) - 1;
        for (at, look) in looks.iter().enumerate() {
            alike.entry((look.hash >> (part * width)) & mask).or_default().push(at);
        }
        for members in alike.values() {
            for (place, &first) in members.iter().enumerate() {
                for &second in &members[place + 1..] {
                    let (a, b) = (root(&mut roots, first), root(&mut roots, second));
                    if a != b && looks[first].resembles(&looks[second]) {
                        roots[a.max(b)] = a.min(b);
                    }
                }
            }
        }
    }
    (0..looks.len()).map(|at| root(&mut roots, at)).collect()
}

fn root(roots: &mut [usize], mut at: usize) -> usize {
    while roots[at] != at {
        roots[at] = roots[roots[at]];
        at = roots[at];
    }
    at
}
