//! `capwright data`.

use crate::cli::{ConvertArgs, DataCommand, InspectArgs, ScenesArgs, SplitArgs};
use crate::download;
use crate::failure::Failure;
use crate::{say, say_json};
use capwright_caption_data::scenes::{Benchmark, make_benchmark};
use capwright_caption_data::{
    ConvertOptions, Dataset, Format, Inspection, LoadOptions, Ratios, SceneOptions, Split,
    convert as write_as, inspect as look, make_splits,
};

/// Runs a command on data sets.
pub fn run(command: &DataCommand) -> Result<(), Failure> {
    match command {
        DataCommand::Download(args) => download::run(args),
        DataCommand::Inspect(args) => inspect(args),
        DataCommand::Convert(args) => convert(args),
        DataCommand::Split(args) => split(args),
        DataCommand::MakeScenes(args) => make_scenes(args),
    }
}

fn format(name: &str) -> Result<Format, Failure> {
    name.parse().map_err(Failure::input)
}

fn inspect(args: &InspectArgs) -> Result<(), Failure> {
    let named = args.format.as_deref().map(format).transpose()?;
    let found = look(&args.path, named).map_err(Failure::input)?;
    if args.json {
        return say_json(&found);
    }
    say_inspection(&found);
    Ok(())
}

fn say_inspection(found: &Inspection) {
    let counts: Vec<String> = found.splits.iter().map(|(split, n)| format!("{n} {split}")).collect();
    let splits = if counts.is_empty() { "no splits".to_owned() } else { counts.join(", ") };
    say(format!("{} ({} format)", found.path.display(), found.format));
    say(format!("images        {} ({splits}; {} in no split)", found.images, found.unsplit));
    let (captions, kinds) = (&found.captions, &found.image_kinds);
    let spread = |s: &capwright_caption_data::Spread| format!("{} to {}, median {}", s.min, s.max, s.median);
    say(format!("captions      {} ({} an image)", captions.count, spread(&captions.per_image)));
    say(format!(
        "words         {}; {} different, {} of them at least five times",
        spread(&captions.words),
        captions.vocabulary,
        captions.vocabulary_min5
    ));
    say(format!("pixels        {} wide, {} high", spread(&kinds.width), spread(&kinds.height)));
    let formats: Vec<String> = kinds.formats.iter().map(|(name, n)| format!("{n} {name}")).collect();
    say(format!("files         {}; {} bytes", formats.join(", "), kinds.bytes));
    say(format!(
        "duplicates    {} the same as an earlier image, {} near it",
        found.duplicates, found.near_duplicates
    ));
    found.overlap.iter().for_each(|message| say(format!("overlap       {message}")));
    for group in &found.near_overlap {
        say(format!("near overlap  {} look alike and lie in more than one split", group.join(", ")));
    }
    say(format!("fingerprint   {}", found.fingerprint));
    if found.quarantine.bad > 0 {
        say(&found.quarantine);
    }
}

fn convert(args: &ConvertArgs) -> Result<(), Failure> {
    if !(0.0..=100.0).contains(&args.max_bad) {
        return Err(Failure::input(format!("--max-bad {} is no share in percent", args.max_bad))
            .help("give a number from 0 to 100"));
    }
    let from = args.from.as_deref().map(format).transpose()?;
    let max_bad_share = Some(args.max_bad / 100.0);
    let options = ConvertOptions { from, max_bad_share, ..ConvertOptions::to(format(&args.to)?) };
    let done = write_as(&args.path, &args.dir, &options).map_err(Failure::input)?;
    if args.json {
        return say_json(&done);
    }
    let [train, val, test] = done.splits;
    say(format!("{} → {}: {} images, {} captions", done.from, done.to, done.images, done.captions));
    say(format!("{train} train, {val} val, {test} test; fingerprint {}", done.fingerprint));
    if done.quarantine.bad > 0 {
        say(&done.quarantine);
    }
    if train + val + test == 0 {
        say(format!("no splits: make them with `capwright data split {}`", args.dir.display()));
    }
    Ok(())
}

fn split(args: &SplitArgs) -> Result<(), Failure> {
    // Splits that are replaced may be broken.
    let options = LoadOptions { need_splits: false, ignore_splits: args.replace, ..LoadOptions::default() };
    let (data, _) = Dataset::load_with(&args.dir, &options).map_err(Failure::input)?;
    if Split::ALL.into_iter().any(|split| data.has(split)) {
        let message = format!("{} has splits already", args.dir.display());
        return Err(Failure::input(message).help("keep them, or replace them with --replace"));
    }
    let ratios = Ratios { train: args.train, val: args.val, test: args.test };
    let splits = make_splits(&data, ratios, args.seed).map_err(Failure::input)?;
    splits.write(data.dir()).map_err(Failure::input)?;
    let counts = Split::ALL.map(|split| format!("{} {split}", splits.names(split).len()));
    say(format!("{}: {}", data.dir().join("splits.json").display(), counts.join(", ")));
    Ok(())
}

fn make_scenes(args: &ScenesArgs) -> Result<(), Failure> {
    let ScenesArgs { dir, train, val, test, size, seed, level, held_out } = args;
    let options = SceneOptions { train: *train, val: *val, test: *test, size: *size, seed: *seed };
    let benchmark = Benchmark { options, level: *level, held_out: *held_out };
    make_benchmark(dir, &benchmark).map_err(Failure::input)?;
    let data = Dataset::load(dir).map_err(Failure::input)?;
    say(format!(
        "{}: {train} train, {val} val and {test} test images of {size} pixels, fingerprint {}",
        dir.display(),
        data.fingerprint()
    ));
    let pairs: Vec<String> = benchmark
        .held_out_pairs()
        .iter()
        .map(|(colour, shape)| format!("{} {}", colour.look().0, shape.names().0))
        .collect();
    if !pairs.is_empty() {
        say(format!("in the test only: {}", pairs.join(", ")));
    }
    Ok(())
}
