//! Arguments of aggregates: their types, and those that must be literals.

use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Field, Float64Type, Schema};
use arrow::record_batch::RecordBatch;
use datafusion::common::{ScalarValue, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;

use super::result::Fraction;

/// The type in which values are compared and counted: that of the values of a dictionary.
pub(super) fn plain_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Dictionary(_, value) => plain_type(value),
        other => other.clone(),
    }
}

/// A list of such values.
pub(super) fn list_of(data_type: DataType) -> DataType {
    DataType::List(Arc::new(Field::new_list_field(data_type, true)))
}

/// The value of an argument that is the same for all rows; `None` if it depends on them.
pub(super) fn literal(expr: &Arc<dyn PhysicalExpr>) -> Option<ScalarValue> {
    let no_columns = RecordBatch::new_empty(Arc::new(Schema::empty()));
    match expr.evaluate(&no_columns) {
        Ok(ColumnarValue::Scalar(value)) => Some(value),
        _ => None,
    }
}

/// The rows that a filter passes; where it is NULL, it does not.
pub(super) fn passed(filter: &BooleanArray) -> NullBuffer {
    let passed = NullBuffer::new(filter.values().clone());
    NullBuffer::union(Some(&passed), filter.nulls()).unwrap_or(passed)
}

/// How many values a function shall give.
///
/// # Errors
/// `Plan` unless it is a positive integer.
pub(super) fn how_many(function: &str, value: Option<ScalarValue>) -> Result<usize> {
    let n = match value {
        Some(ScalarValue::Int64(Some(n))) => usize::try_from(n).ok().filter(|n| *n > 0),
        _ => None,
    };
    match n {
        Some(n) => Ok(n),
        None => plan_err!("the number of values that {function} gives must be a positive literal"),
    }
}

/// The fractions of a quantile, and whether they were a list.
///
/// # Errors
/// `Plan` unless they are literals between -1 and 1.
pub(super) fn fractions(
    function: &str,
    value: Option<ScalarValue>,
    descending: bool,
) -> Result<(Vec<Fraction>, bool)> {
    let (parts, is_list) = match value {
        Some(ScalarValue::Float64(part)) => (vec![part], false),
        Some(ScalarValue::List(list)) if list.is_valid(0) => {
            let parts = list.value(0);
            (parts.as_primitive::<Float64Type>().iter().collect(), true)
        }
        _ => return plan_err!("the fraction of {function} must be a literal"),
    };
    let fractions =
        parts.into_iter().map(|part| match part.and_then(|part| Fraction::new(part, descending)) {
            Some(fraction) => Ok(fraction),
            None => plan_err!("the fraction of {function} must be between 0 and 1"),
        });
    Ok((fractions.collect::<Result<_>>()?, is_list))
}
