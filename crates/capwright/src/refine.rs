//! `capwright refine`: a search that begins with a model there is, its design and its values.

mod wishes;

use crate::cli::{RefineArgs, SearchArgs};
use crate::failure::Failure;
use crate::setup::{self, Chosen};
use crate::{contract, search};
use capwright_caption_data::Vocabulary;
use capwright_contract::{Components, Contract, Search};
use capwright_pipeline::{ModelCard, StudyFolder};
use std::fs;
use std::path::Path;
use wishes::Wishes;

/// Designs to train where nobody says how many.
const TRIALS: u32 = 12;

/// What a study takes over of a model's folder.
const BLUEPRINT: &str = "blueprint.json";
const WEIGHTS: &str = "weights.safetensors";
const VOCABULARY: &str = "vocabulary.json";

/// Searches designs near that of a model, from its values.
pub fn refine(args: &RefineArgs) -> Result<(), Failure> {
    let architect = architect(&args.search);
    search::refuse_unasked(&[architect.as_str()], &args.search.llm)?;
    let stop = search::stop_flag(search::STOPPING);
    let card = ModelCard::read(&args.model).map_err(|error| {
        Failure::file(&args.model.join("card.json"), error)
            .help("name a study's best/ folder, or another model of a search")
    })?;
    let (wishes, rest) = Wishes::read(&args.search.request);
    let own = contract::read(&args.model.join("contract.toml"))?;
    let (mut contract, mut run) = (demands(&own, &args.search)?, args.search.run.clone());
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
    let begun = keep(&args.model, &prepared.folder).and_then(|()| {
        let needed = search::Model::Needed;
        search::architect(&architect, &prepared.contract, &prepared.folder, llm, needed)
    });
    let mut begun = begun.inspect_err(|_| prepared.folder.forget())?;
    let done = search::begin(prepared, &architect, begun.as_mut(), machine, stop, llm.typed())?;
    search::conclude(&done, machine.json)
}

/// Who proposes. Evolution begins with the design that is kept, in a bandit too; a language model by itself would begin anew.
fn architect(args: &SearchArgs) -> String {
    let usual = if args.llm.is_named() { "hybrid" } else { "evolution" };
    args.architect.clone().unwrap_or_else(|| usual.to_owned())
}

/// What a file demands of the new model and of its search, or what was demanded of the model that there is. What the file is silent
/// about, and the model's values depend on, stays as it was; so do image sizes, which a search chooses where nobody names them, unless
/// a flag names others.
fn demands(own: &Contract, args: &SearchArgs) -> Result<Contract, Failure> {
    let mut contract = match &args.contract {
        Some(file) => asked_by(file)?,
        None => {
            let search = Search { trials: TRIALS, max_proposals: 5 * TRIALS, ..Search::default() };
            let components = Components { image_sizes: Vec::new(), ..own.components.clone() };
            Contract { search, components, ..own.clone() }
        }
    };
    let parts = &mut contract.components;
    parts.backbones = parts.backbones.take().or_else(|| own.components.backbones.clone());
    if parts.image_sizes.is_empty() && args.image_size.is_empty() {
        parts.image_sizes.clone_from(&own.components.image_sizes);
    }
    contract.data.pieces = contract.data.pieces.or(own.data.pieces);
    contract.data.max_vocab = contract.data.max_vocab.or(own.data.max_vocab);
    Ok(contract)
}

/// The contract of a file, with as many trials as a refinement has where it names no number of them.
fn asked_by(file: &Path) -> Result<Contract, Failure> {
    let mut contract = contract::read(file)?;
    let said = contract::said(file, "search");
    if !said.contains_key("trials") {
        contract.search.trials = TRIALS;
        if !said.contains_key("max_proposals") {
            contract.search.max_proposals = 5 * TRIALS;
        }
    }
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
    use crate::cli::{Cli, Command};
    use clap::Parser;

    fn asked(options: &[&str]) -> SearchArgs {
        let line = [&["capwright", "refine", "best", "faster"][..], options].concat();
        let Command::Refine(args) = Cli::parse_from(line).command else { panic!("it is refine") };
        args.search
    }

    #[test]
    fn a_language_model_that_is_named_is_asked() {
        assert_eq!(architect(&asked(&[])), "evolution");
        assert_eq!(architect(&asked(&["--llm-url", "http://127.0.0.1:9/v1"])), "hybrid");
        assert_eq!(architect(&asked(&["--llm-gguf", "a.gguf", "--architect", "llm"])), "llm");
    }

    #[test]
    fn a_file_that_names_no_trials_leaves_their_number_as_it_is() {
        let home = tempfile::tempdir().expect("a folder");
        let own = Contract::default();
        let trials = |toml: &str| {
            let path = home.path().join("c.toml");
            fs::write(&path, format!("version = 1\n{toml}")).expect("writable");
            let args = asked(&["--contract", &path.display().to_string()]);
            let search = demands(&own, &args).expect("a contract").search;
            (search.trials, search.max_proposals)
        };
        assert_eq!(trials(""), (TRIALS, 5 * TRIALS));
        assert_eq!(trials("[search]\nmax_proposals = 20"), (TRIALS, 20));
        assert_eq!(trials("[search]\ntrials = 6"), (6, 30));
        let search = demands(&own, &asked(&[])).expect("a contract").search;
        assert_eq!((search.trials, search.max_proposals), (TRIALS, 5 * TRIALS));
    }

    #[test]
    fn image_sizes_are_those_of_the_model_unless_others_are_named() {
        let mut own = Contract::default();
        own.components.image_sizes = vec![64, 96];
        let sizes = |options: &[&str]| {
            let args = asked(options);
            let contract = demands(&own, &args).and_then(|contract| setup::with_flags(contract, &args));
            contract.expect("a contract").components.image_sizes
        };
        assert_eq!(sizes(&[]), [64, 96]);
        assert_eq!(sizes(&["--image-size", "128"]), [128]);
    }
}
