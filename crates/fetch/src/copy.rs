//! Copying with a byte cap while hashing.

use std::io::{self, Read, Write};
use std::ops::ControlFlow;

use sha2::{Digest, Sha256};

const BUFFER: usize = 128 * 1024;

/// Why a copy ended early.
#[derive(Debug)]
pub(crate) enum CopyError {
    /// The source failed.
    Read(io::Error),
    /// The target failed.
    Write(io::Error),
    /// More bytes came than may be.
    TooLong,
    /// Whoever watches wants no more.
    Stopped,
}

impl CopyError {
    /// In words, where at most so many bytes were allowed.
    pub(crate) fn in_words(&self, max_bytes: u64) -> String {
        match self {
            Self::Read(error) | Self::Write(error) => error.to_string(),
            Self::TooLong => format!("larger than the {max_bytes} bytes allowed for it"),
            Self::Stopped => "stopped".to_owned(),
        }
    }
}

/// The digest of what was copied so far, in one piece or several.
#[derive(Default)]
pub(crate) struct Hashed {
    hasher: Sha256,
    bytes: u64,
}

impl Hashed {
    /// Bytes so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The digest so far, in lower-case hexadecimal.
    pub(crate) fn sha256(&self) -> String {
        hex(&self.hasher.clone().finalize())
    }

    /// Copies until the end of `reader`, calling `progress` with the bytes so far. What was written before an error counts.
    pub(crate) fn copy(
        &mut self,
        mut reader: impl Read,
        mut writer: impl Write,
        max_bytes: u64,
        mut progress: impl FnMut(u64) -> ControlFlow<()>,
    ) -> Result<(), CopyError> {
        let mut buffer = vec![0; BUFFER];
        loop {
            let n = match reader.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(n) => n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(CopyError::Read(e)),
            };
            if self.bytes + n as u64 > max_bytes {
                return Err(CopyError::TooLong);
            }
            writer.write_all(&buffer[..n]).map_err(CopyError::Write)?;
            self.hasher.update(&buffer[..n]);
            self.bytes += n as u64;
            if progress(self.bytes).is_break() {
                return Err(CopyError::Stopped);
            }
        }
    }
}

/// Copies until the end of `reader`, calling `progress` with the bytes so far.
/// Returns the number of bytes and their sha256 in lower-case hexadecimal.
///
/// # Errors
/// Those of reading and writing, and [`CopyError::TooLong`] once more than `max_bytes` arrive.
pub(crate) fn copy_hashing(
    reader: impl Read,
    writer: impl Write,
    max_bytes: u64,
    mut progress: impl FnMut(u64),
) -> Result<(u64, String), CopyError> {
    let mut hashed = Hashed::default();
    let told = |bytes| {
        progress(bytes);
        ControlFlow::Continue(())
    };
    hashed.copy(reader, writer, max_bytes, told)?;
    Ok((hashed.bytes(), hashed.sha256()))
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|b| [DIGITS[usize::from(b >> 4)], DIGITS[usize::from(b & 15)]].map(char::from))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_what_it_copies() {
        let mut out = Vec::new();
        let (n, sha) = copy_hashing(&b"abc"[..], &mut out, 3, |_| ()).unwrap();
        assert_eq!((n, out.as_slice()), (3, &b"abc"[..]));
        // The example digest of FIPS 180-2, appendix B.1.
        assert_eq!(sha, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn stops_at_the_cap() {
        let endless = io::repeat(7);
        let mut out = Vec::new();
        let error = copy_hashing(endless, &mut out, 1000, |_| ()).unwrap_err();
        assert!(matches!(error, CopyError::TooLong), "{error:?}");
        assert!(out.len() <= 1000);
    }
}
