//! `train`: designs that a person wrote, from file to leaderboard; and what `resume` goes on with.

mod common;

use capwright_store::SqliteStore;
use capwright_study::{Event, TrialStore};
use common::run;
use serde_json::Value;

const DESIGN: &str = include_str!("common/gru.json");

#[test]
fn own_designs_are_trained_and_ranked() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    run(home, &["data", "make-scenes", "d", "--train", "16", "--val", "6", "--test", "6", "--size", "32"], 0);
    std::fs::write(home.join("gru.json"), DESIGN).unwrap();
    let lstm = DESIGN.replace("gru", "lstm").replace("\"none\"", "\"additive\"");
    std::fs::write(home.join("lstm.json"), lstm).unwrap();
    let of = ["train", "gru.json", "lstm.json", "--data", "d", "--study", "s", "--min-count", "1"];
    let long = ["--epochs", "1", "--self-critical", "1", "--select", "cider-d", "--json"];
    let (said, log) = run(home, &[&of[..], &long].concat(), 0);
    assert!(log.contains("trial 2 epoch 2: reward "), "{log}");
    let board: Value = serde_json::from_str(&said).unwrap();
    let count = |name: &str| board[name].as_array().map_or(0, Vec::len);
    assert_eq!((count("rows") + count("collapsed"), count("failed")), (2, 0), "{said}");
    let contract = std::fs::read_to_string(home.join("s/contract.toml")).unwrap();
    assert!(contract.contains("self_critical = 1") && contract.contains("merit = \"cider_d\""), "{contract}");

    let (again, _) = run(home, &["resume", "s", "--json"], 0);
    assert_eq!(serde_json::from_str::<Value>(&again).unwrap(), board);

    let (said, _) = run(home, &["study", "plan", "s", "--hours", "2"], 0);
    assert!(said.starts_with("the study is over") && said.contains("nothing that is due"), "{said}");
    assert_eq!(run(home, &["study", "plan", "s", "--json"], 0).0.trim(), "[]");
    run(home, &["study", "plan", "s", "--hours", "-1"], 2);

    let (front, _) = run(home, &["study", "front", "s", "--cost", "caption_ms", "--json"], 0);
    let front: Vec<Value> = serde_json::from_str(&front).unwrap();
    assert!((1..=count("rows")).contains(&front.len()) || count("rows") == 0, "{front:?}");
    assert!(front.iter().all(|row| row["cost"].as_f64().is_some_and(|ms| ms > 0.0)), "{front:?}");
    let (said, _) = run(home, &["study", "front", "s"], 0);
    assert!(said.starts_with("CIDEr-D against parameters in total: "), "{said}");

    let (said, _) = run(home, &["study", "report", "s"], 0);
    let page = std::fs::read_to_string(home.join(said.trim())).unwrap();
    assert!(page.contains("→ gru 64") && page.contains("Learning curves"), "{page}");

    std::fs::write(home.join("wrong.json"), DESIGN.replace("\"dim\": 64", "\"dim\": 63")).unwrap();
    let (_, log) = run(home, &["train", "gru.json", "wrong.json", "--data", "d"], 2);
    assert!(log.contains("wrong.json:3:") && log.contains("/bridge/dim"), "{log}");
}

#[test]
fn pieces_are_learned_and_truth_is_scored() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    run(home, &["data", "make-scenes", "d", "--train", "16", "--val", "6", "--test", "6", "--size", "32"], 0);
    std::fs::write(home.join("gru.json"), DESIGN).unwrap();
    let args = ["train", "gru.json", "--data", "d", "--study", "s", "--pieces", "60", "--epochs", "1"];
    let (_, log) = run(home, &args, 0);
    assert!(log.contains("vocabulary of 60 pieces"), "{log}");
    let model = "s/trials/0001/model";
    let (said, _) = run(home, &["evaluate", model, "--data", "d", "--captions", "h.json", "--json"], 0);
    let evaluated: Value = serde_json::from_str(&said).unwrap();
    assert!(evaluated["facts"]["objects"]["truths"].as_u64().is_some_and(|n| n >= 6), "{said}");
    // The file of captions names the data set as its folder does.
    let (said, _) = run(home, &["evaluate", model, "--data", "d/captions.json", "--json"], 0);
    assert_eq!(serde_json::from_str::<Value>(&said).unwrap()["facts"], evaluated["facts"]);

    let refs: Value =
        serde_json::from_str(&std::fs::read_to_string(home.join("d/captions.json")).unwrap()).unwrap();
    let right: Vec<Value> = refs["annotations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|a| serde_json::json!({ "image_id": a["image_id"], "caption": a["caption"] }))
        .scan(std::collections::HashSet::new(), |seen, h| {
            Some(seen.insert(h["image_id"].to_string()).then_some(h))
        })
        .flatten()
        .collect();
    std::fs::write(home.join("right.json"), Value::from(right).to_string()).unwrap();
    let score = |file: &str, scenes: &str| {
        let args = ["score", file, "--refs", "d/captions.json", "--scenes", scenes, "--draws", "0", "--json"];
        serde_json::from_str::<Value>(&run(home, &args, 0).0).unwrap()["facts"].clone()
    };
    assert_eq!(score("right.json", "d")["faithful"], 1.0);
    assert_eq!(score("h.json", "d/captions.json"), evaluated["facts"]);
}

