//! Who may hold how much memory: the pool that DataFusion's operators and ours ask.
//!
//! The limit is for the process. What no operator has reserved (the program itself, decoders,
//! batches on their way, encoders) is measured all the time by a [`Gauge`]; what is left of the
//! limit is shared among those that hold something now:
//!
//! - An operator that can spill may take an equal share of four fifths of it, so that the first to
//!   start does not starve the others; the last fifth is for those that cannot spill. Idle operators
//!   count for nothing.
//! - A join may take half of what is free while other joins of the plan have not begun, because what
//!   it has built it keeps until its probe side has been read.
//! - Tables may fill half of it together, and count for nothing in the shares of others.
//!
//! When someone is refused, tables are asked to spill first, because nothing waits for them; then the
//! largest holder that has registered a [`Reclaim`]. Near the limit, freed memory goes back to the
//! system at once.
//!
//! Two operators of DataFusion 55 are never refused, because what they do when refused is worse
//! than holding more: `RepartitionExec` can wait for itself for ever when two inputs spill at once
//! (apache/datafusion#24883), and `SortPreservingMergeExec`, which needs no more than a batch of each
//! input, fails the query.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use datafusion::common::resources_datafusion_err;
use datafusion::error::Result;
use datafusion::execution::memory_pool::{
    MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation, human_readable_size,
};
use parking_lot::{Mutex, MutexGuard};

use super::Gauge;

/// Consumers whose names begin so are always granted what they ask for.
const NEVER_REFUSED: [&str; 2] = ["RepartitionExec", "SortPreservingMergeExec"];

/// The part of the memory that operators which can spill may fill together.
const SPILLABLE_SHARE: f64 = 0.8;

/// This much is granted to anyone: failing a query for so little would help nobody.
const SMALL_BYTES: usize = 256 << 10;

/// The part of what is free that a join may take while others have not begun.
const JOIN_SHARE: f64 = 0.5;

/// The part of what is free that the last join may take, whose rows go on to other operators.
const LAST_JOIN_SHARE: f64 = 0.6;

/// The part of the memory that the rows of tables may fill together.
const TABLE_SHARE: f64 = 0.5;

/// A table that holds less is left alone.
const LEAST_TABLE_BYTES: usize = 1 << 20;

/// A share never falls below this: a smaller one could not hold a few batches and would spill at
/// every step.
const MIN_SHARE_BYTES: usize = 4 << 20;

/// Something that holds memory and can write it out when another needs it.
pub(crate) trait Reclaim: Send + Sync {
    /// Gives back at least `bytes` if it can. Called on the thread of the one who needs it, so it
    /// must not wait for a lock: it gives nothing instead.
    fn reclaim(&self, bytes: usize) -> Reclaimed;
}

/// What a holder that was asked to give back memory did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reclaimed {
    /// It gave back so many bytes.
    Bytes(usize),
    /// It will give them back soon, on its own thread.
    Soon,
    /// It has nothing that it could give.
    Nothing,
}

/// A holder that spills on its own thread: it looks now and then whether it was asked to.
#[derive(Debug, Default)]
pub(crate) struct Asked(AtomicBool);

impl Asked {
    /// Whether it was asked since the last time.
    pub(crate) fn take(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}

impl Reclaim for Asked {
    fn reclaim(&self, _: usize) -> Reclaimed {
        self.0.store(true, Ordering::Relaxed);
        Reclaimed::Soon
    }
}

/// Shares the memory of the process among the operators of all queries of a session.
///
/// Clones are the same governor.
#[derive(Clone)]
pub(crate) struct Governor {
    inner: Arc<Inner>,
}

struct Inner {
    limit_bytes: AtomicUsize,
    /// `None` counts reservations alone.
    gauge: Option<Gauge>,
    holders: Mutex<Holders>,
    reclaimers: Mutex<HashMap<usize, Weak<dyn Reclaim>>>,
}

#[derive(Debug, Default)]
struct Holders {
    total_bytes: usize,
    /// Joins that have not begun to build.
    waiting_joins: usize,
    /// Bytes held by each consumer that can spill and holds something, by its id; tables aside.
    spillable: HashMap<usize, usize>,
    /// Bytes held by each table that holds something, by its id.
    tables: HashMap<usize, usize>,
}

impl Governor {
    /// A governor of `limit_bytes` for the process, as a gauge measures it. Without a gauge, a part
    /// of the limit is kept back for what operators do not report.
    pub(crate) fn new(limit_bytes: usize, gauge: Option<Gauge>) -> Self {
        Governor {
            inner: Arc::new(Inner {
                limit_bytes: AtomicUsize::new(limit_bytes),
                gauge,
                holders: Mutex::default(),
                reclaimers: Mutex::default(),
            }),
        }
    }

