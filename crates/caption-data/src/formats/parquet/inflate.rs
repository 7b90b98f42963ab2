//! How much is in what gzip made, without unpacking it.
//!
//! Formats: RFC 1951 and RFC 1952.

/// Bits of the longest code.
const MAX_BITS: usize = 15;

/// How many bytes are in what gzip made; none where that is damaged or they are more than `most`.
pub(super) fn unpacked(packed: &[u8], most: u64) -> Option<u64> {
    let (mut at, mut count) = (0, 0);
    while at < packed.len() {
        let rest = &packed[at..];
        at += rest.len() - after_head(rest)?.len();
        let mut stream = Stream { packed, at, held: 0, bits: 0, count, most };
        while !stream.block()? {}
        stream.skip_to_byte();
        // A checksum and a length.
        at = stream.at + 8;
        count = stream.count;
    }
    (at == packed.len()).then_some(count)
}

/// What follows the head of gzip.
fn after_head(packed: &[u8]) -> Option<&[u8]> {
    let (head, mut rest) = packed.split_at_checked(10)?;
    let flags = head[3];
    if head[..3] != [0x1f, 0x8b, 8] || flags & 0xe0 != 0 {
        return None;
    }
    if flags & 4 != 0 {
        let (length, after) = rest.split_first_chunk()?;
        rest = after.get(usize::from(u16::from_le_bytes(*length))..)?;
    }
    // A name, and a comment.
    for _ in 0..(flags & 24).count_ones() {
        let end = rest.iter().position(|&byte| byte == 0)?;
        rest = &rest[end + 1..];
    }
    rest.get(if flags & 2 == 0 { 0 } else { 2 }..)
}

/// A stream of deflate, as far as it is read.
struct Stream<'a> {
    packed: &'a [u8],
    at: usize,
    /// Bits before `at` that are not used yet, the first the lowest.
    held: u64,
    bits: usize,
    count: u64,
    most: u64,
}

