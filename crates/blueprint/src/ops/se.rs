use super::{LeafOp, Place};
use crate::graph::{Activation, Op};
use crate::language::Reduction;
use crate::lower::{Lowered, Lowering};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Squeeze and excitation (Hu et al. 2018).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct Se {
    /// How much narrower the gate's middle is.
    pub reduction: Reduction,
}

impl LeafOp for Se {
    const EXAMPLE: &'static str = r#"{"op":"se","reduction":4}"#;

    fn brief(&self) -> String {
        "se".to_owned()
    }

    fn lower(&self, to: &mut Lowering, Place { at, name, x }: Place<'_>) -> Lowered {
        let narrow = (to.channels(x) / self.reduction.0 as usize).max(1);
        let pooled = to.add(at, &format!("{name}.pool"), Op::GlobalAvgPool, &[x])?;
        let gate = to.narrow_wide(at, name, pooled, narrow)?;
        let gate = to.add(at, &format!("{name}.gate"), Op::Act(Activation::Sigmoid), &[gate])?;
        to.add(at, &format!("{name}.scale"), Op::Mul, &[x, gate])
    }
}
