//! `capwright refine`: a search that begins with a model there is, its design and its values.

use crate::cli::RefineArgs;
use crate::failure::Failure;
use crate::setup::{self, Chosen};
use crate::{contract, search};
use capwright_caption_data::Vocabulary;
use capwright_contract::{Components, Contract, Merit, Objective, Score, Search};
use capwright_pipeline::{ModelCard, StudyFolder};
use std::fs;
use std::path::Path;

/// What a wish to be less leaves of a cost.
const LESS: f64 = 0.75;

/// What counts as the same quality, as a share of the model's score.
const SAME: f64 = 0.02;

/// Designs to train where nobody says how many.
const TRIALS: u32 = 12;

/// What a study takes over of a model's folder.
const BLUEPRINT: &str = "blueprint.json";
const WEIGHTS: &str = "weights.safetensors";
const VOCABULARY: &str = "vocabulary.json";

/// What a request says in comparison with the model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Wishes {
    smaller: bool,
    faster: bool,
    as_good: bool,
}

/// Words for a wish, in English and Chinese.
const SMALLER: &[&str] = &["smaller", "lighter", "更小", "更轻"];
const FASTER: &[&str] = &["faster", "quicker", "更快"];
const AS_GOOD: &[&str] =
    &["same quality", "equal quality", "as good", "just as good", "质量不变", "同样质量"];

impl Wishes {
    /// The wishes of a request, and what else it says.
    fn read(request: &str) -> (Self, String) {
        let mut rest = request.to_lowercase();
        let mut said = |words: &[&str]| {
            let before = rest.len();
            words.iter().for_each(|word| rest = without(&rest, word));
            rest.len() < before
        };
        let wishes = Self { smaller: said(SMALLER), faster: said(FASTER), as_good: said(AS_GOOD) };
        let rest = rest.trim_matches(|c: char| c.is_whitespace() || ",.;，。；、".contains(c)).to_owned();
        (wishes, rest)
    }

    /// What they mean for a contract.
    fn meanings(self, contract: &Contract) -> Vec<String> {
        let (budgets, most) = (&contract.budgets, |bound: Option<u64>| bound.unwrap_or(u64::MAX));
        let smaller = || format!("smaller: at most {} parameters in total", most(budgets.params_total));
        let (image, word) = (most(budgets.macs_image), most(budgets.macs_token));
        let faster = || format!("faster: at most {image} multiply-accumulates an image and {word} a word");
        let score = contract.score().name();
        let as_good = || format!("as good: a {score} that is lower by at most {} %", SAME * 100.0);
        let all = [self.smaller.then(smaller), self.faster.then(faster), self.as_good.then(as_good)];
        all.into_iter().flatten().collect()
    }

    /// The contract with these wishes about a model of that card.
    fn tell(self, contract: &mut Contract, card: &ModelCard) {
        let less = |bound: &mut Option<u64>, cost: u64| {
            let wished = (cost as f64 * LESS) as u64;
            *bound = Some(bound.map_or(wished, |bound| bound.min(wished)).max(1));
        };
        if self.smaller {
            less(&mut contract.budgets.params_total, card.cost.params_total);
        }
        if self.faster {
            less(&mut contract.budgets.macs_image, card.cost.macs_image);
            less(&mut contract.budgets.macs_token, card.cost.macs_token);
        }
        if self.as_good {
            let score = contract.score();
            let merit = match score {
                Score::Bleu4 => Merit::Bleu4,
                Score::CiderD => Merit::CiderD,
            };
            let cost = if self.faster { Merit::MacsToken } else { Merit::ParamsTotal };
            contract.objectives = vec![
                Objective { merit, within: SAME * card.validation.of(score) },
                Objective { merit: cost, within: 0.0 },
            ];
        }
    }
}

/// A text without a wish; "smaller than 2 M parameters" is none, but a limit.
fn without(text: &str, wish: &str) -> String {
    let mut left = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(wish) {
        let after = &rest[at + wish.len()..];
        let limit = after.trim_start().strip_prefix("than").is_some_and(|bound| {
            bound.split_whitespace().take(3).any(|word| word.contains(|c: char| c.is_ascii_digit()))
        });
        left.push_str(&rest[..if limit { at + wish.len() } else { at }]);
        rest = after;
    }
    left + rest
}

