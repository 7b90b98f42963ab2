//! An architect that fails: how often it is asked again, and whether it may do better later.

use capwright_llm::LlmError;
use capwright_search::ArchitectError;
use capwright_study::{FAILURES, Failures};

/// The failures in a row with one more.
pub fn with_one_more(so_far: Failures, useless: bool) -> Failures {
    // There are as many already where a study without trials asks all the same.
    let (all, answered) = (so_far.all.min(FAILURES - 1), so_far.useless.min(FAILURES - 1));
    Failures { all: all + 1, useless: answered + u32::from(useless) }
}

/// Whether a language model is away and may be back later: it cannot be reached, is late, has too much to do, or takes no key or no more
/// money until somebody renews them.
pub fn is_away(error: &ArchitectError) -> bool {
    match error {
        ArchitectError::Llm(LlmError::Connect { .. } | LlmError::Timeout { .. }) => true,
        ArchitectError::Llm(LlmError::Http { status, .. }) => {
            matches!(*status, 401 | 402 | 403 | 408 | 425 | 429 | 500..)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_is_busy_may_be_back_and_a_wrong_address_is_not() {
        let answered = |status| LlmError::Http { url: String::new(), status, snippet: String::new() };
        let away = |status| is_away(&ArchitectError::Llm(answered(status)));
        assert_eq!([404, 429, 500, 503].map(away), [false, true, true, true]);
        assert_eq!([400, 413, 422].map(away), [false; 3]);
        // A key that has expired, no credit, a key that lacks the right.
        assert_eq!([401, 402, 403, 408, 425].map(away), [true; 5]);
        assert!(!is_away(&ArchitectError::RecordingOver { proposal: 1, attempt: 0 }));
    }
}
