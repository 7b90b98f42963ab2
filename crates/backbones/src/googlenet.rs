//! GoogLeNet (Szegedy et al. 2015). Names and layout follow torchvision's `torchvision/models/googlenet.py`, whose branch for 5 × 5
//! convolves 3 × 3; batch norm adds 1e-3. The classifiers that only training uses are left out.

use crate::builder::{Builder, Built, ConvSpec, Made, Pad};
use crate::{Backbone, Idea, Normalisation, SnippetKind, TORCHVISION, torch};
use capwright_blueprint::{Activation, NodeId, Op};

/// torchvision's `transform_input`: pixels from -1 to 1.
pub(crate) const HALVES: Normalisation = Normalisation { mean: [0.5; 3], std: [0.5; 3] };

pub(crate) const ALL: &[Backbone] = &[Backbone {
    name: "googlenet",
    normalisation: HALVES,
    parameters: 6_624_904,
    top1: 69.8,
    paper: "Szegedy et al., Going Deeper with Convolutions, CVPR 2015, arXiv 1409.4842",
    unused: &["aux1.", "aux2."],
    weights: torch("googlenet-1378be20.pth"),
    build: assemble,
    ..TORCHVISION
}];

pub(crate) const IDEAS: &[Idea] = &[Idea {
    title: "GoogLeNet-style branches",
    kind: SnippetKind::Block,
    json: r#"{"op":"parallel","merge":"concat","branches":[[{"op":"conv","out":128,"kernel":1,"stride":1,"act":"relu"}],[{"op":"conv","out":128,"kernel":1,"stride":1,"act":"relu"},{"op":"conv","out":256,"kernel":3,"stride":1,"act":"relu"}],[{"op":"conv","out":24,"kernel":1,"stride":1,"act":"relu"},{"op":"conv","out":64,"kernel":3,"stride":1,"act":"relu"}]]}"#,
    note: "Most channels for the 3 × 3 branch; without the pooled one.",
    on: (512, 14),
    part: None,
}];

/// Channels: 1 × 1; narrow and wide of the second branch, of the third; behind the pool (table 1 of the paper).
const MODULES: [(&str, [usize; 6]); 9] = [
    ("3a", [64, 96, 128, 16, 32, 32]),
    ("3b", [128, 128, 192, 32, 96, 64]),
    ("4a", [192, 96, 208, 16, 48, 64]),
    ("4b", [160, 112, 224, 24, 64, 64]),
    ("4c", [128, 128, 256, 24, 64, 64]),
    ("4d", [112, 144, 288, 32, 64, 64]),
    ("4e", [256, 160, 320, 32, 128, 128]),
    ("5a", [256, 160, 320, 32, 128, 128]),
    ("5b", [384, 192, 384, 48, 128, 128]),
];

fn assemble(size: usize) -> Built {
    let mut b = Builder::new(size, Pad::Half, 1000);
    let x = basic(&mut b, "conv1", ConvSpec::dense(64, 7, 2), 0)?;
    let x = b.ceil_pool("maxpool1", 3, 2, x)?;
    let x = basic(&mut b, "conv2", ConvSpec::dense(64, 1, 1), x)?;
    let x = basic(&mut b, "conv3", ConvSpec::dense(192, 3, 1), x)?;
    let mut x = b.ceil_pool("maxpool2", 3, 2, x)?;
    let mut ends = Vec::new();
    for (module, channels) in MODULES {
        x = inception(&mut b, &format!("inception{module}"), channels, x)?;
        match module {
            "3b" => {
                ends.push(x);
                x = b.ceil_pool("maxpool3", 3, 2, x)?;
            }
            "4e" => {
                ends.push(x);
                x = b.ceil_pool("maxpool4", 2, 2, x)?;
            }
            _ => {}
        }
    }
    b.classifier("fc", x)?;
    b.cut(ends[0], ends[1], x)
}

/// `BasicConv2d`: convolution, norm, ReLU.
pub(crate) fn basic(b: &mut Builder, name: &str, spec: ConvSpec, x: NodeId) -> Made {
    let x = b.conv_norm(&format!("{name}.conv"), &format!("{name}.bn"), spec, x)?;
    b.act(&format!("{name}.relu"), Activation::Relu, x)
}

/// `Inception`: four branches side by side.
fn inception(b: &mut Builder, name: &str, channels: [usize; 6], x: NodeId) -> Made {
    let at = |leaf: &str| format!("{name}.{leaf}");
    let [one, narrow2, wide2, narrow3, wide3, pooled] = channels;
    let first = basic(b, &at("branch1"), ConvSpec::dense(one, 1, 1), x)?;
    let second = basic(b, &at("branch2.0"), ConvSpec::dense(narrow2, 1, 1), x)?;
    let second = basic(b, &at("branch2.1"), ConvSpec::dense(wide2, 3, 1), second)?;
    let third = basic(b, &at("branch3.0"), ConvSpec::dense(narrow3, 1, 1), x)?;
    let third = basic(b, &at("branch3.1"), ConvSpec::dense(wide3, 3, 1), third)?;
    let fourth = b.ceil_pool(&at("branch4.0"), 3, 1, x)?;
    let fourth = basic(b, &at("branch4.1"), ConvSpec::dense(pooled, 1, 1), fourth)?;
    b.add(&at("concat"), Op::Concat, &[first, second, third, fourth])
}
