//! EfficientNet (Tan and Le 2019) and EfficientNetV2 (Tan and Le 2021). Names and layout follow torchvision's
//! `torchvision/models/efficientnet.py`; batch norm adds 1e-5 in the first and 1e-3 in the second.

use crate::builder::{Builder, Built, ConvSpec, Made, Pad, divisible};
use crate::{Backbone, Filter, Idea, SnippetKind, TORCHVISION, torch};
use capwright_blueprint::Activation::{Sigmoid, Silu};
use capwright_blueprint::{NodeId, Op};

pub(crate) const ALL: &[Backbone] = &[
    B0,
    Backbone {
        name: "efficientnet_b1",
        default_size: 240,
        resize: 255,
        filter: Filter::Bilinear,
        parameters: 7_794_184,
        top1: 79.8,
        tag: "IMAGENET1K_V2",
        weights: torch("efficientnet_b1-c27df63c.pth"),
        build: |size| first(size, 1.0, 1.1),
        ..B0
    },
    Backbone {
        name: "efficientnet_b2",
        default_size: 288,
        resize: 288,
        parameters: 9_109_994,
        top1: 80.6,
        weights: torch("efficientnet_b2_rwightman-c35c1473.pth"),
        build: |size| first(size, 1.1, 1.2),
        ..B0
    },
    Backbone {
        name: "efficientnet_b3",
        default_size: 300,
        resize: 320,
        parameters: 12_233_232,
        top1: 82.0,
        weights: torch("efficientnet_b3_rwightman-b3899882.pth"),
        build: |size| first(size, 1.2, 1.4),
        ..B0
    },
    Backbone {
        name: "efficientnet_b4",
        default_size: 380,
        resize: 384,
        parameters: 19_341_616,
        top1: 83.4,
        weights: torch("efficientnet_b4_rwightman-23ab8bcd.pth"),
        build: |size| first(size, 1.4, 1.8),
        ..B0
    },
    Backbone {
        name: "efficientnet_v2_s",
        default_size: 384,
        resize: 384,
        filter: Filter::Bilinear,
        parameters: 21_458_488,
        top1: 84.2,
        paper: "Tan and Le, EfficientNetV2: Smaller Models and Faster Training, ICML 2021, arXiv 2104.00298",
        weights: torch("efficientnet_v2_s-dd5fe13b.pth"),
        build: |size| assemble(size, 1000, (24, 1280), &V2_S),
        ..B0
    },
];

pub(crate) const IDEAS: &[Idea] = &[
    Idea {
        title: "EfficientNet-style block",
        kind: SnippetKind::Block,
        json: r#"{"op":"residual","body":[{"op":"inverted_residual","out":192,"expand":6,"kernel":5,"stride":1},{"op":"se","reduction":16}]}"#,
        note: "An inverted residual with a narrow gate, here behind it and not in its middle.",
        on: (192, 7),
        part: None,
    },
    Idea {
        title: "EfficientNetV2 fused block",
        kind: SnippetKind::Block,
        json: r#"{"op":"residual","body":[{"op":"conv","out":192,"kernel":3,"stride":1,"act":"silu"},{"op":"conv","out":48,"kernel":1,"stride":1,"act":"silu"}]}"#,
        note: "Widen with a dense 3 × 3, narrow with 1 × 1: quick where channels are few.",
        on: (48, 96),
        part: Some(("efficientnet_v2_s", "features.2.1.")),
    },
];

const B0: Backbone = Backbone {
    name: "efficientnet_b0",
    filter: Filter::Bicubic,
    parameters: 5_288_548,
    top1: 77.7,
    paper: "Tan and Le, EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks, ICML 2019, arXiv 1905.11946",
    weights: torch("efficientnet_b0_rwightman-7f5810bc.pth"),
    build: |size| first(size, 1.0, 1.0),
    ..TORCHVISION
};

/// A stage: whether its blocks are fused, expansion, kernel, first stride, output channels, repeats.
type Stage = (bool, usize, usize, usize, usize, usize);

/// Those of B0 (table 1 of the paper).
const STAGES: [Stage; 7] = [
    (false, 1, 3, 1, 16, 1),
    (false, 6, 3, 2, 24, 2),
    (false, 6, 5, 2, 40, 2),
    (false, 6, 3, 2, 80, 3),
    (false, 6, 5, 1, 112, 3),
    (false, 6, 5, 2, 192, 4),
    (false, 6, 3, 1, 320, 1),
];

