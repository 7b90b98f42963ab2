//! WebDataset shards: tar files in which entries of the same key belong together.
//!
//! Format: <https://github.com/webdataset/webdataset>. The key of an entry is its name up to the first dot of the last part. `key.jpg`
//! (or jpeg, png, webp) is the image; `key.json` with `caption` or `captions`, or else `key.txt`, is its text.

use std::fs::File;
use std::io::{BufReader, Read};

use super::bounded::{Bounded, Bounds};
use super::entry::{Archive, Entry, MAX_PATH_BYTES, hopeless, short, shortened};
use super::loose::{Field, Row};
use crate::image_file::MAX_FILE_BYTES;
use crate::{DataError, Problem};

/// Most bytes of a caption or of the JSON of an image.
pub(crate) const MAX_SIDE_BYTES: u64 = 1 << 20;
/// Extensions of images.
const IMAGES: [&str; 4] = ["jpg", "jpeg", "png", "webp"];

/// Receives an image with its captions.
pub(crate) type Take<'a> = &'a mut dyn FnMut(Entry, Vec<u8>) -> Result<(), DataError>;

/// What entries with the same key have given so far.
#[derive(Default)]
struct Sample {
    key: String,
    image: Option<(String, Vec<u8>)>,
    text: Option<String>,
    json: Option<Row>,
    faults: Vec<Problem>,
}

/// Reads a shard from its beginning to its end; ids go on from `id`.
pub(crate) fn read(
    archive: Archive,
    id: &mut u64,
    problems: &mut Vec<Problem>,
    take: Take,
) -> Result<(), DataError> {
    let path = archive.path;
    let file = File::open(path).map_err(|e| DataError::read(path, e))?;
    let bounds = Bounds::default();
    let mut tar = tar::Archive::new(Bounded::new(BufReader::with_capacity(1 << 18, file), &bounds));
    let shard = short(path);
    let malformed = |e: std::io::Error| Problem::Malformed { place: shard.clone(), message: e.to_string() };
    let mut sample = Sample::default();
    let entries = tar.entries().map_err(|e| DataError::read(path, e))?;
    for entry in entries {
        if let Err(problem) = hopeless(problems.len(), || shard.clone()) {
            problems.push(problem);
            return Ok(());
        }
        let mut entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                problems.push(malformed(error));
                break;
            }
        };
        bounds.pass(&entry);
        let Some(part) = Part::new(&shard, &entry, problems) else { continue };
        if part.key != sample.key || sample.has(&part) {
            finish(std::mem::take(&mut sample), id, archive, problems, take)?;
            sample.key = part.key.clone();
        }
        if let Err(error) = sample.add(part, &mut entry) {
            problems.push(malformed(error));
            return Ok(());
        }
    }
    finish(sample, id, archive, problems, take)
}

/// An entry that is of interest.
struct Part {
    place: String,
    key: String,
    extension: String,
    bytes: u64,
}

impl Part {
    fn new(shard: &str, entry: &tar::Entry<impl Read>, problems: &mut Vec<Problem>) -> Option<Part> {
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let place = format!("{shard}: {}", shortened(&name));
        let kind = entry.header().entry_type();
        if kind.is_dir() || kind.is_pax_global_extensions() {
            return None;
        }
        if !kind.is_file() && kind != tar::EntryType::Continuous {
            problems.push(Problem::NotAFile { place, kind: format!("{kind:?}") });
            return None;
        }
        if name.len() > MAX_PATH_BYTES {
            let message = format!("its name has more than {MAX_PATH_BYTES} bytes");
            problems.push(Problem::BadRow { place, message });
            return None;
        }
        let name = name.strip_prefix("./").unwrap_or(&name);
        let (folder, last) = name.rsplit_once('/').map_or(("", name), |(folder, last)| (folder, last));
        let (stem, extension) = last.split_once('.')?;
        let key = if folder.is_empty() { stem.to_owned() } else { format!("{folder}/{stem}") };
        let extension = extension.to_ascii_lowercase();
        let wanted = IMAGES.contains(&extension.as_str()) || ["txt", "json"].contains(&extension.as_str());
        wanted.then(|| Part { place, key, extension, bytes: entry.size() })
    }
}

