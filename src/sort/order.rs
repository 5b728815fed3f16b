//! The order of rows by normalized keys.
//!
//! The sort columns of a row become one string of bytes that compares as the row does. Many of its
//! bytes are the same in all rows: marks that a value is not NULL, high bytes of numbers. The first
//! eight that are not are kept as a number beside the place of the row, so that most comparisons, and
//! all of short keys, are one of two integers in a small array.

use arrow::array::{Array, ArrayRef, BinaryArray, BooleanArray, RecordBatch};
use arrow::datatypes::SchemaRef;
use arrow::row::{RowConverter, SortField};
use datafusion::error::Result;
use datafusion::physical_expr::LexOrdering;

/// Bytes of a key of which it is known whether they differ; later ones are taken as if they did.
const WINDOW: usize = 64;

/// Bytes of a prefix.
const PREFIX_BYTES: usize = size_of::<u64>();

/// So few rows with the same prefix are compared by their whole keys.
const FEW_TIES: usize = 16;

/// More rows get another prefix from the bytes that follow, so many times at most.
const MOST_PREFIXES: usize = 8;

/// Makes the keys of batches.
#[derive(Debug)]
pub(super) struct Keys {
    order: LexOrdering,
    converter: RowConverter,
    /// For the first of the sort columns alone.
    first: RowConverter,
}

impl Keys {
    /// # Errors
    /// If a type of the sort columns cannot be ordered.
    pub(super) fn new(order: &LexOrdering, schema: &SchemaRef) -> Result<Self> {
        let fields = order
            .iter()
            .map(|key| Ok(SortField::new_with_options(key.expr.data_type(schema)?, key.options)))
            .collect::<Result<Vec<_>>>()?;
        let first = RowConverter::new(fields[..1].to_vec())?;
        Ok(Keys { order: order.clone(), converter: RowConverter::new(fields)?, first })
    }

    /// The keys of the rows of a batch.
    ///
    /// # Errors
    /// Those of the sort expressions; if the keys have more than 2 GiB.
    pub(super) fn of(&self, batch: &RecordBatch) -> Result<BinaryArray> {
        let columns = self
            .order
            .iter()
            .map(|key| key.expr.evaluate(batch)?.into_array(batch.num_rows()))
            .collect::<Result<Vec<ArrayRef>>>()?;
        Ok(self.converter.convert_columns(&columns)?.try_into_binary()?)
    }
}

impl Keys {
    /// For each row of a batch, whether its key may be no greater than `bound`, as far as the first of
    /// the sort columns tells.
    ///
    /// # Errors
    /// Those of the sort expression.
    pub(super) fn maybe_up_to(&self, batch: &RecordBatch, bound: &[u8]) -> Result<BooleanArray> {
        let column = self.order.first().expr.evaluate(batch)?.into_array(batch.num_rows())?;
        let starts = self.first.convert_columns(&[column])?;
        Ok(starts.iter().map(|start| Some(start.data() <= bound)).collect())
    }
}

/// Bytes of keys in memory.
pub(super) fn key_bytes(keys: &BinaryArray) -> usize {
    keys.value_data().len() + size_of_val(keys.value_offsets())
}

/// What many keys have in common.
#[derive(Debug, Clone)]
pub(super) struct Common {
    /// The bits that every key has, and those that any has, at each position.
    every: [u8; WINDOW],
    any: [u8; WINDOW],
    /// Bytes of the shortest and of the longest key.
    shortest: usize,
    longest: usize,
}

impl Default for Common {
    /// Of no keys.
    fn default() -> Self {
        Common { every: [u8::MAX; WINDOW], any: [0; WINDOW], shortest: usize::MAX, longest: 0 }
    }
}

impl Common {
    /// Notes one more key.
    fn add(&mut self, key: &[u8]) {
        for ((every, any), byte) in self.every.iter_mut().zip(&mut self.any).zip(key) {
            *every &= byte;
            *any |= byte;
        }
        self.shortest = self.shortest.min(key.len());
        self.longest = self.longest.max(key.len());
    }

    /// Notes more keys.
    pub(super) fn add_all(&mut self, keys: &BinaryArray) {
        (0..keys.len()).for_each(|row| self.add(keys.value(row)));
    }

    /// Notes the keys that another knows.
    pub(super) fn absorb(&mut self, other: &Common) {
        for position in 0..WINDOW {
            self.every[position] &= other.every[position];
            self.any[position] |= other.any[position];
        }
        self.shortest = self.shortest.min(other.shortest);
        self.longest = self.longest.max(other.longest);
    }

    /// Prefixes that tell these keys apart as well as eight bytes can.
    pub(super) fn prefixes(&self) -> Prefixes {
        let known = self.shortest.min(WINDOW);
        let mut differing = (0..known).filter(|p| self.every[*p] != self.any[*p]);
        let positions: Vec<usize> = differing.by_ref().take(PREFIX_BYTES).collect();
        let is_whole = differing.next().is_none() && self.longest <= known;
        if is_whole || positions.len() == PREFIX_BYTES {
            return Prefixes::new(positions, is_whole);
        }
        let more = known..known + PREFIX_BYTES - positions.len();
        Prefixes::new(positions.into_iter().chain(more).collect(), false)
    }
}

