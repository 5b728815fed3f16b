//! Aggregates that keep the first rows of a group in some order: `arg_max`, `max_n` and their kin.

use std::collections::BinaryHeap;
use std::fmt;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, ListArray, MapArray, StructArray, UInt64Array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::{SortOptions, cast, take};
use arrow::datatypes::{DataType, Field};
use arrow::row::{RowConverter, RowParser, Rows, SortField};
use datafusion::common::{ScalarValue, internal_err};
use datafusion::error::Result;
use datafusion::logical_expr::{Accumulator, EmitTo, GroupsAccumulator};

use super::super::rows::converted;
use super::args::passed;

/// What the allocator adds to a row of its own, and a heap to each of its rows.
const ROW_BYTES: usize = 32;

/// What is given of the rows that are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Given {
    /// The last column of the only row.
    One,
    /// The last column of all, as a list.
    List,
    /// A map from the first column to the second one.
    Map,
}

/// In which order rows are ranked, and how many of a group are kept.
pub(super) struct Ranking {
    /// The places of the columns among the arguments, the first to compare first.
    columns: Vec<usize>,
    types: Vec<DataType>,
    /// Rows are dropped if one of so many first columns is NULL.
    required: usize,
    converter: RowConverter,
    parser: RowParser,
    most: usize,
    given: Given,
    result: DataType,
}

/// A column of a ranking: its place among the arguments, its type and its order.
pub(super) type RankedColumn = (usize, DataType, SortOptions);

impl fmt::Debug for Ranking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the first {} by {:?}", self.most, self.types)
    }
}

impl Ranking {
    pub(super) fn new(
        columns: Vec<RankedColumn>,
        required: usize,
        most: usize,
        given: Given,
        result: DataType,
    ) -> Result<Self> {
        let fields = columns.iter().map(|(_, data_type, options)| {
            SortField::new_with_options(data_type.clone(), *options)
        });
        let converter = RowConverter::new(fields.collect())?;
        let parser = converter.parser();
        let types = columns.iter().map(|(_, data_type, _)| data_type.clone()).collect();
        let columns = columns.into_iter().map(|(place, ..)| place).collect();
        Ok(Ranking { columns, types, required, converter, parser, most, given, result })
    }

    fn keeps_one(&self) -> bool {
        self.given == Given::One
    }

    /// The columns to rank by, of the arguments.
    fn of_arguments(&self, arguments: &[ArrayRef]) -> Vec<ArrayRef> {
        self.columns.iter().map(|place| Arc::clone(&arguments[*place])).collect()
    }

    /// The rows to look at; `None` for all.
    fn valid(&self, columns: &[ArrayRef], filter: Option<&BooleanArray>) -> Option<NullBuffer> {
        let passed = filter.map(passed);
        let nulls = columns[..self.required].iter().map(|column| column.logical_nulls());
        let valid =
            nulls.fold(passed, |all, nulls| NullBuffer::union(all.as_ref(), nulls.as_ref()));
        valid.filter(|valid| valid.null_count() > 0)
    }

    fn rows(&self, columns: &[ArrayRef]) -> Result<Rows> {
        converted(&self.converter, columns)
    }

    fn nothing(&self) -> Kept {
        if self.keeps_one() { Kept::One(None) } else { Kept::Several(BinaryHeap::new()) }
    }

