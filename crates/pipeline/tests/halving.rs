//! Successive halving and finals under the driver: the same promotions and runs with any number of workers, stopped anywhere.

mod common;
mod pretend;

use capwright_contract::{Merit, Objective};
use capwright_pipeline::{Outcome, SearchError};
use capwright_search::{Architect, ArchitectError, Brief, Draft, RandomArchitect};
use capwright_study::{Event, Leaderboard, Trial};
use common::{Case, contract, goes_on, random};
use pretend::Pretend;
use std::collections::BTreeSet;

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

#[test]
fn the_best_by_its_measured_times_has_trained_to_its_end() {
    let mut contract = contract();
    (contract.search.halving, contract.training.epochs) = (Some(2), 6);
    (contract.search.trials, contract.search.max_proposals) = (10, 20);
    contract.objectives = [(Merit::Bleu4, 1.0), (Merit::CaptionMs, 0.0)]
        .map(|(merit, within)| Objective { merit, within })
        .to_vec();
    let mut case = Case::of(contract);
    let outcome = case.run(&mut random(), &mut Pretend::new(2)).unwrap();
    let first = Leaderboard::of(&outcome.study).best().expect("a first");
    assert!(outcome.study.stop_after(first).is_some(), "the fastest waits");
    let best = outcome.best.expect("a best trial");
    assert_eq!(outcome.study.stop_after(best), None);
    assert_eq!(outcome.study.finished, Some(Some(best)));
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

#[test]
fn a_killed_search_leaves_no_half_of_what_was_chosen_together() {
    let chosen =
        |events: &[Event]| -> Vec<Event> { events.iter().filter(|event| goes_on(event)).cloned().collect() };
    let mut unbroken = with_finals();
    unbroken.run(&mut random(), &mut Pretend::new(1)).unwrap();
    let wanted = unbroken.events();
    let together = wanted.windows(2).filter(|pair| goes_on(&pair[0]) && goes_on(&pair[1]));
    assert!(together.count() >= 5, "further runs are chosen together");
    for survives in 1..=chosen(&wanted).len() {
        let (mut case, mut executor) = (with_finals(), Pretend::new(1));
        case.store.survives = Some(survives);
        let killed = case.run(&mut random(), &mut executor);
        assert!(matches!(killed, Err(SearchError::Store(_))), "after {survives}: {killed:?}");
        let left = case.events();
        assert!(left.iter().map(Event::kind).eq(wanted[..left.len()].iter().map(Event::kind)));
        assert!(!goes_on(&wanted[left.len()]), "after {survives}: half of a choice");
        case.store.survives = None;
        case.run(&mut random(), &mut Pretend::new(1)).unwrap();
        assert_eq!(chosen(&case.events()), chosen(&wanted), "after {survives}");
    }
}
