//! One writer at a time: an advisory lock on an empty file beside the study.

use capwright_files::Locked;
use capwright_study::StoreError;
use std::fs::{OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

/// The lock; the system gives it up when this is dropped or the process ends in any way.
#[derive(Debug)]
pub(crate) struct WriterLock(#[expect(dead_code, reason = "held for its lock")] Locked);

impl WriterLock {
    /// Takes the lock of the study at `path`, or says that another process has it. Never waits.
    pub(crate) fn take(path: &Path) -> Result<Self, StoreError> {
        let backend = |what, e: std::io::Error| StoreError::Backend {
            path: path.to_owned(),
            what,
            reason: e.to_string(),
        };
        let beside = lock_path(path);
        // The file stays: removing it would let two processes lock two files of one name.
        let file = OpenOptions::new().create(true).append(true).open(&beside);
        let file = file.map_err(|e| backend("make the lock file beside the study", e))?;
        match Locked::take(file) {
            Ok(locked) => Ok(Self(locked)),
            Err(TryLockError::WouldBlock) => Err(StoreError::InUse { path: path.to_owned() }),
            Err(TryLockError::Error(e)) => Err(backend("lock the study", e)),
        }
    }
}

/// The lock file of a study: its name and `.lock`.
fn lock_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}
