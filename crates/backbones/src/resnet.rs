//! ResNet (He et al. 2016), ResNeXt (Xie et al. 2017) and wide ResNet (Zagoruyko and Komodakis 2016). Names and layout follow
//! torchvision's `torchvision/models/resnet.py`, which strides in the 3 × 3 convolution of a bottleneck; batch norm adds 1e-5.

use crate::builder::{Builder, Built, ConvSpec, Made, Pad};
use crate::{Backbone, Idea, SnippetKind, TORCHVISION, torch};
use capwright_blueprint::{Activation, NodeId, Op};

pub(crate) const ALL: &[Backbone] = &[
    RESNET18,
    Backbone {
        name: "resnet34",
        parameters: 21_797_672,
        top1: 73.3,
        weights: torch("resnet34-b627a593.pth"),
        build: |size| assemble(size, Layout::basic([3, 4, 6, 3])),
        ..RESNET18
    },
    RESNET50,
    Backbone {
        name: "resnet101",
        parameters: 44_549_160,
        top1: 81.9,
        weights: torch("resnet101-cd907fc2.pth"),
        build: |size| assemble(size, Layout::bottleneck([3, 4, 23, 3], 1, 64)),
        ..RESNET50
    },
    Backbone {
        name: "resnet152",
        parameters: 60_192_808,
        top1: 82.3,
        weights: torch("resnet152-f82ba261.pth"),
        build: |size| assemble(size, Layout::bottleneck([3, 8, 36, 3], 1, 64)),
        ..RESNET50
    },
    RESNEXT50,
    Backbone {
        name: "resnext101_32x8d",
        parameters: 88_791_336,
        top1: 82.8,
        weights: torch("resnext101_32x8d-110c445d.pth"),
        build: |size| assemble(size, Layout::bottleneck([3, 4, 23, 3], 32, 8)),
        ..RESNEXT50
    },
    Backbone {
        name: "wide_resnet50_2",
        parameters: 68_883_240,
        top1: 81.6,
        paper: "Zagoruyko and Komodakis, Wide Residual Networks, BMVC 2016, arXiv 1605.07146",
        weights: torch("wide_resnet50_2-9ba9bcbe.pth"),
        build: |size| assemble(size, Layout::bottleneck([3, 4, 6, 3], 1, 128)),
        ..RESNET50
    },
];

pub(crate) const IDEAS: &[Idea] = &[
    Idea {
        title: "ResNet bottleneck",
        kind: SnippetKind::Block,
        json: r#"{"op":"bottleneck","out":256,"reduction":4,"stride":1}"#,
        note: "1 × 1, 3 × 3, 1 × 1 with a shortcut; mixes neighbouring cells.",
        on: (256, 56),
        part: Some(("resnet50", "layer1.1.")),
    },
    Idea {
        title: "ResNet residual of two convolutions",
        kind: SnippetKind::Block,
        json: r#"{"op":"residual","body":[{"op":"conv","out":128,"kernel":3,"stride":1,"act":"relu"},{"op":"conv","out":128,"kernel":3,"stride":1,"act":"relu"}]}"#,
        note: "A basic block; the map must already have 128 channels.",
        on: (128, 28),
        part: Some(("resnet18", "layer2.1.")),
    },
    Idea {
        title: "ResNeXt block",
        kind: SnippetKind::Block,
        json: r#"{"op":"residual","body":[{"op":"conv","out":128,"kernel":1,"stride":1,"act":"relu"},{"op":"conv","out":128,"kernel":3,"stride":1,"groups":32,"act":"relu"},{"op":"conv","out":256,"kernel":1,"stride":1,"act":"relu"}]}"#,
        note: "A bottleneck whose middle has 32 groups.",
        on: (256, 56),
        part: Some(("resnext50_32x4d", "layer1.1.")),
    },
    Idea {
        title: "ResNet-style stem and stages",
        kind: SnippetKind::Source,
        json: r#"{"kind":"scratch","stem":32,"stages":[{"kind":"basic","out":32,"repeat":1},{"kind":"basic","out":64,"repeat":1},{"kind":"basic","out":128,"repeat":1}]}"#,
        note: "Residual blocks train more steadily than plain convolutions.",
        on: (3, 224),
        part: None,
    },
];

