//! The SQLite ledger: conformance, one writer, crashes, and files that are no study.

use capwright_store::SqliteStore;
use capwright_study::conformance::{self, samples};
use capwright_study::{Event, StoreError, TrialStore};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

fn folder() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("study.db");
    (dir, path)
}

fn written(path: &Path) -> Vec<Event> {
    let mut store = SqliteStore::open_read_only(path).expect("a study");
    store.events().expect("readable").into_iter().map(|r| r.event).collect()
}

fn fill(path: &Path) {
    SqliteStore::create(path, &samples()).expect("created");
}

#[test]
fn it_conforms() {
    let mut kept = Vec::new();
    conformance::run(|| {
        let (dir, path) = folder();
        kept.push(dir);
        SqliteStore::create(&path, &[]).expect("created")
    });
}

#[test]
fn events_survive_reopening() {
    let (_dir, path) = folder();
    drop(SqliteStore::create(&path, &[]).expect("created"));
    conformance::survives_reopen(|| SqliteStore::open(&path).expect("opened"));
}

#[test]
fn one_writer_at_a_time_and_readers_beside_it() {
    let (_dir, path) = folder();
    let mut writer = SqliteStore::create(&path, &[]).expect("created");
    let mut reader = SqliteStore::open_read_only(&path).expect("readable while written");
    let all = samples();
    for (i, event) in all.iter().enumerate() {
        assert_eq!(reader.events().expect("readable").len(), i);
        writer.append(event).expect("appended while read");
    }
    let refused = SqliteStore::open(&path).expect_err("a second writer");
    assert!(matches!(refused, StoreError::InUse { .. }), "{refused}");
    assert!(refused.to_string().contains("in use by another process"), "{refused}");
    assert!(matches!(SqliteStore::create(&path, &[]), Err(StoreError::InUse { .. })));
    let read_only = reader.append(&all[0]).expect_err("a reader cannot write");
    assert!(matches!(read_only, StoreError::ReadOnly { .. }), "{read_only}");
    drop(writer);
    SqliteStore::open(&path).expect("free again");
    assert_eq!(written(&path), all);
}

#[cfg(unix)]
#[test]
fn a_study_is_read_where_nothing_can_be_written_beside_it() {
    let dir = tempfile::tempdir().expect("a folder");
    // What means something else in a URI.
    let path = dir.path().join("a?b #%41 é.db");
    fill(&path);
    let beside = |end: &str| dir.path().join(format!("a?b #%41 é.db{end}"));
    // Not even root makes a file of this name.
    std::os::unix::fs::symlink("nowhere", beside("-shm")).expect("linked");
    assert_eq!(written(&path), samples());
    let mut store = SqliteStore::open_read_only(&path).expect("a study");
    assert!(matches!(store.append(&samples()[0]), Err(StoreError::ReadOnly { .. })));
    fs::write(beside("-wal"), "events that the file lacks").expect("written");
    let error = SqliteStore::open_read_only(&path).expect_err("a log that cannot be read");
    assert!(matches!(error, StoreError::Backend { .. }), "{error}");
}

#[test]
fn a_store_that_is_never_closed_loses_nothing() {
    let (dir, path) = folder();
    let mut store = SqliteStore::create(&path, &[]).expect("created");
    for event in samples() {
        store.append(&event).expect("appended");
    }
    // What a crash leaves: the database and its log, taken while the store is open.
    let copy = dir.path().join("copy.db");
    fs::copy(&path, &copy).expect("copied");
    fs::copy(dir.path().join("study.db-wal"), dir.path().join("copy.db-wal")).expect("copied");
    std::mem::forget(store);
    let mut after = SqliteStore::open(&copy).expect("opened");
    assert_eq!(after.events().expect("readable").len(), samples().len());
}

#[test]
fn what_a_removed_study_left_is_no_part_of_a_new_one() {
    let (dir, path) = folder();
    let beside = |end: &str| dir.path().join(format!("study.db{end}"));
    let mut store = SqliteStore::create(&path, &[]).expect("created");
    for event in samples() {
        store.append(&event).expect("appended");
    }
    // What a killed process leaves, and a person does not think of.
    let log = fs::read(beside("-wal")).expect("read");
    drop(store);
    fs::remove_file(&path).expect("removed");
    for end in ["-wal", "-shm", "-journal"] {
        fs::write(beside(end), &log).expect("written");
    }
    let mut new = SqliteStore::create(&path, &samples()[..1]).expect("created");
    let events: Vec<Event> = new.events().expect("readable").into_iter().map(|r| r.event).collect();
    assert_eq!(events, samples()[..1]);
    assert!(!beside("-journal").exists());
    drop(new);
    assert_eq!(written(&path), samples()[..1]);
    fs::remove_file(&path).expect("removed");
    fs::create_dir(beside("-wal")).expect("a folder");
    let error = SqliteStore::create(&path, &samples()[..1]).expect_err("what cannot be removed");
    assert!(error.to_string().contains("study.db-wal: cannot remove"), "{error}");
    assert!(!path.exists(), "nothing was made");
}

