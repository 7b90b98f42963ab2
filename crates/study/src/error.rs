//! Why events are no study.

/// Why a list of events is no study.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// No events at all.
    #[error("the ledger is empty: the study was never opened")]
    Empty,
    /// The first event is another.
    #[error("the ledger begins with {0}; a study begins with study_opened")]
    NotOpened(&'static str),
    /// Opened again.
    #[error("the study is opened twice")]
    OpenedTwice,
    /// An event after the last.
    #[error("{0} comes after study_finished")]
    AfterEnd(&'static str),
    /// A number that is neither known nor the next.
    #[error("{what} {found} is out of order; the next is {expected}")]
    OutOfOrder {
        /// Proposal, attempt, trial or epoch.
        what: &'static str,
        /// The number found.
        found: u64,
        /// The number due.
        expected: u64,
    },
    /// A text for a proposal that is over.
    #[error("proposal {0} is settled and gets another event")]
    Settled(u64),
    /// A design admitted twice.
    #[error("trial {trial} has the design of trial {first}; it should have been a duplicate")]
    SameDesign {
        /// The later trial.
        trial: u64,
        /// The earlier one.
        first: u64,
    },
    /// A duplicate of nothing.
    #[error("the duplicate names trial {0}, which has another design or does not exist")]
    NotADuplicate(u64),
    /// No such trial.
    #[error("there is no trial {0}")]
    UnknownTrial(u64),
    /// A trial that has not started.
    #[error("trial {trial} gets {kind} and was never started")]
    NotStarted {
        /// The trial.
        trial: u64,
        /// The event.
        kind: &'static str,
    },
    /// A trial that is under way already.
    #[error("trial {0} is promoted and does not wait")]
    NotWaiting(u64),
    /// A trial that is not over, or is itself a repetition.
    #[error("trial {0} is repeated and is not the finished first run of a design")]
    NotRepeatable(u64),
    /// A trial that is over.
    #[error("trial {trial} is over and gets {kind}")]
    Over {
        /// The trial.
        trial: u64,
        /// The event.
        kind: &'static str,
    },
    /// A best trial without a ranked result.
    #[error("the best trial is said to be {0}, which has no ranked result")]
    BestUnranked(u64),
    /// An event that JSON cannot hold.
    #[error("the event {kind} cannot be written: {why}")]
    NotWritable {
        /// The event.
        kind: &'static str,
        /// Why.
        why: String,
    },
    /// A line that is no event.
    #[error("this is not an event: {0}")]
    NotAnEvent(String),
}
