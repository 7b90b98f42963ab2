//! How many designs a study still asks for, by what its ledger shows.

use crate::Study;

/// Failures of the architect in a row, over all sittings, after which the study stops asking if all of them were useless answers;
/// where it was away at one of them, only the sitting ends.
pub const FAILURES: u32 = 3;

impl Study {
    /// Designs that the contract asks for beside those that there are.
    pub fn wanted(&self) -> u64 {
        u64::from(self.contract().search.trials).saturating_sub(self.trials.len() as u64)
    }

    /// Designs that may still be asked for: those that are wanted, as far as proposals, tokens and failures of the architect let them.
    pub fn may_ask_for(&self) -> u64 {
        let search = &self.contract().search;
        let tokens = self.tokens();
        let spent = tokens.prompt.saturating_add(tokens.completion);
        // Where there are no trials yet, it asks all the same.
        let given_up = self.failures.all >= FAILURES && !self.trials.is_empty();
        if given_up || search.tokens().is_some_and(|budget| spent >= budget) {
            return 0;
        }
        let proposals = u64::from(search.max_proposals).saturating_sub(self.proposals.len() as u64);
        self.wanted().min(proposals + u64::from(self.awaits_repair()))
    }

    /// Whether the last draft was refused and may be repaired.
    fn awaits_repair(&self) -> bool {
        let last = self.proposals.values().next_back();
        last.is_some_and(|last| !last.settled && last.attempts <= self.contract().search.repairs)
    }
}

#[cfg(test)]
mod tests {
    use crate::conformance::draft;
    use crate::plan::tests::study;
    use crate::{Event, Verdict};

    #[test]
    fn as_many_designs_are_asked_for_as_proposals_are_left() {
        let mut study = study(10.0);
        assert_eq!(study.may_ask_for(), 2, "of six there are four");
        let mut at_most = |proposals| {
            study.opened.contract.search.max_proposals = proposals;
            study.may_ask_for()
        };
        assert_eq!([60, 6, 5, 4, 1].map(&mut at_most), [2, 2, 1, 0, 0]);
        study.opened.contract.search.max_proposals = 5;
        let left = [0, 1, 2].map(|attempt| {
            let refused = draft(5, attempt, Verdict::Unreadable { diagnostics: vec![] });
            study.apply(&Event::Proposed(Box::new(refused))).expect("it follows");
            study.may_ask_for()
        });
        assert_eq!(left, [1, 1, 0], "it may be repaired twice");
    }

    #[test]
    fn nobody_is_asked_without_tokens_nor_after_three_failures() {
        let mut spent = study(10.0);
        spent.opened.contract.search.token_budget = Some(441);
        assert_eq!(spent.may_ask_for(), 2, "440 were used");
        spent.opened.contract.search.token_budget = Some(440);
        assert_eq!(spent.may_ask_for(), 0);
        let mut study = study(10.0);
        let left = [5, 6, 7].map(|proposal| {
            let (author, reason) = ("llm".to_owned(), "no answer".to_owned());
            let (prompt_tokens, completion_tokens, useless) = (0, 0, true);
            let failed = Event::ArchitectFailed {
                proposal,
                author,
                reason,
                prompt_tokens,
                completion_tokens,
                useless,
            };
            study.apply(&failed).expect("it follows");
            study.may_ask_for()
        });
        assert_eq!(left, [2, 2, 0]);
        study.trials.clear();
        assert_eq!(study.may_ask_for(), 6, "a study without trials asks all the same");
    }
}
