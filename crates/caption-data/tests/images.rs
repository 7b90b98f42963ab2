//! Every kind of image file against Pillow's reading of it, cut off, overgrown and broken.

use std::collections::BTreeMap;
use std::path::PathBuf;

use capwright_caption_data::{Filter, Framing, ImageError, ImageLimits, RgbImage, decode};
use proptest::prelude::*;

fn fixture(name: &str) -> Vec<u8> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/images");
    std::fs::read(folder.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

fn read(name: &str) -> RgbImage {
    decode(&fixture(name), &ImageLimits::default()).unwrap_or_else(|e| panic!("{name} {e}"))
}

/// File names, each with the name of what Pillow reads in it.
fn cases() -> BTreeMap<String, String> {
    serde_json::from_slice(&fixture("cases.json")).unwrap()
}

/// Mean and largest absolute difference, of 255.
fn difference(ours: &[u8], theirs: &[u8]) -> (f64, u8) {
    assert_eq!(ours.len(), theirs.len());
    let apart = || ours.iter().zip(theirs).map(|(a, b)| a.abs_diff(*b));
    let mean = apart().map(f64::from).sum::<f64>() / ours.len() as f64;
    (mean, apart().max().unwrap_or(0))
}

#[test]
fn files_are_read_as_by_pillow() {
    let cases = cases();
    assert_eq!(cases.len(), 39);
    let mut problems = Vec::new();
    for (name, expected) in &cases {
        let (ours, theirs) = (read(name), read(expected));
        assert_eq!((ours.width, ours.height), (theirs.width, theirs.height), "{name}");
        let (mean, worst) = difference(&ours.pixels, &theirs.pixels);
        let lossy = name.ends_with(".jpg") || name.starts_with("lossy");
        if mean > if lossy { 1.0 } else { 0.0 } {
            problems.push(format!("{name}: {mean:.3} of 255 on average, {worst} at worst"));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn squares_are_those_of_torchvision() {
    #[derive(serde::Deserialize)]
    struct Case {
        source: String,
        size: u32,
        shorter_side: Option<u32>,
        filter: Filter,
        expected: String,
    }
    let cases: Vec<Case> = serde_json::from_slice(&fixture("resize.json")).unwrap();
    assert_eq!(cases.len(), 24);
    for case in cases {
        let framing = case.shorter_side.map_or(Framing::Squash, |s| Framing::CentreCrop { shorter_side: s });
        let ours = read(&case.source).framed(case.size, framing, case.filter).unwrap();
        let (mean, worst) = difference(&ours, &read(&case.expected).pixels);
        // The order of the two passes shows where the cubic overshoots.
        let allowed = if case.filter == Filter::Bilinear { 1 } else { 20 };
        let message = format!("{}: {mean:.3} on average, {worst} at worst", case.expected);
        assert!(mean <= 0.3 && worst <= allowed, "{message}");
    }
}

#[test]
fn a_part_of_a_file_is_no_image() {
    for name in cases().keys() {
        let whole = fixture(name);
        // Densely near both ends, where blocks begin and end; all of the rest at an odd step.
        let near = (0..whole.len().min(80)).chain(whole.len().saturating_sub(80)..whole.len());
        for part in near.chain((80..whole.len()).step_by(23)) {
            let result = decode(&whole[..part], &ImageLimits::default());
            assert!(result.is_err(), "{name}: {part} of {} bytes are read", whole.len());
        }
    }
}

#[test]
fn more_pixels_than_allowed_are_refused_from_the_header() {
    for name in cases().keys() {
        let (whole, image) = (fixture(name), read(name));
        let pixels = u64::from(image.width * image.height);
        assert!(decode(&whole, &ImageLimits { max_pixels: pixels }).is_ok(), "{name}");
        let error = decode(&whole, &ImageLimits { max_pixels: pixels - 1 }).unwrap_err();
        assert!(matches!(error, ImageError::TooManyPixels { .. }), "{name}: {error}");
    }
}

#[test]
fn a_lossy_frame_larger_than_its_webp_is_refused_before_it_is_decoded() {
    for name in ["lossy.webp", "lossy-alpha.webp"] {
        let mut bytes = fixture(name);
        let at = bytes.windows(3).position(|w| w == [0x9d, 0x01, 0x2a]).unwrap() + 3;
        bytes[at..at + 4].copy_from_slice(&[0xff, 0x3f, 0xff, 0x3f]);
        let limits = ImageLimits { max_pixels: 1 << 20 };
        let error = decode(&bytes, &limits).unwrap_err();
        assert!(matches!(error, ImageError::TooManyPixels { width: 16383, .. }), "{error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn broken_bytes_never_panic(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let names: Vec<String> = cases().into_keys().collect();
        let mut bytes = fixture(&names[which.index(names.len())]);
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let limits = ImageLimits { max_pixels: 1 << 16 };
        if let Ok(image) = decode(&bytes, &limits) {
            prop_assert_eq!(image.pixels.len(), 3 * image.width as usize * image.height as usize);
        }
    }
}
