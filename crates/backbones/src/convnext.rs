//! ConvNeXt (Liu et al. 2022). Names and layout follow torchvision's `torchvision/models/convnext.py`; layer norm adds 1e-6.

use crate::builder::{Builder, Built, ConvSpec, Made, Pad};
use crate::{Backbone, Idea, SnippetKind, TORCHVISION, torch};
use capwright_blueprint::{Activation, NodeId, Op};

pub(crate) const ALL: &[Backbone] = &[
    TINY,
    Backbone {
        name: "convnext_small",
        resize: 230,
        parameters: 50_223_688,
        top1: 83.6,
        weights: torch("convnext_small-0c510722.pth"),
        build: |size| assemble(size, [3, 3, 27, 3]),
        ..TINY
    },
];

pub(crate) const IDEAS: &[Idea] = &[Idea {
    title: "ConvNeXt block",
    kind: SnippetKind::Block,
    json: r#"{"op":"conv_next","kernel":7,"expand":4}"#,
    note: "Depthwise 7 × 7, layer norm, and a wide perceptron for each cell.",
    on: (96, 56),
    part: Some(("convnext_tiny", "features.1.0.")),
}];

const TINY: Backbone = Backbone {
    name: "convnext_tiny",
    resize: 236,
    parameters: 28_589_128,
    top1: 82.5,
    paper: "Liu et al., A ConvNet for the 2020s, CVPR 2022, arXiv 2201.03545",
    weights: torch("convnext_tiny-983f1562.pth"),
    build: |size| assemble(size, [3, 3, 9, 3]),
    ..TORCHVISION
};

const EPS_MICRO: u32 = 1;

/// Blocks of each stage.
fn assemble(size: usize, depths: [usize; 4]) -> Built {
    let mut b = Builder::new(size, Pad::Half, 10);
    let patches = |output, side| ConvSpec::dense(output, side, side).padding(0).bias();
    let x = b.conv("features.0.0", patches(96, 4), 0)?;
    let mut x = b.layer_norm("features.0.1", EPS_MICRO, x)?;
    let mut ends = Vec::new();
    for (stage, (depth, channels)) in depths.into_iter().zip([96, 192, 384, 768]).enumerate() {
        if stage > 0 {
            x = b.layer_norm(&format!("features.{}.0", 2 * stage), EPS_MICRO, x)?;
            x = b.conv(&format!("features.{}.1", 2 * stage), patches(channels, 2), x)?;
        }
        for i in 0..depth {
            x = block(&mut b, &format!("features.{}.{i}", 2 * stage + 1), x)?;
        }
        ends.push(x);
    }
    let y = b.add("avgpool", Op::GlobalAvgPool, &[x])?;
    let y = b.layer_norm("classifier.0", EPS_MICRO, y)?;
    b.linear("classifier.2", 1000, y)?;
    b.cut(ends[1], ends[2], ends[3])
}

/// `CNBlock`: depthwise, norm, widen, narrow, scale, shortcut.
fn block(b: &mut Builder, name: &str, input: NodeId) -> Made {
    let at = |i: usize| format!("{name}.block.{i}");
    let channels = b.channels(input);
    let x = b.conv(&at(0), ConvSpec::depthwise(channels, 7, 1).bias(), input)?;
    let x = b.layer_norm(&at(2), EPS_MICRO, x)?;
    let x = b.linear(&at(3), 4 * channels, x)?;
    let x = b.act(&at(4), Activation::Gelu, x)?;
    let x = b.linear(&at(5), channels, x)?;
    let x = b.add(name, Op::LayerScale { channels }, &[x])?;
    b.add(&format!("{name}.add"), Op::Add, &[x, input])
}
