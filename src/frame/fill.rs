//! Values for NULLs from the rows around them.

use arrow::datatypes::DataType;
use datafusion::functions_window::nth_value::{first_value_udwf, last_value_udwf};
use datafusion::logical_expr::expr::NullTreatment;
use datafusion::logical_expr::{Expr, cast, lit, when};

use super::names::{exact_names, free_name};
use super::window::{ascending, columns, ordered, over, row_number, rows, so_far, window};
use super::{DataFrame, col};
use crate::error::{Error, Result};

/// The last value up to a row, at most `limit` rows before it.
pub(super) fn last_valid(expr: Expr, limit: Option<usize>) -> Expr {
    let frame = match limit {
        None => so_far(),
        Some(limit) => rows(Some(-distance(limit)), Some(0)),
    };
    without_nulls(window(last_value_udwf(), vec![expr], frame))
}

/// The first value from a row on, at most `limit` rows after it.
pub(super) fn next_valid(expr: Expr, limit: Option<usize>) -> Expr {
    let frame = rows(Some(0), limit.map(distance));
    without_nulls(window(first_value_udwf(), vec![expr], frame))
}

fn distance(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

fn without_nulls(expr: Expr) -> Expr {
    match expr {
        Expr::WindowFunction(mut window) => {
            window.params.null_treatment = Some(NullTreatment::IgnoreNulls);
            Expr::WindowFunction(window)
        }
        other => other,
    }
}

/// The last value where there is a next one too.
pub(super) fn between_valid(expr: Expr) -> Result<Expr> {
    let next = next_valid(expr.clone(), None);
    Ok(when(next.is_not_null(), last_valid(expr, None)).end()?)
}

impl DataFrame {
    /// Replaces the NULLs of these columns by values on the line between the value before and the
    /// value after, by the number of rows, in the order of `order` and within equal values of `by`.
    /// NULLs without a value on both sides stay. The columns become floating point numbers.
    ///
    /// # Errors
    /// `Query` if there is no such column, one is not a number, or no order is given.
    pub fn interpolate(self, names: &[&str], order: &[&str], by: &[&str]) -> Result<Self> {
        if order.is_empty() {
            return Err(Error::query("interpolate needs the order of the rows")
                .with_hint("name the columns that the rows are sorted by"));
        }
        let all: Vec<Expr> = self.schema().fields().iter().map(|field| col(field.name())).collect();
        let number = ordered(over(row_number(), columns(by)), ascending(order));
        let row = free_name(self.plan.schema(), "row");
        let numbered = self.with_column(&row, cast(number, DataType::Float64))?;
        let filled = numbered.interpolated(names, &col(&row), &row, by)?;
        filled.select(all)
    }

    /// As [`DataFrame::interpolate`], by the value of `along`: a time, a date or a number.
    ///
    /// # Errors
    /// `Query` if there is no such column, or one is not a number.
    pub fn interpolate_by(self, names: &[&str], along: &str, by: &[&str]) -> Result<Self> {
        let along = self.exact_name(along)?;
        let data_type = self.schema().field_with_name(&along)?.data_type().clone();
        let place = match &data_type {
            DataType::Timestamp(..) => cast(col(&along), DataType::Int64),
            DataType::Date32 | DataType::Date64 => {
                cast(cast(col(&along), DataType::Date32), DataType::Int32)
            }
            other if other.is_numeric() => col(&along),
            other => {
                return Err(Error::query(format!(
                    "\"{along}\" is of {other}; interpolation goes along times and numbers"
                )));
            }
        };
        // Where `along` is NULL it is no place between others.
        self.interpolated(names, &cast(place, DataType::Float64), &along, by)
    }

    fn interpolated(self, names: &[&str], place: &Expr, order: &str, by: &[&str]) -> Result<Self> {
        let names = exact_names(self.plan.schema(), names)?;
        let schema = self.schema();
        let exprs = schema.fields().iter().map(|field| {
            if !names.contains(field.name()) {
                return Ok(col(field.name()));
            }
            if !field.data_type().is_numeric() {
                return Err(Error::query(format!(
                    "\"{}\" is of {}; only numbers are interpolated",
                    field.name(),
                    field.data_type()
                )));
            }
            let line = on_the_line(&col(field.name()), place)?;
            let line = ordered(over(line, columns(by)), ascending(&[order]));
            Ok(line.alias(field.name()))
        });
        let exprs = exprs.collect::<Result<Vec<_>>>()?;
        self.select(exprs)
    }
}

/// A value, or where it is NULL the one on the line between those before and after.
fn on_the_line(value: &Expr, place: &Expr) -> Result<Expr> {
    let number = cast(value.clone(), DataType::Float64);
    let place_of_value = when(value.clone().is_not_null(), place.clone()).end()?;
    let (before, after) = (last_valid(number.clone(), None), next_valid(number.clone(), None));
    let start = last_valid(place_of_value.clone(), None);
    let end = next_valid(place_of_value, None);
    let part = (place.clone() - start.clone()) / (end.clone() - start.clone());
    let line = before.clone() + (after.clone() - before.clone()) * part;
    Ok(when(value.clone().is_not_null(), number)
        .when(
            before.is_null().or(after.is_null()),
            lit(datafusion::common::ScalarValue::Float64(None)),
        )
        .when(start.eq(end), last_valid(cast(value.clone(), DataType::Float64), None))
        .otherwise(line)?)
}