    pub(crate) fn set_limit_bytes(&self, limit_bytes: usize) {
        self.inner.limit_bytes.store(limit_bytes, Ordering::Relaxed);
    }

    fn limit_bytes(&self) -> usize {
        self.inner.limit_bytes.load(Ordering::Relaxed)
    }

    fn holders(&self) -> MutexGuard<'_, Holders> {
        self.inner.holders.lock()
    }

    /// A join that will ask for memory under the name and id of `consumer` when it begins.
    pub(crate) fn expect_join(&self) -> WaitingJoin {
        self.holders().waiting_joins += 1;
        WaitingJoin { governor: self.clone() }
    }

    /// Has the holder of what `consumer` reserves asked when others need memory, until it is dropped.
    pub(crate) fn register_reclaim(
        &self,
        consumer: &MemoryConsumer,
        holder: &Arc<impl Reclaim + 'static>,
    ) {
        let holder = Arc::downgrade(holder);
        let mut reclaimers = self.inner.reclaimers.lock();
        reclaimers.retain(|_, other| other.strong_count() > 0);
        reclaimers.insert(consumer.id(), holder);
    }

    /// Memory that may be reserved in all: the limit, less what is in use and was not reserved.
    fn room_bytes(&self, reserved: usize) -> usize {
        let limit = self.limit_bytes();
        match &self.inner.gauge {
            None => limit - unreported_bytes(limit),
            Some(gauge) => {
                let unreserved = gauge.used_bytes().saturating_sub(reserved);
                let unreserved = unreserved.max(MIN_UNRESERVED_BYTES.min(limit / 4));
                limit.saturating_sub(unreserved + slack(limit)).max(least_room(limit))
            }
        }
    }

    /// Whether the system counts so much for this process that `bytes` more would pass the limit.
    /// Near it, freed memory is given back at once.
    fn is_full(&self, bytes: usize) -> bool {
        let Some(gauge) = &self.inner.gauge else { return false };
        let limit = self.limit_bytes();
        let most = limit - slack(limit) / 2;
        if gauge.resident_bytes() + bytes > limit - limit / 8 {
            gauge.purge();
        }
        gauge.resident_bytes() + bytes > most
    }

    /// Bytes that could be reserved now.
    pub(crate) fn free_bytes(&self) -> usize {
        let reserved = self.holders().total_bytes;
        self.room_bytes(reserved).saturating_sub(reserved)
    }

    /// Asks the largest operator, other than the consumer's, to give back memory.
    fn reclaim(&self, bytes: usize, consumer: &MemoryConsumer) -> usize {
        let sizes = sizes(&self.holders().spillable);
        let others =
            sizes.into_iter().filter(|(held, id)| *id != consumer.id() && *held >= MIN_SHARE_BYTES);
        self.reclaim_from(bytes, others, consumer.can_spill())
    }

    /// Asks the largest table to give back memory, if the reservation could grow without tables.
    fn reclaim_tables(&self, reservation: &MemoryReservation, bytes: usize) -> usize {
        let sizes = {
            let holders = self.holders();
            let others = holders.without_tables();
            let room = self.room_bytes(holders.total_bytes);
            let consumer = reservation.consumer();
            if !others.allows(consumer, reservation.size(), bytes, room, false) {
                return 0;
            }
            sizes(&holders.tables)
        };
        let large = sizes.into_iter().filter(|(held, _)| *held >= LEAST_TABLE_BYTES);
        self.reclaim_from(bytes, large, true)
    }

