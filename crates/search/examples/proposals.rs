//! Asks the embedded model for many proposals and counts what becomes of them.
//!
//! `cargo run --release -p capwright-search --example proposals -- 200 grammar` (or `50 free` for the same model
//! without the grammar); two more arguments are the number
//! of repairs and the seed. Prints one line a draft and a summary.

use capwright_backbones::{Library, SnippetKind, snippets};
use capwright_contract::Contract;
use capwright_fetch::Cache;
use capwright_llm::{Embedded, Options, default_model};
use capwright_search::{Architect, Brief, Judge, LlmArchitect, LlmOptions, Space};
use capwright_study::{Event, Opened, Proposal, Study, Verdict};
use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;

const CONTRACT: &str = r#"
version = 1
request = "a light captioner, under 5 million trainable parameters"
[budgets]
params_trainable = 5000000
[components]
backbones = ["efficientnet_lite0", "mobilenet_v2"]
scratch = true
families = ["lstm", "gru", "transformer"]
image_sizes = []
[decoding]
beam = 3
max_words = 20
[training]
epochs = 6
patience = 3
seed = 1
[search]
trials = 1000000
max_proposals = 1000000
repairs = 2
snippets = 5
[data]
dir = "."
fingerprint = ""
min_count = 5
vocab = 2542
"#;

#[derive(Default)]
struct Tally {
    parsed_first: usize,
    parsed_texts: usize,
    texts: usize,
    admitted_first: usize,
    admitted: usize,
    tokens: usize,
    first_seconds: f64,
    seconds: f64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let count: u64 = args.next().unwrap_or_else(|| "200".into()).parse()?;
    let grammar = args.next().is_none_or(|word| word != "free");
    let mut contract = Contract::from_toml(CONTRACT)?;
    if let Some(repairs) = args.next() {
        contract.search.repairs = repairs.parse()?;
    }
    if let Some(seed) = args.next() {
        contract.training.seed = seed.parse()?;
    }
    let model = Embedded::load(&Cache::open_default()?.get(&default_model())?, &Options::default())?;
    let of = |kind| snippets().into_iter().filter(move |s| s.kind == kind);
    let ideas = SnippetKind::ALL.map(|kind| of(kind).map(|s| s.to_string()).collect()).to_vec();
    // Twice what the longest design takes: without the grammar the model writes on until it is stopped.
    let options = LlmOptions { grammar, max_tokens: 512, ..LlmOptions::default() };
    let mut architect = LlmArchitect::new(Box::new(model), Space::new(&contract), ideas, options);
    let judge = Judge::new(Arc::new(Library::default()), contract.clone());
    let opened = Opened {
        contract: contract.clone(),
        seed: 1,
        architect: architect.name(),
        versions: BTreeMap::new(),
    };
    let mut study = Study::fold([Event::StudyOpened(Box::new(opened))])?;
    let mut tally = Tally::default();
    for proposal in 1..=count {
        one(proposal, &contract, &mut architect, &judge, &mut study, &mut tally)?;
    }
    let n = count as f64;
    println!(
        "{count} proposals, grammar {}: {} of {count} first drafts and {} of {} texts read as blueprints; \
         admitted at first {:.1} %, after repair {:.1} %; {:.0} tokens and {:.1} s a draft, {:.1} s a proposal",
        if grammar { "on" } else { "off" },
        tally.parsed_first,
        tally.parsed_texts,
        tally.texts,
        100.0 * tally.admitted_first as f64 / n,
        100.0 * tally.admitted as f64 / n,
        tally.tokens as f64 / tally.texts as f64,
        tally.first_seconds / n,
        tally.seconds / n,
    );
    Ok(())
}

fn one(
    proposal: u64,
    contract: &Contract,
    architect: &mut LlmArchitect,
    judge: &Judge,
    study: &mut Study,
    tally: &mut Tally,
) -> Result<(), Box<dyn Error>> {
    let mut last: Option<(String, Vec<String>)> = None;
    for attempt in 0..=contract.search.repairs {
        let brief = Brief { contract, study, proposal, attempt };
        let draft = match &last {
            None => architect.propose(&brief)?,
            Some((text, problems)) => architect.repair(&brief, text, problems)?,
        };
        let judgement = judge.judge(&draft.text, study);
        let parsed = !matches!(judgement.verdict, Verdict::Unreadable { .. });
        tally.texts += 1;
        tally.parsed_texts += usize::from(parsed);
        tally.tokens += draft.completion_tokens;
        tally.seconds += draft.seconds;
        if attempt == 0 {
            tally.parsed_first += usize::from(parsed);
            tally.first_seconds += draft.seconds;
            tally.admitted_first += usize::from(judgement.admitted.is_some());
        }
        let problems = judgement.problems();
        println!("{proposal}.{attempt} {:.1}s {}", draft.seconds, problems.first().map_or("admitted", |p| p));
        let done = judgement.admitted.is_some();
        tally.admitted += usize::from(done);
        study.apply(&Event::Proposed(Box::new(Proposal {
            proposal,
            attempt,
            author: draft.author,
            text: draft.text.clone(),
            parents: draft.parents,
            prompt_sha256: draft.prompt_sha256,
            prompt_tokens: draft.prompt_tokens,
            completion_tokens: draft.completion_tokens,
            seconds: draft.seconds,
            verdict: judgement.verdict,
        })))?;
        if done {
            break;
        }
        last = Some((draft.text, problems));
    }
    Ok(())
}
