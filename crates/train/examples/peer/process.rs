//! Processor time and memory of this process, from what Linux tells below `/proc/self`.

use std::fs;

/// Processor time of all threads so far, in seconds.
///
/// Threads that have ended are not counted; those of a pool do not end.
pub fn processor_seconds() -> f64 {
    let tasks = fs::read_dir("/proc/self/task").expect("Linux tells the threads of a process");
    let of = |task: fs::DirEntry| -> Option<f64> {
        let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<f64>().ok()
    };
    1e-9 * tasks.flatten().filter_map(of).sum::<f64>()
}

/// Kibibytes of a line of `/proc/self/status`: `VmHWM` is the largest resident memory so far, `RssAnon` what is resident
/// now and stands in no file.
pub fn kibibytes(line: &str) -> u64 {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let value = text.lines().find_map(|l| l.strip_prefix(line)?.strip_prefix(':'));
    value.and_then(|v| v.trim().strip_suffix("kB")?.trim().parse().ok()).unwrap_or_default()
}
