//! Asks the embedded model for many proposals under five contracts, with 0, 1, 5 and 10 snippets, and counts what becomes of them.
//!
//! `cargo run --release -p capwright-search --example proposals -- 25 proposals.jsonl` asks 25 times for each contract and number of
//! snippets, 500 times in all, for two drafts each time; another number after that asks for as many drafts, and `free` at the end leaves the
//! grammar away. What was measured stands in the file, a line a proposal; the same command goes on after an interruption, and prints the
//! table.

use capwright_backbones::{Library, SnippetKind, USUAL, snippets};
use capwright_contract::Contract;
use capwright_fetch::Cache;
use capwright_llm::{Embedded, Options, default_model};
use capwright_search::{Architect, Brief, Judge, LlmArchitect, LlmOptions, Snippet, Space};
use capwright_study::{Event, Opened, Study, Verdict};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fs::{OpenOptions, read_to_string};
use std::io::Write;
use std::sync::Arc;

const CONTRACTS: [&str; 5] = [
    "request = \"a light captioner, under 5 million trainable parameters\"\n[budgets]\nparams_trainable = 5000000\n\
     [components]\nimage_sizes = [224]\n[data]\nvocab = 2542",
    "request = \"for a camera, under 3 million parameters\"\n[budgets]\nparams_total = 3000000\nmacs_image = 60000000\n\
     [data]\nvocab = 500",
    "request = \"a captioner of drawn scenes\"\n[budgets]\nmacs_image = 60000000\nmacs_token = 4000000\n\
     [components]\nimage_sizes = [64, 96]\n[data]\nvocab = 81",
    "request = \"a transformer that takes 20 MB\"\n[budgets]\nweight_bytes = 20000000\n\
     [components]\nfamilies = [\"transformer\"]\n[data]\nvocab = 2542",
    "request = \"an LSTM with attention, trained from scratch\"\n[budgets]\nparams_total = 4000000\n\
     [components]\nbackbones = []\nfamilies = [\"lstm\"]\nrequired = [\"attention\"]\n[data]\nvocab = 1000",
];

const SNIPPETS: [u32; 4] = [0, 1, 5, 10];

/// What became of one proposal.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Line {
    contract: usize,
    snippets: u32,
    /// Texts, and those that read as blueprints.
    texts: u32,
    parsed: u32,
    /// The attempt that was admitted, and the canonical hash of the design.
    admitted: Option<u32>,
    hash: Option<String>,
    read: usize,
    written: usize,
    seconds: f64,
    problems: Vec<String>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let each: u64 = args.next().unwrap_or_else(|| "5".into()).parse()?;
    let path = args.next().unwrap_or_else(|| "proposals.jsonl".into());
    let mut args = args.peekable();
    let drafts =
        args.next_if(|word| word != "free").map_or(Ok(LlmOptions::default().drafts), |n| n.parse())?;
    let grammar = args.next().is_none_or(|word| word != "free");
    // Without the grammar the model writes on until it is stopped.
    let max_tokens = if grammar { LlmOptions::default().max_tokens } else { 512 };
    let options = LlmOptions { grammar, max_tokens, drafts, ..LlmOptions::default() };
    let known = read_to_string(&path).unwrap_or_default();
    let mut lines: Vec<Line> = known.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
    for (number, text) in CONTRACTS.iter().enumerate() {
        for snippets in SNIPPETS {
            let here = |line: &&Line| (line.contract, line.snippets) == (number, snippets);
            if lines.iter().filter(here).count() as u64 >= each {
                continue;
            }
            // A cell is one study, and begins anew.
            lines.retain(|line| !here(&line));
            let cell = cell((number, text), snippets, each, options, &mut |line| {
                writeln!(file, "{}", serde_json::to_string(line)?)?;
                Ok(())
            })?;
            lines.extend(cell);
        }
    }
    print(&lines);
    Ok(())
}

type Told<'a> = &'a mut dyn FnMut(&Line) -> Result<(), Box<dyn Error>>;

/// All proposals of one contract with that many snippets.
fn cell(
    (number, text): (usize, &str),
    k: u32,
    each: u64,
    options: LlmOptions,
    told: Told<'_>,
) -> Result<Vec<Line>, Box<dyn Error>> {
    let text = format!(
        "version = 1\n{text}\ndir = \".\"\n[search]\nsnippets = {k}\ntrials = 1000\nmax_proposals = 1000"
    );
    let contract = Contract::from_toml(&text)?;
    let model = Embedded::load(&Cache::open_default()?.get(&default_model())?, &Options::default())?;
    let known = snippets(|name| contract.components.allows_backbone(name) && USUAL.contains(&name));
    let of = |kind| known.iter().filter(move |s| s.kind == kind);
    let shown = |s: &capwright_backbones::Snippet| Snippet { text: s.to_string(), of: Vec::new() };
    let ideas = SnippetKind::ALL.map(|kind| of(kind).map(shown).collect()).to_vec();
    let judge = Judge::new(Arc::new(Library::default()), contract.clone());
    let mut architect =
        LlmArchitect::new(Box::new(model), Space::new(&contract), judge.clone(), ideas, options);
    let opened = Opened {
        contract: contract.clone(),
        seed: 1,
        architect: architect.name(),
        versions: BTreeMap::new(),
    };
    let mut study = Study::fold([Event::StudyOpened(Box::new(opened))])?;
    let mut lines = Vec::new();
    for proposal in 1..=each {
        let line = one(proposal, (number, k), &mut architect, &judge, &mut study)?;
        let came_of_it = line.admitted.map_or("refused".into(), |attempt| format!("admitted at {attempt}"));
        println!("{number} k={k} {proposal}: {came_of_it}, {:.1} s {:?}", line.seconds, line.problems);
        told(&line)?;
        lines.push(line);
    }
    Ok(lines)
}

