//! What pages with texts in delta encodings announce, looked at before anything is made of it.
//!
//! A few bytes of DELTA_LENGTH_BYTE_ARRAY may announce billions of texts, of whose lengths the library makes a list before it looks
//! for the texts; in DELTA_BYTE_ARRAY each text may also begin with all of the one before it, which the library copies. Positions
//! are found as the library finds them; what it would refuse is refused here.

use parquet::basic::Encoding;
use parquet::column::page::Page;
use parquet::errors::ParquetError;

use super::pages::MAX_VALUES;
use super::thrift::{signed, variable};

/// Most bits of a packed number.
const MAX_WIDTH: usize = 32;

/// Bytes that the texts of a page take over from those before them: none in other encodings.
///
/// # Errors
/// For a page of more than [`MAX_VALUES`] texts, and one whose lengths cannot be read.
pub(super) fn repeated_bytes(page: &Page, defined: bool, listed: bool) -> Result<usize, ParquetError> {
    let encoding = page.encoding();
    let (prefixed, plain) = (Encoding::DELTA_BYTE_ARRAY, Encoding::DELTA_LENGTH_BYTE_ARRAY);
    if !page.is_data_page() || encoding != prefixed && encoding != plain {
        return Ok(0);
    }
    let mut values = values(page, defined, listed).ok_or_else(damaged)?;
    let mut repeated = 0;
    if encoding == prefixed {
        (repeated, values) = Lengths::open(values)?.sum().ok_or_else(damaged)?;
    }
    Lengths::open(values)?;
    Ok(repeated)
}

fn damaged() -> ParquetError {
    ParquetError::General("the lengths of texts in delta encoding are damaged".into())
}

/// The encoded values of a data page, after its levels.
fn values(page: &Page, defined: bool, listed: bool) -> Option<&[u8]> {
    match page {
        Page::DataPageV2 { buf, rep_levels_byte_len, def_levels_byte_len, .. } => {
            buf.get(*rep_levels_byte_len as usize + *def_levels_byte_len as usize..)
        }
        Page::DataPage { buf, rep_level_encoding, def_level_encoding, .. } => {
            let mut rest = &buf[..];
            let levels = [listed.then_some(rep_level_encoding), defined.then_some(def_level_encoding)];
            for &encoding in levels.into_iter().flatten() {
                // The other encoding of levels is older than delta encodings.
                let (length, after) = rest.split_first_chunk().filter(|_| encoding == Encoding::RLE)?;
                rest = after.get(usize::try_from(i32::from_le_bytes(*length)).ok()?..)?;
            }
            Some(rest)
        }
        Page::DictionaryPage { .. } => None,
    }
}

/// Lengths in DELTA_BINARY_PACKED, at most [`MAX_VALUES`]: what is announced, and the first.
struct Lengths<'a> {
    mini_blocks: usize,
    in_mini_block: usize,
    count: usize,
    first: i32,
    rest: &'a [u8],
}

impl<'a> Lengths<'a> {
    fn open(bytes: &'a [u8]) -> Result<Self, ParquetError> {
        let lengths = Self::head(bytes).ok_or_else(damaged)?;
        if lengths.count > MAX_VALUES {
            let message = format!(
                "a page announces {} texts, at most {MAX_VALUES} are read: write smaller pages",
                lengths.count
            );
            return Err(ParquetError::General(message));
        }
        Ok(lengths)
    }

    fn head(mut rest: &'a [u8]) -> Option<Self> {
        let mut size = || usize::try_from(variable(&mut rest)?).ok();
        let (block, mini_blocks, count) = (size()?, size()?, size()?);
        let first = signed(&mut rest)?;
        let in_mini_block = block.checked_div(mini_blocks)?;
        let whole = block.is_multiple_of(mini_blocks) && in_mini_block.is_multiple_of(32);
        whole.then_some(Lengths { mini_blocks, in_mini_block, count, first, rest })
    }

    /// Their sum and what comes after them; none where they are damaged or one is negative.
    fn sum(self) -> Option<(usize, &'a [u8])> {
        let Lengths { mini_blocks, in_mini_block, count, first, mut rest } = self;
        if count == 0 {
            return Some((0, rest));
        }
        let (mut last, mut left) = (first, count - 1);
        let mut sum = usize::try_from(first).ok()?;
        while left > 0 {
            let least = signed(&mut rest)?;
            let (widths, mut packed) = rest.split_at_checked(mini_blocks)?;
            for width in widths.iter().map(|&width| usize::from(width)) {
                // Whatever their widths, those that nothing is left for take no room.
                let here = left.min(in_mini_block);
                if here == 0 {
                    break;
                }
                let room = width.checked_mul(in_mini_block).filter(|_| width <= MAX_WIDTH)? / 8;
                let (numbers, after) = packed.split_at_checked(room)?;
                for at in 0..here {
                    last = last.wrapping_add(least).wrapping_add(number(numbers, at, width) as i32);
                    sum = sum.checked_add(usize::try_from(last).ok()?)?;
                }
                packed = after;
                left -= here;
            }
            rest = packed;
        }
        Some((sum, rest))
    }
}

