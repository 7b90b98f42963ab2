use tempfile::TempDir;
use zip::write::SimpleFileOptions;

use super::*;

const LIMITS: UnpackLimits = UnpackLimits { files: 10, bytes: 1_000_000 };

fn archive(dir: &TempDir, entries: &[(&str, &[u8])]) -> PathBuf {
    let path = dir.path().join("a.zip");
    let mut zip = zip::ZipWriter::new(File::create(&path).unwrap());
    for (name, content) in entries {
        if name.ends_with('/') {
            zip.add_directory(*name, SimpleFileOptions::default()).unwrap();
        } else {
            zip.start_file(*name, SimpleFileOptions::default()).unwrap();
            zip.write_all(content).unwrap();
        }
    }
    zip.finish().unwrap();
    path
}

fn run(archive: &Path, folder: &Path) -> Result<Unpacked, UnpackError> {
    unpack(archive, folder, LIMITS, &|_| true, &mut |_, _| ControlFlow::Continue(()))
}

/// Names below a folder, sorted.
fn names(folder: &Path) -> Vec<String> {
    let mut found: Vec<String> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .flat_map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            if entry.path().is_dir() {
                names(&entry.path()).iter().map(|inner| format!("{name}/{inner}")).collect()
            } else {
                vec![name]
            }
        })
        .collect();
    found.sort();
    found
}

/// Changes bytes of an archive wherever they stand.
fn patch(path: &Path, from: &[u8], to: &[u8]) {
    assert_eq!(from.len(), to.len());
    let mut bytes = fs::read(path).unwrap();
    let places: Vec<usize> =
        (0..bytes.len() - from.len()).filter(|&i| bytes[i..].starts_with(from)).collect();
    assert!(!places.is_empty());
    places.iter().for_each(|&i| bytes[i..i + to.len()].copy_from_slice(to));
    fs::write(path, bytes).unwrap();
}

#[test]
fn files_are_unpacked_once_and_mended() {
    let dir = TempDir::new().unwrap();
    let long = vec![b'x'; 300_000];
    let zip = archive(
        &dir,
        &[("train/", b""), ("train/1.jpg", &long), ("train/2.jpg", b"two"), ("notes.txt", b"n")],
    );
    let out = dir.path().join("out");
    fs::create_dir(&out).unwrap();
    fs::write(out.join(".part-left"), b"half").unwrap();
    assert_eq!(run(&zip, &out).unwrap(), Unpacked { written: 3, kept: 0, bytes: 300_004 });
    assert_eq!(names(&out), ["notes.txt", "train/1.jpg", "train/2.jpg"]);
    assert_eq!(fs::read(out.join("train/1.jpg")).unwrap(), long);

    fs::write(out.join("train/2.jpg"), b"tw0").unwrap();
    fs::write(out.join("notes.txt"), b"").unwrap();
    assert_eq!(run(&zip, &out).unwrap(), Unpacked { written: 2, kept: 1, bytes: 300_004 });
    assert_eq!(fs::read(out.join("train/2.jpg")).unwrap(), b"two");
}

