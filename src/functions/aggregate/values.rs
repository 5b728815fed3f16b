//! Quantiles of numbers and times, whose values are kept as they come and partly sorted in the end.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::fmt;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowNativeTypeOp, ArrowPrimitiveType, AsArray, BooleanArray, ListArray,
    PrimitiveArray, UInt64Array, downcast_primitive,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field};
use datafusion::common::{ScalarValue, exec_err};
use datafusion::error::Result;
use datafusion::logical_expr::{Accumulator, EmitTo, GroupsAccumulator};

use super::args::passed;
use super::result::Fraction;

/// The accumulator of one group; `None` for values of other types.
pub(super) fn accumulator(
    data_type: &DataType,
    fraction: Fraction,
) -> Option<Box<dyn Accumulator>> {
    macro_rules! of_type {
        ($value:ty) => {{
            let mut values = Values::<$value>::new(data_type, fraction);
            values.groups.push(Vec::new());
            let one = OneGroup { values, halves: None, evaluated: false };
            Some(Box::new(one) as Box<dyn Accumulator>)
        }};
    }
    downcast_primitive! {
        data_type => (of_type),
        _ => None
    }
}

/// The accumulator of all groups; `None` for values of other types.
pub(super) fn groups_accumulator(
    data_type: &DataType,
    fraction: Fraction,
) -> Option<Box<dyn GroupsAccumulator>> {
    macro_rules! of_type {
        ($value:ty) => {
            Some(Box::new(Values::<$value>::new(data_type, fraction)) as Box<dyn GroupsAccumulator>)
        };
    }
    downcast_primitive! {
        data_type => (of_type),
        _ => None
    }
}

/// The values of groups.
///
/// A state is a list of values and, in the place of their counts, an empty list: each counts once.
struct Values<T: ArrowPrimitiveType> {
    data_type: DataType,
    fraction: Fraction,
    groups: Vec<Vec<T::Native>>,
    /// Bytes of the values of all groups.
    held_bytes: usize,
}

impl<T: ArrowPrimitiveType> fmt::Debug for Values<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} of {} in {} groups", self.fraction, self.data_type, self.groups.len())
    }
}

impl<T: ArrowPrimitiveType> Values<T> {
    fn new(data_type: &DataType, fraction: Fraction) -> Self {
        Values { data_type: data_type.clone(), fraction, groups: Vec::new(), held_bytes: 0 }
    }

    /// Adds values to a group.
    fn extend(&mut self, group: usize, values: &[T::Native]) {
        let kept = &mut self.groups[group];
        let before = kept.capacity();
        kept.extend_from_slice(values);
        self.held_bytes += (kept.capacity() - before) * size_of::<T::Native>();
    }

    fn add(
        &mut self,
        values: &ArrayRef,
        filter: Option<&BooleanArray>,
        group: impl Fn(usize) -> usize,
    ) {
        let values = values.as_primitive::<T>();
        for at in valid_places(values, filter) {
            self.extend(group(at), &[values.value(at)]);
        }
    }

    fn merge(&mut self, states: &[ArrayRef], group: impl Fn(usize) -> usize) {
        let lists = states[0].as_list::<i32>();
        let values = lists.values().as_primitive::<T>().values();
        for (at, ends) in lists.value_offsets().windows(2).enumerate() {
            if lists.is_valid(at) {
                self.extend(group(at), &values[ends[0] as usize..ends[1] as usize]);
            }
        }
    }

    fn taken(&mut self, emit_to: EmitTo) -> Vec<Vec<T::Native>> {
        let taken = emit_to.take_needed(&mut self.groups);
        let held: usize = taken.iter().map(Vec::capacity).sum();
        self.held_bytes = self.held_bytes.saturating_sub(held * size_of::<T::Native>());
        taken
    }

    fn array(&self, values: PrimitiveArray<T>) -> ArrayRef {
        Arc::new(values.with_data_type(self.data_type.clone()))
    }

    /// The quantile of each group. The values change places.
    fn results(&self, groups: &mut [Vec<T::Native>]) -> ArrayRef {
        let quantile = |values: &mut Vec<T::Native>| {
            let total = values.len() as u64;
            let place = (total > 0).then(|| self.fraction.discrete(total) as usize)?;
            Some(*values.select_nth_unstable_by(place, |a, b| a.compare(*b)).1)
        };
        self.array(groups.iter_mut().map(quantile).collect())
    }

