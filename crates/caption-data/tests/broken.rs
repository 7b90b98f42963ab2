//! Broken and hostile files: each gives the error that names what is wrong, nothing panics, nothing is written elsewhere.

mod common;

use std::path::Path;

use capwright_caption_data::{
    ConvertOptions, DataError, Dataset, Format, ImageError, ImageLimits, Problem, convert, decode,
};
use common::{Folder, jpeg, png};

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |c, _| (c >> 1) ^ if c & 1 == 1 { 0xedb8_8320 } else { 0 })
    })
}

/// Sets the size in the header of a PNG.
fn with_size(mut png: Vec<u8>, width: u32, height: u32) -> Vec<u8> {
    png[16..20].copy_from_slice(&width.to_be_bytes());
    png[20..24].copy_from_slice(&height.to_be_bytes());
    let checksum = crc32(&png[12..29]);
    png[29..33].copy_from_slice(&checksum.to_be_bytes());
    png
}

/// Sets the size in the frame header of a JPEG.
fn jpeg_with_size(mut jpeg: Vec<u8>, width: u16, height: u16) -> Vec<u8> {
    let frame = jpeg.windows(2).position(|w| w == [0xff, 0xc0]).unwrap();
    jpeg[frame + 5..frame + 7].copy_from_slice(&height.to_be_bytes());
    jpeg[frame + 7..frame + 9].copy_from_slice(&width.to_be_bytes());
    jpeg
}

fn image_error(bytes: &[u8]) -> ImageError {
    decode(bytes, &ImageLimits::default()).map(|i| (i.width, i.height)).unwrap_err()
}

#[test]
fn images_cut_at_ten_places_each() {
    for whole in [jpeg(1), png(1)] {
        for tenth in 0..10 {
            let part = &whole[..whole.len() * tenth / 10];
            let error = image_error(part);
            let expected = match tenth {
                0 => matches!(error, ImageError::UnknownFormat),
                _ => matches!(error, ImageError::Damaged(_)),
            };
            assert!(expected, "{tenth}/10: {error:?}");
        }
    }
}

#[test]
fn images_of_other_content() {
    for bytes in [&b"<svg/>"[..], b"BM\0\0", b"\0", b"%PDF-1.7", b"\xff\xd8"] {
        assert!(matches!(image_error(bytes), ImageError::UnknownFormat), "{bytes:?}");
    }
    for bytes in [&b"GIF89a\x01\0"[..], b"RIFF\x10\0\0\0WEBPVP8 "] {
        assert!(matches!(image_error(bytes), ImageError::Damaged(_)), "a start alone: {bytes:?}");
    }
    let mut data = png(2);
    let place = data.windows(4).position(|w| w == b"IDAT").unwrap();
    data[place + 10] ^= 0x55;
    assert!(matches!(image_error(&data), ImageError::Damaged(_)), "checksum of the pixels");
    let mut header = png(2);
    header[25] = 7;
    assert!(matches!(image_error(&header), ImageError::Damaged(_)), "checksum of the header");
    for (width, height) in [(0, 5), (5, 0)] {
        assert!(matches!(image_error(&with_size(png(2), width, height)), ImageError::Damaged(_)));
    }
}

#[test]
fn images_that_announce_too_much() {
    for (width, height) in [(30_000, 30_000), (u32::MAX >> 1, 1 << 10), (1 << 14, 1 << 13)] {
        let error = image_error(&with_size(png(3), width, height));
        let refused = matches!(error, ImageError::TooManyPixels { .. } | ImageError::Damaged(_));
        assert!(refused, "{width} x {height}: {error}");
    }
    let error = image_error(&jpeg_with_size(jpeg(3), 65_000, 65_000));
    assert!(matches!(error, ImageError::TooManyPixels { .. }), "{error}");
}

#[test]
fn damaged_bytes_never_panic() {
    for whole in [jpeg(4), png(4)] {
        for at in (0..whole.len()).step_by(7) {
            let mut bytes = whole.clone();
            bytes[at] ^= 0xff;
            // A changed pixel of a JPEG may go unnoticed; anything else is an error.
            let _ = decode(&bytes, &ImageLimits::default());
        }
    }
}