impl Stream<'_> {
    fn take(&mut self, bits: usize) -> Option<usize> {
        while self.bits < bits {
            self.held |= u64::from(*self.packed.get(self.at)?) << self.bits;
            self.at += 1;
            self.bits += 8;
        }
        let value = self.held & ((1 << bits) - 1);
        self.held >>= bits;
        self.bits -= bits;
        Some(value as usize)
    }

    /// Drops bits up to the next byte.
    fn skip_to_byte(&mut self) {
        self.at -= self.bits / 8;
        (self.held, self.bits) = (0, 0);
    }

    fn symbol(&mut self, code: &Code) -> Option<usize> {
        // At the end of the stream fewer bits than the longest code has may be left, which are enough.
        while self.bits < MAX_BITS && self.at < self.packed.len() {
            self.held |= u64::from(self.packed[self.at]) << self.bits;
            self.at += 1;
            self.bits += 8;
        }
        let (symbol, bits) = code.find(self.held)?;
        self.take(bits)?;
        Some(symbol)
    }

    fn add(&mut self, count: usize) -> Option<()> {
        self.count += count as u64;
        (self.count <= self.most).then_some(())
    }

    /// Reads a block; whether it is the last.
    fn block(&mut self) -> Option<bool> {
        let is_last = self.take(1)? == 1;
        match self.take(2)? {
            0 => self.stored()?,
            1 => {
                let length = |symbol| match symbol {
                    144..256 => 9,
                    256..280 => 7,
                    _ => 8,
                };
                let lengths: Vec<usize> = (0..288).map(length).collect();
                self.coded(&Code::new(&lengths)?, &Code::new(&[5; 32])?)?;
            }
            2 => {
                let (symbols, distances) = self.codes()?;
                self.coded(&symbols, &distances)?;
            }
            _ => return None,
        }
        Some(is_last)
    }

    fn stored(&mut self) -> Option<()> {
        self.skip_to_byte();
        let (count, complement) = (self.take(16)?, self.take(16)?);
        self.skip_to_byte();
        self.at = self.at.checked_add(count).filter(|&at| at <= self.packed.len())?;
        if count ^ complement == 0xffff { self.add(count) } else { None }
    }

    /// Reads the codes that a block has of its own.
    fn codes(&mut self) -> Option<(Code, Code)> {
        /// Whose lengths come first.
        const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
        let (symbols, distances, given) = (257 + self.take(5)?, 1 + self.take(5)?, 4 + self.take(4)?);
        let mut first = [0; 19];
        for &at in &ORDER[..given] {
            first[at] = self.take(3)?;
        }
        let code = Code::new(&first)?;
        let mut lengths = Vec::with_capacity(symbols + distances);
        while lengths.len() < symbols + distances {
            let (length, times) = match self.symbol(&code)? {
                16 => (*lengths.last()?, 3 + self.take(2)?),
                17 => (0, 3 + self.take(3)?),
                18 => (0, 11 + self.take(7)?),
                length => (length, 1),
            };
            lengths.extend(std::iter::repeat_n(length, times));
        }
        let all = lengths.len() == symbols + distances;
        let (symbols, distances) = lengths.split_at_checked(symbols).filter(|_| all)?;
        Some((Code::new(symbols)?, Code::new(distances)?))
    }

    /// Counts what a block comes to by its codes.
    fn coded(&mut self, symbols: &Code, distances: &Code) -> Option<()> {
        loop {
            let length = match self.symbol(symbols)? {
                0..256 => 1,
                256 => return Some(()),
                symbol => {
                    let length = self.length(symbol - 257)?;
                    let distance = self.symbol(distances).filter(|&distance| distance < 30)?;
                    self.take((distance / 2).saturating_sub(1))?;
                    length
                }
            };
            self.add(length)?;
        }
    }

    /// The length of what is repeated.
    fn length(&mut self, number: usize) -> Option<usize> {
        match number {
            0..8 => Some(3 + number),
            8..28 => {
                let bits = number / 4 - 1;
                Some(3 + ((4 + number % 4) << bits) + self.take(bits)?)
            }
            28 => Some(258),
            _ => None,
        }
    }
}

/// Codes of symbols: the shorter first, and of one length those of the lower symbols.
struct Code {
    /// How many codes have so many bits.
    counts: [usize; MAX_BITS + 1],
    /// Symbols in the order of their codes.
    symbols: Vec<usize>,
}

impl Code {
    /// Codes by the bits of each symbol, none with 0; as the library, one alone may leave others unused.
    fn new(lengths: &[usize]) -> Option<Code> {
        let mut counts = [0; MAX_BITS + 1];
        lengths.iter().for_each(|&length| counts[length] += 1);
        counts[0] = 0;
        let mut left = 1_usize;
        for count in &counts[1..] {
            left = (2 * left).checked_sub(*count)?;
        }
        if left > 0 && counts[2..].iter().any(|&count| count > 0) {
            return None;
        }
        let mut symbols: Vec<usize> = (0..lengths.len()).filter(|&symbol| lengths[symbol] > 0).collect();
        symbols.sort_by_key(|&symbol| lengths[symbol]);
        Some(Code { counts, symbols })
    }

