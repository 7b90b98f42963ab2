//! Measures what this machine takes for each kind of kernel, for the estimates of [`capwright_blueprint::latency`].
//!
//! A fixed set of small graphs, bridges and decoders runs through the engines that a captioner uses. Each is timed in two
//! rounds, so that a disturbance of a moment hits one of them only: its time is that of the fastest run. Costs are fitted
//! by non-negative least squares on relative errors, then scaled by what a few whole designs take beside the sum of their
//! kernels. Kinds that the set does not have cost nothing; a test holds that there are none.

mod nnls;
mod set;
mod whole;
mod words;

pub use whole::calibration_designs;

use crate::error::TrainError;
use capwright_blueprint::latency::{DeviceProfile, Kernel, Work};
use nnls::relative_nnls;
use std::time::{Duration, Instant};

/// Times that each calibration is visited.
const ROUNDS: usize = 2;

/// Time that one visit takes, unless a single run is longer.
const VISIT: Duration = Duration::from_millis(2);

/// Runs of one visit, at least.
const LEAST_RUNS: usize = 2;

/// Runs of which [`median_seconds`] is taken: at least these, and at most those.
const RUNS: (usize, usize) = (3, 200);

/// Something to be timed, and the work that it does.
pub(crate) struct Calibration {
    /// What it is, for people.
    pub name: String,
    /// Its work by kind.
    pub work: Work,
    /// Does it once.
    pub run: Box<dyn FnMut() + Send>,
}

/// A calibration with its time: how well the fit describes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// What was timed.
    pub name: String,
    /// Seconds by the clock.
    pub seconds: f64,
    /// Seconds by the fitted costs, before they are scaled.
    pub estimate: f64,
}

/// A profile of this machine, with what it was fitted on.
#[derive(Debug, Clone, PartialEq)]
pub struct Profiled {
    /// The profile.
    pub profile: DeviceProfile,
    /// The calibrations.
    pub measured: Vec<Measured>,
}

/// Measures with that many threads; takes less than ten seconds.
///
/// # Errors
/// Where the system gives no threads, or a calibration cannot be built.
pub fn measure(threads: usize) -> Result<Profiled, TrainError> {
    let threads = threads.max(1);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    let pool = pool.map_err(|error| TrainError::Spec(format!("{threads} threads: {error}")))?;
    let (set, words) = rayon::join(set::all, words::all);
    let mut set = set?;
    set.extend(words);
    pool.install(|| {
        let mut profiled = fit(&mut set, threads);
        whole::scale(&mut profiled.profile)?;
        Ok(profiled)
    })
}

fn fit(set: &mut [Calibration], threads: usize) -> Profiled {
    let mut seconds = vec![f64::INFINITY; set.len()];
    for _ in 0..ROUNDS {
        for (calibration, least) in set.iter_mut().zip(&mut seconds) {
            *least = least.min(least_seconds(&mut calibration.run));
        }
    }
    let rows: Vec<(Vec<f64>, f64)> =
        set.iter().zip(&seconds).map(|(c, s)| (c.work.amounts().to_vec(), *s)).collect();
    let costs = Kernel::ALL.iter().copied().zip(relative_nnls(&rows)).collect();
    let mut profile = DeviceProfile {
        version: DeviceProfile::VERSION,
        machine: machine(),
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        threads,
        costs,
        fit_error: 0.0,
    };
    let measured: Vec<Measured> = set
        .iter()
        .zip(seconds)
        .map(|(c, seconds)| Measured { name: c.name.clone(), seconds, estimate: c.work.seconds(&profile) })
        .collect();
    let mut errors: Vec<f64> = measured.iter().map(|m| (m.estimate / m.seconds - 1.0).abs()).collect();
    profile.fit_error = median(&mut errors);
    Profiled { profile, measured }
}

/// Median time of a few runs after one that warms caches.
pub fn median_seconds(mut run: impl FnMut()) -> f64 {
    run();
    let (start, mut times) = (Instant::now(), Vec::new());
    while times.len() < RUNS.0 || (start.elapsed() < VISIT && times.len() < RUNS.1) {
        let run_start = Instant::now();
        run();
        times.push(run_start.elapsed().as_secs_f64());
    }
    median(&mut times)
}

/// Time of the fastest of a few runs; the first may find cold caches.
fn least_seconds(mut run: impl FnMut()) -> f64 {
    let (start, mut least, mut runs) = (Instant::now(), f64::INFINITY, 0);
    while runs < LEAST_RUNS || start.elapsed() < VISIT {
        let run_start = Instant::now();
        run();
        least = least.min(run_start.elapsed().as_secs_f64());
        runs += 1;
    }
    least
}

/// The middle value, the upper of two; 0 of none.
pub fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// Name of the processor where the system tells, else of its architecture.
fn machine() -> String {
    let told = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = told.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    model.map_or_else(|| std::env::consts::ARCH.to_string(), |(_, name)| name.trim().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A kind without calibration would cost nothing in every estimate.
    #[test]
    fn every_kind_is_calibrated_at_least_twice() {
        let mut set = set::all().unwrap();
        set.extend(words::all());
        for kernel in Kernel::ALL {
            let times = set.iter().filter(|c| c.work.of(*kernel) > 0.0).count();
            assert!(times >= 2, "{kernel:?}: {times}");
        }
    }

    #[test]
    fn the_profile_can_be_read_back_and_describes_what_was_measured() {
        let spin = |n: usize| {
            let mut work = Work::default();
            work.put(Kernel::Gemm, n);
            let run = Box::new(move || {
                std::hint::black_box((0..n as u64).fold(1u64, |a, b| std::hint::black_box(a ^ b)));
            });
            Calibration { name: n.to_string(), work, run }
        };
        let mut set = [spin(100_000), spin(400_000), spin(1_600_000)];
        let profiled = fit(&mut set, 1);
        let text = serde_json::to_string(&profiled.profile).unwrap();
        assert_eq!(DeviceProfile::parse(&text).unwrap(), profiled.profile);
        assert!(profiled.profile.costs[&Kernel::Gemm] > 0.0);
        assert_eq!(profiled.profile.costs[&Kernel::Rank], 0.0);
        let error = |m: &Measured| (m.estimate / m.seconds - 1.0).abs();
        let mut errors: Vec<f64> = profiled.measured.iter().map(error).collect();
        assert!((profiled.profile.fit_error - median(&mut errors)).abs() < 1e-9, "{profiled:?}");
    }

    #[test]
    fn medians() {
        assert_eq!(median(&mut [3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&mut [4.0, 1.0]), 4.0);
        assert_eq!(median(&mut []), 0.0);
    }
}
