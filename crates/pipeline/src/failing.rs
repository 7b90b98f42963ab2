//! An architect that fails: how often it is asked again, and whether it may do better later.

use capwright_llm::LlmError;
use capwright_search::ArchitectError;
use capwright_study::{Event, Recorded, Study};

/// Failures of the architect in a row, over all sittings, after which the study stops asking.
pub const FAILURES: u32 = 3;

/// Failures in a row with which a sitting begins: those that the ledger ends with. Where there are no trials yet, it asks all the same.
pub fn so_far(recorded: &[Recorded], study: &Study) -> u32 {
    let asked = recorded.iter().rev().filter_map(|r| match &r.event {
        Event::ArchitectFailed { .. } => Some(true),
        Event::Proposed(_) => Some(false),
        _ => None,
    });
    let failures = asked.take_while(|failed| *failed).count() as u32;
    if study.trials.is_empty() { failures.min(FAILURES - 1) } else { failures }
}

/// Whether a language model is away and may be back later: it cannot be reached, is late or has too much to do.
pub fn is_away(error: &ArchitectError) -> bool {
    match error {
        ArchitectError::Llm(LlmError::Connect { .. } | LlmError::Timeout { .. }) => true,
        ArchitectError::Llm(LlmError::Http { status, .. }) => *status == 429 || *status >= 500,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use capwright_study::conformance::{admitted, draft, opened};

    fn failed(proposal: u64) -> Event {
        let (author, reason) = ("llm".to_owned(), "late".to_owned());
        Event::ArchitectFailed { proposal, author, reason, prompt_tokens: 0, completion_tokens: 0 }
    }

    fn count(events: &[Event]) -> u32 {
        let recorded = (1..).zip(events.iter().cloned());
        let recorded = recorded.map(|(seq, event)| Recorded { seq, at_unix_ms: seq, event });
        so_far(&recorded.collect::<Vec<_>>(), &Study::fold(events).expect("a study"))
    }

    #[test]
    fn failures_count_since_the_last_proposal() {
        let proposed = Event::Proposed(Box::new(draft(2, 0, admitted(1, "resnet18"))));
        let events = [opened(), failed(1), proposed, failed(3), failed(4), Event::StudyResumed, failed(5)];
        assert_eq!([2, 3, 5, 6, 7].map(|until: usize| count(&events[..until])), [1, 0, 2, 2, 3]);
        assert_eq!(count(&[opened(), failed(1), failed(2), failed(3)]), 2, "nothing is given up yet");
    }

    #[test]
    fn a_server_that_is_busy_may_be_back_and_a_wrong_address_is_not() {
        let answered = |status| LlmError::Http { url: String::new(), status, snippet: String::new() };
        let away = |status| is_away(&ArchitectError::Llm(answered(status)));
        assert_eq!([404, 429, 500, 503].map(away), [false, true, true, true]);
        assert!(!is_away(&ArchitectError::RecordingOver { proposal: 1, attempt: 0 }));
    }
}
