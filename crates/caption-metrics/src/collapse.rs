//! Detects captioners that say the same for every image.

use std::collections::HashMap;

/// How varied the captions of a model over a set of images are.
///
/// A collapsed model still earns some BLEU (a constant "a man in a red shirt" matches many words), so a score alone
/// does not show it.
#[derive(Debug, Clone, PartialEq)]
pub struct CollapseReport {
    /// Number of captions looked at, one for each image.
    pub images: usize,
    /// Number of different captions, compared as exact strings.
    pub distinct: usize,
    /// The most frequent caption (the alphabetically first on a tie); empty when there are no images.
    pub top_caption: String,
    /// Share of images that got `top_caption`, in 0..=1.
    pub top_share: f64,
    /// Shannon entropy of the distribution of captions, in bits: 0 for one constant caption, log2(images) when all differ.
    pub entropy_bits: f64,
}

impl CollapseReport {
    /// Fewer images than this are judged only by "all captions are the same".
    pub const MIN_IMAGES: usize = 20;
    /// Fewer images than this are never judged: two photos may well deserve the same words.
    pub const MIN_IMAGES_AT_ALL: usize = 3;
    /// A caption given to this share of the images or more means collapse.
    pub const MAX_TOP_SHARE: f64 = 0.5;
    /// This many distinct captions, or one for each hundred images if that is more, means collapse.
    pub const FEW_DISTINCT: usize = 3;

    /// Counts the captions, one for each image. Compare decoded sentences, without start and end marks.
    pub fn new<S: AsRef<str>>(captions: &[S]) -> Self {
        let mut counts: HashMap<&str, usize> = HashMap::new();
        for caption in captions {
            *counts.entry(caption.as_ref()).or_default() += 1;
        }
        let mut counts: Vec<(&str, usize)> = counts.into_iter().collect();
        // Sorted so that the floating-point sum, and the choice on a tie, do not depend on hashing.
        counts.sort_unstable_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        let images = captions.len();
        let share = |count: usize| count as f64 / images as f64;
        // `+ 0.0` turns the -0.0 of a constant caption into 0.0.
        let entropy = -counts.iter().map(|&(_, c)| share(c) * share(c).log2()).sum::<f64>() + 0.0;
        let (top_caption, top_count) = counts.first().copied().unwrap_or(("", 0));
        CollapseReport {
            images,
            distinct: counts.len(),
            top_caption: top_caption.to_owned(),
            top_share: if images == 0 { 0.0 } else { share(top_count) },
            entropy_bits: entropy.max(0.0),
        }
    }

    /// True when the model must not be ranked, because it ignores its images.
    ///
    /// - 20 images or more: at most max(3, 1 % of the images) distinct captions, or one caption for half of the
    ///   images or more;
    /// - 3 to 19 images: all captions are the same;
    /// - fewer: never.
    pub fn is_collapsed(&self) -> bool {
        if self.images < Self::MIN_IMAGES_AT_ALL {
            false
        } else if self.images < Self::MIN_IMAGES {
            self.distinct == 1
        } else {
            self.distinct <= Self::FEW_DISTINCT.max(self.images / 100)
                || self.top_share >= Self::MAX_TOP_SHARE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `images` captions, of which the first `same` are equal and the others all differ.
    fn report(images: usize, same: usize) -> CollapseReport {
        let captions: Vec<String> = (0..images).map(|i| format!("caption {}", i.max(same))).collect();
        CollapseReport::new(&captions)
    }

    #[test]
    fn counts_share_and_entropy() {
        let report = CollapseReport::new(&["a", "b", "b", "a"]);
        assert_eq!((report.distinct, report.top_caption.as_str(), report.top_share), (2, "a", 0.5));
        assert!((report.entropy_bits - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_constant_captioner_is_collapsed_from_three_images_on() {
        let collapsed = |n| CollapseReport::new(&vec!["a dog"; n]).is_collapsed();
        assert_eq!([0, 1, 2, 3, 19, 20, 1000].map(collapsed), [false, false, false, true, true, true, true]);
        assert_eq!(CollapseReport::new(&["a dog"; 5]).entropy_bits, 0.0);
    }

    #[test]
    fn half_the_images_is_the_limit_for_one_caption() {
        assert!(report(60, 30).top_share > 0.5 && report(60, 30).is_collapsed());
        assert!(!report(60, 20).is_collapsed());
    }

    #[test]
    fn few_distinct_captions_are_collapse_only_in_larger_sets() {
        let few = |n: usize, kinds: usize| {
            CollapseReport::new(&(0..n).map(|i| format!("{}", i % kinds)).collect::<Vec<_>>()).is_collapsed()
        };
        assert!(few(60, 3) && !few(60, 4));
        assert!(few(1000, 10) && !few(1000, 11));
        assert!(!few(19, 2));
    }
}
