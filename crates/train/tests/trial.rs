//! A whole trial on a few built-in scenes: train, interrupt, go on, load the model, caption.
#![recursion_limit = "256"]

mod common;

use capwright_blueprint::language::Cut;
use capwright_blueprint::{Design, Graph, Zoo};
use capwright_caption_data::{Dataset, Split};
use capwright_contract::{Decoding, Sampling, Score};
use capwright_study::{TrialEvent, TrialResult, TrialSpec};
use capwright_train::{Captioner, TrainError, run_trial, store};
use std::path::Path;

/// No pretrained backbone.
struct Empty;

impl Zoo for Empty {
    fn names(&self) -> Vec<String> {
        Vec::new()
    }

    fn cuts(&self, _: &str) -> Option<Vec<Cut>> {
        None
    }

    fn features(&self, _: &str, _: Cut, _: usize) -> Option<std::sync::Arc<Graph>> {
        None
    }
}

const BLUEPRINT: &str = r#"{
    "encoder": {"input": 32, "source": {"kind": "scratch", "stem": 8, "stages": [{"kind": "conv", "out": 16, "repeat": 1}]}, "blocks": []},
    "bridge": {"dim": 64, "dropout_pct": 10},
    "decoder": {"family": "recurrent", "cell": "gru", "embed": 64, "hidden": 64, "layers": 1,
        "image": "initial_state", "attention": "additive", "dropout_pct": 10},
    "recipe": {"lr": 0.003, "schedule": "cosine", "weight_decay": 0.01, "label_smoothing": 0.05, "clip": 1.0, "batch": 8}
}"#;

/// The same network with everything that a recipe can ask for.
fn full_recipe(lr: &str, optimizer: &str) -> String {
    let more = format!(
        r#""lr": {lr}, "optimizer": "{optimizer}", "warmup_pct": 10, "ema": 0.99, "word_dropout_pct": 20, "accumulate": 2,
        "scheduled_sampling_pct": 50, "augment": "flip_crop", "encoder_lr": 0.3, "freeze_encoder": 1,"#
    );
    BLUEPRINT.replace(r#""lr": 0.003,"#, &more)
}

fn spec(root: &Path, out: &str, epochs: u32) -> (TrialSpec, Design) {
    spec_of(BLUEPRINT, root, out, epochs)
}

fn spec_of(text: &str, root: &Path, out: &str, epochs: u32) -> (TrialSpec, Design) {
    common::spec_of(text, &Empty, Vec::new(), root, out, epochs)
}

/// The state after the last epoch, tensor by tensor: network, moments, average and best network. The best epoch alone may lie before
/// an interruption, and then says nothing of what came after it.
fn last_state(out: &Path) -> Vec<(String, Vec<u8>)> {
    let bytes = std::fs::read(out.join("checkpoint.safetensors")).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let mut all: Vec<_> =
        file.tensors().into_iter().map(|(name, tensor)| (name, tensor.data().to_vec())).collect();
    all.sort();
    assert!(all.iter().any(|(name, _)| name == "decoder.out.weight"), "the network itself is a part of it");
    all
}

/// Asserts that two trials left the same bits.
fn assert_same_state(one: &Path, other: &Path) {
    let [one, other] = [last_state(one), last_state(other)];
    let names = |all: &[(String, Vec<u8>)]| all.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&one), names(&other));
    let differ: Vec<&String> = one.iter().zip(&other).filter(|(a, b)| a != b).map(|(a, _)| &a.0).collect();
    assert!(differ.is_empty(), "these tensors differ: {differ:?}");
}

