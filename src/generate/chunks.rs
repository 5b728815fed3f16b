//! Work done in parallel and taken in order.
//!
//! The pieces of a file are made by a pool of threads and written by the caller, one after the
//! other. No more than a fixed number of pieces is in memory at a time, so that a slow disk holds
//! the makers back instead of filling the memory.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;

use crate::error::{Error, Result};

/// The pieces being made or waiting to be written, for each thread.
const PIECES_PER_THREAD_COUNT: u64 = 2;

/// Calls `make` for every number below `count` on `threads` threads of its own, and `take` with
/// the results in the order of the numbers, on the calling thread.
///
/// # Errors
///
/// The first error of `make` or `take` in the order of the numbers. Pieces that were begun are
/// still completed and dropped.
pub(super) fn in_order<T: Send>(
    threads: usize,
    count: u64,
    make: impl Fn(u64) -> Result<T> + Sync,
    mut take: impl FnMut(T) -> Result<()>,
) -> Result<()> {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .thread_name(|index| format!("generate-{index}"))
        .build()
        .map_err(|err| Error::internal(format!("could not start threads: {err}")))?;
    let window = PIECES_PER_THREAD_COUNT * threads as u64;
    let make = &make;
    pool.in_place_scope(|scope| {
        let (sender, receiver) = mpsc::channel();
        let begin = |index: u64| {
            let sender = sender.clone();
            scope.spawn(move |_| {
                // A panic must arrive as a result too: the receiver would wait for it for ever.
                let made = catch_unwind(AssertUnwindSafe(|| make(index)))
                    .unwrap_or_else(|_| Err(Error::internal("a generator panicked")));
                // The receiver is gone after an error, and then nobody wants the piece.
                let _ = sender.send((index, made));
            });
        };
        (0..window.min(count)).for_each(&begin);
        let mut early = BTreeMap::new();
        for next in 0..count {
            let made = loop {
                if let Some(made) = early.remove(&next) {
                    break made;
                }
                let (index, made) = receiver
                    .recv()
                    .map_err(|_| Error::internal("a generator ended without a result"))?;
                early.insert(index, made);
            };
            take(made?)?;
            if next + window < count {
                begin(next + window);
            }
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::sync::atomic::{AtomicU64, Ordering};

    #[test]
    fn results_come_in_order_and_few_at_a_time() {
        let alive = AtomicU64::new(0);
        let mut taken = Vec::new();
        let make = |index| {
            assert!(alive.fetch_add(1, Ordering::SeqCst) < 6);
            Ok(index)
        };
        in_order(3, 500, make, |index| {
            alive.fetch_sub(1, Ordering::SeqCst);
            taken.push(index);
            Ok(())
        })
        .unwrap();
        assert_eq!(taken, (0..500).collect::<Vec<_>>());
    }

    #[test]
    fn errors_and_panics_end_the_work() {
        let make = |index| {
            if index == 5 { Err(Error::config("five")) } else { Ok(()) }
        };
        assert_eq!(in_order(2, 100, make, Ok).unwrap_err().to_string(), "five");
        let make = |index: u64| {
            assert_ne!(index, 7, "this message is expected in the output of the test");
            Ok(())
        };
        let err = in_order(2, 100, make, Ok).unwrap_err();
        assert_eq!(err.to_string(), "a generator panicked");
        let err = in_order(2, 100, Ok, |_| Err(Error::config("full"))).unwrap_err();
        assert_eq!(err.to_string(), "full");
    }
}
