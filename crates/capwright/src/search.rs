//! `capwright search` and `capwright resume`: puts the parts together and lets the driver run.

mod conclude;
mod llm;

pub use conclude::conclude;
pub use llm::{model_name, text_model};

use crate::cli::{DeviceArg, LlmArgs, MachineArgs, ResumeArgs, SearchArgs};
use crate::failure::Failure;
use crate::watch::Watch;
use crate::{ideas, refine, setup, study, train};
use capwright_backbones::Library;
use capwright_contract::Contract;
use capwright_files::sha256_file;
use capwright_pipeline::{Driver, LocalProcesses, Outcome, SearchError, StudyFolder};
use capwright_search::{Architect, ArchitectError, Evolution, Hybrid, Judge, RandomArchitect, Replay, Space};
use capwright_store::SqliteStore;
use capwright_study::{ComputeDevice, Event, Study, TrialStore, WeightsFile};
use capwright_train::device;
use llm::language_model;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// `capwright search`.
pub fn search(args: &SearchArgs) -> Result<(), Failure> {
    refuse_unasked(&[chosen(args).as_str()], &args.llm)?;
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
    let chosen = chosen(args);
    let model = if args.architect.is_none() { Model::IfThere } else { Model::Needed };
    let mut architect = architect(&chosen, &prepared.contract, &prepared.folder, &args.llm, model)
        .inspect_err(|_| prepared.folder.forget())?;
    begin(prepared, &chosen, architect.as_mut(), &args.machine, stop, args.llm.typed())
}

/// Who proposes.
fn chosen(args: &SearchArgs) -> String {
    let usual = if args.llm.is_named() { "llm" } else { "hybrid" };
    args.architect.clone().unwrap_or_else(|| usual.to_owned())
}

/// Opens the ledger of a new study and runs it to its end; `llm` are the options of its language model.
pub fn begin(
    prepared: setup::Prepared,
    chosen: &str,
    architect: &mut dyn Architect,
    machine: &MachineArgs,
    stop: Arc<AtomicBool>,
    llm: String,
) -> Result<Done, Failure> {
    let setup::Prepared { folder, contract, weights } = prepared;
    let machine = Machine::of(machine).inspect_err(|_| folder.forget())?;
    let opened = setup::opened(&contract, chosen, architect);
    let opened = Event::StudyOpened(Box::new(opened));
    let mut store = SqliteStore::create(&folder.ledger(), &[opened]).map_err(Failure::input)?;
    drive(folder, &mut store, architect, weights, Sitting { machine, stop, llm, resumed: false })
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
    // One that is over asks nobody.
    if state.finished.is_none() {
        llm::as_it_began(&state, &args.llm)?;
    }
    setup::check_data(&contract)?;
    let chosen = setup::chosen_architect(&state);
    let backbones = if chosen.starts_with(train::GIVEN) {
        train::kept_backbones(&folder, &contract)?
    } else {
        contract.components.backbones.clone().unwrap_or_default()
    };
    let weights = setup::weights(&backbones, &mut |name, failure| {
        tell!("{name}: {failure}");
    })?;
    if let Some(missing) = backbones.iter().find(|name| !weights.contains_key(*name)) {
        return Err(Failure::input(format!("the study uses {missing}, whose weights cannot be had now"))
            .help(format!("capwright weights fetch {missing}")));
    }
    // With another architect than it began with the study would be another.
    let model = if setup::model_of(&state).is_some() { Model::Needed } else { Model::Without };
    let mut architect: Box<dyn Architect> = if state.finished.is_some() {
        Box::new(Replay::new(std::iter::empty::<&Event>()))
    } else {
        architect(&chosen, &contract, &folder, &args.llm, model)?
    };
    let (machine, llm) = (Machine::of(&args.machine)?, args.llm.typed());
    let sitting = Sitting { machine, stop, llm, resumed: true };
    drive(folder, &mut store, architect.as_mut(), weights, sitting)
}

/// What Ctrl-C is answered with.
pub const STOPPING: &str = "stopping after this step (again to stop at once); `capwright resume` goes on";

/// Set by Ctrl-C or a termination signal, which `said` answers; a second one ends the program at once. Where one of these signals is
/// ignored (`nohup`), it stays so, for workers too, and the others end the program at the first.
pub fn stop_flag(said: &'static str) -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = stop.clone();
    let handler = move || {
        if flag.swap(true, Ordering::SeqCst) {
            std::process::exit(130);
        }
        tell!("{said}");
    };
    if let Err(error) = ctrlc::try_set_handler(handler) {
        tracing::warn!(%error, "signals are not caught; what is on disk is safe all the same");
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
    if chosen.starts_with(train::GIVEN) {
        return Ok(Box::new(train::given(folder)?));
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
                        tell!("no language model: {failure}\ngoing on with evolution and random designs");
                    }
                    Err(failure) => return Err(failure),
                }
            }
            Ok(Box::new(Hybrid::new(architects)))
        }
        other => Err(no_architect(other)),
    }
}

/// Whether there is an architect of that name.
pub fn is_architect(name: &str) -> bool {
    matches!(name, "llm" | "evolution" | "random" | "hybrid") || name.starts_with("replay:")
}

