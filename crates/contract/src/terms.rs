//! The sections of a contract that hold bounds: budgets, limits, floors, ranges, licences, objectives. Every field is
//! optional; a missing one demands nothing. All bounds are inclusive.

use crate::{Clause, Side};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A bound as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Amount {
    /// A count.
    Whole(u64),
    /// Any other number.
    Real(f64),
}

impl Amount {
    /// As a floating-point number.
    pub fn as_f64(self) -> f64 {
        match self {
            Self::Whole(n) => n as f64,
            Self::Real(x) => x,
        }
    }
}

impl std::fmt::Display for Amount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Whole(n) => n.fmt(f),
            Self::Real(x) => x.fmt(f),
        }
    }
}

/// Where a bound is kept, to be written.
pub(crate) enum Slot<'a> {
    Whole(&'a mut Option<u64>),
    Real(&'a mut Option<f64>),
}

trait Number: Copy {
    fn amount(self) -> Amount;
    fn slot(field: &mut Option<Self>) -> Slot<'_>;
}

impl Number for u64 {
    fn amount(self) -> Amount {
        Amount::Whole(self)
    }

    fn slot(field: &mut Option<Self>) -> Slot<'_> {
        Slot::Whole(field)
    }
}

impl Number for f64 {
    fn amount(self) -> Amount {
        Amount::Real(self)
    }

    fn slot(field: &mut Option<Self>) -> Slot<'_> {
        Slot::Real(field)
    }
}

macro_rules! section {
    ($(#[$doc:meta])+ $section:ident { $($(#[$field_doc:meta])+ $field:ident: $number:ty = $clause:ident,)+ }) => {
        $(#[$doc])+
        #[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct $section {
            $($(#[$field_doc])+ #[serde(skip_serializing_if = "Option::is_none")] pub $field: Option<$number>,)+
        }

        impl $section {
            /// Every bound that is set, with its clause.
            pub fn bounds(&self) -> impl Iterator<Item = (Clause, Amount)> + use<> {
                [$((Clause::$clause, self.$field.map(Number::amount))),+]
                    .into_iter()
                    .filter_map(|(clause, bound)| Some((clause, bound?)))
            }

            pub(crate) fn slot(&mut self, clause: Clause) -> Option<Slot<'_>> {
                match clause {
                    $(Clause::$clause => Some(Number::slot(&mut self.$field)),)+
                    _ => None,
                }
            }

            /// Whether nothing is demanded.
            pub fn is_empty(&self) -> bool {
                *self == Self::default()
            }
        }
    };
}

section! {
    /// Upper bounds that a design keeps or breaks before any weight exists.
    Budgets {
        /// Learned values, frozen ones included.
        params_total: u64 = ParamsTotal,
        /// Learned values that training changes.
        params_trainable: u64 = ParamsTrainable,
        /// Multiply-accumulates to encode one image.
        macs_image: u64 = MacsImage,
        /// Those of them in parts that training changes: what an epoch costs, where features of frozen parts are kept.
        macs_trained: u64 = MacsTrained,
        /// Multiply-accumulates for one word of one hypothesis.
        macs_token: u64 = MacsToken,
        /// Bytes of all weights and buffers at 32 bits.
        weight_bytes: u64 = WeightBytes,
    }
}

section! {
    /// Upper bounds on what is measured of a finished model, as `[measuring]` says.
    Limits {
        /// Peak resident memory of a process that captions, in bytes.
        memory_bytes: u64 = MemoryBytes,
        /// Peak resident memory of a process that trains, in bytes.
        training_memory_bytes: u64 = TrainingMemoryBytes,
        /// Median time from image files to the captions of one batch, in milliseconds.
        latency_p50_ms: f64 = LatencyP50,
        /// The same, 95th percentile.
        latency_p95_ms: f64 = LatencyP95,
        /// Training time of the design, in wall seconds.
        training_seconds: f64 = TrainingSeconds,
        /// Energy for one caption, in joules.
        energy_joules: f64 = EnergyJoules,
        /// Largest share of images that get one and the same caption, between 0 and 1.
        identical_share: f64 = IdenticalShare,
    }
}

section! {
    /// Lower bounds on the quality of a finished model.
    Floors {
        /// Corpus BLEU-1, between 0 and 1.
        bleu1: f64 = Bleu1,
        /// Corpus BLEU-2, between 0 and 1.
        bleu2: f64 = Bleu2,
        /// Corpus BLEU-3, between 0 and 1.
        bleu3: f64 = Bleu3,
        /// Corpus BLEU-4, between 0 and 1.
        bleu4: f64 = Bleu4,
        /// CIDEr-D, between 0 and 10.
        cider_d: f64 = CiderD,
        /// Different captions over the scored images.
        distinct_captions: u64 = DistinctCaptions,
    }
}

/// How limits and floors are measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Measuring {
    /// Device: `cpu`.
    pub device: String,
    /// Images captioned at once.
    pub batch: u32,
    /// How sure a floor must be: the lower end of that two-sided bootstrap interval has to keep it. 0 compares the
    /// score itself.
    pub confidence: f64,
}

impl Default for Measuring {
    fn default() -> Self {
        Self { device: "cpu".to_owned(), batch: 1, confidence: 0.0 }
    }
}

impl Measuring {
    /// Whether all is as by default.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What a number of a blueprint may be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Range {
    /// Smallest value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// Largest value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
}

impl Range {
    /// Whether the range holds a value.
    pub fn holds(&self, value: f64) -> bool {
        self.min.is_none_or(|min| Side::Lower.keeps(value, min))
            && self.max.is_none_or(|max| Side::Upper.keeps(value, max))
    }
}

impl std::fmt::Display for Range {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.min, self.max) {
            (Some(min), Some(max)) if min == max => write!(f, "{min}"),
            (Some(min), Some(max)) => write!(f, "between {min} and {max}"),
            (Some(min), None) => write!(f, "at least {min}"),
            (None, Some(max)) => write!(f, "at most {max}"),
            (None, None) => f.write_str("any"),
        }
    }
}

