//! Small pieces of the blueprint language that are characteristic of known families; prompts offer them as ideas.

mod written;

use crate::family::FAMILIES;
use crate::{Backbone, zoo};
use capwright_blueprint::language::{Block, Cut, Source};
use capwright_blueprint::{NodeId, Shape, scratch_alone};
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
    /// What it costs; none where that is a matter of the rest of the design.
    pub cost: Option<Spent>,
    /// The backbones that it is characteristic of, or names.
    pub of: Vec<&'static str>,
}

/// What a snippet costs by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spent {
    /// Learned values.
    pub parameters: u64,
    /// Multiply-accumulates an image.
    pub macs: u64,
    /// Whether these are trained, and not frozen.
    pub trained: bool,
    /// On which map or images.
    pub place: String,
}

impl std::fmt::Display for Spent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (parameters, macs) = (self.parameters as f64 / 1e6, self.macs as f64 / 1e6);
        let digits = if parameters < 1.0 { 2 } else { 1 };
        write!(f, "{parameters:.digits$} M parameters, {macs:.0} MMACs at {}.", self.place)
    }
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
        write!(f, "{kind}, {}: {} {}", self.title, self.json, self.note)?;
        self.cost.iter().try_for_each(|cost| write!(f, " {cost}"))
    }
}

