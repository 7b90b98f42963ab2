//! What a study has come to.

use crate::{Epoch, Opened, Prediction, TrialResult};
use capwright_blueprint::{Blueprint, Cost};
use capwright_contract::Contract;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a study has come to.
#[derive(Debug, Clone, PartialEq)]
pub struct Study {
    /// What it was opened with.
    pub opened: Opened,
    /// Admitted designs by number.
    pub trials: BTreeMap<u64, Trial>,
    /// Further runs of finalists from other seeds, by numbers that go on from those of the trials.
    pub repeats: BTreeMap<u64, Repeat>,
    /// Canonical hash to the trial that has it.
    pub hashes: BTreeMap<String, u64>,
    /// Proposals by number.
    pub proposals: BTreeMap<u64, ProposalState>,
    /// How each author has fared.
    pub authors: BTreeMap<String, AuthorStats>,
    /// Failures of the architect since it last wrote something.
    pub failures: Failures,
    /// `Some(best)` once the study is over.
    pub finished: Option<Option<u64>>,
}

/// Failures of the architect in a row, over all sittings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Failures {
    /// How many.
    pub all: u32,
    /// Those of which the ledger says that it answered, to no use.
    pub useless: u32,
}

/// How far a proposal has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProposalState {
    /// Who made it.
    pub author: String,
    /// Texts so far.
    pub attempts: u32,
    /// Trials whose designs the last of them was made from.
    pub parents: Vec<u64>,
    /// Whether it is over: admitted, or its architect failed.
    pub settled: bool,
}

/// An admitted design and what came of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// Who proposed it.
    pub author: String,
    /// In which proposal.
    pub proposal: u64,
    /// At which attempt: 0 without repair.
    pub attempt: u32,
    /// Trials whose designs it was made from, the chief one first.
    pub parents: Vec<u64>,
    /// The design.
    pub blueprint: Blueprint,
    /// Its canonical hash.
    pub hash: String,
    /// Its cost as admitted.
    pub cost: Cost,
    /// What it was expected to score.
    pub predicted: Option<Prediction>,
    /// Epochs so far, from 1 without gaps.
    pub epochs: Vec<Epoch>,
    /// How many times a worker has started on it.
    pub runs: u32,
    /// Epochs that it may train, once it was promoted.
    pub granted: Option<u32>,
    /// The next trial's number when it was last promoted: it goes on beside trials from that on.
    pub promoted_before: Option<u64>,
    /// What had come of it when it was promoted.
    pub earlier: Option<Box<TrialResult>>,
    /// How far it is.
    pub status: TrialStatus,
    /// Whether a worker has started again and said nothing yet.
    pub(crate) resumed: bool,
}

/// A design trained once more, from another seed.
#[derive(Debug, Clone, PartialEq)]
pub struct Repeat {
    /// The trial of the design.
    pub of: u64,
    /// This run of it.
    pub run: Trial,
}

/// How far a trial is.
#[derive(Debug, Clone, PartialEq)]
pub enum TrialStatus {
    /// No worker has started, or none again since it was promoted.
    Admitted,
    /// A worker has started, and may have died since.
    Running,
    /// Over, with a result.
    Finished(Box<TrialResult>),
    /// Over, without one; the reason in a sentence.
    Failed(String),
}

/// How an author has fared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct AuthorStats {
    /// Proposals begun.
    pub proposals: u64,
    /// Texts, repairs included.
    pub drafts: u64,
    /// Texts that were no blueprint.
    pub unreadable: u64,
    /// Blueprints that did not fit together.
    pub rejected: u64,
    /// Designs that broke the contract.
    pub violating: u64,
    /// Designs that the study had already.
    pub duplicates: u64,
    /// Times that nothing came.
    pub failed: u64,
    /// Designs admitted as first written.
    pub admitted_first: u64,
    /// Designs admitted after a repair.
    pub admitted_repaired: u64,
    /// Tokens read.
    pub prompt_tokens: u64,
    /// Tokens written.
    pub completion_tokens: u64,
    /// Wall seconds of writing.
    pub seconds: f64,
}

/// Tokens of all authors.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tokens {
    /// Read.
    pub prompt: u64,
    /// Written.
    pub completion: u64,
}

impl Study {
    /// The contract.
    pub fn contract(&self) -> &Contract {
        &self.opened.contract
    }

    /// Whether this very epoch of a trial is told already.
    pub fn has_epoch(&self, trial: u64, epoch: &Epoch) -> bool {
        self.run(trial).is_some_and(|trial| trial.epochs.contains(epoch))
    }

    /// A trial or a repetition.
    pub fn run(&self, number: u64) -> Option<&Trial> {
        self.trials.get(&number).or_else(|| self.repeats.get(&number).map(|repeat| &repeat.run))
    }

    /// Number of the next trial or repetition, from 1.
    pub fn next_trial(&self) -> u64 {
        (self.trials.len() + self.repeats.len()) as u64 + 1
    }

    /// Number of the next proposal, from 1.
    pub fn next_proposal(&self) -> u64 {
        self.proposals.len() as u64 + 1
    }

    /// Tokens of all authors.
    pub fn tokens(&self) -> Tokens {
        self.authors.values().fold(Tokens::default(), |sum, a| Tokens {
            prompt: sum.prompt.saturating_add(a.prompt_tokens),
            completion: sum.completion.saturating_add(a.completion_tokens),
        })
    }

    /// Wall seconds of all runs of a trial's design: of one without a result those of its epochs.
    pub fn seconds(&self, trial: u64) -> f64 {
        let runs = self.runs_of(trial).filter_map(|run| self.run(run));
        runs.map(|run| run.result().map_or_else(|| run.epoch_seconds(), |result| result.seconds)).sum()
    }

    /// Trials and repetitions that are not over, in order: what a resumed study trains first.
    pub fn unfinished(&self) -> Vec<u64> {
        let open = |t: &Trial| matches!(t.status, TrialStatus::Admitted | TrialStatus::Running);
        let repeats = self.repeats.iter().map(|(number, repeat)| (number, &repeat.run));
        let mut all: Vec<u64> =
            self.trials.iter().chain(repeats).filter(|(_, t)| open(t)).map(|(n, _)| *n).collect();
        all.sort_unstable();
        all
    }
}

impl Trial {
    /// What has come of it: its result, or that before it was promoted while it is under way again. None for a trial that
    /// failed, whatever it was before.
    pub fn result(&self) -> Option<&TrialResult> {
        match &self.status {
            TrialStatus::Finished(result) => Some(result),
            TrialStatus::Failed(_) => None,
            TrialStatus::Admitted | TrialStatus::Running => self.earlier.as_deref(),
        }
    }
}
