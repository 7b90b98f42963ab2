//! `capwright zoo`, `capwright weights` and `capwright check`: the language and its library.

use crate::cli::CheckArgs;
use crate::failure::Failure;
use crate::{say, say_json};
use capwright_backbones::{Backbone, Library, find, zoo};
use capwright_blueprint::{
    Checked, Diagnostic, MAX_TEXT, Target, check as check_blueprint, from_value, read,
};
use capwright_fetch::{Artifact, Cache, Source, sha256_of};
use capwright_llm::default_model;
use capwright_study::{WeightsFile, describe};
use serde_json::json;
use std::fs;
use std::io::Read;
use std::path::Path;

/// The cache of fetched files.
pub fn cache() -> Result<Cache, Failure> {
    let cache = Cache::open_default().map_err(Failure::input)?;
    Ok(cache.with_progress(crate::watch::fetching()))
}

/// The weights of a backbone from the cache, or fetched.
pub fn weights(cache: &Cache, backbone: &Backbone) -> Result<WeightsFile, Failure> {
    let path = cache.get(&backbone.weights()).map_err(Failure::input)?;
    let sha256 = sha256_of(&path).map_err(|error| Failure::file(&path, error))?;
    Ok(WeightsFile { path, sha256 })
}

/// The name under which `weights fetch` knows the default language model.
const LANGUAGE_MODEL: &str = "smollm2";

fn known(name: &str) -> Result<&'static Backbone, Failure> {
    find(name).ok_or_else(|| {
        let names = zoo().iter().map(|b| b.name).chain([LANGUAGE_MODEL]).collect::<Vec<_>>().join(", ");
        Failure::input(format!("there are no weights called \"{name}\""))
            .help(format!("choose one of: {names}"))
    })
}

/// `capwright weights fetch`.
pub fn fetch(name: &str, file: Option<&Path>) -> Result<(), Failure> {
    let artifact = if name == LANGUAGE_MODEL { default_model() } else { known(name)?.weights() };
    let artifact = match file {
        Some(file) => Artifact { sources: vec![Source::Local(file.to_path_buf())], ..artifact },
        None => artifact,
    };
    let path = cache()?.get(&artifact);
    say(path.map_err(Failure::input)?.display());
    Ok(())
}

/// `capwright zoo list`.
pub fn list(json: bool) -> Result<(), Failure> {
    let cache = cache()?;
    let rows: Vec<serde_json::Value> = zoo()
        .iter()
        .map(|b| {
            let cuts = b.cut_shapes(b.default_size).unwrap_or_default();
            let macs = b.graph(b.default_size).map_or(0, |built| built.graph.macs());
            json!({
                "name": b.name, "parameters": b.parameters, "macs": macs, "input": b.default_size, "top1": b.top1,
                "licence": b.licence, "cached": cache.cached(&b.weights()).is_some(), "paper": b.paper,
                "cuts": cuts.iter().map(|(cut, s)| json!({"cut": cut, "shape": [s.c, s.h, s.w]})).collect::<Vec<_>>(),
            })
        })
        .collect();
    if json {
        return say_json(&rows);
    }
    say(format!(
        "{:<20} {:>10} {:>8} {:>6} {:>6} {:<14} weights",
        "name", "parameters", "MMACs", "input", "top-1", "licence"
    ));
    for (b, row) in zoo().iter().zip(&rows) {
        let macs = row["macs"].as_u64().unwrap_or_default() as f64 / 1e6;
        let cached = if row["cached"] == true { "in the cache" } else { "to be fetched" };
        say(format!(
            "{:<20} {:>10} {:>8.0} {:>6} {:>6.1} {:<14} {cached}",
            b.name, b.parameters, macs, b.default_size, b.top1, b.licence
        ));
    }
    Ok(())
}

/// `capwright check`.
pub fn check(args: &CheckArgs) -> Result<(), Failure> {
    // One byte more than a blueprint may have is enough to refuse it.
    let mut text = String::new();
    let file = fs::File::open(&args.file).map_err(|error| Failure::file(&args.file, error))?;
    file.take(MAX_TEXT as u64 + 1)
        .read_to_string(&mut text)
        .map_err(|error| Failure::file(&args.file, error))?;
    let target = Target { vocab: args.vocab, max_words: args.max_words };
    match parse(&text, &args.file, target)? {
        Ok(checked) => report(&checked, args.json),
        Err(diagnostics) => {
            if args.json {
                say_json(&json!({ "ok": false, "diagnostics": diagnostics }))?;
            }
            let lines: Vec<String> = diagnostics.iter().map(|d| format!("  {d}")).collect();
            let count = diagnostics.len();
            let noun = if count == 1 { "problem" } else { "problems" };
            let path = args.file.display();
            Err(Failure::input(format!("{path}: {count} {noun}\n{}", lines.join("\n"))))
        }
    }
}

fn parse(text: &str, path: &Path, target: Target) -> Result<Result<Checked, Vec<Diagnostic>>, Failure> {
    let blueprint = if path.extension().is_some_and(|ending| ending == "toml") {
        let value: toml::Value = toml::from_str(text).map_err(|error| Failure::file(path, error))?;
        from_value(serde_json::to_value(value).map_err(Failure::input)?)
    } else {
        read(text)
    };
    Ok(blueprint.and_then(|blueprint| check_blueprint(blueprint, &Library::default(), target)))
}

fn report(checked: &Checked, json: bool) -> Result<(), Failure> {
    let cost = checked.cost();
    if json {
        return say_json(&json!({ "ok": true, "hash": checked.hash(), "cost": cost }));
    }
    say(describe(checked.blueprint()));
    say(format!("hash                        {}", checked.hash()));
    say(format!("parameters in all           {}", cost.params_total));
    say(format!("trainable parameters        {}", cost.params_trainable));
    say(format!("multiply-accumulates/image  {}", cost.macs_image));
    say(format!("multiply-accumulates/word   {}", cost.macs_token));
    say(format!("weight bytes (32 bit)       {}", cost.weight_bytes));
    Ok(())
}
