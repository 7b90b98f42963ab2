//! Tables of images and captions: CSV and TSV with a header, `captions.txt` of Kaggle, JSON lines.
//!
//! Columns: [`IMAGE_COLUMNS`], [`CAPTION_COLUMNS`], and `split` if there is one. An image may have several rows.

use std::collections::HashMap;
use std::path::Path;

use serde_json::{Map, Value};

use super::entry::{Entry, Listing, short, split_named, split_of_file};
use super::{Located, image_folders, read_text};
use crate::{DataError, Problem, Split};

/// Names of the column with the image file, the first that is there.
pub(super) const IMAGE_COLUMNS: [&str; 7] =
    ["image", "file_name", "file", "path", "filename", "image_name", "image_path"];
/// Names of the column with a caption or a list of them, the first that is there.
pub(super) const CAPTION_COLUMNS: [&str; 6] = ["caption", "captions", "text", "sentences", "comment", "raw"];

/// Collects rows into images.
struct Rows<'a> {
    file: String,
    split: Option<Split>,
    places: &'a mut HashMap<String, usize>,
    listing: &'a mut Listing,
}

/// Reads tables with columns.
pub(super) fn read_columns(located: &Located) -> Listing {
    read(located, columns)
}

/// Reads JSON lines.
pub(super) fn read_lines(located: &Located) -> Listing {
    read(located, lines)
}

fn read(located: &Located, rows: fn(&str, &mut Rows) -> Result<(), Problem>) -> Listing {
    let mut listing = Listing { roots: image_folders(&located.dir), ..Listing::default() };
    let mut places = HashMap::new();
    for path in &located.files {
        if let Err(problem) = read_file(path, rows, &mut places, &mut listing) {
            listing.problems.push(problem);
        }
    }
    listing.entries.iter_mut().for_each(Entry::finish);
    listing
}

fn read_file(
    path: &Path,
    rows: fn(&str, &mut Rows) -> Result<(), Problem>,
    places: &mut HashMap<String, usize>,
    listing: &mut Listing,
) -> Result<(), Problem> {
    let text = read_text(path).map_err(|e: DataError| Problem::from(e))?;
    rows(&text, &mut Rows { file: short(path), split: split_of_file(path), places, listing })
}

impl Rows<'_> {
    fn add(&mut self, line: u64, name: &str, captions: Vec<String>, split: Option<&str>) {
        let file = &self.file;
        let place = || format!("{file}, line {line}");
        let split = match split.map(str::trim).filter(|s| !s.is_empty()) {
            Some(name) => match split_named(name) {
                Some(split) => Some(split),
                None => {
                    let name = name.to_owned();
                    return self.listing.problems.push(Problem::UnknownSplitName { place: place(), name });
                }
            },
            None => self.split,
        };
        let entries = &mut self.listing.entries;
        let at = *self.places.entry(name.to_owned()).or_insert_with(|| {
            let mut entry = Entry::new(entries.len() as u64 + 1, name);
            entry.split = split;
            entries.push(entry);
            entries.len() - 1
        });
        let entry = &mut entries[at];
        for caption in captions {
            entry.push_caption(caption, place);
        }
        if entry.split != split {
            let overlap = |first, second| Problem::Overlap {
                first,
                first_file: name.to_owned(),
                second,
                second_file: name.to_owned(),
            };
            match (entry.split, split) {
                (Some(first), Some(second)) => self.listing.problems.push(overlap(first, second)),
                (first, second) => entry.split = first.or(second),
            }
        }
    }

    fn bad(&mut self, line: u64, message: impl Into<String>) {
        let place = format!("{}, line {line}", self.file);
        self.listing.problems.push(Problem::BadRow { place, message: message.into() });
    }
}

