use super::{LeafOp, Place};
use crate::graph::{Activation, Conv, Op, Shape};
use crate::language::Reduction;
use crate::lower::{ConvNorm, Lowered, Lowering};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Coordinate attention (Hou et al. 2021): means over rows and over columns run through one narrow layer, then gate
/// rows and columns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct Coordinate {
    /// How much narrower the gate's middle is; at least 8 channels remain, as in the paper.
    pub reduction: Reduction,
}

impl LeafOp for Coordinate {
    const EXAMPLE: &'static str = r#"{"op":"coordinate","reduction":16}"#;

    fn brief(&self) -> String {
        "coord".to_owned()
    }

    fn lower(&self, to: &mut Lowering, Place { at, name, x }: Place<'_>) -> Lowered {
        let shape = to.graph.shape(x);
        let narrow = (shape.c / self.reduction.0 as usize).max(8);
        let means = to.add(at, &format!("{name}.means"), Op::AxisMeans, &[x])?;
        let down = ConvNorm::new(narrow, 1, 1).act(Activation::HardSwish);
        let y = to.conv(at, &format!("{name}.down"), means, down)?;
        let mut out = x;
        let Shape { h, w, .. } = shape;
        let sides =
            [("rows", Op::Cells { from: 0, h, w: 1 }), ("columns", Op::Cells { from: h, h: 1, w })];
        for (side, part) in sides {
            let gate = to.add(at, &format!("{name}.{side}"), part, &[y])?;
            let up = Op::Conv(Conv::pointwise(narrow, shape.c));
            let gate = to.add(at, &format!("{name}.{side}.up"), up, &[gate])?;
            let gate = to.add(at, &format!("{name}.{side}.gate"), Op::Act(Activation::Sigmoid), &[gate])?;
            out = to.add(at, &format!("{name}.{side}.scale"), Op::Mul, &[out, gate])?;
        }
        Ok(out)
    }
}
