use super::{LeafOp, Place};
use crate::language::NormKind;
use crate::lower::{Lowered, Lowering};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A norm alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct Norm {
    /// Batch, layer or group norm.
    pub kind: NormKind,
}

impl LeafOp for Norm {
    const EXAMPLE: &'static str = r#"{"op":"norm","kind":"layer"}"#;

    fn brief(&self) -> String {
        "norm".to_owned()
    }

    fn lower(&self, to: &mut Lowering, Place { at, name, x }: Place<'_>) -> Lowered {
        to.norm(at, name, x, self.kind)
    }
}
