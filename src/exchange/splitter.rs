//! Which bucket a row belongs to.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use datafusion::common::hash_utils::{RandomState, create_hashes};
use datafusion::error::Result;
use datafusion::physical_expr::PhysicalExpr;

/// Bits of the hash that a level uses, from the top down; the lower ones are for hash tables.
const BITS: u32 = 6;

/// Most buckets of a level.
pub(crate) const MAX_BUCKETS: usize = 1 << BITS;

/// The deepest level: the hash has no bits for more.
pub(crate) const MAX_LEVEL: u32 = 64 / BITS - 2;

/// Differs from the seeds of DataFusion's own hash tables and exchanges, or each bucket would fill
/// a part of a table only.
const SEED: u64 = 0x6272_696d_6675_6c21;

/// Splits batches by the hash of their keys.
#[derive(Debug, Clone)]
pub(crate) struct Splitter {
    keys: Vec<Arc<dyn PhysicalExpr>>,
    level: u32,
    buckets: usize,
    hasher: RandomState,
    nulls: Nulls,
    /// The order of the buckets in a split batch.
    layout: Vec<usize>,
}

/// What becomes of rows with a NULL in their keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nulls {
    /// They are hashed like others.
    Hashed,
    /// They are dropped.
    Dropped,
    /// They go to a bucket of their own, after the others.
    Apart,
}

/// A batch whose rows are in the order of their buckets.
pub(crate) struct Split {
    pub(crate) batch: RecordBatch,
    /// Where the rows of each bucket are; empty ranges for buckets without rows.
    pub(crate) ranges: Vec<Range<usize>>,
    /// Whether a row had a NULL in its keys.
    pub(crate) had_null: bool,
}

impl Split {
    /// A batch whose rows are all in one bucket.
    pub(crate) fn whole(batch: RecordBatch) -> Self {
        let all = 0..batch.num_rows();
        Split { batch, ranges: std::iter::once(all).collect(), had_null: false }
    }
}

impl Splitter {
    /// Splits by `keys` into `buckets`, a power of two, with the bits of `level`.
    pub(crate) fn new(
        keys: Vec<Arc<dyn PhysicalExpr>>,
        level: u32,
        buckets: usize,
        nulls: Nulls,
    ) -> Self {
        debug_assert!(buckets.is_power_of_two() && buckets <= MAX_BUCKETS && level <= MAX_LEVEL);
        let hasher = RandomState::with_seed(SEED);
        let mut splitter = Splitter { keys, level, buckets, hasher, nulls, layout: Vec::new() };
        splitter.layout = (0..splitter.count()).collect();
        splitter
    }

    /// Puts the rows of these buckets before those of others.
    pub(crate) fn with_first(mut self, is_first: impl Fn(usize) -> bool) -> Self {
        self.layout.sort_by_key(|bucket| !is_first(*bucket));
        self
    }

    /// Buckets there are, with that for NULLs.
    pub(crate) fn count(&self) -> usize {
        self.buckets + usize::from(self.nulls == Nulls::Apart)
    }

