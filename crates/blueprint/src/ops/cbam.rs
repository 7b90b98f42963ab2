use super::{LeafOp, Place};
use crate::graph::{Activation, Op};
use crate::language::Reduction;
use crate::lower::{ConvNorm, Lowered, Lowering};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Convolutional block attention (Woo et al. 2018): channel gate, then a 7 × 7 spatial gate.
///
/// The channel gate's small network is shared between mean and maximum: both run through it side by side.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct Cbam {
    /// How much narrower the channel gate's middle is.
    pub reduction: Reduction,
}

impl LeafOp for Cbam {
    const EXAMPLE: &'static str = r#"{"op":"cbam","reduction":8}"#;

    fn brief(&self) -> String {
        "cbam".to_owned()
    }

    fn lower(&self, to: &mut Lowering, Place { at, name, x }: Place<'_>) -> Lowered {
        let narrow = (to.channels(x) / self.reduction.0 as usize).max(1);
        let avg = to.add(at, &format!("{name}.avg"), Op::GlobalAvgPool, &[x])?;
        let max = to.add(at, &format!("{name}.max"), Op::GlobalMaxPool, &[x])?;
        let both = to.add(at, &format!("{name}.stats"), Op::Stack, &[avg, max])?;
        let gates = to.narrow_wide(at, &format!("{name}.channel"), both, narrow)?;
        let gate = to.add(at, &format!("{name}.channel.sum"), Op::SumCells, &[gates])?;
        let gate = to.add(at, &format!("{name}.channel.gate"), Op::Act(Activation::Sigmoid), &[gate])?;
        let y = to.add(at, &format!("{name}.channel.scale"), Op::Mul, &[x, gate])?;
        let mean = to.add(at, &format!("{name}.mean"), Op::ChannelMean, &[y])?;
        let peak = to.add(at, &format!("{name}.peak"), Op::ChannelMax, &[y])?;
        let maps = to.add(at, &format!("{name}.maps"), Op::Concat, &[peak, mean])?;
        let spatial = ConvNorm::new(1, 7, 1).act(Activation::Sigmoid);
        let gate = to.conv(at, &format!("{name}.spatial"), maps, spatial)?;
        to.add(at, &format!("{name}.scale"), Op::Mul, &[y, gate])
    }
}
