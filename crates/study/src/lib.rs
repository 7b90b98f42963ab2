//! Study, trial, event and the leaderboard fold; the ports that stores and executors implement.

mod trial;

pub use trial::{Epoch, SampleCaption, Scores, TrialEvent, TrialResult, TrialSpec, WeightsFile};
