//! Parquet files with images inside, as Hugging Face lays them out.
//!
//! The column `image` is a binary or a structure of `bytes` and `path`; captions are a text or a list of texts. Columns are read leaf by
//! leaf, some rows at a time, so that no row group needs to fit in memory.

mod delta;
mod footer;
mod gzip;
mod inflate;
mod pages;
mod thrift;

use std::fs::File;
use std::sync::Arc;

use parquet::basic::{LogicalType, Type as Physical};
use parquet::column::page::PageReader;
use parquet::column::reader::ColumnReaderImpl;
use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::serialized_reader::ReadOptionsBuilder;
use parquet::schema::types::SchemaDescriptor;

use self::pages::{Budget, MAX_COLUMN_BYTES, Pages, too_large};
use super::entry::{Archive, Entry, short};
use super::webdataset::Take;
use crate::image_file::MAX_FILE_BYTES;
use crate::{DataError, Problem};

/// Rows that are read at a time.
const ROWS: usize = 16;
/// Names of the column of images, and of a column with file names.
const IMAGE: [&str; 2] = ["image", "img"];
const NAMES: [&str; 3] = ["file_name", "filename", "image_path"];
/// Names of the column of captions.
const CAPTIONS: [&str; 6] = ["caption", "captions", "text", "sentences", "raw", "sentences_raw"];

/// Reads a file; ids go on from `id`.
pub(crate) fn read(
    archive: Archive,
    id: &mut u64,
    problems: &mut Vec<Problem>,
    take: Take,
) -> Result<(), DataError> {
    let mut passed_on = None;
    // The decoder of a foreign library must not end the program when a file is damaged in a way that it did not expect.
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        rows(archive, id, &mut |entry, bytes| {
            take(entry, bytes).map_err(|error| {
                passed_on = Some(error);
                ParquetError::General("stopped".into())
            })
        })
    }));
    let message = match outcome {
        _ if passed_on.is_some() => return passed_on.map_or(Ok(()), Err),
        Ok(Ok(())) => return Ok(()),
        Ok(Err(error)) => error.to_string(),
        Err(_) => "the content is damaged".into(),
    };
    problems.push(Problem::Malformed { place: short(archive.path), message });
    Ok(())
}

/// The leaves that are read.
#[derive(Clone, Copy)]
struct Leaves {
    image: usize,
    /// A name inside the structure `image`, or a column with file names.
    name: Option<usize>,
    captions: usize,
    split: Option<usize>,
}

impl Leaves {
    fn find(schema: &SchemaDescriptor, ignore_splits: bool) -> Result<Leaves, ParquetError> {
        let leaves: Vec<(usize, Vec<&str>)> = (0..schema.num_columns())
            .filter(|&at| schema.column(at).physical_type() == Physical::BYTE_ARRAY)
            .map(|at| (at, schema.columns()[at].path().parts().iter().map(String::as_str).collect()))
            .collect();
        let find = |wanted: &dyn Fn(&[&str]) -> bool| {
            leaves.iter().find(|(_, parts)| wanted(parts)).map(|(at, _)| *at)
        };
        let root = |names: &[&str], parts: &[&str]| names.contains(&parts[0]);
        let image = find(&|p| root(&IMAGE, p) && (p.len() == 1 || p[1..] == ["bytes"]));
        let name = find(&|p| root(&NAMES, p) && p.len() == 1)
            .or_else(|| find(&|p| root(&IMAGE, p) && p[1..] == ["path"]));
        let captions = CAPTIONS.iter().find_map(|name| caption_leaf(name, &leaves)).transpose()?;
        let split = if ignore_splits { None } else { split_leaf(schema)? };
        match (image, captions) {
            (Some(image), Some(captions)) if schema.column(captions).max_rep_level() <= 1 => {
                Ok(Leaves { image, name, captions, split })
            }
            _ => Err(ParquetError::General(format!(
                "no column image (a binary, or a structure with bytes), or none of {} with texts or lists of them; \
                 there are {}",
                CAPTIONS.join(", "),
                schema.root_schema().get_fields().iter().map(|f| f.name()).collect::<Vec<_>>().join(", ")
            ))),
        }
    }
}

