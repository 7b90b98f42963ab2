//! Where a trial runs. A worker is a process of its own: a crash or an out-of-memory costs one trial.

use crate::files::write_json;
use capwright_study::{TrialEvent, TrialSpec};
use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

/// What is heard of a running trial.
#[derive(Debug, Clone, PartialEq)]
pub enum Report {
    /// The worker said something.
    Event(TrialEvent),
    /// The worker ended without a last word.
    Lost {
        /// Exit status and the end of its standard error.
        reason: String,
    },
}

/// Runs trials.
pub trait Executor {
    /// Trials that can run at once.
    fn capacity(&self) -> usize;
    /// Trials that run now.
    fn running(&self) -> usize;
    /// Starts a trial.
    ///
    /// # Errors
    /// Where the worker cannot be started.
    fn start(&mut self, spec: &TrialSpec) -> io::Result<()>;
    /// The next report, or `None` where none came in time.
    fn next(&mut self, timeout: Duration) -> Option<(u64, Report)>;
    /// Ends all running trials; their checkpoints stay.
    fn stop(&mut self);
}

/// Bytes of one line of a worker, at most: a worker is our own program, but its memory may be broken.
const MAX_LINE: u64 = 4 << 20;

/// Lines of a worker's standard error that are kept for the report of its loss.
const KEPT_LINES: usize = 12;

/// Workers as child processes: `PROGRAM worker SPEC.json`, events as JSON lines on standard output.
pub struct LocalProcesses {
    program: PathBuf,
    workers: usize,
    children: BTreeMap<u64, Child>,
    sender: Sender<(u64, Report)>,
    reports: Receiver<(u64, Report)>,
}

impl LocalProcesses {
    /// Up to `workers` processes of `program` at once.
    pub fn new(program: PathBuf, workers: usize) -> Self {
        let (sender, reports) = channel();
        Self { program, workers: workers.max(1), children: BTreeMap::new(), sender, reports }
    }

    fn reap(&mut self, trial: u64) -> Option<String> {
        let mut child = self.children.remove(&trial)?;
        // Its output has ended, so it is gone or about to go; a worker that hangs on is ended.
        std::thread::sleep(Duration::from_millis(20));
        let status = match child.try_wait() {
            Ok(Some(status)) => Ok(status),
            _ => child.kill().and_then(|()| child.wait()),
        };
        status.ok().map(|status| status.to_string())
    }
}

/// Last lines of a stream, read to its end.
fn tail(stream: impl Read) -> String {
    let mut kept = std::collections::VecDeque::new();
    for line in BufReader::new(stream).lines().map_while(Result::ok) {
        kept.push_back(line.chars().take(400).collect::<String>());
        if kept.len() > KEPT_LINES {
            kept.pop_front();
        }
    }
    kept.into_iter().collect::<Vec<_>>().join("\n")
}

/// Whether a worker says nothing after it.
fn is_last(event: &TrialEvent) -> bool {
    matches!(event, TrialEvent::Finished(_) | TrialEvent::Failed { .. } | TrialEvent::Blocked { .. })
}

/// Reads events until the stream ends; the last word of a trial ends it too.
fn listen(trial: u64, stream: impl Read, errors: impl Read + Send + 'static, sender: &Sender<(u64, Report)>) {
    let stderr = std::thread::spawn(move || tail(errors));
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = Vec::new();
        match reader.by_ref().take(MAX_LINE).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
        let Ok(event) = serde_json::from_slice::<TrialEvent>(&line) else { continue };
        let last = is_last(&event);
        // The driver may be gone; then nobody is left to tell.
        let _ = sender.send((trial, Report::Event(event)));
        if last {
            return;
        }
    }
    let reason = stderr.join().unwrap_or_default();
    let _ = sender.send((trial, Report::Lost { reason }));
}

impl Executor for LocalProcesses {
    fn capacity(&self) -> usize {
        self.workers
    }

    fn running(&self) -> usize {
        self.children.len()
    }

    fn start(&mut self, spec: &TrialSpec) -> io::Result<()> {
        std::fs::create_dir_all(&spec.out)?;
        let path = spec.out.join("spec.json");
        write_json(&path, spec)?;
        let mut child = Command::new(&self.program)
            .arg("worker")
            .arg(&path)
            .env("RAYON_NUM_THREADS", spec.threads.to_string())
            // Training allocates and frees large buffers all the time; glibc would give each back to the system.
            .env("MALLOC_MMAP_THRESHOLD_", (32 << 20).to_string())
            .env("MALLOC_TRIM_THRESHOLD_", (1u64 << 30).to_string())
            // The worker ends when its standard input does: no orphan outlives the driver.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let streams = (child.stdout.take(), child.stderr.take());
        let (trial, sender) = (spec.trial, self.sender.clone());
        self.children.insert(trial, child);
        if let (Some(out), Some(err)) = streams {
            std::thread::spawn(move || listen(trial, out, err, &sender));
        }
        Ok(())
    }

    fn next(&mut self, timeout: Duration) -> Option<(u64, Report)> {
        let (trial, report) = match self.reports.recv_timeout(timeout) {
            Ok(report) => report,
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return None,
        };
        match report {
            Report::Event(ref event) if is_last(event) => {
                self.reap(trial);
                Some((trial, report))
            }
            Report::Lost { reason } => {
                let status = self.reap(trial).unwrap_or_default();
                Some((trial, Report::Lost { reason: format!("{status}\n{reason}").trim().to_string() }))
            }
            Report::Event(_) => Some((trial, report)),
        }
    }

    fn stop(&mut self) {
        for (_, mut child) in std::mem::take(&mut self.children) {
            // A child that is gone already is what we want.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for LocalProcesses {
    fn drop(&mut self) {
        self.stop();
    }
}
