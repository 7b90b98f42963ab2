//! Graphs to networks: features, training, decoding, scoring. The only crate that knows tensors.
//!
//! [`run_trial`] trains one design from its specification; [`Captioner`] uses what it leaves. In between:
//! [`vision`] turns images into features, [`bridge`] features into memory, [`decoder`] memory into words.
#![recursion_limit = "256"]

pub mod bridge;
pub mod captioner;
mod checkpoint;
pub mod decode;
pub mod decoder;
pub mod device;
pub mod error;
mod extractor;
pub mod fit;
mod inherit;
pub mod learner;
pub mod macs;
mod malloc;
mod math;
mod meters;
pub mod model_folder;
pub mod network;
pub mod optim;
pub mod pace;
mod params;
pub mod profile;
pub mod score;
pub mod self_critical;
mod sound;
pub mod source;
pub mod store;
pub mod teaching;
#[cfg(test)]
mod testing;
pub mod trial;
pub mod trunk;
mod untrained;
pub mod vision;

pub use captioner::{Captioner, Evaluation, Said};
pub use error::TrainError;
pub use malloc::keep_freed_memory;
pub use math::Dropout;
pub use meters::{Meter, peak_memory};
pub use network::{Input, Network};
pub use params::{Grads, Params};
pub use teaching::Teaching;
pub use trial::run_trial;
pub use untrained::Untrained;
