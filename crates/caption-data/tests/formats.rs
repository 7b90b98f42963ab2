//! Every format is read as its collection lays it out, and keeps everything when it is written and read again.

mod common;

use std::collections::BTreeMap;
use std::path::Path;

use capwright_caption_data::{ConvertOptions, DataError, Dataset, Format, Problem, Split, convert, inspect};
use common::{Folder, jpeg, native, png};

fn counts(dataset: &Dataset) -> [usize; 3] {
    Split::ALL.map(|split| dataset.split(split).len())
}

/// Captions by the name of their image.
fn captions(dataset: &Dataset) -> BTreeMap<&str, Vec<&str>> {
    dataset
        .images()
        .iter()
        .map(|i| (i.file_name.as_str(), i.captions.iter().map(String::as_str).collect()))
        .collect()
}

#[test]
fn every_format_keeps_everything() {
    let folder = Folder::new();
    let original = Dataset::load(native(&folder, "native")).unwrap();
    for format in Format::ALL.into_iter().filter(|f| f.is_writable()) {
        let (there, back) = (folder.path(&format!("{format}")), folder.path(&format!("{format}-back")));
        let done = convert(folder.path("native"), &there, &ConvertOptions::to(format)).unwrap();
        assert_eq!((done.images, done.captions, done.splits), (7, 12, [3, 2, 1]), "{format}");
        assert_eq!(done.fingerprint, original.fingerprint(), "{format}");
        assert_eq!(Format::detect(&there).unwrap(), format);
        match Dataset::load(&there) {
            Err(DataError::Packed { format: packed, .. }) => {
                assert!(packed == format && format.is_packed());
            }
            direct => assert_eq!(direct.unwrap().fingerprint(), original.fingerprint(), "{format}"),
        }
        convert(&there, &back, &ConvertOptions::to(Format::Folder)).unwrap();
        let again = Dataset::load(&back).unwrap();
        assert_eq!(again.fingerprint(), original.fingerprint(), "{format}");
        assert_eq!(captions(&again), captions(&original), "{format}");
        for image in original.images() {
            let copy = again.images().iter().find(|i| i.file_name == image.file_name).unwrap();
            assert_eq!(std::fs::read(&copy.path).unwrap(), std::fs::read(&image.path).unwrap());
        }
    }
}

#[test]
fn shards_and_files_are_split_when_they_are_long() {
    // More images than a row group of Parquet has; the pictures may be the same, their names differ.
    let folder = Folder::new();
    let mut lines = String::new();
    for at in 0..300 {
        folder.write(&format!("data set/images/{at}.png"), png(at % 7));
        let split = ["train", "val"][(at % 7 == 0) as usize];
        lines +=
            &format!("{{\"image\": \"{at}.png\", \"caption\": \"number {at}\", \"split\": \"{split}\"}}\n");
    }
    folder.write("data set/captions.jsonl", lines);
    let original = Dataset::load(folder.path("data set")).unwrap();
    for format in [Format::Parquet, Format::Webdataset] {
        let (there, back) = (folder.path(&format!("{format}")), folder.path(&format!("{format}-back")));
        convert(folder.path("data set"), &there, &ConvertOptions::to(format)).unwrap();
        convert(&there, &back, &ConvertOptions::to(Format::Karpathy)).unwrap();
        assert_eq!(Dataset::load(&back).unwrap().fingerprint(), original.fingerprint(), "{format}");
    }
}