/// Not a test of its own: the process that [`acknowledged_events_survive_kill`] kills.
#[test]
fn child_that_appends_until_it_is_killed() {
    let Some(path) = std::env::var_os("CAPWRIGHT_STORE_TEST_CHILD") else { return };
    let mut store = SqliteStore::open(Path::new(&path)).expect("opened");
    for trial in 1.. {
        let seq = store.append(&Event::TrialStarted { trial }).expect("appended");
        println!("\nacknowledged {seq}");
    }
}

#[test]
fn acknowledged_events_survive_kill() {
    let (_dir, path) = folder();
    drop(SqliteStore::create(&path, &[]).expect("created"));
    let mut floor = 0;
    for round in 1..=3 {
        let mut child = Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", "child_that_appends_until_it_is_killed", "--nocapture"])
            .env("CAPWRIGHT_STORE_TEST_CHILD", &path)
            .stdout(Stdio::piped())
            .spawn()
            .expect("started");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let mut acknowledged = lines
            .map_while(Result::ok)
            .filter_map(|line| line.strip_prefix("acknowledged ").and_then(|n| n.parse::<u64>().ok()));
        let seen = acknowledged.nth(5 * round).expect("the child appends");
        assert!(seen > floor, "the child goes on where the last one was killed");
        child.kill().expect("killed");
        child.wait().expect("gone");
        // Lines still in the pipe were acknowledged as well.
        let last = acknowledged.last().unwrap_or(seen);
        let kept = SqliteStore::open(&path).expect("opened").events().expect("readable");
        assert!(kept.len() as u64 >= last, "{} of {last} acknowledged events are left", kept.len());
        floor = kept.len() as u64;
    }
}

/// Not a test of its own: the process that [`a_study_begins_with_its_first_events_or_not_at_all`] kills.
#[test]
fn child_that_makes_studies_until_it_is_killed() {
    let Some(folder) = std::env::var_os("CAPWRIGHT_STORE_TEST_FOLDER") else { return };
    for number in 1.. {
        SqliteStore::create(&Path::new(&folder).join(format!("{number}.db")), &samples()).expect("created");
        println!("\nmade {number}");
    }
}

