//! `kill -9` of the driver and of workers at random moments: `resume` finishes the study, no acknowledged trial is
//! lost and none is trained twice.
//!
//! `CAPWRIGHT_KILLS=20 cargo test --release -p capwright --test kill -- --nocapture` is the long run.
#![cfg(unix)]

use assert_cmd::cargo::cargo_bin;
use serde_json::Value;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const TRIALS: usize = 4;

/// Trains the designs of [`record`].
const SEARCH: &str = "search small --data d --study s --architect replay:recorded --trials 4 --epochs 6 --patience 6 \
                      --image-size 32 --min-count 1 --seed 5";

/// A design over 32 pixels that learns something in six epochs.
fn design(stem: u32, cell: &str, hidden: u32) -> String {
    format!(
        r#"{{"encoder": {{"input": 32, "source": {{"kind": "scratch", "stem": {stem},
  "stages": [{{"kind": "conv", "out": 16, "repeat": 1}}]}}, "blocks": []}},
"bridge": {{"dim": 64, "dropout_pct": 0}},
"decoder": {{"family": "recurrent", "cell": "{cell}", "embed": 64, "hidden": {hidden}, "layers": 1,
  "image": "initial_state", "attention": "additive", "dropout_pct": 0}},
"recipe": {{"lr": 0.003, "schedule": "cosine", "weight_decay": 0.0, "label_smoothing": 0.0, "clip": 1.0, "batch": 8}}}}"#
    )
}

/// A recorded study of four designs. What a random architect would draw changes with the language; these do not.
fn record(folder: &Path) {
    use capwright_study::{Event, TrialStore, Verdict, conformance};
    std::fs::create_dir(folder).unwrap();
    let ledger = folder.join("ledger.sqlite");
    let mut store = capwright_store::SqliteStore::create(&ledger, &[conformance::opened()]).unwrap();
    let designs = [(8, "gru", 64), (16, "gru", 96), (8, "lstm", 64), (16, "lstm", 96)];
    for (trial, (stem, cell, hidden)) in (1..).zip(designs) {
        let mut verdict = conformance::admitted(trial, "resnet18");
        if let Verdict::Admitted { hash, .. } = &mut verdict {
            *hash = format!("recorded {trial}");
        }
        let mut draft = conformance::draft(trial, 0, verdict);
        draft.text = design(stem, cell, hidden);
        store.append(&Event::Proposed(Box::new(draft))).unwrap();
    }
}

fn capwright(home: &Path) -> Command {
    within(home, Command::new(cargo_bin("capwright")))
}

fn within(home: &Path, mut command: Command) -> Command {
    command.env("CAPWRIGHT_CACHE", home.join("cache")).env("CAPWRIGHT_OFFLINE", "1").current_dir(home);
    let said = std::fs::File::create(home.join("said.txt")).expect("the folder can be written");
    command.stdout(Stdio::null()).stderr(said).stdin(Stdio::null());
    command
}

/// A driver that ended by itself has done its work; otherwise what it said tells why.
fn assert_done(child: &mut Child, home: &Path) {
    let status = child.wait().expect("the process can be asked");
    let said = std::fs::read_to_string(home.join("said.txt")).unwrap_or_default();
    assert!(status.success(), "{status}: {said}");
}

/// Removes what a search left that was killed before it began: a new one would not write over it.
fn clear(study: &Path) {
    let _ = std::fs::remove_dir_all(study);
}

fn kill(pid: u32) {
    let _ = Command::new("kill").args(["-9", &pid.to_string()]).stderr(Stdio::null()).status();
}

/// A worker of that driver, if one runs.
fn worker_of(driver: u32) -> Option<u32> {
    let output = Command::new("pgrep").args(["-P", &driver.to_string()]).output().ok()?;
    String::from_utf8_lossy(&output.stdout).lines().next()?.trim().parse().ok()
}

