//! From request and flags to a contract, a data set, weights and a study folder.

mod asked;

pub use asked::{
    check_words, epochs_of, is_unpriced, select, settings, understood, with_flags, with_request,
};

use crate::cli::{RunArgs, SearchArgs};
use crate::failure::Failure;
use crate::zoo;
use asked::{named_data, wanted};
use capwright_backbones::{Library, USUAL, find};
use capwright_caption_data::{Dataset, SceneOptions, Split, Vocabulary, make_scenes};
use capwright_contract::{Components, Contract, Data, impossible};
use capwright_fetch::FetchError;
use capwright_files::write_atomic;
use capwright_pipeline::StudyFolder;
use capwright_search::Architect;
use capwright_study::{Opened, Study, WeightsFile};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The drawn scenes of a search without data.
const SCENES: SceneOptions = SceneOptions { train: 600, val: 120, test: 120, size: 96, seed: 1 };

/// Multiply-accumulates per image that the small scenes are worth.
const SCENES_MACS: u64 = 60_000_000;

/// Those of them that may be trained: ten epochs of more take minutes.
const SCENES_MACS_TRAINED: u64 = 15_000_000;

/// Multiply-accumulates per word, likewise: an LSTM of 384 with attention has 2 million.
const SCENES_MACS_TOKEN: u64 = 2_000_000;

/// Epochs of a trial on the small scenes.
const SCENES_EPOCHS: u32 = 10;

/// What a search needs before its first proposal.
pub struct Prepared {
    /// Where the study lies.
    pub folder: StudyFolder,
    /// What is asked for.
    pub contract: Contract,
    /// Weights of the allowed backbones.
    pub weights: BTreeMap<String, WeightsFile>,
}

/// Backbones that a search may use.
pub struct Chosen {
    /// Their names in the zoo.
    pub names: Vec<String>,
    /// Those of them that a person named: they are not left out, since without them the search would be another.
    pub named: Vec<String>,
}

/// Reads the request, then [`prepare`]s.
pub fn prepare_search(args: &SearchArgs) -> Result<Prepared, Failure> {
    let (mut contract, run) = wanted(args)?;
    let chosen = backbone_names(&args.backbone, &mut contract.components)?;
    if named_data(&contract, &run).is_none() {
        contract.budgets.macs_image.get_or_insert(SCENES_MACS);
        contract.budgets.macs_trained.get_or_insert(SCENES_MACS_TRAINED);
        contract.budgets.macs_token.get_or_insert(SCENES_MACS_TOKEN);
    }
    prepare(contract, chosen, &run)
}

/// Loads the data, fetches the weights of the chosen backbones, makes the study folder.
pub fn prepare(mut contract: Contract, chosen: Chosen, run: &RunArgs) -> Result<Prepared, Failure> {
    let named = named_data(&contract, run);
    let drawn = named.is_none();
    let dir = match named {
        Some(dir) => fs::canonicalize(&dir)
            .map_err(|error| Failure::file(&dir, error).help("name the data folder with --data"))?,
        None => scenes()?,
    };
    let data = load(&dir)?;
    let said = Some(contract.data.min_count).filter(|count| *count > 0);
    let min_count = run.min_count.or(said).unwrap_or(if drawn { 1 } else { 5 });
    let pieces = run.pieces.or(contract.data.pieces);
    let mut vocabulary = match pieces {
        Some(size) => Vocabulary::pieces_from_dataset(&data, size as usize),
        None => Vocabulary::from_dataset(&data, min_count as usize),
    };
    if let Some(most) = contract.data.max_vocab {
        vocabulary = vocabulary.at_most(usize::try_from(most).unwrap_or(usize::MAX));
    }
    let weights = weights_of(chosen, &contract)?;
    // Designs of a person are held against the contract's own list.
    contract.components.backbones.get_or_insert_with(|| weights.keys().cloned().collect());
    settle(&mut contract, run, drawn);
    contract.data = Data {
        dir,
        fingerprint: data.fingerprint().to_string(),
        min_count,
        vocab: vocabulary.len(),
        pieces,
        ..contract.data
    };
    contract.check().map_err(Failure::input)?;
    possible(&contract)?;
    let folder = study_folder(run.study.as_deref())?;
    write(&folder, &contract, &vocabulary).inspect_err(|_| folder.forget())?;
    tell!(
        "study {}: {} images, vocabulary of {} {}, fingerprint {}",
        folder.root().display(),
        data.images().len(),
        vocabulary.len(),
        if pieces.is_some() { "pieces" } else { "words" },
        &data.fingerprint()[..12]
    );
    Ok(Prepared { folder, contract, weights })
}

