//! Who may hold how much memory: the pool that DataFusion's operators ask.
//!
//! The limit is shared among those that hold something now. An operator that can spill may take an
//! equal share of four fifths of the limit, so that the first to start does not starve the others;
//! the last fifth is for those that cannot spill. Idle operators count for nothing. The merges of
//! sorted runs, which open as many runs as memory allows and fewer if they must, share three fifths,
//! so that something is left for what reads from them.
//!
//! Three operators of DataFusion 55 are never refused, because what they do when refused is worse
//! than holding more: `RepartitionExec` can wait for itself for ever when two inputs spill at once
//! (apache/datafusion#24883), `NestedLoopJoinExec` returns wrong rows for some join types
//! (apache/datafusion#22641), and `SortPreservingMergeExec`, which needs no more than a batch of each
//! input, fails the query.

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
const NEVER_REFUSED: [&str; 3] =
    ["RepartitionExec", "NestedLoopJoinLoad", "SortPreservingMergeExec"];

/// The part of the limit that operators which can spill may fill together.
const SPILLABLE_SHARE: f64 = 0.8;

/// This much is granted to anyone: failing a query for so little would help nobody.
const SMALL_BYTES: usize = 256 << 10;

/// The part of the limit that merges of sorted runs may fill together.
const MERGE_SHARE: f64 = 0.6;

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
    /// Merges of sorted runs that are planned, whether they hold something or not: all of them run
    /// at the end of a sort.
    merge_count: usize,
    /// Sorts that are planned. A sort that comes late cannot make those before it spill, so each is
    /// given its share from the start.
    sort_count: usize,
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

/// Whether a consumer merges the runs of a sort.
fn is_merge(consumer: &MemoryConsumer) -> bool {
    consumer.name().starts_with("ExternalSorterMerge")
}

/// Whether a consumer buffers the rows of a sort.
fn is_sort(consumer: &MemoryConsumer) -> bool {
    consumer.name().starts_with("ExternalSorter[")
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

    /// Whether a reservation of `consumer` that holds `held` may hold `bytes` more.
    ///
    /// Shares are those of one reservation, not of the consumer: a sort reserves what its merge needs
    /// apart from what it has buffered, and cannot spill it.
    fn allows(
        &self,
        consumer: &MemoryConsumer,
        held: usize,
        bytes: usize,
        limit_bytes: usize,
    ) -> bool {
        let never_refused = NEVER_REFUSED.iter().any(|name| consumer.name().starts_with(name));
        if never_refused || held + bytes <= SMALL_BYTES {
            return true;
        }
        if self.total_bytes + bytes > limit_bytes {
            return false;
        }
        if is_merge(consumer) {
            let share = (limit_bytes as f64 * MERGE_SHARE) as usize / self.merge_count.max(1);
            return held + bytes <= share.max(MIN_SHARE_BYTES);
        }
        if !consumer.can_spill() {
            return true;
        }
        let new = usize::from(!self.spillable.contains_key(&consumer.id()));
        let mut sharers = self.spillable.len() + new;
        if is_sort(consumer) {
            sharers = sharers.max(self.sort_count);
        }
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

    fn register(&self, consumer: &MemoryConsumer) {
        let mut holders = self.holders();
        holders.merge_count += usize::from(is_merge(consumer));
        holders.sort_count += usize::from(is_sort(consumer));
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        let mut holders = self.holders();
        holders.merge_count -= usize::from(is_merge(consumer));
        holders.sort_count -= usize::from(is_sort(consumer));
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
        if holders.allows(reservation.consumer(), reservation.size(), additional, limit) {
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
        consumer(&pool, "small", false).try_grow(100 << 10).unwrap();
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
    fn merges_leave_something_for_their_reader() {
        let pool = pool(100 * MIB);
        let merges: Vec<_> =
            (0..2).map(|i| consumer(&pool, &format!("ExternalSorterMerge[{i}]"), false)).collect();
        for merge in &merges {
            merge.try_grow(30 * MIB).unwrap();
            assert!(merge.try_grow(1).is_err(), "half of three fifths is its share");
        }
        consumer(&pool, "SortPreservingMergeExec[0]", false).try_grow(40 * MIB).unwrap();
    }

    #[test]
    fn a_repartition_is_never_refused() {
        let pool = pool(10 * MIB);
        let repartition = consumer(&pool, "RepartitionExec[3]", true);
        repartition.try_grow(50 * MIB).unwrap();
        assert_eq!(pool.reserved(), 50 * MIB);
    }
}
