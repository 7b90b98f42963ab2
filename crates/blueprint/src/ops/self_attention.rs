use super::{LeafOp, Place};
use crate::graph::{Activation, Conv, Op};
use crate::language::{Expansion, Heads};
use crate::lower::{EPS_MICRO, Lowered, Lowering};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A pre-norm Transformer layer over the cells of the map (Dosovitskiy et al. 2021): multi-head self-attention, then
/// a feed-forward layer with GELU, each with its shortcut.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct SelfAttention {
    /// Heads; they divide the channels.
    pub heads: Heads,
    /// How many times wider the feed-forward layer is.
    pub expand: Expansion,
}

impl LeafOp for SelfAttention {
    const EXAMPLE: &'static str = r#"{"op":"self_attention","heads":4,"expand":2}"#;

    fn brief(&self) -> String {
        format!("attn{}", self.heads.0)
    }

    fn lower(&self, to: &mut Lowering, Place { at, name, x }: Place<'_>) -> Lowered {
        let (c, heads) = (to.channels(x), self.heads.0 as usize);
        to.heads_divide(at, heads, c, "channels");
        to.few_cells(at, x);
        let norm = Op::LayerNorm { channels: c, eps_micro: EPS_MICRO };
        let y = to.add(at, &format!("{name}.norm1"), norm, &[x])?;
        let layer = |output| Op::Linear { input: c, output, bias: true };
        let y = to.add(at, &format!("{name}.attn.qkv"), layer(3 * c), &[y])?;
        let y = to.add(at, &format!("{name}.attn"), Op::Attend { heads }, &[y])?;
        let y = to.add(at, &format!("{name}.attn.out"), layer(c), &[y])?;
        let x = to.add(at, &format!("{name}.sum1"), Op::Add, &[x, y])?;
        let wide = c * self.expand.0 as usize;
        let y = to.add(at, &format!("{name}.norm2"), norm, &[x])?;
        let y = to.add(at, &format!("{name}.ff1"), Op::Conv(Conv::pointwise(c, wide)), &[y])?;
        let y = to.add(at, &format!("{name}.act"), Op::Act(Activation::Gelu), &[y])?;
        let y = to.add(at, &format!("{name}.ff2"), Op::Conv(Conv::pointwise(wide, c)), &[y])?;
        to.add(at, &format!("{name}.sum2"), Op::Add, &[x, y])
    }
}
