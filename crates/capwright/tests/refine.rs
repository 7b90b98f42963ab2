//! `refine`: from a model to smaller ones that begin with its values.

mod common;

use common::run;
use serde_json::Value;
use std::path::Path;

const DESIGN: &str = r#"{
    "encoder": {"input": 32, "source": {"kind": "scratch", "stem": 8, "stages": [{"kind": "conv", "out": 16, "repeat": 1}]}, "blocks": []},
    "bridge": {"dim": 64, "dropout_pct": 0},
    "decoder": {"family": "recurrent", "cell": "gru", "embed": 64, "hidden": 128, "layers": 1,
        "image": "initial_state", "attention": "additive", "dropout_pct": 0},
    "recipe": {"lr": 0.003, "schedule": "constant", "weight_decay": 0.0, "label_smoothing": 0.0, "clip": 1.0, "batch": 8}
}"#;

fn json(home: &Path, path: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(home.join(path)).expect(path)).expect("JSON")
}

#[test]
fn a_model_is_refined_to_smaller_ones_that_begin_with_its_values() {
    let home = tempfile::tempdir().expect("a folder");
    let home = home.path();
    run(
        home,
        &["data", "make-scenes", "d", "--train", "96", "--val", "12", "--test", "6", "--size", "32"],
        0,
    );
    std::fs::write(home.join("gru.json"), DESIGN).expect("writable");
    run(home, &["train", "gru.json", "--data", "d", "--study", "s", "--min-count", "1", "--epochs", "8"], 0);
    let card = json(home, "s/best/card.json");
    assert_eq!(card["test"]["images"], 6);

    let args =
        ["refine", "s/best", "smaller, same quality", "--study", "r", "--trials", "2", "--epochs", "1"];
    let (_, log) = run(home, &args, 0);
    assert!(!log.contains("not used"), "{log}");
    assert!(log.contains("smaller: at most") && log.contains("as good: a BLEU-4 that is lower"), "{log}");
    let contract = std::fs::read_to_string(home.join("r/contract.toml")).expect("a contract");
    let bound = card["cost"]["params_total"].as_u64().expect("a count") * 3 / 4;
    assert!(contract.contains(&format!("params_total = {bound}")), "{contract}");
    assert!(contract.contains("merit = \"params_total\""), "{contract}");
    let spec = json(home, "r/trials/0001/spec.json");
    assert!(spec["cost"]["params_total"].as_u64().expect("a count") <= bound);
    assert!(spec["start"]["path"].as_str().is_some_and(|path| path.ends_with("start/weights.safetensors")));

    // A file says what is demanded; data and words stay those of the model.
    let tiny = "version = 1\n[budgets]\nparams_total = 150000\n[search]\ntrials = 1\nmax_proposals = 9\n";
    std::fs::write(home.join("tiny.toml"), tiny).expect("writable");
    let args = ["refine", "s/best", "faster, same quality", "--contract", "tiny.toml", "--study", "t"];
    let (_, log) = run(home, &[&args[..], &["--epochs", "1", "--select", "cider-d"]].concat(), 0);
    assert!(!log.contains("designs begin untrained"), "{log}");
    assert!(home.join("t/start/weights.safetensors").exists());
    let contract = std::fs::read_to_string(home.join("t/contract.toml")).expect("a contract");
    assert!(
        contract.contains("params_total = 150000") && contract.contains("image_sizes = [32]"),
        "{contract}"
    );
    assert!(contract.contains("trials = 1\nmax_proposals = 9"), "{contract}");
    assert!(
        contract.contains("\"cider_d\"")
            && contract.contains("\"macs_token\"")
            && !contract.contains("\"bleu4\""),
        "{contract}"
    );

    let (_, log) = run(home, &["refine", "s/best", "smaller", "--study", "x", "--backbone", "none"], 2);
    assert!(log.contains("there is no backbone"), "{log}");
    let (_, log) = run(home, &["refine", "s/best", "smaller", "--study", "x", "--architect", "none"], 2);
    assert!(log.contains("there is no architect") && !home.join("x").exists(), "{log}");
    let (_, log) = run(home, &["refine", "d", "smaller", "--study", "x"], 2);
    assert!(log.contains("card.json"), "{log}");
}
