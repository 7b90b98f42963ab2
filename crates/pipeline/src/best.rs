//! The best model as one self-contained folder, every file named by its sha256.

use crate::files::{StudyFolder, write_json};
use capwright_blueprint::Cost;
use capwright_files::{is_temporary, sha256_file, sync_folder, write_atomic};
use capwright_study::{Scores, Study, TrialStatus};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

/// What a model folder says of itself, in `card.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelCard {
    /// Trial of the study that made it.
    pub trial: u64,
    /// The run of a finalist that the weights are of, where it is not the trial itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<u64>,
    /// Who proposed the design.
    pub author: String,
    /// Canonical hash of the blueprint.
    pub blueprint_hash: String,
    /// Static cost.
    pub cost: Cost,
    /// Scores on the validation split, on which it was selected.
    pub validation: Scores,
    /// Scores on the test split, measured once, when the study was over; none where the data has no test split.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<Scores>,
    /// Fingerprint of the data.
    pub data_fingerprint: String,
    /// Seed of the study.
    pub seed: u64,
    /// Wall seconds of the trial.
    #[serde(default)]
    pub training_seconds: Option<f64>,
    /// Peak resident memory of the trial's process, in bytes.
    #[serde(default)]
    pub training_memory_bytes: Option<u64>,
    /// Tokens that the architect had read and written when the model was chosen.
    #[serde(default)]
    pub llm_tokens: Option<u64>,
    /// What they cost in US dollars, nothing in this process; none where nobody says what those of a server cost.
    #[serde(default)]
    pub llm_usd: Option<f64>,
}

/// What the names of folders begin with in which a best folder is made.
const STAGING: &str = ".best-";

/// The card's file in a model folder.
const CARD: &str = "card.json";

/// What the names of authors begin with whose language model runs in this process.
const IN_PROCESS: &str = "llm:embedded:";

impl ModelCard {
    /// The card of a model folder.
    ///
    /// # Errors
    /// Whatever the file system answers, `NotFound` for a model without one; `InvalidData` for a card that is none.
    pub fn read(model: &Path) -> io::Result<Self> {
        let text = fs::read_to_string(model.join(CARD))?;
        serde_json::from_str(&text).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }
}

/// The manifest: sha256 of every other file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Manifest {
    files: BTreeMap<String, String>,
}

/// Copies the model of a trial's best run to the study's `best/` with contract, card and manifest.
///
/// # Errors
/// Whatever the file system answers; `NotFound` where the trial has no model.
pub fn keep_best(folder: &StudyFolder, study: &Study, trial: u64) -> io::Result<()> {
    let Some(record) = study.trials.get(&trial) else { return Err(io::ErrorKind::NotFound.into()) };
    let run = study.best_run(trial);
    let Some(TrialStatus::Finished(result)) = study.run(run).map(|run| &run.status) else {
        return Err(io::ErrorKind::NotFound.into());
    };
    let spent = study.tokens();
    let tokens = spent.prompt + spent.completion;
    let card = ModelCard {
        trial,
        run: (run != trial).then_some(run),
        author: record.author.clone(),
        blueprint_hash: record.hash.clone(),
        cost: record.cost,
        validation: result.scores.clone(),
        test: None,
        data_fingerprint: study.contract().data.fingerprint.clone(),
        seed: study.contract().training.seed,
        training_seconds: Some(result.seconds),
        training_memory_bytes: result.peak_memory_bytes,
        llm_tokens: Some(tokens),
        llm_usd: usd(study),
    };
    put_best(folder, &folder.trial(run).join(&result.model), &card)
}

/// What the tokens of a study cost in US dollars; none where servers wrote some and the contract has no price.
fn usd(study: &Study) -> Option<f64> {
    let paid = study.authors.iter().filter(|(author, _)| !author.starts_with(IN_PROCESS));
    let tokens = paid
        .fold(0, |sum: u64, (_, a)| sum.saturating_add(a.prompt_tokens).saturating_add(a.completion_tokens));
    match study.contract().search.usd_per_million_tokens {
        _ if tokens == 0 => Some(0.0),
        price => price.map(|price| tokens as f64 * price / 1e6),
    }
}

