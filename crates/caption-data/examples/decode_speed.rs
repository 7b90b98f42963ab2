//! Images a second on one thread, from file bytes to the normalised input of 224 pixels: `decode_speed FOLDER [ROUNDS]`.
//!
//! `benches/pil_speed.py` does the same with Pillow and torchvision.

use std::hint::black_box;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use capwright_caption_data::{Filter, Framing, ImageLimits, Preprocess, decode};

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("usage: decode_speed FOLDER [ROUNDS]")?;
    let rounds = arguments.next().map_or(Ok(5), |text| text.parse::<usize>())?;
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder)?.map(|e| e.map(|e| e.path())).collect::<Result<_, _>>()?;
    paths.sort();
    let files = paths.iter().map(std::fs::read).collect::<Result<Vec<_>, _>>()?;
    let squash = Preprocess::imagenet(224);
    let centre = Framing::CentreCrop { shorter_side: 256 };
    let crop = Preprocess { framing: centre, ..squash };
    let cubic = Preprocess { framing: centre, filter: Filter::Bicubic, ..squash };
    for (name, preprocess) in
        [("squash 224", squash), ("resize 256, crop 224", crop), ("the same, bicubic", cubic)]
    {
        let best = (0..rounds.max(1)).map(|_| round(&files, &preprocess)).collect::<Result<Vec<_>, _>>()?;
        // The fastest round is the one that other programs disturbed least.
        let Some(best) = best.into_iter().min_by_key(|parts| parts.iter().sum::<Duration>()) else {
            continue;
        };
        let ms = best.map(|part| part.as_secs_f64() * 1e3 / files.len() as f64);
        let total: f64 = ms.iter().sum();
        println!(
            "{name}: {:.0} images/s; ms an image: {:.3} decode, {:.3} resize, {:.3} normalise",
            1e3 / total,
            ms[0],
            ms[1],
            ms[2]
        );
    }
    Ok(())
}

/// Time spent on decoding, resizing and normalising all files.
fn round(files: &[Vec<u8>], preprocess: &Preprocess) -> Result<[Duration; 3], Failure> {
    let mut spent = [Duration::ZERO; 3];
    let mut input = vec![0.0; preprocess.numel()];
    for file in files {
        let start = Instant::now();
        let image = decode(file, &ImageLimits::default())?;
        let decoded = Instant::now();
        let square = preprocess.apply(&image)?;
        let resized = Instant::now();
        preprocess.to_chw(&square, black_box(&mut input));
        let parts = [decoded - start, resized - decoded, resized.elapsed()];
        spent.iter_mut().zip(parts).for_each(|(sum, part)| *sum += part);
    }
    Ok(spent)
}