/// Takes a number from a key: numbers compare as the keys do, or are equal.
#[derive(Debug, Clone)]
pub(super) struct Prefixes {
    /// Positions of the bytes that are taken, at most eight.
    positions: Vec<usize>,
    /// The first of them if they are eight in a row.
    start: Option<usize>,
    /// Keys with the same number are equal before this position.
    rest: usize,
    /// Keys with the same number are equal.
    is_whole: bool,
}

impl Prefixes {
    fn new(positions: Vec<usize>, is_whole: bool) -> Self {
        let rest = positions.last().map_or(0, |last| last + 1);
        let is_row = positions.windows(2).all(|pair| pair[0] + 1 == pair[1]);
        let start =
            positions.first().copied().filter(|_| is_row && positions.len() == PREFIX_BYTES);
        Prefixes { positions, start, rest, is_whole }
    }

    /// Makes prefixes of the bytes from a position on into prefixes of whole keys.
    fn skip(&mut self, bytes: usize) {
        self.positions.iter_mut().for_each(|position| *position += bytes);
        self.start = self.start.map(|start| start + bytes);
        self.rest += bytes;
    }

    /// The number of a key. Zeros stand for bytes that it lacks: no key is the beginning of another,
    /// so two keys differ before either ends.
    #[inline]
    pub(super) fn of(&self, key: &[u8]) -> u64 {
        if let Some(start) = self.start
            && let Some(bytes) = key.get(start..).and_then(|key| key.first_chunk())
        {
            return u64::from_be_bytes(*bytes);
        }
        let mut prefix = [0; PREFIX_BYTES];
        for (byte, position) in prefix.iter_mut().zip(&self.positions) {
            *byte = key.get(*position).copied().unwrap_or(0);
        }
        u64::from_be_bytes(prefix)
    }

    /// The numbers of many keys.
    pub(super) fn of_all(&self, keys: &BinaryArray) -> Vec<u64> {
        (0..keys.len()).map(|row| self.of(keys.value(row))).collect()
    }

    /// What is left to compare of a key where numbers are equal; nothing if the keys are.
    #[inline]
    pub(super) fn rest<'a>(&self, key: &'a [u8]) -> &'a [u8] {
        if self.is_whole { &[] } else { key.get(self.rest..).unwrap_or_default() }
    }
}

/// Where a row is, and the prefix of its key.
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

    fn key<'a>(self, parts: &[&'a BinaryArray]) -> &'a [u8] {
        parts[self.part as usize].value(self.row as usize)
    }
}

/// Puts the rows of several parts, given by their keys, in order; only the first `limit` if there is
/// one. `common` is what these keys, and maybe others, have in common.
pub(super) fn sorted(parts: &[&BinaryArray], common: &Common, limit: Option<usize>) -> Vec<Entry> {
    let rows = parts.iter().map(|part| part.len()).sum();
    let prefixes = common.prefixes();
    let mut entries = Vec::with_capacity(rows);
    for (part, keys) in parts.iter().enumerate() {
        entries.extend((0..keys.len()).map(|row| {
            let prefix = prefixes.of(keys.value(row));
            Entry { prefix, part: part as u32, row: row as u32 }
        }));
    }
    if let Some(limit) = limit.filter(|limit| *limit < rows) {
        if limit > 0 {
            entries.select_nth_unstable_by(limit - 1, |a, b| {
                let rest = |entry: &Entry| prefixes.rest(entry.key(parts));
                a.prefix.cmp(&b.prefix).then_with(|| rest(a).cmp(rest(b)))
            });
        }
        entries.truncate(limit);
    }
    sort(&mut entries, parts, &prefixes, MOST_PREFIXES);
    entries
}

