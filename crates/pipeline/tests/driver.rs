//! The driver over a store in memory, architects that say what they are told, and workers that only pretend.

mod pretend;

use capwright_backbones::Library;
use capwright_contract::Contract;
use capwright_llm::LlmError;
use capwright_pipeline::{Driver, ModelCard, Outcome, SearchError, StudyFolder};
use capwright_search::{Architect, ArchitectError, Brief, Draft, Judge, RandomArchitect, Replay, Space};
use capwright_study::{
    ComputeDevice, Event, Leaderboard, MemoryStore, Opened, Trial, TrialStatus, TrialStore, Verdict,
};
use pretend::Pretend;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const CONTRACT: &str = r#"
version = 1
request = "a light captioner"
[budgets]
params_trainable = 3000000
[components]
backbones = ["resnet18"]
scratch = true
families = ["lstm", "gru", "transformer"]
image_sizes = [64]
[decoding]
beam = 1
max_words = 10
[training]
epochs = 2
patience = 2
seed = 11
[search]
trials = 7
max_proposals = 12
repairs = 2
snippets = 0
[data]
dir = "data"
fingerprint = "ab"
min_count = 1
vocab = 30
"#;

const GOOD: &str = r#"{"encoder":{"input":64,"source":{"kind":"pretrained","backbone":"resnet18","cut":"s32"},"blocks":[]},
"bridge":{"dim":128,"dropout_pct":10},"decoder":{"family":"recurrent","cell":"gru","embed":64,"hidden":64,"layers":1,
"image":"initial_state","attention":"dot","dropout_pct":0},"recipe":{"lr":0.001,"schedule":"cosine","weight_decay":0.01,
"label_smoothing":0.1,"clip":1.0,"batch":16}}"#;

fn contract() -> Contract {
    Contract::from_toml(CONTRACT).unwrap()
}

fn judge() -> Judge {
    Judge::new(Arc::new(Library::default()), contract())
}

fn random() -> RandomArchitect {
    RandomArchitect::new(Space::new(&contract()), judge())
}

