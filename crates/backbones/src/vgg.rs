//! VGG (Simonyan and Zisserman 2015), with and without batch norm. Names and layout follow torchvision's
//! `torchvision/models/vgg.py`; batch norm adds 1e-5.

use crate::builder::{Builder, Built, ConvSpec, Pad};
use crate::{Backbone, Idea, SnippetKind, TORCHVISION, torch};
use capwright_blueprint::{Activation, Op};

pub(crate) const ALL: &[Backbone] = &[
    VGG11,
    Backbone {
        name: "vgg11_bn",
        parameters: 132_868_840,
        top1: 70.4,
        weights: torch("vgg11_bn-6002323d.pth"),
        build: |size| assemble(size, [1, 1, 2, 2, 2], true),
        ..VGG11
    },
    Backbone {
        name: "vgg13",
        parameters: 133_047_848,
        top1: 69.9,
        weights: torch("vgg13-19584684.pth"),
        build: |size| assemble(size, [2, 2, 2, 2, 2], false),
        ..VGG11
    },
    Backbone {
        name: "vgg13_bn",
        parameters: 133_053_736,
        top1: 71.6,
        weights: torch("vgg13_bn-abd245e5.pth"),
        build: |size| assemble(size, [2, 2, 2, 2, 2], true),
        ..VGG11
    },
    Backbone {
        name: "vgg16",
        parameters: 138_357_544,
        top1: 71.6,
        weights: torch("vgg16-397923af.pth"),
        build: |size| assemble(size, [2, 2, 3, 3, 3], false),
        ..VGG11
    },
    Backbone {
        name: "vgg16_bn",
        parameters: 138_365_992,
        top1: 73.4,
        weights: torch("vgg16_bn-6c64b313.pth"),
        build: |size| assemble(size, [2, 2, 3, 3, 3], true),
        ..VGG11
    },
    Backbone {
        name: "vgg19",
        parameters: 143_667_240,
        top1: 72.4,
        weights: torch("vgg19-dcbb9e9d.pth"),
        build: |size| assemble(size, [2, 2, 4, 4, 4], false),
        ..VGG11
    },
    Backbone {
        name: "vgg19_bn",
        parameters: 143_678_248,
        top1: 74.2,
        weights: torch("vgg19_bn-c79401a0.pth"),
        build: |size| assemble(size, [2, 2, 4, 4, 4], true),
        ..VGG11
    },
];

pub(crate) const IDEAS: &[Idea] = &[
    Idea {
        title: "VGG pair",
        kind: SnippetKind::Block,
        json: r#"{"op":"repeat","times":2,"body":[{"op":"conv","out":512,"kernel":3,"stride":1,"act":"relu"}]}"#,
        note: "Two dense 3 × 3 convolutions see 5 × 5 cells; costly.",
        on: (512, 14),
        part: None,
    },
    Idea {
        title: "Plain convolution stem and stages",
        kind: SnippetKind::Source,
        json: r#"{"kind":"scratch","stem":16,"stages":[{"kind":"conv","out":32,"repeat":1},{"kind":"conv","out":64,"repeat":1},{"kind":"conv","out":96,"repeat":1}]}"#,
        note: "VGG's idea in small: the fastest to train on small images.",
        on: (3, 224),
        part: None,
    },
];

const VGG11: Backbone = Backbone {
    name: "vgg11",
    parameters: 132_863_336,
    top1: 69.0,
    paper: "Simonyan and Zisserman, Very Deep Convolutional Networks for Large-Scale Image Recognition, ICLR 2015, arXiv 1409.1556",
    weights: torch("vgg11-8a719046.pth"),
    build: |size| assemble(size, [1, 1, 2, 2, 2], false),
    ..TORCHVISION
};

/// So many 3 × 3 convolutions before each pool (table 1 of the paper).
fn assemble(size: usize, depths: [usize; 5], norms: bool) -> Built {
    let mut b = Builder::new(size, Pad::Half, 10);
    let (mut x, mut ends, mut index) = (0, Vec::new(), 0);
    // The layers of `features` are counted through.
    let mut next = || {
        index += 1;
        format!("features.{}", index - 1)
    };
    for (channels, depth) in [64, 128, 256, 512, 512].into_iter().zip(depths) {
        for _ in 0..depth {
            x = b.conv(&next(), ConvSpec::dense(channels, 3, 1).bias(), x)?;
            if norms {
                x = b.norm(&next(), x)?;
            }
            x = b.act(&next(), Activation::Relu, x)?;
        }
        x = b.max_pool(&next(), 2, 2, x)?;
        ends.push(x);
    }
    x = b.add("avgpool", Op::AdaptiveAvgPool { side: 7 }, &[x])?;
    x = b.add("flatten", Op::Flatten, &[x])?;
    for (layer, act) in [("classifier.0", "classifier.1"), ("classifier.3", "classifier.4")] {
        x = b.linear(layer, 4096, x)?;
        x = b.act(act, Activation::Relu, x)?;
    }
    b.linear("classifier.6", 1000, x)?;
    b.cut(ends[2], ends[3], ends[4])
}
