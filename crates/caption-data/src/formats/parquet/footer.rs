//! The schema in the footer of a file, read within bounds.
//!
//! The library goes down by a call for each level of the schema, and makes room for as many columns as a group claims to have, so that
//! a small file could end the program. It is given the schema as it is read here and passes over the file's own. What texts and numbers
//! stand for plays no part in reading and is left out.
//!
//! Format: <https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift>.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::sync::Arc;

use parquet::basic::{LogicalType, Repetition, Type as Physical};
use parquet::errors::ParquetError;
use parquet::schema::types::{SchemaDescriptor, Type};

use super::thrift::{BINARY, INT, LIST, STRUCT, binary, fields, list, signed, skip};

/// Most bytes of a footer (those of Hugging Face have some kilobytes).
const MAX_FOOTER_BYTES: u64 = 64 << 20;
/// What follows it: its length, and four letters.
const TAIL_BYTES: u64 = 8;
/// Most groups and columns, and most groups in each other.
const MAX_ELEMENTS: usize = 100_000;
const MAX_DEPTH: usize = 64;
/// Most bytes of the paths of all columns, each of which repeats the names of its groups, and about what a part takes beside its name.
const MAX_PATH_BYTES: usize = 64 << 20;
const PART_BYTES: usize = 32;

/// The schema of a file.
pub(super) fn schema(mut file: &File) -> Result<SchemaDescriptor, ParquetError> {
    let bytes = file.seek(SeekFrom::End(0))?;
    let mut tail = [0; TAIL_BYTES as usize];
    let at = bytes.checked_sub(TAIL_BYTES).ok_or_else(damaged)?;
    file.seek(SeekFrom::Start(at))?;
    file.read_exact(&mut tail)?;
    let (length, letters) = tail.split_at(4);
    if letters != b"PAR1" {
        return Err(refused("this is no Parquet file, is cut off, or is encrypted".into()));
    }
    let length = u64::from(length.try_into().map_or(0, u32::from_le_bytes));
    if length > MAX_FOOTER_BYTES {
        let message = format!("its footer has {length} bytes, at most {MAX_FOOTER_BYTES} are read");
        return Err(refused(format!("{message}: write larger row groups, or several files")));
    }
    let mut footer = vec![0; length as usize];
    file.seek(SeekFrom::Start(at.checked_sub(length).ok_or_else(damaged)?))?;
    file.read_exact(&mut footer)?;
    schema_of(&footer)
}

fn refused(message: String) -> ParquetError {
    ParquetError::General(message)
}

fn damaged() -> ParquetError {
    refused("its footer is damaged".into())
}

/// What the footer says of a group or column.
#[derive(Default)]
struct Element<'a> {
    physical: Option<i32>,
    /// Bytes of a value, where all have as many.
    length: Option<i32>,
    repetition: Option<i32>,
    name: &'a str,
    children: Option<i32>,
    /// A column of nothing but nulls.
    is_unknown: bool,
}

impl<'a> Element<'a> {
    fn read(rest: &mut &'a [u8]) -> Option<Self> {
        let mut element = Element::default();
        fields(rest, |number, kind, rest| {
            match (number, kind) {
                (1, INT) => element.physical = Some(signed(rest)?),
                (2, INT) => element.length = Some(signed(rest)?),
                (3, INT) => element.repetition = Some(signed(rest)?),
                (4, BINARY) => element.name = str::from_utf8(binary(rest)?).ok()?,
                (5, INT) => element.children = Some(signed(rest)?),
                (10, STRUCT) => fields(rest, |number, kind, rest| {
                    element.is_unknown |= number == 11;
                    skip(rest, kind)
                })?,
                _ => skip(rest, kind)?,
            }
            Some(())
        })?;
        Some(element)
    }
}

