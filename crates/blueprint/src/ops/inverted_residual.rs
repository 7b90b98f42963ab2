use super::{LeafOp, Place};
use crate::graph::{Activation, Op};
use crate::language::{Channels, Expansion, Kernel, Stride};
use crate::lower::{ConvNorm, Lowered, Lowering};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Inverted residual (Sandler et al. 2018): widen, depthwise, narrow; shortcut where shapes allow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct InvertedResidual {
    /// Output channels.
    pub out: Channels,
    /// How many times wider the middle is than the input.
    pub expand: Expansion,
    /// Depthwise kernel.
    pub kernel: Kernel,
    /// Depthwise stride.
    pub stride: Stride,
}

impl LeafOp for InvertedResidual {
    const EXAMPLE: &'static str = r#"{"op":"inverted_residual","out":96,"expand":4,"kernel":3,"stride":1}"#;

    fn stride(&self) -> Option<usize> {
        Some(self.stride.0 as usize)
    }

    fn brief(&self) -> String {
        format!("inv{}", self.out.0)
    }

    fn lower(&self, to: &mut Lowering, Place { at, name, x }: Place<'_>) -> Lowered {
        let (c, out, stride) = (to.channels(x), self.out.0 as usize, self.stride.0 as usize);
        let (wide, relu) = (c * self.expand.0 as usize, Activation::Relu6);
        let mut y = x;
        if wide > c {
            y = to.conv(at, &format!("{name}.expand"), y, ConvNorm::new(wide, 1, 1).act(relu))?;
        }
        let depthwise = ConvNorm::new(wide, self.kernel.0 as usize, stride).groups(wide).act(relu);
        y = to.conv(at, &format!("{name}.depthwise"), y, depthwise)?;
        y = to.conv(at, &format!("{name}.project"), y, ConvNorm::new(out, 1, 1))?;
        if stride == 1 && out == c { to.add(at, &format!("{name}.sum"), Op::Add, &[x, y]) } else { Ok(y) }
    }
}
