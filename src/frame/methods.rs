//! Methods of expressions, by the names Polars has for them.

use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::functions_aggregate::average::avg_udaf;
use datafusion::functions_aggregate::count::count_udaf;
use datafusion::functions_aggregate::median::median_udaf;
use datafusion::functions_aggregate::min_max::{max_udaf, min_udaf};
use datafusion::functions_aggregate::percentile_cont::percentile_cont_udaf;
use datafusion::functions_aggregate::stddev::stddev_udaf;
use datafusion::functions_aggregate::sum::sum_udaf;
use datafusion::functions_aggregate::variance::var_samp_udaf;
use datafusion::logical_expr::{Expr, SortExpr, cast};

use super::accessors::{DateTime, Json, List, Text};
use super::ewm::{self, Ewm, Moment};
use super::rolling::{self, Rolling, RollingBy};
use super::signed::signed;
use super::window::{self, Ties};
use super::{cut, fill};
use crate::error::Result;

/// What can be done with a column besides operators and [`crate::functions`].
///
/// Methods that look at other rows make windows. [`ExprMethods::over`] keeps them within groups,
/// [`ExprMethods::ordered`] says in which order the rows are; without it they are taken in the order
/// of the frame, or as they come where it was not sorted. What depends on the order needs one within
/// groups. Windows nest, and may be in a filter.
///
/// ```
/// # use brimful::{Session, SessionOptions, ExprMethods, col};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> brimful::Result<()> {
/// # let session = Session::new(SessionOptions::new())?;
/// let days = session.sql("SELECT * FROM (VALUES (1, 5), (2, 7), (3, 4)) AS t(day, x)").await?;
/// let changes = days.with_column("change", col("x").diff(1).ordered(&["day"]))?;
/// assert_eq!(changes.collect().await?[0].num_columns(), 3);
/// # Ok(())
/// # }
/// ```
pub trait ExprMethods: Sized {
    /// The expression itself.
    fn into_expr(self) -> Expr;

    /// Keeps windows within the groups of equal values of these columns; an aggregate becomes one
    /// that gives each row the value of its group.
    fn over(self, keys: &[&str]) -> Expr {
        window::over(self.into_expr(), window::columns(keys))
    }

    /// As [`ExprMethods::over`], for groups of any expressions.
    fn over_exprs(self, keys: impl IntoIterator<Item = Expr>) -> Expr {
        window::over(self.into_expr(), keys.into_iter().collect())
    }

    /// Takes the rows in the ascending order of these columns, NULLs last. Windows that have an
    /// order, such as ranks, keep it.
    fn ordered(self, by: &[&str]) -> Expr {
        window::ordered(self.into_expr(), window::ascending(by))
    }

    /// As [`ExprMethods::ordered`], in any order.
    fn ordered_by(self, by: impl IntoIterator<Item = SortExpr>) -> Expr {
        window::ordered(self.into_expr(), by.into_iter().collect())
    }

    /// The place of a value among all, from 1 for the least; NULL for NULL.
    fn rank(self, ties: Ties) -> Expr {
        window::rank(self.into_expr(), ties, false)
    }

    /// The place of a value among all, from 1 for the greatest; NULL for NULL.
    fn rank_descending(self, ties: Ties) -> Expr {
        window::rank(self.into_expr(), ties, true)
    }

    /// The value so many rows before, or after if negative; NULL where there is no such row.
    fn shift(self, rows: i64) -> Expr {
        window::shift(self.into_expr(), rows, None)
    }

    /// As [`ExprMethods::shift`], with a value for where there is no such row.
    fn shift_fill(self, rows: i64, fill: impl Into<ScalarValue>) -> Expr {
        window::shift(self.into_expr(), rows, Some(fill.into()))
    }

    /// The value so many rows before.
    fn lag(self, rows: u32) -> Expr {
        window::shift(self.into_expr(), rows.into(), None)
    }

    /// The value so many rows after.
    fn lead(self, rows: u32) -> Expr {
        window::shift(self.into_expr(), -i64::from(rows), None)
    }

    /// The value less that so many rows before. Differences of unsigned numbers are signed.
    fn diff(self, rows: i64) -> Expr {
        let expr = signed(self.into_expr());
        expr.clone() - window::shift(expr, rows, None)
    }

    /// The change since the value so many rows before, as a part of that.
    fn pct_change(self, rows: i64) -> Expr {
        window::pct_change(self.into_expr(), rows)
    }

    /// The sum of the values up to each row; NULL for NULL.
    fn cum_sum(self) -> Expr {
        window::cum_sum(self.into_expr())
    }

    /// The least of the values up to each row; NULL for NULL.
    fn cum_min(self) -> Expr {
        window::cum_min(self.into_expr())
    }

    /// The greatest of the values up to each row; NULL for NULL.
    fn cum_max(self) -> Expr {
        window::cum_max(self.into_expr())
    }

