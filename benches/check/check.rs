//! Text to verdict and cost, hash included, on one core: `cargo bench --manifest-path benches/check/Cargo.toml`.

use capwright_backbones::Library;
use capwright_blueprint::schema::{self, Narrowing};
use capwright_blueprint::{Target, Zoo, parse};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::hint::black_box;

const TARGET: Target = Target { vocab: 2500, max_words: 20 };

/// Random designs of the whole language, whether they fit together or not.
fn drawn(zoo: &Library, count: usize) -> Vec<String> {
    let narrowing = Narrowing {
        backbones: zoo.names(),
        scratch: true,
        sizes: Vec::new(),
        lstm: true,
        gru: true,
        transformer: true,
        convolution: true,
    };
    let (space, mut rng) = (narrowing.schema(), ChaCha8Rng::seed_from_u64(7));
    (0..count).map(|_| schema::sample(&space, &mut rng).to_string()).collect()
}

/// Hand-written designs that fit.
fn written() -> Vec<String> {
    let lines = include_str!("../../crates/backbones/tests/corpus/right.jsonl").lines();
    let text = |line| serde_json::from_str::<serde_json::Value>(line).unwrap()["text"].as_str().unwrap().to_string();
    lines.map(text).collect()
}

fn check(c: &mut Criterion) {
    let zoo = Library::default();
    let random = drawn(&zoo, 2000);
    let fitting: Vec<String> = random.iter().filter(|text| parse(text, &zoo, TARGET).is_ok()).cloned().collect();
    let mut group = c.benchmark_group("check and cost");
    for (name, texts) in [("written designs", written()), ("random designs that fit", fitting), ("random designs", random)] {
        group.throughput(Throughput::Elements(texts.len() as u64));
        group.bench_function(name, |b| {
            b.iter(|| {
                for text in &texts {
                    let _ = black_box(parse(text, &zoo, TARGET).map(|checked| (checked.cost(), checked.hash().len())));
                }
            });
        });
    }
    group.finish();
}

criterion_group!(benches, check);
criterion_main!(benches);
