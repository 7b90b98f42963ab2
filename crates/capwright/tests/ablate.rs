//! `study ablate`: the same budget for each arm and seed, resumable, and a table of the differences.

use assert_cmd::Command;
use capwright_store::SqliteStore;
use capwright_study::{Event, conformance};
use serde_json::Value;
use std::path::Path;
use std::time::Duration;

fn capwright(home: &Path) -> Command {
    let mut command = Command::cargo_bin("capwright").expect("the program is built with its tests");
    command.env("CAPWRIGHT_CACHE", home.join("cache")).env("CAPWRIGHT_OFFLINE", "1").current_dir(home);
    command.env("NO_COLOR", "1").timeout(Duration::from_secs(300));
    command
}

fn ablate(home: &Path) -> Command {
    let mut command = capwright(home);
    command.args(["study", "ablate", "small", "--data", "d", "--trials", "2", "--epochs", "1"]);
    command.args(["--image-size", "48", "--min-count", "1", "--max-macs", "2000000"]);
    command.args(["--arm", "random", "--arm", "evolution", "--seeds", "2", "--out", "a"]);
    command
}

#[test]
fn every_arm_is_searched_with_every_seed_once() {
    let home = tempfile::tempdir().unwrap();
    let args = ["data", "make-scenes", "d", "--train", "12", "--val", "6", "--test", "6", "--size", "48"];
    capwright(home.path()).args(args).assert().success();
    let output = ablate(home.path()).args(["--json"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let table: Value = serde_json::from_slice(&output.stdout).expect("JSON alone on standard output");
    assert_eq!(table["score"], "BLEU-4");
    let arms = table["arms"].as_array().unwrap();
    assert_eq!(arms.len(), 2);
    assert!(arms[0]["difference"].is_null() && arms[1]["difference"]["p"].is_number(), "{table}");
    for arm in arms {
        let seeds: Vec<u64> =
            arm["studies"].as_array().unwrap().iter().map(|s| s["seed"].as_u64().unwrap()).collect();
        assert_eq!(seeds, [1, 2]);
        assert!(arm["studies"].as_array().unwrap().iter().all(|s| s["trials"] == 2), "{arm}");
    }
    for folder in ["random-1", "random-2", "evolution-1", "evolution-2"] {
        assert!(home.path().join("a").join(folder).join("ledger.sqlite").exists(), "{folder}");
    }
    // The same command again finds all studies done, and says the same.
    let again = ablate(home.path()).output().unwrap();
    let said = String::from_utf8_lossy(&again.stdout).into_owned();
    assert!(String::from_utf8_lossy(&again.stderr).is_empty(), "nothing is searched again");
    assert!(said.starts_with("best validation BLEU-4, and what it is more than that of random"), "{said}");
    assert!(said.contains("| evolution |"), "{said}");
    // Other budgets would be compared with these.
    let other = ablate(home.path()).args(["--hours", "3"]).output().unwrap();
    let said = String::from_utf8_lossy(&other.stderr).into_owned();
    assert_eq!(other.status.code(), Some(2), "{said}");
    assert!(said.contains("asked for otherwise: hours") && said.contains("--out"), "{said}");
}

#[test]
fn an_arm_that_cannot_be_is_named() {
    let home = tempfile::tempdir().unwrap();
    let mut command = capwright(home.path());
    command.args(["study", "ablate", "small", "--arm", "llm,snippet=3", "--out", "a"]);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("an arm cannot have \"snippet=3\""), "{said}");
    assert!(!home.path().join("a").exists());
}

#[test]
fn seeds_that_no_contract_can_have_are_refused() {
    let home = tempfile::tempdir().unwrap();
    let output = ablate(home.path()).args(["--arm", "grid"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("there is no architect \"grid\""));
    let output = ablate(home.path()).args(["--seed", "18446744073709551615"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("begin with a smaller --seed"), "{said}");
    assert!(!home.path().join("a").exists());
}

#[test]
fn what_each_study_has_of_its_own_is_no_option() {
    let home = tempfile::tempdir().unwrap();
    for (option, why) in [("--architect", "each arm names its own"), ("--study", "a folder of its own")] {
        let output = ablate(home.path()).args([option, "random"]).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains(why), "{said}");
        assert!(!home.path().join("a").exists());
    }
    let help = capwright(home.path()).args(["study", "ablate", "--help"]).output().unwrap();
    let said = String::from_utf8_lossy(&help.stdout).into_owned();
    assert!(said.contains("--arm <ARM>") && said.contains("--seed <SEED>"), "{said}");
    assert!(!said.contains("--architect") && !said.contains("--study"), "{said}");
}

#[test]
fn a_finished_study_of_another_language_model_is_not_compared() {
    let home = tempfile::tempdir().unwrap();
    let mut events = conformance::samples();
    let Event::StudyOpened(opened) = &mut events[0] else { panic!("it opens a study") };
    opened.architect = "llm:one at 127.0.0.1:9".to_owned();
    let study = home.path().join("a/llm-1");
    std::fs::create_dir_all(&study).unwrap();
    drop(SqliteStore::create(&study.join("ledger.sqlite"), &events).unwrap());
    let ablate = |options: &[&str]| {
        let mut command = capwright(home.path());
        command
            .args(["study", "ablate", "small", "--arm", "llm", "--seeds", "1", "--out", "a"])
            .args(options);
        let output = command.output().unwrap();
        let said =
            String::from_utf8_lossy(&output.stderr).replace(|c: char| c.is_whitespace() || c == '│', "");
        (output.status.code(), said)
    };
    let url = ["--llm-url", "http://127.0.0.1:9/v1", "--llm-model"];
    assert_eq!(ablate(&[&url[..], &["one"]].concat()).0, Some(0));
    let (code, said) = ablate(&[&url[..], &["two"]].concat());
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("languagemodeloneat127.0.0.1:9") && said.contains("twoat127.0.0.1:9"), "{said}");
}

#[test]
fn a_language_model_that_no_arm_asks_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let output = ablate(home.path()).args(["--llm-url", "http://127.0.0.1:9/v1"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("no language model is asked by random, evolution"), "{said}");
    assert!(!home.path().join("a").exists());
}
