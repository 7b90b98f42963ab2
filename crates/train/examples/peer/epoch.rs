//! An epoch of Flickr8k, or the first steps of one, from cached features; and what the other side needs for the same.

use crate::designs::{IMAGES, WORDS, design};
use crate::process::{kibibytes, processor_seconds};
use crate::{Times, weights};
use burn::tensor::Device;
use capwright_blueprint::language::Augment;
use capwright_caption_data::{Dataset, ImageRecord, Split, Vocabulary};
use capwright_train::fit::{Lesson, batches, train_epoch};
use capwright_train::learner::Learner;
use capwright_train::source::Source;
use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use std::time::Instant;

const SEED: u64 = 1;

/// The frozen backbone of the design.
const BACKBONE: &str = "mobilenet_v2";

/// Trains on the first `steps` batches' worth of training images of `data`, in the order of an epoch of as many.
///
/// Features are computed below `work` where they are missing; `captions.json` there holds the encoded captions and the
/// batches, and `features` the folder of the cache, for the other side.
pub fn epoch(data: &Path, work: &Path, steps: usize) -> Result<Times, Box<dyn Error>> {
    let dataset = Dataset::load(data)?;
    let vocabulary = Vocabulary::from_dataset(&dataset, 5);
    let images: Vec<ImageRecord> = dataset.records(Split::Train).cloned().collect();
    drop(dataset);
    let used = images.len().min(steps * IMAGES);
    let encode = |caption: &String| vocabulary.encode(caption, WORDS);
    let references: Vec<Vec<Vec<u32>>> =
        images[..used].iter().map(|image| image.captions.iter().map(encode).collect()).collect();
    let checked = design("lstm", vocabulary.len())?;
    let source = Source::open(
        work,
        checked.design(),
        &BTreeMap::from([(BACKBONE.to_owned(), weights(BACKBONE)?)]),
        (&images, &[]),
        Augment::None,
        &mut |_| {},
    )?;
    drop(images);
    let order = batches(used, IMAGES, SEED, 1);
    let told = serde_json::json!({ "vocab": vocabulary.len(), "references": references, "batches": order });
    std::fs::write(work.join("captions.json"), serde_json::to_vec(&told)?)?;
    drop(told);

    let recipe = &checked.blueprint().recipe;
    let mut learner = Learner::new(checked.design(), recipe, SEED, &Device::flex().autodiff());
    let (source, references, sides) = (&source, &references[..], &[][..]);
    let lesson = Lesson { source, references, sides, recipe, seed: SEED, epochs: 0..1, critic: None };
    let (start, wall, mut anonymous) = (processor_seconds(), Instant::now(), 0);
    let mut tell = |_, _, _| anonymous = kibibytes("RssAnon").max(anonymous);
    let trained = train_epoch(&mut learner, &lesson, 1, &mut tell)?;
    let seconds = vec![(processor_seconds() - start) / order.len() as f64];
    let wall = vec![wall.elapsed().as_secs_f64() / order.len() as f64];
    let learned = learner.network.params.elements();
    Ok(Times { seconds, wall, loss: trained.loss, anonymous, learned })
}
