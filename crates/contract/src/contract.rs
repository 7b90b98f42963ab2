//! The contract of a study: what every design of it must keep, and how all of them are trained and decoded.

use crate::clause::Clause;
use crate::decoding::Decoding;
use crate::faults;
use crate::sections::{Components, Data, Search, Training};
use crate::terms::{Amount, Budgets, Floors, Licences, Limits, Measuring, Merit, Objective, Ranges, Score};
use capwright_blueprint::Target;
use serde::{Deserialize, Serialize};

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
