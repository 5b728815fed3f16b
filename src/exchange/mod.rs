//! The bucketed exchange: rows split by the hash of their keys, in memory as long as there is room
//! and on disk when there is not.
//!
//! - [`Splitter`]: a batch → its rows by bucket
//! - [`Buckets`]: keeps the rows of each bucket; whole buckets go to disk
//! - [`Contents`]: what a bucket holds in the end, with its exact size
//! - `batch`: sizes of batches, and batches that hold no more than their rows
//!
//! Rows whose keys are equal land in the same bucket of every exchange of the same level. The number
//! of buckets has nothing to do with the number of cores. A bucket that is still too large is split
//! again one level deeper, by further bits of the same hash.

mod batch;
mod buckets;
mod splitter;

pub(crate) use batch::{column_bytes, compacted, concat, logical_bytes, owned};
pub(crate) use buckets::{BLOCK_BYTES, Buckets, Contents};
pub(crate) use splitter::{MAX_BUCKETS, MAX_LEVEL, Nulls, Split, Splitter};
