//! Weights and caches: from a file that one has, of backbones that somebody named, in a cache that cannot be used.

mod common;

use assert_cmd::Command;
use common::run;
use serde_json::json;
use std::path::Path;

/// A folder with a small backbone of one's own, and the data set `d`.
fn home() -> tempfile::TempDir {
    let home = tempfile::tempdir().expect("a folder");
    let mine = home.path().join("mine");
    let padding = json!({"top": 1, "bottom": 1, "left": 1, "right": 1});
    let entry = json!({
        "name": "tiny", "size": 32, "resize": 32, "filter": "bilinear", "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5],
        "sizes": {"least": 32, "most": 64, "step": 32}, "licence": "MIT", "source": "a test",
        "graph": [{"name": "stem", "inputs": ["input"], "op": {"Conv": {
            "input": 3, "output": 8, "kernel": 3, "width": 3, "stride": 8, "padding": padding, "dilation": 1, "groups": 1,
            "bias": false
        }}}],
        "cuts": {"s8": "stem"}
    });
    let header = json!({"stem.weight": {"dtype": "F32", "shape": [8, 3, 3, 3], "data_offsets": [0, 864]}});
    let header = header.to_string().into_bytes();
    let weights = [&(header.len() as u64).to_le_bytes()[..], &header, &[0; 864]].concat();
    std::fs::create_dir(&mine).expect("a folder");
    std::fs::write(mine.join("backbone.json"), entry.to_string()).expect("writable");
    std::fs::write(mine.join("weights.safetensors"), weights).expect("writable");
    let scenes = ["data", "make-scenes", "d", "--train", "12", "--val", "6", "--test", "6", "--size", "32"];
    run(home.path(), &scenes, 0);
    home
}

/// What was said, without the frame and the line breaks around it.
fn plain(said: &str) -> String {
    said.replace(['│', '\n'], " ").split_whitespace().collect::<Vec<_>>().join(" ")
}

const SEARCH: [&str; 11] = [
    "search",
    "a small captioner",
    "--data",
    "d",
    "--architect",
    "random",
    "--trials",
    "1",
    "--image-size",
    "32",
    "--no-scratch",
];

#[test]
fn a_file_of_one_s_own_is_taken_offline_and_looked_at_always() {
    let home = home();
    let home = home.path();
    run(home, &["zoo", "add", "mine"], 0);
    std::fs::write(home.join("wrong.safetensors"), "something else").expect("writable");
    let take = |file: &str, code: i32| run(home, &["weights", "fetch", "tiny", "--file", file], code);
    for _ in 0..2 {
        assert!(plain(&take("wrong.safetensors", 2).1).contains("its sha256 is"));
        assert!(plain(&take("missing.safetensors", 2).1).contains("missing.safetensors"));
        let (path, _) = take("mine/weights.safetensors", 0);
        let read = |path: &Path| std::fs::read(path).expect("a file");
        assert_eq!(read(Path::new(path.trim())), read(&home.join("mine/weights.safetensors")));
    }
}

#[test]
fn photos_need_a_classifier() {
    let home = home();
    let home = home.path();
    run(home, &["zoo", "add", "mine"], 0);
    let (said, _) = run(home, &["zoo", "verify", "tiny"], 0);
    assert!(said.contains("all 1 tensors fit"), "{said}");
    let (said, refused) = run(home, &["zoo", "verify", "tiny", "d/images/train-00001.png"], 2);
    let refused = plain(&refused);
    assert!(said.contains("all 1 tensors fit") && !said.contains('%'), "{said}");
    assert!(refused.contains("tiny has no classifier of ImageNet's classes"), "{refused}");
    assert!(refused.contains("leave the photos out"), "{refused}");
}

#[test]
fn a_backbone_that_was_named_is_not_left_out() {
    let home = home();
    let home = home.path();
    let contract = "version = 1\n[components]\nbackbones = [\"vgg16\", \"resnet50\"]\n";
    std::fs::write(home.join("named.toml"), contract).expect("writable");
    let cases: [([&str; 2], &[&str]); 2] =
        [(["--backbone", "resnet50"], &["resnet50"]), (["--contract", "named.toml"], &["vgg16", "resnet50"])];
    for (more, names) in cases {
        let (_, said) = run(home, &[&SEARCH[..], &more].concat(), 2);
        let said = plain(&said);
        assert!(names.iter().all(|name| said.contains(&format!("{name}: `{name}-"))), "{said}");
        assert!(said.contains("OFFLINE is set") && said.contains("capwright weights fetch"), "{said}");
        assert!(!said.contains("left out"), "{said}");
    }
    // Of the usual ones nobody asked for each; without any there is no encoder.
    let (_, said) = run(home, &SEARCH, 2);
    assert!(said.contains("mobilenet_v2 is left out") && plain(&said).contains("no encoder"), "{said}");
    assert!(!home.join("capwright-studies").exists());
}

#[test]
fn a_cache_that_cannot_be_used_ends_a_search() {
    let home = home();
    let home = home.path();
    std::fs::write(home.join("cache"), "no folder").expect("writable");
    let mut command = Command::cargo_bin("capwright").expect("the program is built with its tests");
    command.env("CAPWRIGHT_CACHE", home.join("cache")).env("CAPWRIGHT_ZOO", home.join("zoo"));
    // It ends before any source is asked.
    command.env("CAPWRIGHT_OFFLINE", "0").env("NO_COLOR", "1").current_dir(home).args(SEARCH);
    let output = command.output().expect("it runs");
    let said = plain(&String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("the cache cannot use") && !said.contains("left out"), "{said}");
}

const DESIGN: &str = include_str!("common/gru.json");

#[test]
fn a_limit_that_is_no_number_is_told_before_anything_is_computed() {
    let home = home();
    let home = home.path();
    std::fs::write(home.join("design.json"), DESIGN).expect("writable");
    let mut command = Command::cargo_bin("capwright").expect("the program is built with its tests");
    command.env("CAPWRIGHT_CACHE", home.join("cache")).env("CAPWRIGHT_ZOO", home.join("zoo"));
    command.env("CAPWRIGHT_FEATURES_GIB", "much").env("CAPWRIGHT_OFFLINE", "1").env("NO_COLOR", "1");
    let train = ["train", "design.json", "--data", "d", "--study", "s", "--min-count", "1", "--epochs", "1"];
    let output = command.current_dir(home).args(train).output().expect("it runs");
    let said = plain(&String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("CAPWRIGHT_FEATURES_GIB is \"much\""), "{said}");
    assert!(!home.join("cache/features").exists(), "nothing is computed");
}
