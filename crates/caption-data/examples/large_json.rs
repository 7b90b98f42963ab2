//! How long a COCO file of a million captions takes to read, and how much memory.
//!
//! `cargo run --release -p capwright-caption-data --example large_json [CAPTIONS]`; the peak is the process's, read from `/proc`.

use std::error::Error;
use std::fmt::Write;
use std::time::Instant;

use capwright_caption_data::{Dataset, LoadOptions};

fn main() -> Result<(), Box<dyn Error>> {
    let captions: usize = std::env::args().nth(1).map_or(Ok(1_000_000), |n| n.parse())?;
    let dir = tempfile::tempdir()?;
    let images = dir.path().join("images");
    std::fs::create_dir(&images)?;
    let mut json = String::from("{\"images\": [");
    for id in 0..captions / 5 {
        let comma = if id > 0 { "," } else { "" };
        write!(
            json,
            "{comma}{{\"license\": 4, \"file_name\": \"{id:012}.jpg\", \"coco_url\": \"http://images.example.org/train2017/{id:012}.jpg\", \
             \"height\": 480, \"width\": 640, \"date_captured\": \"2013-11-14 17:02:52\", \"id\": {id}}}"
        )?;
        std::fs::write(images.join(format!("{id:012}.jpg")), format!("image {id}"))?;
    }
    json += "], \"annotations\": [";
    for id in 0..captions / 5 * 5 {
        let (comma, image) = (if id > 0 { "," } else { "" }, id / 5);
        write!(
            json,
            "{comma}{{\"image_id\": {image}, \"id\": {id}, \"caption\": \"A person in some place does thing number {id}.\"}}"
        )?;
    }
    json += "]}";
    std::fs::write(dir.path().join("captions.json"), &json)?;
    println!("{} captions, {} MB of JSON", captions / 5 * 5, json.len() / 1_000_000);
    drop(json);
    reset_peak();
    let start = Instant::now();
    let options = LoadOptions { need_splits: false, ..LoadOptions::default() };
    let (dataset, _) = Dataset::load_with(dir.path(), &options)?;
    let peak = peak().unwrap_or_else(|| "unknown".into());
    println!(
        "{} images read and hashed in {:.1?}, peak memory {peak}",
        dataset.images().len(),
        start.elapsed()
    );
    Ok(())
}

/// Forgets the peak of making the file.
fn reset_peak() {
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

fn peak() -> Option<String> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmHWM:")).map(|peak| peak.trim().to_owned())
}
