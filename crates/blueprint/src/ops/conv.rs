use super::{LeafOp, Place};
use crate::diagnostic::Code;
use crate::language::{Channels, Dilation, Groups, Kernel, Nonlinearity, NormKind, Stride, is_default};
use crate::lower::{ConvNorm, Lowered, Lowering};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Convolution, norm, non-linearity; padded to keep the size at stride 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct Conv {
    /// Output channels.
    pub out: Channels,
    /// Kernel.
    pub kernel: Kernel,
    /// Stride.
    pub stride: Stride,
    /// Cells between the taps of the kernel; 1 where left out.
    #[serde(default, skip_serializing_if = "is_default")]
    pub dilation: Dilation,
    /// Groups of channels that do not mix (Krizhevsky et al. 2012, Xie et al. 2017); 1 where left out.
    #[serde(default, skip_serializing_if = "is_default")]
    pub groups: Groups,
    /// Norm; batch norm where left out.
    #[serde(default, skip_serializing_if = "is_default")]
    pub norm: NormKind,
    /// Non-linearity.
    pub act: Nonlinearity,
}

impl LeafOp for Conv {
    const EXAMPLE: &'static str = r#"{"op":"conv","out":64,"kernel":3,"stride":1,"dilation":2,"act":"gelu"}"#;

    fn stride(&self) -> Option<usize> {
        Some(self.stride.0 as usize)
    }

    fn brief(&self) -> String {
        format!("conv{}k{}", self.out.0, self.kernel.0)
    }

    fn lower(&self, to: &mut Lowering, place: Place<'_>) -> Lowered {
        let (input, out, groups) = (to.channels(place.x), self.out.0 as usize, self.groups.0 as usize);
        if !input.is_multiple_of(groups) || !out.is_multiple_of(groups) {
            let message = format!("{groups} groups do not divide {input} channels in and {out} out");
            let fit = |g: &&u32| input.is_multiple_of(**g as usize) && out.is_multiple_of(**g as usize);
            let fitting: Vec<String> = Groups::CHOICES.iter().filter(fit).map(u32::to_string).collect();
            let hint = format!("groups that divide both: {}", fitting.join(", "));
            to.report(Code::Groups, &format!("{}/groups", place.at), message, &hint);
            return Err(());
        }
        let conv = ConvNorm::new(out, self.kernel.0 as usize, self.stride.0 as usize)
            .dilation(self.dilation.0 as usize)
            .groups(groups)
            .norm(self.norm)
            .act(self.act.into());
        to.conv(place.at, place.name, place.x, conv)
    }
}
