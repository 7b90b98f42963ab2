//! Splits by content: near duplicates stay together, distinct pictures are kept apart.

mod common;

use std::collections::HashSet;
use std::path::Path;

use capwright_caption_data::{
    ConvertOptions, DataError, Dataset, Format, LoadOptions, Ratios, SceneOptions, Split, convert, inspect,
    make_scenes, make_splits,
};
use common::Folder;
use image::imageops::FilterType;
use image::{DynamicImage, RgbImage};

/// Unsplit images with a caption each.
fn data_set(images: &[(String, Vec<u8>)]) -> (Folder, Dataset) {
    let folder = Folder::new();
    let mut lines = String::from("image,caption\n");
    for (name, bytes) in images {
        folder.write(&format!("images/{name}"), bytes);
        lines += &format!("{name},something\n");
    }
    folder.write("captions.csv", lines);
    let dataset = load(folder.root());
    (folder, dataset)
}

fn load(dir: &Path) -> Dataset {
    Dataset::load_with(dir, &LoadOptions { need_splits: false, ..LoadOptions::default() }).unwrap().0
}

fn jpeg(image: &DynamicImage, quality: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, quality);
    image.write_with_encoder(encoder).unwrap();
    bytes
}

/// A picture of smooth random patches, as photos have.
fn picture(number: u32) -> DynamicImage {
    let pixels = common::pixels(number, 12, 9);
    let small = DynamicImage::from(RgbImage::from_raw(12, 9, pixels).unwrap());
    small.resize_exact(320, 240, FilterType::CatmullRom)
}

/// Ways in which one picture comes into a collection several times.
fn variants(image: &DynamicImage) -> Vec<(&'static str, Vec<u8>)> {
    let resized = |w, h| image.resize_exact(w, h, FilterType::Triangle);
    vec![
        ("original", jpeg(image, 95)),
        ("again", jpeg(image, 60)),
        ("poor", jpeg(image, 25)),
        ("half", jpeg(&resized(160, 120), 90)),
        ("small", jpeg(&resized(96, 72), 85)),
        ("larger", jpeg(&resized(500, 375), 85)),
        ("brighter", jpeg(&image.brighten(3), 85)),
    ]
}

#[test]
fn variants_stay_together_and_others_do_not() {
    let mut images = Vec::new();
    for number in 1..=40 {
        for (name, bytes) in variants(&picture(number)) {
            images.push((format!("{number}-{name}.jpg"), bytes));
        }
    }
    let (folder, dataset) = data_set(&images);
    let splits = make_splits(&dataset, Ratios::default(), 5).unwrap();
    let sizes = Split::ALL.map(|split| splits.names(split).len());
    assert_eq!(sizes, [224, 28, 28], "all groups have seven members");
    for split in Split::ALL {
        let numbers = |split| {
            let number = |name: &String| name.split_once('-').unwrap().0.to_owned();
            splits.names(split).iter().map(number).collect::<HashSet<_>>()
        };
        let other = Split::ALL[(split as usize + 1) % 3];
        assert!(numbers(split).is_disjoint(&numbers(other)), "{split} and {other} share a picture");
    }
    splits.write(folder.root()).unwrap();
    let report = inspect(folder.root(), None).unwrap();
    assert_eq!((report.images, report.duplicates, report.near_duplicates), (280, 0, 240));
    assert!(report.near_overlap.is_empty() && report.overlap.is_empty());
}

#[test]
fn splits_follow_content_and_seed_not_names() {
    let images: Vec<_> = (1..=30).map(|n| (format!("{n}.jpg"), jpeg(&picture(n), 90))).collect();
    let renamed: Vec<_> = images.iter().rev().map(|(name, b)| (format!("x{name}"), b.clone())).collect();
    let (folder, dataset) = data_set(&images);
    let (_other, other) = data_set(&renamed);
    let ratios = Ratios { train: 70.0, val: 20.0, test: 10.0 };
    let splits = make_splits(&dataset, ratios, 1).unwrap();
    assert_eq!(Split::ALL.map(|s| splits.names(s).len()), [21, 6, 3]);
    let again = make_splits(&other, ratios, 1).unwrap();
    for split in Split::ALL {
        let with_x: HashSet<String> = splits.names(split).iter().map(|n| format!("x{n}")).collect();
        assert_eq!(with_x, again.names(split).iter().cloned().collect());
    }
    assert_ne!(make_splits(&dataset, ratios, 2).unwrap(), splits);
    splits.write(folder.root()).unwrap();
    let loaded = Dataset::load(folder.root()).unwrap();
    assert_eq!(Split::ALL.map(|s| loaded.split(s).len()), [21, 6, 3]);
    // Written over earlier ones, and without a test split.
    make_splits(&loaded, Ratios { test: 0.0, ..ratios }, 1).unwrap().write(folder.root()).unwrap();
    assert!(!Dataset::load(folder.root()).unwrap().has(Split::Test));
}

