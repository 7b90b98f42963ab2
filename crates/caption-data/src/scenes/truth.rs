//! What each image of a drawn data set shows, on disk.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::content::{MOST_GROUPS, MOST_OBJECTS, Scene};
use crate::DataError;
use crate::error::{read_limited, some_of};

/// Name of the file beside `captions.json`.
const FILE: &str = "truth.json";
/// Form of the file; another one is refused.
const VERSION: u32 = 1;
/// Most bytes of the file: some 400 for each of the most images that are drawn.
const MAX_BYTES: u64 = 256 << 20;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Truth {
    version: u32,
    images: BTreeMap<String, Scene>,
}

/// Writes `truth.json`: `{"version": 1, "images": {FILE NAME: {"layout": ..., "groups": [...]}}}`.
pub(super) fn write<'a>(
    dir: &Path,
    scenes: impl Iterator<Item = (&'a str, &'a Scene)>,
) -> Result<(), DataError> {
    let path = dir.join(FILE);
    let images: BTreeMap<&str, &Scene> = scenes.collect();
    let text = serde_json::json!({ "version": VERSION, "images": images });
    std::fs::write(&path, format!("{text}\n")).map_err(|e| DataError::write(&path, e))
}

/// Whether a folder holds drawn scenes with what they show.
pub fn has_truth(dir: impl AsRef<Path>) -> bool {
    dir.as_ref().join(FILE).is_file()
}

/// What each image of a folder that [`make_scenes`](super::make_scenes) made shows, by file name.
///
/// # Errors
/// [`DataError`] naming `truth.json` when it cannot be read, has more than 256 MiB, or is not of the form that was written, with the
/// images whose groups or objects are more than are drawn, or none.
pub fn load_truth(dir: impl AsRef<Path>) -> Result<BTreeMap<String, Scene>, DataError> {
    let path = dir.as_ref().join(FILE);
    let bytes = read_limited(&path, MAX_BYTES)?;
    let truth: Truth = serde_json::from_slice(&bytes).map_err(|e| DataError::json(&path, &e))?;
    if truth.version != VERSION {
        let why =
            format!("it has version {}, this program reads {VERSION}: draw the scenes again", truth.version);
        return Err(DataError::Truth { path, why });
    }
    let odd: Vec<&str> = truth
        .images
        .iter()
        .filter(|(_, scene)| !scene.is_of_drawn_size())
        .map(|(name, _)| name.as_str())
        .collect();
    if odd.is_empty() {
        return Ok(truth.images);
    }
    let why = format!(
        "a scene has 1 to {MOST_GROUPS} groups of 1 to {MOST_OBJECTS} objects, unlike those of {}: correct them, or draw the scenes again",
        some_of(&odd)
    );
    Err(DataError::Truth { path, why })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scenes_that_nobody_draws_are_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let group = |count: usize| {
            let mut group = serde_json::json!({"shape": "star", "colour": "red", "size": "small"});
            group["count"] = count.into();
            group
        };
        let load = |images: &[(&str, Vec<serde_json::Value>)]| {
            let scenes: serde_json::Map<_, _> = images
                .iter()
                .map(|(name, groups)| {
                    (name.to_string(), serde_json::json!({"layout": "row", "groups": groups}))
                })
                .collect();
            let text = serde_json::json!({"version": 1, "images": scenes}).to_string();
            std::fs::write(dir.path().join(FILE), text).unwrap();
            load_truth(dir.path())
        };
        let good = ("good.png", vec![group(1), group(6), group(2), group(3)]);
        assert_eq!(load(std::slice::from_ref(&good)).unwrap()["good.png"].groups.len(), 4);
        let bad = [
            ("crowd.png", vec![group(1); 5]),
            ("empty.png", vec![]),
            good,
            ("many.png", vec![group(1), group(7)]),
            ("none.png", vec![group(0)]),
        ];
        let message = load(&bad).unwrap_err().to_string();
        assert!(message.contains("truth.json: a scene has 1 to 4 groups of 1 to 6 objects"), "{message}");
        assert!(message.contains("those of crowd.png, empty.png, many.png, none.png: correct"), "{message}");
        let names: Vec<String> = (0..25).map(|number| format!("{number}.png")).collect();
        let crowds: Vec<_> = names.iter().map(|name| (name.as_str(), vec![])).collect();
        assert!(load(&crowds).unwrap_err().to_string().contains(" and 5 more: "));
    }
}