const RESNET18: Backbone = Backbone {
    name: "resnet18",
    parameters: 11_689_512,
    top1: 69.8,
    paper: "He et al., Deep Residual Learning for Image Recognition, CVPR 2016, arXiv 1512.03385",
    weights: torch("resnet18-f37072fd.pth"),
    build: |size| assemble(size, Layout::basic([2, 2, 2, 2])),
    ..TORCHVISION
};

const RESNET50: Backbone = Backbone {
    name: "resnet50",
    resize: 232,
    parameters: 25_557_032,
    top1: 80.9,
    tag: "IMAGENET1K_V2",
    weights: torch("resnet50-11ad3fa6.pth"),
    build: |size| assemble(size, Layout::bottleneck([3, 4, 6, 3], 1, 64)),
    ..RESNET18
};

const RESNEXT50: Backbone = Backbone {
    name: "resnext50_32x4d",
    parameters: 25_028_904,
    top1: 81.2,
    paper: "Xie et al., Aggregated Residual Transformations for Deep Neural Networks, CVPR 2017, arXiv 1611.05431",
    weights: torch("resnext50_32x4d-1a0047aa.pth"),
    build: |size| assemble(size, Layout::bottleneck([3, 4, 6, 3], 32, 4)),
    ..RESNET50
};

/// Blocks of each stage, and what they are.
#[derive(Clone, Copy)]
struct Layout {
    depths: [usize; 4],
    block: Block,
}

#[derive(Clone, Copy)]
enum Block {
    /// Two 3 × 3 convolutions.
    Basic,
    /// 1 × 1, 3 × 3 in groups, 1 × 1 to four times the channels; `width` channels a group in the first stage.
    Bottleneck { groups: usize, width: usize },
}

impl Layout {
    fn basic(depths: [usize; 4]) -> Self {
        Self { depths, block: Block::Basic }
    }

    fn bottleneck(depths: [usize; 4], groups: usize, width: usize) -> Self {
        Self { depths, block: Block::Bottleneck { groups, width } }
    }
}

fn assemble(size: usize, layout: Layout) -> Built {
    let mut b = Builder::new(size, Pad::Half, 10);
    let x = b.conv_norm("conv1", "bn1", ConvSpec::dense(64, 7, 2), 0)?;
    let x = b.act("relu", Activation::Relu, x)?;
    let mut x = b.stem_pool("maxpool", x)?;
    let mut ends = Vec::new();
    for (stage, (planes, depth)) in [64, 128, 256, 512].into_iter().zip(layout.depths).enumerate() {
        for i in 0..depth {
            let stride = if stage > 0 && i == 0 { 2 } else { 1 };
            x = block(&mut b, &format!("layer{}.{i}", stage + 1), layout.block, (planes, stride), x)?;
        }
        ends.push(x);
    }
    b.classifier("fc", x)?;
    b.cut(ends[1], ends[2], ends[3])
}

/// `BasicBlock` or `Bottleneck`, with a shortcut that is projected where the shape changes.
fn block(b: &mut Builder, name: &str, block: Block, (planes, stride): (usize, usize), input: NodeId) -> Made {
    let at = |leaf: &str| format!("{name}.{leaf}");
    let layers = match block {
        Block::Basic => vec![ConvSpec::dense(planes, 3, stride), ConvSpec::dense(planes, 3, 1)],
        Block::Bottleneck { groups, width } => {
            let wide = planes * width / 64 * groups;
            let middle = ConvSpec::dense(wide, 3, stride).groups(groups);
            vec![ConvSpec::dense(wide, 1, 1), middle, ConvSpec::dense(4 * planes, 1, 1)]
        }
    };
    let (mut x, output, last) = (input, layers[layers.len() - 1].output, layers.len());
    for (i, layer) in layers.into_iter().enumerate().map(|(i, layer)| (i + 1, layer)) {
        x = b.conv_norm(&at(&format!("conv{i}")), &at(&format!("bn{i}")), layer, x)?;
        if i < last {
            x = b.act(&at(&format!("relu{i}")), Activation::Relu, x)?;
        }
    }
    let mut shortcut = input;
    if stride != 1 || b.channels(input) != output {
        let spec = ConvSpec::dense(output, 1, stride);
        shortcut = b.conv_norm(&at("downsample.0"), &at("downsample.1"), spec, input)?;
    }
    let x = b.add(&at("add"), Op::Add, &[x, shortcut])?;
    b.act(&at(&format!("relu{last}")), Activation::Relu, x)
}
