//! Broken and hostile shards and Parquet files: each gives the error that names what is wrong, nothing panics, nothing is written
//! elsewhere.

mod common;

use std::path::Path;
use std::sync::Arc;

use capwright_caption_data::{ConvertOptions, DataError, Format, Problem, convert, inspect};
use common::{Folder, jpeg};
use parquet::basic::Encoding;
use parquet::data_type::{ByteArray, ByteArrayType, Int32Type};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::parser::parse_message_type;

/// Entries that a careful library would not write.
struct Tar(Vec<u8>);

impl Tar {
    fn new() -> Tar {
        Tar(Vec::new()).file("ok.jpg", &jpeg(1)).file("ok.txt", b"fine")
    }

    fn entry(mut self, name: &str, kind: u8, size: u64, link: &str, bytes: &[u8]) -> Tar {
        let mut header = [0u8; 512];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[100..107].copy_from_slice(b"0000644");
        header[124..135].copy_from_slice(format!("{size:011o}").as_bytes());
        header[136..147].copy_from_slice(b"00000000000");
        header[156] = kind;
        header[157..157 + link.len()].copy_from_slice(link.as_bytes());
        header[257..265].copy_from_slice(b"ustar\x0000");
        header[148..156].copy_from_slice(b"        ");
        let sum: u32 = header.iter().map(|&b| u32::from(b)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.0.extend(header);
        self.0.extend(bytes);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    fn file(self, name: &str, bytes: &[u8]) -> Tar {
        self.entry(name, b'0', bytes.len() as u64, "", bytes)
    }

    fn end(mut self) -> Vec<u8> {
        self.0.extend([0; 1024]);
        self.0
    }
}

/// The problems of unpacking strictly; nothing may appear beside the data set.
fn unpacking(name: &str, content: &[u8]) -> Vec<Problem> {
    let folder = Folder::new();
    folder.write(&format!("in/{name}"), content);
    let options = ConvertOptions { max_bad_share: None, ..ConvertOptions::to(Format::Folder) };
    let outcome = convert(folder.path("in"), folder.path("out"), &options);
    let left: Vec<_> = std::fs::read_dir(folder.root()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["in"], "written outside, or left behind: {outcome:?}");
    match outcome {
        Err(DataError::Problems(problems)) => problems.list,
        other => panic!("{name}: expected problems, got {other:?}"),
    }
}

/// The splits of what is unpacked where `splits.json` puts one image to train.
fn unpacked_splits(name: &str, content: &[u8], image: &str) -> [usize; 3] {
    let folder = Folder::new();
    folder.write(&format!("in/{name}"), content);
    folder.write("in/splits.json", format!("{{\"train\": [\"{image}\"]}}"));
    let options = ConvertOptions { max_bad_share: None, ..ConvertOptions::to(Format::Folder) };
    let done = convert(folder.path("in"), folder.path("out"), &options).unwrap();
    assert_eq!(inspect(folder.path("in"), None).unwrap().fingerprint, done.fingerprint);
    done.splits
}

fn unpacking_kinds(name: &str, content: &[u8]) -> Vec<&'static str> {
    unpacking(name, content).iter().map(Problem::kind).collect()
}

#[test]
fn shards_that_attack() {
    let kinds = |tar: Tar| unpacking_kinds("train.tar", &tar.end());
    let image = jpeg(2);
    for name in ["../evil.jpg", "/tmp/evil.jpg", "a/../../evil.jpg"] {
        let text = name.replace("jpg", "txt");
        assert_eq!(kinds(Tar::new().file(name, &image).file(&text, b"x")), ["unsafe_file_name"], "{name}");
    }
    let escape = br#"{"file_name": "../../evil.jpg", "caption": "x"}"#;
    assert_eq!(kinds(Tar::new().file("b.jpg", &image).file("b.json", escape)), ["unsafe_file_name"]);
    for (kind, word) in [(b'1', "a hard link"), (b'2', "a link"), (b'3', "a device"), (b'6', "a pipe")] {
        let tar = Tar::new().entry("b.jpg", kind, 0, "/etc/passwd", b"");
        assert_eq!(kinds(tar), ["not_a_file"], "{word}");
    }
    // The size is refused before it is read, whether or not the bytes are there.
    for size in [(64 << 20) + 1, 8_u64 << 30 >> 1] {
        let tar = Tar::new().entry("b.jpg", b'0', size, "", b"few");
        assert!(kinds(tar).contains(&"entry_too_large"), "{size}");
    }
    let long = vec![b'x'; (1 << 20) + 1];
    assert_eq!(kinds(Tar::new().file("b.jpg", &image).file("b.txt", &long)), ["entry_too_large"]);
    let deep = format!("{}1{}", "[".repeat(3000), "]".repeat(3000));
    let split = format!("{{\"caption\": \"x\", \"other\": {deep}, \"split\": {deep}}}");
    for json in [&deep, &split] {
        assert_eq!(kinds(Tar::new().file("b.jpg", &image).file("b.json", json.as_bytes())), ["bad_row"]);
    }
    assert_eq!(kinds(Tar::new().file("b.jpg", &image).file("b.txt", b"\xff")), ["bad_row"]);
    assert_eq!(kinds(Tar::new().file("b.jpg", &image)), ["no_captions"]);
    assert_eq!(kinds(Tar::new().file("b.txt", b"no image")), ["bad_row"]);
    assert_eq!(kinds(Tar::new().file("b.jpg", &image[..300]).file("b.txt", b"x")), ["bad_image"]);
    assert_eq!(kinds(Tar::new().file("b.jpg", b"").file("b.txt", b"x")), ["bad_image"]);
    assert_eq!(kinds(Tar::new().file("b.png", b"GIF89a").file("b.txt", b"x")), ["bad_image"]);
    assert_eq!(kinds(Tar::new().file("ok.jpg", &image).file("ok.txt", b"x")), ["duplicate_file_name"]);
    assert_eq!(kinds(Tar::new().file("b.jpg", &image).file("b.txt", b"a\x07b")), ["control_character"]);
}

#[test]
fn names_of_any_length_are_not_read() {
    let image = jpeg(2);
    let named = |kind: u8, bytes: usize| {
        let long = [&vec![b'x'; bytes][..], b".jpg"].concat();
        let pax = [format!("{} path=", bytes + 20).as_bytes(), &long, b"\n"].concat();
        let text = if kind == b'x' { pax } else { long };
        let tar = Tar::new().entry("long", kind, text.len() as u64, "", &text);
        tar.file("b.jpg", &image).file("c.jpg", &image).file("c.txt", b"x").end()
    };
    for kind in [b'L', b'K', b'x'] {
        let found = unpacking("train.tar", &named(kind, 1 << 20));
        let told: Vec<String> = found.iter().map(Problem::to_string).collect();
        assert!(matches!(&found[..], [Problem::Malformed { .. }]), "{}: {told:?}", char::from(kind));
        assert!(told[0].starts_with("train.tar: the names") && told[0].contains("short names"), "{told:?}");
    }
    let told = unpacking("train.tar", &named(b'L', 5000));
    assert!(
        matches!(&told[..], [Problem::BadRow { message, .. }] if message.contains("1024 bytes")),
        "{told:?}"
    );
    assert!(told[0].to_string().len() < 1200, "{told:?}");
    // Names that a shard may have, before and after contents that are longer than they.
    let long = format!("{}/b.jpg", ["x"; 100].join("/"));
    let mut tar = Tar::new();
    for number in 0..3 {
        let name = format!("{number}{long}");
        tar =
            tar.entry("long", b'L', name.len() as u64, "", name.as_bytes()).file("b.jpg", &jpeg(3 + number));
        tar = tar.file("pad.bin", &vec![0; 3 << 20]);
        let name = name.replace("jpg", "txt");
        tar = tar.entry("long", b'L', name.len() as u64, "", name.as_bytes()).file("b.txt", b"x");
    }
    let folder = Folder::new();
    folder.write("in/train.tar", tar.end());
    let done =
        convert(folder.path("in"), folder.path("out"), &ConvertOptions::to(Format::Webdataset)).unwrap();
    assert_eq!((done.images, done.quarantine.bad), (4, 0), "{}", done.quarantine);
}

#[test]
fn held_out_images_of_shards_are_not_taken_for_others() {
    for (split, kind) in [("\"testdev\"", "unknown_split_name"), ("2", "bad_row"), ("[\"test\"]", "bad_row")]
    {
        let text = format!("{{\"caption\": \"x\", \"split\": {split}}}");
        let tar = Tar::new().file("b.jpg", &jpeg(2)).file("b.json", text.as_bytes());
        let shard = tar.end();
        assert_eq!(unpacking_kinds("train.tar", &shard), [kind], "{split}");
        assert_eq!(unpacked_splits("train.tar", &shard, "b.jpg"), [1, 0, 0], "{split}");
    }
}

#[test]
fn names_of_one_file_are_bad_items() {
    let named = |name: &str| format!("{{\"file_name\": \"{name}\", \"caption\": \"x\"}}");
    let folder = Folder::new();
    let mut tar = Tar::new();
    for (number, name) in (2..).zip(["x/0.png", "x//0.png", "x/./0.png", &"n".repeat(300), "ok.jpg/y.png"]) {
        tar = tar.file(&format!("{number}.jpg"), &jpeg(number));
        tar = tar.file(&format!("{number}.json"), named(name).as_bytes());
    }
    folder.write("in/train.tar", tar.end());
    let lenient = ConvertOptions { max_bad_share: Some(1.0), ..ConvertOptions::to(Format::Folder) };
    let done = convert(folder.path("in"), folder.path("out"), &lenient).unwrap();
    // Which of a file and a folder of the same name comes first is for chance.
    assert_eq!((done.images, done.quarantine.bad), (2, 4));
    assert_eq!(Vec::from_iter(done.quarantine.counts()), [("unsafe_file_name", 3), ("unwritable_name", 1)]);
}

#[test]
fn shards_that_are_none() {
    let whole = Tar::new().file("b.jpg", &jpeg(2)).file("b.txt", b"x").end();
    for part in [100, 700, 1100, whole.len() / 2 + 13] {
        let found = unpacking_kinds("train.tar", &whole[..part]);
        assert!(found.contains(&"malformed"), "{part} of {}: {found:?}", whole.len());
    }
    assert_eq!(unpacking_kinds("train.tar", &[b'x'; 2048]), ["malformed"]);
    let mut checksum = whole;
    checksum[0] ^= 1;
    assert_eq!(unpacking_kinds("train.tar", &checksum), ["malformed"]);
}

#[test]
fn parquet_that_is_none() {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/parquet/struct-lists-snappy/data/all.parquet");
    let whole = std::fs::read(fixture).unwrap();
    for content in
        [&b""[..], b"PAR1", b"PAR1PAR1", &[7; 4096], &whole[..whole.len() / 2], &whole[..whole.len() - 1]]
    {
        assert_eq!(unpacking_kinds("train.parquet", content), ["malformed"]);
    }
    // The length of the footer lies.
    for length in [0, 1, i32::MAX, -1] {
        let mut bytes = whole.clone();
        let at = bytes.len() - 8;
        bytes[at..at + 4].copy_from_slice(&length.to_le_bytes());
        assert_eq!(unpacking_kinds("train.parquet", &bytes), ["malformed"], "{length}");
    }
    // Every damage is found, or does no harm.
    for at in (0..whole.len()).step_by(3) {
        let folder = Folder::new();
        let mut bytes = whole.clone();
        bytes[at] ^= 0xa5;
        folder.write("all.parquet", &bytes);
        match inspect(folder.root(), None) {
            Ok(_) | Err(DataError::Problems(_)) => {}
            Err(other) => panic!("byte {at}: {other}"),
        }
    }
}

/// A Parquet file of one row: binary columns with these values, then a column that `last` writes.
fn parquet_of(fields: &str, values: &[&[u8]], last: impl FnOnce(&mut SerializedColumnWriter<'_>)) -> Vec<u8> {
    let columns: Vec<_> = values.iter().map(|value| vec![ByteArray::from(value.to_vec())]).collect();
    parquet_with(WriterProperties::builder().build(), fields, &columns, last)
}

/// A Parquet file of required binary columns, and a column that `last` writes.
fn parquet_with(
    properties: WriterProperties,
    fields: &str,
    columns: &[Vec<ByteArray>],
    last: impl FnOnce(&mut SerializedColumnWriter<'_>),
) -> Vec<u8> {
    let schema = parse_message_type(&format!("message schema {{ {fields} }}")).unwrap();
    let mut writer = SerializedFileWriter::new(Vec::new(), Arc::new(schema), Arc::new(properties)).unwrap();
    let mut group = writer.next_row_group().unwrap();
    for values in columns {
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<ByteArrayType>().write_batch(values, None, None).unwrap();
        column.close().unwrap();
    }
    let mut column = group.next_column().unwrap().unwrap();
    last(&mut column);
    column.close().unwrap();
    group.close().unwrap();
    writer.into_inner().unwrap()
}

#[test]
fn held_out_rows_of_parquet_are_not_taken_for_others() {
    let image = jpeg(1);
    let split = |kind: &str, last: &dyn Fn(&mut SerializedColumnWriter<'_>)| {
        let fields =
            format!("required binary image; required binary caption (STRING); required {kind} split;");
        let bytes = parquet_of(&fields, &[&image, b"x"], last);
        assert_eq!(unpacked_splits("train.parquet", &bytes, "00000001.jpg"), [1, 0, 0], "{kind}");
        unpacking_kinds("train.parquet", &bytes)
    };
    let text = |bytes: &'static [u8]| {
        move |column: &mut SerializedColumnWriter<'_>| {
            let value = [ByteArray::from(bytes.to_vec())];
            column.typed::<ByteArrayType>().write_batch(&value, None, None).unwrap();
        }
    };
    let number = |column: &mut SerializedColumnWriter<'_>| {
        column.typed::<Int32Type>().write_batch(&[2], None, None).unwrap();
    };
    assert_eq!(split("binary", &text(b"holdout")), ["unknown_split_name"]);
    assert_eq!(split("binary", &text(b"\xff")), ["bad_row"]);
    assert_eq!(split("int32", &number), ["malformed"]);
}

