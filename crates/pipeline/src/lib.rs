//! The main job over its ports: propose, check and admit, train, score, rank, keep.
//!
//! It never depends on tensors: trials run in worker processes behind [`Executor`].

mod best;
mod clock;
mod driver;
mod error;
mod execute;
mod failing;
mod files;
mod lag;
mod progress;

pub use best::{ModelCard, keep_best, note_test};
pub use driver::{Driver, Outcome};
pub use error::SearchError;
pub use execute::{Executor, LocalProcesses, Report};
pub use files::{StudyFolder, write_json};
pub use progress::Progress;