#[test]
fn a_study_begins_with_its_first_events_or_not_at_all() {
    for round in 0..8 {
        let dir = tempfile::tempdir().expect("a folder");
        let mut child = Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", "child_that_makes_studies_until_it_is_killed", "--nocapture"])
            .env("CAPWRIGHT_STORE_TEST_FOLDER", dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .expect("started");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let mut made = lines.map_while(Result::ok).filter(|line| line.starts_with("made "));
        made.next().expect("the child makes studies");
        std::thread::sleep(std::time::Duration::from_millis(3 * round));
        child.kill().expect("killed");
        child.wait().expect("gone");
        let files = fs::read_dir(dir.path()).expect("readable").map(|entry| entry.expect("an entry").path());
        let studies: Vec<PathBuf> =
            files.filter(|path| path.extension().is_some_and(|e| e == "db")).collect();
        assert!(!studies.is_empty());
        studies.iter().for_each(|path| assert_eq!(written(path), samples(), "{}", path.display()));
    }
}

#[test]
fn files_that_are_no_study() {
    let (dir, path) = folder();
    let not_a_study = |path: &Path| {
        for result in [SqliteStore::open(path), SqliteStore::open_read_only(path)] {
            let error = result.expect_err("no study");
            assert!(matches!(error, StoreError::NotAStudy { .. }), "{error}");
            assert!(error.to_string().contains(path.to_str().expect("Unicode")), "{error}");
        }
    };
    assert!(matches!(SqliteStore::open(&path), Err(StoreError::Missing { .. })));
    assert!(matches!(SqliteStore::open_read_only(&path), Err(StoreError::Missing { .. })));
    not_a_study(dir.path());
    fs::write(&path, "[contract]\nversion = 1\n").expect("written");
    not_a_study(&path);
    assert!(matches!(SqliteStore::create(&path, &[]), Err(StoreError::Exists { .. })));
    assert_eq!(fs::read(&path).expect("still there"), b"[contract]\nversion = 1\n");
    fs::write(&path, b"SQLite format 3\0 and then nothing of the kind").expect("written");
    not_a_study(&path);
    let other = dir.path().join("other.db");
    rusqlite::Connection::open(&other).and_then(|c| c.execute_batch("CREATE TABLE t (x)")).expect("made");
    not_a_study(&other);
    fs::write(&path, "").expect("written");
    not_a_study(&path);
    let lost = SqliteStore::create(&dir.path().join("missing/study.db"), &[]).expect_err("no folder");
    assert!(matches!(lost, StoreError::Backend { .. }), "{lost}");
}

#[test]
fn an_empty_file_left_by_a_crash_can_be_made_a_study() {
    let (_dir, path) = folder();
    fs::write(&path, "").expect("written");
    fill(&path);
    assert_eq!(written(&path), samples());
}

#[test]
fn a_later_format_is_refused() {
    let (_dir, path) = folder();
    fill(&path);
    let raw = rusqlite::Connection::open(&path).expect("opened");
    raw.pragma_update(None, "user_version", 2).expect("set");
    drop(raw);
    let error = SqliteStore::open(&path).expect_err("newer");
    assert!(matches!(error, StoreError::Newer { found: 2, known: 1, .. }), "{error}");
}

#[test]
fn the_table_refuses_changes() {
    let (_dir, path) = folder();
    fill(&path);
    let raw = rusqlite::Connection::open(&path).expect("opened");
    for statement in [
        "UPDATE events SET json = '' WHERE seq = 3",
        "DELETE FROM events WHERE seq = 3",
        "INSERT INTO events VALUES (99, 0, '', '')",
        "INSERT OR REPLACE INTO events VALUES (3, 0, '', '')",
    ] {
        let error = raw.execute(statement, ()).expect_err(statement);
        assert!(error.to_string().contains("events are"), "{statement}: {error}");
    }
    drop(raw);
    assert_eq!(written(&path), samples());
}

#[test]
fn events_that_belong_together_are_there_together_or_not_at_all() {
    let (_dir, path) = folder();
    let mut store = SqliteStore::create(&path, &[]).expect("created");
    let raw = rusqlite::Connection::open(&path).expect("opened");
    raw.execute_batch(
        "CREATE TRIGGER full BEFORE INSERT ON events WHEN NEW.seq = 3
         BEGIN SELECT RAISE(ABORT, 'the disk is full'); END;",
    )
    .expect("made");
    let error = store.append_all(&samples()[..4]).expect_err("the third does not fit");
    assert!(error.to_string().contains("the disk is full"), "{error}");
    assert_eq!(store.events().expect("readable"), []);
    store.append_all(&samples()[..2]).expect("appended");
    assert_eq!(written(&path), samples()[..2]);
}

#[test]
fn damage_is_reported_and_never_panics() {
    let (_dir, path) = folder();
    fill(&path);
    let whole = fs::read(&path).expect("read");
    let read = |bytes: &[u8]| {
        fs::write(&path, bytes).expect("written");
        SqliteStore::open_read_only(&path).and_then(|mut store| store.events())
    };
    assert_eq!(read(&whole).expect("whole").len(), samples().len());
    for length in [100, 4096, whole.len() / 2, whole.len() - 4096] {
        let error = read(&whole[..length]).expect_err("cut short");
        let told = matches!(error, StoreError::NotAStudy { .. } | StoreError::Corrupt { .. });
        assert!(told, "cut at {length}: {error}");
    }
    let mut bad = whole.clone();
    bad[4096..].fill(0xa5);
    assert!(matches!(read(&bad), Err(StoreError::Corrupt { .. })));
}

#[test]
fn a_line_that_is_no_event_is_named() {
    let (_dir, path) = folder();
    drop(SqliteStore::create(&path, &[]).expect("created"));
    let raw = rusqlite::Connection::open(&path).expect("opened");
    raw.execute("INSERT INTO events VALUES (1, 0, 'dance', '{\"event\":\"dance\"}')", ()).expect("inserted");
    drop(raw);
    let error = SqliteStore::open(&path).expect("opened").events().expect_err("no event");
    assert!(error.to_string().contains("event 1") && error.to_string().contains("dance"), "{error}");
}
