//! Architects: who proposes designs, what they are told, and what becomes of a proposal.
//!
//! An [`Architect`] writes text; a [`Judge`] turns text into a verdict. Text is never executed: it is data under the
//! grammar of [`Space`], and the judge reads it again whatever the model promised.

mod architect;
mod clause_of;
mod compose;
mod delta;
mod evolution;
mod features;
mod given;
mod hybrid;
mod judge;
mod llm;
mod menus;
mod prompt;
mod random;
mod replay;
mod space;
mod surrogate;
mod thrift;

pub use architect::{Architect, ArchitectError, Brief, Draft};
pub use clause_of::clause_of;
pub use compose::Parts;
pub use evolution::Evolution;
pub use given::Given;
pub use hybrid::Hybrid;
pub use judge::{Judge, Judgement, problems};
pub use llm::{LlmArchitect, LlmOptions};
pub use prompt::Snippet;
pub use random::RandomArchitect;
pub use replay::Replay;
pub use space::Space;
pub use surrogate::Surrogate;
