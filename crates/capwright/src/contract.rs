//! `capwright contract`: from a sentence to a contract, with everything said that was understood and that was not.

use crate::cli::ContractArgs;
use crate::failure::Failure;
use crate::search::text_model;
use crate::{say, say_json, setup};
use capwright_backbones::{Library, zoo};
use capwright_contract::{
    Clause, Contract, Demand, Impossible, Understood, impossible, know_backbones, parse_request,
    parse_request_with,
};
use capwright_files::write_atomic;
use capwright_search::clause_of;
use serde_json::json;
use std::io::{IsTerminal, Write};
use std::path::Path;

/// Words of the vocabulary for which a contract without data is checked, where it allows so many.
const VOCAB: usize = 2_500;

/// Words of the smallest vocabulary: the four specials and one more.
const LEAST_VOCAB: usize = 5;

/// `capwright contract`.
pub fn contract(args: &ContractArgs) -> Result<(), Failure> {
    let understood = understand(args)?;
    tell(&understood);
    refuse_errors(&understood)?;
    let contract = &understood.contract;
    let text = text_of(&understood)?;
    possible(contract)?;
    if args.json {
        say_json(&json!({ "understood": understood, "toml": text }))?;
    } else {
        say(text.trim_end());
    }
    match &args.out {
        Some(path) if args.yes || agreed(path)? => {
            write_atomic(path, text.as_bytes()).map_err(|error| Failure::file(path, error))?;
            tell!("written to {}", path.display());
            Ok(())
        }
        Some(path) => Err(Failure::input(format!("{} was not written", path.display()))),
        None => Ok(()),
    }
}

/// Sections of settings, which have defaults: some of them depend on the data, and on whether a model is refined.
const SETTINGS: [&str; 3] = ["decoding", "training", "search"];

/// The contract as a file, without the settings that the request does not name: written, a default would count as demanded.
fn text_of(understood: &Understood) -> Result<String, Failure> {
    understood.contract.check().map_err(Failure::input)?;
    let value = |contract: &Contract| serde_json::to_value(contract).map_err(Failure::input);
    let (mut all, open) = (value(&understood.contract)?, value(&Contract::default())?);
    let named: Vec<&str> = setup::settings(understood).collect();
    for section in SETTINGS {
        if let Some(fields) = all[section].as_object_mut() {
            fields.retain(|field, set| {
                let clause = format!("{section}.{field}");
                *set != open[section][field.as_str()] || named.contains(&clause.as_str())
            });
        }
    }
    if let Some(all) = all.as_object_mut() {
        all.retain(|_, section| *section != json!({}));
    }
    toml::to_string(&all).map_err(Failure::input)
}

/// Refuses a contract that no design can keep, whatever the data. One that a smaller vocabulary than the usual one would let be
/// kept is told of: how many words there are is for the data to say.
fn possible(contract: &Contract) -> Result<(), Failure> {
    let Counted { words, reasons } = counted(contract);
    match reasons {
        None => Ok(()),
        Some((reasons, false)) => {
            tell!("with a vocabulary of {words} words, {reasons}");
            tell!("with fewer words the contract can be kept; a search counts those of its data");
            Ok(())
        }
        Some((reasons, true)) => {
            let of_cost = reasons.demands.iter().any(|(demand, _)| matches!(demand, Demand::Budget(_)));
            let failure = Failure::unmet(reasons);
            let help = format!("costs are those of a vocabulary of {words} words");
            Err(if of_cost { failure.help(help) } else { failure })
        }
    }
}

/// What stands against a contract at the vocabulary that it is checked for.
struct Counted {
    /// Words of that vocabulary.
    words: usize,
    /// The demands that contradict each other, and whether they do so for every vocabulary.
    reasons: Option<(Impossible, bool)>,
}

