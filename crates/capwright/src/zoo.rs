//! `capwright zoo` and `capwright weights`: the library of backbones.

use crate::failure::Failure;
use crate::{say, say_json};
use capwright_backbones::{Backbone, find, zoo};
use capwright_fetch::{Artifact, Cache, Source, sha256_of};
use capwright_llm::default_model;
use capwright_study::WeightsFile;
use serde_json::json;
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
