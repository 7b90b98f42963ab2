//! What becomes of memory that is freed.

/// Lets the process keep the memory that a step of training frees, for the next step to take. By default glibc returns large
/// blocks to the system each time, and the pages that come back are cleared one by one: about a tenth of a step's time.
/// Only glibc is told; other allocators go their own way. To be called once, at the start of a program.
pub fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        /// Blocks of up to 32 MiB, the most that glibc takes, come from memory that is kept.
        const KEPT_BLOCK: libc::c_int = 32 << 20;
        /// What is free at the end of that memory and still kept.
        const KEPT_FREE: libc::c_int = 1 << 30;
        // SAFETY: these calls set two numbers of the allocator.
        #[allow(unsafe_code)]
        unsafe {
            libc::mallopt(libc::M_MMAP_THRESHOLD, KEPT_BLOCK);
            libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT_FREE);
        }
    }
}

#[cfg(all(test, target_os = "linux", target_env = "gnu"))]
mod tests {
    /// A page that comes from the system is a fault of the thread that touches it.
    #[test]
    fn large_blocks_come_from_memory_that_is_kept() {
        super::keep_freed_memory();
        let minor_faults = || {
            let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
            let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
            fields[7].parse::<u64>().unwrap()
        };
        let touch = || std::hint::black_box(vec![1u8; 8 << 20]).len();
        touch();
        let before = minor_faults();
        (0..20).for_each(|_| assert_eq!(touch(), 8 << 20));
        let taken = minor_faults() - before;
        assert!(taken < 20 * 2048 / 4, "{taken} pages came anew");
    }
}
