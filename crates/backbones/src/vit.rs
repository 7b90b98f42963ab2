//! Vision Transformer (Dosovitskiy et al. 2021). Names and layout follow torchvision's `torchvision/models/vision_transformer.py`;
//! layer norm adds 1e-6. Learned positions fit one image size. Its one cut is the cells behind the last norm, without the class token.

use crate::builder::{Builder, Built, ConvSpec, Made, Pad};
use crate::{Backbone, Idea, SnippetKind, TORCHVISION, torch};
use capwright_blueprint::language::Cut;
use capwright_blueprint::{Activation, NodeId, Op};

pub(crate) const ALL: &[Backbone] = &[
    B16,
    Backbone {
        name: "vit_b_32",
        parameters: 88_224_232,
        top1: 75.9,
        weights: torch("vit_b_32-d86f8d99.pth"),
        build: |size| assemble(size, 32, Cut::S32),
        ..B16
    },
];

pub(crate) const IDEAS: &[Idea] = &[Idea {
    title: "ViT layer",
    kind: SnippetKind::Block,
    json: r#"{"op":"self_attention","heads":12,"expand":4}"#,
    note: "Each cell looks at all others; heads must divide the channels.",
    on: (768, 14),
    part: Some(("vit_b_16", "encoder.layers.encoder_layer_0.")),
}];

const B16: Backbone = Backbone {
    name: "vit_b_16",
    min_size: 224,
    max_size: 224,
    parameters: 86_567_656,
    top1: 81.1,
    paper: "Dosovitskiy et al., An Image is Worth 16x16 Words, ICLR 2021, arXiv 2010.11929",
    weights: torch("vit_b_16-c867db91.pth"),
    build: |size| assemble(size, 16, Cut::S16),
    ..TORCHVISION
};

const EPS_MICRO: u32 = 1;
const CHANNELS: usize = 768;
const LAYERS: usize = 12;
const HEADS: usize = 12;

fn assemble(size: usize, patch: usize, cut: Cut) -> Built {
    let mut b = Builder::new(size, Pad::Half, 10);
    let (side, channels) = (size / patch, CHANNELS);
    let x = b.conv("conv_proj", ConvSpec::dense(channels, patch, patch).padding(0).bias(), 0)?;
    let x = b.add("class_token", Op::ClassToken { channels }, &[x])?;
    let places = Op::Positions { channels, cells: 1 + side * side };
    let mut x = b.add("encoder.pos_embedding", places, &[x])?;
    for i in 0..LAYERS {
        x = layer(&mut b, &format!("encoder.layers.encoder_layer_{i}"), x)?;
    }
    let x = b.layer_norm("encoder.ln", EPS_MICRO, x)?;
    let cells = b.add("cells", Op::Cells { from: 1, h: side, w: side }, &[x])?;
    let class = b.add("class", Op::Cells { from: 0, h: 1, w: 1 }, &[x])?;
    b.linear("heads.head", 1000, class)?;
    b.finish([(cut, cells)])
}

/// `EncoderBlock`: attention and a layer of four times the channels, each behind its norm and with its shortcut.
fn layer(b: &mut Builder, name: &str, input: NodeId) -> Made {
    let at = |leaf: &str| format!("{name}.{leaf}");
    let x = b.layer_norm(&at("ln_1"), EPS_MICRO, input)?;
    let x = b.linear(&at("self_attention.in_proj_"), 3 * CHANNELS, x)?;
    let x = b.add(&at("self_attention"), Op::Attend { heads: HEADS }, &[x])?;
    let x = b.linear(&at("self_attention.out_proj"), CHANNELS, x)?;
    let input = b.add(&at("add1"), Op::Add, &[x, input])?;
    let x = b.layer_norm(&at("ln_2"), EPS_MICRO, input)?;
    let x = b.linear(&at("mlp.0"), 4 * CHANNELS, x)?;
    let x = b.act(&at("mlp.1"), Activation::Gelu, x)?;
    let x = b.linear(&at("mlp.3"), CHANNELS, x)?;
    b.add(&at("add2"), Op::Add, &[x, input])
}
