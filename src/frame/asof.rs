//! Joins with the nearest row in an order.

use datafusion::logical_expr::Expr;

use super::DataFrame;
use super::join::{LEFT, RIGHT, of, suffixed};
use super::names::{check_distinct, exact_names, names};
use crate::error::{Error, Result};
use crate::relations::asof::{Asof, AsofKind, AsofStrategy, Tolerance};

/// How [`DataFrame::join_asof`] joins.
///
/// ```
/// # use brimful::{AsofOptions, AsofStrategy};
/// AsofOptions::on("time").by(["symbol"]).strategy(AsofStrategy::Nearest).tolerance(5);
/// ```
#[derive(Debug, Clone)]
pub struct AsofOptions {
    /// The column of the left side by which rows are near.
    left_on: String,
    /// That of the right side.
    right_on: String,
    left_by: Vec<String>,
    right_by: Vec<String>,
    strategy: AsofStrategy,
    tolerance: Option<Tolerance>,
    exact: bool,
    suffix: String,
}

impl AsofOptions {
    /// Rows are near in a column that both sides have.
    pub fn on(column: &str) -> Self {
        AsofOptions::left_right_on(column, column)
    }

    /// Rows are near in a column of each side.
    pub fn left_right_on(left: &str, right: &str) -> Self {
        AsofOptions {
            left_on: left.to_string(),
            right_on: right.to_string(),
            left_by: Vec::new(),
            right_by: Vec::new(),
            strategy: AsofStrategy::default(),
            tolerance: None,
            exact: true,
            suffix: "_right".to_string(),
        }
    }

    /// Only rows that are equal in these columns, which both sides have, match.
    #[must_use]
    pub fn by(self, columns: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let columns: Vec<String> = columns.into_iter().map(Into::into).collect();
        AsofOptions { left_by: columns.clone(), right_by: columns, ..self }
    }

    /// Only rows that are equal in these columns of each side, in order, match.
    #[must_use]
    pub fn left_right_by(
        self,
        left: impl IntoIterator<Item = impl Into<String>>,
        right: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        let left_by = left.into_iter().map(Into::into).collect();
        let right_by = right.into_iter().map(Into::into).collect();
        AsofOptions { left_by, right_by, ..self }
    }

    /// Which row of the right side a row matches; without this the last one that is not after it.
    #[must_use]
    pub fn strategy(self, strategy: AsofStrategy) -> Self {
        AsofOptions { strategy, ..self }
    }

    /// How far apart rows that match may be at most: a number, or a duration for times.
    #[must_use]
    pub fn tolerance(self, tolerance: impl Into<Tolerance>) -> Self {
        AsofOptions { tolerance: Some(tolerance.into()), ..self }
    }

    /// Whether rows at the same place match, as they do without this.
    #[must_use]
    pub fn allow_exact_matches(self, exact: bool) -> Self {
        AsofOptions { exact, ..self }
    }

    /// What is put after the names of right columns that the left side has too; `_right` without this.
    #[must_use]
    pub fn suffix(self, suffix: &str) -> Self {
        AsofOptions { suffix: suffix.to_string(), ..self }
    }
}

impl DataFrame {
    /// Joins each row with the row of `right` that is nearest in an order, time for example; rows
    /// without one get NULLs. Neither side needs to be sorted; the rows come out in no order.
    ///
    /// The result has the left columns, then the right ones without the columns of `by`, and without
    /// that of the order where it has the same name. A right column whose name the left side has too
    /// gets the suffix. NULLs match nothing. Of several right rows at the same place any one is taken.
    ///
    /// # Errors
    /// `Query` for columns that are not there or cannot be compared, and for a tolerance that does not
    /// fit the type of the order.
    pub fn join_asof(self, right: DataFrame, options: &AsofOptions) -> Result<Self> {
        if options.left_by.len() != options.right_by.len() {
            return Err(Error::query(format!(
                "an ASOF join needs as many columns to be equal on each side: {} and {}",
                options.left_by.len(),
                options.right_by.len()
            )));
        }
        let exact = |frame: &DataFrame, columns: &[String], on: &str| {
            let all: Vec<&str> = columns.iter().map(String::as_str).chain([on]).collect();
            exact_names(frame.plan.schema(), &all)
        };
        let left_on = exact(&self, &options.left_by, &options.left_on)?;
        let right_on = exact(&right, &options.right_by, &options.right_on)?;
        let left_names = names(self.plan.schema());
        let right_names = names(right.plan.schema());
        let mut keys: Vec<(Expr, Expr)> =
            left_on.iter().zip(&right_on).map(|(l, r)| (of(LEFT, l), of(RIGHT, r))).collect();
        let order = keys.pop().expect("the order was put in");
        let asof = Asof {
            keys,
            order,
            kind: AsofKind::Left,
            strategy: options.strategy,
            exact: options.exact,
            tolerance: options.tolerance,
        };
        let left = self.plan.clone().alias(LEFT)?.into_unoptimized_plan();
        let right = right.plan.alias(RIGHT)?.into_unoptimized_plan();
        let joined = asof.plan(left, right)?;

        let (left_order, right_order) = (left_on.last(), right_on.last());
        let right_by = &right_on[..right_on.len() - 1];
        let is_kept = |name: &&String| {
            let is_order = Some(*name) == right_order && left_order == right_order;
            !right_by.contains(name) && !is_order
        };
        let kept: Vec<&String> = right_names.iter().filter(is_kept).collect();
        let renamed = kept.iter().map(|name| suffixed(name, &left_names, &options.suffix));
        let renamed: Vec<String> = renamed.collect();
        check_distinct(left_names.iter().chain(&renamed))?;
        let left = left_names.iter().map(|name| of(LEFT, name).alias(name));
        let right = kept.iter().zip(&renamed).map(|(name, new)| of(RIGHT, name).alias(new));
        self.planned(joined).project(left.chain(right))
    }
}
