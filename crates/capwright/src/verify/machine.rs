//! What the machine says of itself.

use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

/// Processor, cores, system and time of a measurement.
pub fn facts() -> BTreeMap<String, String> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    BTreeMap::from([
        ("machine".to_owned(), format!("{}, {cores} threads", processor())),
        ("system".to_owned(), format!("{} {}", std::env::consts::OS, std::env::consts::ARCH)),
        ("time".to_owned(), format!("{seconds} s after 1970-01-01 UTC")),
    ])
}

fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    name.map_or_else(|| "unnamed processor".to_owned(), |(_, name)| name.trim().to_owned())
}

/// sha256 in hex.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Energy counters of the processor packages in joules (RAPL), where they can be read.
pub fn energy() -> Option<f64> {
    let packages = std::fs::read_dir("/sys/class/powercap").ok()?.flatten().filter(|entry| {
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

/// Processor seconds that this process has used, user and system; Linux only.
pub fn cpu_seconds() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the name in brackets, which may hold blanks; times are fields 14 and 15, in ticks of 10 ms.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<f64>().ok();
    Some((ticks(11)? + ticks(12)?) / 100.0)
}
