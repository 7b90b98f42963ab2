//! What Thrift's compact protocol writes, in which the heads of a file and of its pages are, read from memory and no further than it
//! goes.
//!
//! Format: <https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md>.

/// Bits of the longest number of variable length, seven of each byte.
const MAX_VARIABLE_BITS: u32 = 70;
/// How deep structures that are passed over lie in each other.
const MAX_DEPTH: usize = 64;

/// Kinds of values. A truth value in a structure is its kind, in a list a byte.
pub(super) const TRUE: u8 = 1;
pub(super) const FALSE: u8 = 2;
const BYTE: u8 = 3;
const SHORT: u8 = 4;
pub(super) const INT: u8 = 5;
pub(super) const LONG: u8 = 6;
const DOUBLE: u8 = 7;
pub(super) const BINARY: u8 = 8;
pub(super) const LIST: u8 = 9;
const SET: u8 = 10;
const MAP: u8 = 11;
pub(super) const STRUCT: u8 = 12;
const UUID: u8 = 13;

/// Reads a number of variable length from the front.
pub(super) fn variable(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..MAX_VARIABLE_BITS).step_by(7) {
        let (&byte, after) = rest.split_first()?;
        *rest = after;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

/// Reads a number that may be negative: its sign is the lowest bit.
pub(super) fn signed(rest: &mut &[u8]) -> Option<i32> {
    let value = variable(rest)?;
    i32::try_from((value >> 1) as i64 ^ -((value & 1) as i64)).ok()
}

/// Reads so many bytes from the front.
fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, after) = rest.split_at_checked(count)?;
    *rest = after;
    Some(taken)
}

/// Reads a text or other bytes.
pub(super) fn binary<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let count = usize::try_from(variable(rest)?).ok()?;
    take(rest, count)
}

/// Reads the head of a list: the kind of its values, and how many there are.
pub(super) fn list(rest: &mut &[u8]) -> Option<(u8, u64)> {
    let head = take(rest, 1)?[0];
    let count = if head >> 4 == 15 { variable(rest)? } else { u64::from(head >> 4) };
    Some((head & 15, count))
}

/// Reads a structure: calls `each` with the number and the kind of each field, for it to read the value.
pub(super) fn fields<'a>(
    rest: &mut &'a [u8],
    mut each: impl FnMut(i32, u8, &mut &'a [u8]) -> Option<()>,
) -> Option<()> {
    let mut number = 0_i32;
    loop {
        let head = take(rest, 1)?[0];
        if head & 15 == 0 {
            return Some(());
        }
        number = if head >> 4 == 0 { signed(rest)? } else { number.checked_add(i32::from(head >> 4))? };
        each(number, head & 15, rest)?;
    }
}

/// Passes over a value that nobody asks for.
pub(super) fn skip(rest: &mut &[u8], kind: u8) -> Option<()> {
    skip_within(rest, kind, MAX_DEPTH)
}

fn skip_within(rest: &mut &[u8], kind: u8, depth: usize) -> Option<()> {
    let depth = depth.checked_sub(1)?;
    // Each value in a list takes a byte at least, so that none is longer than what is left.
    let value = |rest: &mut &[u8], kind: u8| match kind {
        TRUE | FALSE => take(rest, 1).map(drop),
        _ => skip_within(rest, kind, depth),
    };
    match kind {
        TRUE | FALSE => Some(()),
        BYTE => take(rest, 1).map(drop),
        SHORT | INT | LONG => variable(rest).map(drop),
        DOUBLE => take(rest, 8).map(drop),
        BINARY => binary(rest).map(drop),
        LIST | SET => {
            let (kind, count) = list(rest)?;
            (0..count).try_for_each(|_| value(rest, kind))
        }
        MAP => {
            let count = variable(rest)?;
            let kinds = if count == 0 { 0 } else { take(rest, 1)?[0] };
            (0..count).try_for_each(|_| value(rest, kinds >> 4).and_then(|()| value(rest, kinds & 15)))
        }
        STRUCT => fields(rest, |_, kind, rest| skip_within(rest, kind, depth)),
        UUID => take(rest, 16).map(drop),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is left of bytes after a value of this kind.
    fn after(kind: u8, bytes: &[u8]) -> Option<usize> {
        let mut rest = bytes;
        skip(&mut rest, kind).map(|()| rest.len())
    }

    #[test]
    fn values_are_passed_over() {
        for (kind, bytes) in [
            (TRUE, &[][..]),
            (BYTE, &[7]),
            (LONG, &[0x80, 1]),
            (DOUBLE, &[0; 8]),
            (BINARY, &[2, 1, 1]),
            (UUID, &[0; 16]),
            // Three truth values; two texts; a map of nothing, and of one text to a number.
            (LIST, &[0x31, 1, 2, 2]),
            (LIST, &[0xf8, 2, 1, 9, 0]),
            (MAP, &[0]),
            (MAP, &[1, 0x85, 1, 9, 6]),
            // A number, a truth value, a list in a structure, and a field with a number of its own.
            (STRUCT, &[0x15, 8, 0x11, 0x1c, 0x19, 0x13, 5, 0, 0x05, 0x80, 1, 3, 0]),
        ] {
            assert_eq!(after(kind, bytes), Some(0), "{kind}: {bytes:?}");
            if let Some((_, short)) = bytes.split_last() {
                assert_eq!(after(kind, short), None, "{kind}: {short:?}");
            }
        }
        assert_eq!((after(0, &[]), after(14, &[])), (None, None));
    }

    #[test]
    fn nothing_is_deeper_or_longer_than_it_may_be() {
        let nested = |depth: usize| [vec![0x1c; depth], vec![0; depth + 1]].concat();
        assert_eq!((after(STRUCT, &nested(63)), after(STRUCT, &nested(64))), (Some(0), None));
        assert_eq!(after(STRUCT, &vec![0x1c; 1 << 20]), None);
        let billions = [0xf1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 1];
        assert_eq!(after(LIST, &billions), None);
        let mut rest = &[0x05, 0xfe, 0xff, 0xff, 0xff, 0x0f, 0x15, 0][..];
        assert_eq!(fields(&mut rest, |_, _, _| Some(())), None, "numbers of fields end");
    }
}
