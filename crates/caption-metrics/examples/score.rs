//! Scores captions in COCO's format with all metrics.
//!
//! `cargo run --release -p capwright-caption-metrics --example score -- captions.json results.json`: an annotation
//! file, and a list of
//! `{"image_id": …, "caption": …}` with one caption for each image. At most five references of an image are used. A
//! third argument is the number of bootstrap draws, 0 for no intervals.

use capwright_caption_metrics::{ScoreOptions, score_captions};
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::error::Error;

#[derive(Deserialize)]
struct Annotations<'a> {
    #[serde(borrow)]
    annotations: Vec<Caption<'a>>,
}

#[derive(Deserialize)]
struct Caption<'a> {
    image_id: u64,
    #[serde(borrow)]
    caption: Cow<'a, str>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let paths: Vec<String> = std::env::args().skip(1).collect();
    let (references, results, resamples) = match &paths[..] {
        [references, results] => (references, results, 1_000),
        [references, results, resamples] => (references, results, resamples.parse()?),
        _ => return Err("give two files and perhaps a number: captions.json results.json [draws]".into()),
    };
    let (references, results) = (std::fs::read_to_string(references)?, std::fs::read_to_string(results)?);
    let mut by_image: BTreeMap<u64, Vec<Cow<str>>> = BTreeMap::new();
    for Caption { image_id, caption } in serde_json::from_str::<Annotations>(&references)?.annotations {
        let captions = by_image.entry(image_id).or_default();
        if captions.len() < 5 {
            captions.push(caption);
        }
    }
    let results: Vec<Caption> = serde_json::from_str(&results)?;
    let refs: Vec<Vec<Cow<str>>> =
        results.iter().map(|r| by_image.get(&r.image_id).cloned().unwrap_or_default()).collect();
    let hyps: Vec<Cow<str>> = results.into_iter().map(|r| r.caption).collect();
    let options = ScoreOptions { resamples, ..ScoreOptions::default() };
    let scores = score_captions(&hyps, &refs, &options)?;
    println!("{}", serde_json::to_string_pretty(&scores)?);
    Ok(())
}