    /// The state of groups of these sizes, whose values follow each other.
    fn state_of(
        &self,
        values: Vec<T::Native>,
        sizes: impl ExactSizeIterator<Item = usize>,
    ) -> Result<Vec<ArrayRef>> {
        if i32::try_from(values.len()).is_err() {
            return exec_err!("a state of {} values is too large", values.len());
        }
        let list = |offsets, values: ArrayRef| {
            let item = Arc::new(Field::new_list_field(values.data_type().clone(), true));
            ListArray::try_new(item, offsets, values, None)
        };
        let states = sizes.len();
        let values = self.array(PrimitiveArray::from_iter_values(values));
        let values = list(OffsetBuffer::from_lengths(sizes), values)?;
        let no_counts: ArrayRef = Arc::new(UInt64Array::from(Vec::<u64>::new()));
        let counts = list(OffsetBuffer::new_zeroed(states), no_counts)?;
        Ok(vec![Arc::new(values), Arc::new(counts)])
    }

    fn state_of_groups(&self, groups: &[Vec<T::Native>]) -> Result<Vec<ArrayRef>> {
        self.state_of(groups.concat(), groups.iter().map(Vec::len))
    }
}

/// The rows that have a value and pass the filter.
fn valid_places<T: ArrowPrimitiveType>(
    values: &PrimitiveArray<T>,
    filter: Option<&BooleanArray>,
) -> Vec<usize> {
    let passed = filter.map(passed);
    match NullBuffer::union(values.nulls(), passed.as_ref()) {
        Some(valid) => valid.valid_indices().collect(),
        None => (0..values.len()).collect(),
    }
}

impl<T: ArrowPrimitiveType> GroupsAccumulator for Values<T> {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.groups.resize_with(total_num_groups, Vec::new);
        self.add(&values[0], filter, |at| group_indices[at]);
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let mut groups = self.taken(emit_to);
        Ok(self.results(&mut groups))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let groups = self.taken(emit_to);
        self.state_of_groups(&groups)
    }

    fn merge_batch(
        &mut self,
        states: &[ArrayRef],
        group_indices: &[usize],
        total_num_groups: usize,
    ) -> Result<()> {
        self.groups.resize_with(total_num_groups, Vec::new);
        self.merge(states, |at| group_indices[at]);
        Ok(())
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        let values = values[0].as_primitive::<T>();
        let mut sizes = vec![0; values.len()];
        let mut kept = Vec::with_capacity(values.len());
        for at in valid_places(values, filter) {
            sizes[at] = 1;
            kept.push(values.value(at));
        }
        self.state_of(kept, sizes.into_iter())
    }

    fn size(&self) -> usize {
        self.groups.capacity() * size_of::<Vec<T::Native>>() + self.held_bytes
    }
}

/// One group.
struct OneGroup<T: ArrowPrimitiveType> {
    /// The values that are in no half.
    values: Values<T>,
    /// Those up to the quantile and those after it, once it has been asked for again, as windows
    /// do for each of their frames.
    halves: Option<Halves<T::Native>>,
    evaluated: bool,
}

impl<T: ArrowPrimitiveType> fmt::Debug for OneGroup<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.values, f)
    }
}

impl<T: ArrowPrimitiveType> OneGroup<T> {
    /// The values of all.
    fn all(&self) -> Vec<T::Native> {
        let in_halves = self.halves.iter().flat_map(Halves::iter);
        in_halves.chain(self.values.groups[0].iter().copied()).collect()
    }
}

impl<T: ArrowPrimitiveType> Accumulator for OneGroup<T> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.values.add(&values[0], None, |_| 0);
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let fraction = self.values.fraction;
        let results = if self.evaluated {
            let halves = self.halves.get_or_insert_default();
            self.values.groups[0].drain(..).for_each(|value| halves.add(value));
            let result = halves.at(|total| fraction.discrete(total));
            self.values.array(std::iter::once(result).collect())
        } else {
            self.evaluated = true;
            let mut groups = std::mem::take(&mut self.values.groups);
            let results = self.values.results(&mut groups);
            self.values.groups = groups;
            results
        };
        ScalarValue::try_from_array(&results, 0)
    }

    fn size(&self) -> usize {
        let halves = self.halves.as_ref().map_or(0, Halves::size);
        size_of_val(self) + GroupsAccumulator::size(&self.values) + halves
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let states = self.values.state_of_groups(&[self.all()])?;
        states.iter().map(|state| ScalarValue::try_from_array(state, 0)).collect()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.values.merge(states, |_| 0);
        Ok(())
    }
}

/// Values up to one of them, and those after it.
#[derive(Default)]
struct Halves<N: ArrowNativeTypeOp> {
    /// The largest on top.
    lower: BinaryHeap<Ordered<N>>,
    /// The smallest on top.
    upper: BinaryHeap<Reverse<Ordered<N>>>,
}

/// A value in the order of its type.
#[derive(Clone, Copy)]
struct Ordered<N>(N);

impl<N: ArrowNativeTypeOp> Ord for Ordered<N> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.compare(other.0)
    }
}

impl<N: ArrowNativeTypeOp> PartialOrd for Ordered<N> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<N: ArrowNativeTypeOp> PartialEq for Ordered<N> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<N: ArrowNativeTypeOp> Eq for Ordered<N> {}

