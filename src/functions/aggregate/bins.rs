//! `histogram(x, bins)`: how many values are in each bin.
//!
//! A bin is told by its largest value. Larger values than that of the last one are counted by the
//! largest value of the type, if there are any.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Float64Type};
use datafusion::common::{ScalarValue, plan_err};
use datafusion::error::Result;
use datafusion::functions_aggregate::count::count_udaf;
use datafusion::functions_nested::map::map;
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{Expr, cast, lit, when};

use super::counts::Counts;
use super::result::map as map_of;

/// The type in which values are compared with bins; `None` for what has no largest value.
pub(super) fn value_type(data_type: &DataType) -> Option<DataType> {
    match data_type {
        integer if integer.is_integer() => Some(integer.clone()),
        DataType::Float32 => Some(DataType::Float32),
        number if number.is_numeric() || number.is_null() => Some(DataType::Float64),
        _ => None,
    }
}

/// The type in which bins for such values are given: fractions for whole values are rounded, which
/// casts do not do.
pub(super) fn end_type(value: &DataType, end: &DataType) -> DataType {
    let is_whole = end.is_integer() || end.is_null();
    if value.is_integer() && !is_whole { DataType::Float64 } else { value.clone() }
}

/// The largest values of the bins for values of this type, in order.
///
/// # Errors
/// `Plan` unless they are literals and none is NULL.
pub(super) fn ends(list: Option<&ScalarValue>, data_type: &DataType) -> Result<Vec<ScalarValue>> {
    let Some(ScalarValue::List(list)) = list.filter(|list| !list.is_null()) else {
        return plan_err!("the bins of a histogram must be a literal list");
    };
    let mut values = list.value(0);
    if values.null_count() > 0 {
        return plan_err!("no bin of a histogram may be NULL");
    }
    if data_type.is_integer()
        && let Some(fractions) = values.as_primitive_opt::<Float64Type>()
    {
        values = Arc::new(fractions.unary::<_, Float64Type>(f64::round));
    }
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    let values = cast_with_options(&values, data_type, &strict)?;
    let ends = (0..values.len()).map(|at| ScalarValue::try_from_array(&values, at));
    let mut ends = ends.collect::<Result<Vec<_>>>()?;
    ends.sort_by(|a, b| a.partial_cmp(b).unwrap_or(Ordering::Equal));
    ends.dedup();
    Ok(ends)
}

/// What counts the values beyond the last bin.
fn beyond(data_type: &DataType) -> Result<ScalarValue> {
    Ok(match data_type {
        DataType::Int8 => i8::MAX.into(),
        DataType::Int16 => i16::MAX.into(),
        DataType::Int32 => i32::MAX.into(),
        DataType::Int64 => i64::MAX.into(),
        DataType::UInt8 => u8::MAX.into(),
        DataType::UInt16 => u16::MAX.into(),
        DataType::UInt32 => u32::MAX.into(),
        DataType::UInt64 => u64::MAX.into(),
        DataType::Float32 => f32::INFINITY.into(),
        DataType::Float64 => f64::INFINITY.into(),
        other => return plan_err!("a histogram of {other} has no bins"),
    })
}

/// The histogram of counted values.
pub(super) fn of_counts(counts: &Counts, ends: &[ScalarValue]) -> Result<ScalarValue> {
    let (columns, times) = counts.sorted()?;
    let mut numbers = vec![0; ends.len() + 1];
    for (at, count) in times.into_iter().enumerate() {
        let value = ScalarValue::try_from_array(&columns[0], at)?;
        numbers[ends.partition_point(|end| *end < value)] += count;
    }
    let mut keys = ends.to_vec();
    if numbers.last() == Some(&0) {
        numbers.pop();
    } else {
        keys.push(beyond(columns[0].data_type())?);
    }
    map_of(ScalarValue::iter_to_array(keys)?, numbers)
}

/// The same as a map of counts, which keep a few bytes.
pub(super) fn as_counts(function: &AggregateFunction, context: &SimplifyContext) -> Result<Expr> {
    let [value, Expr::Literal(list @ ScalarValue::List(_), _)] = function.params.args.as_slice()
    else {
        return Ok(Expr::AggregateFunction(function.clone()));
    };
    let data_type = context.get_data_type(value)?;
    let ends = ends(Some(list), &data_type)?;
    let beyond = Expr::Literal(beyond(&data_type)?, None);
    let literal = |end: &ScalarValue| Expr::Literal(end.clone(), None);
    let count = |value: Expr| {
        let mut count = function.clone();
        count.func = count_udaf();
        count.params.args = vec![value];
        Expr::AggregateFunction(count)
    };
    let number = |condition: Expr| {
        let value = when(condition, value.clone()).end()?;
        Ok::<_, datafusion::error::DataFusionError>(cast(count(value), DataType::UInt64))
    };
    let mut numbers = Vec::with_capacity(ends.len() + 1);
    for (at, end) in ends.iter().enumerate() {
        let mut inside = value.clone().lt_eq(literal(end));
        if let Some(before) = at.checked_sub(1) {
            inside = inside.and(value.clone().gt(literal(&ends[before])));
        }
        numbers.push(number(inside)?);
    }
    let outside = match ends.last() {
        Some(last) => number(value.clone().gt(literal(last)))?,
        None => cast(count(value.clone()), DataType::UInt64),
    };
    let mut keys: Vec<Expr> = ends.iter().map(literal).collect();
    let inside = (!keys.is_empty()).then(|| map(keys.clone(), numbers.clone()));
    keys.push(beyond);
    numbers.push(outside.clone());
    let mut whole = when(outside.gt(lit(0_u64)), map(keys, numbers));
    match inside {
        Some(inside) => whole.when(count(value.clone()).gt(lit(0_i64)), inside).end(),
        None => whole.end(),
    }
}
