//! The page of a study.

use capwright_report::render_study;
use capwright_study::conformance::{admitted, draft, epoch, opened, result, samples};
use capwright_study::{Event, LedgerError, Scores, TrialResult};

#[test]
fn a_study_has_a_page_with_everything_that_happened() {
    let mut events = samples();
    if let Event::StudyOpened(opened) = &mut events[0] {
        opened.contract.request = "a <script> of my own".into();
    }
    let page = render_study(&events).expect("a page");
    for said in [
        "a &lt;script&gt; of my own",
        "id=\"history\"",
        "Hypervolume: the area below the front",
        "id=\"choices\"",
        "<th scope=\"row\"><bdi>resnet</bdi></th>",
        "1 designs, each predicted before it was trained",
        "Front: trials 1.",
        "the loss is not finite",
        "duplicate",
        "budgets.params_total",
        "Collapsed",
        "by <bdi>random</bdi>",
    ] {
        assert!(page.contains(said), "{said} is not in {page}");
    }
    assert!(!page.contains("<script") && !page.contains("NaN") && !page.contains("inf\""), "{page}");
    assert_eq!(page, render_study(&events).expect("the same page"));
}

#[test]
fn a_study_that_has_only_begun_has_a_page_too() {
    let page = render_study(&samples()[..1]).expect("a page");
    assert!(page.contains("0 designs") && page.contains("Nothing: every text"), "{page}");
    assert!(!page.contains("NaN"), "{page}");
    assert_eq!(render_study(&[]), Err(LedgerError::Empty));
}

#[test]
fn a_trial_that_runs_has_not_ended() {
    let text = draft(1, 0, admitted(1, "resnet18"));
    let mut events = vec![opened(), Event::Proposed(Box::new(text)), Event::TrialStarted { trial: 1 }];
    let page = render_study(&events).expect("a page");
    assert!(page.contains("no trial has failed so far") && !page.contains("every trial ended"), "{page}");
    let result = Box::new(result(epoch(1, 0.1).scores));
    events.push(Event::TrialFinished { trial: 1, result });
    assert!(render_study(&events).expect("a page").contains("every trial ended"));
}

#[test]
fn an_author_is_told_the_time_of_all_designs_and_the_middle_of_their_ranks() {
    let scores = |bleu4, collapsed| Scores { collapsed, ..epoch(1, bleu4).scores };
    let mut events = vec![opened()];
    for (trial, scores) in (1..).zip([scores(0.1, false), scores(0.2, false), scores(0.3, true)]) {
        let text = draft(trial, 0, admitted(trial, &format!("b{trial}")));
        let ended = TrialResult { seconds: 10.0, ..result(scores) };
        events.extend([
            Event::Proposed(Box::new(text)),
            Event::TrialStarted { trial },
            Event::TrialFinished { trial, result: Box::new(ended) },
        ]);
    }
    let text = draft(4, 0, admitted(4, "b4"));
    events.extend([
        Event::Proposed(Box::new(text)),
        Event::TrialStarted { trial: 4 },
        Event::TrialEpoch { trial: 4, epoch: epoch(1, 0.1) },
        Event::TrialFailed { trial: 4, reason: "the loss is not finite".into() },
    ]);
    let page = render_study(&events).expect("a page");
    let costs = "<td>32 s</td><td>0.2000</td><td>1.5</td>";
    assert!(page.contains(costs), "three results of ten seconds and an epoch of two: {page}");
}
