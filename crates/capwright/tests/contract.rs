//! `capwright contract`, as a person sees it.

use assert_cmd::Command;
use capwright_contract::{Contract, parse_request};

fn contract(dir: &std::path::Path, args: &[&str]) -> (i32, String, String) {
    let output = Command::cargo_bin("capwright")
        .expect("the program is built")
        .current_dir(dir)
        .env("NO_COLOR", "1")
        .arg("contract")
        .args(args)
        .output()
        .expect("it runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

#[test]
fn a_sentence_becomes_a_contract_and_says_what_it_understood() {
    let dir = tempfile::tempdir().expect("a folder");
    let (code, out, err) = contract(dir.path(), &["a small GRU, under 2 M parameters, latency below 20 ms"]);
    assert_eq!(code, 0, "{err}");
    insta::assert_snapshot!("contract_stdout", out);
    insta::assert_snapshot!("contract_stderr", err);
}

#[test]
fn a_file_is_written_where_it_is_said_and_only_with_consent() {
    let dir = tempfile::tempdir().expect("a folder");
    let (code, _, err) = contract(dir.path(), &["参数不超过200万", "--out", "c.toml"]);
    assert_eq!(code, 2, "nobody to ask: {err}");
    assert!(err.contains("--yes") && !dir.path().join("c.toml").exists(), "{err}");
    let (code, out, _) = contract(dir.path(), &["参数不超过200万", "--out", "c.toml", "--yes"]);
    assert_eq!(code, 0);
    let written = std::fs::read_to_string(dir.path().join("c.toml")).expect("written");
    assert_eq!(written, out);
    assert!(written.contains("params_total = 2000000"), "{written}");
}

#[test]
fn settings_that_nobody_named_are_not_written() {
    let dir = tempfile::tempdir().expect("a folder");
    let written = |request: &str| {
        let (code, out, err) = contract(dir.path(), &[request]);
        assert_eq!(code, 0, "{err}");
        let read = Contract::from_toml(&out).expect("it is read back");
        assert_eq!(read, parse_request(request).contract, "{out}");
        out
    };
    let out = written("under 5 M parameters");
    for section in ["[decoding]", "[training]", "[search]"] {
        assert!(!out.contains(section), "{out}");
    }
    // What is named holds, also where it is as by default.
    let out =
        written("under 5 M parameters, 6 epochs, beam width 3, 6 trials, latency below 20.5 ms, best BLEU-4");
    assert!(out.contains("[training]\nepochs = 6\n\n[search]\ntrials = 6"), "{out}");
    assert!(out.contains("[decoding]\nbeam = 3\n\n"), "{out}");
    let out = written("a GRU with hidden size at least 256, 12 trials, no more than 5 USD");
    assert!(out.contains("[search]\ntrials = 12\nmax_proposals = 60\nmoney_usd = 5.0"), "{out}");
}

#[test]
fn an_impossible_contract_is_refused_with_its_reasons_and_code_3() {
    let dir = tempfile::tempdir().expect("a folder");
    let request = "an LSTM with hidden size at least 640 and at most 1 million parameters";
    let (code, out, err) = contract(dir.path(), &[request]);
    assert_eq!((code, out.as_str()), (3, ""), "{err}");
    insta::assert_snapshot!("impossible_stderr", err);
}

#[test]
fn what_a_smaller_vocabulary_makes_possible_is_told_and_written() {
    let dir = tempfile::tempdir().expect("a folder");
    let budget = "at most 100,000 parameters";
    let (code, _, err) = contract(dir.path(), &[budget, "--out", "c.toml", "--yes"]);
    assert_eq!(code, 0, "{err}");
    assert!(err.contains("with a vocabulary of 2500 words, no design can keep"), "{err}");
    assert!(err.contains("budgets.params_total = 100000") && dir.path().join("c.toml").exists(), "{err}");
    let (code, _, err) = contract(
        dir.path(),
        &[&format!("{budget}, vocabulary of at most 300 words"), "--out", "p.toml", "--yes"],
    );
    assert!(code == 0 && !err.contains("no design can keep"), "{err}");
    assert!(dir.path().join("p.toml").exists());
}

#[test]
fn all_that_cannot_be_met_is_said_at_once_with_code_2() {
    let dir = tempfile::tempdir().expect("a folder");
    let (code, _, err) = contract(dir.path(), &["under 0 parameters, with CBAM, no CBAM"]);
    assert_eq!(code, 2);
    assert!(err.contains("zero") && err.contains("excludes it"), "{err}");
}
