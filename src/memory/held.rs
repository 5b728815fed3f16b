//! A part of a reservation.

use std::sync::Arc;

use datafusion::execution::memory_pool::MemoryReservation;

/// Bytes of a reservation, given back when dropped.
pub(crate) struct Held {
    memory: Arc<MemoryReservation>,
    bytes: usize,
}

impl Held {
    /// Bytes that were reserved before.
    pub(crate) fn new(memory: &Arc<MemoryReservation>, bytes: usize) -> Self {
        Held { memory: Arc::clone(memory), bytes }
    }

    /// Holds the bytes of another part of the same reservation as well.
    pub(crate) fn absorb(&mut self, mut other: Held) {
        debug_assert!(Arc::ptr_eq(&self.memory, &other.memory), "parts of one reservation");
        self.bytes += std::mem::take(&mut other.bytes);
    }

    /// The reservation and the bytes of it, which are the caller's to give back.
    pub(crate) fn into_parts(mut self) -> (Arc<MemoryReservation>, usize) {
        (Arc::clone(&self.memory), std::mem::take(&mut self.bytes))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.memory.shrink(self.bytes);
    }
}
