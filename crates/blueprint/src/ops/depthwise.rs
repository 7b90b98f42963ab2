use super::{LeafOp, Place};
use crate::language::{Dilation, Kernel, Nonlinearity, NormKind, Stride, is_default};
use crate::lower::{ConvNorm, Lowered, Lowering};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Depthwise convolution (one filter a channel), norm, non-linearity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct Depthwise {
    /// Kernel.
    pub kernel: Kernel,
    /// Stride.
    pub stride: Stride,
    /// Cells between the taps of the kernel; 1 where left out.
    #[serde(default, skip_serializing_if = "is_default")]
    pub dilation: Dilation,
    /// Norm; batch norm where left out.
    #[serde(default, skip_serializing_if = "is_default")]
    pub norm: NormKind,
    /// Non-linearity.
    pub act: Nonlinearity,
}

impl LeafOp for Depthwise {
    const EXAMPLE: &'static str = r#"{"op":"depthwise","kernel":5,"stride":1,"act":"silu"}"#;

    fn stride(&self) -> Option<usize> {
        Some(self.stride.0 as usize)
    }

    fn brief(&self) -> String {
        format!("dwk{}", self.kernel.0)
    }

    fn lower(&self, to: &mut Lowering, place: Place<'_>) -> Lowered {
        let channels = to.channels(place.x);
        let conv = ConvNorm::new(channels, self.kernel.0 as usize, self.stride.0 as usize)
            .dilation(self.dilation.0 as usize)
            .groups(channels)
            .norm(self.norm)
            .act(self.act.into());
        to.conv(place.at, place.name, place.x, conv)
    }
}
