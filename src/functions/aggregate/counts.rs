//! How often which rows are there: what the aggregates keep whose result depends on every value.

use std::cmp::Reverse;
use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, UInt64Array};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::SortOptions;
use arrow::datatypes::{DataType, Field, FieldRef, UInt64Type};
use arrow::row::{Row, RowConverter, RowParser, SortField};
use datafusion::common::{HashMap, ScalarValue, internal_err};
use datafusion::error::Result;
use datafusion::logical_expr::utils::format_state_name;

use super::super::rows::converted;
use super::index::{Blocks, Index, Order, at};

/// What a place in the table takes besides the bytes of its row: the entry, its share of empty
/// places, and what the allocator adds.
const ENTRY_BYTES: usize = 56;

/// Distinct rows of a few columns with how often each is there.
///
/// Rows are kept as bytes that compare as the rows do.
pub(crate) struct Counts {
    converter: RowConverter,
    parser: RowParser,
    types: Vec<DataType>,
    /// Rows are dropped if one of so many first columns is NULL.
    required: usize,
    /// Whether a row counts once, however often it is there.
    distinct: bool,
    counts: HashMap<Box<[u8]>, u64>,
    row_bytes: usize,
    /// The rows in an order, once it is kept.
    index: Option<Index>,
}

impl fmt::Debug for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} rows of {:?}", self.counts.len(), self.types)
    }
}

impl Counts {
    /// Of rows of these columns in ascending order, without those that have a NULL.
    pub(super) fn of_fields(fields: &[FieldRef]) -> Result<Self> {
        let columns = fields.iter().map(|field| {
            (field.data_type().clone(), SortOptions { descending: false, nulls_first: false })
        });
        Counts::new(columns.collect(), fields.len())
    }

    /// Of rows of these columns in this order, without those that have a NULL in one of the first
    /// `required`.
    pub(super) fn new(columns: Vec<(DataType, SortOptions)>, required: usize) -> Result<Self> {
        let types = columns.iter().map(|(data_type, _)| data_type.clone()).collect();
        let fields = columns
            .into_iter()
            .map(|(data_type, options)| SortField::new_with_options(data_type, options));
        let converter = RowConverter::new(fields.collect())?;
        let parser = converter.parser();
        let counts = HashMap::default();
        let (distinct, row_bytes, index) = (false, 0, None);
        Ok(Counts { converter, parser, types, required, distinct, counts, row_bytes, index })
    }

    /// The same, of which each row counts once.
    pub(super) fn distinct(self, distinct: bool) -> Self {
        Counts { distinct, ..self }
    }

    /// The state: a list for each column and one of the numbers.
    pub(crate) fn state_fields(name: &str, columns: &[FieldRef]) -> Vec<FieldRef> {
        let list = |part: &str, data_type: DataType| {
            let item = Arc::new(Field::new_list_field(data_type, true));
            Arc::new(Field::new(format_state_name(name, part), DataType::List(item), true))
        };
        let columns = columns.iter().enumerate();
        let columns =
            columns.map(|(at, column)| list(&format!("values{at}"), column.data_type().clone()));
        columns.chain([list("counts", DataType::UInt64)]).collect()
    }

    /// The rows that have no NULL among the required columns.
    fn valid(&self, columns: &[ArrayRef]) -> Option<NullBuffer> {
        let nulls = columns[..self.required].iter().map(|column| column.logical_nulls());
        nulls.fold(None, |all, nulls| NullBuffer::union(all.as_ref(), nulls.as_ref()))
    }

    pub(super) fn add(&mut self, columns: &[ArrayRef]) -> Result<()> {
        self.add_times(columns, |_| 1)
    }

    /// Adds each row as often as the function says of its place.
    fn add_times(&mut self, columns: &[ArrayRef], times: impl Fn(usize) -> u64) -> Result<()> {
        let columns = &columns[..self.types.len()];
        let valid = self.valid(columns);
        let rows = converted(&self.converter, columns)?;
        for (at, row) in rows.iter().enumerate() {
            if valid.as_ref().is_some_and(|valid| valid.is_null(at)) {
                continue;
            }
            let row = row.data();
            let before = match self.counts.get_mut(row) {
                Some(count) => {
                    *count += times(at);
                    *count - times(at)
                }
                None => {
                    self.row_bytes += row.len();
                    self.counts.insert(row.into(), times(at));
                    0
                }
            };
            self.changed(row, before, before + times(at));
        }
        Ok(())
    }

    /// Follows a change of how often a row is there.
    fn changed(&mut self, row: &[u8], before: u64, after: u64) {
        let most = if self.distinct { 1 } else { u64::MAX };
        if let Some(index) = &mut self.index {
            index.change(row, before.min(most), after.min(most));
        }
    }

