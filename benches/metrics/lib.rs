//! Benchmarks of the caption metrics; see `metrics.rs`.