    /// How many values there are up to each row.
    fn cum_count(self) -> Expr {
        window::cum_count(self.into_expr())
    }

    /// The product of the values up to each row; NULL for NULL. Whole numbers must stay within 64
    /// bits.
    fn cum_prod(self) -> Expr {
        ewm::cum_prod(self.into_expr())
    }

    /// The sum over a window of rows.
    ///
    /// # Errors
    /// `Query` if the window has no row, or less than the values it needs.
    fn rolling_sum(self, window: impl Into<Rolling>) -> Result<Expr> {
        rolling::by_rows(&sum_udaf(), vec![self.into_expr()], window.into())
    }

    /// The mean over a window of rows.
    ///
    /// # Errors
    /// As for [`ExprMethods::rolling_sum`].
    fn rolling_mean(self, window: impl Into<Rolling>) -> Result<Expr> {
        rolling::by_rows(&avg_udaf(), vec![number(self.into_expr())], window.into())
    }

    /// The least value in a window of rows.
    ///
    /// # Errors
    /// As for [`ExprMethods::rolling_sum`].
    fn rolling_min(self, window: impl Into<Rolling>) -> Result<Expr> {
        rolling::by_rows(&min_udaf(), vec![self.into_expr()], window.into())
    }

    /// The greatest value in a window of rows.
    ///
    /// # Errors
    /// As for [`ExprMethods::rolling_sum`].
    fn rolling_max(self, window: impl Into<Rolling>) -> Result<Expr> {
        rolling::by_rows(&max_udaf(), vec![self.into_expr()], window.into())
    }

    /// The standard deviation (of a sample) over a window of rows.
    ///
    /// # Errors
    /// As for [`ExprMethods::rolling_sum`].
    fn rolling_std(self, window: impl Into<Rolling>) -> Result<Expr> {
        rolling::by_rows(&stddev_udaf(), vec![number(self.into_expr())], window.into())
    }

    /// The variance (of a sample) over a window of rows.
    ///
    /// # Errors
    /// As for [`ExprMethods::rolling_sum`].
    fn rolling_var(self, window: impl Into<Rolling>) -> Result<Expr> {
        rolling::by_rows(&var_samp_udaf(), vec![number(self.into_expr())], window.into())
    }

    /// The median over a window of rows.
    ///
    /// # Errors
    /// As for [`ExprMethods::rolling_sum`].
    fn rolling_median(self, window: impl Into<Rolling>) -> Result<Expr> {
        rolling::by_rows(&median_udaf(), vec![number(self.into_expr())], window.into())
    }

    /// A quantile, between the two nearest values, over a window of rows.
    ///
    /// # Errors
    /// As for [`ExprMethods::rolling_sum`], and `Query` if the quantile is not between 0 and 1.
    fn rolling_quantile(self, quantile: f64, window: impl Into<Rolling>) -> Result<Expr> {
        let args = vec![number(self.into_expr()), rolling::quantile(quantile)?];
        rolling::by_rows(&percentile_cont_udaf(), args, window.into())
    }

    /// How many values a window of rows has. It is never NULL but where `min_periods` says so.
    ///
    /// # Errors
    /// As for [`ExprMethods::rolling_sum`].
    fn rolling_count(self, window: impl Into<Rolling>) -> Result<Expr> {
        rolling::by_rows(&count_udaf(), vec![self.into_expr()], window.into().or_min_periods(0))
    }

    /// The sum over the rows whose `time` is in the period up to that of the row, compared to the
    /// microsecond. NULL where they have no value.
    ///
    /// # Errors
    /// `Query` if the period is no length of time.
    fn rolling_sum_by(self, time: &str, window: impl Into<RollingBy>) -> Result<Expr> {
        rolling::by_time(&sum_udaf(), vec![self.into_expr()], time, &window.into())
    }

    /// The mean over the rows of a period; see [`ExprMethods::rolling_sum_by`].
    ///
    /// # Errors
    /// As for [`ExprMethods::rolling_sum_by`].
    fn rolling_mean_by(self, time: &str, window: impl Into<RollingBy>) -> Result<Expr> {
        rolling::by_time(&avg_udaf(), vec![number(self.into_expr())], time, &window.into())
    }

    /// The least value in a period; see [`ExprMethods::rolling_sum_by`].
    ///
    /// # Errors
    /// As for [`ExprMethods::rolling_sum_by`].
    fn rolling_min_by(self, time: &str, window: impl Into<RollingBy>) -> Result<Expr> {
        rolling::by_time(&min_udaf(), vec![self.into_expr()], time, &window.into())
    }

    /// The greatest value in a period; see [`ExprMethods::rolling_sum_by`].
    ///
    /// # Errors
    /// As for [`ExprMethods::rolling_sum_by`].
    fn rolling_max_by(self, time: &str, window: impl Into<RollingBy>) -> Result<Expr> {
        rolling::by_time(&max_udaf(), vec![self.into_expr()], time, &window.into())
    }