    /// Asks one after the other until one gives something or, if that can be waited for, will do so.
    fn reclaim_from(
        &self,
        bytes: usize,
        sizes: impl Iterator<Item = (usize, usize)>,
        can_wait: bool,
    ) -> usize {
        for (_, id) in sizes {
            let found = self.inner.reclaimers.lock().get(&id).and_then(Weak::upgrade);
            match found.map_or(Reclaimed::Nothing, |reclaim| reclaim.reclaim(bytes)) {
                Reclaimed::Bytes(given) => return given,
                // It must not be all of them that spill because one needs memory.
                Reclaimed::Soon if can_wait => return 0,
                Reclaimed::Soon | Reclaimed::Nothing => {}
            }
        }
        0
    }

    fn try_add(&self, reservation: &MemoryReservation, bytes: usize) -> bool {
        let consumer = reservation.consumer();
        let full = self.is_full(bytes);
        let mut holders = self.holders();
        let room = self.room_bytes(holders.total_bytes);
        let full = full && holders.total_bytes + bytes > least_room(self.limit_bytes());
        let allowed = holders.allows(consumer, reservation.size(), bytes, room, full);
        if allowed {
            holders.add(consumer, bytes);
        }
        allowed
    }
}

/// Bytes held and the id of each holder, the largest first.
fn sizes(holders: &HashMap<usize, usize>) -> Vec<(usize, usize)> {
    let mut sizes: Vec<(usize, usize)> = holders.iter().map(|(id, held)| (*held, *id)).collect();
    sizes.sort_unstable_by(|a, b| b.cmp(a));
    sizes
}

/// Measured or not, this much is taken to be in use by what is not reserved.
const MIN_UNRESERVED_BYTES: usize = 64 << 20;

/// What is kept free below a limit, for what happens between two measurements.
fn slack(limit_bytes: usize) -> usize {
    (limit_bytes / 16).max(8 << 20)
}

/// What operators may always have, however much is in use that is not reserved: with less they would
/// write and read small pieces, which helps nobody.
fn least_room(limit_bytes: usize) -> usize {
    limit_bytes / 3
}

/// What is kept back for what operators do not report, where nothing measures it.
fn unreported_bytes(limit_bytes: usize) -> usize {
    const LEAST_UNREPORTED_BYTES: usize = 96 << 20;
    LEAST_UNREPORTED_BYTES.max(limit_bytes / 4).min(limit_bytes / 2)
}

/// Counts a join that has not begun; dropped when it does.
pub(crate) struct WaitingJoin {
    governor: Governor,
}

impl Drop for WaitingJoin {
    fn drop(&mut self) {
        self.governor.holders().waiting_joins -= 1;
    }
}

/// Consumers of our joins have this name.
pub(crate) const JOIN_CONSUMER: &str = "join";

/// Consumers whose names begin so count twice: when they are refused, they make batches of all they
/// hold before they let go of it.
const COUNTED_TWICE: [&str; 2] = ["PartialHashAggregateStream", "GroupedHashAggregateStream"];

/// How often the bytes of a consumer count.
fn weight(consumer: &MemoryConsumer) -> usize {
    if COUNTED_TWICE.iter().any(|name| consumer.name().starts_with(name)) { 2 } else { 1 }
}

/// Consumers of the rows of tables have this name.
pub(crate) const TABLE_CONSUMER: &str = "table";

fn is_table(consumer: &MemoryConsumer) -> bool {
    consumer.name() == TABLE_CONSUMER
}

impl Holders {
    /// The same if no table held anything.
    fn without_tables(&self) -> Holders {
        Holders {
            total_bytes: self.total_bytes.saturating_sub(self.tables.values().sum()),
            spillable: self.spillable.clone(),
            tables: HashMap::new(),
            ..*self
        }
    }

