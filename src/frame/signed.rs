//! Unsigned numbers as signed ones, which have differences.

use std::fmt;

use arrow::array::ArrayRef;
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::DataType;
use datafusion::error::Result;
use datafusion::logical_expr::Expr;
use serde::{Deserialize, Serialize};

use crate::functions::operation::{Operation, call};

/// The same numbers in a signed type, if theirs is unsigned. Those above the greatest signed number
/// of 64 bits are an error.
pub(super) fn signed(expr: Expr) -> Expr {
    call(Signed, vec![expr])
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Signed;

impl fmt::Display for Signed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("signed")
    }
}

impl Operation for Signed {
    const KIND: &'static str = "signed";

    fn gives(&self, types: &[DataType]) -> Result<DataType> {
        Ok(match &types[0] {
            DataType::UInt8 => DataType::Int16,
            DataType::UInt16 => DataType::Int32,
            DataType::UInt32 | DataType::UInt64 => DataType::Int64,
            other => other.clone(),
        })
    }

    fn compute(&self, columns: &[ArrayRef], gives: &DataType) -> Result<ArrayRef> {
        let strict = CastOptions { safe: false, ..CastOptions::default() };
        Ok(cast_with_options(&columns[0], gives, &strict)?)
    }
}
