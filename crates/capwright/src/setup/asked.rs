//! From request, contract file and flags to a contract.

use crate::cli::{LlmArgs, RunArgs, SearchArgs, SelectArg};
use crate::contract;
use crate::failure::Failure;
use capwright_contract::{Contract, Family, Merit, Objective, Understood, parse_request};
use std::fmt::Display;
use std::path::{Path, PathBuf};

/// The setting of a request that has one default for drawn scenes and another for data.
const EPOCHS: &str = "training.epochs";

/// What a request says, told to people.
pub fn understood(request: &str) -> Result<Understood, Failure> {
    let understood = parse_request(request);
    contract::tell(&understood);
    contract::refuse_errors(&understood)?;
    Ok(understood)
}

/// The contract that file, sentence and flags ask for, without data, and the flags with the epochs that file or sentence name: a
/// contract does not tell these from the default.
pub fn wanted(args: &SearchArgs) -> Result<(Contract, RunArgs), Failure> {
    let (asked, mut run) = (understood(&args.request)?, args.run.clone());
    let mut contract = asked.contract.clone();
    if settings(&asked).any(|clause| clause == EPOCHS) {
        run.epochs = run.epochs.or(Some(contract.training.epochs));
    }
    if let Some(path) = &args.contract {
        let file = contract::read(path)?;
        contract = if args.request.is_empty() { file } else { with_request(&file, &asked)? };
        run.epochs = run.epochs.or_else(|| epochs_of(path));
    }
    Ok((with_flags(contract, args)?, run))
}

/// The clauses that a request sets.
pub fn settings(asked: &Understood) -> impl Iterator<Item = &str> {
    asked.understood.iter().chain(&asked.ambiguous).map(|reading| reading.clause.as_str())
}

/// A contract with what a request demands on top. Settings that the request names hold, also where they are as by default.
pub fn with_request(contract: &Contract, asked: &Understood) -> Result<Contract, Failure> {
    let mut all = contract.joined(&asked.contract).map_err(Failure::input)?;
    let said = &asked.contract;
    for clause in settings(asked) {
        match clause {
            EPOCHS => all.training.epochs = said.training.epochs,
            "decoding.beam" => all.decoding.beam = said.decoding.beam,
            "decoding.max_words" => {
                all.decoding.max_words = all.decoding.max_words.min(said.decoding.max_words);
            }
            "search.trials" => {
                all.search.trials = said.search.trials;
                all.search.max_proposals = said.search.max_proposals;
            }
            _ => {}
        }
    }
    Ok(all)
}

/// The epochs that a contract's file names.
pub fn epochs_of(path: &Path) -> Option<u32> {
    u32::try_from(contract::said(path, "training").get("epochs")?.as_integer()?).ok()
}

/// The data folder that the flags, or else the contract, name.
pub fn named_data(contract: &Contract, run: &RunArgs) -> Option<PathBuf> {
    let named = Some(&contract.data.dir).filter(|dir| !dir.as_os_str().is_empty());
    run.data.as_ref().or(named).cloned()
}

/// A contract with what the flags add to it: of what designs and tokens may be, the stricter holds; how the search goes on is as the
/// flags say.
pub fn with_flags(mut contract: Contract, args: &SearchArgs) -> Result<Contract, Failure> {
    check_words(&contract, &args.run)?;
    let (parts, budgets) = (&mut contract.components, &mut contract.budgets);
    parts.families = both("decoder family", &parts.families, "--family", &families(&args.family)?)?;
    parts.scratch &= !args.no_scratch;
    parts.image_sizes = both("image size", &parts.image_sizes, "--image-size", &args.image_size)?;
    budgets.macs_image = stricter(budgets.macs_image, "--max-macs", args.max_macs);
    contract.search.halving = args.halving.or(contract.search.halving);
    contract.search.finalists = args.finalists.or(contract.search.finalists);
    contract.search.hours = args.hours.or(contract.search.hours);
    contract.search.cpu_hours = args.cpu_hours.or(contract.search.cpu_hours);
    contract.search.snippets = args.snippets.unwrap_or(contract.search.snippets);
    contract.search.blind |= args.blind;
    contract.search.token_budget =
        stricter(contract.search.token_budget, "--token-budget", args.token_budget);
    contract.search.usd_per_million_tokens = args.llm_price.or(contract.search.usd_per_million_tokens);
    if is_unpriced(&contract, &args.llm) {
        return Err(Failure::input("the contract bounds money, and nobody said what tokens cost")
            .help("add --llm-price USD (a million tokens)"));
    }
    if let Some(trials) = args.trials {
        contract.search.trials = trials;
        contract.search.max_proposals = trials.saturating_mul(5);
    }
    Ok(contract)
}

