//! The two JSON files of a data set: COCO captions and the lists of splits.
//!
//! Format: <https://cocodataset.org/#format-data>, "Image captioning"; fields that are not needed are ignored.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::error::read_limited;
use crate::{DataError, Problem, Split};

/// Most bytes of a JSON file (the captions of COCO train2017 have 92 MB).
pub(crate) const MAX_JSON_BYTES: u64 = 1 << 30;
/// Most characters of a caption (the longest of COCO val2017 has about 250).
pub(crate) const MAX_CAPTION_CHARS: usize = 2000;

/// `captions.json`.
#[derive(Deserialize)]
pub(crate) struct CaptionsFile {
    images: Vec<ImageEntry>,
    annotations: Vec<Annotation>,
}

#[derive(Deserialize)]
struct ImageEntry {
    id: u64,
    file_name: String,
}

#[derive(Deserialize)]
struct Annotation {
    id: Option<u64>,
    image_id: u64,
    caption: String,
}

/// `splits.json`: file names of each split.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SplitsFile {
    train: Option<Vec<String>>,
    val: Option<Vec<String>>,
    test: Option<Vec<String>>,
}

impl SplitsFile {
    pub(crate) fn names(&self, split: Split) -> Option<&[String]> {
        match split {
            Split::Train => self.train.as_deref(),
            Split::Val => self.val.as_deref(),
            Split::Test => self.test.as_deref(),
        }
    }
}

/// An image and its captions, before its file is looked at.
pub(crate) struct Entry {
    pub id: u64,
    pub file_name: String,
    pub captions: Vec<String>,
}

/// Parses a JSON file of at most [`MAX_JSON_BYTES`].
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, DataError> {
    let bytes = read_limited(path, MAX_JSON_BYTES)?;
    serde_json::from_slice(&bytes).map_err(|e| DataError::json(path, &e))
}

/// Joins images and captions; whatever does not fit goes to `problems`.
pub(crate) fn join(file: CaptionsFile, problems: &mut Vec<Problem>) -> Vec<Entry> {
    let mut entries = Vec::with_capacity(file.images.len());
    let mut by_id = HashMap::new();
    let mut names = HashSet::new();
    for ImageEntry { id, file_name } in file.images {
        if by_id.insert(id, entries.len()).is_some() {
            problems.push(Problem::DuplicateImageId(id));
        }
        if !names.insert(file_name.clone()) {
            problems.push(Problem::DuplicateFileName(file_name.clone()));
        }
        entries.push(Entry { id, file_name, captions: Vec::new() });
    }
    let mut annotation_ids = HashSet::new();
    for (place, annotation) in file.annotations.into_iter().enumerate() {
        if let Some(id) = annotation.id.filter(|id| !annotation_ids.insert(*id)) {
            problems.push(Problem::DuplicateAnnotationId(id));
        }
        let name = || annotation.id.map_or(format!("number {}", place + 1), |id| id.to_string());
        let caption = annotation.caption.trim();
        let chars = caption.chars().count();
        if !(1..=MAX_CAPTION_CHARS).contains(&chars) {
            problems.push(Problem::CaptionLength { annotation: name(), chars, limit: MAX_CAPTION_CHARS });
        }
        match by_id.get(&annotation.image_id) {
            Some(&at) => entries[at].captions.push(caption.to_owned()),
            None => {
                problems.push(Problem::UnknownImageId { annotation: name(), image_id: annotation.image_id })
            }
        }
    }
    for entry in entries.iter().filter(|e| e.captions.is_empty()) {
        problems.push(Problem::NoCaptions { id: entry.id, file_name: entry.file_name.clone() });
    }
    entries
}