/// The texts of the column of this name. Of a list of structures they are the leaf `raw`: another may be anything, as an id.
fn caption_leaf(name: &str, leaves: &[(usize, Vec<&str>)]) -> Option<Result<usize, ParquetError>> {
    let inside: Vec<_> = leaves.iter().filter(|(_, parts)| parts[0] == name).collect();
    let raw = inside.iter().find(|(_, parts)| parts.last() == Some(&"raw"));
    match (raw, &inside[..]) {
        (_, []) => None,
        (Some((at, _)), _) | (None, [(at, _)]) => Some(Ok(*at)),
        (None, several) => {
            let texts: Vec<String> = several.iter().map(|(_, parts)| parts.join(".")).collect();
            let message =
                format!("the column {name} has several texts ({}): call the captions raw", texts.join(", "));
            Some(Err(ParquetError::General(message)))
        }
    }
}

/// The column `split`. One that holds no texts is refused: left unread, images held out would come to the others.
fn split_leaf(schema: &SchemaDescriptor) -> Result<Option<usize>, ParquetError> {
    let Some(at) = schema.columns().iter().position(|c| c.path().parts()[0] == "split") else {
        return Ok(None);
    };
    let column = schema.column(at);
    let plain = column.path().parts().len() == 1 && column.max_rep_level() == 0;
    match column.physical_type() {
        Physical::BYTE_ARRAY if plain => Ok(Some(at)),
        // A column of nothing but nulls has no type.
        _ if matches!(column.logical_type_ref(), Some(LogicalType::Unknown)) => Ok(None),
        _ => {
            let message = "the column split holds no texts: give it train, val and test, or rename it";
            Err(ParquetError::General(message.into()))
        }
    }
}

type TakeRow<'a> = &'a mut dyn FnMut(Entry, Vec<u8>) -> Result<(), ParquetError>;

fn rows(archive: Archive, id: &mut u64, take: TakeRow) -> Result<(), ParquetError> {
    let file = File::open(archive.path)?;
    let schema = Arc::new(footer::schema(&file)?);
    let options = ReadOptionsBuilder::new().with_parquet_schema(Arc::clone(&schema)).build();
    let reader = SerializedFileReader::new_with_options(file.try_clone()?, options)?;
    let leaves = Leaves::find(&schema, archive.ignore_splits)?;
    for group in 0..reader.num_row_groups() {
        let group = reader.get_row_group(group)?;
        for at in [Some(leaves.image), leaves.name, Some(leaves.captions), leaves.split].into_iter().flatten()
        {
            let column = group.metadata().column(at);
            let bytes = column.uncompressed_size();
            if !(0..=MAX_COLUMN_BYTES).contains(&bytes) {
                return Err(too_large(bytes));
            }
            gzip::check(&file, column)?;
        }
        let open = |at: usize| -> Result<Leaf, ParquetError> {
            Ok(Leaf::open(&schema, at, group.get_column_page_reader(at)?))
        };
        let (mut images, mut captions) = (open(leaves.image)?, open(leaves.captions)?);
        let mut names = leaves.name.map(open).transpose()?;
        let mut splits = leaves.split.map(open).transpose()?;
        loop {
            let image_rows = images.next()?;
            if image_rows.is_empty() {
                break;
            }
            let caption_rows = captions.next()?;
            let name_rows = names.as_mut().map(Leaf::next).transpose()?;
            let split_rows = splits.as_mut().map(Leaf::next).transpose()?;
            for (at, image) in image_rows.into_iter().enumerate() {
                *id += 1;
                let cell = |rows: &Option<Vec<Vec<ByteArray>>>| rows.as_ref()?.get(at)?.first().cloned();
                let captions = caption_rows.get(at).map_or(&[][..], Vec::as_slice);
                let row = Row { image: image.into_iter().next(), captions };
                let (entry, bytes) = row.entry(archive, *id, cell(&name_rows), cell(&split_rows));
                take(entry, bytes)?;
            }
        }
    }
    Ok(())
}

struct Row<'a> {
    image: Option<ByteArray>,
    captions: &'a [ByteArray],
}

