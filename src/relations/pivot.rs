//! Rows into columns: an aggregate with a filter for each column.

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::DataType;
use datafusion::common::{ScalarValue, exec_err};
use datafusion::error::Result;
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::{Expr, lit};

/// Most columns that a pivot makes.
pub(crate) const MOST_COLUMNS: usize = 10_000;

/// That a pivot would make too many columns.
pub(crate) fn too_many() -> crate::Error {
    crate::Error::query(format!("a pivot into more than {MOST_COLUMNS} columns"))
        .with_hint("group by the column instead, or name the values that are wanted")
}

/// The name of a column of a pivot: of values, and of the aggregate unless that goes without saying.
pub(crate) fn column_name(values: &[&str], aggregate: Option<&str>) -> String {
    let mut parts = values.to_vec();
    parts.extend(aggregate);
    parts.join("_")
}

/// A value as a name.
pub(crate) fn name_of(value: &ScalarValue) -> Result<String> {
    if value.is_null() {
        return Ok("NULL".to_string());
    }
    let text = value.cast_to(&DataType::Utf8)?;
    match text.try_as_str() {
        Some(Some(text)) => Ok(text.to_string()),
        _ => exec_err!("a value of type {} has no name", value.data_type()),
    }
}

/// The condition that an expression has a value; NULL is one.
pub(crate) fn equals(expr: Expr, value: &ScalarValue) -> Expr {
    if value.is_null() { expr.is_null() } else { expr.eq(lit(value.clone())) }
}

/// An aggregate of the rows for which a condition is true.
///
/// # Errors
/// If the expression is no aggregate.
pub(crate) fn filtered(aggregate: &Expr, condition: Expr) -> Result<Expr> {
    match aggregate {
        Expr::Alias(alias) => filtered(&alias.expr, condition),
        Expr::AggregateFunction(function) => Ok(with_filter(function.clone(), condition)),
        other => datafusion::common::plan_err!("{other} is no aggregate, as a pivot needs"),
    }
}

/// An aggregate function with one condition more.
pub(crate) fn with_filter(mut function: AggregateFunction, condition: Expr) -> Expr {
    let condition = match function.params.filter.take() {
        Some(before) => before.and(condition),
        None => condition,
    };
    function.params.filter = Some(Box::new(condition));
    Expr::AggregateFunction(function)
}

/// The values of a column.
///
/// # Errors
/// If they are of a type that has no single values.
pub(crate) fn values(column: &ArrayRef) -> Result<Vec<ScalarValue>> {
    (0..column.len()).map(|row| ScalarValue::try_from_array(column, row)).collect()
}
