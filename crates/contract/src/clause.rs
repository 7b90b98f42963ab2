//! The clauses of a contract, each with its name, its unit and its side: the one list that reading, checking,
//! measuring and reporting go by.

use serde::{Deserialize, Serialize};

/// What a bound is counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Learned values.
    Parameters,
    /// Multiply-accumulates.
    Macs,
    /// Bytes.
    Bytes,
    /// Milliseconds.
    Milliseconds,
    /// Seconds.
    Seconds,
    /// Joules.
    Joules,
    /// A share between 0 and 1.
    Share,
    /// A score as the COCO evaluation gives it.
    Score,
    /// Captions.
    Captions,
    /// Words.
    Words,
    /// Tokens of a language model.
    Tokens,
    /// US dollars.
    Dollars,
    /// No number: a list of names.
    Names,
}

impl std::fmt::Display for Unit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Parameters => "parameters",
            Self::Macs => "MACs",
            Self::Bytes => "bytes",
            Self::Milliseconds => "ms",
            Self::Seconds => "s",
            Self::Joules => "J",
            Self::Captions => "captions",
            Self::Words => "words",
            Self::Tokens => "tokens",
            Self::Dollars => "USD",
            Self::Share | Self::Score | Self::Names => "",
        })
    }
}

/// Which values a bound allows. Both are inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// At most the bound.
    Upper,
    /// At least the bound.
    Lower,
}

impl Side {
    /// Whether a value keeps a bound.
    pub fn keeps(self, value: f64, bound: f64) -> bool {
        match self {
            Self::Upper => value <= bound,
            Self::Lower => value >= bound,
        }
    }
}

impl std::fmt::Display for Side {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if *self == Self::Upper { "at most" } else { "at least" })
    }
}

macro_rules! clauses {
    ($($name:ident = $text:literal, $side:ident, $unit:ident, $noun:literal;)+) => {
        /// A clause of the contract, named as in its TOML.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum Clause {
            $(#[doc = concat!("A bound on: ", $noun, ".")] #[serde(rename = $text)] $name,)+
        }

        impl Clause {
            /// Every clause.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The clause as printed: `budgets.params_total`.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text),+ }
            }

            /// Which values its bound allows.
            pub fn side(self) -> Side {
                match self { $(Self::$name => Side::$side),+ }
            }

            /// What its bound is counted in.
            pub fn unit(self) -> Unit {
                match self { $(Self::$name => Unit::$unit),+ }
            }

            /// What is bounded, in words: `trainable parameters`.
            pub fn noun(self) -> &'static str {
                match self { $(Self::$name => $noun),+ }
            }
        }
    };
}

clauses! {
    ParamsTotal = "budgets.params_total", Upper, Parameters, "parameters in total";
    ParamsTrainable = "budgets.params_trainable", Upper, Parameters, "trainable parameters";
    MacsImage = "budgets.macs_image", Upper, Macs, "multiply-accumulates per image";
    MacsTrained = "budgets.macs_trained", Upper, Macs, "trained multiply-accumulates per image";
    MacsToken = "budgets.macs_token", Upper, Macs, "multiply-accumulates per word";
    WeightBytes = "budgets.weight_bytes", Upper, Bytes, "bytes of weights";
    Backbones = "components.backbones", Upper, Names, "backbones";
    Scratch = "components.scratch", Upper, Names, "encoders from scratch";
    Families = "components.families", Upper, Names, "decoder families";
    ImageSizes = "components.image_sizes", Upper, Names, "image sizes";
    Required = "components.required", Lower, Names, "required parts";
    Forbidden = "components.forbidden", Upper, Names, "forbidden parts";
    Ranges = "ranges", Upper, Names, "ranges of hyperparameters";
    MemoryBytes = "limits.memory_bytes", Upper, Bytes, "bytes of peak memory while captioning";
    TrainingMemoryBytes = "limits.training_memory_bytes", Upper, Bytes, "bytes of peak memory in training";
    LatencyP50 = "limits.latency_p50_ms", Upper, Milliseconds, "milliseconds of median latency";
    LatencyP95 = "limits.latency_p95_ms", Upper, Milliseconds, "milliseconds of latency at the 95th percentile";
    TrainingSeconds = "limits.training_seconds", Upper, Seconds, "seconds of training";
    EnergyJoules = "limits.energy_joules", Upper, Joules, "joules for a caption";
    IdenticalShare = "limits.identical_share", Upper, Share, "share of the most frequent caption";
    Bleu1 = "floors.bleu1", Lower, Score, "BLEU-1";
    Bleu2 = "floors.bleu2", Lower, Score, "BLEU-2";
    Bleu3 = "floors.bleu3", Lower, Score, "BLEU-3";
    Bleu4 = "floors.bleu4", Lower, Score, "BLEU-4";
    CiderD = "floors.cider_d", Lower, Score, "CIDEr-D";
    DistinctCaptions = "floors.distinct_captions", Lower, Captions, "distinct captions";
    MaxWords = "decoding.max_words", Upper, Words, "words in a caption";
    MaxVocab = "data.max_vocab", Upper, Words, "words in the vocabulary";
    TokenBudget = "search.token_budget", Upper, Tokens, "tokens of the language model";
    MoneyUsd = "search.money_usd", Upper, Dollars, "dollars for the language model";
    WeightLicences = "licences.weights", Upper, Names, "licences of weights";
    DataLicences = "licences.data", Upper, Names, "licences of data";
}

/// A unit in which the bound of a clause may be said.
pub(crate) fn example_unit(clause: Clause) -> &'static str {
    match clause.unit() {
        Unit::Bytes => "MB",
        Unit::Milliseconds => "ms",
        Unit::Seconds => "minutes",
        Unit::Joules => "J",
        Unit::Dollars => "USD",
        _ => "a count",
    }
}

impl std::fmt::Display for Clause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clauses_are_written_as_they_are_printed_and_all_differ() {
        for clause in Clause::ALL {
            assert_eq!(serde_json::to_value(clause).expect("serialises"), clause.as_str());
        }
        let names: std::collections::BTreeSet<_> = Clause::ALL.iter().map(|c| c.as_str()).collect();
        assert_eq!(names.len(), Clause::ALL.len());
    }
}
