//! Waiting for the outputs of a join.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// Lets all outputs through when each has seen its probe rows, or was dropped.
pub(super) struct Barrier {
    remaining: AtomicUsize,
    passed: Notify,
}

impl Barrier {
    /// A barrier for so many outputs, each of which gets a ticket.
    pub(super) fn tickets(outputs: usize) -> Vec<Ticket> {
        let barrier = Barrier { remaining: AtomicUsize::new(outputs), passed: Notify::new() };
        let barrier = Arc::new(barrier);
        (0..outputs).map(|_| Ticket { barrier: Arc::clone(&barrier) }).collect()
    }
}

/// The right to be waited for.
pub(super) struct Ticket {
    barrier: Arc<Barrier>,
}

impl Ticket {
    /// Gives it back, and waits until all others were given back or dropped.
    pub(super) async fn pass(self) {
        let barrier = Arc::clone(&self.barrier);
        drop(self);
        loop {
            let passed = barrier.passed.notified();
            if barrier.remaining.load(Ordering::Acquire) == 0 {
                return;
            }
            passed.await;
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.barrier.remaining.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.barrier.passed.notify_waiters();
        }
    }
}
