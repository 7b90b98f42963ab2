//! `capwright caption` and `capwright evaluate`: a model in use.

use crate::cli::{CaptionArgs, EvaluateArgs};
use crate::failure::Failure;
use crate::score::{report, say_table, warn_of_script};
use crate::{say, say_json};
use capwright_caption_data::{Dataset, Hypothesis, ImageRecord, Split, write_hypotheses};
use capwright_caption_metrics::{CollapseReport, ScoreOptions, score_captions};
use capwright_train::Captioner;
use serde_json::json;
use std::path::Path;

/// Prints captions for photos.
pub fn caption(args: &CaptionArgs) -> Result<(), Failure> {
    let model = Captioner::load(&args.model).map_err(Failure::input)?;
    let captions = model.caption(&args.photos).map_err(Failure::input)?;
    let pairs = args.photos.iter().zip(&captions);
    if args.json {
        let rows: Vec<_> =
            pairs.map(|(photo, caption)| json!({ "image": photo, "caption": caption })).collect();
        return say_json(&rows);
    }
    for (photo, caption) in pairs {
        if args.photos.len() == 1 {
            say(caption);
        } else {
            say(format!("{}: {caption}", photo.display()));
        }
    }
    Ok(())
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

/// What a model says of images, decoded as it was trained to be.
pub fn captions(model: &Captioner, records: &[ImageRecord]) -> Result<Vec<String>, Failure> {
    let paths: Vec<&Path> = records.iter().map(|image| image.path.as_path()).collect();
    model.caption(&paths).map_err(Failure::input)
}

/// Scores a model on a split.
pub fn evaluate(args: &EvaluateArgs) -> Result<(), Failure> {
    let split = split(&args.split)?;
    let model = Captioner::load(&args.model).map_err(Failure::input)?;
    let data = Dataset::load(&args.data).map_err(Failure::input)?;
    let records = records(&data, split)?;
    let decoding = model.decoding();
    let captions = captions(&model, &records)?;
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
    if args.json {
        let mut said = report(&captions, &references, &scores, args.tokenizer);
        said.insert("split".to_owned(), json!(split));
        said.insert("data_fingerprint".to_owned(), json!(data.fingerprint()));
        said.insert("decoding".to_owned(), json!(decoding));
        return say_json(&said);
    }
    say_table(&scores.corpus, scores.intervals.as_ref(), None);
    let collapse = CollapseReport::new(&captions);
    let fate = if collapse.is_collapsed() { ", collapsed" } else { "" };
    say(format!("{} {split} images, {} distinct captions{fate}", collapse.images, collapse.distinct));
    say(format!("beam {}, at most {} words; data {}", decoding.beam, decoding.max_words, data.fingerprint()));
    Ok(())
}