    /// The standard deviation (of a sample) in a period; see [`ExprMethods::rolling_sum_by`].
    ///
    /// # Errors
    /// As for [`ExprMethods::rolling_sum_by`].
    fn rolling_std_by(self, time: &str, window: impl Into<RollingBy>) -> Result<Expr> {
        rolling::by_time(&stddev_udaf(), vec![number(self.into_expr())], time, &window.into())
    }

    /// The variance (of a sample) in a period; see [`ExprMethods::rolling_sum_by`].
    ///
    /// # Errors
    /// As for [`ExprMethods::rolling_sum_by`].
    fn rolling_var_by(self, time: &str, window: impl Into<RollingBy>) -> Result<Expr> {
        rolling::by_time(&var_samp_udaf(), vec![number(self.into_expr())], time, &window.into())
    }

    /// The median in a period; see [`ExprMethods::rolling_sum_by`].
    ///
    /// # Errors
    /// As for [`ExprMethods::rolling_sum_by`].
    fn rolling_median_by(self, time: &str, window: impl Into<RollingBy>) -> Result<Expr> {
        rolling::by_time(&median_udaf(), vec![number(self.into_expr())], time, &window.into())
    }

    /// A quantile in a period, between the two nearest values; see
    /// [`ExprMethods::rolling_sum_by`].
    ///
    /// # Errors
    /// As for [`ExprMethods::rolling_sum_by`], and `Query` if the quantile is not between 0 and 1.
    fn rolling_quantile_by(
        self,
        quantile: f64,
        time: &str,
        window: impl Into<RollingBy>,
    ) -> Result<Expr> {
        let args = vec![number(self.into_expr()), rolling::quantile(quantile)?];
        rolling::by_time(&percentile_cont_udaf(), args, time, &window.into())
    }

    /// How many values a period has; see [`ExprMethods::rolling_sum_by`].
    ///
    /// # Errors
    /// As for [`ExprMethods::rolling_sum_by`].
    fn rolling_count_by(self, time: &str, window: impl Into<RollingBy>) -> Result<Expr> {
        let window = window.into().or_min_periods(0);
        rolling::by_time(&count_udaf(), vec![self.into_expr()], time, &window)
    }

    /// The exponentially weighted mean up to each row; NULL for NULL.
    fn ewm_mean(self, ewm: Ewm) -> Expr {
        ewm::ewm(self.into_expr(), Moment::Mean, ewm)
    }

    /// The exponentially weighted variance up to each row; NULL for NULL.
    fn ewm_var(self, ewm: Ewm) -> Expr {
        ewm::ewm(self.into_expr(), Moment::Variance, ewm)
    }

    /// The exponentially weighted standard deviation up to each row; NULL for NULL.
    fn ewm_std(self, ewm: Ewm) -> Expr {
        ewm::ewm(self.into_expr(), Moment::Deviation, ewm)
    }

    /// The last value up to each row, at most `limit` rows before it.
    fn forward_fill(self, limit: Option<usize>) -> Expr {
        fill::last_valid(self.into_expr(), limit)
    }

    /// The first value from each row on, at most `limit` rows after it.
    fn backward_fill(self, limit: Option<usize>) -> Expr {
        fill::next_valid(self.into_expr(), limit)
    }

    /// The last value up to each row, where there is another value after it: NULLs after the last
    /// value stay.
    ///
    /// # Errors
    /// Those of building the expression.
    fn forward_fill_between(self) -> Result<Expr> {
        fill::between_valid(self.into_expr())
    }

    /// The interval that a number is in, of those between `breaks`, as text such as `(2, 5]`, or
    /// one of `labels`, of which there is one more than breaks. The upper end belongs to an
    /// interval, or with `left_closed` the lower one. NULL for NULL and NaN.
    ///
    /// # Errors
    /// `Query` if the breaks do not ascend, or the labels are not as many as the intervals.
    fn cut(self, breaks: &[f64], labels: Option<&[&str]>, left_closed: bool) -> Result<Expr> {
        cut::cut(&self.into_expr(), breaks, labels, left_closed)
    }

    /// Functions of times, dates and durations.
    fn dt(self) -> DateTime {
        DateTime(self.into_expr())
    }

    /// Functions of texts.
    fn str(self) -> Text {
        Text(self.into_expr())
    }

    /// Functions of JSON texts.
    fn json(self) -> Json {
        Json(self.into_expr())
    }

    /// Functions of lists.
    fn list(self) -> List {
        List(self.into_expr())
    }
}

impl ExprMethods for Expr {
    fn into_expr(self) -> Expr {
        self
    }
}

fn number(expr: Expr) -> Expr {
    cast(expr, DataType::Float64)
}
