use super::{LeafOp, Place};
use crate::graph::Op;
use crate::language::PoolKind;
use crate::lower::{Lowered, Lowering};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Pooling by 2.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct Pool {
    /// Maximum or mean.
    pub kind: PoolKind,
}

impl LeafOp for Pool {
    const EXAMPLE: &'static str = r#"{"op":"pool","kind":"max"}"#;

    fn stride(&self) -> Option<usize> {
        Some(2)
    }

    fn brief(&self) -> String {
        match self.kind {
            PoolKind::Max => "maxpool",
            PoolKind::Avg => "avgpool",
        }
        .to_owned()
    }

    fn lower(&self, to: &mut Lowering, Place { at, name, x }: Place<'_>) -> Lowered {
        let op = match self.kind {
            PoolKind::Max => Op::MaxPool { kernel: 2, stride: 2, padding: 0, ceil: false },
            PoolKind::Avg => Op::AvgPool { kernel: 2, stride: 2, padding: 0 },
        };
        to.add(at, name, op, &[x])
    }
}
