//! Writers of the formats, one for those with plain image files and one for each packed format.

mod parquet;
mod plain;
mod webdataset;

use std::path::{Path, PathBuf};

use crate::formats::Format;
use crate::{DataError, Split, staging};

/// An image as it is written.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub id: u64,
    pub file_name: String,
    pub captions: Vec<String>,
    pub split: Option<Split>,
}

/// The name of files with the images of a split.
fn split_name(split: Option<Split>) -> &'static str {
    split.map_or("other", Split::name)
}

/// A data set that is being written.
pub(crate) enum Output {
    Plain { format: Format, dir: PathBuf, records: Vec<Record> },
    Webdataset(webdataset::Shards),
    Parquet(parquet::Files),
}

impl Output {
    /// Begins a data set in an empty folder.
    pub fn new(format: Format, dir: &Path) -> Result<Output, DataError> {
        let folder = |name: &str| {
            let inner = dir.join(name);
            std::fs::create_dir(&inner).map_err(|e| DataError::write(&inner, e)).map(|()| inner)
        };
        Ok(match format {
            Format::Webdataset => Output::Webdataset(webdataset::Shards::new(dir)),
            Format::Parquet => Output::Parquet(parquet::Files::new(&folder("data")?)),
            _ => {
                folder("images")?;
                Output::Plain { format, dir: dir.to_owned(), records: Vec::new() }
            }
        })
    }

    /// Where image files go, if the format has them.
    pub fn images_folder(&self) -> Option<ImageFolder> {
        match self {
            Output::Plain { dir, .. } => Some(ImageFolder(dir.join("images"))),
            _ => None,
        }
    }

    /// Writes the file of an image, if the format has such; may be called from several threads.
    pub fn put_image(&self, name: &str, bytes: &[u8]) -> Result<(), DataError> {
        self.images_folder().map_or(Ok(()), |folder| folder.put(name, bytes))
    }

    /// Adds an image; its file, if the format has such, is written already.
    pub fn push(&mut self, record: Record, bytes: Vec<u8>) -> Result<(), DataError> {
        match self {
            Output::Plain { format, records, .. } => {
                plain::check(*format, &record)?;
                records.push(record);
                Ok(())
            }
            Output::Webdataset(shards) => shards.push(&record, &bytes),
            Output::Parquet(files) => files.push(record, bytes),
        }
    }

    /// Writes what is left.
    pub fn finish(self) -> Result<(), DataError> {
        match self {
            Output::Plain { format, dir, records } => plain::write(format, &dir, records),
            Output::Webdataset(shards) => shards.finish(),
            Output::Parquet(files) => files.finish(),
        }
    }
}

/// A folder of image files.
pub(crate) struct ImageFolder(PathBuf);

impl ImageFolder {
    /// Writes an image under a name that was checked: plain, relative, not there yet. The disk is waited for at the end.
    pub fn put(&self, name: &str, bytes: &[u8]) -> Result<(), DataError> {
        let path = self.0.join(name);
        if let Some(parent) = path.parent().filter(|p| *p != self.0) {
            std::fs::create_dir_all(parent).map_err(|e| DataError::write(parent, e))?;
        }
        staging::write_new(&path, bytes)
    }
}
