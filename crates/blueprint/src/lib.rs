//! The typed language of captioner designs: written form, checks, lowering to graphs, costs, canonical hash.
//!
//! This crate is pure: no IO, no clock, no tensors.

mod decoder;
mod design;
mod graph;
pub mod language;
mod menu;

pub use decoder::{BridgeSpec, DecoderSpec, RecurrentSpec, TransformerSpec};
pub use design::{Cost, Design, Frozen, Target};
pub use graph::{Activation, Conv, Graph, Node, NodeId, Op, Padding, Param, Shape, ShapeError};
pub use language::Blueprint;
