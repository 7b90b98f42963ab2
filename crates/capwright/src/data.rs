//! `capwright data`.

use crate::failure::Failure;
use crate::say;
use capwright_caption_data::{Dataset, SceneOptions, make_scenes as draw};
use std::path::Path;

/// Draws a scenes data set.
pub fn make_scenes(
    dir: &Path,
    train: usize,
    val: usize,
    test: usize,
    size: u32,
    seed: u64,
) -> Result<(), Failure> {
    let options = SceneOptions { train, val, test, size, seed };
    draw(dir, &options).map_err(Failure::input)?;
    let data = Dataset::load(dir).map_err(Failure::input)?;
    say(format!(
        "{}: {train} train, {val} val and {test} test images of {size} pixels, fingerprint {}",
        dir.display(),
        data.fingerprint()
    ));
    Ok(())
}
