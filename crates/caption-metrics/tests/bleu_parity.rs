//! BLEU equals pycocoevalcap's to 1e-9, on generated sentences and on COCO val2017.
//!
//! The expected numbers come from `tests/fixtures/bleu/make.py`; the rules here repeat the ones there.

mod common;

use capwright_caption_metrics::bleu;
use common::{Sentence, coco_groups, corrupted, fixture};
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Deserialize)]
struct Case {
    name: String,
    hyps: Vec<String>,
    refs: Vec<Vec<String>>,
    expected: [f64; 4],
}

#[derive(Deserialize)]
struct CocoFixture {
    sha256: String,
    images: usize,
    captions: usize,
    expected: BTreeMap<String, [f64; 4]>,
}

fn assert_scores(name: &str, hyps: &[Sentence], refs: &[Vec<Sentence>], expected: [f64; 4]) {
    let scores = bleu(hyps, refs).unwrap().scores;
    for (n, (ours, theirs)) in scores.iter().zip(expected).enumerate() {
        assert!((ours - theirs).abs() < 1e-9, "{name}: BLEU-{} is {ours}, pycocoevalcap has {theirs}", n + 1);
    }
}

#[test]
fn equals_pycocoevalcap_on_generated_sentences() {
    let cases: Vec<Case> = serde_json::from_str(&fixture("bleu/synthetic.json")).unwrap();
    assert!(cases.len() >= 10);
    let words = |s: &String| s.split_whitespace().map(str::to_owned).collect::<Sentence>();
    for case in cases {
        let hyps: Vec<Sentence> = case.hyps.iter().map(words).collect();
        let refs: Vec<Vec<Sentence>> = case.refs.iter().map(|r| r.iter().map(words).collect()).collect();
        assert_scores(&case.name, &hyps, &refs, case.expected);
    }
}

#[test]
fn equals_pycocoevalcap_on_coco_val2017() {
    let fixture: CocoFixture = serde_json::from_str(&fixture("bleu/coco.json")).unwrap();
    let Some(groups) = coco_groups(&fixture.sha256) else { return };
    assert_eq!(groups.len(), fixture.images);

    let first: Vec<Sentence> = groups.iter().map(|g| g[0].clone()).collect();
    let rest: Vec<Vec<Sentence>> = groups.iter().map(|g| g[1..].to_vec()).collect();
    let mut swapped = first.clone();
    swapped.rotate_left(1);
    let truncated: Vec<Sentence> =
        first.iter().enumerate().map(|(i, s)| s[..s.len().min(1 + i % 9)].to_vec()).collect();
    let damaged: Vec<Sentence> = first.iter().enumerate().map(|(i, s)| corrupted(i, s)).collect();
    let (each, others) = each_against_the_others(&groups);
    assert_eq!(each.len(), fixture.captions);

    assert_eq!(fixture.expected.len(), 5);
    assert_scores("first", &first, &rest, fixture.expected["first"]);
    assert_scores("each", &each, &others, fixture.expected["each"]);
    assert_scores("swapped", &swapped, &rest, fixture.expected["swapped"]);
    assert_scores("truncated", &truncated, &rest, fixture.expected["truncated"]);
    assert_scores("corrupted", &damaged, &rest, fixture.expected["corrupted"]);
}

/// Every caption once as the hypothesis, with the other captions of its image as references.
fn each_against_the_others(groups: &[Vec<Sentence>]) -> (Vec<Sentence>, Vec<Vec<Sentence>>) {
    let pairs = groups.iter().flat_map(|group| {
        (0..group.len()).map(move |k| {
            let others = group.iter().enumerate().filter(|&(i, _)| i != k).map(|(_, s)| s.clone()).collect();
            (group[k].clone(), others)
        })
    });
    pairs.unzip()
}