/// Title, kind, JSON, note.
type Written = (&'static str, SnippetKind, &'static str, &'static str);

/// A block or an encoder from scratch that is characteristic of a family, as static data.
pub(crate) struct Idea {
    pub title: &'static str,
    pub kind: SnippetKind,
    pub json: &'static str,
    pub note: &'static str,
    /// Channels and side of the map on which its cost is told: where it stands upstream.
    pub on: (usize, usize),
    /// The part of a backbone that it has the very shapes of, by the beginning of its names; none where it is only like it.
    pub part: Option<(&'static str, &'static str)>,
}

/// Side in pixels of the images that costs of backbones are told for.
pub const USUAL_SIZE: usize = 224;

/// The snippets that name no backbone but those that `allows`, in a fixed order: of each such backbone its features and its last stage,
/// then what is characteristic of each family, then what belongs to none.
pub fn snippets(allows: impl Fn(&str) -> bool) -> Vec<Snippet> {
    let whole = zoo().iter().filter(|backbone| allows(backbone.name)).flat_map(of_backbone);
    let of_families = FAMILIES.iter().flat_map(|family| {
        let of: Vec<&str> = family.backbones.iter().map(|backbone| backbone.name).collect();
        family.ideas.iter().map(move |idea| Snippet { of: of.clone(), ..of_idea(idea) })
    });
    let others =
        written::WRITTEN.iter().map(of_written).filter(|snippet| snippet.of.iter().all(|name| allows(name)));
    whole.chain(of_families).chain(others).collect()
}

fn of_idea(idea: &Idea) -> Snippet {
    let &Idea { title, kind, json, note, on: (channels, side), part } = idea;
    let shape = Shape::new(channels, side, side);
    let graph = match kind {
        SnippetKind::Block => {
            serde_json::from_str::<Block>(json).ok().and_then(|block| block.alone(shape).ok())
        }
        _ => match serde_json::from_str(json) {
            Ok(Source::Scratch { stem, stages }) => scratch_alone(stem, &stages, side).ok(),
            _ => None,
        },
    };
    let cost = graph.map(|graph| {
        let totals = graph.totals();
        let place = match part {
            _ if channels == 3 => format!("{side} pixels"),
            Some((backbone, _)) => format!("{shape}, as in {backbone}"),
            None => shape.to_string(),
        };
        Spent { parameters: totals.parameters, macs: totals.macs, trained: true, place }
    });
    Snippet { title: title.into(), kind, json: json.into(), note: note.into(), cost, of: Vec::new() }
}

fn of_written(&(title, kind, json, note): &Written) -> Snippet {
    let named = |backbone: &&Backbone| json.contains(&format!("\"{}\"", backbone.name));
    let of: Vec<&str> = zoo().iter().filter(named).map(|backbone| backbone.name).collect();
    Snippet { title: title.into(), kind, json: json.into(), note: note.into(), cost: None, of }
}

/// A backbone up to its last cut, and with what lies behind the cut before that trained, with what these cost for images of the usual size.
fn of_backbone(backbone: &'static Backbone) -> Vec<Snippet> {
    let Ok(built) = backbone.graph(USUAL_SIZE) else { return Vec::new() };
    let cuts: Vec<(&Cut, &NodeId)> = built.cuts.iter().rev().collect();
    let Some(&(cut, id)) = cuts.first() else { return Vec::new() };
    let (shape, totals) = (built.graph.shape(*id), built.graph.cut(*id).totals());
    let spent = |parameters, macs, trained| Spent {
        parameters,
        macs,
        trained,
        place: format!("{USUAL_SIZE} pixels"),
    };
    let all = spent(totals.parameters, totals.macs, false);
    let snippet = |what: &str, tune: Option<&str>, note: String, cost| {
        let mut source = json!({ "kind": "pretrained", "backbone": backbone.name, "cut": cut });
        if let Some(tune) = tune {
            source["tune"] = json!(tune);
        }
        let (title, json) = (format!("{}, {what}", backbone.name), source.to_string());
        Snippet { title, kind: SnippetKind::Source, json, note, cost: Some(cost), of: vec![backbone.name] }
    };
    let (top1, cells) = (backbone.top1, shape.h * shape.w);
    let note = format!("{top1:.1} % top-1 on ImageNet; {cells} tokens of {} channels.", shape.c);
    let frozen = snippet("frozen", None, note, all);
    let last = cuts.get(1).map(|(before, id)| {
        let held = built.graph.cut(**id).totals();
        let note = format!("Frozen up to {before}, trained from there: go gently, with encoder_lr 0.1.");
        let (own, macs) = (totals.parameters - held.parameters, totals.macs - held.macs);
        snippet("last stage trained", Some("last_stage"), note, spent(own, macs, true))
    });
    std::iter::once(frozen).chain(last).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::find;
    use capwright_blueprint::Graph;
    use capwright_blueprint::language::{Decoder, Recipe};
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
        let said: Vec<String> =
            swin.iter().filter(|s| s.json.contains("swin_t")).map(|snippet| snippet.to_string()).collect();
        assert_eq!(
            said,
            [
                r#"source, swin_t, frozen: {"kind":"pretrained","backbone":"swin_t","cut":"s32"} 81.5 % top-1 on ImageNet; 49 tokens of 768 channels. 27.5 M parameters, 4490 MMACs at 224 pixels."#,
                r#"source, swin_t, last stage trained: {"kind":"pretrained","backbone":"swin_t","cut":"s32","tune":"last_stage"} Frozen up to s16, trained from there: go gently, with encoder_lr 0.1. 15.4 M parameters, 759 MMACs at 224 pixels."#
            ]
        );
    }

    /// What an idea is said to be a part of has as many learned values, and reads a map of that shape.
    #[test]
    fn ideas_have_the_shapes_of_upstream_s_parts() {
        let ideas = || FAMILIES.iter().flat_map(|family| family.ideas);
        for idea in ideas() {
            assert!(of_idea(idea).cost.is_some(), "{} does not fit where it is said to stand", idea.title);
            let Some((name, prefix)) = idea.part else { continue };
            let backbone = find(name).unwrap();
            let graph = backbone.graph(backbone.default_size).unwrap().graph;
            let shape = Shape::new(idea.on.0, idea.on.1, idea.on.1);
            let first = graph.nodes().iter().find(|node| node.name.starts_with(prefix)).unwrap();
            // A Vision Transformer has one cell more, and all in a row.
            let row = Shape::new(shape.c, 1, 1 + shape.h * shape.w);
            assert!([shape, row].contains(&graph.shape(first.inputs[0])), "{}", idea.title);
            let values = |graph: &Graph, prefix: &str| -> usize {
                let own = graph.parameters().into_iter().filter(|param| param.name.starts_with(prefix));
                own.map(|param| param.shape.iter().product::<usize>()).sum()
            };
            let block: Block = serde_json::from_str(idea.json).unwrap();
            let here = values(&block.alone(shape).unwrap(), "");
            assert_eq!(here, values(&graph, prefix), "{}", idea.title);
        }
        assert!(ideas().filter(|idea| idea.part.is_some()).count() >= 12);
    }
}
