//! Proposals of a recorded study, said again without a model.

use crate::architect::{Architect, ArchitectError, Brief, Draft};
use capwright_study::Event;
use std::collections::BTreeMap;

/// Says again what a ledger recorded, by proposal and attempt, with the recorded authors and costs.
pub struct Replay {
    drafts: BTreeMap<(u64, u32), Draft>,
    /// Who failed at a proposal, and the tokens that it cost.
    failures: BTreeMap<u64, (String, (usize, usize))>,
    wasted: (usize, usize),
}

impl Replay {
    /// The proposals among the events of a ledger.
    pub fn new<'a>(events: impl IntoIterator<Item = &'a Event>) -> Self {
        let mut replay = Self { drafts: BTreeMap::new(), failures: BTreeMap::new(), wasted: (0, 0) };
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
            return Ok(draft.clone());
        }
        self.wasted = self.failures.get(&proposal).map(|(_, tokens)| *tokens).unwrap_or_default();
        Err(ArchitectError::RecordingOver { proposal, attempt })
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
