//! What can go wrong with data, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::formats::Format;
use crate::{Problems, Quarantine};

/// An error about a file or folder of a data set; the message always names it.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DataError {
    /// A file or folder cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file or folder cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file is larger than this program reads.
    #[error("{} has more than {limit} bytes, the most that is read of such a file", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit in bytes.
        limit: u64,
    },
    /// A file is not the JSON that it should be.
    #[error("{}, line {line}, column {column}: {message}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Line, from 1; 0 when the place is unknown.
        line: usize,
        /// Column, from 1; 0 when the place is unknown.
        column: usize,
        /// What is wrong there.
        message: String,
    },
    /// Images with more than one caption where one is wanted.
    #[error("{} has more than one caption of image {}: give one an image", path.display(), some_of(ids))]
    Repeated {
        /// The file.
        path: PathBuf,
        /// Ids of the images, in order.
        ids: Vec<u64>,
    },
    /// Captions that are longer than those of data sets may be, which take too long to score.
    #[error("{} has captions of more than {limit} characters, of image {}: shorten them, or leave them out", path.display(), some_of(ids))]
    LongCaptions {
        /// The file.
        path: PathBuf,
        /// Ids of the images, in order.
        ids: Vec<u64>,
        /// Most characters of a caption.
        limit: usize,
    },
    /// The data set has problems; all of them are listed.
    #[error(transparent)]
    Problems(#[from] Problems),
    /// More items are bad than the caller allows.
    #[error(transparent)]
    TooManyBad(Box<Quarantine>),
    /// Nothing in a folder or file looks like a data set.
    #[error("{} holds no data set that is known: found {found}; understood are {}", path.display(), Format::listing())]
    UnknownFormat {
        /// The folder or file.
        path: PathBuf,
        /// Some of what is there.
        found: String,
    },
    /// A folder holds data sets of several formats.
    #[error("{} holds several data sets ({candidates}): name the file to read, or its format", path.display())]
    Ambiguous {
        /// The folder.
        path: PathBuf,
        /// The formats and a file of each.
        candidates: String,
    },
    /// The images of a data set are packed in archives, not plain files.
    #[error("{} is packed as {format}: unpack it with `capwright data convert`", path.display())]
    Packed {
        /// The folder or file.
        path: PathBuf,
        /// Its format.
        format: Format,
    },
    /// A format that is read but not written.
    #[error("the format {0} is read, not written: choose another")]
    NotWritable(Format),
    /// A format cannot hold an image's name or captions.
    #[error("the format {format} cannot hold {file_name:?}: {reason}")]
    Inexpressible {
        /// The format.
        format: Format,
        /// The image.
        file_name: String,
        /// What does not fit.
        reason: &'static str,
    },
    /// A data set has more images or bytes than are handled.
    #[error("{} has more than {limit} {unit}, the most that is converted", path.display())]
    Total {
        /// The data set.
        path: PathBuf,
        /// The limit.
        limit: u64,
        /// What is counted.
        unit: &'static str,
    },
    /// Splits cannot be made as asked.
    #[error("cannot make splits: {0}")]
    Splits(String),
    /// An image cannot be used.
    #[error("image {}: {source}", path.display())]
    Image {
        /// The image file.
        path: PathBuf,
        /// What is wrong with it.
        source: ImageError,
    },
    /// A folder to be made exists and holds something.
    #[error("{} exists and is not an empty folder: choose another place, or remove it first", .0.display())]
    NotEmpty(PathBuf),
    /// A folder to be made exists and cannot be replaced, for a disk is mounted there.
    #[error("{} is in use by the system, most likely as the place where a disk is mounted, and cannot be replaced: name a folder inside it", .0.display())]
    MountPoint(PathBuf),
    /// An archive of a data set cannot be downloaded.
    #[error(transparent)]
    Download(#[from] capwright_fetch::DownloadError),
    /// An archive of a data set cannot be unpacked.
    #[error(transparent)]
    Unpack(#[from] capwright_fetch::UnpackError),
    /// Another process downloads into the folder.
    #[error("another process downloads into {}: let it finish, or stop it", .0.display())]
    Busy(PathBuf),
    /// What scenes show is told in another way than it was written.
    #[error("{}: {why}", path.display())]
    Truth {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        why: String,
    },
    /// Options of the scenes set that cannot be met.
    #[error("cannot make scenes: {0}")]
    Scenes(String),
}

/// The first [`Problems::SHOWN`] of a list, and how many more there are.
pub(crate) fn some_of<T: ToString>(all: &[T]) -> String {
    let shown: Vec<String> = all.iter().take(Problems::SHOWN).map(T::to_string).collect();
    match all.len() - shown.len() {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

impl DataError {
    pub(crate) fn read(path: &Path, source: io::Error) -> Self {
        DataError::Read { path: path.to_owned(), source }
    }

    pub(crate) fn write(path: &Path, source: io::Error) -> Self {
        DataError::Write { path: path.to_owned(), source }
    }

    pub(crate) fn json(path: &Path, error: &serde_json::Error) -> Self {
        let (line, column) = (error.line(), error.column());
        // serde_json repeats the place at the end of its message.
        let message = error.to_string();
        let place = format!(" at line {line} column {column}");
        let message = message.strip_suffix(&place).unwrap_or(&message).to_owned();
        DataError::Json { path: path.to_owned(), line, column, message }
    }
}

/// Why an image cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ImageError {
    /// None of JPEG, PNG, WebP and GIF.
    #[error("is no JPEG, PNG, WebP or GIF file: convert it, or leave it out")]
    UnknownFormat,
    /// The header announces more pixels than the limit.
    #[error("has {width} x {height} pixels, more than the limit of {limit} pixels")]
    TooManyPixels {
        /// Width in the header.
        width: usize,
        /// Height in the header.
        height: usize,
        /// Most pixels that are decoded.
        limit: u64,
    },
    /// The content is damaged or cut off.
    #[error("is damaged or incomplete ({0}): fetch it again, or leave it out")]
    Damaged(String),
    /// The wanted size is not one that images can have.
    #[error("cannot be resized to {0} x {0} pixels")]
    Size(u32),
    /// The shorter side is resized to less than what is cut out of it.
    #[error("cannot be cut to {size} x {size} pixels after its shorter side is resized to {shorter_side}")]
    Crop {
        /// Pixels that the shorter side gets.
        shorter_side: u32,
        /// Side of the square that is cut out.
        size: u32,
    },
}

/// Reads a file of at most `limit` bytes.
pub(crate) fn read_limited(path: &Path, limit: u64) -> Result<Vec<u8>, DataError> {
    use std::io::Read;
    let file = std::fs::File::open(path).map_err(|e| DataError::read(path, e))?;
    let length = file.metadata().map_err(|e| DataError::read(path, e))?.len();
    let too_large = || DataError::TooLarge { path: path.to_owned(), limit };
    if length > limit {
        return Err(too_large());
    }
    let mut bytes = Vec::with_capacity(length as usize);
    // The length of a pipe or a growing file is not its metadata's.
    file.take(limit + 1).read_to_end(&mut bytes).map_err(|e| DataError::read(path, e))?;
    if bytes.len() as u64 > limit { Err(too_large()) } else { Ok(bytes) }
}
