//! Benchmarks of the checker; see `check.rs`.
