//! A cache of equal-sized items on disk, filled by several processes at once.
//!
//! Items lie in chunk files of [`CHUNK`] items. A chunk is written to a file beside it, synced and renamed, under a
//! lock of its own; a process that finds a chunk locked works on the others and comes back. The system releases the
//! lock of a process that dies, so its chunk is taken over, and what it had written is written over. A chunk of the
//! wrong length or with another header is computed again.

use super::eviction::{self, Claim, Held};
use capwright_blueprint::language::Cut;
use capwright_files::{Locked, folder_of};
use memmap2::Mmap;
use sha2::{Digest, Sha256};
use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind, Read, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Items in a chunk.
pub(crate) const CHUNK: usize = 256;
const HEADER: usize = 64;
const MAGIC: &[u8; 8] = b"cwchunk1";
/// How long to wait before looking again at chunks that other processes are making.
const PATIENCE: Duration = Duration::from_millis(200);

/// Why a cache cannot be filled or read.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// A file or folder of the cache cannot be used.
    #[error("cannot use the cache at {}: {source}; check that it is writable and the disk is not full", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// An image cannot be read.
    #[error(transparent)]
    Data(#[from] capwright_caption_data::DataError),
    /// An image file has another content than when the data set was read.
    #[error("image {} changed while it was used: put it back as it was, or start anew with the data as they are now", .0.display())]
    Changed(PathBuf),
    /// A feature that 16 bits cannot hold.
    #[error(
        "{backbone} cut at {cut} makes of image {} a value that 16 bits cannot hold, which go up to 65504; \
         choose another cut or backbone", image.display()
    )]
    Range {
        /// The image.
        image: PathBuf,
        /// The backbone.
        backbone: String,
        /// Where it is cut.
        cut: Cut,
    },
    /// The limit of the cache is no number.
    #[error("{variable} is {value:?}; give a number of GiB, such as 50")]
    Limit {
        /// The variable of the environment.
        variable: &'static str,
        /// Its value.
        value: String,
    },
    /// The network does not fit what was asked for.
    #[error("cannot compute features: {0}")]
    Network(String),
}

impl CacheError {
    pub(super) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }
}

/// Where a cache lies and what is in it.
#[derive(Debug, Clone)]
pub(crate) struct ChunkStore {
    dir: PathBuf,
    key: [u8; 32],
    items: usize,
    item_bytes: usize,
}

/// A filled cache, mapped into memory.
#[derive(Debug)]
pub(crate) struct Chunks {
    maps: Vec<Mmap>,
    items: usize,
    item_bytes: usize,
    #[allow(dead_code, reason = "while it lives, nobody removes the files")]
    held: Held,
}

/// sha256 over parts, each preceded by its length so that parts cannot run into each other.
pub(crate) fn key<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

impl ChunkStore {
    /// A cache below `root`, in a folder named by `kind` and `key`.
    pub(crate) fn new(root: &Path, kind: &str, key: [u8; 32], items: usize, item_bytes: usize) -> Self {
        let name: String = key.iter().take(12).map(|b| format!("{b:02x}")).collect();
        Self { dir: root.join(format!("{kind}-{name}")), key, items, item_bytes }
    }

    fn chunks(&self) -> usize {
        self.items.div_ceil(CHUNK)
    }

    fn range(&self, chunk: usize) -> Range<usize> {
        chunk * CHUNK..((chunk + 1) * CHUNK).min(self.items)
    }

    fn path(&self, chunk: usize) -> PathBuf {
        self.dir.join(format!("{chunk:05}.bin"))
    }

    fn header(&self, chunk: usize) -> [u8; HEADER] {
        let mut header = [0; HEADER];
        header[..8].copy_from_slice(MAGIC);
        header[8..40].copy_from_slice(&self.key);
        header[40..48].copy_from_slice(&(chunk as u64).to_le_bytes());
        header[48..56].copy_from_slice(&(self.range(chunk).len() as u64).to_le_bytes());
        header[56..64].copy_from_slice(&(self.item_bytes as u64).to_le_bytes());
        header
    }

    fn is_whole(&self, chunk: usize) -> bool {
        let wanted = (HEADER + self.range(chunk).len() * self.item_bytes) as u64;
        let mut header = [0; HEADER];
        File::open(self.path(chunk)).is_ok_and(|mut file| {
            file.metadata().is_ok_and(|m| m.len() == wanted)
                && file.read_exact(&mut header).is_ok()
                && header == self.header(chunk)
        })
    }

    /// Holds the set, and counts what is missing of it.
    pub(crate) fn claim(&self) -> Result<Claim, CacheError> {
        let held = eviction::hold(&self.dir)?;
        let missing = (0..self.chunks()).filter(|c| !self.is_whole(*c));
        let bytes = missing.map(|c| HEADER + self.range(c).len() * self.item_bytes).sum::<usize>();
        Ok(Claim { missing: bytes as u64, held })
    }

