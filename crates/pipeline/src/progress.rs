//! What the job says while it runs.

use capwright_study::{Epoch, Proposal, TrialResult};

/// News for whoever watches; nothing depends on it.
#[derive(Debug, Clone)]
pub enum Progress<'a> {
    /// An architect is writing.
    Proposing {
        /// Number of the proposal.
        proposal: u64,
        /// 0 for the draft, then the repairs.
        attempt: u32,
    },
    /// A proposal was judged.
    Proposed(&'a Proposal),
    /// An architect wrote nothing.
    ArchitectFailed {
        /// Number of the proposal.
        proposal: u64,
        /// Why.
        reason: &'a str,
    },
    /// A worker began or went on with a trial.
    Started {
        /// The trial.
        trial: u64,
        /// Its design in a line.
        design: &'a str,
    },
    /// A trial computes features.
    Features {
        /// The trial.
        trial: u64,
        /// Images done, each variant of an image counted, for each frozen part.
        done: usize,
        /// Those in all.
        total: usize,
    },
    /// A trial is within an epoch.
    Step {
        /// The trial.
        trial: u64,
        /// The epoch.
        epoch: u32,
        /// Batches done.
        done: usize,
        /// Batches in all.
        total: usize,
        /// Loss of the last batch.
        loss: f64,
    },
    /// A trial finished an epoch.
    Epoch {
        /// The trial.
        trial: u64,
        /// Its numbers.
        epoch: &'a Epoch,
    },
    /// A trial is over.
    Finished {
        /// The trial.
        trial: u64,
        /// What came of it.
        result: &'a TrialResult,
        /// Expected wall seconds until the search is over.
        seconds_left: f64,
    },
    /// A trial that waited goes on.
    Promoted {
        /// The trial.
        trial: u64,
        /// Epochs that it may train in all.
        epochs: u32,
    },
    /// A finalist will train once more, from another seed.
    Repeated {
        /// The number of the new run.
        trial: u64,
        /// The trial of the design.
        of: u64,
    },
    /// A trial cannot be finished.
    Failed {
        /// The trial.
        trial: u64,
        /// Why.
        reason: &'a str,
    },
    /// A worker died; the trial goes on from its checkpoint.
    Restarting {
        /// The trial.
        trial: u64,
        /// What happened to the worker.
        reason: &'a str,
    },
}
