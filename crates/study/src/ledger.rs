//! The state of a study as a strict fold over its events.

use crate::study::{AuthorStats, Failures, ProposalState, Repeat, Study, Trial, TrialStatus};
use crate::{Epoch, Event, LedgerError, Proposal, Verdict};
use std::borrow::Borrow;
use std::collections::BTreeMap;

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
            failures: Failures::default(),
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
            Event::ArchitectFailed {
                proposal, author, prompt_tokens, completion_tokens, useless, ..
            } => {
                let tokens = (*prompt_tokens as u64, *completion_tokens as u64);
                self.fail_proposal(*proposal, author, tokens)?;
                self.failures.all = self.failures.all.saturating_add(1);
                self.failures.useless = self.failures.useless.saturating_add(u32::from(*useless));
                Ok(())
            }
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
            Event::StudyPaused | Event::StudyResumed => Ok(()),
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
        let (author, parents) = (p.author.clone(), p.parents.clone());
        let state = ProposalState { author, attempts: attempts.saturating_add(1), parents, settled };
        self.proposals.insert(p.proposal, state);
        self.failures = Failures::default();
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

    fn fail_proposal(
        &mut self,
        number: u64,
        author: &str,
        (read, written): (u64, u64),
    ) -> Result<(), LedgerError> {
        let attempts = self.open_proposal(number)?;
        let stats = self.authors.entry(author.to_owned()).or_default();
        stats.failed += 1;
        stats.prompt_tokens = stats.prompt_tokens.saturating_add(read);
        stats.completion_tokens = stats.completion_tokens.saturating_add(written);
        stats.proposals += u64::from(attempts == 0);
        let (author, parents) = (author.to_owned(), Vec::new());
        self.proposals.insert(number, ProposalState { author, attempts, parents, settled: true });
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
