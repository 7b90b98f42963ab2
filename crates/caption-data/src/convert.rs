//! From any format to another; the bytes of images are not touched.

use std::collections::HashMap;
use std::path::Path;

use rayon::prelude::*;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::dataset::{Fingerprint, LoadOptions, check_image};
use crate::formats::entry::Entry;
use crate::formats::{self, Format, Located};
use crate::quarantine::Tally;
use crate::splits::unknown_names;
use crate::staging::Staging;
use crate::visit::visit;
use crate::write::{Output, Record};
use crate::{DEFAULT_BAD_SHARE, DataError, Dataset, ImageRecord, Problem, Quarantine, Split, Splits};

/// Most bytes of images that a conversion writes: 4 TiB.
const MAX_TOTAL_BYTES: u64 = 4 << 40;
/// Images that are copied at a time.
const CHUNK: usize = 16;

/// What [`convert`] does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ConvertOptions {
    /// The format to read; [`Format::detect`] finds it when absent.
    pub from: Option<Format>,
    /// The format to write.
    pub to: Format,
    /// Share of bad items (0..=1) that are left out and reported; absent, every bad item is an error.
    pub max_bad_share: Option<f64>,
    /// Decodes every image, so that damaged ones are left out.
    pub decode: bool,
}

impl ConvertOptions {
    /// Any format to `to`, images decoded, at most [`DEFAULT_BAD_SHARE`] left out.
    pub fn to(to: Format) -> Self {
        ConvertOptions { from: None, to, max_bad_share: Some(DEFAULT_BAD_SHARE), decode: true }
    }
}

/// What a conversion wrote.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Converted {
    /// The format that was read.
    pub from: Format,
    /// The format that was written.
    pub to: Format,
    /// Images written.
    pub images: usize,
    /// Captions written.
    pub captions: usize,
    /// Images in train, val and test; the others are in no split.
    pub splits: [usize; 3],
    /// [`Dataset::fingerprint`] of the result; that of an empty data set when there are no splits.
    pub fingerprint: String,
    /// What was left out.
    pub quarantine: Quarantine,
}

/// Reads the data set at `path`, a folder or a file, and writes it to the new folder `dir`.
///
/// The folder appears complete or not at all. Images in no split stay in none; `splits.json` wins over splits that the format
/// names. Captions lose white space around them, as when they are loaded.
///
/// # Errors
/// As [`Dataset::load_with`], but without the need of splits; [`DataError::NotWritable`], [`DataError::Inexpressible`] when the target
/// cannot hold a name or caption, [`DataError::NotEmpty`] when `dir` holds something, [`DataError::Write`] when the disk refuses.
pub fn convert(
    path: impl AsRef<Path>,
    dir: impl AsRef<Path>,
    options: &ConvertOptions,
) -> Result<Converted, DataError> {
    let path = path.as_ref();
    if !options.to.is_writable() {
        return Err(DataError::NotWritable(options.to));
    }
    let located = formats::locate(path, options.from)?;
    let staging = Staging::new(dir.as_ref())?;
    let mut job = Job::new(path, Output::new(options.to, staging.path())?);
    let quarantine =
        if located.format.is_packed() { job.unpack(&located, options)? } else { job.copy(options)? };
    let Job { output, images, captions, splits, fingerprint, .. } = job;
    output.finish()?;
    staging.finish()?;
    let (from, to) = (located.format, options.to);
    Ok(Converted { from, to, images, captions, splits, fingerprint: fingerprint.finish(), quarantine })
}

struct Job<'a> {
    path: &'a Path,
    output: Output,
    images: usize,
    captions: usize,
    bytes: u64,
    splits: [usize; 3],
    fingerprint: Fingerprint,
}