#[test]
fn reads_the_layout_of_coco() {
    let folder = Folder::new();
    for (split, id) in [("train", 9), ("val", 42)] {
        let name = format!("{id:012}.jpg");
        folder.write(&format!("{split}2017/{name}"), jpeg(id));
        let text = format!(
            r#"{{"info": {{"year": 2017}}, "licenses": [], "images": [{{"license": 3, "file_name": "{name}", "id": {id}}}],
                "annotations": [{{"image_id": {id}, "id": 1{id}, "caption": "A photo.\n"}}]}}"#
        );
        folder.write(&format!("annotations/captions_{split}2017.json"), text);
    }
    folder.write("annotations/instances_val2017.json", "{}");
    assert_eq!(Format::detect(folder.root()).unwrap(), Format::Coco);
    let dataset = Dataset::load(folder.root()).unwrap();
    assert_eq!(counts(&dataset), [1, 1, 0]);
    assert_eq!(dataset.images()[1].file_name, "val2017/000000000042.jpg");
    assert_eq!(dataset.images()[1].captions, ["A photo."]);

    // One of its files alone, and images in a common folder.
    std::fs::create_dir(folder.path("images")).unwrap();
    std::fs::rename(folder.path("train2017"), folder.path("images/train2017")).unwrap();
    assert_eq!(counts(&Dataset::load(folder.root()).unwrap()), [1, 1, 0]);
    let error = Dataset::load(folder.path("annotations/captions_val2017.json")).unwrap_err();
    let DataError::Problems(problems) = error else { panic!("{error}") };
    assert_eq!(problems.list, [Problem::MissingSplit(Split::Train)]);
}

#[test]
fn reads_splits_of_karpathy() {
    let folder = Folder::new();
    folder
        .write("val2014/COCO_val2014_1.jpg", jpeg(1))
        .write("images/2.jpg", jpeg(2))
        .write("3.jpg", jpeg(3));
    folder.write(
        "dataset_coco.json",
        r#"{"dataset": "coco", "images": [
            {"filepath": "val2014", "filename": "COCO_val2014_1.jpg", "imgid": 0, "cocoid": 391895, "split": "restval",
             "sentids": [770337], "sentences": [{"tokens": ["a", "man"], "raw": "A man.", "imgid": 0, "sentid": 770337}]},
            {"filename": "2.jpg", "imgid": 1, "split": "val", "sentences": [{"tokens": ["two", "words"]}]},
            {"filepath": "elsewhere", "filename": "3.jpg", "split": "test", "sentences": [{"raw": "Three"}]}]}"#,
    );
    let dataset = Dataset::load(folder.root()).unwrap();
    assert_eq!((dataset.format(), counts(&dataset)), (Format::Karpathy, [1, 1, 1]));
    assert_eq!(dataset.images()[0].id, 391_895);
    let texts: Vec<&String> = dataset.images().iter().flat_map(|i| &i.captions).collect();
    assert_eq!(texts, ["A man.", "two words", "Three"]);
    let by_file = Dataset::load(folder.path("dataset_coco.json")).unwrap();
    assert_eq!(by_file.fingerprint(), dataset.fingerprint());
}

