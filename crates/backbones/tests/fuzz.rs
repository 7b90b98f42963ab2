//! Mutated and random texts: no panic, bounded memory, and what is accepted reads back as itself.
//!
//! 20,000 inputs by default; `CAPWRIGHT_FUZZ=1000000` for a long run. Files in `tests/fuzz_seeds/` are always read.
#![allow(unsafe_code)] // A counting allocator is an unsafe trait.

mod common;

use capwright_blueprint::{Format, parse_as, schema};
use common::{TARGET, TestZoo};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes that one input may have alive at once beyond what was alive before it. Measured: 7 MB for a
/// text of 64 KiB that is full of problems.
const BOUND: usize = 16 << 20;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

/// One test at a time, as all share the counters.
static ALONE: Mutex<()> = Mutex::new(());

struct Counting;

// SAFETY: every call goes to the system's allocator unchanged; only sizes are counted beside it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let live = LIVE.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(live, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the pointer came from `alloc` above with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Reads one input; whether it was accepted, and the bytes it had alive at most.
fn feed(text: &str, format: Format, zoo: &TestZoo) -> (bool, usize) {
    let before = LIVE.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    let result = parse_as(text, format, zoo, TARGET);
    let peak = PEAK.load(Ordering::Relaxed).saturating_sub(before);
    assert!(peak < BOUND, "{peak} bytes for {} bytes of text: {text:.300}", text.len());
    match result {
        Ok(checked) => {
            let again = serde_json::to_string(checked.blueprint()).unwrap();
            let second =
                parse_as(&again, Format::Json, zoo, TARGET).unwrap_or_else(|e| panic!("{again}: {e:?}"));
            assert_eq!(second.hash(), checked.hash(), "{text}");
            (true, peak)
        }
        Err(problems) => {
            assert!(!problems.is_empty(), "refused without a reason: {text}");
            for span in problems.iter().filter_map(|p| p.span.clone()) {
                assert!(text.get(span.clone()).is_some(), "{span:?} is no place in {text}");
            }
            (false, peak)
        }
    }
}

fn bytes(text: &str, rng: &mut ChaCha8Rng) -> String {
    const PIECES: &[&str] = &[
        "{", "}", "[", "]", ",", ":", "\"", "\\", "\\u", "null", "1e999", "NaN", "-", "0", "é", "\u{feff}",
        "\n",
    ];
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..rng.random_range(1..=4) {
        let at = rng.random_range(0..=bytes.len());
        match rng.random_range(0..5) {
            0 if at < bytes.len() => bytes[at] = rng.random(),
            1 => drop(bytes.drain(at..(at + rng.random_range(0..20)).min(bytes.len()))),
            2 => {
                let piece = PIECES[rng.random_range(0..PIECES.len())].repeat(rng.random_range(1..40));
                bytes.splice(at..at, piece.bytes());
            }
            3 => bytes.truncate(at),
            _ => {
                let from = rng.random_range(0..=bytes.len());
                let copy = bytes[from..(from + 60).min(bytes.len())].to_vec();
                bytes.splice(at..at, copy);
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Every place in a value.
fn places(value: &Value, at: &str, out: &mut Vec<String>) {
    out.push(at.to_string());
    match value {
        Value::Object(map) => map.iter().for_each(|(k, v)| places(v, &format!("{at}/{k}"), out)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(i, v)| places(v, &format!("{at}/{i}"), out))
        }
        _ => {}
    }
}

/// Changes a value in up to three places: other leaves, parts of other designs, lists grown, fields gone.
fn structure(value: &mut Value, other: &Value, rng: &mut ChaCha8Rng) {
    for _ in 0..rng.random_range(1..=3) {
        let (mut here, mut there) = (Vec::new(), Vec::new());
        places(value, "", &mut here);
        places(other, "", &mut there);
        let part = other.pointer(&there[rng.random_range(0..there.len())]).cloned().unwrap_or_default();
        let Some(spot) = value.pointer_mut(&here[rng.random_range(0..here.len())]) else { continue };
        match (rng.random_range(0..6), spot) {
            (0, spot) => *spot = part,
            (1, Value::Array(items)) => items.push(part),
            (2, Value::Object(map)) => {
                let name = map.keys().nth(rng.random_range(0..map.len().max(1))).cloned();
                name.map(|name| map.shift_remove(&name));
            }
            (3, Value::Object(map)) => _ = map.insert("surprise".into(), part),
            (4, Value::Array(items)) if !items.is_empty() => {
                let copy = items[rng.random_range(0..items.len())].clone();
                items.extend(vec![copy; rng.random_range(1..300)]);
            }
            (_, spot @ Value::Number(_)) => {
                *spot =
                    [json!(0), json!(-1), json!(7), json!(1e300), json!(u64::MAX), json!(256), json!(0.5)]
                        [rng.random_range(0..7)]
                    .clone();
            }
            (_, spot @ Value::String(_)) => *spot = json!("x".repeat(rng.random_range(0..100))),
            _ => {}
        }
    }
}

#[test]
fn seeds_that_once_were_interesting() {
    let _alone = ALONE.lock();
    let mut most = 0;
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fuzz_seeds");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
        for format in [Format::Json, Format::Toml] {
            most = most.max(feed(&text, format, &TestZoo::default()).1);
        }
        count += 1;
    }
    println!("{count} seeds, at most {most} bytes alive for one");
    assert!(count > 0);
}

#[test]
fn mutated_and_random_texts() {
    let _alone = ALONE.lock();
    let inputs: usize = std::env::var("CAPWRIGHT_FUZZ").ok().and_then(|n| n.parse().ok()).unwrap_or(20_000);
    let corpus: Vec<Value> = include_str!("corpus/right.jsonl")
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["text"].as_str().unwrap().to_string())
        .map(|text| serde_json::from_str(&text).unwrap())
        .collect();
    let (zoo, mut rng) = (TestZoo::default(), ChaCha8Rng::seed_from_u64(3));
    let (mut accepted, mut most) = (0, 0);
    for i in 0..inputs {
        let mut value = match i % 4 {
            0 => schema::sample(schema::language(), &mut rng),
            _ => corpus[rng.random_range(0..corpus.len())].clone(),
        };
        let other = &corpus[rng.random_range(0..corpus.len())];
        if rng.random_bool(0.5) {
            structure(&mut value, other, &mut rng);
        }
        let toml = i % 8 == 7;
        let written = if toml { toml::to_string(&value).unwrap_or_default() } else { value.to_string() };
        let text = if rng.random_bool(0.6) { bytes(&written, &mut rng) } else { written };
        let (ok, peak) = feed(&text, if toml { Format::Toml } else { Format::Json }, &zoo);
        accepted += usize::from(ok);
        if peak > most {
            most = peak;
            if std::env::var_os("CAPWRIGHT_FUZZ").is_some() {
                println!("input {i}: {} bytes of text, {peak} bytes alive", text.len());
            }
        }
    }
    println!("{inputs} inputs, {accepted} accepted, at most {most} bytes alive for one");
    assert!(accepted * 20 > inputs, "too few are accepted to mean anything: {accepted} of {inputs}");
}
