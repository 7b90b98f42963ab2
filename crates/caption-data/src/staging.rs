//! Folders that appear complete or not at all, and files as errors of this crate.
//!
//! A folder is built inside a hidden one beside its target, under a lock that its process has until it ends in any way. A hidden
//! folder whose lock nobody has was left by a process that was killed: it goes when the same target is built again.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use capwright_files::{Locked, sync_folder};
use rayon::prelude::*;
use tempfile::TempDir;

use crate::DataError;

/// What the names of hidden folders begin with.
const HIDDEN: &str = ".capwright-";
/// The folder under construction in a hidden one, and the file that says what it is for, locked while it is built.
const MADE: &str = "data";
const LOCK: &str = "lock";
/// Files of which it is asked at a time whether the disk has them.
const SYNCED: usize = 1024;

/// A folder under construction beside its target; dropped, it leaves nothing behind.
pub(crate) struct Staging {
    /// Absent where the disk knows no locks: nobody can tell then that the folder was left behind, and nobody removes it.
    _lock: Option<Locked>,
    _outer: TempDir,
    made: PathBuf,
    target: PathBuf,
}

impl Staging {
    /// Begins a folder; the target must be absent or an empty folder. What killed processes left of the same one is removed.
    pub fn new(dir: &Path) -> Result<Staging, DataError> {
        let mut target = std::path::absolute(dir).map_err(|e| DataError::write(dir, e))?;
        let is_there = is_empty_folder(&target)?;
        if is_there {
            // A link leads to the folder that is replaced.
            target = target.canonicalize().map_err(|e| DataError::write(dir, e))?;
        }
        let parent = target.parent().unwrap_or(&target).to_owned();
        fs::create_dir_all(&parent).map_err(|e| DataError::write(&parent, e))?;
        clear_left(&parent, &target);
        let outer = tempfile::Builder::new().prefix(HIDDEN).tempdir_in(&parent);
        let outer = outer.map_err(|e| DataError::write(&parent, e))?;
        if is_there {
            try_to_replace(&target, outer.path())?;
        }
        let lock = Locked::make(&outer.path().join(LOCK), &purpose(&target)).ok();
        // The temporary folder is private to its owner; one inside it has the usual permissions.
        let made = outer.path().join(MADE);
        fs::create_dir(&made).map_err(|e| DataError::write(&made, e))?;
        Ok(Staging { _lock: lock, _outer: outer, made, target })
    }

    /// The folder to write into.
    pub fn path(&self) -> &Path {
        &self.made
    }

    /// Moves the folder to its place, once the disk has all of it.
    pub fn finish(self) -> Result<(), DataError> {
        sync(&self.made)?;
        if self.target.exists() {
            // Removes an empty folder only, so nothing that came meanwhile is lost.
            fs::remove_dir(&self.target).map_err(|e| irreplaceable(&self.target, e))?;
        }
        fs::rename(&self.made, &self.target).map_err(|e| DataError::write(&self.target, e))?;
        self.target.parent().into_iter().for_each(sync_folder);
        Ok(())
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // Before the lock's file, without which nobody would know what a process left that is killed now.
        remove(&self.made);
    }
}

/// What the file of a lock says: whose folder this is, and what for.
fn purpose(target: &Path) -> Vec<u8> {
    let name = target.file_name().unwrap_or_default().as_encoded_bytes();
    [&b"capwright builds this and has the file locked as long as it runs: "[..], name].concat()
}

/// Removes what processes left of `target` that were killed. What cannot be looked at or removed stays: it only takes space.
fn clear_left(parent: &Path, target: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let hidden = entry.file_name().as_encoded_bytes().starts_with(HIDDEN.as_bytes());
        // The type is that of the entry itself: a link is no folder.
        if !hidden || !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        let folder = entry.path();
        let Some(_lock) = lock_of_left(&folder, target) else { continue };
        if remove(&folder.join(MADE)) {
            remove(&folder);
        }
    }
}

/// The lock of a hidden folder that a process left of `target`; none for any other folder, and while its process runs.
fn lock_of_left(folder: &Path, target: &Path) -> Option<Locked> {
    let (path, purpose) = (folder.join(LOCK), purpose(target));
    fs::symlink_metadata(&path).ok().filter(fs::Metadata::is_file)?;
    let lock = Locked::take(File::options().read(true).write(true).open(&path).ok()?).ok()?;
    let mut content = Vec::new();
    lock.file().take(purpose.len() as u64 + 1).read_to_end(&mut content).ok()?;
    (content == purpose).then_some(lock)
}

