//! The ops that a design may name, one file each: fields, meaning, example, and how it becomes graph nodes.
//!
//! Shape and cost of an op follow from the nodes that it lowers to ([`crate::Op`]). To add one: write its file,
//! list it in `leaves!` below; schema, grammar, sampler, reader, canonical form and descriptions follow.

use crate::graph::NodeId;
use crate::lower::{Lowered, Lowering};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where an op stands: its JSON pointer, the prefix of its parameter names, and the node that it reads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) at: &'a str,
    pub(crate) name: &'a str,
    pub(crate) x: NodeId,
}

/// What every op of the language gives.
pub(crate) trait LeafOp {
    /// An example in JSON, as a design writes it.
    const EXAMPLE: &'static str;

    /// By how much it shrinks the map; `None` where the output's side does not follow from a stride.
    fn stride(&self) -> Option<usize> {
        Some(1)
    }

    /// A few letters for tables: `conv64k3`.
    fn brief(&self) -> String;

    /// Adds its nodes; `Err` means that diagnostics say why not.
    fn lower(&self, to: &mut Lowering, place: Place<'_>) -> Lowered;
}

macro_rules! leaves {
    ($($(#[$doc:meta])* $module:ident::$name:ident),+ $(,)?) => {
        $(mod $module; pub use $module::$name;)+

        /// A block without blocks inside.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(tag = "op", rename_all = "snake_case")]
        pub enum Leaf {
            $($(#[$doc])* $name($name),)+
        }

        impl Leaf {
            /// Name and example of each op, in the order of the language.
            pub const EXAMPLES: &'static [(&'static str, &'static str)] =
                &[$((stringify!($module), <$name as LeafOp>::EXAMPLE)),+];

            /// The word in `op`.
            pub fn name(&self) -> &'static str {
                match self { $(Self::$name(_) => stringify!($module)),+ }
            }

            /// A few letters for tables: `conv64k3`.
            pub fn brief(&self) -> String {
                match self { $(Self::$name(op) => op.brief()),+ }
            }

            pub(crate) fn stride(&self) -> Option<usize> {
                match self { $(Self::$name(op) => op.stride()),+ }
            }

            pub(crate) fn lower(&self, to: &mut Lowering, place: Place<'_>) -> Lowered {
                match self { $(Self::$name(op) => op.lower(to, place)),+ }
            }
        }
    };
}

leaves! {
    /// Convolution, norm, non-linearity.
    conv::Conv,
    /// Depthwise convolution, norm, non-linearity.
    depthwise::Depthwise,
    /// ResNet's bottleneck.
    bottleneck::Bottleneck,
    /// MobileNetV2's inverted residual.
    inverted_residual::InvertedResidual,
    /// ConvNeXt's block.
    conv_next::ConvNext,
    /// Self-attention and a feed-forward layer over cells.
    self_attention::SelfAttention,
    /// MLP-Mixer's block.
    mixer::Mixer,
    /// Squeeze and excitation.
    se::Se,
    /// Efficient channel attention.
    eca::Eca,
    /// Convolutional block attention.
    cbam::Cbam,
    /// Coordinate attention.
    coordinate::Coordinate,
    /// Pooling by 2.
    pool::Pool,
    /// Mean pooling to a given size.
    adaptive_pool::AdaptivePool,
    /// A norm alone.
    norm::Norm,
    /// A non-linearity alone.
    act::Act,
}
