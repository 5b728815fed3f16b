//! The check that a key is there once, made while the rows pass.

use std::fmt;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Int64Type};
use arrow::util::display::array_value_to_string;
use datafusion::common::{Result as PlanResult, ScalarValue, exec_err};
use datafusion::functions_aggregate::count::count_all_window;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprFunctionExt, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};

use super::DataFrame;
use super::names::{columns, columns_of, free_name};
use crate::error::{Error, Result};

/// A side of a join.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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
    let once =
        Once { names, side, nulls_equal, signature: Signature::variadic_any(Volatility::Volatile) };
    let count = columns_of(counted.plan.schema(), &[&size])?;
    let once = ScalarUDF::new_from_impl(once).call(count.into_iter().chain(keys).collect());
    counted.filter(once)?.project(all)
}

/// True; or an error if the first argument, a count, is above 1. The others are the keys.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Once {
    names: Vec<String>,
    side: Side,
    nulls_equal: bool,
    signature: Signature,
}

impl ScalarUDFImpl for Once {
    fn name(&self) -> &str {
        "is_there_once"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> PlanResult<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> PlanResult<ColumnarValue> {
        let rows = arguments.number_rows;
        let arrays = arguments.args.iter().map(|column| column.to_array(rows));
        let arrays = arrays.collect::<PlanResult<Vec<_>>>()?;
        let Some((counts, keys)) = arrays.split_first() else {
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
        Ok(ColumnarValue::Scalar(ScalarValue::Boolean(Some(true))))
    }
}
