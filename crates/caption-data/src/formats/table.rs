//! Tables of images and captions: CSV and TSV with a header, `captions.txt` of Kaggle, JSON lines.
//!
//! Columns: [`IMAGE_COLUMNS`], [`CAPTION_COLUMNS`], and `split` if there is one. An image may have several rows.

use std::collections::HashMap;
use std::io::Cursor;
use std::path::Path;

use csv::StringRecord;

use super::entry::{Entry, Listing, NO_TEXT, hopeless, short, split_named, split_of_file};
use super::lists::{NO_LIST, cell_captions};
use super::loose::{Field, Row};
use super::quotes::Span;
use super::{Located, image_folders, read_text};
use crate::{Problem, Split};

/// Names of the column with the image file, the first that is there.
pub(super) const IMAGE_COLUMNS: [&str; 7] =
    ["image", "file_name", "file", "path", "filename", "image_name", "image_path"];
/// Names of the column with a caption or a list of them, the first that is there.
pub(super) const CAPTION_COLUMNS: [&str; 6] = ["caption", "captions", "text", "sentences", "comment", "raw"];
/// What is wrong with a row whose quotation mark has no partner.
const UNCLOSED: &str = "a quotation mark at the beginning of a cell is not closed: close or remove it";
/// How often all bytes of a table may be read again because of such marks: about once, unless somebody means harm.
const MAX_REREADS: usize = 4;

/// Collects rows into images.
#[derive(Default)]
struct Rows {
    /// The file that is read, and the split that its name says.
    file: String,
    split: Option<Split>,
    ignore_splits: bool,
    places: HashMap<String, usize>,
    /// How many captions each image of this file has from earlier files.
    known: HashMap<usize, usize>,
    listing: Listing,
    /// How many captions are bad.
    bad_captions: usize,
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
    let roots = image_folders(&located.dir);
    let mut collected = Rows { ignore_splits: located.ignore_splits, ..Rows::default() };
    for path in &located.files {
        collected.begin(path);
        let done = read_text(path).map_err(Problem::from).and_then(|text| rows(&text, &mut collected));
        if let Err(problem) = done {
            collected.listing.problems.push(problem);
        }
    }
    let mut listing = Listing { roots, ..collected.listing };
    listing.entries.iter_mut().for_each(Entry::finish);
    listing
}

impl Rows {
    fn begin(&mut self, path: &Path) {
        self.file = short(path);
        self.split = split_of_file(path).filter(|_| !self.ignore_splits);
        self.known.clear();
    }

    /// Adds what a row says of an image. Where it has an id, results that others made know the image by that.
    fn add(&mut self, line: u64, id: Option<u64>, name: &str, captions: Vec<String>, split: Option<&str>) {
        let file = &self.file;
        let place = || format!("{file}, line {line}");
        let split = match split.map(str::trim).filter(|s| !s.is_empty() && !self.ignore_splits) {
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
            let mut entry = Entry::new(id.unwrap_or(entries.len() as u64 + 1), name);
            entry.split = split;
            entries.push(entry);
            entries.len() - 1
        });
        let entry = &mut entries[at];
        // A file may hold what another does: what is said of an image there is not said twice.
        let known = *self.known.entry(at).or_insert(entry.captions.len());
        let faults = entry.faults.len();
        for caption in captions {
            let is_known = entry.captions[..known].iter().any(|old| old == caption.trim());
            if !is_known && !entry.push_caption(caption, place) {
                break;
            }
        }
        self.bad_captions += entry.faults.len() - faults;
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

    /// Ends a file in which too much is bad.
    fn check(&self, line: u64) -> Result<(), Problem> {
        let noted = self.listing.problems.len() + self.bad_captions;
        hopeless(noted, || format!("{}, line {line}", self.file))
    }
}

