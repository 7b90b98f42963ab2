//! One pass over the images of a data set of any format: names are checked, files found, bytes handed to a worker.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Place;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use crate::error::read_limited;
use crate::formats::entry::{Archive, Entry, Listing};
use crate::formats::{Format, Located, parquet, read_listing, webdataset};
use crate::image_file::MAX_FILE_BYTES;
use crate::{DataError, Problem};

/// Images that are read at a time; their bytes are in memory together.
const CHUNK: usize = 16;
/// Most images of a data set.
pub(crate) const MAX_IMAGES: u64 = 20_000_000;

/// An image file as it was found.
pub(crate) struct Seen {
    /// Where it is, links resolved; empty inside an archive.
    pub path: PathBuf,
    pub bytes: Vec<u8>,
}

impl Entry {
    /// True when the image can be used; captions that were bad are gone already.
    pub(crate) fn is_usable(&self) -> bool {
        let of_caption = |fault: &Problem| {
            use Problem::{CaptionLength, ControlCharacter, TooManyCaptions};
            matches!(fault, CaptionLength { .. } | ControlCharacter { .. } | TooManyCaptions { .. })
        };
        !self.captions.is_empty() && self.faults.iter().all(of_caption)
    }

    /// True when there is no sense in looking at the image.
    fn is_lost(&self) -> bool {
        use Problem::{BadRow, DuplicateFileName, EntryTooLarge, UnsafeFileName};
        let lost = |fault: &Problem| {
            matches!(
                fault,
                BadRow { .. } | DuplicateFileName(_) | EntryTooLarge { .. } | UnsafeFileName { .. }
            )
        };
        self.faults.iter().any(lost)
    }
}

/// Calls `work` for each image in parallel and `sink` for its result in the order of the data set.
///
/// What is wrong with an image is in the faults of its entry, everything else in the returned problems.
pub(crate) fn visit<T: Send>(
    located: &Located,
    work: impl Fn(&Entry, Seen) -> Result<T, Problem> + Sync,
    sink: impl FnMut(Entry, Option<T>) -> Result<(), DataError>,
) -> Result<Vec<Problem>, DataError> {
    let mut pass = Pass { located, names: HashMap::new(), work, sink, count: 0 };
    if located.format.is_packed() { pass.packed() } else { pass.plain() }
}

struct Pass<'a, W, S> {
    located: &'a Located,
    /// Names so far, each with the place of its archive among the files.
    names: HashMap<String, usize>,
    work: W,
    sink: S,
    count: u64,
}

