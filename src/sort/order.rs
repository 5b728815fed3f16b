//! The order of rows by normalized keys.
//!
//! The sort columns of a row become one string of bytes that compares as the row does. Eight of these
//! bytes, where the rows begin to differ, are kept beside the place of the row, so that most
//! comparisons are one of two integers in a small array.

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::SchemaRef;
use arrow::row::{RowConverter, Rows, SortField};
use datafusion::error::Result;
use datafusion::physical_expr::LexOrdering;

/// Makes the keys of batches.
#[derive(Debug)]
pub(super) struct Keys {
    pub(super) order: LexOrdering,
    converter: RowConverter,
}

impl Keys {
    /// # Errors
    /// If a type of the sort columns cannot be ordered.
    pub(super) fn new(order: &LexOrdering, schema: &SchemaRef) -> Result<Self> {
        let fields = order
            .iter()
            .map(|key| Ok(SortField::new_with_options(key.expr.data_type(schema)?, key.options)))
            .collect::<Result<Vec<_>>>()?;
        Ok(Keys { order: order.clone(), converter: RowConverter::new(fields)? })
    }

    pub(super) fn of(&self, batch: &RecordBatch) -> Result<Rows> {
        let columns = self
            .order
            .iter()
            .map(|key| key.expr.evaluate(batch)?.into_array(batch.num_rows()))
            .collect::<Result<Vec<ArrayRef>>>()?;
        Ok(self.converter.convert_columns(&columns)?)
    }
}

/// Where a row is, and the first bytes in which its key may differ from others.
#[derive(Clone, Copy)]
pub(super) struct Entry {
    prefix: u64,
    part: u32,
    row: u32,
}

impl Entry {
    /// The part and the row in it.
    pub(super) fn place(self) -> (usize, usize) {
        (self.part as usize, self.row as usize)
    }
}

/// Puts the rows of several parts, given by their keys, in order; only the first `limit` if there is
/// one.
pub(super) fn sorted(parts: &[&Rows], limit: Option<usize>) -> Vec<Entry> {
    let rows = parts.iter().map(|part| part.num_rows()).sum();
    let shared = shared_prefix(parts);
    let mut entries = Vec::with_capacity(rows);
    for (part, keys) in parts.iter().enumerate() {
        for (row, key) in keys.iter().enumerate() {
            let prefix = prefix(&key.data()[shared..]);
            entries.push(Entry { prefix, part: part as u32, row: row as u32 });
        }
    }
    let key = |entry: &Entry| &parts[entry.part as usize].row(entry.row as usize).data()[shared..];
    // No key is the beginning of another, so equal prefixes of short keys are equal keys.
    let compare = |a: &Entry, b: &Entry| {
        a.prefix.cmp(&b.prefix).then_with(|| {
            let (a, b) = (key(a), key(b));
            a.get(size_of::<u64>()..).cmp(&b.get(size_of::<u64>()..))
        })
    };
    if let Some(limit) = limit.filter(|limit| *limit < rows) {
        if limit > 0 {
            entries.select_nth_unstable_by(limit - 1, compare);
        }
        entries.truncate(limit);
    }
    entries.sort_unstable_by(compare);
    entries
}

/// Bytes that all keys begin with.
fn shared_prefix(parts: &[&Rows]) -> usize {
    let mut keys = parts.iter().flat_map(|part| part.iter());
    let Some(first) = keys.next() else { return 0 };
    let first = first.data();
    keys.fold(first.len(), |shared, key| {
        let key = key.data();
        // Nearly always all of what was shared so far still is.
        if key.get(..shared) == Some(&first[..shared]) {
            return shared;
        }
        first.iter().zip(key).take_while(|(a, b)| a == b).count()
    })
}

/// The first eight bytes as a number that compares as they do; zeros stand for missing ones.
fn prefix(key: &[u8]) -> u64 {
    match key.first_chunk() {
        Some(bytes) => u64::from_be_bytes(*bytes),
        None => {
            let mut bytes = [0; size_of::<u64>()];
            bytes[..key.len()].copy_from_slice(key);
            u64::from_be_bytes(bytes)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, StringArray};
    use arrow::compute::SortOptions;
    use datafusion::physical_expr::PhysicalSortExpr;
    use datafusion::physical_expr::expressions::Column;

    use super::*;

    fn batch(rows: &[(Option<i64>, Option<&str>)]) -> RecordBatch {
        let numbers: Int64Array = rows.iter().map(|row| row.0).collect();
        let texts: StringArray = rows.iter().map(|row| row.1).collect();
        RecordBatch::try_from_iter_with_nullable([
            ("n", Arc::new(numbers) as ArrayRef, true),
            ("s", Arc::new(texts) as ArrayRef, true),
        ])
        .unwrap()
    }

    fn keys(schema: &SchemaRef) -> Keys {
        let by = |name: &str, index, descending, nulls_first| PhysicalSortExpr {
            expr: Arc::new(Column::new(name, index)),
            options: SortOptions { descending, nulls_first },
        };
        let order = LexOrdering::new([by("s", 1, false, false), by("n", 0, true, true)]).unwrap();
        Keys::new(&order, schema).unwrap()
    }

    #[test]
    fn rows_of_several_parts_come_in_order() {
        let a = batch(&[
            (Some(1), Some("a common beginning, then b")),
            (None, Some("a common beginning, then a")),
            (Some(7), None),
        ]);
        let b = batch(&[
            (Some(2), Some("a common beginning, then b")),
            (Some(9), Some("")),
            (Some(3), Some("a common beginning, then a")),
            (Some(3), Some("a common beginning")),
        ]);
        let keys = keys(&a.schema());
        let (a, b) = (keys.of(&a).unwrap(), keys.of(&b).unwrap());
        let all = sorted(&[&a, &b], None);
        let places: Vec<_> = all.iter().map(|entry| entry.place()).collect();
        assert_eq!(places, [(1, 1), (1, 3), (0, 1), (1, 2), (1, 0), (0, 0), (0, 2)]);
        for limit in 0..8 {
            let first = sorted(&[&a, &b], Some(limit));
            let first: Vec<_> = first.iter().map(|entry| entry.place()).collect();
            assert_eq!(first, places[..limit.min(7)]);
        }
        assert!(sorted(&[], None).is_empty());
    }

    #[test]
    fn what_all_keys_begin_with_is_skipped() {
        let batch = batch(&[(Some(1), Some("same 1")), (Some(1), Some("same 2"))]);
        let keys = keys(&batch.schema()).of(&batch).unwrap();
        assert_eq!(shared_prefix(&[&keys]), 1 + "same ".len());
        assert_eq!(prefix(&[1, 2]), 0x0102 << 48);
    }
}
