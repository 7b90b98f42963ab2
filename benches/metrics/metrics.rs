//! Captions a second: all metrics on a corpus of COCO's size, and rewards with prepared references.

use capwright_caption_metrics::{Cider, ScoreOptions, score};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;

const IMAGES: usize = 5_000;
const REFERENCES: usize = 5;

/// Numbers below `n`, the small ones more often, as with words.
struct Draw(u64);

impl Draw {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let share = (self.0 >> 33) as f64 / (1u64 << 31) as f64;
        (share.powi(4) * n as f64) as usize
    }
}

/// Captions of 8 to 12 words out of 8,000; those of an image share most of their words.
fn captions() -> Vec<Vec<Vec<u32>>> {
    let mut draw = Draw(1);
    let image = |_| {
        let base: Vec<u32> = (0..12).map(|_| draw.below(8_000) as u32).collect();
        let mut vary = |word: &u32| if draw.below(10) > 2 { draw.below(8_000) as u32 } else { *word };
        (0..=REFERENCES).map(|k| base[..8 + k % 5].iter().map(&mut vary).collect()).collect()
    };
    (0..IMAGES).map(image).collect()
}

fn benches(c: &mut Criterion) {
    let captions = captions();
    let hyps: Vec<Vec<u32>> = captions.iter().map(|c| c[0].clone()).collect();
    let refs: Vec<Vec<Vec<u32>>> = captions.iter().map(|c| c[1..].to_vec()).collect();
    let mut group = c.benchmark_group("metrics");
    group.sample_size(10).throughput(Throughput::Elements(IMAGES as u64));

    let cider = Cider::new(&refs).expect("references");
    let rewards =
        |hyps: &[Vec<u32>]| hyps.iter().enumerate().map(|(i, h)| cider.score(i, h).cider_d).sum::<f64>();
    group.bench_function("CIDEr-D rewards, one thread", |b| b.iter(|| rewards(black_box(&hyps))));
    // Hypotheses of other images, as from an untrained model: most n-grams are unknown.
    let turned = [&hyps[1..], &hyps[..1]].concat();
    group.bench_function("CIDEr-D rewards of wrong captions, one thread", |b| {
        b.iter(|| rewards(black_box(&turned)))
    });
    group.bench_function("references prepared", |b| b.iter(|| Cider::new(black_box(&refs))));

    let text = |caption: &Vec<u32>| caption.iter().map(|w| format!("word{w}")).collect::<Vec<String>>();
    let hyps: Vec<Vec<String>> = hyps.iter().map(text).collect();
    let refs: Vec<Vec<Vec<String>>> = refs.iter().map(|r| r.iter().map(text).collect()).collect();
    let options = ScoreOptions { resamples: 0, ..ScoreOptions::default() };
    group.bench_function("all metrics", |b| b.iter(|| score(black_box(&hyps), &refs, &options)));
    let options = ScoreOptions::default();
    group.bench_function("all metrics with intervals", |b| {
        b.iter(|| score(black_box(&hyps), &refs, &options))
    });
    group.finish();
}

criterion_group!(metrics, benches);
criterion_main!(metrics);
