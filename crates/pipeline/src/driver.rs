//! The loop: proposals in, trials out, every step in the ledger before anything builds on it.

mod promote;

use crate::best::keep_best;
use crate::clock::Clock;
use crate::error::SearchError;
use crate::execute::{Executor, Report};
use crate::failing::{is_away, with_one_more};
use crate::files::StudyFolder;
use crate::lag;
use crate::progress::Progress;
use capwright_search::{Architect, ArchitectError, Brief, Judge, Surrogate, problems};
use capwright_study::{
    ComputeDevice, Event, FAILURES, Failures, Proposal, Study, TrialEvent, TrialSpec, TrialStore, Verdict,
    WeightsFile, describe,
};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Workers that one trial may lose before it counts as failed.
const LOSSES: u32 = 3;

/// How a search ended.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// All that the ledger says.
    pub study: Study,
    /// The best trial, if any is ranked.
    pub best: Option<u64>,
}

/// One study being driven over its ports.
pub struct Driver<'a> {
    /// The ledger.
    pub store: &'a mut dyn TrialStore,
    /// Who proposes.
    pub architect: &'a mut dyn Architect,
    /// Who decides what is trained.
    pub judge: &'a Judge,
    /// Where trials run.
    pub executor: &'a mut dyn Executor,
    /// Where files lie.
    pub folder: &'a StudyFolder,
    /// Weights of each backbone that a design may name.
    pub weights: &'a BTreeMap<String, WeightsFile>,
    /// Trained values that every trial begins with, where it has use for them.
    pub start: Option<WeightsFile>,
    /// Folder of the feature cache.
    pub cache: PathBuf,
    /// Threads of one worker.
    pub threads: usize,
    /// Where training steps are computed.
    pub device: ComputeDevice,
    /// Whether an earlier sitting opened the study: the time since then was a pause.
    pub resumed: bool,
    /// Who watches.
    pub watch: &'a mut dyn FnMut(Progress),
    /// Set from outside to stop.
    pub stop: &'a AtomicBool,
}

/// The parts of the loop's state that the ledger does not hold.
struct Running {
    study: Study,
    /// Admitted trials that wait for a worker.
    waiting: Vec<u64>,
    lost: BTreeMap<u64, u32>,
    clock: Clock,
    /// Whether there was no time left for one more design.
    late: bool,
    /// A proposal whose last draft was refused and may be repaired: attempt, text and problems.
    pending: Option<(u64, u32, String, Vec<String>)>,
}

