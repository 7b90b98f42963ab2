//! `capwright zoo` and `capwright weights`: the library of backbones.

mod draw;
mod own;

pub use own::join_all;

use crate::cli::ZooCommand;
use crate::failure::Failure;
use crate::{say, say_json};
use capwright_backbones::{Backbone, Entry, find, zoo};
use capwright_blueprint::Shape;
use capwright_blueprint::language::Cut;
use capwright_caption_data::{Filter, Framing, Preprocess};
use capwright_fetch::{Cache, FetchError, Source};
use capwright_files::sha256_file;
use capwright_llm::default_model;
use capwright_study::WeightsFile;
use capwright_train::vision::{FrozenNet, Weights};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Names of ImageNet's classes, in the order in which all backbones of the zoo's own give them.
const CLASSES: &str = include_str!("zoo/imagenet.txt");

/// What a classifier of these gives.
const SCORES: Shape = Shape { c: 1000, h: 1, w: 1 };

/// The cache of fetched files.
pub fn cache() -> Result<Cache, Failure> {
    let cache = Cache::open_default().map_err(Failure::input)?;
    Ok(cache.with_progress(crate::watch::fetching()))
}

/// The weights of a backbone from the cache, or fetched.
pub fn weights(cache: &Cache, backbone: &Backbone) -> Result<WeightsFile, FetchError> {
    let artifact = backbone.weights();
    // Those of one's own lie where they were added, and are checked whenever they are opened.
    if let [Source::Local(path)] = &artifact.sources[..] {
        return Ok(WeightsFile { path: path.clone(), sha256: artifact.sha256.as_str().to_owned() });
    }
    let path = cache.get(&artifact)?;
    match sha256_file(&path) {
        Ok(sha256) => Ok(WeightsFile { path, sha256 }),
        Err(source) => Err(FetchError::Cache { path, source }),
    }
}

/// Whether the weights are on this machine.
fn here(cache: &Cache, backbone: &Backbone) -> bool {
    let artifact = backbone.weights();
    matches!(artifact.sources[..], [Source::Local(_)]) || cache.cached(&artifact).is_some()
}

/// The name under which `weights fetch` knows the default language model.
const LANGUAGE_MODEL: &str = "smollm2";

fn known(name: &str) -> Result<&'static Backbone, Failure> {
    find(name).ok_or_else(|| {
        Failure::input(format!("there is no backbone \"{name}\""))
            .help("`capwright zoo list` names them all; `weights fetch` knows smollm2 too")
    })
}

/// `capwright weights fetch`.
pub fn fetch(name: &str, file: Option<&Path>) -> Result<(), Failure> {
    let artifact = if name == LANGUAGE_MODEL { default_model() } else { known(name)?.weights() };
    let cache = cache()?;
    let path = match file {
        Some(file) => cache.take(&artifact, file),
        None => cache.get(&artifact),
    };
    say(path.map_err(Failure::input)?.display());
    Ok(())
}

/// The commands of `capwright zoo`.
pub fn run(command: ZooCommand) -> Result<(), Failure> {
    match command {
        ZooCommand::List { max_params, max_macs, min_top1, licence, stride: wanted, json } => {
            let holds = |b: &Backbone, macs: u64, cuts: &BTreeMap<Cut, Shape>| {
                max_params.is_none_or(|most| b.parameters <= most)
                    && max_macs.is_none_or(|most| macs <= most)
                    && min_top1.is_none_or(|least| b.top1 >= least)
                    && licence.as_ref().is_none_or(|licence| b.licence.eq_ignore_ascii_case(licence))
                    && wanted.is_none_or(|wanted| cuts.keys().any(|cut| cut.stride() == wanted))
            };
            list(holds, json)
        }
        ZooCommand::Show { name, size, svg, graph, json } => {
            if let Some(path) = graph {
                write_entry(known(&name)?, &path)?;
            }
            show(&name, size, svg.as_deref(), json)
        }
        ZooCommand::Add { folder } => own::add(&folder),
        ZooCommand::Remove { name } => own::remove(&name),
        ZooCommand::Verify { name, photos, json } => verify(&name, &photos, json),
    }
}