#[test]
fn a_stop_leaves_whole_files_and_the_next_run_goes_on() {
    let dir = TempDir::new().unwrap();
    let zip = archive(&dir, &[("1", b"one"), ("2", b"two"), ("3", b"three")]);
    let out = dir.path().join("out");
    let mut told = Vec::new();
    let mut watch = |done, total| {
        told.push((done, total));
        if done >= 6 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let stopped = unpack(&zip, &out, LIMITS, &|_| true, &mut watch);
    assert!(matches!(stopped, Err(UnpackError::Stopped { .. })));
    assert_eq!(told, [(3, 11), (6, 11)]);
    assert_eq!(names(&out), ["1", "2"]);
    assert_eq!(run(&zip, &out).unwrap(), Unpacked { written: 1, kept: 2, bytes: 11 });
}

#[test]
fn only_what_is_wanted_is_unpacked_and_counted() {
    let dir = TempDir::new().unwrap();
    let zip = archive(&dir, &[("a/captions_val.json", b"{}"), ("a/instances.json", &[b' '; 100])]);
    let out = dir.path().join("out");
    let limits = UnpackLimits { files: 1, bytes: 2 };
    let wanted = |name: &str| name.starts_with("a/captions_");
    unpack(&zip, &out, limits, &wanted, &mut |_, _| ControlFlow::Continue(())).unwrap();
    assert_eq!(names(&out), ["a/captions_val.json"]);
}

#[test]
fn names_that_lead_elsewhere_are_refused_before_anything_is_written() {
    let dir = TempDir::new().unwrap();
    let out = dir.path().join("in/out");
    for name in ["../x", "/x/y", "a/../../x", "a//b", "./a", "a\\b", "c:x", "a\u{1}b"] {
        // The writer tidies some names up, so a placeholder of the same length is replaced afterwards.
        let holder = "q".repeat(name.len());
        let zip = archive(&dir, &[("good", b"1"), (&holder, b"2")]);
        patch(&zip, holder.as_bytes(), name.as_bytes());
        let error = run(&zip, &out).unwrap_err();
        assert!(
            matches!(&error, UnpackError::Refused { problems, .. } if problems.len() == 1),
            "{name}: {error}"
        );
        assert!(!out.exists() && !dir.path().join("x").exists(), "{name}");
    }
}

#[test]
fn links_and_encrypted_entries_are_refused_together() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("l.zip");
    let mut zip = zip::ZipWriter::new(File::create(&path).unwrap());
    zip.add_symlink("images", "/etc", SimpleFileOptions::default()).unwrap();
    zip.start_file("../passwd", SimpleFileOptions::default()).unwrap();
    zip.finish().unwrap();
    let Err(UnpackError::Refused { problems, .. }) = run(&path, &dir.path().join("out")) else { panic!() };
    assert!(problems.iter().any(|problem| problem == "\"images\" is a link"), "{problems:?}");
}

#[test]
fn bombs_are_refused_by_what_they_claim_and_by_what_they_hold() {
    let dir = TempDir::new().unwrap();
    let out = dir.path().join("out");
    let zip = archive(&dir, &[("big", &[0; 1_000_001])]);
    assert!(fs::metadata(&zip).unwrap().len() < 10_000, "it is well packed");
    assert!(matches!(run(&zip, &out), Err(UnpackError::TooMuch { unit: "bytes", .. })));
    // The same, claiming to be small.
    patch(&zip, &1_000_001u32.to_le_bytes(), &1000u32.to_le_bytes());
    let error = run(&zip, &out).unwrap_err();
    assert!(matches!(&error, UnpackError::Damaged { .. }), "{error}");
    assert!(names(&out).is_empty());
    let many: Vec<String> = (0..11).map(|i| i.to_string()).collect();
    let many: Vec<(&str, &[u8])> = many.iter().map(|name| (name.as_str(), b"".as_slice())).collect();
    let zip = archive(&dir, &many);
    assert!(matches!(run(&zip, &out), Err(UnpackError::TooMuch { limit: 10, unit: "files", .. })));
}

#[test]
fn damaged_and_foreign_files_are_told_apart() {
    let dir = TempDir::new().unwrap();
    let zip = archive(&dir, &[("good", b"1"), ("bad", b"some text, some text, some text")]);
    let crc = {
        let mut open = ZipArchive::new(File::open(&zip).unwrap()).unwrap();
        open.by_name("bad").unwrap().crc32()
    };
    patch(&zip, &crc.to_le_bytes(), &(crc ^ 1).to_le_bytes());
    let out = dir.path().join("out");
    let error = run(&zip, &out).unwrap_err();
    assert!(matches!(&error, UnpackError::Damaged { name, .. } if name == "bad"), "{error}");
    assert_eq!(names(&out), ["good"]);
    fs::write(&zip, b"PK, but not a zip").unwrap();
    assert!(matches!(run(&zip, &out), Err(UnpackError::NotZip { .. })));
}
