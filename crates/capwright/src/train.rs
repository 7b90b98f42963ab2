//! `capwright train`: a study whose designs a person wrote.

use crate::cli::{RunArgs, TrainArgs};
use crate::failure::Failure;
use crate::setup::{self, Chosen, Prepared};
use crate::{check, contract, search};
use capwright_blueprint::{Blueprint, Target};
use capwright_contract::Contract;
use capwright_files::is_temporary;
use capwright_pipeline::{StudyFolder, write_json};
use capwright_search::Given;
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

/// How the ledger names this architect. A folder follows, which earlier versions named by its path; the designs lie in the study.
pub const GIVEN: &str = "given:";

/// Words of a typical vocabulary, and of a caption.
const VOCAB: usize = 2500;
const MAX_WORDS: usize = 20;

/// Trains the designs of some files, one trial each.
pub fn train(args: &TrainArgs) -> Result<(), Failure> {
    let stop = search::stop_flag(search::STOPPING);
    // The words are counted later; what depends on them is checked again then.
    let target = Target { vocab: VOCAB, max_words: args.run.max_words.unwrap_or(MAX_WORDS) };
    let designs = check::read_all(&args.designs, target)?;
    let (contract, run) = wanted(args, &designs)?;
    let names = backbones(&designs, &contract);
    let chosen = Chosen { names: names.clone(), named: names.clone() };
    let prepared = setup::prepare(contract, chosen, &run)?;
    let given = ready(&prepared, &names, &designs);
    let mut given = given.inspect_err(|_| prepared.folder.forget())?;
    let (chosen, llm) = (format!("{GIVEN}designs"), String::new());
    let done = search::begin(prepared, &chosen, &mut given, &args.machine, stop, llm)?;
    search::conclude(&done, args.machine.json)
}

/// The contract of the file, or one without bounds, with as many trials as designs; and the flags, with the epochs that the file names.
fn wanted(args: &TrainArgs, designs: &[Blueprint]) -> Result<(Contract, RunArgs), Failure> {
    let (mut contract, mut run) = (Contract::default(), args.run.clone());
    match &args.contract {
        None => contract.request = "designs of one's own".to_owned(),
        Some(path) => {
            contract = contract::read(path)?;
            run.epochs = run.epochs.or_else(|| setup::epochs_of(path));
        }
    }
    setup::check_words(&contract, &run)?;
    let sizes = &mut contract.components.image_sizes;
    if sizes.is_empty() {
        // What names no size allows each of them.
        *sizes = designs.iter().map(|design| design.encoder.input.0).collect();
        sizes.sort_unstable();
        sizes.dedup();
    }
    let count = u32::try_from(designs.len()).unwrap_or(u32::MAX);
    (contract.search.trials, contract.search.max_proposals, contract.search.repairs) = (count, count, 0);
    Ok((contract, run))
}

/// The backbones of designs, of those that the contract allows: what has another is refused and needs no weights.
fn backbones(designs: &[Blueprint], contract: &Contract) -> Vec<String> {
    let all = designs.iter().flat_map(|design| design.encoder.source.backbones());
    let allowed: BTreeSet<&str> = all.filter(|name| contract.components.allows_backbone(name)).collect();
    allowed.into_iter().map(str::to_owned).collect()
}

/// The designs as an architect, once their weights are there.
fn ready(prepared: &Prepared, names: &[String], designs: &[Blueprint]) -> Result<Given, Failure> {
    if let Some(name) = names.iter().find(|name| !prepared.weights.contains_key(*name)) {
        return Err(Failure::input(format!("the contract does not allow the weights of {name}")));
    }
    keep(&prepared.folder, designs)?;
    given(&prepared.folder)
}

/// Writes the designs into the study, where `resume` finds them whatever becomes of the files.
fn keep(folder: &StudyFolder, designs: &[Blueprint]) -> Result<(), Failure> {
    let kept = folder.designs();
    fs::create_dir_all(&kept).map_err(|error| Failure::file(&kept, error))?;
    for (design, number) in designs.iter().zip(1..) {
        let path = kept.join(format!("{number:04}.json"));
        write_json(&path, design).map_err(|error| Failure::file(&path, error))?;
    }
    Ok(())
}

/// The designs that [`keep`] wrote, as an architect.
pub fn given(folder: &StudyFolder) -> Result<Given, Failure> {
    Ok(Given::new(kept(folder)?))
}

/// Their backbones, of those that the contract allows.
pub fn kept_backbones(folder: &StudyFolder, contract: &Contract) -> Result<Vec<String>, Failure> {
    let texts = kept(folder)?;
    let designs: Vec<Blueprint> = texts.iter().filter_map(|text| serde_json::from_str(text).ok()).collect();
    Ok(backbones(&designs, contract))
}

fn kept(folder: &StudyFolder) -> Result<Vec<String>, Failure> {
    let kept = folder.designs();
    let unreadable = |error| Failure::file(&kept, error);
    let entries: Result<Vec<_>, _> = fs::read_dir(&kept).map_err(unreadable)?.collect();
    let whole = entries.map_err(unreadable)?.into_iter().filter(|entry| !is_temporary(&entry.file_name()));
    let mut paths: Vec<PathBuf> = whole.map(|entry| entry.path()).collect();
    paths.sort();
    let text = |path: &PathBuf| fs::read_to_string(path).map_err(|error| Failure::file(path, error));
    paths.iter().map(text).collect()
}
