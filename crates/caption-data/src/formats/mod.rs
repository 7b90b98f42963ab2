//! The formats of data sets: recognising them, and a reader for each.
//!
//! A reader turns files into [`Entry`](entry::Entry)s. It never looks at pixels, never follows a name out of the data set, and limits
//! sizes before it takes memory.

mod bounded;
pub(crate) mod coco;
pub(crate) mod entry;
mod karpathy;
mod lists;
mod loose;
pub(crate) mod parquet;
mod quotes;
mod table;
mod token;
pub(crate) mod webdataset;

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use capwright_files::folder_of;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use self::entry::{Listing, short};
use crate::error::read_limited;
use crate::{DataError, Splits};

/// Most bytes of a JSON file (the captions of COCO train2017 have 92 MB).
pub(crate) const MAX_JSON_BYTES: u64 = 1 << 30;
/// Most bytes of a table or token file.
pub(crate) const MAX_TEXT_BYTES: u64 = 1 << 30;
/// Names of a folder that an error shows.
const SHOWN: usize = 8;
/// Where collections keep their images.
const IMAGE_FOLDERS: [&str; 7] = [
    "images",
    "Images",
    "Flicker8k_Dataset",
    "Flickr8k_Dataset",
    "Flickr8k_Dataset/Flicker8k_Dataset",
    "flickr30k-images",
    "flickr30k_images",
];

/// How a data set is laid out on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Format {
    /// `captions.json` (COCO captions), `splits.json` and `images/`: the layout that this program writes first.
    Folder,
    /// COCO's own layout: `annotations/captions_train2017.json`, `train2017/` and so on.
    Coco,
    /// The JSON of Karpathy's splits, `dataset.json` or `dataset_coco.json`.
    Karpathy,
    /// Token files of Flickr8k and Flickr30k.
    Tokens,
    /// A table with a header, `captions.csv` or `captions.txt`.
    Csv,
    /// A table with a header and tabs, `captions.tsv`.
    Tsv,
    /// JSON lines, `captions.jsonl` or `metadata.jsonl`.
    Jsonl,
    /// WebDataset shards: `train-000000.tar` with `key.jpg`, and `key.txt` or `key.json`.
    Webdataset,
    /// Parquet files with the images inside, as Hugging Face lays them out.
    Parquet,
}

impl Format {
    /// All formats.
    pub const ALL: [Format; 9] = [
        Format::Folder,
        Format::Coco,
        Format::Karpathy,
        Format::Tokens,
        Format::Csv,
        Format::Tsv,
        Format::Jsonl,
        Format::Webdataset,
        Format::Parquet,
    ];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Format::Folder => "folder",
            Format::Coco => "coco",
            Format::Karpathy => "karpathy",
            Format::Tokens => "tokens",
            Format::Csv => "csv",
            Format::Tsv => "tsv",
            Format::Jsonl => "jsonl",
            Format::Webdataset => "webdataset",
            Format::Parquet => "parquet",
        }
    }

    /// The files by which the format is recognised, for people.
    pub fn files(self) -> &'static str {
        match self {
            Format::Folder => "captions.json",
            Format::Coco => "annotations/captions_*.json",
            Format::Karpathy => "dataset*.json",
            Format::Tokens => "*.token.txt or *.token",
            Format::Csv => "captions.txt or *.csv",
            Format::Tsv => "*.tsv",
            Format::Jsonl => "*.jsonl",
            Format::Webdataset => "*.tar",
            Format::Parquet => "*.parquet",
        }
    }

    /// True when images are inside archives, so that the data set must be converted before a search.
    pub fn is_packed(self) -> bool {
        matches!(self, Format::Webdataset | Format::Parquet)
    }

    /// True when [`convert`](crate::convert) writes the format.
    pub fn is_writable(self) -> bool {
        self != Format::Coco
    }

    /// Recognises the data set in a folder, or the one that a file of captions belongs to.
    ///
    /// A folder with `captions.json` is [`Format::Folder`], whatever else it holds.
    ///
    /// # Errors
    /// [`DataError::UnknownFormat`] with what was found and what is understood, [`DataError::Ambiguous`] when several fit,
    /// [`DataError::Read`] when the path cannot be read.
    pub fn detect(path: impl AsRef<Path>) -> Result<Format, DataError> {
        Ok(locate(path.as_ref(), None)?.format)
    }

    /// All formats with their files, for messages.
    pub(crate) fn listing() -> String {
        let list: Vec<String> = Format::ALL.iter().map(|f| format!("{f} ({})", f.files())).collect();
        list.join(", ")
    }

    fn owns(self, path: &Path) -> bool {
        let name = short(path);
        let json = name.ends_with(".json");
        match self {
            Format::Folder => name == "captions.json",
            Format::Coco => json && name.starts_with("captions_"),
            Format::Karpathy => json && (name == "dataset.json" || name.starts_with("dataset_")),
            // Flickr8k comes with a second file of lemmas instead of words.
            Format::Tokens => {
                (name.ends_with(".token.txt") || name.ends_with(".token")) && !name.contains("lemma")
            }
            Format::Csv => name == "captions.txt" || name.ends_with(".csv"),
            Format::Tsv => name.ends_with(".tsv"),
            Format::Jsonl => name.ends_with(".jsonl"),
            Format::Webdataset => name.ends_with(".tar"),
            Format::Parquet => name.ends_with(".parquet"),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = || {
            let names: Vec<&str> = Format::ALL.iter().map(|f| f.name()).collect();
            format!("unknown format {name:?}: use one of {}", names.join(", "))
        };
        Format::ALL.into_iter().find(|f| f.name() == name).ok_or_else(known)
    }
}

