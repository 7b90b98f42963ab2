//! The contract of a study: what every design of it must keep, and how all of them are trained and decoded.

use crate::clause::Clause;
use crate::decoding::Decoding;
use crate::faults;
use crate::terms::{Amount, Budgets, Floors, Licences, Limits, Measuring, Merit, Objective, Ranges, Score};
use capwright_blueprint::language::{Cell, Decoder};
use capwright_blueprint::{Blueprint, Target};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The contract version that this crate reads and writes.
pub const VERSION: u32 = 1;

/// Largest bound, seed or count of a contract: TOML's integers end there.
pub const MAX_BOUND: u64 = i64::MAX as u64;

/// What is demanded of a captioner. As a person writes it, every section but the version may be left out; a study adds
/// the data, and is fixed from then on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contract {
    /// Version of this format: [`VERSION`].
    pub version: u32,
    /// The request in the person's own words.
    #[serde(default)]
    pub request: String,
    /// Upper bounds on what a design costs.
    #[serde(default, skip_serializing_if = "Budgets::is_empty")]
    pub budgets: Budgets,
    /// Upper bounds on what is measured.
    #[serde(default, skip_serializing_if = "Limits::is_empty")]
    pub limits: Limits,
    /// Lower bounds on quality.
    #[serde(default, skip_serializing_if = "Floors::is_empty")]
    pub floors: Floors,
    /// How limits and floors are measured.
    #[serde(default, skip_serializing_if = "Measuring::is_default")]
    pub measuring: Measuring,
    /// What hyperparameters may be.
    #[serde(default, skip_serializing_if = "Ranges::is_empty")]
    pub ranges: Ranges,
    /// Whose weights and data may be used.
    #[serde(default, skip_serializing_if = "Licences::is_empty")]
    pub licences: Licences,
    /// What designs may be made of.
    #[serde(default)]
    pub components: Components,
    /// How captions are decoded.
    #[serde(default)]
    pub decoding: Decoding,
    /// How long each design is trained.
    #[serde(default)]
    pub training: Training,
    /// How long the search goes on.
    #[serde(default)]
    pub search: Search,
    /// What is trained on.
    #[serde(default, skip_serializing_if = "Data::is_empty")]
    pub data: Data,
    /// What designs that keep all bounds are ranked by; BLEU-4 where left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub objectives: Vec<Objective>,
}

impl Default for Contract {
    /// A contract that demands nothing.
    fn default() -> Self {
        Self {
            version: VERSION,
            request: String::new(),
            budgets: Budgets::default(),
            limits: Limits::default(),
            floors: Floors::default(),
            measuring: Measuring::default(),
            ranges: Ranges::default(),
            licences: Licences::default(),
            components: Components::default(),
            decoding: Decoding::default(),
            training: Training::default(),
            search: Search::default(),
            data: Data::default(),
            objectives: Vec::new(),
        }
    }
}

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
    /// Stop after that many epochs without a better validation score ([`Contract::score`]).
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

/// A text that is no contract, or a contract that cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum ContractError {
    /// Not TOML, or not these fields.
    #[error("this is not a contract: {0}")]
    Read(#[source] Box<toml::de::Error>),
    /// Cannot be written as TOML.
    #[error("the contract cannot be written as TOML: {0}")]
    Write(#[source] Box<toml::ser::Error>),
    /// Written by another version.
    #[error(
        "the contract has version {0}, this program reads version {VERSION}; use the program that wrote it"
    )]
    Version(u32),
    /// Values that make no sense, all of them.
    #[error("the contract cannot be kept: {}", .0.join("; "))]
    Invalid(Vec<String>),
}

impl Contract {
    /// Reads and checks a contract.
    ///
    /// # Errors
    /// The text is not TOML with exactly these fields, has another version, or fails [`Contract::check`].
    pub fn from_toml(text: &str) -> Result<Self, ContractError> {
        let contract: Self = toml::from_str(text).map_err(|e| ContractError::Read(Box::new(e)))?;
        contract.check()?;
        Ok(contract)
    }

    /// The score by which the epochs of a trial are compared: the first that is an objective, else BLEU-4.
    pub fn score(&self) -> Score {
        let of = |objective: &Objective| match objective.merit {
            Merit::Bleu4 => Some(Score::Bleu4),
            Merit::CiderD => Some(Score::CiderD),
            _ => None,
        };
        self.objectives.iter().find_map(of).unwrap_or_default()
    }

    /// Writes the contract; [`Contract::from_toml`] reads the same contract back.
    ///
    /// # Errors
    /// The contract fails [`Contract::check`], or its folder's name is not Unicode.
    pub fn to_toml(&self) -> Result<String, ContractError> {
        self.check()?;
        toml::to_string(self).map_err(|e| ContractError::Write(Box::new(e)))
    }

