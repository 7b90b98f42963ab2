//! Study, trial, event and the leaderboard fold; the ports that stores and executors implement.
//!
//! A study is the list of its events. [`Study`] and [`Leaderboard`] are folds over that list and are never written
//! down themselves. This crate is pure: no IO, no clock, no tensors.

pub mod conformance;
mod describe;
mod event;
mod front;
mod halving;
mod leaderboard;
mod ledger;
mod memory;
mod store;
mod trial;

pub use describe::describe;
pub use event::{Event, Opened, Proposal, Verdict};
pub use front::front;
pub use leaderboard::{Leaderboard, Row, Unranked};
pub use ledger::{AuthorStats, LedgerError, ProposalState, Study, Tokens, Trial, TrialStatus};
pub use memory::MemoryStore;
pub use store::{Recorded, StoreError, TrialStore};
pub use trial::{Epoch, SampleCaption, Scores, TrialEvent, TrialResult, TrialSpec, WeightsFile};
