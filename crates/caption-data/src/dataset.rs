//! A data set: a folder that was read and checked as a whole.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::read_limited;
use crate::formats::entry::Entry;
use crate::formats::{self, Format, Located};
use crate::image_file::MAX_FILE_BYTES;
use crate::quarantine::Tally;
use crate::splits::Splits;
use crate::visit::{Seen, visit};
use crate::{DataError, ImageError, ImageLimits, Problem, Quarantine, decode};

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
    /// Id in the file of captions, or a number from 1 where it has none, and for all where two images have one.
    pub id: u64,
    /// Name inside the folder of images; `splits.json` names the image by it.
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

    /// The bytes of the file; none where they are no longer those that the data set was loaded with.
    ///
    /// # Errors
    /// [`DataError`] naming the file when it cannot be read (at most 64 MiB are).
    pub fn content(&self) -> Result<Option<Vec<u8>>, DataError> {
        let bytes = read_limited(&self.path, MAX_FILE_BYTES)?;
        let same = <[u8; 32]>::from(Sha256::digest(&bytes)) == self.sha256;
        Ok(same.then_some(bytes))
    }
}

/// How strictly a data set is read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LoadOptions {
    /// The format; [`Format::detect`] finds it when absent.
    pub format: Option<Format>,
    /// Share of bad items (0..=1) that are left out and reported; absent, every bad item is an error.
    pub max_bad_share: Option<f64>,
    /// Decodes every image, so that damaged ones are found now. Otherwise they are hashed only.
    pub decode: bool,
    /// Images must be in splits, and train and val must not be empty.
    pub need_splits: bool,
    /// Leaves all images in no split, whatever splits there are and however wrong they are; not with `need_splits`.
    pub ignore_splits: bool,
}

impl Default for LoadOptions {
    /// Strict, without decoding, splits needed.
    fn default() -> Self {
        LoadOptions {
            format: None,
            max_bad_share: None,
            decode: false,
            need_splits: true,
            ignore_splits: false,
        }
    }
}

/// A captioned image data set: every image exists, has captions, and lies in at most one split.
///
/// Images are hashed, not decoded: a damaged image is found when it is loaded.
#[derive(Debug, Clone)]
pub struct Dataset {
    dir: PathBuf,
    format: Format,
    images: Vec<ImageRecord>,
    splits: [Vec<usize>; 3],
    fingerprint: String,
}

impl Dataset {
    /// Reads a data set of plain image files, in any [`Format`] but the packed ones, strictly.
    ///
    /// `path` is the folder, or the file of captions in it. `splits.json` in the folder, if there is one, wins over splits that the
    /// format names.
    ///
    /// # Errors
    /// [`DataError::Problems`] with everything that is wrong; [`DataError::UnknownFormat`] or [`DataError::Ambiguous`] when it is not
    /// clear what to read; [`DataError::Packed`] when it must be converted first; [`DataError::Read`] when there is no such path.
    pub fn load(path: impl AsRef<Path>) -> Result<Dataset, DataError> {
        Dataset::load_with(path, &LoadOptions::default()).map(|(dataset, _)| dataset)
    }

    /// Reads a data set, decodes every image, and leaves out what is bad, at most `max_bad_share` (0..=1) of all items.
    ///
    /// # Errors
    /// As [`load`](Self::load), with [`DataError::TooManyBad`] for bad items.
    pub fn load_lenient(
        path: impl AsRef<Path>,
        max_bad_share: f64,
    ) -> Result<(Dataset, Quarantine), DataError> {
        let max_bad_share = Some(max_bad_share);
        Dataset::load_with(path, &LoadOptions { max_bad_share, decode: true, ..LoadOptions::default() })
    }

