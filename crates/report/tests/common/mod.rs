//! A drawn data set and two made-up models.

use std::path::Path;

use capwright_caption_data::{Dataset, SceneOptions, Split, make_scenes};
use capwright_report::{Image, Licence, Model, Report};

/// Draws scenes into `dir`, which must not exist, and reports on its test images. The first model copies references and
/// now and then drops a word; the second forgets half of its words and mistakes every fourth image for its neighbour.
pub fn report_on_scenes(dir: &Path, images: usize) -> Result<Report, capwright_caption_data::DataError> {
    make_scenes(dir, &SceneOptions { train: 30, val: 5, test: images, size: 96, seed: 7 })?;
    let dataset = Dataset::load(dir)?;
    let records: Vec<_> = dataset.records(Split::Test).collect();
    let words = |at: usize| -> Vec<&str> { records[at % records.len()].captions[0].split(' ').collect() };
    let careful = (0..records.len()).map(|at| without(&words(at), |k| (k + at) % 9 == 4)).collect();
    let hasty = (0..records.len())
        .map(|at| without(&words(if at % 4 == 0 { at + 1 } else { at }), |k| k > 3 && (k + at) % 2 == 0))
        .collect();
    let image = |record: &&capwright_caption_data::ImageRecord| Image {
        id: record.file_name.clone(),
        path: Some(record.path.clone()),
        references: record.captions[1..].to_vec(),
    };
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    Ok(Report {
        title: "Two made-up models on drawn scenes".into(),
        images: records.iter().map(image).collect(),
        models: vec![
            Model { name: "careful".into(), captions: careful },
            Model { name: "hasty".into(), captions: hasty },
        ],
        training: dataset.records(Split::Train).flat_map(|r| r.captions.clone()).collect(),
        licences: vec![Licence { what: "Drawn scenes".into(), licence: "MIT OR Apache-2.0".into() }],
        provenance: vec![
            pair("Data", &format!("scenes, fingerprint {}", dataset.fingerprint())),
            pair("Split", "test"),
            pair("Decoding", "none: captions are damaged references"),
        ],
        ..Report::default()
    })
}

fn without(words: &[&str], dropped: impl Fn(usize) -> bool) -> String {
    let kept: Vec<&str> = words.iter().enumerate().filter(|(k, _)| !dropped(*k)).map(|(_, w)| *w).collect();
    kept.join(" ")
}