/// A data set that was recognised, not read yet.
#[derive(Debug)]
pub(crate) struct Located {
    pub format: Format,
    /// The folder that names are relative to.
    pub dir: PathBuf,
    /// Files with captions, sorted.
    pub files: Vec<PathBuf>,
    /// Leaves the splits that the format names unread, and with them what is wrong with those: there is `splits.json`, or nobody asks.
    pub ignore_splits: bool,
}

/// Finds the data set at `path`, a folder or a file; `format` rules out all others.
pub(crate) fn locate(path: &Path, format: Option<Format>) -> Result<Located, DataError> {
    let metadata = std::fs::metadata(path).map_err(|e| DataError::read(path, e))?;
    let mut located =
        if metadata.is_dir() { locate_folder(path, format)? } else { locate_file(path, format)? };
    // Those win: were the format's read too, broken ones would hinder whoever has replaced them.
    located.ignore_splits = Splits::are_in(&located.dir);
    Ok(located)
}

fn locate_folder(dir: &Path, format: Option<Format>) -> Result<Located, DataError> {
    let mut files = files_in(dir)?;
    for inner in ["annotations", "data"] {
        let inner = dir.join(inner);
        if inner.is_dir() {
            files.extend(files_in(&inner)?);
        }
    }
    let of = |format: Format| -> Vec<PathBuf> {
        // The plain folder has its captions at the top, nowhere else.
        let here = |path: &PathBuf| format != Format::Folder || path.parent() == Some(dir);
        files.iter().filter(|path| format.owns(path) && here(path)).cloned().collect()
    };
    let wanted = format.map_or(Format::ALL.to_vec(), |format| vec![format]);
    let mut found: Vec<(Format, Vec<PathBuf>)> =
        wanted.into_iter().map(|f| (f, of(f))).filter(|(_, files)| !files.is_empty()).collect();
    if found.first().is_some_and(|(format, _)| *format == Format::Folder) {
        found.truncate(1);
    }
    match found.len() {
        0 => Err(DataError::UnknownFormat { path: dir.to_owned(), found: shown(dir) }),
        1 => {
            let (format, files) = found.remove(0);
            Ok(Located { format, dir: dir.to_owned(), files, ignore_splits: false })
        }
        _ => {
            let list: Vec<String> =
                found.iter().map(|(format, files)| format!("{format}: {}", short(&files[0]))).collect();
            Err(DataError::Ambiguous { path: dir.to_owned(), candidates: list.join(", ") })
        }
    }
}

fn locate_file(path: &Path, format: Option<Format>) -> Result<Located, DataError> {
    let format = match format.or_else(|| Format::ALL.into_iter().find(|f| f.owns(path))) {
        // The same name is used for tables and for token lists. What is neither is a table with a wrong header.
        Some(Format::Csv) => format.or_else(|| sniff(path)).or(Some(Format::Csv)),
        None => sniff(path),
        known => known,
    };
    let unknown = || DataError::UnknownFormat { path: path.to_owned(), found: "this file".into() };
    let format = format.ok_or_else(unknown)?;
    let folder = folder_of(path);
    let inner = folder.ends_with("annotations") || folder.ends_with("data");
    // A folder of that name may as well be the data set itself.
    let whole = format == Format::Folder
        || folder.join("splits.json").is_file()
        || IMAGE_FOLDERS.iter().any(|name| folder.join(name).is_dir());
    let dir = if inner && !whole { folder_of(folder) } else { folder };
    Ok(Located { format, dir: dir.to_owned(), files: vec![path.to_owned()], ignore_splits: false })
}

/// Recognises a file by its beginning.
fn sniff(path: &Path) -> Option<Format> {
    use std::io::Read;
    let mut start = Vec::new();
    std::fs::File::open(path).ok()?.take(1 << 16).read_to_end(&mut start).ok()?;
    let start = String::from_utf8_lossy(&start);
    let start = start.trim_start_matches('\u{feff}');
    let line = start.lines().next()?;
    if path.extension().is_some_and(|e| e == "json") {
        let karpathy = ["\"sentences\"", "\"sentids\"", "\"filename\""].iter().any(|key| start.contains(key));
        return Some(if karpathy { Format::Karpathy } else { Format::Coco });
    }
    match line {
        line if table::is_header(line) => Some(Format::Csv),
        line if line.split_once('\t').is_some_and(|(key, _)| key.contains('#')) => Some(Format::Tokens),
        _ => None,
    }
}