fn counted(contract: &Contract) -> Counted {
    let zoo = Library::default();
    let with = |words: usize| {
        let mut probe = contract.clone();
        probe.data.vocab = words;
        impossible(&probe, &zoo, probe.target())
    };
    let most = contract.data.max_vocab.and_then(|most| usize::try_from(most).ok());
    let words = most.map_or(VOCAB, |most| most.min(VOCAB));
    let reasons = with(words).map(|reasons| (reasons, with(LEAST_VOCAB).is_some()));
    Counted { words, reasons }
}

/// Reads the request; a language model, if there is one, says what doubtful numbers are about.
fn understand(args: &ContractArgs) -> Result<Understood, Failure> {
    if !args.llm.is_named() {
        return Ok(parse_request(&args.request));
    }
    let mut model = text_model(&args.llm)?;
    let mut failed = None;
    let mut ask = |phrase: &str| -> Option<Clause> {
        if failed.is_some() {
            return None;
        }
        clause_of(model.as_mut(), &args.request, phrase).unwrap_or_else(|error| {
            failed = Some(error);
            None
        })
    };
    let understood = parse_request_with(&args.request, &mut ask);
    if let Some(error) = failed {
        tell!("the language model did not answer ({error}); the request is read without it");
        return Ok(parse_request(&args.request));
    }
    Ok(understood)
}

/// Says on standard error what was understood, from where, and what was not.
pub fn tell(understood: &Understood) {
    for reading in &understood.understood {
        tell!("understood \"{}\": {} [{}]", reading.phrase, reading.meaning, reading.clause);
    }
    for reading in &understood.ambiguous {
        tell!("understood with a doubt \"{}\": {} [{}]", reading.phrase, reading.meaning, reading.clause);
    }
    for ignored in &understood.ignored {
        tell!("not used \"{}\": {}", ignored.phrase, ignored.why);
    }
}

/// Refuses a request with phrases that cannot be kept, all of them at once.
pub fn refuse_errors(understood: &Understood) -> Result<(), Failure> {
    if understood.errors.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> =
        understood.errors.iter().map(|e| format!("  \"{}\": {}", e.phrase, e.why)).collect();
    Err(Failure::input(format!("the request cannot be met:\n{}", lines.join("\n"))))
}

/// Asks once, where there is somebody to ask.
fn agreed(path: &Path) -> Result<bool, Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::input("nobody can be asked whether this is what was meant").help("add --yes"));
    }
    write!(std::io::stderr(), "Is this what you meant? Write it to {}? [y/N] ", path.display())
        .map_err(Failure::input)?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).map_err(Failure::input)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes" | "是" | "好"))
}

/// What a contract file itself sets in a section, which a contract does not tell from defaults.
pub fn said(path: &Path, section: &str) -> toml::Table {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let table: toml::Table = toml::from_str(&text).unwrap_or_default();
    table.get(section).and_then(toml::Value::as_table).cloned().unwrap_or_default()
}

/// Reads a contract file, which may name backbones of one's own.
pub fn read(path: &Path) -> Result<Contract, Failure> {
    know_backbones(
        zoo().iter().filter(|backbone| backbone.is_own()).map(|backbone| backbone.name.to_owned()),
    );
    let text = std::fs::read_to_string(path).map_err(|error| Failure::file(path, error))?;
    Contract::from_toml(&text).map_err(|error| Failure::file(path, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words that a request is checked for, and whether it is refused: for no vocabulary, some, or every one.
    fn verdict(request: &str) -> (usize, Option<bool>) {
        let understood = parse_request(request);
        assert!(understood.errors.is_empty() && understood.ignored.is_empty(), "{understood:?}");
        let Counted { words, reasons } = counted(&understood.contract);
        (words, reasons.map(|(_, always)| always))
    }

    #[test]
    fn only_what_no_vocabulary_makes_possible_is_refused() {
        assert_eq!(verdict("at most 5 million parameters"), (2_500, None));
        assert_eq!(verdict("at most 100,000 parameters"), (2_500, Some(false)));
        let few = "at most 100,000 parameters, vocabulary of at most 300 words";
        assert_eq!(verdict(few), (300, None));
        assert_eq!(verdict("at most 1,000 parameters"), (2_500, Some(true)));
    }
}
