//! One large file over HTTPS, in as many runs as it takes.
//!
//! What has arrived lies beside the file as `NAME.part`. A run that is stopped, killed or cut off leaves it there, and the next
//! one asks the server for the rest. The digest of the whole decides in the end whether the parts belong together, so no
//! note about the server's version of the file is needed.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Seek};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use capwright_files::{Locked, folder_of, sync_folder};

use crate::cache::told_offline;
use crate::copy::{CopyError, Hashed};
use crate::{Sha, Timeouts, http};

/// Between two looks at whether to go on waiting.
const TICK: Duration = Duration::from_millis(100);
/// Longest pause before a new try.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// A file of known size and content.
#[derive(Debug, Clone)]
pub struct LargeFile<'a> {
    /// Where it is: `https://`, or `http://` on this machine.
    pub url: &'a str,
    /// Its size; a server that offers another is refused, and no more is ever written.
    pub bytes: u64,
    /// What its content must hash to.
    pub sha256: &'a Sha,
}

/// How far a download is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DownloadNews {
    /// What is there from an earlier run is being hashed: bytes so far.
    Checking(u64),
    /// Bytes of the file that are here.
    Receiving(u64),
    /// The connection failed; the download goes on after a pause.
    Waiting {
        /// What happened, in one line.
        why: String,
        /// How long.
        pause: Duration,
    },
}

/// Is told the state of a download several times a second, and says whether to go on.
pub type Watch<'a> = &'a mut dyn FnMut(&DownloadNews) -> ControlFlow<()>;

