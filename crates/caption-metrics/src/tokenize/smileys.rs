//! Smileys.

use super::apostrophes::left_or_right;
use super::lexer::{Found, Kind};
use super::text::Text;

/// Western ones (`:-)`), eastern ones with and without brackets (`(^_^)`, `>_<`), and `o.O`.
pub(super) fn offer(text: Text, i: usize, found: &mut Found) {
    western(text, i, found);
    eastern(text, i, found);
    let wide = |b| b | 0x20 == b'o';
    if wide(text.byte(i))
        && let Some(j) =
            if matches!(text.byte(i + 1), b'.' | b'_') { Some(i + 2) } else { left_or_right(text, i + 1) }
        && wide(text.byte(j))
    {
        found.offer(j + 1, Kind::Plain);
    }
}

fn western(text: Text, i: usize, found: &mut Found) {
    let mut at = i;
    if matches!(text.byte(at), b'<' | b'>') {
        at += 1;
    }
    if !matches!(text.byte(at), b':' | b';' | b'=') {
        return;
    }
    at += 1;
    if matches!(text.byte(at), b'-' | b'\'' | b'o' | b'*') {
        at += 1;
    }
    let mouth = b"()@DOP[\\]dp{|".contains(&text.byte(at));
    // A nose may be a mouth's first sign only as itself: without a mouth there is no smiley.
    if mouth && !text.byte(at + 1).is_ascii_alphanumeric() {
        found.offer(at + 1, Kind::Brackets);
    }
}

fn eastern(text: Text, i: usize, found: &mut Found) {
    let eye = |b: u8| matches!(b, b'\'' | b'-' | b'<' | b'=' | b'>' | b'^' | b'x' | b'~');
    if text.byte(i) != b'(' {
        let right = text.byte(i + 2);
        if eye(text.byte(i)) && text.byte(i + 1) == b'_' && eye(right) {
            found.offer(i + 3, Kind::Plain);
        }
        return;
    }
    if !eye(text.byte(i + 1)) {
        return;
    }
    if eye(text.byte(i + 2)) && text.byte(i + 3) == b')' {
        found.offer(i + 4, Kind::Brackets);
    }
    let nose = matches!(text.byte(i + 2), b'.' | b'_');
    // A hyphen is a nose only where it cannot be part of a dash.
    let dash =
        text.byte(i + 1) != b'-' && b"'<=>^`x~".contains(&text.byte(i + 3)) && text.byte(i + 2) == b'-';
    if (nose && eye(text.byte(i + 3)) || dash) && text.byte(i + 4) == b')' {
        found.offer(i + 5, Kind::Brackets);
    }
}
