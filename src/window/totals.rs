//! Aggregates whose value is wanted again and again while rows are added: typed ones, row by row.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, NullBufferBuilder, PrimitiveArray};
use arrow::datatypes::{
    ArrowNativeTypeOp, ArrowPrimitiveType, DataType, Date32Type, Date64Type, Decimal128Type,
    Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, SchemaRef, TimeUnit,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use datafusion::error::Result;
use datafusion::functions_aggregate::average::avg_udaf;
use datafusion::functions_aggregate::count::count_udaf;
use datafusion::functions_aggregate::min_max::{max_udaf, min_udaf};
use datafusion::functions_aggregate::sum::sum_udaf;
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;

/// The aggregate of the rows so far, and the values it has had.
pub(super) trait Totals: Send {
    /// Forgets the rows, not the values: another partition begins.
    fn restart(&mut self);

    /// Adds all rows of a column.
    fn add(&mut self, column: &ArrayRef);

    /// Goes through the rows of a column from `start` on in runs that end at `ends`. The rows of a run
    /// are added, except for those before `added`, which were, and have the value that is then
    /// reached.
    fn pass(&mut self, column: &ArrayRef, start: usize, added: usize, ends: &[usize]);

    /// So many more rows have the value that was reached last.
    fn repeat(&mut self, rows: usize);

    /// The values since this was last asked for.
    fn take(&mut self) -> ArrayRef;
}

/// Totals of an aggregate of columns of this schema; `None` if it is none that we know.
///
/// # Errors
/// If its argument has no type.
pub(super) fn totals(
    aggregate: &AggregateFunctionExpr,
    schema: &SchemaRef,
) -> Result<Option<Box<dyn Totals>>> {
    let arguments = aggregate.expressions();
    let [argument] = arguments.as_slice() else { return Ok(None) };
    if aggregate.is_distinct() || aggregate.ignore_nulls() {
        return Ok(None);
    }
    let (fun, input) = (aggregate.fun(), argument.data_type(schema)?);
    let output = aggregate.field().data_type().clone();
    if *fun == *count_udaf() {
        return Ok((output == DataType::Int64).then(|| Box::new(Counts::default()) as _));
    }
    if *fun == *avg_udaf() {
        let is_float = input == DataType::Float64 && output == DataType::Float64;
        let mean = |sum: f64, count| sum / count as f64;
        return Ok(is_float.then(|| Fold::<Float64Type>::boxed(output, |a, b| a + b, mean)));
    }
    if *fun == *sum_udaf() {
        return Ok(sums(&input, output));
    }
    if input != output {
        return Ok(None);
    }
    if *fun == *min_udaf() {
        return Ok(extremes(output, true));
    }
    Ok(if *fun == *max_udaf() { extremes(output, false) } else { None })
}

fn sums(input: &DataType, output: DataType) -> Option<Box<dyn Totals>> {
    fn sum<T: ArrowPrimitiveType>(output: DataType) -> Option<Box<dyn Totals>> {
        Some(Fold::<T>::boxed(output, ArrowNativeTypeOp::add_wrapping, |sum, _| sum))
    }
    match (input, &output) {
        (DataType::Int64, DataType::Int64) => sum::<Int64Type>(output),
        (DataType::UInt64, DataType::UInt64) => sum::<UInt64Type>(output),
        (DataType::Float64, DataType::Float64) => sum::<Float64Type>(output),
        (DataType::Decimal128(_, from), DataType::Decimal128(_, to)) if from == to => {
            sum::<Decimal128Type>(output)
        }
        _ => None,
    }
}

/// Minima or maxima. Not of floats, whose order has NaN in it.
fn extremes(output: DataType, is_min: bool) -> Option<Box<dyn Totals>> {
    fn extreme<T: ArrowPrimitiveType>(output: DataType, is_min: bool) -> Option<Box<dyn Totals>> {
        let combine = match is_min {
            true => |a: T::Native, b: T::Native| if b.is_lt(a) { b } else { a },
            false => |a: T::Native, b: T::Native| if b.is_gt(a) { b } else { a },
        };
        Some(Fold::<T>::boxed(output, combine, |extreme, _| extreme))
    }
    match output {
        DataType::Int8 => extreme::<Int8Type>(output, is_min),
        DataType::Int16 => extreme::<Int16Type>(output, is_min),
        DataType::Int32 => extreme::<Int32Type>(output, is_min),
        DataType::Int64 => extreme::<Int64Type>(output, is_min),
        DataType::UInt8 => extreme::<UInt8Type>(output, is_min),
        DataType::UInt16 => extreme::<UInt16Type>(output, is_min),
        DataType::UInt32 => extreme::<UInt32Type>(output, is_min),
        DataType::UInt64 => extreme::<UInt64Type>(output, is_min),
        DataType::Date32 => extreme::<Date32Type>(output, is_min),
        DataType::Date64 => extreme::<Date64Type>(output, is_min),
        DataType::Decimal128(..) => extreme::<Decimal128Type>(output, is_min),
        DataType::Timestamp(TimeUnit::Second, _) => extreme::<TimestampSecondType>(output, is_min),
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            extreme::<TimestampMillisecondType>(output, is_min)
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            extreme::<TimestampMicrosecondType>(output, is_min)
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            extreme::<TimestampNanosecondType>(output, is_min)
        }
        _ => None,
    }
}