impl Row<'_> {
    fn entry(
        self,
        archive: Archive,
        id: u64,
        name: Option<ByteArray>,
        split: Option<ByteArray>,
    ) -> (Entry, Vec<u8>) {
        let place = || format!("{}, row {id}", short(archive.path));
        let bytes = self.image.as_ref().map_or(&[][..], ByteArray::data);
        let text = |b: &ByteArray| std::str::from_utf8(b.data()).ok().map(str::to_owned);
        let extension = if bytes.starts_with(b"\x89PNG") { "png" } else { "jpg" };
        let name = name.as_ref().and_then(text).filter(|name| !name.is_empty());
        let mut entry = Entry::new(id, name.unwrap_or_else(|| format!("{id:08}.{extension}")));
        entry.split = archive.split();
        let bad = |message: &str| Problem::BadRow { place: place(), message: message.into() };
        match split.as_ref().map(text) {
            Some(Some(split)) if !split.trim().is_empty() => entry.set_split(&split, place),
            Some(None) => entry.faults.push(bad("its split is not UTF-8")),
            _ => {}
        }
        for caption in self.captions {
            let more = match std::str::from_utf8(caption.data()) {
                Ok(caption) => entry.push_caption(caption, place),
                Err(_) => entry.push_bad_caption(|| bad("it is not UTF-8")),
            };
            if !more {
                break;
            }
        }
        entry.finish();
        if bytes.is_empty() {
            entry.faults.push(bad("it has no image"));
        }
        if bytes.len() as u64 > MAX_FILE_BYTES {
            entry.faults.push(Problem::EntryTooLarge { place: place(), limit: MAX_FILE_BYTES });
            return (entry, Vec::new());
        }
        (entry, bytes.to_vec())
    }
}

/// A column of texts or bytes, or of lists of them.
struct Leaf {
    reader: ColumnReaderImpl<ByteArrayType>,
    defined: i16,
    repeated: bool,
    budget: Arc<Budget>,
}

impl Leaf {
    /// Reads a column of bytes.
    fn open(schema: &SchemaDescriptor, at: usize, pages: Box<dyn PageReader>) -> Leaf {
        let column = schema.column(at);
        let (defined, repeated) = (column.max_def_level(), column.max_rep_level() > 0);
        let (pages, budget) = Pages::open(pages, defined > 0, repeated);
        Leaf { reader: ColumnReaderImpl::new(column, Box::new(pages)), defined, repeated, budget }
    }

    /// The values of the next [`ROWS`] rows, fewer at the end.
    fn next(&mut self) -> Result<Vec<Vec<ByteArray>>, ParquetError> {
        self.budget.renew();
        let (mut defined, mut repeated, mut values) = (Vec::new(), Vec::new(), Vec::new());
        let (records, count, levels) =
            self.reader.read_records(ROWS, Some(&mut defined), Some(&mut repeated), &mut values)?;
        let mut rows = vec![Vec::new(); records];
        let mut values = values.into_iter().take(count);
        let mut row = 0;
        for level in 0..levels {
            let begins_row = !self.repeated || repeated.get(level) == Some(&0);
            row += usize::from(level > 0 && begins_row);
            // A required column has no levels: each of its values is there.
            if self.defined == 0 || defined.get(level) == Some(&self.defined) {
                let value =
                    values.next().ok_or_else(|| ParquetError::General("values are missing".into()))?;
                if let Some(row) = rows.get_mut(row) {
                    row.push(value);
                }
            }
        }
        Ok(rows)
    }
}

#[cfg(test)]
mod tests {
    use parquet::schema::parser::parse_message_type;

    use super::*;

    fn captions_of(fields: &str) -> String {
        let message = format!("message schema {{ required binary image; {fields} }}");
        let schema = SchemaDescriptor::new(Arc::new(parse_message_type(&message).unwrap()));
        match Leaves::find(&schema, false) {
            Ok(leaves) => schema.column(leaves.captions).path().string(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn captions_are_the_only_text_of_their_column_or_raw() {
        let listed = |fields: &str| {
            format!(
                "required group sentences (LIST) {{ repeated group list {{ required group element {{ {fields} }} }} }}"
            )
        };
        let (id, text) = ("required binary id (STRING);", "required binary text (STRING);");
        let raw = listed(&format!("{id} required binary raw (STRING);"));
        assert_eq!(captions_of(&raw), "sentences.list.element.raw");
        assert_eq!(
            captions_of(&listed(&format!("required int64 id; {text}"))),
            "sentences.list.element.text"
        );
        assert_eq!(captions_of("required binary caption; required binary text;"), "caption");
        let told = captions_of(&listed(&format!("{id} {text}")));
        assert!(
            told.contains(
                "sentences has several texts (sentences.list.element.id, sentences.list.element.text)"
            ),
            "{told}"
        );
        assert!(captions_of("required int64 caption;").contains("there are image, caption"));
    }
}