fn columns(text: &str, rows: &mut Rows) -> Result<(), Problem> {
    let file = rows.file.clone();
    let malformed =
        |line: u64, message: String| Problem::Malformed { place: format!("{file}, line {line}"), message };
    let header = text.lines().next().unwrap_or_default();
    let Some(columns) = find_columns(header) else {
        let names = [IMAGE_COLUMNS.join(", "), CAPTION_COLUMNS.join(", ")];
        let message = format!("the header needs a column of {} and one of {}", names[0], names[1]);
        return Err(malformed(1, message));
    };
    let refused = |e: csv::Error| malformed(e.position().map_or(0, |p| p.line()), e.to_string());
    let source = Cursor::new(text.as_bytes());
    let mut reader =
        csv::ReaderBuilder::new().delimiter(columns.delimiter).flexible(true).from_reader(source);
    // The header was read above, as one line whatever its marks are.
    reader.seek(Span::whole(text).next_line()).map_err(refused)?;
    let (mut record, mut read_again) = (StringRecord::new(), 0);
    while reader.read_record(&mut record).map_err(refused)? {
        let span = Span::new(text, &record, reader.position());
        rows.check(span.line)?;
        if !span.is_unclosed(&record, columns.delimiter, [columns.image, columns.caption]) {
            columns.add(span.line, &record, rows);
            continue;
        }
        rows.bad(span.line, UNCLOSED);
        read_again += span.len();
        if read_again / MAX_REREADS > text.len() {
            return Err(malformed(span.line, "too many quotation marks are not closed".into()));
        }
        reader.seek(span.next_line()).map_err(refused)?;
    }
    Ok(())
}

struct Columns {
    delimiter: u8,
    /// How many columns there are.
    width: usize,
    image: usize,
    caption: usize,
    /// Cells of captions may hold lists as JSON.
    lists: bool,
    split: Option<usize>,
}

impl Columns {
    fn add(&self, line: u64, record: &StringRecord, rows: &mut Rows) {
        let (Some(name), Some(cell)) = (record.get(self.image), record.get(self.caption)) else {
            return rows.bad(line, format!("{} fields are too few", record.len()));
        };
        let split = self.split.and_then(|at| record.get(at));
        // Captions with commas that nobody quoted spill into further fields; only a last column can take them back.
        let spilled = self.caption + 1 == self.width && record.len() > self.width;
        let text = if spilled {
            let rest: Vec<&str> = record.iter().skip(self.caption).collect();
            rest.join(&char::from(self.delimiter).to_string())
        } else {
            cell.to_owned()
        };
        let captions = if self.lists { cell_captions(text) } else { Some(vec![text]) };
        match captions {
            Some(captions) => rows.add(line, None, name.trim(), captions, split),
            None => rows.bad(line, NO_LIST),
        }
    }
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
        let (width, split) = (names.len(), find(&["split"]));
        Some(Columns { delimiter, width, image, caption, lists, split })
    })
}

/// True when the first line is the header of such a table.
pub(super) fn is_header(line: &str) -> bool {
    find_columns(line).is_some()
}