#[test]
fn an_interrupted_trial_ends_as_an_unbroken_one() {
    let root = tempfile::tempdir().unwrap();
    let (unbroken, design) = spec(root.path(), "unbroken", 3);
    let mut epochs = Vec::new();
    let whole = run_trial(&unbroken, &design, &mut |event| {
        if let TrialEvent::Epoch(epoch) = event {
            epochs.push(epoch);
        }
    })
    .unwrap();
    assert_eq!((whole.epochs, epochs.len()), (3, 3));
    assert!(epochs[2].loss < epochs[0].loss, "{epochs:?}");

    let (broken, _) = spec(root.path(), "broken", 3);
    let mut stop = |event| {
        if let TrialEvent::Epoch(epoch) = event {
            assert!(epoch.epoch < 2, "stopped after the second epoch");
        }
    };
    let crash =
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run_trial(&broken, &design, &mut stop)));
    assert!(crash.is_err() && !broken.out.join("result.json").exists());
    let mut seen = Vec::new();
    let mut hear = |event| {
        if let TrialEvent::Epoch(epoch) = event {
            seen.push(epoch);
        }
    };
    let resumed = run_trial(&broken, &design, &mut hear).unwrap();
    // Who listened to the first run may have ended before it heard of the second epoch.
    assert_eq!(seen.iter().map(|epoch| epoch.epoch).collect::<Vec<_>>(), [1, 2, 3]);
    let weights = |s: &TrialSpec| std::fs::read(s.out.join("model/weights.safetensors")).unwrap();
    assert!(weights(&broken) == weights(&unbroken), "weights differ");
    assert_same_state(&broken.out, &unbroken.out);
    assert_eq!((&resumed.scores, &resumed.samples), (&whole.scores, &whole.samples));

    let mut told = Vec::new();
    let again = run_trial(&unbroken, &design, &mut |event| match event {
        TrialEvent::Epoch(epoch) => told.push(epoch),
        other => panic!("a finished trial does nothing: {other:?}"),
    });
    assert_eq!((again.unwrap(), told), (whole, epochs));

    let mut other = broken.clone();
    std::fs::remove_file(broken.out.join("result.json")).unwrap();
    other.seed = 8;
    let error = run_trial(&other, &design, &mut |_| ()).unwrap_err();
    assert!(error.to_string().contains("another trial"), "{error}");
}

/// Weights of a trial that is stopped after its second epoch of three and goes on, or not.
fn trained(text: &str, root: &Path, out: &str, stopped: bool) -> (Vec<u8>, TrialResult) {
    let (spec, design) = spec_of(text, root, out, 3);
    if stopped {
        let mut stop = |event| {
            if let TrialEvent::Epoch(epoch) = event {
                assert!(epoch.epoch < 2, "stopped after the second epoch");
            }
        };
        let run = std::panic::AssertUnwindSafe(|| run_trial(&spec, &design, &mut stop));
        assert!(std::panic::catch_unwind(run).is_err());
    }
    let result = run_trial(&spec, &design, &mut |_| ()).unwrap();
    (std::fs::read(spec.out.join("model/weights.safetensors")).unwrap(), result)
}

#[test]
fn a_trial_with_everything_in_its_recipe_goes_on_to_the_same_bits() {
    let root = tempfile::tempdir().unwrap();
    for (lr, optimizer) in [("0.03", "sgd"), ("0.003", "adam"), ("0.0005", "lion"), ("0.003", "adamw")] {
        let text = full_recipe(lr, optimizer);
        let (whole, result) = trained(&text, root.path(), &format!("{optimizer}-whole"), false);
        let (parts, resumed) = trained(&text, root.path(), &format!("{optimizer}-parts"), true);
        assert!(whole == parts, "{optimizer}: weights differ");
        let [whole, parts] = ["whole", "parts"].map(|run| root.path().join(format!("{optimizer}-{run}")));
        assert_same_state(&whole, &parts);
        assert_eq!((&result.scores, &result.samples), (&resumed.scores, &resumed.samples), "{optimizer}");
    }
}