    /// The columns of rows.
    fn decoded<'a>(&self, rows: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<ArrayRef>> {
        let rows: Vec<_> = rows.into_iter().map(|row| self.parser.parse(row)).collect();
        Ok(self.converter.convert_rows(rows)?)
    }

    /// The columns of the row of each group, NULL for a group of none.
    fn columns_of_ones(&self, groups: &[Kept]) -> Result<Vec<ArrayRef>> {
        let columns = self.decoded(groups.iter().filter_map(Kept::first))?;
        let mut next = 0_u64;
        let places = groups.iter().map(|kept| {
            let place = next;
            kept.first().map(|_| {
                next += 1;
                place
            })
        });
        let places: UInt64Array = places.collect();
        columns.iter().map(|column| Ok(take(column, &places, None)?)).collect()
    }

    /// The columns of the rows of all groups in their order, and where each group ends.
    fn columns_of_several(&self, groups: &[Kept]) -> Result<(Vec<ArrayRef>, Lists)> {
        let sorted: Vec<_> = groups.iter().map(Kept::sorted).collect();
        let lists = Lists::of(sorted.iter().map(Vec::len));
        Ok((self.decoded(sorted.into_iter().flatten())?, lists))
    }

    /// A value for each group.
    fn results(&self, groups: &[Kept]) -> Result<ArrayRef> {
        if self.keeps_one() {
            return last(self.columns_of_ones(groups)?);
        }
        let (columns, lists) = self.columns_of_several(groups)?;
        match (&self.result, self.given) {
            (DataType::Map(entries, ordered), Given::Map) => {
                let DataType::Struct(fields) = entries.data_type() else {
                    return internal_err!("a map of no entries");
                };
                let entry_columns = columns.iter().zip(fields);
                let entry_columns = entry_columns
                    .map(|(column, field)| Ok(cast(column, field.data_type())?))
                    .collect::<Result<Vec<_>>>()?;
                let values = StructArray::try_new(fields.clone(), entry_columns, None)?;
                let Lists { offsets, nulls } = lists;
                let entries = Arc::clone(entries);
                Ok(Arc::new(MapArray::try_new(entries, offsets, values, nulls, *ordered)?))
            }
            _ => lists.over(last(columns)?),
        }
    }

    /// The columns of the state.
    fn states(&self, groups: &[Kept]) -> Result<Vec<ArrayRef>> {
        if self.keeps_one() {
            return self.columns_of_ones(groups);
        }
        let (columns, lists) = self.columns_of_several(groups)?;
        columns.into_iter().map(|column| lists.clone().over(column)).collect()
    }

    /// Calls a function for each row of states, with the place of its state.
    fn for_each_of_states(
        &self,
        states: &[ArrayRef],
        mut row: impl FnMut(usize, &[u8]),
    ) -> Result<()> {
        if self.keeps_one() {
            let valid = self.valid(states, None);
            for (at, one) in self.rows(states)?.iter().enumerate() {
                if valid.as_ref().is_none_or(|valid| valid.is_valid(at)) {
                    row(at, one.data());
                }
            }
            return Ok(());
        }
        let lists: Vec<_> = states.iter().map(|state| state.as_list::<i32>()).collect();
        for at in 0..lists[0].len() {
            if lists[0].is_null(at) {
                continue;
            }
            let columns: Vec<_> = lists.iter().map(|list| list.value(at)).collect();
            for one in &self.rows(&columns)? {
                row(at, one.data());
            }
        }
        Ok(())
    }
}

fn last(mut columns: Vec<ArrayRef>) -> Result<ArrayRef> {
    match columns.pop() {
        Some(column) => Ok(column),
        None => internal_err!("a ranking by no column"),
    }
}

/// Where the lists of groups end; those of groups without rows are NULL.
#[derive(Clone)]
struct Lists {
    offsets: OffsetBuffer<i32>,
    nulls: Option<NullBuffer>,
}

impl Lists {
    fn of(lengths: impl Iterator<Item = usize> + Clone) -> Self {
        let nulls = lengths.clone().map(|length| length > 0).collect();
        Lists { offsets: OffsetBuffer::from_lengths(lengths), nulls: Some(nulls) }
    }

    fn over(self, values: ArrayRef) -> Result<ArrayRef> {
        let field = Arc::new(Field::new_list_field(values.data_type().clone(), true));
        Ok(Arc::new(ListArray::try_new(field, self.offsets, values, self.nulls)?))
    }
}

/// The first rows of a group, as bytes that compare as the rows do.
#[derive(Debug, Clone)]
enum Kept {
    One(Option<Box<[u8]>>),
    /// The last of them on top.
    Several(BinaryHeap<Box<[u8]>>),
}

impl Kept {
    /// Keeps the row if it is among the first; gives the bytes that are held more or less than
    /// before.
    fn offer(&mut self, row: &[u8], most: usize) -> isize {
        let signed = |bytes: usize| isize::try_from(bytes).unwrap_or(isize::MAX);
        let replaced = |held: &mut Box<[u8]>| {
            let before = held.len();
            if before == row.len() {
                held.copy_from_slice(row);
            } else {
                *held = row.into();
            }
            signed(row.len()) - signed(before)
        };
        match self {
            Kept::One(Some(best)) if row < best.as_ref() => replaced(best),
            Kept::One(Some(_)) => 0,
            Kept::One(none) => {
                *none = Some(row.into());
                signed(row.len() + ROW_BYTES)
            }
            Kept::Several(rows) if rows.len() < most => {
                rows.push(row.into());
                signed(row.len() + ROW_BYTES)
            }
            Kept::Several(rows) => match rows.peek_mut() {
                Some(mut last) if row < last.as_ref() => replaced(&mut last),
                _ => 0,
            },
        }
    }

    fn first(&self) -> Option<&[u8]> {
        match self {
            Kept::One(row) => row.as_deref(),
            Kept::Several(rows) => rows.iter().map(AsRef::as_ref).min(),
        }
    }

