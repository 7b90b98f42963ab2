//! Files from outside, by sha256: local cache, HTTPS, and Python wheels through pip download; archives of data sets.
//!
//! An [`Artifact`] says what a file must be (its sha256 and a size cap) and where copies of it may be
//! found. A [`Cache`] hands out the path of a file that was verified, or says what each source
//! answered and what a person can do about it. A [`Downloader`] brings a [`LargeFile`] to a place of its own, over as many
//! runs as that takes, and [`unpack`] takes a ZIP archive apart. Nothing here runs the content of a file.

mod artifact;
mod cache;
mod copy;
mod download;
mod error;
mod http;
mod unpack;
mod wheel;

pub use artifact::{Artifact, BadSha, Sha, Source};
pub use cache::{Cache, Progress, ProgressFn, Timeouts};
pub use download::{DownloadError, DownloadNews, Downloader, LargeFile, Watch};
pub use error::{Attempt, FetchError};
pub use unpack::{UnpackError, UnpackLimits, Unpacked, unpack};