    /// Keeps the rows in an order from now on.
    pub(super) fn keep(&mut self, order: Order) {
        if self.index.is_none() {
            let mut index = Index::new(order);
            self.iter().for_each(|(row, count)| index.change(row, 0, count));
            self.index = Some(index);
        }
    }

    /// Takes rows back that were added before.
    pub(super) fn remove(&mut self, columns: &[ArrayRef]) -> Result<()> {
        let columns = &columns[..self.types.len()];
        let valid = self.valid(columns);
        let rows = converted(&self.converter, columns)?;
        for (at, row) in rows.iter().enumerate() {
            if valid.as_ref().is_some_and(|valid| valid.is_null(at)) {
                continue;
            }
            let row = row.data();
            let before = match self.counts.get_mut(row) {
                Some(count) if *count > 1 => {
                    *count -= 1;
                    *count + 1
                }
                Some(_) => {
                    self.row_bytes -= row.len();
                    self.counts.remove(row);
                    1
                }
                None => return internal_err!("a row leaves that was never added"),
            };
            self.changed(row, before, before - 1);
        }
        Ok(())
    }

    /// The rows, as bytes that compare as they do, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], u64)> {
        let once = self.distinct;
        self.counts.iter().map(move |(row, count)| (row.as_ref(), if once { 1 } else { *count }))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// The most frequent rows, so many; of those that are there as often, the smallest.
    pub(super) fn most_frequent(&self, n: usize) -> Vec<&[u8]> {
        fn by_count<'a>((row, count): &(&'a [u8], u64)) -> (Reverse<u64>, &'a [u8]) {
            (Reverse(*count), row)
        }
        if let Some(Index::ByCount(rows)) = &self.index {
            return rows.iter().take(n).map(|(_, row)| row.as_ref()).collect();
        }
        if n == 1 {
            return self.iter().min_by_key(by_count).map(|(row, _)| row).into_iter().collect();
        }
        let mut rows: Vec<_> = self.iter().collect();
        rows.sort_unstable_by_key(by_count);
        rows.into_iter().take(n).map(|(row, _)| row).collect()
    }

    /// The smallest row.
    pub(super) fn first(&self) -> Option<&[u8]> {
        match &self.index {
            Some(Index::ByValue(rows)) => rows.at(0),
            _ => self.iter().map(|(row, _)| row).min(),
        }
    }

    /// The rows by their places.
    pub(super) fn places(&self) -> Places<'_> {
        match &self.index {
            Some(Index::ByValue(rows)) => Places::Kept(rows),
            _ => Places::Sorted(self.sorted_rows()),
        }
    }

    /// The rows in order.
    pub(super) fn sorted_rows(&self) -> Vec<(&[u8], u64)> {
        let mut rows: Vec<_> = self.iter().collect();
        rows.sort_unstable();
        rows
    }

    /// The columns of rows from their bytes.
    pub(super) fn columns<'a>(
        &'a self,
        rows: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Vec<ArrayRef>> {
        let rows = rows.into_iter().map(|row| -> Row<'a> { self.parser.parse(row) });
        Ok(self.converter.convert_rows(rows)?)
    }

    /// The rows in order, and how often each is there.
    pub(super) fn sorted(&self) -> Result<(Vec<ArrayRef>, Vec<u64>)> {
        let rows = self.sorted_rows();
        let columns = self.columns(rows.iter().map(|(row, _)| *row))?;
        Ok((columns, rows.into_iter().map(|(_, count)| count).collect()))
    }

    pub(super) fn state(&self) -> Result<Vec<ScalarValue>> {
        let columns = self.columns(self.iter().map(|(row, _)| row))?;
        let counts = UInt64Array::from_iter_values(self.counts.values().copied());
        let columns = columns.into_iter().chain([Arc::new(counts) as ArrayRef]);
        Ok(columns.map(list_of_all).collect())
    }

    pub(super) fn merge(&mut self, states: &[ArrayRef]) -> Result<()> {
        let lists: Vec<_> = states.iter().map(|state| state.as_list::<i32>()).collect();
        for at in 0..lists[0].len() {
            let mut columns: Vec<_> = lists.iter().map(|list| list.value(at)).collect();
            let Some(counts) = columns.pop() else { return internal_err!("a state of no lists") };
            let counts = counts.as_primitive::<UInt64Type>();
            self.add_times(&columns, |row| counts.value(row))?;
        }
        Ok(())
    }

    /// Bytes on the heap.
    pub(super) fn size(&self) -> usize {
        let of_rows = self.row_bytes + self.counts.capacity() * ENTRY_BYTES;
        let copies = if self.index.is_some() { 2 } else { 1 };
        self.converter.size() + of_rows * copies
    }
}

