//! A data set: a folder that was read and checked as a whole.

use std::collections::HashMap;
use std::fmt;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::coco::{self, CaptionsFile, Entry, SplitsFile};
use crate::error::read_limited;
use crate::image_file::MAX_FILE_BYTES;
use crate::{DataError, Problem, Problems};

/// A part of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    /// Images that models learn from.
    Train,
    /// Images that designs and checkpoints are chosen by.
    Val,
    /// Images for the final report only.
    Test,
}

impl Split {
    /// All splits.
    pub const ALL: [Split; 3] = [Split::Train, Split::Val, Split::Test];

    /// The name in `splits.json` and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Split::Train => "train",
            Split::Val => "val",
            Split::Test => "test",
        }
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Split {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = || format!("unknown split {name:?}: use train, val or test");
        Split::ALL.into_iter().find(|s| s.name() == name).ok_or_else(known)
    }
}

/// An image with its reference captions.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ImageRecord {
    /// Id in `captions.json`.
    pub id: u64,
    /// Name in `captions.json`, relative to `images/`.
    pub file_name: String,
    /// Where the file is; links are resolved.
    pub path: PathBuf,
    /// Reference captions in the order of the file, at least one, white space around them removed.
    pub captions: Vec<String>,
    /// sha256 of the file's content, as it was when the data set was loaded.
    pub sha256: [u8; 32],
}

impl ImageRecord {
    /// `sha256` as 64 hexadecimal digits.
    pub fn sha256_hex(&self) -> String {
        hex(&self.sha256)
    }
}

/// A captioned image data set: every image exists, has captions, and lies in at most one split.
///
/// Images are hashed, not decoded: a damaged image is found when it is loaded.
#[derive(Debug, Clone)]
pub struct Dataset {
    dir: PathBuf,
    images: Vec<ImageRecord>,
    splits: [Vec<usize>; 3],
    fingerprint: String,
}

impl Dataset {
    /// Reads the folder `dir` with `captions.json`, `splits.json` and `images/`.
    ///
    /// # Errors
    /// [`DataError::Problems`] with everything that is wrong; [`DataError::Read`] when `dir` is no folder.
    pub fn load(dir: impl AsRef<Path>) -> Result<Dataset, DataError> {
        let dir = dir.as_ref();
        std::fs::read_dir(dir).map_err(|e| DataError::read(dir, e))?;
        let mut problems = Vec::new();
        let entries = read_captions(dir, &mut problems);
        let splits_file = read_splits(dir, &mut problems);
        let resolved = entries.zip(splits_file).map(|(entries, splits)| {
            let images = find_images(dir, entries, &mut problems);
            let splits = resolve_splits(&splits, &images, &mut problems);
            (images, splits)
        });
        let (Some((images, splits)), []) = (resolved, problems.as_slice()) else {
            return Err(Problems { dir: dir.to_owned(), list: problems }.into());
        };
        let images: Vec<ImageRecord> = images.into_iter().map(|(_, image)| image).collect();
        let fingerprint = fingerprint(&images, &splits);
        Ok(Dataset { dir: dir.to_owned(), images, splits, fingerprint })
    }

    /// The folder, as it was given.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// All images, in the order of `captions.json`; some may be in no split.
    pub fn images(&self) -> &[ImageRecord] {
        &self.images
    }

    /// Places in [`images`](Self::images), in the order of `splits.json`. Empty for a missing test split only.
    pub fn split(&self, split: Split) -> &[usize] {
        &self.splits[split as usize]
    }

    /// True when the split has images.
    pub fn has(&self, split: Split) -> bool {
        !self.split(split).is_empty()
    }

    /// The images of a split, in the order of `splits.json`.
    pub fn records(&self, split: Split) -> impl ExactSizeIterator<Item = &ImageRecord> {
        self.split(split).iter().map(|&at| &self.images[at])
    }

    /// Names the data: 64 hexadecimal digits, a sha256 over content, captions and split of every image in a split.
    ///
    /// File names, ids and the order of images play no part.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }
}

fn read_captions(dir: &Path, problems: &mut Vec<Problem>) -> Option<Vec<Entry>> {
    match coco::read_json::<CaptionsFile>(&dir.join("captions.json")) {
        Ok(file) => Some(coco::join(file, problems)),
        Err(error) => {
            problems.push(Problem::File(error.to_string()));
            None
        }
    }
}

fn read_splits(dir: &Path, problems: &mut Vec<Problem>) -> Option<SplitsFile> {
    let path = dir.join("splits.json");
    if !path.exists() {
        problems.push(Problem::NoSplits);
        return None;
    }
    coco::read_json(&path).map_err(|error| problems.push(Problem::File(error.to_string()))).ok()
}

