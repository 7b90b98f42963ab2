//! COCO captions: `captions.json` of a plain folder, and `annotations/captions_*.json` of the collection.
//!
//! Format: <https://cocodataset.org/#format-data>, "Image captioning"; fields that are not needed are ignored.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use serde::Deserialize;

use super::entry::{Entry, Listing, short, split_of_file};
use super::{Located, read_json};
use crate::Problem;

#[derive(Deserialize)]
struct CaptionsFile {
    images: Vec<ImageEntry>,
    annotations: Vec<Annotation>,
}

#[derive(Deserialize)]
struct ImageEntry {
    id: u64,
    file_name: String,
}

#[derive(Deserialize)]
struct Annotation {
    id: Option<u64>,
    image_id: u64,
    caption: String,
}

/// The plain folder: `captions.json` and `images/`.
pub(super) fn read_folder(located: &Located) -> Listing {
    let mut listing = Listing { roots: vec![located.dir.join("images")], ..Listing::default() };
    located.files.iter().for_each(|file| read_file(file, None, &mut listing));
    listing
}

/// The collection: `captions_train2017.json` describes the files of the folder `train2017`.
pub(super) fn read_collection(located: &Located) -> Listing {
    let roots = vec![located.dir.clone(), located.dir.join("images")];
    let mut listing = Listing { roots, ..Listing::default() };
    for file in &located.files {
        let stem = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        read_file(file, stem.strip_prefix("captions_"), &mut listing);
    }
    listing
}

fn read_file(path: &Path, folder: Option<&str>, listing: &mut Listing) {
    match read_json::<CaptionsFile>(path) {
        Ok(file) => {
            let mut entries = join(file, &short(path), &mut listing.problems);
            if let Some(folder) = folder {
                let split = split_of_file(path);
                for entry in &mut entries {
                    let name = format!("{folder}/{}", entry.file_name);
                    entry.other_name = Some(std::mem::replace(&mut entry.file_name, name));
                    entry.split = split;
                }
            }
            listing.entries.append(&mut entries);
        }
        Err(error) => listing.problems.push(error.into()),
    }
}

/// Joins images and captions; whatever does not fit goes to `problems`.
fn join(file: CaptionsFile, name: &str, problems: &mut Vec<Problem>) -> Vec<Entry> {
    let mut entries = Vec::with_capacity(file.images.len());
    let mut by_id = HashMap::with_capacity(file.images.len());
    for ImageEntry { id, file_name } in file.images {
        let mut entry = Entry::new(id, file_name);
        // The first keeps its captions; a repeated entry is the bad one.
        if *by_id.entry(id).or_insert(entries.len()) != entries.len() {
            entry.faults.push(Problem::DuplicateImageId(id));
        }
        entries.push(entry);
    }
    let mut ids = HashSet::with_capacity(file.annotations.len());
    for (place, Annotation { id, image_id, caption }) in file.annotations.into_iter().enumerate() {
        if let Some(id) = id.filter(|id| !ids.insert(*id)) {
            problems.push(Problem::DuplicateAnnotationId(id));
        }
        let number = || id.map_or(format!("number {}", place + 1), |id| id.to_string());
        let annotation = || format!("{name}: annotation {}", number());
        match by_id.get(&image_id) {
            Some(&at) => _ = entries[at].push_caption(caption, annotation),
            None => problems.push(Problem::UnknownImageId { annotation: annotation(), image_id }),
        }
    }
    entries.iter_mut().for_each(Entry::finish);
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_image_leaves_the_first_its_captions() {
        let image = |id, name: &str| ImageEntry { id, file_name: name.into() };
        let annotations = vec![Annotation { id: Some(1), image_id: 7, caption: "a dog".into() }];
        let file = CaptionsFile { images: vec![image(7, "a.jpg"), image(7, "b.jpg")], annotations };
        let mut problems = Vec::new();
        let entries = join(file, "captions.json", &mut problems);
        assert_eq!(entries[0].captions, ["a dog"]);
        assert!(entries[0].faults.is_empty() && problems.is_empty());
        assert_eq!(entries[1].faults, [Problem::DuplicateImageId(7)]);
    }
}