/// Writes a backbone in the form in which one's own are added.
fn write_entry(backbone: &Backbone, path: &Path) -> Result<(), Failure> {
    let entry = Entry::of(backbone).map_err(Failure::input)?;
    let text = serde_json::to_string_pretty(&entry).map_err(Failure::input)?;
    capwright_files::write_atomic(path, text.as_bytes()).map_err(|error| Failure::file(path, error))
}

/// `capwright zoo list`: those for which `holds`, given their work for an image and their cuts.
fn list(holds: impl Fn(&Backbone, u64, &BTreeMap<Cut, Shape>) -> bool, json: bool) -> Result<(), Failure> {
    let cache = cache()?;
    let mut rows = Vec::new();
    for b in zoo() {
        let built = b.graph(b.default_size).map_err(Failure::input)?;
        let macs = built.graph.macs();
        let cuts = built.cuts.iter().map(|(cut, id)| (*cut, built.graph.shape(*id))).collect();
        if !holds(b, macs, &cuts) {
            continue;
        }
        rows.push(json!({
            "name": b.name, "parameters": b.parameters, "macs": macs, "input": b.default_size, "top1": b.top1,
            "licence": b.licence, "cached": here(&cache, b), "paper": b.paper,
            "cuts": cuts.iter().map(|(cut, s)| json!({"cut": cut, "shape": [s.c, s.h, s.w]})).collect::<Vec<_>>(),
        }));
    }
    if json {
        return say_json(&rows);
    }
    say(format!(
        "{:<20} {:>11} {:>8} {:>6} {:>6} {:<14} weights",
        "name", "parameters", "MMACs", "input", "top-1", "licence"
    ));
    for row in &rows {
        let macs = row["macs"].as_u64().unwrap_or_default() as f64 / 1e6;
        let cached = if row["cached"] == true { "here" } else { "to be fetched" };
        let text = |field: &str| row[field].as_str().unwrap_or_default().to_owned();
        say(format!(
            "{:<20} {:>11} {:>8.0} {:>6} {:>6.1} {:<14} {cached}",
            text("name"),
            row["parameters"].as_u64().unwrap_or_default(),
            macs,
            row["input"].as_u64().unwrap_or_default(),
            row["top1"].as_f64().unwrap_or_default(),
            text("licence")
        ));
    }
    Ok(())
}

/// `capwright zoo show`.
fn show(name: &str, size: Option<usize>, drawing: Option<&Path>, json: bool) -> Result<(), Failure> {
    let backbone = known(name)?;
    let size = size.unwrap_or(backbone.default_size);
    let built = backbone.graph(size).map_err(Failure::input)?;
    let artifact = backbone.weights();
    let sources: Vec<String> = artifact.sources.iter().map(Source::to_string).collect();
    let cuts: Vec<serde_json::Value> = built
        .cuts
        .iter()
        .map(|(cut, id)| {
            let (part, shape) = (built.graph.cut(*id), built.graph.shape(*id));
            let totals = part.totals();
            json!({
                "cut": cut, "stride": cut.stride(), "shape": [shape.c, shape.h, shape.w], "tokens": shape.h * shape.w,
                "parameters": totals.parameters, "macs": totals.macs,
            })
        })
        .collect();
    if let Some(path) = drawing {
        let picture = draw::svg(backbone.name, size, &draw::stages(&built));
        capwright_files::write_atomic(path, picture.as_bytes())
            .map_err(|error| Failure::file(path, error))?;
    }
    let (b, normalisation) = (backbone, backbone.normalisation);
    if json {
        return say_json(&json!({
            "name": b.name, "parameters": b.parameters, "macs": built.graph.macs(), "size": size, "top1": b.top1,
            "licence": b.licence, "paper": b.paper, "upstream": b.upstream, "tag": b.tag, "file": artifact.file_name,
            "sha256": artifact.sha256.as_str(), "sources": sources, "cuts": cuts,
            "input": {
                "size": b.default_size, "resize": b.resize, "filter": b.filter.name(), "mean": normalisation.mean,
                "std": normalisation.std,
            },
        }));
    }
    say(format!("{}: {}", b.name, b.paper));
    say(format!("weights   {} {}, {}, sha256 {}", b.upstream, b.tag, b.licence, artifact.sha256.as_str()));
    sources.iter().for_each(|source| say(format!("          {source}")));
    let (side, resize, filter) = (b.default_size, b.resize, b.filter.name());
    say(format!("accuracy  {:.1} % top-1 on ImageNet, {side} pixels cut from {resize}, {filter}", b.top1));
    say(format!("pixels    mean {:?}, deviation {:?}", normalisation.mean, normalisation.std));
    say(format!(
        "whole     {} parameters, {:.0} MMACs at {size} pixels",
        b.parameters,
        built.graph.macs() as f64 / 1e6
    ));
    say(format!("\n{:<5} {:>14} {:>7} {:>11} {:>8}", "cut", "map", "tokens", "parameters", "MMACs"));
    for (row, (cut, id)) in cuts.iter().zip(&built.cuts) {
        say(format!(
            "{:<5} {:>14} {:>7} {:>11} {:>8.0}",
            cut.to_string(),
            built.graph.shape(*id).to_string(),
            row["tokens"].as_u64().unwrap_or_default(),
            row["parameters"].as_u64().unwrap_or_default(),
            row["macs"].as_f64().unwrap_or_default() / 1e6
        ));
    }
    Ok(())
}

