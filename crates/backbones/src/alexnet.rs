//! AlexNet (Krizhevsky et al. 2012) as "One weird trick" (Krizhevsky 2014) has it, on one device. Names and layout follow
//! torchvision's `torchvision/models/alexnet.py`.

use crate::builder::{Builder, Built, ConvSpec, Pad};
use crate::{Backbone, Idea, SnippetKind, TORCHVISION, torch};
use capwright_blueprint::{Activation, Op};

pub(crate) const ALL: &[Backbone] = &[Backbone {
    name: "alexnet",
    min_size: 64,
    parameters: 61_100_840,
    top1: 56.5,
    paper: "Krizhevsky, One weird trick for parallelizing convolutional neural networks, 2014, arXiv 1404.5997",
    weights: torch("alexnet-owt-7be5be79.pth"),
    build: assemble,
    ..TORCHVISION
}];

pub(crate) const IDEAS: &[Idea] = &[Idea {
    title: "AlexNet convolution",
    kind: SnippetKind::Block,
    json: r#"{"op":"conv","out":192,"kernel":5,"stride":1,"act":"relu"}"#,
    note: "A large dense kernel, early in the network.",
    on: (64, 27),
    part: None,
}];

fn assemble(size: usize) -> Built {
    let mut b = Builder::new(size, Pad::Half, 10);
    let conv = |b: &mut Builder, index: usize, spec: ConvSpec, x| {
        let x = b.conv(&format!("features.{index}"), spec.bias(), x)?;
        b.act(&format!("features.{}", index + 1), Activation::Relu, x)
    };
    let x = conv(&mut b, 0, ConvSpec::dense(64, 11, 4).padding(2), 0)?;
    let s8 = b.max_pool("features.2", 3, 2, x)?;
    let x = conv(&mut b, 3, ConvSpec::dense(192, 5, 1), s8)?;
    let x = b.max_pool("features.5", 3, 2, x)?;
    let x = conv(&mut b, 6, ConvSpec::dense(384, 3, 1), x)?;
    let x = conv(&mut b, 8, ConvSpec::dense(256, 3, 1), x)?;
    let s16 = conv(&mut b, 10, ConvSpec::dense(256, 3, 1), x)?;
    let s32 = b.max_pool("features.12", 3, 2, s16)?;
    let mut x = b.add("avgpool", Op::AdaptiveAvgPool { side: 6 }, &[s32])?;
    x = b.add("flatten", Op::Flatten, &[x])?;
    for (layer, act) in [("classifier.1", "classifier.2"), ("classifier.4", "classifier.5")] {
        x = b.linear(layer, 4096, x)?;
        x = b.act(act, Activation::Relu, x)?;
    }
    b.linear("classifier.6", 1000, x)?;
    b.cut(s8, s16, s32)
}
