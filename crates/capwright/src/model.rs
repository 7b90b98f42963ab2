//! `capwright caption` and `capwright evaluate`: a model in use.

use crate::cli::{CaptionArgs, EvaluateArgs};
use crate::failure::Failure;
use crate::{say, say_json};
use capwright_caption_data::{Dataset, ImageRecord, Split};
use capwright_train::Captioner;
use serde_json::json;

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

/// Scores a model on a split.
pub fn evaluate(args: &EvaluateArgs) -> Result<(), Failure> {
    let split: Split = args.split.parse().map_err(|_| {
        Failure::input(format!("there is no split \"{}\"", args.split)).help("choose train, val or test")
    })?;
    let model = Captioner::load(&args.model).map_err(Failure::input)?;
    let data = Dataset::load(&args.data).map_err(Failure::input)?;
    let records: Vec<ImageRecord> = data.records(split).cloned().collect();
    if records.is_empty() {
        let message = format!("{} has no {split} images", args.data.display());
        return Err(Failure::input(message).help("choose another with --split"));
    }
    let decoding = model.decoding();
    let scores = model.evaluate(&records, decoding).map_err(Failure::input)?.scores;
    let [b1, b2, b3, b4] = scores.bleu;
    if args.json {
        return say_json(&json!({
            "bleu1": b1, "bleu2": b2, "bleu3": b3, "bleu4": b4,
            "images": scores.images, "distinct": scores.distinct, "collapsed": scores.collapsed,
            "split": split, "data_fingerprint": data.fingerprint(), "decoding": decoding,
        }));
    }
    say(format!("BLEU-1 {b1:.4}  BLEU-2 {b2:.4}  BLEU-3 {b3:.4}  BLEU-4 {b4:.4}"));
    let fate = if scores.collapsed { ", collapsed" } else { "" };
    say(format!("{} {split} images, {} distinct captions{fate}", scores.images, scores.distinct));
    say(format!("beam {}, at most {} words; data {}", decoding.beam, decoding.max_words, data.fingerprint()));
    Ok(())
}
