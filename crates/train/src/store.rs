//! Safetensors files and atomic writing.

use crate::error::TrainError;
use capwright_blueprint::Param;
use safetensors::tensor::{Dtype, Metadata, SafeTensors, TensorInfo};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::HashMap;
use std::io::{BufWriter, Read, Write};
use std::path::Path;

/// Values of one tensor, row-major.
pub type Values = Vec<f32>;

/// Key of the note in the header's metadata.
const NOTE: &str = "capwright";

/// Largest JSON file that is read, in bytes: the largest designs have some megabytes.
const MAX_JSON: u64 = 64 << 20;

/// Bytes that a file of tensors may have besides their values.
const MAX_HEADER: u64 = 16 << 20;

/// Bytes of a header that safetensors reads.
const MOST_HEADER: usize = 100_000_000;

/// Bytes that are written at once.
const BUFFER: usize = 1 << 20;

/// Writes `bytes` so that after a crash the file is either the old or the new one: temporary file, sync, rename.
///
/// # Errors
/// Where the folder cannot be written.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), TrainError> {
    capwright_files::write_atomic(path, bytes).map_err(TrainError::io(path))
}

/// Writes a value as JSON, atomically.
///
/// # Errors
/// Where the file cannot be written.
pub fn write_json(path: &Path, value: &impl Serialize) -> Result<(), TrainError> {
    let text = serde_json::to_string_pretty(value).map_err(|e| TrainError::format(path, e))?;
    write_atomically(path, text.as_bytes())
}

/// Reads a value from JSON.
///
/// # Errors
/// A missing file, one of more than 64 MiB, or other content.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, TrainError> {
    let file = std::fs::File::open(path).map_err(TrainError::io(path))?;
    let mut text = Vec::new();
    file.take(MAX_JSON + 1).read_to_end(&mut text).map_err(TrainError::io(path))?;
    check_bytes(path, text.len() as u64, MAX_JSON)?;
    serde_json::from_slice(&text).map_err(|e| TrainError::format(path, e))
}

/// Refuses a file, before it is read, that is too large to hold these tensors and little else.
///
/// # Errors
/// A missing file, or one that is too large.
pub fn check_size(path: &Path, tensors: &[Param]) -> Result<(), TrainError> {
    let bytes = std::fs::metadata(path).map_err(TrainError::io(path))?.len();
    let values = tensors.iter().fold(0u64, |sum, param| sum.saturating_add(param.len() as u64));
    check_bytes(path, bytes, values.saturating_mul(4).saturating_add(MAX_HEADER))
}

fn check_bytes(path: &Path, bytes: u64, most: u64) -> Result<(), TrainError> {
    match bytes <= most {
        true => Ok(()),
        false => Err(TrainError::format(path, format!("it has more than the {most} bytes that it may have"))),
    }
}

/// Writes 32-bit tensors as safetensors, atomically, without a copy of them.
///
/// # Errors
/// Where the file cannot be written.
pub fn write<'a>(
    path: &Path,
    tensors: impl Iterator<Item = (&'a str, &'a [usize], &'a [f32])>,
) -> Result<(), TrainError> {
    write_noted(path, tensors, None)
}

/// [`write`](fn@write) with a note in the file's header.
///
/// # Errors
/// Where the file cannot be written.
pub fn write_noted<'a>(
    path: &Path,
    tensors: impl Iterator<Item = (&'a str, &'a [usize], &'a [f32])>,
    note: Option<String>,
) -> Result<(), TrainError> {
    let mut all: Vec<Named<'a>> = tensors.collect();
    // By name, as safetensors' own writer has them; that one would hold the whole file in memory, or write it without a sync.
    all.sort_by_key(|(name, ..)| *name);
    let header = header(&all, note).map_err(|e| TrainError::format(path, e))?;
    put(path, &header, &all).map_err(TrainError::io(path))
}

fn put(path: &Path, header: &[u8], all: &[Named<'_>]) -> std::io::Result<()> {
    let file = capwright_files::temporary_in(capwright_files::folder_of(path))?;
    let mut out = BufWriter::with_capacity(BUFFER, file);
    out.write_all(header)?;
    for value in all.iter().flat_map(|(.., values)| *values) {
        out.write_all(&value.to_le_bytes())?;
    }
    capwright_files::keep(out.into_inner()?, path)
}

/// Name, shape and values of a tensor.
type Named<'a> = (&'a str, &'a [usize], &'a [f32]);

/// What comes before the values: the length of the header, and the header, filled up to a multiple of eight bytes.
fn header(all: &[Named<'_>], note: Option<String>) -> Result<Vec<u8>, String> {
    let (mut tensors, mut end) = (Vec::with_capacity(all.len()), 0);
    for (name, shape, values) in all {
        let start = end;
        end += size_of_val(*values);
        let info = TensorInfo { dtype: Dtype::F32, shape: shape.to_vec(), data_offsets: (start, end) };
        tensors.push((name.to_string(), info));
    }
    let note = note.map(|note| HashMap::from([(NOTE.to_string(), note)]));
    let metadata = Metadata::new(note, tensors).map_err(|e| e.to_string())?;
    let mut text = serde_json::to_vec(&metadata).map_err(|e| e.to_string())?;
    text.resize(text.len().next_multiple_of(8), b' ');
    if text.len() > MOST_HEADER {
        return Err(format!(
            "its header would have {} bytes, and nobody reads more than {MOST_HEADER}",
            text.len()
        ));
    }
    Ok([&(text.len() as u64).to_le_bytes()[..], &text[..]].concat())
}

/// The note of a file written by [`write_noted`].
///
/// # Errors
/// A missing or damaged file, or one without a note.
pub fn note(path: &Path) -> Result<String, TrainError> {
    let bytes = std::fs::read(path).map_err(TrainError::io(path))?;
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|e| TrainError::format(path, e))?;
    let found = header.metadata().as_ref().and_then(|m| m.get(NOTE).cloned());
    found.ok_or_else(|| TrainError::format(path, "it holds no note; it was not written by this program"))
}

