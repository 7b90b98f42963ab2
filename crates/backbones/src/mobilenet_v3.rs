//! MobileNetV3 (Howard et al. 2019). Names and layout follow torchvision's `torchvision/models/mobilenetv3.py`; batch norm adds
//! 1e-3.

use crate::builder::{Builder, Built, ConvSpec, Made, Pad, divisible};
use crate::{Backbone, Idea, SnippetKind, TORCHVISION, torch};
use capwright_blueprint::Activation::{HardSigmoid, HardSwish, Relu};
use capwright_blueprint::{Activation, NodeId, Op};

pub(crate) const ALL: &[Backbone] = &[
    Backbone {
        name: "mobilenet_v3_small",
        resize: 256,
        parameters: 2_542_856,
        top1: 67.7,
        tag: "IMAGENET1K_V1",
        weights: torch("mobilenet_v3_small-047dcff4.pth"),
        build: |size| assemble(size, &SMALL, 1024),
        ..LARGE_NET
    },
    LARGE_NET,
];

pub(crate) const IDEAS: &[Idea] = &[Idea {
    title: "MobileNetV3-style block",
    kind: SnippetKind::Block,
    json: r#"{"op":"residual","body":[{"op":"inverted_residual","out":160,"expand":6,"kernel":5,"stride":1},{"op":"se","reduction":4}]}"#,
    note: "MobileNetV2's block with a gate, here behind it and not in its middle.",
    on: (160, 7),
    part: None,
}];

const LARGE_NET: Backbone = Backbone {
    name: "mobilenet_v3_large",
    resize: 232,
    parameters: 5_483_032,
    top1: 75.3,
    paper: "Howard et al., Searching for MobileNetV3, ICCV 2019, arXiv 1905.02244",
    tag: "IMAGENET1K_V2",
    weights: torch("mobilenet_v3_large-5c1a4163.pth"),
    build: |size| assemble(size, &LARGE, 1280),
    ..TORCHVISION
};

/// Kernel, wide and output channels, whether squeezed, non-linearity, stride (tables 1 and 2 of the paper).
type Row = (usize, usize, usize, bool, Activation, usize);

const LARGE: [Row; 15] = [
    (3, 16, 16, false, Relu, 1),
    (3, 64, 24, false, Relu, 2),
    (3, 72, 24, false, Relu, 1),
    (5, 72, 40, true, Relu, 2),
    (5, 120, 40, true, Relu, 1),
    (5, 120, 40, true, Relu, 1),
    (3, 240, 80, false, HardSwish, 2),
    (3, 200, 80, false, HardSwish, 1),
    (3, 184, 80, false, HardSwish, 1),
    (3, 184, 80, false, HardSwish, 1),
    (3, 480, 112, true, HardSwish, 1),
    (3, 672, 112, true, HardSwish, 1),
    (5, 672, 160, true, HardSwish, 2),
    (5, 960, 160, true, HardSwish, 1),
    (5, 960, 160, true, HardSwish, 1),
];

const SMALL: [Row; 11] = [
    (3, 16, 16, true, Relu, 2),
    (3, 72, 24, false, Relu, 2),
    (3, 88, 24, false, Relu, 1),
    (5, 96, 40, true, HardSwish, 2),
    (5, 240, 40, true, HardSwish, 1),
    (5, 240, 40, true, HardSwish, 1),
    (5, 120, 48, true, HardSwish, 1),
    (5, 144, 48, true, HardSwish, 1),
    (5, 288, 96, true, HardSwish, 2),
    (5, 576, 96, true, HardSwish, 1),
    (5, 576, 96, true, HardSwish, 1),
];

fn assemble(size: usize, rows: &[Row], last: usize) -> Built {
    let mut b = Builder::new(size, Pad::Half, 1000);
    let mut x = b.block("features.0", ConvSpec::dense(16, 3, 2), HardSwish, 0)?;
    // Where the map is halved, what came before is the end of a stage.
    let mut ends = Vec::new();
    for (i, row) in rows.iter().enumerate() {
        if row.5 == 2 {
            ends.push(x);
        }
        x = block(&mut b, &format!("features.{}", i + 1), *row, x)?;
    }
    let head = ConvSpec::dense(6 * b.channels(x), 1, 1);
    x = b.block(&format!("features.{}", rows.len() + 1), head, HardSwish, x)?;
    let (s8, s16) = (ends[ends.len() - 2], ends[ends.len() - 1]);
    let pooled = b.add("avgpool", Op::GlobalAvgPool, &[x])?;
    let y = b.linear("classifier.0", last, pooled)?;
    let y = b.act("classifier.1", HardSwish, y)?;
    b.linear("classifier.3", 1000, y)?;
    b.cut(s8, s16, x)
}

/// `InvertedResidual`: its layers are counted through in `block`.
fn block(b: &mut Builder, name: &str, row: Row, input: NodeId) -> Made {
    let (kernel, wide, output, squeezed, act, stride) = row;
    let (mut x, mut index) = (input, 0);
    let mut next = || {
        index += 1;
        format!("{name}.block.{}", index - 1)
    };
    if wide != b.channels(input) {
        x = b.block(&next(), ConvSpec::dense(wide, 1, 1), act, x)?;
    }
    x = b.block(&next(), ConvSpec::depthwise(wide, kernel, stride), act, x)?;
    if squeezed {
        x = b.squeeze(&next(), divisible((wide / 4) as f64, 8), (Relu, HardSigmoid), x)?;
    }
    x = b.block(&next(), ConvSpec::dense(output, 1, 1), None, x)?;
    if stride == 1 && b.channels(input) == output {
        x = b.add(&format!("{name}.add"), Op::Add, &[x, input])?;
    }
    Ok(x)
}
