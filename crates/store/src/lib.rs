//! The study ledger in SQLite.