    /// Puts the rows of a batch in the order of their buckets.
    pub(crate) fn split(&self, batch: &RecordBatch) -> Result<Split> {
        let rows = batch.num_rows();
        let mut keys: Vec<ArrayRef> = Vec::with_capacity(self.keys.len());
        for key in &self.keys {
            keys.push(key.evaluate(batch)?.into_array(rows)?);
        }
        let mut hashes = vec![0; rows];
        create_hashes(&keys, &self.hasher, &mut hashes)?;
        let nulls: Vec<_> = keys.iter().filter_map(|key| key.logical_nulls()).collect();
        let has_null = |row: usize| nulls.iter().any(|nulls| nulls.is_null(row));
        let had_null = nulls.iter().any(|nulls| nulls.null_count() > 0);

        // A counting sort: how many rows each bucket has, where it begins, then the rows.
        let dropped = self.count();
        let shift = 64 - BITS * (self.level + 1);
        let mask = self.buckets - 1;
        let mut bucket_of: Vec<u8> = Vec::with_capacity(rows);
        let mut counts = vec![0_usize; dropped + 1];
        for (row, hash) in hashes.iter().enumerate() {
            let bucket = if had_null && self.nulls != Nulls::Hashed && has_null(row) {
                if self.nulls == Nulls::Dropped { dropped } else { self.buckets }
            } else {
                (hash >> shift) as usize & mask
            };
            counts[bucket] += 1;
            bucket_of.push(bucket as u8);
        }
        let mut ranges = vec![0..0; dropped];
        // Dropped rows come last and are cut off.
        let mut next = vec![rows - counts[dropped]; dropped + 1];
        let mut start = 0;
        for &bucket in &self.layout {
            ranges[bucket] = start..start + counts[bucket];
            next[bucket] = start;
            start += counts[bucket];
        }
        let mut order = vec![0_u32; rows];
        for (row, bucket) in bucket_of.iter().enumerate() {
            let place = &mut next[usize::from(*bucket)];
            order[*place] = row as u32;
            *place += 1;
        }
        order.truncate(rows - counts[dropped]);
        let batch = take_record_batch(batch, &UInt32Array::from(order))?;
        Ok(Split { batch, ranges, had_null })
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{AsArray, Int64Array, StringArray};
    use arrow::datatypes::Int64Type;
    use datafusion::physical_expr::expressions::Column;

    use super::*;

    fn batch(rows: i64) -> RecordBatch {
        let key = (0..rows).map(|i| (i % 10 != 0).then_some(i / 2));
        let text: Vec<String> = (0..rows).map(|i| format!("{}", i % 3)).collect();
        RecordBatch::try_from_iter_with_nullable([
            ("key", Arc::new(Int64Array::from_iter(key)) as ArrayRef, true),
            ("text", Arc::new(StringArray::from(text)) as ArrayRef, true),
            ("row", Arc::new(Int64Array::from_iter_values(0..rows)) as ArrayRef, true),
        ])
        .unwrap()
    }

    fn splitter(level: u32, buckets: usize, nulls: Nulls) -> Splitter {
        let keys: Vec<Arc<dyn PhysicalExpr>> =
            vec![Arc::new(Column::new("key", 0)), Arc::new(Column::new("text", 1))];
        Splitter::new(keys, level, buckets, nulls)
    }

    #[test]
    fn every_row_is_in_one_bucket_and_equal_keys_are_together() {
        for (level, buckets) in [(0, 1), (0, 4), (1, 64), (MAX_LEVEL, 64)] {
            let splitter = splitter(level, buckets, Nulls::Hashed);
            let one = splitter.split(&batch(2000)).unwrap();
            assert_eq!(one.ranges.len(), buckets);
            assert_eq!(one.batch.num_rows(), 2000);
            assert!(one.had_null);
            let rows = one.batch.column(2).as_primitive::<Int64Type>();
            let mut all: Vec<i64> = rows.values().to_vec();
            all.sort_unstable();
            assert_eq!(all, (0..2000).collect::<Vec<_>>());
            // The same rows in another batch land in the same buckets.
            let other = splitter.split(&batch(2000).slice(500, 100)).unwrap();
            for (bucket, range) in other.ranges.iter().enumerate() {
                let rows = other.batch.column(2).as_primitive::<Int64Type>();
                for row in &rows.values()[range.clone()] {
                    let whole = one.batch.column(2).as_primitive::<Int64Type>();
                    assert!(whole.values()[one.ranges[bucket].clone()].contains(row));
                }
            }
        }
    }

    #[test]
    fn levels_split_what_shares_a_bucket() {
        let first = splitter(0, 64, Nulls::Hashed).split(&batch(20_000)).unwrap();
        let range = first.ranges.iter().max_by_key(|range| range.len()).unwrap().clone();
        let bucket = first.batch.slice(range.start, range.len());
        let second = splitter(1, 64, Nulls::Dropped).split(&bucket).unwrap();
        let used = second.ranges.iter().filter(|range| !range.is_empty()).count();
        assert!(used > 30, "{used}");
    }

    #[test]
    fn some_buckets_come_first() {
        let plain = splitter(0, 8, Nulls::Hashed);
        let odd_first = plain.clone().with_first(|bucket| bucket % 2 == 1);
        let (plain, odd_first) =
            (plain.split(&batch(500)).unwrap(), odd_first.split(&batch(500)).unwrap());
        let odd: usize = plain.ranges.iter().skip(1).step_by(2).map(|range| range.len()).sum();
        for bucket in 0..8 {
            let rows = |split: &Split| {
                let range = split.ranges[bucket].clone();
                split.batch.slice(range.start, range.len())
            };
            assert_eq!(rows(&plain), rows(&odd_first));
            assert_eq!(
                odd_first.ranges[bucket].end <= odd,
                bucket % 2 == 1
                    || odd_first.ranges[bucket].is_empty() && odd_first.ranges[bucket].end <= odd
            );
        }
    }

    #[test]
    fn nulls_are_dropped_or_kept_apart() {
        let dropped = splitter(0, 4, Nulls::Dropped).split(&batch(1000)).unwrap();
        assert_eq!((dropped.batch.num_rows(), dropped.ranges.len()), (900, 4));
        assert_eq!(dropped.batch.column(0).null_count(), 0);
        let apart = splitter(0, 4, Nulls::Apart).split(&batch(1000)).unwrap();
        assert_eq!((apart.batch.num_rows(), apart.ranges.len()), (1000, 5));
        let nulls = apart.batch.slice(apart.ranges[4].start, apart.ranges[4].len());
        assert_eq!((nulls.num_rows(), nulls.column(0).null_count()), (100, 100));
    }
}
