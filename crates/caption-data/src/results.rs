//! Captions without images: the COCO results format, and the references of a COCO captions file.
//!
//! Format of both: <https://cocodataset.org/#format-results>, "Image captioning"; fields that are not needed are ignored.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::formats::read_json;
use crate::{DataError, staging};

/// What a model says of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hypothesis {
    /// Id of the image.
    pub image_id: u64,
    /// The caption.
    pub caption: String,
}

#[derive(Deserialize)]
struct ReferencesFile {
    annotations: Vec<Hypothesis>,
}

/// Reads a COCO results file: a list of one caption an image.
///
/// # Errors
/// [`DataError::Read`], [`DataError::TooLarge`] and [`DataError::Json`] where the file cannot be used; [`DataError::Repeated`] with every
/// image that has two captions.
pub fn read_hypotheses(path: impl AsRef<Path>) -> Result<Vec<Hypothesis>, DataError> {
    let path = path.as_ref();
    let all: Vec<Hypothesis> = read_json(path)?;
    let mut seen = HashSet::with_capacity(all.len());
    let mut repeated: Vec<u64> = all.iter().map(|h| h.image_id).filter(|id| !seen.insert(*id)).collect();
    repeated.sort_unstable();
    repeated.dedup();
    if repeated.is_empty() {
        Ok(all)
    } else {
        Err(DataError::Repeated { path: path.to_owned(), ids: repeated })
    }
}

/// Writes a COCO results file, complete or not at all; an earlier one is replaced.
///
/// # Errors
/// [`DataError::Write`] when the disk refuses.
pub fn write_hypotheses(path: impl AsRef<Path>, all: &[Hypothesis]) -> Result<(), DataError> {
    let path = path.as_ref();
    let text = serde_json::to_string(all).map_err(|e| DataError::json(path, &e))?;
    staging::replace(path, format!("{text}\n").as_bytes())
}

/// Reads the references of each image from a COCO captions file, in the order of the file. Images need not be there.
///
/// # Errors
/// [`DataError::Read`], [`DataError::TooLarge`] and [`DataError::Json`] where the file cannot be used.
pub fn read_references(path: impl AsRef<Path>) -> Result<BTreeMap<u64, Vec<String>>, DataError> {
    let file: ReferencesFile = read_json(path.as_ref())?;
    let mut references: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    for Hypothesis { image_id, caption } in file.annotations {
        references.entry(image_id).or_default().push(caption);
    }
    Ok(references)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captions_come_back_and_repeated_images_are_all_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("results.json");
        let said = |image_id, caption: &str| Hypothesis { image_id, caption: caption.into() };
        let all = vec![said(3, "a \"dog\""), said(1, "")];
        write_hypotheses(&path, &all).unwrap();
        assert_eq!(read_hypotheses(&path).unwrap(), all);
        write_hypotheses(&path, &[said(3, "a"), said(1, "b"), said(3, "c"), said(1, "d"), said(1, "e")])
            .unwrap();
        let error = read_hypotheses(&path).unwrap_err();
        assert!(matches!(&error, DataError::Repeated { ids, .. } if *ids == [1, 3]), "{error}");
        assert!(error.to_string().contains("results.json") && error.to_string().contains("1, 3"), "{error}");
    }

    #[test]
    fn references_keep_their_order_and_wrong_files_their_place() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("captions.json");
        let text = r#"{"annotations": [{"image_id": 2, "id": 1, "caption": "b"}, {"image_id": 1, "caption": "x"},
            {"image_id": 2, "caption": "a"}]}"#;
        std::fs::write(&path, text).unwrap();
        let references = read_references(&path).unwrap();
        assert_eq!(references[&2], ["b", "a"]);
        std::fs::write(&path, "{\"annotations\": [{\"image_id\": -1, \"caption\": \"x\"}]}").unwrap();
        let error = read_references(&path).unwrap_err();
        assert!(matches!(error, DataError::Json { line: 1, .. }), "{error}");
    }
}