/// Trials by how often the ledger says that they finished.
fn finished(home: &Path) -> Vec<i64> {
    let ledger = home.join("s/ledger.sqlite");
    if !ledger.exists() {
        return Vec::new();
    }
    let mut store = capwright_store::SqliteStore::open_read_only(&ledger).expect("the ledger opens");
    let events = capwright_study::TrialStore::events(&mut store).expect("the ledger reads");
    let ended = events.iter().filter_map(|recorded| match &recorded.event {
        capwright_study::Event::TrialFinished { trial, .. } => Some(*trial as i64),
        _ => None,
    });
    ended.collect()
}

/// Waits up to `time`; whether the process ended by itself.
fn ended_within(child: &mut Child, time: Duration) -> bool {
    let end = std::time::Instant::now() + time;
    while std::time::Instant::now() < end {
        if child.try_wait().expect("the process can be asked").is_some() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    false
}

#[test]
fn nothing_is_lost_and_nothing_is_trained_twice() {
    let kills: u32 = std::env::var("CAPWRIGHT_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(4);
    let home = tempfile::tempdir().unwrap();
    let args = ["data", "make-scenes", "d", "--train", "96", "--val", "16", "--test", "4", "--size", "32"];
    assert!(capwright(home.path()).args(args).status().unwrap().success());
    record(&home.path().join("recorded"));
    let mut acknowledged: Vec<i64> = Vec::new();
    // A fixed walk over moments, so that a failure can be met again.
    let mut moment: u64 = 7;
    let (mut drivers, mut workers, mut rounds) = (0, 0, 0);
    for round in 0..kills {
        moment = (moment * 1_103_515_245 + 12_345) % 2_147_483_648;
        let mut command = capwright(home.path());
        if home.path().join("s/ledger.sqlite").exists() {
            command.args(["resume", "s"]);
        } else {
            clear(&home.path().join("s"));
            command.args(SEARCH.split_whitespace());
        }
        let mut child = command.spawn().unwrap();
        let over = ended_within(&mut child, Duration::from_millis(150 + moment % 1_200));
        match (over, round % 2, worker_of(child.id())) {
            (true, ..) => {
                // The study is done: the rest of the kills go to a new one.
                assert_done(&mut child, home.path());
                check_study(home.path(), &acknowledged);
                std::fs::remove_dir_all(home.path().join("s")).unwrap();
                acknowledged.clear();
                rounds += 1;
                continue;
            }
            (false, 1, Some(worker)) => {
                kill(worker);
                workers += 1;
                std::thread::sleep(Duration::from_millis(moment % 400));
            }
            _ => drivers += 1,
        }
        kill(child.id());
        child.wait().unwrap();
        let now = finished(home.path());
        for trial in &acknowledged {
            assert!(now.contains(trial), "trial {trial} was acknowledged and is lost: {now:?}");
        }
        acknowledged = now;
    }
    let mut last = capwright(home.path());
    if home.path().join("s/ledger.sqlite").exists() {
        last.args(["resume", "s"]);
    } else {
        clear(&home.path().join("s"));
        last.args(SEARCH.split_whitespace());
    }
    assert_done(&mut last.spawn().unwrap(), home.path());
    check_study(home.path(), &acknowledged);
    println!("{drivers} drivers and {workers} workers killed, {rounds} studies finished in between");
}

/// A finished study: every trial ended once, earlier results unchanged, each model trained once.
fn check_study(home: &Path, acknowledged: &[i64]) {
    let mut ended = finished(home);
    for trial in acknowledged {
        assert!(ended.contains(trial));
    }
    ended.sort_unstable();
    assert_eq!(ended, (1..=TRIALS as i64).collect::<Vec<_>>());
    let card = std::fs::read_to_string(home.join("s/best/card.json")).expect("the best model is written");
    let card: Value = serde_json::from_str(&card).unwrap();
    assert!(card["validation"]["bleu"][3].is_number());
    assert_eq!(card["test"]["images"], 4, "the test split is scored at the end");
}

#[test]
fn a_trial_killed_at_any_step_ends_with_the_same_weights() {
    let times: u64 = std::env::var("CAPWRIGHT_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(3);
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let args = ["data", "make-scenes", "d", "--train", "96", "--val", "16", "--test", "4", "--size", "32"];
    assert!(capwright(home).args(args).status().unwrap().success());
    std::fs::write(home.join("design.json"), design(8, "lstm", 64)).unwrap();
    let train = |study: &str| {
        let mut command = capwright(home);
        command.args(["train", "design.json", "--data", "d", "--min-count", "1", "--epochs", "3"]);
        command.args(["--self-critical", "2", "--patience", "5", "--study", study]);
        command
    };
    let weights = |study: &str| {
        let trial = home.join(study).join("trials/0001");
        ["model/weights.safetensors", "checkpoint.safetensors", "result.json"]
            .map(|file| std::fs::read(trial.join(file)).unwrap())
    };
    // The state after the last epoch, since the best one may lie before the kill. The header in front of it also tells times.
    let last = |checkpoint: &[u8]| {
        let (length, rest) = checkpoint.split_first_chunk().expect("the length of the header");
        rest[u64::from_le_bytes(*length) as usize..].to_vec()
    };
    let start = std::time::Instant::now();
    assert!(train("unbroken").status().unwrap().success());
    let whole = start.elapsed();
    let [unbroken, state, told] = weights("unbroken");
    let best = |result: &[u8]| serde_json::from_slice::<Value>(result).unwrap()["best_epoch"].clone();
    let mut killed = 0;
    for time in 0..times {
        let study = format!("killed-{time}");
        let mut child = train(&study).spawn().unwrap();
        // Somewhere in the run, each time elsewhere: multiples of the golden ratio fall evenly.
        let share = 0.1 + 0.8 * (0.618_034 * (time + 1) as f64).fract();
        if !ended_within(&mut child, whole.mul_f64(share)) {
            worker_of(child.id()).into_iter().for_each(kill);
            killed += 1;
        }
        kill(child.id());
        child.wait().unwrap();
        if home.join(&study).join("ledger.sqlite").exists() {
            assert_done(&mut capwright(home).args(["resume", &study]).spawn().unwrap(), home);
        } else {
            clear(&home.join(&study));
            assert_done(&mut train(&study).spawn().unwrap(), home);
        }
        let [resumed, went_on, result] = weights(&study);
        assert!(resumed == unbroken, "run {time}: weights differ");
        assert!(last(&went_on) == last(&state), "run {time}: the last state differs");
        assert_eq!(best(&result), best(&told), "run {time}");
    }
    println!("{killed} of {times} runs were killed; all ended with the same weights");
    assert!(killed > 0, "no run was killed in time");
}

#[test]
fn a_search_that_ignores_hangups_outlives_its_terminal() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let args = ["data", "make-scenes", "d", "--train", "96", "--val", "16", "--test", "4", "--size", "32"];
    assert!(capwright(home).args(args).status().unwrap().success());
    record(&home.join("recorded"));
    let mut shell = within(home, Command::new("sh"));
    shell.args(["-c", "trap '' HUP; exec \"$0\" \"$@\""]).arg(cargo_bin("capwright"));
    let mut child = shell.args(SEARCH.split_whitespace()).spawn().unwrap();
    let begun = || home.join("s/ledger.sqlite").exists();
    while !begun() && !ended_within(&mut child, Duration::from_millis(10)) {}
    assert!(begun(), "{}", std::fs::read_to_string(home.join("said.txt")).unwrap_or_default());
    let hangup = Command::new("kill").args(["-HUP", &child.id().to_string()]).status();
    assert!(hangup.unwrap().success());
    assert_done(&mut child, home);
    check_study(home, &[]);
}