impl<N: ArrowNativeTypeOp> Halves<N> {
    fn add(&mut self, value: N) {
        let value = Ordered(value);
        match self.lower.peek() {
            Some(last) if value <= *last => self.lower.push(value),
            _ => self.upper.push(Reverse(value)),
        }
    }

    /// The value at the place that follows from how many there are.
    fn at(&mut self, place: impl FnOnce(u64) -> u64) -> Option<N> {
        let total = self.lower.len() + self.upper.len();
        if total == 0 {
            return None;
        }
        let wanted = usize::try_from(place(total as u64)).ok()? + 1;
        while self.lower.len() < wanted {
            let Reverse(value) = self.upper.pop()?;
            self.lower.push(value);
        }
        while self.lower.len() > wanted {
            self.upper.push(Reverse(self.lower.pop()?));
        }
        self.lower.peek().map(|value| value.0)
    }

    fn iter(&self) -> impl Iterator<Item = N> {
        let upper = self.upper.iter().map(|Reverse(value)| value);
        self.lower.iter().chain(upper).map(|value| value.0)
    }

    fn size(&self) -> usize {
        (self.lower.capacity() + self.upper.capacity()) * size_of::<N>()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, AsArray, BooleanArray, Int64Array};
    use arrow::datatypes::{DataType, Int64Type};
    use datafusion::common::ScalarValue;
    use datafusion::logical_expr::{EmitTo, GroupsAccumulator};

    use super::super::result::Fraction;
    use super::{accumulator, groups_accumulator};

    fn groups() -> Box<dyn GroupsAccumulator> {
        let fraction = Fraction::new(0.5, false).unwrap();
        groups_accumulator(&DataType::Int64, fraction).unwrap()
    }

    fn results(groups: &mut dyn GroupsAccumulator) -> Vec<Option<i64>> {
        let results = groups.evaluate(EmitTo::All).unwrap();
        results.as_primitive::<Int64Type>().iter().collect()
    }

    #[test]
    fn states_of_parts_and_of_rows_make_the_whole() {
        let numbers = [Some(9), Some(3), None, Some(5), Some(4), Some(7)];
        let values: [ArrayRef; 1] = [Arc::new(Int64Array::from(numbers.to_vec()))];
        let group_indices = [0, 0, 0, 0, 2, 0];
        let filter = BooleanArray::from(vec![true, true, true, true, true, false]);
        let mut whole = groups();
        whole.update_batch(&values, &group_indices, Some(&filter), 3).unwrap();
        let held = whole.size();
        assert!(held >= 4 * size_of::<i64>(), "{held}");
        assert_eq!(results(whole.as_mut()), [Some(5), None, Some(4)]);
        assert!(whole.size() < held);

        let mut part = groups();
        part.update_batch(&values, &group_indices, Some(&filter), 3).unwrap();
        let states = part.state(EmitTo::All).unwrap();
        let mut merged = groups();
        merged.merge_batch(&states, &[0, 1, 2], 3).unwrap();
        merged.merge_batch(&states, &[1, 1, 1], 3).unwrap();
        // Nine, three, five, and the four of the third group.
        assert_eq!(results(merged.as_mut()), [Some(5), Some(4), Some(4)]);

        let states = groups().convert_to_state(&values, Some(&filter)).unwrap();
        let mut of_rows = groups();
        of_rows.merge_batch(&states, &group_indices, 3).unwrap();
        assert_eq!(results(of_rows.as_mut()), [Some(5), None, Some(4)]);
    }

    #[test]
    fn a_quantile_that_is_asked_for_after_each_value_is_that_of_all_so_far() {
        let numbers: Vec<i64> = (0..200).map(|n| n * 37 % 101 - 50).collect();
        for (part, descending) in [(0.5, false), (0.0, false), (1.0, false), (0.3, true)] {
            let fraction = Fraction::new(part, descending).unwrap();
            let mut one = accumulator(&DataType::Int64, fraction).unwrap();
            assert_eq!(one.evaluate().unwrap(), ScalarValue::Int64(None));
            for end in 1..=numbers.len() {
                let new: ArrayRef = Arc::new(Int64Array::from(vec![numbers[end - 1]]));
                one.update_batch(&[new]).unwrap();
                let mut sorted = numbers[..end].to_vec();
                sorted.sort_unstable();
                let wanted = sorted[fraction.discrete(end as u64) as usize];
                assert_eq!(one.evaluate().unwrap(), ScalarValue::Int64(Some(wanted)));
            }
            let states: Vec<ArrayRef> =
                one.state().unwrap().iter().map(|state| state.to_array().unwrap()).collect();
            let mut merged = accumulator(&DataType::Int64, fraction).unwrap();
            merged.merge_batch(&states).unwrap();
            assert_eq!(merged.evaluate().unwrap(), one.evaluate().unwrap());
        }
    }
}
