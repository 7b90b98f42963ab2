//! `capwright contract`: from a sentence to a contract, with everything said that was understood and that was not.

use crate::cli::ContractArgs;
use crate::failure::Failure;
use crate::search::text_model;
use crate::{say, say_json, setup};
use capwright_contract::{Clause, Contract, Understood, parse_request, parse_request_with};
use capwright_files::write_atomic;
use capwright_search::clause_of;
use serde_json::json;
use std::io::{IsTerminal, Write};
use std::path::Path;

/// Words of the vocabulary for which a contract without data is checked.
const VOCAB: usize = 2_500;

/// `capwright contract`.
pub fn contract(args: &ContractArgs) -> Result<(), Failure> {
    let understood = understand(args)?;
    tell(&understood);
    refuse_errors(&understood)?;
    let contract = &understood.contract;
    let text = text_of(&understood)?;
    let mut probe = contract.clone();
    probe.data.vocab = VOCAB;
    setup::possible(&probe)?;
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

/// Reads a contract file.
pub fn read(path: &Path) -> Result<Contract, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| Failure::file(path, error))?;
    Contract::from_toml(&text).map_err(|error| Failure::file(path, error))
}
