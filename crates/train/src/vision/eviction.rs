//! The space that cached features and pixels take: sets that were used longest ago go first.
//!
//! Whoever has a set open holds a shared lock on the file [`IN_USE`] in its folder, whose time says when it was last opened.
//! A set goes only under the exclusive lock, so that nobody loses what he reads. Its folder and that file stay: who waits for the
//! lock then holds the file that everybody else asks for.

use super::chunks::CacheError;
use capwright_files::Locked;
use std::fs::{File, FileTimes};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

const IN_USE: &str = "in-use.lock";

/// Bytes that sets may take in all, where [`LIMIT_GIB`] says nothing else.
const LIMIT: u64 = 100 << 30;

/// The variable of the environment that says how many GiB sets may take in all.
const LIMIT_GIB: &str = "CAPWRIGHT_FEATURES_GIB";

/// A set that stays while this lives.
#[derive(Debug)]
pub(crate) struct Held(#[allow(dead_code, reason = "the system holds the lock until it is dropped")] File);

/// Makes the folder of a set where there is none, and holds it.
pub(crate) fn hold(folder: &Path) -> Result<Held, CacheError> {
    let path = folder.join(IN_USE);
    std::fs::create_dir_all(folder).map_err(CacheError::io(folder))?;
    let made = File::options().create(true).append(true).open(&path);
    let file = or_read(made, &path).map_err(CacheError::io(&path))?;
    file.lock_shared().map_err(CacheError::io(&path))?;
    let noted = file.set_times(FileTimes::new().set_modified(SystemTime::now()));
    if_allowed(noted).map_err(CacheError::io(&path))?;
    Ok(Held(file))
}

/// Where one may not write a file, because it is somebody else's, the file to read: a shared lock needs no more.
fn or_read(opened: std::io::Result<File>, path: &Path) -> std::io::Result<File> {
    match opened {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => File::open(path).map_err(|_| error),
        opened => opened,
    }
}

/// Only the owner of a file may set its time: in a shared cache a set that somebody else made is used all the same.
fn if_allowed(done: std::io::Result<()>) -> std::io::Result<()> {
    match done {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(()),
        done => done,
    }
}

/// A set that will be opened. It stays while this lives.
#[derive(Debug)]
pub(crate) struct Claim {
    /// Bytes that are still to be computed.
    pub(crate) missing: u64,
    #[allow(dead_code, reason = "while it lives, nobody removes the files")]
    pub(super) held: Held,
}

/// The space that cached features and pixels may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room(u64);

impl Room {
    /// What the environment's `CAPWRIGHT_FEATURES_GIB` says, or 100 GiB.
    ///
    /// # Errors
    /// [`CacheError::Limit`] where the variable is no number.
    pub(crate) fn told() -> Result<Self, CacheError> {
        limit(std::env::var(LIMIT_GIB).ok()).map(Self)
    }

    /// Removes sets below `root` that nobody has open, those used longest ago first, until so many bytes more have room.
    pub(crate) fn make(self, root: &Path, coming: u64) {
        evict(root, self.0.saturating_sub(coming));
    }
}

/// Removes sets below `root` that nobody has open, those used longest ago first, until they take so many bytes less. Whether any went.
pub(super) fn spare(root: &Path, bytes: u64) -> bool {
    let taken: u64 = sets(root).iter().map(|set| set.bytes).sum();
    evict(root, taken.saturating_sub(bytes)) > 0
}

fn limit(gib: Option<String>) -> Result<u64, CacheError> {
    let Some(value) = gib else { return Ok(LIMIT) };
    match value.trim().parse::<f64>() {
        Ok(gib) if gib >= 0.0 => Ok((gib * f64::from(1 << 30)) as u64),
        _ => Err(CacheError::Limit { variable: LIMIT_GIB, value }),
    }
}

/// A set below the root of the cache.
struct Set {
    folder: PathBuf,
    used: SystemTime,
    bytes: u64,
}

/// Removes sets below `root` that nobody holds, those used longest ago first, until all take at most `limit` bytes.
/// Returns how many went. What cannot be looked at or removed stays: the space is only wanted, not needed.
fn evict(root: &Path, limit: u64) -> usize {
    let mut sets = sets(root);
    sets.sort_by_key(|set| set.used);
    let (mut total, mut gone) = (sets.iter().map(|set| set.bytes).sum::<u64>(), 0);
    for set in sets {
        if total <= limit {
            break;
        }
        if remove(&set.folder) {
            total -= set.bytes;
            gone += 1;
        }
    }
    gone
}

/// Those that hold something.
fn sets(root: &Path) -> Vec<Set> {
    entries(root).filter_map(|folder| set(folder.path())).filter(|set| set.bytes > 0).collect()
}

fn entries(folder: &Path) -> impl Iterator<Item = std::fs::DirEntry> {
    std::fs::read_dir(folder).into_iter().flatten().flatten()
}

fn set(folder: PathBuf) -> Option<Set> {
    let used = folder.join(IN_USE).metadata().and_then(|about| about.modified()).ok()?;
    let bytes = entries(&folder).filter_map(|file| file.metadata().ok()).map(|about| about.len()).sum();
    Some(Set { folder, used, bytes })
}

fn remove(folder: &Path) -> bool {
    let Ok(file) = File::open(folder.join(IN_USE)) else { return false };
    let rest = || entries(folder).filter(|file| file.file_name() != IN_USE);
    let locked = Locked::take(file);
    locked.is_ok() && rest().all(|file| std::fs::remove_file(file.path()).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// A set of 1,000 bytes, last used that many seconds ago.
    fn made(root: &Path, name: &str, ago: u64) -> PathBuf {
        let folder = root.join(name);
        drop(hold(&folder).unwrap());
        std::fs::write(folder.join("00000.bin"), [0; 1000]).unwrap();
        let used = SystemTime::now() - Duration::from_secs(ago);
        let file = File::options().append(true).open(folder.join(IN_USE)).unwrap();
        file.set_times(FileTimes::new().set_modified(used)).unwrap();
        folder
    }

    #[test]
    fn the_set_used_longest_ago_goes_first_and_one_in_use_stays() {
        let root = tempfile::tempdir().unwrap();
        let [new, old, oldest] =
            [("new", 10), ("old", 20), ("oldest", 30)].map(|(n, a)| made(root.path(), n, a));
        std::fs::create_dir(root.path().join("something else")).unwrap();
        assert_eq!(evict(root.path(), 3000), 0);
        let there = || [&new, &old, &oldest].map(|folder| folder.join("00000.bin").exists());
        let held = File::open(oldest.join(IN_USE)).unwrap();
        held.lock_shared().unwrap();
        assert_eq!(evict(root.path(), 2999), 1);
        assert_eq!(there(), [true, false, true]);
        drop(held);
        assert_eq!(evict(root.path(), 1999), 1);
        assert_eq!(there(), [true, false, false]);
        assert_eq!(evict(root.path(), 0), 1);
        assert!(root.path().join("something else").exists());
    }

    #[test]
    fn room_is_made_for_what_is_to_come() {
        let root = tempfile::tempdir().unwrap();
        let folders = [("a", 40), ("b", 30), ("c", 20)].map(|(n, ago)| made(root.path(), n, ago));
        let there = || folders.each_ref().map(|folder| folder.join("00000.bin").exists());
        let claimed = hold(&folders[0]).unwrap();
        Room(5000).make(root.path(), 2000);
        assert_eq!(there(), [true, true, true]);
        Room(5000).make(root.path(), 2001);
        assert_eq!(there(), [true, false, true], "one that is claimed stays");
        assert!(spare(root.path(), 1));
        assert_eq!(there(), [true, false, false]);
        assert!(!spare(root.path(), 1), "all that is left is used");
        drop(claimed);
        Room(5000).make(root.path(), u64::MAX);
        assert_eq!(there(), [false, false, false]);
    }

    #[test]
    fn a_set_that_somebody_else_made_is_used_too() {
        let told = |kind: ErrorKind| if_allowed(Err(kind.into())).map_err(|error| error.kind());
        assert_eq!(told(ErrorKind::PermissionDenied), Ok(()));
        assert_eq!(told(ErrorKind::StorageFull), Err(ErrorKind::StorageFull));
        let root = tempfile::tempdir().unwrap();
        let path = made(root.path(), "theirs", 10).join(IN_USE);
        let read = or_read(Err(ErrorKind::PermissionDenied.into()), &path).unwrap();
        read.lock_shared().unwrap();
        assert_eq!(evict(root.path(), 0), 0, "it is held");
        let told = |path: &Path, kind: ErrorKind| or_read(Err(kind.into()), path).map_err(|e| e.kind()).err();
        assert_eq!(told(&path, ErrorKind::StorageFull), Some(ErrorKind::StorageFull));
        let absent = root.path().join("none");
        assert_eq!(told(&absent, ErrorKind::PermissionDenied), Some(ErrorKind::PermissionDenied));
    }

    /// As under a umask by which others may read only.
    #[cfg(unix)]
    #[test]
    fn a_set_that_may_only_be_read_is_held() {
        use std::os::unix::fs::PermissionsExt;
        let root = tempfile::tempdir().unwrap();
        let folder = made(root.path(), "theirs", 10);
        let lock = folder.join(IN_USE);
        std::fs::set_permissions(&lock, std::fs::Permissions::from_mode(0o444)).unwrap();
        if File::options().append(true).open(&lock).is_ok() {
            return; // root may write whatever the mode says
        }
        let held = hold(&folder).unwrap();
        assert_eq!(evict(root.path(), 0), 0);
        drop(held);
        assert_eq!(evict(root.path(), 0), 1);
    }

    #[test]
    fn the_limit_is_a_number_of_gib() {
        assert_eq!(limit(None).unwrap(), LIMIT);
        assert_eq!(limit(Some("0.5".into())).unwrap(), 1 << 29);
        for wrong in ["", "-1", "NaN", "50 GB"] {
            let told = limit(Some(wrong.into())).unwrap_err().to_string();
            assert!(told.contains("CAPWRIGHT_FEATURES_GIB"), "{told}");
        }
    }

    #[test]
    fn opening_a_set_makes_it_the_newest() {
        let root = tempfile::tempdir().unwrap();
        let [first, second] = [("first", 30), ("second", 20)].map(|(n, a)| made(root.path(), n, a));
        drop(hold(&first).unwrap());
        assert_eq!(evict(root.path(), 1000), 1);
        assert_eq!([&first, &second].map(|folder| folder.join("00000.bin").exists()), [true, false]);
    }
}