#[test]
fn reads_token_files() {
    let folder = Folder::new();
    for number in 1..=3 {
        folder.write(&format!("Flicker8k_Dataset/{number}.jpg"), jpeg(number));
    }
    let tokens = "1.jpg#0\tA child .\n1.jpg#1\tA girl .\n2.jpg#0\tTwo dogs .\r\n3.jpg#0\tA boat .\n";
    folder.write("Flickr8k.token.txt", tokens).write("Flickr8k.lemma.token.txt", "1.jpg#0\ta child .\n");
    folder.write("Flickr_8k.trainImages.txt", "1.jpg\n").write("Flickr_8k.devImages.txt", "2.jpg\r\n");
    folder.write("Flickr_8k.testImages.txt", "3.jpg").write("readme.txt", "about");
    let dataset = Dataset::load(folder.root()).unwrap();
    assert_eq!((dataset.format(), counts(&dataset)), (Format::Tokens, [1, 1, 1]));
    assert_eq!(captions(&dataset)["1.jpg"], ["A child .", "A girl ."]);
    assert_eq!(captions(&dataset)["2.jpg"], ["Two dogs ."]);

    // Flickr30k names no splits: a file of them is needed.
    let folder = Folder::new();
    folder.write("results_20130124.token", tokens);
    for number in 1..=3 {
        folder.write(&format!("flickr30k-images/{number}.jpg"), jpeg(number));
    }
    let DataError::Problems(problems) = Dataset::load(folder.root()).unwrap_err() else { panic!() };
    assert_eq!(problems.list, [Problem::NoSplits]);
    assert!(problems.to_string().contains("capwright data split"));
    folder.write("splits.json", r#"{"train": ["1.jpg", "3.jpg"], "val": ["2.jpg"]}"#);
    assert_eq!(counts(&Dataset::load(folder.root()).unwrap()), [2, 1, 0]);
}

#[test]
fn reads_tables() {
    let tables = [
        (
            "captions.txt",
            "image,caption,split\n1.jpg,A child,train\n1.jpg,\"A girl, alone\",train\n2.jpg,Dogs,dev\n",
        ),
        (
            "results.csv",
            "\u{feff}image_name| comment_number| comment| split\n1.jpg| 0| A child| train\n1.jpg| 1| A girl, alone| train\n2.jpg| 0| Dogs| val\n",
        ),
        (
            "captions.tsv",
            "split\tfile\tcaptions\ntrain\t1.jpg\t[\"A child\", \"A girl, alone\"]\nvalidation\t2.jpg\tDogs\n",
        ),
        (
            "metadata.jsonl",
            "{\"file_name\": \"1.jpg\", \"text\": [\"A child\", \"A girl, alone\"], \"split\": \"train\"}\n\n{\"file_name\": \"2.jpg\", \"text\": \"Dogs\", \"split\": \"val\"}\n",
        ),
        (
            "captions.jsonl",
            "{\"path\": \"1.jpg\", \"caption\": \"A child\", \"split\": \"train\"}\n{\"path\": \"1.jpg\", \"caption\": \"A girl, alone\"}\n{\"path\": \"2.jpg\", \"caption\": \"Dogs\", \"split\": \"val\"}",
        ),
    ];
    let mut fingerprints = Vec::new();
    for (name, text) in tables {
        let folder = Folder::new();
        folder.write("Images/1.jpg", jpeg(1)).write("2.jpg", jpeg(2)).write(name, text);
        let dataset = Dataset::load(folder.root()).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(captions(&dataset)["1.jpg"], ["A child", "A girl, alone"], "{name}");
        fingerprints.push(dataset.fingerprint().to_owned());
        assert_eq!(Dataset::load(folder.path(name)).unwrap().fingerprint(), fingerprints[0], "{name}");
    }
    fingerprints.dedup();
    assert_eq!(fingerprints.len(), 1);

    // A file for each split, and captions with commas that nobody quoted.
    let folder = Folder::new();
    folder.write("images/1.jpg", jpeg(1)).write("images/2.jpg", jpeg(2));
    folder
        .write("train.csv", "image,caption\n1.jpg,one, two, three\n")
        .write("val.csv", "image,caption\n2.jpg,x\n");
    let dataset = Dataset::load(folder.root()).unwrap();
    assert_eq!(counts(&dataset), [1, 1, 0]);
    assert_eq!(captions(&dataset)["1.jpg"], ["one, two, three"]);
}

fn tar_of(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, bytes) in entries {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, *bytes).unwrap();
    }
    tar.into_inner().unwrap()
}