/// Searches designs near that of a model, from its values.
pub fn refine(args: &RefineArgs) -> Result<(), Failure> {
    let stop = search::stop_flag(search::STOPPING);
    let card = ModelCard::read(&args.model).map_err(|error| {
        Failure::file(&args.model.join("card.json"), error)
            .help("name a study's best/ folder, or another model of a search")
    })?;
    let (wishes, rest) = Wishes::read(&args.search.request);
    let own = contract::read(&args.model.join("contract.toml"))?;
    let (mut contract, mut run) = (demands(&own, args.search.contract.as_deref())?, args.search.run.clone());
    contract = setup::with_request(&contract, &setup::understood(&rest)?)?;
    contract.request.clone_from(&args.search.request);
    contract = setup::with_flags(contract, &args.search)?;
    // What counts as the same quality is told of the score that is chosen.
    setup::select(&mut contract, run.select);
    wishes.tell(&mut contract, &card);
    let meanings = wishes.meanings(&contract);
    let data = run.data.get_or_insert(own.data.dir);
    tell!(
        "{} on {}: {} parameters in total, {} {:.4}",
        args.model.display(),
        data.display(),
        card.cost.params_total,
        contract.score().name(),
        card.validation.of(contract.score())
    );
    meanings.iter().for_each(|meaning| tell!("  {meaning}"));
    let said = Some(contract.data.min_count).filter(|count| *count > 0);
    run.min_count = run.min_count.or(said).or(Some(own.data.min_count));
    let chosen = backbones(&args.search.backbone, &mut contract.components, &own.components)?;
    let prepared = setup::prepare(contract, chosen, &run)?;
    let (llm, machine) = (&args.search.llm, &args.search.machine);
    let chosen = args.search.architect.clone().unwrap_or_else(|| "evolution".into());
    // Evolution begins with the design that is kept.
    let architect = keep(&args.model, &prepared.folder).and_then(|()| {
        let needed = search::Model::Needed;
        search::architect(&chosen, &prepared.contract, &prepared.folder, llm, needed)
    });
    let mut architect = architect.inspect_err(|_| prepared.folder.forget())?;
    let done = search::begin(prepared, &chosen, architect.as_mut(), machine, stop, llm.typed())?;
    search::conclude(&done, machine.json)
}

/// What a file demands of the new model and of its search, or what was demanded of the model that there is. What the file is silent
/// about, and the model's values depend on, stays as it was.
fn demands(own: &Contract, file: Option<&Path>) -> Result<Contract, Failure> {
    let Some(file) = file else {
        let search = Search { trials: TRIALS, max_proposals: 5 * TRIALS, ..Search::default() };
        return Ok(Contract { search, ..own.clone() });
    };
    let mut contract = contract::read(file)?;
    let parts = &mut contract.components;
    parts.backbones = parts.backbones.take().or_else(|| own.components.backbones.clone());
    if parts.image_sizes.is_empty() {
        parts.image_sizes.clone_from(&own.components.image_sizes);
    }
    contract.data.pieces = contract.data.pieces.or(own.data.pieces);
    contract.data.max_vocab = contract.data.max_vocab.or(own.data.max_vocab);
    Ok(contract)
}

/// The backbones that are allowed. Where nobody says which, they are those that the model's search came to use, which nobody named.
fn backbones(flags: &[String], parts: &mut Components, own: &Components) -> Result<Chosen, Failure> {
    let inherited = flags.is_empty() && parts.backbones == own.backbones;
    let chosen = setup::backbone_names(flags, parts)?;
    Ok(if inherited { Chosen { named: Vec::new(), ..chosen } } else { chosen })
}

/// Copies what the study begins with into its folder, where `resume` finds it whatever becomes of the model. Values are left
/// behind where they are of other words: those of a word would stand for another.
fn keep(model: &Path, folder: &StudyFolder) -> Result<(), Failure> {
    let start = folder.start();
    fs::create_dir_all(&start).map_err(|error| Failure::file(&start, error))?;
    let words = |path: &Path| Vocabulary::load(path).map_err(Failure::input);
    let same = words(&model.join(VOCABULARY))? == words(&folder.vocabulary())?;
    if !same {
        tell!("the data have other words than the model: designs begin untrained");
    }
    for name in if same { &[BLUEPRINT, WEIGHTS][..] } else { &[BLUEPRINT][..] } {
        let path = model.join(name);
        fs::copy(&path, start.join(name)).map_err(|error| Failure::file(&path, error))?;
    }
    Ok(())
}

/// The design that a study began with, as JSON.
pub fn design(folder: &StudyFolder) -> Option<serde_json::Value> {
    serde_json::from_str(&fs::read_to_string(folder.start().join(BLUEPRINT)).ok()?).ok()
}

/// The values that a study began with.
pub fn values(folder: &StudyFolder) -> Option<std::path::PathBuf> {
    Some(folder.start().join(WEIGHTS)).filter(|path| path.exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wishes_are_read_and_the_rest_is_a_request() {
        let read = |text| Wishes::read(text);
        let all = Wishes { smaller: true, faster: true, as_good: true };
        assert_eq!(read("Smaller, faster, same quality"), (all, String::new()));
        let (wishes, rest) = read("smaller, under 2 M parameters");
        assert_eq!(wishes, Wishes { smaller: true, ..Wishes::default() });
        assert_eq!(rest, "under 2 m parameters");
        assert_eq!(read("a GRU").0, Wishes::default());
        let limits = "smaller than 2 m parameters, faster than about 20 ms";
        assert_eq!(read(limits), (Wishes::default(), limits.to_owned()));
        assert_eq!(read("smaller than this one").0, Wishes { smaller: true, ..Wishes::default() });
        assert_eq!(read("更小，质量不变").0, Wishes { faster: false, ..all });
    }
}
