//! What the program prints, word for word.

use assert_cmd::Command;
use std::path::Path;

fn run(home: &Path, args: &[&str], code: i32) -> String {
    let mut command = Command::cargo_bin("capwright").expect("the program is built with its tests");
    command.env("CAPWRIGHT_CACHE", home.join("cache")).env("CAPWRIGHT_OFFLINE", "1").env("NO_COLOR", "1");
    let output = command.current_dir(home).args(args).output().expect("the program runs");
    assert_eq!(output.status.code(), Some(code), "{}", String::from_utf8_lossy(&output.stderr));
    let both = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&both).into_owned()
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
fn the_zoo_is_listed() {
    let home = tempfile::tempdir().unwrap();
    insta::assert_snapshot!(run(home.path(), &["zoo", "list"], 0));
}

#[test]
fn a_design_is_checked_with_its_cost() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("design.json"), DESIGN).unwrap();
    insta::assert_snapshot!(run(home.path(), &["check", "design.json"], 0));
    insta::assert_snapshot!(run(home.path(), &["check", "design.json", "--json"], 0));
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
