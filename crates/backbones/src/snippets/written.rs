//! Ideas that belong to no family.

use super::SnippetKind::{Block, Decoder, Recipe, Source};
use super::Written;

/// Title, kind, JSON, note.
pub(super) const WRITTEN: &[Written] = &[
    (
        "EfficientNet-Lite0, frozen at stride 16",
        Source,
        r#"{"kind":"pretrained","backbone":"efficientnet_lite0","cut":"s16"}"#,
        "A finer grid of 112 channels; leaves room for trained blocks on top.",
    ),
    (
        "MobileNetV2, frozen at stride 16",
        Source,
        r#"{"kind":"pretrained","backbone":"mobilenet_v2","cut":"s16"}"#,
        "Mid-level features of 96 channels for trained blocks.",
    ),
    (
        "EfficientNet-Lite0 beside MobileNetV2, frozen",
        Source,
        r#"{"kind":"pretrained","backbone":"efficientnet_lite0","cut":"s32","beside":{"backbone":"mobilenet_v2","cut":"s32"}}"#,
        "Two views of each cell, 2560 channels; both are computed once.",
    ),
    (
        "Squeeze and excitation",
        Block,
        r#"{"op":"se","reduction":16}"#,
        "Weighs channels by the whole image; a few parameters.",
    ),
    (
        "Residual squeeze and excitation",
        Block,
        r#"{"op":"residual","body":[{"op":"depthwise","kernel":3,"stride":1,"act":"silu"},{"op":"se","reduction":8}]}"#,
        "Depthwise context, then a channel gate, around a shortcut.",
    ),
    (
        "CBAM",
        Block,
        r#"{"op":"cbam","reduction":8}"#,
        "A channel gate, then a spatial gate that shows where to look.",
    ),
    (
        "Channel reduction",
        Block,
        r#"{"op":"conv","out":256,"kernel":1,"stride":1,"act":"hard_swish"}"#,
        "A 1 × 1 convolution before costlier blocks.",
    ),
    (
        "Inception-style branches",
        Block,
        r#"{"op":"parallel","merge":"concat","branches":[[{"op":"conv","out":128,"kernel":1,"stride":1,"act":"relu"}],[{"op":"conv","out":64,"kernel":1,"stride":1,"act":"relu"},{"op":"depthwise","kernel":5,"stride":1,"act":"relu"}]]}"#,
        "Two receptive fields side by side.",
    ),
    (
        "Large-kernel mixing",
        Block,
        r#"{"op":"residual","body":[{"op":"depthwise","kernel":7,"stride":1,"act":"gelu"}]}"#,
        "ConvNeXt's 7 × 7 depthwise kernel around a shortcut.",
    ),
    (
        "Pooling",
        Block,
        r#"{"op":"pool","kind":"avg"}"#,
        "Quarters the tokens without parameters: cheaper attention.",
    ),
    (
        "Show, attend and tell",
        Decoder,
        r#"{"family":"recurrent","cell":"lstm","embed":256,"hidden":512,"layers":1,"image":"initial_state","attention":"additive","dropout_pct":30}"#,
        "Additive attention over the cells; strong in few epochs.",
    ),
    (
        "GRU with dot attention",
        Decoder,
        r#"{"family":"recurrent","cell":"gru","embed":192,"hidden":384,"layers":1,"image":"initial_state","attention":"dot","dropout_pct":20}"#,
        "Lighter than an LSTM and quick to train.",
    ),
    (
        "Small GRU with additive attention",
        Decoder,
        r#"{"family":"recurrent","cell":"gru","embed":192,"hidden":256,"layers":1,"image":"initial_state","attention":"additive","dropout_pct":40}"#,
        "Show, attend and tell with half of its parameters.",
    ),
    (
        "Show and tell",
        Decoder,
        r#"{"family":"recurrent","cell":"lstm","embed":256,"hidden":384,"layers":1,"image":"first_token","attention":"none","dropout_pct":30}"#,
        "One image vector, no attention: the cheapest at each word.",
    ),
    (
        "Top-down attention",
        Decoder,
        r#"{"family":"top_down","embed":256,"hidden":384,"dropout_pct":30}"#,
        "Two LSTMs; the first chooses where the second looks.",
    ),
    (
        "Multi-head attention",
        Decoder,
        r#"{"family":"recurrent","cell":"lstm","embed":256,"hidden":384,"layers":1,"image":"initial_state","attention":"multi_head","dropout_pct":30}"#,
        "An LSTM that looks at several places at once.",
    ),
    (
        "Causal convolutions",
        Decoder,
        r#"{"family":"convolution","memory":"grid","dim":256,"layers":3,"kernel":3,"dropout_pct":20}"#,
        "All words at once in training; sees a few words back.",
    ),
    (
        "Small Transformer",
        Decoder,
        r#"{"family":"transformer","memory":"grid","dim":256,"layers":2,"heads":8,"ff":2,"dropout_pct":20}"#,
        "Cross-attention in every layer; wants a gentle learning rate.",
    ),
    (
        "Fast recipe",
        Recipe,
        r#"{"lr":0.001,"schedule":"cosine","weight_decay":0.01,"label_smoothing":0.1,"clip":5.0,"batch":16}"#,
        "For recurrent decoders and few epochs.",
    ),
    (
        "Gentle recipe",
        Recipe,
        r#"{"lr":0.0005,"schedule":"cosine","weight_decay":0.01,"label_smoothing":0.1,"clip":1.0,"batch":16}"#,
        "For Transformers.",
    ),
    (
        "Hot recipe",
        Recipe,
        r#"{"lr":0.002,"schedule":"linear","weight_decay":0.001,"label_smoothing":0.05,"clip":1.0,"batch":32}"#,
        "For small recurrent decoders with larger batches.",
    ),
    (
        "Recipe for photos",
        Recipe,
        r#"{"lr":0.001,"schedule":"cosine","weight_decay":0.01,"label_smoothing":0.1,"clip":5.0,"batch":24,"ema":0.995,"augment":"flip_crop"}"#,
        "For recurrent decoders on some thousand photos: mirrored and cropped images, averaged weights.",
    ),
    (
        "Gentle recipe for photos",
        Recipe,
        r#"{"lr":0.0005,"schedule":"cosine","weight_decay":0.01,"label_smoothing":0.1,"clip":1.0,"batch":24,"ema":0.995,"augment":"flip_crop"}"#,
        "The same for Transformers.",
    ),
];
