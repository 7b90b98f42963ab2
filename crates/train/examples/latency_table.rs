//! Estimated against measured time of random designs: writes the table of `docs/latency.md`.
//!
//! `cargo run --release -p capwright-train --offline --example latency_table -- [--out FILE] [--seed N] [--each N]
//! [--calibration]`
//!
//! The machine is profiled first with one thread; the designs are drawn from the seed and are none of those that the
//! profile was fitted on. Each is built with random values and timed from a decoded photo to a caption of 12 words.

use capwright_backbones::Library;
use capwright_blueprint::latency::{DeviceProfile, Kernel, encoder_work, latency};
use capwright_blueprint::schema::{self, Narrowing};
use capwright_blueprint::{Checked, DecoderSpec, Target, Zoo, check, read};
use capwright_caption_data::RgbImage;
use capwright_contract::Decoding;
use capwright_train::Untrained;
use capwright_train::profile::{Profiled, calibration_designs, measure, median, median_seconds};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::error::Error;
use std::fmt::Write;

type Failure = Box<dyn Error + Send + Sync>;

const WORDS: usize = 12;

const BEAM: usize = 3;

/// Rounds of each measurement; the smallest median counts.
const ROUNDS: usize = 6;

/// Multiply-accumulates of an image and learned values of the designs, at most: beyond them the table takes minutes.
const MOST: (u64, u64) = (4_000_000_000, 60_000_000);

/// Vocabularies in turn.
const VOCABULARIES: [usize; 3] = [1000, 2500, 8000];

struct Row {
    encoder: &'static str,
    backbone: String,
    size: usize,
    decoder: &'static str,
    vocab: usize,
    macs: u64,
    encode: (f64, f64),
    total: (f64, f64),
}

fn main() -> Result<(), Failure> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let after = |name: &str| args.iter().position(|a| a == name).and_then(|i| args.get(i + 1));
    let seed: u64 = after("--seed").map_or(Ok(1), |n| n.parse())?;
    let each: usize = after("--each").map_or(Ok(8), |n| n.parse())?;
    let start = std::time::Instant::now();
    let profiled = measure(1)?;
    let seconds = start.elapsed().as_secs_f64();
    eprintln!("profile: {} calibrations, {seconds:.1} s", profiled.measured.len());
    if args.iter().any(|a| a == "--calibration") {
        calibration(&profiled);
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build()?;
    let rows = pool.install(|| rows(seed, each, &profiled.profile))?;
    let text = table(&rows, &profiled, seconds, seed);
    match after("--out") {
        Some(path) => std::fs::write(path, text)?,
        None => println!("{text}"),
    }
    Ok(())
}

fn calibration(profiled: &Profiled) {
    for m in &profiled.measured {
        let error = 100.0 * (m.estimate / m.seconds - 1.0);
        eprintln!("{:>9.1} us {:>9.1} us {error:>+7.1} %  {}", 1e6 * m.seconds, 1e6 * m.estimate, m.name);
    }
    for (kernel, cost) in &profiled.profile.costs {
        eprintln!("{kernel:?}: {:.4} ns a {}", 1e9 * cost, kernel.unit());
    }
}

/// A design of the table.
struct Sample {
    source: Option<String>,
    checked: Checked,
    model: Untrained,
    encode: f64,
    total: f64,
}