#[test]
fn lists_without_end_are_not_read() {
    // Few bytes, for levels that are the same are packed.
    let levels = 5 << 20;
    let mut repeated = vec![1; levels];
    repeated[0] = 0;
    let fields = "required binary image; required group caption (LIST) { repeated group list { optional binary element (STRING); } }";
    let bytes = parquet_of(fields, &[&jpeg(1)], |column| {
        let none: [ByteArray; 0] = [];
        column.typed::<ByteArrayType>().write_batch(&none, Some(&vec![1; levels]), Some(&repeated)).unwrap();
    });
    assert!(bytes.len() < levels / 100, "{}", bytes.len());
    assert_eq!(unpacking_kinds("train.parquet", &bytes), ["malformed"]);
}

/// What a writer puts before the only text of a page, which is shorter than 64 bytes: its length, in blocks of 128.
fn length_of_one(length: u8) -> [u8; 5] {
    [0x80, 1, 4, 1, 2 * length]
}

/// A Parquet file of one row, whose page of captions begins with these bytes in place of what a writer put there.
fn page_of(encoding: Encoding, hostile: &[u8]) -> Vec<u8> {
    let text = [b'x'; 63];
    let properties = WriterProperties::builder()
        .set_dictionary_enabled(false)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_column_encoding("caption".into(), encoding)
        .build();
    let fields = "required binary image; required binary caption (STRING);";
    let image = vec![ByteArray::from(jpeg(1))];
    let mut bytes = parquet_with(properties, fields, &[image], |column| {
        let value = [ByteArray::from(text.to_vec())];
        column.typed::<ByteArrayType>().write_batch(&value, None, None).unwrap();
    });
    let mut page = Vec::new();
    if encoding == Encoding::DELTA_BYTE_ARRAY {
        page.extend(length_of_one(0));
    }
    page.extend(length_of_one(63));
    page.extend(text);
    let at = bytes.windows(page.len()).position(|window| window == page).unwrap();
    bytes[at..at + hostile.len()].copy_from_slice(hostile);
    bytes
}

