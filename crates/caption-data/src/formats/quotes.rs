//! Quotation marks in tables that nobody closes: the lines after them would be part of one cell, and their rows lost.

use csv::{Position, StringRecord};

/// Ends of the names of images, by which a line is known as a row.
const IMAGES: [&str; 5] = [".jpg", ".jpeg", ".png", ".webp", ".gif"];

/// A record as it stands in the file.
pub(super) struct Span<'a> {
    /// The line that it begins on, from 1.
    pub line: u64,
    start: usize,
    /// Its text without the line ends around it.
    raw: &'a str,
    /// True when nothing but line ends comes after it.
    last: bool,
}

impl<'a> Span<'a> {
    /// The text of a record that was just read; `end` is where the reader stands.
    pub(super) fn new(text: &'a str, record: &StringRecord, end: &Position) -> Self {
        let (start, line) = record.position().map_or((0, 0), |p| (p.byte() as usize, p.line()));
        let end = end.byte() as usize;
        let whole = text.get(start..end).unwrap_or_default();
        let raw = whole.trim_start_matches(['\r', '\n']);
        let (before, _) = whole.split_at(whole.len() - raw.len());
        let line = line + before.matches('\n').count() as u64;
        let raw = raw.trim_end_matches(['\r', '\n']);
        Span { line, start: start + before.len(), raw, last: end >= text.len() }
    }

    /// All of a table as one record.
    pub(super) fn whole(text: &'a str) -> Self {
        Span { line: 1, start: 0, raw: text, last: true }
    }

    /// How many bytes there are.
    pub(super) fn len(&self) -> usize {
        self.raw.len()
    }

    /// True when a mark at the beginning of a cell is not closed, so that following lines are no part of the cell.
    ///
    /// `image` and `caption` are the places of their columns.
    pub(super) fn is_unclosed(
        &self,
        record: &StringRecord,
        delimiter: u8,
        [image, caption]: [usize; 2],
    ) -> bool {
        let lines = self.raw.contains('\n');
        let row = |line: &str| {
            let cells: Vec<&str> = line.split(char::from(delimiter)).collect();
            let name = cells.get(image).map(|name| name.trim().trim_matches('"').to_ascii_lowercase());
            cells.len() > caption && name.is_some_and(|name| IMAGES.iter().any(|end| name.ends_with(end)))
        };
        (lines || self.last) && leaves_open(self.raw.as_bytes(), delimiter)
            || lines && record.iter().flat_map(|cell| cell.lines().skip(1)).any(row)
    }

    /// Where the line after the first begins.
    pub(super) fn next_line(&self) -> Position {
        let length = self.raw.find('\n').map_or(self.raw.len(), |at| at + 1);
        let mut position = Position::new();
        position.set_byte((self.start + length) as u64).set_line(self.line + 1);
        position
    }
}

/// True when a quoted cell has no end, or its closing mark is on another line and text follows: that mark begins something else.
fn leaves_open(raw: &[u8], delimiter: u8) -> bool {
    let mut at = 0;
    while at < raw.len() {
        if raw[at] == b'"' {
            let Some(closing) = closing_mark(&raw[at + 1..]).map(|length| at + 1 + length) else {
                return true;
            };
            let ends = raw.get(closing + 1).is_none_or(|&next| next == delimiter);
            if !ends && raw[at..closing].contains(&b'\n') {
                return true;
            }
            at = closing + 1;
        }
        // What follows the mark in the cell is read as it stands.
        at += raw[at..].iter().take_while(|&&byte| byte != delimiter).count() + 1;
    }
    false
}

/// The place of the first mark that is not doubled.
fn closing_mark(cell: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += cell[at..].iter().position(|&byte| byte == b'"')?;
        if cell.get(at + 1) != Some(&b'"') {
            return Some(at);
        }
        at += 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_closed_at_the_end_of_a_cell() {
        for closed in [
            "",
            "a,b",
            "a,\"b\nc\"",
            "a,\"b\"\"\nc\",d",
            "a,\"\"",
            "a,\"b\" c",
            "a,b \"c",
            "\"a\",\"\"\"b\"\"\"",
        ] {
            assert!(!leaves_open(closed.as_bytes(), b','), "{closed}");
        }
        for open in [
            "a,\"",
            "a,\"b\nc",
            "a,\"b\nc,\"d",
            "a,\"b\"\"",
            "a,\"b\nc,\"\"d\"\" \"e",
            "\"a\",\"b\n\"c\",\"d\"",
        ] {
            assert!(leaves_open(open.as_bytes(), b','), "{open}");
        }
    }
}
