//! What the program prints, word for word.

mod common;

use std::path::Path;

fn run(home: &Path, args: &[&str], code: i32) -> String {
    let (said, errors) = common::run(home, args, code);
    said + &errors
}

const DESIGN: &str = r#"{"encoder":{"input":224,"source":{"kind":"pretrained","backbone":"resnet18","cut":"s32"},"blocks":[]},
"bridge":{"dim":256,"dropout_pct":10},"decoder":{"family":"recurrent","cell":"lstm","embed":256,"hidden":512,"layers":1,
"image":"initial_state","attention":"dot","dropout_pct":30},"recipe":{"lr":0.001,"schedule":"cosine","weight_decay":0.01,
"label_smoothing":0.1,"clip":5.0,"batch":32}}"#;

#[test]
fn help_shows_the_commands() {
    let home = tempfile::tempdir().unwrap();
    insta::assert_snapshot!(run(home.path(), &["--help"], 0));
}

#[test]
fn help_tells_what_holds_by_default() {
    let home = tempfile::tempdir().unwrap();
    let help = |command: &str| {
        let text = run(home.path(), &[command, "--help"], 0);
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let search = help("search");
    assert!(search.contains("32, 48, 64, 96, 128, 160, 192, 224 pixels"), "{search}");
    assert!(search.contains("lstm, gru, transformer or convolution"), "{search}");
    let refine = help("refine");
    for own in ["[default: what --contract or request say, else 12]", "else evolution]", "that of the model]"]
    {
        assert!(refine.contains(own), "{own}: {refine}");
    }
    for other in ["else 6]", "a few light ones", "64 and 96 on scenes", "drawn scenes", "60 million"] {
        assert!(!refine.contains(other), "{other}: {refine}");
    }
}

#[test]
fn a_language_model_that_nobody_asks_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let url = ["--llm-url", "http://127.0.0.1:9/v1"];
    let said = run(home.path(), &[&["search", "a GRU", "--architect", "evolution"][..], &url].concat(), 2);
    assert!(said.contains("no language model is asked by evolution"), "{said}");
    let said = run(home.path(), &["search", "a GRU", "--llm-model", "qwen3-8b"], 2);
    assert!(said.contains("--llm-url <URL>"), "{said}");
}

#[test]
fn the_zoo_is_listed() {
    let home = tempfile::tempdir().unwrap();
    insta::assert_snapshot!(run(home.path(), &["zoo", "list"], 0));
    let light = ["zoo", "list", "--max-params", "5000000", "--min-top1", "70", "--licence", "bsd-3-clause"];
    insta::assert_snapshot!(run(home.path(), &light, 0));
    let none = ["zoo", "list", "--max-macs", "1", "--json"];
    assert_eq!(run(home.path(), &none, 0).trim(), "[]");
}

#[test]
fn a_backbone_is_shown_with_its_cuts_and_drawn() {
    let home = tempfile::tempdir().unwrap();
    insta::assert_snapshot!(run(home.path(), &["zoo", "show", "resnet50", "--svg", "stages.svg"], 0));
    let drawing = std::fs::read_to_string(home.path().join("stages.svg")).unwrap();
    assert!(drawing.starts_with("<svg") && drawing.contains("cut s32"), "{drawing}");
    let shown = run(home.path(), &["zoo", "show", "vit_b_16", "--json"], 0);
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["cuts"][0]["shape"], serde_json::json!([768, 14, 14]));
    assert_eq!(shown["cuts"].as_array().unwrap().len(), 1);
    insta::assert_snapshot!(run(home.path(), &["zoo", "show", "vit_b_16", "--size", "96"], 2));
    insta::assert_snapshot!(run(home.path(), &["zoo", "show", "resnet-50"], 2));
}

#[test]
fn a_design_is_checked_with_its_cost() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("design.json"), DESIGN).unwrap();
    insta::assert_snapshot!(run(home.path(), &["check", "design.json"], 0));
    insta::assert_snapshot!(run(home.path(), &["check", "design.json", "--json"], 0));
}

#[test]
fn sizes_that_no_contract_can_have_are_refused() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("design.json"), DESIGN).unwrap();
    for (option, number) in [
        ("--vocab", "0"),
        ("--vocab", "4"),
        ("--vocab", "18446744073709551615"),
        ("--max-words", "0"),
        ("--max-words", "18446744073709551615"),
    ] {
        let said = run(home.path(), &["check", "design.json", option, number], 2);
        assert!(said.contains("is not in"), "{said}");
    }
    let said = run(home.path(), &["check", "design.json", "--vocab", "4294967295", "--max-words", "100"], 0);
    assert!(said.contains("parameters in all"), "{said}");
}

#[test]
fn a_wrong_design_is_refused_with_every_reason() {
    let home = tempfile::tempdir().unwrap();
    let wrong =
        DESIGN.replace("resnet18", "resnet81").replace("\"lr\":0.001", "\"lr\":1").replace("512", "500");
    std::fs::write(home.path().join("design.json"), wrong).unwrap();
    insta::assert_snapshot!(run(home.path(), &["check", "design.json"], 2));
}

