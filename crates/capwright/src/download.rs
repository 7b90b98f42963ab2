//! `capwright data download`: known data sets, from their servers to a data folder.

use crate::cli::DownloadArgs;
use crate::failure::Failure;
use crate::search::stop_flag;
use crate::{say, say_json};
use capwright_caption_data::{
    DOWNLOADS, DataError, Dataset, Download, DownloadProgress, DownloadStage, LoadOptions, Split,
};
use capwright_fetch::{DownloadError, UnpackError};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use std::io::IsTerminal;
use std::mem::{Discriminant, discriminant};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

/// Between two plain lines, in percent of a stage.
const STEP: u64 = 5;

/// Lists the data sets, or fetches one.
pub fn run(args: &DownloadArgs) -> Result<(), Failure> {
    match &args.name {
        Some(name) => fetch(known(name)?, args),
        None if args.out.is_some() => {
            Err(Failure::input("no data set is named").help(format!("choose one of: {}", names())))
        }
        None => list(args.json),
    }
}

fn names() -> String {
    DOWNLOADS.iter().map(|set| set.name).collect::<Vec<_>>().join(", ")
}

fn known(name: &str) -> Result<&'static Download, Failure> {
    Download::find(name).ok_or_else(|| {
        Failure::input(format!("there is no data set called \"{name}\" to download"))
            .help(format!("choose one of: {}; docs/data.md says how others are had", names()))
    })
}

fn about(set: &Download) -> Value {
    json!({ "name": set.name, "title": set.title, "terms": set.terms, "bytes": set.bytes() })
}

fn list(json: bool) -> Result<(), Failure> {
    if json {
        return say_json(&DOWNLOADS.iter().map(about).collect::<Vec<_>>());
    }
    for set in &DOWNLOADS {
        say(format!("{:<12} {:>6.1} GB  {}", set.name, set.bytes() as f64 / 1e9, set.title));
        say(format!("{:<22} terms: {}", "", set.terms));
    }
    Ok(())
}

fn fetch(set: &Download, args: &DownloadArgs) -> Result<(), Failure> {
    let dir = args.out.clone().unwrap_or_else(|| PathBuf::from(set.name));
    tell!("{}", set.title);
    tell!("terms of use: {}", set.terms);
    tell!("{:.1} GB in {} archives, to {}", set.bytes() as f64 / 1e9, set.files.len(), dir.display());
    let stop = stop_flag("stopping (again to stop at once); the same command goes on");
    let mut watch = Watch::new();
    let told = &mut |news: &DownloadProgress<'_>| {
        watch.see(news);
        if stop.load(Ordering::SeqCst) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let obtained = set.obtain(&dir, told).map_err(failure);
    watch.end();
    obtained?;
    tell!("reading the data set");
    done(set, &dir, args.json)
}

fn failure(error: DataError) -> Failure {
    match &error {
        DataError::Download(DownloadError::Stopped { .. })
        | DataError::Unpack(UnpackError::Stopped { .. }) => Failure::interrupted(error),
        _ => Failure::input(error),
    }
}

/// Says what there is now, and where.
fn done(set: &Download, dir: &Path, json: bool) -> Result<(), Failure> {
    let options = LoadOptions { need_splits: false, ..LoadOptions::default() };
    let (data, _) = Dataset::load_with(dir, &options).map_err(Failure::input)?;
    let counts: Vec<(Split, usize)> = Split::ALL
        .into_iter()
        .map(|split| (split, data.records(split).count()))
        .filter(|(_, count)| *count > 0)
        .collect();
    if json {
        let mut said = about(set);
        said["data"] = json!(dir.display().to_string());
        said["images"] = counts.iter().map(|(split, n)| (split.to_string(), json!(n))).collect();
        said["data_fingerprint"] = json!(data.fingerprint());
        return say_json(&said);
    }
    let counts: Vec<String> = counts.iter().map(|(split, n)| format!("{n} {split}")).collect();
    say(format!("{}: {} images; fingerprint {}", dir.display(), counts.join(", "), data.fingerprint()));
    say(format!("use it with --data {}", dir.display()));
    Ok(())
}

/// Shows a download on standard error: a bar on a terminal, a line now and then elsewhere.
struct Watch {
    bar: Option<ProgressBar>,
    /// The archive and stage that are shown.
    shown: Option<(&'static str, Discriminant<DownloadStage>)>,
    percent: u64,
}

impl Watch {
    fn new() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template(
                "{msg:<44} {bar:24} {bytes:>10} of {total_bytes:<10} {bytes_per_sec:>12} {eta:>4} left",
            );
            ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        Self { bar, shown: None, percent: 0 }
    }

    fn see(&mut self, news: &DownloadProgress<'_>) {
        let name = news.archive.name;
        let stage = (name, discriminant(&news.stage));
        let is_new = self.shown != Some(stage);
        self.shown = Some(stage);
        let doing = match &news.stage {
            DownloadStage::Checking => format!("checking {name}"),
            DownloadStage::Receiving => format!("fetching {name}"),
            DownloadStage::Unpacking => format!("unpacking {name}"),
            DownloadStage::Waiting { why, pause } => {
                if is_new {
                    self.line(&format!("{name}: {why}; trying again in {} s", pause.as_secs()));
                }
                return;
            }
            DownloadStage::Done => {
                self.line(&format!("{name} is complete"));
                return;
            }
            _ => return,
        };
        let percent = news.done.saturating_mul(100) / news.total.max(1);
        if let Some(bar) = &self.bar {
            if is_new {
                // The speed of another stage says nothing about this one.
                bar.set_length(news.total);
                bar.set_position(news.done);
                bar.reset_eta();
                bar.set_message(doing);
            }
            bar.set_position(news.done);
        } else if is_new || percent >= self.percent + STEP {
            self.percent = percent;
            tell!("{doing}: {percent} % of {:.1} MB", news.total as f64 / 1e6);
        }
    }

    fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    /// A line above the bar, or alone.
    fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(text),
            None => tell!("{text}"),
        }
    }
}