    /// Reads a data set as the options say; the quarantine lists what was left out.
    ///
    /// # Errors
    /// As [`load`](Self::load) and [`load_lenient`](Self::load_lenient).
    pub fn load_with(
        path: impl AsRef<Path>,
        options: &LoadOptions,
    ) -> Result<(Dataset, Quarantine), DataError> {
        let path = path.as_ref();
        let mut located = formats::locate(path, options.format)?;
        located.ignore_splits |= options.ignore_splits;
        if located.format.is_packed() {
            return Err(DataError::Packed { path: path.to_owned(), format: located.format });
        }
        let gathered = gather(Tally::new(path), &located, options, |entry, seen| {
            check_image(entry, seen, options.decode)
        })?;
        let Gathered { images, splits, quarantine, .. } = gathered;
        let images: Vec<ImageRecord> = images.into_iter().map(|(image, ())| image).collect();
        let fingerprint = fingerprint_of(&images, &splits);
        let Located { dir, format, .. } = located;
        Ok((Dataset { dir, format, images, splits, fingerprint }, quarantine))
    }

    /// The format that was read.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The folder that `splits.json` belongs into.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// All images, in the order of the captions; some may be in no split.
    pub fn images(&self) -> &[ImageRecord] {
        &self.images
    }

    /// Places in [`images`](Self::images), in the order of the split. Empty for a missing test split only.
    pub fn split(&self, split: Split) -> &[usize] {
        &self.splits[split as usize]
    }

    /// True when the split has images.
    pub fn has(&self, split: Split) -> bool {
        !self.split(split).is_empty()
    }

    /// The images of a split, in its order.
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

/// Decodes an image if that is wanted.
pub(crate) fn check_image(entry: &Entry, seen: &Seen, wanted: bool) -> Result<(), Problem> {
    if !wanted {
        return Ok(());
    }
    let bad = |e: ImageError| Problem::BadImage { file_name: entry.file_name.clone(), reason: e.to_string() };
    decode(&seen.bytes, &ImageLimits::default()).map(|_| ()).map_err(bad)
}

/// The usable images of a data set, each with what was computed from its bytes.
pub(crate) struct Gathered<T> {
    pub images: Vec<(ImageRecord, T)>,
    pub splits: [Vec<usize>; 3],
    /// Overlaps of splits, if the tally collects them apart.
    pub overlap: Vec<Problem>,
    pub quarantine: Quarantine,
}

/// Reads a data set of any format.
pub(crate) fn gather<T: Send>(
    mut tally: Tally,
    located: &Located,
    options: &LoadOptions,
    work: impl Fn(&Entry, &Seen) -> Result<T, Problem> + Sync,
) -> Result<Gathered<T>, DataError> {
    let (mut images, mut named, mut bad) = (Vec::new(), Splits::default(), HashSet::new());
    let hash = |entry: &Entry, seen: Seen| {
        let done = work(entry, &seen)?;
        Ok((seen.path, <[u8; 32]>::from(Sha256::digest(&seen.bytes)), done))
    };
    let problems = visit(located, hash, |mut entry, seen| {
        let usable = entry.is_usable();
        tally.entry(&mut entry)?;
        let Entry { id, file_name, captions, split, .. } = entry;
        if let Some(split) = split {
            named.push(split, file_name.clone());
        }
        match seen {
            Some((path, sha256, done)) if usable => {
                images.push((ImageRecord { id, file_name, path, captions, sha256 }, done));
            }
            _ => _ = bad.insert(file_name),
        }
        Ok(())
    })?;
    number_anew(&mut images);
    problems.into_iter().for_each(|problem| tally.push(problem));
    let names = if options.ignore_splits {
        None
    } else {
        let file = Splits::read(&located.dir).map_err(|error| tally.push(error.into())).unwrap_or_default();
        file.or((!named.is_empty()).then_some(named))
    };
    let mut splits = Default::default();
    if !tally.is_fatal() {
        match names {
            Some(names) => splits = Resolver::new(&images, &bad, options).resolve(&names, &mut tally),
            None if options.need_splits => tally.push(Problem::NoSplits),
            None => {}
        }
    }
    let overlap = tally.take_overlap();
    let quarantine = tally.verdict(options.max_bad_share)?;
    Ok(Gathered { images, splits, overlap, quarantine })
}

/// Numbers images from 1 where two have one id, as those of two files may: results are told apart by it.
fn number_anew<T>(images: &mut [(ImageRecord, T)]) {
    let mut ids = HashSet::with_capacity(images.len());
    if !images.iter().all(|(image, _)| ids.insert(image.id)) {
        images.iter_mut().zip(1..).for_each(|((image, _), id)| image.id = id);
    }
}

/// Finds the images that splits name, and sees that no two splits share one.
struct Resolver<'a> {
    by_name: HashMap<&'a str, (usize, [u8; 32])>,
    bad: &'a HashSet<String>,
    options: &'a LoadOptions,
    owner_by_place: HashMap<usize, Split>,
    owner_by_content: HashMap<[u8; 32], (Split, &'a str)>,
}

impl<'a> Resolver<'a> {
    fn new<T>(
        images: &'a [(ImageRecord, T)],
        bad: &'a HashSet<String>,
        options: &'a LoadOptions,
    ) -> Resolver<'a> {
        let place =
            |(at, (image, _)): (usize, &'a (ImageRecord, T))| (image.file_name.as_str(), (at, image.sha256));
        let by_name = images.iter().enumerate().map(place).collect();
        Resolver { by_name, bad, options, owner_by_place: HashMap::new(), owner_by_content: HashMap::new() }
    }

