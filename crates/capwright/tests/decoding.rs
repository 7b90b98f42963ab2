//! `caption` and `evaluate` with options of decoding, several captions and several models.

mod common;

use serde_json::Value;
use std::path::{Path, PathBuf};

fn run(home: &Path, args: &[&str], code: i32) -> String {
    let (said, errors) = common::run(home, args, code);
    assert!(!errors.contains("panicked"), "{errors}");
    match code {
        0 => said,
        // miette wraps and indents; the words are what counts.
        _ => errors.replace(['│', '\n'], " ").split_whitespace().collect::<Vec<_>>().join(" "),
    }
}

fn json(home: &Path, args: &[&str]) -> Value {
    serde_json::from_str(&run(home, &[args, &["--json"]].concat(), 0)).expect("JSON")
}

/// The models of a small study, from the folder in which it lies.
fn models(home: &Path, study: &str, trials: &str, min_count: &str) -> Vec<String> {
    let fixed = ["search", "a small captioner", "--data", "d", "--epochs", "2", "--image-size", "48"];
    let more = ["--max-macs", "2000000", "--architect", "random", "--seed", "3", "--study", study];
    run(home, &[&fixed[..], &more, &["--trials", trials, "--min-count", min_count]].concat(), 0);
    let folder: PathBuf = home.join(study).join("trials");
    let mut all: Vec<String> = std::fs::read_dir(folder)
        .expect("trials")
        .flatten()
        .filter(|trial| trial.path().join("model/manifest.json").exists())
        .map(|trial| format!("{study}/trials/{}/model", trial.file_name().to_string_lossy()))
        .collect();
    all.sort();
    all
}

fn photos() -> [&'static str; 2] {
    ["d/images/test-00001.png", "d/images/test-00002.png"]
}

#[test]
fn models_are_decoded_as_asked() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let args = ["data", "make-scenes", "d", "--train", "12", "--val", "6", "--test", "6", "--size", "48"];
    run(home, &args, 0);
    let study = models(home, "s", "2", "1");
    let other = models(home, "o", "1", "9");
    let [a, b] = [&study[0][..], &study[1][..]];
    options_change_what_is_said(home, a);
    several_captions_have_scores(home, a);
    models_caption_together(home, a, b);
    different_vocabularies_are_refused(home, a, b, &other[0]);
    all_wrong_values_are_said_at_once(home, a);
}

fn options_change_what_is_said(home: &Path, model: &str) {
    let [photo, second] = photos();
    let said = run(home, &["caption", model, photo, second], 0);
    let defaults = ["--beam", "3", "--length-penalty", "mean", "--min-words", "1"];
    assert_eq!(run(home, &[&["caption", model, photo, second], &defaults[..]].concat(), 0), said);
    let long = run(home, &["caption", model, photo, "--min-words", "15", "--no-repeat-ngram", "4"], 0);
    assert!(long.split_whitespace().count() >= 15, "{long}");
    let evaluate = ["evaluate", model, "--data", "d"];
    let plain = json(home, &evaluate);
    assert_eq!(plain["decoding"].to_string(), r#"{"beam":3,"max_words":20}"#);
    let changed = json(home, &[&evaluate[..], &["--length-penalty", "gnmt:0.7", "--beam", "2"]].concat());
    assert_eq!(changed["decoding"].to_string(), r#"{"beam":2,"max_words":20,"length_penalty":{"gnmt":0.7}}"#);
    let told = run(home, &[&evaluate[..], &["--sample", "--top-p", "0.9"]].concat(), 0);
    assert!(told.contains("drawn with seed 1, temperature 1, nucleus 0.9, at most 20 words"), "{told}");
}

fn several_captions_have_scores(home: &Path, model: &str) {
    let [photo, second] = photos();
    let args = ["caption", model, photo, second];
    let best = json(home, &args);
    assert!(best[0].get("captions").is_none(), "{best}");
    let rows = json(home, &[&args[..], &["--beam", "4", "--n", "4"]].concat());
    for row in rows.as_array().unwrap() {
        let all = row["captions"].as_array().unwrap();
        let scores: Vec<f64> = all.iter().map(|c| c["score"].as_f64().unwrap()).collect();
        assert!((2..=4).contains(&all.len()) && scores.is_sorted_by(|a, b| a >= b), "{row}");
        assert!(all[0]["log_probability"].as_f64().unwrap() < scores[0], "{row}");
        assert_eq!(row["caption"], all[0]["caption"]);
    }
    let groups = ["--beam", "4", "--diverse-groups", "2", "--diversity", "2", "--n", "4"];
    assert_ne!(json(home, &[&args[..], &groups].concat()), rows, "groups find other captions");
    let draw = |seed| json(home, &[&args[..], &["--sample", "--seed", seed, "--n", "6"]].concat());
    assert_eq!(draw("5")[0]["captions"].as_array().unwrap().len(), 6);
    assert_eq!(draw("5"), draw("5"));
    assert_ne!(draw("5"), draw("6"));
    let lines = run(home, &["caption", model, photo, "--n", "2"], 0);
    assert_eq!(lines.lines().count(), 2, "{lines}");
    assert!(
        lines.lines().all(|line| line.split_whitespace().next().unwrap().parse::<f64>().is_ok()),
        "{lines}"
    );
}

fn models_caption_together(home: &Path, a: &str, b: &str) {
    let [photo, second] = photos();
    let alone = run(home, &["caption", a, photo, second], 0);
    assert_eq!(run(home, &["caption", "--model", a, photo, second], 0), alone);
    assert_eq!(run(home, &["caption", "--model", a, "--model", a, photo, second], 0), alone);
    let score = |models: &[&str]| {
        let rows = json(home, &[&["caption"], models, &[photo, "--n", "2"]].concat());
        rows[0]["captions"][0]["score"].as_f64().unwrap()
    };
    let together = score(&["--model", a, "--model", b]);
    assert!(together != score(&["--model", a]) && together != score(&["--model", b]));
    let evaluated = json(home, &["evaluate", "--model", a, "--model", b, "--data", "d"]);
    assert_eq!(evaluated["images"].as_u64(), Some(6), "{evaluated}");
    run(home, &["evaluate", a, "--model", b, "--data", "d"], 2);
    assert!(run(home, &["caption", a], 2).contains("no photo"));
}

fn different_vocabularies_are_refused(home: &Path, a: &str, b: &str, other: &str) {
    for command in [&["caption", photos()[0]][..], &["evaluate", "--data", "d"]] {
        let models = ["--model", a, "--model", b, "--model", other, "--model", other];
        let said = run(home, &[command, &models].concat(), 2);
        assert!(said.contains("vocabulary") && said.matches("words instead of").count() == 2, "{said}");
    }
}

fn all_wrong_values_are_said_at_once(home: &Path, model: &str) {
    let wrong = ["--beam", "0", "--min-words", "30", "--length-penalty", "long", "--top-p", "2", "--n", "0"];
    let said = run(home, &[&["caption", model, photos()[0]], &wrong[..]].concat(), 2);
    for part in
        ["--beam must", "--min-words must", "--length-penalty \"long\"", "--top-p needs --sample", "--n must"]
    {
        assert!(said.contains(part), "{part}: {said}");
    }
    let wrong = ["--sample", "--temperature", "0", "--top-k", "0", "--top-p", "2", "--max-words", "99"];
    let said = run(home, &[&["evaluate", model, "--data", "d"], &wrong[..]].concat(), 2);
    for part in ["--temperature must", "--top-k must", "--top-p must", "--max-words must"] {
        assert!(said.contains(part), "{part}: {said}");
    }
}
