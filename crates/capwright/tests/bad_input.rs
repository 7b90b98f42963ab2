//! Bad input of every kind ends with a message and exit code 2 (4 for the language model), never with a panic.

use assert_cmd::Command;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

fn capwright(home: &Path) -> Command {
    let mut command = Command::cargo_bin("capwright").expect("the program is built with its tests");
    command.env("CAPWRIGHT_CACHE", home.join("cache")).env("CAPWRIGHT_OFFLINE", "1").current_dir(home);
    command.env("NO_COLOR", "1").timeout(Duration::from_secs(120));
    command
}

/// Runs a command that must fail, and returns what it said on standard error without line breaks.
fn refused(command: &mut Command, code: i32) -> String {
    let output = command.output().expect("the program runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(!said.contains("panicked"), "{said}");
    // miette wraps and indents; the words are what counts.
    said.replace(['│', '\n'], " ").split_whitespace().collect::<Vec<_>>().join(" ")
}

fn scenes(home: &Path) {
    let args = ["data", "make-scenes", "d", "--train", "12", "--val", "6", "--test", "6", "--size", "48"];
    capwright(home).args(args).assert().success();
}

fn search(home: &Path) -> Command {
    let mut command = capwright(home);
    command.args(["search", "a small captioner", "--data", "d", "--trials", "1", "--epochs", "1"]);
    command.args(["--image-size", "48", "--min-count", "1", "--max-macs", "2000000"]);
    command
}

#[test]
fn what_lies_in_a_folder_is_neither_written_over_nor_removed() {
    let home = tempfile::tempdir().unwrap();
    scenes(home.path());
    let own = home.path().join("s/contract.toml");
    fs::create_dir(home.path().join("s")).unwrap();
    fs::write(&own, "version = 1\n").unwrap();
    for architect in ["random", "bogus"] {
        let args = ["--contract", "s/contract.toml", "--study", "s", "--architect", architect];
        let said = refused(search(home.path()).args(args), 2);
        assert!(said.contains("would write over") && said.contains("name another folder"), "{said}");
        assert_eq!(fs::read_to_string(&own).unwrap(), "version = 1\n");
    }
    let empty = home.path().join("empty");
    fs::create_dir(&empty).unwrap();
    for folder in ["empty", "new"] {
        let said = refused(search(home.path()).args(["--study", folder, "--architect", "bogus"]), 2);
        assert!(said.contains("there is no architect"), "{said}");
    }
    assert_eq!(fs::read_dir(&empty).unwrap().count(), 0);
    assert!(!home.path().join("new").exists());
}

#[test]
fn malformed_annotations_name_the_file_and_the_place() {
    let home = tempfile::tempdir().unwrap();
    scenes(home.path());
    fs::write(home.path().join("d/captions.json"), "{\"images\": [").unwrap();
    let said = refused(search(home.path()).args(["--architect", "random"]), 2);
    assert!(said.contains("captions.json") && said.contains("line 1"), "{said}");
}

#[test]
fn a_device_that_cannot_be_used_is_refused_before_anything_is_trained() {
    let home = tempfile::tempdir().unwrap();
    scenes(home.path());
    let said = refused(search(home.path()).args(["--architect", "random", "--device", "tpu"]), 2);
    assert!(said.contains("auto, cpu, cuda, wgpu"), "{said}");
    if cfg!(not(feature = "cuda")) {
        let said = refused(search(home.path()).args(["--architect", "random", "--device", "cuda"]), 2);
        assert!(said.contains("built without it") && said.contains("--features cuda"), "{said}");
        assert!(!home.path().join("capwright-studies/001").exists(), "an empty study is left");
    }
}

#[test]
fn a_missing_image_is_named() {
    let home = tempfile::tempdir().unwrap();
    scenes(home.path());
    let images = home.path().join("d/images");
    let first = fs::read_dir(&images).unwrap().next().unwrap().unwrap().path();
    fs::remove_file(&first).unwrap();
    let said = refused(search(home.path()).args(["--architect", "random"]), 2);
    assert!(said.contains(first.file_name().unwrap().to_str().unwrap()), "{said}");
}

#[test]
fn a_broken_image_in_the_data_ends_the_search() {
    let home = tempfile::tempdir().unwrap();
    scenes(home.path());
    let image = home.path().join("d/images/train-00003.png");
    let bytes = fs::read(&image).unwrap();
    fs::write(&image, &bytes[..bytes.len() / 2]).unwrap();
    let said = refused(search(home.path()).args(["--architect", "random", "--study", "s"]), 2);
    assert!(said.contains("train-00003.png"), "{said}");
    // The study was opened over the broken image: with the whole one its data are others.
    fs::write(&image, &bytes).unwrap();
    let said = refused(capwright(home.path()).args(["resume", "s"]), 2);
    assert!(said.contains("has changed"), "{said}");
}

#[test]
fn all_diagnostics_of_a_blueprint_are_shown() {
    let home = tempfile::tempdir().unwrap();
    let text = r#"{"encoder":{"input":64,"source":{"kind":"pretrained","backbone":"nope","cut":"s32"},"blocks":[]},
        "bridge":{"dim":128,"dropout_pct":0},
        "decoder":{"family":"transformer","memory":"grid","dim":128,"layers":1,"heads":6,"ff":2,"dropout_pct":0},
        "recipe":{"lr":0.001,"schedule":"cosine","weight_decay":0.0,"label_smoothing":0.1,"clip":1.0,"batch":16}}"#;
    fs::write(home.path().join("b.json"), text).unwrap();
    let said = refused(capwright(home.path()).args(["check", "b.json"]), 2);
    for code in ["CW0101", "CW0107", "2 problems"] {
        assert!(said.contains(code), "{said}");
    }
}

