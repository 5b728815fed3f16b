//! The check that a key is there once, made while the rows pass.

use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use arrow::datatypes::{DataType, Int64Type};
use arrow::util::display::array_value_to_string;
use datafusion::common::{Result as PlanResult, exec_err};
use datafusion::functions_aggregate::count::count_all_window;
use datafusion::logical_expr::{Expr, ExprFunctionExt};
use serde::{Deserialize, Serialize};

use super::DataFrame;
use super::names::{columns, columns_of, free_name};
use crate::error::{Error, Result};
use crate::functions::operation::{Operation, check};

/// A side of a join.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) enum Side {
    Left,
    Right,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Side::Left => "left",
            Side::Right => "right",
        })
    }
}

/// The same rows, which fail at a key that several of them have. Keys with a NULL count only if
/// NULLs are equal.
///
/// The rows of each key are counted by a window, which goes to disk if need be.
pub(super) fn checked(
    frame: DataFrame,
    keys: &[String],
    side: Side,
    nulls_equal: bool,
) -> Result<DataFrame> {
    let names: Vec<&str> = keys.iter().map(String::as_str).collect();
    let keys = columns_of(frame.plan.schema(), &names)?;
    let size = free_name(frame.plan.schema(), "size");
    let all: Vec<Expr> = columns(frame.plan.schema()).into_iter().map(|(_, all)| all).collect();
    let count = count_all_window().partition_by(keys.clone()).build()?;
    let counted = frame.project(all.clone().into_iter().chain([count.alias(&size)]))?;
    let names = names.into_iter().map(str::to_string).collect();
    let count = columns_of(counted.plan.schema(), &[&size])?;
    let args = count.into_iter().chain(keys).collect();
    let once = check(Once { names, side, nulls_equal }, args);
    counted.filter(once)?.project(all)
}

/// True; or an error if the first argument, a count, is above 1. The others are the keys.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Once {
    names: Vec<String>,
    side: Side,
    nulls_equal: bool,
}

impl fmt::Display for Once {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("is_there_once")
    }
}

impl Operation for Once {
    const KIND: &'static str = "once";

    fn gives(&self, _: &[DataType]) -> PlanResult<DataType> {
        Ok(DataType::Boolean)
    }

    fn compute(&self, columns: &[ArrayRef], _: &DataType) -> PlanResult<ArrayRef> {
        let Some((counts, keys)) = columns.split_first() else {
            return exec_err!("a check of keys without keys");
        };
        let counts = counts.as_primitive::<Int64Type>();
        let matters = |row: usize| self.nulls_equal || keys.iter().all(|key| !key.is_null(row));
        for (row, count) in counts.values().iter().enumerate() {
            if *count > 1 && matters(row) {
                let values = keys.iter().map(|key| match key.is_null(row) {
                    true => Ok("NULL".to_string()),
                    false => array_value_to_string(key, row),
                });
                let values = values.collect::<Result<Vec<_>, _>>()?;
                let pairs = self.names.iter().zip(&values);
                let key: Vec<String> =
                    pairs.map(|(name, value)| format!("\"{name}\" = {value}")).collect();
                let what = format!(
                    "{} is there {count} times on the {} side of the join",
                    key.join(", "),
                    self.side
                );
                return Err(Error::query(what)
                    .with_hint("allow it with another Validate, or make the rows unique first")
                    .into());
            }
        }
        Ok(Arc::new(BooleanArray::from(vec![true; counts.len()])))
    }
}
