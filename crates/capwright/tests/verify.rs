//! `capwright verify` on a model of the drawn scenes: every clause, its verdict, and the exit code.

use assert_cmd::Command;
use serde_json::Value;
use std::path::Path;

fn run(home: &Path, args: &[&str], code: i32) -> String {
    let mut command = Command::cargo_bin("capwright").expect("the program is built with its tests");
    command.env("CAPWRIGHT_CACHE", home.join("cache")).env("CAPWRIGHT_OFFLINE", "1").env("NO_COLOR", "1");
    let output = command.current_dir(home).args(args).output().expect("the program runs");
    assert_eq!(output.status.code(), Some(code), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The trial's own folder: a model of one epoch says one caption, and a study keeps none such as its best.
const MODEL: &str = "s/trials/0001/model";

fn verdict<'a>(certificate: &'a Value, clause: &str) -> &'a str {
    let rows = certificate["clauses"].as_array().expect("rows");
    let row = rows.iter().find(|row| row["clause"] == clause).unwrap_or_else(|| panic!("no row {clause}"));
    row["verdict"].as_str().expect("a verdict")
}

#[test]
fn each_clause_is_measured_and_an_unmet_one_ends_with_code_3() {
    let folder = tempfile::tempdir().expect("a folder");
    let home = folder.path();
    run(
        home,
        &["data", "make-scenes", "scenes", "--train", "24", "--val", "12", "--test", "12", "--size", "48"],
        0,
    );
    let search = [
        "search",
        "a GRU",
        "--data",
        "scenes",
        "--min-count",
        "1",
        "--study",
        "s",
        "--architect",
        "random",
        "--trials",
        "1",
        "--epochs",
        "1",
        "--image-size",
        "32",
        "--max-macs",
        "3000000",
        "--max-words",
        "10",
    ];
    run(home, &search, 0);
    let bounds = |latency: &str, distinct: &str| {
        format!(
            "version = 1\n[budgets]\nparams_total = 50_000_000\n[limits]\nlatency_p50_ms = {latency}\n\
             latency_p95_ms = 1e5\nenergy_joules = 1e5\nidentical_share = 1.0\n\
             memory_bytes = 50_000_000_000\n\
             [floors]\nbleu1 = 1e-12\ndistinct_captions = {distinct}\n[components]\nfamilies = [\"gru\"]\n"
        )
    };
    std::fs::write(home.join("met.toml"), bounds("1e5", "1")).expect("written");
    let text = run(
        home,
        &["verify", MODEL, "--contract", "met.toml", "--data", "scenes", "--out", "model-1.5", "--json"],
        0,
    );
    let certificate: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(certificate["met"], true, "{text}");
    for row in certificate["clauses"].as_array().expect("rows") {
        assert_eq!(row["verdict"], "met", "{row}");
    }
    let read = |name: &str| std::fs::read_to_string(home.join(name)).expect("written");
    let written: Value = serde_json::from_str(&read("model-1.5.json")).expect("JSON");
    assert_eq!(written, certificate);
    assert!(read("model-1.5.md").starts_with("# The contract is met"));
    // Neither the contract nor its certificate says more than the other: decoding is the model's own.
    let rows = certificate["clauses"].as_array().expect("rows");
    assert!(rows.iter().all(|row| row["clause"] != "decoding.max_words"), "{text}");
    assert_eq!(certificate["facts"]["decoding"], "beam 3, at most 10 words");

    std::fs::write(home.join("unmet.toml"), bounds("0.0001", "13")).expect("written");
    let text = run(home, &["verify", MODEL, "--contract", "unmet.toml", "--data", "scenes", "--json"], 3);
    let certificate: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(verdict(&certificate, "limits.latency_p50_ms"), "unmet");
    assert_eq!(verdict(&certificate, "floors.distinct_captions"), "unmet");
    let unmet =
        certificate["clauses"].as_array().expect("rows").iter().filter(|row| row["verdict"] != "met").count();
    assert_eq!(unmet, 2, "{text}");
    short_captions_and_licences(home);
    the_footprint_is_that_of_the_decoding(home);
}

/// What needs no measurement: a contract of few words, and a data set that is named by its file.
fn short_captions_and_licences(home: &Path) {
    let captions = home.join("scenes/captions.json");
    let mut data: Value =
        serde_json::from_str(&std::fs::read_to_string(&captions).expect("captions")).expect("JSON");
    data["licenses"] = serde_json::json!([{ "id": 1, "name": "CC0-1.0" }]);
    std::fs::write(&captions, data.to_string()).expect("written");
    let contract = "version = 1\n[licences]\ndata = [\"CC0-1.0\"]\n[decoding]\nbeam = 1\nmax_words = 5\n";
    std::fs::write(home.join("short.toml"), contract).expect("written");
    let args = ["verify", MODEL, "--contract", "short.toml", "--data", "scenes/captions.json", "--json"];
    let text = run(home, &args, 3);
    let certificate: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(certificate["clauses"].as_array().map(Vec::len), Some(2), "nothing else is demanded: {text}");
    assert_eq!(verdict(&certificate, "licences.data"), "met");
    assert_eq!(verdict(&certificate, "decoding.max_words"), "unmet");
    assert_eq!(certificate["facts"]["decoding"], "beam 1, at most 5 words");
}

fn the_footprint_is_that_of_the_decoding(home: &Path) {
    let photo = "scenes/images/test-00001.png";
    let bytes = run(home, &["footprint", MODEL, photo, "{\"beam\":1,\"max_words\":10}"], 0);
    assert!(bytes.trim().parse::<u64>().is_ok_and(|bytes| bytes > 1_000_000), "{bytes}");
    run(home, &["footprint", MODEL, photo, "{\"beam\":1,\"max_words\":11}"], 2);
}
