//! What the zoo gives to architects: parts for evolution, ideas for prompts.

use crate::refine;
use capwright_backbones::{Library, Snippet, SnippetKind, USUAL_SIZE, snippets};
use capwright_blueprint::Zoo as _;
use capwright_blueprint::language::{Cut, Source, Tune};
use capwright_caption_data::scenes::has_truth;
use capwright_contract::{Contract, Family};
use capwright_pipeline::StudyFolder;
use capwright_search::{Parts, Snippet as Shown};
use serde_json::Value;

/// The zoo's snippets as parts of designs, and the design that a study began with.
pub fn parts(folder: &StudyFolder, contract: &Contract) -> Parts {
    // Recipes that vary images are those for photos.
    let photos = contract.data.dir.as_os_str().is_empty() || !has_truth(&contract.data.dir);
    let suits = |snippet: &Snippet| {
        snippet.kind != SnippetKind::Recipe || snippet.json.contains("\"augment\"") == photos
    };
    let known = affordable(contract);
    let of = |kind| known.iter().filter(move |snippet| snippet.kind == kind && suits(snippet));
    let read = |kind| of(kind).filter_map(|snippet| serde_json::from_str(&snippet.json).ok()).collect();
    let mut sources: Vec<Value> = Vec::new();
    let (zoo, side) = (Library::default(), side(contract));
    for source in of(SnippetKind::Source).filter_map(|snippet| standing_alone(&snippet.json, &zoo, side)) {
        if !sources.contains(&source) {
            sources.push(source);
        }
    }
    Parts {
        sources,
        decoders: read(SnippetKind::Decoder),
        recipes: read(SnippetKind::Recipe),
        design: refine::design(folder),
    }
}

/// Cells a side of a map, at least, that a decoder can look about in; photos of 224 pixels have seven at stride 32.
const CELLS: usize = 5;

/// A source that is good by itself for images of that side: no backbone that is trained, which takes long; a frozen one up to its last cut
/// that leaves a grid.
fn standing_alone(json: &str, zoo: &Library, side: usize) -> Option<Value> {
    let mut source = serde_json::from_str(json).ok()?;
    if let Source::Pretrained { backbone, cut, tune, beside, .. } = &mut source {
        if *tune != Tune::Frozen {
            return None;
        }
        *cut = last_grid(zoo, backbone, side)?;
        if let Some(beside) = beside {
            beside.cut = last_grid(zoo, &beside.backbone, side)?;
        }
    }
    serde_json::to_value(source).ok()
}

/// The last cut of a backbone with so many cells a side, or else its first.
fn last_grid(zoo: &Library, backbone: &str, side: usize) -> Option<Cut> {
    let cuts = zoo.cuts(backbone)?;
    let grids = cuts.iter().copied().filter(|cut| side / cut.stride() >= CELLS);
    grids.max().or_else(|| cuts.iter().copied().min())
}

/// Side of the largest images that a contract allows.
fn side(contract: &Contract) -> usize {
    contract.components.image_sizes.iter().max().map_or(USUAL_SIZE, |side| *side as usize)
}

/// The zoo's snippets that the contract allows, a list for each kind.
pub fn inspiration(contract: &Contract) -> Vec<Vec<Shown>> {
    let parts = &contract.components;
    let family = |family, json: &str| match family {
        Family::Lstm => json.contains("\"cell\":\"lstm\"") || json.contains("\"family\":\"top_down\""),
        Family::Gru => json.contains("\"cell\":\"gru\""),
        Family::Transformer => json.contains("\"family\":\"transformer\""),
        Family::Convolution => json.contains("\"family\":\"convolution\""),
    };
    let allowed = |snippet: &Snippet| match snippet.kind {
        SnippetKind::Source => parts.scratch || !snippet.json.contains("\"scratch\""),
        SnippetKind::Decoder => parts.families.iter().any(|f| family(*f, &snippet.json)),
        SnippetKind::Block | SnippetKind::Recipe => true,
    };
    let known = affordable(contract);
    let of = |kind| known.iter().filter(move |s| s.kind == kind && allowed(s));
    let shown = |snippet: &Snippet| Shown {
        text: snippet.to_string(),
        of: snippet.of.iter().map(|name| (*name).to_owned()).collect(),
    };
    SnippetKind::ALL.map(|kind| of(kind).map(shown).collect()).to_vec()
}

/// The snippets of backbones that the contract allows, without sources that by themselves cost more than it does.
fn affordable(contract: &Contract) -> Vec<Snippet> {
    let (budgets, side) = (&contract.budgets, side(contract) as u64);
    let scaled = |macs: u64| macs * side * side / (USUAL_SIZE * USUAL_SIZE) as u64;
    let fits = |snippet: &Snippet| {
        let Some(spent) = snippet.cost.as_ref().filter(|_| snippet.kind == SnippetKind::Source) else {
            return true;
        };
        let within = |parameters: Option<u64>, macs: Option<u64>| {
            parameters.is_none_or(|most| spent.parameters <= most)
                && macs.is_none_or(|most| scaled(spent.macs) <= most)
        };
        within(budgets.params_total, budgets.macs_image)
            && (!spent.trained || within(budgets.params_trainable, budgets.macs_trained))
    };
    let mut known = snippets(|name| contract.components.allows_backbone(name));
    known.retain(fits);
    known
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(text: &str) -> Vec<String> {
        let contract = Contract::from_toml(&format!("version = 1\n{text}")).expect("a contract");
        inspiration(&contract).swap_remove(0).into_iter().map(|snippet| snippet.text).collect()
    }

    #[test]
    fn known_sources_leave_a_grid() {
        let of = |sizes: &str| -> Vec<String> {
            let text =
                format!("version = 1\n[components]\nbackbones = [\"mobilenet_v2\"]\nimage_sizes = {sizes}");
            let contract = Contract::from_toml(&text).expect("a contract");
            let parts = parts(&StudyFolder::new("nowhere"), &contract);
            parts
                .sources
                .iter()
                .map(Value::to_string)
                .filter(|source| source.contains("mobilenet_v2"))
                .collect()
        };
        let frozen =
            |cut: &str| format!(r#"{{"kind":"pretrained","backbone":"mobilenet_v2","cut":"{cut}"}}"#);
        assert_eq!(of("[224]"), [frozen("s32")]);
        assert_eq!(of("[64, 96]"), [frozen("s16")]);
        assert_eq!(of("[64]"), [frozen("s8")]);
    }

    #[test]
    fn ideas_fit_the_budgets() {
        let allowed = "[components]\nbackbones = [\"mobilenet_v2\", \"resnet50\"]";
        let has = |all: &[String], part: &str| all.iter().any(|text| text.contains(part));
        let free = sources(allowed);
        for part in ["resnet50, frozen", "mobilenet_v2, frozen", "mobilenet_v2, last stage trained"] {
            assert!(has(&free, part), "{part}");
        }
        let light =
            sources(&format!("[budgets]\nparams_total = 6000000\nmacs_trained = 15000000\n{allowed}"));
        assert!(
            has(&light, "mobilenet_v2, frozen") && !has(&light, "resnet50") && !has(&light, "last stage")
        );
        // Small images cost less.
        let small = format!("[budgets]\nmacs_image = 60000000\n{allowed}\nimage_sizes = [64, 96]");
        assert!(has(&sources(&small), "mobilenet_v2, frozen") && !has(&sources(&small), "resnet50"));
    }
}
