//! A trial over a few built-in scenes.

use capwright_blueprint::{Design, Target, Zoo};
use capwright_caption_data::{Dataset, SceneOptions, Vocabulary, make_scenes};
use capwright_contract::Decoding;
use capwright_study::{ComputeDevice, TrialSpec, WeightsFile};
use std::path::Path;

pub const MAX_WORDS: usize = 12;

/// The trial of a blueprint, its files below `root`.
pub fn spec_of(
    text: &str,
    zoo: &dyn Zoo,
    weights: Vec<WeightsFile>,
    root: &Path,
    out: &str,
    epochs: u32,
) -> (TrialSpec, Design) {
    let data = root.join("scenes");
    if !data.exists() {
        make_scenes(&data, &SceneOptions { train: 24, val: 6, test: 4, size: 32, seed: 1 }).unwrap();
    }
    let set = Dataset::load(&data).unwrap();
    let words = Vocabulary::from_dataset(&set, 1);
    words.save(root.join("vocabulary.json")).unwrap();
    let target = Target { vocab: words.len(), max_words: MAX_WORDS };
    let checked = capwright_blueprint::parse(text, zoo, target).unwrap();
    let spec = TrialSpec {
        trial: 1,
        blueprint: checked.blueprint().clone(),
        cost: checked.cost(),
        data,
        data_fingerprint: set.fingerprint().to_string(),
        vocabulary: root.join("vocabulary.json"),
        weights,
        start: None,
        cache: root.join("cache"),
        out: root.join(out),
        seed: 7,
        self_critical: 0,
        stop_after: None,
        select: Default::default(),
        epochs,
        patience: 0,
        decoding: Decoding::of(2, MAX_WORDS),
        threads: 1,
        device: ComputeDevice::Cpu,
    };
    (spec, checked.design().clone())
}
