//! ZIP archives unpacked into a folder, as if they came from an enemy.
//!
//! Everything that the archive claims is checked before the first byte is written: names stay below the folder, nothing is a
//! link, entries and bytes are limited. Each file appears complete under its name. Run again, files that are whole already
//! stay, so that an unpacking that was stopped goes on.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufReader, Read, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use capwright_files::{folder_of, sync_folder, temporary_in};
use zip::ZipArchive;
use zip::read::ZipFileEntry;

const BUFFER: usize = 128 * 1024;
/// Problems that a message shows.
const SHOWN: usize = 10;
/// Longest name in bytes.
const LONGEST_NAME: usize = 1024;

/// What an archive may hold, counted over the entries that are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnpackLimits {
    /// Most files.
    pub files: usize,
    /// Most bytes of all files together, unpacked.
    pub bytes: u64,
}

/// What was unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Unpacked {
    /// Files that were written.
    pub written: usize,
    /// Files that were there already, whole.
    pub kept: usize,
    /// Bytes of both.
    pub bytes: u64,
}

/// Why an archive is not unpacked. Files that are written by then are whole and stay.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UnpackError {
    /// It is no archive that can be read.
    #[error("{} is no ZIP archive that can be read: {why}", archive.display())]
    NotZip {
        /// The archive.
        archive: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// Entries could do harm, or cannot be read; nothing was written.
    #[error("{} is not unpacked: {}", archive.display(), listed(problems))]
    Refused {
        /// The archive.
        archive: PathBuf,
        /// One line for each entry.
        problems: Vec<String>,
    },
    /// It holds more than it may; nothing was written.
    #[error("{} is not unpacked: it holds more than {limit} {unit}", archive.display())]
    TooMuch {
        /// The archive.
        archive: PathBuf,
        /// The limit.
        limit: u64,
        /// What is counted.
        unit: &'static str,
    },
    /// The content of an entry is damaged.
    #[error("{}, `{name}`: {why}", archive.display())]
    Damaged {
        /// The archive.
        archive: PathBuf,
        /// The entry.
        name: String,
        /// What is wrong.
        why: String,
    },
    /// A file or folder cannot be written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Whoever watched said stop.
    #[error("stopped unpacking {}: the same again goes on", archive.display())]
    Stopped {
        /// The archive.
        archive: PathBuf,
    },
}

fn listed(problems: &[String]) -> String {
    let mut text = problems[..problems.len().min(SHOWN)].join("; ");
    if problems.len() > SHOWN {
        text.push_str(&format!("; and {} more", problems.len() - SHOWN));
    }
    text
}

/// An entry that is written.
struct Planned {
    index: usize,
    name: String,
    size: u64,
}

/// Unpacks the files whose names are `wanted` below `folder`, which is made where it is not there; what is not wanted is not
/// looked at. `watch` is told the bytes so far and in all, and says whether to go on. Only one process may do this in a folder
/// at a time.
///
/// Links that are in the folder already are followed: it belongs to the caller.
///
/// # Errors
/// [`UnpackError`].
pub fn unpack(
    archive: &Path,
    folder: &Path,
    limits: UnpackLimits,
    wanted: &dyn Fn(&str) -> bool,
    watch: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
) -> Result<Unpacked, UnpackError> {
    let file = File::open(archive).map_err(|e| failed(archive, e))?;
    let not_zip =
        |e: zip::result::ZipError| UnpackError::NotZip { archive: archive.into(), why: e.to_string() };
    let mut zip = ZipArchive::new(BufReader::new(file)).map_err(not_zip)?;
    let plan = plan(&zip, archive, limits, wanted)?;
    let total = plan.iter().map(|entry| entry.size).sum();
    make_folders(folder, &plan)?;
    let mut done = Unpacked::default();
    for entry in &plan {
        let path = folder.join(&entry.name);
        if fs::metadata(&path).is_ok_and(|there| there.is_file() && there.len() == entry.size)
            && is_whole(&mut zip, archive, entry, &path)?
        {
            done.kept += 1;
        } else {
            write(&mut zip, archive, entry, folder, &path)?;
            done.written += 1;
        }
        done.bytes += entry.size;
        if watch(done.bytes, total).is_break() {
            return Err(UnpackError::Stopped { archive: archive.into() });
        }
    }
    settle(folder, &plan)?;
    Ok(done)
}

fn failed(path: &Path, source: io::Error) -> UnpackError {
    UnpackError::File { path: path.to_owned(), source }
}

/// The files to write, all of which may be written.
fn plan<R: Read + io::Seek>(
    zip: &ZipArchive<R>,
    archive: &Path,
    limits: UnpackLimits,
    wanted: &dyn Fn(&str) -> bool,
) -> Result<Vec<Planned>, UnpackError> {
    let too_much = |limit, unit| UnpackError::TooMuch { archive: archive.into(), limit, unit };
    let (mut plan, mut problems, mut bytes) = (Vec::new(), Vec::new(), 0u64);
    if zip.has_duplicate_names() {
        problems.push("several entries have the same name".to_owned());
    }
    for index in 0..zip.len() {
        let planned = zip.by_index_data(index).map_err(|e| e.to_string()).and_then(|entry| {
            let name = entry.name().map_err(|e| e.to_string())?.into_owned();
            if !wanted(&name) {
                return Ok(None);
            }
            if let Some(fault) = fault(&entry, &name) {
                return Err(format!("{name:?} {fault}"));
            }
            Ok((!entry.is_dir()).then(|| Planned { index, name, size: entry.size() }))
        });
        match planned {
            Ok(None) => {}
            Ok(Some(entry)) => {
                bytes = bytes.saturating_add(entry.size);
                plan.push(entry);
            }
            Err(problem) => problems.push(problem),
        }
        if plan.len() > limits.files {
            return Err(too_much(limits.files as u64, "files"));
        }
        if bytes > limits.bytes {
            return Err(too_much(limits.bytes, "bytes"));
        }
    }
    if problems.is_empty() {
        Ok(plan)
    } else {
        Err(UnpackError::Refused { archive: archive.into(), problems })
    }
}

