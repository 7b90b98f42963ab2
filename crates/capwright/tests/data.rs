//! Data sets and scores from the command line.

mod common;

use serde_json::{Value, json};
use std::path::Path;

fn run(home: &Path, args: &[&str], code: i32) -> String {
    let (said, errors) = common::run(home, args, code);
    if code == 0 { said } else { errors }
}

fn json_of(home: &Path, args: &[&str]) -> Value {
    serde_json::from_str(&run(home, args, 0)).expect("JSON")
}

fn scenes(home: &Path) {
    run(home, &["data", "make-scenes", "d", "--train", "12", "--val", "4", "--test", "4", "--size", "32"], 0);
}

#[test]
fn a_data_set_goes_through_every_format_and_comes_back() {
    let home = tempfile::tempdir().unwrap();
    scenes(home.path());
    let fingerprint = json_of(home.path(), &["data", "inspect", "d", "--json"])["fingerprint"].clone();
    for format in ["karpathy", "tokens", "csv", "tsv", "jsonl", "webdataset", "parquet"] {
        let back = format!("{format}-back");
        let there = json_of(home.path(), &["data", "convert", "d", format, "--to", format, "--json"]);
        assert_eq!((&there["images"], &there["from"]), (&json!(20), &json!("folder")), "{format}");
        let done = json_of(home.path(), &["data", "convert", format, &back, "--json"]);
        assert_eq!((&done["fingerprint"], &done["from"]), (&fingerprint, &json!(format)), "{format}");
    }
    let said = run(home.path(), &["data", "convert", "d", "x", "--to", "word"], 2);
    assert!(said.contains("word") && said.contains("parquet"), "{said}");
}

#[test]
fn an_inspection_tells_what_is_there() {
    let home = tempfile::tempdir().unwrap();
    scenes(home.path());
    let said = run(home.path(), &["data", "inspect", "d"], 0);
    for part in
        ["12 train, 4 val, 4 test", "20 png", "32 to 32, median 32 wide", "folder format", "fingerprint"]
    {
        assert!(said.contains(part), "{part} in {said}");
    }
}