    /// Where the bytes of a consumer that can spill are counted.
    fn spillable_like(&mut self, consumer: &MemoryConsumer) -> &mut HashMap<usize, usize> {
        if is_table(consumer) { &mut self.tables } else { &mut self.spillable }
    }

    fn add(&mut self, consumer: &MemoryConsumer, bytes: usize) {
        let bytes = bytes * weight(consumer);
        self.total_bytes += bytes;
        if consumer.can_spill() && bytes > 0 {
            *self.spillable_like(consumer).entry(consumer.id()).or_default() += bytes;
        }
    }

    fn remove(&mut self, consumer: &MemoryConsumer, bytes: usize) {
        let bytes = bytes * weight(consumer);
        self.total_bytes = self.total_bytes.saturating_sub(bytes);
        let holders = self.spillable_like(consumer);
        if let Some(held) = holders.get_mut(&consumer.id()) {
            *held = held.saturating_sub(bytes);
            if *held == 0 {
                holders.remove(&consumer.id());
            }
        }
    }

    /// Whether a reservation of `consumer` that holds `held` may hold `bytes` more, of `room` bytes
    /// for all. `full` says that the process has grown to its limit, whatever is reserved.
    fn allows(
        &self,
        consumer: &MemoryConsumer,
        held: usize,
        bytes: usize,
        room: usize,
        full: bool,
    ) -> bool {
        let (held, bytes) = (held * weight(consumer), bytes * weight(consumer));
        let never_refused = NEVER_REFUSED.iter().any(|name| consumer.name().starts_with(name));
        if never_refused || held + bytes <= SMALL_BYTES {
            return true;
        }
        if self.total_bytes + bytes > room || (full && consumer.can_spill()) {
            return false;
        }
        if !consumer.can_spill() {
            return true;
        }
        if is_table(consumer) {
            let held: usize = self.tables.values().sum();
            return held + bytes <= (room as f64 * TABLE_SHARE) as usize;
        }
        let new = usize::from(!self.spillable.contains_key(&consumer.id()));
        let sharers = self.spillable.len() + new;
        if consumer.name() == JOIN_CONSUMER {
            let free = room.saturating_sub(self.total_bytes - held);
            let part = if self.waiting_joins > 0 { JOIN_SHARE } else { LAST_JOIN_SHARE };
            return held + bytes <= ((free as f64 * part) as usize).max(MIN_SHARE_BYTES);
        }
        let spillable: usize = self.spillable.values().sum();
        let unspillable = self.total_bytes - spillable;
        let shared = (room.saturating_sub(unspillable) as f64 * SPILLABLE_SHARE) as usize;
        held + bytes <= (shared / sharers).max(MIN_SHARE_BYTES)
    }
}

impl MemoryPool for Governor {
    fn name(&self) -> &str {
        "governor"
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.holders().add(reservation.consumer(), additional);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.holders().remove(reservation.consumer(), shrink);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        if self.try_add(reservation, additional) {
            return Ok(());
        }
        let consumer = reservation.consumer();
        if !is_table(consumer)
            && self.reclaim_tables(reservation, additional) > 0
            && self.try_add(reservation, additional)
        {
            return Ok(());
        }
        // One that can spill does so itself when it has more than its share.
        let greedy =
            is_table(consumer) || consumer.can_spill() && reservation.size() > MIN_SHARE_BYTES;
        if !greedy
            && self.reclaim(additional, consumer) > 0
            && self.try_add(reservation, additional)
        {
            return Ok(());
        }
        Err(resources_datafusion_err!(
            "{} asked for {} more than its {}; {} are held by operators, the limit is {}",
            consumer.name(),
            human_readable_size(additional),
            human_readable_size(reservation.size()),
            human_readable_size(self.reserved()),
            human_readable_size(self.limit_bytes())
        ))
    }

    fn reserved(&self) -> usize {
        self.holders().total_bytes
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.limit_bytes())
    }
}

impl fmt::Display for Governor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (used, limit) = (self.reserved(), self.limit_bytes());
        write!(f, "governor({} of {})", human_readable_size(used), human_readable_size(limit))
    }
}

