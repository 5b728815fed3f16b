//! Two frames side by side: rows that match.

use datafusion::common::{Column, NullEquality};
use datafusion::logical_expr::{Expr, LogicalPlanBuilder, lit};
use datafusion::prelude::{JoinType, coalesce};

use super::names::{check_distinct, exact_names, free_name};
use super::unique_keys::{Side, checked};
use super::{DataFrame, when};
use crate::error::{Error, Result};

/// Which rows a join keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Join {
    /// Rows that match.
    Inner,
    /// Rows that match, and the others of the left side with NULLs.
    Left,
    /// Rows that match, and the others of the right side with NULLs.
    Right,
    /// Rows that match, and the others of both sides with NULLs.
    Full,
    /// Rows of the left side that match, once each.
    Semi,
    /// Rows of the left side that do not match.
    Anti,
}

/// On which sides of a join a key may be there only once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Validate {
    /// Neither.
    #[default]
    ManyToMany,
    /// Both.
    OneToOne,
    /// The left.
    OneToMany,
    /// The right.
    ManyToOne,
}

/// How two frames are joined: `JoinOptions::on(["id"]).how(Join::Left).suffix("_old")`.
#[derive(Debug, Clone)]
pub struct JoinOptions {
    left_on: Vec<String>,
    right_on: Vec<String>,
    how: Join,
    suffix: String,
    validate: Validate,
    indicator: Option<String>,
    coalesce: bool,
    nulls_equal: bool,
}

impl JoinOptions {
    /// An inner join where the columns of these names are equal.
    pub fn on(names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let names: Vec<String> = names.into_iter().map(Into::into).collect();
        Self::on_pairs(names.iter().map(|name| (name.clone(), name.clone())))
    }

    /// An inner join where the columns of each pair, the first on the left and the second on the
    /// right, are equal.
    pub fn on_pairs(
        pairs: impl IntoIterator<Item = (impl Into<String>, impl Into<String>)>,
    ) -> Self {
        let pairs = pairs.into_iter().map(|(left, right)| (left.into(), right.into()));
        let (left_on, right_on) = pairs.unzip();
        JoinOptions {
            left_on,
            right_on,
            how: Join::Inner,
            suffix: "_right".to_string(),
            validate: Validate::ManyToMany,
            indicator: None,
            coalesce: true,
            nulls_equal: false,
        }
    }

    /// Which rows are kept.
    pub fn how(self, how: Join) -> Self {
        JoinOptions { how, ..self }
    }

    /// What is added to the name of a right column if the left side has it too; `_right` at first.
    pub fn suffix(self, suffix: impl Into<String>) -> Self {
        JoinOptions { suffix: suffix.into(), ..self }
    }

    /// Checks that a key is there once on one or both sides; the query fails at one that is not.
    /// Rows that the query does not need are not checked.
    pub fn validate(self, validate: Validate) -> Self {
        JoinOptions { validate, ..self }
    }

    /// Adds a column of this name that says where each row comes from: `left_only`, `right_only` or
    /// `both`.
    pub fn indicator(self, name: impl Into<String>) -> Self {
        JoinOptions { indicator: Some(name.into()), ..self }
    }

    /// Whether the keys are one column, which is the default, or one of each side.
    pub fn coalesce(self, coalesce: bool) -> Self {
        JoinOptions { coalesce, ..self }
    }

    /// Whether a NULL in a key equals NULL; it equals nothing at first.
    pub fn nulls_equal(self, nulls_equal: bool) -> Self {
        JoinOptions { nulls_equal, ..self }
    }

    fn has_two_sides(&self) -> bool {
        !matches!(self.how, Join::Semi | Join::Anti)
    }
}

/// Names of the sides in the plan of a join.
pub(super) const LEFT: &str = "l";
pub(super) const RIGHT: &str = "r";

/// A column of a side.
pub(super) fn of(side: &str, name: &str) -> Expr {
    Expr::Column(Column::new(Some(side), name))
}

/// Columns of a side.
pub(super) fn keys_of(side: &str, names: &[impl AsRef<str>]) -> Vec<Column> {
    names.iter().map(|name| Column::new(Some(side), name.as_ref())).collect()
}

/// What a right column is called, if these names are taken.
pub(super) fn suffixed(name: &str, taken: &[String], suffix: &str) -> String {
    if taken.iter().any(|taken| taken == name) {
        format!("{name}{suffix}")
    } else {
        name.to_string()
    }
}

impl DataFrame {
    /// Joins on columns that have the same name on both sides.
    ///
    /// The result has the left columns, then the right ones without the key columns. Keys of rows
    /// that are only on the right are taken from there. A right column whose name the left side has
    /// too gets the suffix `_right`.
    ///
    /// # Errors
    /// As for [`DataFrame::select`].
    pub fn join(self, right: DataFrame, on: &[&str], how: Join) -> Result<Self> {
        self.join_with(right, JoinOptions::on(on.iter().copied()).how(how))
    }

    /// Joins where the `left_on` columns equal the `right_on` ones, in order; otherwise as
    /// [`DataFrame::join`].
    ///
    /// # Errors
    /// As for [`DataFrame::select`], and `Query` if the two lists differ in length.
    pub fn join_on(
        self,
        right: DataFrame,
        left_on: &[&str],
        right_on: &[&str],
        how: Join,
    ) -> Result<Self> {
        if left_on.len() != right_on.len() {
            return Err(Error::query(format!(
                "a join needs as many key columns on each side: {} and {}",
                left_on.len(),
                right_on.len()
            )));
        }
        let pairs = left_on.iter().copied().zip(right_on.iter().copied());
        self.join_with(right, JoinOptions::on_pairs(pairs).how(how))
    }

