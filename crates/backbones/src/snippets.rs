//! Small pieces of the blueprint language that are characteristic of known families; prompts offer them as ideas.

use crate::{Backbone, zoo};
use serde_json::json;

/// What a snippet is, so that a reader knows where it fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SnippetKind {
    /// One entry of `encoder.blocks`.
    Block,
    /// A value of `encoder.source`.
    Source,
    /// A value of `decoder`.
    Decoder,
    /// A value of `recipe`.
    Recipe,
}

impl SnippetKind {
    /// All kinds, in the order of a design.
    pub const ALL: [Self; 4] = [Self::Source, Self::Block, Self::Decoder, Self::Recipe];
}

/// One idea in the blueprint language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snippet {
    /// Family and part in a few words.
    pub title: String,
    /// Where it fits.
    pub kind: SnippetKind,
    /// Compact JSON in the blueprint language.
    pub json: String,
    /// What it is good for, in a sentence.
    pub note: String,
}

impl std::fmt::Display for Snippet {
    /// As prompts show it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match self.kind {
            SnippetKind::Source => "source",
            SnippetKind::Block => "block",
            SnippetKind::Decoder => "decoder",
            SnippetKind::Recipe => "recipe",
        };
        write!(f, "{kind}, {}: {} {}", self.title, self.json, self.note)
    }
}

const BLOCK: SnippetKind = SnippetKind::Block;
const SOURCE: SnippetKind = SnippetKind::Source;
const DECODER: SnippetKind = SnippetKind::Decoder;
const RECIPE: SnippetKind = SnippetKind::Recipe;

