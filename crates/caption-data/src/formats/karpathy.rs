//! The JSON of Karpathy's splits: `dataset_coco.json`, `dataset_flickr8k.json`, `dataset_flickr30k.json`.
//!
//! Source: Karpathy and Fei-Fei, "Deep Visual-Semantic Alignments" (2015), <https://cs.stanford.edu/people/karpathy/deepimagesent/>.

use serde::Deserialize;

use super::entry::{Entry, Listing, short};
use super::loose::Field;
use super::{Located, image_folders, read_json};

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
        let name = short(path);
        match read_json::<File>(path) {
            Ok(file) => {
                listing.entries.extend(file.images.into_iter().enumerate().map(|(at, mut image)| {
                    image.split = image.split.filter(|_| !located.ignore_splits);
                    entry(at, image, &name)
                }));
            }
            Err(error) => listing.problems.push(error.into()),
        }
    }
    listing
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
