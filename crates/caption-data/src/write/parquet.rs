//! Parquet files with the images inside, one series for each split, as Hugging Face lays them out.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::errors::Result as ParquetResult;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

use super::{Record, split_name};
use crate::{DataError, Split};

/// Rows and bytes of images in a row group.
const GROUP_ROWS: usize = 256;
const GROUP_BYTES: usize = 128 << 20;
/// Bytes of images in a file, after which another begins.
const FILE_BYTES: usize = 512 << 20;

const SCHEMA: &str = "message schema {
    optional group image { optional binary bytes; optional binary path (STRING); }
    optional group captions (LIST) { repeated group list { optional binary element (STRING); } }
    optional binary split (STRING);
}";
/// Tells the library `datasets` that `image` is an image, not a structure.
const FEATURES: &str = r#"{"info": {"features": {"image": {"_type": "Image"}, "captions": {"feature": {"dtype": "string", "_type": "Value"}, "_type": "Sequence"}, "split": {"dtype": "string", "_type": "Value"}}}}"#;

/// Files that are being written.
pub(crate) struct Files {
    dir: PathBuf,
    series: BTreeMap<Option<Split>, Series>,
}

/// The files of a split.
#[derive(Default)]
struct Series {
    finished: Vec<PathBuf>,
    open: Option<(PathBuf, SerializedFileWriter<File>)>,
    rows: Vec<(Record, Vec<u8>)>,
    group_bytes: usize,
    file_bytes: usize,
}

impl Files {
    pub fn new(dir: &Path) -> Files {
        Files { dir: dir.to_owned(), series: BTreeMap::new() }
    }

    pub fn push(&mut self, record: Record, bytes: Vec<u8>) -> Result<(), DataError> {
        let split = record.split;
        let series = self.series.entry(split).or_default();
        series.group_bytes += bytes.len();
        series.rows.push((record, bytes));
        if series.rows.len() >= GROUP_ROWS || series.group_bytes >= GROUP_BYTES {
            series.flush(&self.dir, split)?;
        }
        if series.file_bytes >= FILE_BYTES {
            series.close()?;
        }
        Ok(())
    }

    /// Ends all files and names them by how many there are.
    pub fn finish(self) -> Result<(), DataError> {
        for (split, mut series) in self.series {
            series.flush(&self.dir, split)?;
            series.close()?;
            let total = series.finished.len();
            for (number, path) in series.finished.iter().enumerate() {
                let name = format!("{}-{number:05}-of-{total:05}.parquet", split_name(split));
                let named = self.dir.join(name);
                std::fs::rename(path, &named).map_err(|e| DataError::write(&named, e))?;
            }
        }
        Ok(())
    }
}

impl Series {
    fn flush(&mut self, dir: &Path, split: Option<Split>) -> Result<(), DataError> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let number = self.finished.len();
        let path = dir.join(format!("{}-{number:05}.parquet", split_name(split)));
        let refused = |e| DataError::write(&path, std::io::Error::other::<parquet::errors::ParquetError>(e));
        if self.open.is_none() {
            let file = File::create_new(&path).map_err(|e| DataError::write(&path, e))?;
            self.open = Some((path.clone(), begin(file).map_err(refused)?));
        }
        if let Some((_, writer)) = &mut self.open {
            write_group(writer, &std::mem::take(&mut self.rows)).map_err(refused)?;
        }
        self.file_bytes += std::mem::take(&mut self.group_bytes);
        Ok(())
    }

    fn close(&mut self) -> Result<(), DataError> {
        let Some((path, writer)) = self.open.take() else { return Ok(()) };
        let close = || writer.into_inner().map_err(std::io::Error::other)?.sync_all();
        close().map_err(|e| DataError::write(&path, e))?;
        self.file_bytes = 0;
        self.finished.push(path);
        Ok(())
    }
}

fn begin(file: File) -> ParquetResult<SerializedFileWriter<File>> {
    let features = KeyValue::new("huggingface".to_owned(), FEATURES.to_owned());
    let properties = WriterProperties::builder()
        .set_dictionary_enabled(false)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_key_value_metadata(Some(vec![features]))
        .build();
    SerializedFileWriter::new(file, Arc::new(parse_message_type(SCHEMA)?), Arc::new(properties))
}

/// A column of the schema: its values with their definition and repetition levels.
type Column = (Vec<ByteArray>, Vec<i16>, Vec<i16>);

fn write_group(writer: &mut SerializedFileWriter<File>, rows: &[(Record, Vec<u8>)]) -> ParquetResult<()> {
    let text = |text: &str| ByteArray::from(text.as_bytes().to_vec());
    // Definition levels: 2 for a leaf inside the structure, 3 inside the list, 1 for a plain column, less where it is absent.
    let images: Column = (
        rows.iter().map(|(_, bytes)| ByteArray::from(bytes.clone())).collect(),
        vec![2; rows.len()],
        Vec::new(),
    );
    let names: Column =
        (rows.iter().map(|(r, _)| text(&r.file_name)).collect(), vec![2; rows.len()], Vec::new());
    let mut captions = Column::default();
    for (record, _) in rows {
        for (number, caption) in record.captions.iter().enumerate() {
            captions.0.push(text(caption));
            captions.1.push(3);
            captions.2.push(i16::from(number > 0));
        }
    }
    let splits: Column = (
        rows.iter().filter_map(|(r, _)| r.split).map(|split| text(split.name())).collect(),
        rows.iter().map(|(r, _)| i16::from(r.split.is_some())).collect(),
        Vec::new(),
    );
    let mut group = writer.next_row_group()?;
    for (values, defined, repeated) in [images, names, captions, splits] {
        if let Some(mut column) = group.next_column()? {
            let repeated = (!repeated.is_empty()).then_some(repeated.as_slice());
            column.typed::<ByteArrayType>().write_batch(&values, Some(&defined), repeated)?;
            column.close()?;
        }
    }
    group.close()?;
    Ok(())
}
