//! The fold: what it counts, and what it refuses.

use super::*;
use crate::conformance::{admitted, draft, epoch, opened, result, samples};
use crate::{Tokens, TrialResult};

fn proposed(proposal: u64, attempt: u32, verdict: Verdict) -> Event {
    Event::Proposed(Box::new(draft(proposal, attempt, verdict)))
}

fn finished(trial: u64) -> Event {
    Event::TrialFinished { trial, result: Box::new(result(epoch(1, 0.1).scores)) }
}

/// A study with trial 1 admitted and these events after.
fn with(events: &[Event]) -> Result<Study, LedgerError> {
    let begin = [opened(), proposed(1, 0, admitted(1, "a"))];
    Study::fold(begin.iter().chain(events))
}

#[test]
fn the_samples_fold_to_what_they_say() {
    let study = Study::fold(samples()).expect("a study");
    assert_eq!((study.next_trial(), study.next_proposal()), (5, 6));
    assert_eq!(study.finished, Some(Some(1)));
    assert_eq!(study.tokens(), Tokens { prompt: 770, completion: 70 });
    let random = &study.authors["random"];
    assert_eq!((random.proposals, random.drafts), (4, 7));
    assert_eq!((random.unreadable, random.rejected, random.violating, random.duplicates), (1, 1, 1, 1));
    assert_eq!((random.admitted_first, random.admitted_repaired, random.failed), (1, 2, 0));
    assert_eq!((study.authors["llm"].proposals, study.authors["llm"].failed), (1, 1));
    assert_eq!(study.trials[&2].runs, 2);
    assert_eq!(study.trials[&1].attempt, 2);
    assert_eq!(study.hashes["hash of mobilenet_v2"], 2);
    assert_eq!(study.unfinished(), [] as [u64; 0]);
}

#[test]
fn what_was_running_is_left_to_resume() {
    let study = with(&[proposed(2, 0, admitted(2, "b")), Event::TrialStarted { trial: 1 }]).expect("a study");
    assert_eq!(study.unfinished(), [1, 2]);
}

#[test]
fn a_study_begins_once_and_ends_once() {
    assert_eq!(Study::fold([] as [Event; 0]), Err(LedgerError::Empty));
    let early = Event::TrialStarted { trial: 1 };
    assert_eq!(Study::fold([early]), Err(LedgerError::NotOpened("trial_started")));
    assert_eq!(with(&[opened()]), Err(LedgerError::OpenedTwice));
    let end = Event::StudyFinished { best: None };
    assert_eq!(with(&[end.clone(), end]), Err(LedgerError::AfterEnd("study_finished")));
}

#[test]
fn a_trial_ends_once_and_only_after_its_start() {
    let start = Event::TrialStarted { trial: 1 };
    let failed = Event::TrialFailed { trial: 1, reason: String::new() };
    let over = |kind| Err(LedgerError::Over { trial: 1, kind });
    assert_eq!(with(&[start.clone(), finished(1), finished(1)]), over("trial_finished"));
    assert_eq!(with(&[start.clone(), finished(1), failed.clone()]), over("trial_failed"));
    assert_eq!(with(&[start.clone(), failed, start.clone()]), over("trial_started"));
    let epoch1 = Event::TrialEpoch { trial: 1, epoch: epoch(1, 0.1) };
    assert_eq!(with(&[start.clone(), finished(1), epoch1]), over("trial_epoch"));
    assert_eq!(with(&[finished(1)]), Err(LedgerError::NotStarted { trial: 1, kind: "trial_finished" }));
    assert_eq!(with(&[start, finished(2)]), Err(LedgerError::UnknownTrial(2)));
}

#[test]
fn epochs_follow_each_other_and_go_back_only_after_a_resume() {
    let start = Event::TrialStarted { trial: 1 };
    let said = |n, bleu| Event::TrialEpoch { trial: 1, epoch: epoch(n, bleu) };
    let order = |found, expected| Err(LedgerError::OutOfOrder { what: "epoch", found, expected });
    assert_eq!(with(&[start.clone(), said(1, 0.1), said(1, 0.1)]), order(1, 2));
    assert_eq!(with(&[start.clone(), said(2, 0.1)]), order(2, 1));
    assert_eq!(with(&[start.clone(), start.clone(), said(0, 0.1)]), order(0, 1));
    let resumed = [start.clone(), said(1, 0.1), said(2, 0.2), said(3, 0.3), start.clone(), said(2, 0.25)];
    let study = with(&resumed).expect("a study");
    let bleu: Vec<f64> = study.trials[&1].epochs.iter().map(|e| e.scores.bleu[3]).collect();
    assert_eq!(bleu, [0.1, 0.25]);
    let mut twice = resumed.to_vec();
    twice.push(said(2, 0.25));
    assert_eq!(with(&twice), order(2, 3));
}