/// Whether it asks a language model.
pub fn asks_a_model(name: &str) -> bool {
    matches!(name, "llm" | "hybrid")
}

/// Refuses the options of a language model that none of some architects would ask.
pub fn refuse_unasked(architects: &[&str], llm: &LlmArgs) -> Result<(), Failure> {
    let typed = llm.typed();
    // One that there is not is told later.
    if typed.is_empty() || architects.iter().any(|name| asks_a_model(name) || !is_architect(name)) {
        return Ok(());
    }
    let all = architects.join(", ");
    Err(Failure::input(format!("no language model is asked by {all}:{typed} would change nothing"))
        .help("leave these options out, or let llm or hybrid propose"))
}

/// What is said where there is no architect of that name.
pub fn no_architect(name: &str) -> Failure {
    Failure::input(format!("there is no architect \"{name}\"")).help(
        "choose llm, evolution, random, hybrid or replay:STUDY; for designs of your own: capwright train",
    )
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

/// How a study is run, beside what its ledger says.
struct Sitting {
    machine: Machine,
    stop: Arc<AtomicBool>,
    /// The options of its language model, which `resume` has to be told again.
    llm: String,
    /// Whether an earlier sitting began it.
    resumed: bool,
}

/// Runs a study to its end.
fn drive(
    folder: StudyFolder,
    store: &mut SqliteStore,
    architect: &mut dyn Architect,
    weights: BTreeMap<String, WeightsFile>,
    Sitting { machine: Machine { workers, threads, device }, stop, llm, resumed }: Sitting,
) -> Result<Done, Failure> {
    let program = std::env::current_exe().map_err(Failure::input)?;
    if device != ComputeDevice::Cpu {
        tell!("training steps are computed by {device}");
    }
    let mut executor = LocalProcesses::new(program, workers);
    let recorded = store.events().map_err(Failure::input)?;
    let so_far = Study::fold(recorded.iter().map(|r| &r.event)).map_err(Failure::input)?;
    let contract = so_far.contract();
    let judge = Judge::new(Arc::new(Library::default()), contract.clone());
    let start = match refine::values(&folder) {
        Some(path) => {
            let sha256 = sha256_file(&path).map_err(|error| Failure::file(&path, error))?;
            Some(WeightsFile { path, sha256 })
        }
        None => None,
    };
    let planned = u64::from(contract.search.trials) + so_far.repeats.len() as u64;
    let mut watch = Watch::new(planned, over(&so_far));
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
        Err(error) => Err(ended(&error, format!("capwright resume {}{llm}", folder.root().display()))),
    }
}

/// How a search that ended early is told, and what goes on with it.
fn ended(error: &SearchError, resume: String) -> Failure {
    match error {
        SearchError::Interrupted => Failure::interrupted(error).help(resume),
        SearchError::Architect { last: ArchitectError::Llm(_), .. } => Failure::llm(error).help(resume),
        SearchError::Architect { last: ArchitectError::NothingFits { .. }, .. } => Failure::unmet(error),
        _ => Failure::input(error),
    }
}

/// Trials and further runs of them that are over.
fn over(study: &Study) -> u64 {
    (study.trials.len() + study.repeats.len() - study.unfinished().len()) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use capwright_llm::LlmError;
    use capwright_study::conformance::samples;

    #[test]
    fn options_of_a_model_that_nobody_asks_are_refused() {
        let mut llm = LlmArgs { gguf: None, url: None, model: "default".to_owned(), timeout: 120 };
        assert!(refuse_unasked(&["random"], &llm).is_ok());
        llm.url = Some("http://localhost:80/v1".to_owned());
        for architect in ["evolution", "random", "replay:capwright-studies/001"] {
            let refused = refuse_unasked(&[architect], &llm).expect_err(architect).to_string();
            assert!(refused.contains(architect) && refused.contains("--llm-url http://localhost:80/v1"));
        }
        for asked in [&["hybrid"][..], &["random", "llm"], &["none"]] {
            assert!(refuse_unasked(asked, &llm).is_ok(), "{asked:?}");
        }
    }

    #[test]
    fn further_runs_are_no_trials_that_are_open() {
        let events = samples();
        let repeated = events.iter().position(|event| matches!(event, Event::TrialRepeated { .. }));
        let until = repeated.expect("the samples have finals") + 1;
        let study = Study::fold(&events[..until]).expect("a study");
        assert_eq!((study.trials.len(), study.unfinished().len(), over(&study)), (3, 1, 3));
        let ended = Study::fold(&events).expect("a study");
        assert_eq!(over(&ended), 4, "they count when they are over");
    }

    #[test]
    fn only_a_language_model_that_failed_ends_with_its_code() {
        let code = |last| {
            let failure = ended(&SearchError::Architect { failures: 3, last }, "resume".to_owned());
            format!("{:?}", failure.exit_code())
        };
        let expected = |code: u8| format!("{:?}", std::process::ExitCode::from(code));
        let away = LlmError::Connect { url: "http://localhost".into(), why: "refused".into() };
        assert_eq!(code(ArchitectError::Llm(away)), expected(4));
        assert_eq!(code(ArchitectError::NothingFits { draws: 9 }), expected(3));
        assert_eq!(code(ArchitectError::RecordingOver { proposal: 1, attempt: 0 }), expected(2));
    }
}
