//! Graphs to networks on burn: features, training, decoding, scoring. The only crate that knows tensors.
#![recursion_limit = "256"]

pub mod bridge;
pub mod decode;
pub mod decoder;
pub mod error;
mod math;
pub mod optim;
pub mod params;
pub mod store;
#[cfg(test)]
mod testing;
pub mod vision;

pub use error::TrainError;
pub use math::Dropout;
pub use params::{Grads, Params};