/// The problems of loading a folder strictly.
fn problems(folder: &Folder) -> Vec<Problem> {
    match Dataset::load(folder.root()) {
        Err(DataError::Problems(problems)) => problems.list,
        other => panic!("expected problems, got {other:?}"),
    }
}

fn kinds(folder: &Folder) -> Vec<&'static str> {
    problems(folder).iter().map(Problem::kind).collect()
}

/// A good folder with two images, whose captions file is then replaced.
fn folder_with(captions: &str) -> Folder {
    let folder = Folder::new();
    folder.write("images/1.jpg", jpeg(1)).write("images/2.jpg", jpeg(2));
    folder.write("splits.json", r#"{"train": ["1.jpg"], "val": ["2.jpg"]}"#);
    folder.write("captions.json", captions);
    folder
}

/// COCO captions of the two images, with text put into the first annotation and after the lists.
fn coco(annotation: &str, end: &str) -> String {
    format!(
        r#"{{"images": [{{"id": 1, "file_name": "1.jpg"}}, {{"id": 2, "file_name": "2.jpg"}}],
            "annotations": [{{"id": 1, "image_id": 1, "caption": "a dog"{annotation}}}, {{"id": 2, "image_id": 2, "caption": "a cat"}}]{end}}}"#
    )
}

#[test]
fn json_that_is_no_json() {
    let deep = format!(", \"x\": {}1{}", "[".repeat(5000), "]".repeat(5000));
    let whole = coco("", "");
    let cut = &whole[..whole.len() / 2];
    let cases = [
        ("NaN", coco(", \"bbox\": [NaN, 1, 2, 3]", "")),
        ("Infinity", coco(", \"bbox\": [-Infinity, 1, 2, 3]", "")),
        ("cut off", cut.to_owned()),
        ("empty", String::new()),
        ("null bytes", "\0\0\0\0".to_owned()),
        ("an array", "[]".to_owned()),
        ("no lists", "{}".to_owned()),
        ("a huge id", whole.replace("\"id\": 1,", "\"id\": 1e400,")),
        ("a negative id", whole.replace("\"id\": 1,", "\"id\": -1,")),
        ("an id beyond 64 bits", whole.replace("\"id\": 1,", "\"id\": 18446744073709551616,")),
        ("a caption that is a number", whole.replace("\"a dog\"", "7")),
        ("a lone surrogate", whole.replace("a dog", "\\ud800")),
        (
            "a second field",
            whole.replace("\"id\": 1, \"file_name\"", "\"file_name\": \"x\", \"id\": 1, \"file_name\""),
        ),
        ("text after the end", format!("{whole} x")),
        ("UTF-16", "\u{feff}{}".to_owned().replace('{', "\0{")),
    ];
    for (name, text) in cases {
        let found = problems(&folder_with(&text));
        assert!(matches!(found[..], [Problem::Malformed { .. }]), "{name}: {found:?}");
    }
    let folder = folder_with(&whole);
    folder.write("captions.json", [&b"{\"images\": [{\"file_name\": \"\xff\xfe"[..], b"\"}]}"].concat());
    assert!(matches!(problems(&folder)[..], [Problem::Malformed { .. }]));
    folder.write("captions.json", whole.as_bytes()).write("splits.json", "{\"train\": 1}");
    assert!(matches!(problems(&folder)[..], [Problem::Malformed { .. }]));
    // Deep nesting in a field that is skipped needs no stack.
    for good in [coco("", &deep), coco(", \"bbox\": [1e308, -1e-300]", ""), format!("\u{feff}{whole}")] {
        Dataset::load(folder_with(&good).root()).unwrap();
    }
}

