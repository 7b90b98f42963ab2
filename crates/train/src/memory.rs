//! Memory of this process.

/// Largest resident memory of this process so far, in bytes; `None` where the system does not tell (only Linux does).
pub fn peak_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kibibytes| kibibytes << 10)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn memory_that_is_touched_is_counted() {
        let before = peak_memory().expect("Linux tells");
        let block = vec![1u8; 256 << 20];
        assert!(block.iter().step_by(4096).map(|b| usize::from(*b)).sum::<usize>() > 0);
        assert!(peak_memory().expect("Linux tells") >= before.max(256 << 20));
    }
}
