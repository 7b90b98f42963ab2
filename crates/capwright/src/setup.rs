//! From request and flags to a contract, a data set, weights and a study folder.

use crate::cli::SearchArgs;
use crate::failure::Failure;
use crate::zoo;
use capwright_backbones::{find, zoo as backbones};
use capwright_caption_data::{Dataset, SceneOptions, Split, Vocabulary, make_scenes};
use capwright_contract::{
    Components, Contract, Data, Decoding, Family, Search, Training, VERSION, parse_request,
};
use capwright_pipeline::{StudyFolder, write_atomic};
use capwright_study::{Opened, Study, WeightsFile};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The drawn scenes of a search without data.
const SCENES: SceneOptions = SceneOptions { train: 600, val: 120, test: 120, size: 96, seed: 1 };

/// Multiply-accumulates per image that the small scenes are worth.
const SCENES_MACS: u64 = 60_000_000;

/// What a search needs before its first proposal.
pub struct Prepared {
    /// Where the study lies.
    pub folder: StudyFolder,
    /// What is asked for.
    pub contract: Contract,
    /// Weights of the allowed backbones.
    pub weights: BTreeMap<String, WeightsFile>,
}

/// Reads the request, loads the data, fetches the weights, makes the study folder.
pub fn prepare(args: &SearchArgs) -> Result<Prepared, Failure> {
    let understood = parse_request(&args.request);
    if !understood.errors.is_empty() {
        let lines: Vec<String> =
            understood.errors.iter().map(|e| format!("  \"{}\": {}", e.phrase, e.why)).collect();
        return Err(Failure::input(format!("the request cannot be met:\n{}", lines.join("\n"))));
    }
    for reading in understood.understood.iter().chain(&understood.ambiguous) {
        eprintln!("understood \"{}\": {}", reading.phrase, reading.meaning);
    }
    for ignored in &understood.ignored {
        eprintln!("not used \"{}\": {}", ignored.phrase, ignored.why);
    }
    let families = families(&args.family, understood.families)?;
    let names = backbone_names(&args.backbone)?;
    let drawn = args.data.is_none();
    let dir = match &args.data {
        Some(dir) => fs::canonicalize(dir).map_err(|error| Failure::file(dir, error))?,
        None => scenes()?,
    };
    let data = load(&dir)?;
    let min_count = args.min_count.unwrap_or(if drawn { 1 } else { 5 });
    let vocabulary = Vocabulary::from_dataset(&data, min_count as usize);
    let mut left_out = |name: &str, failure: &Failure| eprintln!("{name} is left out: {failure}");
    let weights = weights(&names, &mut left_out)?;
    let mut budgets = understood.budgets;
    budgets.macs_image = args.max_macs.or(budgets.macs_image).or(drawn.then_some(SCENES_MACS));
    let sizes = match (args.image_size.is_empty(), drawn) {
        (false, _) => args.image_size.clone(),
        (true, true) => vec![64, 96],
        (true, false) => vec![224],
    };
    let trials = args.trials.unwrap_or(6);
    let contract = Contract {
        version: VERSION,
        request: args.request.clone(),
        budgets,
        components: Components {
            backbones: Some(weights.keys().cloned().collect()),
            scratch: !args.no_scratch,
            families,
            image_sizes: sizes,
            ..Components::default()
        },
        decoding: Decoding { beam: args.beam, max_words: args.max_words },
        training: Training {
            epochs: args.epochs.unwrap_or(if drawn { 10 } else { 6 }),
            patience: args.patience,
            seed: args.seed,
        },
        search: Search {
            trials,
            max_proposals: trials.saturating_mul(5),
            repairs: 2,
            snippets: args.snippets,
            token_budget: args.token_budget,
            ..Search::default()
        },
        data: Data {
            dir,
            fingerprint: data.fingerprint().to_string(),
            min_count,
            vocab: vocabulary.len(),
            max_vocab: None,
        },
        ..Contract::default()
    };
    contract.check().map_err(Failure::input)?;
    let folder = study_folder(args.study.as_deref())?;
    vocabulary.save(folder.vocabulary()).map_err(Failure::input)?;
    let text = contract.to_toml().map_err(Failure::input)?;
    write_atomic(&folder.contract(), text.as_bytes()).map_err(|e| Failure::file(&folder.contract(), e))?;
    eprintln!(
        "study {}: {} images, vocabulary of {} words, fingerprint {}",
        folder.root().display(),
        data.images().len(),
        vocabulary.len(),
        &data.fingerprint()[..12]
    );
    Ok(Prepared { folder, contract, weights })
}

fn families(flags: &[String], said: Option<Vec<Family>>) -> Result<Vec<Family>, Failure> {
    if flags.is_empty() {
        return Ok(said.unwrap_or_else(|| Family::ALL.to_vec()));
    }
    let read = |name: &String| {
        Family::ALL.into_iter().find(|f| f.to_string().eq_ignore_ascii_case(name)).ok_or_else(|| {
            Failure::input(format!("there is no decoder family \"{name}\""))
                .help("choose lstm, gru or transformer")
        })
    };
    flags.iter().map(read).collect()
}

fn backbone_names(flags: &[String]) -> Result<Vec<String>, Failure> {
    let all = || backbones().iter().map(|b| b.name.to_string()).collect::<Vec<_>>();
    if flags.is_empty() {
        return Ok(all());
    }
    match flags.iter().find(|name| find(name).is_none()) {
        Some(name) => Err(Failure::input(format!("there is no backbone \"{name}\""))
            .help(format!("choose one of: {}", all().join(", ")))),
        None => Ok(flags.to_vec()),
    }
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
pub fn opened(contract: &Contract, chosen: &str, architect: String) -> Opened {
    let versions = BTreeMap::from([
        ("capwright".to_string(), env!("CARGO_PKG_VERSION").to_string()),
        (CHOSEN.to_string(), chosen.to_string()),
    ]);
    Opened { contract: contract.clone(), seed: contract.training.seed, architect, versions }
}

/// Which architect a study was started with.
pub fn chosen_architect(study: &Study) -> String {
    study.opened.versions.get(CHOSEN).cloned().unwrap_or_else(|| "random".into())
}
