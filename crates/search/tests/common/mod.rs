//! What the suites of architects share; each uses a part of it.
#![allow(dead_code)]

use capwright_backbones::Library;
use capwright_blueprint::{Blueprint, Zoo, schema};
use capwright_contract::Contract;
use capwright_llm::{Completion, Finish, LlmError, Request, TextModel};
use capwright_search::{Architect, Brief, Draft, Judge, Surrogate};
use capwright_study::{Event, Opened, Proposal, Study, Verdict};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Five needs that leave very different designs.
pub const CONTRACTS: [&str; 5] = [
    "request = \"a light captioner\"\n[budgets]\nparams_trainable = 5000000\n[data]\nvocab = 2542",
    "request = \"for a camera\"\n[budgets]\nparams_total = 3000000\nmacs_image = 60000000\n[data]\nvocab = 500",
    "request = \"drawn scenes\"\n[budgets]\nmacs_image = 60000000\nmacs_token = 4000000\n[components]\nimage_sizes = [64, 96]\n[data]\nvocab = 81",
    "request = \"a transformer, 6 MB\"\n[budgets]\nweight_bytes = 6000000\n[components]\nfamilies = [\"transformer\"]\n[data]\nvocab = 2542",
    "request = \"an lstm with attention from scratch\"\n[budgets]\nparams_total = 2000000\n[components]\nscratch = true\nbackbones = []\nfamilies = [\"lstm\"]\nrequired = [\"attention\"]\n[data]\nvocab = 1000",
];

pub fn under(text: &str) -> Contract {
    let text = format!("version = 1\n{text}\ndir = \".\"\n[search]\nrepairs = 2");
    let mut contract = Contract::from_toml(&text).expect("a contract");
    contract.components.backbones.get_or_insert_with(|| Library::default().usual());
    contract
}

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

/// Likewise, and writes several texts at once.
pub struct Together(pub Chance);

impl TextModel for Together {
    fn name(&self) -> String {
        self.0.name()
    }

    fn generate(&mut self, request: &Request) -> Result<Completion, LlmError> {
        self.0.generate(request)
    }

    fn generate_some(&mut self, request: &Request, n: usize) -> Result<Vec<Completion>, LlmError> {
        let of = |i: u64| Request { seed: request.seed.wrapping_add(i), ..request.clone() };
        (0..n as u64).map(|i| self.generate(&of(i))).collect()
    }
}

/// One proposal with its repairs: each draft and what was said of it.
pub fn proposed(study: &mut Study, architect: &mut dyn Architect) -> Vec<(Draft, Verdict)> {
    let contract = study.contract().clone();
    let (judge, proposal) = (judge(&contract), study.next_proposal());
    let mut drafts: Vec<(Draft, Verdict)> = Vec::new();
    for attempt in 0..=contract.search.repairs {
        let taught = Surrogate::of(study);
        let brief = Brief { contract: &contract, study, proposal, attempt, surrogate: taught.as_ref() };
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

/// A made-up quality in 0..1 that rewards a few choices independently of each other, as real designs mostly do.
pub fn quality(blueprint: &Blueprint) -> f64 {
    let json = serde_json::to_value(blueprint).expect("designs are JSON");
    let near = |at: &str, best: f64| {
        let found = json.pointer(at).and_then(serde_json::Value::as_f64);
        found.map_or(0.0, |x| 1.0 - ((x.max(1e-6) / best).ln().abs() / 3.0).min(1.0))
    };
    let is = |at: &str, word: &str| f64::from(u8::from(json.pointer(at).is_some_and(|found| found == word)));
    let terms = [
        is("/encoder/source/backbone", "efficientnet_lite2"),
        is("/encoder/source/cut", "s32"),
        near("/bridge/dim", 256.0),
        is("/decoder/family", "recurrent"),
        is("/decoder/attention", "additive"),
        near("/decoder/hidden", 512.0),
        near("/decoder/dropout_pct", 40.0),
        near("/recipe/lr", 0.001),
        is("/recipe/schedule", "cosine"),
        near("/recipe/batch", 24.0),
    ];
    terms.iter().sum::<f64>() / terms.len() as f64
}

/// A text that nobody wrote, with that verdict.
pub fn draft(proposal: u64, verdict: Verdict) -> Proposal {
    Draft::without_model("by hand".into(), String::new(), 0.0).judged(proposal, 0, verdict)
}