#[test]
fn captions_that_cannot_be_used() {
    let whole = coco("", "");
    let replaced = |from: &str, to: &str| kinds(&folder_with(&whole.replacen(from, to, 1)));
    assert_eq!(replaced("a dog", ""), ["caption_length"]);
    assert_eq!(replaced("a dog", " \\n "), ["caption_length"]);
    assert_eq!(replaced("a dog", &"x".repeat(1 << 20)), ["caption_length"]);
    assert_eq!(replaced("a dog", "a\\u0000dog"), ["control_character"]);
    assert_eq!(replaced("a dog", "a\\u001b[31mdog"), ["control_character"]);
    assert_eq!(replaced("a dog", "a\\u0085dog"), ["control_character"]);
    assert_eq!(replaced("\"id\": 2, \"image_id\"", "\"id\": 1, \"image_id\""), ["duplicate_annotation_id"]);
    assert!(
        replaced("{\"id\": 2, \"file_name\"", "{\"id\": 1, \"file_name\"").contains(&"duplicate_image_id")
    );
    assert!(
        replaced("\"file_name\": \"2.jpg\"", "\"file_name\": \"1.jpg\"").contains(&"duplicate_file_name")
    );
    assert_eq!(replaced("\"image_id\": 2", "\"image_id\": 3"), ["no_captions", "unknown_image_id"]);
    let many = (0..1001).map(|_| ", {\"image_id\": 1, \"caption\": \"x\"}").collect::<String>();
    assert_eq!(
        kinds(&folder_with(&whole.replacen("}]}", &format!("}}{many}]}}"), 1))),
        ["too_many_captions"]
    );
}

#[test]
fn names_that_lead_elsewhere() {
    let names = [
        "../1.jpg",
        "/etc/passwd",
        "x/../../1.jpg",
        "",
        ".",
        "..",
        "a\\\\b.jpg",
        "C:\\\\a.jpg",
        "a\\u0000.jpg",
        "a\\n.jpg",
    ];
    for name in names {
        let text = coco("", "").replacen("1.jpg", name, 1);
        let found = kinds(&folder_with(&text));
        assert!(found.contains(&"unsafe_file_name"), "{name}: {found:?}");
        let line = |name: &str, split| {
            format!("{{\"image\": \"{name}\", \"caption\": \"x\", \"split\": \"{split}\"}}\n")
        };
        let folder = folder_with("");
        std::fs::remove_file(folder.path("captions.json")).unwrap();
        std::fs::remove_file(folder.path("splits.json")).unwrap();
        folder.write("captions.jsonl", line(name, "train") + &line("1.jpg", "train") + &line("2.jpg", "val"));
        assert_eq!(kinds(&folder), ["unsafe_file_name"], "{name} in JSON lines");
    }
    let folder = Folder::new();
    folder
        .write("images/1.jpg", jpeg(1))
        .write("captions.csv", "image,caption,split\n../x.jpg,a,train\n1.jpg,b,val\n");
    assert_eq!(kinds(&folder), ["unsafe_file_name"]);
    folder.write("captions.csv", "image,caption,split\n/etc/hostname,a,train\n1.jpg,b,val\n");
    assert_eq!(kinds(&folder), ["unsafe_file_name"]);
}

#[cfg(unix)]
#[test]
fn files_that_are_no_images() {
    use std::os::unix::fs::symlink;
    let broken = |make: &dyn Fn(&Path)| {
        let folder = folder_with(&coco("", ""));
        let path = folder.path("images/1.jpg");
        std::fs::remove_file(&path).unwrap();
        make(&path);
        kinds(&folder)
    };
    assert_eq!(broken(&|_| {}), ["missing_image"]);
    assert_eq!(broken(&|path| std::fs::create_dir(path).unwrap()), ["unreadable_image"]);
    assert_eq!(broken(&|path| symlink("1.jpg", path).unwrap()), ["unreadable_image"], "a loop");
    assert_eq!(broken(&|path| symlink("nowhere.jpg", path).unwrap()), ["missing_image"]);
    assert_eq!(broken(&|path| symlink("/etc/passwd", path).unwrap()), ["link_outside"]);
    assert_eq!(broken(&|path| symlink("/dev/zero", path).unwrap()), ["link_outside"]);
    let huge = |path: &Path| std::fs::File::create(path).unwrap().set_len((64 << 20) + 1).unwrap();
    assert_eq!(broken(&huge), ["entry_too_large"]);
    let folder = folder_with("");
    std::fs::File::create(folder.path("captions.json")).unwrap().set_len((1 << 30) + 1).unwrap();
    assert_eq!(kinds(&folder), ["too_large"]);
    std::fs::remove_file(folder.path("captions.json")).unwrap();
    std::fs::create_dir(folder.path("images/loop")).unwrap();
    symlink("..", folder.path("images/loop/up")).unwrap();
    symlink("splits.json", folder.path("captions.json")).unwrap();
    assert_eq!(kinds(&folder), ["malformed"]);
}

