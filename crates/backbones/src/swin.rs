//! Swin Transformer (Liu et al. 2021). Names and layout follow torchvision's `torchvision/models/swin_transformer.py`; layer norm adds
//! 1e-5. Windows of 7 × 7 cells must fit the map of each stage, so that sides are multiples of 224.

use crate::builder::{Builder, Built, ConvSpec, Made, Pad};
use crate::{Backbone, Filter, Idea, SnippetKind, TORCHVISION, torch};
use capwright_blueprint::{Activation, NodeId, Op};

pub(crate) const ALL: &[Backbone] = &[Backbone {
    name: "swin_t",
    resize: 232,
    filter: Filter::Bicubic,
    min_size: 224,
    step: 224,
    max_size: 896,
    parameters: 28_288_354,
    top1: 81.5,
    paper: "Liu et al., Swin Transformer: Hierarchical Vision Transformer using Shifted Windows, ICCV 2021, arXiv 2103.14030",
    weights: torch("swin_t-704ceda3.pth"),
    build: assemble,
    ..TORCHVISION
}];

pub(crate) const IDEAS: &[Idea] = &[Idea {
    title: "Swin-style pair of layers",
    kind: SnippetKind::Block,
    json: r#"{"op":"repeat","times":2,"body":[{"op":"self_attention","heads":12,"expand":4}]}"#,
    note: "Two layers of attention, here over all cells and not within windows.",
    on: (384, 14),
    part: None,
}];

const EPS_MICRO: u32 = 10;
const WINDOW: usize = 7;

/// Blocks and heads of each stage.
const STAGES: [(usize, usize); 4] = [(2, 3), (2, 6), (6, 12), (2, 24)];

fn assemble(size: usize) -> Built {
    let mut b = Builder::new(size, Pad::Half, 10);
    let x = b.conv("features.0.0", ConvSpec::dense(96, 4, 4).padding(0).bias(), 0)?;
    let mut x = b.layer_norm("features.0.2", EPS_MICRO, x)?;
    let mut ends = Vec::new();
    for (stage, (depth, heads)) in STAGES.into_iter().enumerate() {
        if stage > 0 {
            x = merging(&mut b, &format!("features.{}", 2 * stage), x)?;
        }
        for i in 0..depth {
            // Every other block moves its windows by half of one.
            let shift = if i % 2 == 0 { 0 } else { WINDOW / 2 };
            let attention = Op::WindowAttend { heads, window: WINDOW, shift };
            x = block(&mut b, &format!("features.{}.{i}", 2 * stage + 1), attention, x)?;
        }
        ends.push(x);
    }
    x = b.layer_norm("norm", EPS_MICRO, x)?;
    b.classifier("head", x)?;
    b.cut(ends[1], ends[2], x)
}

/// `PatchMerging`: four neighbours become one cell of twice the channels.
fn merging(b: &mut Builder, name: &str, x: NodeId) -> Made {
    let channels = b.channels(x);
    let x = b.add(&format!("{name}.quarters"), Op::Quarters, &[x])?;
    let x = b.layer_norm(&format!("{name}.norm"), EPS_MICRO, x)?;
    let narrow = Op::Linear { input: 4 * channels, output: 2 * channels, bias: false };
    b.add(&format!("{name}.reduction"), narrow, &[x])
}

/// `SwinTransformerBlock`.
fn block(b: &mut Builder, name: &str, attention: Op, input: NodeId) -> Made {
    let at = |leaf: &str| format!("{name}.{leaf}");
    let channels = b.channels(input);
    let x = b.layer_norm(&at("norm1"), EPS_MICRO, input)?;
    let x = b.linear(&at("attn.qkv"), 3 * channels, x)?;
    let x = b.add(&at("attn"), attention, &[x])?;
    let x = b.linear(&at("attn.proj"), channels, x)?;
    let input = b.add(&at("add1"), Op::Add, &[x, input])?;
    let x = b.layer_norm(&at("norm2"), EPS_MICRO, input)?;
    let x = b.linear(&at("mlp.0"), 4 * channels, x)?;
    let x = b.act(&at("mlp.1"), Activation::Gelu, x)?;
    let x = b.linear(&at("mlp.3"), channels, x)?;
    b.add(&at("add2"), Op::Add, &[x, input])
}
