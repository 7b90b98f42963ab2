//! Captions without images: the COCO results format, and the references of a COCO captions file.
//!
//! Format of both: <https://cocodataset.org/#format-results>, "Image captioning"; fields that are not needed are ignored.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::formats::entry::{MAX_CAPTION_CHARS, caption_chars};
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
/// image that has two captions, [`DataError::LongCaptions`] with every image that has one of more than 2,000 characters.
pub fn read_hypotheses(path: impl AsRef<Path>) -> Result<Vec<Hypothesis>, DataError> {
    let path = path.as_ref();
    let all: Vec<Hypothesis> = read_json(path)?;
    refuse_long(path, &all)?;
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
/// [`DataError::Read`], [`DataError::TooLarge`] and [`DataError::Json`] where the file cannot be used; [`DataError::LongCaptions`] as for
/// [`read_hypotheses`].
pub fn read_references(path: impl AsRef<Path>) -> Result<BTreeMap<u64, Vec<String>>, DataError> {
    let path = path.as_ref();
    let file: ReferencesFile = read_json(path)?;
    refuse_long(path, &file.annotations)?;
    let mut references: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    for Hypothesis { image_id, caption } in file.annotations {
        references.entry(image_id).or_default().push(caption);
    }
    Ok(references)
}

/// Refuses captions that no data set may have: METEOR compares each word with each.
fn refuse_long(path: &Path, all: &[Hypothesis]) -> Result<(), DataError> {
    let limit = MAX_CAPTION_CHARS;
    let long = all.iter().filter(|h| caption_chars(h.caption.trim()) > limit);
    let ids: BTreeSet<u64> = long.map(|h| h.image_id).collect();
    if ids.is_empty() {
        return Ok(());
    }
    Err(DataError::LongCaptions { path: path.to_owned(), ids: ids.into_iter().collect(), limit })
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
    fn captions_that_are_too_long_are_refused_with_all_their_images() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("results.json");
        let said = |image_id, caption: String| Hypothesis { image_id, caption };
        let most = format!(" {} ", "é".repeat(MAX_CAPTION_CHARS));
        write_hypotheses(&path, &[said(1, most.clone())]).unwrap();
        assert_eq!(read_hypotheses(&path).unwrap().len(), 1);
        let long = "é".repeat(MAX_CAPTION_CHARS + 1);
        let all: Vec<_> =
            (0..30).rev().map(|id| said(id, if id == 7 { most.clone() } else { long.clone() })).collect();
        write_hypotheses(&path, &all).unwrap();
        let error = read_hypotheses(&path).unwrap_err();
        assert!(matches!(&error, DataError::LongCaptions { ids, .. } if ids.len() == 29), "{error}");
        let told = error.to_string();
        assert!(
            told.contains("results.json") && told.contains("of image 0, 1, 2, 3, 4, 5, 6, 8, "),
            "{told}"
        );
        assert!(told.contains("20 and 9 more: "), "{told}");
        let all = serde_json::json!({"annotations": [said(2, long.clone()), said(1, most), said(2, long)]});
        std::fs::write(&path, all.to_string()).unwrap();
        let error = read_references(&path).unwrap_err();
        assert!(matches!(&error, DataError::LongCaptions { ids, .. } if *ids == [2]), "{error}");
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