impl Job<'_> {
    fn new(path: &Path, output: Output) -> Job<'_> {
        let fingerprint = Fingerprint::default();
        Job { path, output, images: 0, captions: 0, bytes: 0, splits: [0; 3], fingerprint }
    }

    /// Plain files are checked as a data set first, then copied.
    fn copy(&mut self, options: &ConvertOptions) -> Result<Quarantine, DataError> {
        let ConvertOptions { from: format, max_bad_share, decode, .. } = *options;
        let load =
            LoadOptions { format, max_bad_share, decode, need_splits: false, ..LoadOptions::default() };
        let (dataset, quarantine) = Dataset::load_with(self.path, &load)?;
        let mut tally = Tally::resume(quarantine);
        let mut split_of = vec![None; dataset.images().len()];
        for split in Split::ALL {
            dataset.split(split).iter().for_each(|&at| split_of[at] = Some(split));
        }
        for (chunk, splits) in dataset.images().chunks(CHUNK).zip(split_of.chunks(CHUNK)) {
            let output = &self.output;
            let copied: Vec<Result<Vec<u8>, Problem>> =
                chunk.par_iter().map(|image| copy_image(output, image)).collect::<Result<_, DataError>>()?;
            for ((image, &split), copied) in chunk.iter().zip(splits).zip(copied) {
                let (file_name, captions) = (image.file_name.clone(), image.captions.clone());
                match copied {
                    Ok(bytes) => {
                        self.push(Record { id: image.id, file_name, captions, split }, &image.sha256, bytes)?;
                    }
                    Err(problem) => tally.fault(&file_name, problem),
                }
            }
        }
        tally.verdict(max_bad_share)
    }

    /// Archives are read once, from their beginning to their end.
    fn unpack(&mut self, located: &Located, options: &ConvertOptions) -> Result<Quarantine, DataError> {
        let mut tally = Tally::new(self.path);
        let splits = Splits::read(&located.dir)?;
        let mut named = splits.as_ref().map(|splits| splits.by_name(&mut tally));
        let mut owners: HashMap<[u8; 32], (Split, String)> = HashMap::new();
        let to = self.output.images_folder();
        let problems = visit(
            located,
            |entry: &Entry, seen| {
                check_image(entry, &seen, options.decode)?;
                // Written here to use all cores; a refusal of the disk ends the conversion below.
                let written = match &to {
                    Some(folder) if entry.is_usable() => folder.put(&entry.file_name, &seen.bytes),
                    _ => Ok(()),
                };
                let written = match refused_name(entry.id, &entry.file_name, written) {
                    Ok(Some(problem)) => return Err(problem),
                    other => other.map(drop),
                };
                Ok((<[u8; 32]>::from(Sha256::digest(&seen.bytes)), seen.bytes, written))
            },
            |mut entry, seen| {
                let usable = entry.is_usable();
                tally.entry(&mut entry)?;
                if let Some(named) = &mut named {
                    entry.split = named.remove(entry.file_name.as_str());
                }
                let Some((sha256, bytes, written)) = seen.filter(|_| usable) else { return Ok(()) };
                written?;
                if let Some(second) = entry.split {
                    let (first, file) = owners.entry(sha256).or_insert((second, entry.file_name.clone()));
                    if *first != second {
                        let (first_file, second_file) = (file.clone(), entry.file_name.clone());
                        tally.push(Problem::Overlap { first: *first, first_file, second, second_file });
                    }
                }
                let Entry { id, file_name, captions, split, .. } = entry;
                self.push(Record { id, file_name, captions, split }, &sha256, bytes)
            },
        )?;
        let unknown = named.map(unknown_names).unwrap_or_default();
        problems.into_iter().chain(unknown).for_each(|problem| tally.push(problem));
        tally.verdict(options.max_bad_share)
    }

    fn push(&mut self, record: Record, sha256: &[u8; 32], bytes: Vec<u8>) -> Result<(), DataError> {
        self.bytes += bytes.len() as u64;
        if self.bytes > MAX_TOTAL_BYTES {
            let path = self.path.to_owned();
            return Err(DataError::Total { path, limit: MAX_TOTAL_BYTES, unit: "bytes" });
        }
        self.images += 1;
        self.captions += record.captions.len();
        if let Some(split) = record.split {
            self.splits[split as usize] += 1;
            self.fingerprint.add(sha256, split, &record.captions);
        }
        self.output.push(record, bytes)
    }
}

/// Copies a file that was checked; what is wrong with its name is the image's own problem.
fn copy_image(output: &Output, image: &ImageRecord) -> Result<Result<Vec<u8>, Problem>, DataError> {
    let changed = || DataError::read(&image.path, std::io::Error::other("it changed while it was read"));
    let bytes = image.content()?.ok_or_else(changed)?;
    let written = output.put_image(&image.file_name, &bytes);
    Ok(refused_name(image.id, &image.file_name, written)?.map_or(Ok(bytes), Err))
}

/// Parts a name that the disk does not take, the problem of one image, from what ends a conversion.
fn refused_name(
    id: u64,
    file_name: &str,
    written: Result<(), DataError>,
) -> Result<Option<Problem>, DataError> {
    use std::io::ErrorKind::{AlreadyExists, InvalidFilename, IsADirectory, NotADirectory};
    match written {
        Ok(()) => Ok(None),
        Err(DataError::Write { source, .. })
            if matches!(source.kind(), AlreadyExists | InvalidFilename | IsADirectory | NotADirectory) =>
        {
            let (file_name, reason) = (file_name.to_owned(), source.to_string());
            Ok(Some(Problem::UnwritableName { id, file_name, reason }))
        }
        Err(other) => Err(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_the_disk_does_not_take_is_a_problem_of_its_image() {
        let dir = tempfile::tempdir().unwrap();
        let output = Output::new(Format::Folder, dir.path()).unwrap();
        let put = |name: &str| refused_name(1, name, output.put_image(name, b"bytes"));
        assert!(matches!(put("x.png"), Ok(None)));
        // A folder where a file is, a file where a folder is, and a path that is too long.
        assert!(matches!(put("y.png/z.png"), Ok(None)));
        let long = vec!["n".repeat(200); 30].join("/");
        for name in ["x.png/z.png", "x.png/y/z.png", "y.png", &long] {
            assert!(matches!(put(name), Ok(Some(Problem::UnwritableName { .. }))), "{name}");
        }
        let full = DataError::write(dir.path(), std::io::ErrorKind::StorageFull.into());
        assert!(refused_name(1, "w.png", Err(full)).is_err());
    }
}
