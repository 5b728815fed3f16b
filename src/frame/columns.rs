//! Which columns a frame has.

use arrow::datatypes::DataType;
use datafusion::logical_expr::{Expr, lit};
use datafusion::prelude::{cast, try_cast};

use super::names::{
    check_distinct, columns, exact_column, exact_names, find_column, find_column_named,
    in_place_of, named_as_written, names, place_of,
};
use super::order::row_numbers;
use super::{DataFrame, Selector};
use crate::error::Result;

impl DataFrame {
    /// Keeps these expressions as the columns. One without an alias has the name of its text.
    ///
    /// # Errors
    /// `Query` if an expression names a column that is not there.
    pub fn select(self, exprs: impl IntoIterator<Item = Expr>) -> Result<Self> {
        let exprs = self.exact_all(exprs.into_iter().map(named_as_written))?;
        self.project(exprs)
    }

    /// Keeps the columns that are named or [selected](super::selectors): named ones in the order of
    /// the names, others in that of the frame.
    ///
    /// # Errors
    /// As for [`DataFrame::select`].
    pub fn select_columns(self, which: impl Into<Selector>) -> Result<Self> {
        let all = columns(self.plan.schema());
        let kept = which.into().places(self.plan.schema())?;
        self.project(kept.into_iter().map(|place| all[place].1.clone()))
    }

    /// Leaves out the columns that are named or [selected](super::selectors).
    ///
    /// # Errors
    /// As for [`DataFrame::select`].
    pub fn drop(self, which: impl Into<Selector>) -> Result<Self> {
        let dropped = which.into().places(self.plan.schema())?;
        let kept = columns(self.plan.schema()).into_iter().enumerate();
        let kept = kept.filter(|(place, _)| !dropped.contains(place));
        self.project(kept.map(|(_, (_, column))| column).collect::<Vec<_>>())
    }

    /// Adds a column, or replaces the one of this name.
    ///
    /// # Errors
    /// As for [`DataFrame::select`].
    pub fn with_column(self, name: &str, expr: Expr) -> Result<Self> {
        self.with_columns([expr.alias(name)])
    }

    /// Adds columns, or replaces those of their names. All are computed from the columns there are,
    /// none from another of them.
    ///
    /// # Errors
    /// As for [`DataFrame::select`], and `Query` if two have the same name.
    pub fn with_columns(self, exprs: impl IntoIterator<Item = Expr>) -> Result<Self> {
        let mut all = columns(self.plan.schema());
        let mut added = Vec::new();
        for expr in exprs {
            // Only the name of a column may have that of its table before it.
            let (wanted, found) = match &expr {
                Expr::Column(column) => {
                    (column.name.clone(), find_column(self.plan.schema(), &column.name)?)
                }
                expr => {
                    let name = expr.schema_name().to_string();
                    let found = find_column_named(self.plan.schema(), &name)?;
                    (name, found)
                }
            };
            let place = found.and_then(|found| {
                all.iter().position(|(_, column)| *column == Expr::Column(found.clone()))
            });
            let place = place.unwrap_or_else(|| {
                // DataFusion takes a column with its table for one of this name.
                for (name, column) in &mut all {
                    if matches!(column, Expr::Column(column) if column.flat_name() == wanted) {
                        *column = column.clone().alias(name.as_str());
                    }
                }
                all.push((wanted, Expr::default()));
                all.len() - 1
            });
            let (name, column) = &mut all[place];
            *column = self.exact(expr.unalias())?.alias(name.as_str());
            added.push(name.clone());
        }
        check_distinct(&added)?;
        self.project(all.into_iter().map(|(_, column)| column))
    }

