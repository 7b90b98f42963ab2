//! SqueezeNet (Iandola et al. 2016). Names and layout follow torchvision's `torchvision/models/squeezenet.py`. Its last stride is
//! 16; convolutions of the stem are not padded.

use crate::builder::{Builder, Built, ConvSpec, Made, Pad};
use crate::{Backbone, Idea, SnippetKind, TORCHVISION, torch};
use capwright_blueprint::language::Cut;
use capwright_blueprint::{Activation, NodeId, Op};

pub(crate) const ALL: &[Backbone] = &[
    SQUEEZENET1_0,
    Backbone {
        name: "squeezenet1_1",
        parameters: 1_235_496,
        top1: 58.2,
        weights: torch("squeezenet1_1-b8a52dc0.pth"),
        build: |size| assemble(size, (64, 3), [2, 2, 4]),
        ..SQUEEZENET1_0
    },
];

pub(crate) const IDEAS: &[Idea] = &[Idea {
    title: "SqueezeNet-style fire",
    kind: SnippetKind::Block,
    json: r#"{"op":"parallel","merge":"concat","branches":[[{"op":"conv","out":64,"kernel":1,"stride":1,"act":"relu"},{"op":"conv","out":256,"kernel":1,"stride":1,"act":"relu"}],[{"op":"conv","out":64,"kernel":1,"stride":1,"act":"relu"},{"op":"conv","out":256,"kernel":3,"stride":1,"act":"relu"}]]}"#,
    note: "Squeeze, then 1 × 1 beside 3 × 3; here each branch squeezes for itself.",
    on: (512, 13),
    part: None,
}];

const SQUEEZENET1_0: Backbone = Backbone {
    name: "squeezenet1_0",
    parameters: 1_248_424,
    top1: 58.1,
    paper: "Iandola et al., SqueezeNet: AlexNet-level accuracy with 50x fewer parameters, 2016, arXiv 1602.07360",
    weights: torch("squeezenet1_0-b66bff10.pth"),
    build: |size| assemble(size, (96, 7), [3, 4, 1]),
    ..TORCHVISION
};

/// Channels of the narrow part of each fire module; its two other parts have four times as many.
const NARROW: [usize; 8] = [16, 16, 32, 32, 48, 48, 64, 64];

/// Channels and kernel of the stem, and fire modules before each pool.
fn assemble(size: usize, (stem, kernel): (usize, usize), groups: [usize; 3]) -> Built {
    let mut b = Builder::new(size, Pad::Half, 10);
    let x = b.conv("features.0", ConvSpec::dense(stem, kernel, 2).padding(0).bias(), 0)?;
    let mut x = b.act("features.1", Activation::Relu, x)?;
    let (mut index, mut narrow, mut ends) = (2, NARROW.into_iter(), Vec::new());
    for count in groups {
        x = b.ceil_pool(&format!("features.{index}"), 3, 2, x)?;
        index += 1;
        for channels in narrow.by_ref().take(count) {
            x = fire(&mut b, &format!("features.{index}"), channels, x)?;
            index += 1;
        }
        ends.push(x);
    }
    x = b.conv("classifier.1", ConvSpec::dense(1000, 1, 1).bias(), x)?;
    x = b.act("classifier.2", Activation::Relu, x)?;
    b.add("classifier.3", Op::GlobalAvgPool, &[x])?;
    b.finish([(Cut::S8, ends[1]), (Cut::S16, ends[2])])
}

/// `Fire`: 1 × 1 to few channels, then 1 × 1 and 3 × 3 side by side.
fn fire(b: &mut Builder, name: &str, narrow: usize, x: NodeId) -> Made {
    let mut part = |leaf: &str, output: usize, kernel: usize, x| {
        let x = b.conv(&format!("{name}.{leaf}"), ConvSpec::dense(output, kernel, 1).bias(), x)?;
        b.act(&format!("{name}.{leaf}_activation"), Activation::Relu, x)
    };
    let x = part("squeeze", narrow, 1, x)?;
    let (one, three) = (part("expand1x1", 4 * narrow, 1, x)?, part("expand3x3", 4 * narrow, 3, x)?);
    b.add(&format!("{name}.concat"), Op::Concat, &[one, three])
}