#[test]
fn all_designs_are_checked_before_one_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let right = include_str!("common/gru.json");
    fs::write(home.path().join("right.json"), right).unwrap();
    fs::write(home.path().join("one.json"), right.replace("\"dim\": 64", "\"dim\": 63")).unwrap();
    let two = right.replace("\"dim\": 64", "\"dim\": 63").replace("\"hidden\": 64", "\"hidden\": 65");
    fs::write(home.path().join("two.json"), two).unwrap();
    let designs = ["train", "one.json", "right.json", "absent.json", "two.json", "--data", "d"];
    let said = refused(capwright(home.path()).args(designs), 2);
    let help = "two.json: 2 problems help: capwright check one.json";
    for part in ["one.json: 1 problem absent.json: ", help] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn a_file_that_is_no_model_is_refused() {
    let home = tempfile::tempdir().unwrap();
    scenes(home.path());
    fs::write(home.path().join("m.gguf"), b"not a model at all").unwrap();
    let said = refused(search(home.path()).args(["--llm-gguf", "m.gguf"]), 2);
    assert!(said.contains("m.gguf") && said.contains("GGUF"), "{said}");
}

/// A server that answers every request with the same bytes, or never.
fn server(answer: Option<&'static str>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let mut open = Vec::new();
        for stream in listener.incoming().map_while(Result::ok) {
            let mut stream = stream;
            if let Some(answer) = answer {
                let _ = stream.read(&mut [0; 65_536]);
                let _ = stream.write_all(answer.as_bytes());
            } else {
                open.push(stream);
            }
        }
    });
    url
}

#[test]
fn a_bad_endpoint_ends_the_study_with_code_4() {
    let answers = [
        (None, ["no answer within", "waiting for 127.0.0.1"]),
        (Some("HTTP/1.1 500 Oops\r\nContent-Length: 4\r\nConnection: close\r\n\r\nboom"), ["500", "boom"]),
        (
            Some("HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\ngarbage!!"),
            ["architect failed", "garbage"],
        ),
    ];
    for (answer, words) in answers {
        let home = tempfile::tempdir().unwrap();
        scenes(home.path());
        let url = server(answer);
        let said = refused(search(home.path()).args(["--llm-url", &url, "--llm-timeout", "1"]), 4);
        assert!(words.iter().all(|word| said.contains(word)), "{said}");
        // A study that never began leaves nothing; one that did is there to be resumed.
        let begun = home.path().join("capwright-studies/001/ledger.sqlite").exists();
        assert_eq!(begun, home.path().join("capwright-studies/001").exists(), "{said}");
    }
}

