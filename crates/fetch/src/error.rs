//! What can go wrong, in words that say what to do next.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// What one source answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The source, as [`crate::Source`] prints itself.
    pub source: String,
    /// Why it gave no file, in one line.
    pub answer: String,
}

/// Why there is no verified file.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The description of the file is wrong; a mistake of the program, not of the network.
    #[error("cannot fetch `{file_name}`: {why}")]
    BadArtifact {
        /// Name as given.
        file_name: String,
        /// What is wrong with the description.
        why: String,
    },
    /// The file is neither in the cache nor elsewhere on this machine, and nothing may be downloaded.
    #[error(
        "`{file_name}` is not in the cache and CAPWRIGHT_OFFLINE is set. Unset it to download the file, \
         or put a copy with sha256 {sha256} at {path}"
    )]
    Offline {
        /// Name of the file.
        file_name: String,
        /// What its content must hash to.
        sha256: String,
        /// Where a copy would be found.
        path: PathBuf,
    },
    /// Every source failed.
    #[error("{}", no_source(.file_name, .sha256, .path, .attempts))]
    NoSource {
        /// Name of the file.
        file_name: String,
        /// What its content must hash to.
        sha256: String,
        /// Where a copy by hand would be found.
        path: PathBuf,
        /// What each source answered, in the order they were tried.
        attempts: Vec<Attempt>,
    },
    /// The cache folder itself cannot be used: no source is to blame.
    #[error(
        "the cache cannot use {path}: {source}. Set CAPWRIGHT_CACHE to a folder that can be written, on a disk \
         with room"
    )]
    Cache {
        /// The file or folder in question.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Neither CAPWRIGHT_CACHE, XDG_CACHE_HOME nor HOME is set.
    #[error("no cache folder is known: set CAPWRIGHT_CACHE to a folder that can be written")]
    NoCacheDir,
}

fn no_source(file_name: &str, sha256: &str, path: &Path, attempts: &[Attempt]) -> String {
    let mut text = format!("no source gave `{file_name}`:");
    for attempt in attempts {
        let _ = write!(text, "\n  {}: {}", attempt.source, attempt.answer);
    }
    let _ = write!(
        text,
        "\nDownload it by hand and put it at {} (sha256 {sha256}), or try again later",
        path.display()
    );
    text
}