    /// Fills what is missing and maps everything. `compute` appends the bytes of a range of items and reports how
    /// many it has done; `progress` hears how many items are there in all, and their number.
    pub(crate) fn fill(
        &self,
        mut compute: impl FnMut(Range<usize>, &mut Vec<u8>, &mut dyn FnMut(usize)) -> Result<(), CacheError>,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Chunks, CacheError> {
        let held = eviction::hold(&self.dir)?;
        loop {
            let missing: Vec<usize> = (0..self.chunks()).filter(|c| !self.is_whole(*c)).collect();
            let absent: usize = missing.iter().map(|c| self.range(*c).len()).sum();
            let mut done = self.items - absent;
            progress(done, self.items);
            if missing.is_empty() {
                return self.map(held);
            }
            let mut worked = false;
            for chunk in missing {
                let lock_path = self.dir.join(format!("{chunk:05}.lock"));
                let lock = File::create(&lock_path).map_err(CacheError::io(&lock_path))?;
                let _locked = match Locked::take(lock) {
                    Ok(locked) => locked,
                    Err(TryLockError::WouldBlock) => continue,
                    Err(TryLockError::Error(source)) => {
                        return Err(CacheError::Io { path: lock_path, source });
                    }
                };
                worked = true;
                if !self.is_whole(chunk) {
                    let mut bytes = self.header(chunk).to_vec();
                    bytes.reserve_exact(self.range(chunk).len() * self.item_bytes);
                    let total = self.items;
                    compute(self.range(chunk), &mut bytes, &mut |n| progress(done + n, total))?;
                    self.keep(chunk, &bytes)?;
                }
                done += self.range(chunk).len();
            }
            if !worked {
                std::thread::sleep(PATIENCE);
            }
        }
    }

    /// Writes a chunk; where the disk is full, in place of what nobody uses.
    fn keep(&self, chunk: usize, bytes: &[u8]) -> Result<(), CacheError> {
        match self.write(chunk, bytes) {
            Err(CacheError::Io { ref source, .. })
                if source.kind() == ErrorKind::StorageFull
                    && eviction::spare(folder_of(&self.dir), bytes.len() as u64) =>
            {
                self.write(chunk, bytes)
            }
            written => written,
        }
    }

    /// Writes a chunk. Under its lock nobody else does, so that the file that becomes it always has the same name, and no process that
    /// is killed leaves another one.
    fn write(&self, chunk: usize, bytes: &[u8]) -> Result<(), CacheError> {
        let (path, part) = (self.path(chunk), self.dir.join(format!("{chunk:05}.part")));
        let expected = HEADER + self.range(chunk).len() * self.item_bytes;
        if bytes.len() != expected {
            return Err(CacheError::Network(format!("{} bytes instead of {expected}", bytes.len())));
        }
        let fill = |mut file: File| file.write_all(bytes).and_then(|()| file.sync_all());
        let written = File::create(&part).and_then(fill).and_then(|()| fs::rename(&part, &path));
        if written.is_err() {
            // Half a chunk only takes space, which may be what is wanting.
            let _ = fs::remove_file(&part);
        }
        written.map_err(CacheError::io(&path))
    }

    fn map(&self, held: Held) -> Result<Chunks, CacheError> {
        let mut maps = Vec::with_capacity(self.chunks());
        for chunk in 0..self.chunks() {
            let path = self.path(chunk);
            let file = File::open(&path).map_err(CacheError::io(&path))?;
            // SAFETY: a chunk is only ever replaced by renaming another file over it, never written in place, so the
            // mapped content does not change. Its length has been checked by `is_whole`, and slices check again.
            #[allow(unsafe_code)]
            let map = unsafe { Mmap::map(&file) }.map_err(CacheError::io(&path))?;
            maps.push(map);
        }
        Ok(Chunks { maps, items: self.items, item_bytes: self.item_bytes, held })
    }
}

impl Chunks {
    /// Bytes of an item.
    ///
    /// # Panics
    /// For an item that is not there: a bug of the caller.
    pub(crate) fn item(&self, i: usize) -> &[u8] {
        assert!(i < self.items, "item {i} of {}", self.items);
        let at = HEADER + i % CHUNK * self.item_bytes;
        &self.maps[i / CHUNK][at..at + self.item_bytes]
    }

