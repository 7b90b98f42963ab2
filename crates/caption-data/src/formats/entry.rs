//! What every reader makes: images with captions, and what is wrong with them, before a file of pixels is looked at.

use std::path::{Component, Path, PathBuf};

use super::loose::Field;
use crate::quarantine::MAX_NOTED;
use crate::{Problem, Split};

/// Most characters of a caption (the longest of COCO val2017 has about 250).
pub(crate) const MAX_CAPTION_CHARS: usize = 2000;
/// Most captions of an image.
pub(crate) const MAX_CAPTIONS: usize = 1000;
/// Most bytes of a part of a file name, and of the whole with its folders, which is what file systems take.
const MAX_NAME_BYTES: usize = 255;
pub(crate) const MAX_PATH_BYTES: usize = 1024;

/// What is wrong with a split that is a number or a list.
pub(crate) const NO_TEXT: &str = "the split is no text";

/// An image and its captions.
#[derive(Debug, Default)]
pub(crate) struct Entry {
    /// Id in the file, or a number from 1 where it has none.
    pub id: u64,
    /// Name inside the folder of images; names the image in `splits.json`.
    pub file_name: String,
    /// A shorter name that the file may have instead, where collections are unpacked in different ways.
    pub other_name: Option<String>,
    /// Captions that may be used, white space around them removed.
    pub captions: Vec<String>,
    /// How many were given, good and bad.
    given: usize,
    /// The split that the file names.
    pub split: Option<Split>,
    /// What is wrong with this image and its captions.
    pub faults: Vec<Problem>,
}

impl Entry {
    pub(crate) fn new(id: u64, file_name: impl Into<String>) -> Self {
        Entry { id, file_name: file_name.into(), ..Entry::default() }
    }

    /// Adds a caption, or the fault that it has; `place` names it. False where it is one too many, and so are all after it.
    pub(crate) fn push_caption<T: AsRef<str> + Into<String>>(
        &mut self,
        caption: T,
        place: impl FnOnce() -> String,
    ) -> bool {
        self.counts_caption() && {
            self.check_caption(caption, place);
            true
        }
    }

    /// Notes a caption that is no text; false as for [`push_caption`](Self::push_caption).
    pub(crate) fn push_bad_caption(&mut self, fault: impl FnOnce() -> Problem) -> bool {
        self.counts_caption() && {
            self.faults.push(fault());
            true
        }
    }

    /// Counts a caption, good or bad: what is said of bad ones takes more memory than they do.
    fn counts_caption(&mut self) -> bool {
        self.given += 1;
        if self.given == MAX_CAPTIONS + 1 {
            let (id, file_name) = (self.id, self.file_name.clone());
            self.faults.push(Problem::TooManyCaptions { id, file_name, limit: MAX_CAPTIONS });
        }
        self.given <= MAX_CAPTIONS
    }

    fn check_caption<T: AsRef<str> + Into<String>>(&mut self, caption: T, place: impl FnOnce() -> String) {
        let whole = caption.as_ref();
        let trimmed = whole.trim();
        let chars = caption_chars(trimmed);
        let forbidden = |c: &char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
        if !(1..=MAX_CAPTION_CHARS).contains(&chars) {
            let limit = MAX_CAPTION_CHARS;
            self.faults.push(Problem::CaptionLength { annotation: place(), chars, limit });
        } else if let Some(control) = trimmed.chars().find(forbidden) {
            self.faults.push(Problem::ControlCharacter { annotation: place(), code: control as u32 });
        } else if trimmed.len() == whole.len() {
            self.captions.push(caption.into());
        } else {
            self.captions.push(trimmed.to_owned());
        }
    }

    /// Notes that no caption was given at all; bad ones are faults already.
    pub(crate) fn finish(&mut self) {
        if self.captions.is_empty() && self.faults.is_empty() {
            self.faults.push(Problem::NoCaptions { id: self.id, file_name: self.file_name.clone() });
        }
    }