    fn sorted(&self) -> Vec<&[u8]> {
        match self {
            Kept::One(row) => row.as_deref().into_iter().collect(),
            Kept::Several(rows) => {
                let mut rows: Vec<&[u8]> = rows.iter().map(AsRef::as_ref).collect();
                rows.sort_unstable();
                rows
            }
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Kept::One(row) => row.iter().map(|row| row.len() + ROW_BYTES).sum(),
            Kept::Several(rows) => rows.iter().map(|row| row.len() + ROW_BYTES).sum(),
        }
    }
}

/// All groups of a hash table.
#[derive(Debug)]
pub(super) struct BestGroups {
    ranking: Ranking,
    groups: Vec<Kept>,
    row_bytes: usize,
}

impl BestGroups {
    pub(super) fn new(ranking: Ranking) -> Self {
        BestGroups { ranking, groups: Vec::new(), row_bytes: 0 }
    }

    fn grow(&mut self, groups: usize) {
        let nothing = self.ranking.nothing();
        self.groups.resize(groups, nothing);
    }

    fn add(
        &mut self,
        values: &[ArrayRef],
        filter: Option<&BooleanArray>,
        group: impl Fn(usize) -> usize,
    ) -> Result<()> {
        let columns = self.ranking.of_arguments(values);
        let valid = self.ranking.valid(&columns, filter);
        let mut bytes = 0;
        for (at, row) in self.ranking.rows(&columns)?.iter().enumerate() {
            if valid.as_ref().is_none_or(|valid| valid.is_valid(at)) {
                bytes += self.groups[group(at)].offer(row.data(), self.ranking.most);
            }
        }
        self.row_bytes = self.row_bytes.saturating_add_signed(bytes);
        Ok(())
    }

    fn merge(&mut self, states: &[ArrayRef], group: impl Fn(usize) -> usize) -> Result<()> {
        let mut bytes = 0;
        let (ranking, groups) = (&self.ranking, &mut self.groups);
        ranking.for_each_of_states(states, |at, row| {
            bytes += groups[group(at)].offer(row, ranking.most);
        })?;
        self.row_bytes = self.row_bytes.saturating_add_signed(bytes);
        Ok(())
    }

    fn taken(&mut self, emit_to: EmitTo) -> Vec<Kept> {
        let taken = emit_to.take_needed(&mut self.groups);
        let bytes: usize = taken.iter().map(Kept::bytes).sum();
        self.row_bytes = self.row_bytes.saturating_sub(bytes);
        taken
    }
}

impl GroupsAccumulator for BestGroups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.grow(total_num_groups);
        self.add(values, filter, |at| group_indices[at])
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let groups = self.taken(emit_to);
        self.ranking.results(&groups)
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let groups = self.taken(emit_to);
        self.ranking.states(&groups)
    }

    fn merge_batch(
        &mut self,
        states: &[ArrayRef],
        group_indices: &[usize],
        total_num_groups: usize,
    ) -> Result<()> {
        self.grow(total_num_groups);
        self.merge(states, |at| group_indices[at])
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        let columns = self.ranking.of_arguments(values);
        let valid = self.ranking.valid(&columns, filter);
        let is_valid = |at: &usize| valid.as_ref().is_none_or(|valid| valid.is_valid(*at));
        let rows = 0..columns[0].len();
        let one = self.ranking.keeps_one();
        let places: UInt64Array = if one {
            rows.clone().map(|at| is_valid(&at).then_some(at as u64)).collect()
        } else {
            rows.clone().filter(is_valid).map(|at| Some(at as u64)).collect()
        };
        let lists = Lists::of(rows.map(|at| usize::from(is_valid(&at))));
        let state = |column: &ArrayRef| {
            let taken = take(column, &places, None)?;
            if one { Ok(taken) } else { lists.clone().over(taken) }
        };
        columns.iter().map(state).collect()
    }

    fn size(&self) -> usize {
        self.ranking.converter.size() + self.groups.capacity() * size_of::<Kept>() + self.row_bytes
    }
}

/// One group.
#[derive(Debug)]
pub(super) struct BestAccumulator(BestGroups);

impl BestAccumulator {
    pub(super) fn new(ranking: Ranking) -> Self {
        let mut groups = BestGroups::new(ranking);
        groups.grow(1);
        BestAccumulator(groups)
    }
}

