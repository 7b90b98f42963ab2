//! The page of a study.

use capwright_report::render_study;
use capwright_study::conformance::{admitted, draft, epoch, opened, result, samples};
use capwright_study::{Event, LedgerError};

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