#[test]
fn delta_pages_that_announce_too_much_are_not_read() {
    // 2^23 lengths in 12 bytes: a single block as large as they are, whose numbers have no bits.
    let many = [0x80, 0x80, 0x80, 4, 1, 0x80, 0x80, 0x80, 4, 0, 0, 0];
    // 2^16 texts, each of which takes one byte more over than the one before it: 2 GiB.
    let longer = [0x80, 0x80, 8, 1, 0x80, 0x80, 4, 0, 2, 0];
    let whole = [&length_of_one(5)[..], b"hello"].concat();
    let (plain, prefixed) = (Encoding::DELTA_LENGTH_BYTE_ARRAY, Encoding::DELTA_BYTE_ARRAY);
    let none = length_of_one(0);
    for (encoding, hostile) in [
        (plain, many.to_vec()),
        (prefixed, [&many[..], &whole].concat()),
        (prefixed, [&none[..], &many].concat()),
        (prefixed, [&longer[..], &whole].concat()),
    ] {
        let found = unpacking("train.parquet", &page_of(encoding, &hostile));
        assert_eq!(found.iter().map(Problem::kind).collect::<Vec<_>>(), ["malformed"], "{hostile:?}");
        assert!(found[0].to_string().contains(": write "), "{found:?}");
    }
    // What they are made of is no fault.
    let folder = Folder::new();
    folder.write("in/train.parquet", page_of(prefixed, &[&none[..], &whole].concat()));
    let done = convert(folder.path("in"), folder.path("out"), &ConvertOptions::to(Format::Folder)).unwrap();
    assert_eq!((done.images, done.captions), (1, 1));
}

