//! The study folder, and its files.

use capwright_files::write_atomic;
use serde::Serialize;
use std::io;
use std::path::{Path, PathBuf};

/// Writes a value as readable JSON; see [`write_atomic`].
///
/// # Errors
/// Whatever the file system answers.
pub fn write_json(path: &Path, value: &impl Serialize) -> io::Result<()> {
    let mut text = serde_json::to_string_pretty(value).map_err(io::Error::other)?;
    text.push('\n');
    write_atomic(path, text.as_bytes())
}

/// Where the parts of a study lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StudyFolder {
    root: PathBuf,
    /// Whether it was made for this study.
    made: bool,
}

impl StudyFolder {
    /// The study in that folder.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), made: false }
    }

    /// The folder of a new study, made where it is not there.
    ///
    /// # Errors
    /// Whatever the file system answers.
    pub fn make(root: &Path) -> io::Result<Self> {
        let made = !root.exists();
        std::fs::create_dir_all(root)?;
        Ok(Self { root: std::fs::canonicalize(root)?, made })
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The event ledger.
    pub fn ledger(&self) -> PathBuf {
        self.root.join("ledger.sqlite")
    }

    /// The contract.
    pub fn contract(&self) -> PathBuf {
        self.root.join("contract.toml")
    }

    /// The vocabulary of the training captions.
    pub fn vocabulary(&self) -> PathBuf {
        self.root.join("vocabulary.json")
    }

    /// The folders of all trials.
    fn trials(&self) -> PathBuf {
        self.root.join("trials")
    }

    /// The folder of one trial.
    pub fn trial(&self, trial: u64) -> PathBuf {
        self.trials().join(format!("{trial:04}"))
    }

    /// The designs of a person, where the study trains those.
    pub fn designs(&self) -> PathBuf {
        self.root.join("designs")
    }

    /// The model that a study began with, where it did.
    pub fn start(&self) -> PathBuf {
        self.root.join("start")
    }

    /// What lies there under the names that a study gives. Where there is no ledger it is somebody else's, and a new study would
    /// write over it.
    pub fn taken(&self) -> Vec<PathBuf> {
        let own =
            [self.contract(), self.vocabulary(), self.start(), self.designs(), self.trials(), self.best()];
        own.into_iter().filter(|path| path.symlink_metadata().is_ok()).collect()
    }

    /// Takes away what was written for a study that never began, in a folder where nothing was [`taken`](Self::taken); one with a
    /// ledger is left as it is.
    pub fn forget(&self) {
        if self.ledger().exists() {
            return;
        }
        // What cannot be removed is named when the folder is used again.
        for file in [self.contract(), self.vocabulary()] {
            let _ = std::fs::remove_file(file);
        }
        for folder in [self.start(), self.designs()] {
            let _ = std::fs::remove_dir_all(folder);
        }
        if self.made {
            let _ = std::fs::remove_dir(&self.root);
        }
    }

    /// The best model.
    pub fn best(&self) -> PathBuf {
        self.root.join("best")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_study_that_never_began_leaves_what_was_there() {
        let home = tempfile::tempdir().expect("a folder");
        let (old, new) = (home.path().join("old"), home.path().join("new"));
        std::fs::create_dir(&old).expect("a folder");
        for root in [&old, &new] {
            let folder = StudyFolder::make(root).expect("a study's folder");
            assert_eq!(folder.taken(), [] as [PathBuf; 0]);
            for part in [folder.start(), folder.designs()] {
                std::fs::create_dir(&part).expect("a folder");
                std::fs::write(part.join("a.json"), "{}").expect("writable");
            }
            std::fs::write(folder.contract(), "version = 1").expect("writable");
            assert_eq!(folder.taken(), [folder.contract(), folder.start(), folder.designs()]);
            folder.forget();
        }
        assert!(old.read_dir().is_ok_and(|mut left| left.next().is_none()), "it was there before");
        assert!(!new.exists());
        let folder = StudyFolder::make(&old).expect("a study's folder");
        std::fs::write(folder.ledger(), "").expect("writable");
        std::fs::write(folder.contract(), "version = 1").expect("writable");
        folder.forget();
        assert!(folder.contract().exists(), "it began");
    }
}
