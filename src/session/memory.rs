//! Who may hold how much memory: the pool that DataFusion's operators ask.
//!
//! The limit is shared among those that hold something now. An operator that can spill may take an
//! equal share of four fifths of the limit, so that the first to start does not starve the others;
//! the last fifth is for those that cannot spill, such as the merge of sorted runs. Idle operators
//! count for nothing.
//!
//! Two operators of DataFusion 55 are never refused, because what they do when refused is worse
//! than holding more: `RepartitionExec` can wait for itself for ever when two inputs spill at once
//! (apache/datafusion#24883), and `NestedLoopJoinExec` returns wrong rows for some join types
//! (apache/datafusion#22641).

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use datafusion::common::resources_datafusion_err;
use datafusion::error::Result;
use datafusion::execution::memory_pool::{
    MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation, human_readable_size,
};

/// Consumers whose names begin so are always granted what they ask for.
const NEVER_REFUSED: [&str; 2] = ["RepartitionExec", "NestedLoopJoinLoad"];

/// The part of the limit that operators which can spill may fill together.
const SPILLABLE_SHARE: f64 = 0.8;

/// A share never falls below this: a smaller one could not hold a few batches and would spill at
/// every step.
const MIN_SHARE_BYTES: usize = 4 << 20;

/// Shares a limit among the operators of all queries of a session.
///
/// Clones are the same pool.
#[derive(Debug, Clone)]
pub(crate) struct SharedPool {
    limit_bytes: Arc<AtomicUsize>,
    holders: Arc<Mutex<Holders>>,
}

#[derive(Debug, Default)]
struct Holders {
    total_bytes: usize,
    /// Bytes held by each consumer that can spill and holds something, by its id.
    spillable: HashMap<usize, usize>,
}

impl SharedPool {
    pub(crate) fn new(limit_bytes: usize) -> Self {
        SharedPool { limit_bytes: Arc::new(AtomicUsize::new(limit_bytes)), holders: Arc::default() }
    }

    pub(crate) fn set_limit_bytes(&self, limit_bytes: usize) {
        self.limit_bytes.store(limit_bytes, Ordering::Relaxed);
    }

    fn limit_bytes(&self) -> usize {
        self.limit_bytes.load(Ordering::Relaxed)
    }

    fn holders(&self) -> MutexGuard<'_, Holders> {
        self.holders.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Holders {
    fn add(&mut self, consumer: &MemoryConsumer, bytes: usize) {
        self.total_bytes += bytes;
        if consumer.can_spill() && bytes > 0 {
            *self.spillable.entry(consumer.id()).or_default() += bytes;
        }
    }

    fn remove(&mut self, consumer: &MemoryConsumer, bytes: usize) {
        self.total_bytes = self.total_bytes.saturating_sub(bytes);
        if let Some(held) = self.spillable.get_mut(&consumer.id()) {
            *held = held.saturating_sub(bytes);
            if *held == 0 {
                self.spillable.remove(&consumer.id());
            }
        }
    }

    /// Whether `bytes` more may go to `consumer`.
    fn allows(&self, consumer: &MemoryConsumer, bytes: usize, limit_bytes: usize) -> bool {
        if NEVER_REFUSED.iter().any(|name| consumer.name().starts_with(name)) {
            return true;
        }
        if self.total_bytes + bytes > limit_bytes {
            return false;
        }
        if !consumer.can_spill() {
            return true;
        }
        let held = self.spillable.get(&consumer.id()).copied().unwrap_or(0);
        let sharers = self.spillable.len() + usize::from(held == 0);
        let spillable: usize = self.spillable.values().sum();
        let unspillable = self.total_bytes - spillable;
        let shared = (limit_bytes.saturating_sub(unspillable) as f64 * SPILLABLE_SHARE) as usize;
        held + bytes <= (shared / sharers).max(MIN_SHARE_BYTES)
    }
}

impl MemoryPool for SharedPool {
    fn name(&self) -> &str {
        "shared"
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.holders().add(reservation.consumer(), additional);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.holders().remove(reservation.consumer(), shrink);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        let limit = self.limit_bytes();
        let mut holders = self.holders();
        if holders.allows(reservation.consumer(), additional, limit) {
            holders.add(reservation.consumer(), additional);
            return Ok(());
        }
        Err(resources_datafusion_err!(
            "{} asked for {} more than its {}; {} of {} are held",
            reservation.consumer().name(),
            human_readable_size(additional),
            human_readable_size(reservation.size()),
            human_readable_size(holders.total_bytes),
            human_readable_size(limit)
        ))
    }

    fn reserved(&self) -> usize {
        self.holders().total_bytes
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.limit_bytes())
    }
}

impl fmt::Display for SharedPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (used, limit) = (self.reserved(), self.limit_bytes());
        write!(f, "shared({} of {})", human_readable_size(used), human_readable_size(limit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    fn pool(limit: usize) -> Arc<dyn MemoryPool> {
        Arc::new(SharedPool::new(limit))
    }

    fn consumer(pool: &Arc<dyn MemoryPool>, name: &str, can_spill: bool) -> MemoryReservation {
        MemoryConsumer::new(name).with_can_spill(can_spill).register(pool)
    }

    #[test]
    fn spillable_consumers_share_and_idle_ones_do_not_count() {
        let pool = pool(100 * MIB);
        let first = consumer(&pool, "first", true);
        let _idle: Vec<_> = (0..50).map(|_| consumer(&pool, "idle", true)).collect();
        first.try_grow(80 * MIB).unwrap();
        assert!(first.try_grow(1).is_err(), "a fifth is kept for others");
        let second = consumer(&pool, "second", true);
        second.try_grow(20 * MIB).unwrap();
        assert!(second.try_grow(1).is_err(), "nothing is left");
        first.shrink(60 * MIB);
        second.try_grow(20 * MIB).unwrap();
        assert!(second.try_grow(1).is_err(), "half of four fifths is its share");
    }

    #[test]
    fn the_rest_is_for_those_that_cannot_spill() {
        let pool = pool(100 * MIB);
        let sorter = consumer(&pool, "sorter", true);
        sorter.try_grow(80 * MIB).unwrap();
        let merge = consumer(&pool, "merge", false);
        merge.try_grow(20 * MIB).unwrap();
        assert!(merge.try_grow(1).is_err());
        drop(sorter);
        merge.try_grow(80 * MIB).unwrap();
        drop(merge);
        assert_eq!(pool.reserved(), 0);
    }

    #[test]
    fn a_repartition_is_never_refused() {
        let pool = pool(10 * MIB);
        let repartition = consumer(&pool, "RepartitionExec[3]", true);
        repartition.try_grow(50 * MIB).unwrap();
        assert_eq!(pool.reserved(), 50 * MIB);
    }
}
