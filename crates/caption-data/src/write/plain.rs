//! The files of captions beside a folder of images.

use std::collections::HashSet;
use std::fmt::Write;
use std::path::Path;

use capwright_caption_metrics::tokenize;
use serde_json::{Value, json};

use super::Record;
use crate::formats::Format;
use crate::staging::write_new;
use crate::{DataError, Split, Splits};

/// Refuses what the format cannot hold.
pub(super) fn check(format: Format, record: &Record) -> Result<(), DataError> {
    let refuse =
        |reason| Err(DataError::Inexpressible { format, file_name: record.file_name.clone(), reason });
    let table = matches!(format, Format::Tokens | Format::Csv | Format::Tsv);
    if table && record.file_name.trim() != record.file_name {
        return refuse("white space at an end of the name is lost");
    }
    let breaks = |c: &String| c.contains(['\n', '\r', '\t']);
    if format == Format::Tokens && record.captions.iter().any(breaks) {
        return refuse("a caption has several lines or tabs");
    }
    Ok(())
}

/// Writes the captions and splits of all images.
pub(super) fn write(format: Format, dir: &Path, mut records: Vec<Record>) -> Result<(), DataError> {
    let ids: HashSet<u64> = records.iter().map(|r| r.id).collect();
    if ids.len() < records.len() {
        records.iter_mut().zip(1..).for_each(|(record, id)| record.id = id);
    }
    let put = |name: &str, text: String| write_new(&dir.join(name), text.as_bytes());
    match format {
        Format::Karpathy => put("dataset.json", format!("{}\n", karpathy(&records))),
        Format::Jsonl => put("captions.jsonl", records.iter().map(line).collect()),
        Format::Csv => put("captions.csv", table(&records, b',', dir)?),
        Format::Tsv => put("captions.tsv", table(&records, b'\t', dir)?),
        Format::Tokens => tokens(&records, &put),
        _ => {
            put("captions.json", format!("{}\n", coco(&records)))?;
            let splits = splits(&records);
            if splits.is_empty() { Ok(()) } else { splits.write(dir) }
        }
    }
}

fn coco(records: &[Record]) -> Value {
    let images: Vec<Value> = records.iter().map(|r| json!({"id": r.id, "file_name": r.file_name})).collect();
    let captions = records.iter().flat_map(|r| r.captions.iter().map(move |c| (r.id, c)));
    let annotations: Vec<Value> = captions
        .zip(1..)
        .map(|((image, caption), id)| json!({"id": id, "image_id": image, "caption": caption}))
        .collect();
    json!({"images": images, "annotations": annotations})
}

fn splits(records: &[Record]) -> Splits {
    let mut splits = Splits::default();
    for record in records {
        if let Some(split) = record.split {
            splits.push(split, record.file_name.clone());
        }
    }
    splits
}

fn karpathy(records: &[Record]) -> Value {
    let mut sentence_id = 0..;
    let images: Vec<Value> = records
        .iter()
        .map(|record| {
            let sentences: Vec<Value> = record
                .captions
                .iter()
                .zip(sentence_id.by_ref())
                .map(|(raw, id)| json!({"raw": raw, "tokens": tokenize(raw), "sentid": id}))
                .collect();
            let mut image = json!({"imgid": record.id, "filename": record.file_name, "sentences": sentences});
            if let Some(split) = record.split {
                image["split"] = split.name().into();
            }
            image
        })
        .collect();
    json!({"dataset": "capwright", "images": images})
}

fn line(record: &Record) -> String {
    let mut line = json!({"image": record.file_name, "captions": record.captions});
    if let Some(split) = record.split {
        line["split"] = split.name().into();
    }
    format!("{line}\n")
}

fn table(records: &[Record], delimiter: u8, dir: &Path) -> Result<String, DataError> {
    let write = || -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
        let mut writer = csv::WriterBuilder::new().delimiter(delimiter).from_writer(Vec::new());
        writer.write_record(["image", "caption", "split"])?;
        for record in records {
            for caption in &record.captions {
                let split = record.split.map_or("", Split::name);
                writer.write_record([record.file_name.as_str(), caption, split])?;
            }
        }
        Ok(String::from_utf8(writer.into_inner()?)?)
    };
    write().map_err(|e| DataError::write(dir, std::io::Error::other(e)))
}

fn tokens(records: &[Record], put: &dyn Fn(&str, String) -> Result<(), DataError>) -> Result<(), DataError> {
    let mut text = String::new();
    for record in records {
        for (number, caption) in record.captions.iter().enumerate() {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{}#{number}\t{caption}", record.file_name);
        }
    }
    put("captions.token.txt", text)?;
    for (split, list) in Split::ALL.into_iter().zip(["train", "dev", "test"]) {
        let names: String = records
            .iter()
            .filter(|r| r.split == Some(split))
            .flat_map(|r| [r.file_name.as_str(), "\n"])
            .collect();
        if !names.is_empty() {
            put(&format!("captions.{list}Images.txt"), names)?;
        }
    }
    Ok(())
}
