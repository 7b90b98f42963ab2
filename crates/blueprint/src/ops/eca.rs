use super::{LeafOp, Place};
use crate::graph::{Activation, Op};
use crate::language::Kernel;
use crate::lower::{Lowered, Lowering};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Efficient channel attention (Wang et al. 2020): a one-dimensional convolution over the channels' means is the gate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct Eca {
    /// How many neighbouring channels a gate looks at.
    pub kernel: Kernel,
}

impl LeafOp for Eca {
    const EXAMPLE: &'static str = r#"{"op":"eca","kernel":3}"#;

    fn brief(&self) -> String {
        "eca".to_owned()
    }

    fn lower(&self, to: &mut Lowering, Place { at, name, x }: Place<'_>) -> Lowered {
        let pooled = to.add(at, &format!("{name}.pool"), Op::GlobalAvgPool, &[x])?;
        let conv = Op::ChannelConv { kernel: self.kernel.0 as usize };
        let gate = to.add(at, &format!("{name}.conv"), conv, &[pooled])?;
        let gate = to.add(at, &format!("{name}.gate"), Op::Act(Activation::Sigmoid), &[gate])?;
        to.add(at, &format!("{name}.scale"), Op::Mul, &[x, gate])
    }
}
