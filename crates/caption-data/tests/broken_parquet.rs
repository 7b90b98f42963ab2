//! Hostile Parquet files whose heads and pages are looked at before the library reads them.

mod common;

use std::sync::Arc;

use capwright_caption_data::{ConvertOptions, DataError, Format, Problem, convert};
use common::Folder;
use parquet::basic::{Compression, GzipLevel};
use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

/// What unpacking says of a file; images need be none.
fn unpacking(content: &[u8]) -> Result<usize, Vec<Problem>> {
    let folder = Folder::new();
    folder.write("in/train.parquet", content);
    let options =
        ConvertOptions { max_bad_share: None, decode: false, ..ConvertOptions::to(Format::Webdataset) };
    match convert(folder.path("in"), folder.path("out"), &options) {
        Ok(done) => Ok(done.images),
        Err(DataError::Problems(problems)) => Err(problems.list),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn schemas_without_end_are_not_followed() {
    // Groups in each other, each with a name of no letters, that repeats and holds one more.
    let depth = 1_000_000_u32;
    let group = [0x35, 0, 0x18, 0, 0x15, 2, 0];
    let count = (0..5).map(|at| (depth >> (7 * at)) as u8 & 0x7f | if at < 4 { 0x80 } else { 0 });
    let mut footer = vec![0x15, 2, 0x19, 0xfc];
    footer.extend(count);
    footer.extend(group.repeat(depth as usize));
    footer.push(0);
    let length = (footer.len() as u32).to_le_bytes();
    let found = unpacking(&[b"PAR1", &footer[..], &length, b"PAR1"].concat()).unwrap_err();
    assert!(matches!(&found[..], [Problem::Malformed { .. }]), "{found:?}");
    assert!(found[0].to_string().contains("train.parquet: "), "{found:?}");
}

/// Bytes that are compressed to three quarters, and no further.
fn noise(seed: u64) -> ByteArray {
    let mut state = seed;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 58) as u8
    };
    ByteArray::from(std::iter::repeat_with(next).take(2 << 20).collect::<Vec<u8>>())
}

/// Two images in one page of 4 MiB, compressed with gzip.
fn gzipped(version: WriterVersion) -> Vec<u8> {
    let fields = "optional binary image; optional binary caption (STRING);";
    let schema = parse_message_type(&format!("message schema {{ {fields} }}")).unwrap();
    let properties = WriterProperties::builder()
        .set_writer_version(version)
        .set_dictionary_enabled(false)
        .set_data_page_size_limit(64 << 20)
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_write_page_header_statistics(true)
        .set_compression(Compression::GZIP(GzipLevel::default()))
        .build();
    let mut writer = SerializedFileWriter::new(Vec::new(), Arc::new(schema), Arc::new(properties)).unwrap();
    let mut group = writer.next_row_group().unwrap();
    for values in [[noise(1), noise(2)], ["a dog", "a cat"].map(ByteArray::from)] {
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<ByteArrayType>().write_batch(&values, Some(&[1, 1]), None).unwrap();
        column.close().unwrap();
    }
    group.close().unwrap();
    writer.into_inner().unwrap()
}

#[test]
fn large_pages_of_gzip_are_looked_at_first() {
    for version in [WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0] {
        let whole = gzipped(version);
        assert_eq!(unpacking(&whole), Ok(2), "{version:?}");
        // The page of images, of which the first block is made one that there is not.
        let mut damaged = whole;
        let at = damaged.windows(8).position(|window| window == [0x1f, 0x8b, 8, 0, 0, 0, 0, 0]).unwrap();
        damaged[at + 10] |= 7;
        let found = unpacking(&damaged).unwrap_err();
        let told = found[0].to_string();
        assert!(found.len() == 1 && told.contains("holds more than 2 GiB"), "{version:?}: {told}");
    }
}
