//! Time of a mirrored and cut image of 224 x 224 pixels on one core:
//! `cargo run --release -p capwright-caption-data --example augment_speed`

use std::time::Instant;

use capwright_caption_data::Augment;

fn main() {
    let (side, rounds) = (224u32, 2000u64);
    let image: Vec<u8> = (0..3 * side * side).map(|i| (i * 37 % 251) as u8).collect();
    for (name, augment) in [
        ("flip", Augment { flip: true, ..Augment::default() }),
        ("flip and crop", Augment { flip: true, crop: Some(0.5), ..Augment::default() }),
    ] {
        let mut times: Vec<f64> = (0..rounds)
            .map(|place| {
                let start = Instant::now();
                let varied = augment.apply(&image, side, false, (1, 1, place));
                assert!(varied.is_ok_and(|pixels| pixels.len() == image.len()));
                start.elapsed().as_secs_f64() * 1e3
            })
            .collect();
        times.sort_by(f64::total_cmp);
        println!("{name}: median {:.3} ms, 99 of 100 below {:.3} ms", times[1000], times[1980]);
    }
}