    /// Sets the split by a name that data sets use.
    pub(crate) fn set_split(&mut self, name: &str, place: impl FnOnce() -> String) {
        match split_named(name) {
            Some(split) => self.split = Some(split),
            None => self.faults.push(Problem::UnknownSplitName { place: place(), name: name.to_owned() }),
        }
    }

    /// Sets the split by a field of JSON; one that is absent or blank says nothing.
    pub(super) fn set_split_field(&mut self, field: Option<&Field>, place: impl FnOnce() -> String) {
        match field {
            None => {}
            Some(Field::Text(name)) if name.trim().is_empty() => {}
            Some(Field::Text(name)) => self.set_split(name, place),
            Some(_) => self.faults.push(Problem::BadRow { place: place(), message: NO_TEXT.into() }),
        }
    }

    /// The problem of a name that is no plain one inside the folder.
    pub(crate) fn check_name(&self) -> Option<Problem> {
        let safe = |name: &str| is_plain_name(name);
        let unsafe_name = !safe(&self.file_name) || !self.other_name.as_deref().is_none_or(safe);
        unsafe_name.then(|| Problem::UnsafeFileName { id: self.id, file_name: self.file_name.clone() })
    }
}

/// The images of a data set whose images are plain files.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    pub entries: Vec<Entry>,
    /// Folders that image files may be in.
    pub roots: Vec<PathBuf>,
    /// What concerns no single image.
    pub problems: Vec<Problem>,
}

/// Characters of a caption, or its bytes where those are no more than it may have: they bound characters, so that most need no count.
pub(crate) fn caption_chars(trimmed: &str) -> usize {
    if trimmed.len() <= MAX_CAPTION_CHARS { trimmed.len() } else { trimmed.chars().count() }
}

/// A file with captions and images inside.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Archive<'a> {
    pub path: &'a Path,
    /// As in [`Located`](super::Located).
    pub ignore_splits: bool,
}

impl Archive<'_> {
    /// The split that its name says.
    pub(crate) fn split(&self) -> Option<Split> {
        split_of_file(self.path).filter(|_| !self.ignore_splits)
    }
}

/// The problem of a file in which more is bad than is noted; what comes after `place` is not read.
pub(crate) fn hopeless(noted: usize, place: impl FnOnce() -> String) -> Result<(), Problem> {
    if noted <= MAX_NOTED {
        return Ok(());
    }
    let message = format!("more than {MAX_NOTED} rows and captions are bad: see whether the format is right");
    Err(Problem::Malformed { place: place(), message })
}

/// True for a relative name of plain parts, so that no two such names are one file.
///
/// A backslash separates folders on Windows only: refused everywhere, so that a data set means the same everywhere.
pub(crate) fn is_plain_name(name: &str) -> bool {
    let plain = Path::new(name).components().all(|c| matches!(c, Component::Normal(_)));
    // Components pass over empty parts and dots in the middle.
    let part = |part: &str| !matches!(part, "" | "." | "..") && part.len() <= MAX_NAME_BYTES;
    plain
        && name.len() <= MAX_PATH_BYTES
        && name.split('/').all(part)
        && !name.contains(|c: char| c == '\\' || c.is_control())
}

/// The split that data sets give this name; `restval` of Karpathy's splits is training data.
pub(crate) fn split_named(name: &str) -> Option<Split> {
    match name.trim().to_ascii_lowercase().as_str() {
        "train" | "restval" | "training" => Some(Split::Train),
        "val" | "dev" | "valid" | "validation" => Some(Split::Val),
        "test" => Some(Split::Test),
        _ => None,
    }
}

/// The split that a file's name says, as in `captions_val2017.json` and `train-00000-of-00004.parquet`.
pub(crate) fn split_of_file(path: &Path) -> Option<Split> {
    let name = path.file_name()?.to_str()?;
    name.split(|c: char| !c.is_ascii_alphabetic()).find_map(split_named)
}