#[test]
fn a_truncated_photo_is_named() {
    let home = tempfile::tempdir().unwrap();
    scenes(home.path());
    search(home.path()).args(["--architect", "random", "--study", "s", "--seed", "3"]).assert().success();
    // The start of a JPEG: SOI, APP0, and nothing more.
    let start = [0xFF, 0xD8, 0xFF, 0xE0, 0, 16, b'J', b'F', b'I', b'F', 0, 1, 1, 0, 0, 1, 0, 1, 0, 0];
    fs::write(home.path().join("half.jpg"), start).unwrap();
    let said = refused(capwright(home.path()).args(["caption", "s/trials/0001/model", "half.jpg"]), 2);
    assert!(said.contains("half.jpg"), "{said}");
    let said = refused(capwright(home.path()).args(["caption", "d", "half.jpg"]), 2);
    assert!(said.contains("model"), "{said}");
}

/// How a command ends whose standard output goes there: its code, and what it says on standard error.
fn ended(home: &Path, args: &[&str], output: impl Into<Stdio>) -> (Option<i32>, String) {
    let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin("capwright"));
    command.env("CAPWRIGHT_CACHE", home.join("cache")).env("CAPWRIGHT_OFFLINE", "1").env("NO_COLOR", "1");
    let done = command.current_dir(home).args(args).stdout(output).output().expect("the program runs");
    (done.status.code(), String::from_utf8_lossy(&done.stderr).into_owned())
}

#[test]
fn a_closed_pipe_changes_no_exit_code_and_a_full_disk_is_told() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("wrong.json"), "{}").unwrap();
    let cases: [(&[&str], i32); 3] =
        [(&["check", "wrong.json", "--json"], 2), (&["zoo", "list"], 0), (&["completions", "bash"], 0)];
    for (args, code) in cases {
        let (reader, closed) = std::io::pipe().unwrap();
        drop(reader);
        let (found, said) = ended(home.path(), args, closed);
        assert_eq!(found, Some(code), "{args:?}: {said}");
        assert!(!said.contains("panicked") && !said.contains("standard output"), "{args:?}: {said}");
    }
    if cfg!(target_os = "linux") {
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        let (found, said) = ended(home.path(), &["zoo", "list"], full);
        assert_eq!(found, Some(2), "{said}");
        assert!(said.contains("standard output cannot be written"), "{said}");
    }
}

#[test]
fn a_standard_error_that_cannot_be_written_stops_nothing() {
    let home = tempfile::tempdir().unwrap();
    scenes(home.path());
    let unheard = |args: &str, errors: Stdio| {
        let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin("capwright"));
        command.env("CAPWRIGHT_CACHE", home.path().join("cache")).env("CAPWRIGHT_OFFLINE", "1");
        command.current_dir(home.path()).args(args.split_whitespace());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors);
        command.status().expect("the program runs").code()
    };
    let (reader, closed) = std::io::pipe().unwrap();
    drop(reader);
    let search = "search small --data d --study s --architect random --trials 1 --epochs 1 --image-size 48 \
                  --min-count 1 --max-macs 2000000 --seed 3";
    assert_eq!(unheard(search, closed.into()), Some(0));
    assert!(home.path().join("s/trials/0001/result.json").exists());
    if cfg!(target_os = "linux") {
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        assert_eq!(unheard("check missing.json", full.into()), Some(2));
    }
}

#[test]
fn a_recording_without_designs_is_no_failure_of_a_language_model() {
    let home = tempfile::tempdir().unwrap();
    scenes(home.path());
    let recorded = home.path().join("recorded");
    fs::create_dir(&recorded).unwrap();
    let opened = capwright_study::conformance::opened();
    drop(capwright_store::SqliteStore::create(&recorded.join("ledger.sqlite"), &[opened]).unwrap());
    let said = refused(search(home.path()).args(["--architect", "replay:recorded"]), 2);
    assert!(said.contains("the recording holds no attempt 0 of proposal"), "{said}");
}