fn write(folder: &StudyFolder, contract: &Contract, vocabulary: &Vocabulary) -> Result<(), Failure> {
    vocabulary.save(folder.vocabulary()).map_err(Failure::input)?;
    let (path, text) = (folder.contract(), contract.to_toml().map_err(Failure::input)?);
    write_atomic(&path, text.as_bytes()).map_err(|error| Failure::file(&path, error))
}

/// Takes the flags over; what is not said follows from the data: the small scenes are worth less work.
fn settle(contract: &mut Contract, run: &RunArgs, drawn: bool) {
    if contract.components.image_sizes.is_empty() {
        contract.components.image_sizes = if drawn { vec![64, 96] } else { vec![224] };
    }
    contract.decoding.beam = run.beam.unwrap_or(contract.decoding.beam);
    contract.decoding.max_words = run.max_words.unwrap_or(contract.decoding.max_words);
    let training = &mut contract.training;
    training.patience = run.patience.unwrap_or(training.patience);
    training.seed = run.seed.unwrap_or(training.seed);
    training.self_critical = run.self_critical.unwrap_or(training.self_critical);
    training.epochs = match run.epochs {
        Some(epochs) => epochs,
        None if drawn => SCENES_EPOCHS,
        None => training.epochs,
    };
    select(contract, run.select);
}

/// Refuses a contract that no design can keep.
pub fn possible(contract: &Contract) -> Result<(), Failure> {
    match impossible(contract, &Library::default(), contract.target()) {
        None => Ok(()),
        Some(reasons) => Err(Failure::unmet(reasons)),
    }
}

/// The backbones that flags, or else the contract, allow; where neither says, the usual ones and those that it requires.
pub fn backbone_names(flags: &[String], parts: &mut Components) -> Result<Chosen, Failure> {
    let said = parts.backbones.take();
    let usual = || {
        let required = parts.required.iter().filter(|part| find(part).is_some());
        let named: Vec<String> = required.cloned().collect();
        let names = USUAL.map(str::to_owned).into_iter().chain(named.iter().cloned()).collect();
        Chosen { names, named }
    };
    let all = |names: Vec<String>| Chosen { named: names.clone(), names };
    let chosen = if flags.is_empty() { said.map_or_else(usual, all) } else { all(flags.to_vec()) };
    match chosen.names.iter().find(|name| find(name).is_none()) {
        Some(name) => Err(Failure::input(format!("there is no backbone \"{name}\""))
            .help("`capwright zoo list` names them all")),
        None => Ok(chosen),
    }
}

/// Weights of the chosen backbones. One that cannot be had is left out, unless a person named it.
fn weights_of(chosen: Chosen, contract: &Contract) -> Result<BTreeMap<String, WeightsFile>, Failure> {
    let Chosen { names, named } = chosen;
    let mut missing = Vec::new();
    let found = weights(&licensed(names, contract), &mut |name, failure| {
        if named.iter().any(|said| said == name) {
            missing.push(format!("{name}: {failure}"));
        } else {
            tell!("{name} is left out: {failure}");
        }
    })?;
    if missing.is_empty() {
        return Ok(found);
    }
    Err(Failure::input(missing.join("\n"))
        .help("`capwright weights fetch NAME --file FILE` takes a copy of yours; or name other backbones"))
}

/// Those whose weights have a licence that the contract allows.
fn licensed(names: Vec<String>, contract: &Contract) -> Vec<String> {
    let allowed = &contract.licences.weights;
    let fits = |name: &String| {
        let licence = find(name).map_or("", |b| b.licence);
        let fits = allowed.is_empty() || allowed.iter().any(|l| l == licence);
        if !fits {
            tell!("{name} is left out: its weights have the licence {licence}");
        }
        fits
    };
    names.into_iter().filter(fits).collect()
}

/// Weights of the named backbones; those that no source gives are told to `left_out`.
pub fn weights(
    names: &[String],
    left_out: &mut dyn FnMut(&str, &Failure),
) -> Result<BTreeMap<String, WeightsFile>, Failure> {
    let cache = zoo::cache()?;
    let mut found = BTreeMap::new();
    for backbone in names.iter().filter_map(|name| find(name)) {
        match zoo::weights(&cache, backbone) {
            Ok(file) => {
                found.insert(backbone.name.to_string(), file);
            }
            // The next one would meet the same.
            Err(error @ FetchError::Cache { .. }) => return Err(Failure::input(error)),
            Err(error) => left_out(backbone.name, &Failure::input(error)),
        }
    }
    Ok(found)
}