fn lines(text: &str, rows: &mut Rows) -> Result<(), Problem> {
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let number = at as u64 + 1;
        rows.check(number)?;
        let mut row: Row = match serde_json::from_str(line) {
            Ok(row) => row,
            Err(error) => {
                rows.bad(number, error.to_string());
                continue;
            }
        };
        let captions = row.take_captions();
        let Some(name) = row.name(&IMAGE_COLUMNS).and_then(Field::as_text) else {
            rows.bad(number, format!("no text under {}", IMAGE_COLUMNS.join(", ")));
            continue;
        };
        let Some(captions) = captions else {
            rows.bad(number, format!("no text or list of texts under {}", CAPTION_COLUMNS.join(", ")));
            continue;
        };
        let split = row.split.as_ref().filter(|_| !rows.ignore_splits);
        if split.is_some_and(|split| split.as_text().is_none()) {
            rows.bad(number, NO_TEXT);
            continue;
        }
        let id = row.id.as_ref().and_then(Field::as_number);
        rows.add(number, id, name, captions, split.and_then(Field::as_text));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quarantine::MAX_NOTED;

    fn rows_of(
        read: fn(&str, &mut Rows) -> Result<(), Problem>,
        ignore_splits: bool,
        files: &[&str],
    ) -> Listing {
        let mut rows = Rows { ignore_splits, ..Rows::default() };
        for text in files {
            rows.begin(Path::new("a file"));
            read(text, &mut rows).unwrap();
        }
        rows.listing
    }

    fn captions(listing: &Listing) -> Vec<(&str, Vec<&str>)> {
        let entries = listing.entries.iter();
        entries.map(|e| (e.file_name.as_str(), e.captions.iter().map(String::as_str).collect())).collect()
    }

    fn messages(listing: &Listing) -> Vec<String> {
        listing.problems.iter().map(Problem::to_string).collect()
    }

    #[test]
    fn marks_that_are_not_closed_take_their_own_row_only() {
        let unclosed = |line: u64| format!("a file, line {line}: {UNCLOSED}");
        for (text, bad) in [
            // The mark has no partner, one in a later row, one at the end of a later row, one that opens again.
            ("image,caption\na.jpg,x\nb.jpg,\"never ends\nc.jpg,y\n", 3),
            ("image,caption\r\na.jpg,x\r\nb.jpg,\"A dog\r\nc.jpg,\"y\"\r\n", 3),
            ("image,caption\nb.jpg,\"A dog\na.jpg,x\nc.jpg,y\nb.jpg,a cat\"\n", 2),
            ("image,caption,split\nb.jpg,\"A dog,train\na.jpg,x,train\nc.jpg,\"y\",val\n", 2),
            ("caption,image\nx,a.jpg\n\"A dog,b.jpg\ny,c.jpg\n", 3),
            ("\"image\",\"caption\"\n\"b.jpg\",\"A dog\n\"a.jpg\",\"x\"\n\n\"c.jpg\",\"y\"\n", 2),
            ("image,caption\na,x\nb,\"never ends\nc,y", 3),
            ("image,caption\na.jpg,x\nc.jpg,y\nb.jpg,\"", 4),
        ] {
            let listing = rows_of(columns, false, &[text]);
            assert_eq!(messages(&listing), [unclosed(bad)], "{text}");
            let found = captions(&listing);
            for expected in [("a", vec!["x"]), ("c", vec!["y"])] {
                let row = |(file, texts): &(&str, Vec<&str>)| {
                    (file.trim_end_matches(".jpg"), texts) == (expected.0, &expected.1)
                };
                assert!(found.iter().any(row), "{text}: {found:?}");
            }
        }
    }

    #[test]
    fn cells_may_have_several_lines() {
        let text = "image,caption,split\n\
                    a.jpg,\"line one\nline two, with \"\"marks\"\" and, commas\",train\n\
                    \"b.jpg\",\"\"\"Quoted\"\" and\r\n\nmore\",val\r\n\
                    c.jpg,\"A dog\" runs,train\n";
        let listing = rows_of(columns, false, &[text]);
        assert_eq!(messages(&listing), [""; 0]);
        let header = rows_of(columns, false, &["image,\"caption\na.jpg,x\nb.jpg,y\n"]);
        assert_eq!((header.entries.len(), header.problems.len()), (2, 0));
        let (a, b) = ("line one\nline two, with \"marks\" and, commas", "\"Quoted\" and\r\n\nmore");
        let expected = [("a.jpg", vec![a]), ("b.jpg", vec![b]), ("c.jpg", vec!["A dog runs"])];
        assert_eq!(captions(&listing), expected);
        let last = rows_of(columns, false, &["caption,image\n\"line one\nline two\",a.jpg"]);
        assert_eq!((captions(&last), last.problems.len()), (vec![("a.jpg", vec!["line one\nline two"])], 0));
    }

    #[test]
    fn marks_that_open_on_every_line_do_not_take_for_ever() {
        let text = format!("image,caption\n{}x,b\"c", "x,b\",\",\n".repeat(5000));
        let read = columns(&text, &mut Rows::default());
        assert!(matches!(read, Err(Problem::Malformed { .. })), "{read:?}");
    }

    #[test]
    fn files_in_which_too_much_is_bad_are_not_read_to_their_end() {
        let line = "{\"image\": \"a.jpg\", \"captions\": [\"\", \"\"]}\n";
        for (read, text) in [
            (lines as fn(&str, &mut Rows) -> Result<(), Problem>, "x\n".repeat(9)),
            (lines, line.repeat(9)),
            (columns, format!("image,caption{}", "\na.jpg,".repeat(9))),
        ] {
            let mut rows = Rows { bad_captions: MAX_NOTED - 5, ..Rows::default() };
            rows.begin(Path::new("a file"));
            let Err(Problem::Malformed { place, message }) = read(&text, &mut rows) else { panic!("{text}") };
            assert!(place.starts_with("a file, line ") && message.contains("1000000"), "{place}: {message}");
        }
    }

    #[test]
    fn held_out_rows_are_not_taken_for_others() {
        let lines_text =
            |split: &str| format!("{{\"image\": \"a.jpg\", \"caption\": \"x\", \"split\": {split}}}");
        for (split, kind) in
            [("2", "bad_row"), ("[\"test\"]", "bad_row"), ("\"holdout\"", "unknown_split_name")]
        {
            let text = lines_text(split);
            let listing = rows_of(lines, false, &[&text]);
            assert_eq!(listing.problems.iter().map(Problem::kind).collect::<Vec<_>>(), [kind], "{split}");
            assert!(listing.entries.is_empty());
            let listing = rows_of(lines, true, &[&text]);
            assert!(listing.problems.is_empty() && listing.entries[0].split.is_none(), "{split}");
        }
        assert!(rows_of(lines, false, &[&lines_text("null")]).problems.is_empty());
    }

    #[test]
    fn files_that_repeat_each_other_add_nothing() {
        let (all, train) =
            ("image,caption\na.jpg,x\na.jpg,x\nb.jpg,y\n", "image,caption\na.jpg, x\na.jpg,z\na.jpg,z\n");
        let listing = rows_of(columns, false, &[all, train]);
        assert_eq!(captions(&listing), [("a.jpg", vec!["x", "x", "z", "z"]), ("b.jpg", vec!["y"])]);
    }

    #[test]
    fn lists_that_are_no_json_are_bad_rows() {
        let text = "image,captions\na.jpg,\"['A dog runs', 'A brown dog']\"\nb.jpg,x\n";
        let listing = rows_of(columns, false, &[text]);
        assert_eq!(messages(&listing), [format!("a file, line 2: {NO_LIST}")]);
        assert_eq!(captions(&listing), [("b.jpg", vec!["x"])]);
        // A caption alone has no lists.
        let listing = rows_of(columns, false, &[&text.replace("captions", "caption")]);
        assert_eq!((listing.problems.len(), listing.entries.len()), (0, 2));
    }

    #[test]
    fn ids_of_lines_are_kept() {
        let line =
            |id: &str, name: &str| format!("{{\"id\": {id}, \"image\": \"{name}\", \"caption\": \"x\"}}");
        let text =
            [line("9", "b.jpg"), line("7", "a.jpg"), line("8", "b.jpg"), line("\"x\"", "c.jpg")].join("\n");
        let listing = rows_of(lines, false, &[&text]);
        let ids: Vec<_> = listing.entries.iter().map(|e| (e.file_name.as_str(), e.id)).collect();
        assert_eq!(ids, [("b.jpg", 9), ("a.jpg", 7), ("c.jpg", 3)]);
    }

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