fn schema_of(footer: &[u8]) -> Result<SchemaDescriptor, ParquetError> {
    let mut listed = None;
    let mut rest = footer;
    fields(&mut rest, |number, kind, rest| {
        if (number, kind) == (2, LIST) {
            let (kind, count) = list(rest)?;
            let count = usize::try_from(count).ok().filter(|_| kind == STRUCT)?;
            // Those beyond the most are told of below.
            let elements = (0..count.min(MAX_ELEMENTS + 1)).map(|_| Element::read(rest));
            listed = Some(elements.collect::<Option<Vec<_>>>()?);
            // Nothing else is asked of the footer.
            return None;
        }
        skip(rest, kind)
    });
    let elements = listed.ok_or_else(damaged)?;
    if elements.len() > MAX_ELEMENTS {
        return Err(refused(format!("it has more than {MAX_ELEMENTS} columns and groups of columns")));
    }
    let mut tree = Tree { elements: elements.into_iter(), path_bytes: 0 };
    let root = tree.node(0, 0)?;
    if tree.elements.len() > 0 {
        return Err(damaged());
    }
    Ok(SchemaDescriptor::new(Arc::new(root)))
}

/// Elements in the order of the file, each group before what is in it.
struct Tree<'a> {
    elements: std::vec::IntoIter<Element<'a>>,
    path_bytes: usize,
}

impl Tree<'_> {
    /// The next element with all that is in it; `above` are bytes of the path to it.
    fn node(&mut self, depth: usize, above: usize) -> Result<Type, ParquetError> {
        let element = self.elements.next().ok_or_else(damaged)?;
        if depth > MAX_DEPTH {
            return Err(refused(format!("its columns lie more than {MAX_DEPTH} groups deep")));
        }
        let repetition = match element.repetition {
            // The first element, which is the whole, may say that it repeats: it does not.
            _ if depth == 0 => None,
            Some(0) => Some(Repetition::REQUIRED),
            Some(1) => Some(Repetition::OPTIONAL),
            Some(2) => Some(Repetition::REPEATED),
            _ => return Err(damaged()),
        };
        let path_bytes = above + element.name.len() + PART_BYTES;
        let unknown = element.is_unknown.then_some(LogicalType::Unknown);
        let count = usize::try_from(element.children.unwrap_or(0)).map_err(|_| damaged())?;
        if let (Some(physical), Some(repetition), 0) = (element.physical, repetition, count) {
            self.path_bytes += path_bytes;
            if self.path_bytes > MAX_PATH_BYTES {
                return Err(refused("the names of its columns are too long".into()));
            }
            let column = Type::primitive_type_builder(element.name, physical_type(physical)?);
            let column = column.with_length(element.length.unwrap_or(-1)).with_logical_type(unknown);
            return column.with_repetition(repetition).build();
        }
        if count > self.elements.len() {
            return Err(damaged());
        }
        let inside = (0..count).map(|_| self.node(depth + 1, path_bytes).map(Arc::new));
        let group = Type::group_type_builder(element.name).with_fields(inside.collect::<Result<_, _>>()?);
        repetition.into_iter().fold(group, |group, repetition| group.with_repetition(repetition)).build()
    }
}