impl<T, W, S> Pass<'_, W, S>
where
    T: Send,
    W: Fn(&Entry, Seen) -> Result<T, Problem> + Sync,
    S: FnMut(Entry, Option<T>) -> Result<(), DataError>,
{
    fn plain(&mut self) -> Result<Vec<Problem>, DataError> {
        let Listing { entries, roots, problems } = read_listing(self.located);
        let roots = Roots::new(roots);
        let mut entries = entries.into_iter().map(|entry| (entry, ()));
        loop {
            let mut chunk: Vec<_> = entries.by_ref().take(CHUNK).collect();
            if chunk.is_empty() {
                return Ok(problems);
            }
            chunk.iter_mut().for_each(|(entry, ())| self.name(entry, 0));
            self.chunk(chunk, |entry, ()| roots.find(entry))?;
        }
    }

    fn packed(&mut self) -> Result<Vec<Problem>, DataError> {
        let (mut problems, mut waiting, mut id) = (Vec::new(), Vec::new(), 0);
        let (located, ignore_splits) = (self.located, self.located.ignore_splits);
        let inside = |_: &Entry, bytes| Ok(Seen { path: PathBuf::new(), bytes });
        for (place, path) in located.files.iter().enumerate() {
            let stem = path.file_stem().unwrap_or_default().to_string_lossy();
            let mut take = |mut entry: Entry, bytes: Vec<u8>| {
                // Archives number their images anew each: names are unique within one.
                if self.names.get(&entry.file_name).is_some_and(|&first| first != place) {
                    entry.file_name = format!("{stem}/{}", entry.file_name);
                }
                self.name(&mut entry, place);
                waiting.push((entry, bytes));
                if waiting.len() < CHUNK {
                    return Ok(());
                }
                self.chunk(std::mem::take(&mut waiting), inside)
            };
            let archive = Archive { path, ignore_splits };
            match located.format {
                Format::Parquet => parquet::read(archive, &mut id, &mut problems, &mut take)?,
                _ => webdataset::read(archive, &mut id, &mut problems, &mut take)?,
            }
        }
        self.chunk(waiting, inside)?;
        Ok(problems)
    }

    /// Checks the name of an image, and notes that it is taken.
    fn name(&mut self, entry: &mut Entry, place: usize) {
        entry.faults.extend(entry.check_name());
        match self.names.entry(entry.file_name.clone()) {
            Place::Vacant(free) => _ = free.insert(place),
            Place::Occupied(_) => entry.faults.push(Problem::DuplicateFileName(entry.file_name.clone())),
        }
    }

    fn chunk<B: Send>(
        &mut self,
        chunk: Vec<(Entry, B)>,
        find: impl Fn(&Entry, B) -> Result<Seen, Problem> + Sync,
    ) -> Result<(), DataError> {
        self.count += chunk.len() as u64;
        if self.count > MAX_IMAGES {
            let path = self.located.dir.clone();
            return Err(DataError::Total { path, limit: MAX_IMAGES, unit: "images" });
        }
        let work = &self.work;
        let one = |(mut entry, bytes): (Entry, B)| {
            if entry.is_lost() {
                return (entry, None);
            }
            match find(&entry, bytes).and_then(|seen| work(&entry, seen)) {
                Ok(done) => (entry, Some(done)),
                Err(problem) => {
                    entry.faults.push(problem);
                    (entry, None)
                }
            }
        };
        let done: Vec<_> = chunk.into_par_iter().map(one).collect();
        done.into_iter().try_for_each(|(entry, done)| (self.sink)(entry, done))
    }
}

/// Folders that image files may be in, each with its resolved path.
struct Roots(Vec<(PathBuf, PathBuf)>);

impl Roots {
    fn new(roots: Vec<PathBuf>) -> Self {
        let resolve = |root: PathBuf| (root.clone(), root.canonicalize().unwrap_or(root));
        Roots(roots.into_iter().map(resolve).collect())
    }

    /// Reads the file of an entry whose names are plain; links must not lead out of the folder.
    fn find(&self, entry: &Entry) -> Result<Seen, Problem> {
        let id = entry.id;
        let names = [Some(&entry.file_name), entry.other_name.as_ref()];
        let places = names.into_iter().flatten().flat_map(|name| self.0.iter().map(move |root| (root, name)));
        let mut first = None;
        for ((root, canonical_root), name) in places {
            let path = root.join(name);
            match path.canonicalize() {
                Ok(real) if !real.starts_with(canonical_root) => {
                    return Err(Problem::LinkOutside { id, path });
                }
                Ok(real) => return read_image(id, &path, real),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => _ = first.get_or_insert(path),
                Err(error) => {
                    return Err(Problem::UnreadableImage { id, path, reason: error.to_string() });
                }
            }
        }
        Err(Problem::MissingImage { id, path: first.unwrap_or_default() })
    }
}

fn read_image(id: u64, path: &Path, real: PathBuf) -> Result<Seen, Problem> {
    let unreadable = |reason: String| Problem::UnreadableImage { id, path: path.to_owned(), reason };
    if !real.is_file() {
        return Err(unreadable("not a file".into()));
    }
    match read_limited(&real, MAX_FILE_BYTES) {
        Ok(bytes) => Ok(Seen { path: real, bytes }),
        Err(DataError::TooLarge { limit, .. }) => {
            Err(Problem::EntryTooLarge { place: path.display().to_string(), limit })
        }
        Err(DataError::Read { source, .. }) => Err(unreadable(source.to_string())),
        Err(other) => Err(unreadable(other.to_string())),
    }
}
