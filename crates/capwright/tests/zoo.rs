//! Backbones of one's own: from a folder to a captioner that carries it.

mod common;

use common::run;
use serde_json::{Value, json};
use std::path::Path;

const DESIGN: &str = r#"{
    "encoder": {"input": 32, "source": {"kind": "pretrained", "backbone": "tiny", "cut": "s8"}, "blocks": []},
    "bridge": {"dim": 64, "dropout_pct": 0},
    "decoder": {"family": "recurrent", "cell": "gru", "embed": 64, "hidden": 64, "layers": 1,
        "image": "initial_state", "attention": "dot", "dropout_pct": 0},
    "recipe": {"lr": 0.003, "schedule": "cosine", "weight_decay": 0.0, "label_smoothing": 0.0, "clip": 1.0, "batch": 8}
}"#;

fn entry() -> Value {
    let padding = json!({"top": 1, "bottom": 1, "left": 1, "right": 1});
    json!({
        "name": "tiny", "size": 32, "resize": 32, "filter": "bilinear", "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5],
        "sizes": {"least": 32, "most": 64, "step": 32}, "licence": "MIT", "source": "a test",
        "graph": [
            {"name": "stem", "inputs": ["input"], "op": {"Conv": {
                "input": 3, "output": 8, "kernel": 3, "width": 3, "stride": 2, "padding": padding, "dilation": 1, "groups": 1,
                "bias": true
            }}},
            {"name": "pool", "inputs": ["stem"], "op": {"AvgPool": {"kernel": 4, "stride": 4, "padding": 0}}}
        ],
        "cuts": {"s8": "pool"}
    })
}

/// A safetensors file of 32-bit tensors whose values count up from `from`.
fn weights(tensors: &[(&str, &[usize])], from: f32) -> Vec<u8> {
    let (mut header, mut data) = (serde_json::Map::new(), Vec::<u8>::new());
    for (name, shape) in tensors {
        let begin = data.len();
        let values = (0..shape.iter().product::<usize>()).map(|i| from + (i % 17) as f32 / 40.0 - 0.2);
        data.extend(values.flat_map(f32::to_le_bytes));
        header.insert(
            (*name).into(),
            json!({"dtype": "F32", "shape": shape, "data_offsets": [begin, data.len()]}),
        );
    }
    let header = Value::from(header).to_string().into_bytes();
    [&(header.len() as u64).to_le_bytes()[..], &header, &data].concat()
}

const TENSORS: [(&str, &[usize]); 2] = [("stem.weight", &[8, 3, 3, 3]), ("stem.bias", &[8])];

fn write(folder: &Path, entry: &Value, weights: &[u8]) {
    std::fs::create_dir_all(folder).expect("a folder");
    std::fs::write(folder.join("backbone.json"), entry.to_string()).expect("writable");
    std::fs::write(folder.join("weights.safetensors"), weights).expect("writable");
}

#[test]
fn a_backbone_of_one_s_own_joins_the_zoo_and_leaves_it() {
    let home = tempfile::tempdir().expect("a folder");
    let home = home.path();
    write(&home.join("mine"), &entry(), &weights(&TENSORS, 0.0));
    let (said, _) = run(home, &["zoo", "add", "mine"], 0);
    assert!(said.starts_with("tiny joined the zoo: 0.00 M parameters, sha256 "), "{said}");
    let (_, again) = run(home, &["zoo", "add", "mine"], 2);
    assert!(again.contains("capwright zoo remove tiny"), "{again}");
    let (shown, _) = run(home, &["zoo", "show", "tiny", "--json", "--graph", "again.json"], 0);
    let shown: Value = serde_json::from_str(&shown).expect("JSON");
    assert_eq!((&shown["parameters"], &shown["licence"]), (&json!(224), &json!("MIT")));
    let written: Value =
        serde_json::from_slice(&std::fs::read(home.join("again.json")).expect("a file")).expect("JSON");
    assert_eq!(written["graph"], entry()["graph"]);

    run(home, &["data", "make-scenes", "d", "--train", "16", "--val", "6", "--test", "6", "--size", "32"], 0);
    std::fs::write(home.join("design.json"), DESIGN).expect("writable");
    let train = ["train", "design.json", "--data", "d", "--study", "s", "--min-count", "1", "--epochs", "2"];
    run(home, &train, 0);
    let (said, _) = run(home, &["zoo", "remove", "tiny"], 0);
    assert_eq!(said, "tiny left the zoo\n");
    run(home, &["zoo", "remove", "tiny"], 2);
    run(home, &["check", "design.json"], 2);
    // The model has its weights with it.
    let photo =
        std::fs::read_dir(home.join("d/images")).expect("images").flatten().next().expect("one").path();
    let photo = photo.to_str().expect("a path").to_owned();
    run(home, &["caption", &photo, "--model", "s/trials/0001/model"], 0);
}

#[test]
fn what_does_not_fit_does_not_join() {
    let home = tempfile::tempdir().expect("a folder");
    let home = home.path();
    let folder = home.join("mine");
    let refused = |entry: &Value, weights: &[u8]| {
        write(&folder, entry, weights);
        let (_, said) = run(home, &["zoo", "add", "mine"], 2);
        assert!(!home.join("zoo/tiny").exists());
        said
    };
    let right = weights(&TENSORS, 0.0);
    let other = weights(&[("stem.weight", &[8, 3, 5, 5]), ("more", &[2])], 0.0);
    let said = refused(&entry(), &other);
    for problem in
        ["stem.weight should be [8, 3, 3, 3]", "stem.bias [8] is missing", "more [2] belongs to no layer"]
    {
        assert!(said.contains(problem), "{said}");
    }
    assert!(refused(&entry(), &weights(&TENSORS, f32::NAN)).contains("no numbers"));
    assert!(refused(&entry(), &right[..right.len() - 9]).contains("no readable weights file"));
    let said = refused(&entry(), &weights(&TENSORS, 1e6));
    assert!(said.contains("the map at s8 holds values above 65504"), "{said}");
    let mut wrong = entry();
    (wrong["name"], wrong["size"]) = (json!("Tiny"), json!(33));
    let said = refused(&wrong, &right);
    assert!(said.contains("name: ") && said.contains("size: 33 is none of `sizes`"), "{said}");
    write(&folder, &entry(), &right);
    std::fs::remove_file(folder.join("weights.safetensors")).expect("there");
    assert!(run(home, &["zoo", "add", "mine"], 2).1.contains("weights.safetensors"));
    // What was broken afterwards is told and left out; the program runs on.
    write(&folder, &entry(), &right);
    run(home, &["zoo", "add", "mine"], 0);
    std::fs::write(home.join("zoo/tiny/backbone.json"), "{").expect("writable");
    let (list, said) = run(home, &["zoo", "list", "--max-params", "300"], 0);
    assert!(said.contains("left out of the zoo") && !list.contains("tiny"), "{said}");
}