/// Sorts entries that have these prefixes.
fn sort(entries: &mut [Entry], parts: &[&BinaryArray], prefixes: &Prefixes, more_prefixes: usize) {
    entries.sort_unstable_by_key(|entry| entry.prefix);
    if prefixes.is_whole {
        return;
    }
    let rest = |entry: &Entry| prefixes.rest(entry.key(parts));
    for ties in entries.chunk_by_mut(|a, b| a.prefix == b.prefix) {
        if ties.len() < 2 {
            continue;
        }
        if ties.len() <= FEW_TIES || more_prefixes == 0 {
            ties.sort_unstable_by(|a, b| rest(a).cmp(rest(b)));
            continue;
        }
        let mut common = Common::default();
        ties.iter().for_each(|tie| common.add(rest(tie)));
        let mut next = common.prefixes();
        next.skip(prefixes.rest);
        ties.iter_mut().for_each(|tie| tie.prefix = next.of(tie.key(parts)));
        sort(ties, parts, &next, more_prefixes - 1);
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
        let mut common = Common::default();
        [&a, &b].into_iter().for_each(|keys| common.add_all(keys));
        let all = sorted(&[&a, &b], &common, None);
        let places: Vec<_> = all.iter().map(|entry| entry.place()).collect();
        assert_eq!(places, [(1, 1), (1, 3), (0, 1), (1, 2), (1, 0), (0, 0), (0, 2)]);
        for limit in 0..8 {
            let first = sorted(&[&a, &b], &common, Some(limit));
            let first: Vec<_> = first.iter().map(|entry| entry.place()).collect();
            assert_eq!(first, places[..limit.min(7)]);
        }
        assert!(sorted(&[], &Common::default(), None).is_empty());
    }

    #[test]
    fn rows_beyond_a_bound_are_told_by_the_first_column() {
        let rows = batch(&[
            (Some(1), Some("b")),
            (Some(9), Some("c")),
            (None, Some("a")),
            (Some(5), Some("bb")),
            (Some(5), None),
        ]);
        let keys = keys(&rows.schema());
        let bound = keys.of(&rows).unwrap().value(0).to_vec();
        let wanted = keys.maybe_up_to(&rows, &bound).unwrap();
        // NULLs are last. The row of the bound itself is among them.
        assert_eq!(wanted, BooleanArray::from(vec![true, false, true, false, false]));
    }

    fn common(keys: &[&[u8]]) -> Common {
        let mut common = Common::default();
        keys.iter().for_each(|key| common.add(key));
        common
    }

    #[test]
    fn prefixes_are_of_the_bytes_that_differ() {
        let prefixes = common(&[b"a1b2c", b"a3b4c"]).prefixes();
        assert_eq!((prefixes.positions.as_slice(), prefixes.is_whole), (&[1, 3][..], true));
        assert_eq!(prefixes.of(b"a1b2c"), u64::from_be_bytes(*b"12\0\0\0\0\0\0"));
        assert!(prefixes.rest(b"a1b2c").is_empty());

        // Ten bytes differ.
        let prefixes = common(&[b"-0123456789", b"-9876543210"]).prefixes();
        assert_eq!((prefixes.start, prefixes.rest, prefixes.is_whole), (Some(1), 9, false));
        assert_eq!(prefixes.of(b"-0123456789"), u64::from_be_bytes(*b"01234567"));
        assert_eq!(prefixes.rest(b"-0123456789"), b"89");

        // Keys of different lengths: whatever follows the shortest may differ.
        let prefixes = common(&[b"same 1", b"same 2 and more"]).prefixes();
        assert_eq!(prefixes.positions, [5, 6, 7, 8, 9, 10, 11, 12]);
        assert_eq!(prefixes.of(b"same 1"), u64::from_be_bytes(*b"1\0\0\0\0\0\0\0"));
        assert_eq!(prefixes.rest(b"same 2 and more"), b"re");

        // Equal keys, and keys of which too much is to be known.
        assert!(common(&[b"x", b"x"]).prefixes().is_whole);
        assert!(!common(&[&[b'x'; 65], &[b'x'; 65]]).prefixes().is_whole);

        let mut all = common(&[b"a1", b"a2"]);
        all.absorb(&common(&[b"b2"]));
        assert_eq!(all.prefixes().positions, [0, 1]);
    }

    /// Whatever keys have in common and however many of their prefixes are equal, the order is that
    /// of their bytes.
    #[test]
    fn random_keys_come_in_order() {
        let mut state = 7_u64;
        let mut random = |below: usize| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) as usize % below
        };
        for round in 0..200 {
            let shared = [0, 3, 60, 70, 300][random(5)];
            let width = 1 + random(24);
            let letters = 1 + random(4);
            let is_fixed = round % 2 == 0;
            let keys: Vec<Vec<u8>> = (0..random(3000))
                .map(|_| {
                    let length = if is_fixed { width } else { random(width) };
                    let own = (0..length).map(|_| b'b' + random(letters) as u8);
                    // The end makes no key the beginning of another.
                    let key = std::iter::repeat_n(b'x', shared).chain(own);
                    key.chain((!is_fixed).then_some(b'a')).collect()
                })
                .collect();
            let cut = random(keys.len() + 1);
            let parts = [&keys[..cut], &keys[cut..]].map(BinaryArray::from_iter_values);
            let mut common = Common::default();
            parts.iter().for_each(|part| common.add_all(part));
            let parts = [&parts[0], &parts[1]];
            let mut expected = keys.clone();
            expected.sort();
            for limit in [None, Some(random(keys.len() + 1))] {
                let entries = sorted(&parts, &common, limit);
                let found: Vec<&[u8]> = entries.iter().map(|entry| entry.key(&parts)).collect();
                assert_eq!(found, &expected[..limit.unwrap_or(keys.len())], "round {round}");
            }
        }
    }
}
