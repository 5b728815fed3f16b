//! A memory limit for the whole process.
//!
//! - `allocator`: counts the bytes that are allocated
//! - `gauge`: what the process has in use, by that count and as the system sees it
//! - `governor`: who may hold how much, so that the two stay within the limit
//! - `held`: a part of what an operator has reserved

mod allocator;
mod gauge;
mod governor;
mod held;

pub use allocator::CountingAllocator;
pub(crate) use gauge::{Gauge, peak_resident_bytes};
pub(crate) use governor::{
    Asked, Governor, JOIN_CONSUMER, Reclaim, Reclaimed, TABLE_CONSUMER, WaitingJoin,
};
pub(crate) use held::Held;
