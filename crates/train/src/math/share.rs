//! Loops whose rounds touch nothing in common, on several threads.

use rayon::prelude::*;

/// Values from which a loop is shared among threads: to wake them takes as long as some ten thousand.
const LARGE: usize = 1 << 16;

/// Does `work` with each item, on the threads of the current pool where all items together have many `values` to go over.
/// A round sees its own item only, so that nothing depends on the number of threads.
pub fn each<T: Send>(values: usize, items: impl Iterator<Item = T>, work: impl Fn(T) + Send + Sync) {
    let threads = rayon::current_num_threads();
    if threads == 1 || values < LARGE {
        return items.for_each(work);
    }
    let items: Vec<T> = items.collect();
    let share = items.len().div_ceil(threads);
    items.into_par_iter().with_min_len(share).for_each(work);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_item_is_worked_on_once_however_many_threads_there_are() {
        for threads in [1, 2, 5] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            for (n, values) in [(0, LARGE), (7, 1), (7, LARGE), (100, LARGE)] {
                let mut done = vec![1; n];
                let items = done.iter_mut().enumerate();
                pool.install(|| each(values, items, |(i, x)| *x += i));
                assert!(done.iter().enumerate().all(|(i, x)| *x == i + 1), "{threads} threads, {n} items");
            }
        }
    }
}
