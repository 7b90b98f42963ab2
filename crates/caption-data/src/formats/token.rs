//! Token files of Flickr8k and Flickr30k: lines `name.jpg#0<TAB>caption`, and lists of file names for the splits.
//!
//! Source: Hodosh, Young and Hockenmaier (2013), `Flickr8k.token.txt` with `Flickr_8k.trainImages.txt`, `.devImages.txt` and
//! `.testImages.txt`; Young et al. (2014), `results_20130124.token`.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use capwright_files::folder_of;

use super::entry::{Entry, Listing, hopeless, short};
use super::{Located, image_folders, read_text};
use crate::{Problem, Split};

/// Ends of the names of the files that list the images of a split.
const LISTS: [(&str, Split); 4] = [
    ("trainImages.txt", Split::Train),
    ("devImages.txt", Split::Val),
    ("valImages.txt", Split::Val),
    ("testImages.txt", Split::Test),
];

/// Reads the token files, and the lists of splits in the folder and beside them.
pub(super) fn read(located: &Located) -> Listing {
    let mut listing = Listing { roots: image_folders(&located.dir), ..Listing::default() };
    let mut places = HashMap::new();
    for path in &located.files {
        let text = read_text(path).map_err(Problem::from);
        let done = text.and_then(|text| add_captions(&short(path), &text, &mut places, &mut listing));
        listing.problems.extend(done.err());
    }
    listing.entries.iter_mut().for_each(Entry::finish);
    let beside = located.files.iter().map(|file| folder_of(file));
    let folders: BTreeSet<&Path> = beside.chain([located.dir.as_path()]).collect();
    for folder in folders.into_iter().filter(|_| !located.ignore_splits) {
        let done = add_splits(folder, &places, &mut listing);
        listing.problems.extend(done.err());
    }
    listing
}

fn add_captions(
    file: &str,
    text: &str,
    places: &mut HashMap<String, usize>,
    listing: &mut Listing,
) -> Result<(), Problem> {
    let mut bad_captions = 0;
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let place = || format!("{file}, line {}", number + 1);
        hopeless(listing.problems.len() + bad_captions, place)?;
        let parts = line.split_once('\t').and_then(|(key, caption)| {
            let (name, number) = key.rsplit_once('#')?;
            number.trim().parse::<u32>().ok().map(|_| (name, caption))
        });
        let Some((name, caption)) = parts else {
            let message = "a line is a file name, # and a number, a tab, and a caption".into();
            listing.problems.push(Problem::BadRow { place: place(), message });
            continue;
        };
        let at = *places.entry(name.to_owned()).or_insert_with(|| {
            listing.entries.push(Entry::new(listing.entries.len() as u64 + 1, name));
            listing.entries.len() - 1
        });
        let entry = &mut listing.entries[at];
        let faults = entry.faults.len();
        entry.push_caption(caption, place);
        bad_captions += entry.faults.len() - faults;
    }
    Ok(())
}

fn add_splits(dir: &Path, places: &HashMap<String, usize>, listing: &mut Listing) -> Result<(), Problem> {
    for path in super::files_in(dir)? {
        let file = short(&path);
        let Some((_, split)) = LISTS.into_iter().find(|(end, _)| file.ends_with(end)) else { continue };
        for name in read_text(&path)?.lines().map(str::trim).filter(|name| !name.is_empty()) {
            hopeless(listing.problems.len(), || file.clone())?;
            let Some(&at) = places.get(name) else {
                let file_name = name.to_owned();
                listing.problems.push(Problem::UnknownInSplit { file: file.clone(), split, file_name });
                continue;
            };
            match listing.entries[at].split.replace(split) {
                Some(first) if first != split => listing.problems.push(Problem::Overlap {
                    first,
                    first_file: name.to_owned(),
                    second: split,
                    second_file: name.to_owned(),
                }),
                _ => {}
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::Format;
    use crate::quarantine::MAX_NOTED;

    #[test]
    fn lists_beside_the_tokens_are_read_unless_ignored() {
        let outer = tempfile::tempdir().unwrap();
        let data = outer.path().join("data");
        std::fs::create_dir(&data).unwrap();
        let tokens = data.join("a.token");
        std::fs::write(&tokens, "1.jpg#0\ta dog\n2.jpg#0\ta cat\n").unwrap();
        std::fs::write(data.join("a.trainImages.txt"), "1.jpg\n").unwrap();
        std::fs::write(outer.path().join("a.testImages.txt"), "2.jpg\ngone.jpg\n").unwrap();
        let (dir, files) = (outer.path().to_owned(), vec![tokens]);
        let mut located = Located { format: Format::Tokens, dir, files, ignore_splits: false };
        let splits = |listing: &Listing| listing.entries.iter().map(|e| e.split).collect::<Vec<_>>();
        let listing = read(&located);
        assert_eq!(splits(&listing), [Some(Split::Train), Some(Split::Test)]);
        assert!(matches!(listing.problems[..], [Problem::UnknownInSplit { .. }]));
        located.ignore_splits = true;
        let listing = read(&located);
        assert_eq!(splits(&listing), [None, None]);
        assert!(listing.problems.is_empty());
    }

    #[test]
    fn lists_of_which_too_much_is_bad_are_not_read_to_their_end() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a.trainImages.txt"), "gone.jpg\n1.jpg\n").unwrap();
        let places = HashMap::from([("1.jpg".to_owned(), 0)]);
        let problems = vec![Problem::DuplicateAnnotationId(1); MAX_NOTED];
        let mut listing = Listing { entries: vec![Entry::new(1, "1.jpg")], problems, ..Listing::default() };
        let done = add_splits(dir.path(), &places, &mut listing);
        assert!(
            matches!(&done, Err(Problem::Malformed { place, .. }) if place == "a.trainImages.txt"),
            "{done:?}"
        );
        assert_eq!(listing.entries[0].split, None);
    }
}