/// Those of V2-S (table 4 of the paper).
const V2_S: [Stage; 6] = [
    (true, 1, 3, 1, 24, 2),
    (true, 4, 3, 2, 48, 4),
    (true, 4, 3, 2, 64, 4),
    (false, 4, 3, 2, 128, 6),
    (false, 6, 3, 1, 160, 9),
    (false, 6, 3, 2, 256, 15),
];

/// The first generation: wider and deeper by these factors.
fn first(size: usize, width: f64, depth: f64) -> Built {
    let channels = |plain: usize| divisible(plain as f64 * width, 8);
    let scaled = |(fused, expand, kernel, stride, output, repeats): Stage| {
        (fused, expand, kernel, stride, channels(output), (repeats as f64 * depth).ceil() as usize)
    };
    assemble(size, 10, (channels(32), 4 * channels(320)), &STAGES.map(scaled))
}

fn assemble(size: usize, eps_micro: u32, (stem, head): (usize, usize), stages: &[Stage]) -> Built {
    let mut b = Builder::new(size, Pad::Half, eps_micro);
    let mut x = b.block("features.0", ConvSpec::dense(stem, 3, 2), Silu, 0)?;
    // Where the map is halved, what came before is the end of a stage.
    let mut ends = Vec::new();
    for (stage, (fused, expand, kernel, first, output, repeats)) in (1..).zip(stages.iter().copied()) {
        if first == 2 {
            ends.push(x);
        }
        for i in 0..repeats {
            let (name, stride) = (format!("features.{stage}.{i}"), if i == 0 { first } else { 1 });
            let spec = ConvSpec::dense(b.channels(x) * expand, kernel, stride);
            x = if fused {
                wide(&mut b, &name, spec, output, x)?
            } else {
                deep(&mut b, &name, spec, output, x)?
            };
        }
    }
    let (s8, s16) = (ends[ends.len() - 2], ends[ends.len() - 1]);
    x = b.block(&format!("features.{}", stages.len() + 1), ConvSpec::dense(head, 1, 1), Silu, x)?;
    b.classifier("classifier.1", x)?;
    b.cut(s8, s16, x)
}

/// The input again, where it has the shape of `x`.
fn shortcut(b: &mut Builder, name: &str, stride: usize, x: NodeId, input: NodeId) -> Made {
    if stride == 1 && b.channels(x) == b.channels(input) {
        return b.add(&format!("{name}.add"), Op::Add, &[x, input]);
    }
    Ok(x)
}

/// `MBConv`: widen, depthwise, squeeze, narrow; its layers are counted through in `block`.
fn deep(b: &mut Builder, name: &str, spec: ConvSpec, output: usize, input: NodeId) -> Made {
    let narrow = b.channels(input);
    let (mut x, mut index) = (input, 0);
    let mut next = || {
        index += 1;
        format!("{name}.block.{}", index - 1)
    };
    if spec.output != narrow {
        x = b.block(&next(), ConvSpec::dense(spec.output, 1, 1), Silu, x)?;
    }
    x = b.block(&next(), spec.groups(spec.output), Silu, x)?;
    x = b.squeeze(&next(), (narrow / 4).max(1), (Silu, Sigmoid), x)?;
    x = b.block(&next(), ConvSpec::dense(output, 1, 1), None, x)?;
    shortcut(b, name, spec.stride, x, input)
}

/// `FusedMBConv`: one convolution widens, the other narrows; without expansion there is one.
fn wide(b: &mut Builder, name: &str, spec: ConvSpec, output: usize, input: NodeId) -> Made {
    let mut x = b.block(&format!("{name}.block.0"), spec_to(spec, output, b.channels(input)), Silu, input)?;
    if spec.output != b.channels(input) {
        x = b.block(&format!("{name}.block.1"), ConvSpec::dense(output, 1, 1), None, x)?;
    }
    shortcut(b, name, spec.stride, x, input)
}

/// The first convolution of a fused block: to its wide middle, or right to its output where the middle is no wider than the input.
fn spec_to(spec: ConvSpec, output: usize, input: usize) -> ConvSpec {
    ConvSpec { output: if spec.output == input { output } else { spec.output }, ..spec }
}
