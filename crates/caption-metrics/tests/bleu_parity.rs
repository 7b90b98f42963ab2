//! BLEU equals pycocoevalcap's to 1e-9, on generated sentences and on COCO val2017.
//!
//! The expected numbers come from `tests/fixtures/bleu/make.py`; the rules here repeat the ones there.

use std::collections::BTreeMap;
use std::path::PathBuf;

use capwright_caption_metrics::bleu;
use serde::Deserialize;
use sha2::{Digest, Sha256};

type Sentence = Vec<String>;

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

#[derive(Deserialize)]
struct CocoFile {
    images: Vec<CocoImage>,
    annotations: Vec<CocoCaption>,
}

#[derive(Deserialize)]
struct CocoImage {
    id: u64,
}

#[derive(Deserialize)]
struct CocoCaption {
    image_id: u64,
    caption: String,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn fixture(name: &str) -> String {
    std::fs::read_to_string(root().join("tests/fixtures/bleu").join(name)).unwrap()
}

fn assert_scores(name: &str, hyps: &[Sentence], refs: &[Vec<Sentence>], expected: [f64; 4]) {
    let scores = bleu(hyps, refs).unwrap().scores;
    for (n, (ours, theirs)) in scores.iter().zip(expected).enumerate() {
        assert!((ours - theirs).abs() < 1e-9, "{name}: BLEU-{} is {ours}, pycocoevalcap has {theirs}", n + 1);
    }
}

#[test]
fn equals_pycocoevalcap_on_generated_sentences() {
    let cases: Vec<Case> = serde_json::from_str(&fixture("synthetic.json")).unwrap();
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
    let path = root().join("../shared/data/coco-val2017-captions/captions_val2017.json");
    let Ok(raw) = std::fs::read(&path) else {
        println!("skipped: the COCO captions are absent at {}", path.display());
        return;
    };
    let fixture: CocoFixture = serde_json::from_str(&fixture("coco.json")).unwrap();
    let sha256: String = Sha256::digest(&raw).iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(sha256, fixture.sha256, "the captions differ from those that the fixture was made of");
    let groups = captions_by_image(&raw);
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

/// Captions as words (lower case, runs of letters, digits and apostrophes), images in the order of their ids.
fn captions_by_image(raw: &[u8]) -> Vec<Vec<Sentence>> {
    let file: CocoFile = serde_json::from_slice(raw).unwrap();
    let mut images: BTreeMap<u64, Vec<Sentence>> = file.images.iter().map(|i| (i.id, Vec::new())).collect();
    for annotation in file.annotations {
        let words = annotation.caption.to_lowercase();
        let words = words
            .split(|c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '\''))
            .filter(|w| !w.is_empty());
        images.get_mut(&annotation.image_id).unwrap().push(words.map(str::to_owned).collect());
    }
    images.into_values().collect()
}

fn corrupted(i: usize, words: &[String]) -> Sentence {
    let mut out = Vec::new();
    for (j, word) in words.iter().enumerate() {
        if !(i + j).is_multiple_of(4) {
            out.push(word.clone());
        }
        if (i + j).is_multiple_of(7) {
            out.push(word.clone());
        }
    }
    out
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
