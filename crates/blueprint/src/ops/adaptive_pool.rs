use super::{LeafOp, Place};
use crate::diagnostic::Code;
use crate::graph::Op;
use crate::language::GridSide;
use crate::lower::{Lowered, Lowering, TOO_SMALL};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Mean pooling to a square map of a given side, with PyTorch's windows (`AdaptiveAvgPool2d`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct AdaptivePool {
    /// Side of the map that comes out, in cells; at most that of the map that goes in.
    pub side: GridSide,
}

impl LeafOp for AdaptivePool {
    const EXAMPLE: &'static str = r#"{"op":"adaptive_pool","side":4}"#;

    fn stride(&self) -> Option<usize> {
        None
    }

    fn brief(&self) -> String {
        format!("to{}", self.side.0)
    }

    fn lower(&self, to: &mut Lowering, Place { at, name, x }: Place<'_>) -> Lowered {
        let (shape, side) = (to.graph.shape(x), self.side.0 as usize);
        if side > shape.h.min(shape.w) {
            let message = format!("a map of {shape} cannot be pooled to {side} × {side} cells");
            to.report(Code::MapTooSmall, at, message, TOO_SMALL);
            return Err(());
        }
        to.add(at, name, Op::AdaptiveAvgPool { side }, &[x])
    }
}
