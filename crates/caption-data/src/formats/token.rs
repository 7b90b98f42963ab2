//! Token files of Flickr8k and Flickr30k: lines `name.jpg#0<TAB>caption`, and lists of file names for the splits.
//!
//! Source: Hodosh, Young and Hockenmaier (2013), `Flickr8k.token.txt` with `Flickr_8k.trainImages.txt`, `.devImages.txt` and
//! `.testImages.txt`; Young et al. (2014), `results_20130124.token`.

use std::collections::HashMap;
use std::path::Path;

use super::entry::{Entry, Listing, short};
use super::{Located, image_folders, read_text};
use crate::{DataError, Problem, Split};

/// Ends of the names of the files that list the images of a split.
const LISTS: [(&str, Split); 4] = [
    ("trainImages.txt", Split::Train),
    ("devImages.txt", Split::Val),
    ("valImages.txt", Split::Val),
    ("testImages.txt", Split::Test),
];

/// Reads the token files, and the lists of splits beside them.
pub(super) fn read(located: &Located) -> Listing {
    let mut listing = Listing { roots: image_folders(&located.dir), ..Listing::default() };
    let mut places = HashMap::new();
    for path in &located.files {
        match read_text(path) {
            Ok(text) => add_captions(&short(path), &text, &mut places, &mut listing),
            Err(error) => listing.problems.push(error.into()),
        }
    }
    listing.entries.iter_mut().for_each(Entry::finish);
    if let Err(error) = add_splits(&located.dir, &places, &mut listing) {
        listing.problems.push(error.into());
    }
    listing
}

fn add_captions(file: &str, text: &str, places: &mut HashMap<String, usize>, listing: &mut Listing) {
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let place = || format!("{file}, line {}", number + 1);
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
        listing.entries[at].push_caption(caption.to_owned(), place);
    }
}

fn add_splits(dir: &Path, places: &HashMap<String, usize>, listing: &mut Listing) -> Result<(), DataError> {
    for path in super::files_in(dir)? {
        let file = short(&path);
        let Some((_, split)) = LISTS.into_iter().find(|(end, _)| file.ends_with(end)) else { continue };
        for name in read_text(&path)?.lines().map(str::trim).filter(|name| !name.is_empty()) {
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