#[test]
fn tables_that_are_none() {
    let folder_of = |name: &str, content: &[u8]| {
        let folder = Folder::new();
        folder.write("1.jpg", jpeg(1)).write("2.jpg", jpeg(2)).write(name, content);
        folder
    };
    let check = |name: &str, content: &[u8], expected: &[&str]| {
        let folder = folder_of(name, content);
        folder.write("splits.json", r#"{"train": ["1.jpg"], "val": ["2.jpg"]}"#);
        assert_eq!(kinds(&folder), expected, "{name}: {}", String::from_utf8_lossy(content));
    };
    // With `splits.json` the table's splits are not read.
    let check_splits = |name: &str, content: &[u8], expected: &str| {
        let found = kinds(&folder_of(name, content));
        assert!(found.contains(&expected), "{name}: {}: {found:?}", String::from_utf8_lossy(content));
    };
    check("a.csv", b"", &["malformed"]);
    check("a.csv", b"photo,words\n1.jpg,x\n", &["malformed"]);
    check("a.csv", b"image,caption\n1.jpg,\xff\xfe\n2.jpg,x\n", &["malformed"]);
    check("a.csv", b"\xff\xfei\0m\0a\0g\0e\0", &["malformed"]);
    check("a.csv", b"image,caption\n1.jpg,a\n2.jpg,b\n3.jpg\n", &["bad_row"]);
    let table = b"image,caption,split\n1.jpg,a,train\n2.jpg,b,val\n2.jpg,b,holdout\n";
    check_splits("a.csv", table, "unknown_split_name");
    check_splits("a.csv", b"image,caption,split\n1.jpg,a,train\n2.jpg,b,val\n2.jpg,b,test\n", "overlap");
    check("a.csv", b"image,caption\n1.jpg,\"never ends\n2.jpg,b\n", &["bad_row", "unknown_in_split"]);
    check(
        "a.jsonl",
        b"{\"image\": \"1.jpg\", \"caption\": \"a\"}\nnot json\n{\"image\": \"2.jpg\", \"caption\": \"b\"}",
        &["bad_row"],
    );
    check(
        "a.jsonl",
        b"{\"image\": \"1.jpg\", \"caption\": \"a\"}\n{\"image\": \"2.jpg\", \"caption\": \"b\"}\n[1]",
        &["bad_row"],
    );
    check("a.jsonl", b"{\"image\": \"1.jpg\", \"caption\": \"a\"}\n{\"image\": \"2.jpg\", \"caption\": \"b\"}\n{\"image\": 7, \"caption\": \"c\"}", &["bad_row"]);
    check("a.jsonl", b"{\"image\": \"1.jpg\", \"caption\": \"a\"}\n{\"image\": \"2.jpg\", \"caption\": \"b\"}\n{\"image\": \"1.jpg\", \"caption\": [1]}", &["bad_row"]);
    check("a.token", b"1.jpg#0\ta\n2.jpg#0\tb\n3.jpg a dog\n", &["bad_row"]);
    check("a.token", b"1.jpg#0\ta\n2.jpg#0\tb\n3.jpg#x\ta dog\n", &["bad_row"]);
    check("a.token", b"1.jpg#0\t\n1.jpg#1\ta\n2.jpg#0\tb", &["caption_length"]);
    check("dataset.json", br#"{"images": [{"filename": "1.jpg"}]}"#, &["malformed"]);
    check_splits("dataset.json", br#"{"images": [{"filename": "1.jpg", "split": "later", "sentences": [{"raw": "x"}]}, {"filename": "2.jpg", "sentences": [{"raw": "x"}]}]}"#, "unknown_split_name");
    check("dataset.json", br#"{"images": [{"filepath": "..", "filename": "1.jpg", "sentences": [{"raw": "x"}]}, {"filename": "1.jpg", "sentences": [{"raw": "x"}]}, {"filename": "2.jpg", "sentences": [{"raw": "x"}]}]}"#, &["unsafe_file_name"]);
}

#[test]
fn what_nobody_asks_for_is_passed_over_however_deep_it_is() {
    let deep = format!("{}1{}", "[".repeat(5000), "]".repeat(5000));
    let lines = |field: &str| {
        let first = format!("{{\"image\": \"1.jpg\", \"{field}\": {deep}, \"caption\": \"a\"}}\n");
        first + "{\"image\": \"2.jpg\", \"caption\": \"b\"}"
    };
    let images = |field: &str| {
        let image = |number: u32, rest: &str| {
            format!("{{\"filename\": \"{number}.jpg\", {rest}\"sentences\": [{{\"raw\": \"x\"}}]}}")
        };
        let deep = format!("\"{field}\": {deep}, ");
        format!("{{\"images\": [{}, {}]}}", image(1, &deep), image(2, ""))
    };
    for field in ["other", "split"] {
        for (name, text) in [("a.jsonl", lines(field)), ("dataset.json", images(field))] {
            let folder = Folder::new();
            folder.write("1.jpg", jpeg(1)).write("2.jpg", jpeg(2)).write(name, text);
            assert_eq!(kinds(&folder).contains(&"bad_row"), field == "split", "{name}: {field}");
            folder.write("splits.json", r#"{"train": ["1.jpg"], "val": ["2.jpg"]}"#);
            Dataset::load(folder.root()).unwrap_or_else(|error| panic!("{name}: {field}: {error}"));
        }
    }
}

#[test]
fn a_few_bad_items_are_left_out_and_many_are_not() {
    let folder = Folder::new();
    let mut lines = String::new();
    for number in 0..40_u32 {
        let split = if number % 4 == 0 { "val" } else { "train" };
        folder.write(&format!("images/{number}.jpg"), jpeg(number));
        lines += &format!(
            "{{\"image\": \"{number}.jpg\", \"captions\": [\"a\", \"b\"], \"split\": \"{split}\"}}\n"
        );
    }
    folder
        .write("images/7.jpg", &jpeg(7)[..200])
        .write("captions.jsonl", lines.replacen("\"a\"", "\"\\u0007\"", 1));
    let (dataset, quarantine) = Dataset::load_lenient(folder.root(), 0.05).unwrap();
    assert_eq!((dataset.images().len(), dataset.images()[0].captions.len()), (39, 1));
    assert_eq!((quarantine.total, quarantine.bad), (40, 2));
    assert_eq!(Vec::from_iter(quarantine.counts()), [("bad_image", 1), ("control_character", 1)]);
    assert_eq!(quarantine.items[1].file_name.as_deref(), Some("7.jpg"));
    let json = serde_json::to_value(&quarantine).unwrap();
    assert_eq!(json["items"][1]["kind"], "bad_image");
    let message = quarantine.to_string();
    assert!(
        message.contains("2 of 40 items are bad (5.0 %)") && message.contains("bad_image: 1"),
        "{message}"
    );
    // What is left out of splits.json's images is no further problem, and the rest converts to the same data set.
    let done = convert(folder.root(), folder.path("out"), &ConvertOptions::to(Format::Webdataset)).unwrap();
    assert_eq!((done.images, done.quarantine.bad), (39, 2));
    assert_eq!(done.fingerprint, dataset.fingerprint());

    std::fs::remove_file(folder.path("images/9.jpg")).unwrap();
    let error = Dataset::load_lenient(folder.root(), 0.05).unwrap_err();
    let DataError::TooManyBad(quarantine) = error else { panic!("{error}") };
    assert_eq!(quarantine.bad, 3);
    assert_eq!(Dataset::load_lenient(folder.root(), 0.1).unwrap().0.images().len(), 38);
    // What a data set as a whole lacks is never left out.
    folder.write("splits.json", r#"{"train": ["1.jpg"], "val": ["1.jpg", "2.jpg"]}"#);
    assert!(matches!(Dataset::load_lenient(folder.root(), 1.0), Err(DataError::Problems(_))));
    folder.write("splits.json", r#"{"train": ["1.jpg"], "val": ["9.jpg"]}"#);
    let DataError::Problems(problems) = Dataset::load_lenient(folder.root(), 1.0).unwrap_err() else {
        panic!()
    };
    assert_eq!(problems.list, [Problem::MissingSplit(capwright_caption_data::Split::Val)]);
}