/// An aggregate that is made of one value of the type of its input and a count.
struct Fold<T: ArrowPrimitiveType> {
    combine: fn(T::Native, T::Native) -> T::Native,
    /// The result, from what the values were combined to and how many there were.
    finish: fn(T::Native, i64) -> T::Native,
    combined: T::Native,
    count: i64,
    values: Vec<T::Native>,
    nulls: NullBufferBuilder,
    data_type: DataType,
}

impl<T: ArrowPrimitiveType> Fold<T> {
    fn boxed(
        data_type: DataType,
        combine: fn(T::Native, T::Native) -> T::Native,
        finish: fn(T::Native, i64) -> T::Native,
    ) -> Box<dyn Totals> {
        let (combined, values) = (T::Native::default(), Vec::new());
        let nulls = NullBufferBuilder::new(0);
        Box::new(Fold::<T> { combine, finish, combined, count: 0, values, nulls, data_type })
    }

    #[inline]
    fn add_value(&mut self, value: T::Native) {
        self.combined = if self.count == 0 { value } else { (self.combine)(self.combined, value) };
        self.count += 1;
    }

    #[inline]
    fn note(&mut self, rows: usize) {
        if self.count == 0 {
            self.nulls.append_n_nulls(rows);
            self.values.resize(self.values.len() + rows, T::Native::default());
        } else {
            self.nulls.append_n_non_nulls(rows);
            let value = (self.finish)(self.combined, self.count);
            self.values.resize(self.values.len() + rows, value);
        }
    }
}

impl<T: ArrowPrimitiveType> Totals for Fold<T> {
    fn restart(&mut self) {
        self.count = 0;
    }

    fn add(&mut self, column: &ArrayRef) {
        for value in column.as_primitive::<T>().iter().flatten() {
            self.add_value(value);
        }
    }

    fn pass(&mut self, column: &ArrayRef, start: usize, added: usize, ends: &[usize]) {
        let column = column.as_primitive::<T>();
        let (values, nulls) = (column.values(), column.nulls());
        let (mut row, mut run_start) = (added, start);
        for &end in ends {
            for row in row..end {
                if nulls.is_none_or(|nulls| nulls.is_valid(row)) {
                    self.add_value(values[row]);
                }
            }
            row = row.max(end);
            self.note(end - run_start);
            run_start = end;
        }
    }

    fn repeat(&mut self, rows: usize) {
        self.note(rows);
    }

    fn take(&mut self) -> ArrayRef {
        let (values, nulls) = (std::mem::take(&mut self.values), self.nulls.finish());
        let values = PrimitiveArray::<T>::new(values.into(), nulls);
        Arc::new(values.with_data_type(self.data_type.clone()))
    }
}

/// How many values are not NULL.
#[derive(Default)]
struct Counts {
    count: i64,
    values: Vec<i64>,
}

impl Totals for Counts {
    fn restart(&mut self) {
        self.count = 0;
    }

    fn add(&mut self, column: &ArrayRef) {
        self.count += (column.len() - column.logical_null_count()) as i64;
    }

    fn pass(&mut self, column: &ArrayRef, start: usize, added: usize, ends: &[usize]) {
        let nulls = column.logical_nulls();
        let (mut row, mut run_start) = (added, start);
        for &end in ends {
            let counted = match &nulls {
                None => end.saturating_sub(row),
                Some(nulls) => (row..end).filter(|row| nulls.is_valid(*row)).count(),
            };
            self.count += counted as i64;
            row = row.max(end);
            self.repeat(end - run_start);
            run_start = end;
        }
    }

    fn repeat(&mut self, rows: usize) {
        self.values.resize(self.values.len() + rows, self.count);
    }

    fn take(&mut self) -> ArrayRef {
        Arc::new(arrow::array::Int64Array::from(std::mem::take(&mut self.values)))
    }
}
