//! `capwright search` and `capwright resume`: puts the parts together and lets the driver run.

use crate::cli::{DeviceArg, LlmArgs, MachineArgs, ResumeArgs, SearchArgs};
use crate::failure::Failure;
use crate::watch::Watch;
use crate::{ideas, refine, say, setup, study, train};
use capwright_backbones::Library;
use capwright_caption_data::{Dataset, ImageRecord, Split};
use capwright_contract::Contract;
use capwright_llm::{Embedded, LlmError, OpenAi, Options, TextModel, Timeouts, default_model};
use capwright_pipeline::{Driver, LocalProcesses, Outcome, SearchError, StudyFolder, note_test, sha256_file};
use capwright_search::{
    Architect, Evolution, Hybrid, Judge, LlmArchitect, LlmOptions, RandomArchitect, Replay, Space,
};
use capwright_store::SqliteStore;
use capwright_study::{ComputeDevice, Event, Scores, Study, Trial, TrialStore, WeightsFile};
use capwright_train::{Captioner, device};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// `capwright search`.
pub fn search(args: &SearchArgs) -> Result<(), Failure> {
    let done = run(args, stop_flag(STOPPING))?;
    conclude(&done, args.machine.json)
}

/// A study that is over.
pub struct Done {
    folder: StudyFolder,
    outcome: Outcome,
}

/// Runs a new study to its end.
pub fn run(args: &SearchArgs, stop: Arc<AtomicBool>) -> Result<Done, Failure> {
    let prepared = setup::prepare_search(args)?;
    let chosen = args
        .architect
        .clone()
        .unwrap_or_else(|| if args.llm.is_named() { "llm".into() } else { "hybrid".into() });
    let model = if args.architect.is_none() { Model::IfThere } else { Model::Needed };
    let mut architect = architect(&chosen, &prepared.contract, &prepared.folder, &args.llm, model)
        .inspect_err(|_| prepared.folder.forget())?;
    begin(prepared, &chosen, architect.as_mut(), &args.machine, stop)
}

/// Opens the ledger of a new study and runs it to its end.
pub fn begin(
    prepared: setup::Prepared,
    chosen: &str,
    architect: &mut dyn Architect,
    machine: &MachineArgs,
    stop: Arc<AtomicBool>,
) -> Result<Done, Failure> {
    let setup::Prepared { folder, contract, weights } = prepared;
    let machine = Machine::of(machine).inspect_err(|_| folder.forget())?;
    let opened = setup::opened(&contract, chosen, architect);
    let opened = Event::StudyOpened(Box::new(opened));
    let mut store = SqliteStore::create(&folder.ledger(), &[opened]).map_err(Failure::input)?;
    drive(folder, &mut store, architect, weights, machine, stop, false)
}

/// `capwright resume`.
pub fn resume(args: &ResumeArgs) -> Result<(), Failure> {
    let done = go_on(args, stop_flag(STOPPING))?;
    conclude(&done, args.machine.json)
}

/// Runs a study that was interrupted to its end.
pub fn go_on(args: &ResumeArgs, stop: Arc<AtomicBool>) -> Result<Done, Failure> {
    let folder = StudyFolder::new(&args.study);
    let mut store = SqliteStore::open(&folder.ledger()).map_err(Failure::input)?;
    let recorded = store.events().map_err(Failure::input)?;
    let state = Study::fold(recorded.iter().map(|r| &r.event)).map_err(Failure::input)?;
    let contract = state.contract().clone();
    setup::check_data(&contract)?;
    let backbones = contract.components.backbones.clone().unwrap_or_default();
    let weights = setup::weights(&backbones, &mut |name, failure| {
        eprintln!("{name}: {failure}");
    })?;
    if let Some(missing) = backbones.iter().find(|name| !weights.contains_key(*name)) {
        return Err(Failure::input(format!("the study uses {missing}, whose weights cannot be had now"))
            .help(format!("capwright weights fetch {missing}")));
    }
    let chosen = setup::chosen_architect(&state);
    // With another architect than it began with the study would be another.
    let model = if setup::had_model(&state) { Model::Needed } else { Model::Without };
    let mut architect = architect(&chosen, &contract, &folder, &args.llm, model)?;
    drive(folder, &mut store, architect.as_mut(), weights, Machine::of(&args.machine)?, stop, true)
}

/// What Ctrl-C is answered with.
pub const STOPPING: &str = "stopping after this step (again to stop at once); `capwright resume` goes on";

/// Set by Ctrl-C or a termination signal, which `said` answers; a second one ends the program at once.
pub fn stop_flag(said: &'static str) -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = stop.clone();
    let handler = move || {
        if flag.swap(true, Ordering::SeqCst) {
            std::process::exit(130);
        }
        eprintln!("{said}");
    };
    if let Err(error) = ctrlc::set_handler(handler) {
        tracing::warn!(%error, "Ctrl-C cannot be caught; what is on disk is safe all the same");
    }
    stop
}