#[test]
fn a_search_that_found_no_language_model_is_resumed_without_one() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    run(home, &["data", "make-scenes", "d", "--train", "16", "--val", "6", "--test", "6", "--size", "32"], 0);
    let of = ["search", "a small captioner", "--data", "d", "--study", "s", "--min-count", "1"];
    let small = ["--trials", "1", "--epochs", "1", "--image-size", "32", "--max-macs", "10000000"];
    let (_, log) = run(home, &[&of[..], &small].concat(), 0);
    assert!(log.contains("going on with evolution and random designs"), "{log}");
    let (_, log) = run(home, &["resume", "s"], 0);
    assert!(!log.contains("language model"), "{log}");
}

/// The same decoder behind a pretrained backbone.
fn pretrained() -> String {
    let mut design: Value = serde_json::from_str(DESIGN).unwrap();
    design["encoder"] = serde_json::json!({
        "input": 224, "source": {"kind": "pretrained", "backbone": "resnet18", "cut": "s32"}, "blocks": [],
    });
    design.to_string()
}

#[test]
fn a_design_that_breaks_the_contract_is_refused_with_code_3_and_others_are_trained() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    run(home, &["data", "make-scenes", "d", "--train", "16", "--val", "6", "--test", "6", "--size", "32"], 0);
    std::fs::write(home.join("gru.json"), DESIGN).unwrap();
    std::fs::write(home.join("resnet.json"), pretrained()).unwrap();
    // Without sizes every size is allowed.
    let listed = "version = 1\n[components]\nbackbones = [\"mobilenet_v2\"]\n";
    std::fs::write(home.join("c.toml"), listed).unwrap();
    let of = ["--contract", "c.toml", "--data", "d", "--min-count", "1", "--epochs", "1"];
    let both = ["train", "gru.json", "resnet.json", "--study", "s"];
    let (_, log) = run(home, &[&both[..], &of].concat(), 3);
    assert!(log.contains("\"resnet18\" is not allowed; allowed: mobilenet_v2"), "{log}");
    assert!(log.contains("1 of 2 designs do not keep the contract"), "{log}");
    assert!(home.join("s/trials/0001/model").exists() && !home.join("s/trials/0002").exists());
    let contract = std::fs::read_to_string(home.join("s/contract.toml")).unwrap();
    assert!(contract.contains("backbones = [\"mobilenet_v2\"]"), "{contract}");
    run(home, &["resume", "s"], 3);

    let (said, _) = run(home, &[&["train", "resnet.json", "--study", "t"][..], &of].concat(), 3);
    assert!(said.contains("no design was trained"), "{said}");
}

#[test]
fn the_contract_of_a_study_names_data_and_words() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    run(home, &["data", "make-scenes", "d", "--train", "16", "--val", "6", "--test", "6", "--size", "32"], 0);
    std::fs::write(home.join("gru.json"), DESIGN).unwrap();
    let of = ["train", "gru.json", "--data", "d", "--study", "s", "--min-count", "2", "--epochs", "1"];
    run(home, &of, 0);
    run(home, &["train", "gru.json", "--contract", "s/contract.toml", "--study", "t"], 0);
    let read = |study: &str| std::fs::read_to_string(home.join(study).join("contract.toml")).unwrap();
    assert!(read("s").contains("min_count = 2"), "{}", read("s"));
    assert_eq!(read("t"), read("s"));
}

#[test]
fn a_study_of_own_designs_may_be_moved() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    run(home, &["data", "make-scenes", "d", "--train", "16", "--val", "6", "--test", "6", "--size", "32"], 0);
    std::fs::write(home.join("gru.json"), DESIGN).unwrap();
    let of = ["train", "gru.json", "--data", "d", "--study", "s", "--min-count", "1", "--epochs", "1"];
    let (board, _) = run(home, &[&of[..], &["--json"]].concat(), 0);
    std::fs::rename(home.join("s"), home.join("moved")).unwrap();
    assert_eq!(run(home, &["resume", "moved", "--json"], 0).0, board);

    // Earlier versions kept the path of the designs.
    let ledger = home.join("moved/ledger.sqlite");
    let recorded = SqliteStore::open_read_only(&ledger).unwrap().events().unwrap();
    let mut events: Vec<Event> = recorded.into_iter().map(|recorded| recorded.event).collect();
    if let Event::StudyOpened(opened) = &mut events[0] {
        opened.versions.insert("architect".to_owned(), "given:/nowhere/designs".to_owned());
    }
    for file in ["ledger.sqlite", "ledger.sqlite-wal", "ledger.sqlite-shm"] {
        let _ = std::fs::remove_file(home.join("moved").join(file));
    }
    drop(SqliteStore::create(&ledger, &events).unwrap());
    assert_eq!(run(home, &["resume", "moved", "--json"], 0).0, board);
}
