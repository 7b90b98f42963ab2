//! The contract of a study: what every design of it must keep, and how all of them are trained and decoded.

use capwright_blueprint::language::{Cell, Decoder, ImageSize};
use capwright_blueprint::{Blueprint, Target};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The contract version that this crate reads and writes.
pub const VERSION: u32 = 1;

/// Largest bound, seed or count of a contract: TOML's integers end there.
pub const MAX_BOUND: u64 = i64::MAX as u64;

/// Everything that is fixed before the first design of a study is proposed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contract {
    /// Version of this format: [`VERSION`].
    pub version: u32,
    /// The request in the person's own words.
    pub request: String,
    /// Upper bounds on what a design costs.
    #[serde(default)]
    pub budgets: Budgets,
    /// What designs may be made of.
    pub components: Components,
    /// How captions are decoded.
    pub decoding: Decoding,
    /// How long each design is trained.
    pub training: Training,
    /// How long the search goes on.
    pub search: Search,
    /// What is trained on.
    pub data: Data,
}

/// Upper bounds on the cost of a design. Each is inclusive; a missing one is no bound.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budgets {
    /// Learned values, frozen ones included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub params_total: Option<u64>,
    /// Learned values that training changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub params_trainable: Option<u64>,
    /// Multiply-accumulates to encode one image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub macs_image: Option<u64>,
    /// Multiply-accumulates for one word of one hypothesis.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub macs_token: Option<u64>,
    /// Bytes of all weights and buffers at 32 bits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight_bytes: Option<u64>,
}

/// What designs may be made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Components {
    /// Names of the zoo's backbones that may be used; empty for none.
    pub backbones: Vec<String>,
    /// Whether encoders trained from scratch may be used.
    pub scratch: bool,
    /// Decoder families that may be used.
    pub families: Vec<Family>,
    /// Sides in pixels that images may be resized to; empty for every side of the language.
    pub image_sizes: Vec<u32>,
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
}

impl Family {
    /// Every family.
    pub const ALL: [Self; 3] = [Self::Lstm, Self::Gru, Self::Transformer];

    /// The family of a design's decoder.
    pub fn of(blueprint: &Blueprint) -> Self {
        match blueprint.decoder {
            Decoder::Recurrent { cell: Cell::Lstm, .. } => Self::Lstm,
            Decoder::Recurrent { cell: Cell::Gru, .. } => Self::Gru,
            Decoder::Transformer { .. } => Self::Transformer,
        }
    }
}

impl std::fmt::Display for Family {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Lstm => "LSTM",
            Self::Gru => "GRU",
            Self::Transformer => "Transformer",
        })
    }
}

/// How captions are decoded: fixed for a study, so that scores compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decoding {
    /// Beam width; 1 is greedy.
    pub beam: usize,
    /// Longest caption in words.
    pub max_words: usize,
}

/// How long each design is trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Training {
    /// At most that many epochs.
    pub epochs: u32,
    /// Stop after that many epochs without a better validation BLEU-4.
    pub patience: u32,
    /// Seed of initial weights, order and dropout.
    pub seed: u64,
}

/// How long the search goes on, and what the architect is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Search {
    /// Designs to train.
    pub trials: u32,
    /// Stop after that many proposals, admitted or not.
    pub max_proposals: u32,
    /// Repair rounds for one proposal.
    pub repairs: u32,
    /// Zoo snippets shown to a language model as inspiration.
    pub snippets: u32,
    /// Stop proposing once the architect has written that many tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_budget: Option<u64>,
}

