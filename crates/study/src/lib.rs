//! Study, trial, event and the leaderboard fold; the ports that stores and executors implement.
//!
//! A study is the list of its events. [`Study`] and [`Leaderboard`] are folds over that list and are never written
//! down themselves. This crate is pure: no IO, no clock, no tensors.

mod ahead;
mod archive;
mod asking;
pub mod conformance;
mod describe;
mod error;
mod event;
mod finals;
mod forecast;
mod front;
mod halving;
mod lead;
mod leaderboard;
mod ledger;
mod memory;
mod plan;
mod rank;
mod store;
mod study;
mod table;
mod trial;

pub use ahead::{Ahead, Load};
pub use archive::{Kind, Size};
pub use asking::FAILURES;
pub use describe::describe;
pub use error::LedgerError;
pub use event::{Event, Opened, Prediction, Proposal, Verdict};
pub use finals::{FinalStep, Finals};
pub use forecast::Forecast;
pub use front::{FrontRow, front, hypervolume};
pub use lead::{Standing, compare};
pub use leaderboard::{Leaderboard, Row, Unranked};
pub use memory::MemoryStore;
pub use plan::{Step, worked};
pub use store::{Recorded, StoreError, TrialStore};
pub use study::{AuthorStats, Failures, ProposalState, Repeat, Study, Tokens, Trial, TrialStatus};
pub use trial::{
    ComputeDevice, Epoch, SampleCaption, Scores, TrialEvent, TrialResult, TrialSpec, WeightsFile,
};
