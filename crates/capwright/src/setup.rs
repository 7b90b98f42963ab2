//! From request and flags to a contract, a data set, weights and a study folder.

use crate::cli::{RunArgs, SearchArgs, SelectArg};
use crate::failure::Failure;
use crate::zoo;
use capwright_backbones::{Library, USUAL, find};
use capwright_caption_data::{Dataset, SceneOptions, Split, Vocabulary, make_scenes};
use capwright_contract::{
    Components, Contract, Data, Family, Merit, Objective, Training, impossible, parse_request,
};
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

/// Reads the request, then [`prepare`]s.
pub fn prepare_search(args: &SearchArgs) -> Result<Prepared, Failure> {
    let mut contract = wanted(args)?;
    let names = backbone_names(&args.backbone, &mut contract.components)?;
    if args.run.data.is_none() {
        contract.budgets.macs_image.get_or_insert(SCENES_MACS);
        contract.budgets.macs_trained.get_or_insert(SCENES_MACS_TRAINED);
        contract.budgets.macs_token.get_or_insert(SCENES_MACS_TOKEN);
    }
    prepare(contract, names, &args.run)
}

/// Loads the data, fetches the weights of the named backbones, makes the study folder.
pub fn prepare(mut contract: Contract, names: Vec<String>, run: &RunArgs) -> Result<Prepared, Failure> {
    let drawn = run.data.is_none();
    let dir = match &run.data {
        Some(dir) => fs::canonicalize(dir).map_err(|error| Failure::file(dir, error))?,
        None => scenes()?,
    };
    let data = load(&dir)?;
    let min_count = run.min_count.unwrap_or(if drawn { 1 } else { 5 });
    let pieces = run.pieces.or(contract.data.pieces);
    let mut vocabulary = match pieces {
        Some(size) => Vocabulary::pieces_from_dataset(&data, size as usize),
        None => Vocabulary::from_dataset(&data, min_count as usize),
    };
    if let Some(most) = contract.data.max_vocab {
        vocabulary = vocabulary.at_most(usize::try_from(most).unwrap_or(usize::MAX));
    }
    let mut left_out = |name: &str, failure: &Failure| eprintln!("{name} is left out: {failure}");
    let weights = weights(&licensed(names, &contract), &mut left_out)?;
    contract.components.backbones = Some(weights.keys().cloned().collect());
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
    vocabulary.save(folder.vocabulary()).map_err(Failure::input)?;
    let text = contract.to_toml().map_err(Failure::input)?;
    write_atomic(&folder.contract(), text.as_bytes()).map_err(|e| Failure::file(&folder.contract(), e))?;
    eprintln!(
        "study {}: {} images, vocabulary of {} {}, fingerprint {}",
        folder.root().display(),
        data.images().len(),
        vocabulary.len(),
        if pieces.is_some() { "pieces" } else { "words" },
        &data.fingerprint()[..12]
    );
    Ok(Prepared { folder, contract, weights })
}

/// The contract that a request asks for, with what was understood told to people.
pub fn understood(request: &str) -> Result<Contract, Failure> {
    let understood = parse_request(request);
    crate::contract::tell(&understood);
    crate::contract::refuse_errors(&understood)?;
    Ok(understood.contract)
}

/// The contract that file, sentence and flags ask for, without data.
fn wanted(args: &SearchArgs) -> Result<Contract, Failure> {
    let mut contract = understood(&args.request)?;
    if let Some(path) = &args.contract {
        let file = crate::contract::read(path)?;
        contract =
            if args.request.is_empty() { file } else { file.joined(&contract).map_err(Failure::input)? };
    }
    with_flags(contract, args)
}