/// Why there is no file. A part that has arrived is kept unless the message says otherwise.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DownloadError {
    /// Nothing may be downloaded.
    #[error("{url} may not be downloaded: CAPWRIGHT_OFFLINE is set. Unset it, or put the file at {}", path.display())]
    Offline {
        /// The address.
        url: String,
        /// Where a copy would be found.
        path: PathBuf,
    },
    /// Another process downloads the same file.
    #[error("{} is being written by another process: let it finish, or stop it", part.display())]
    Busy {
        /// The part.
        part: PathBuf,
    },
    /// Whoever watched said stop.
    #[error("stopped after {bytes} bytes of {}: the same again goes on from there", part.display())]
    Stopped {
        /// The part.
        part: PathBuf,
        /// Bytes in it.
        bytes: u64,
    },
    /// The server does not give the file, and will not.
    #[error("{url}: {why}")]
    Refused {
        /// The address.
        url: String,
        /// What it answered.
        why: String,
    },
    /// The connection failed again and again.
    #[error("{url} failed {tries} times in a row, the last time: {why}. {bytes} bytes are kept in {}: the same again goes on from there", part.display())]
    Unreachable {
        /// The address.
        url: String,
        /// How often it was tried without a byte.
        tries: u32,
        /// What happened last.
        why: String,
        /// The part.
        part: PathBuf,
        /// Bytes in it.
        bytes: u64,
    },
    /// The server's file has another size.
    #[error("{url} has {} bytes, expected {expected}: it is another file than it was", found.map_or("more".to_owned(), |n| n.to_string()))]
    Size {
        /// The address.
        url: String,
        /// Bytes that it should have.
        expected: u64,
        /// Bytes that the server told; none where it did not, and sent too many.
        found: Option<u64>,
    },
    /// The content is not what it should be.
    #[error("{url} gave sha256 {found}, expected {expected}; what arrived was removed")]
    Digest {
        /// The address.
        url: String,
        /// What it should be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// Another file has the name already.
    #[error("{} is there already and is not the file of {url}: remove it, or choose another place", path.display())]
    Taken {
        /// The address.
        url: String,
        /// The file.
        path: PathBuf,
    },
    /// The file system refused.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Downloads large files. The default waits 10 s for a connection and 30 s for each piece, and gives up after six failures in a
/// row without a byte, with pauses of 1, 2, 4, 8 and 16 s.
#[derive(Debug, Clone)]
pub struct Downloader {
    /// How long a server may take; the total counts for each connection.
    pub timeouts: Timeouts,
    /// Failures in a row, without a byte between them, after which it gives up; at least 1.
    pub tries: u32,
    /// Pause after the first failure; it doubles with each, up to a minute.
    pub pause: Duration,
}

impl Default for Downloader {
    fn default() -> Self {
        let timeouts = Timeouts { total: Duration::MAX, ..Timeouts::default() };
        Self { timeouts, tries: 6, pause: Duration::from_secs(1) }
    }
}

/// Why one connection did not bring the rest.
enum Cut {
    /// Another connection may.
    Passing(String),
    Final(DownloadError),
}

impl Downloader {
    /// Downloads the file to `path`, whose folder must exist, or finds it there. Goes on with `NAME.part` where there is one.
    ///
    /// # Errors
    /// [`DownloadError`]; after most of them a later call goes on where this one ended.
    pub fn fetch(&self, file: &LargeFile<'_>, path: &Path, watch: Watch<'_>) -> Result<(), DownloadError> {
        if path.exists() {
            return verify(file, path, watch);
        }
        let url = || file.url.to_owned();
        if told_offline() {
            return Err(DownloadError::Offline { url: url(), path: path.to_owned() });
        }
        let (mut part, mut anew) = (Part::open(path, watch)?, false);
        loop {
            self.complete(file, &mut part, watch)?;
            let found = part.hashed.sha256();
            if file.sha256.matches(&found) {
                return part.finish(path);
            }
            // What was begun anew is all of one file, in however many pieces it comes: once more would change nothing.
            let may_be_mixed = part.joined && !anew;
            part.restart()?;
            if !may_be_mixed {
                // An error here would only hide the reason.
                let _ = fs::remove_file(&part.path);
                return Err(DownloadError::Digest { url: url(), expected: file.sha256.to_string(), found });
            }
            tracing::warn!(url = file.url, %found, "the parts do not belong together: starting anew");
            anew = true;
        }
    }

    /// Connects until the part has all bytes.
    fn complete(&self, file: &LargeFile<'_>, part: &mut Part, watch: Watch<'_>) -> Result<(), DownloadError> {
        let mut failures = 0;
        loop {
            let before = part.hashed.bytes();
            if before == file.bytes {
                return Ok(());
            }
            let why = match self.connect(file, part, watch) {
                Ok(()) => "the connection ended early".to_owned(),
                Err(Cut::Passing(why)) => why,
                Err(Cut::Final(error)) => return Err(error),
            };
            let bytes = part.hashed.bytes();
            if bytes == file.bytes {
                return Ok(());
            }
            failures = if bytes > before { 0 } else { failures + 1 };
            if failures > 0 && failures >= self.tries {
                let (url, part) = (file.url.to_owned(), part.path.clone());
                return Err(DownloadError::Unreachable { url, tries: failures, why, part, bytes });
            }
            let pause = self.pause.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(LONGEST_PAUSE);
            tracing::warn!(url = file.url, why, ?pause, "download is cut off");
            if wait(pause, why, watch).is_break() {
                return Err(part.stopped());
            }
        }
    }

    /// One connection: asks for what is missing and adds it to the part.
    fn connect(&self, file: &LargeFile<'_>, part: &mut Part, watch: Watch<'_>) -> Result<(), Cut> {
        let url = || file.url.to_owned();
        let body = match http::open(file.url, part.hashed.bytes(), &self.timeouts) {
            Ok(body) => body,
            Err(refusal) if refusal.out_of_range && part.hashed.bytes() > 0 => {
                part.restart().map_err(Cut::Final)?;
                return Err(Cut::Passing(refusal.why));
            }
            Err(refusal) if refusal.passing => return Err(Cut::Passing(refusal.why)),
            Err(refusal) => return Err(Cut::Final(DownloadError::Refused { url: url(), why: refusal.why })),
        };
        let size = |found| Cut::Final(DownloadError::Size { url: url(), expected: file.bytes, found });
        if body.total.is_some_and(|total| total != file.bytes) {
            return Err(size(body.total));
        }
        if body.start == 0 {
            part.restart().map_err(Cut::Final)?;
        }
        part.joined |= body.start > 0;
        let told = |bytes| watch(&DownloadNews::Receiving(bytes));
        match part.hashed.copy(body.reader, part.file.file(), file.bytes, told) {
            Ok(()) => Ok(()),
            Err(CopyError::Read(error)) => Err(Cut::Passing(error.to_string())),
            Err(CopyError::Write(source)) => Err(Cut::Final(part.failed(source))),
            Err(CopyError::Stopped) => Err(Cut::Final(part.stopped())),
            Err(CopyError::TooLong) => {
                part.restart().map_err(Cut::Final)?;
                Err(size(None))
            }
        }
    }
}

/// Waits, unless told to stop.
fn wait(pause: Duration, why: String, watch: Watch<'_>) -> ControlFlow<()> {
    let (until, news) = (Instant::now() + pause, DownloadNews::Waiting { why, pause });
    loop {
        watch(&news)?;
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return ControlFlow::Continue(());
        }
        std::thread::sleep(left.min(TICK));
    }
}

