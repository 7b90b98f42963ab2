//! `capwright verify`: every clause of a contract, measured on this machine.

mod licences;
mod machine;
mod measure;

use crate::cli::VerifyArgs;
use crate::failure::Failure;
use crate::model::{records, split};
use crate::{contract, say, say_json};
use capwright_backbones::Library;
use capwright_blueprint::{Blueprint, Checked, check};
use capwright_caption_data::{Dataset, Split};
use capwright_contract::{
    Amount, Certificate, Clause, Contract, Decoding, Family, Measured, Row, Verdict, violations,
};
use capwright_files::{sha256_file, write_atomic};
use capwright_pipeline::ModelCard;
use capwright_train::Captioner;
use measure::Measures;
use std::collections::BTreeMap;
use std::path::Path;

pub use measure::footprint;

/// `capwright verify`.
pub fn verify(args: &VerifyArgs) -> Result<(), Failure> {
    let own = args.model.join("contract.toml");
    let path = args.contract.as_ref().unwrap_or(&own);
    let contract = contract::read(path).map_err(|failure| match args.contract {
        Some(_) => failure,
        None => failure.help("name a contract with --contract; only a study's best/ carries its own"),
    })?;
    // What the file leaves out is the model's own, and no clause.
    let said = contract::said(path, "decoding");
    let split = split(&args.split)?;
    let model = Captioner::load(&args.model).map_err(Failure::input)?;
    let checked = design(&args.model, &model)?;
    let data_dir = args.data.clone().unwrap_or_else(|| contract.data.dir.clone());
    if data_dir.as_os_str().is_empty() {
        return Err(Failure::input("the contract names no data").help("name a data folder with --data"));
    }
    let data = Dataset::load(&data_dir).map_err(Failure::input)?;
    let records = records(&data, split)?;
    let card = card(&args.model)?;
    let decoding = measure::decoding(&said, model.decoding()).map_err(|error| Failure::file(path, error))?;
    let mut measures = Measures::new(&args.model, &model, &contract, decoding, &records);
    let mut rows = static_rows(&contract, &checked);
    rows.extend(licences::of_weights(&contract, &checked));
    rows.extend(licences::of_data(&contract, &licences::files(data.format(), data.dir(), &data_dir)));
    for (clause, bound) in contract.bounds() {
        tell!("measuring {clause}");
        let price = contract.search.usd_per_million_tokens;
        let measured = match measure::fixed(clause, &checked, card.as_ref(), price) {
            Some(found) => found,
            None => measures.of(clause),
        };
        let confident = contract.measuring.confidence > 0.0 && clause.as_str().starts_with("floors.");
        rows.push(Row::of(clause, bound, measured, confident));
    }
    if said.contains_key("max_words") {
        rows.push(longest(&contract, &model));
    }
    let facts = facts(args, &contract, decoding, &data, split, records.len())?;
    conclude(args, &Certificate::new(contract.request.clone(), facts, rows))
}