/// Loads a data set that a search can use.
fn load(dir: &Path) -> Result<Dataset, Failure> {
    let data = Dataset::load(dir).map_err(Failure::input)?;
    match [Split::Train, Split::Val].into_iter().find(|split| data.split(*split).is_empty()) {
        Some(split) => Err(Failure::input(format!("{}: the {split} split is empty", dir.display()))
            .help("a search trains on train and selects on val")),
        None => Ok(data),
    }
}

/// Refuses to go on with other data than the study began with.
pub fn check_data(contract: &Contract) -> Result<(), Failure> {
    let data = load(&contract.data.dir)?;
    if data.fingerprint() == contract.data.fingerprint {
        return Ok(());
    }
    Err(Failure::input(format!("{} has changed since the study began", contract.data.dir.display()))
        .help("put the same files back, or start a new study"))
}

/// The small scenes set, drawn once into the cache.
fn scenes() -> Result<PathBuf, Failure> {
    let cache = zoo::cache()?;
    let name = format!("scenes-{}-{}-{}-{}", SCENES.train, SCENES.val, SCENES.size, SCENES.seed);
    let dir = cache.dir().join(name);
    drawn_once(&dir, &SCENES)?;
    Ok(dir)
}

/// Draws a scenes set, unless it is there.
fn drawn_once(dir: &Path, scenes: &SceneOptions) -> Result<(), Failure> {
    if dir.exists() {
        return Ok(());
    }
    tell!("drawing {} scenes into {}", scenes.train + scenes.val + scenes.test, dir.display());
    match make_scenes(dir, scenes) {
        // Another run drew the same meanwhile: the folder appears complete or not at all.
        Err(_) if dir.exists() => Ok(()),
        made => made.map_err(Failure::input),
    }
}

/// Studies in one folder, at most.
const STUDIES: u32 = 9_999;

/// The named folder, or the first free number under `capwright-studies/`.
fn study_folder(named: Option<&Path>) -> Result<StudyFolder, Failure> {
    let path = match named {
        Some(path) => path.to_path_buf(),
        None => {
            let free = |n: &u32| !Path::new("capwright-studies").join(format!("{n:03}")).exists();
            let number = (1..=STUDIES).find(free);
            let number = number.ok_or_else(|| Failure::input("capwright-studies is full"))?;
            Path::new("capwright-studies").join(format!("{number:03}"))
        }
    };
    let folder = StudyFolder::new(&path);
    if folder.ledger().exists() {
        return Err(Failure::input(format!("{} holds a study already", path.display()))
            .help(format!("capwright resume {}", path.display())));
    }
    let taken: Vec<String> = folder.taken().iter().map(|path| path.display().to_string()).collect();
    if !taken.is_empty() {
        let message = format!("a new study would write over {}", taken.join(", "));
        return Err(Failure::input(message)
            .help("name another folder with --study; what a killed search left there can be removed"));
    }
    StudyFolder::make(&path).map_err(|error| Failure::file(&path, error))
}

/// Versions key under which the ledger keeps which architect was chosen.
const CHOSEN: &str = "architect";

/// The first event of a study.
pub fn opened(contract: &Contract, chosen: &str, architect: &dyn Architect) -> Opened {
    let mut versions = BTreeMap::from([
        ("capwright".to_string(), env!("CARGO_PKG_VERSION").to_string()),
        (CHOSEN.to_string(), chosen.to_string()),
    ]);
    versions.extend(architect.bound().map(|bound| ("answers".to_string(), bound)));
    let (contract, seed) = (contract.clone(), contract.training.seed);
    Opened { contract, seed, architect: architect.name(), versions }
}

/// Which architect a study was started with.
pub fn chosen_architect(study: &Study) -> String {
    study.opened.versions.get(CHOSEN).cloned().unwrap_or_else(|| "random".into())
}

/// The language model that a study was started with: a search goes on without one that cannot be had.
pub fn model_of(study: &Study) -> Option<&str> {
    let (_, named) = study.opened.architect.split_once("llm:")?;
    // A bandit names its others after it.
    named.split(", evolution").next()
}

#[cfg(test)]
mod tests;