/// Makes the best folder of the files of a model and its card. The new folder is complete before the old one goes.
fn put_best(folder: &StudyFolder, model: &Path, card: &ModelCard) -> io::Result<()> {
    clear_staging(folder.root());
    let staging = tempfile::Builder::new().prefix(STAGING).tempdir_in(folder.root())?;
    let target = staging.path().join("model");
    copy_files(model, &target)?;
    copy_durably(&folder.contract(), &target.join("contract.toml"))?;
    write_json(&target.join(CARD), card)?;
    write_manifest(&target)?;
    let best = folder.best();
    if best.exists() {
        fs::rename(&best, staging.path().join("old"))?;
    }
    fs::rename(&target, &best)?;
    sync_folder(folder.root());
    Ok(())
}

/// Removes what a process left that was killed while it made a best folder; only one at a time does.
fn clear_staging(root: &Path) {
    for entry in fs::read_dir(root).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(STAGING) {
            // What cannot be removed does no harm.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Writes the scores of the test split into the card of the best model.
///
/// # Errors
/// Whatever the file system answers; `InvalidData` for a card that is none.
pub fn note_test(folder: &StudyFolder, scores: &Scores) -> io::Result<()> {
    let best = folder.best();
    let card = ModelCard { test: Some(scores.clone()), ..ModelCard::read(&best)? };
    put_best(folder, &best, &card)
}

fn copy_files(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        // A model folder is flat; its old manifest is written anew, and what a killed worker left half written is no part of it.
        if entry.file_type()?.is_file() && name != "manifest.json" && !is_temporary(&name) {
            copy_durably(&entry.path(), &to.join(name))?;
        }
    }
    Ok(())
}

/// Copies a file to the disk: the folder that it is for must not get its name before it is whole, also where the power fails.
fn copy_durably(from: &Path, to: &Path) -> io::Result<()> {
    fs::copy(from, to)?;
    fs::File::open(to)?.sync_all()
}

fn write_manifest(folder: &Path) -> io::Result<()> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        files.insert(entry.file_name().to_string_lossy().into_owned(), sha256_file(&entry.path())?);
    }
    let text = serde_json::to_string_pretty(&Manifest { files }).map_err(io::Error::other)?;
    write_atomic(&folder.join("manifest.json"), text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use capwright_study::{Event, conformance};

    #[test]
    fn a_model_in_this_process_costs_nothing_and_a_server_what_the_contract_says() {
        let mut opened = conformance::opened();
        assert_eq!(usd(&Study::fold([&opened]).expect("a study")), Some(0.0), "nothing was asked");
        let mut cost = |author: &str, price: Option<f64>| {
            if let Event::StudyOpened(opened) = &mut opened {
                opened.contract.search.usd_per_million_tokens = price;
            }
            // 110 tokens.
            let mut draft = conformance::draft(1, 0, conformance::admitted(1, "resnet18"));
            draft.author = author.to_owned();
            usd(&Study::fold([opened.clone(), Event::Proposed(Box::new(draft))]).expect("a study"))
        };
        assert_eq!(cost("llm:embedded:small", None), Some(0.0));
        assert_eq!(cost("llm:embedded:small", Some(1e6)), Some(0.0));
        assert_eq!(cost("llm:large at localhost:80", None), None);
        assert_eq!(cost("llm:large at localhost:80", Some(1e6)), Some(110.0));
    }

    #[test]
    fn what_a_killed_worker_left_is_no_part_of_a_model() {
        let home = tempfile::tempdir().expect("a folder");
        let (from, to) = (home.path().join("from"), home.path().join("to"));
        fs::create_dir(&from).expect("a folder");
        for name in ["weights.safetensors", "manifest.json", ".part-8aQANl"] {
            fs::write(from.join(name), b"x").expect("a file");
        }
        copy_files(&from, &to).expect("a copy");
        let names: Vec<_> =
            fs::read_dir(&to).expect("a folder").map(|entry| entry.expect("a file").file_name()).collect();
        assert_eq!(names, ["weights.safetensors"]);
    }
}
