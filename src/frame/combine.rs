//! Several frames as one: below each other, side by side, as sets, and one over the other.

use datafusion::logical_expr::Expr;
use datafusion::prelude::coalesce;

use super::canonical::canonical_type;
use super::names::{check_distinct, columns, columns_of, exact_names, free_name};
use super::order::row_numbers;
use super::{DataFrame, Join, JoinOptions, col};
use crate::error::{Error, Result};

/// How frames are put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Concat {
    /// Rows below each other; all frames have the same names and types of columns, in any order of
    /// the columns. All types of texts are the same here.
    Vertical,
    /// As `Vertical`, but types may differ where they have a common one.
    VerticalRelaxed,
    /// Rows below each other; a column that a frame does not have is NULL in its rows. Types may
    /// differ where they have a common one.
    Diagonal,
    /// Columns beside each other, the first row beside the first; rows that are missing at the end
    /// are NULL. The names of all columns differ.
    Horizontal,
}

/// Frames as one: their rows below each other, or their columns side by side.
///
/// # Errors
/// `Query` if there is no frame, or they do not fit.
pub fn concat(frames: impl IntoIterator<Item = DataFrame>, how: Concat) -> Result<DataFrame> {
    let mut frames = frames.into_iter();
    let Some(first) = frames.next() else {
        return Err(Error::query("there is no frame to begin with"));
    };
    match how {
        Concat::Vertical => frames.try_fold(first, |all, next| {
            check_same_types(&all, &next)?;
            all.below(next)
        }),
        Concat::VerticalRelaxed => frames.try_fold(first, DataFrame::below),
        Concat::Diagonal => frames.try_fold(first, DataFrame::union_by_name),
        Concat::Horizontal => frames.try_fold(first, DataFrame::beside),
    }
}

/// That columns of the same name have the same type.
fn check_same_types(one: &DataFrame, other: &DataFrame) -> Result<()> {
    let (one, other) = (one.schema(), other.schema());
    for field in one.fields() {
        let Some((_, second)) = other.fields().find(field.name()) else { continue };
        if canonical_type(field.data_type()) != canonical_type(second.data_type()) {
            let what = format!(
                "the column \"{}\" is {} in one frame and {} in another",
                field.name(),
                field.data_type(),
                second.data_type()
            );
            return Err(Error::query(what)
                .with_hint("cast one of them, or use VerticalRelaxed for a common type"));
        }
    }
    Ok(())
}

impl DataFrame {
    /// The rows of both, equal ones as often as they are there. Columns are matched by place.
    ///
    /// # Errors
    /// `Query` if the columns differ in number or have types without a common one.
    pub fn union(self, other: DataFrame) -> Result<Self> {
        Ok(self.with(self.plan.clone().union(other.plan)?))
    }

    /// The rows of both, equal ones as often as they are there. Columns are matched by name; one that
    /// a frame does not have is NULL in its rows.
    ///
    /// # Errors
    /// `Query` if two columns of a name have types without a common one.
    pub fn union_by_name(self, other: DataFrame) -> Result<Self> {
        Ok(self.with(self.plan.clone().union_by_name(other.plan)?))
    }

    /// The rows of both; each has the columns of the other.
    fn below(self, other: DataFrame) -> Result<Self> {
        let names = self.names();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let others = columns_of(other.plan.schema(), &names)?;
        if other.names().len() > names.len() {
            exact_names(
                self.plan.schema(),
                &other.names().iter().map(String::as_str).collect::<Vec<_>>(),
            )?;
        }
        let others = others.into_iter().zip(names).map(|(column, name)| column.alias(name));
        let other = other.project(others)?;
        self.union(other)
    }

    /// The columns of both, matched by the place of the row.
    fn beside(self, other: DataFrame) -> Result<Self> {
        let names = [self.names(), other.names()].concat();
        check_distinct(&names)?;
        let mut row = "__row".to_string();
        while names.contains(&row) {
            row.push('_');
        }
        let (left, right) = (self.with_row_index(&row, 0)?, other.with_row_index(&row, 0)?);
        let joined = left.join(right, &[&row], Join::Full)?;
        joined.sort([col(&row).sort(true, false)])?.drop(row.as_str())
    }

    /// The rows that the other frame has too, once each. Columns are matched by place; NULLs are
    /// equal here.
    ///
    /// # Errors
    /// `Query` if the columns differ in number or cannot be compared.
    pub fn intersect(self, other: DataFrame) -> Result<Self> {
        self.distinct()?.matching(other, Join::Semi)
    }

    /// The rows that the other frame has too, as often as both have them; otherwise as
    /// [`DataFrame::intersect`].
    ///
    /// # Errors
    /// As for [`DataFrame::intersect`].
    pub fn intersect_all(self, other: DataFrame) -> Result<Self> {
        self.matching_copies(other, Join::Semi)
    }

    /// The rows that the other frame does not have, once each. Columns are matched by place; NULLs
    /// are equal here.
    ///
    /// # Errors
    /// As for [`DataFrame::intersect`].
    pub fn except(self, other: DataFrame) -> Result<Self> {
        self.distinct()?.matching(other, Join::Anti)
    }