/// What is trained on. Designs are trained on the `train` split, chosen on `val`, reported on `test`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// The data folder.
    pub dir: PathBuf,
    /// Fingerprint of its content.
    pub fingerprint: String,
    /// Words seen fewer times than that in training captions are unknown.
    pub min_count: u32,
    /// Words of the vocabulary that follows, the four specials included.
    pub vocab: usize,
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

    /// Writes the contract; [`Contract::from_toml`] reads the same contract back.
    ///
    /// # Errors
    /// The contract fails [`Contract::check`], or its folder's name is not Unicode.
    pub fn to_toml(&self) -> Result<String, ContractError> {
        self.check()?;
        toml::to_string(self).map_err(|e| ContractError::Write(Box::new(e)))
    }

    /// Checks that a study can be run under the contract.
    ///
    /// # Errors
    /// [`ContractError::Version`], or [`ContractError::Invalid`] with every fault.
    pub fn check(&self) -> Result<(), ContractError> {
        if self.version != VERSION {
            return Err(ContractError::Version(self.version));
        }
        let faults: Vec<String> =
            self.rules().into_iter().filter(|(kept, _)| !kept).map(|(_, fault)| fault).collect();
        if faults.is_empty() { Ok(()) } else { Err(ContractError::Invalid(faults)) }
    }

    /// Each rule: whether it is kept, and what to say if not.
    fn rules(&self) -> Vec<(bool, String)> {
        let parts = &self.components;
        let mut rules: Vec<(bool, String)> = [
            (!parts.families.is_empty(), "components.families is empty; name lstm, gru or transformer"),
            (
                parts.scratch || !parts.backbones.is_empty(),
                "no encoder is allowed; name a backbone in components.backbones or set components.scratch",
            ),
            (
                parts.image_sizes.iter().all(|size| ImageSize::CHOICES.contains(size)),
                "components.image_sizes holds a side that the language does not know; see `capwright search --help`",
            ),
            ((1..=64).contains(&self.decoding.beam), "decoding.beam must lie between 1 (greedy) and 64"),
            ((1..=100).contains(&self.decoding.max_words), "decoding.max_words must lie between 1 and 100"),
            (self.training.epochs > 0, "training.epochs is 0; train at least one epoch"),
            (self.search.trials > 0, "search.trials is 0; train at least one design"),
            (self.search.max_proposals > 0, "search.max_proposals is 0; allow at least one proposal"),
            (self.data.vocab > 4, "data.vocab counts no word beyond the four specials"),
        ]
        .into_iter()
        .map(|(kept, fault)| (kept, fault.to_owned()))
        .collect();
        for (name, bound) in self.budgets.named() {
            let kept = bound.is_none_or(|b| (1..=MAX_BOUND).contains(&b));
            rules.push((kept, format!("budgets.{name} must lie between 1 and {MAX_BOUND}")));
        }
        let seed = self.training.seed <= MAX_BOUND;
        rules.push((seed, format!("training.seed must not exceed {MAX_BOUND}")));
        let tokens = self.search.token_budget.is_none_or(|t| t <= MAX_BOUND);
        rules.push((tokens, format!("search.token_budget must not exceed {MAX_BOUND}")));
        rules
    }

    /// What designs are lowered for.
    pub fn target(&self) -> Target {
        Target { vocab: self.data.vocab, max_words: self.decoding.max_words }
    }
}

impl Budgets {
    /// Each bound with the name of its field.
    fn named(&self) -> [(&'static str, Option<u64>); 5] {
        [
            ("params_total", self.params_total),
            ("params_trainable", self.params_trainable),
            ("macs_image", self.macs_image),
            ("macs_token", self.macs_token),
            ("weight_bytes", self.weight_bytes),
        ]
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
                backbones: vec!["mobilenet_v2".to_owned()],
                scratch: true,
                image_sizes: vec![224],
                families: Family::ALL.to_vec(),
            },
            decoding: Decoding { beam: 3, max_words: 20 },
            training: Training { epochs: 4, patience: 2, seed: 7 },
            search: Search { trials: 6, max_proposals: 60, repairs: 2, snippets: 5, token_budget: None },
            data: Data { dir: "data/scenes".into(), fingerprint: "ab12".to_owned(), min_count: 1, vocab: 90 },
        }
    }

    #[test]
    fn toml_gives_the_same_contract_back() {
        let mut contract = open_contract();
        contract.search.token_budget = Some(1000);
        contract.budgets.macs_token = Some(MAX_BOUND);
        let text = contract.to_toml().expect("valid");
        assert_eq!(Contract::from_toml(&text).expect("reads its own text"), contract);
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
        contract.components.backbones.clear();
        contract.components.scratch = false;
        contract.budgets.weight_bytes = Some(0);
        contract.training.seed = u64::MAX;
        let Err(ContractError::Invalid(faults)) = contract.check() else { panic!("must be refused") };
        assert_eq!(faults.len(), 5, "{faults:?}");
        assert!(contract.to_toml().is_err());
    }
}