/// Why an entry is not unpacked, if it is not.
fn fault(entry: &ZipFileEntry<'_>, name: &str) -> Option<&'static str> {
    let stem = name.strip_suffix('/').unwrap_or(name);
    let strange = |c: char| c.is_control() || matches!(c, '\\' | ':');
    if stem.is_empty() || name.len() > LONGEST_NAME || name.contains(strange) {
        Some("is no plain name")
    } else if stem.split('/').any(|part| matches!(part, "" | "." | "..")) {
        Some("leads out of the folder")
    } else if entry.is_symlink() {
        Some("is a link")
    } else if !entry.is_dir()
        && entry.unix_mode().is_some_and(|mode| !matches!(mode & 0o170_000, 0 | 0o100_000))
    {
        Some("is no plain file")
    } else if entry.encrypted() {
        Some("is encrypted")
    } else {
        None
    }
}

fn make_folders(folder: &Path, plan: &[Planned]) -> Result<(), UnpackError> {
    fs::create_dir_all(folder).map_err(|e| failed(folder, e))?;
    capwright_files::clear_leftovers(folder);
    for inner in folders(folder, plan) {
        fs::create_dir_all(&inner).map_err(|e| failed(&inner, e))?;
    }
    Ok(())
}

/// The folders that get files.
fn folders(folder: &Path, plan: &[Planned]) -> BTreeSet<PathBuf> {
    plan.iter().map(|entry| folder_of(&folder.join(&entry.name)).to_owned()).collect()
}

/// Whether the file that is there has the content of the entry.
fn is_whole<R: Read + io::Seek>(
    zip: &mut ZipArchive<R>,
    archive: &Path,
    entry: &Planned,
    path: &Path,
) -> Result<bool, UnpackError> {
    let mut there = File::open(path).map_err(|e| failed(path, e))?;
    let (mut ours, mut theirs) = (vec![0; BUFFER], vec![0; BUFFER]);
    let mut packed = open(zip, archive, entry)?;
    loop {
        let n = packed.read(&mut theirs).map_err(|e| damaged(archive, entry, e))?;
        if n == 0 {
            return Ok(true);
        }
        match there.read_exact(&mut ours[..n]) {
            Ok(()) if ours[..n] == theirs[..n] => {}
            Ok(()) => return Ok(false),
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
            Err(e) => return Err(failed(path, e)),
        }
    }
}

fn write<R: Read + io::Seek>(
    zip: &mut ZipArchive<R>,
    archive: &Path,
    entry: &Planned,
    folder: &Path,
    path: &Path,
) -> Result<(), UnpackError> {
    let mut packed = open(zip, archive, entry)?;
    let mut file = temporary_in(folder).map_err(|e| failed(folder, e))?;
    let mut buffer = vec![0; BUFFER];
    let mut bytes = 0;
    loop {
        let n = packed.read(&mut buffer).map_err(|e| damaged(archive, entry, e))?;
        bytes += n as u64;
        // An entry that grows beyond what it claims would pass the limits.
        if bytes > entry.size || (n == 0 && bytes < entry.size) {
            return Err(damaged(archive, entry, "it has another size than it claims"));
        }
        if n == 0 {
            // The disk is waited for once, at the end: here that would take longer than the unpacking.
            return file.persist(path).map(drop).map_err(|e| failed(path, e.error));
        }
        file.write_all(&buffer[..n]).map_err(|e| failed(path, e))?;
    }
}

fn open<'a, R: Read + io::Seek>(
    zip: &'a mut ZipArchive<R>,
    archive: &Path,
    entry: &Planned,
) -> Result<zip::read::ZipFile<'a, R>, UnpackError> {
    zip.by_index(entry.index).map_err(|e| damaged(archive, entry, e))
}

fn damaged(archive: &Path, entry: &Planned, why: impl ToString) -> UnpackError {
    UnpackError::Damaged { archive: archive.into(), name: entry.name.clone(), why: why.to_string() }
}

/// Waits until everything is on the disk: whoever notes that the archive is unpacked may rely on it.
fn settle(folder: &Path, plan: &[Planned]) -> Result<(), UnpackError> {
    for entry in plan {
        let path = folder.join(&entry.name);
        File::open(&path).and_then(|file| file.sync_all()).map_err(|e| failed(&path, e))?;
    }
    folders(folder, plan).iter().for_each(|inner| sync_folder(inner));
    sync_folder(folder);
    Ok(())
}

#[cfg(test)]
#[path = "unpack_tests.rs"]
mod tests;