fn physical_type(number: i32) -> Result<Physical, ParquetError> {
    Ok(match number {
        0 => Physical::BOOLEAN,
        1 => Physical::INT32,
        2 => Physical::INT64,
        3 => Physical::INT96,
        4 => Physical::FLOAT,
        5 => Physical::DOUBLE,
        6 => Physical::BYTE_ARRAY,
        7 => Physical::FIXED_LEN_BYTE_ARRAY,
        _ => return Err(damaged()),
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use parquet::file::properties::WriterProperties;
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;

    use super::*;

    fn number(mut value: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        while value >= 0x80 {
            bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        bytes.push(value as u8);
        bytes
    }

    /// A field that says its own number.
    fn field(id: u8, kind: u8, value: &[u8]) -> Vec<u8> {
        [&[kind, 2 * id], value].concat()
    }

    fn int(value: i32) -> Vec<u8> {
        number(u64::from(((value << 1) ^ (value >> 31)) as u32))
    }

    fn element(name: &str, inner: Vec<u8>) -> Vec<u8> {
        let name = [number(name.len() as u64), name.into()].concat();
        [field(3, INT, &int(1)), field(4, BINARY, &name), inner, vec![0]].concat()
    }

    fn group(name: &str, children: i32) -> Vec<u8> {
        element(name, field(5, INT, &int(children)))
    }

    fn text(name: &str) -> Vec<u8> {
        element(name, field(1, INT, &int(6)))
    }

    fn told(elements: &[Vec<u8>]) -> String {
        let list = [vec![0xf0 | STRUCT], number(elements.len() as u64), elements.concat()].concat();
        let footer = [field(1, INT, &[2]), field(2, LIST, &list), vec![0]].concat();
        schema_of(&footer)
            .map_or_else(|e| e.to_string(), |schema| format!("{} columns", schema.num_columns()))
    }

    #[test]
    fn schemas_are_what_the_library_makes_of_them() {
        let text = "message schema {
            required group image { optional binary bytes; optional binary path (STRING); }
            optional group captions (LIST) { repeated group list { required binary element (STRING); } }
            repeated int32 numbers (INTEGER(8, true)); required boolean good;
            optional fixed_len_byte_array(12) hash; optional int64 at (TIMESTAMP(MILLIS, true));
            optional group none { optional float x; optional group deep { repeated double y; } }
            optional int32 split (UNKNOWN);
        }";
        let message = Arc::new(parse_message_type(text).unwrap());
        let mut file = tempfile::tempfile().unwrap();
        let properties = Arc::new(WriterProperties::builder().build());
        let writer = SerializedFileWriter::new(Vec::new(), message, properties).unwrap();
        file.write_all(&writer.into_inner().unwrap()).unwrap();
        let read = schema(&file).unwrap();
        let reader = SerializedFileReader::new(file).unwrap();
        let expected = reader.metadata().file_metadata().schema_descr();
        let told = |schema: &SchemaDescriptor| -> Vec<_> {
            let columns = schema.columns().iter();
            columns
                .map(|c| {
                    let unknown = matches!(c.logical_type_ref(), Some(LogicalType::Unknown));
                    let levels = (c.max_def_level(), c.max_rep_level());
                    (c.path().string(), c.physical_type(), c.type_length(), levels, unknown)
                })
                .collect()
        };
        assert_eq!(told(&read), told(expected));
        assert_eq!(read.num_columns(), 10);
    }

    #[test]
    fn schemas_without_end_are_refused() {
        let nested = |depth: usize| {
            let groups = (0..depth).map(|_| group("x", 1));
            told(&groups.chain([text("x")]).collect::<Vec<_>>())
        };
        assert_eq!(nested(64), "1 columns");
        assert!(nested(65).contains("64 groups deep"), "{}", nested(65));
        assert!(nested(1_000_000).contains("more than 100000 columns"), "{}", nested(1_000_000));
        for children in [i32::MAX, i32::MIN, -1, 2] {
            let told = told(&[group("schema", children), text("x")]);
            assert!(told.contains("damaged"), "{children}: {told}");
        }
        assert!(told(&[group("schema", 1), text("x"), text("y")]).contains("damaged"), "one too many");
        assert!(told(&[]).contains("damaged"));
        // A long name in the path of each column.
        let long = [group("schema", 1), group(&"x".repeat(1 << 20), 100)];
        let columns: Vec<_> = long.into_iter().chain((0..100).map(|_| text("y"))).collect();
        assert!(told(&columns).contains("names of its columns are too long"), "{}", told(&columns));
    }

    #[test]
    fn footers_are_read_as_far_as_they_go() {
        let whole = [group("schema", 1), text("x")].concat();
        let list = [&[0xf0 | STRUCT, 2][..], &whole].concat();
        let footer = [field(1, INT, &[2]), field(2, LIST, &list)].concat();
        assert!(schema_of(&footer).is_ok());
        for length in 0..footer.len() {
            assert!(schema_of(&footer[..length]).is_err(), "{length}");
        }
        let mut file = tempfile::tempfile().unwrap();
        file.set_len(65 << 20).unwrap();
        file.seek(SeekFrom::End(0)).unwrap();
        file.write_all(&[&u32::to_le_bytes(65 << 20)[..], b"PAR1"].concat()).unwrap();
        let told = schema(&file).map(|_| ()).unwrap_err().to_string();
        assert!(told.contains("68157440 bytes"), "{told}");
    }
}
