//! WebDataset shards, one series for each split.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::{Record, split_name};
use crate::{DataError, Split};

/// Most samples and bytes of images in a shard, after which another begins.
const SAMPLES: usize = 10_000;
const BYTES: u64 = 1 << 30;

/// Shards that are being written.
pub(crate) struct Shards {
    dir: PathBuf,
    open: BTreeMap<Option<Split>, Shard>,
    /// Number of the next shard of each split.
    next: BTreeMap<Option<Split>, usize>,
    samples: u64,
}

struct Shard {
    path: PathBuf,
    tar: tar::Builder<BufWriter<File>>,
    samples: usize,
    bytes: u64,
}

impl Shards {
    pub fn new(dir: &Path) -> Shards {
        Shards { dir: dir.to_owned(), open: BTreeMap::new(), next: BTreeMap::new(), samples: 0 }
    }

    pub fn push(&mut self, record: &Record, bytes: &[u8]) -> Result<(), DataError> {
        if !self.open.contains_key(&record.split) {
            let number = self.next.entry(record.split).or_default();
            let name = format!("{}-{number:06}.tar", split_name(record.split));
            *number += 1;
            self.open.insert(record.split, Shard::new(self.dir.join(name))?);
        }
        let Some(shard) = self.open.get_mut(&record.split) else { return Ok(()) };
        shard.add(self.samples, record, bytes).map_err(|e| DataError::write(&shard.path, e))?;
        self.samples += 1;
        if shard.samples >= SAMPLES || shard.bytes >= BYTES {
            self.open.remove(&record.split).map_or(Ok(()), Shard::finish)?;
        }
        Ok(())
    }

    pub fn finish(self) -> Result<(), DataError> {
        self.open.into_values().try_for_each(Shard::finish)
    }
}

impl Shard {
    fn new(path: PathBuf) -> Result<Shard, DataError> {
        let file = File::create_new(&path).map_err(|e| DataError::write(&path, e))?;
        Ok(Shard { path, tar: tar::Builder::new(BufWriter::new(file)), samples: 0, bytes: 0 })
    }

    fn add(&mut self, key: u64, record: &Record, bytes: &[u8]) -> std::io::Result<()> {
        let extension = if bytes.starts_with(b"\x89PNG") { "png" } else { "jpg" };
        // The name of the file may have dots and folders, which a key may not; so it is in the text.
        let mut text = json!({"file_name": record.file_name, "id": record.id, "captions": record.captions});
        if let Some(split) = record.split {
            text["split"] = split.name().into();
        }
        self.entry(&format!("{key:09}.{extension}"), bytes)?;
        self.entry(&format!("{key:09}.json"), text.to_string().as_bytes())?;
        self.samples += 1;
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    fn entry(&mut self, name: &str, bytes: &[u8]) -> std::io::Result<()> {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        self.tar.append_data(&mut header, name, bytes)
    }

    fn finish(self) -> Result<(), DataError> {
        let path = self.path;
        let close = || {
            let file = self.tar.into_inner()?.into_inner().map_err(|e| e.into_error())?;
            file.sync_all()
        };
        close().map_err(|e| DataError::write(&path, e))
    }
}
