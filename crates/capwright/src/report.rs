//! `capwright report`: one HTML page about the captions of models.

use crate::cli::ReportArgs;
use crate::failure::Failure;
use crate::score::warn_of_script;
use crate::{model, say};
use capwright_backbones::find;
use capwright_caption_data::{Dataset, ImageRecord, Split, read_hypotheses};
use capwright_files::folder_of;
use capwright_report::{Image, Licence, MAX_MODELS, Model, Problem, Report, ReportOptions, write};
use capwright_train::Captioner;
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

/// Writes the page.
pub fn report(args: &ReportArgs) -> Result<(), Failure> {
    let split: Split = model::split(&args.split)?;
    let given = models(args)?;
    let data = Dataset::load(&args.data).map_err(Failure::input)?;
    let records = model::records(&data, split)?;
    let mut backbones = BTreeSet::new();
    let mut provenance = vec![
        ("data".to_owned(), args.data.display().to_string()),
        ("fingerprint of the data".to_owned(), data.fingerprint().to_owned()),
        ("split".to_owned(), split.to_string()),
        ("tokenizer".to_owned(), args.tokenizer.to_string()),
        ("capwright".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
    ];
    let mut models = Vec::with_capacity(given.len());
    for (name, path) in given {
        let captions = match path.is_dir() {
            true => model_captions(&path, &name, &records, &mut backbones, &mut provenance)?,
            false => file_captions(&path, &records)?,
        };
        models.push(Model { name, captions });
    }
    let licence = |name: &String| {
        Some(Licence { what: format!("{name} weights"), licence: find(name)?.licence.to_owned() })
    };
    let mut options = ReportOptions::default();
    options.score.tokenizer = args.tokenizer;
    warn_of_script(args.tokenizer, records.iter().flat_map(|image| &image.captions));
    let page = Report {
        title: args.title.clone().unwrap_or_else(|| "Captions".to_owned()),
        images: records.iter().map(image).collect(),
        models,
        training: data.records(Split::Train).flat_map(|image| image.captions.clone()).collect(),
        licences: backbones.iter().filter_map(licence).collect(),
        provenance,
        options,
    };
    write(&page, &args.out).map_err(Failure::input)?;
    say(args.out.display());
    Ok(())
}

fn image(record: &ImageRecord) -> Image {
    Image { id: record.id.to_string(), path: Some(record.path.clone()), references: record.captions.clone() }
}

/// The models by name, once it is sure that there can be a page of them: their captions take long.
fn models(args: &ReportArgs) -> Result<Vec<(String, PathBuf)>, Failure> {
    let models: Vec<(String, PathBuf)> = args.models.iter().map(|given| named(given)).collect();
    let mut problems = Vec::new();
    if models.len() > MAX_MODELS {
        problems.push(Problem::Models(models.len()).to_string());
    }
    let mut names = BTreeSet::new();
    for (name, path) in &models {
        if !names.insert(name) {
            let same = Problem::SameModel(name.clone());
            problems.push(format!("{same}; NAME=PATH gives one another name"));
        }
        if !path.exists() {
            problems.push(format!("there is no {}", path.display()));
        }
    }
    let folder = folder_of(&args.out);
    if !folder.is_dir() {
        problems.push(format!("there is no folder {} for {}", folder.display(), args.out.display()));
    }
    if problems.is_empty() { Ok(models) } else { Err(Failure::input(problems.join("\n"))) }
}

/// `NAME=PATH`, or a path that names itself: a folder `best` by the study that it lies in.
fn named(given: &str) -> (String, PathBuf) {
    if let Some((name, path)) = given.split_once('=')
        && !Path::new(given).exists()
    {
        return (name.to_owned(), PathBuf::from(path));
    }
    let path = PathBuf::from(given);
    // What follows a dot in the name of a folder is no ending.
    let file = |path: &Path| path.file_stem().map(|name| name.to_string_lossy().into_owned());
    let folder = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let own = if path.is_dir() { folder(&path) } else { file(&path) };
    let own = own.unwrap_or_else(|| given.to_owned());
    let study = path.parent().and_then(folder).filter(|_| own == "best");
    (study.unwrap_or(own), path)
}

/// Captions that a model folder gives.
fn model_captions(
    folder: &Path,
    name: &str,
    records: &[ImageRecord],
    backbones: &mut BTreeSet<String>,
    provenance: &mut Vec<(String, String)>,
) -> Result<Vec<String>, Failure> {
    let model = Captioner::load(folder).map_err(Failure::input)?;
    let decoding = model.decoding();
    provenance.push((format!("decoding of {name}"), decoding.to_string()));
    backbones.extend(model.design().backbones().into_iter().map(str::to_owned));
    model::captions(&model, records, decoding)
}

/// Captions of a COCO results file, in the order of the images.
fn file_captions(path: &Path, records: &[ImageRecord]) -> Result<Vec<String>, Failure> {
    let said = read_hypotheses(path).map_err(Failure::input)?;
    let mut by_image: HashMap<u64, String> = said.into_iter().map(|h| (h.image_id, h.caption)).collect();
    let found: Vec<Option<String>> = records.iter().map(|image| by_image.remove(&image.id)).collect();
    let missing = found.iter().filter(|caption| caption.is_none()).count();
    if missing > 0 {
        let message = format!("{} has no caption for {missing} of {} images", path.display(), records.len());
        return Err(Failure::input(message).help("one caption for each image of the split is needed"));
    }
    Ok(found.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_named_by_what_they_are() {
        let name = |given: &str| named(given).0;
        assert_eq!(name("capwright-studies/003/best"), "003");
        assert_eq!(name("results/mine.json"), "mine");
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("lr-0.001/best");
        std::fs::create_dir_all(&folder).unwrap();
        assert_eq!(name(&folder.display().to_string()), "lr-0.001");
        assert_eq!(name(&home.path().join("lr-0.001").display().to_string()), "lr-0.001");
        assert_eq!(named("large=a/b.json"), ("large".to_owned(), PathBuf::from("a/b.json")));
    }
}
