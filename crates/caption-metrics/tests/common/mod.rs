//! What the tests against upstream share: fixtures, COCO captions, and rules that the scripts beside the fixtures
//! repeat.

// Each test file uses a part of it.
#![allow(dead_code)]

use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::PathBuf;

pub type Sentence = Vec<String>;

#[derive(Clone)]
pub struct Corpus {
    pub hyps: Vec<Sentence>,
    pub refs: Vec<Vec<Sentence>>,
}

/// Numbers that Python and Rust draw alike.
pub struct Draw(pub u64);

impl Draw {
    pub fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((self.0 >> 33) % n as u64) as usize
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The text of a file in `tests/fixtures`.
pub fn fixture(name: &str) -> String {
    std::fs::read_to_string(root().join("tests/fixtures").join(name)).unwrap()
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

/// The captions of COCO val2017 as words (lower case, runs of letters, digits and apostrophes), images in the order of
/// their ids; `None`, with a message, where the file is absent.
pub fn coco_groups(sha256: &str) -> Option<Vec<Vec<Sentence>>> {
    let path = root().join("../shared/data/coco-val2017-captions/captions_val2017.json");
    let Ok(raw) = std::fs::read(&path) else {
        println!("skipped: the COCO captions are absent at {}", path.display());
        return None;
    };
    let found: String = Sha256::digest(&raw).iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(found, sha256, "the captions differ from those that the fixture was made of");
    let file: CocoFile = serde_json::from_slice(&raw).unwrap();
    let mut images: BTreeMap<u64, Vec<Sentence>> = file.images.iter().map(|i| (i.id, Vec::new())).collect();
    for annotation in file.annotations {
        let words = annotation.caption.to_lowercase();
        let words = words
            .split(|c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '\''))
            .filter(|w| !w.is_empty());
        images.get_mut(&annotation.image_id).unwrap().push(words.map(str::to_owned).collect());
    }
    Some(images.into_values().collect())
}

/// Drops every fourth word and doubles every seventh, starting at a place that depends on the item.
pub fn corrupted(i: usize, words: &[String]) -> Sentence {
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
