use super::{LeafOp, Place};
use crate::graph::Activation;
use crate::language::{Channels, Reduction, Stride};
use crate::lower::{ConvNorm, Lowered, Lowering};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// ResNet's bottleneck (He et al. 2016): 1 × 1 narrow, 3 × 3, 1 × 1 widen, shortcut.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct Bottleneck {
    /// Output channels.
    pub out: Channels,
    /// How much narrower the middle is than the output.
    pub reduction: Reduction,
    /// Stride of the 3 × 3 convolution.
    pub stride: Stride,
}

impl LeafOp for Bottleneck {
    const EXAMPLE: &'static str = r#"{"op":"bottleneck","out":256,"reduction":4,"stride":1}"#;

    fn stride(&self) -> Option<usize> {
        Some(self.stride.0 as usize)
    }

    fn brief(&self) -> String {
        format!("neck{}", self.out.0)
    }

    fn lower(&self, to: &mut Lowering, Place { at, name, x }: Place<'_>) -> Lowered {
        let (out, stride) = (self.out.0 as usize, self.stride.0 as usize);
        let narrow = (out / self.reduction.0 as usize).max(1);
        let relu = Activation::Relu;
        let y = to.conv(at, &format!("{name}.reduce"), x, ConvNorm::new(narrow, 1, 1).act(relu))?;
        let y = to.conv(at, &format!("{name}.middle"), y, ConvNorm::new(narrow, 3, stride).act(relu))?;
        let y = to.conv(at, &format!("{name}.expand"), y, ConvNorm::new(out, 1, 1))?;
        let short = to.shortcut(at, name, x, out, stride)?;
        to.add_relu(at, name, y, short)
    }
}
