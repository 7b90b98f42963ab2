//! ResNet-18 (He et al. 2016). Names and layout follow torchvision's `torchvision/models/resnet.py`; batch norm adds
//! 1e-5.

use crate::builder::{BackboneGraph, Builder, ConvSpec, Pad, SizeError};
use crate::{Backbone, IMAGENET, Place, WeightsManifest};
use capwright_blueprint::{Activation, NodeId, Op, ShapeError};

pub(crate) const RESNET18: Backbone = Backbone {
    name: "resnet18",
    normalisation: IMAGENET,
    default_size: 224,
    min_size: 32,
    parameters: 11_689_512,
    top1: 69.8,
    paper: "He et al., Deep Residual Learning for Image Recognition, CVPR 2016, arXiv 1512.03385",
    upstream: "torchvision, ResNet18_Weights.IMAGENET1K_V1",
    licence: "BSD-3-Clause",
    weights: WeightsManifest {
        file_name: "resnet18-f37072fd.pth",
        sha256: "f37072fd",
        max_bytes: 64_000_000,
        places: &[Place::Https("https://download.pytorch.org/models/resnet18-f37072fd.pth")],
    },
    build,
};

fn build(size: usize) -> Result<BackboneGraph, SizeError> {
    assemble(size).map_err(|e| SizeError { backbone: RESNET18.name, size, reason: e.to_string() })
}

fn assemble(size: usize) -> Result<BackboneGraph, ShapeError> {
    let mut b = Builder::new(size, Pad::Half, 10);
    let x = b.conv_norm("conv1", "bn1", ConvSpec::dense(64, 7, 2), 0)?;
    let x = b.act("relu", Activation::Relu, x)?;
    let mut x = b.add("maxpool", Op::MaxPool { kernel: 3, stride: 2, padding: 1 }, &[x])?;
    let mut ends = Vec::new();
    for (stage, channels) in [64, 128, 256, 512].into_iter().enumerate() {
        for i in 0..2 {
            let stride = if stage > 0 && i == 0 { 2 } else { 1 };
            x = block(&mut b, &format!("layer{}.{i}", stage + 1), channels, stride, x)?;
        }
        ends.push(x);
    }
    b.classifier("fc", x)?;
    Ok(b.finish(ends[1], ends[2], ends[3]))
}

/// `BasicBlock`: two 3 × 3 convolutions and a shortcut, projected where the shape changes.
fn block(
    b: &mut Builder,
    name: &str,
    channels: usize,
    stride: usize,
    input: NodeId,
) -> Result<NodeId, ShapeError> {
    let at = |leaf: &str| format!("{name}.{leaf}");
    let x = b.conv_norm(&at("conv1"), &at("bn1"), ConvSpec::dense(channels, 3, stride), input)?;
    let x = b.act(&at("relu1"), Activation::Relu, x)?;
    let x = b.conv_norm(&at("conv2"), &at("bn2"), ConvSpec::dense(channels, 3, 1), x)?;
    let mut shortcut = input;
    if stride != 1 || b.channels(input) != channels {
        let spec = ConvSpec::dense(channels, 1, stride);
        shortcut = b.conv_norm(&at("downsample.0"), &at("downsample.1"), spec, input)?;
    }
    let x = b.add(&at("add"), Op::Add, &[x, shortcut])?;
    b.act(&at("relu2"), Activation::Relu, x)
}