    /// Checks that the contract makes sense; one with data is that of a study.
    ///
    /// # Errors
    /// [`ContractError::Version`], or [`ContractError::Invalid`] with every fault.
    pub fn check(&self) -> Result<(), ContractError> {
        if self.version != VERSION {
            return Err(ContractError::Version(self.version));
        }
        let faults = faults::of(self);
        if faults.is_empty() { Ok(()) } else { Err(ContractError::Invalid(faults)) }
    }

    /// Every numeric bound that is set, in the order of the clauses.
    pub fn bounds(&self) -> Vec<(Clause, Amount)> {
        let mut all: Vec<(Clause, Amount)> = self.budgets.bounds().collect();
        all.extend(self.limits.bounds());
        all.extend(self.floors.bounds());
        all.extend(self.data.max_vocab.map(|n| (Clause::MaxVocab, Amount::Whole(n))));
        all.extend(self.search.token_budget.map(|n| (Clause::TokenBudget, Amount::Whole(n))));
        all.extend(self.search.money_usd.map(|x| (Clause::MoneyUsd, Amount::Real(x))));
        all
    }

    /// What designs are lowered for.
    pub fn target(&self) -> Target {
        Target { vocab: self.data.vocab, max_words: self.decoding.max_words }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A contract that allows everything.
    pub(crate) fn open_contract() -> Contract {
        Contract {
            version: VERSION,
            request: "a light captioner, \"quoted\"\nand broken".to_owned(),
            budgets: Budgets { params_total: Some(5_000_000), ..Budgets::default() },
            components: Components {
                backbones: Some(vec!["mobilenet_v2".to_owned()]),
                image_sizes: vec![224],
                ..Components::default()
            },
            training: Training { epochs: 4, self_critical: 1, patience: 2, seed: 7 },
            data: Data {
                dir: "data/scenes".into(),
                fingerprint: "ab12".to_owned(),
                min_count: 1,
                vocab: 90,
                max_vocab: None,
                pieces: Some(90),
            },
            ..Contract::default()
        }
    }

    #[test]
    fn toml_gives_the_same_contract_back() {
        let mut contract = open_contract();
        contract.search.token_budget = Some(1000);
        contract.budgets.macs_token = Some(MAX_BOUND);
        contract.limits.latency_p50_ms = Some(20.5);
        contract.floors.bleu4 = Some(0.2);
        contract.measuring.confidence = 0.95;
        contract.ranges.insert("hidden".to_owned(), crate::Range { min: Some(256.0), max: None });
        contract.components.forbidden.push("cbam".to_owned());
        contract.licences.weights.push("MIT".to_owned());
        contract.objectives.push(Objective { merit: Merit::ParamsTotal, within: 0.0 });
        contract.objectives.push(Objective { merit: Merit::CiderD, within: 0.01 });
        contract.objectives.push(Objective { merit: Merit::Bleu4, within: 0.01 });
        assert_eq!(contract.score(), Score::CiderD);
        let text = contract.to_toml().expect("valid");
        assert_eq!(Contract::from_toml(&text).expect("reads its own text"), contract);
    }

    #[test]
    fn a_person_may_leave_out_all_but_the_version() {
        assert_eq!(Contract::from_toml("version = 1").expect("a contract"), Contract::default());
        let limited = Contract::from_toml("version = 1\n[limits]\nlatency_p50_ms = 20").expect("a contract");
        assert_eq!(limited.limits.latency_p50_ms, Some(20.0));
        assert!(Contract::from_toml("version = 1\n[limits]\nlatency_ms = 20").is_err());
    }

    #[test]
    fn unknown_fields_and_versions_are_refused() {
        let text = open_contract().to_toml().expect("valid");
        let extra = text.replace("[budgets]", "[budgets]\nparams_totl = 3");
        let error = Contract::from_toml(&extra).expect_err("unknown field");
        assert!(error.to_string().contains("params_totl"), "{error}");
        let newer = text.replace("version = 1", "version = 2");
        assert!(matches!(Contract::from_toml(&newer), Err(ContractError::Version(2))));
    }

    #[test]
    fn all_faults_are_said_at_once() {
        let mut contract = open_contract();
        contract.decoding.beam = 0;
        contract.components.families.clear();
        contract.components.backbones = Some(Vec::new());
        contract.components.scratch = false;
        contract.budgets.weight_bytes = Some(0);
        contract.training.seed = u64::MAX;
        let Err(ContractError::Invalid(faults)) = contract.check() else { panic!("must be refused") };
        assert_eq!(faults.len(), 5, "{faults:?}");
        assert!(contract.to_toml().is_err());
    }
}
