//! DenseNet (Huang et al. 2017). Names and layout follow torchvision's `torchvision/models/densenet.py`; batch norm adds 1e-5.

use crate::builder::{Builder, Built, ConvSpec, Pad};
use crate::{Backbone, Idea, SnippetKind, TORCHVISION, torch};
use capwright_blueprint::{Activation, Op};

pub(crate) const ALL: &[Backbone] = &[
    DENSENET121,
    Backbone {
        name: "densenet161",
        parameters: 28_681_000,
        top1: 77.1,
        weights: torch("densenet161-8d451a50.pth"),
        build: |size| assemble(size, (96, 48), [6, 12, 36, 24]),
        ..DENSENET121
    },
    Backbone {
        name: "densenet169",
        parameters: 14_149_480,
        top1: 75.6,
        weights: torch("densenet169-b2777c0a.pth"),
        build: |size| assemble(size, (64, 32), [6, 12, 32, 32]),
        ..DENSENET121
    },
    Backbone {
        name: "densenet201",
        parameters: 20_013_928,
        top1: 76.9,
        weights: torch("densenet201-c1103571.pth"),
        build: |size| assemble(size, (64, 32), [6, 12, 48, 32]),
        ..DENSENET121
    },
];

pub(crate) const IDEAS: &[Idea] = &[Idea {
    title: "DenseNet-style growth",
    kind: SnippetKind::Block,
    json: r#"{"op":"parallel","merge":"concat","branches":[[{"op":"norm","kind":"batch"}],[{"op":"conv","out":128,"kernel":1,"stride":1,"act":"relu"},{"op":"conv","out":32,"kernel":3,"stride":1,"act":"relu"}]]}"#,
    note: "What came before, and 32 channels more.",
    on: (256, 14),
    part: None,
}];

const DENSENET121: Backbone = Backbone {
    name: "densenet121",
    parameters: 7_978_856,
    top1: 74.4,
    paper: "Huang et al., Densely Connected Convolutional Networks, CVPR 2017, arXiv 1608.06993",
    renamed: &[
        (".norm.1.", ".norm1."),
        (".norm.2.", ".norm2."),
        (".conv.1.", ".conv1."),
        (".conv.2.", ".conv2."),
    ],
    weights: torch("densenet121-a639ec97.pth"),
    build: |size| assemble(size, (64, 32), [6, 12, 24, 16]),
    ..TORCHVISION
};

/// Channels of the stem and of each layer, and layers of each block.
fn assemble(size: usize, (stem, growth): (usize, usize), depths: [usize; 4]) -> Built {
    let mut b = Builder::new(size, Pad::Half, 10);
    let x = b.conv_norm("features.conv0", "features.norm0", ConvSpec::dense(stem, 7, 2), 0)?;
    let x = b.act("features.relu0", Activation::Relu, x)?;
    let mut x = b.stem_pool("features.pool0", x)?;
    let mut ends = Vec::new();
    for (block, depth) in (1..).zip(depths) {
        for layer in 1..=depth {
            let name = format!("features.denseblock{block}.denselayer{layer}");
            let at = |leaf: &str| format!("{name}.{leaf}");
            let y = b.norm(&at("norm1"), x)?;
            let y = b.act(&at("relu1"), Activation::Relu, y)?;
            let y = b.conv_norm(&at("conv1"), &at("norm2"), ConvSpec::dense(4 * growth, 1, 1), y)?;
            let y = b.act(&at("relu2"), Activation::Relu, y)?;
            let y = b.conv(&at("conv2"), ConvSpec::dense(growth, 3, 1), y)?;
            x = b.add(&at("concat"), Op::Concat, &[x, y])?;
        }
        ends.push(x);
        if block < depths.len() {
            let at = |leaf: &str| format!("features.transition{block}.{leaf}");
            x = b.norm(&at("norm"), x)?;
            x = b.act(&at("relu"), Activation::Relu, x)?;
            x = b.conv(&at("conv"), ConvSpec::dense(b.channels(x) / 2, 1, 1), x)?;
            x = b.add(&at("pool"), Op::AvgPool { kernel: 2, stride: 2, padding: 0 }, &[x])?;
        }
    }
    x = b.norm("features.norm5", x)?;
    x = b.act("features.relu5", Activation::Relu, x)?;
    b.classifier("classifier", x)?;
    b.cut(ends[1], ends[2], x)
}
