//! NULLs and NaNs.

use std::fmt;

use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{Expr, lit};
use datafusion::prelude::{cast, coalesce};

use super::names::{columns, in_place_of};
use super::selectors::{Selector, all, float, is_text};
use super::{DataFrame, ValueExpr, group};
use crate::aggregates::{max, mean, min, sum};
use crate::error::{Error, Result};

/// What takes the place of a NULL.
#[derive(Debug, Clone)]
pub enum Fill {
    /// A value: in columns of its kind (numbers, texts, booleans, times) if it is a literal, in all
    /// columns if it is another expression.
    Value(Expr),
    /// 0, in numeric columns.
    Zero,
    /// 1, in numeric columns.
    One,
    /// The least value of the column.
    Min,
    /// The greatest value of the column.
    Max,
    /// The mean of the column, if it is numeric.
    Mean,
}

macro_rules! fill_from {
    ($($of:ty),+) => {
        $(impl From<$of> for Fill {
            fn from(value: $of) -> Self {
                Fill::Value(lit(value))
            }
        })+
    };
}

fill_from!(i32, i64, f64, bool, &str, String);

impl From<Expr> for Fill {
    fn from(value: Expr) -> Self {
        Fill::Value(value)
    }
}

impl DataFrame {
    /// Leaves out the rows that have a NULL in one of these columns; an empty list means all.
    ///
    /// # Errors
    /// As for [`DataFrame::select`].
    pub fn drop_nulls(self, subset: impl Into<Selector>) -> Result<Self> {
        let which = subset.into().or_if_empty(all());
        self.filter_all(which, Expr::is_not_null)
    }

    /// Leaves out the rows that have a NaN in one of these columns; an empty list means all of
    /// floats. NULL is no NaN.
    ///
    /// # Errors
    /// As for [`DataFrame::select`].
    pub fn drop_nans(self, subset: impl Into<Selector>) -> Result<Self> {
        let which = subset.into().or_if_empty(float());
        self.filter_all(which, |column| column.is_nan().is_not_true())
    }

    /// Keeps the rows for which a condition is true in every one of the columns.
    fn filter_all(self, which: Selector, condition: impl Fn(Expr) -> Expr) -> Result<Self> {
        let all = columns(self.plan.schema());
        let places = which.places(self.plan.schema())?;
        let conditions = places.into_iter().map(|place| condition(all[place].1.clone()));
        match conditions.reduce(Expr::and) {
            Some(condition) => Ok(self.with(self.plan.clone().filter(condition)?)),
            None => Ok(self),
        }
    }

    /// Puts something in the place of NULLs: `fill_null(0)`, `fill_null("none")`,
    /// `fill_null(Fill::Mean)`.
    ///
    /// # Errors
    /// As for [`DataFrame::select`].
    pub fn fill_null(self, fill: impl Into<Fill>) -> Result<Self> {
        self.fill_null_in(all(), fill)
    }

    /// As [`DataFrame::fill_null`], in columns that are named or [selected](super::selectors).
    ///
    /// # Errors
    /// As for [`DataFrame::select`], and `Query` if a column that is named has values of another kind.
    pub fn fill_null_in(self, which: impl Into<Selector>, fill: impl Into<Fill>) -> Result<Self> {
        self.filled([(which.into(), fill.into())])
    }

