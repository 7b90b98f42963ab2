//! The state of a study as a strict fold over its events.

use crate::{Epoch, Event, LedgerError, Opened, Prediction, Proposal, TrialResult, Verdict};
use capwright_blueprint::{Blueprint, Cost};
use capwright_contract::Contract;
use serde::{Deserialize, Serialize};
use std::borrow::Borrow;
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
    /// `Some(best)` once the study is over.
    pub finished: Option<Option<u64>>,
}

/// How far a proposal has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProposalState {
    /// Who made it.
    pub author: String,
    /// Texts so far.
    pub attempts: u32,
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
    resumed: bool,
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
    /// The study that a list of events makes.
    ///
    /// # Errors
    /// The first [`LedgerError`].
    pub fn fold<I>(events: I) -> Result<Self, LedgerError>
    where
        I: IntoIterator,
        I::Item: Borrow<Event>,
    {
        let mut events = events.into_iter();
        let first = events.next().ok_or(LedgerError::Empty)?;
        let Event::StudyOpened(opened) = first.borrow() else {
            return Err(LedgerError::NotOpened(first.borrow().kind()));
        };
        let mut study = Self {
            opened: opened.as_ref().clone(),
            trials: BTreeMap::new(),
            repeats: BTreeMap::new(),
            hashes: BTreeMap::new(),
            proposals: BTreeMap::new(),
            authors: BTreeMap::new(),
            finished: None,
        };
        for event in events {
            study.apply(event.borrow())?;
        }
        Ok(study)
    }

    /// Takes one more event. On an error nothing has changed, so that an event can be tried before it is stored.
    ///
    /// # Errors
    /// [`LedgerError`] if the event cannot follow.
    pub fn apply(&mut self, event: &Event) -> Result<(), LedgerError> {
        if self.finished.is_some() {
            return Err(LedgerError::AfterEnd(event.kind()));
        }
        match event {
            Event::StudyOpened(_) => Err(LedgerError::OpenedTwice),
            Event::Proposed(proposal) => self.propose(proposal),
            Event::ArchitectFailed { proposal, author, .. } => self.fail_proposal(*proposal, author),
            Event::TrialStarted { trial } => self.start(*trial),
            Event::TrialEpoch { trial, epoch } => self.epoch(*trial, epoch),
            Event::TrialFinished { trial, result } => {
                self.end(*trial, event.kind(), TrialStatus::Finished(result.clone()))
            }
            Event::TrialPromoted { trial, epochs } => self.promote(*trial, *epochs),
            Event::TrialRepeated { trial, of } => self.repeat(*trial, *of),
            Event::TrialFailed { trial, reason } => {
                self.end(*trial, event.kind(), TrialStatus::Failed(reason.clone()))
            }
            Event::StudyResumed => Ok(()),
            Event::StudyFinished { best } => self.finish(*best),
        }
    }

    fn propose(&mut self, p: &Proposal) -> Result<(), LedgerError> {
        let attempts = self.open_proposal(p.proposal)?;
        expect("attempt", u64::from(p.attempt), u64::from(attempts))?;
        self.check_verdict(&p.verdict)?;
        if let Some(unknown) = p.parents.iter().find(|parent| !self.trials.contains_key(parent)) {
            return Err(LedgerError::UnknownTrial(*unknown));
        }
        let settled = matches!(p.verdict, Verdict::Admitted { .. });
        let author = p.author.clone();
        let state = ProposalState { author, attempts: attempts.saturating_add(1), settled };
        self.proposals.insert(p.proposal, state);
        self.authors.entry(p.author.clone()).or_default().count(p);
        if let Verdict::Admitted { trial, hash, cost, blueprint } = &p.verdict {
            self.hashes.insert(hash.clone(), *trial);
            let admitted = Trial {
                author: p.author.clone(),
                proposal: p.proposal,
                attempt: p.attempt,
                parents: p.parents.clone(),
                blueprint: blueprint.as_ref().clone(),
                hash: hash.clone(),
                cost: *cost,
                predicted: p.predicted,
                epochs: Vec::new(),
                runs: 0,
                granted: None,
                promoted_before: None,
                earlier: None,
                status: TrialStatus::Admitted,
                resumed: false,
            };
            self.trials.insert(*trial, admitted);
        }
        Ok(())
    }

    /// Checks that a proposal is open or the next; gives its texts so far.
    fn open_proposal(&self, number: u64) -> Result<u32, LedgerError> {
        match self.proposals.get(&number) {
            Some(state) if state.settled => Err(LedgerError::Settled(number)),
            Some(state) => Ok(state.attempts),
            None => expect("proposal", number, self.next_proposal()).map(|()| 0),
        }
    }

    fn check_verdict(&self, verdict: &Verdict) -> Result<(), LedgerError> {
        match verdict {
            Verdict::Unreadable { .. } | Verdict::Rejected { .. } | Verdict::Violates { .. } => Ok(()),
            Verdict::Duplicate { hash, trial } => {
                let same = self.hashes.get(hash) == Some(trial);
                if same { Ok(()) } else { Err(LedgerError::NotADuplicate(*trial)) }
            }
            Verdict::Admitted { trial, hash, .. } => {
                expect("trial", *trial, self.next_trial())?;
                match self.hashes.get(hash) {
                    Some(first) => Err(LedgerError::SameDesign { trial: *trial, first: *first }),
                    None => Ok(()),
                }
            }
        }
    }

    fn fail_proposal(&mut self, number: u64, author: &str) -> Result<(), LedgerError> {
        let attempts = self.open_proposal(number)?;
        let stats = self.authors.entry(author.to_owned()).or_default();
        stats.failed += 1;
        stats.proposals += u64::from(attempts == 0);
        self.proposals.insert(number, ProposalState { author: author.to_owned(), attempts, settled: true });
        Ok(())
    }

    /// A trial or a repetition.
    fn run_mut(&mut self, number: u64) -> Result<&mut Trial, LedgerError> {
        let repeat = self.repeats.get_mut(&number).map(|repeat| &mut repeat.run);
        self.trials.get_mut(&number).or(repeat).ok_or(LedgerError::UnknownTrial(number))
    }

    fn start(&mut self, number: u64) -> Result<(), LedgerError> {
        let trial = self.run_mut(number)?;
        match trial.status {
            TrialStatus::Admitted => trial.status = TrialStatus::Running,
            TrialStatus::Running => trial.resumed = true,
            TrialStatus::Finished(_) | TrialStatus::Failed(_) => {
                return Err(LedgerError::Over { trial: number, kind: "trial_started" });
            }
        }
        trial.runs = trial.runs.saturating_add(1);
        Ok(())
    }

    /// The trial, if a worker is on it.
    fn running(&mut self, number: u64, kind: &'static str) -> Result<&mut Trial, LedgerError> {
        let trial = self.run_mut(number)?;
        match trial.status {
            TrialStatus::Running => Ok(trial),
            TrialStatus::Admitted => Err(LedgerError::NotStarted { trial: number, kind }),
            TrialStatus::Finished(_) | TrialStatus::Failed(_) => {
                Err(LedgerError::Over { trial: number, kind })
            }
        }
    }

    fn epoch(&mut self, number: u64, epoch: &Epoch) -> Result<(), LedgerError> {
        let trial = self.running(number, "trial_epoch")?;
        let due = trial.epochs.len() as u64 + 1;
        let found = u64::from(epoch.epoch);
        // A resumed worker goes on from its last checkpoint, which may lie some epochs back.
        if trial.resumed && (1..=due).contains(&found) {
            trial.epochs.truncate(epoch.epoch as usize - 1);
        } else {
            expect("epoch", found, due)?;
        }
        trial.resumed = false;
        trial.epochs.push(epoch.clone());
        Ok(())
    }

    fn end(&mut self, number: u64, kind: &'static str, status: TrialStatus) -> Result<(), LedgerError> {
        self.running(number, kind)?.status = status;
        Ok(())
    }

    fn promote(&mut self, number: u64, epochs: u32) -> Result<(), LedgerError> {
        let next = self.next_trial();
        let trial = self.trials.get_mut(&number).ok_or(LedgerError::UnknownTrial(number))?;
        match &trial.status {
            TrialStatus::Finished(result) if result.paused && result.epochs < epochs => {
                trial.promoted_before = Some(next);
                trial.earlier = Some(result.clone());
                trial.status = TrialStatus::Admitted;
                trial.granted = Some(epochs);
                Ok(())
            }
            TrialStatus::Finished(_) | TrialStatus::Failed(_) => {
                Err(LedgerError::Over { trial: number, kind: "trial_promoted" })
            }
            _ => Err(LedgerError::NotWaiting(number)),
        }
    }

    fn repeat(&mut self, number: u64, of: u64) -> Result<(), LedgerError> {
        expect("trial", number, self.next_trial())?;
        let first = self.trials.get(&of).ok_or(LedgerError::UnknownTrial(of))?;
        if !matches!(&first.status, TrialStatus::Finished(result) if !result.paused) {
            return Err(LedgerError::NotRepeatable(of));
        }
        let run = Trial {
            epochs: Vec::new(),
            runs: 0,
            granted: Some(self.contract().training.epochs),
            promoted_before: None,
            earlier: None,
            status: TrialStatus::Admitted,
            ..first.clone()
        };
        self.repeats.insert(number, Repeat { of, run });
        Ok(())
    }

    fn finish(&mut self, best: Option<u64>) -> Result<(), LedgerError> {
        if let Some(number) = best {
            let trial = self.trials.get(&number).ok_or(LedgerError::UnknownTrial(number))?;
            let ranked = matches!(&trial.status, TrialStatus::Finished(r) if !r.scores.collapsed);
            if !ranked {
                return Err(LedgerError::BestUnranked(number));
            }
        }
        self.finished = Some(best);
        Ok(())
    }

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

    /// Wall seconds of all runs of a trial's design.
    pub fn seconds(&self, trial: u64) -> f64 {
        self.runs_of(trial).filter_map(|run| self.run(run)?.result()).map(|result| result.seconds).sum()
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

impl AuthorStats {
    fn count(&mut self, p: &Proposal) {
        self.proposals += u64::from(p.attempt == 0);
        self.drafts += 1;
        self.prompt_tokens = self.prompt_tokens.saturating_add(p.prompt_tokens as u64);
        self.completion_tokens = self.completion_tokens.saturating_add(p.completion_tokens as u64);
        self.seconds += p.seconds;
        let counter = match (&p.verdict, p.attempt) {
            (Verdict::Unreadable { .. }, _) => &mut self.unreadable,
            (Verdict::Rejected { .. }, _) => &mut self.rejected,
            (Verdict::Violates { .. }, _) => &mut self.violating,
            (Verdict::Duplicate { .. }, _) => &mut self.duplicates,
            (Verdict::Admitted { .. }, 0) => &mut self.admitted_first,
            (Verdict::Admitted { .. }, _) => &mut self.admitted_repaired,
        };
        *counter += 1;
    }
}

fn expect(what: &'static str, found: u64, expected: u64) -> Result<(), LedgerError> {
    if found == expected { Ok(()) } else { Err(LedgerError::OutOfOrder { what, found, expected }) }
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