/// Reads the wanted tensors of a safetensors file, in their order.
///
/// # Errors
/// A missing or damaged file, or a tensor that is missing or has another shape or type.
pub fn read(path: &Path, wanted: &[Param]) -> Result<Vec<Values>, TrainError> {
    parsed(path, |file| wanted.iter().map(|param| one(file, param)).collect())
}

/// [`read`], and a tensor that may be left out.
///
/// # Errors
/// As there, and for that tensor of another shape or type.
pub fn read_and_find(
    path: &Path,
    wanted: &[Param],
    more: &Param,
) -> Result<(Vec<Values>, Option<Values>), TrainError> {
    parsed(path, |file| {
        let values = wanted.iter().map(|param| one(file, param)).collect::<Result<_, _>>()?;
        let found = file.names().contains(&more.name.as_str()).then(|| one(file, more)).transpose()?;
        Ok((values, found))
    })
}

/// Reads those of the wanted tensors that a safetensors file has in their shape and type.
///
/// # Errors
/// A missing or damaged file, or one whose sha256 is another.
pub fn read_fitting(path: &Path, sha256: &str, wanted: &[Param]) -> Result<Vec<Option<Values>>, TrainError> {
    let found = self::sha256(path)?;
    if found != sha256 {
        return Err(TrainError::format(path, format!("its sha256 is {found}, not {sha256}: it has changed")));
    }
    parsed(path, |file| Ok(wanted.iter().map(|param| one(file, param).ok()).collect()))
}

fn parsed<T>(
    path: &Path,
    read: impl FnOnce(&SafeTensors<'_>) -> Result<T, TrainError>,
) -> Result<T, TrainError> {
    let bytes = std::fs::read(path).map_err(TrainError::io(path))?;
    read(&SafeTensors::deserialize(&bytes).map_err(|e| TrainError::format(path, e))?)
}

fn one(file: &SafeTensors<'_>, param: &Param) -> Result<Values, TrainError> {
    let wrong = |found: String| TrainError::Weight {
        name: param.name.clone(),
        expected: format!("F32 {:?}", param.shape),
        found,
    };
    let view = file.tensor(&param.name).map_err(|_| wrong("no such tensor".into()))?;
    if view.dtype() != Dtype::F32 || view.shape() != param.shape {
        return Err(wrong(format!("{:?} {:?}", view.dtype(), view.shape())));
    }
    Ok(view.data().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect())
}

/// sha256 of a file in hex.
///
/// # Errors
/// Where the file cannot be read.
pub fn sha256(path: &Path) -> Result<String, TrainError> {
    capwright_files::sha256_file(path).map_err(TrainError::io(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_those_of_safetensors_own_writer() {
        use safetensors::tensor::TensorView;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.safetensors");
        let values = |n: usize| (0..n).map(|i| (i as f32 * 0.7).sin()).collect::<Vec<f32>>();
        let all =
            [("b.weight", vec![3, 5], values(15)), ("a", vec![], values(1)), ("b", vec![2, 0], values(0))];
        let bytes: Vec<Vec<u8>> =
            all.iter().map(|(.., v)| v.iter().flat_map(|x| x.to_le_bytes()).collect()).collect();
        for note in [None, Some("what \"is\" known of it")] {
            let tensors = all.iter().map(|(name, shape, values)| (*name, &shape[..], &values[..]));
            write_noted(&path, tensors, note.map(str::to_owned)).unwrap();
            let views = all.iter().zip(&bytes).map(|((name, shape, _), bytes)| {
                (*name, TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap())
            });
            let header = note.map(|note| HashMap::from([(NOTE.to_owned(), note.to_owned())]));
            let theirs = safetensors::serialize(views, header).unwrap();
            assert!(std::fs::read(&path).unwrap() == theirs, "{note:?}");
        }
        assert_eq!(note(&path).unwrap(), "what \"is\" known of it");
        assert_eq!(read(&path, &[Param::new("b.weight", &[3, 5])]).unwrap(), [values(15)]);
        let error = write(&path, [("a", &[2][..], &[0.0; 3][..])].into_iter()).unwrap_err().to_string();
        assert!(error.contains("w.safetensors"), "{error}");
        let files: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
        assert_eq!(files.len(), 1, "nothing half written is left");
    }

    #[test]
    fn files_that_are_too_large_are_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let large = |name: &str, bytes: u64| {
            let path = folder.path().join(name);
            std::fs::File::create(&path).unwrap().set_len(bytes).unwrap();
            path
        };
        let error = read_json::<u32>(&large("a.json", MAX_JSON + 1)).unwrap_err().to_string();
        assert!(error.contains("a.json") && error.contains("67108864 bytes"), "{error}");
        let (tensors, most) = ([Param::new("a", &[3, 5]), Param::new("b", &[7])], 4 * 22 + MAX_HEADER);
        assert!(check_size(&large("fits", most), &tensors).is_ok());
        let error = check_size(&large("large", most + 1), &tensors).unwrap_err().to_string();
        assert!(error.contains("large") && error.contains(&most.to_string()), "{error}");
    }
}
