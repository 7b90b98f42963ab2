//! `resume` and the language model that a study began with.

mod common;

use capwright_store::SqliteStore;
use capwright_study::{Event, TrialStore, conformance};
use common::run;
use std::path::Path;

/// The ledger of a study that has just begun with an architect of that name, whose money is bounded.
fn begin(home: &Path, study: &str, chosen: &str, name: &str) {
    let Event::StudyOpened(mut opened) = conformance::opened() else { panic!("it opens a study") };
    opened.architect = name.to_owned();
    opened.versions.insert("architect".to_owned(), chosen.to_owned());
    opened.contract.search.money_usd = Some(5.0);
    std::fs::create_dir(home.join(study)).unwrap();
    let ledger = home.join(study).join("ledger.sqlite");
    drop(SqliteStore::create(&ledger, &[Event::StudyOpened(opened)]).unwrap());
}

/// What is said of a study that cannot go on, without what breaks lines.
fn refused(home: &Path, args: &[&str]) -> String {
    let (_, said) = run(home, &[&["resume"][..], args].concat(), 2);
    said.replace(|c: char| c.is_whitespace() || c == '│', "")
}

#[test]
fn a_study_goes_on_with_the_model_that_it_began_with_or_not_at_all() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    begin(home, "server", "llm", "llm:qwen at 127.0.0.1:9");
    let said = refused(home, &["server"]);
    assert!(said.contains("beganwiththelanguagemodelqwenat127.0.0.1:9"), "{said}");
    assert!(said.contains("--llm-url") && said.contains("--llm-modelqwen"), "{said}");
    let url = ["server", "--llm-url", "http://127.0.0.1:9/v1", "--llm-model"];
    let said = refused(home, &[&url[..], &["other"]].concat());
    assert!(said.contains("goonwithotherat127.0.0.1:9"), "{said}");
    let said = refused(home, &[&url[..], &["qwen"]].concat());
    assert!(said.contains("doesnotsaywhattokenscost"), "{said}");

    let default = "SmolLM2-135M-Instruct.Q4_1";
    begin(home, "small", "hybrid", &format!("hybrid of llm:embedded:{default}, evolution, random"));
    let said = refused(home, &["small", "--llm-gguf", "other.gguf"]);
    assert!(said.contains("goonwithembedded:other") && said.contains("itisthedefaultmodel"), "{said}");
    // With the same model, what is missing is the data.
    let said = refused(home, &["small"]);
    assert!(!said.contains("languagemodel") && said.contains("data"), "{said}");

    begin(home, "file", "llm", "llm:embedded:other");
    let said = refused(home, &["file"]);
    assert!(said.contains("--llm-ggufFILE,withthepathofother.gguf"), "{said}");
    begin(home, "none", "hybrid", "hybrid of evolution, random");
    assert!(!refused(home, &["none", "--llm-gguf", "other.gguf"]).contains("languagemodel"));
}

#[test]
fn a_study_that_is_over_asks_for_no_language_model() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    run(home, &["data", "make-scenes", "d", "--train", "16", "--val", "6", "--test", "6", "--size", "32"], 0);
    let of = ["search", "a small captioner", "--data", "d", "--study", "s", "--min-count", "1", "--json"];
    let small = ["--trials", "1", "--epochs", "1", "--image-size", "32", "--max-macs", "10000000"];
    let (board, _) = run(home, &[&of[..], &small, &["--architect", "random"]].concat(), 0);
    // The same as a study of a model that is not there any more.
    let ledger = home.join("s/ledger.sqlite");
    let recorded = SqliteStore::open_read_only(&ledger).unwrap().events().unwrap();
    let mut events: Vec<Event> = recorded.into_iter().map(|recorded| recorded.event).collect();
    let Event::StudyOpened(opened) = &mut events[0] else { panic!("it opens a study") };
    opened.architect = "llm:embedded:gone".to_owned();
    opened.versions.insert("architect".to_owned(), "llm".to_owned());
    for file in ["ledger.sqlite", "ledger.sqlite-wal", "ledger.sqlite-shm"] {
        let _ = std::fs::remove_file(home.join("s").join(file));
    }
    drop(SqliteStore::create(&ledger, &events).unwrap());
    assert_eq!(run(home, &["resume", "s", "--json"], 0).0, board);
}