#[test]
fn numbers_have_no_gaps_and_designs_no_twins() {
    let order = |what, found, expected| Err(LedgerError::OutOfOrder { what, found, expected });
    let unread = || Verdict::Unreadable { diagnostics: vec![] };
    assert_eq!(with(&[proposed(3, 0, unread())]), order("proposal", 3, 2));
    assert_eq!(with(&[proposed(2, 1, unread())]), order("attempt", 1, 0));
    assert_eq!(with(&[proposed(2, 0, unread()), proposed(2, 0, unread())]), order("attempt", 0, 1));
    assert_eq!(with(&[proposed(2, 0, admitted(3, "b"))]), order("trial", 3, 2));
    assert_eq!(with(&[proposed(1, 1, unread())]), Err(LedgerError::Settled(1)));
    let twin = with(&[proposed(2, 0, admitted(2, "a"))]);
    assert_eq!(twin, Err(LedgerError::SameDesign { trial: 2, first: 1 }));
    let stray = Verdict::Duplicate { hash: "hash of b".to_owned(), trial: 1 };
    assert_eq!(with(&[proposed(2, 0, stray)]), Err(LedgerError::NotADuplicate(1)));
}

#[test]
fn failures_count_since_the_last_proposal() {
    let failed = |proposal, useless| Event::ArchitectFailed {
        proposal,
        author: "llm".to_owned(),
        reason: "late".to_owned(),
        prompt_tokens: 0,
        completion_tokens: 0,
        useless,
    };
    let unread = Verdict::Unreadable { diagnostics: vec![] };
    let events = [
        failed(2, true),
        failed(3, true),
        proposed(4, 0, unread),
        failed(4, false),
        Event::StudyResumed,
        failed(5, true),
        failed(6, false),
    ];
    let count = |until: usize| {
        let failures = with(&events[..until]).expect("a study").failures;
        (failures.all, failures.useless)
    };
    assert_eq!([0, 1, 2, 3].map(count), [(0, 0), (1, 1), (2, 2), (0, 0)]);
    assert_eq!([4, 5, 6, 7].map(count), [(1, 0), (1, 0), (2, 1), (3, 1)]);
}

#[test]
fn a_failure_that_an_older_version_told_says_nothing_of_its_kind() {
    let told = r#"{"event":"architect_failed","proposal":2,"author":"llm","reason":"late"}"#;
    let failed = Event::from_json(told).expect("an event");
    assert_eq!(failed.to_json().expect("writable"), told);
    let failures = with(&[failed]).expect("a study").failures;
    assert_eq!((failures.all, failures.useless), (1, 0));
}

#[test]
fn only_a_ranked_trial_is_best() {
    let end = |best| Event::StudyFinished { best };
    let start = Event::TrialStarted { trial: 1 };
    assert_eq!(with(&[end(Some(1))]), Err(LedgerError::BestUnranked(1)));
    assert_eq!(with(&[end(Some(9))]), Err(LedgerError::UnknownTrial(9)));
    let mut scores = epoch(1, 0.9).scores;
    scores.collapsed = true;
    let collapsed = Event::TrialFinished { trial: 1, result: Box::new(result(scores)) };
    assert_eq!(with(&[start.clone(), collapsed, end(Some(1))]), Err(LedgerError::BestUnranked(1)));
    assert!(with(&[start, finished(1), end(Some(1))]).is_ok());
}

#[test]
fn only_what_is_trained_to_its_end_is_repeated_and_no_proposal_comes_of_it() {
    let start = |trial| Event::TrialStarted { trial };
    let again = |trial, of| Event::TrialRepeated { trial, of };
    assert_eq!(with(&[again(2, 1)]), Err(LedgerError::NotRepeatable(1)));
    assert_eq!(with(&[again(2, 9)]), Err(LedgerError::UnknownTrial(9)));
    let paused = TrialResult { paused: true, ..result(epoch(1, 0.1).scores) };
    let waits = Event::TrialFinished { trial: 1, result: Box::new(paused) };
    assert_eq!(with(&[start(1), waits, again(2, 1)]), Err(LedgerError::NotRepeatable(1)));
    let order = Err(LedgerError::OutOfOrder { what: "trial", found: 3, expected: 2 });
    assert_eq!(with(&[start(1), finished(1), again(3, 1)]), order);
    assert_eq!(
        with(&[start(1), finished(1), again(2, 1), again(3, 2)]),
        Err(LedgerError::UnknownTrial(2)),
        "of the design, not of a repetition"
    );
    let study = with(&[start(1), finished(1), again(2, 1), again(3, 1), start(3)]).expect("a study");
    assert_eq!((study.trials.len(), study.next_trial(), study.unfinished()), (1, 4, vec![2, 3]));
    assert_eq!(study.runs_of(1).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(study.stop_after(2), None);
    let admitted = with(&[start(1), finished(1), again(2, 1), proposed(2, 0, admitted(3, "b"))]);
    assert_eq!(admitted.expect("numbers go on").trials.keys().collect::<Vec<_>>(), [&1, &3]);
}

#[test]
fn a_refused_event_changes_nothing() {
    let mut done: Vec<Event> = Vec::new();
    let all = samples();
    for event in &all {
        done.push(event.clone());
        let before = Study::fold(&done).expect("a prefix of a study is a study");
        for other in &all {
            let mut after = before.clone();
            if after.apply(other).is_err() {
                assert_eq!(after, before, "{}", other.kind());
            }
        }
    }
}
