//! Which rows a frame has, and in which order.
//!
//! Rows have an order only after a sort, until a group, a join or a set operation mixes them. What
//! speaks of the first or the last rows means that order; without one, any rows may be the first.

use datafusion::functions_aggregate::count::count_all_window;
use datafusion::logical_expr::{Expr, ExprFunctionExt, SortExpr, lit};

use super::names::{columns, columns_of, find_column, free_name, no_column};
use super::order::row_numbers;
use super::{DataFrame, Selector, col, selectors};
use crate::error::{Error, Result};

/// Which row of several with the same keys is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// One of them.
    Any,
    /// The first.
    First,
    /// The last.
    Last,
    /// None of them: only rows whose keys no other row has are kept.
    None,
}

impl DataFrame {
    /// Keeps the rows for which the condition is true.
    ///
    /// # Errors
    /// As for [`DataFrame::select`].
    pub fn filter(self, condition: Expr) -> Result<Self> {
        let (frame, mut condition) = self.windowed(vec![self.exact(condition)?])?;
        let kept = frame.with(frame.plan.clone().filter(condition.swap_remove(0))?);
        if kept.width() == self.width() {
            return Ok(kept);
        }
        kept.project(columns(self.plan.schema()).into_iter().map(|(_, column)| column))
    }

    /// Keeps the first `count` rows.
    ///
    /// # Errors
    /// Those of the plan below.
    pub fn limit(self, count: usize) -> Result<Self> {
        Ok(self.with(self.plan.clone().limit(0, Some(count))?))
    }

    /// Keeps the first `count` rows, as [`DataFrame::limit`] does.
    ///
    /// # Errors
    /// Those of the plan below.
    pub fn head(self, count: usize) -> Result<Self> {
        self.limit(count)
    }

    /// Keeps the last `count` rows, in their order.
    ///
    /// # Errors
    /// Those of the plan below.
    pub fn tail(self, count: usize) -> Result<Self> {
        self.last_rows(0, Some(count))
    }

    /// The last rows but `skipped`, at most `count`, in their order.
    fn last_rows(self, skipped: usize, count: Option<usize>) -> Result<Self> {
        if let Some(order) = self.order() {
            let flipped = order.iter().map(SortExpr::reverse).collect();
            let last = self.in_order(flipped)?;
            let last = last.with(last.plan.clone().limit(skipped, count)?);
            return last.in_order(order);
        }
        let (numbered, number) = self.numbered()?;
        let last = numbered.plan.clone().sort(vec![number.clone().sort(false, false)])?;
        let last = last.limit(skipped, count)?.sort(vec![number.sort(true, false)])?;
        numbered.with(last).without_number()
    }

    /// Keeps at most `count` rows after leaving out `offset` rows. A negative offset counts from the
    /// end: `slice(-3, Some(2))` keeps two of the last three rows. One before the first row takes
    /// from the count what is not there.
    ///
    /// # Errors
    /// Those of the plan below.
    pub fn slice(self, offset: i64, count: Option<usize>) -> Result<Self> {
        let distance = usize::try_from(offset.unsigned_abs()).unwrap_or(usize::MAX);
        if offset >= 0 {
            return Ok(self.with(self.plan.clone().limit(distance, count)?));
        }
        let kept = count.map_or(distance, |count| count.min(distance));
        self.last_rows(distance - kept, Some(kept))
    }

    /// Leaves out the first `count` rows.
    ///
    /// # Errors
    /// Those of the plan below.
    pub fn offset(self, count: usize) -> Result<Self> {
        Ok(self.with(self.plan.clone().limit(count, None)?))
    }

    /// Keeps one of each set of equal rows.
    ///
    /// # Errors
    /// Those of the plan below.
    pub fn distinct(self) -> Result<Self> {
        Ok(self.with(self.plan.clone().distinct()?))
    }

    /// Keeps one row, or none, of those that have the same values in these columns; an empty list
    /// means all. NULL is a value here. The rows come in no order.
    ///
    /// # Errors
    /// As for [`DataFrame::select`].
    pub fn unique(self, subset: impl Into<Selector>, keep: Keep) -> Result<Self> {
        let all: Vec<Expr> = columns(self.plan.schema()).into_iter().map(|(_, all)| all).collect();
        let places = subset.into().or_if_empty(selectors::all()).places(self.plan.schema())?;
        let keys: Vec<Expr> = places.into_iter().map(|place| all[place].clone()).collect();
        let mark = free_name(self.plan.schema(), "place");
        match keep {
            Keep::Any if keys == all => self.distinct(),
            Keep::Any => {
                let place = row_numbers(keys, Vec::new())?;
                self.project(all.into_iter().chain([place.alias(&mark)]))?.only(&mark)
            }
            Keep::None => {
                let copies = count_all_window().partition_by(keys).build()?;
                self.project(all.into_iter().chain([copies.alias(&mark)]))?.only(&mark)
            }
            Keep::First | Keep::Last => {
                let (numbered, number) = self.numbered()?;
                let order = number.sort(keep == Keep::First, false);
                let place = row_numbers(keys, vec![order])?;
                let columns = columns(numbered.plan.schema()).into_iter().map(|(_, all)| all);
                let placed = numbered.project(columns.chain([place.alias(&mark)]))?;
                placed.only(&mark)?.without_number()
            }
        }
    }

