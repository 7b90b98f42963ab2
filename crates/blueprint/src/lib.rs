//! The typed language of captioner designs: written form, checks, lowering to graphs, costs, canonical hash.
//!
//! This crate is pure: no IO, no clock, no tensors.

mod canonical;
mod check;
mod decoder;
mod design;
mod diagnostic;
mod graph;
pub mod language;
mod lower;
mod menu;
pub mod schema;

pub use canonical::canonical;
pub use check::{Checked, MAX_TEXT, MAX_TOKENS, Zoo, check, from_value, parse, read};
pub use decoder::{BridgeSpec, DecoderSpec, RecurrentSpec, TransformerSpec};
pub use design::{Cost, Design, Frozen, Target};
pub use diagnostic::{Code, Diagnostic};
pub use graph::{Activation, Conv, Graph, Node, NodeId, Op, Padding, Param, Shape, ShapeError};
pub use language::Blueprint;