    /// Number of items.
    pub(crate) fn len(&self) -> usize {
        self.items
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    fn store(dir: &Path) -> ChunkStore {
        ChunkStore::new(dir, "test", key([&b"a"[..]]), 600, 4)
    }

    fn item(i: usize) -> [u8; 4] {
        (i as u32).to_le_bytes()
    }

    /// Fills the store and tells which chunks were computed.
    fn fill(store: &ChunkStore) -> (Chunks, Vec<usize>) {
        let computed = RefCell::new(Vec::new());
        let work = |range: Range<usize>, out: &mut Vec<u8>, _: &mut dyn FnMut(usize)| {
            computed.borrow_mut().push(range.start / CHUNK);
            range.for_each(|i| out.extend(item(i)));
            Ok(())
        };
        let chunks = store.fill(work, &mut |_, _| {}).unwrap();
        (chunks, computed.into_inner())
    }

    #[test]
    fn a_filled_cache_is_read_and_damaged_chunks_are_made_again() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path());
        assert_eq!(fill(&store).1, [0, 1, 2]);
        assert!(fill(&store).1.is_empty());
        let short = std::fs::read(store.path(1)).unwrap();
        std::fs::write(store.path(1), &short[..short.len() - 1]).unwrap();
        let mut foreign = std::fs::read(store.path(2)).unwrap();
        foreign[8] ^= 1;
        std::fs::write(store.path(2), foreign).unwrap();
        let (chunks, computed) = fill(&store);
        assert_eq!(computed, [1, 2]);
        assert!((0..600).all(|i| chunks.item(i) == item(i)));
    }

    #[test]
    fn a_locked_chunk_is_left_to_its_owner_until_the_lock_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path());
        std::fs::create_dir_all(&store.dir).unwrap();
        let lock = RefCell::new(Some(File::create(store.dir.join("00000.lock")).unwrap()));
        lock.borrow().as_ref().unwrap().lock().unwrap();
        let order = RefCell::new(Vec::new());
        let work = |range: Range<usize>, out: &mut Vec<u8>, _: &mut dyn FnMut(usize)| {
            order.borrow_mut().push(range.start / CHUNK);
            if range.start / CHUNK == 2 {
                lock.borrow_mut().take();
            }
            range.for_each(|i| out.extend(item(i)));
            Ok(())
        };
        let chunks = store.fill(work, &mut |_, _| {}).unwrap();
        assert_eq!(order.into_inner(), [1, 2, 0]);
        assert_eq!(chunks.item(3), item(3));
    }

    #[test]
    fn a_claim_counts_what_is_missing() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path());
        let missing = || store.claim().unwrap().missing as usize;
        assert_eq!(missing(), 3 * HEADER + 600 * 4);
        drop(fill(&store));
        assert_eq!(missing(), 0);
        fs::remove_file(store.path(2)).unwrap();
        assert_eq!(missing(), HEADER + (600 - 2 * CHUNK) * 4);
    }

    #[test]
    fn what_a_killed_process_left_of_a_chunk_does_not_stay() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path());
        fs::create_dir_all(&store.dir).unwrap();
        fs::write(store.dir.join("00001.part"), [9; 5000]).unwrap();
        let (chunks, computed) = fill(&store);
        assert_eq!(computed, [0, 1, 2]);
        assert!((0..600).all(|i| chunks.item(i) == item(i)));
        let names = fs::read_dir(&store.dir).unwrap().map(|file| file.unwrap().file_name());
        let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        let kept = ["00000.bin", "00000.lock", "00001.bin", "00001.lock", "00002.bin", "00002.lock"];
        assert_eq!(names, [&kept[..], &["in-use.lock"]].concat());
    }

    #[test]
    fn a_chunk_that_cannot_get_its_name_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path());
        fs::create_dir_all(store.path(1)).unwrap();
        let work = |range: Range<usize>, out: &mut Vec<u8>, _: &mut dyn FnMut(usize)| {
            range.for_each(|i| out.extend(item(i)));
            Ok(())
        };
        let error = store.fill(work, &mut |_, _| {}).unwrap_err();
        assert!(error.to_string().contains("00001.bin"), "{error}");
        assert!(!store.dir.join("00001.part").exists());
    }

    #[test]
    fn progress_ends_at_the_number_of_items() {
        let dir = tempfile::tempdir().unwrap();
        let mut heard = Vec::new();
        let work = |range: Range<usize>, out: &mut Vec<u8>, done: &mut dyn FnMut(usize)| {
            done(range.len() / 2);
            range.for_each(|i| out.extend(item(i)));
            Ok(())
        };
        store(dir.path()).fill(work, &mut |n, total| heard.push((n, total))).unwrap();
        assert_eq!(heard, [(0, 600), (128, 600), (384, 600), (556, 600), (600, 600)]);
    }

    #[test]
    fn keys_keep_parts_apart() {
        assert_ne!(key([&b"ab"[..], b"c"]), key([&b"a"[..], b"bc"]));
    }
}
