//! Functions of lists and of JSON texts.

use std::fmt;

use arrow::array::ArrayRef;
use arrow::compute::cast;
use arrow::compute::kernels::length::length;
use arrow::datatypes::DataType;
use datafusion::common::plan_err;
use datafusion::functions_nested::expr_fn as lists;
use datafusion::logical_expr::{Expr, lit};
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::functions::call as sql_call;
use crate::functions::operation::{Operation, call};

/// Functions of lists; see [`crate::ExprMethods::list`].
#[derive(Debug, Clone)]
pub struct List(pub(in crate::frame) Expr);

impl List {
    /// How many elements there are.
    pub fn len(self) -> Expr {
        call(Length, vec![self.0])
    }

    /// The sum of the elements, as a floating point number; NULL if there are no values.
    pub fn sum(self) -> Expr {
        lists::array_sum(self.0)
    }

    /// The mean of the elements.
    pub fn mean(self) -> Expr {
        lists::array_avg(self.0)
    }

    /// The least element.
    pub fn min(self) -> Expr {
        lists::array_min(self.0)
    }

    /// The greatest element.
    pub fn max(self) -> Expr {
        lists::array_max(self.0)
    }

    /// The element at an index from 0, or from the end if negative; NULL if there is none.
    pub fn get(self, index: i64) -> Expr {
        let place = if index < 0 { index } else { index.saturating_add(1) };
        lists::array_element(self.0, lit(place))
    }

    /// The first element.
    pub fn first(self) -> Expr {
        self.get(0)
    }

    /// The last element.
    pub fn last(self) -> Expr {
        self.get(-1)
    }

    /// Whether an element is equal to a value.
    pub fn contains(self, value: Expr) -> Expr {
        lists::array_has(self.0, value)
    }

    /// The elements as one text, with a separator; NULLs are left out.
    pub fn join(self, separator: &str) -> Expr {
        lists::array_to_string(self.0, lit(separator))
    }

    /// The elements without those that are equal to another.
    pub fn unique(self) -> Expr {
        lists::array_distinct(self.0)
    }

    /// The elements in order, NULLs first.
    pub fn sort(self, descending: bool) -> Expr {
        let direction = if descending { "DESC" } else { "ASC" };
        lists::array_sort(self.0, lit(direction), lit("NULLS FIRST"))
    }

    /// The elements from the last to the first.
    pub fn reverse(self) -> Expr {
        lists::array_reverse(self.0)
    }
}

/// The elements of a list, those of lists in it not counted.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::frame) struct Length;

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("len")
    }
}

impl Operation for Length {
    const KIND: &'static str = "length";

    fn gives(&self, types: &[DataType]) -> datafusion::error::Result<DataType> {
        match &types[0] {
            list if list.is_list() => Ok(DataType::Int64),
            other => plan_err!("{self} is for lists, not for {other}"),
        }
    }

    fn compute(
        &self,
        columns: &[ArrayRef],
        gives: &DataType,
    ) -> datafusion::error::Result<ArrayRef> {
        Ok(cast(&length(&columns[0])?, gives)?)
    }
}

/// Functions of JSON texts; see [`crate::ExprMethods::json`].
#[derive(Debug, Clone)]
pub struct Json(pub(in crate::frame) Expr);

impl Json {
    /// What is at a path, as JSON.
    ///
    /// # Errors
    /// `Query` if there is no such function.
    pub fn extract(self, path: &str) -> Result<Expr> {
        sql_call("json_extract", [self.0, lit(path)])
    }

    /// What is at a path, as text.
    ///
    /// # Errors
    /// `Query` if there is no such function.
    pub fn extract_string(self, path: &str) -> Result<Expr> {
        sql_call("json_extract_string", [self.0, lit(path)])
    }
}