#[test]
fn splits_are_made_once_and_replaced_only_when_told() {
    let home = tempfile::tempdir().unwrap();
    scenes(home.path());
    let said = run(home.path(), &["data", "split", "d"], 2);
    assert!(said.contains("splits already") && said.contains("--replace"), "{said}");
    std::fs::remove_file(home.path().join("d/splits.json")).unwrap();
    let said =
        run(home.path(), &["data", "split", "d", "--train", "0.5", "--val", "0.25", "--test", "0.25"], 0);
    assert!(said.contains("10 train, 5 val, 5 test"), "{said}");
    let first = std::fs::read(home.path().join("d/splits.json")).unwrap();
    // Broken ones are replaced like others.
    std::fs::write(home.path().join("d/splits.json"), r#"{"train": ["gone.png"], "val": []}"#).unwrap();
    run(
        home.path(),
        &["data", "split", "d", "--train", "0.5", "--val", "0.25", "--test", "0.25", "--replace"],
        0,
    );
    assert_eq!(
        std::fs::read(home.path().join("d/splits.json")).unwrap(),
        first,
        "the same seed, the same splits"
    );
}

#[test]
fn held_out_pairs_are_named() {
    let home = tempfile::tempdir().unwrap();
    let args = ["data", "make-scenes", "d", "--train", "40", "--val", "8", "--test", "8", "--size", "32"];
    let said = run(home.path(), &[&args[..], &["--level", "4", "--held-out", "2"]].concat(), 0);
    assert!(said.contains("in the test only: "), "{said}");
    let said = run(home.path(), &["data", "make-scenes", "e", "--level", "9"], 2);
    assert!(said.contains("level 9"), "{said}");
}

/// Captions of four images, two of them without a hypothesis.
fn captions(home: &Path) {
    let annotation = |image: u64, caption: &str| json!({"image_id": image, "id": image, "caption": caption});
    let refs = json!({"images": [], "annotations": [
        annotation(1, "A dog runs on the beach ."), annotation(1, "a brown dog is running"),
        annotation(2, "Two cats sleep on a sofa."), annotation(3, "a red bus"), annotation(4, "a man"),
    ]});
    std::fs::write(home.join("refs.json"), refs.to_string()).unwrap();
    let said = |second: &str| {
        json!([{"image_id": 1, "caption": "a brown dog is running"}, {"image_id": 2, "caption": second}])
            .to_string()
    };
    std::fs::write(home.join("mine.json"), said("two cats sleep on a sofa")).unwrap();
    std::fs::write(home.join("theirs.json"), said("a red bus")).unwrap();
    std::fs::write(home.join("alien.json"), r#"[{"image_id": 9, "caption": "x"}]"#).unwrap();
}

#[test]
fn scores_carry_the_names_of_the_field() {
    let home = tempfile::tempdir().unwrap();
    captions(home.path());
    let scores = json_of(home.path(), &["score", "mine.json", "--refs", "refs.json", "--json"]);
    for name in ["bleu1", "bleu2", "bleu3", "bleu4", "rouge_l", "cider", "cider_d", "meteor_exact_stem"] {
        let (value, interval) = (scores[name].as_f64(), &scores["intervals"][name]);
        assert!(value.is_some_and(|v| v > 0.0), "{name}: {scores}");
        assert!(interval["low"].is_number() && interval["high"].is_number(), "{name}: {scores}");
    }
    assert!((scores["bleu4"].as_f64().unwrap() - 1.0).abs() < 1e-6 && scores["rouge_l"] == json!(1.0));
    assert_eq!((&scores["images"], &scores["images_without_caption"]), (&json!(2), &json!(2)));
    let said = run(home.path(), &["score", "mine.json", "--refs", "refs.json"], 0);
    assert!(said.contains("cider_d") && said.contains("2 images of refs.json have no caption"), "{said}");
    let many = ["score", "mine.json", "--refs", "refs.json", "--draws", "1000000000000000000"];
    let said = run(home.path(), &many, 2);
    assert!(said.contains("intervals") && said.contains("1000000,"), "{said}");
}

#[test]
fn two_models_are_compared_image_by_image() {
    let home = tempfile::tempdir().unwrap();
    captions(home.path());
    let args = ["score", "mine.json", "--refs", "refs.json", "--against", "theirs.json"];
    let test = json_of(home.path(), &[&args[..], &["--json"]].concat())["against"]["rouge_l"].clone();
    assert!(test["difference"].as_f64().unwrap() > 0.0 && test["p_value"].as_f64().unwrap() > 0.0, "{test}");
    let said = run(home.path(), &["score", "alien.json", "--refs", "refs.json"], 2);
    assert!(said.contains("without references: 9"), "{said}");
    std::fs::write(home.path().join("one.json"), r#"[{"image_id": 1, "caption": "x"}]"#).unwrap();
    let said = run(home.path(), &["score", "mine.json", "--refs", "refs.json", "--against", "one.json"], 2);
    assert!(said.contains("other images"), "{said}");
}

#[test]
fn a_report_stands_alone_in_one_page() {
    let home = tempfile::tempdir().unwrap();
    scenes(home.path());
    let captions: Value =
        serde_json::from_str(&std::fs::read_to_string(home.path().join("d/captions.json")).unwrap()).unwrap();
    let mut said: Vec<Value> = Vec::new();
    for image in captions["images"].as_array().unwrap() {
        let own = |a: &&Value| a["image_id"] == image["id"];
        let caption = &captions["annotations"].as_array().unwrap().iter().find(own).unwrap()["caption"];
        said.push(json!({"image_id": image["id"], "caption": caption}));
    }
    std::fs::write(home.path().join("people.json"), json!(said).to_string()).unwrap();
    let args = ["report", "people.json", "again=people.json", "--data", "d", "--out", "page.html"];
    run(home.path(), &args, 0);
    let page = std::fs::read_to_string(home.path().join("page.html")).unwrap();
    for part in ["<!doctype html>", "people", "again", "data:image/"] {
        assert!(page.to_lowercase().contains(part), "{part}");
    }
    assert!(!page.contains("<script") && !page.contains("src=\"http"), "it loads nothing");
    std::fs::write(home.path().join("few.json"), json!(said[..1]).to_string()).unwrap();
    let said = run(home.path(), &["report", "few.json", "--data", "d"], 2);
    assert!(said.contains("no caption for"), "{said}");
    // What no page can be made of is told before anything is captioned, all of it.
    let models = ["report", "people.json", "few.json", "few=people.json", "none.json"];
    let said = run(home.path(), &[&models[..], &["--data", "d", "--out", "absent/page.html"]].concat(), 2);
    for part in ["the name \"few\"", "there is no none.json", "no folder absent"] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn data_sets_to_download_are_listed_and_others_refused() {
    let home = tempfile::tempdir().unwrap();
    let said = run(home.path(), &["data", "download"], 0);
    assert!(said.contains("coco2017") && said.contains("20.4 GB") && said.contains("terms"), "{said}");
    let list = json_of(home.path(), &["data", "download", "--list", "--json"]);
    assert_eq!(list[0]["bytes"], json!(20_405_354_669u64));
    let said = run(home.path(), &["data", "download", "coco"], 2);
    assert!(said.contains("\"coco\"") && said.contains("coco2017"), "{said}");
    let said = run(home.path(), &["data", "download", "coco2017"], 2);
    assert!(said.contains("terms of use") && said.contains("CAPWRIGHT_OFFLINE"), "{said}");
}

#[test]
fn chinese_is_scored_by_characters_when_asked() {
    let home = tempfile::tempdir().unwrap();
    let write = |name: &str, value: Value| std::fs::write(home.path().join(name), value.to_string()).unwrap();
    write("said.json", json!([{"image_id": 1, "caption": "一只狗在草地上奔跑"}]));
    write(
        "refs.json",
        json!({
            "images": [{"id": 1, "file_name": "1.jpg"}],
            "annotations": [{"id": 1, "image_id": 1, "caption": "一只黑狗在草地上奔跑。"}],
        }),
    );
    let score = |more: &[&str]| {
        let args = [&["score", "said.json", "--refs", "refs.json", "--draws", "0", "--json"], more].concat();
        json_of(home.path(), &args)
    };
    let (words, characters) = (score(&[]), score(&["--tokenizer", "characters"]));
    assert!(words["bleu1"].as_f64().unwrap() < 0.01 && characters["bleu4"].as_f64().unwrap() > 0.5);
    assert_eq!((&words["tokenizer"], &characters["tokenizer"]), (&json!("ptb"), &json!("characters")));
}
