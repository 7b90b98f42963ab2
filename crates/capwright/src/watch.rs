//! Progress for people: bars on a terminal, plain lines elsewhere. Everything goes to standard error.

use capwright_pipeline::Progress;
use capwright_study::{Epoch, Proposal, Verdict, describe};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Shows a search as it runs.
pub struct Watch {
    bars: MultiProgress,
    trials: BTreeMap<u64, ProgressBar>,
    architect: ProgressBar,
    terminal: bool,
    start: Instant,
    said: BTreeMap<u64, Instant>,
    count: Count,
}

/// How many runs there will be, as far as is known, and how many are over.
struct Count {
    planned: u64,
    done: u64,
}

impl Count {
    /// Counts a run, and says how far the study is.
    fn after(&mut self, seconds_left: f64) -> String {
        self.done += 1;
        let minutes = (seconds_left / 60.0).ceil();
        format!("{} of {} trials, about {minutes:.0} min left", self.done, self.planned)
    }
}

/// Tells on standard error which file is being fetched: a bar on a terminal, a line elsewhere.
pub fn fetching() -> capwright_fetch::ProgressFn {
    let bar = ProgressBar::new(0);
    let said = Mutex::new(String::new());
    Arc::new(move |p: &capwright_fetch::Progress| {
        let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
        let what = format!("fetching {} from {}", p.file_name, p.source);
        if *said != what {
            tell!("{what}");
            *said = what;
        }
        if let Some(total) = p.total.filter(|_| std::io::stderr().is_terminal()) {
            bar.set_length(total);
            bar.set_position(p.bytes);
            if p.bytes >= total {
                bar.finish_and_clear();
            }
        }
    })
}

/// Between two plain lines about one trial's features.
const QUIET: Duration = Duration::from_secs(30);

/// What is said of a finished epoch.
fn of_epoch(trial: u64, epoch: &Epoch) -> String {
    let learned = match epoch.reward {
        Some(reward) => format!("reward {reward:.3}"),
        None => format!("loss {:.3}", epoch.loss),
    };
    format!(
        "trial {trial} epoch {}: {learned}, BLEU-4 {:.4}, CIDEr-D {:.4}, {} distinct captions, {:.0} s ({:.0} words/s)",
        epoch.epoch,
        epoch.scores.bleu[3],
        epoch.scores.cider_d,
        epoch.scores.distinct,
        epoch.train_seconds + epoch.score_seconds,
        epoch.words_per_second
    )
}

impl Watch {
    /// A watch over a study of `planned` runs, `done` of which are over.
    pub fn new(planned: u64, done: u64) -> Self {
        let bars = MultiProgress::new();
        let architect = bars.add(ProgressBar::new_spinner());
        let (trials, said) = (BTreeMap::new(), BTreeMap::new());
        Self {
            bars,
            trials,
            architect,
            terminal: std::io::stderr().is_terminal(),
            start: Instant::now(),
            said,
            count: Count { planned, done },
        }
    }

    fn line(&self, text: impl std::fmt::Display) {
        let seconds = self.start.elapsed().as_secs();
        let line = format!("[{:>3}:{:02}] {text}", seconds / 60, seconds % 60);
        if self.terminal {
            // A terminal that went away is no reason to stop a search.
            let _ = self.bars.println(line);
        } else {
            tell!("{line}");
        }
    }

    fn bar(&mut self, trial: u64) -> &ProgressBar {
        let bars = &self.bars;
        self.trials.entry(trial).or_insert_with(|| {
            let style =
                ProgressStyle::with_template("{prefix:<10} {bar:24} {pos:>5}/{len:<5} {eta:>4} {msg}")
                    .unwrap_or_else(|_| ProgressStyle::default_bar());
            bars.add(ProgressBar::new(0)).with_style(style).with_prefix(format!("trial {trial}"))
        })
    }

    fn advance(&mut self, trial: u64, done: usize, total: usize, message: String) {
        if !self.terminal {
            return;
        }
        let bar = self.bar(trial);
        if bar.message() != message && done <= 1 {
            bar.reset_eta();
        }
        bar.set_length(total as u64);
        bar.set_position(done as u64);
        bar.set_message(message);
    }

    fn end(&mut self, trial: u64) {
        if let Some(bar) = self.trials.remove(&trial) {
            bar.finish_and_clear();
        }
    }

    fn proposed(&self, p: &Proposal) {
        let cost = if p.completion_tokens > 0 {
            format!(" ({} tokens read, {} written, {:.1} s)", p.prompt_tokens, p.completion_tokens, p.seconds)
        } else {
            String::new()
        };
        let who = format!("proposal {}.{} by {}", p.proposal, p.attempt, p.author);
        match &p.verdict {
            Verdict::Admitted { trial, blueprint, cost: size, .. } => self.line(format!(
                "{who}: admitted as trial {trial}, {}, {} parameters trained{cost}",
                describe(blueprint),
                size.params_trainable
            )),
            verdict => {
                let problems = capwright_search::problems(verdict);
                let first = problems.first().map_or("refused", String::as_str);
                let more = problems.len().saturating_sub(1);
                let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
                self.line(format!("{who}: {first}{rest}{cost}"));
            }
        }
    }

    /// Shows one piece of news.
    pub fn see(&mut self, news: Progress) {
        match news {
            Progress::Proposing { proposal, attempt } => {
                self.architect.set_message(format!("proposal {proposal}.{attempt} is being written"));
                self.architect.tick();
            }
            Progress::Proposed(proposal) => {
                self.architect.set_message("");
                self.proposed(proposal);
            }
            Progress::ArchitectFailed { proposal, reason } => {
                self.line(format!("proposal {proposal}: the architect failed: {reason}"));
            }
            Progress::Started { trial, design } => self.line(format!("trial {trial} starts: {design}")),
            Progress::Features { trial, done, total } => self.features(trial, done, total),
            Progress::Step { trial, epoch, done, total, loss } => {
                self.advance(trial, done, total, format!("epoch {epoch}, loss {loss:.3}"));
            }
            Progress::Epoch { trial, epoch } => self.line(of_epoch(trial, epoch)),
            Progress::Finished { trial, result, seconds_left } => {
                self.end(trial);
                let fate = if result.scores.collapsed { ", collapsed: not ranked" } else { "" };
                let so_far = self.count.after(seconds_left);
                self.line(format!(
                    "trial {trial} done: BLEU-4 {:.4}, CIDEr-D {:.4} (epoch {} of {}){fate}; {so_far}",
                    result.scores.bleu[3], result.scores.cider_d, result.best_epoch, result.epochs
                ));
            }
            Progress::Promoted { trial, epochs } => {
                self.count.done = self.count.done.saturating_sub(1);
                self.line(format!("trial {trial} did well and may train for {epochs} epochs"));
            }
            Progress::Repeated { trial, of } => {
                self.count.planned += 1;
                self.line(format!("trial {trial}: finalist {of} again, from another seed"));
            }
            Progress::Failed { trial, reason } => {
                self.end(trial);
                self.count.done += 1;
                self.line(format!("trial {trial} failed: {reason}"));
            }
            Progress::Restarting { trial, reason } => {
                self.line(format!(
                    "trial {trial}: its worker died ({reason}); it goes on from its checkpoint"
                ));
            }
        }
    }

    fn features(&mut self, trial: u64, done: usize, total: usize) {
        self.advance(trial, done, total, "features".into());
        let due = self.said.get(&trial).is_none_or(|last| last.elapsed() > QUIET);
        if !self.terminal && due {
            self.said.insert(trial, Instant::now());
            self.line(format!("trial {trial}: features of {done} of {total} images"));
        }
    }
}