    /// The symbol that bits begin with, and how many bits it has.
    fn find(&self, held: u64) -> Option<(usize, usize)> {
        // The code so far, the first of its length, and the place of that among the symbols.
        let (mut code, mut first, mut place) = (0, 0, 0);
        for (&count, bits) in self.counts[1..].iter().zip(1..) {
            code |= (held >> (bits - 1)) as usize & 1;
            if code < first + count {
                return Some((self.symbols[place + code - first], bits));
            }
            place += count;
            first = (first + count) << 1;
            code <<= 1;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Read, Write};

    use super::*;

    /// What gzip makes of bytes, with a name, a comment and more; the checksums are not looked at.
    fn gzip(content: &[u8]) -> Vec<u8> {
        let options = zip::write::SimpleFileOptions::default();
        let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
        zip.start_file("x", options.compression_method(zip::CompressionMethod::Deflated)).unwrap();
        zip.write_all(content).unwrap();
        let mut archive = zip::ZipArchive::new(zip.finish().unwrap()).unwrap();
        let mut deflated = Vec::new();
        archive.by_index_raw(0).unwrap().read_to_end(&mut deflated).unwrap();
        let head =
            [&[0x1f, 0x8b, 8, 0x1e, 0, 0, 0, 0, 0, 255][..], &[3, 0, 1, 2, 3], b"name\0comment\0", &[0; 2]];
        [head.concat(), deflated, vec![0; 8]].concat()
    }

    /// Bytes that cannot be compressed.
    fn noise(count: usize) -> Vec<u8> {
        let mut state = 1_u64;
        let next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        };
        std::iter::repeat_with(next).take(count).collect()
    }

    #[test]
    fn bytes_are_counted_as_they_would_be_unpacked() {
        let words: Vec<u8> =
            noise(200_000).into_iter().map(|byte| b"a dog runs "[usize::from(byte) % 11]).collect();
        let repeats: Vec<u8> = (0..100_000_usize).map(|at| noise(37 + at % 3)[at % 37]).collect();
        for content in
            [&b""[..], b"a", b"a dog, a dog, a dog", &noise(100_000), &words, &repeats, &vec![0; 1 << 20]]
        {
            let (packed, count) = (gzip(content), content.len() as u64);
            assert_eq!(unpacked(&packed, count), Some(count));
            assert_eq!(unpacked(&[&packed[..], &packed].concat(), u64::MAX), Some(2 * count));
            assert!(count == 0 || unpacked(&packed, count - 1).is_none());
            for end in (1..packed.len()).step_by(1 + packed.len() / 50) {
                assert_eq!(unpacked(&packed[..end], u64::MAX), None, "{end} of {}", packed.len());
            }
            assert_eq!(unpacked(&[&packed[..], b"x"].concat(), u64::MAX), None);
            // What is damaged is counted in some way or refused.
            for at in (0..packed.len()).step_by(1 + packed.len() / 500) {
                let mut damaged = packed.clone();
                damaged[at] ^= 0x24;
                let _ = unpacked(&damaged, 1 << 22);
            }
        }
    }

    #[test]
    fn blocks_of_all_kinds_are_read() {
        let stream = |bytes: &[u8]| [&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255][..], bytes, &[0; 8]].concat();
        let count = |bytes: &[u8]| unpacked(&stream(bytes), 1000);
        // Stored, then as zlib writes ten times "a" with codes that all know.
        assert_eq!(count(&[0, 2, 0, 0xfd, 0xff, 7, 7, 0x4b, 0x4c, 0x84, 0x01, 0x00]), Some(12));
        assert_eq!(count(&[1, 2, 0, 0xfd, 0xfe, 7, 7]), None, "the length and its complement differ");
        assert_eq!(count(&[7]), None, "no such block");
        // Codes of which there are too many, and too few.
        assert!(Code::new(&[1, 1, 1]).is_none() && Code::new(&[2, 2, 2]).is_none());
        assert!(
            Code::new(&[0, 1]).is_some_and(|code| code.find(0) == Some((1, 1)) && code.find(1).is_none())
        );
        assert!(Code::new(&[0, 0]).is_some_and(|code| code.find(0).is_none()));
    }

    #[test]
    fn a_page_of_two_megabytes_may_hold_no_more_than_two_gigabytes() {
        const MOST: u64 = i32::MAX as u64;
        let part = gzip(&vec![0; 10 << 20]);
        let page = part.repeat(206);
        assert!(page.len() < 3 << 20, "{}", page.len());
        assert_eq!(unpacked(&page, MOST), None);
        assert_eq!(unpacked(&part.repeat(20), MOST), Some(200 << 20));
    }
}