/// Title, kind, JSON, note.
const ALL: &[(&str, SnippetKind, &str, &str)] = &[
    (
        "EfficientNet-Lite0, frozen",
        SOURCE,
        r#"{"kind":"pretrained","backbone":"efficientnet_lite0","cut":"s32"}"#,
        "Accurate for its cost; 49 tokens of 1280 channels at 224 pixels.",
    ),
    (
        "EfficientNet-Lite0, frozen at stride 16",
        SOURCE,
        r#"{"kind":"pretrained","backbone":"efficientnet_lite0","cut":"s16"}"#,
        "A finer grid of 112 channels; leaves room for trained blocks on top.",
    ),
    (
        "EfficientNet-Lite1, frozen",
        SOURCE,
        r#"{"kind":"pretrained","backbone":"efficientnet_lite1","cut":"s32"}"#,
        "Lite0 with one more block in each middle stage; the same channels at every cut.",
    ),
    (
        "EfficientNet-Lite2, frozen",
        SOURCE,
        r#"{"kind":"pretrained","backbone":"efficientnet_lite2","cut":"s32"}"#,
        "The most accurate backbone of the zoo; two thirds more computation than Lite0.",
    ),
    (
        "MobileNetV2, frozen",
        SOURCE,
        r#"{"kind":"pretrained","backbone":"mobilenet_v2","cut":"s32"}"#,
        "The cheapest frozen features with 1280 channels.",
    ),
    (
        "MobileNetV2, frozen at stride 16",
        SOURCE,
        r#"{"kind":"pretrained","backbone":"mobilenet_v2","cut":"s16"}"#,
        "Mid-level features of 96 channels for trained blocks.",
    ),
    (
        "ResNet-18, frozen",
        SOURCE,
        r#"{"kind":"pretrained","backbone":"resnet18","cut":"s32"}"#,
        "512 channels: a narrow bridge and small memory tokens.",
    ),
    (
        "EfficientNet-Lite0 beside MobileNetV2, frozen",
        SOURCE,
        r#"{"kind":"pretrained","backbone":"efficientnet_lite0","cut":"s32","beside":{"backbone":"mobilenet_v2","cut":"s32"}}"#,
        "Two views of each cell, 2560 channels; both are computed once.",
    ),
    (
        "MobileNetV2, last stage trained",
        SOURCE,
        r#"{"kind":"pretrained","backbone":"mobilenet_v2","cut":"s32","tune":"last_stage"}"#,
        "Frozen up to stride 16, trained from there; go gently, with encoder_lr 0.1.",
    ),
    (
        "Separable stem and stages",
        SOURCE,
        r#"{"kind":"scratch","stem":16,"stages":[{"kind":"separable","out":32,"repeat":1},{"kind":"separable","out":64,"repeat":2},{"kind":"separable","out":128,"repeat":2}]}"#,
        "MobileNet's first idea: few parameters, trained from scratch.",
    ),
    (
        "ResNet-style stem and stages",
        SOURCE,
        r#"{"kind":"scratch","stem":32,"stages":[{"kind":"basic","out":32,"repeat":1},{"kind":"basic","out":64,"repeat":1},{"kind":"basic","out":128,"repeat":1}]}"#,
        "Residual blocks train more steadily than plain convolutions.",
    ),
    (
        "MobileNetV2-style stem and stages",
        SOURCE,
        r#"{"kind":"scratch","stem":16,"stages":[{"kind":"inverted_residual","out":24,"repeat":1},{"kind":"inverted_residual","out":48,"repeat":2},{"kind":"inverted_residual","out":96,"repeat":2}]}"#,
        "Wide in the middle, narrow between blocks: cheap in parameters.",
    ),
    (
        "Plain convolution stem and stages",
        SOURCE,
        r#"{"kind":"scratch","stem":16,"stages":[{"kind":"conv","out":32,"repeat":1},{"kind":"conv","out":64,"repeat":1},{"kind":"conv","out":96,"repeat":1}]}"#,
        "VGG's idea in small: the fastest to train on small images.",
    ),
    (
        "MobileNetV2 block",
        BLOCK,
        r#"{"op":"inverted_residual","out":96,"expand":6,"kernel":3,"stride":1}"#,
        "Widen by 6, depthwise 3 × 3, narrow.",
    ),
    (
        "EfficientNet-Lite block",
        BLOCK,
        r#"{"op":"inverted_residual","out":192,"expand":6,"kernel":5,"stride":2}"#,
        "The same with a 5 × 5 kernel; stride 2 leaves a quarter of the tokens.",
    ),
    (
        "ResNet bottleneck",
        BLOCK,
        r#"{"op":"bottleneck","out":256,"reduction":4,"stride":1}"#,
        "1 × 1, 3 × 3, 1 × 1 with a shortcut; mixes neighbouring cells.",
    ),
    (
        "ResNet residual of two convolutions",
        BLOCK,
        r#"{"op":"residual","body":[{"op":"conv","out":128,"kernel":3,"stride":1,"act":"relu"},{"op":"conv","out":128,"kernel":3,"stride":1,"act":"relu"}]}"#,
        "A basic block; the map must already have 128 channels.",
    ),
    (
        "Squeeze and excitation",
        BLOCK,
        r#"{"op":"se","reduction":16}"#,
        "Weighs channels by the whole image; a few parameters.",
    ),
    (
        "Residual squeeze and excitation",
        BLOCK,
        r#"{"op":"residual","body":[{"op":"depthwise","kernel":3,"stride":1,"act":"silu"},{"op":"se","reduction":8}]}"#,
        "Depthwise context, then a channel gate, around a shortcut.",
    ),
    (
        "CBAM",
        BLOCK,
        r#"{"op":"cbam","reduction":8}"#,
        "A channel gate, then a spatial gate that shows where to look.",
    ),
    (
        "Channel reduction",
        BLOCK,
        r#"{"op":"conv","out":256,"kernel":1,"stride":1,"act":"hard_swish"}"#,
        "A 1 × 1 convolution before costlier blocks.",
    ),
    (
        "Inception-style branches",
        BLOCK,
        r#"{"op":"parallel","merge":"concat","branches":[[{"op":"conv","out":128,"kernel":1,"stride":1,"act":"relu"}],[{"op":"conv","out":64,"kernel":1,"stride":1,"act":"relu"},{"op":"depthwise","kernel":5,"stride":1,"act":"relu"}]]}"#,
        "Two receptive fields side by side.",
    ),
    (
        "Large-kernel mixing",
        BLOCK,
        r#"{"op":"residual","body":[{"op":"depthwise","kernel":7,"stride":1,"act":"gelu"}]}"#,
        "ConvNeXt's 7 × 7 depthwise kernel around a shortcut.",
    ),
    (
        "Pooling",
        BLOCK,
        r#"{"op":"pool","kind":"avg"}"#,
        "Quarters the tokens without parameters: cheaper attention.",
    ),
    (
        "Show, attend and tell",
        DECODER,
        r#"{"family":"recurrent","cell":"lstm","embed":256,"hidden":512,"layers":1,"image":"initial_state","attention":"additive","dropout_pct":30}"#,
        "Additive attention over the cells; strong in few epochs.",
    ),
    (
        "GRU with dot attention",
        DECODER,
        r#"{"family":"recurrent","cell":"gru","embed":192,"hidden":384,"layers":1,"image":"initial_state","attention":"dot","dropout_pct":20}"#,
        "Lighter than an LSTM and quick to train.",
    ),
    (
        "Show and tell",
        DECODER,
        r#"{"family":"recurrent","cell":"lstm","embed":256,"hidden":384,"layers":1,"image":"first_token","attention":"none","dropout_pct":30}"#,
        "One image vector, no attention: the cheapest at each word.",
    ),
    (
        "Top-down attention",
        DECODER,
        r#"{"family":"top_down","embed":256,"hidden":384,"dropout_pct":30}"#,
        "Two LSTMs; the first chooses where the second looks.",
    ),
    (
        "Multi-head attention",
        DECODER,
        r#"{"family":"recurrent","cell":"lstm","embed":256,"hidden":384,"layers":1,"image":"initial_state","attention":"multi_head","dropout_pct":30}"#,
        "An LSTM that looks at several places at once.",
    ),
    (
        "Causal convolutions",
        DECODER,
        r#"{"family":"convolution","memory":"grid","dim":256,"layers":3,"kernel":3,"dropout_pct":20}"#,
        "All words at once in training; sees a few words back.",
    ),
    (
        "Small Transformer",
        DECODER,
        r#"{"family":"transformer","memory":"grid","dim":256,"layers":2,"heads":8,"ff":2,"dropout_pct":20}"#,
        "Cross-attention in every layer; wants a gentle learning rate.",
    ),
    (
        "Fast recipe",
        RECIPE,
        r#"{"lr":0.001,"schedule":"cosine","weight_decay":0.01,"label_smoothing":0.1,"clip":5.0,"batch":16}"#,
        "For recurrent decoders and few epochs.",
    ),
    (
        "Gentle recipe",
        RECIPE,
        r#"{"lr":0.0005,"schedule":"cosine","weight_decay":0.01,"label_smoothing":0.1,"clip":1.0,"batch":16}"#,
        "For Transformers.",
    ),
    (
        "Hot recipe",
        RECIPE,
        r#"{"lr":0.002,"schedule":"linear","weight_decay":0.001,"label_smoothing":0.05,"clip":1.0,"batch":32}"#,
        "For small recurrent decoders with larger batches.",
    ),
    (
        "Recipe for photos",
        RECIPE,
        r#"{"lr":0.001,"schedule":"cosine","weight_decay":0.01,"label_smoothing":0.1,"clip":5.0,"batch":24,"ema":0.995,"augment":"flip_crop"}"#,
        "For recurrent decoders on some thousand photos: mirrored and cropped images, averaged weights.",
    ),
    (
        "Gentle recipe for photos",
        RECIPE,
        r#"{"lr":0.0005,"schedule":"cosine","weight_decay":0.01,"label_smoothing":0.1,"clip":1.0,"batch":24,"ema":0.995,"augment":"flip_crop"}"#,
        "The same for Transformers.",
    ),
];