    fn resolve(mut self, names: &'a Splits, tally: &mut Tally) -> [Vec<usize>; 3] {
        Split::ALL.map(|split| {
            let names = names.names(split);
            let places: Vec<usize> = names.iter().filter_map(|name| self.place(split, name, tally)).collect();
            let lenient = self.options.max_bad_share.is_some();
            let empty = names.is_empty() || lenient && places.is_empty();
            if empty && split != Split::Test && self.options.need_splits {
                tally.push(Problem::MissingSplit(split));
            }
            places
        })
    }

    fn place(&mut self, split: Split, name: &'a str, tally: &mut Tally) -> Option<usize> {
        let Some(&(at, sha256)) = self.by_name.get(name) else {
            if !self.bad.contains(name) {
                let file = "splits.json".to_owned();
                tally.push(Problem::UnknownInSplit { file, split, file_name: name.to_owned() });
            }
            return None;
        };
        let mut same = |first, first_file: &str| {
            let (first_file, second_file) = (first_file.to_owned(), name.to_owned());
            tally.push(Problem::Overlap { first, first_file, second: split, second_file });
        };
        match self.owner_by_place.insert(at, split) {
            Some(first) if first == split => {
                tally.push(Problem::TwiceInSplit { split, file_name: name.to_owned() });
                return None;
            }
            Some(first) => same(first, name),
            None => {
                let owner = self.owner_by_content.entry(sha256).or_insert((split, name));
                if owner.0 != split {
                    same(owner.0, owner.1);
                }
            }
        }
        Some(at)
    }
}

fn fingerprint_of(images: &[ImageRecord], splits: &[Vec<usize>; 3]) -> String {
    let mut fingerprint = Fingerprint::default();
    for split in Split::ALL {
        for &at in &splits[split as usize] {
            fingerprint.add(&images[at].sha256, split, &images[at].captions);
        }
    }
    fingerprint.finish()
}

/// The name of a data set, from its images in any order.
#[derive(Default)]
pub(crate) struct Fingerprint(Vec<[u8; 32]>);

impl Fingerprint {
    pub fn add(&mut self, sha256: &[u8; 32], split: Split, captions: &[String]) {
        let mut item = Sha256::new();
        item.update(sha256);
        item.update([split as u8]);
        for caption in captions {
            // The length keeps ["ab", "c"] apart from ["a", "bc"].
            item.update((caption.len() as u64).to_le_bytes());
            item.update(caption);
        }
        self.0.push(item.finalize().into());
    }

    pub fn finish(mut self) -> String {
        self.0.sort_unstable();
        let mut all = Sha256::new();
        all.update(b"capwright data set 1\n");
        self.0.iter().for_each(|item| all.update(item));
        hex(&all.finalize())
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
