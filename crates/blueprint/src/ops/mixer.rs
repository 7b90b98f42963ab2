use super::{LeafOp, Place};
use crate::graph::{Activation, Conv, Op};
use crate::language::Expansion;
use crate::lower::{EPS_MICRO, Lowered, Lowering};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// MLP-Mixer's block (Tolstikhin et al. 2021): a two-layer perceptron over cells, then one over channels, each after a
/// layer norm and with its shortcut.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct Mixer {
    /// How many times wider the middle of both perceptrons is.
    pub expand: Expansion,
}

impl LeafOp for Mixer {
    const EXAMPLE: &'static str = r#"{"op":"mixer","expand":2}"#;

    fn brief(&self) -> String {
        "mixer".to_owned()
    }

    fn lower(&self, to: &mut Lowering, Place { at, name, x }: Place<'_>) -> Lowered {
        let (shape, expand) = (to.graph.shape(x), self.expand.0 as usize);
        to.few_cells(at, x);
        let (c, cells) = (shape.c, shape.h * shape.w);
        let norm = Op::LayerNorm { channels: c, eps_micro: EPS_MICRO };
        let y = to.add(at, &format!("{name}.norm1"), norm, &[x])?;
        let widen = Op::MixCells { cells, h: 1, w: cells * expand };
        let y = to.add(at, &format!("{name}.cells1"), widen, &[y])?;
        let y = to.add(at, &format!("{name}.act1"), Op::Act(Activation::Gelu), &[y])?;
        let narrow = Op::MixCells { cells: cells * expand, h: shape.h, w: shape.w };
        let y = to.add(at, &format!("{name}.cells2"), narrow, &[y])?;
        let x = to.add(at, &format!("{name}.sum1"), Op::Add, &[x, y])?;
        let wide = c * expand;
        let y = to.add(at, &format!("{name}.norm2"), norm, &[x])?;
        let y = to.add(at, &format!("{name}.channels1"), Op::Conv(Conv::pointwise(c, wide)), &[y])?;
        let y = to.add(at, &format!("{name}.act2"), Op::Act(Activation::Gelu), &[y])?;
        let y = to.add(at, &format!("{name}.channels2"), Op::Conv(Conv::pointwise(wide, c)), &[y])?;
        to.add(at, &format!("{name}.sum2"), Op::Add, &[x, y])
    }
}