#[test]
fn reads_shards() {
    let folder = Folder::new();
    let train = tar_of(&[
        ("./000.jpg", &jpeg(1)),
        ("./000.txt", b"from text\n"),
        ("./000.json", br#"{"width": 40, "url": "https://example.org"}"#),
        ("./x/001.cls", b"7"),
        ("./x/001.JPEG", &jpeg(2)),
        ("./x/001.json", br#"{"captions": ["one", "two"], "caption": null}"#),
    ]);
    let val = tar_of(&[("000.png", &png(3)), ("000.txt", b"val")]);
    folder.write("in/train-000000.tar", train).write("in/val-000000.tar", val);
    convert(folder.path("in"), folder.path("out"), &ConvertOptions::to(Format::Folder)).unwrap();
    let dataset = Dataset::load(folder.path("out")).unwrap();
    assert_eq!(counts(&dataset), [2, 1, 0]);
    assert_eq!(captions(&dataset)["000.jpg"], ["from text"]);
    assert_eq!(captions(&dataset)["x/001.jpeg"], ["one", "two"]);
}

#[test]
fn names_that_begin_anew_in_another_archive_are_kept_apart() {
    let shard = |numbers: [u32; 2]| {
        let images = numbers.map(jpeg);
        let texts = numbers.map(|number| format!("number {number}"));
        tar_of(&[
            ("0000000.jpg", &images[0]),
            ("0000000.txt", texts[0].as_bytes()),
            ("0000001.jpg", &images[1]),
            ("0000001.txt", texts[1].as_bytes()),
        ])
    };
    let folder = Folder::new();
    folder.write("in/train-000000.tar", shard([1, 2])).write("in/train-000001.tar", shard([3, 4]));
    folder.write("in/val-000000.tar", shard([5, 6]));
    let strict = |to| ConvertOptions { max_bad_share: None, ..ConvertOptions::to(to) };
    let done = convert(folder.path("in"), folder.path("out"), &strict(Format::Folder)).unwrap();
    assert_eq!((done.images, done.splits), (6, [4, 2, 0]));
    let dataset = Dataset::load(folder.path("out")).unwrap();
    let names: Vec<&str> = dataset.images().iter().map(|image| image.file_name.as_str()).collect();
    let expected = ["0000000.jpg", "0000001.jpg", "train-000001/0000000.jpg"];
    assert_eq!(names[..3], expected);
    assert_eq!(names[5], "val-000000/0000001.jpg");
    assert_eq!(captions(&dataset)["val-000000/0000001.jpg"], ["number 6"]);
    // They are names as any others: in other formats, and in splits.json.
    for format in Format::ALL.into_iter().filter(|format| format.is_writable()) {
        let (there, back) = (folder.path(&format!("{format}")), folder.path(&format!("{format}-back")));
        convert(folder.path("out"), &there, &strict(format)).unwrap();
        convert(&there, &back, &strict(Format::Folder)).unwrap();
        assert_eq!(captions(&Dataset::load(&back).unwrap()), captions(&dataset), "{format}");
    }
    folder.write("in/splits.json", r#"{"train": ["0000000.jpg"], "val": ["val-000000/0000000.jpg"]}"#);
    let done = convert(folder.path("in"), folder.path("chosen"), &strict(Format::Folder)).unwrap();
    assert_eq!(done.splits, [1, 1, 0]);
    assert_eq!(done.fingerprint, inspect(folder.path("in"), None).unwrap().fingerprint);
}

#[test]
fn ids_that_two_files_give_are_numbered_anew() {
    let folder = Folder::new();
    for (part, numbers) in [("train", [1, 2]), ("val", [3, 4])] {
        let image = |id: usize| {
            let name = format!("{}.jpg", numbers[id]);
            folder.write(&format!("images/{name}"), jpeg(numbers[id]));
            format!(
                r#"{{"filename": "{name}", "imgid": {id}, "split": "{part}", "sentences": [{{"raw": "x"}}]}}"#
            )
        };
        folder
            .write(&format!("dataset_{part}.json"), format!(r#"{{"images": [{}, {}]}}"#, image(0), image(1)));
    }
    let ids = |path: &Path| Dataset::load(path).unwrap().images().iter().map(|i| i.id).collect::<Vec<_>>();
    assert_eq!(ids(folder.root()), [1, 2, 3, 4]);
    // Those of one file are kept.
    folder.write("splits.json", r#"{"train": ["3.jpg"], "val": ["4.jpg"]}"#);
    assert_eq!(ids(&folder.path("dataset_val.json")), [0, 1]);
}

/// The problems of unpacking strictly into a folder beside.
fn unpacking(folder: &Folder, packed: &Path) -> Vec<Problem> {
    let strict = ConvertOptions { max_bad_share: None, ..ConvertOptions::to(Format::Folder) };
    match convert(packed, folder.path("strict"), &strict) {
        Err(DataError::Problems(problems)) => problems.list,
        other => panic!("expected problems, got {other:?}"),
    }
}

#[test]
fn splits_beside_archives_win() {
    for format in [Format::Webdataset, Format::Parquet] {
        let folder = Folder::new();
        let packed = folder.path("packed");
        convert(native(&folder, "native"), &packed, &ConvertOptions::to(format)).unwrap();
        folder.write("packed/splits.json", r#"{"train": ["e.png"], "val": ["a.jpg", "f.jpg"]}"#);
        let done = convert(&packed, folder.path("out"), &ConvertOptions::to(Format::Folder)).unwrap();
        assert_eq!(done.splits, [1, 2, 0], "{format}");
        assert_eq!(done.fingerprint, inspect(&packed, None).unwrap().fingerprint, "{format}");
        assert_eq!(done.fingerprint, Dataset::load(folder.path("out")).unwrap().fingerprint(), "{format}");

        folder.write("packed/splits.json", r#"{"train": ["e.png"], "val": ["gone.jpg"]}"#);
        let (file, file_name) = ("splits.json".to_owned(), "gone.jpg".to_owned());
        let unknown = Problem::UnknownInSplit { file, split: Split::Val, file_name };
        assert_eq!(unpacking(&folder, &packed), [unknown], "{format}");
        folder.write("packed/splits.json", r#"{"train": ["e.png", "e.png"], "val": ["e.png", "a.jpg"]}"#);
        let kinds: Vec<_> = unpacking(&folder, &packed).iter().map(Problem::kind).collect();
        assert_eq!(kinds, ["twice_in_split", "overlap"], "{format}");
    }
}

#[test]
fn reads_parquet_of_other_writers() {
    // Made with pyarrow by tests/fixtures/parquet/make.py: the same three images in four layouts.
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parquet");
    let mut fingerprints = Vec::new();
    for name in ["struct-lists-snappy", "binary-text-zstd", "sentences-gzip", "split-files"] {
        let folder = Folder::new();
        let out = folder.path("out");
        convert(fixtures.join(name), &out, &ConvertOptions::to(Format::Folder))
            .unwrap_or_else(|e| panic!("{name}: {e}"));
        let dataset = Dataset::load(&out).unwrap();
        assert_eq!(counts(&dataset), [2, 1, 0], "{name}");
        fingerprints.push(dataset.fingerprint().to_owned());
    }
    fingerprints.dedup();
    assert_eq!(fingerprints.len(), 1, "{fingerprints:?}");
}

#[test]
fn unclear_folders_are_explained() {
    let folder = Folder::new();
    folder.write("photo.webp", "").write("notes.md", "");
    let message = Dataset::load(folder.root()).unwrap_err().to_string();
    for part in ["notes.md, photo.webp", "karpathy (dataset*.json)", "webdataset (*.tar)"] {
        assert!(message.contains(part), "{message}");
    }
    folder.write("a.csv", "image,caption\n").write("train.tar", "");
    let error = Format::detect(folder.root()).unwrap_err();
    assert!(matches!(error, DataError::Ambiguous { .. }), "{error}");
    assert!(error.to_string().contains("csv: a.csv, webdataset: train.tar"), "{error}");
    folder.write("captions.json", "{}");
    assert_eq!(Format::detect(folder.root()).unwrap(), Format::Folder);
    assert_eq!(Format::detect(folder.path("train.tar")).unwrap(), Format::Webdataset);
    folder.write("other.txt", "nothing known");
    assert!(matches!(Format::detect(folder.path("other.txt")), Err(DataError::UnknownFormat { .. })));
    for format in Format::ALL {
        assert_eq!(format.to_string().parse(), Ok(format));
    }
    assert!("coco2".parse::<Format>().unwrap_err().contains("karpathy"));
}

#[test]
fn what_a_format_cannot_hold_is_refused() {
    let folder = Folder::new();
    let dir = native(&folder, "native");
    let text = std::fs::read_to_string(dir.join("captions.json")).unwrap();
    std::fs::write(dir.join("captions.json"), text.replacen("a dog runs", "a dog\\nruns", 1)).unwrap();
    let error = convert(&dir, folder.path("out"), &ConvertOptions::to(Format::Tokens)).unwrap_err();
    assert!(matches!(error, DataError::Inexpressible { format: Format::Tokens, .. }), "{error}");
    let error = convert(&dir, folder.path("out"), &ConvertOptions::to(Format::Coco)).unwrap_err();
    assert!(matches!(error, DataError::NotWritable(Format::Coco)), "{error}");
    let error = convert(&dir, &dir, &ConvertOptions::to(Format::Csv)).unwrap_err();
    assert!(matches!(error, DataError::NotEmpty(_)), "{error}");
    convert(&dir, folder.path("out"), &ConvertOptions::to(Format::Csv)).unwrap();
    let left: Vec<_> = std::fs::read_dir(folder.root()).unwrap().collect();
    assert_eq!(left.len(), 2, "temporary folders are left behind");
}
