//! What may be in a column: choices between values, and tests and replacements of values.

use datafusion::logical_expr::expr::Case;
use datafusion::logical_expr::{Expr, Literal, Operator, binary_expr, lit};
use datafusion::prelude::coalesce;

use super::replace::replaced;
use crate::functions::{isnan, nanvl};

/// Begins a choice: `when(a).then(x).when(b).then(y).otherwise(z)`. The first condition that is true
/// decides.
pub fn when(condition: Expr) -> When {
    When { cases: Vec::new(), condition }
}

/// A choice that lacks the value of its last condition.
#[derive(Debug, Clone)]
pub struct When {
    cases: Vec<(Box<Expr>, Box<Expr>)>,
    condition: Expr,
}

/// A choice that may have further conditions. As an expression it is NULL where none is true.
#[derive(Debug, Clone)]
pub struct Then {
    cases: Vec<(Box<Expr>, Box<Expr>)>,
}

impl When {
    /// The value where the condition is true.
    pub fn then(mut self, value: Expr) -> Then {
        self.cases.push((Box::new(self.condition), Box::new(value)));
        Then { cases: self.cases }
    }
}

impl Then {
    /// Another condition, for the rows where none so far is true.
    pub fn when(self, condition: Expr) -> When {
        When { cases: self.cases, condition }
    }

    /// The value where no condition is true.
    pub fn otherwise(self, value: Expr) -> Expr {
        Expr::Case(Case::new(None, self.cases, Some(Box::new(value))))
    }

    /// NULL where no condition is true.
    pub fn end(self) -> Expr {
        Expr::Case(Case::new(None, self.cases, None))
    }
}

impl From<Then> for Expr {
    fn from(choice: Then) -> Self {
        choice.end()
    }
}

/// Tests and replacements of the values of an expression.
#[expect(clippy::wrong_self_convention, reason = "an expression becomes part of the new one")]
pub trait ValueExpr: Sized {
    /// Whether the value is one of these: `col("size").is_in(["S", "M"])`. NULL is unknown.
    fn is_in<T: Literal>(self, values: impl IntoIterator<Item = T>) -> Expr;

    /// Whether the value is from `low` to `high`, both included.
    fn is_between(self, low: Expr, high: Expr) -> Expr;

    /// Whether both are the same, NULLs too.
    fn eq_missing(self, other: Expr) -> Expr;

    /// Whether both are different; NULL is different from every value.
    fn ne_missing(self, other: Expr) -> Expr;

    /// Another value where this is NULL.
    fn fill_null(self, value: Expr) -> Expr;

    /// Another value where this is NaN.
    fn fill_nan(self, value: Expr) -> Expr;

    /// Whether the value is NaN.
    fn is_nan(self) -> Expr;

    /// Whether the value is a number other than NaN.
    fn is_not_nan(self) -> Expr;

    /// Other values for these, pairs of the old and the new one; an old one may be NULL or NaN. Of
    /// several pairs with the same old value the first counts; other values stay.
    fn replace(self, pairs: impl IntoIterator<Item = (Expr, Expr)>) -> Expr;

    /// The value where the condition is true, else NULL.
    fn keep_where(self, condition: Expr) -> Expr;

    /// Another value where the condition is true.
    fn mask(self, condition: Expr, value: Expr) -> Expr;
}

impl ValueExpr for Expr {
    fn is_in<T: Literal>(self, values: impl IntoIterator<Item = T>) -> Expr {
        self.in_list(values.into_iter().map(lit).collect(), false)
    }

    fn is_between(self, low: Expr, high: Expr) -> Expr {
        self.between(low, high)
    }

    fn eq_missing(self, other: Expr) -> Expr {
        binary_expr(self, Operator::IsNotDistinctFrom, other)
    }

    fn ne_missing(self, other: Expr) -> Expr {
        binary_expr(self, Operator::IsDistinctFrom, other)
    }

    fn fill_null(self, value: Expr) -> Expr {
        coalesce(vec![self, value])
    }

    fn fill_nan(self, value: Expr) -> Expr {
        nanvl(self, value)
    }

    fn is_nan(self) -> Expr {
        isnan(self)
    }

    fn is_not_nan(self) -> Expr {
        !isnan(self)
    }

    fn replace(self, pairs: impl IntoIterator<Item = (Expr, Expr)>) -> Expr {
        replaced(self, pairs)
    }

    fn keep_where(self, condition: Expr) -> Expr {
        when(condition).then(self).end()
    }

    fn mask(self, condition: Expr, value: Expr) -> Expr {
        when(condition).then(value).otherwise(self)
    }
}
