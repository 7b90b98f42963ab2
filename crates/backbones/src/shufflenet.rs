//! ShuffleNetV2 (Ma et al. 2018). Names and layout follow torchvision's `torchvision/models/shufflenetv2.py`; batch norm adds 1e-5.

use crate::builder::{Builder, Built, ConvSpec, Made, Pad};
use crate::{Backbone, Idea, SnippetKind, TORCHVISION, torch};
use capwright_blueprint::{Activation, NodeId, Op};

pub(crate) const ALL: &[Backbone] = &[
    Backbone {
        name: "shufflenet_v2_x0_5",
        parameters: 1_366_792,
        top1: 60.6,
        weights: torch("shufflenetv2_x0.5-f707e7126e.pth"),
        build: |size| assemble(size, [48, 96, 192]),
        ..X1
    },
    X1,
];

pub(crate) const IDEAS: &[Idea] = &[Idea {
    title: "ShuffleNet-style branches",
    kind: SnippetKind::Block,
    json: r#"{"op":"parallel","merge":"concat","branches":[[{"op":"conv","out":64,"kernel":1,"stride":1,"act":"relu"}],[{"op":"conv","out":64,"kernel":1,"stride":1,"act":"relu"},{"op":"depthwise","kernel":3,"stride":1,"act":"relu"}]]}"#,
    note: "Half of the channels pass by, half look at neighbours.",
    on: (116, 28),
    part: None,
}];

const X1: Backbone = Backbone {
    name: "shufflenet_v2_x1_0",
    parameters: 2_278_604,
    top1: 69.4,
    paper: "Ma et al., ShuffleNet V2: Practical Guidelines for Efficient CNN Architecture Design, ECCV 2018, arXiv 1807.11164",
    weights: torch("shufflenetv2_x1-5666bf0f80.pth"),
    build: |size| assemble(size, [116, 232, 464]),
    ..TORCHVISION
};

/// Channels of the stages; the stem has 24 and the end 1,024.
fn assemble(size: usize, channels: [usize; 3]) -> Built {
    let mut b = Builder::new(size, Pad::Half, 10);
    let x = b.block("conv1", ConvSpec::dense(24, 3, 2), Activation::Relu, 0)?;
    let mut x = b.stem_pool("maxpool", x)?;
    let mut ends = Vec::new();
    for (stage, (output, repeats)) in (2..).zip(channels.into_iter().zip([4, 8, 4])) {
        for i in 0..repeats {
            let name = format!("stage{stage}.{i}");
            x = if i == 0 { halving(&mut b, &name, output, x)? } else { block(&mut b, &name, x)? };
        }
        ends.push(x);
    }
    let head = b.block("conv5", ConvSpec::dense(1024, 1, 1), Activation::Relu, x)?;
    b.classifier("fc", head)?;
    b.cut(ends[0], ends[1], head)
}

/// 1 × 1, depthwise, 1 × 1: `name.0` to `name.7`.
fn branch(b: &mut Builder, name: &str, (output, stride): (usize, usize), x: NodeId) -> Made {
    let at = |i: usize| format!("{name}.{i}");
    let x = b.conv_norm(&at(0), &at(1), ConvSpec::dense(output, 1, 1), x)?;
    let x = b.act(&at(2), Activation::Relu, x)?;
    let x = b.conv_norm(&at(3), &at(4), ConvSpec::depthwise(output, 3, stride), x)?;
    let x = b.conv_norm(&at(5), &at(6), ConvSpec::dense(output, 1, 1), x)?;
    b.act(&at(7), Activation::Relu, x)
}

/// Two halves side by side, their channels in turns.
fn shuffled(b: &mut Builder, name: &str, halves: &[NodeId]) -> Made {
    let x = b.add(&format!("{name}.concat"), Op::Concat, halves)?;
    b.add(&format!("{name}.shuffle"), Op::Shuffle { groups: 2 }, &[x])
}

/// `InvertedResidual` with stride 1: one half of the channels stays as it is.
fn block(b: &mut Builder, name: &str, x: NodeId) -> Made {
    let channels = b.channels(x) / 2;
    let kept = b.add(&format!("{name}.kept"), Op::Slice { from: 0, channels }, &[x])?;
    let half = b.add(&format!("{name}.half"), Op::Slice { from: channels, channels }, &[x])?;
    let half = branch(b, &format!("{name}.branch2"), (channels, 1), half)?;
    shuffled(b, name, &[kept, half])
}

/// `InvertedResidual` with stride 2: both halves come from all channels.
fn halving(b: &mut Builder, name: &str, output: usize, x: NodeId) -> Made {
    let at = |i: usize| format!("{name}.branch1.{i}");
    let depthwise = ConvSpec::depthwise(b.channels(x), 3, 2);
    let first = b.conv_norm(&at(0), &at(1), depthwise, x)?;
    let first = b.conv_norm(&at(2), &at(3), ConvSpec::dense(output / 2, 1, 1), first)?;
    let first = b.act(&at(4), Activation::Relu, first)?;
    let second = branch(b, &format!("{name}.branch2"), (output / 2, 2), x)?;
    shuffled(b, name, &[first, second])
}
