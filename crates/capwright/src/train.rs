//! `capwright train`: a study whose designs a person wrote.

use crate::cli::TrainArgs;
use crate::failure::Failure;
use crate::{check, contract, search, setup};
use capwright_blueprint::{Blueprint, Target};
use capwright_contract::Contract;
use capwright_files::is_temporary;
use capwright_pipeline::{StudyFolder, write_json};
use capwright_search::Given;
use std::fs;
use std::path::{Path, PathBuf};

/// How the ledger names this architect, before the folder in which the designs lie.
pub const GIVEN: &str = "given:";

/// Words of a typical vocabulary, and of a caption.
const VOCAB: usize = 2500;
const MAX_WORDS: usize = 20;

/// Trains the designs of some files, one trial each.
pub fn train(args: &TrainArgs) -> Result<(), Failure> {
    let stop = search::stop_flag(search::STOPPING);
    // The words are counted later; what depends on them is checked again then.
    let target = Target { vocab: VOCAB, max_words: args.run.max_words.unwrap_or(MAX_WORDS) };
    let designs: Vec<Blueprint> =
        args.designs.iter().map(|path| check::read(path, target)).collect::<Result<_, _>>()?;
    let contract = wanted(args, &designs)?;
    let mut names: Vec<String> =
        designs.iter().flat_map(|d| d.encoder.source.backbones()).map(str::to_owned).collect();
    names.sort();
    names.dedup();
    let prepared = setup::prepare(contract, names.clone(), &args.run)?;
    if let Some(missing) = names.iter().find(|name| !prepared.weights.contains_key(*name)) {
        return Err(Failure::input(format!("the weights of {missing} cannot be had"))
            .help(format!("capwright weights fetch {missing} --file FILE")));
    }
    let kept = keep(&prepared.folder, &designs)?;
    let chosen = format!("{GIVEN}{}", kept.display());
    let done = search::begin(prepared, &chosen, &mut given(&kept)?, &args.machine, stop)?;
    search::conclude(&done, args.machine.json)
}

/// The contract of the file, or one without bounds; as many trials as designs.
fn wanted(args: &TrainArgs, designs: &[Blueprint]) -> Result<Contract, Failure> {
    let mut contract = match &args.contract {
        None => Contract::default(),
        Some(path) => contract::read(path)?,
    };
    if args.contract.is_none() {
        contract.request = "designs of one's own".to_owned();
        contract.components.image_sizes = designs.iter().map(|d| d.encoder.input.0).collect();
        contract.components.image_sizes.sort_unstable();
        contract.components.image_sizes.dedup();
    }
    let count = u32::try_from(designs.len()).unwrap_or(u32::MAX);
    (contract.search.trials, contract.search.max_proposals, contract.search.repairs) = (count, count, 0);
    Ok(contract)
}

/// Writes the designs into the study, where `resume` finds them whatever becomes of the files.
fn keep(folder: &StudyFolder, designs: &[Blueprint]) -> Result<PathBuf, Failure> {
    let kept = folder.root().join("designs");
    fs::create_dir_all(&kept).map_err(|error| Failure::file(&kept, error))?;
    for (design, number) in designs.iter().zip(1..) {
        let path = kept.join(format!("{number:04}.json"));
        write_json(&path, design).map_err(|error| Failure::file(&path, error))?;
    }
    Ok(kept)
}

/// The designs that [`keep`] wrote, as an architect.
pub fn given(kept: &Path) -> Result<Given, Failure> {
    let unreadable = |error| Failure::file(kept, error);
    let entries: Result<Vec<_>, _> = fs::read_dir(kept).map_err(unreadable)?.collect();
    let whole = entries.map_err(unreadable)?.into_iter().filter(|entry| !is_temporary(&entry.file_name()));
    let mut paths: Vec<PathBuf> = whole.map(|entry| entry.path()).collect();
    paths.sort();
    let text = |path: &PathBuf| fs::read_to_string(path).map_err(|error| Failure::file(path, error));
    Ok(Given::new(paths.iter().map(text).collect::<Result<_, _>>()?))
}
