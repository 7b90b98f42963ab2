//! `capwright device`: what this machine takes, measured once and kept for estimates.

use crate::failure::Failure;
use crate::zoo::cache;
use crate::{say, say_json};
use capwright_blueprint::latency::{DeviceProfile, Kernel};
use capwright_files::{folder_of, write_atomic};
use capwright_train::profile::measure;
use std::fs;
use std::io::Read;
use std::path::PathBuf;

/// Threads that can be asked for, at most.
const MOST_THREADS: usize = 1024;

/// Where the profile of this machine is kept.
fn path() -> Result<PathBuf, Failure> {
    Ok(cache()?.dir().join("device.json"))
}

/// The profile in the cache; none where nothing has been measured. One that cannot be used is told on standard error.
pub fn cached() -> Option<DeviceProfile> {
    let path = path().ok()?;
    let file = fs::File::open(&path).ok()?;
    let mut text = String::new();
    let read = file.take(DeviceProfile::MAX_TEXT as u64 + 1).read_to_string(&mut text);
    let problem = match read {
        Ok(_) => match DeviceProfile::parse(&text) {
            Ok(profile) => return Some(profile),
            Err(error) => error.to_string(),
        },
        Err(error) => error.to_string(),
    };
    tell!("warning: {}: {problem}", path.display());
    None
}

/// `capwright device profile`.
pub fn profile(threads: Option<usize>, json: bool) -> Result<(), Failure> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = threads.unwrap_or(cores);
    if !(1..=MOST_THREADS).contains(&threads) {
        return Err(Failure::input(format!("{threads} threads; 1 to {MOST_THREADS} can be measured")));
    }
    let path = path()?;
    let profiled = measure(threads).map_err(Failure::input)?;
    let profile = &profiled.profile;
    let text = serde_json::to_string_pretty(profile).map_err(Failure::input)?;
    let written = fs::create_dir_all(folder_of(&path)).and_then(|()| write_atomic(&path, text.as_bytes()));
    written.map_err(|error| Failure::file(&path, error))?;
    tell!("kept in {}", path.display());
    if json {
        return say_json(profile);
    }
    say(format!("{}, {} cores, {threads} threads", profile.machine, profile.cores));
    say(format!("{:<20} {:>14}  unit", "kind", "ns/unit"));
    for kernel in Kernel::ALL {
        let cost = profile.costs.get(kernel).copied().unwrap_or(0.0);
        say(format!("{:<20} {:>14.4}  {}", format!("{kernel:?}"), 1e9 * cost, kernel.unit()));
    }
    let count = profiled.measured.len();
    say(format!("median error of the fit on {count} calibrations: {:.1} %", 100.0 * profile.fit_error));
    Ok(())
}
