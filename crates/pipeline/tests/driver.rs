//! The driver over a store in memory, architects that say what they are told, and workers that only pretend.

mod common;
mod pretend;

use capwright_llm::LlmError;
use capwright_pipeline::{ModelCard, Outcome, SearchError};
use capwright_search::{Architect, ArchitectError, Brief, Draft, RandomArchitect, Replay};
use capwright_study::{Event, Trial, TrialStatus, Verdict};
use common::{Case, contract, random};
use pretend::Pretend;
use std::collections::BTreeMap;

const GOOD: &str = r#"{"encoder":{"input":64,"source":{"kind":"pretrained","backbone":"resnet18","cut":"s32"},"blocks":[]},
"bridge":{"dim":128,"dropout_pct":10},"decoder":{"family":"recurrent","cell":"gru","embed":64,"hidden":64,"layers":1,
"image":"initial_state","attention":"dot","dropout_pct":0},"recipe":{"lr":0.001,"schedule":"cosine","weight_decay":0.01,
"label_smoothing":0.1,"clip":1.0,"batch":16}}"#;

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
    for _ in 0..2 {
        let stopped = case.run(&mut random(), &mut executor);
        assert!(matches!(stopped, Err(SearchError::Interrupted)));
    }
    let told = [Event::StudyPaused, Event::StudyResumed, Event::StudyPaused];
    assert_eq!(case.events()[1..], told, "each sitting says when it ends, and the second that it goes on");
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

/// Random designs; from the fourth proposal on it fails as the list says from its end, where true is a language model that is away and
/// false one that answers to no use, and then no more.
struct Fails(RandomArchitect, Vec<bool>);

impl Architect for Fails {
    fn name(&self) -> String {
        self.0.name()
    }

    fn propose(&mut self, brief: &Brief) -> Result<Draft, ArchitectError> {
        let failure = if brief.proposal < 4 { None } else { self.1.pop() };
        let at = String::new;
        match failure {
            None => self.0.propose(brief),
            Some(true) => {
                Err(LlmError::Timeout { after: std::time::Duration::from_secs(1), at: at() }.into())
            }
            Some(false) => Err(LlmError::BadAnswer { why: at(), snippet: at() }.into()),
        }
    }

    fn repair(&mut self, brief: &Brief, _: &str, _: &[String]) -> Result<Draft, ArchitectError> {
        self.propose(brief)
    }
}

#[test]
fn one_useless_answer_after_an_outage_is_no_reason_to_give_up() {
    const AWAY: bool = true;
    const USELESS: bool = false;
    // Failures of each sitting, the last one first.
    let kept: [&[&[bool]]; 4] = [
        &[&[USELESS, AWAY, AWAY]],
        &[&[AWAY, AWAY, AWAY], &[USELESS], &[USELESS]],
        &[&[AWAY, USELESS, USELESS]],
        &[&[USELESS, AWAY, USELESS], &[AWAY]],
    ];
    for sittings in kept {
        let mut case = Case::new();
        for failures in sittings {
            let ended = case.run(&mut Fails(random(), failures.to_vec()), &mut Pretend::new(1));
            assert!(
                matches!(ended, Err(SearchError::Architect { failures: 3, .. })),
                "{sittings:?}: {ended:?}"
            );
        }
        let outcome = case.run(&mut random(), &mut Pretend::new(1)).unwrap();
        assert_eq!((outcome.study.trials.len(), outcome.study.finished), (7, Some(outcome.best)));
    }
    let mut case = Case::new();
    let away = case.run(&mut Fails(random(), vec![AWAY, USELESS, USELESS]), &mut Pretend::new(1));
    assert!(matches!(away, Err(SearchError::Architect { .. })), "{away:?}");
    let outcome = case.run(&mut Fails(random(), vec![USELESS]), &mut Pretend::new(1)).unwrap();
    assert_eq!(
        (outcome.study.trials.len(), outcome.study.finished),
        (3, Some(outcome.best)),
        "three useless"
    );
}