impl fmt::Debug for Governor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    fn pool(limit: usize) -> Arc<dyn MemoryPool> {
        // Without a gauge half of a small limit and 96 MiB of others are kept back.
        Arc::new(Governor::new(limit + limit.min(96 * MIB), None))
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
    fn a_repartition_is_never_refused() {
        let pool = pool(10 * MIB);
        let repartition = consumer(&pool, "RepartitionExec[3]", true);
        repartition.try_grow(50 * MIB).unwrap();
        assert_eq!(pool.reserved(), 50 * MIB);
    }

    #[test]
    fn what_is_copied_before_it_is_given_back_counts_twice() {
        let pool = pool(100 * MIB);
        let partial = consumer(&pool, "PartialHashAggregateStream[0]", true);
        partial.try_grow(40 * MIB).unwrap();
        assert!(partial.try_grow(MIB).is_err(), "half of four fifths");
        assert_eq!(pool.reserved(), 80 * MIB);
        drop(partial);
        assert_eq!(pool.reserved(), 0);
    }

    #[test]
    fn joins_leave_room_for_those_that_wait() {
        let inner = Governor::new(196 * MIB, None);
        let pool: Arc<dyn MemoryPool> = Arc::new(inner.clone());
        let waiting = inner.expect_join();
        let first = consumer(&pool, JOIN_CONSUMER, true);
        first.try_grow(50 * MIB).unwrap();
        assert!(first.try_grow(MIB).is_err(), "half of what is free");
        drop(waiting);
        first.try_grow(10 * MIB).unwrap();
        assert!(first.try_grow(MIB).is_err(), "three fifths of what is free");
        let second = consumer(&pool, JOIN_CONSUMER, true);
        second.try_grow(24 * MIB).unwrap();
        assert!(second.try_grow(MIB).is_err(), "three fifths of the rest");
    }

    /// Gives back all it holds.
    struct Generous(MemoryReservation);

    impl Reclaim for Generous {
        fn reclaim(&self, _: usize) -> Reclaimed {
            let bytes = self.0.size();
            self.0.free();
            Reclaimed::Bytes(bytes)
        }
    }

    #[test]
    fn tables_give_way_to_operators_where_that_helps() {
        let inner = Governor::new(196 * MIB, None);
        let pool: Arc<dyn MemoryPool> = Arc::new(inner.clone());
        let table = Arc::new(Generous(consumer(&pool, TABLE_CONSUMER, true)));
        table.0.try_grow(50 * MIB).unwrap();
        let other_table = consumer(&pool, TABLE_CONSUMER, true);
        assert!(other_table.try_grow(MIB).is_err(), "half is for all tables");
        inner.register_reclaim(table.0.consumer(), &table);

        let sorter = consumer(&pool, "sorter", true);
        sorter.try_grow(40 * MIB).unwrap();
        assert!(sorter.try_grow(60 * MIB).is_err(), "more than there is without the table");
        assert_eq!(table.0.size(), 50 * MIB);
        sorter.try_grow(30 * MIB).unwrap();
        assert_eq!((table.0.size(), sorter.size()), (0, 70 * MIB));
    }

    #[test]
    fn the_largest_holder_is_asked_to_spill_for_others() {
        let inner = Governor::new(196 * MIB, None);
        let pool: Arc<dyn MemoryPool> = Arc::new(inner.clone());
        let large = Arc::new(Generous(consumer(&pool, JOIN_CONSUMER, true)));
        let small = Arc::new(Generous(consumer(&pool, JOIN_CONSUMER, true)));
        for (holder, mebibytes) in [(&large, 60), (&small, 20)] {
            holder.0.try_grow(mebibytes * MIB).unwrap();
            inner.register_reclaim(holder.0.consumer(), holder);
        }
        let other = consumer(&pool, "other", false);
        other.try_grow(50 * MIB).unwrap();
        assert_eq!((large.0.size(), small.0.size()), (0, 20 * MIB));
        assert_eq!(inner.reserved(), 70 * MIB);
    }
}