/// Whether a hybrid architect has a language model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Model {
    /// It must.
    Needed,
    /// Where one can be had.
    IfThere,
    /// It has none.
    Without,
}

/// The architect of that name.
pub fn architect(
    chosen: &str,
    contract: &Contract,
    folder: &StudyFolder,
    llm: &LlmArgs,
    model: Model,
) -> Result<Box<dyn Architect>, Failure> {
    let space = Space::new(contract);
    let judge = Judge::new(Arc::new(Library::default()), contract.clone());
    let random = || Box::new(RandomArchitect::new(space.clone(), judge.clone())) as Box<dyn Architect>;
    let evolution = || {
        Box::new(Evolution::new(space.clone(), judge.clone(), ideas::parts(folder, contract)))
            as Box<dyn Architect>
    };
    if let Some(path) = chosen.strip_prefix("replay:") {
        return Ok(Box::new(Replay::new(&study::events(Path::new(path))?)));
    }
    if let Some(folder) = chosen.strip_prefix(train::GIVEN) {
        return Ok(Box::new(train::given(Path::new(folder))?));
    }
    match chosen {
        "random" => Ok(random()),
        "evolution" => Ok(evolution()),
        "llm" => Ok(Box::new(language_model(contract, llm, space, judge)?)),
        "hybrid" => {
            let mut architects = vec![evolution(), random()];
            if model != Model::Without {
                match language_model(contract, llm, space.clone(), judge.clone()) {
                    Ok(model) => architects.insert(0, Box::new(model)),
                    Err(failure) if model == Model::IfThere => {
                        eprintln!("no language model: {failure}\ngoing on with evolution and random designs");
                    }
                    Err(failure) => return Err(failure),
                }
            }
            Ok(Box::new(Hybrid::new(architects)))
        }
        other => Err(Failure::input(format!("there is no architect \"{other}\"")).help(
            "choose llm, evolution, random, hybrid or replay:STUDY; for designs of your own: capwright train",
        )),
    }
}

fn language_model(
    contract: &Contract,
    args: &LlmArgs,
    space: Space,
    judge: Judge,
) -> Result<LlmArchitect, Failure> {
    let model = text_model(args)?;
    let options = LlmOptions { deadline: Duration::from_secs(args.timeout), ..LlmOptions::default() };
    Ok(LlmArchitect::new(model, space, judge, ideas::inspiration(contract), options))
}