#[test]
fn delta_encodings_are_read() {
    // Several blocks of lengths, in lists.
    let captions: Vec<String> = (0..200_usize)
        .map(|at| format!("a photo of {} dogs and {at} cats{}", at / 5, " in a row".repeat(at * at % 13)))
        .collect();
    let images: Vec<ByteArray> = (1..=40).map(|number| ByteArray::from(jpeg(number))).collect();
    let fields = "required binary image; required group caption (LIST) { repeated group list { optional binary element (STRING); } }";
    for encoding in [Encoding::DELTA_LENGTH_BYTE_ARRAY, Encoding::DELTA_BYTE_ARRAY] {
        for version in [WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0] {
            let properties = WriterProperties::builder()
                .set_writer_version(version)
                .set_dictionary_enabled(false)
                .set_encoding(encoding)
                .build();
            let bytes = parquet_with(properties, fields, std::slice::from_ref(&images), |column| {
                let values: Vec<ByteArray> =
                    captions.iter().map(|text| ByteArray::from(text.as_str())).collect();
                let repeated: Vec<i16> = (0..200).map(|at| i16::from(at % 5 > 0)).collect();
                column
                    .typed::<ByteArrayType>()
                    .write_batch(&values, Some(&[2; 200]), Some(&repeated))
                    .unwrap();
            });
            let folder = Folder::new();
            folder.write("in/train.parquet", bytes);
            let strict = ConvertOptions { max_bad_share: None, ..ConvertOptions::to(Format::Folder) };
            let done = convert(folder.path("in"), folder.path("out"), &strict).unwrap();
            assert_eq!((done.images, done.captions), (40, 200), "{encoding} {version:?}");
            let written = std::fs::read_to_string(folder.path("out/captions.json")).unwrap();
            let missing = captions.iter().find(|caption| !written.contains(&format!("\"{caption}\"")));
            assert_eq!(missing, None, "{encoding} {version:?}");
        }
    }
}
