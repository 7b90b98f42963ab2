//! The JSON of Karpathy's splits: `dataset_coco.json`, `dataset_flickr8k.json`, `dataset_flickr30k.json`.
//!
//! Source: Karpathy and Fei-Fei, "Deep Visual-Semantic Alignments" (2015), <https://cs.stanford.edu/people/karpathy/deepimagesent/>.

use serde::Deserialize;

use super::entry::{Entry, Listing, hopeless, short};
use super::loose::Field;
use super::{Located, image_folders, read_json};
use crate::Problem;

#[derive(Deserialize)]
struct File {
    images: Vec<Image>,
}

#[derive(Deserialize)]
struct Image {
    filename: String,
    filepath: Option<String>,
    split: Option<Field>,
    cocoid: Option<u64>,
    imgid: Option<u64>,
    sentences: Vec<Sentence>,
}

#[derive(Deserialize)]
struct Sentence {
    raw: Option<String>,
    #[serde(default)]
    tokens: Vec<String>,
}

/// Reads the files; the words of a sentence are used only where its text is absent.
pub(super) fn read(located: &Located) -> Listing {
    let mut listing = Listing { roots: image_folders(&located.dir), ..Listing::default() };
    for path in &located.files {
        let file = read_json::<File>(path).map_err(Problem::from);
        let done = file.and_then(|file| add(file, &short(path), located.ignore_splits, &mut listing));
        listing.problems.extend(done.err());
    }
    listing
}

fn add(file: File, name: &str, ignore_splits: bool, listing: &mut Listing) -> Result<(), Problem> {
    let mut bad = 0;
    for (at, mut image) in file.images.into_iter().enumerate() {
        hopeless(listing.problems.len() + bad, || format!("{name}: image {}", at + 1))?;
        image.split = image.split.filter(|_| !ignore_splits);
        let entry = entry(at, image, name);
        bad += entry.faults.len();
        listing.entries.push(entry);
    }
    Ok(())
}

fn entry(at: usize, image: Image, file: &str) -> Entry {
    let id = image.cocoid.or(image.imgid).unwrap_or(at as u64 + 1);
    let folder = image.filepath.as_deref().map(|p| p.trim_end_matches('/')).filter(|p| !p.is_empty());
    let mut entry = match folder {
        Some(folder) => {
            let mut entry = Entry::new(id, format!("{folder}/{}", image.filename));
            entry.other_name = Some(image.filename);
            entry
        }
        None => Entry::new(id, image.filename),
    };
    let place = || format!("{file}: image {}", at + 1);
    entry.set_split_field(image.split.as_ref(), place);
    for (number, sentence) in image.sentences.into_iter().enumerate() {
        let text = sentence.raw.unwrap_or_else(|| sentence.tokens.join(" "));
        if !entry.push_caption(text, || format!("{}, sentence {}", place(), number + 1)) {
            break;
        }
    }
    entry.finish();
    entry
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quarantine::MAX_NOTED;

    #[test]
    fn images_of_which_too_much_is_bad_are_not_read_to_their_end() {
        let image = r#"{"filename": "a.jpg", "sentences": [{"raw": ""}, {"raw": "a dog"}]}"#;
        let text = format!("{{\"images\": [{image}, {image}]}}");
        let problems = vec![Problem::DuplicateAnnotationId(1); MAX_NOTED];
        let mut listing = Listing { problems, ..Listing::default() };
        let done = add(serde_json::from_str(&text).unwrap(), "dataset.json", false, &mut listing);
        assert!(
            matches!(&done, Err(Problem::Malformed { place, .. }) if place == "dataset.json: image 2"),
            "{done:?}"
        );
        assert_eq!(listing.entries.len(), 1);
    }
}