/// Says the texts of a list, the last one for ever; with an empty list it fails.
struct Says(Vec<&'static str>, usize);

impl Architect for Says {
    fn name(&self) -> String {
        "says".into()
    }

    fn propose(&mut self, brief: &Brief) -> Result<Draft, ArchitectError> {
        let (proposal, attempt) = (brief.proposal, brief.attempt);
        let text = self.0.get(self.1).or(self.0.last());
        let text = text.ok_or(ArchitectError::RecordingOver { proposal, attempt })?;
        self.1 += 1;
        let (author, text) = (self.name(), text.to_string());
        Ok(Draft { prompt_tokens: 3, completion_tokens: 2, ..Draft::without_model(author, text, 0.0) })
    }

    fn repair(&mut self, brief: &Brief, _: &str, _: &[String]) -> Result<Draft, ArchitectError> {
        self.propose(brief)
    }
}

/// A study in a folder of its own.
struct Case {
    home: tempfile::TempDir,
    store: MemoryStore,
    begun: bool,
}

impl Case {
    fn new() -> Self {
        Self::of(contract())
    }

    fn of(contract: Contract) -> Self {
        let (home, mut store) = (tempfile::tempdir().unwrap(), MemoryStore::default());
        let opened = Opened { contract, seed: 11, architect: "test".into(), versions: BTreeMap::new() };
        store.append(&Event::StudyOpened(Box::new(opened))).unwrap();
        std::fs::write(home.path().join("contract.toml"), CONTRACT).unwrap();
        Self { home, store, begun: false }
    }

    fn run(&mut self, architect: &mut dyn Architect, executor: &mut Pretend) -> Result<Outcome, SearchError> {
        let (judge, folder, stop) = (judge(), StudyFolder::new(self.home.path()), executor.stop.clone());
        let resumed = std::mem::replace(&mut self.begun, true);
        Driver {
            store: &mut self.store,
            architect,
            judge: &judge,
            executor,
            folder: &folder,
            weights: &BTreeMap::new(),
            start: None,
            cache: self.home.path().join("cache"),
            threads: 1,
            device: ComputeDevice::Cpu,
            resumed,
            watch: &mut |_| {},
            stop: &stop,
        }
        .run()
    }

    fn events(&mut self) -> Vec<Event> {
        self.store.events().unwrap().into_iter().map(|r| r.event).collect()
    }

    /// Verdicts in order, without clocks.
    fn verdicts(&mut self) -> Vec<(u64, u32, String, Verdict)> {
        let proposed = self.events().into_iter().filter_map(|event| match event {
            Event::Proposed(p) => Some((p.proposal, p.attempt, p.text, p.verdict)),
            _ => None,
        });
        proposed.collect()
    }

    fn finished(&mut self) -> Vec<u64> {
        let ended = self.events().into_iter().filter_map(|event| match event {
            Event::TrialFinished { trial, .. } => Some(trial),
            _ => None,
        });
        let mut ended: Vec<u64> = ended.collect();
        ended.sort_unstable();
        ended
    }
}

fn results(outcome: &Outcome) -> Vec<(u64, String, TrialStatus)> {
    let one = |(number, trial): (&u64, &Trial)| (*number, trial.hash.clone(), trial.status.clone());
    outcome.study.trials.iter().map(one).collect()
}

#[test]
fn the_same_seed_gives_the_same_ledger_however_many_workers_there_are() {
    let (mut one, mut many) = (Case::new(), Case::new());
    let first = one.run(&mut random(), &mut Pretend::new(1)).unwrap();
    let second = many.run(&mut random(), &mut Pretend::new(3)).unwrap();
    assert_eq!(first.study.trials.len(), 7);
    assert_eq!(one.verdicts(), many.verdicts());
    assert_eq!(results(&first), results(&second));
    assert_eq!(first.best, second.best);
}

#[test]
fn a_recording_is_replayed_without_its_architect() {
    let (mut recorded, mut again) = (Case::new(), Case::new());
    let first = recorded.run(&mut random(), &mut Pretend::new(2)).unwrap();
    let events = recorded.events();
    let second = again.run(&mut Replay::new(&events), &mut Pretend::new(2)).unwrap();
    assert_eq!(recorded.verdicts(), again.verdicts());
    assert_eq!(results(&first), results(&second));
}

#[test]
fn a_worker_that_dies_is_started_again_and_given_up_after_three_deaths() {
    let (mut case, mut executor) = (Case::new(), Pretend::new(2));
    executor.deaths = BTreeMap::from([(2, 1), (3, 3)]);
    let outcome = case.run(&mut random(), &mut executor).unwrap();
    let starts = |trial| executor.started.iter().filter(|t| **t == trial).count();
    assert_eq!((starts(1), starts(2), starts(3)), (1, 2, 3));
    let status = &outcome.study.trials[&3].status;
    assert!(matches!(status, TrialStatus::Failed(why) if why.contains("out of memory")), "{status:?}");
    assert_eq!(case.finished(), [1, 2, 4, 5, 6, 7]);
    let told = case.events().into_iter().filter(|e| matches!(e, Event::TrialEpoch { trial: 2 | 3, .. }));
    assert_eq!(told.count(), 2, "what a worker tells again is in the ledger once");
}

#[test]
fn a_search_begins_nothing_that_does_not_fit_into_its_hours() {
    let mut short = contract();
    short.search.hours = Some(0.5 / 3_600.0);
    let mut case = Case::of(short);
    let outcome = case.run(&mut random(), &mut Pretend::new(1)).unwrap();
    let (trials, finished) = (outcome.study.trials.len(), case.finished().len());
    assert!((1..7).contains(&trials), "designs of a second each do not fit: {trials}");
    assert_eq!(finished, trials, "what was begun is ended");
    assert!(outcome.best.is_some() && outcome.study.finished.is_some());
    let mut worked = contract();
    worked.search.cpu_hours = Some(4.5 / 3_600.0);
    let mut case = Case::of(worked);
    let outcome = case.run(&mut random(), &mut Pretend::new(1)).unwrap();
    assert_eq!(outcome.study.cpu_seconds(), outcome.study.trials.len() as f64);
    assert!((1..7).contains(&outcome.study.trials.len()), "designs of a second each do not fit");
    let mut patient = contract();
    // All that a design could take does not fit twice; what it takes, as it ends after two of fifty epochs, does.
    (patient.training.epochs, patient.search.cpu_hours) = (50, Some(60.0 / 3_600.0));
    assert_eq!(Case::of(patient).run(&mut random(), &mut Pretend::new(1)).unwrap().study.trials.len(), 7);
    let mut long = contract();
    (long.search.hours, long.search.cpu_hours) = (Some(100.0), Some(100.0));
    assert_eq!(Case::of(long).run(&mut random(), &mut Pretend::new(1)).unwrap().study.trials.len(), 7);
}

#[test]
fn an_interrupted_study_goes_on_where_it_stopped() {
    let (mut broken, mut unbroken) = (Case::new(), Case::new());
    let mut interruptions = 0;
    let outcome = loop {
        let mut executor = Pretend::new(2);
        executor.stops_after = Some(5);
        match broken.run(&mut random(), &mut executor) {
            Ok(outcome) => break outcome,
            Err(SearchError::Interrupted) => interruptions += 1,
            Err(error) => panic!("{error}"),
        }
        assert!(interruptions < 50, "every run should get a few steps further");
    };
    assert!(interruptions >= 2);
    let expected = unbroken.run(&mut random(), &mut Pretend::new(2)).unwrap();
    assert_eq!(broken.finished(), [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(broken.verdicts(), unbroken.verdicts());
    assert_eq!(outcome.best, expected.best);
}

#[test]
fn a_study_that_is_over_asks_and_trains_nothing_more() {
    let (mut recorded, mut case) = (Case::new(), Case::new());
    recorded.run(&mut random(), &mut Pretend::new(1)).unwrap();
    let mut events = recorded.events();
    let first = events.iter().position(|event| matches!(event, Event::Proposed(_))).expect("a proposal");
    events.truncate(first + 1);
    // Then it fails until the study ends.
    let given_up = case.run(&mut Replay::new(&events), &mut Pretend::new(1)).unwrap();
    assert_eq!((given_up.study.trials.len(), given_up.study.finished), (1, Some(Some(1))));
    let events = case.events();
    // Whatever the architect could say by now.
    let again = case.run(&mut random(), &mut Pretend::new(1)).unwrap();
    assert_eq!((again.best, case.events()), (Some(1), events));
}

#[test]
fn time_before_the_first_proposal_of_a_resumed_study_was_a_pause() {
    let mut case = Case::new();
    let mut executor = Pretend::new(1);
    executor.stop.store(true, std::sync::atomic::Ordering::SeqCst);
    for told in [1, 2] {
        let stopped = case.run(&mut random(), &mut executor);
        assert!(matches!(stopped, Err(SearchError::Interrupted)));
        assert_eq!(case.events().len(), told, "the second sitting says that it goes on");
    }
    assert_eq!(case.events()[1], Event::StudyResumed);
}

#[test]
fn a_refused_draft_is_repaired_and_a_design_is_never_trained_twice() {
    let (mut case, mut executor) = (Case::new(), Pretend::new(2));
    let outcome = case.run(&mut Says(vec!["I think that", GOOD], 0), &mut executor).unwrap();
    let verdicts = case.verdicts();
    assert!(matches!(verdicts[0].3, Verdict::Unreadable { .. }));
    assert!(matches!(verdicts[1], (1, 1, _, Verdict::Admitted { trial: 1, .. })));
    // All later proposals, and their repairs, say the same again.
    assert_eq!(verdicts.len(), 2 + 11 * 3);
    assert!(verdicts[2..].iter().all(|v| matches!(v.3, Verdict::Duplicate { trial: 1, .. })));
    assert_eq!(executor.started, [1]);
    assert_eq!(outcome.best, Some(1));
    assert_eq!(outcome.study.tokens().completion, 2 * 35);
}

#[test]
fn the_best_folder_names_every_file_by_its_hash() {
    let mut case = Case::new();
    let killed = case.home.path().join(".best-killed");
    std::fs::create_dir_all(killed.join("model")).unwrap();
    let outcome = case.run(&mut random(), &mut Pretend::new(2)).unwrap();
    assert!(!killed.exists(), "what a killed process left is removed");
    let best = case.home.path().join("best");
    let kept = std::fs::read_to_string(best.join("weights.safetensors")).unwrap();
    assert_eq!(kept, outcome.best.unwrap().to_string());
    let manifest = std::fs::read(best.join("manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    let named: Vec<&String> = manifest["files"].as_object().unwrap().keys().collect();
    assert_eq!(named, ["card.json", "contract.toml", "weights.safetensors"]);
    assert_eq!(ModelCard::read(&best).unwrap().llm_usd, Some(0.0), "no language model took part");
}

#[test]
fn an_architect_that_fails_again_and_again_ends_the_study() {
    let mut case = Case::new();
    for _ in 0..2 {
        let error = case.run(&mut Says(Vec::new(), 0), &mut Pretend::new(1)).unwrap_err();
        let over = |last: &ArchitectError| matches!(last, ArchitectError::RecordingOver { .. });
        assert!(matches!(&error, SearchError::Architect { failures: 3, last } if over(last)), "{error}");
    }
}

/// Random designs; from that proposal on its language model cannot be reached.
struct Away(RandomArchitect, u64);

impl Architect for Away {
    fn name(&self) -> String {
        self.0.name()
    }

    fn propose(&mut self, brief: &Brief) -> Result<Draft, ArchitectError> {
        if brief.proposal < self.1 {
            return self.0.propose(brief);
        }
        Err(LlmError::Connect { url: "http://localhost".into(), why: "connection refused".into() }.into())
    }

    fn repair(&mut self, brief: &Brief, _: &str, _: &[String]) -> Result<Draft, ArchitectError> {
        self.propose(brief)
    }
}

#[test]
fn a_language_model_that_is_away_ends_the_sitting_and_not_the_study() {
    let (mut case, mut again) = (Case::new(), Case::new());
    for _ in 0..2 {
        let error = case.run(&mut Away(random(), 4), &mut Pretend::new(1)).unwrap_err();
        let away = |last: &ArchitectError| matches!(last, ArchitectError::Llm(_));
        assert!(matches!(&error, SearchError::Architect { failures: 3, last } if away(last)), "{error}");
    }
    let outcome = case.run(&mut random(), &mut Pretend::new(1)).unwrap();
    assert_eq!((outcome.study.trials.len(), outcome.study.finished), (7, Some(outcome.best)));
    let events = case.events();
    let failed = events.iter().filter(|event| matches!(event, Event::ArchitectFailed { .. }));
    assert_eq!(failed.count(), 2, "three in a row would end a replay");
    let replayed = again.run(&mut Replay::new(&events), &mut Pretend::new(1)).unwrap();
    assert_eq!(case.verdicts(), again.verdicts());
    assert_eq!(results(&outcome), results(&replayed));
}

/// Six epochs, the first two on trial.
fn halved() -> Case {
    halved_with_finalists(None)
}

fn halved_with_finalists(finalists: Option<u32>) -> Case {
    let mut contract = contract();
    (contract.search.halving, contract.training.epochs) = (Some(2), 6);
    (contract.search.trials, contract.search.max_proposals) = (10, 20);
    contract.search.finalists = finalists;
    Case::of(contract)
}

/// What comes of a search that is interrupted after so many reports, and then goes on.
fn stopped_and_resumed(mut case: Case, stops_after: u32) -> Outcome {
    let mut executor = Pretend::new(2);
    executor.stops_after = Some(stops_after);
    let stopped = case.run(&mut random(), &mut executor);
    assert!(matches!(stopped, Err(SearchError::Interrupted)), "after {stops_after}: {stopped:?}");
    executor.stops_after = None;
    executor.stop.store(false, std::sync::atomic::Ordering::SeqCst);
    case.run(&mut random(), &mut executor).unwrap()
}

/// What the ledger says of promotions and results, without the order in which workers ended.
fn fates(outcome: &Outcome) -> Vec<(u64, Option<u32>, u32)> {
    let fate = |(n, trial): (&u64, &Trial)| (*n, trial.granted, trial.result().map_or(0, |r| r.epochs));
    outcome.study.trials.iter().map(fate).collect()
}

#[test]
fn the_best_third_trains_on_whatever_the_number_of_workers() {
    let mut all = Vec::new();
    for workers in [1, 4] {
        let mut case = halved();
        let outcome = case.run(&mut random(), &mut Pretend::new(workers)).unwrap();
        let promoted: Vec<(u64, u32)> = case
            .events()
            .iter()
            .filter_map(|event| match event {
                Event::TrialPromoted { trial, epochs } => Some((*trial, *epochs)),
                _ => None,
            })
            .collect();
        assert!((3..=4).contains(&promoted.len()), "{promoted:?}");
        let best = outcome.best.expect("a best trial");
        assert_eq!(outcome.study.stop_after(best), None, "the winner has trained to its end");
        assert_eq!(outcome.study.trials.len(), 10);
        all.push((promoted, fates(&outcome), case.verdicts(), best));
    }
    assert_eq!(all[0], all[1]);
}

/// Random designs, and what was known when each was asked for.
struct Watches(RandomArchitect, Vec<(u64, String)>);

impl Architect for Watches {
    fn name(&self) -> String {
        self.0.name()
    }

    fn propose(&mut self, brief: &Brief) -> Result<Draft, ArchitectError> {
        let epochs: usize = brief.study.trials.values().map(|trial| trial.epochs.len()).sum();
        self.1.push((brief.proposal, format!("{epochs} epochs\n{}", Leaderboard::of(brief.study).table())));
        self.0.propose(brief)
    }

    fn repair(&mut self, brief: &Brief, _: &str, _: &[String]) -> Result<Draft, ArchitectError> {
        self.propose(brief)
    }
}

#[test]
fn what_goes_on_beside_a_proposal_is_not_known_to_it() {
    let mut all = Vec::new();
    for workers in [1, 2, 4] {
        let mut architect = Watches(random(), Vec::new());
        let mut case = halved();
        case.run(&mut architect, &mut Pretend::new(workers)).unwrap();
        // Designs are proposed while promoted trials train.
        let events = case.events();
        let over = |of: u64| move |event: &Event| matches!(event, Event::TrialFinished { trial, .. } if *trial == of);
        let asked = |(place, event): (usize, &Event)| {
            let Event::TrialPromoted { trial, .. } = event else { return false };
            let rest = &events[place..];
            let until = rest.iter().position(over(*trial)).expect("it ends");
            rest[..until].iter().any(|event| matches!(event, Event::Proposed(_)))
        };
        assert!(events.iter().enumerate().any(asked), "{workers} workers");
        all.push(architect.1);
    }
    assert!(all[0].len() >= 10);
    assert_eq!(all[0], all[1]);
    assert_eq!(all[0], all[2]);
}

/// What takes many epochs goes on beside as many trials: nobody waits for it, and nobody knows it sooner.
#[test]
fn long_trials_hold_up_nobody_and_change_nothing() {
    let long = || {
        let mut contract = contract();
        (contract.search.halving, contract.training.epochs) = (Some(1), 16);
        (contract.search.trials, contract.search.max_proposals) = (32, 64);
        Case::of(contract)
    };
    let mut all = Vec::new();
    for workers in [1, 2, 4] {
        let (mut architect, mut case, mut executor) =
            (Watches(random(), Vec::new()), long(), Pretend::new(workers));
        executor.slow = workers > 1;
        let outcome = case.run(&mut architect, &mut executor).unwrap();
        let events = case.events();
        let longest = |event: &Event| matches!(event, Event::TrialPromoted { epochs: 16, .. });
        let begins = events.iter().position(longest).expect("one trains to its end");
        let Event::TrialPromoted { trial, .. } = events[begins] else { unreachable!() };
        let over = |event: &Event| matches!(event, Event::TrialFinished { trial: t, .. } if *t == trial);
        let ends = events[begins..].iter().position(over).expect("it ends");
        // Thirteen epochs more.
        let meanwhile = &events[begins..begins + ends];
        let promoted = |event: &&Event| matches!(event, Event::TrialPromoted { .. });
        let asked = meanwhile.iter().filter(|event| matches!(event, Event::Proposed(_))).count();
        if executor.slow {
            assert!(asked > 8 && meanwhile.iter().filter(promoted).count() > 1, "{workers}: {asked}");
        }
        let mut fates = fates(&outcome);
        fates.sort_unstable();
        all.push((architect.1, fates, case.verdicts()));
    }
    assert_eq!(all[0], all[1]);
    assert_eq!(all[0], all[2]);
    for stops_after in (5..95).step_by(9) {
        assert_eq!(fates(&stopped_and_resumed(long(), stops_after)), all[0].1, "after {stops_after}");
    }
}

#[test]
fn a_search_that_is_stopped_goes_on_to_the_same_promotions() {
    let mut unbroken = halved();
    let wanted = fates(&unbroken.run(&mut random(), &mut Pretend::new(1)).unwrap());
    for stops_after in [3, 11, 14, 20, 27, 33] {
        assert_eq!(fates(&stopped_and_resumed(halved(), stops_after)), wanted, "after {stops_after}");
    }
}

fn with_finals() -> Case {
    halved_with_finalists(Some(3))
}

/// Further runs by number, and of which trials.
fn repeats(outcome: &Outcome) -> Vec<(u64, u64)> {
    outcome.study.repeats.iter().map(|(number, repeat)| (*number, repeat.of)).collect()
}

#[test]
fn finalists_train_to_their_end_and_twice_again() {
    let mut all = Vec::new();
    for workers in [1, 4] {
        let mut case = with_finals();
        let outcome = case.run(&mut random(), &mut Pretend::new(workers)).unwrap();
        let study = &outcome.study;
        let finalists: BTreeSet<u64> = study.repeats.values().map(|repeat| repeat.of).collect();
        assert_eq!((finalists.len(), study.repeats.len(), study.trials.len()), (3, 6, 10));
        assert!(finalists.iter().all(|trial| study.stop_after(*trial).is_none()), "first runs to their end");
        let board = Leaderboard::of(study);
        let best: BTreeSet<u64> = board.rows.iter().take(3).map(|row| row.trial).collect();
        assert_eq!(best, finalists);
        assert!(board.rows.iter().all(|row| row.runs == if finalists.contains(&row.trial) { 3 } else { 1 }));
        assert!(study.finals().expect("finals").decided(), "designs differ more than their runs");
        assert_eq!(outcome.best, Some(board.rows[0].trial));
        let kept = std::fs::read_to_string(case.home.path().join("best/weights.safetensors")).unwrap();
        assert_eq!(kept, study.best_run(board.rows[0].trial).to_string());
        all.push((fates(&outcome), repeats(&outcome)));
    }
    assert_eq!(all[0], all[1]);
}

#[test]
fn finals_that_are_stopped_go_on() {
    let mut unbroken = with_finals();
    let wanted = unbroken.run(&mut random(), &mut Pretend::new(1)).unwrap();
    let told = |event: &&Event| matches!(event, Event::TrialEpoch { .. } | Event::TrialFinished { .. });
    let reports = unbroken.events().iter().filter(told).count() as u32;
    for stops_after in (reports / 2..reports).step_by(2) {
        let outcome = stopped_and_resumed(with_finals(), stops_after);
        assert_eq!(fates(&outcome), fates(&wanted), "after {stops_after}");
        assert_eq!(repeats(&outcome), repeats(&wanted), "after {stops_after}");
    }
}