/// Checks and hashes the image files. The first of each pair is false when the record's hash is not known.
fn find_images(dir: &Path, entries: Vec<Entry>, problems: &mut Vec<Problem>) -> Vec<(bool, ImageRecord)> {
    let root = dir.join("images");
    let canonical_root = root.canonicalize().unwrap_or_else(|_| root.clone());
    let found: Vec<_> = entries
        .into_par_iter()
        .map(|Entry { id, file_name, captions }| {
            let found = find_image(id, &file_name, &root, &canonical_root);
            let (path, sha256, problem) = match found {
                Ok((path, sha256)) => (path, Some(sha256), None),
                Err(problem) => (PathBuf::new(), None, Some(problem)),
            };
            let known = sha256.is_some();
            let record = ImageRecord { id, file_name, path, captions, sha256: sha256.unwrap_or_default() };
            ((known, record), problem)
        })
        .collect();
    let (images, found_problems): (Vec<_>, Vec<_>) = found.into_iter().unzip();
    problems.extend(found_problems.into_iter().flatten());
    images
}

fn find_image(
    id: u64,
    name: &str,
    root: &Path,
    canonical_root: &Path,
) -> Result<(PathBuf, [u8; 32]), Problem> {
    let unsafe_name = || Problem::UnsafeFileName { id, file_name: name.to_owned() };
    // A backslash separates folders on Windows only: refused everywhere, so that a data set means the same everywhere.
    let plain = Path::new(name).components().all(|c| matches!(c, Component::Normal(_)));
    if name.is_empty() || !plain || name.contains(['\\', '\0']) {
        return Err(unsafe_name());
    }
    let path = root.join(name);
    let unreadable = |reason: String| Problem::UnreadableImage { id, path: path.clone(), reason };
    let real = path.canonicalize().map_err(|e| unreadable(e.to_string()))?;
    if !real.starts_with(canonical_root) {
        return Err(unsafe_name());
    }
    if !real.is_file() {
        return Err(unreadable("not a file".into()));
    }
    let bytes = read_limited(&real, MAX_FILE_BYTES).map_err(|e| match e {
        DataError::Read { source, .. } => unreadable(source.to_string()),
        DataError::TooLarge { limit, .. } => unreadable(format!("it has more than {limit} bytes")),
        other => unreadable(other.to_string()),
    })?;
    Ok((real, Sha256::digest(&bytes).into()))
}

fn resolve_splits(
    file: &SplitsFile,
    images: &[(bool, ImageRecord)],
    problems: &mut Vec<Problem>,
) -> [Vec<usize>; 3] {
    let by_name: HashMap<&str, usize> =
        images.iter().enumerate().map(|(at, (_, i))| (i.file_name.as_str(), at)).collect();
    let mut owner_by_place: HashMap<usize, Split> = HashMap::new();
    let mut owner_by_content: HashMap<[u8; 32], (Split, &str)> = HashMap::new();
    Split::ALL.map(|split| {
        let names = file.names(split).unwrap_or(&[]);
        if names.is_empty() && split != Split::Test {
            problems.push(Problem::MissingSplit(split));
        }
        let mut places = Vec::with_capacity(names.len());
        for name in names {
            let Some(&at) = by_name.get(name.as_str()) else {
                problems.push(Problem::UnknownInSplit { split, file_name: name.clone() });
                continue;
            };
            places.push(at);
            let same = |first, first_file: &str| Problem::Overlap {
                first,
                first_file: first_file.to_owned(),
                second: split,
                second_file: name.clone(),
            };
            match owner_by_place.insert(at, split) {
                Some(first) if first == split => {
                    problems.push(Problem::TwiceInSplit { split, file_name: name.clone() });
                    continue;
                }
                Some(first) => {
                    problems.push(same(first, name));
                    continue;
                }
                None => {}
            }
            let (known, image) = &images[at];
            let owner = owner_by_content.entry(image.sha256).or_insert((split, name));
            if *known && owner.0 != split {
                problems.push(same(owner.0, owner.1));
            }
        }
        places
    })
}

fn fingerprint(images: &[ImageRecord], splits: &[Vec<usize>; 3]) -> String {
    let mut items: Vec<[u8; 32]> = Vec::new();
    for split in Split::ALL {
        for &at in &splits[split as usize] {
            let image = &images[at];
            let mut item = Sha256::new();
            item.update(image.sha256);
            item.update([split as u8]);
            for caption in &image.captions {
                // The length keeps ["ab", "c"] apart from ["a", "bc"].
                item.update((caption.len() as u64).to_le_bytes());
                item.update(caption);
            }
            items.push(item.finalize().into());
        }
    }
    items.sort_unstable();
    let mut all = Sha256::new();
    all.update(b"capwright data set 1\n");
    items.iter().for_each(|item| all.update(item));
    hex(&all.finalize())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