/// The plain files of a folder, sorted by name, without those that macOS puts beside others.
pub(crate) fn files_in(dir: &Path) -> Result<Vec<PathBuf>, DataError> {
    let read = |e| DataError::read(dir, e);
    let mut files = Vec::new();
    for item in std::fs::read_dir(dir).map_err(read)? {
        let path = item.map_err(read)?.path();
        if path.is_file() && !short(&path).starts_with("._") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn shown(dir: &Path) -> String {
    let Ok(items) = std::fs::read_dir(dir) else { return "nothing that can be read".into() };
    let mut names: Vec<String> = items.flatten().map(|i| short(&i.path())).collect();
    names.sort();
    match names.len() {
        0 => "nothing".into(),
        n if n <= SHOWN => names.join(", "),
        n => format!("{} and {} more", names[..SHOWN].join(", "), n - SHOWN),
    }
}

/// Reads the captions of a format whose images are plain files.
pub(crate) fn read_listing(located: &Located) -> Listing {
    match located.format {
        Format::Folder => coco::read_folder(located),
        Format::Coco => coco::read_collection(located),
        Format::Karpathy => karpathy::read(located),
        Format::Tokens => token::read(located),
        Format::Csv | Format::Tsv => table::read_columns(located),
        Format::Jsonl => table::read_lines(located),
        // Packed formats are streamed.
        Format::Webdataset | Format::Parquet => Listing::default(),
    }
}

/// Folders that the images of a collection may be in.
fn image_folders(dir: &Path) -> Vec<PathBuf> {
    let known = IMAGE_FOLDERS.iter().map(|name| dir.join(name)).filter(|folder| folder.is_dir());
    known.chain([dir.to_owned()]).collect()
}

/// Parses a JSON file of at most [`MAX_JSON_BYTES`]; a byte order mark is skipped.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, DataError> {
    let bytes = read_limited(path, MAX_JSON_BYTES)?;
    let json = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    serde_json::from_slice(json).map_err(|e| DataError::json(path, &e))
}

/// Reads a text file of at most [`MAX_TEXT_BYTES`]; a byte order mark is skipped.
pub(crate) fn read_text(path: &Path) -> Result<String, DataError> {
    let mut bytes = read_limited(path, MAX_TEXT_BYTES)?;
    if bytes.starts_with(b"\xef\xbb\xbf") {
        bytes.drain(..3);
    }
    String::from_utf8(bytes).map_err(|e| {
        let valid = &e.as_bytes()[..e.utf8_error().valid_up_to()];
        let line = valid.iter().filter(|&&b| b == b'\n').count() + 1;
        let column = valid.iter().rev().take_while(|&&b| b != b'\n').count() + 1;
        let message = "this is not UTF-8: save the file as UTF-8".into();
        DataError::Json { path: path.to_owned(), line, column, message }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_called_data_may_be_the_data_set() {
        let outer = tempfile::tempdir().unwrap();
        let data = outer.path().join("data");
        std::fs::create_dir(&data).unwrap();
        let dir_of = |format| locate_file(&data.join("captions"), Some(format)).unwrap().dir;
        assert_eq!(dir_of(Format::Jsonl), outer.path());
        assert_eq!(dir_of(Format::Folder), data, "the plain folder has its captions at the top");
        std::fs::write(data.join("splits.json"), "{}").unwrap();
        assert_eq!(dir_of(Format::Jsonl), data);
        std::fs::remove_file(data.join("splits.json")).unwrap();
        std::fs::create_dir(data.join("images")).unwrap();
        assert_eq!(dir_of(Format::Jsonl), data);
    }

    #[test]
    fn companions_of_files_are_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["captions.csv", "._captions.csv", "._train.tar", ".captions.csv"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        let located = locate(dir.path(), None).unwrap();
        assert_eq!(located.files, [dir.path().join(".captions.csv"), dir.path().join("captions.csv")]);
    }

    #[test]
    fn a_table_that_is_named_says_what_its_header_lacks() {
        let dir = tempfile::tempdir().unwrap();
        let table = dir.path().join("photos.csv");
        std::fs::write(&table, "photo,words\na.jpg,a dog\n").unwrap();
        let told = |path: &Path| crate::Dataset::load(path).unwrap_err().to_string();
        assert!(
            told(&table).contains("photos.csv, line 1: the header needs a column of image"),
            "{}",
            told(&table)
        );
        assert_eq!(told(&table).lines().nth(1), told(dir.path()).lines().nth(1));
        let tokens = dir.path().join("captions.txt");
        std::fs::write(&tokens, "a.jpg#0\ta dog\n").unwrap();
        assert_eq!(locate(&tokens, None).unwrap().format, Format::Tokens);
    }
}
