use super::{LeafOp, Place};
use crate::graph::{Activation, Conv, Op};
use crate::language::{Expansion, Kernel};
use crate::lower::{EPS_MICRO, Lowered, Lowering};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// ConvNeXt's block (Liu et al. 2022): depthwise, layer norm, 1 × 1 widen, GELU, 1 × 1 narrow, layer scale, sum.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct ConvNext {
    /// Depthwise kernel; the paper's is 7.
    pub kernel: Kernel,
    /// How many times wider the middle is; the paper's is 4.
    pub expand: Expansion,
}

impl LeafOp for ConvNext {
    const EXAMPLE: &'static str = r#"{"op":"conv_next","kernel":7,"expand":4}"#;

    fn brief(&self) -> String {
        format!("next{}", self.kernel.0)
    }

    fn lower(&self, to: &mut Lowering, Place { at, name, x }: Place<'_>) -> Lowered {
        let c = to.channels(x);
        let wide = c * self.expand.0 as usize;
        let depthwise = Conv { groups: c, bias: true, ..Conv::same(c, c, self.kernel.0 as usize) };
        let y = to.add(at, &format!("{name}.depthwise"), Op::Conv(depthwise), &[x])?;
        let norm = Op::LayerNorm { channels: c, eps_micro: EPS_MICRO };
        let y = to.add(at, &format!("{name}.norm"), norm, &[y])?;
        let y = to.add(at, &format!("{name}.widen"), Op::Conv(Conv::pointwise(c, wide)), &[y])?;
        let y = to.add(at, &format!("{name}.act"), Op::Act(Activation::Gelu), &[y])?;
        let y = to.add(at, &format!("{name}.narrow"), Op::Conv(Conv::pointwise(wide, c)), &[y])?;
        let y = to.add(at, &format!("{name}.scale"), Op::LayerScale { channels: c }, &[y])?;
        to.add(at, &format!("{name}.sum"), Op::Add, &[x, y])
    }
}