fn columns(text: &str, rows: &mut Rows) -> Result<(), Problem> {
    let file = rows.file.clone();
    let malformed =
        |line: u64, message: String| Problem::Malformed { place: format!("{file}, line {line}"), message };
    let header = text.lines().next().unwrap_or_default();
    let Some(Columns { delimiter, image, caption, lists, split }) = find_columns(header) else {
        let names = [IMAGE_COLUMNS.join(", "), CAPTION_COLUMNS.join(", ")];
        let message = format!("the header needs a column of {} and one of {}", names[0], names[1]);
        return Err(malformed(1, message));
    };
    let width = header_names(header, delimiter).len();
    let mut reader =
        csv::ReaderBuilder::new().delimiter(delimiter).flexible(true).from_reader(text.as_bytes());
    for record in reader.records() {
        let record = record.map_err(|e| malformed(e.position().map_or(0, |p| p.line()), e.to_string()))?;
        let line = record.position().map_or(0, |p| p.line());
        let (Some(name), Some(cell)) = (record.get(image), record.get(caption)) else {
            rows.bad(line, format!("{} fields are too few", record.len()));
            continue;
        };
        let split = split.and_then(|at| record.get(at));
        // Captions with commas that nobody quoted spill into further fields; only a last column can take them back.
        let spilled = caption + 1 == width && record.len() > width;
        let text = if spilled {
            let rest: Vec<&str> = record.iter().skip(caption).collect();
            rest.join(&char::from(delimiter).to_string())
        } else {
            cell.to_owned()
        };
        rows.add(line, name.trim(), if lists { cell_captions(text) } else { vec![text] }, split);
    }
    Ok(())
}

struct Columns {
    delimiter: u8,
    image: usize,
    caption: usize,
    /// Cells of captions may hold lists as JSON.
    lists: bool,
    split: Option<usize>,
}

fn header_names(header: &str, delimiter: u8) -> Vec<String> {
    header.split(char::from(delimiter)).map(|n| n.trim().trim_matches('"').to_ascii_lowercase()).collect()
}

/// The delimiter is the one that makes known columns of the header.
fn find_columns(header: &str) -> Option<Columns> {
    [b',', b'\t', b'|', b';'].into_iter().find_map(|delimiter| {
        let names = header_names(header, delimiter);
        let find = |known: &[&str]| known.iter().find_map(|k| names.iter().position(|name| name == k));
        let (image, caption) = (find(&IMAGE_COLUMNS)?, find(&CAPTION_COLUMNS)?);
        let lists = !["caption", "comment", "text"].contains(&names[caption].as_str());
        Some(Columns { delimiter, image, caption, lists, split: find(&["split"]) })
    })
}

/// True when the first line is the header of such a table.
pub(super) fn is_header(line: &str) -> bool {
    find_columns(line).is_some()
}

/// A cell is a caption, or a list of them as JSON.
fn cell_captions(cell: String) -> Vec<String> {
    match cell.trim().starts_with('[').then(|| serde_json::from_str::<Vec<String>>(cell.trim())) {
        Some(Ok(list)) => list,
        _ => vec![cell],
    }
}

fn lines(text: &str, rows: &mut Rows) -> Result<(), Problem> {
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let number = at as u64 + 1;
        let row = match serde_json::from_str::<Map<String, Value>>(line) {
            Ok(row) => row,
            Err(error) => {
                rows.bad(number, error.to_string());
                continue;
            }
        };
        let Some(name) = first(&row, &IMAGE_COLUMNS).and_then(Value::as_str) else {
            rows.bad(number, format!("no text under {}", IMAGE_COLUMNS.join(", ")));
            continue;
        };
        let Some(captions) = first(&row, &CAPTION_COLUMNS).and_then(captions_of) else {
            rows.bad(number, format!("no text or list of texts under {}", CAPTION_COLUMNS.join(", ")));
            continue;
        };
        rows.add(number, name, captions, row.get("split").and_then(Value::as_str));
    }
    Ok(())
}

/// The value under the first of the names that has one.
pub(super) fn first<'a>(row: &'a Map<String, Value>, names: &[&str]) -> Option<&'a Value> {
    names.iter().find_map(|name| row.get(*name).filter(|value| !value.is_null()))
}

/// A text, a list of texts, or a list of objects with `raw` text.
pub(super) fn captions_of(value: &Value) -> Option<Vec<String>> {
    let text = |v: &Value| v.as_str().or_else(|| v.get("raw")?.as_str()).map(str::to_owned);
    match value {
        Value::Array(list) => list.iter().map(text).collect(),
        other => text(other).map(|caption| vec![caption]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_say_the_delimiter() {
        for (header, expected) in [
            ("image,caption", Some((b',', 0, 1, None))),
            ("split\tFile_Name\tcaptions", Some((b'\t', 1, 2, Some(0)))),
            ("image_name| comment_number| comment", Some((b'|', 0, 2, None))),
            ("a,b", None),
            ("1000268201.jpg#0\ta child", None),
        ] {
            let found = find_columns(header).map(|c| (c.delimiter, c.image, c.caption, c.split));
            assert_eq!(found, expected, "{header}");
        }
    }
}
