//! Events: the lines of a study's ledger.

use crate::{Epoch, LedgerError, TrialResult};
use capwright_blueprint::{Blueprint, Cost, Diagnostic};
use capwright_contract::{Contract, Violation};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Something that happened in a study, in the order in which it was acknowledged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The study begins: always the first event, and only that.
    StudyOpened(Box<Opened>),
    /// An architect wrote something, and what was thought of it.
    Proposed(Box<Proposal>),
    /// An architect wrote nothing; the proposal ends there.
    ArchitectFailed {
        /// Number of the proposal.
        proposal: u64,
        /// Who failed.
        author: String,
        /// In a sentence.
        reason: String,
        /// Tokens read all the same.
        #[serde(default, skip_serializing_if = "is_zero")]
        prompt_tokens: usize,
        /// Tokens written all the same.
        #[serde(default, skip_serializing_if = "is_zero")]
        completion_tokens: usize,
        /// Whether it answered, only to no use; false where it was away, and in ledgers of versions that did not tell.
        #[serde(default, skip_serializing_if = "is_false")]
        useless: bool,
    },
    /// A worker begins, or begins again after a crash.
    TrialStarted {
        /// Number of the trial.
        trial: u64,
    },
    /// A worker has finished an epoch.
    TrialEpoch {
        /// Number of the trial.
        trial: u64,
        /// Its scores and times.
        epoch: Epoch,
    },
    /// A trial is over and has a result.
    TrialFinished {
        /// Number of the trial.
        trial: u64,
        /// What came of it.
        result: Box<TrialResult>,
    },
    /// A trial that did well waits no longer.
    TrialPromoted {
        /// Number of the trial.
        trial: u64,
        /// Epochs that it may train in all.
        epochs: u32,
    },
    /// A finalist trains once more, from another seed.
    TrialRepeated {
        /// Number of the new run, after those of all trials.
        trial: u64,
        /// The trial whose design it trains.
        of: u64,
    },
    /// A trial is over and has none.
    TrialFailed {
        /// Number of the trial.
        trial: u64,
        /// In a sentence.
        reason: String,
    },
    /// A sitting ends before the study does: until here it was worked on. Missing where the process was killed, and in ledgers of
    /// versions that did not tell.
    StudyPaused,
    /// Somebody goes on with a study that was interrupted.
    StudyResumed,
    /// The study is over: always the last event.
    StudyFinished {
        /// The best trial, if any was ranked.
        best: Option<u64>,
    },
}

/// What a study was opened with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Opened {
    /// The contract; it does not change.
    pub contract: Contract,
    /// Seed of the search.
    pub seed: u64,
    /// The architect as the person named it.
    pub architect: String,
    /// Versions of what takes part: program, language model, engine.
    pub versions: BTreeMap<String, String>,
}

/// One text of an architect.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Proposal {
    /// Number of the proposal, from 1; its repairs keep the number.
    pub proposal: u64,
    /// 0 for the first draft, then 1 for each repair.
    pub attempt: u32,
    /// Who wrote it.
    pub author: String,
    /// As written.
    pub text: String,
    /// Trials whose designs it was made from, the chief one first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parents: Vec<u64>,
    /// sha256 of the prompt in hex; `None` where there was none.
    pub prompt_sha256: Option<String>,
    /// Tokens read.
    pub prompt_tokens: usize,
    /// Tokens written.
    pub completion_tokens: usize,
    /// Wall seconds of writing.
    pub seconds: f64,
    /// What an admitted design was expected to score, once there were designs to learn from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predicted: Option<Prediction>,
    /// What was thought of it.
    pub verdict: Verdict,
}

/// What a design is expected to score before it is trained.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// After that many epochs.
    pub epochs: u32,
    /// The score by which trials are compared.
    pub score: f64,
    /// Standard deviation of what it then has, the noise of one run included.
    pub sd: f64,
}

/// What the checks say to a text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// It is no blueprint.
    Unreadable {
        /// Why.
        diagnostics: Vec<Diagnostic>,
    },
    /// It is a blueprint that does not fit together.
    Rejected {
        /// Why.
        diagnostics: Vec<Diagnostic>,
    },
    /// It fits together and breaks the contract.
    Violates {
        /// Which clauses.
        violations: Vec<Violation>,
    },
    /// It is a design that the study has already.
    Duplicate {
        /// Its canonical hash.
        hash: String,
        /// The trial that has the same.
        trial: u64,
    },
    /// It becomes a trial.
    Admitted {
        /// Number of the new trial.
        trial: u64,
        /// Its canonical hash.
        hash: String,
        /// Its cost.
        cost: Cost,
        /// The design.
        blueprint: Box<Blueprint>,
    },
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

fn is_false(told: &bool) -> bool {
    !told
}

impl Event {
    /// The event's name, as in its JSON.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::StudyOpened(_) => "study_opened",
            Self::Proposed(_) => "proposed",
            Self::ArchitectFailed { .. } => "architect_failed",
            Self::TrialStarted { .. } => "trial_started",
            Self::TrialEpoch { .. } => "trial_epoch",
            Self::TrialFinished { .. } => "trial_finished",
            Self::TrialPromoted { .. } => "trial_promoted",
            Self::TrialRepeated { .. } => "trial_repeated",
            Self::TrialFailed { .. } => "trial_failed",
            Self::StudyPaused => "study_paused",
            Self::StudyResumed => "study_resumed",
            Self::StudyFinished { .. } => "study_finished",
        }
    }

    /// The event as one line of JSON that reads back as the same event.
    ///
    /// # Errors
    /// [`LedgerError::NotWritable`] if it would not: a number is not finite (JSON has no NaN), or a path not Unicode.
    pub fn to_json(&self) -> Result<String, LedgerError> {
        let refuse = |why: String| LedgerError::NotWritable { kind: self.kind(), why };
        let text = serde_json::to_string(self).map_err(|e| refuse(e.to_string()))?;
        match serde_json::from_str::<Self>(&text) {
            Ok(back) if back == *self => Ok(text),
            Ok(_) => Err(refuse("it reads back as another event".to_owned())),
            Err(e) => Err(refuse(format!("it does not read back (is a number not finite?): {e}"))),
        }
    }

    /// Reads an event.
    ///
    /// # Errors
    /// [`LedgerError::NotAnEvent`].
    pub fn from_json(text: &str) -> Result<Self, LedgerError> {
        serde_json::from_str(text).map_err(|e| LedgerError::NotAnEvent(e.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::samples;

    #[test]
    fn every_event_reads_back_and_names_its_kind() {
        for event in samples() {
            let text = event.to_json().expect("writable");
            assert!(text.starts_with(&format!("{{\"event\":\"{}\"", event.kind())), "{text}");
            assert_eq!(Event::from_json(&text).expect("readable"), event);
        }
    }

    #[test]
    fn numbers_that_json_lacks_are_refused() {
        let mut events = samples();
        let epoch = events.iter_mut().find_map(|e| match e {
            Event::TrialEpoch { epoch, .. } => Some(epoch),
            _ => None,
        });
        epoch.expect("samples hold an epoch").loss = f64::NAN;
        let refused: Vec<&str> = events.iter().filter(|e| e.to_json().is_err()).map(Event::kind).collect();
        assert_eq!(refused, ["trial_epoch"]);
    }
}