/// Whether the file that is there is the one that is wanted.
fn verify(file: &LargeFile<'_>, path: &Path, watch: Watch<'_>) -> Result<(), DownloadError> {
    let failed = |source| DownloadError::File { path: path.to_owned(), source };
    let taken = || DownloadError::Taken { url: file.url.to_owned(), path: path.to_owned() };
    let mut hashed = Hashed::default();
    let there = File::open(path).map_err(failed)?;
    let told = |bytes| watch(&DownloadNews::Checking(bytes));
    match hashed.copy(there, io::sink(), file.bytes, told) {
        Ok(()) if file.sha256.matches(&hashed.sha256()) => Ok(()),
        Ok(()) | Err(CopyError::TooLong) => Err(taken()),
        Err(CopyError::Read(source) | CopyError::Write(source)) => Err(failed(source)),
        Err(CopyError::Stopped) => {
            Err(DownloadError::Stopped { part: path.to_owned(), bytes: hashed.bytes() })
        }
    }
}

/// What has arrived, locked against other processes.
struct Part {
    path: PathBuf,
    file: Locked,
    hashed: Hashed,
    /// Whether the bytes came over more than one connection.
    joined: bool,
}

impl Part {
    /// Opens what an earlier run left, and hashes it.
    fn open(path: &Path, watch: Watch<'_>) -> Result<Part, DownloadError> {
        let mut name = path.as_os_str().to_owned();
        name.push(".part");
        let path = PathBuf::from(name);
        let failed = |source| DownloadError::File { path: path.clone(), source };
        let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let file = options.map_err(failed)?;
        let file = match Locked::take(file) {
            Ok(locked) => locked,
            Err(TryLockError::WouldBlock) => return Err(DownloadError::Busy { part: path }),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        };
        let mut hashed = Hashed::default();
        let told = |bytes| watch(&DownloadNews::Checking(bytes));
        let read = hashed.copy(file.file(), io::sink(), u64::MAX, told);
        let joined = hashed.bytes() > 0;
        let part = Part { path, file, hashed, joined };
        match read {
            Ok(()) | Err(CopyError::TooLong) => Ok(part),
            Err(CopyError::Read(source) | CopyError::Write(source)) => Err(part.failed(source)),
            Err(CopyError::Stopped) => Err(part.stopped()),
        }
    }

    fn failed(&self, source: io::Error) -> DownloadError {
        DownloadError::File { path: self.path.clone(), source }
    }

    fn stopped(&self) -> DownloadError {
        DownloadError::Stopped { part: self.path.clone(), bytes: self.hashed.bytes() }
    }

    /// Forgets what is there.
    fn restart(&mut self) -> Result<(), DownloadError> {
        self.hashed = Hashed::default();
        self.joined = false;
        self.file.file().set_len(0).and_then(|()| self.file.file().rewind()).map_err(|e| self.failed(e))
    }

    /// Gives the file its name: content first, then the name.
    fn finish(self, path: &Path) -> Result<(), DownloadError> {
        let done = self.file.file().sync_all().and_then(|()| fs::rename(&self.path, path));
        done.map_err(|e| self.failed(e))?;
        sync_folder(folder_of(path));
        Ok(())
    }
}

#[cfg(test)]
#[path = "download_tests.rs"]
mod tests;
