//! What a process takes: memory, and energy of the processor.

use std::path::Path;

/// Largest resident memory of this process so far, in bytes; `None` where the system does not tell (only Linux does).
pub fn peak_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kibibytes| kibibytes << 10)
}

/// Seconds that processors have worked for this process so far, over all its threads; `None` where the system does not tell.
pub fn cpu_seconds() -> Option<f64> {
    #[cfg(unix)]
    {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        Some(time.tv_sec as f64 + time.tv_nsec as f64 / 1e9)
    }
    #[cfg(not(unix))]
    None
}

/// Energy that the processor packages have taken so far in joules, by the counters (RAPL) of Linux, where they can be read. They
/// wrap round now and then, so that a negative difference says nothing.
pub fn energy() -> Option<f64> {
    energy_below(Path::new("/sys/class/powercap"))
}

fn energy_below(folder: &Path) -> Option<f64> {
    let packages = std::fs::read_dir(folder).ok()?.flatten().filter(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        name.starts_with("intel-rapl:") && name.matches(':').count() == 1
    });
    let read = |entry: std::fs::DirEntry| {
        let text = std::fs::read_to_string(entry.path().join("energy_uj")).ok()?;
        text.trim().parse::<f64>().ok()
    };
    let joules: Vec<f64> = packages.filter_map(read).map(|microjoules| microjoules / 1e6).collect();
    (!joules.is_empty()).then(|| joules.iter().sum())
}

/// Energy since an earlier reading in joules, where both could be read.
pub fn energy_since(before: Option<f64>) -> Option<f64> {
    let taken = energy()? - before?;
    (taken >= 0.0).then_some(taken)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn energy_is_that_of_the_packages_alone() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(energy_below(folder.path()), None);
        for (name, microjoules) in
            [("intel-rapl:0", "1500000\n"), ("intel-rapl:1", "250000"), ("intel-rapl:0:0", "9000000")]
        {
            std::fs::create_dir(folder.path().join(name)).unwrap();
            std::fs::write(folder.path().join(name).join("energy_uj"), microjoules).unwrap();
        }
        assert_eq!(energy_below(folder.path()), Some(1.75));
    }

    #[test]
    fn work_takes_time_of_processors() {
        let before = cpu_seconds().expect("Linux tells");
        assert!((0..20_000_000u64).fold(0, |a, b| std::hint::black_box(a ^ b)) < 1 << 40);
        let taken = cpu_seconds().expect("Linux tells") - before;
        assert!(taken > 0.0 && taken < 600.0, "{taken}");
    }

    #[test]
    fn memory_that_is_touched_is_counted() {
        let before = peak_memory().expect("Linux tells");
        let block = vec![1u8; 256 << 20];
        assert!(block.iter().step_by(4096).map(|b| usize::from(*b)).sum::<usize>() > 0);
        assert!(peak_memory().expect("Linux tells") >= before.max(256 << 20));
    }
}