#[test]
fn a_trial_that_is_told_to_stop_has_a_result_and_goes_on_to_the_same_bits() {
    let root = tempfile::tempdir().unwrap();
    let text = full_recipe("0.003", "adamw");
    let (whole, wanted) = trained(&text, root.path(), "whole", false);
    let (mut spec, design) = spec_of(&text, root.path(), "rungs", 3);
    for stop in [1, 2] {
        spec.stop_after = Some(stop);
        let first = run_trial(&spec, &design, &mut |_| ()).unwrap();
        assert!(first.paused && first.epochs == stop, "{first:?}");
        assert!(spec.out.join("model/weights.safetensors").exists());
        // A worker that ended unheard is started again, and has nothing to do.
        let again = run_trial(&spec, &design, &mut |event| assert!(matches!(event, TrialEvent::Epoch(_))));
        assert_eq!(again.unwrap(), first);
    }
    spec.stop_after = None;
    let mut told = Vec::new();
    let mut hear = |event| {
        if let TrialEvent::Epoch(epoch) = event {
            told.push(epoch.epoch);
        }
    };
    let result = run_trial(&spec, &design, &mut hear).unwrap();
    assert_eq!(told, [1, 2, 3]);
    assert!(!result.paused);
    assert!(whole == std::fs::read(spec.out.join("model/weights.safetensors")).unwrap(), "weights differ");
    assert_same_state(&root.path().join("whole"), &spec.out);
    assert_eq!((&result.scores, &result.samples), (&wanted.scores, &wanted.samples));
}