    /// The rows where the last column is 1, without it.
    fn only(self, mark: &str) -> Result<Self> {
        self.filter(col(mark).eq(lit(1_i64)))?.drop(mark)
    }

    /// Keeps the `count` rows with the greatest values of these columns, greatest first: the first
    /// column counts most. NULLs come after all values.
    ///
    /// # Errors
    /// As for [`DataFrame::select`].
    pub fn top_k(self, count: usize, by: &[&str]) -> Result<Self> {
        self.extremes(count, by, false)
    }

    /// Keeps the `count` rows with the least values of these columns, least first: the first column
    /// counts most. NULLs come after all values.
    ///
    /// # Errors
    /// As for [`DataFrame::select`].
    pub fn bottom_k(self, count: usize, by: &[&str]) -> Result<Self> {
        self.extremes(count, by, true)
    }

    fn extremes(self, count: usize, by: &[&str], are_least: bool) -> Result<Self> {
        if by.is_empty() {
            return Err(Error::query("no column says which rows are greatest or least")
                .with_hint("name one, or use head for the first rows"));
        }
        let keys = columns_of(self.plan.schema(), by)?.into_iter();
        self.sort(keys.map(|key| key.sort(are_least, false)))?.limit(count)
    }

    /// Orders the rows: `col("a").sort(ascending, nulls_first)`. They stay as they are without keys.
    ///
    /// # Errors
    /// As for [`DataFrame::select`].
    pub fn sort(self, by: impl IntoIterator<Item = SortExpr>) -> Result<Self> {
        let by = by
            .into_iter()
            .map(|sort| Ok(SortExpr { expr: self.exact(sort.expr)?, ..sort }))
            .collect::<Result<Vec<_>>>()?;
        if by.is_empty() { Ok(self) } else { self.in_order(by) }
    }

    /// Orders the rows by columns: `["city", "-population"]` by city, and in each by falling
    /// population. NULLs come last.
    ///
    /// # Errors
    /// As for [`DataFrame::select`].
    pub fn sort_by(self, by: &[&str]) -> Result<Self> {
        let keys = self.sort_keys(by)?;
        self.sort(keys)
    }

    /// What the names of [`DataFrame::sort_by`] mean.
    pub(super) fn sort_keys(&self, by: &[&str]) -> Result<Vec<SortExpr>> {
        let schema = self.plan.schema();
        let keys = by.iter().map(|name| {
            if let Some(column) = find_column(schema, name)? {
                return Ok(Expr::Column(column).sort(true, false));
            }
            let Some(falling) = name.strip_prefix('-') else { return Err(no_column(schema, name)) };
            match find_column(schema, falling)? {
                Some(column) => Ok(Expr::Column(column).sort(false, false)),
                None => Err(no_column(schema, falling)),
            }
        });
        keys.collect()
    }

    /// The rows from the last to the first.
    ///
    /// # Errors
    /// Those of the plan below.
    pub fn reverse(self) -> Result<Self> {
        if let Some(order) = self.order() {
            let flipped = order.iter().map(SortExpr::reverse).collect();
            return self.in_order(flipped);
        }
        let (numbered, number) = self.numbered()?;
        let flipped = numbered.plan.clone().sort(vec![number.sort(false, false)])?;
        numbered.with(flipped).without_number()
    }

    /// The rows with a first column that numbers them, and that column.
    fn numbered(self) -> Result<(Self, Expr)> {
        let name = free_name(self.plan.schema(), "row");
        let numbered = self.with_row_index(&name, 0)?;
        let number = columns_of(numbered.plan.schema(), &[&name])?.swap_remove(0);
        Ok((numbered, number))
    }

    /// Without the first column.
    fn without_number(self) -> Result<Self> {
        let columns = columns(self.plan.schema()).into_iter().skip(1);
        self.project(columns.map(|(_, column)| column))
    }
}
