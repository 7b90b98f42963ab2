//! What each image of a drawn data set shows, on disk.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::content::Scene;
use crate::DataError;
use crate::error::read_limited;

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
/// [`DataError`] naming `truth.json` when it cannot be read, has more than 256 MiB, or is not of the form that was written.
pub fn load_truth(dir: impl AsRef<Path>) -> Result<BTreeMap<String, Scene>, DataError> {
    let path = dir.as_ref().join(FILE);
    let bytes = read_limited(&path, MAX_BYTES)?;
    let truth: Truth = serde_json::from_slice(&bytes).map_err(|e| DataError::json(&path, &e))?;
    if truth.version != VERSION {
        let why = format!("{} has version {}, this program reads {VERSION}", path.display(), truth.version);
        return Err(DataError::Scenes(why));
    }
    Ok(truth.images)
}