    /// Joins as the options say.
    ///
    /// # Errors
    /// As for [`DataFrame::select`], and `Query` if there is no key, two columns would have the same
    /// name, or an indicator is asked for of a join that keeps one side only.
    pub fn join_with(self, right: DataFrame, options: JoinOptions) -> Result<Self> {
        let on = |names: &[String], frame: &DataFrame| {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            exact_names(frame.plan.schema(), &names)
        };
        let left_keys = on(&options.left_on, &self)?;
        let right_keys = on(&options.right_on, &right)?;
        if left_keys.is_empty() {
            return Err(Error::query("a join needs a key column").with_hint(
                "use cross_join for all pairs of rows, join_where for other conditions",
            ));
        }
        if options.indicator.is_some() && !options.has_two_sides() {
            return Err(Error::query("all rows of a semi or anti join come from the left side"));
        }
        let (left_names, right_names) = (self.names(), right.names());
        let (mut left, mut right) = (self, right);
        if matches!(options.validate, Validate::OneToOne | Validate::OneToMany) {
            left = checked(left, &left_keys, Side::Left, options.nulls_equal)?;
        }
        if matches!(options.validate, Validate::OneToOne | Validate::ManyToOne) {
            right = checked(right, &right_keys, Side::Right, options.nulls_equal)?;
        }
        let marks = match &options.indicator {
            None => None,
            Some(name) => {
                let marks = [
                    free_name(left.plan.schema(), "is_left"),
                    free_name(right.plan.schema(), "is_right"),
                ];
                left = left.with_column(&marks[0], lit(true))?;
                right = right.with_column(&marks[1], lit(true))?;
                Some((name, marks))
            }
        };
        let joined = LogicalPlanBuilder::from(left.plan.clone().alias(LEFT)?.into_parts().1);
        let joined = joined.join_detailed(
            right.plan.alias(RIGHT)?.into_parts().1,
            join_type(options.how),
            (keys_of(LEFT, &left_keys), keys_of(RIGHT, &right_keys)),
            None,
            if options.nulls_equal {
                NullEquality::NullEqualsNull
            } else {
                NullEquality::NullEqualsNothing
            },
        )?;
        let mut columns = output(&options, (&left_names, &left_keys), (&right_names, &right_keys));
        if let Some((name, [is_left, is_right])) = marks {
            let place = when(of(LEFT, &is_left).is_null())
                .then(lit("right_only"))
                .when(of(RIGHT, &is_right).is_null())
                .then(lit("left_only"))
                .otherwise(lit("both"));
            columns.push((name.clone(), place));
        }
        check_distinct(columns.iter().map(|(name, _)| name))?;
        let joined = left.planned(joined.build()?);
        joined.project(columns.into_iter().map(|(name, column)| column.alias(name)))
    }

    /// Every row with every row of the other frame. A right column whose name the left side has too
    /// gets the suffix `_right`.
    ///
    /// # Errors
    /// `Query` if two columns would have the same name.
    pub fn cross_join(self, right: DataFrame) -> Result<Self> {
        let taken = self.names();
        let right = right.rename_with(|name| suffixed(name, &taken, "_right"))?;
        check_distinct(taken.iter().chain(&right.names()))?;
        let left = self.rename_with(str::to_string)?;
        let pairs = LogicalPlanBuilder::from(left.plan.clone().into_parts().1);
        Ok(left.planned(pairs.cross_join(right.plan.into_parts().1)?.build()?))
    }

    /// Pairs of rows for which all conditions are true: `[col("start").lt_eq(col("at")),
    /// col("at").lt(col("end"))]`. A right column whose name the left side has too has the suffix
    /// `_right`, also in the conditions.
    ///
    /// # Errors
    /// As for [`DataFrame::select`] and [`DataFrame::cross_join`].
    pub fn join_where(
        self,
        right: DataFrame,
        conditions: impl IntoIterator<Item = Expr>,
    ) -> Result<Self> {
        let pairs = self.cross_join(right)?;
        match conditions.into_iter().reduce(Expr::and) {
            Some(condition) => pairs.filter(condition),
            None => Err(Error::query("a join needs a condition")
                .with_hint("use cross_join for all pairs of rows")),
        }
    }
}

/// The columns of the result, by name; each side has its names and its keys.
fn output(
    options: &JoinOptions,
    (left_names, left_keys): (&[String], &[String]),
    (right_names, right_keys): (&[String], &[String]),
) -> Vec<(String, Expr)> {
    let mut columns = Vec::new();
    for name in left_names {
        let key = left_keys.iter().position(|key| key == name);
        let column = match key {
            Some(key) if options.coalesce && matches!(options.how, Join::Right | Join::Full) => {
                coalesce(vec![of(LEFT, name), of(RIGHT, &right_keys[key])])
            }
            _ => of(LEFT, name),
        };
        columns.push((name.clone(), column));
    }
    if options.has_two_sides() {
        for name in right_names {
            if !(options.coalesce && right_keys.contains(name)) {
                columns.push((suffixed(name, left_names, &options.suffix), of(RIGHT, name)));
            }
        }
    }
    columns
}

fn join_type(how: Join) -> JoinType {
    match how {
        Join::Inner => JoinType::Inner,
        Join::Left => JoinType::Left,
        Join::Right => JoinType::Right,
        Join::Full => JoinType::Full,
        Join::Semi => JoinType::LeftSemi,
        Join::Anti => JoinType::LeftAnti,
    }
}
