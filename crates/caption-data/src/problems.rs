//! Everything that is wrong with a data set, reported at once.

use std::fmt;
use std::path::PathBuf;

use thiserror::Error;

use crate::{DataError, Split};

/// One thing that is wrong with a data set.
///
/// [`Problem::is_of_item`] says whether it concerns one image or caption, which can be left out, or the data set as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Problem {
    /// A file of captions or splits cannot be read.
    #[error("cannot read {}: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// A file of captions or splits is larger than is read of such a file.
    #[error("{} has more than {limit} bytes, the most that is read of such a file", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit in bytes.
        limit: u64,
    },
    /// A file is not what its format says, from some place on.
    #[error("{place}: {message}")]
    Malformed {
        /// The file and, where known, line and column.
        place: String,
        /// What is wrong there.
        message: String,
    },
    /// The captions name no split, and there is no `splits.json`.
    #[error(
        "splits.json is missing: run `capwright data split`, or add one that lists the image files of each split, {{\"train\": [\"a.jpg\", ...], \"val\": [...]}}"
    )]
    NoSplits,
    /// A split that is needed is missing or empty.
    #[error("the split \"{0}\" is missing or empty; \"train\" and \"val\" are needed")]
    MissingSplit(Split),
    /// A line or row that holds no image with captions.
    #[error("{place}: {message}")]
    BadRow {
        /// The file and the line, row or entry.
        place: String,
        /// What is wrong there.
        message: String,
    },
    /// A split has a name that is not known.
    #[error("{place}: the split {name:?} is none of train (restval), val (dev, validation), test")]
    UnknownSplitName {
        /// The file and the line, row or entry.
        place: String,
        /// The name there.
        name: String,
    },
    /// Two images have the same id.
    #[error("two images have the id {0}")]
    DuplicateImageId(u64),
    /// Two images have the same file.
    #[error("two images have the file name {0:?}")]
    DuplicateFileName(String),
    /// Two annotations have the same id.
    #[error("two annotations have the id {0}")]
    DuplicateAnnotationId(u64),
    /// A caption belongs to no image.
    #[error("{annotation} names image {image_id}, which is not in \"images\"")]
    UnknownImageId {
        /// File and annotation, by its id or its place in the list.
        annotation: String,
        /// The id that no image has.
        image_id: u64,
    },
    /// A caption is empty or too long.
    #[error("{annotation} has {chars} characters; a caption has 1 to {limit}")]
    CaptionLength {
        /// The file and the annotation, line, row or entry.
        annotation: String,
        /// Characters it has, without white space around it.
        chars: usize,
        /// Most characters a caption may have.
        limit: usize,
    },
    /// A caption holds a character that no text has.
    #[error("{annotation} holds the control character U+{code:04X}: remove it")]
    ControlCharacter {
        /// The file and the annotation, line, row or entry.
        annotation: String,
        /// The character.
        code: u32,
    },
    /// An image has no caption.
    #[error("image {id} ({file_name}) has no caption")]
    NoCaptions {
        /// Id of the image.
        id: u64,
        /// Its file name.
        file_name: String,
    },
    /// An image has more captions than are read of one.
    #[error("image {id} ({file_name}) has more than {limit} captions")]
    TooManyCaptions {
        /// Id of the image.
        id: u64,
        /// Its file name.
        file_name: String,
        /// The limit.
        limit: usize,
    },
    /// A file name leads out of the folder of images, or is another spelling of a name.
    #[error(
        "image {id}: {file_name:?} is no plain relative name inside the folder of images: its parts are neither empty nor \".\" nor \"..\" and have at most 255 bytes, 1024 with all folders"
    )]
    UnsafeFileName {
        /// Id of the image.
        id: u64,
        /// Its file name.
        file_name: String,
    },
    /// A file name is not taken where the image is written to.
    #[error("image {id}: no file can be written under the name {file_name:?} ({reason})")]
    UnwritableName {
        /// Id of the image.
        id: u64,
        /// Its file name.
        file_name: String,
        /// What the system says.
        reason: String,
    },
    /// The image file is a link to a place outside the folder of images.
    #[error(
        "image {id}: {} is a link that leads outside the folder of images: copy the file there",
        path.display()
    )]
    LinkOutside {
        /// Id of the image.
        id: u64,
        /// The link.
        path: PathBuf,
    },
    /// The image file is absent.
    #[error("image {id}: {} is missing", path.display())]
    MissingImage {
        /// Id of the image.
        id: u64,
        /// Where its file should be.
        path: PathBuf,
    },
    /// The image file cannot be read.
    #[error("image {id}: cannot read {}: {reason}", path.display())]
    UnreadableImage {
        /// Id of the image.
        id: u64,
        /// Where its file should be.
        path: PathBuf,
        /// Why it cannot be used.
        reason: String,
    },
    /// A file or entry is larger than is read of such a one.
    #[error("{place} has more than {limit} bytes, the most that is read of such a file")]
    EntryTooLarge {
        /// The image file, entry or row.
        place: String,
        /// The limit in bytes.
        limit: u64,
    },
    /// An entry of an archive is a link or a device, which are not followed.
    #[error("{place} is no plain file ({kind}): links and devices in archives are not followed")]
    NotAFile {
        /// The archive and the entry.
        place: String,
        /// What it is.
        kind: String,
    },
    /// The image is there but cannot be decoded.
    #[error("image {file_name} {reason}")]
    BadImage {
        /// Its file name.
        file_name: String,
        /// What [`ImageError`](crate::ImageError) says.
        reason: String,
    },
    /// A split names an image that the captions do not have.
    #[error("{file}: \"{split}\" names {file_name:?}, which no image with captions has")]
    UnknownInSplit {
        /// The file of splits.
        file: String,
        /// The split.
        split: Split,
        /// The file name there.
        file_name: String,
    },
    /// A split names an image twice.
    #[error("\"{split}\" names {file_name:?} more than once")]
    TwiceInSplit {
        /// The split.
        split: Split,
        /// The file name there.
        file_name: String,
    },
    /// Two splits share an image, by name or by content.
    #[error(
        "{first_file} in \"{first}\" and {second_file} in \"{second}\" are the same image: splits must not overlap"
    )]
    Overlap {
        /// The first split.
        first: Split,
        /// File name in the first split.
        first_file: String,
        /// The second split.
        second: Split,
        /// File name in the second split.
        second_file: String,
    },
}