    /// Gives columns other names: pairs of the old and the new one.
    ///
    /// # Errors
    /// As for [`DataFrame::select`], and `Query` if two columns would have the same name.
    pub fn rename<'a>(self, pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self> {
        let mut names = self.names();
        for (old, new) in pairs {
            names[place_of(self.plan.schema(), old)?] = new.to_string();
        }
        self.renamed(names)
    }

    /// Gives every column the name that the function makes of its name.
    ///
    /// # Errors
    /// `Query` if two columns would have the same name.
    pub fn rename_with(self, new_name: impl Fn(&str) -> String) -> Result<Self> {
        let names = self.names().iter().map(|name| new_name(name)).collect();
        self.renamed(names)
    }

    fn renamed(self, names: Vec<String>) -> Result<Self> {
        check_distinct(&names)?;
        let all = columns(self.plan.schema()).into_iter().zip(names);
        self.project(all.map(|((_, column), name)| column.alias(name)))
    }

    /// Changes the type of columns; a value that has none in the new type is an error when the query
    /// runs.
    ///
    /// # Errors
    /// As for [`DataFrame::select`], and `Query` if there is no such cast.
    pub fn cast(self, which: impl Into<Selector>, to: DataType) -> Result<Self> {
        self.map_columns(which, |column, _| cast(column, to.clone()))
    }

    /// Changes the type of columns as [`DataFrame::cast`] does, but a value that has none in the new
    /// type becomes NULL.
    ///
    /// # Errors
    /// As for [`DataFrame::cast`].
    pub fn try_cast(self, which: impl Into<Selector>, to: DataType) -> Result<Self> {
        self.map_columns(which, |column, _| try_cast(column, to.clone()))
    }

    /// Gives the frame to a function: a step of one's own in a chain of methods.
    pub fn pipe<T>(self, step: impl FnOnce(Self) -> T) -> T {
        step(self)
    }

    /// Adds a first column that counts the rows from `start`, in their order if they have one.
    ///
    /// # Errors
    /// `Query` if there is a column of this name.
    pub fn with_row_index(self, name: &str, start: i64) -> Result<Self> {
        let all = columns(self.plan.schema());
        check_distinct(all.iter().map(|(name, _)| name).chain([&name.to_string()]))?;
        let number = row_numbers(Vec::new(), self.order().unwrap_or_default())?;
        let index = cast(number, DataType::Int64) + lit(start.wrapping_sub(1));
        self.project([index.alias(name)].into_iter().chain(all.into_iter().map(|(_, all)| all)))
    }

    /// Puts these columns first, in this order; the others follow as they were.
    ///
    /// # Errors
    /// As for [`DataFrame::select`].
    pub fn reorder(self, first: &[&str]) -> Result<Self> {
        let first = exact_names(self.plan.schema(), first)?;
        check_distinct(&first)?;
        let place = |name: &String| first.iter().position(|first| first == name);
        let mut all = columns(self.plan.schema());
        all.sort_by_key(|(name, _)| place(name).unwrap_or(first.len()));
        self.project(all.into_iter().map(|(_, column)| column))
    }

    /// The columns of these expressions, whose names are exact.
    pub(super) fn project(&self, exprs: impl IntoIterator<Item = Expr>) -> Result<Self> {
        let (frame, exprs) = self.windowed(exprs.into_iter().collect())?;
        Ok(frame.with(frame.plan.clone().select(exprs)?))
    }

    /// Replaces the selected columns by what the function makes of each and its type.
    pub(super) fn map_columns(
        self,
        which: impl Into<Selector>,
        change: impl Fn(Expr, &DataType) -> Expr,
    ) -> Result<Self> {
        let places = which.into().places(self.plan.schema())?;
        let mut all = columns(self.plan.schema());
        for place in places {
            let data_type = self.plan.schema().field(place).data_type();
            let (_, column) = &mut all[place];
            *column = in_place_of(column, change(column.clone(), data_type));
        }
        self.project(all.into_iter().map(|(_, column)| column))
    }

    /// The exact name of a column.
    pub(super) fn exact_name(&self, name: &str) -> Result<String> {
        Ok(exact_column(self.plan.schema(), name)?.name)
    }

    pub(super) fn names(&self) -> Vec<String> {
        names(self.plan.schema())
    }
}
