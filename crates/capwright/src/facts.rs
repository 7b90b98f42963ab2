//! How much of what captions say of drawn scenes is true.

use crate::failure::Failure;
use crate::say;
use capwright_caption_data::scenes::{FactualScores, factual_score, has_truth, load_truth};
use serde_json::{Map, Value, json};
use std::path::Path;

/// Scores captions, each with the file name of its image, where the folder holds drawn scenes.
pub fn of_folder<'a>(
    dir: &Path,
    said: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<Option<FactualScores>, Failure> {
    if !has_truth(dir) {
        return Ok(None);
    }
    let truth = load_truth(dir).map_err(Failure::input)?;
    let mut pairs = Vec::new();
    for (file, caption) in said {
        let scene = truth.get(file).ok_or_else(|| {
            Failure::input(format!("truth.json of {} does not know {file}", dir.display()))
                .help("use the folder as make-scenes made it")
        })?;
        pairs.push((caption, scene));
    }
    Ok(Some(factual_score(pairs)))
}

/// Shares of captions, and precision, recall and F1 of each kind of claim.
pub fn as_json(scores: &FactualScores) -> Value {
    let share = |count: usize| count as f64 / scores.captions.max(1) as f64;
    let mut said = Map::new();
    said.insert("exact".to_owned(), json!(share(scores.exact)));
    said.insert("faithful".to_owned(), json!(share(scores.faithful)));
    said.insert("unread_words".to_owned(), json!(scores.unread));
    for (name, aspect) in scores.aspects() {
        let figures = json!({
            "precision": aspect.precision(), "recall": aspect.recall(), "f1": aspect.f1(),
            "claimed": aspect.claimed, "truths": aspect.truths,
        });
        said.insert(name.to_owned(), figures);
    }
    Value::Object(said)
}

/// A line for each kind of claim.
pub fn say_table(scores: &FactualScores) {
    let percent = |count: usize| 100.0 * count as f64 / scores.captions.max(1) as f64;
    say(format!(
        "facts: {:.1} % of the captions tell all of the scene, {:.1} % tell nothing false",
        percent(scores.exact),
        percent(scores.faithful)
    ));
    for (name, aspect) in scores.aspects() {
        let (precision, recall) = (aspect.precision(), aspect.recall());
        say(format!("  {name:<10} precision {precision:.4}  recall {recall:.4}  F1 {:.4}", aspect.f1()));
    }
}