/// A contract with what the flags add to it.
pub fn with_flags(mut contract: Contract, args: &SearchArgs) -> Result<Contract, Failure> {
    if !args.family.is_empty() {
        contract.components.families = families(&args.family)?;
    }
    contract.components.scratch &= !args.no_scratch;
    if !args.image_size.is_empty() {
        contract.components.image_sizes.clone_from(&args.image_size);
    }
    contract.budgets.macs_image = args.max_macs.or(contract.budgets.macs_image);
    contract.search.halving = args.halving.or(contract.search.halving);
    contract.search.finalists = args.finalists.or(contract.search.finalists);
    contract.search.hours = args.hours.or(contract.search.hours);
    contract.search.cpu_hours = args.cpu_hours.or(contract.search.cpu_hours);
    contract.search.snippets = args.snippets.unwrap_or(contract.search.snippets);
    contract.search.blind |= args.blind;
    contract.search.token_budget = args.token_budget.or(contract.search.token_budget);
    contract.search.usd_per_million_tokens = args.llm_price.or(contract.search.usd_per_million_tokens);
    if contract.search.money_usd.is_some()
        && contract.search.usd_per_million_tokens.is_none()
        && args.llm.url.is_some()
    {
        return Err(Failure::input("the contract bounds money, and nobody said what tokens cost")
            .help("add --llm-price USD (a million tokens)"));
    }
    if let Some(trials) = args.trials {
        contract.search.trials = trials;
        contract.search.max_proposals = trials.saturating_mul(5);
    }
    Ok(contract)
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
    let said = training.epochs != Training::default().epochs;
    training.epochs = match run.epochs {
        Some(epochs) => epochs,
        None if drawn && !said => SCENES_EPOCHS,
        None => training.epochs,
    };
    if let Some(select) = run.select {
        let merit = match select {
            SelectArg::Bleu4 => Merit::Bleu4,
            SelectArg::CiderD => Merit::CiderD,
        };
        contract.objectives.retain(|objective| objective.merit != merit);
        contract.objectives.insert(0, Objective { merit, within: 0.0 });
    }
}

/// Refuses a contract that no design can keep.
pub fn possible(contract: &Contract) -> Result<(), Failure> {
    match impossible(contract, &Library::default(), contract.target()) {
        None => Ok(()),
        Some(reasons) => Err(Failure::unmet(reasons)),
    }
}

fn families(flags: &[String]) -> Result<Vec<Family>, Failure> {
    let read = |name: &String| {
        Family::ALL.into_iter().find(|f| f.to_string().eq_ignore_ascii_case(name)).ok_or_else(|| {
            Failure::input(format!("there is no decoder family \"{name}\""))
                .help("choose lstm, gru or transformer")
        })
    };
    flags.iter().map(read).collect()
}

/// The backbones that flags, or else the contract, allow; where neither says, the usual ones and those that it requires.
pub fn backbone_names(flags: &[String], parts: &mut Components) -> Result<Vec<String>, Failure> {
    let said = parts.backbones.take();
    let usual = || {
        let required = parts.required.iter().filter(|part| find(part).is_some());
        USUAL.map(str::to_owned).into_iter().chain(required.cloned()).collect()
    };
    let names: Vec<String> = if flags.is_empty() { said.unwrap_or_else(usual) } else { flags.to_vec() };
    match names.iter().find(|name| find(name).is_none()) {
        Some(name) => Err(Failure::input(format!("there is no backbone \"{name}\""))
            .help("`capwright zoo list` names them all")),
        None => Ok(names),
    }
}

/// Those whose weights have a licence that the contract allows.
fn licensed(names: Vec<String>, contract: &Contract) -> Vec<String> {
    let allowed = &contract.licences.weights;
    let fits = |name: &String| {
        let licence = find(name).map_or("", |b| b.licence);
        let fits = allowed.is_empty() || allowed.iter().any(|l| l == licence);
        if !fits {
            eprintln!("{name} is left out: its weights have the licence {licence}");
        }
        fits
    };
    names.into_iter().filter(fits).collect()
}

/// Weights of the named backbones; those that cannot be had are told to `left_out`.
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
            Err(failure) => left_out(backbone.name, &failure),
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
    if !dir.exists() {
        eprintln!("drawing {} scenes into {}", SCENES.train + SCENES.val + SCENES.test, dir.display());
        make_scenes(&dir, &SCENES).map_err(Failure::input)?;
    }
    Ok(dir)
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
    if StudyFolder::new(&path).ledger().exists() {
        return Err(Failure::input(format!("{} holds a study already", path.display()))
            .help(format!("capwright resume {}", path.display())));
    }
    fs::create_dir_all(&path).map_err(|error| Failure::file(&path, error))?;
    let path = fs::canonicalize(&path).map_err(|error| Failure::file(&path, error))?;
    Ok(StudyFolder::new(path))
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

/// Whether a study was started with a language model: a search goes on without one that cannot be had.
pub fn had_model(study: &Study) -> bool {
    study.opened.architect.contains("llm:")
}
