//! Workers that only pretend to train.

use capwright_pipeline::{Executor, Report};
use capwright_study::{Epoch, Scores, TrialEvent, TrialResult, TrialSpec};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Scores follow from the design; the newest trial is always the first to be heard of.
pub struct Pretend {
    workers: usize,
    running: BTreeMap<u64, VecDeque<Report>>,
    /// How often the worker of a trial dies after its epoch; the next one tells that again.
    pub deaths: BTreeMap<u64, u32>,
    /// Trials in the order of their starts.
    pub started: Vec<u64>,
    /// Epochs that trials have behind them.
    trained: BTreeMap<u64, u32>,
    /// Whether a run to the end takes long: it is heard of when all else is over and somebody waits.
    pub slow: bool,
    /// Those under way.
    long: BTreeSet<u64>,
    /// Reports after which `stop` is set.
    pub stops_after: Option<u32>,
    /// What Ctrl-C would set.
    pub stop: Arc<AtomicBool>,
}

impl Pretend {
    pub fn new(workers: usize) -> Self {
        Self {
            workers,
            running: BTreeMap::new(),
            deaths: BTreeMap::new(),
            started: Vec::new(),
            trained: BTreeMap::new(),
            slow: false,
            long: BTreeSet::new(),
            stops_after: None,
            stop: Arc::default(),
        }
    }
}

fn scores(spec: &TrialSpec) -> Scores {
    let bleu = [(spec.cost.params_trainable % 997) as f64 / 997.0; 4];
    Scores { bleu, cider_d: 0.0, images: 10, distinct: 9, top_share: 0.2, collapsed: false }
}

/// Ten values around the design's score that differ a little from seed to seed.
fn by_image(spec: &TrialSpec) -> Vec<f32> {
    let bleu = scores(spec).bleu[3] as f32;
    (0..10).map(|image| bleu + 0.001 * image as f32 + 0.0001 * (spec.trial % 7) as f32).collect()
}

/// That epoch of a trial.
fn epoch(spec: &TrialSpec, number: u32) -> TrialEvent {
    TrialEvent::Epoch(Epoch {
        epoch: number,
        loss: 3.0,
        grad_norm: 1.0,
        scores: scores(spec),
        learning_rate: 0.001,
        input_seconds: 0.0,
        sample_seconds: 0.0,
        backward_seconds: 0.0,
        update_seconds: 0.0,
        joules: None,
        peak_memory_bytes: None,
        train_seconds: 1.0,
        score_seconds: 0.1,
        reward: None,
        words_per_second: 100.0,
    })
}

/// All epochs up to `until`, and the result.
fn trained(spec: &TrialSpec, until: u32) -> Vec<TrialEvent> {
    let result = TrialResult {
        best_epoch: 1,
        epochs: until,
        paused: spec.stop_after.is_some(),
        scores: scores(spec),
        built_trainable: spec.cost.params_trainable,
        model: "model".into(),
        samples: Vec::new(),
        by_image: by_image(spec),
        // Measured beside others, what trains to its end seems slower.
        caption_ms: Some(if spec.stop_after.is_some() { 10.0 } else { 20.0 }),
        caption_joules: Some(0.5),
        seconds: 1.0,
        cpu_seconds: Some(1.0),
        peak_memory_bytes: None,
    };
    let epochs = (1..=until).map(|number| epoch(spec, number));
    epochs.chain([TrialEvent::Finished(Box::new(result))]).collect()
}

impl Executor for Pretend {
    fn capacity(&self) -> usize {
        self.workers
    }

    fn running(&self) -> usize {
        self.running.len()
    }

    fn start(&mut self, spec: &TrialSpec) -> io::Result<()> {
        self.started.push(spec.trial);
        let deaths = self.deaths.entry(spec.trial).or_default();
        let reports = if *deaths > 0 {
            *deaths -= 1;
            vec![Report::Event(epoch(spec, 1)), Report::Lost { reason: "out of memory".into() }]
        } else {
            std::fs::create_dir_all(spec.out.join("model"))?;
            std::fs::write(spec.out.join("model/weights.safetensors"), spec.trial.to_string())?;
            let so_far = self.trained.entry(spec.trial).or_default();
            *so_far = spec.stop_after.unwrap_or(*so_far + 1);
            trained(spec, *so_far).into_iter().map(Report::Event).collect()
        };
        self.running.insert(spec.trial, reports.into());
        if self.slow && spec.stop_after.is_none() {
            self.long.insert(spec.trial);
        }
        Ok(())
    }

    fn next(&mut self, timeout: Duration) -> Option<(u64, Report)> {
        let short = self.running.keys().rev().find(|trial| !self.long.contains(trial)).copied();
        let waited_for = || self.running.keys().next_back().filter(|_| !timeout.is_zero()).copied();
        let trial = short.or_else(waited_for)?;
        let reports = self.running.get_mut(&trial)?;
        let report = reports.pop_front()?;
        if reports.is_empty() {
            self.running.remove(&trial);
            self.long.remove(&trial);
        }
        if let Some(left) = &mut self.stops_after {
            *left = left.saturating_sub(1);
            self.stop.fetch_or(*left == 0, Ordering::SeqCst);
        }
        Some((trial, report))
    }

    fn stop(&mut self) {
        self.running.clear();
        self.long.clear();
    }
}