/// Removes a folder with all that is in it; links are removed, not followed. Whether it is gone.
fn remove(folder: &Path) -> bool {
    fs::remove_dir_all(folder).map_or_else(|error| error.kind() == ErrorKind::NotFound, |()| true)
}

/// Waits until the disk has a folder with all that is in it: a name that comes before the content would be taken for whole after a
/// power cut. At the end and many at once, for file by file that takes many times as long.
fn sync(folder: &Path) -> Result<(), DataError> {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let unread = |e| DataError::read(&folder, e);
        let mut entries = fs::read_dir(&folder).map_err(unread)?;
        loop {
            let some: Vec<_> = entries.by_ref().take(SYNCED).collect::<Result<_, _>>().map_err(unread)?;
            if some.is_empty() {
                break;
            }
            let is_folder = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
            let (inner, files): (Vec<_>, Vec<_>) = some.into_iter().partition(is_folder);
            folders.extend(inner.iter().map(fs::DirEntry::path));
            files.par_iter().try_for_each(|file| {
                let path = file.path();
                File::open(&path).and_then(|file| file.sync_all()).map_err(|e| DataError::write(&path, e))
            })?;
        }
        sync_folder(&folder);
    }
    Ok(())
}

/// Whether there is an empty folder; anything but that or nothing is refused.
fn is_empty_folder(dir: &Path) -> Result<bool, DataError> {
    match fs::read_dir(dir).map(|mut entries| entries.next().is_none()) {
        Ok(true) => Ok(true),
        // A link that leads nowhere is there.
        Err(error) if error.kind() == ErrorKind::NotFound && fs::symlink_metadata(dir).is_err() => Ok(false),
        _ => Err(DataError::NotEmpty(dir.to_owned())),
    }
}

/// Sees that an empty folder can be replaced, before hours of work depend on it: moves it aside and back, which the system refuses
/// as it would refuse the end. It is not removed, for this may be the folder that the program was called in.
fn try_to_replace(target: &Path, outer: &Path) -> Result<(), DataError> {
    let aside = outer.with_extension("aside");
    fs::rename(target, &aside)
        .and_then(|()| fs::rename(&aside, target))
        .map_err(|error| irreplaceable(target, error))
}

/// Why a folder that is there cannot be replaced.
fn irreplaceable(target: &Path, error: std::io::Error) -> DataError {
    match error.kind() {
        ErrorKind::ResourceBusy => DataError::MountPoint(target.to_owned()),
        ErrorKind::DirectoryNotEmpty | ErrorKind::NotADirectory | ErrorKind::AlreadyExists => {
            DataError::NotEmpty(target.to_owned())
        }
        _ => DataError::write(target, error),
    }
}

/// Writes a new file, which [`Staging::finish`] brings to the disk.
pub(crate) fn write_new(path: &Path, bytes: &[u8]) -> Result<(), DataError> {
    let write = || File::create_new(path)?.write_all(bytes);
    write().map_err(|e| DataError::write(path, e))
}

