//! Why a search ends early.

use capwright_search::ArchitectError;
use capwright_study::{LedgerError, StoreError};
use std::io;

/// Why a search ended early.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// The ledger could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An event does not follow from the ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A file could not be written or a worker not started.
    #[error("{doing}: {error}")]
    Io {
        /// What was being done.
        doing: String,
        /// What the system answered.
        error: io::Error,
    },
    /// Something that is no design's fault stops every trial.
    #[error("{0}")]
    Blocked(String),
    /// The ledger is empty.
    #[error("the study has no events; start it with `capwright search`")]
    Empty,
    /// The architect failed again and again before any design was admitted, or because its language model is away; `resume` goes on.
    #[error("the architect failed {failures} times in a row: {last}")]
    Architect {
        /// How often.
        failures: u32,
        /// The last failure.
        last: ArchitectError,
    },
    /// Somebody asked to stop; `resume` goes on.
    #[error("interrupted; `capwright resume` goes on from here")]
    Interrupted,
}
