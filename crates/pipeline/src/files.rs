//! The study folder, and its files.

use capwright_files::write_atomic;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, Read};
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

/// sha256 of a file in hex.
///
/// # Errors
/// Whatever the file system answers.
pub fn sha256_file(path: &Path) -> io::Result<String> {
    let (mut file, mut hasher, mut buffer) = (File::open(path)?, Sha256::new(), vec![0; 1 << 16]);
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            n => hasher.update(&buffer[..n]),
        }
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Where the parts of a study lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StudyFolder {
    root: PathBuf,
}

impl StudyFolder {
    /// The study in that folder.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
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

    /// The folder of one trial.
    pub fn trial(&self, trial: u64) -> PathBuf {
        self.root.join("trials").join(format!("{trial:04}"))
    }

    /// The model that a study began with, where it did.
    pub fn start(&self) -> PathBuf {
        self.root.join("start")
    }

    /// Takes away what was written for a study that never began; one with a ledger is left as it is.
    pub fn forget(&self) {
        if self.ledger().exists() {
            return;
        }
        // What cannot be removed does no harm.
        for file in [self.contract(), self.vocabulary()] {
            let _ = std::fs::remove_file(file);
        }
        let _ = std::fs::remove_dir(&self.root);
    }

    /// The best model.
    pub fn best(&self) -> PathBuf {
        self.root.join("best")
    }
}
