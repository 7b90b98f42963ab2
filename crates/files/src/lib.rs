//! Files that appear under their name complete or not at all: whoever reads sees the old content or the new, also after a
//! crash.
//!
//! The content goes to a temporary file in the same folder and to the disk, then the file gets its name, then the name
//! goes to the disk.

use std::ffi::OsStr;
use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Write};
use std::path::Path;

use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

/// What the names of temporary files begin with.
pub const TEMPORARY: &str = ".part-";

/// Whether a name is that of a temporary file: one that is being written, or that a killed process left.
pub fn is_temporary(name: &OsStr) -> bool {
    name.to_string_lossy().starts_with(TEMPORARY)
}

/// Removes the temporary files and folders that a killed process left in a folder which nobody else writes to now.
pub fn clear_leftovers(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if is_temporary(&entry.file_name()) {
            let path = entry.path();
            let _ = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        }
    }
}

/// Replaces a file, or makes it. Its folder must exist.
///
/// # Errors
/// Those of the file system; the old file, if there was one, is still there.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = temporary_in(folder_of(path))?;
    file.write_all(bytes)?;
    keep(file, path)
}

/// An empty file in `folder` to fill and [`keep`]; dropped, it is gone. Who may read it follows the umask, as for any file.
///
/// # Errors
/// Those of the file system.
pub fn temporary_in(folder: &Path) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(TEMPORARY);
    // Temporary files are private to their owner by default; what is written here is not.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(folder)
}

/// Gives a file from [`temporary_in`] its name, durably. It must lie in the folder of `path`, or on the same disk.
///
/// # Errors
/// Those of the file system; the temporary file is gone then.
pub fn keep(file: NamedTempFile, path: &Path) -> io::Result<()> {
    named(file, path).map(drop)
}

fn named(file: NamedTempFile, path: &Path) -> io::Result<File> {
    file.as_file().sync_all()?;
    let file = file.persist(path).map_err(|e| e.error)?;
    sync_folder(folder_of(path));
    Ok(file)
}

/// Makes the names in a folder durable where the system can; elsewhere this does nothing.
pub fn sync_folder(folder: &Path) {
    // Some systems cannot open or sync a folder. The content of the files is safe without it.
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
}

/// The folder of a file; of a bare name, the current one.
pub fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// sha256 of a file's content in hex, a part at a time: a file may be larger than memory.
///
/// # Errors
/// Those of the file system.
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

/// A file under an exclusive advisory lock, given up when this is dropped or the process ends in any way.
#[derive(Debug)]
pub struct Locked(File);

impl Locked {
    /// Takes the lock, or says that somebody else has it. Never waits.
    ///
    /// # Errors
    /// [`TryLockError::WouldBlock`] where somebody else has it; those of the file system.
    pub fn take(file: File) -> Result<Self, TryLockError> {
        file.try_lock()?;
        Ok(Self(file))
    }

    /// Makes a file, or replaces it: it gets its name complete and locked, so that nobody finds it there and takes the lock while
    /// this lives. Its folder must exist.
    ///
    /// # Errors
    /// Those of the file system, also where it knows no locks; the file is as it was.
    pub fn make(path: &Path, content: &[u8]) -> io::Result<Self> {
        let mut file = temporary_in(folder_of(path))?;
        file.write_all(content)?;
        // Nobody else has it yet: this never waits.
        file.as_file().lock()?;
        named(file, path).map(Self)
    }

    /// The file, to read and to write.
    pub fn file(&self) -> &File {
        &self.0
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        // Closing is not enough: a child process that another thread starts at this moment has the file too, until it runs
        // its program, and the lock lasts as long as anybody has it. The lock goes with the process at the latest.
        let _ = self.0.unlock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_file_is_made_and_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.txt");
        for content in ["old", "new"] {
            write_atomic(&path, content.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
        }
        assert_eq!(names(dir.path()), ["a.txt"]);
    }

    #[test]
    fn what_cannot_be_kept_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("taken")).unwrap();
        assert!(write_atomic(&dir.path().join("taken"), b"x").is_err());
        drop(temporary_in(dir.path()).unwrap());
        assert_eq!(names(dir.path()), ["taken"]);
        assert!(write_atomic(&dir.path().join("none/a.txt"), b"x").is_err());
    }

    #[test]
    fn what_a_killed_process_left_is_known_and_removed() {
        let dir = tempfile::tempdir().unwrap();
        let (_, left) = temporary_in(dir.path()).unwrap().keep().unwrap();
        assert!(is_temporary(left.file_name().unwrap()) && !is_temporary("a.part-1".as_ref()));
        write_atomic(&dir.path().join("a.txt"), b"x").unwrap();
        clear_leftovers(dir.path());
        assert_eq!(names(dir.path()), ["a.txt"]);
        clear_leftovers(&dir.path().join("none"));
    }

    #[cfg(unix)]
    #[test]
    fn others_may_read_it_as_any_other_file() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let mode = |name: &str| fs::metadata(dir.path().join(name)).unwrap().permissions().mode();
        write_atomic(&dir.path().join("atomic"), b"x").unwrap();
        fs::write(dir.path().join("plain"), b"x").unwrap();
        assert_eq!(mode("atomic"), mode("plain"));
    }

    #[test]
    fn a_lock_ends_when_it_is_dropped_even_where_a_child_still_has_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let open = || File::options().create(true).append(true).open(&path).unwrap();
        let first = Locked::take(open()).unwrap();
        assert!(matches!(Locked::take(open()), Err(TryLockError::WouldBlock)));
        // What a forked process has until it runs its program.
        let of_the_child = first.file().try_clone().unwrap();
        drop(first);
        Locked::take(open()).unwrap();
        drop(of_the_child);
    }

    #[test]
    fn a_file_appears_with_its_lock() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let held = Locked::make(&path, b"who").unwrap();
        assert_eq!((fs::read(&path).unwrap(), names(dir.path())), (b"who".to_vec(), vec!["lock".to_owned()]));
        assert!(matches!(Locked::take(File::open(&path).unwrap()), Err(TryLockError::WouldBlock)));
        drop(held);
        Locked::take(File::open(&path).unwrap()).unwrap();
        assert!(Locked::make(&dir.path().join("none/lock"), b"who").is_err());
    }

    /// The digest of a million times `a` is one of FIPS 180's examples; the content is of many parts.
    #[test]
    fn content_is_named_by_its_sha256() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.txt");
        fs::write(&path, vec![b'a'; 1_000_000]).unwrap();
        let known = "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0";
        assert_eq!(sha256_file(&path).unwrap(), known);
        assert!(sha256_file(&dir.path().join("none")).is_err());
    }

    #[test]
    fn a_bare_name_lies_in_the_current_folder() {
        assert_eq!(folder_of(Path::new("a.txt")), Path::new("."));
        assert_eq!(folder_of(Path::new("b/a.txt")), Path::new("b"));
        assert_eq!(folder_of(Path::new("data")), Path::new("."));
        assert_eq!(folder_of(Path::new("/a.txt")), Path::new("/"));
    }
}
