//! Proposals of a recorded study, said again without a model.

use crate::architect::{Architect, ArchitectError, Brief, Draft};
use capwright_study::Event;
use std::collections::BTreeMap;

/// Says again what a ledger recorded, by proposal and attempt, with the recorded authors and costs.
pub struct Replay {
    drafts: BTreeMap<(u64, u32), Draft>,
}

impl Replay {
    /// The proposals among the events of a ledger.
    pub fn new<'a>(events: impl IntoIterator<Item = &'a Event>) -> Self {
        let drafts = events.into_iter().filter_map(|event| match event {
            Event::Proposed(p) => Some((
                (p.proposal, p.attempt),
                Draft {
                    author: p.author.clone(),
                    text: p.text.clone(),
                    parents: p.parents.clone(),
                    prompt_sha256: p.prompt_sha256.clone(),
                    prompt_tokens: p.prompt_tokens,
                    completion_tokens: p.completion_tokens,
                    seconds: p.seconds,
                },
            )),
            _ => None,
        });
        Self { drafts: drafts.collect() }
    }

    fn say(&self, brief: &Brief) -> Result<Draft, ArchitectError> {
        let (proposal, attempt) = (brief.proposal, brief.attempt);
        let missing = ArchitectError::RecordingOver { proposal, attempt };
        self.drafts.get(&(proposal, attempt)).cloned().ok_or(missing)
    }
}

impl Architect for Replay {
    fn name(&self) -> String {
        "replay".into()
    }

    fn propose(&mut self, brief: &Brief) -> Result<Draft, ArchitectError> {
        self.say(brief)
    }

    fn repair(&mut self, brief: &Brief, _: &str, _: &[String]) -> Result<Draft, ArchitectError> {
        self.say(brief)
    }
}
