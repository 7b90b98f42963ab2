//! `capwright caption` and `capwright evaluate`: a model in use.

use crate::cli::{CaptionArgs, EvaluateArgs};
use crate::decoding::decoding;
use crate::failure::Failure;
use crate::score::{report, say_table, warn_of_script};
use crate::{facts, say, say_json};
use capwright_caption_data::{Dataset, Hypothesis, ImageRecord, Split, write_hypotheses};
use capwright_caption_metrics::{CollapseReport, ScoreOptions, score_captions};
use capwright_contract::Decoding;
use capwright_train::{Captioner, Said};
use serde_json::json;
use std::path::Path;

/// Prints captions for photos.
pub fn caption(args: &CaptionArgs) -> Result<(), Failure> {
    let (folders, photos) = match args.models.is_empty() {
        true => args.paths.split_at(1),
        false => (&args.models[..], &args.paths[..]),
    };
    if photos.is_empty() {
        return Err(Failure::input("no photo is given").help("name photos after the model"));
    }
    let model = Captioner::ensemble(folders).map_err(Failure::input)?;
    let decoding = decoding(model.decoding(), model.most_words(), &args.decoding, args.n)?;
    let captions = model.captions(photos, &decoding, args.n).map_err(Failure::input)?;
    let pairs = photos.iter().zip(&captions);
    if args.json {
        let rows: Vec<_> = pairs.map(|(photo, said)| row(photo, said, args.n > 1)).collect();
        return say_json(&rows);
    }
    for (photo, said) in pairs {
        let name = if photos.len() > 1 { format!("{}: ", photo.display()) } else { String::new() };
        for Said { caption, score, .. } in said {
            let score = if args.n > 1 { format!("{score:8.3}  ") } else { String::new() };
            say(format!("{name}{score}{caption}"));
        }
    }
    Ok(())
}

/// The first caption of a photo; where several are asked for, all of them with their scores.
fn row(photo: &Path, said: &[Said], several: bool) -> serde_json::Value {
    // A name need not be Unicode, and JSON must be.
    let image = photo.display().to_string();
    let mut row = json!({ "image": image, "caption": said.first().map_or("", |s| &s.caption) });
    if several {
        row["captions"] = json!(said);
    }
    row
}

/// The split of that name.
pub fn split(name: &str) -> Result<Split, Failure> {
    let unknown =
        |_| Failure::input(format!("there is no split \"{name}\"")).help("choose train, val or test");
    name.parse().map_err(unknown)
}

/// The images of a split, at least one.
pub fn records(data: &Dataset, split: Split) -> Result<Vec<ImageRecord>, Failure> {
    let records: Vec<ImageRecord> = data.records(split).cloned().collect();
    if records.is_empty() {
        let message = format!("{} has no {split} images", data.dir().display());
        return Err(Failure::input(message).help("choose another with --split"));
    }
    Ok(records)
}

/// What a model says of images.
pub fn captions(
    model: &Captioner,
    records: &[ImageRecord],
    decoding: Decoding,
) -> Result<Vec<String>, Failure> {
    let paths: Vec<&Path> = records.iter().map(|image| image.path.as_path()).collect();
    model.caption_with(&paths, decoding).map_err(Failure::input)
}

/// Scores a model on a split.
pub fn evaluate(args: &EvaluateArgs) -> Result<(), Failure> {
    let split = split(&args.split)?;
    let folders = if let Some(model) = &args.model { std::slice::from_ref(model) } else { &args.models[..] };
    let model = Captioner::ensemble(folders).map_err(Failure::input)?;
    let decoding = decoding(model.decoding(), model.most_words(), &args.decoding, 1)?;
    let data = Dataset::load(&args.data).map_err(Failure::input)?;
    let records = records(&data, split)?;
    let captions = captions(&model, &records, decoding)?;
    if let Some(path) = &args.captions {
        let pairs = records.iter().zip(&captions);
        let all: Vec<Hypothesis> = pairs
            .map(|(image, caption)| Hypothesis { image_id: image.id, caption: caption.clone() })
            .collect();
        write_hypotheses(path, &all).map_err(Failure::input)?;
    }
    let references: Vec<Vec<String>> = records.iter().map(|image| image.captions.clone()).collect();
    let options = ScoreOptions { tokenizer: args.tokenizer, ..ScoreOptions::default() };
    warn_of_script(args.tokenizer, references.iter().flatten());
    let scores = score_captions(&captions, &references, &options).map_err(Failure::input)?;
    let said =
        records.iter().zip(&captions).map(|(image, caption)| (image.file_name.as_str(), caption.as_str()));
    let facts = facts::of_folder(data.dir(), said)?;
    if args.json {
        let mut said = report(&captions, &references, &scores, args.tokenizer);
        said.insert("split".to_owned(), json!(split));
        said.insert("data_fingerprint".to_owned(), json!(data.fingerprint()));
        said.insert("decoding".to_owned(), json!(decoding));
        if let Some(facts) = &facts {
            said.insert("facts".to_owned(), facts::as_json(facts));
        }
        return say_json(&said);
    }
    say_table(&scores.corpus, scores.intervals.as_ref(), None);
    facts.iter().for_each(facts::say_table);
    let collapse = CollapseReport::new(&captions);
    let fate = if collapse.is_collapsed() { ", collapsed" } else { "" };
    say(format!("{} {split} images, {} distinct captions{fate}", collapse.images, collapse.distinct));
    say(format!("{decoding}; data {}", data.fingerprint()));
    Ok(())
}

#[cfg(test)]
mod tests {
    #[cfg(unix)]
    #[test]
    fn a_photo_may_have_a_name_that_is_no_unicode() {
        use std::os::unix::ffi::OsStrExt;
        let photo = std::path::Path::new(std::ffi::OsStr::from_bytes(b"caf\xe9.jpg"));
        assert_eq!(super::row(photo, &[], true)["image"], "caf\u{fffd}.jpg");
    }
}
