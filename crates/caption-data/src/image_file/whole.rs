//! Whether a file is all there, told from its blocks alone, before anything is decoded.
//!
//! Decoders forgive a missing end: they fill the rest with grey, or stop at the first frame. Training data should not.
//! These walks read lengths and skip what they count, so they cost next to nothing and allocate nothing.

use crate::ImageError;

type Walk = Result<(), ImageError>;

fn cut() -> ImageError {
    ImageError::Damaged("it ends before its end mark".into())
}

fn damaged(what: &str) -> ImageError {
    ImageError::Damaged(what.into())
}

/// The `N` bytes at a place.
fn bytes_at<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], ImageError> {
    let found = bytes.get(at..).and_then(|rest| rest.first_chunk());
    found.copied().ok_or_else(cut)
}

/// Walks the segments and scans of a JPEG (ITU T.81, annex B) up to its end mark.
pub(super) fn jpeg(bytes: &[u8]) -> Walk {
    let mut at = 2;
    let mut scans = 0;
    loop {
        // Between segments decoders skip stray bytes; inside a scan, everything up to the next mark is data.
        at += bytes.get(at..).and_then(|rest| rest.iter().position(|&b| b == 0xff)).ok_or_else(cut)?;
        let [marker] = bytes_at(bytes, at + 1)?;
        at += match marker {
            0xd9 if scans > 0 => return Ok(()),
            0xd9 => return Err(damaged("it holds no picture")),
            // A fill byte: the marker proper follows.
            0xff => 1,
            // An escaped 0xff of the data, a restart mark, a second start mark: nothing follows that is counted.
            0x00 | 0x01 | 0xd0..=0xd8 => 2,
            _ => {
                scans += u32::from(marker == 0xda);
                let length = u16::from_be_bytes(bytes_at(bytes, at + 2)?);
                2 + usize::from(length)
            }
        };
    }
}

/// Walks the chunks of a PNG (W3C PNG, section 5) up to `IEND`.
pub(super) fn png(bytes: &[u8]) -> Walk {
    let mut at = 8;
    loop {
        let length = u32::from_be_bytes(bytes_at(bytes, at)?) as usize;
        let name: [u8; 4] = bytes_at(bytes, at + 4)?;
        at = at.checked_add(length).and_then(|at| at.checked_add(12)).ok_or_else(cut)?;
        if at > bytes.len() {
            return Err(cut());
        }
        if &name == b"IEND" {
            return Ok(());
        }
    }
}

/// Walks the blocks of a GIF (GIF89a, section 12 and on) up to its trailer.
pub(super) fn gif(bytes: &[u8]) -> Walk {
    let table = |flags: u8| if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) };
    let [flags] = bytes_at(bytes, 10)?;
    let mut at = 13 + table(flags);
    loop {
        let [introducer] = bytes_at(bytes, at)?;
        at += match introducer {
            0x3b => return Ok(()),
            // Some writers leave an empty sub-block too many.
            0x00 => {
                at += 1;
                continue;
            }
            0x21 => 2,
            0x2c => {
                let [flags] = bytes_at(bytes, at + 9)?;
                // The descriptor, its colours, and the byte that LZW begins with.
                10 + table(flags) + 1
            }
            _ => return Err(damaged("it holds a block that GIF does not know")),
        };
        loop {
            let [length] = bytes_at(bytes, at)?;
            at += 1 + usize::from(length);
            if length == 0 {
                break;
            }
        }
    }
}

/// Walks the chunks of a WebP (RIFF container) and gives the bytes that it counts; what follows them is no part of it.
///
/// `visit` gets the size that each lossy frame says it has: its decoder allocates by that before anyone compares it with
/// the container's.
pub(super) fn webp<'a>(
    bytes: &'a [u8],
    visit: &mut dyn FnMut(usize, usize) -> Walk,
) -> Result<&'a [u8], ImageError> {
    let length = u32::from_le_bytes(bytes_at(bytes, 4)?) as usize;
    let file = length.checked_add(8).and_then(|end| bytes.get(..end)).ok_or_else(cut)?;
    riff(file, 12, true, visit)?;
    Ok(file)
}

/// Walks chunks from a place on; only those of the file itself may be frames, which hold chunks again.
fn riff(bytes: &[u8], mut at: usize, outer: bool, visit: &mut dyn FnMut(usize, usize) -> Walk) -> Walk {
    while at < bytes.len() {
        let name: [u8; 4] = bytes_at(bytes, at)?;
        let length = u32::from_le_bytes(bytes_at(bytes, at + 4)?) as usize;
        let start = at + 8;
        let content = start.checked_add(length).and_then(|end| bytes.get(start..end)).ok_or_else(cut)?;
        match &name {
            b"VP8 " => {
                let [.., w0, w1, h0, h1] = bytes_at::<10>(content, 0)?;
                let side = |low, high| usize::from(u16::from_le_bytes([low, high]) & 0x3fff);
                visit(side(w0, w1), side(h0, h1))?;
            }
            // The place of the frame takes 16 bytes.
            b"ANMF" if outer => riff(content, 16, false, visit)?,
            b"ANMF" => return Err(damaged("a frame holds a frame")),
            _ => {}
        }
        at = start + length + (length & 1);
    }
    Ok(())
}