/// The snippets that name no backbone but those that `allows`, in a fixed order; each other backbone of these with what its last cut
/// costs.
pub fn snippets(allows: impl Fn(&str) -> bool) -> Vec<Snippet> {
    let names = |backbone: &Backbone, json: &str| json.contains(&format!("\"{}\"", backbone.name));
    let allowed = |json: &str| zoo().iter().filter(|b| names(b, json)).all(|b| allows(b.name));
    let written = ALL.iter().filter(|(_, _, json, _)| allowed(json)).map(|&(title, kind, json, note)| {
        Snippet { title: title.to_owned(), kind, json: json.to_owned(), note: note.to_owned() }
    });
    let unwritten = |b: &&Backbone| ALL.iter().all(|(_, _, json, _)| !names(b, json));
    let others = zoo().iter().filter(|b| allows(b.name)).filter(unwritten);
    written.chain(others.filter_map(frozen)).collect()
}

/// A backbone up to its last cut, with what that costs for images of the usual size.
fn frozen(backbone: &Backbone) -> Option<Snippet> {
    const USUAL_SIZE: usize = 224;
    let built = backbone.graph(USUAL_SIZE).ok()?;
    let (cut, id) = built.cuts.last_key_value()?;
    let (shape, totals) = (built.graph.shape(*id), built.graph.cut(*id).totals());
    let source = json!({ "kind": "pretrained", "backbone": backbone.name, "cut": cut });
    let note = format!(
        "{:.1} % top-1 on ImageNet; {} tokens of {} channels at {USUAL_SIZE} pixels for {:.1} M parameters and {} MMACs.",
        backbone.top1,
        shape.h * shape.w,
        shape.c,
        totals.parameters as f64 / 1e6,
        totals.macs / 1_000_000
    );
    Some(Snippet {
        title: format!("{}, frozen", backbone.name),
        kind: SOURCE,
        json: source.to_string(),
        note,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use capwright_blueprint::language::{Block, Decoder, Recipe, Source};
    use serde::Serialize;
    use serde::de::DeserializeOwned;

    #[test]
    fn every_snippet_is_in_the_language_and_written_compactly() {
        fn again<T: Serialize + DeserializeOwned>(snippet: &Snippet) -> String {
            let read: T =
                serde_json::from_str(&snippet.json).unwrap_or_else(|e| panic!("{}: {e}", snippet.title));
            serde_json::to_string(&read).unwrap()
        }
        for snippet in snippets(|_| true) {
            let again = match snippet.kind {
                SnippetKind::Block => again::<Block>(&snippet),
                SnippetKind::Source => again::<Source>(&snippet),
                SnippetKind::Decoder => again::<Decoder>(&snippet),
                SnippetKind::Recipe => again::<Recipe>(&snippet),
            };
            assert_eq!(again, snippet.json, "{}", snippet.title);
        }
    }

    #[test]
    fn snippets_differ_and_cover_the_zoo() {
        let all = snippets(|_| true);
        let distinct: std::collections::BTreeSet<&str> = all.iter().map(|s| s.json.as_str()).collect();
        assert_eq!(distinct.len(), all.len());
        for backbone in zoo() {
            assert!(all.iter().any(|s| s.json.contains(backbone.name)), "{}", backbone.name);
        }
        let named =
            |snippet: &Snippet| snippet.json.contains("efficientnet") || snippet.json.contains("resnet");
        let mobile = snippets(|name| name == "mobilenet_v2");
        assert!(mobile.iter().any(|s| s.json.contains("mobilenet_v2")) && !mobile.iter().any(named));
        let swin = snippets(|name| name == "swin_t");
        let source = swin.iter().find(|s| s.json.contains("swin_t")).unwrap();
        assert_eq!(
            source.to_string(),
            r#"source, swin_t, frozen: {"kind":"pretrained","backbone":"swin_t","cut":"s32"} 81.5 % top-1 on ImageNet; 49 tokens of 768 channels at 224 pixels for 27.5 M parameters and 4489 MMACs."#
        );
    }
}
