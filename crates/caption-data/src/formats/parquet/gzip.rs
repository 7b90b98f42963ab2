//! What pages that are compressed with gzip come to, counted before the library unpacks them.
//!
//! The library unpacks such a page to its end, however much that is, and looks afterwards whether it is what the page notes; a
//! kilobyte may hold a megabyte. Of the other compressions it unpacks what the page notes. So each large page is gone through once
//! beforehand, without keeping what it holds. A bound on what a page has when it is compressed would refuse a hundred usual photos.

use std::fs::File;

use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::reader::ChunkReader;

use super::inflate::unpacked;
use super::thrift::{BINARY, FALSE, INT, LONG, STRUCT, TRUE, fields, signed, skip};

/// Most bytes that a page can note for what it holds, and may hold.
const MAX_PAGE_BYTES: u64 = i32::MAX as u64;
/// How many bytes deflate makes of one at most: 258 of two bits.
const MAX_RATIO: i64 = 1032;
/// Most bytes of the head of a page: nearly all have less than the first.
const HEAD_BYTES: [u64; 2] = [1 << 13, 16 << 20];

/// Refuses a column with a page that unpacks to more than a page can note.
pub(super) fn check(file: &File, column: &ColumnChunkMetaData) -> Result<(), ParquetError> {
    let small = MAX_PAGE_BYTES as i64 / MAX_RATIO;
    if !matches!(column.compression(), Compression::GZIP(_)) || column.compressed_size() <= small {
        return Ok(());
    }
    let (mut at, length) = column.byte_range();
    let end = at.checked_add(length).ok_or_else(refused)?;
    while at < end {
        let (head, head_bytes) = head(file, at, end)?;
        let bytes = u64::try_from(head.bytes).map_err(|_| refused())?;
        at += head_bytes;
        if bytes > small as u64 && head.is_packed {
            let page = file.get_bytes(at, usize::try_from(bytes.min(end - at))?)?;
            let packed = page.get(head.level_bytes..).ok_or_else(refused)?;
            unpacked(packed, MAX_PAGE_BYTES).ok_or_else(refused)?;
        }
        at = at.checked_add(bytes).ok_or_else(refused)?;
    }
    Ok(())
}

fn refused() -> ParquetError {
    ParquetError::General(
        "a page that is compressed with gzip is damaged, or holds more than 2 GiB: write the column with zstd or snappy".into(),
    )
}

/// What the head of a page says.
#[derive(Debug, Default, PartialEq)]
struct Head {
    /// Bytes of what follows.
    bytes: i32,
    /// How many of these are not compressed, at the beginning.
    level_bytes: usize,
    is_packed: bool,
}

/// Reads the head at a place of the file, with its length.
fn head(file: &File, at: u64, end: u64) -> Result<(Head, u64), ParquetError> {
    for most in HEAD_BYTES {
        let bytes = file.get_bytes(at, most.min(end - at) as usize)?;
        let mut rest = &bytes[..];
        if let Some(head) = Head::read(&mut rest) {
            return Ok((head, (bytes.len() - rest.len()) as u64));
        }
    }
    Err(refused())
}

impl Head {
    /// As the library reads it, which goes by the numbers of fields and takes their kinds for granted: whatever else might be read in
    /// another way than there is refused.
    fn read(rest: &mut &[u8]) -> Option<Head> {
        let (mut bytes, mut levels, mut is_packed) = (None, [0, 0], true);
        fields(rest, |number, kind, rest| {
            match (number, kind) {
                (1 | 2 | 4, INT) => _ = signed(rest)?,
                (3, INT) => bytes = Some(signed(rest)?),
                (5, STRUCT) => fields(rest, |number, kind, rest| match (number, kind) {
                    (1..=4, INT) => skip(rest, kind),
                    (5, STRUCT) => statistics(rest),
                    _ => None,
                })?,
                (6, STRUCT) => fields(rest, |_, _, _| None)?,
                (7, STRUCT) => fields(rest, |number, kind, rest| match (number, kind) {
                    (1..=2, INT) | (3, TRUE | FALSE) => skip(rest, kind),
                    _ => None,
                })?,
                (8, STRUCT) => {
                    (levels, is_packed) = ([0, 0], true);
                    fields(rest, |number, kind, rest| match (number, kind) {
                        (1..=4, INT) => skip(rest, kind),
                        (5 | 6, INT) => {
                            levels[usize::from(number == 6)] = signed(rest)?;
                            Some(())
                        }
                        (7, TRUE | FALSE) => {
                            is_packed = kind == TRUE;
                            Some(())
                        }
                        (8, STRUCT) => statistics(rest),
                        _ => None,
                    })?;
                }
                _ => return None,
            }
            Some(())
        })?;
        let level_bytes = levels.map(|bytes| usize::try_from(bytes).ok());
        Some(Head { bytes: bytes?, level_bytes: level_bytes[0]?.checked_add(level_bytes[1]?)?, is_packed })
    }
}

/// Passes over statistics, which are no lists.
fn statistics(rest: &mut &[u8]) -> Option<()> {
    fields(rest, |_, kind, rest| match kind {
        TRUE | FALSE | INT | LONG | BINARY => skip(rest, kind),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read_as_the_library_reads_them() {
        let read = |bytes: &[u8]| Head::read(&mut &bytes[..]);
        let head = |bytes, level_bytes, is_packed| Some(Head { bytes, level_bytes, is_packed });
        let sizes = [0x15, 0, 0x15, 20, 0x15, 10];
        let old = [&sizes[..], &[0x2c, 0x15, 2, 0x15, 0, 0x15, 6, 0x15, 6, 0x1c, 0x18, 1, 9, 0x11, 0, 0, 0]]
            .concat();
        assert_eq!(read(&old), head(5, 0, true));
        let levels = [0x15, 2, 0x15, 0, 0x15, 2, 0x15, 0, 0x15, 4, 0x15, 6];
        let new = |end: &[u8]| [&sizes[..], &[0x5c], &levels, end].concat();
        assert_eq!(read(&new(&[0, 0])), head(5, 5, true));
        assert_eq!(read(&new(&[0x12, 0, 0])), head(5, 5, false));
        // Of a field that comes twice the second counts.
        assert_eq!(read(&new(&[0x05, 10, 8, 0, 0])), head(5, 7, true));
        // Fields of other kinds or numbers, and lists, may be read otherwise.
        for end in
            [&[0x18, 0, 0, 0][..], &[0x35, 0, 0, 0], &[0x2c, 0x19, 0x11, 1, 0, 0, 0], &[0x05, 10, 1, 0, 0]]
        {
            assert_eq!(read(&new(end)), None, "{end:?}");
        }
        assert_eq!(read(&[0x15, 0, 0x18, 1, 1, 0x15, 10, 0]), None);
        assert_eq!(read(&[0x15, 0, 0]), None, "no length");
    }
}