/// What both a contract and a flag allow; an empty list allows everything.
fn both<T: Copy + PartialEq + Display>(
    what: &str,
    allowed: &[T],
    flag: &str,
    named: &[T],
) -> Result<Vec<T>, Failure> {
    if named.is_empty() {
        return Ok(allowed.to_vec());
    }
    let fits = |one: &T| allowed.is_empty() || allowed.contains(one);
    let left: Vec<T> = named.iter().copied().filter(fits).collect();
    if left.is_empty() {
        let list = |all: &[T]| all.iter().map(T::to_string).collect::<Vec<_>>().join(", ");
        let (allowed, named) = (list(allowed), list(named));
        return Err(Failure::input(format!(
            "no {what} is left: contract and request allow {allowed}, {flag} allows {named}"
        ))
        .help(format!("leave {flag} out, or ask for the same in both places")));
    }
    Ok(left)
}

/// The stricter of a contract's bound and a flag's; a flag that loosens nothing is told.
fn stricter(bound: Option<u64>, flag: &str, named: Option<u64>) -> Option<u64> {
    if let (Some(bound), Some(named)) = (bound, named)
        && named > bound
    {
        tell!("{flag} {named} loosens nothing: contract and request allow {bound} at most");
    }
    bound.into_iter().chain(named).min()
}

/// Refuses to count words where a contract asks for pieces of them.
pub fn check_words(contract: &Contract, run: &RunArgs) -> Result<(), Failure> {
    match (contract.data.pieces, run.min_count) {
        (Some(pieces), Some(_)) => Err(Failure::input(format!(
            "--min-count counts whole words, and the contract asks for {pieces} word pieces (data.pieces)"
        ))
        .help("leave --min-count out, or data.pieces of the contract")),
        _ => Ok(()),
    }
}

/// Whether a contract bounds the money of a server whose price it does not have.
pub fn is_unpriced(contract: &Contract, llm: &LlmArgs) -> bool {
    let search = &contract.search;
    search.money_usd.is_some() && search.usd_per_million_tokens.is_none() && llm.url.is_some()
}

/// Puts a score in the place of those that are objectives; costs stay.
pub fn select(contract: &mut Contract, score: Option<SelectArg>) {
    let merit = match score {
        None => return,
        Some(SelectArg::Bleu4) => Merit::Bleu4,
        Some(SelectArg::CiderD) => Merit::CiderD,
    };
    let all = &mut contract.objectives;
    // A tolerance is in the unit of its own score.
    let own = all.iter().copied().find(|objective| objective.merit == merit);
    let at = all.iter().position(|objective| objective.merit.is_score()).unwrap_or(0);
    all.retain(|objective| !objective.merit.is_score());
    all.insert(at, own.unwrap_or(Objective { merit, within: 0.0 }));
}

fn families(flags: &[String]) -> Result<Vec<Family>, Failure> {
    let read = |name: &String| {
        Family::ALL.into_iter().find(|f| f.to_string().eq_ignore_ascii_case(name)).ok_or_else(|| {
            let all = Family::ALL.map(|family| family.to_string().to_lowercase()).join(", ");
            Failure::input(format!("there is no decoder family \"{name}\""))
                .help(format!("choose among {all}"))
        })
    };
    flags.iter().map(read).collect()
}