/// `capwright zoo verify`: fetches the weights, checks every tensor, and says what the network sees in photos.
fn verify(name: &str, photos: &[PathBuf], json: bool) -> Result<(), Failure> {
    let backbone = known(name)?;
    let file = weights(&cache()?, backbone).map_err(Failure::input)?;
    let tensors = Weights::of(backbone, &file.path, &file.sha256).map_err(Failure::input)?;
    let graph = backbone.graph(backbone.default_size).map_err(Failure::input)?.graph;
    tensors.matches(&graph).map_err(Failure::input)?;
    let count = graph.parameters().len() + graph.buffers().len();
    if !json {
        say(format!("{name}: all {count} tensors fit; sha256 {}", tensors.sha256()));
    }
    if !photos.is_empty() {
        classifies(name, graph.output_shape())?;
    }
    let net = FrozenNet::load(&graph, &tensors).map_err(Failure::input)?;
    let preprocess = Preprocess {
        framing: Framing::CentreCrop { shorter_side: backbone.resize as u32 },
        filter: match backbone.filter {
            capwright_backbones::Filter::Bilinear => Filter::Bilinear,
            capwright_backbones::Filter::Bicubic => Filter::Bicubic,
        },
        ..Preprocess::new(
            backbone.default_size as u32,
            backbone.normalisation.mean,
            backbone.normalisation.std,
        )
    };
    let mut seen = Vec::new();
    for photo in photos {
        let mut pixels = vec![0.0; preprocess.numel()];
        preprocess.load_chw(photo, &mut pixels).map_err(Failure::input)?;
        let best = top(&net.forward_image(&pixels), 5);
        if !json {
            let words: Vec<String> =
                best.iter().map(|(class, p)| format!("{class} {:.1} %", 100.0 * p)).collect();
            say(format!("{}: {}", photo.display(), words.join(", ")));
        }
        seen.push(json!({
            "photo": photo.display().to_string(),
            "top": best.iter().map(|(class, p)| json!({"class": class, "probability": p})).collect::<Vec<_>>(),
        }));
    }
    if json {
        return say_json(
            &json!({ "name": name, "tensors": count, "sha256": tensors.sha256(), "photos": seen }),
        );
    }
    Ok(())
}

/// Refuses to name classes by what no classifier made.
fn classifies(name: &str, makes: Shape) -> Result<(), Failure> {
    if makes == SCORES {
        return Ok(());
    }
    let why = format!("{name} has no classifier of ImageNet's classes: it makes {makes}, not {SCORES}");
    Err(Failure::input(why).help("leave the photos out: its tensors are checked without them"))
}

/// The most probable classes of ImageNet, by name.
fn top(logits: &[f32], count: usize) -> Vec<(&'static str, f64)> {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let weight = |x: f32| f64::from(x - most).exp();
    let sum: f64 = logits.iter().map(|x| weight(*x)).sum();
    let mut all: Vec<(&str, f64)> = CLASSES.lines().zip(logits.iter().map(|x| weight(*x) / sum)).collect();
    all.sort_by(|a, b| b.1.total_cmp(&a.1));
    all.truncate(count);
    all
}