    /// The rows without those of the other frame: one that is there three times and once in the
    /// other is left twice. Otherwise as [`DataFrame::except`].
    ///
    /// # Errors
    /// As for [`DataFrame::intersect`].
    pub fn except_all(self, other: DataFrame) -> Result<Self> {
        self.matching_copies(other, Join::Anti)
    }

    /// The rows that do, or do not, equal one of the other frame.
    fn matching(self, other: DataFrame, how: Join) -> Result<Self> {
        let names = self.names();
        let others = columns(other.plan.schema());
        if others.len() != names.len() {
            return Err(Error::query(format!(
                "the frames have different numbers of columns: {} and {}",
                names.len(),
                others.len()
            )));
        }
        let others = others.into_iter().zip(&names).map(|((_, column), name)| column.alias(name));
        let other = other.project(others)?;
        self.join_with(other, JoinOptions::on(names).how(how).nulls_equal(true))
    }

    /// As [`DataFrame::matching`], but the second copy of a row equals only a second copy.
    fn matching_copies(self, other: DataFrame, how: Join) -> Result<Self> {
        let copy = free_name(self.plan.schema(), "copy");
        let left = self.copies_numbered(&copy)?;
        let right = other.copies_numbered(&copy)?;
        left.matching(right, how)?.drop(copy.as_str())
    }

    /// Adds a column that counts the copies of each row.
    fn copies_numbered(self, name: &str) -> Result<Self> {
        let all = columns(self.plan.schema()).into_iter().map(|(_, column)| column);
        let all: Vec<Expr> = all.collect();
        let copy = row_numbers(all.clone(), Vec::new())?.alias(name);
        self.project(all.into_iter().chain([copy]))
    }

    /// Fills the NULLs of this frame with the values that the other has for the same keys, and adds
    /// the rows and columns that only the other has.
    ///
    /// # Errors
    /// As for [`DataFrame::join`].
    pub fn combine_first(self, other: DataFrame, on: &[&str]) -> Result<Self> {
        self.patched(other, on, Join::Full, |own, theirs| coalesce(vec![own, theirs]), true)
    }

    /// Replaces values by those that the other frame has for the same keys and that are not NULL.
    /// Columns that only the other has are left out, and so are its other rows, unless `how` is
    /// `Full`.
    ///
    /// # Errors
    /// As for [`DataFrame::join`], and `Query` if `how` is neither `Left`, `Inner` nor `Full`.
    pub fn update(self, other: DataFrame, on: &[&str], how: Join) -> Result<Self> {
        if !matches!(how, Join::Left | Join::Inner | Join::Full) {
            return Err(Error::query("an update keeps the left, the inner or all rows"));
        }
        self.patched(other, on, how, |own, theirs| coalesce(vec![theirs, own]), false)
    }

    fn patched(
        self,
        other: DataFrame,
        on: &[&str],
        how: Join,
        chosen: impl Fn(Expr, Expr) -> Expr,
        adds_columns: bool,
    ) -> Result<Self> {
        let names = self.names();
        let keys = exact_names(self.plan.schema(), on)?;
        let mut suffix = "_other".to_string();
        let others = other.names();
        let is_taken = |name: &String, suffix: &str| {
            name.strip_suffix(suffix).is_some_and(|stem| names.iter().any(|name| name == stem))
        };
        while names.iter().chain(&others).any(|name| is_taken(name, &suffix)) {
            suffix.push('_');
        }
        let options = JoinOptions::on_pairs(keys.iter().cloned().zip(on.iter().copied()));
        let joined = self.join_with(other, options.how(how).suffix(&suffix))?;
        let all = columns(joined.plan.schema());
        let column =
            |name: &str| all.iter().find(|(all, _)| all == name).map(|(_, all)| all.clone());
        let mut result = Vec::new();
        for (name, own) in &all[..names.len()] {
            let theirs = column(&format!("{name}{suffix}")).filter(|_| !keys.contains(name));
            result.push(match theirs {
                Some(theirs) => chosen(own.clone(), theirs).alias(name),
                None => own.clone(),
            });
        }
        if adds_columns {
            let stem = |name: &str| name.strip_suffix(&suffix).map(str::to_string);
            let new = all[names.len()..].iter();
            let new = new.filter(|(name, _)| stem(name).is_none_or(|stem| !names.contains(&stem)));
            result.extend(new.map(|(_, column)| column.clone()));
        }
        joined.project(result)
    }

    /// The rows of two frames that are sorted by this column as one that is. Columns are matched by
    /// name.
    ///
    /// # Errors
    /// As for [`concat`](fn@concat) with [`Concat::VerticalRelaxed`].
    pub fn merge_sorted(self, other: DataFrame, key: &str) -> Result<Self> {
        let key = self.exact_name(key)?;
        self.below(other)?.sort([col(key).sort(true, false)])
    }
}