impl Sample {
    /// True when a second such part has come, which begins another sample of the same name.
    fn has(&self, part: &Part) -> bool {
        match part.extension.as_str() {
            "txt" => self.text.is_some(),
            "json" => self.json.is_some(),
            _ => self.image.is_some(),
        }
    }

    /// Reads an entry; its size is checked first.
    fn add(&mut self, part: Part, entry: &mut impl Read) -> std::io::Result<()> {
        let image = IMAGES.contains(&part.extension.as_str());
        let limit = if image { MAX_FILE_BYTES } else { MAX_SIDE_BYTES };
        if part.bytes > limit {
            self.faults.push(Problem::EntryTooLarge { place: part.place, limit });
            return Ok(());
        }
        let mut bytes = Vec::with_capacity(part.bytes as usize);
        entry.take(limit).read_to_end(&mut bytes)?;
        if bytes.len() as u64 != part.bytes {
            return Err(std::io::Error::other(format!("{} is cut off", part.place)));
        }
        let bad = |message: String| Problem::BadRow { place: part.place, message };
        match part.extension.as_str() {
            "txt" => match String::from_utf8(bytes) {
                Ok(text) => self.text = Some(text),
                Err(error) => self.faults.push(bad(error.to_string())),
            },
            "json" => match serde_json::from_slice(&bytes) {
                Ok(json) => self.json = Some(json),
                Err(error) => self.faults.push(bad(error.to_string())),
            },
            _ => self.image = Some((part.extension, bytes)),
        }
        Ok(())
    }
}

fn finish(
    sample: Sample,
    id: &mut u64,
    archive: Archive,
    problems: &mut Vec<Problem>,
    take: Take,
) -> Result<(), DataError> {
    if sample.key.is_empty() {
        return Ok(());
    }
    let shard = short(archive.path);
    let place = || format!("{shard}: {}", sample.key);
    let Some((extension, bytes)) = sample.image else {
        let message = "no image of this key".to_owned();
        let missing = [Problem::BadRow { place: place(), message }];
        problems.extend(if sample.faults.is_empty() { missing.to_vec() } else { sample.faults });
        return Ok(());
    };
    *id += 1;
    let mut json = sample.json.unwrap_or_default();
    let own_name = json.name(&["file_name"]).and_then(Field::as_text);
    let name = own_name.map_or_else(|| format!("{}.{extension}", sample.key), str::to_owned);
    let mut entry = Entry::new(json.id.as_ref().and_then(Field::as_number).unwrap_or(*id), name);
    entry.faults = sample.faults;
    entry.split = archive.split();
    entry.set_split_field(json.split.as_ref().filter(|_| !archive.ignore_splits), place);
    for caption in json.take_captions().or(sample.text.map(|text| vec![text])).unwrap_or_default() {
        if !entry.push_caption(caption, place) {
            break;
        }
    }
    entry.finish();
    take(entry, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quarantine::MAX_NOTED;

    #[test]
    fn a_shard_of_which_too_much_is_bad_is_not_read_to_its_end() {
        let mut tar = tar::Builder::new(Vec::new());
        for name in ["a.txt", "b.txt", "c.jpg", "d.jpg"] {
            let mut header = tar::Header::new_ustar();
            header.set_size(1);
            tar.append_data(&mut header, name, &b"x"[..]).unwrap();
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("train.tar");
        std::fs::write(&path, tar.into_inner().unwrap()).unwrap();
        let mut problems = vec![Problem::DuplicateAnnotationId(1); MAX_NOTED];
        let mut taken = 0;
        let archive = Archive { path: &path, ignore_splits: false };
        let take = &mut |_: Entry, _: Vec<u8>| {
            taken += 1;
            Ok(())
        };
        read(archive, &mut 0, &mut problems, take).unwrap();
        assert_eq!((problems.len(), taken), (MAX_NOTED + 2, 0));
        assert!(matches!(problems.last(), Some(Problem::Malformed { .. })));
    }
}