impl Accumulator for BestAccumulator {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.0.add(values, None, |_| 0)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let results = self.0.ranking.results(&self.0.groups)?;
        ScalarValue::try_from_array(&results, 0)
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.0.size()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let states = self.0.ranking.states(&self.0.groups)?;
        states.iter().map(|state| ScalarValue::try_from_array(state, 0)).collect()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.0.merge(states, |_| 0)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, StringArray};
    use arrow::compute::SortOptions;
    use arrow::datatypes::DataType;
    use datafusion::logical_expr::{EmitTo, GroupsAccumulator};

    use super::super::args::list_of;
    use super::{BestGroups, Given, Ranking};

    /// Groups that keep texts by the largest numbers: one each, or up to two.
    fn groups(most: usize) -> BestGroups {
        let order = |descending| SortOptions { descending, nulls_first: false };
        let columns = vec![(1, DataType::Int64, order(true)), (0, DataType::Utf8, order(false))];
        let (given, result) = match most {
            1 => (Given::One, DataType::Utf8),
            _ => (Given::List, list_of(DataType::Utf8)),
        };
        BestGroups::new(Ranking::new(columns, 2, most, given, result).unwrap())
    }

    fn arguments() -> Vec<ArrayRef> {
        let texts =
            StringArray::from(vec![Some("c"), Some("b"), Some("a"), None, Some("e"), Some("d")]);
        let numbers = Int64Array::from(vec![Some(1), Some(7), Some(7), Some(9), None, Some(-1)]);
        vec![Arc::new(texts), Arc::new(numbers)]
    }

    const GROUPS: [usize; 6] = [0, 0, 0, 0, 1, 2];

    fn one(array: &ArrayRef) -> Vec<Option<&str>> {
        array.as_string::<i32>().iter().collect()
    }

    fn lists(array: &ArrayRef) -> Vec<Option<Vec<String>>> {
        let texts = |list: ArrayRef| {
            list.as_string::<i32>().iter().flatten().map(ToString::to_string).collect()
        };
        array.as_list::<i32>().iter().map(|list| list.map(texts)).collect()
    }

    #[test]
    fn the_best_row_is_kept_and_of_several_the_smallest() {
        let mut groups = groups(1);
        groups.update_batch(&arguments(), &GROUPS, None, 4).unwrap();
        let results = groups.evaluate(EmitTo::First(2)).unwrap();
        assert_eq!(one(&results), [Some("a"), None]);
        let results = groups.evaluate(EmitTo::All).unwrap();
        assert_eq!(one(&results), [Some("d"), None]);
        assert_eq!(groups.row_bytes, 0);
    }

    #[test]
    fn rows_that_a_filter_drops_do_not_count() {
        for filter in [
            vec![Some(true), Some(true), Some(false), Some(true), Some(true), Some(false)],
            vec![Some(true), Some(true), None, Some(true), Some(true), None],
        ] {
            let filter = BooleanArray::from(filter);
            let mut groups = groups(1);
            groups.update_batch(&arguments(), &GROUPS, Some(&filter), 3).unwrap();
            assert_eq!(one(&groups.evaluate(EmitTo::All).unwrap()), [Some("b"), None, None]);
        }
    }

    #[test]
    fn states_of_parts_and_of_rows_make_the_whole() {
        for most in [1, 2] {
            let mut whole = groups(most);
            whole.update_batch(&arguments(), &GROUPS, None, 3).unwrap();
            let mut part = groups(most);
            part.update_batch(&arguments(), &GROUPS, None, 3).unwrap();
            let states = part.state(EmitTo::All).unwrap();
            let mut merged = groups(most);
            merged.merge_batch(&states, &[0, 1, 2], 3).unwrap();
            let mut of_rows = groups(most);
            let states = of_rows.convert_to_state(&arguments(), None).unwrap();
            assert!(states.iter().all(|state| state.len() == GROUPS.len()));
            of_rows.merge_batch(&states, &GROUPS, 3).unwrap();
            let expected = whole.evaluate(EmitTo::All).unwrap();
            if most == 2 {
                let texts = |texts: [&str; 2]| Some(texts.map(str::to_string).to_vec());
                let few = Some(vec!["d".to_string()]);
                assert_eq!(lists(&expected), [texts(["a", "b"]), None, few]);
            }
            assert_eq!(&merged.evaluate(EmitTo::All).unwrap(), &expected);
            assert_eq!(&of_rows.evaluate(EmitTo::All).unwrap(), &expected);
        }
    }

    #[test]
    fn size_follows_the_rows() {
        let mut groups = groups(2);
        let empty = groups.size();
        groups.update_batch(&arguments(), &GROUPS, None, 3).unwrap();
        assert!(groups.size() >= empty + 3 * 10, "{}", groups.size());
    }
}