/// The beginning of a name that is longer than any may be: such a one is said once for each caption of its image.
pub(crate) fn shortened(name: &str) -> &str {
    &name[..name.floor_char_boundary(MAX_PATH_BYTES)]
}

/// The file's name without folders, for messages.
pub(crate) fn short(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_say_the_split() {
        for (name, split) in [
            ("captions_val2017.json", Some(Split::Val)),
            ("train-00000-of-00004.parquet", Some(Split::Train)),
            ("data/Flickr_8k.devImages.txt", None),
            ("captions.jsonl", None),
            ("contest.tar", None),
            ("test.csv", Some(Split::Test)),
        ] {
            assert_eq!(split_of_file(Path::new(name)), split, "{name}");
        }
    }

    #[test]
    fn names_have_one_spelling() {
        for name in ["0.png", "x/0.png", "x/...png", "a b/ü#0.jpg", &"n".repeat(255)] {
            assert!(is_plain_name(name), "{name}");
        }
        let (long, deep) = (format!("x/{}", "n".repeat(256)), "x/".repeat(512));
        assert!(is_plain_name(&deep[..1023]) && !is_plain_name(&format!("{deep}xy")));
        for name in ["", "x//0.png", "x/./0.png", "x/../0.png", "./0.png", "/0.png", "x/", "a\\b", &long] {
            assert!(!is_plain_name(name), "{name}");
        }
        assert_eq!(shortened(&"é".repeat(600)).len(), 1024);
        assert_eq!(shortened("a.jpg"), "a.jpg");
    }

    #[test]
    fn splits_that_are_unknown_or_no_text_are_faults() {
        let read = |field: serde_json::Value| {
            let mut entry = Entry { split: Some(Split::Train), ..Entry::new(1, "a.jpg") };
            let field: Option<Field> = serde_json::from_value(field).unwrap();
            entry.set_split_field(field.as_ref(), || "here".into());
            (entry.split, entry.faults.iter().map(Problem::kind).collect::<Vec<_>>())
        };
        assert_eq!(read("dev".into()), (Some(Split::Val), vec![]));
        assert_eq!(read(" ".into()), (Some(Split::Train), vec![]));
        assert_eq!(read(().into()), (Some(Split::Train), vec![]));
        assert_eq!(read("holdout".into()).1, ["unknown_split_name"]);
        assert_eq!(read(2.into()).1, ["bad_row"]);
        assert_eq!(read(vec!["test"].into()).1, ["bad_row"]);
    }

    #[test]
    fn bad_captions_count_as_good_ones_do() {
        let bad = || Problem::BadRow { place: "here".into(), message: "it is not UTF-8".into() };
        let mut entry = Entry::new(1, "a.jpg");
        for _ in 0..MAX_CAPTIONS / 2 {
            assert!(entry.push_caption("", || "here".into()) && entry.push_bad_caption(bad));
        }
        for _ in 0..2 {
            assert!(!entry.push_caption("good", || "here".into()) && !entry.push_bad_caption(bad));
        }
        assert_eq!((entry.captions.len(), entry.faults.len()), (0, MAX_CAPTIONS + 1));
        assert_eq!(entry.faults[MAX_CAPTIONS].kind(), "too_many_captions");
    }

    #[test]
    fn captions_are_trimmed_and_checked() {
        let mut entry = Entry::new(1, "a.jpg");
        for caption in [" a dog ", "two\nlines", "", "bell \u{7}", &"x".repeat(2001)] {
            entry.push_caption(caption, || "here".into());
        }
        assert_eq!(entry.captions, ["a dog", "two\nlines"]);
        let kinds: Vec<&str> = entry.faults.iter().map(Problem::kind).collect();
        assert_eq!(kinds, ["caption_length", "control_character", "caption_length"]);
    }
}
