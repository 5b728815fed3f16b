//! The memory pool of a kernel.

use std::fmt;
use std::sync::Arc;

use datafusion::error::Result;
use datafusion::execution::memory_pool::{MemoryLimit, MemoryPool, MemoryReservation};
use parking_lot::Mutex;

use crate::memory::Held;

/// A part of an operator's reservation. What the kernel takes beyond the part is added to it: always,
/// where the operator has reserved what is likely to be needed; or as far as it is granted.
pub(crate) struct PrepaidPool {
    memory: Arc<MemoryReservation>,
    is_limited: bool,
    account: Mutex<Account>,
}

struct Account {
    used: usize,
    paid: usize,
}

impl PrepaidPool {
    /// A pool for which these bytes are reserved. They are given back with it.
    pub(crate) fn new(held: Held) -> Self {
        let (memory, paid) = held.into_parts();
        PrepaidPool { memory, is_limited: false, account: Mutex::new(Account { used: 0, paid }) }
    }

    /// A pool that gives as much as `memory` is granted.
    pub(crate) fn limited(memory: Arc<MemoryReservation>) -> Self {
        let account = Mutex::new(Account { used: 0, paid: 0 });
        PrepaidPool { memory, is_limited: true, account }
    }
}

impl MemoryPool for PrepaidPool {
    fn name(&self) -> &str {
        "prepaid"
    }

    fn grow(&self, _: &MemoryReservation, additional: usize) {
        let mut account = self.account.lock();
        account.used += additional;
        let more = account.used.saturating_sub(account.paid);
        account.paid += more;
        self.memory.grow(more);
    }

    fn shrink(&self, _: &MemoryReservation, shrink: usize) {
        let mut account = self.account.lock();
        account.used = account.used.saturating_sub(shrink);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        if !self.is_limited {
            self.grow(reservation, additional);
            return Ok(());
        }
        let mut account = self.account.lock();
        let more = (account.used + additional).saturating_sub(account.paid);
        if more > 0 {
            self.memory.try_grow(more)?;
        }
        account.paid += more;
        account.used += additional;
        Ok(())
    }

    fn reserved(&self) -> usize {
        self.account.lock().used
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Infinite
    }
}

impl Drop for PrepaidPool {
    fn drop(&mut self) {
        self.memory.shrink(self.account.lock().paid);
    }
}

impl fmt::Display for PrepaidPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "prepaid({} of {})", self.reserved(), self.account.lock().paid)
    }
}

impl fmt::Debug for PrepaidPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use datafusion::execution::memory_pool::{GreedyMemoryPool, MemoryConsumer};

    use super::*;

    #[test]
    fn a_limited_pool_gives_what_is_granted() {
        let outer: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(100));
        let memory = Arc::new(MemoryConsumer::new("operator").register(&outer));
        let pool: Arc<dyn MemoryPool> = Arc::new(PrepaidPool::limited(Arc::clone(&memory)));
        let kernel = MemoryConsumer::new("kernel").register(&pool);
        kernel.try_grow(80).unwrap();
        assert!(kernel.try_grow(30).is_err());
        kernel.shrink(50);
        kernel.try_grow(60).unwrap();
        assert_eq!((pool.reserved(), outer.reserved()), (90, 90));
    }

    #[test]
    fn what_was_not_paid_is_added_and_all_is_given_back() {
        let outer: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(1000));
        let memory = Arc::new(MemoryConsumer::new("operator").register(&outer));
        memory.try_grow(100).unwrap();
        let pool: Arc<dyn MemoryPool> = Arc::new(PrepaidPool::new(Held::new(&memory, 100)));
        let kernel = MemoryConsumer::new("kernel").register(&pool);
        kernel.try_grow(80).unwrap();
        assert_eq!(outer.reserved(), 100);
        kernel.try_grow(50).unwrap();
        assert_eq!((pool.reserved(), outer.reserved()), (130, 130));
        kernel.free();
        kernel.try_grow(120).unwrap();
        assert_eq!((pool.reserved(), outer.reserved()), (120, 130));
        drop(kernel);
        drop(pool);
        assert_eq!((outer.reserved(), memory.size()), (0, 0));
    }
}
