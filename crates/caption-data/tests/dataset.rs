//! Data sets that are right, and data sets that are wrong in every way we know.

use std::path::{Path, PathBuf};

use capwright_caption_data::{
    DataError, Dataset, Preprocess, Problem, SceneOptions, Split, Vocabulary, load_batch, make_scenes,
};

/// A small data set on disk, two images in train and one in val.
struct Folder {
    dir: tempfile::TempDir,
}

const CAPTIONS: &str = r#"{
  "images": [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "b.png"}, {"id": 3, "file_name": "c.png"}],
  "annotations": [
    {"id": 1, "image_id": 1, "caption": "a dog runs"}, {"id": 2, "image_id": 2, "caption": " a cat sits "},
    {"id": 3, "image_id": 3, "caption": "two birds"}, {"id": 4, "image_id": 3, "caption": "birds"}]
}"#;
const SPLITS: &str = r#"{"train": ["a.png", "b.png"], "val": ["c.png"]}"#;

impl Folder {
    fn new() -> Self {
        let folder = Folder { dir: tempfile::tempdir().unwrap() };
        std::fs::create_dir(folder.path("images")).unwrap();
        for name in ["a", "b", "c"] {
            folder.write(&format!("images/{name}.png"), &format!("content of {name}"));
        }
        folder.write("captions.json", CAPTIONS);
        folder.write("splits.json", SPLITS);
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    /// Replaces text in a file, which must hold it.
    fn change(&self, name: &str, from: &str, to: &str) -> &Self {
        let text = std::fs::read_to_string(self.path(name)).unwrap();
        assert!(text.contains(from));
        self.write(name, &text.replacen(from, to, 1));
        self
    }

    fn load(&self) -> Result<Dataset, DataError> {
        Dataset::load(self.dir.path())
    }

    fn problems(&self) -> Vec<Problem> {
        match self.load() {
            Err(DataError::Problems(problems)) => problems.list,
            other => panic!("expected problems, got {other:?}"),
        }
    }

    fn message(&self) -> String {
        self.load().unwrap_err().to_string()
    }
}

#[test]
fn a_good_folder_loads() {
    let folder = Folder::new();
    let dataset = folder.load().unwrap();
    assert_eq!(dataset.images().len(), 3);
    assert_eq!(dataset.split(Split::Train), [0, 1]);
    assert!(dataset.has(Split::Val) && !dataset.has(Split::Test));
    assert_eq!(dataset.images()[1].captions, ["a cat sits"]);
    assert_eq!(dataset.images()[2].captions, ["two birds", "birds"]);
    let vocabulary = Vocabulary::from_dataset(&dataset, 1);
    assert_eq!(vocabulary.words()[4..], ["a", "cat", "dog", "runs", "sits"]);
}

#[test]
fn the_fingerprint_follows_content_not_names() {
    let original = Folder::new().load().unwrap().fingerprint().to_owned();
    // Things that are stored elsewhere are found by it: computed once with Python's hashlib, it must never change.
    assert_eq!(original, "bfc27c1bff052fafdf22e7824bbd72719b6bbc8ff751fc63679d0b4396801b40");
    let of = |change: &dyn Fn(&Folder)| {
        let folder = Folder::new();
        change(&folder);
        folder.load().unwrap().fingerprint().to_owned()
    };
    let swapped = of(&|f| _ = f.change("splits.json", r#""a.png", "b.png""#, r#""b.png", "a.png""#));
    assert_eq!(swapped, original);
    let renumbered = of(&|f| _ = f.change("captions.json", r#""id": 4,"#, r#""id": 44,"#));
    assert_eq!(renumbered, original);
    assert_ne!(of(&|f| _ = f.change("captions.json", "a dog runs", "a dog ran")), original);
    assert_ne!(of(&|f| f.write("images/a.png", "other content")), original);
    let moved =
        of(&|f| f.write("splits.json", r#"{"train": ["a.png"], "val": ["c.png"], "test": ["b.png"]}"#));
    assert_ne!(moved, original);
}

#[test]
fn all_problems_come_at_once() {
    let folder = Folder::new();
    std::fs::remove_file(folder.path("images/b.png")).unwrap();
    folder
        .change("captions.json", r#"{"id": 3, "image_id": 3"#, r#"{"id": 2, "image_id": 77"#)
        .change("captions.json", "\"birds\"", "\"\"")
        .change("splits.json", r#""a.png", "#, r#""a.png", "zebra.png", "#)
        .change("splits.json", r#""val": ["c.png"]"#, r#""val": []"#);
    let problems = folder.problems();
    assert_eq!(problems.len(), 6, "{problems:#?}");
    let message = folder.message();
    for expected in
        ["annotation 2 names image 77", "b.png", "zebra.png", "\"val\" is missing", "id 2", "0 characters"]
    {
        assert!(message.contains(expected), "{expected} is not in {message}");
    }
}

#[test]
fn malformed_json_is_reported_with_its_place() {
    let folder = Folder::new();
    folder.change("captions.json", "\"annotations\": [", "\"annotations\": [,");
    folder.write("splits.json", "{\"train\": [1]}");
    let message = folder.message();
    assert!(message.contains("captions.json, line 3, column 19"), "{message}");
    assert!(message.contains("splits.json, line 1, column"), "{message}");
}

#[test]
fn missing_files_are_named() {
    let folder = Folder::new();
    std::fs::remove_file(folder.path("splits.json")).unwrap();
    assert_eq!(folder.problems(), [Problem::NoSplits]);
    let folder = Folder::new();
    std::fs::remove_file(folder.path("captions.json")).unwrap();
    assert!(folder.message().contains("captions.json"));
    let message = Dataset::load(folder.path("nowhere")).unwrap_err().to_string();
    assert!(message.contains("nowhere"), "{message}");
}

#[test]
fn names_that_leave_the_folder_are_refused() {
    for name in ["../a.png", "/etc/passwd", "x/../../a.png", "", "..\\\\a.png", "./../a.png"] {
        let folder = Folder::new();
        folder.write("a.png", "outside");
        folder.change("captions.json", "\"a.png\"", &format!("\"{name}\""));
        let problems = folder.problems();
        let refused = |p: &Problem| matches!(p, Problem::UnsafeFileName { id: 1, .. });
        assert!(problems.iter().any(refused), "{name}: {problems:?}");
    }
}

#[cfg(unix)]
#[test]
fn links_out_of_the_folder_are_refused() {
    let folder = Folder::new();
    folder.write("secret.png", "outside");
    std::fs::remove_file(folder.path("images/a.png")).unwrap();
    std::os::unix::fs::symlink("../secret.png", folder.path("images/a.png")).unwrap();
    assert!(matches!(folder.problems()[..], [Problem::LinkOutside { id: 1, .. }]));
    let message = folder.message();
    assert!(message.contains("a.png is a link that leads outside the folder of images"), "{message}");
}

#[test]
fn overlapping_splits_are_refused() {
    let folder = Folder::new();
    folder.change("splits.json", r#"["c.png"]"#, r#"["c.png", "a.png"]"#);
    assert!(matches!(
        folder.problems()[..],
        [Problem::Overlap { first: Split::Train, second: Split::Val, .. }]
    ));

    let folder = Folder::new();
    folder.write("images/c.png", "content of b");
    let message = folder.message();
    assert!(message.contains("b.png in \"train\" and c.png in \"val\" are the same image"), "{message}");

    let folder = Folder::new();
    folder.change("splits.json", r#""a.png", "b.png""#, r#""a.png", "a.png""#);
    assert!(matches!(folder.problems()[..], [Problem::TwiceInSplit { split: Split::Train, .. }]));
}

#[test]
fn other_bad_entries_are_refused() {
    let check = |from: &str, to: &str, expected: &dyn Fn(&Problem) -> bool| {
        let folder = Folder::new();
        folder.change("captions.json", from, to);
        let problems = folder.problems();
        assert!(problems.iter().any(expected), "{problems:?}");
    };
    check("\"id\": 2, \"file_name\"", "\"id\": 1, \"file_name\"", &|p| *p == Problem::DuplicateImageId(1));
    check("\"file_name\": \"b.png\"", "\"file_name\": \"a.png\"", &|p| {
        *p == Problem::DuplicateFileName("a.png".into())
    });
    let long = "x".repeat(2001);
    check("a dog runs", &long, &|p| matches!(p, Problem::CaptionLength { chars: 2001, .. }));
    check("\"image_id\": 1", "\"image_id\": 2", &|p| matches!(p, Problem::NoCaptions { id: 1, .. }));
    let folder = Folder::new();
    folder.change("splits.json", "\"val\"", "\"validation\"");
    assert!(folder.message().contains("unknown field `validation`"));
}

const SMALL: SceneOptions = SceneOptions { train: 30, val: 10, test: 5, size: 48, seed: 11 };

#[test]
fn scenes_follow_from_the_seed() {
    let dir = tempfile::tempdir().unwrap();
    let make = |name: &str, options: &SceneOptions| {
        let dir = dir.path().join("new/parents").join(name);
        make_scenes(&dir, options).unwrap();
        Dataset::load(&dir).unwrap()
    };
    let first = make("first", &SMALL);
    let again = make("again", &SMALL);
    let other = make("other", &SceneOptions { seed: 12, ..SMALL });
    assert_eq!(first.fingerprint(), again.fingerprint());
    assert_ne!(first.fingerprint(), other.fingerprint());
    assert_eq!([Split::Train, Split::Val, Split::Test].map(|s| first.split(s).len()), [30, 10, 5]);
    assert!(first.images().iter().all(|i| i.captions.len() == 5));

    let paths: Vec<&Path> = first.records(Split::Val).map(|i| i.path.as_path()).collect();
    let pixels = load_batch(&paths, 32).unwrap();
    let mut input = vec![0.0; 3 * 32 * 32];
    Preprocess::imagenet(32).to_chw(&pixels[0], &mut input);
    assert_eq!((pixels.len(), pixels[0].len()), (10, 32 * 32 * 3));
    let left: Vec<_> = std::fs::read_dir(dir.path().join("new/parents")).unwrap().collect();
    assert_eq!(left.len(), 3, "temporary folders are left behind");
}

#[test]
fn scenes_go_into_empty_places_only() {
    let dir = tempfile::tempdir().unwrap();
    let empty = dir.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    make_scenes(&empty, &SceneOptions { test: 0, ..SMALL }).unwrap();
    assert!(!Dataset::load(&empty).unwrap().has(Split::Test));
    assert!(matches!(make_scenes(&empty, &SMALL), Err(DataError::NotEmpty(_))));
    let file = dir.path().join("file");
    std::fs::write(&file, "text").unwrap();
    assert!(matches!(make_scenes(&file, &SMALL), Err(DataError::NotEmpty(_))));
}

#[test]
fn reads_photos() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/coco-mini");
    if !dir.exists() {
        println!("skipped: the photos of coco-mini are absent at {}", dir.display());
        return;
    }
    let dataset = Dataset::load(&dir).unwrap();
    assert_eq!([Split::Train, Split::Val].map(|s| dataset.split(s).len()), [80, 159]);
    let paths: Vec<&Path> = dataset.images().iter().map(|i| i.path.as_path()).collect();
    let pixels = load_batch(&paths, 64).unwrap();
    assert!(pixels.iter().all(|p| p.len() == 64 * 64 * 3 && p.iter().any(|&v| v != p[0])));
}