    /// Puts a value in the place of the NULLs of each of these columns. What is put into one is not
    /// seen by the others.
    ///
    /// # Errors
    /// As for [`DataFrame::fill_null_in`].
    pub fn fill_nulls<'a>(self, values: impl IntoIterator<Item = (&'a str, Expr)>) -> Result<Self> {
        self.filled(values.into_iter().map(|(name, value)| (name.into(), value.into())))
    }

    fn filled(self, fills: impl IntoIterator<Item = (Selector, Fill)>) -> Result<Self> {
        let schema = self.plan.schema();
        let all = columns(schema);
        let mut filled: Vec<Expr> = all.iter().map(|(_, column)| column.clone()).collect();
        for (which, fill) in fills {
            let fill = match fill {
                Fill::Value(value) => Fill::Value(self.exact(value)?),
                other => other,
            };
            for place in which.places(schema)? {
                let (name, column) = &all[place];
                let data_type = schema.field(place).data_type();
                match fill.value(column, data_type)? {
                    Some(value) => {
                        let so_far = filled[place].clone().unalias();
                        filled[place] = in_place_of(column, so_far.fill_null(value));
                    }
                    None if which.is_of_names() => {
                        return Err(Error::query(format!(
                            "the column \"{name}\" of {data_type} cannot be filled with {fill}"
                        ))
                        .with_hint("fill it with a value of its type, or cast it before"));
                    }
                    None => {}
                }
            }
        }
        self.project(filled)
    }

    /// Puts a value in the place of the NaNs of all columns of floats.
    ///
    /// # Errors
    /// As for [`DataFrame::select`].
    pub fn fill_nan(self, value: Expr) -> Result<Self> {
        let value = self.exact(value)?;
        self.map_columns(float(), |column, _| column.fill_nan(value.clone()))
    }

    /// Puts other values in the place of some of a column: pairs of the old and the new one.
    ///
    /// # Errors
    /// As for [`DataFrame::select`].
    pub fn replace(
        self,
        column: &str,
        pairs: impl IntoIterator<Item = (Expr, Expr)>,
    ) -> Result<Self> {
        let pairs = pairs.into_iter().map(|(old, new)| Ok((self.exact(old)?, self.exact(new)?)));
        let pairs = pairs.collect::<Result<Vec<_>>>()?;
        self.map_columns(column, |column, _| column.replace(pairs.clone()))
    }

    /// The number of NULLs in each column, as one row.
    ///
    /// # Errors
    /// Those of the plan below.
    pub fn null_count(self) -> Result<Self> {
        let counts = columns(self.plan.schema()).into_iter().map(|(name, column)| {
            let count = sum(cast(column.is_null(), DataType::Int64));
            coalesce(vec![count, lit(0_i64)]).alias(name)
        });
        let counts: Vec<Expr> = counts.collect();
        self.agg(counts)
    }
}

impl fmt::Display for Fill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fill::Value(value) => write!(f, "{}", value.human_display()),
            Fill::Zero => f.write_str("0"),
            Fill::One => f.write_str("1"),
            Fill::Min => f.write_str("its least value"),
            Fill::Max => f.write_str("its greatest value"),
            Fill::Mean => f.write_str("its mean"),
        }
    }
}

impl Fill {
    /// What fills a column; `None` if it is not for columns of its type.
    fn value(&self, column: &Expr, data_type: &DataType) -> Result<Option<Expr>> {
        let of_all_rows = |aggregate: fn(Expr) -> Expr| group::over(&[], aggregate(column.clone()));
        let is_numeric = data_type.is_numeric();
        Ok(match self {
            Fill::Value(Expr::Literal(value, metadata)) => {
                let fits = Kind::of(data_type) == Kind::of(&value.data_type());
                fits.then(|| Expr::Literal(in_type(value, data_type), metadata.clone()))
            }
            Fill::Value(value) => Some(value.clone()),
            Fill::Zero => is_numeric.then(|| cast(lit(0), data_type.clone())),
            Fill::One => is_numeric.then(|| cast(lit(1), data_type.clone())),
            Fill::Min => Some(of_all_rows(min)?.unalias()),
            Fill::Max => Some(of_all_rows(max)?.unalias()),
            Fill::Mean if is_numeric => Some(of_all_rows(mean)?.unalias()),
            Fill::Mean => None,
        })
    }
}

/// The value in this type if it is the same there, else as it is; then the column gets the type that
/// both have in common.
fn in_type(value: &ScalarValue, data_type: &DataType) -> ScalarValue {
    let there = value.cast_to(data_type);
    let same =
        |there: &ScalarValue| there.cast_to(&value.data_type()).is_ok_and(|back| back == *value);
    there.ok().filter(same).unwrap_or_else(|| value.clone())
}

/// Types whose values may stand for each other.
#[derive(Debug, PartialEq)]
enum Kind {
    Number,
    Text,
    Day,
    Other(DataType),
}

impl Kind {
    fn of(data_type: &DataType) -> Kind {
        match data_type {
            number if number.is_numeric() => Kind::Number,
            text if is_text(text) => Kind::Text,
            DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) => Kind::Day,
            other => Kind::Other(other.clone()),
        }
    }
}