fn one(
    proposal: u64,
    (contract_number, snippets): (usize, u32),
    architect: &mut LlmArchitect,
    judge: &Judge,
    study: &mut Study,
) -> Result<Line, Box<dyn Error>> {
    let contract = study.contract().clone();
    let mut line = Line {
        contract: contract_number,
        snippets,
        texts: 0,
        parsed: 0,
        admitted: None,
        hash: None,
        read: 0,
        written: 0,
        seconds: 0.0,
        problems: Vec::new(),
    };
    let mut last: Option<(String, Vec<String>)> = None;
    for attempt in 0..=contract.search.repairs {
        let brief = Brief { contract: &contract, study, proposal, attempt, surrogate: None };
        let draft = match &last {
            None => architect.propose(&brief)?,
            Some((text, problems)) => architect.repair(&brief, text, problems)?,
        };
        let judgement = judge.judge(&draft.text, study);
        line.texts += 1;
        line.parsed += u32::from(!matches!(judgement.verdict, Verdict::Unreadable { .. }));
        line.read += draft.prompt_tokens;
        line.written += draft.completion_tokens;
        line.seconds += draft.seconds;
        if let Verdict::Admitted { hash, .. } = &judgement.verdict {
            (line.admitted, line.hash) = (Some(attempt), Some(hash.clone()));
        }
        let problems = judgement.problems();
        line.problems.extend(problems.first().cloned());
        let text = draft.text.clone();
        study.apply(&Event::Proposed(Box::new(draft.judged(proposal, attempt, judgement.verdict))))?;
        if line.admitted.is_some() {
            break;
        }
        last = Some((text, problems));
    }
    Ok(line)
}

/// Mean and half of its 95 % interval.
fn mean(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let all: Vec<f64> = values.collect();
    let n = all.len().max(1) as f64;
    let mean = all.iter().sum::<f64>() / n;
    let variance = all.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0);
    (mean, 1.96 * (variance / n).sqrt())
}

/// Ends of the 95 % interval of a share (Wilson).
fn share(hits: usize, all: usize) -> String {
    let (n, z) = (all.max(1) as f64, 1.96f64);
    let p = hits as f64 / n;
    let (middle, width) = (p + z * z / (2.0 * n), z * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt());
    let scale = 1.0 + z * z / n;
    format!(
        "{:.1} % ({:.1}-{:.1})",
        100.0 * p,
        100.0 * (middle - width) / scale,
        100.0 * (middle + width) / scale
    )
}

fn print(lines: &[Line]) {
    println!(
        "\n| | proposals | parsed | admitted at first | after repairs | distinct | tokens read | written | seconds |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for k in SNIPPETS {
        row(&format!("k = {k}"), lines.iter().filter(|line| line.snippets == k));
    }
    for number in 0..CONTRACTS.len() {
        row(&format!("contract {}", number + 1), lines.iter().filter(|line| line.contract == number));
    }
    row("all", lines.iter());
}

fn row<'a>(name: &str, lines: impl Iterator<Item = &'a Line>) {
    let lines: Vec<&Line> = lines.collect();
    let count = |of: &dyn Fn(&Line) -> bool| lines.iter().filter(|line| of(line)).count();
    let (texts, parsed) = lines.iter().fold((0, 0), |sum, line| (sum.0 + line.texts, sum.1 + line.parsed));
    let hashes: BTreeSet<_> = lines.iter().filter_map(|l| Some((l.contract, l.hash.as_ref()?))).collect();
    let admitted = count(&|line| line.admitted.is_some());
    let number = |of: fn(&Line) -> f64| {
        let (mean, half) = mean(lines.iter().map(|line| of(line)));
        format!("{mean:.1} ± {half:.1}")
    };
    println!(
        "| {name} | {} | {parsed} of {texts} | {} | {} | {} | {} | {} | {} |",
        lines.len(),
        share(count(&|line| line.admitted == Some(0)), lines.len()),
        share(admitted, lines.len()),
        share(hashes.len(), admitted),
        number(|line| line.read as f64),
        number(|line| line.written as f64),
        number(|line| line.seconds),
    );
}
