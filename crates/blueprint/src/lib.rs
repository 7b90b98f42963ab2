//! The typed language of captioner designs: written form, checks, lowering to graphs, costs, canonical hash.
//!
//! This crate is pure: no IO, no clock, no tensors.

mod bridge;
mod canonical;
pub mod change;
mod check;
mod decoder;
mod decoder_more;
mod defaults;
mod design;
mod diagnostic;
mod explain;
mod fits;
mod fix;
mod graph;
pub mod language;
pub mod latency;
mod lower;
pub mod memory;
mod mend;
mod menu;
mod op;
mod op_shape;
mod ops;
mod param;
mod pretrained;
mod read;
mod read_json;
mod read_parts;
mod read_toml;
pub mod schema;
mod sink;
mod sound;
pub mod vary;

pub use bridge::{BridgeSpec, PYRAMID_SIDE};
pub use canonical::canonical;
pub use check::{Checked, MAX_TOKENS, Zoo, check};
pub use decoder::{DecoderSpec, RecurrentSpec, TransformerSpec};
pub use decoder_more::{ConvolutionSpec, TopDownSpec};
pub use defaults::{LeftOut, left_out};
pub use design::{Cost, Design, Frozen, TUNED, Target};
pub use diagnostic::{Code, Diagnostic};
pub use explain::{Explanation, explain};
pub use fix::{Fix, did_you_mean};
pub use graph::{Activation, Conv, Graph, Node, NodeId, Op, Padding, Param, Shape, ShapeError, param_name};
pub use language::Blueprint;
pub use lower::scratch_alone;
pub use mend::{Mended, line_and_column, mend};
pub use pretrained::side_by_side;
pub use read::{Document, Format, MAX_DEPTH, MAX_TEXT, Place, from_value, parse, parse_as, read};
pub use sound::{MAX_ALIVE, MAX_KERNEL, MAX_MAP};