impl Problem {
    /// The kind of problem as a stable word, for counts and reports.
    pub fn kind(&self) -> &'static str {
        match self {
            Problem::Unreadable { .. } => "unreadable",
            Problem::TooLarge { .. } => "too_large",
            Problem::Malformed { .. } => "malformed",
            Problem::NoSplits => "no_splits",
            Problem::MissingSplit(_) => "missing_split",
            Problem::BadRow { .. } => "bad_row",
            Problem::UnknownSplitName { .. } => "unknown_split_name",
            Problem::DuplicateImageId(_) => "duplicate_image_id",
            Problem::DuplicateFileName(_) => "duplicate_file_name",
            Problem::DuplicateAnnotationId(_) => "duplicate_annotation_id",
            Problem::UnknownImageId { .. } => "unknown_image_id",
            Problem::CaptionLength { .. } => "caption_length",
            Problem::ControlCharacter { .. } => "control_character",
            Problem::NoCaptions { .. } => "no_captions",
            Problem::TooManyCaptions { .. } => "too_many_captions",
            Problem::UnsafeFileName { .. } => "unsafe_file_name",
            Problem::UnwritableName { .. } => "unwritable_name",
            Problem::LinkOutside { .. } => "link_outside",
            Problem::MissingImage { .. } => "missing_image",
            Problem::UnreadableImage { .. } => "unreadable_image",
            Problem::EntryTooLarge { .. } => "entry_too_large",
            Problem::NotAFile { .. } => "not_a_file",
            Problem::BadImage { .. } => "bad_image",
            Problem::UnknownInSplit { .. } => "unknown_in_split",
            Problem::TwiceInSplit { .. } => "twice_in_split",
            Problem::Overlap { .. } => "overlap",
        }
    }

    /// True when leaving out one image, caption or row removes the problem.
    ///
    /// An overlap of splits is none: which side keeps the image is for a person to say.
    pub fn is_of_item(&self) -> bool {
        !matches!(
            self,
            Problem::Unreadable { .. }
                | Problem::TooLarge { .. }
                | Problem::Malformed { .. }
                | Problem::NoSplits
                | Problem::MissingSplit(_)
                | Problem::Overlap { .. }
        )
    }
}

impl From<DataError> for Problem {
    fn from(error: DataError) -> Self {
        match error {
            DataError::Read { path, source } => Problem::Unreadable { path, reason: source.to_string() },
            DataError::TooLarge { path, limit } => Problem::TooLarge { path, limit },
            DataError::Json { path, line, column, message } => {
                let place = format!("{}, line {line}, column {column}", path.display());
                Problem::Malformed { place, message }
            }
            other => Problem::Malformed { place: "the data set".into(), message: other.to_string() },
        }
    }
}

/// A non-empty list of problems of one data set.
///
/// Its display lists the first [`Problems::SHOWN`] and counts the others.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub struct Problems {
    /// The folder of the data set.
    pub dir: PathBuf,
    /// All problems, in the order of reading.
    pub list: Vec<Problem>,
}

impl Problems {
    /// How many problems are written out.
    pub const SHOWN: usize = 20;
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.list.len();
        let noun = if count == 1 { "problem" } else { "problems" };
        write!(f, "the data set {} has {count} {noun}:", self.dir.display())?;
        for problem in self.list.iter().take(Self::SHOWN) {
            write!(f, "\n  - {problem}")?;
        }
        match count.saturating_sub(Self::SHOWN) {
            0 => Ok(()),
            more => write!(f, "\n  and {more} more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_the_first_twenty_and_counts_the_rest() {
        let list = (0..23).map(Problem::DuplicateImageId).collect();
        let text = Problems { dir: "data".into(), list }.to_string();
        assert!(text.starts_with("the data set data has 23 problems:"));
        assert!(text.contains("the id 19") && !text.contains("the id 20"));
        assert!(text.ends_with("and 3 more"));
    }
}
