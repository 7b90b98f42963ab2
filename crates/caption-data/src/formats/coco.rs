//! COCO captions: `captions.json` of a plain folder, and `annotations/captions_*.json` of the collection.
//!
//! Format: <https://cocodataset.org/#format-data>, "Image captioning"; fields that are not needed are ignored.

use std::collections::hash_map::Entry as Place;
use std::collections::{HashMap, HashSet};
use std::path::Path;

use serde::Deserialize;

use super::entry::{Entry, Listing, hopeless, short, split_of_file};
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
    let mut by_id = HashMap::with_capacity(file.images.len());
    let mut entries = images(file.images, &mut by_id);
    let mut bad = entries.iter().map(|entry| entry.faults.len()).sum::<usize>();
    let mut ids = HashSet::with_capacity(file.annotations.len());
    for (place, Annotation { id, image_id, caption }) in file.annotations.into_iter().enumerate() {
        let number = || id.map_or(format!("number {}", place + 1), |id| id.to_string());
        let annotation = || format!("{name}: annotation {}", number());
        if let Err(problem) = hopeless(problems.len() + bad, annotation) {
            problems.push(problem);
            break;
        }
        if let Some(id) = id.filter(|id| !ids.insert(*id)) {
            problems.push(Problem::DuplicateAnnotationId(id));
        }
        match by_id.get(&image_id) {
            Some(&at) => {
                let entry: &mut Entry = &mut entries[at];
                let faults = entry.faults.len();
                entry.push_caption(caption, annotation);
                bad += entry.faults.len() - faults;
            }
            None => problems.push(Problem::UnknownImageId { annotation: annotation(), image_id }),
        }
    }
    entries.iter_mut().for_each(Entry::finish);
    entries
}

/// The images without their captions, and the first of each id.
fn images(listed: Vec<ImageEntry>, by_id: &mut HashMap<u64, usize>) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::with_capacity(listed.len());
    for ImageEntry { id, file_name } in listed {
        let mut entry = Entry::new(id, file_name);
        match by_id.entry(id) {
            Place::Vacant(free) => _ = free.insert(entries.len()),
            Place::Occupied(first) => {
                // Which of two files the captions of the id are of, nobody can say. Where both are one, the first keeps them.
                let first = &mut entries[*first.get()];
                if first.file_name != entry.file_name && first.faults.is_empty() {
                    first.faults.push(Problem::DuplicateImageId(id));
                }
                entry.faults.push(Problem::DuplicateImageId(id));
            }
        }
        entries.push(entry);
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quarantine::MAX_NOTED;

    fn joined(names: &[&str], annotations: Vec<Annotation>, problems: &mut Vec<Problem>) -> Vec<Entry> {
        let images = names.iter().map(|name| ImageEntry { id: 7, file_name: (*name).into() }).collect();
        join(CaptionsFile { images, annotations }, "captions.json", problems)
    }

    fn said(image_id: u64, caption: &str) -> Annotation {
        Annotation { id: None, image_id, caption: caption.into() }
    }

    #[test]
    fn a_repeated_image_leaves_the_first_its_captions() {
        let mut problems = Vec::new();
        let entries = joined(&["a.jpg", "a.jpg"], vec![said(7, "a dog")], &mut problems);
        assert_eq!(entries[0].captions, ["a dog"]);
        assert!(entries[0].faults.is_empty() && problems.is_empty());
        assert_eq!(entries[1].faults, [Problem::DuplicateImageId(7)]);
    }

    #[test]
    fn captions_of_an_id_that_two_files_have_are_of_neither() {
        let mut problems = Vec::new();
        let entries = joined(&["a.jpg", "b.jpg", "a.jpg"], vec![said(7, "a dog")], &mut problems);
        for entry in &entries {
            assert_eq!(entry.faults, [Problem::DuplicateImageId(7)], "{}", entry.file_name);
            assert!(!entry.is_usable());
        }
        assert!(problems.is_empty());
    }

    #[test]
    fn annotations_of_which_too_much_is_bad_are_not_read_to_their_end() {
        for stray in [said(8, "no image"), said(7, "")] {
            let annotations = vec![stray, said(7, "not read")];
            let mut problems = vec![Problem::DuplicateAnnotationId(1); MAX_NOTED];
            let entries = joined(&["a.jpg"], annotations, &mut problems);
            assert!(entries[0].captions.is_empty(), "{:?}", entries[0].captions);
            let Some(Problem::Malformed { place, .. }) = problems.last() else { panic!() };
            assert_eq!(place, "captions.json: annotation number 2");
        }
    }
}
