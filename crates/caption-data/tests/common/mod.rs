//! What the tests of formats share: pictures, and a small data set with difficult names and captions.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::path::{Path, PathBuf};

use serde_json::json;

/// A picture that differs from those of other numbers everywhere.
pub fn pixels(number: u32, width: u32, height: u32) -> Vec<u8> {
    let pixel = |x: u32, y: u32| {
        let (x, y) = (x * 64 / width, y * 64 / height);
        let wave = |a: u32, b: u32| ((x * (a + number) + y * (b + 3 * number) + 29 * number) * 3 % 256) as u8;
        [wave(1, 2), wave(3, 1), wave(2, 5)]
    };
    (0..height).flat_map(|y| (0..width).flat_map(move |x| pixel(x, y))).collect()
}

pub fn png(number: u32) -> Vec<u8> {
    encode(image::ImageFormat::Png, number)
}

pub fn jpeg(number: u32) -> Vec<u8> {
    encode(image::ImageFormat::Jpeg, number)
}

fn encode(format: image::ImageFormat, number: u32) -> Vec<u8> {
    let image = image::RgbImage::from_raw(40, 30, pixels(number, 40, 30)).unwrap();
    let mut bytes = std::io::Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// A folder for one test.
pub struct Folder {
    pub dir: tempfile::TempDir,
}

impl Folder {
    pub fn new() -> Self {
        Folder { dir: tempfile::tempdir().unwrap() }
    }

    pub fn root(&self) -> &Path {
        self.dir.path()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file and makes the folders it needs.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> &Self {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
        self
    }
}

/// Names and captions that formats may stumble over, in all splits and in none.
pub fn native(folder: &Folder, name: &str) -> PathBuf {
    let images = [
        ("a.jpg", vec!["a dog runs", "a brown dog, running"]),
        ("two.dots.png", vec!["\"quoted\" text", "it's 5 % off; really"]),
        ("sub/deep folder/b.jpg", vec!["[\"looks like a list\"]"]),
        ("ünï#0.jpg", vec!["un chien brun court dans l'herbe", "一只狗在跑"]),
        ("e.png", vec!["a cat", "a cat"]),
        ("f.jpg", vec!["= a formula | with a bar", "#tag"]),
        ("g.jpg", vec!["in no split"]),
    ];
    let entries: Vec<_> =
        images.iter().zip(7..).map(|((name, _), id)| json!({"id": id, "file_name": name})).collect();
    let captions: Vec<_> = images
        .iter()
        .zip(7..)
        .flat_map(|((_, captions), id)| captions.iter().map(move |c| json!({"image_id": id, "caption": c})))
        .collect();
    for ((file, _), number) in images.iter().zip(1..) {
        let bytes = if file.ends_with("png") { png(number) } else { jpeg(number) };
        folder.write(&format!("{name}/images/{file}"), bytes);
    }
    let captions = json!({"images": entries, "annotations": captions}).to_string();
    folder.write(&format!("{name}/captions.json"), captions);
    let splits = json!({
        "train": ["a.jpg", "two.dots.png", "sub/deep folder/b.jpg"], "val": ["ünï#0.jpg", "e.png"], "test": ["f.jpg"],
    });
    folder.write(&format!("{name}/splits.json"), splits.to_string());
    folder.path(name)
}