#[test]
fn an_impossible_request_is_refused_with_the_phrase() {
    let home = tempfile::tempdir().unwrap();
    insta::assert_snapshot!(run(home.path(), &["search", "under 0 parameters"], 2));
}

#[test]
fn scenes_are_the_same_for_the_same_seed() {
    let home = tempfile::tempdir().unwrap();
    for dir in ["a", "b"] {
        let sizes = ["--train", "3", "--val", "1", "--test", "1", "--size", "48", "--seed", "4"];
        run(home.path(), &[&["data", "make-scenes", dir], &sizes[..]].concat(), 0);
    }
    let read = |path: &str| std::fs::read(home.path().join(path)).unwrap();
    assert_eq!(read("a/captions.json"), read("b/captions.json"));
    insta::assert_snapshot!(String::from_utf8(read("a/captions.json")).unwrap().replace("},", "},\n"));
}

#[test]
fn completions_name_the_commands() {
    let home = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let script = run(home.path(), &["completions", shell], 0);
        assert!(script.contains("leaderboard") && script.contains("make-scenes"), "{shell}");
    }
}

#[test]
fn a_design_is_mended_in_place_and_the_rest_stays() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("design.json");
    let wrong = DESIGN.replace("resnet18", "ResNet-18").replace("\"dim\":256", "\"dim\":\"260\",\"bias\":1");
    std::fs::write(&file, &wrong).unwrap();
    let said = run(home.path(), &["check", "design.json", "--fix"], 0);
    assert!(said.contains("fixed: /bridge/bias is removed"), "{said}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), DESIGN);
    assert_eq!(
        std::fs::read_dir(home.path()).unwrap().filter(|e| e.as_ref().unwrap().path().is_file()).count(),
        1
    );
    std::fs::write(&file, wrong.replace("\"embed\":256", "\"embed\":9999")).unwrap();
    let said = run(home.path(), &["check", "design.json", "--fix", "--json"], 2);
    // What follows the JSON comes from standard error.
    let mut values = serde_json::Deserializer::from_str(&said).into_iter::<serde_json::Value>();
    let report = values.next().unwrap().unwrap();
    let left = &report["diagnostics"][0];
    assert_eq!((left["code"].as_str(), left["line"].as_u64()), (Some("CW0005"), Some(2)), "{report}");
    assert_eq!(report["fixed"].as_array().unwrap().len(), 4, "{report}");
}

#[test]
fn codes_are_explained() {
    let home = tempfile::tempdir().unwrap();
    assert!(run(home.path(), &["explain", "cw0107"], 0).contains("equal share of the width"));
    assert!(run(home.path(), &["explain"], 0).lines().count() >= 18);
    let all: serde_json::Value = serde_json::from_str(&run(home.path(), &["explain", "--json"], 0)).unwrap();
    assert!(all.as_array().unwrap().iter().any(|e| e["code"] == "CW0008"));
    let said = run(home.path(), &["explain", "CW0207"], 2);
    assert!(said.contains("near it:") && said.contains("CW0107"), "{said}");
}

#[test]
fn a_profile_that_cannot_be_used_is_told_and_does_not_stop_the_check() {
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join("cache")).unwrap();
    std::fs::write(home.path().join("design.json"), DESIGN).unwrap();
    std::fs::write(home.path().join("cache/device.json"), "{\"version\":1}").unwrap();
    let said = run(home.path(), &["check", "design.json"], 0);
    assert!(said.contains("warning") && said.contains("capwright device profile"), "{said}");
    assert!(said.contains("weight bytes (8 bit)") && !said.contains("estimated ms"), "{said}");
}

#[test]
fn a_measured_machine_gives_estimates() {
    let home = tempfile::tempdir().unwrap();
    run(home.path(), &["device", "profile", "--threads", "0"], 2);
    let printed = run(home.path(), &["device", "profile", "--threads", "1"], 0);
    assert!(printed.contains("FrozenGemm") && printed.contains("ns/unit"), "{printed}");
    let files: Vec<_> = std::fs::read_dir(home.path().join("cache")).unwrap().flatten().collect();
    assert_eq!(files.len(), 1, "nothing is left beside the profile: {files:?}");
    std::fs::write(home.path().join("design.json"), DESIGN).unwrap();
    let said = run(home.path(), &["check", "design.json"], 0);
    assert!(said.contains("estimated ms, a caption") && said.contains("(12 words, beam 3)"), "{said}");
    let checked: serde_json::Value =
        serde_json::from_str(&run(home.path(), &["check", "design.json", "--json"], 0)).unwrap();
    let time = |name: &str| checked["latency"][name].as_f64().unwrap();
    assert!(time("encoder_ms") > 0.0 && time("per_word_ms") > 0.0);
    assert!(
        (time("total_ms") - time("encoder_ms") - 12.0 * time("per_word_ms")).abs() < 1e-6 * time("total_ms")
    );
    assert_eq!(checked["memory"]["weights"]["f32"], checked["cost"]["weight_bytes"]);
}
