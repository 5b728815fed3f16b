//! Aggregates that keep a few floats for a group, whatever the number of its rows.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Float64Array};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type};
use datafusion::common::types::{NativeType, logical_float64};
use datafusion::common::{ScalarValue, internal_err};
use datafusion::error::Result;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Coercion, EmitTo, GroupsAccumulator, Signature,
    TypeSignatureClass, Volatility,
};

use super::args::passed;
use super::counts::Counts;
use super::distinct::DistinctAccumulator;
use super::queue::Queue;

/// The most floats that are kept of a group.
pub(super) const MOST_FIELDS: usize = 5;

/// What a function keeps of a group. The default is that of no rows.
pub(super) trait Moments: Copy + Default + fmt::Debug + Send + Sync + 'static {
    /// The arguments, one or two.
    const ARGUMENTS: usize;
    /// The fields of the state, by name.
    const FIELDS: &'static [&'static str];

    /// Adds a row; `y` is the second argument if there is one.
    fn add(&mut self, x: f64, y: f64);

    fn merge(&mut self, other: Self);

    /// The fields, then zeros.
    fn to_fields(self) -> [f64; MOST_FIELDS];

    fn from_fields(fields: [f64; MOST_FIELDS]) -> Self;
}

/// An aggregate function over [`Moments`].
pub(super) struct MomentsFunction<M> {
    name: &'static str,
    aliases: Vec<String>,
    signature: Signature,
    /// `None` is NULL.
    result: fn(&M) -> Option<f64>,
}

impl<M: Moments> MomentsFunction<M> {
    /// The function of a name, with other names for it.
    pub(super) fn udaf(
        name: &'static str,
        aliases: &[&str],
        result: fn(&M) -> Option<f64>,
    ) -> Arc<AggregateUDF> {
        let number = || {
            Coercion::new_implicit(
                TypeSignatureClass::Native(logical_float64()),
                vec![TypeSignatureClass::Numeric],
                NativeType::Float64,
            )
        };
        let arguments = (0..M::ARGUMENTS).map(|_| number()).collect();
        Arc::new(AggregateUDF::from(MomentsFunction {
            name,
            aliases: aliases.iter().map(ToString::to_string).collect(),
            signature: Signature::coercible(arguments, Volatility::Immutable),
            result,
        }))
    }
}

impl<M> PartialEq for MomentsFunction<M> {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl<M> Eq for MomentsFunction<M> {}

impl<M> Hash for MomentsFunction<M> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl<M> fmt::Debug for MomentsFunction<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl<M: Moments> AggregateUDFImpl for MomentsFunction<M> {
    fn name(&self) -> &str {
        self.name
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        if args.is_distinct {
            return Ok(Counts::state_fields(args.name, args.input_fields));
        }
        let field = |name: &&str| {
            Arc::new(Field::new(format_state_name(args.name, name), DataType::Float64, false))
        };
        Ok(M::FIELDS.iter().map(field).collect())
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let one = MomentsAccumulator { moments: M::default(), result: self.result };
        if args.is_distinct {
            return Ok(Box::new(DistinctAccumulator::new(args.expr_fields, one)?));
        }
        Ok(Box::new(one))
    }

    fn create_sliding_accumulator(
        &self,
        args: AccumulatorArgs<'_>,
    ) -> Result<Box<dyn Accumulator>> {
        if args.is_distinct {
            return self.accumulator(args);
        }
        Ok(Box::new(SlidingMoments::<M> { rows: Queue::default(), result: self.result }))
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        !args.is_distinct
    }

    fn create_groups_accumulator(
        &self,
        _: AccumulatorArgs<'_>,
    ) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(MomentsGroups::<M> { groups: Vec::new(), result: self.result }))
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }
}

/// Calls a function for the rows in which no argument is NULL.
fn for_each_row<M: Moments>(
    values: &[ArrayRef],
    filter: Option<&BooleanArray>,
    mut row: impl FnMut(usize, f64, f64),
) {
    let x = values[0].as_primitive::<Float64Type>();
    let y = (M::ARGUMENTS > 1).then(|| values[1].as_primitive::<Float64Type>());
    let nulls = NullBuffer::union(x.nulls(), y.and_then(Array::nulls));
    let passed = filter.map(passed);
    let valid = NullBuffer::union(nulls.as_ref(), passed.as_ref());
    let second = |at: usize| y.map_or(0.0, |y| y.value(at));
    match valid.filter(|valid| valid.null_count() > 0) {
        None => {
            for (at, x) in x.values().iter().enumerate() {
                row(at, *x, second(at));
            }
        }
        Some(valid) => {
            for at in valid.valid_indices() {
                row(at, x.value(at), second(at));
            }
        }
    }
}

