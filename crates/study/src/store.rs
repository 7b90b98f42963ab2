//! The port of stores: an append-only list of events.

use crate::{Event, LedgerError};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// An append-only list of events. [`crate::conformance`] tests an implementation.
pub trait TrialStore {
    /// Appends an event and gives its number. When this returns, the event survives the end of the process.
    ///
    /// # Errors
    /// [`StoreError`]; nothing was appended then.
    fn append(&mut self, event: &Event) -> Result<u64, StoreError>;

    /// Appends events that belong together: wherever the process ends, all of them are there or none.
    ///
    /// # Errors
    /// [`StoreError`]; nothing was appended then.
    fn append_all(&mut self, events: &[Event]) -> Result<(), StoreError>;

    /// All events in the order of their numbers.
    ///
    /// # Errors
    /// [`StoreError`]
    fn events(&mut self) -> Result<Vec<Recorded>, StoreError>;
}

/// An event with its number and time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recorded {
    /// From 1, without gaps.
    pub seq: u64,
    /// When it was appended, in milliseconds since 1970 (UTC).
    pub at_unix_ms: u64,
    /// The event.
    pub event: Event,
}

/// Why a store cannot do what it is asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process writes to it.
    #[error("{}: the study is in use by another process; wait for it to end, or stop it", .path.display())]
    InUse {
        /// The study's file.
        path: PathBuf,
    },
    /// The file is something else.
    #[error("{}: this is not a study ({reason}); name a file that `search` has made", .path.display())]
    NotAStudy {
        /// The file.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// The file was written by a later version.
    #[error("{}: the study has format {found}, this program reads format {known}; use a newer program", .path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// The latest format that is read.
        known: i64,
    },
    /// A new study would overwrite a file.
    #[error("{}: there is a file already; resume that study, or choose another place", .path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// There is no such study.
    #[error("{}: there is no study here", .path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The store was opened for reading.
    #[error("{}: the study is open for reading only; nothing was written", .path.display())]
    ReadOnly {
        /// The file.
        path: PathBuf,
    },
    /// The content is damaged.
    #[error(
        "{}: the study is damaged: {reason}; restore it from a copy, and remove the files of its name with -wal and -shm \
         unless they are of that copy",
        .path.display()
    )]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        reason: String,
    },
    /// The event cannot be written.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The file system or the database says no.
    #[error("{}: cannot {what}: {reason}", .path.display())]
    Backend {
        /// The file.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// What it said.
        reason: String,
    },
}
