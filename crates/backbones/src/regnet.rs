//! RegNet (Radosavovic et al. 2020). Names and layout follow torchvision's `torchvision/models/regnet.py`; batch norm adds 1e-5.

use crate::builder::{Builder, Built, ConvSpec, Made, Pad};
use crate::{Backbone, Idea, SnippetKind, TORCHVISION, torch};
use capwright_blueprint::Activation::{Relu, Sigmoid};
use capwright_blueprint::{NodeId, Op};

pub(crate) const ALL: &[Backbone] = &[
    Y400,
    Backbone {
        name: "regnet_y_1_6gf",
        parameters: 11_202_430,
        top1: 80.9,
        weights: torch("regnet_y_1_6gf-0d7bc02a.pth"),
        build: |size| assemble(size, [(2, 48), (6, 120), (17, 336), (2, 888)], 24, true),
        ..Y400
    },
    Backbone {
        name: "regnet_x_400mf",
        parameters: 5_495_976,
        top1: 74.9,
        weights: torch("regnet_x_400mf-62229a5f.pth"),
        build: |size| assemble(size, [(1, 32), (2, 64), (7, 160), (12, 400)], 16, false),
        ..Y400
    },
];

pub(crate) const IDEAS: &[Idea] = &[Idea {
    title: "RegNet block",
    kind: SnippetKind::Block,
    json: r#"{"op":"residual","body":[{"op":"conv","out":64,"kernel":1,"stride":1,"act":"relu"},{"op":"conv","out":64,"kernel":3,"stride":1,"groups":4,"act":"relu"},{"op":"conv","out":64,"kernel":1,"stride":1,"act":"relu"}]}"#,
    note: "Groups of 16 channels, without a narrow middle.",
    on: (64, 28),
    part: Some(("regnet_x_400mf", "trunk_output.block2.block2-1.")),
}];

const Y400: Backbone = Backbone {
    name: "regnet_y_400mf",
    resize: 232,
    parameters: 4_344_144,
    top1: 75.8,
    paper: "Radosavovic et al., Designing Network Design Spaces, CVPR 2020, arXiv 2003.13678",
    tag: "IMAGENET1K_V2",
    weights: torch("regnet_y_400mf-e6988f5f.pth"),
    build: |size| assemble(size, [(1, 48), (3, 104), (6, 208), (6, 440)], 8, true),
    ..TORCHVISION
};

/// Blocks and channels of each stage, channels of a group, and whether blocks are squeezed.
fn assemble(size: usize, stages: [(usize, usize); 4], group: usize, squeezed: bool) -> Built {
    let mut b = Builder::new(size, Pad::Half, 10);
    let mut x = b.block("stem", ConvSpec::dense(32, 3, 2), Relu, 0)?;
    let mut ends = Vec::new();
    for (stage, (depth, channels)) in (1..).zip(stages) {
        for i in 0..depth {
            let name = format!("trunk_output.block{stage}.block{stage}-{i}");
            let stride = if i == 0 { 2 } else { 1 };
            let middle = ConvSpec::dense(channels, 3, stride).groups(channels / group);
            x = block(&mut b, &name, middle, squeezed, x)?;
        }
        ends.push(x);
    }
    b.classifier("fc", x)?;
    b.cut(ends[1], ends[2], ends[3])
}

/// `ResBottleneckBlock`: 1 × 1, 3 × 3 in groups, squeeze, 1 × 1, and a shortcut that is projected where the shape changes.
fn block(b: &mut Builder, name: &str, middle: ConvSpec, squeezed: bool, input: NodeId) -> Made {
    let at = |leaf: &str| format!("{name}.{leaf}");
    let (narrow, output) = (b.channels(input), middle.output);
    let one = ConvSpec::dense(output, 1, 1);
    let x = b.block(&at("f.a"), one, Relu, input)?;
    let mut x = b.block(&at("f.b"), middle, Relu, x)?;
    if squeezed {
        // A quarter of the block's input, halves to the even number, as Python rounds.
        let quarter = (narrow as f64 * 0.25).round_ties_even() as usize;
        x = b.squeeze(&at("f.se"), quarter, (Relu, Sigmoid), x)?;
    }
    x = b.block(&at("f.c"), one, None, x)?;
    let mut shortcut = input;
    if middle.stride != 1 || narrow != output {
        shortcut = b.block(&at("proj"), ConvSpec::dense(output, 1, middle.stride), None, input)?;
    }
    let x = b.add(&at("add"), Op::Add, &[shortcut, x])?;
    b.act(&at("activation"), Relu, x)
}
