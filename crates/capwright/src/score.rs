//! `capwright score`: captions against references, without a model.

use crate::cli::ScoreArgs;
use crate::failure::Failure;
use crate::{facts, say, say_json};
use capwright_caption_data::scenes::FactualScores;
use capwright_caption_data::{Dataset, Hypothesis, read_hypotheses, read_references};
use capwright_caption_metrics::{
    CollapseReport, Diversity, Figures, Interval, PairedTest, ScoreOptions, Scores, Tokenizer, score_captions,
};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// Swaps of the paired test.
const SWAPS: usize = 10_000;
/// Problems that are written out.
const SHOWN: usize = 20;

/// Scores a file of captions.
pub fn score(args: &ScoreArgs) -> Result<(), Failure> {
    let references = read_references(&args.refs).map_err(Failure::input)?;
    let options = ScoreOptions {
        tokenizer: args.tokenizer,
        resamples: args.draws,
        seed: args.seed,
        ..ScoreOptions::default()
    };
    warn_of_script(args.tokenizer, references.values().flatten());
    let (captions, refs) = paired(&args.captions, &args.refs, &references)?;
    let scores = score_captions(&captions, &refs, &options).map_err(Failure::input)?;
    let test = match &args.against {
        None => None,
        Some(other) => {
            let (theirs, their_refs) = paired(other, &args.refs, &references)?;
            let same = refs.len() == their_refs.len() && refs == their_refs;
            if !same {
                let message = format!("{} has captions of other images", other.display());
                return Err(Failure::input(message).help("compare captions of the same images"));
            }
            let theirs = score_captions(&theirs, &their_refs, &options).map_err(Failure::input)?;
            Some(scores.compare(&theirs, SWAPS, args.seed).map_err(Failure::input)?)
        }
    };
    let uncaptioned = references.len() - captions.len();
    let facts = args.scenes.as_ref().map(|dir| truth(dir, &args.captions)).transpose()?;
    if args.json {
        let mut said = report(&captions, &refs, &scores, args.tokenizer);
        said.insert("images_without_caption".to_owned(), json!(uncaptioned));
        if let Some(test) = &test {
            said.insert("against".to_owned(), json!(test));
        }
        if let Some(facts) = &facts {
            said.insert("facts".to_owned(), facts::as_json(facts));
        }
        return say_json(&said);
    }
    say_table(&scores.corpus, scores.intervals.as_ref(), test.as_ref());
    facts.iter().for_each(facts::say_table);
    say(format!("{} images", captions.len()));
    if uncaptioned > 0 {
        say(format!("{uncaptioned} images of {} have no caption and are left out", args.refs.display()));
    }
    let collapse = CollapseReport::new(&captions);
    if collapse.is_collapsed() {
        say(format!("collapsed: {} distinct captions", collapse.distinct));
    }
    Ok(())
}

/// How much of a file of captions is true of a folder of drawn scenes.
fn truth(dir: &Path, captions: &Path) -> Result<FactualScores, Failure> {
    let data = Dataset::load(dir).map_err(Failure::input)?;
    let names: BTreeMap<u64, &str> = data.images().iter().map(|i| (i.id, i.file_name.as_str())).collect();
    let said = read_hypotheses(captions).map_err(Failure::input)?;
    let unknown = |id: u64| {
        Failure::input(format!("{} has no image {id}", dir.display()))
            .help("--scenes takes the folder that the captions are about")
    };
    let named = |h: &Hypothesis| names.get(&h.image_id).copied().ok_or_else(|| unknown(h.image_id));
    let files: Vec<&str> = said.iter().map(named).collect::<Result<_, _>>()?;
    let pairs = files.into_iter().zip(said.iter().map(|h| h.caption.as_str()));
    facts::of_folder(data.dir(), pairs)?.ok_or_else(|| {
        Failure::input(format!("{} has no truth.json", dir.display()))
            .help("only folders of `capwright data make-scenes` know what their images show")
    })
}

/// Says on standard error that the references are in a script for which the other tokenizer is made.
pub fn warn_of_script<'a>(tokenizer: Tokenizer, references: impl IntoIterator<Item = &'a String>) {
    let fitting = Tokenizer::fitting(references);
    if fitting == Tokenizer::Characters && tokenizer != fitting {
        tell!(
            "warning: the references have no spaces between words: --tokenizer {fitting} compares characters"
        );
    }
}

/// Everything about captions of a set, for `--json`: the corpus figures by name, what made words of the captions, intervals,
/// diversity and collapse.
pub fn report(
    captions: &[String],
    refs: &[Vec<String>],
    scores: &Scores,
    tokenizer: Tokenizer,
) -> Map<String, Value> {
    let mut said = Map::new();
    for (name, value) in scores.corpus.entries() {
        said.insert(name.to_owned(), json!(value));
    }
    let collapse = CollapseReport::new(captions);
    let words = |captions: &[String]| captions.iter().map(|c| tokenizer.words(c)).collect::<Vec<_>>();
    let all_refs: Vec<String> = refs.iter().flatten().cloned().collect();
    said.insert("tokenizer".to_owned(), json!(tokenizer));
    said.insert("intervals".to_owned(), json!(scores.intervals));
    said.insert("images".to_owned(), json!(collapse.images));
    said.insert("distinct".to_owned(), json!(collapse.distinct));
    said.insert("collapsed".to_owned(), json!(collapse.is_collapsed()));
    said.insert("diversity".to_owned(), json!(Diversity::new(&words(captions), &words(&all_refs), &[])));
    said
}

/// A line for each metric.
pub fn say_table(
    corpus: &Figures<f64>,
    intervals: Option<&Figures<Interval>>,
    test: Option<&Figures<PairedTest>>,
) {
    for (i, (name, value)) in corpus.entries().into_iter().enumerate() {
        let interval = intervals.map_or_else(String::new, |all| {
            let Interval { low, high } = all.entries()[i].1;
            format!("  [{low:.4}, {high:.4}]")
        });
        let test = test.map_or_else(String::new, |all| {
            let PairedTest { difference, p_value, .. } = all.entries()[i].1;
            format!("  {difference:+.4} against the other, p = {p_value:.4}")
        });
        say(format!("{name:<18} {value:.4}{interval}{test}"));
    }
}

/// Captions and the references of their images, in the order of image ids.
fn paired(
    path: &Path,
    refs: &Path,
    references: &BTreeMap<u64, Vec<String>>,
) -> Result<(Vec<String>, Vec<Vec<String>>), Failure> {
    let mut said = read_hypotheses(path).map_err(Failure::input)?;
    said.sort_by_key(|h| h.image_id);
    let unknown: Vec<String> = said
        .iter()
        .filter(|h| !references.contains_key(&h.image_id))
        .map(|h| h.image_id.to_string())
        .collect();
    if !unknown.is_empty() {
        let more = unknown.len().saturating_sub(SHOWN);
        let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
        let list = unknown[..unknown.len().min(SHOWN)].join(", ");
        let message = format!("{} has captions of images without references: {list}{rest}", path.display());
        return Err(Failure::input(message).help(format!("is {} of the same data set?", refs.display())));
    }
    let refs = said.iter().map(|h| references[&h.image_id].clone()).collect();
    Ok((said.into_iter().map(|Hypothesis { caption, .. }| caption).collect(), refs))
}