impl Driver<'_> {
    /// Runs the study in the ledger to its end; the same call starts and resumes.
    ///
    /// # Errors
    /// [`SearchError`]; the ledger then holds all that was acknowledged.
    pub fn run(&mut self) -> Result<Outcome, SearchError> {
        let mut state = self.recover()?;
        if let Err(ended) = self.go_on(&mut state) {
            // What was worked since the last event counts. Where that cannot be written, why the sitting ends is worth more.
            let _ = self.record(&mut state, &Event::StudyPaused);
            return Err(ended);
        }
        self.conclude(state)
    }

    fn go_on(&mut self, state: &mut Running) -> Result<(), SearchError> {
        while state.study.finished.is_none() && !self.over(state) {
            state.late |= state.clock.is_late(&state.study, self.executor.capacity());
            if self.stop.load(Ordering::Relaxed) {
                self.executor.stop();
                return Err(SearchError::Interrupted);
            }
            self.start_waiting(state)?;
            self.promote(state)?;
            if self.wants_proposal(state) {
                self.propose(state)?;
            } else if let Some((trial, report)) = self.executor.next(Duration::from_millis(200)) {
                self.hear(state, trial, report)?;
            }
            while let Some((trial, report)) = self.executor.next(Duration::ZERO) {
                self.hear(state, trial, report)?;
            }
        }
        Ok(())
    }

    fn recover(&mut self) -> Result<Running, SearchError> {
        let recorded = self.store.events()?;
        if recorded.is_empty() {
            return Err(SearchError::Empty);
        }
        let study = Study::fold(recorded.iter().map(|r| &r.event))?;
        let clock = Clock::start(&recorded);
        let mut waiting = study.unfinished();
        waiting.reverse();
        let pending = recorded.iter().rev().find_map(|r| match &r.event {
            Event::Proposed(p) => Some(p),
            _ => None,
        });
        let pending = pending
            .filter(|p| study.proposals.get(&p.proposal).is_some_and(|state| !state.settled))
            .filter(|p| p.attempt < study.contract().search.repairs)
            .map(|p| (p.proposal, p.attempt, p.text.clone(), problems(&p.verdict)));
        let mut state = Running { study, waiting, lost: BTreeMap::new(), clock, late: false, pending };
        if self.resumed && state.study.finished.is_none() {
            self.record(&mut state, &Event::StudyResumed)?;
        }
        Ok(state)
    }

    fn record(&mut self, state: &mut Running, event: &Event) -> Result<(), SearchError> {
        self.record_all(state, std::slice::from_ref(event))
    }

    /// Records events that belong together: a process that is killed leaves all of them or none.
    fn record_all(&mut self, state: &mut Running, events: &[Event]) -> Result<(), SearchError> {
        let mut next = state.study.clone();
        events.iter().try_for_each(|event| next.apply(event))?;
        self.store.append_all(events)?;
        state.study = next;
        Ok(())
    }

    /// Whether no more designs will be asked for.
    fn asked_enough(&self, state: &Running) -> bool {
        state.late || state.study.may_ask_for() == 0
    }

    /// Expected wall seconds until all is over.
    fn seconds_left(&self, state: &Running) -> f64 {
        let designs = if state.late { 0 } else { state.study.may_ask_for() };
        state.clock.seconds_left(&state.study, designs, self.executor.capacity())
    }

    fn over(&self, state: &Running) -> bool {
        self.asked_enough(state)
            && state.waiting.is_empty()
            && state.study.unfinished().is_empty()
            && self.promotions(state).is_empty()
            && self.finals_due(state).is_empty()
    }

    fn wants_proposal(&self, state: &Running) -> bool {
        // One design is ready before a worker is free: a language model writes while others train.
        let wanted = self.executor.capacity() + 1;
        let short = self.executor.running() + state.waiting.len() < wanted;
        short && lag::is_over(&state.study) && !self.asked_enough(state)
    }

    fn start_waiting(&mut self, state: &mut Running) -> Result<(), SearchError> {
        while self.executor.running() < self.executor.capacity() {
            let Some(trial) = state.waiting.pop() else { break };
            let spec = self.spec(&state.study, trial);
            self.record(state, &Event::TrialStarted { trial })?;
            let design = describe(&spec.blueprint);
            (self.watch)(Progress::Started { trial, design: &design });
            self.executor.start(&spec).map_err(|error| SearchError::Io {
                doing: format!("starting a worker for trial {trial}"),
                error,
            })?;
        }
        Ok(())
    }

    fn spec(&self, study: &Study, trial: u64) -> TrialSpec {
        let contract = study.contract();
        let record = study.run(trial).expect("only what the study has is started");
        let names = record.blueprint.encoder.source.backbones();
        let weights = names.into_iter().filter_map(|name| self.weights.get(name).cloned()).collect();
        TrialSpec {
            trial,
            blueprint: record.blueprint.clone(),
            cost: record.cost,
            data: contract.data.dir.clone(),
            data_fingerprint: contract.data.fingerprint.clone(),
            vocabulary: self.folder.vocabulary(),
            weights,
            start: self.start.clone(),
            cache: self.cache.clone(),
            out: self.folder.trial(trial),
            seed: contract.training.seed.wrapping_mul(1_000_003).wrapping_add(trial),
            epochs: contract.training.epochs,
            stop_after: study.stop_after(trial),
            self_critical: contract.training.self_critical,
            patience: contract.training.patience,
            select: contract.score(),
            decoding: contract.decoding,
            threads: self.threads,
            device: self.device,
        }
    }

    /// One attempt; where it is refused, the next call asks for a repair.
    fn propose(&mut self, state: &mut Running) -> Result<(), SearchError> {
        let contract = state.study.contract().clone();
        let (proposal, attempt, last) = match state.pending.take() {
            Some((proposal, attempt, text, problems)) => (proposal, attempt + 1, Some((text, problems))),
            None => (state.study.next_proposal(), 0, None),
        };
        (self.watch)(Progress::Proposing { proposal, attempt });
        let visible = lag::visible(&state.study);
        let taught = Surrogate::of(&visible);
        let surrogate = taught.as_ref();
        let brief = Brief { contract: &contract, study: &visible, proposal, attempt, surrogate };
        let draft = match &last {
            None => self.architect.propose(&brief),
            Some((text, problems)) => self.architect.repair(&brief, text, problems),
        };
        let draft = match draft {
            Ok(draft) => draft,
            Err(error) => {
                let author = self.architect.author(&brief);
                return self.architect_failed(state, proposal, author, error);
            }
        };
        let judgement = self.judge.judge(&draft.text, &state.study);
        let text = draft.text.clone();
        let problems = judgement.problems();
        let predicted = judgement.admitted.as_ref().zip(surrogate).map(|(admitted, surrogate)| {
            let design = admitted.checked();
            surrogate.predict(design.blueprint(), &design.cost())
        });
        let judged = draft.judged(proposal, attempt, judgement.verdict);
        self.record_proposal(state, Proposal { predicted, ..judged })?;
        if !problems.is_empty() && attempt < contract.search.repairs {
            state.pending = Some((proposal, attempt, text, problems));
        }
        Ok(())
    }

    fn architect_failed(
        &mut self,
        state: &mut Running,
        proposal: u64,
        author: String,
        error: ArchitectError,
    ) -> Result<(), SearchError> {
        let (useless, reason) = (!is_away(&error), error.to_string());
        let Failures { all: failures, useless: answered } = with_one_more(state.study.failures, useless);
        (self.watch)(Progress::ArchitectFailed { proposal, reason: &reason });
        let enough = failures >= FAILURES;
        if enough && answered < FAILURES {
            // The next sitting asks again. A ledger with as many failures in a row is of a study that was given up, for replays too.
            self.executor.stop();
            return Err(SearchError::Architect { failures, last: error });
        }
        let (prompt_tokens, completion_tokens) = self.architect.wasted();
        self.record(
            state,
            &Event::ArchitectFailed { proposal, author, reason, prompt_tokens, completion_tokens, useless },
        )?;
        if enough && state.study.trials.is_empty() {
            return Err(SearchError::Architect { failures, last: error });
        }
        Ok(())
    }

    fn record_proposal(&mut self, state: &mut Running, proposal: Proposal) -> Result<(), SearchError> {
        (self.watch)(Progress::Proposed(&proposal));
        let trial = match &proposal.verdict {
            Verdict::Admitted { trial, .. } => Some(*trial),
            _ => None,
        };
        self.record(state, &Event::Proposed(Box::new(proposal)))?;
        if let Some(trial) = trial {
            state.waiting.insert(0, trial);
        }
        Ok(())
    }

    fn hear(&mut self, state: &mut Running, trial: u64, report: Report) -> Result<(), SearchError> {
        match report {
            Report::Event(TrialEvent::Features { done, total }) => {
                (self.watch)(Progress::Features { trial, done, total });
                Ok(())
            }
            Report::Event(TrialEvent::Step { epoch, done, total, loss }) => {
                (self.watch)(Progress::Step { trial, epoch, done, total, loss });
                Ok(())
            }
            // A worker that goes on tells its earlier epochs again, for a driver that was ended before it heard of them.
            Report::Event(TrialEvent::Epoch(epoch)) if state.study.has_epoch(trial, &epoch) => Ok(()),
            Report::Event(TrialEvent::Epoch(epoch)) => {
                (self.watch)(Progress::Epoch { trial, epoch: &epoch });
                self.record(state, &Event::TrialEpoch { trial, epoch })
            }
            Report::Event(TrialEvent::Finished(result)) => {
                self.record(state, &Event::TrialFinished { trial, result: result.clone() })?;
                let seconds_left = self.seconds_left(state);
                (self.watch)(Progress::Finished { trial, result: &result, seconds_left });
                Ok(())
            }
            Report::Event(TrialEvent::Failed { reason }) => self.failed(state, trial, reason),
            Report::Event(TrialEvent::Blocked { reason }) => {
                self.executor.stop();
                Err(SearchError::Blocked(reason))
            }
            Report::Lost { reason } => self.lost(state, trial, reason),
        }
    }

    fn failed(&mut self, state: &mut Running, trial: u64, reason: String) -> Result<(), SearchError> {
        (self.watch)(Progress::Failed { trial, reason: &reason });
        self.record(state, &Event::TrialFailed { trial, reason })
    }

    fn lost(&mut self, state: &mut Running, trial: u64, reason: String) -> Result<(), SearchError> {
        let count = state.lost.entry(trial).or_default();
        *count += 1;
        if *count >= LOSSES {
            let reason = format!("its worker died {LOSSES} times; the last: {reason}");
            return self.failed(state, trial, reason);
        }
        (self.watch)(Progress::Restarting { trial, reason: &reason });
        state.waiting.push(trial);
        Ok(())
    }

    fn conclude(&mut self, mut state: Running) -> Result<Outcome, SearchError> {
        let best = state.study.finished.unwrap_or_else(|| state.study.best());
        if let Some(trial) = best {
            keep_best(self.folder, &state.study, trial)
                .map_err(|error| SearchError::Io { doing: "writing the best model".into(), error })?;
        }
        if state.study.finished.is_none() {
            self.record(&mut state, &Event::StudyFinished { best })?;
        }
        Ok(Outcome { study: state.study, best })
    }
}
