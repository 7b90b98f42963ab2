//! The procedural data set `scenes`: coloured shapes on light grounds, with sentences that are true of them.
//!
//! It exists so that a first run and the tests need no download. It says little about real photos.

mod content;
mod render;
mod words;

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde_json::{Value, json};

use self::content::Scene;
use crate::staging::Staging;
use crate::{DataError, Split};

/// Reference sentences of each image.
const SENTENCES: usize = 5;

/// What [`make_scenes`] makes. The same options give the same files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SceneOptions {
    /// Images to learn from, at least 1.
    pub train: usize,
    /// Images to choose by, at least 1.
    pub val: usize,
    /// Images for the final report; with 0 there is no test split.
    pub test: usize,
    /// Side of the square images in pixels, 32..=1024.
    pub size: u32,
    /// Everything random follows from it.
    pub seed: u64,
}

impl Default for SceneOptions {
    /// 600, 60 and 60 images of 96 pixels, seed 1.
    fn default() -> Self {
        SceneOptions { train: 600, val: 60, test: 60, size: 96, seed: 1 }
    }
}

impl SceneOptions {
    /// Most images of all splits together.
    pub const MAX_IMAGES: usize = 100_000;

    fn check(&self) -> Result<(), DataError> {
        let refuse = |why: String| Err(DataError::Scenes(why));
        if self.train == 0 || self.val == 0 {
            return refuse("the splits train and val need at least one image each".into());
        }
        let total = self.train.saturating_add(self.val).saturating_add(self.test);
        if total > Self::MAX_IMAGES {
            return refuse(format!("{total} images asked for, at most {} can be made", Self::MAX_IMAGES));
        }
        if !(32..=1024).contains(&self.size) {
            return refuse(format!("{} pixels asked for, a side has 32 to 1024", self.size));
        }
        Ok(())
    }

    fn count(&self, split: Split) -> usize {
        match split {
            Split::Train => self.train,
            Split::Val => self.val,
            Split::Test => self.test,
        }
    }
}

/// A scene with what is needed to write it down.
struct Item {
    split: Split,
    file_name: String,
    scene: Scene,
    sentences: Vec<String>,
}

/// Makes a data set of coloured shapes in `dir`, in the layout that [`Dataset::load`](crate::Dataset::load) reads.
///
/// No two images, in whichever splits, show the same content (shapes, colours, sizes, counts, arrangement). The folder appears
/// complete or not at all: everything is written beside it first and renamed.
///
/// # Errors
/// [`DataError::Scenes`] for options out of range, [`DataError::NotEmpty`] when `dir` exists and is not an empty folder,
/// [`DataError::Write`] when the disk refuses.
pub fn make_scenes(dir: impl AsRef<Path>, options: &SceneOptions) -> Result<(), DataError> {
    let dir = dir.as_ref();
    options.check()?;
    let staging = Staging::new(dir)?;
    write_all(staging.path(), &items(options), options)?;
    staging.finish()
}

/// All scenes with their sentences: one stream of random numbers, so that the order of work does not matter later.
fn items(options: &SceneOptions) -> Vec<Item> {
    let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
    let mut seen = HashSet::new();
    let mut items = Vec::new();
    for split in Split::ALL {
        for number in 1..=options.count(split) {
            // There are over ten million contents and at most MAX_IMAGES are drawn, so a new one comes soon.
            let scene = std::iter::repeat_with(|| Scene::random(&mut rng)).find(|s| seen.insert(s.clone()));
            let Some(scene) = scene else { break };
            let sentences = words::sentences(&scene, SENTENCES, &mut rng);
            items.push(Item { split, file_name: format!("{split}-{number:05}.png"), scene, sentences });
        }
    }
    items
}

fn write_all(dir: &Path, items: &[Item], options: &SceneOptions) -> Result<(), DataError> {
    let images = dir.join("images");
    std::fs::create_dir_all(&images).map_err(|e| DataError::write(&images, e))?;
    items.par_iter().enumerate().try_for_each(|(at, item)| {
        let seed = options.seed ^ (at as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let pixels = render::render(&item.scene, options.size, &mut rng);
        write_png(&images.join(&item.file_name), &pixels, options.size)
    })?;
    write_json(dir.join("captions.json"), &captions_json(items, options.size))?;
    write_json(dir.join("splits.json"), &splits_json(items))?;
    let source = dir.join("SOURCE.md");
    std::fs::write(&source, source_note(options)).map_err(|e| DataError::write(&source, e))
}

fn write_png(path: &Path, pixels: &[u8], size: u32) -> Result<(), DataError> {
    image::save_buffer_with_format(path, pixels, size, size, image::ColorType::Rgb8, image::ImageFormat::Png)
        .map_err(|e| DataError::write(path, std::io::Error::other(e)))
}

fn write_json(path: PathBuf, value: &Value) -> Result<(), DataError> {
    std::fs::write(&path, format!("{value}\n")).map_err(|e| DataError::write(&path, e))
}

fn captions_json(items: &[Item], size: u32) -> Value {
    let images = items
        .iter()
        .enumerate()
        .map(|(at, item)| json!({"id": at + 1, "file_name": item.file_name, "height": size, "width": size}));
    let captions =
        items.iter().enumerate().flat_map(|(at, item)| item.sentences.iter().map(move |s| (at, s)));
    let annotations = captions
        .enumerate()
        .map(|(id, (at, caption))| json!({"id": id + 1, "image_id": at + 1, "caption": caption}));
    json!({"images": images.collect::<Vec<_>>(), "annotations": annotations.collect::<Vec<_>>()})
}

fn splits_json(items: &[Item]) -> Value {
    let lists = Split::ALL.into_iter().filter_map(|split| {
        let names: Vec<Value> =
            items.iter().filter(|i| i.split == split).map(|i| i.file_name.as_str().into()).collect();
        (!names.is_empty()).then(|| (split.name().to_owned(), Value::from(names)))
    });
    Value::Object(lists.collect())
}

fn source_note(options: &SceneOptions) -> String {
    let SceneOptions { train, val, test, size, seed } = options;
    format!(
        "# Scenes\n\nDrawn by capwright {version} from seed {seed}: {train} train, {val} val and {test} test images of {size} x {size} \
         pixels,\n{SENTENCES} sentences each. Coloured shapes with sizes, counts and places; no photos, no human captions.\n\
         A score here says that a captioner learns at all; it says little about real photos.\n",
        version = env!("CARGO_PKG_VERSION"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_out_of_range_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let default = SceneOptions::default();
        for (bad, word) in [
            (SceneOptions { train: 0, ..default }, "train"),
            (SceneOptions { size: 8, ..default }, "pixels"),
            (SceneOptions { test: usize::MAX, ..default }, "at most"),
        ] {
            let message = make_scenes(dir.path().join("new"), &bad).unwrap_err().to_string();
            assert!(message.contains(word), "{message}");
        }
        assert!(!dir.path().join("new").exists());
    }

    #[test]
    fn no_content_comes_twice() {
        let items = items(&SceneOptions { train: 3000, ..SceneOptions::default() });
        let contents: HashSet<&Scene> = items.iter().map(|i| &i.scene).collect();
        assert_eq!((items.len(), contents.len()), (3120, 3120));
    }
}
