//! Folders that appear complete or not at all, and files as errors of this crate.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use capwright_files::sync_folder;
use tempfile::TempDir;

use crate::DataError;

/// A folder under construction beside its target; dropped, it leaves nothing behind.
pub(crate) struct Staging {
    _outer: TempDir,
    made: PathBuf,
    target: PathBuf,
}

impl Staging {
    /// Begins a folder; the target must be absent or an empty folder.
    pub fn new(dir: &Path) -> Result<Staging, DataError> {
        let target = std::path::absolute(dir).map_err(|e| DataError::write(dir, e))?;
        refuse_non_empty(&target)?;
        let parent = target.parent().unwrap_or(&target).to_owned();
        std::fs::create_dir_all(&parent).map_err(|e| DataError::write(&parent, e))?;
        let outer = tempfile::Builder::new().prefix(".capwright-").tempdir_in(&parent);
        let outer = outer.map_err(|e| DataError::write(&parent, e))?;
        // The temporary folder is private to its owner; one inside it has the usual permissions.
        let made = outer.path().join("data");
        std::fs::create_dir(&made).map_err(|e| DataError::write(&made, e))?;
        Ok(Staging { _outer: outer, made, target })
    }

    /// The folder to write into.
    pub fn path(&self) -> &Path {
        &self.made
    }

    /// Moves the folder to its place.
    pub fn finish(self) -> Result<(), DataError> {
        sync_folder(&self.made);
        if self.target.exists() {
            // Removes an empty folder only, so nothing that came meanwhile is lost.
            std::fs::remove_dir(&self.target).map_err(|_| DataError::NotEmpty(self.target.clone()))?;
        }
        std::fs::rename(&self.made, &self.target).map_err(|e| DataError::write(&self.target, e))?;
        self.target.parent().into_iter().for_each(sync_folder);
        Ok(())
    }
}

fn refuse_non_empty(dir: &Path) -> Result<(), DataError> {
    match std::fs::read_dir(dir).map(|mut entries| entries.next().is_none()) {
        Ok(true) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        _ => Err(DataError::NotEmpty(dir.to_owned())),
    }
}

/// Writes a new file.
pub(crate) fn write_new(path: &Path, bytes: &[u8]) -> Result<File, DataError> {
    let write = || {
        let mut file = File::create_new(path)?;
        file.write_all(bytes)?;
        Ok(file)
    };
    write().map_err(|e| DataError::write(path, e))
}

/// Writes a new file and waits for the disk.
pub(crate) fn write_synced(path: &Path, bytes: &[u8]) -> Result<(), DataError> {
    write_new(path, bytes)?.sync_all().map_err(|e| DataError::write(path, e))
}

/// Replaces a file, or makes it; a reader sees the old content or the new.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), DataError> {
    capwright_files::write_atomic(path, bytes).map_err(|e| DataError::write(path, e))
}
