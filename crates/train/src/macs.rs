//! Counts the multiply-accumulates that encoder, bridge and decoder really do, to hold the checker's numbers against.

use std::cell::Cell;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

/// Counts `n` multiply-accumulates on this thread.
pub(crate) fn add(n: usize) {
    COUNT.set(COUNT.get() + n as u64);
}

/// What `work` gives, and the multiply-accumulates of the convolutions, linear layers and attention products that it
/// asked for on this thread, over the whole batch.
pub fn counted<T>(work: impl FnOnce() -> T) -> (T, u64) {
    let before = COUNT.get();
    let done = work();
    (done, COUNT.get() - before)
}

/// Does `work` without counting: on which thread a part of it runs must not matter, and the caller counts the whole.
pub(crate) fn uncounted<T>(work: impl FnOnce() -> T) -> T {
    let before = COUNT.get();
    let done = work();
    COUNT.set(before);
    done
}
