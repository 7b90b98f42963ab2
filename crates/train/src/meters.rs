//! What a process takes: memory, time of processors and their energy.

use std::path::Path;
use std::time::Instant;

/// What a process takes over a stretch of time.
pub struct Meter {
    start: Instant,
    own: Option<f64>,
    busy: Option<f64>,
    energy: Option<f64>,
}

impl Meter {
    /// Begins.
    pub fn start() -> Self {
        Self { start: Instant::now(), own: cpu_seconds(), busy: busy_seconds(), energy: energy() }
    }

    /// Wall seconds so far.
    pub fn seconds(&self) -> f64 {
        self.start.elapsed().as_secs_f64()
    }

    /// Seconds that processors have worked for this process since, over all its threads; `None` where the system does not tell.
    pub fn cpu_seconds(&self) -> Option<f64> {
        since(self.own, cpu_seconds())
    }

    /// Joules that the processor packages have taken since, by this process's share of the time that they worked for anyone: counters
    /// tell of no process. What an idle machine takes is shared in the same way. `None` where they cannot be read.
    pub fn joules(&self) -> Option<f64> {
        let (own, busy) = (self.cpu_seconds()?, since(self.busy, busy_seconds())?);
        Some(since(self.energy, energy())? * share(own, busy))
    }
}

fn since(before: Option<f64>, now: Option<f64>) -> Option<f64> {
    let taken = now? - before?;
    // Counters of energy wrap round now and then.
    (taken >= 0.0).then_some(taken)
}

/// The part of `busy` that is `own`: at most 1, since all processors together are told in coarse ticks.
fn share(own: f64, busy: f64) -> f64 {
    if own < busy { own / busy } else { 1.0 }
}

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

/// Seconds that processors have worked since the system was started, for all programs; `None` where the system does not tell (only Linux
/// does).
fn busy_seconds() -> Option<f64> {
    #[cfg(target_os = "linux")]
    {
        busy_ticks(&std::fs::read_to_string("/proc/stat").ok()?)
            .map(|ticks| ticks / rustix::param::clock_ticks_per_second() as f64)
    }
    #[cfg(not(target_os = "linux"))]
    None
}

/// Ticks of user, nice, system, irq and softirq in the line of all processors: not those of idle, iowait and steal, and not those of guests,
/// which are among the user's.
#[cfg(target_os = "linux")]
fn busy_ticks(stat: &str) -> Option<f64> {
    let line = stat.lines().next()?.strip_prefix("cpu ")?;
    let ticks: Vec<f64> = line.split_whitespace().map_while(|field| field.parse().ok()).collect();
    [0, 1, 2, 5, 6].into_iter().map(|at| ticks.get(at)).sum()
}

/// Energy that the processor packages have taken so far in joules, by the counters (RAPL) of Linux, where they can be read.
fn energy() -> Option<f64> {
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
        let meter = Meter::start();
        // Many ticks of the coarser of the two clocks.
        while meter.cpu_seconds().expect("Linux tells") < 0.3 {
            std::hint::black_box((0..1_000_000u64).fold(0, |a, b| std::hint::black_box(a ^ b)));
        }
        let (own, busy) = (meter.cpu_seconds().unwrap(), since(meter.busy, busy_seconds()).unwrap());
        assert!(own < 600.0 && busy > own / 2.0, "{own} of {busy}");
        assert!(meter.seconds() > 0.0);
    }

    #[test]
    fn a_process_takes_its_share_of_what_all_took() {
        let stat = "cpu  100 20 30 4000 500 6 7 80 90 10\ncpu0 1 2 3 4 5 6 7 8 9 10\n";
        assert_eq!(busy_ticks(stat), Some(163.0));
        assert_eq!([busy_ticks("cpu  100 20 30"), busy_ticks("intr 1 2"), busy_ticks("")], [None; 3]);
        assert_eq!([share(1.0, 4.0), share(1.01, 1.0), share(0.0, 0.0)], [0.25, 1.0, 1.0]);
        assert_eq!(
            [since(Some(9.0), Some(1.0)), since(None, Some(1.0)), since(Some(1.0), Some(1.5))],
            [None, None, Some(0.5)]
        );
    }

    #[test]
    fn memory_that_is_touched_is_counted() {
        let before = peak_memory().expect("Linux tells");
        let block = vec![1u8; 256 << 20];
        assert!(block.iter().step_by(4096).map(|b| usize::from(*b)).sum::<usize>() > 0);
        assert!(peak_memory().expect("Linux tells") >= before.max(256 << 20));
    }
}
