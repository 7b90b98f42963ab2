//! PP-LCNet (Cui et al. 2021). Names and layout follow timm's `timm/models/mobilenetv3.py`; batch norm adds 1e-5.

use crate::builder::{Builder, Built, ConvSpec, Made, Pad, divisible};
use crate::{Backbone, Filter, Idea, SnippetKind, TORCHVISION, timm};
use capwright_blueprint::Activation::{HardSigmoid, HardSwish, Relu};
use capwright_blueprint::{NodeId, Op};

pub(crate) const ALL: &[Backbone] = &[
    Backbone {
        name: "lcnet_050",
        parameters: 1_880_856,
        top1: 63.1,
        weights: timm("lcnet_050-f447553b.pth"),
        build: |size| assemble(size, 0.5),
        ..LCNET_100
    },
    Backbone {
        name: "lcnet_075",
        parameters: 2_358_288,
        top1: 68.8,
        weights: timm("lcnet_075-318cad2c.pth"),
        build: |size| assemble(size, 0.75),
        ..LCNET_100
    },
    LCNET_100,
];

pub(crate) const IDEAS: &[Idea] = &[
    Idea {
        title: "PP-LCNet stage",
        kind: SnippetKind::Block,
        json: r#"{"op":"repeat","times":4,"body":[{"op":"depthwise","kernel":5,"stride":1,"act":"hard_swish"},{"op":"conv","out":256,"kernel":1,"stride":1,"act":"hard_swish"}]}"#,
        note: "Depthwise 5 × 5 and 1 × 1 in turns, without shortcuts: quick on a CPU.",
        on: (256, 14),
        part: Some(("lcnet_100", "blocks.4.")),
    },
    Idea {
        title: "PP-LCNet block with a gate",
        kind: SnippetKind::Block,
        json: r#"{"op":"repeat","times":1,"body":[{"op":"depthwise","kernel":5,"stride":1,"act":"hard_swish"},{"op":"se","reduction":4},{"op":"conv","out":512,"kernel":1,"stride":1,"act":"hard_swish"}]}"#,
        note: "Its last stage: gates only where maps are small.",
        on: (512, 7),
        part: Some(("lcnet_100", "blocks.5.1.")),
    },
    Idea {
        title: "Separable stem and stages",
        kind: SnippetKind::Source,
        json: r#"{"kind":"scratch","stem":16,"stages":[{"kind":"separable","out":32,"repeat":1},{"kind":"separable","out":64,"repeat":2},{"kind":"separable","out":128,"repeat":2}]}"#,
        note: "MobileNet's first idea and PP-LCNet's: few parameters, trained from scratch.",
        on: (3, 224),
        part: None,
    },
];

const LCNET_100: Backbone = Backbone {
    name: "lcnet_100",
    filter: Filter::Bicubic,
    parameters: 2_953_800,
    top1: 72.1,
    paper: "Cui et al., PP-LCNet: A Lightweight CPU Convolutional Neural Network, 2021, arXiv 2109.15099",
    upstream: "github.com/huggingface/pytorch-image-models",
    tag: "ra2_in1k",
    licence: "Apache-2.0",
    weights: timm("lcnet_100-a929038c.pth"),
    build: |size| assemble(size, 1.0),
    ..TORCHVISION
};

/// Kernel, output channels before scaling, stride, whether squeezed (table 1 of the paper), stage by stage.
type Row = (usize, usize, usize, bool);

const STAGES: [&[Row]; 6] = [
    &[(3, 32, 1, false)],
    &[(3, 64, 2, false), (3, 64, 1, false)],
    &[(3, 128, 2, false), (3, 128, 1, false)],
    &[(3, 256, 2, false), (5, 256, 1, false)],
    &[(5, 256, 1, false); 4],
    &[(5, 512, 2, true), (5, 512, 1, true)],
];

fn assemble(size: usize, width: f64) -> Built {
    let channels = |plain: usize| divisible(plain as f64 * width, 8);
    let mut b = Builder::new(size, Pad::Half, 10);
    let x = b.conv_norm("conv_stem", "bn1", ConvSpec::dense(channels(16), 3, 2), 0)?;
    let mut x = b.act("bn1.act", HardSwish, x)?;
    let mut ends = Vec::new();
    for (i, stage) in STAGES.iter().enumerate() {
        for (j, &(kernel, plain, stride, squeezed)) in stage.iter().enumerate() {
            x = block(&mut b, &format!("blocks.{i}.{j}"), (kernel, channels(plain), stride, squeezed), x)?;
        }
        ends.push(x);
    }
    let y = b.add("global_pool", Op::GlobalAvgPool, &[x])?;
    let y = b.conv("conv_head", ConvSpec::dense(1280, 1, 1).bias(), y)?;
    let y = b.act("act2", HardSwish, y)?;
    b.linear("classifier", 1000, y)?;
    b.cut(ends[2], ends[4], ends[5])
}

/// `DepthwiseSeparableConv`, without a shortcut.
fn block(b: &mut Builder, name: &str, (kernel, output, stride, squeezed): Row, input: NodeId) -> Made {
    let (at, wide) = (|leaf: &str| format!("{name}.{leaf}"), b.channels(input));
    let x = b.conv_norm(&at("conv_dw"), &at("bn1"), ConvSpec::depthwise(wide, kernel, stride), input)?;
    let mut x = b.act(&at("bn1.act"), HardSwish, x)?;
    if squeezed {
        let names = ["conv_reduce", "act1", "conv_expand", "gate"];
        x = b.squeeze_as(&at("se"), names, wide / 4, (Relu, HardSigmoid), x)?;
    }
    x = b.conv_norm(&at("conv_pw"), &at("bn2"), ConvSpec::dense(output, 1, 1), x)?;
    b.act(&at("bn2.act"), HardSwish, x)
}