/// The states of rows of arrays, one array a field.
fn for_each_state<M: Moments>(states: &[ArrayRef], mut each: impl FnMut(usize, M)) -> Result<()> {
    if states.len() != M::FIELDS.len() {
        return internal_err!("a state of {} columns, not {}", states.len(), M::FIELDS.len());
    }
    let columns: Vec<_> = states.iter().map(|state| state.as_primitive::<Float64Type>()).collect();
    for at in 0..columns[0].len() {
        let mut fields = [0.0; MOST_FIELDS];
        for (field, column) in fields.iter_mut().zip(&columns) {
            *field = column.value(at);
        }
        each(at, M::from_fields(fields));
    }
    Ok(())
}

fn state_columns<M: Moments>(states: &[M]) -> Vec<ArrayRef> {
    let column = |field| {
        let values = states.iter().map(|state| state.to_fields()[field]);
        Arc::new(Float64Array::from_iter_values(values)) as ArrayRef
    };
    (0..M::FIELDS.len()).map(column).collect()
}

/// One group.
#[derive(Debug)]
struct MomentsAccumulator<M> {
    moments: M,
    result: fn(&M) -> Option<f64>,
}

impl<M: Moments> super::distinct::Whole for MomentsAccumulator<M> {
    fn whole(&self, values: &[ArrayRef]) -> Result<ScalarValue> {
        let mut moments = M::default();
        for_each_row::<M>(values, None, |_, x, y| moments.add(x, y));
        Ok(ScalarValue::Float64((self.result)(&moments)))
    }
}

impl<M: Moments> Accumulator for MomentsAccumulator<M> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for_each_row::<M>(values, None, |_, x, y| self.moments.add(x, y));
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Float64((self.result)(&self.moments)))
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let fields = self.moments.to_fields();
        Ok(fields[..M::FIELDS.len()].iter().map(|field| (*field).into()).collect())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for_each_state(states, |_, state| self.moments.merge(state))
    }
}

/// One group whose first rows leave again, as those of a window do.
#[derive(Debug)]
struct SlidingMoments<M> {
    rows: Queue<M>,
    result: fn(&M) -> Option<f64>,
}

fn merge<M: Moments>(moments: &mut M, other: M) -> Result<()> {
    moments.merge(other);
    Ok(())
}

impl<M: Moments> SlidingMoments<M> {
    fn moments(&self) -> Result<M> {
        Ok(self.rows.whole(merge)?.unwrap_or_default())
    }
}

impl<M: Moments> Accumulator for SlidingMoments<M> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let mut rows = Vec::with_capacity(values[0].len());
        for_each_row::<M>(values, None, |_, x, y| {
            let mut row = M::default();
            row.add(x, y);
            rows.push(row);
        });
        rows.into_iter().try_for_each(|row| self.rows.push(row, merge))
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Float64((self.result)(&self.moments()?)))
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.rows.size()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        internal_err!("windows keep no states")
    }

    fn merge_batch(&mut self, _: &[ArrayRef]) -> Result<()> {
        internal_err!("windows merge no states")
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        // Rows leave in the order in which they came.
        let mut leaving = 0;
        for_each_row::<M>(values, None, |_, _, _| leaving += 1);
        (0..leaving).try_for_each(|_| self.rows.pop(merge))
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }
}

/// All groups of a hash table.
#[derive(Debug)]
struct MomentsGroups<M> {
    groups: Vec<M>,
    result: fn(&M) -> Option<f64>,
}

impl<M: Moments> GroupsAccumulator for MomentsGroups<M> {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.groups.resize(total_num_groups, M::default());
        for_each_row::<M>(values, filter, |at, x, y| self.groups[group_indices[at]].add(x, y));
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let groups = emit_to.take_needed(&mut self.groups);
        Ok(Arc::new(groups.iter().map(self.result).collect::<Float64Array>()))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        Ok(state_columns(&emit_to.take_needed(&mut self.groups)))
    }

    fn merge_batch(
        &mut self,
        states: &[ArrayRef],
        group_indices: &[usize],
        total_num_groups: usize,
    ) -> Result<()> {
        self.groups.resize(total_num_groups, M::default());
        for_each_state(states, |at, state| self.groups[group_indices[at]].merge(state))
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        let mut states = vec![M::default(); values[0].len()];
        for_each_row::<M>(values, filter, |at, x, y| states[at].add(x, y));
        Ok(state_columns(&states))
    }

    fn size(&self) -> usize {
        self.groups.capacity() * size_of::<M>()
    }
}
