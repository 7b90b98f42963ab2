//! What the zoo gives to architects: parts for evolution, ideas for prompts.

use crate::refine;
use capwright_backbones::{Library, Snippet, SnippetKind, USUAL_SIZE, snippets};
use capwright_blueprint::Zoo as _;
use capwright_blueprint::language::{Source, Tune};
use capwright_caption_data::scenes::has_truth;
use capwright_contract::{Contract, Family};
use capwright_pipeline::StudyFolder;
use capwright_search::{Parts, Snippet as Shown};

/// The zoo's snippets as parts of designs, and the design that a study began with.
pub fn parts(folder: &StudyFolder, contract: &Contract) -> Parts {
    // Recipes that vary images are those for photos.
    let photos = contract.data.dir.as_os_str().is_empty() || !has_truth(&contract.data.dir);
    let suits = |snippet: &Snippet| {
        snippet.kind != SnippetKind::Recipe || snippet.json.contains("\"augment\"") == photos
    };
    let mut known = affordable(contract);
    known.retain(|snippet| suits(snippet) && stands_alone(&snippet.json));
    let of = |kind| {
        let all = known.iter().filter(move |snippet| snippet.kind == kind);
        all.filter_map(|snippet| serde_json::from_str(&snippet.json).ok()).collect()
    };
    Parts {
        sources: of(SnippetKind::Source),
        decoders: of(SnippetKind::Decoder),
        recipes: of(SnippetKind::Recipe),
        design: refine::design(folder),
    }
}

/// Whether a part is good by itself: no backbone that is trained, which takes long, or cut early, which wants blocks behind it.
fn stands_alone(json: &str) -> bool {
    let Ok(Source::Pretrained { backbone, cut, tune, .. }) = serde_json::from_str(json) else { return true };
    let last = Library::default().cuts(&backbone).and_then(|cuts| cuts.into_iter().max());
    tune == Tune::Frozen && last == Some(cut)
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
    let (budgets, sizes) = (&contract.budgets, &contract.components.image_sizes);
    let side = sizes.iter().max().map_or(USUAL_SIZE as u64, |side| u64::from(*side));
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