#[test]
fn self_critical_epochs_follow_and_go_on_to_the_same_bits() {
    let root = tempfile::tempdir().unwrap();
    let text = BLUEPRINT.replace(r#""lr": 0.003,"#, r#""lr": 0.003, "ema": 0.99,"#);
    let run = |out: &str, stops: &[u32]| {
        let (mut spec, design) = spec_of(&text, root.path(), out, 2);
        (spec.self_critical, spec.select) = (2, Score::CiderD);
        for at in stops {
            let mut stop = |event| {
                if let TrialEvent::Epoch(epoch) = event {
                    assert!(epoch.epoch < *at, "stopped after epoch {at}");
                }
            };
            let run = std::panic::AssertUnwindSafe(|| run_trial(&spec, &design, &mut stop));
            assert!(std::panic::catch_unwind(run).is_err());
        }
        let mut epochs = Vec::new();
        let result = run_trial(&spec, &design, &mut |event| {
            if let TrialEvent::Epoch(epoch) = event {
                epochs.push(epoch);
            }
        });
        (epochs, result.unwrap())
    };
    let (epochs, whole) = run("whole", &[]);
    let rewarded: Vec<bool> = epochs.iter().map(|epoch| epoch.reward.is_some()).collect();
    assert_eq!(rewarded, [false, false, true, true]);
    // Each kind of training has a cosine of its own, down to 2 %.
    let rates: Vec<f64> = epochs.iter().map(|epoch| epoch.learning_rate).collect();
    assert!((rates[1] - 0.003 * 0.02).abs() < 1e-9 && (rates[3] - 0.0003 * 0.02).abs() < 1e-9, "{rates:?}");
    assert!(rates[2] > 0.0001, "{rates:?}");
    assert_eq!(whole.epochs, 4);
    let (epochs, parts) = run("parts", &[2, 3]);
    assert_eq!(epochs.len(), 4);
    assert_same_state(&root.path().join("whole"), &root.path().join("parts"));
    assert_eq!(
        (whole.scores, whole.best_epoch, whole.samples),
        (parts.scores, parts.best_epoch, parts.samples)
    );
}

#[test]
fn a_model_folder_captions_as_it_was_scored_and_notices_changes() {
    let root = tempfile::tempdir().unwrap();
    let (spec, design) = spec(root.path(), "trial", 2);
    let result = run_trial(&spec, &design, &mut |_| ()).unwrap();
    let folder = spec.out.join(&result.model);
    let captioner = Captioner::load(&folder).unwrap();
    let set = Dataset::load(&spec.data).unwrap();
    let images: Vec<_> = set.records(Split::Val).cloned().collect();
    let found = captioner.evaluate(&images, spec.decoding).unwrap();
    assert_eq!(found.scores, result.scores);
    assert_eq!(captioner.caption(&[&images[1].path]).unwrap(), [found.captions[1].clone()]);
    assert!(matches!(captioner.caption(&[root.path().join("absent.png")]), Err(TrainError::Data(_))));
    // Of several that cannot be read the first is told, whatever the threads do.
    let absent: Vec<_> = (10..26).map(|i| root.path().join(format!("absent-{i}.png"))).collect();
    for _ in 0..20 {
        let error = captioner.caption(&absent).unwrap_err().to_string();
        assert!(error.contains("absent-10.png"), "{error}");
    }

    // A design that cannot be built is refused, whatever the manifest says of it.
    let [path, manifest] = ["design.json", "manifest.json"].map(|name| folder.join(name));
    let [whole, listed] = [&path, &manifest].map(|path| std::fs::read_to_string(path).unwrap());
    let digest = || store::sha256(&path).unwrap();
    let before = digest();
    std::fs::write(&path, whole.replace("\"image_size\": 32", "\"image_size\": 4096")).unwrap();
    std::fs::write(&manifest, listed.replace(&before, &digest())).unwrap();
    let error = Captioner::load(&folder).err().unwrap().to_string();
    assert!(error.contains("design.json") && error.contains("image_size is 4096"), "{error}");
    std::fs::write(&path, whole).unwrap();

    // What the manifest leaves out could be of another model.
    let mut short: serde_json::Value = serde_json::from_str(&listed).unwrap();
    for name in ["weights.safetensors", "decoding.json"] {
        short["files"].as_object_mut().unwrap().remove(name).unwrap();
    }
    std::fs::write(&manifest, short.to_string()).unwrap();
    let error = Captioner::load(&folder).err().unwrap().to_string();
    assert!(error.contains("weights.safetensors, decoding.json"), "{error}");
    std::fs::write(&manifest, listed).unwrap();

    let vocabulary = folder.join("vocabulary.json");
    let text = std::fs::read_to_string(&vocabulary).unwrap();
    std::fs::write(&vocabulary, text + " ").unwrap();
    let error = Captioner::load(&folder).err().unwrap().to_string();
    assert!(error.contains("vocabulary.json") && error.contains("manifest"), "{error}");
}

/// Where many captions are drawn, fewer images are captioned at once.
#[test]
fn many_captions_drawn_of_an_image_begin_with_the_few() {
    let root = tempfile::tempdir().unwrap();
    let (spec, design) = spec(root.path(), "trial", 1);
    let result = run_trial(&spec, &design, &mut |_| ()).unwrap();
    let captioner = Captioner::load(spec.out.join(&result.model)).unwrap();
    let set = Dataset::load(&spec.data).unwrap();
    let paths: Vec<_> = set.records(Split::Val).map(|image| image.path.clone()).collect();
    let drawn = Decoding { sample: Some(Sampling { seed: 3, ..Sampling::default() }), ..spec.decoding };
    let [few, many] = [2, 400].map(|n| captioner.captions(&paths, &drawn, n).unwrap());
    assert!(many.len() == paths.len() && many.iter().all(|of_image| of_image.len() == 400));
    assert!(few.iter().zip(&many).all(|(few, many)| *few == many[..2]));
}

#[test]
fn other_data_and_another_vocabulary_are_refused() {
    let root = tempfile::tempdir().unwrap();
    let (mut spec, mut design) = spec(root.path(), "trial", 1);
    design.target.vocab += 1;
    let error = run_trial(&spec, &design, &mut |_| ()).unwrap_err();
    assert!(error.to_string().contains("vocabulary of the study"), "{error}");
    spec.data_fingerprint = "0".repeat(64);
    assert!(matches!(run_trial(&spec, &design, &mut |_| ()), Err(TrainError::Fingerprint { .. })));
}
