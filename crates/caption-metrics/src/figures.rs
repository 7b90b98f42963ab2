//! One value for each metric.

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

/// Number of metrics.
pub(crate) const METRICS: usize = 9;

/// A value for each metric: its score, its interval, or a test between two models.
///
/// Serialises as a map with the names of [`Figures::entries`] as keys.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figures<T> {
    /// Corpus BLEU-1, 0..=1; see [`bleu`](crate::bleu).
    pub bleu1: T,
    /// Corpus BLEU-2, 0..=1.
    pub bleu2: T,
    /// Corpus BLEU-3, 0..=1.
    pub bleu3: T,
    /// Corpus BLEU-4, 0..=1.
    pub bleu4: T,
    /// ROUGE-L, 0..=1; see [`rouge_l`](crate::rouge_l).
    pub rouge_l: T,
    /// The original CIDEr, 0..=10; see [`Cider`](crate::Cider).
    pub cider: T,
    /// CIDEr-D, 0..=10: what pycocoevalcap and most papers call CIDEr.
    pub cider_d: T,
    /// METEOR with the stages that `meteor_name` says, 0..=1; see [`Meteor`](crate::Meteor).
    pub meteor: T,
    /// LEMUR's mean smoothed sentence BLEU-4, 0..=1; see [`lemur_bleu`](crate::lemur_bleu()). Not to be compared with
    /// `bleu4`.
    pub lemur_bleu: T,
    /// `meteor`, or a name that says which stages ran; see [`Meteor::name`](crate::Meteor::name).
    pub meteor_name: &'static str,
}

impl<T> Figures<T> {
    pub(crate) fn new(values: [T; METRICS], meteor_name: &'static str) -> Self {
        let [bleu1, bleu2, bleu3, bleu4, rouge_l, cider, cider_d, meteor, lemur_bleu] = values;
        Self { bleu1, bleu2, bleu3, bleu4, rouge_l, cider, cider_d, meteor, lemur_bleu, meteor_name }
    }

    /// Name and value of each metric: `bleu1` to `bleu4`, `rouge_l`, `cider`, `cider_d`, `meteor` (or what
    /// `meteor_name` says) and `lemur_bleu`.
    pub fn entries(&self) -> [(&'static str, &T); METRICS] {
        [
            ("bleu1", &self.bleu1),
            ("bleu2", &self.bleu2),
            ("bleu3", &self.bleu3),
            ("bleu4", &self.bleu4),
            ("rouge_l", &self.rouge_l),
            ("cider", &self.cider),
            ("cider_d", &self.cider_d),
            (self.meteor_name, &self.meteor),
            ("lemur_bleu", &self.lemur_bleu),
        ]
    }
}

impl<T: Serialize> Serialize for Figures<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(METRICS))?;
        for (name, value) in self.entries() {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}
