//! Shards whose entries may have names of any length: what the library reads into memory of them is bounded.

use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;

use super::webdataset::MAX_SIDE_BYTES;

/// Bytes of a block of a shard, which headers and contents fill up.
const BLOCK: u64 = 512;

/// How far a shard is read and may be read until its next entry is there.
#[derive(Clone)]
pub(super) struct Bounds(Rc<Cell<Place>>);

#[derive(Clone, Copy)]
struct Place {
    at: u64,
    end: u64,
}

impl Default for Bounds {
    /// At the beginning, before the first header.
    fn default() -> Self {
        Bounds(Rc::new(Cell::new(Place { at: 0, end: MAX_SIDE_BYTES })))
    }
}

impl Bounds {
    /// An entry is there, its content is next: that may be read, or passed over, and then what tells of the following one.
    pub fn pass(&self, entry: &tar::Entry<'_, impl Read>) {
        let Place { at, .. } = self.0.get();
        // A sparse file has more bytes than lie in the shard.
        let sparse = entry.header().entry_type().is_gnu_sparse();
        let content = if sparse { entry.header().entry_size().unwrap_or(0) } else { entry.size() };
        let blocks = content.div_ceil(BLOCK).saturating_mul(BLOCK);
        self.0.set(Place { at, end: at.saturating_add(blocks).saturating_add(MAX_SIDE_BYTES) });
    }
}

/// A shard that is read within its bounds.
pub(super) struct Bounded<R> {
    inner: R,
    bounds: Bounds,
}

impl<R> Bounded<R> {
    pub fn new(inner: R, bounds: &Bounds) -> Self {
        Bounded { inner, bounds: bounds.clone() }
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let Place { at, end } = self.bounds.0.get();
        let most = into.len().min(usize::try_from(end - at).unwrap_or(usize::MAX));
        if most == 0 && !into.is_empty() {
            let message = format!(
                "the names and extensions of an entry have more than {MAX_SIDE_BYTES} bytes: write the shard again, with short names"
            );
            return Err(io::Error::other(message));
        }
        let read = self.inner.read(&mut into[..most])?;
        self.bounds.0.set(Place { at: at + read as u64, end });
        Ok(read)
    }
}
