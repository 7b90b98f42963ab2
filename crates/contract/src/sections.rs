//! The sections of a contract that set up a study: components, training, search, data.

use capwright_blueprint::Blueprint;
use capwright_blueprint::language::{Cell, Decoder};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What designs may be made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Components {
    /// Names of the zoo's backbones that may be used, none if empty. Where left out, any may; a search then tries the usual ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backbones: Option<Vec<String>>,
    /// Whether encoders trained from scratch may be used.
    pub scratch: bool,
    /// Decoder families that may be used.
    pub families: Vec<Family>,
    /// Sides in pixels that images may be resized to; empty for every side of the language.
    pub image_sizes: Vec<u32>,
    /// Parts that every design has, by the words of the language: `cbam`, `additive`, `attention` for any attention.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub required: Vec<String>,
    /// Parts that no design has.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub forbidden: Vec<String>,
}

impl Default for Components {
    fn default() -> Self {
        Self {
            backbones: None,
            scratch: true,
            families: Family::ALL.to_vec(),
            image_sizes: Vec::new(),
            required: Vec::new(),
            forbidden: Vec::new(),
        }
    }
}

impl Components {
    /// Whether a backbone may be used.
    pub fn allows_backbone(&self, name: &str) -> bool {
        self.backbones.as_ref().is_none_or(|names| names.iter().any(|n| n == name))
    }
}

/// A family of decoders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// Recurrent with long short-term memory cells.
    Lstm,
    /// Recurrent with gated recurrent units.
    Gru,
    /// Transformer with cross-attention.
    Transformer,
    /// Causal convolutions.
    Convolution,
}

impl Family {
    /// Every family.
    pub const ALL: [Self; 4] = [Self::Lstm, Self::Gru, Self::Transformer, Self::Convolution];

    /// The family of a design's decoder.
    pub fn of(blueprint: &Blueprint) -> Self {
        Self::of_decoder(&blueprint.decoder)
    }

    pub(crate) fn of_decoder(decoder: &Decoder) -> Self {
        match decoder {
            Decoder::Recurrent { cell: Cell::Lstm, .. } => Self::Lstm,
            Decoder::Recurrent { cell: Cell::Gru, .. } => Self::Gru,
            Decoder::TopDown { .. } => Self::Lstm,
            Decoder::Transformer { .. } => Self::Transformer,
            Decoder::Convolution { .. } => Self::Convolution,
        }
    }
}

impl std::fmt::Display for Family {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Lstm => "LSTM",
            Self::Gru => "GRU",
            Self::Transformer => "Transformer",
            Self::Convolution => "convolution",
        })
    }
}

/// How long each design is trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Training {
    /// At most that many epochs of teacher forcing.
    pub epochs: u32,
    /// At most that many epochs of self-critical training (CIDEr-D as reward) after them.
    #[serde(skip_serializing_if = "none")]
    pub self_critical: u32,
    /// Stop after that many epochs without a better validation score ([`Contract::score`](crate::Contract::score)).
    pub patience: u32,
    /// Seed of initial weights, order and dropout.
    pub seed: u64,
}

fn none(count: &u32) -> bool {
    *count == 0
}

impl Default for Training {
    fn default() -> Self {
        Self { epochs: 6, self_critical: 0, patience: 3, seed: 1 }
    }
}

/// How long the search goes on, and what the architect is given.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Search {
    /// Designs to train.
    pub trials: u32,
    /// Stop after that many proposals, admitted or not.
    pub max_proposals: u32,
    /// Repair rounds for one proposal.
    pub repairs: u32,
    /// Train each design for that many epochs first, and only the best on: successive halving. Without it every trial trains to
    /// its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub halving: Option<u32>,
    /// Designs that reach the finals: once all is tried, the best of them train again from other seeds. Without it the first runs
    /// decide.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finalists: Option<u32>,
    /// Runs of a finalist, the first included.
    pub final_runs: u32,
    /// Wall hours that the search may take, over all its sittings: nothing is begun that is not expected to end by then, but for the
    /// training of one design to its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hours: Option<f64>,
    /// Hours that processors may work for trials, all of them together: nothing is begun that is not expected to fit into them, but for
    /// the training of one design to its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_hours: Option<f64>,
    /// Zoo snippets shown to a language model as inspiration.
    pub snippets: u32,
    /// Tell a language model nothing of what was tried and found: to measure what that brings.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub blind: bool,
    /// Stop proposing once the architect has read and written that many tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_budget: Option<u64>,
    /// Stop proposing once the architect has cost that many US dollars, at `usd_per_million_tokens`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub money_usd: Option<f64>,
    /// Price of a million tokens, read or written, in US dollars; a model in this process costs nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usd_per_million_tokens: Option<f64>,
}

impl Default for Search {
    fn default() -> Self {
        Self {
            trials: 6,
            max_proposals: 30,
            repairs: 2,
            halving: None,
            finalists: None,
            final_runs: 3,
            hours: None,
            cpu_hours: None,
            snippets: 5,
            blind: false,
            token_budget: None,
            money_usd: None,
            usd_per_million_tokens: None,
        }
    }
}

impl Search {
    /// Tokens that the architect may read and write: the smaller of what both budgets leave.
    pub fn tokens(&self) -> Option<u64> {
        let price = self.usd_per_million_tokens.filter(|price| *price > 0.0);
        let paid = self.money_usd.zip(price).map(|(usd, price)| (usd / price * 1e6) as u64);
        [self.token_budget, paid].into_iter().flatten().min()
    }
}

/// What is trained on. Designs are trained on the `train` split, chosen on `val`, reported on `test`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Data {
    /// The data folder.
    pub dir: PathBuf,
    /// Fingerprint of its content.
    pub fingerprint: String,
    /// Words seen fewer times than that in training captions are unknown.
    pub min_count: u32,
    /// Words of the vocabulary that follows, the four specials included.
    pub vocab: usize,
    /// Words of the vocabulary at most, the four specials included; the most frequent are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_vocab: Option<u64>,
    /// Word pieces (byte pair encoding) to learn in place of whole words, the four specials included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pieces: Option<u32>,
}

impl Data {
    /// Whether nothing is said of the data.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