/// Rows in order, each as often as it is there.
pub(super) enum Places<'a> {
    Sorted(Vec<(&'a [u8], u64)>),
    Kept(&'a Blocks),
}

impl<'a> Places<'a> {
    /// How many there are.
    pub(super) fn total(&self) -> u64 {
        match self {
            Places::Sorted(rows) => rows.iter().map(|(_, count)| count).sum(),
            Places::Kept(rows) => rows.total(),
        }
    }

    /// The row at a place that is less than [`Places::total`].
    pub(super) fn at(&self, place: u64) -> &'a [u8] {
        let row = match self {
            Places::Sorted(rows) => at(rows, place).copied(),
            Places::Kept(rows) => rows.at(place),
        };
        row.unwrap_or_default()
    }
}

/// A list of all values of an array.
pub(super) fn list_of_all(values: ArrayRef) -> ScalarValue {
    let field = Arc::new(Field::new_list_field(values.data_type().clone(), true));
    let offsets = OffsetBuffer::from_lengths([values.len()]);
    ScalarValue::List(Arc::new(ListArray::new(field, offsets, values, None)))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, StringArray};
    use arrow::datatypes::{DataType, Field};
    use datafusion::common::ScalarValue;

    use super::super::index::Order;
    use super::Counts;

    fn columns(rows: &[(Option<&str>, Option<i64>)]) -> Vec<ArrayRef> {
        let texts: StringArray = rows.iter().map(|(text, _)| *text).collect();
        let numbers: Int64Array = rows.iter().map(|(_, number)| *number).collect();
        vec![Arc::new(texts), Arc::new(numbers)]
    }

    fn counts(rows: &[(Option<&str>, Option<i64>)]) -> Counts {
        let field = |name, data_type| Arc::new(Field::new(name, data_type, true));
        let fields = [field("t", DataType::Utf8), field("n", DataType::Int64)];
        let mut counts = Counts::of_fields(&fields).unwrap();
        counts.add(&columns(rows)).unwrap();
        counts
    }

    fn states(counts: &Counts) -> Vec<ArrayRef> {
        let lists = counts.state().unwrap();
        lists.iter().map(|list: &ScalarValue| list.to_array().unwrap()).collect()
    }

    #[test]
    fn rows_are_counted_merged_and_taken_back() {
        let mut all = counts(&[(Some("b"), Some(1)), (Some("a"), None), (Some("b"), Some(1))]);
        all.merge(&states(&counts(&[(Some("a"), Some(7)), (Some("b"), Some(1))]))).unwrap();
        all.merge(&states(&counts(&[]))).unwrap();
        let (values, times) = all.sorted().unwrap();
        assert_eq!(values, columns(&[(Some("a"), Some(7)), (Some("b"), Some(1))]));
        assert_eq!(times, [1, 3]);
        all.remove(&columns(&[(Some("b"), Some(1)), (None, Some(1)), (Some("a"), Some(7))]))
            .unwrap();
        let (values, times) = all.sorted().unwrap();
        assert_eq!((values, times), (columns(&[(Some("b"), Some(1))]), vec![2]));
        all.remove(&columns(&[(Some("x"), Some(0))])).unwrap_err();
    }

    #[test]
    fn an_order_that_is_kept_is_that_of_the_rows() {
        let letters = ["d", "a", "b", "d", "c", "b", "d", "a"];
        let row = |at: usize| (Some(letters[at]), Some(1));
        for (order, distinct) in
            [(Order::Count, false), (Order::Value, false), (Order::Value, true)]
        {
            let (mut kept, mut plain) = (counts(&[]), counts(&[]));
            (kept, plain) = (kept.distinct(distinct), plain.distinct(distinct));
            kept.add(&columns(&[row(0)])).unwrap();
            plain.add(&columns(&[row(0)])).unwrap();
            kept.keep(order);
            for at in 1..letters.len() {
                for counts in [&mut kept, &mut plain] {
                    counts.add(&columns(&[row(at)])).unwrap();
                    if at >= 4 {
                        counts.remove(&columns(&[row(at - 4)])).unwrap();
                    }
                }
                assert_eq!(kept.most_frequent(1), plain.most_frequent(1));
                assert_eq!(kept.most_frequent(3), plain.most_frequent(3));
                assert_eq!(kept.first(), plain.first());
                let (kept, plain) = (kept.places(), plain.places());
                assert_eq!(kept.total(), plain.total());
                for place in 0..plain.total() {
                    assert_eq!(kept.at(place), plain.at(place));
                }
            }
        }
    }

    #[test]
    fn size_grows_with_the_rows() {
        let long = "x".repeat(1000);
        assert!(counts(&[(Some(&long), Some(1))]).size() > counts(&[]).size() + 1000);
    }
}