/// The language model that the arguments name; the small default one without a name.
pub fn text_model(args: &LlmArgs) -> Result<Box<dyn TextModel>, Failure> {
    let bad = |error: LlmError| match error {
        LlmError::BadModel { .. } | LlmError::BadEndpoint { .. } => Failure::input(error),
        _ => Failure::llm(error),
    };
    Ok(match (&args.url, &args.gguf) {
        (Some(url), _) => {
            let key = std::env::var("CAPWRIGHT_LLM_KEY").ok();
            let mut server = OpenAi::connect(url, &args.model, key, Timeouts::default()).map_err(bad)?;
            let bound = server.probe(Duration::from_secs(args.timeout)).map_err(bad)?;
            eprintln!("language model: {}, answers {bound}", server.name());
            Box::new(server)
        }
        (None, Some(path)) => Box::new(Embedded::load(path, &Options::default()).map_err(bad)?),
        (None, None) => {
            eprintln!(
                "language model: {} (small; see the README for better ones)",
                default_model().file_name
            );
            let path = crate::zoo::cache()?.get(&default_model()).map_err(Failure::llm)?;
            Box::new(Embedded::load(&path, &Options::default()).map_err(bad)?)
        }
    })
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Trials at a time where nobody says how many.
pub fn default_workers() -> usize {
    cores().min(4)
}

/// What a study may use of this machine.
struct Machine {
    workers: usize,
    threads: usize,
    device: ComputeDevice,
}

impl Machine {
    /// As it is asked for; this program and this machine must have the device.
    fn of(asked: &MachineArgs) -> Result<Self, Failure> {
        let workers = asked.workers.unwrap_or_else(default_workers).max(1);
        let threads = asked.threads.unwrap_or((cores() / workers).max(1)).max(1);
        let device = match asked.device {
            DeviceArg::Auto => device::best(),
            DeviceArg::Cpu => ComputeDevice::Cpu,
            DeviceArg::Cuda => ComputeDevice::Cuda,
            DeviceArg::Wgpu => ComputeDevice::Wgpu,
        };
        device::open(device).map_err(Failure::input)?;
        Ok(Self { workers, threads, device })
    }
}

/// Runs a study to its end; `resumed` where an earlier sitting began it.
fn drive(
    folder: StudyFolder,
    store: &mut SqliteStore,
    architect: &mut dyn Architect,
    weights: BTreeMap<String, WeightsFile>,
    Machine { workers, threads, device }: Machine,
    stop: Arc<AtomicBool>,
    resumed: bool,
) -> Result<Done, Failure> {
    let program = std::env::current_exe().map_err(Failure::input)?;
    if device != ComputeDevice::Cpu {
        eprintln!("training steps are computed by {device}");
    }
    let mut executor = LocalProcesses::new(program, workers);
    let recorded = store.events().map_err(Failure::input)?;
    let so_far = Study::fold(recorded.iter().map(|r| &r.event)).map_err(Failure::input)?;
    let contract = so_far.contract();
    let judge = Judge::new(Arc::new(Library::default()), contract.clone());
    let done = so_far.trials.len() - so_far.unfinished().len();
    let start = match refine::values(&folder) {
        Some(path) => {
            let sha256 = sha256_file(&path).map_err(|error| Failure::file(&path, error))?;
            Some(WeightsFile { path, sha256 })
        }
        None => None,
    };
    let mut watch = Watch::new(contract.search.trials, done as u32, workers);
    let outcome = Driver {
        store,
        architect,
        judge: &judge,
        executor: &mut executor,
        folder: &folder,
        weights: &weights,
        start,
        cache: crate::zoo::cache()?.dir().join("features"),
        threads,
        device,
        resumed,
        watch: &mut |news| watch.see(news),
        stop: &stop,
    }
    .run();
    match outcome {
        Ok(outcome) => Ok(Done { folder, outcome }),
        Err(SearchError::Interrupted) => Err(Failure::interrupted(SearchError::Interrupted)
            .help(format!("capwright resume {}", folder.root().display()))),
        Err(error @ SearchError::Architect { .. }) => Err(Failure::llm(error)),
        Err(error) => Err(Failure::input(error)),
    }
}

/// Scores the best model on the test split, which nothing was chosen on, and writes that into its card.
fn test_scores(Done { folder, outcome }: &Done) -> Result<Option<Scores>, Failure> {
    if outcome.best.is_none() {
        return Ok(None);
    }
    let contract = outcome.study.contract();
    let data = Dataset::load(&contract.data.dir).map_err(Failure::input)?;
    let images: Vec<ImageRecord> = data.records(Split::Test).cloned().collect();
    if images.is_empty() {
        return Ok(None);
    }
    eprintln!("the best model is scored on {} test images", images.len());
    let model = Captioner::load(folder.best()).map_err(Failure::input)?;
    let scores = model.evaluate(&images, contract.decoding).map_err(Failure::input)?.scores;
    note_test(folder, &scores).map_err(|error| Failure::file(&folder.best(), error))?;
    Ok(Some(scores))
}

/// Captions shown at the end of a search.
const SHOWN: usize = 5;

/// Scores the best model on the test split, and says what a study came to.
pub fn conclude(done: &Done, json: bool) -> Result<(), Failure> {
    let Done { folder, outcome } = done;
    let test = test_scores(done)?;
    study::print(&outcome.study, json)?;
    if json {
        return Ok(());
    }
    let tokens = outcome.study.tokens();
    say(format!("\nlanguage model: {} tokens read, {} written", tokens.prompt, tokens.completion));
    let Some(best) = outcome.best else {
        say("no design is ranked: every trial failed or collapsed");
        return Ok(());
    };
    let run = outcome.study.best_run(best);
    if let Some(result) = outcome.study.run(run).and_then(Trial::result) {
        say(format!("\nvalidation captions of trial {run}:"));
        for sample in result.samples.iter().take(SHOWN) {
            say(format!("  {}: {}", sample.image, sample.caption));
            if let Some(reference) = sample.references.first() {
                say(format!("  {:width$}  (a person: {reference})", "", width = sample.image.len()));
            }
        }
    }
    if let Some(Scores { bleu, cider_d, images, .. }) = test {
        say(format!(
            "\ntest split, {images} images on which nothing was chosen: BLEU-4 {:.4}, CIDEr-D {cider_d:.4}",
            bleu[3]
        ));
    }
    if let Some(forecast) = outcome.study.forecast() {
        say(format!(
            "\n{} designs were predicted before they were trained: rank correlation {:.2} with what they scored",
            forecast.designs.len(),
            forecast.rank_correlation
        ));
    }
    let path = folder.best();
    say(format!("\nbest model: {}\ntry: capwright caption {} PHOTO", path.display(), path.display()));
    say(format!("all that was tried: capwright study report {}", folder.root().display()));
    let contract = outcome.study.contract();
    if contract.search.finalists.is_none() && outcome.study.trials.len() > 1 {
        say(
            "ranked by one run each, which luck decides too: --finalists trains the best again from other seeds",
        );
    }
    if !contract.limits.is_empty() || !contract.floors.is_empty() {
        say(format!("its limits and floors are not measured yet: capwright verify {}", path.display()));
    }
    Ok(())
}
