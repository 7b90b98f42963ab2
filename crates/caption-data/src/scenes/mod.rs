//! The procedural data set `scenes`: coloured shapes on light grounds, with sentences that are true of them.
//!
//! It exists so that a first run and the tests need no download, and as a benchmark with known truth: four levels of
//! difficulty, combinations that are seen in the test only, and an exact score of what captions say. It says little about
//! real photos.
//!
//! - [`make_scenes`], [`make_benchmark`]: draw a data set; `truth.json` holds what each image shows ([`Scene`]);
//! - [`facts`]: what a sentence says; [`factual_score`]: how much of that is true, and how much of the truth is said.

mod content;
mod facts;
mod render;
mod score;
mod truth;
mod words;

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde_json::{Value, json};

pub use self::content::{Colour, Group, Layout, Scene, Shape, Size, Texture};
pub use self::facts::{Facts, Mention, Place, Relation, facts};
pub use self::score::{Aspect, FactualScores, factual_score};
pub use self::truth::{has_truth, load_truth};
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

/// What [`make_benchmark`] makes: scenes of a level of difficulty, some of whose combinations come in the test only.
///
/// | level | what it adds |
/// | --- | --- |
/// | 1 | one to three groups of up to four objects, large or small; [`make_scenes`] draws these |
/// | 2 | up to four groups, up to six objects in a group |
/// | 3 | striped and dotted objects |
/// | 4 | tiny objects, and grey strokes on the ground that no sentence mentions |
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Benchmark {
    /// Images, their size and the seed.
    pub options: SceneOptions,
    /// 1 to 4.
    pub level: u8,
    /// How many pairs of a colour and a shape are kept out of train and val; each test image shows at least one of them.
    /// Every colour and every shape still comes in train, with others. 0 to 16.
    pub held_out: usize,
}

impl Default for Benchmark {
    /// Level 1 with nothing held out: what [`make_scenes`] draws.
    fn default() -> Self {
        Benchmark { options: SceneOptions::default(), level: 1, held_out: 0 }
    }
}

impl Benchmark {
    /// Most pairs that can be held out: a third of all.
    pub const MOST_HELD_OUT: usize = 16;

    fn check(&self) -> Result<(), DataError> {
        let refuse = |why: String| Err(DataError::Scenes(why));
        self.options.check()?;
        if !(1..=4).contains(&self.level) {
            return refuse(format!("level {} asked for, there are 1 to 4", self.level));
        }
        if self.held_out > Self::MOST_HELD_OUT {
            let most = Self::MOST_HELD_OUT;
            return refuse(format!("{} pairs to be held out, at most {most} can be", self.held_out));
        }
        if self.held_out > 0 && self.options.test == 0 {
            return refuse("pairs are held out for a test split, but it is to have no images".into());
        }
        Ok(())
    }

    /// The pairs that come in the test only, in a fixed order.
    pub fn held_out_pairs(&self) -> Vec<(Colour, Shape)> {
        // A stream of its own, so that it changes nothing else.
        let mut rng = ChaCha8Rng::seed_from_u64(self.options.seed);
        rng.set_stream(1);
        let mut pairs: Vec<(Colour, Shape)> =
            Colour::ALL.into_iter().flat_map(|c| Shape::ALL.map(|s| (c, s))).collect();
        pairs.shuffle(&mut rng);
        let mut kept: Vec<(Colour, Shape)> = Vec::new();
        for (colour, shape) in pairs {
            // Half of what each colour and each shape comes with stays in train.
            let same_colour = kept.iter().filter(|(c, _)| *c == colour).count();
            let same_shape = kept.iter().filter(|(_, s)| *s == shape).count();
            if kept.len() < self.held_out && same_colour < 3 && same_shape < 4 {
                kept.push((colour, shape));
            }
        }
        kept.sort_unstable();
        kept
    }