#[test]
fn broken_splits_do_not_hinder_new_ones() {
    let images: Vec<_> = (1..=10).map(|n| (format!("{n}.jpg"), jpeg(&picture(n), 90))).collect();
    let (folder, _) = data_set(&images);
    let options = LoadOptions { need_splits: false, ignore_splits: true, ..LoadOptions::default() };
    for broken in [
        r#"{"train": ["1.jpg", "2.jpg"], "val": ["1.jpg"]}"#,
        r#"{"train": ["1.jpg"], "val": ["gone.jpg"]}"#,
        r#"{"train": ["#,
    ] {
        folder.write("splits.json", broken);
        assert!(Dataset::load(folder.root()).is_err());
        let (dataset, _) = Dataset::load_with(folder.root(), &options).unwrap();
        assert!(Split::ALL.into_iter().all(|split| !dataset.has(split)));
        make_splits(&dataset, Ratios::default(), 1).unwrap().write(folder.root()).unwrap();
        Dataset::load(folder.root()).unwrap();
    }
}

#[test]
fn broken_splits_of_a_format_do_not_hinder_new_ones() {
    let options = LoadOptions { need_splits: false, ignore_splits: true, ..LoadOptions::default() };
    let karpathy = |split: &str| {
        format!(
            "{{\"filename\": \"1.jpg\", \"split\": {split}, \"sentences\": [{{\"raw\": \"x\"}}]}}, {{\"filename\": \"2.jpg\", \"sentences\": [{{\"raw\": \"y\"}}]}}"
        )
    };
    let line = |split: &str| {
        format!(
            "{{\"image\": \"1.jpg\", \"caption\": \"x\", \"split\": {split}}}\n{{\"image\": \"2.jpg\", \"caption\": \"y\"}}\n"
        )
    };
    let dataset = |split: &str| format!("{{\"images\": [{}]}}", karpathy(split));
    let tokens = [
        ("a.token", "1.jpg#0\tx\n2.jpg#0\ty\n".to_owned()),
        ("a.trainImages.txt", "1.jpg\ngone.jpg\n".to_owned()),
    ];
    for files in [
        vec![("captions.csv", "image,caption,split\n1.jpg,x,holdout\n2.jpg,y,\n".to_owned())],
        vec![("captions.csv", "image,caption,split\n1.jpg,x,train\n1.jpg,y,test\n2.jpg,y,\n".to_owned())],
        vec![
            ("train.csv", "image,caption\n1.jpg,x\n2.jpg,y\n".to_owned()),
            ("val.csv", "image,caption\n1.jpg,y\n".to_owned()),
        ],
        vec![("captions.jsonl", line("\"holdout\""))],
        vec![("captions.jsonl", line("2"))],
        vec![("dataset.json", dataset("\"holdout\""))],
        vec![("dataset.json", dataset("[1]"))],
        tokens.to_vec(),
    ] {
        let folder = Folder::new();
        folder.write("images/1.jpg", common::jpeg(1)).write("images/2.jpg", common::jpeg(2));
        for (name, text) in &files {
            folder.write(name, text);
        }
        assert!(Dataset::load_with(folder.root(), &LoadOptions { ignore_splits: false, ..options }).is_err());
        let (dataset, _) =
            Dataset::load_with(folder.root(), &options).unwrap_or_else(|error| panic!("{files:?}: {error}"));
        assert_eq!(dataset.images().len(), 2, "{files:?}");
        assert!(Split::ALL.into_iter().all(|split| !dataset.has(split)));
        let ratios = Ratios { train: 0.5, val: 0.5, test: 0.0 };
        make_splits(&dataset, ratios, 1).unwrap().write(folder.root()).unwrap();
        let loaded = Dataset::load(folder.root()).unwrap_or_else(|error| panic!("{files:?}: {error}"));
        assert_eq!(Split::ALL.map(|split| loaded.split(split).len()), [1, 1, 0], "{files:?}");
        let report = inspect(folder.root(), None).unwrap();
        assert_eq!((report.quarantine.bad, report.overlap.len()), (0, 0), "{files:?}");
        let strict = ConvertOptions { max_bad_share: None, ..ConvertOptions::to(Format::Folder) };
        let done = convert(folder.root(), folder.path("out"), &strict).unwrap();
        assert_eq!(done.fingerprint, loaded.fingerprint(), "{files:?}");
    }
}

#[test]
fn splits_that_cannot_be_made_are_refused() {
    let (_folder, one) = data_set(&[("1.jpg".into(), jpeg(&picture(1), 90))]);
    let refused = |ratios| matches!(make_splits(&one, ratios, 1), Err(DataError::Splits(_)));
    assert!(refused(Ratios::default()));
    for train in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(refused(Ratios { train, ..Ratios::default() }));
    }
}

#[test]
fn pictures_of_much_flat_ground_are_told_apart() {
    let folder = Folder::new();
    let dir = folder.path("scenes");
    make_scenes(&dir, &SceneOptions { train: 300, val: 50, test: 50, ..SceneOptions::default() }).unwrap();
    let report = inspect(&dir, None).unwrap();
    assert!(report.near_duplicates < 20, "{} of 400 scenes seem to be the same", report.near_duplicates);
}

#[test]
fn photos_are_told_apart() {
    for (name, most) in [("coco-mini", 0), ("flickr8k", 70)] {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data").join(name);
        if !dir.exists() {
            println!("skipped: the photos of {name} are absent at {}", dir.display());
            continue;
        }
        let report = inspect(&dir, None).unwrap();
        println!("{name}: {} near duplicates, {:?}", report.near_duplicates, report.near_overlap);
        assert!(report.near_duplicates <= most, "{name}: {}", report.near_duplicates);
    }
}