/// Ranges by the name of the field, as the language calls it: `hidden`, `layers`, `lr`. They hold for every field of
/// that name in bridge, decoder and recipe; a design without such a field keeps them.
pub type Ranges = BTreeMap<String, Range>;

/// Allowed licences as SPDX identifiers; an empty list allows every one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Licences {
    /// Of pretrained weights.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub weights: Vec<String>,
    /// Of images and captions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub data: Vec<String>,
}

impl Licences {
    /// Whether every licence is allowed.
    pub fn is_empty(&self) -> bool {
        self.weights.is_empty() && self.data.is_empty()
    }
}

/// The validation score by which the epochs of a trial are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Score {
    /// Corpus BLEU-4.
    #[default]
    Bleu4,
    /// Corpus CIDEr-D.
    CiderD,
}

impl Score {
    /// The field's name of it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bleu4 => "BLEU-4",
            Self::CiderD => "CIDEr-D",
        }
    }
}

/// What designs that keep all bounds are ranked by. Scores are better high, costs low.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Merit {
    /// BLEU-4 on the validation split.
    Bleu4,
    /// CIDEr-D on the validation split.
    CiderD,
    /// Learned values, frozen ones included.
    ParamsTotal,
    /// Learned values that training changes.
    ParamsTrainable,
    /// Multiply-accumulates for one image.
    MacsImage,
    /// Multiply-accumulates for one word.
    MacsToken,
    /// Bytes of weights.
    WeightBytes,
    /// Wall seconds of training.
    TrainingSeconds,
    /// Milliseconds of a caption, as the trial measured them.
    CaptionMs,
    /// Joules of a caption, as the trial measured them, where the processor's counters can be read.
    CaptionJoules,
}

impl Merit {
    /// What it is, in a few words.
    pub fn noun(self) -> &'static str {
        match self {
            Self::Bleu4 => "BLEU-4",
            Self::CiderD => "CIDEr-D",
            Self::ParamsTotal => "parameters in total",
            Self::ParamsTrainable => "trainable parameters",
            Self::MacsImage => "multiply-accumulates per image",
            Self::MacsToken => "multiply-accumulates per word",
            Self::WeightBytes => "bytes of weights",
            Self::TrainingSeconds => "seconds of training",
            Self::CaptionMs => "milliseconds of a caption",
            Self::CaptionJoules => "joules of a caption",
        }
    }

    /// Whether it is better high.
    pub fn is_score(self) -> bool {
        matches!(self, Self::Bleu4 | Self::CiderD)
    }
}

impl std::fmt::Display for Merit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, {} first", self.noun(), if self.is_score() { "high" } else { "few" })
    }
}

/// A wish. Objectives are compared in their order: of two designs whose first merit differs by no more than `within`
/// from the best, the next objective decides.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Objective {
    /// What is compared.
    pub merit: Merit,
    /// Distance to the best that counts as equal, in the merit's own unit; 0 where left out.
    #[serde(default)]
    pub within: f64,
}