/// `each` designs for every backbone and for encoders from scratch, all built first: each round visits all of them, so
/// that a disturbance of some seconds does not hit all rounds of one.
fn rows(seed: u64, each: usize, profile: &DeviceProfile) -> Result<Vec<Row>, Failure> {
    let zoo = Library::default();
    let mut sources: Vec<Option<String>> = zoo.usual().into_iter().map(Some).collect();
    sources.push(None);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let width = 500 * 375 * 3;
    let photo = RgbImage { width: 500, height: 375, pixels: (0..width).map(|_| rng.random()).collect() };
    let mut samples = Vec::new();
    for source in &sources {
        for i in 0..each {
            let target = Target { vocab: VOCABULARIES[samples.len() % 3], max_words: WORDS };
            let checked = draw(source.as_ref(), i, &zoo, target, &mut rng);
            let model = Untrained::new(checked.design(), 1)?;
            let (encode, total) = (f64::INFINITY, f64::INFINITY);
            samples.push(Sample { source: source.clone(), checked, model, encode, total });
        }
    }
    for _ in 0..ROUNDS {
        samples.iter_mut().try_for_each(|sample| visit(sample, &photo))?;
    }
    Ok(samples.iter().map(|sample| row(sample, profile)).collect())
}

/// Times a design once more; the least time counts.
fn visit(sample: &mut Sample, photo: &RgbImage) -> Result<(), Failure> {
    let (model, decoding) = (&mut sample.model, Decoding::of(BEAM, WORDS));
    let words = model.caption(photo, decoding)?;
    if words.len() != WORDS {
        return Err(format!("{} words instead of {WORDS}", words.len()).into());
    }
    let encode = median_seconds(|| drop(std::hint::black_box(model.encode(photo))));
    let total = median_seconds(|| drop(std::hint::black_box(model.caption(photo, decoding))));
    sample.encode = sample.encode.min(encode);
    sample.total = sample.total.min(total);
    Ok(())
}

fn row(sample: &Sample, profile: &DeviceProfile) -> Row {
    let (checked, design) = (&sample.checked, sample.checked.design());
    let estimate = latency(design, profile, WORDS, BEAM).total_ms;
    let encode_estimate = 1e3 * encoder_work(design).seconds(profile);
    let (encode, total) = (1e3 * sample.encode, 1e3 * sample.total);
    let decoder = match &design.decoder {
        DecoderSpec::Transformer(_) => "Transformer",
        DecoderSpec::Recurrent(spec) if spec.gates() == 4 => "LSTM",
        DecoderSpec::Recurrent(_) => "GRU",
        DecoderSpec::TopDown(_) => "top-down",
        DecoderSpec::Convolution(_) => "convolution",
    };
    let backbone = sample.source.clone().unwrap_or_else(|| "scratch".into());
    let error = 100.0 * (estimate / total - 1.0);
    eprintln!(
        "{backbone:<18} {:>4} {decoder:<12} encoder {encode_estimate:>8.2} {encode:>8.2} rest {:>8.2} {:>8.2} total \
         {estimate:>8.2} {total:>8.2} {error:>+6.1} %",
        design.image_size,
        estimate - encode_estimate,
        total - encode
    );
    if error.abs() > 25.0 {
        explain(checked, profile);
    }
    Row {
        encoder: if sample.source.is_some() { "frozen" } else { "scratch" },
        backbone,
        size: design.image_size,
        decoder,
        vocab: design.target.vocab,
        macs: checked.cost().macs_image,
        encode: (encode_estimate, encode),
        total: (estimate, total),
    }
}

/// Where the estimate sees the time go, for those that are far off.
fn explain(checked: &Checked, profile: &DeviceProfile) {
    let work = encoder_work(checked.design());
    let mut parts: Vec<(f64, Kernel)> =
        Kernel::ALL.iter().map(|k| (1e3 * work.of(*k) * profile.costs[k], *k)).collect();
    parts.sort_by(|a, b| b.0.total_cmp(&a.0));
    let shown: Vec<String> = parts.iter().take(6).map(|(ms, k)| format!("{k:?} {ms:.2}")).collect();
    eprintln!("    encoder by kind, ms: {}; {:?}", shown.join(", "), checked.design().decoder);
}

