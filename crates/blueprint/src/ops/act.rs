use super::{LeafOp, Place};
use crate::graph::Op;
use crate::language::Nonlinearity;
use crate::lower::{Lowered, Lowering};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A non-linearity alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct Act {
    /// Which.
    pub kind: Nonlinearity,
}

impl LeafOp for Act {
    const EXAMPLE: &'static str = r#"{"op":"act","kind":"gelu"}"#;

    fn brief(&self) -> String {
        format!("{:?}", self.kind).to_lowercase()
    }

    fn lower(&self, to: &mut Lowering, Place { at, name, x }: Place<'_>) -> Lowered {
        to.add(at, name, Op::Act(self.kind.into()), &[x])
    }
}
