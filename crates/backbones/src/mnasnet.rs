//! MNASNet-B1 (Tan et al. 2019). Names and layout follow torchvision's `torchvision/models/mnasnet.py`; batch norm adds 1e-5.

use crate::builder::{Builder, Built, ConvSpec, Made, Pad, divisible};
use crate::{Backbone, Idea, SnippetKind, TORCHVISION, torch};
use capwright_blueprint::{Activation, NodeId, Op};

pub(crate) const ALL: &[Backbone] = &[
    Backbone {
        name: "mnasnet0_5",
        parameters: 2_218_512,
        top1: 67.7,
        weights: torch("mnasnet0.5_top1_67.823-3ffadce67e.pth"),
        build: |size| assemble(size, 0.5),
        ..MNASNET1_0
    },
    MNASNET1_0,
];

pub(crate) const IDEAS: &[Idea] = &[Idea {
    title: "MNASNet block",
    kind: SnippetKind::Block,
    json: r#"{"op":"inverted_residual","out":192,"expand":6,"kernel":5,"stride":1}"#,
    note: "An inverted residual as a search chose it for phones.",
    on: (192, 7),
    part: Some(("mnasnet1_0", "layers.12.1.")),
}];

const MNASNET1_0: Backbone = Backbone {
    name: "mnasnet1_0",
    parameters: 4_383_312,
    top1: 73.5,
    paper: "Tan et al., MnasNet: Platform-Aware Neural Architecture Search for Mobile, CVPR 2019, arXiv 1807.11626",
    weights: torch("mnasnet1.0_top1_73.512-f206786ef8.pth"),
    build: |size| assemble(size, 1.0),
    ..TORCHVISION
};

/// Output channels before scaling, kernel, first stride, expansion, repeats.
const STACKS: [(usize, usize, usize, usize, usize); 6] = [
    (24, 3, 2, 3, 3),
    (40, 5, 2, 3, 3),
    (80, 5, 2, 6, 3),
    (96, 3, 1, 6, 2),
    (192, 5, 2, 6, 4),
    (320, 3, 1, 6, 1),
];

fn assemble(size: usize, width: f64) -> Built {
    let channels = |plain: usize| divisible(plain as f64 * width, 8);
    let mut b = Builder::new(size, Pad::Half, 10);
    let x = layer(&mut b, "layers", 0, ConvSpec::dense(channels(32), 3, 2), 0)?;
    let x = b.act("layers.2", Activation::Relu, x)?;
    let x = layer(&mut b, "layers", 3, ConvSpec::depthwise(channels(32), 3, 1), x)?;
    let x = b.act("layers.5", Activation::Relu, x)?;
    let mut x = layer(&mut b, "layers", 6, ConvSpec::dense(channels(16), 1, 1), x)?;
    let mut ends = Vec::new();
    for (index, (plain, kernel, first, expand, repeats)) in (8..).zip(STACKS) {
        for i in 0..repeats {
            let stride = if i == 0 { first } else { 1 };
            let spec = ConvSpec::depthwise(b.channels(x) * expand, kernel, stride);
            x = block(&mut b, &format!("layers.{index}.{i}"), spec, channels(plain), x)?;
        }
        ends.push(x);
    }
    x = layer(&mut b, "layers", 14, ConvSpec::dense(1280, 1, 1), x)?;
    x = b.act("layers.16", Activation::Relu, x)?;
    b.classifier("classifier.1", x)?;
    b.cut(ends[1], ends[3], x)
}

/// A convolution and its norm, which have consecutive numbers.
fn layer(b: &mut Builder, name: &str, index: usize, spec: ConvSpec, x: NodeId) -> Made {
    b.conv_norm(&format!("{name}.{index}"), &format!("{name}.{}", index + 1), spec, x)
}

/// `_InvertedResidual`.
fn block(b: &mut Builder, name: &str, depthwise: ConvSpec, output: usize, input: NodeId) -> Made {
    let (layers, wide) = (format!("{name}.layers"), depthwise.output);
    let x = layer(b, &layers, 0, ConvSpec::dense(wide, 1, 1), input)?;
    let x = b.act(&format!("{layers}.2"), Activation::Relu, x)?;
    let x = layer(b, &layers, 3, depthwise, x)?;
    let x = b.act(&format!("{layers}.5"), Activation::Relu, x)?;
    let x = layer(b, &layers, 6, ConvSpec::dense(output, 1, 1), x)?;
    if depthwise.stride == 1 && b.channels(input) == output {
        return b.add(&format!("{name}.add"), Op::Add, &[x, input]);
    }
    Ok(x)
}
