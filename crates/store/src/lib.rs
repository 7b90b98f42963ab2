//! The study ledger in SQLite.
//!
//! One file holds one study: a table of events that can only grow. An appended event is on disk before
//! [`append`](capwright_study::TrialStore::append) returns (write-ahead log, `synchronous = FULL`), so it survives
//! `kill -9` and a power cut. One process writes, any number read.
//!
//! The folder must lie on a local file system: SQLite's write-ahead log needs shared memory.

mod lock;
mod sqlite;

pub use sqlite::SqliteStore;