/// The first design of a random walk that fits together; families take turns.
fn draw(source: Option<&String>, i: usize, zoo: &Library, target: Target, rng: &mut ChaCha8Rng) -> Checked {
    let space = Narrowing {
        backbones: source.into_iter().cloned().collect(),
        scratch: source.is_none(),
        sizes: Vec::new(),
        lstm: i.is_multiple_of(4),
        gru: i % 4 == 1,
        transformer: i % 4 == 2,
        convolution: i % 4 == 3,
    }
    .schema();
    loop {
        let text = schema::sample(&space, rng).to_string();
        let Some(checked) = read(&text).ok().and_then(|b| check(b, zoo, target).ok()) else { continue };
        let cost = checked.cost();
        let calibrated = calibration_designs().iter().any(|c| c.hash() == checked.hash());
        if !calibrated && cost.macs_image <= MOST.0 && cost.params_trainable <= MOST.1 {
            return checked;
        }
    }
}

fn table(rows: &[Row], profiled: &Profiled, seconds: f64, seed: u64) -> String {
    let errors = |keep: &dyn Fn(&&Row) -> bool| {
        let mut all: Vec<f64> =
            rows.iter().filter(keep).map(|r| 100.0 * (r.total.0 / r.total.1 - 1.0).abs()).collect();
        all.sort_by(f64::total_cmp);
        all
    };
    let mut all = errors(&|_| true);
    let worst = all.last().copied().unwrap_or(0.0);
    let within = all.iter().filter(|e| **e <= 25.0).count();
    let (estimates, times): (Vec<f64>, Vec<f64>) = rows.iter().map(|r| r.total).unzip();
    let mut encoders: Vec<f64> = rows.iter().map(|r| 100.0 * (r.encode.0 / r.encode.1 - 1.0).abs()).collect();
    let profile = &profiled.profile;
    let mut text = include_str!("latency_head.md").to_string();
    let _ = writeln!(
        text,
        "\nMachine: {}, one thread. Profile: {} calibrations in {seconds:.1} s, median relative error on them {:.1} %. \
         Designs: {} of seed {seed}.\n\n\
         | | |\n| --- | --- |\n| median relative error | {:.1} % |\n| largest relative error | {worst:.1} % |\n\
         | designs within 25 % | {within} of {} |\n| Spearman rank correlation | {:.3} |\n\
         | median relative error, encoder alone | {:.1} % |\n\
         | median, frozen backbones | {:.1} % |\n| median, from scratch | {:.1} % |\n",
        profile.machine,
        profiled.measured.len(),
        100.0 * profile.fit_error,
        rows.len(),
        median(&mut all),
        rows.len(),
        spearman(&estimates, &times),
        median(&mut encoders),
        median(&mut errors(&|r| r.encoder == "frozen")),
        median(&mut errors(&|r| r.encoder == "scratch")),
    );
    let _ = writeln!(
        text,
        "| encoder | size | decoder | vocabulary | MMACs/image | encoder, estimated ms | encoder, measured ms | \
         caption, estimated ms | caption, measured ms | error |\n\
         | --- | --: | --- | --: | --: | --: | --: | --: | --: | --: |"
    );
    for row in rows {
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {:.0} | {:.2} | {:.2} | {:.2} | {:.2} | {:+.1} % |",
            row.backbone,
            row.size,
            row.decoder,
            row.vocab,
            row.macs as f64 / 1e6,
            row.encode.0,
            row.encode.1,
            row.total.0,
            row.total.1,
            100.0 * (row.total.0 / row.total.1 - 1.0)
        );
    }
    text
}

/// Correlation of the ranks; times have no ties.
fn spearman(a: &[f64], b: &[f64]) -> f64 {
    let rank = |all: &[f64]| -> Vec<f64> {
        all.iter().map(|x| all.iter().filter(|y| y.total_cmp(x).is_lt()).count() as f64).collect()
    };
    let n = a.len() as f64;
    let squares: f64 = rank(a).iter().zip(rank(b)).map(|(x, y)| (x - y) * (x - y)).sum();
    1.0 - 6.0 * squares / (n * (n * n - 1.0)).max(1.0)
}