/// One of numbers that have so many bits each, the lowest first.
fn number(packed: &[u8], at: usize, width: usize) -> u32 {
    let (byte, shift) = (at * width / 8, at * width % 8);
    let mut word = [0; 8];
    word.iter_mut().zip(&packed[byte..]).for_each(|(to, from)| *to = *from);
    ((u64::from_le_bytes(word) >> shift) & ((1 << width) - 1)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 1, 2, 3, 4, 5: an example of the format's own text.
    const ONE_TO_FIVE: [u8; 10] = [0x80, 1, 4, 5, 2, 2, 0, 0, 0, 0];

    fn sum(bytes: &[u8]) -> Option<(usize, &[u8])> {
        Lengths::open(bytes).ok()?.sum()
    }

    #[test]
    fn lengths_are_read_as_the_format_defines_them() {
        assert_eq!(sum(&ONE_TO_FIVE), Some((15, &[][..])));
        // 7, 5, 3, 1, 2, 3, 4, 5, another example; widths that nothing is left for may be anything.
        for any in [0, 0xff] {
            let bytes = [0x80, 1, 4, 8, 14, 3, 2, any, any, any, 0xc0, 0x3f, 0, 0, 0, 0, 0, 0, 9];
            assert_eq!(sum(&bytes), Some((30, &[9][..])));
        }
        assert_eq!(sum(&[0x80, 1, 4, 1, 12, 9]), Some((6, &[9][..])), "one has no block");
        assert_eq!(sum(&[0x80, 1, 4, 0, 0, 9]), Some((0, &[9][..])));
        let packed = ((5_u64 << 31) | 9).to_le_bytes();
        assert_eq!(
            [number(&packed, 0, 31), number(&packed, 1, 31), number(&packed, 0, 32)],
            [9, 5, (1 << 31) | 9]
        );
    }

    #[test]
    fn damaged_lengths_are_refused() {
        for bytes in [
            &[][..],
            &[0x80; 11],
            &[0x80, 1, 0, 1, 0],
            // Mini blocks of 16, and of none.
            &[0x40, 4, 1, 0],
            &[0, 4, 2, 0, 0, 0, 0, 0, 0],
            // Negative, cut off, and too wide.
            &[0x80, 1, 4, 1, 1],
            &ONE_TO_FIVE[..9],
            &[0x80, 1, 4, 2, 0, 0, 8, 0, 0, 0, 1],
            &[[0x80, 1, 4, 2, 0, 0, 33, 0, 0, 0], [0; 10]].concat(),
        ] {
            assert_eq!(sum(bytes), None, "{bytes:?}");
        }
        let many = [0x80, 1, 4, 0x81, 0x80, 0x80, 2, 0];
        let told = Lengths::open(&many).map(|lengths| lengths.count).unwrap_err().to_string();
        assert!(told.contains("4194305 texts"), "{told}");
    }

    #[test]
    fn lengths_come_after_the_levels_of_a_page() {
        let old = |levels: &[u8], level_encoding: Encoding, encoding: Encoding| Page::DataPage {
            buf: [levels, &ONE_TO_FIVE, &ONE_TO_FIVE].concat().into(),
            num_values: 5,
            encoding,
            def_level_encoding: level_encoding,
            rep_level_encoding: level_encoding,
            statistics: None,
        };
        let new = |levels: &[u8]| Page::DataPageV2 {
            buf: [levels, &ONE_TO_FIVE, &ONE_TO_FIVE].concat().into(),
            num_values: 5,
            encoding: Encoding::DELTA_BYTE_ARRAY,
            num_nulls: 0,
            num_rows: 5,
            def_levels_byte_len: 2,
            rep_levels_byte_len: 1,
            is_compressed: false,
            statistics: None,
        };
        let (rle, delta) = (Encoding::RLE, Encoding::DELTA_BYTE_ARRAY);
        let read = |page: Page, defined, listed| repeated_bytes(&page, defined, listed).ok();
        assert_eq!(read(old(&[], rle, delta), false, false), Some(15));
        assert_eq!(read(old(&[2, 0, 0, 0, 9, 9], rle, delta), true, false), Some(15));
        assert_eq!(read(old(&[1, 0, 0, 0, 9, 0, 0, 0, 0], rle, delta), true, true), Some(15));
        assert_eq!(read(old(&[200, 0, 0, 0], rle, delta), true, false), None);
        assert_eq!(read(old(&[0, 0, 0, 0], Encoding::PLAIN, delta), true, false), None);
        assert_eq!(read(old(&[], rle, Encoding::DELTA_LENGTH_BYTE_ARRAY), false, false), Some(0));
        assert_eq!(read(old(&[200, 0, 0, 0], rle, Encoding::PLAIN), true, true), Some(0));
        assert_eq!(read(new(&[9, 9, 9]), true, true), Some(15));
        assert_eq!(read(new(&[]), true, true), None, "not at the head");
    }
}
