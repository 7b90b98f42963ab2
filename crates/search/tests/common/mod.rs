//! What both suites of architects need.

use capwright_backbones::Library;
use capwright_blueprint::schema;
use capwright_contract::Contract;
use capwright_llm::{Completion, Finish, LlmError, Request, TextModel};
use capwright_search::{Architect, Brief, Draft, Judge};
use capwright_study::{Event, Opened, Study, Verdict};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;
use std::sync::Arc;

pub fn judge(contract: &Contract) -> Judge {
    Judge::new(Arc::new(Library::default()), contract.clone())
}

pub fn opened(contract: &Contract) -> Study {
    let opened = Opened {
        contract: contract.clone(),
        seed: contract.training.seed,
        architect: "under test".into(),
        versions: BTreeMap::new(),
    };
    Study::fold([Event::StudyOpened(Box::new(opened))]).expect("a study")
}

/// Says what the grammar allows and has no idea: the weakest model there is.
pub struct Chance;

impl TextModel for Chance {
    fn name(&self) -> String {
        "chance".into()
    }

    fn generate(&mut self, request: &Request) -> Result<Completion, LlmError> {
        let schema = request.schema.as_ref().expect("the architect constrains its model");
        let text = schema::sample(schema, &mut ChaCha8Rng::seed_from_u64(request.seed)).to_string();
        let (prompt_tokens, completion_tokens) = (request.user.len() / 4, text.len() / 4);
        let (thinking_tokens, seconds, finish) = (0, 0.0, Finish::Stop);
        Ok(Completion { text, prompt_tokens, completion_tokens, thinking_tokens, seconds, finish })
    }
}

/// One proposal with its repairs: each draft and what was said of it.
pub fn proposed(study: &mut Study, architect: &mut dyn Architect) -> Vec<(Draft, Verdict)> {
    let contract = study.contract().clone();
    let (judge, proposal) = (judge(&contract), study.next_proposal());
    let mut drafts: Vec<(Draft, Verdict)> = Vec::new();
    for attempt in 0..=contract.search.repairs {
        let brief = Brief { contract: &contract, study, proposal, attempt };
        let draft = match drafts.last() {
            None => architect.propose(&brief),
            Some((last, verdict)) => {
                architect.repair(&brief, &last.text, &capwright_search::problems(verdict))
            }
        };
        let draft = draft.expect("a draft");
        let verdict = judge.judge(&draft.text, study).verdict;
        let recorded = draft.clone().judged(proposal, attempt, verdict.clone());
        study.apply(&Event::Proposed(Box::new(recorded))).expect("it follows");
        let admitted = matches!(verdict, Verdict::Admitted { .. });
        drafts.push((draft, verdict));
        if admitted {
            break;
        }
    }
    drafts
}
