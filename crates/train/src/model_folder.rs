//! The model folder: all that captioning needs, each file named with its sha256 in `manifest.json`.

use crate::error::TrainError;
use crate::extractor::{BackboneWeights, preprocess, weights_of};
use crate::network::Network;
use crate::store;
use crate::vision::Weights;
use capwright_blueprint::{Graph, Param};
use capwright_caption_data::Vocabulary;
use capwright_study::{Scores, TrialSpec};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub(crate) const BLUEPRINT: &str = "blueprint.json";
pub(crate) const DESIGN: &str = "design.json";
pub(crate) const WEIGHTS: &str = "weights.safetensors";
pub(crate) const VOCABULARY: &str = "vocabulary.json";
pub(crate) const PREPROCESS: &str = "preprocess.json";
pub(crate) const DECODING: &str = "decoding.json";
pub(crate) const SCORES: &str = "scores.json";
pub(crate) const MANIFEST: &str = "manifest.json";

/// Files that every model consists of; one with frozen parts has their weights too.
const PARTS: [&str; 5] = [DESIGN, WEIGHTS, VOCABULARY, PREPROCESS, DECODING];

/// Name of the file with the weights of a frozen part, counted from 0.
pub(crate) fn backbone(part: usize) -> String {
    match part {
        0 => "backbone.safetensors".to_owned(),
        more => format!("backbone{}.safetensors", more + 1),
    }
}

/// sha256 in hex of each file of a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// By file name.
    pub files: BTreeMap<String, String>,
}

impl Manifest {
    /// The files with the weights of so many frozen parts, and what their sha256 is.
    ///
    /// # Errors
    /// For those that the manifest does not name.
    pub(crate) fn backbones(&self, folder: &Path, parts: usize) -> Result<Vec<(PathBuf, &str)>, TrainError> {
        let names: Vec<String> = (0..parts).map(backbone).collect();
        self.check_names(folder, names.iter().map(String::as_str))?;
        Ok(names.iter().map(|name| (folder.join(name), self.files[name].as_str())).collect())
    }

    /// What the manifest does not name could be of another model.
    fn check_names<'a>(
        &self,
        folder: &Path,
        names: impl IntoIterator<Item = &'a str>,
    ) -> Result<(), TrainError> {
        let missing: Vec<&str> = names.into_iter().filter(|name| !self.files.contains_key(*name)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let reason = format!("it has no sha256 of {}; copy the model folder again", missing.join(", "));
        Err(TrainError::format(folder.join(MANIFEST), reason))
    }
}

/// Writes the folder; `network` holds the weights that are kept.
///
/// # Errors
/// Where a file cannot be written.
pub(crate) fn write(
    folder: &Path,
    spec: &TrialSpec,
    network: &Network,
    weights: &BackboneWeights,
    vocabulary: &Vocabulary,
    scores: &Scores,
) -> Result<(), TrainError> {
    std::fs::create_dir_all(folder).map_err(TrainError::io(folder))?;
    let design = network.design();
    store::write_json(&folder.join(BLUEPRINT), &spec.blueprint)?;
    store::write_json(&folder.join(DESIGN), design)?;
    network.save(&folder.join(WEIGHTS))?;
    let files = [BLUEPRINT, DESIGN, WEIGHTS, VOCABULARY, PREPROCESS, DECODING, SCORES];
    let mut files: Vec<String> = files.map(str::to_owned).to_vec();
    for (i, frozen) in design.frozen.iter().enumerate() {
        let name = backbone(i);
        write_backbone(&folder.join(&name), &frozen.graph, weights_of(weights, &frozen.name)?)?;
        files.push(name);
    }
    vocabulary.save(folder.join(VOCABULARY))?;
    store::write_json(&folder.join(PREPROCESS), &preprocess(design)?)?;
    store::write_json(&folder.join(DECODING), &spec.decoding)?;
    store::write_json(&folder.join(SCORES), scores)?;
    let mut manifest = Manifest { files: BTreeMap::new() };
    for name in files {
        let sha256 = store::sha256(&folder.join(&name))?;
        manifest.files.insert(name, sha256);
    }
    store::write_json(&folder.join(MANIFEST), &manifest)
}

/// Only what the cut graph uses.
fn write_backbone(path: &Path, graph: &Graph, weights: &Weights) -> Result<(), TrainError> {
    let wanted: Vec<Param> = graph.parameters().into_iter().chain(graph.buffers()).collect();
    let mut tensors = Vec::with_capacity(wanted.len());
    for param in &wanted {
        let tensor = weights.get(&param.name).ok_or_else(|| TrainError::Weight {
            name: param.name.clone(),
            expected: format!("F32 {:?}", param.shape),
            found: "no such tensor".into(),
        })?;
        tensors.push((param.name.as_str(), &param.shape[..], &tensor.values[..]));
    }
    store::write(path, tensors.into_iter())
}

/// Checks each file of the manifest, which names those that every model consists of.
///
/// # Errors
/// A folder without a manifest, a manifest that leaves out such files, or a file that is missing or has another content.
pub(crate) fn verify(folder: &Path) -> Result<Manifest, TrainError> {
    let path = folder.join(MANIFEST);
    if !path.exists() {
        let reason =
            "this is no model folder: it has no manifest.json (a study keeps its best model in best/)";
        return Err(TrainError::format(folder, reason));
    }
    let manifest: Manifest = store::read_json(&path)?;
    manifest.check_names(folder, PARTS)?;
    for (name, expected) in &manifest.files {
        if name.contains(['/', '\\']) || name.starts_with('.') {
            return Err(TrainError::format(&path, format!("{name} is not a file of this folder")));
        }
        let file = folder.join(name);
        let found = store::sha256(&file)?;
        if !found.eq_ignore_ascii_case(expected) {
            let reason =
                format!("sha256 is {found}, but the manifest says {expected}; copy the model folder again");
            return Err(TrainError::format(&file, reason));
        }
    }
    Ok(manifest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_names_the_weights_of_every_frozen_part() {
        let files = BTreeMap::from([("backbone.safetensors".to_owned(), "ab".to_owned())]);
        let (manifest, folder) = (Manifest { files }, Path::new("best"));
        assert!(manifest.backbones(folder, 0).unwrap().is_empty());
        let one = manifest.backbones(folder, 1).unwrap();
        assert_eq!(one, [(folder.join("backbone.safetensors"), "ab")]);
        let error = manifest.backbones(folder, 2).unwrap_err().to_string();
        assert!(error.contains("manifest.json") && error.contains("backbone2.safetensors"), "{error}");
    }
}
