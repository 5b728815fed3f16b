//! Functions of lists and of JSON texts.

use arrow::datatypes::DataType;
use datafusion::functions_nested::expr_fn as lists;
use datafusion::logical_expr::{Expr, cast, lit};

use crate::error::Result;
use crate::functions::call;

/// Functions of lists; see [`crate::ExprMethods::list`].
#[derive(Debug, Clone)]
pub struct List(pub(in crate::frame) Expr);

impl List {
    /// How many elements there are.
    pub fn len(self) -> Expr {
        cast(lists::cardinality(self.0), DataType::Int64)
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

/// Functions of JSON texts; see [`crate::ExprMethods::json`].
#[derive(Debug, Clone)]
pub struct Json(pub(in crate::frame) Expr);

impl Json {
    /// What is at a path, as JSON.
    ///
    /// # Errors
    /// `Query` if there is no such function.
    pub fn extract(self, path: &str) -> Result<Expr> {
        call("json_extract", [self.0, lit(path)])
    }

    /// What is at a path, as text.
    ///
    /// # Errors
    /// `Query` if there is no such function.
    pub fn extract_string(self, path: &str) -> Result<Expr> {
        call("json_extract_string", [self.0, lit(path)])
    }
}