/// Replaces a file, or makes it; a reader sees the old content or the new.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), DataError> {
    capwright_files::write_atomic(path, bytes).map_err(|e| DataError::write(path, e))
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};

    use super::*;

    /// Says to a process of this test what it is to build until it is killed.
    const BUILDS: &str = "CAPWRIGHT_TEST_BUILDS";

    fn begun(target: &Path) -> Staging {
        let staging = Staging::new(target).unwrap();
        write_new(&staging.path().join("half"), b"x").unwrap();
        staging
    }

    /// What a process that was killed leaves of a target.
    fn killed(target: &Path) -> PathBuf {
        let mut staging = begun(target);
        staging._lock = None;
        let folder = staging._outer.path().to_owned();
        std::mem::forget(staging);
        folder
    }

    fn halves(parent: &Path) -> usize {
        let entries = fs::read_dir(parent).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|folder| folder.join(MADE).join("half").exists()).count()
    }

    fn names(folder: &Path) -> Vec<String> {
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn what_a_killed_process_left_goes_when_its_target_is_built_again() {
        if let Some(target) = std::env::var_os(BUILDS) {
            let _staging = begun(Path::new(&target));
            std::thread::sleep(Duration::from_secs(60));
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("set");
        let this = "staging::tests::what_a_killed_process_left_goes_when_its_target_is_built_again";
        let mut builder = Command::new(std::env::current_exe().unwrap());
        builder.args([this, "--exact"]).env(BUILDS, &target).stdout(Stdio::null());
        let mut process = builder.spawn().unwrap();
        let start = Instant::now();
        while halves(dir.path()) == 0 && start.elapsed() < Duration::from_secs(50) {
            std::thread::sleep(Duration::from_millis(10));
        }
        drop(Staging::new(&target).unwrap());
        let while_it_runs = halves(dir.path());
        process.kill().unwrap();
        process.wait().unwrap();
        assert_eq!((while_it_runs, halves(dir.path())), (1, 1));
        Staging::new(&target).unwrap().finish().unwrap();
        assert_eq!(names(dir.path()), ["set"]);
    }

    #[test]
    fn a_process_that_runs_and_other_targets_keep_theirs() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("set");
        let running = begun(&target);
        killed(&dir.path().join("other"));
        let unmarked = dir.path().join(".capwright-1");
        fs::create_dir_all(unmarked.join(MADE)).unwrap();
        fs::write(unmarked.join(MADE).join("half"), "x").unwrap();
        let gone = killed(&target);
        assert_eq!(halves(dir.path()), 4);
        drop(Staging::new(&target).unwrap());
        assert_eq!((halves(dir.path()), gone.exists()), (3, false));
        // What is no file of a lock that this program made.
        fs::write(unmarked.join(LOCK), "something else").unwrap();
        drop(Staging::new(&target).unwrap());
        assert_eq!(halves(dir.path()), 3);
        running.finish().unwrap();
        assert!(target.join("half").exists());
    }

    #[cfg(unix)]
    #[test]
    fn what_the_disk_does_not_have_gets_no_name() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("set");
        let staging = begun(&target);
        let inner = staging.path().join("images/inner");
        fs::create_dir_all(&inner).unwrap();
        // No disk can be asked about a socket.
        let _socket = std::os::unix::net::UnixListener::bind(inner.join("x")).unwrap();
        let error = staging.finish().unwrap_err();
        assert!(
            matches!(&error, DataError::Write { path, .. } if path.ends_with("images/inner/x")),
            "{error}"
        );
        assert!(names(dir.path()).is_empty());
    }

    #[test]
    fn a_folder_that_cannot_be_replaced_says_why() {
        let told = |kind: ErrorKind| irreplaceable(Path::new("out"), kind.into()).to_string();
        let busy = told(ErrorKind::ResourceBusy);
        assert!(busy.contains("out is in use") && busy.contains("name a folder inside it"), "{busy}");
        assert!(told(ErrorKind::DirectoryNotEmpty).contains("not an empty folder"));
        assert!(told(ErrorKind::PermissionDenied).contains("cannot write out: permission denied"));
        // What is not there cannot be moved aside, and is told at once.
        let dir = tempfile::tempdir().unwrap();
        let error = try_to_replace(&dir.path().join("set"), &dir.path().join("outer")).unwrap_err();
        assert!(matches!(&error, DataError::Write { path, .. } if path.ends_with("set")), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn a_link_to_an_empty_folder_stays_and_the_folder_is_filled() {
        let (dir, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (link, real) = (dir.path().join("link"), elsewhere.path().join("set"));
        fs::create_dir(&real).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let staging = begun(&link);
        assert_eq!((halves(dir.path()), halves(elsewhere.path())), (0, 1), "built beside the folder");
        assert!(real.is_dir(), "still there while it is built");
        staging.finish().unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink() && link.join("half").exists());
        assert_eq!(
            (names(elsewhere.path()), names(&real)),
            (vec!["set".to_owned()], vec!["half".to_owned()])
        );
        fs::remove_dir_all(&real).unwrap();
        assert!(matches!(Staging::new(&link), Err(DataError::NotEmpty(_))), "a link that leads nowhere");
    }

    #[cfg(unix)]
    #[test]
    fn links_are_not_followed() {
        use std::os::unix::fs::symlink;
        let (dir, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let target = dir.path().join("set");
        let there = killed(&elsewhere.path().join("set"));
        symlink(&there, dir.path().join(".capwright-1")).unwrap();
        let hidden = dir.path().join(".capwright-2");
        fs::create_dir_all(hidden.join(MADE)).unwrap();
        fs::write(hidden.join(MADE).join("half"), "x").unwrap();
        symlink(there.join(LOCK), hidden.join(LOCK)).unwrap();
        let gone = killed(&target);
        symlink(&there, gone.join(MADE).join("link")).unwrap();
        drop(Staging::new(&target).unwrap());
        assert_eq!((halves(dir.path()), gone.exists()), (2, false));
        assert!(there.join(LOCK).exists() && there.join(MADE).join("half").exists());
    }
}
