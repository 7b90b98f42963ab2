//! Everything that is wrong with a data set, reported at once.

use std::fmt;
use std::path::PathBuf;

use thiserror::Error;

use crate::dataset::Split;

/// One thing that is wrong with a data set.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Problem {
    /// `captions.json` or `splits.json` cannot be used at all.
    #[error("{0}")]
    File(String),
    /// No `splits.json`.
    #[error(
        "splits.json is missing: add one that lists the image files of each split, {{\"train\": [\"a.jpg\", ...], \"val\": [...]}}"
    )]
    NoSplits,
    /// A split that is needed is missing or empty.
    #[error("splits.json: the split \"{0}\" is missing or empty; \"train\" and \"val\" are needed")]
    MissingSplit(Split),
    /// Two images have the same id.
    #[error("captions.json: two images have the id {0}")]
    DuplicateImageId(u64),
    /// Two images have the same file.
    #[error("captions.json: two images have the file name {0:?}")]
    DuplicateFileName(String),
    /// Two annotations have the same id.
    #[error("captions.json: two annotations have the id {0}")]
    DuplicateAnnotationId(u64),
    /// A caption belongs to no image.
    #[error("captions.json: annotation {annotation} names image {image_id}, which is not in \"images\"")]
    UnknownImageId {
        /// The annotation, by its id or its place in the list.
        annotation: String,
        /// The id that no image has.
        image_id: u64,
    },
    /// A caption is empty or too long.
    #[error("captions.json: annotation {annotation} has {chars} characters; a caption has 1 to {limit}")]
    CaptionLength {
        /// The annotation, by its id or its place in the list.
        annotation: String,
        /// Characters it has, without white space around it.
        chars: usize,
        /// Most characters a caption may have.
        limit: usize,
    },
    /// An image has no caption.
    #[error("captions.json: image {id} ({file_name}) has no caption")]
    NoCaptions {
        /// Id of the image.
        id: u64,
        /// Its file name.
        file_name: String,
    },
    /// A file name leads out of the folder `images`.
    #[error(
        "image {id}: the file name {file_name:?} does not stay inside images/: use a plain relative name"
    )]
    UnsafeFileName {
        /// Id of the image.
        id: u64,
        /// Its file name.
        file_name: String,
    },
    /// The image file is absent or cannot be read.
    #[error("image {id}: cannot read {}: {reason}", path.display())]
    UnreadableImage {
        /// Id of the image.
        id: u64,
        /// Where its file should be.
        path: PathBuf,
        /// Why it cannot be used.
        reason: String,
    },
    /// A split names an image that `captions.json` does not have.
    #[error("splits.json: \"{split}\" names {file_name:?}, which no image in captions.json has")]
    UnknownInSplit {
        /// The split.
        split: Split,
        /// The file name there.
        file_name: String,
    },
    /// A split names an image twice.
    #[error("splits.json: \"{split}\" names {file_name:?} more than once")]
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
