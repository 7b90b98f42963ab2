//! Proposals of a recorded study, said again without a model.

use crate::architect::{Architect, ArchitectError, Brief, Draft};
use capwright_study::{Event, Study, Verdict};
use std::collections::BTreeMap;

/// Says again what a ledger recorded, by proposal and attempt, with the recorded authors and costs.
pub struct Replay {
    drafts: BTreeMap<(u64, u32), Draft>,
    /// The proposals that the recorded trials came of.
    made_by: BTreeMap<u64, u64>,
    /// Who failed at a proposal, and the tokens that it cost.
    failures: BTreeMap<u64, (String, (usize, usize))>,
    wasted: (usize, usize),
}

impl Replay {
    /// The proposals among the events of a ledger.
    pub fn new<'a>(events: impl IntoIterator<Item = &'a Event>) -> Self {
        let mut replay = Self {
            drafts: BTreeMap::new(),
            made_by: BTreeMap::new(),
            failures: BTreeMap::new(),
            wasted: (0, 0),
        };
        for event in events {
            match event {
                Event::Proposed(p) => {
                    let draft = Draft {
                        author: p.author.clone(),
                        text: p.text.clone(),
                        parents: p.parents.clone(),
                        prompt_sha256: p.prompt_sha256.clone(),
                        prompt_tokens: p.prompt_tokens,
                        completion_tokens: p.completion_tokens,
                        seconds: p.seconds,
                    };
                    replay.drafts.insert((p.proposal, p.attempt), draft);
                    if let Verdict::Admitted { trial, .. } = &p.verdict {
                        replay.made_by.insert(*trial, p.proposal);
                    }
                }
                Event::ArchitectFailed { proposal, author, prompt_tokens, completion_tokens, .. } => {
                    let tokens = (*prompt_tokens, *completion_tokens);
                    replay.failures.insert(*proposal, (author.clone(), tokens));
                }
                _ => {}
            }
        }
        replay
    }

    fn say(&mut self, brief: &Brief) -> Result<Draft, ArchitectError> {
        let (proposal, attempt) = (brief.proposal, brief.attempt);
        if let Some(draft) = self.drafts.get(&(proposal, attempt)) {
            let parents = self.parents(draft, brief.study);
            return Ok(Draft { parents, ..draft.clone() });
        }
        self.wasted = self.failures.get(&proposal).map(|(_, tokens)| *tokens).unwrap_or_default();
        Err(ArchitectError::RecordingOver { proposal, attempt })
    }

    /// The parents of a draft by the numbers that they have here: under another contract another design may have been admitted, and trials
    /// are counted otherwise. Those that are not of this study are left out.
    fn parents(&self, draft: &Draft, study: &Study) -> Vec<u64> {
        let here = |recorded: &u64| {
            let proposal = self.made_by.get(recorded)?;
            study.trials.iter().find(|(_, trial)| trial.proposal == *proposal).map(|(number, _)| *number)
        };
        draft.parents.iter().filter_map(here).collect()
    }
}

impl Architect for Replay {
    fn name(&self) -> String {
        "replay".into()
    }

    fn author(&self, brief: &Brief) -> String {
        self.failures.get(&brief.proposal).map_or_else(|| self.name(), |(author, _)| author.clone())
    }

    fn wasted(&mut self) -> (usize, usize) {
        std::mem::take(&mut self.wasted)
    }

    fn propose(&mut self, brief: &Brief) -> Result<Draft, ArchitectError> {
        self.say(brief)
    }

    fn repair(&mut self, brief: &Brief, _: &str, _: &[String]) -> Result<Draft, ArchitectError> {
        self.say(brief)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use capwright_study::Proposal;
    use capwright_study::conformance::{admitted, draft, opened};

    #[test]
    fn parents_have_the_numbers_that_they_have_here() {
        let refused = || Verdict::Unreadable { diagnostics: Vec::new() };
        let proposed = |proposal, verdict| {
            Event::Proposed(Box::new(Proposal { parents: Vec::new(), ..draft(proposal, 0, verdict) }))
        };
        let child = Proposal { parents: vec![2, 1], ..draft(3, 0, admitted(3, "c")) };
        let record = |first, second| [opened(), proposed(1, first), proposed(2, second)];
        let mut recorded = record(admitted(1, "a"), admitted(2, "b")).to_vec();
        recorded.push(Event::Proposed(Box::new(child)));
        let mut replay = Replay::new(&recorded);
        for (events, next, parents) in [
            (record(admitted(1, "a"), admitted(2, "b")), 3, vec![2, 1]),
            (record(refused(), admitted(1, "b")), 2, vec![1]),
            (record(refused(), refused()), 1, vec![]),
        ] {
            let mut study = Study::fold(events).expect("a study");
            let contract = study.contract().clone();
            let brief =
                Brief { contract: &contract, study: &study, proposal: 3, attempt: 0, surrogate: None };
            let said = replay.propose(&brief).expect("it was recorded");
            assert_eq!(said.parents, parents);
            let event = Event::Proposed(Box::new(said.judged(3, 0, admitted(next, "c"))));
            study.apply(&event).expect("it follows");
        }
    }
}