/// The design of the folder, checked anew: its costs are those that are certified.
fn design(folder: &Path, model: &Captioner) -> Result<Checked, Failure> {
    let path = folder.join("blueprint.json");
    let text = std::fs::read_to_string(&path).map_err(|error| Failure::file(&path, error))?;
    let blueprint: Blueprint = serde_json::from_str(&text).map_err(|error| Failure::file(&path, error))?;
    let checked = check(blueprint, &Library::default(), model.design().target).map_err(|problems| {
        Failure::file(&path, problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
    })?;
    if checked.design() != model.design() {
        return Err(Failure::file(&path, "it does not build the network of design.json"));
    }
    Ok(checked)
}

fn card(folder: &Path) -> Result<Option<ModelCard>, Failure> {
    match ModelCard::read(folder) {
        Ok(card) => Ok(Some(card)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::file(&folder.join("card.json"), error)),
    }
}

/// Clauses about what the design is made of.
fn static_rows(contract: &Contract, checked: &Checked) -> Vec<Row> {
    let broken = violations(checked.blueprint(), &checked.cost(), contract);
    let parts = &contract.components;
    let list = |names: &[String]| names.join(", ");
    let mut clauses: Vec<(Clause, String)> = Vec::new();
    if let Some(names) = &parts.backbones {
        clauses.push((Clause::Backbones, list(names)));
    }
    if !parts.scratch {
        clauses.push((Clause::Scratch, "no".to_owned()));
    }
    if !Family::ALL.iter().all(|family| parts.families.contains(family)) {
        let names: Vec<String> = parts.families.iter().map(ToString::to_string).collect();
        clauses.push((Clause::Families, list(&names)));
    }
    if !parts.image_sizes.is_empty() {
        clauses.push((
            Clause::ImageSizes,
            parts.image_sizes.iter().map(u32::to_string).collect::<Vec<_>>().join(", "),
        ));
    }
    if !parts.required.is_empty() {
        clauses.push((Clause::Required, list(&parts.required)));
    }
    if !parts.forbidden.is_empty() {
        clauses.push((Clause::Forbidden, list(&parts.forbidden)));
    }
    if !contract.ranges.is_empty() {
        let ranges: Vec<String> =
            contract.ranges.iter().map(|(field, range)| format!("{field} {range}")).collect();
        clauses.push((Clause::Ranges, ranges.join("; ")));
    }
    let row = |(clause, bound): (Clause, String)| {
        let found: Vec<String> =
            broken.iter().filter(|v| v.clause == clause).map(|v| v.message.clone()).collect();
        let verdict = if found.is_empty() { Verdict::Met } else { Verdict::Unmet };
        let value = if found.is_empty() { "kept".to_owned() } else { found.join("; ") };
        Row { clause, bound, value, interval: None, verdict, how: "read from the blueprint".to_owned() }
    };
    clauses.into_iter().map(row).collect()
}

fn longest(contract: &Contract, model: &Captioner) -> Row {
    let value = model.decoding().max_words as f64;
    let measured = Measured { value, interval: None, how: "the model's decoding".to_owned() };
    Row::of(Clause::MaxWords, Amount::Whole(contract.decoding.max_words as u64), Ok(measured), false)
}

fn facts(
    args: &VerifyArgs,
    contract: &Contract,
    decoding: Decoding,
    data: &Dataset,
    split: Split,
    images: usize,
) -> Result<BTreeMap<String, String>, Failure> {
    let manifest = args.model.join("manifest.json");
    let sha = sha256_file(&manifest).map_err(|error| Failure::file(&manifest, error))?;
    let text = contract.to_toml().map_err(Failure::input)?;
    let mut facts = machine::facts();
    facts.extend([
        ("capwright".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
        ("model manifest sha256".to_owned(), sha),
        ("contract sha256".to_owned(), machine::sha256(text.as_bytes())),
        ("data fingerprint".to_owned(), data.fingerprint().to_owned()),
        ("data split".to_owned(), format!("{split}, {images} images")),
        ("decoding".to_owned(), decoding.to_string()),
        (
            "measured with".to_owned(),
            format!("device {}, batch {}", contract.measuring.device, contract.measuring.batch),
        ),
    ]);
    Ok(facts)
}

fn conclude(args: &VerifyArgs, certificate: &Certificate) -> Result<(), Failure> {
    if let Some(path) = &args.out {
        let mut json = serde_json::to_string_pretty(certificate).map_err(Failure::input)?;
        json.push('\n');
        for (ending, text) in [("json", json), ("md", certificate.markdown())] {
            let file = path.with_added_extension(ending);
            write_atomic(&file, text.as_bytes()).map_err(|error| Failure::file(&file, error))?;
            tell!("written to {}", file.display());
        }
    }
    if args.json {
        say_json(certificate)?;
    } else {
        say(certificate.markdown().trim_end());
    }
    if certificate.met {
        return Ok(());
    }
    let broken: Vec<String> = certificate
        .clauses
        .iter()
        .filter(|row| row.verdict != Verdict::Met)
        .map(|row| format!("  {}: {} asked, {} ({})", row.clause, row.bound, row.value, row.verdict))
        .collect();
    Err(Failure::unmet(format!("the contract is not met:\n{}", broken.join("\n"))))
}