    /// Grey strokes on the ground.
    fn strokes(&self) -> usize {
        if self.level >= 4 { 14 } else { 0 }
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
    make_benchmark(dir, &Benchmark { options: *options, ..Benchmark::default() })
}

/// As [`make_scenes`], for any level and with combinations held out.
///
/// # Errors
/// As [`make_scenes`].
pub fn make_benchmark(dir: impl AsRef<Path>, benchmark: &Benchmark) -> Result<(), DataError> {
    let dir = dir.as_ref();
    benchmark.check()?;
    let staging = Staging::new(dir)?;
    write_all(staging.path(), &items(benchmark), benchmark)?;
    staging.finish()
}

/// All scenes with their sentences: one stream of random numbers, so that the order of work does not matter later.
fn items(benchmark: &Benchmark) -> Vec<Item> {
    let Benchmark { options, level, .. } = *benchmark;
    let held_out = benchmark.held_out_pairs();
    let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
    let mut seen = HashSet::new();
    let mut items = Vec::new();
    for split in Split::ALL {
        for number in 1..=options.count(split) {
            let fits = |scene: &Scene| {
                let new = scene.groups.iter().any(|g| held_out.contains(&(g.colour, g.shape)));
                held_out.is_empty() || new == (split == Split::Test)
            };
            // There are over ten million contents and at most MAX_IMAGES are drawn, so a new one comes soon.
            let scene = std::iter::repeat_with(|| Scene::random(level, &mut rng))
                .find(|scene| fits(scene) && seen.insert(scene.clone()));
            let Some(scene) = scene else { break };
            let sentences = words::sentences(&scene, SENTENCES, words::longest(level), &mut rng);
            items.push(Item { split, file_name: format!("{split}-{number:05}.png"), scene, sentences });
        }
    }
    items
}

fn write_all(dir: &Path, items: &[Item], benchmark: &Benchmark) -> Result<(), DataError> {
    let options = benchmark.options;
    let images = dir.join("images");
    std::fs::create_dir_all(&images).map_err(|e| DataError::write(&images, e))?;
    items.par_iter().enumerate().try_for_each(|(at, item)| {
        let seed = options.seed ^ (at as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let pixels = render::render(&item.scene, options.size, benchmark.strokes(), &mut rng);
        write_png(&images.join(&item.file_name), &pixels, options.size)
    })?;
    truth::write(dir, items.iter().map(|item| (item.file_name.as_str(), &item.scene)))?;
    write_json(dir.join("captions.json"), &captions_json(items, options.size))?;
    write_json(dir.join("splits.json"), &splits_json(items))?;
    let source = dir.join("SOURCE.md");
    std::fs::write(&source, source_note(benchmark)).map_err(|e| DataError::write(&source, e))
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

fn source_note(benchmark: &Benchmark) -> String {
    let SceneOptions { train, val, test, size, seed } = benchmark.options;
    let pairs: Vec<String> = benchmark
        .held_out_pairs()
        .iter()
        .map(|(colour, shape)| format!("{} {}", colour.look().0, shape.names().1))
        .collect();
    let held_out = match pairs.as_slice() {
        [] => String::new(),
        pairs => format!("\nIn the test only, one of them in each image: {}.\n", pairs.join(", ")),
    };
    format!(
        "# Scenes\n\nDrawn by capwright {version} from seed {seed}: {train} train, {val} val and {test} test images of {size} x {size} \
         pixels,\n{SENTENCES} sentences each, level {level}. Coloured shapes with sizes, counts and places; no photos, no human \
         captions.\nA score here says that a captioner learns at all; it says little about real photos.\n{held_out}",
        version = env!("CARGO_PKG_VERSION"),
        level = benchmark.level,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_out_of_range_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let default = SceneOptions::default();
        let with = |options| Benchmark { options, ..Benchmark::default() };
        for (bad, word) in [
            (with(SceneOptions { train: 0, ..default }), "train"),
            (with(SceneOptions { size: 8, ..default }), "pixels"),
            (with(SceneOptions { test: usize::MAX, ..default }), "at most"),
            (Benchmark { level: 5, ..Benchmark::default() }, "level 5"),
            (Benchmark { held_out: 17, ..Benchmark::default() }, "at most 16"),
            (Benchmark { held_out: 1, ..with(SceneOptions { test: 0, ..default }) }, "test split"),
        ] {
            let message = make_benchmark(dir.path().join("new"), &bad).unwrap_err().to_string();
            assert!(message.contains(word), "{message}");
        }
        assert!(!dir.path().join("new").exists());
    }

    #[test]
    fn no_content_comes_twice() {
        for level in 1..=4 {
            let options = SceneOptions { train: 3000, ..SceneOptions::default() };
            let items = items(&Benchmark { options, level, held_out: 0 });
            let contents: HashSet<&Scene> = items.iter().map(|i| &i.scene).collect();
            assert_eq!((items.len(), contents.len()), (3120, 3120));
        }
    }

    #[test]
    fn held_out_pairs_come_in_the_test_only_and_leave_every_colour_and_shape() {
        for held_out in [1, 6, Benchmark::MOST_HELD_OUT] {
            let benchmark = Benchmark { held_out, level: 2, ..Benchmark::default() };
            let pairs = benchmark.held_out_pairs();
            assert_eq!(pairs.len(), held_out);
            let shown = |split: Split| {
                items(&benchmark)
                    .into_iter()
                    .filter(|i| i.split == split)
                    .map(|i| i.scene.groups.iter().map(|g| (g.colour, g.shape)).collect::<Vec<_>>())
                    .collect::<Vec<_>>()
            };
            assert!(shown(Split::Test).iter().all(|scene| scene.iter().any(|pair| pairs.contains(pair))));
            let train = shown(Split::Train).concat();
            assert!(train.iter().chain(&shown(Split::Val).concat()).all(|pair| !pairs.contains(pair)));
            let colours: HashSet<Colour> = train.iter().map(|p| p.0).collect();
            let shapes: HashSet<Shape> = train.iter().map(|p| p.1).collect();
            assert_eq!((colours.len(), shapes.len()), (8, 6));
        }
    }
}
