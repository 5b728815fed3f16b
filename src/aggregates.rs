//! Aggregates: functions of the values of a column that give one value for each group.
//!
//! ```
//! # use brimful::{Session, SessionOptions, col, aggregates::{mean, n_unique, quantile, std}};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> brimful::Result<()> {
//! let session = Session::new(SessionOptions::new())?;
//! let trips = session.read_csv("testdata/taxi.csv", Default::default()).await?;
//! let by_payment = trips.group_by([col("payment_type")]).agg([
//!     mean(col("tip_amount")).alias("tip"),
//!     quantile(col("tip_amount"), 0.9).alias("high_tip"),
//!     (std(col("fare_amount")) / mean(col("fare_amount"))).alias("spread"),
//!     n_unique(col("passenger_count")).alias("sizes"),
//! ])?;
//! assert_eq!(by_payment.width(), 5);
//! # Ok(())
//! # }
//! ```
//!
//! Unless it says otherwise, an aggregate skips NULLs and is NULL where there is no value.
//! [`ExprFunctionExt`] adds `filter`, `distinct` and `order_by` to one.

use arrow::datatypes::DataType;
use datafusion::logical_expr::{Expr, SortExpr, lit};
use datafusion::prelude::{cast, coalesce};

use crate::error::Result;
use crate::functions::call;

pub use datafusion::functions_aggregate::count::count_all;
pub use datafusion::functions_aggregate::expr_fn::*;
pub use datafusion::functions_aggregate::string_agg::string_agg;
pub use datafusion::logical_expr::ExprFunctionExt;

/// The number of rows, those with NULLs too.
pub fn len() -> Expr {
    count(lit(1_i64))
}

/// The mean.
pub fn mean(values: Expr) -> Expr {
    avg(values)
}

/// The standard deviation of a sample (the divisor is n - 1); NULL for one value.
pub fn std(values: Expr) -> Expr {
    stddev(values)
}

/// The standard deviation of a population (the divisor is n).
pub fn std_pop(values: Expr) -> Expr {
    stddev_pop(values)
}

/// The variance of a sample (the divisor is n - 1); NULL for one value.
pub fn var(values: Expr) -> Expr {
    var_sample(values)
}

/// The covariance of a sample (the divisor is n - 1).
pub fn cov(one: Expr, other: Expr) -> Expr {
    covar_samp(one, other)
}

/// The covariance of a population (the divisor is n).
pub fn cov_pop(one: Expr, other: Expr) -> Expr {
    covar_pop(one, other)
}

/// The exact quantile, from 0 to 1; between two values it is interpolated.
pub fn quantile(values: Expr, quantile: f64) -> Expr {
    percentile_cont(values.sort(true, false), lit(quantile))
}

/// About the quantile, from 0 to 1, in little memory.
pub fn approx_quantile(values: Expr, quantile: f64) -> Expr {
    approx_percentile_cont(values.sort(true, false), lit(quantile), None)
}

/// The number of different values; NULL counts as one.
pub fn n_unique(values: Expr) -> Expr {
    let null = cast(values.clone().is_null(), DataType::Int64);
    count_distinct(values) + coalesce(vec![max(null), lit(0_i64)])
}

/// About the number of different values, in little memory; NULL does not count.
pub fn approx_n_unique(values: Expr) -> Expr {
    approx_distinct(values)
}

/// The value of the first row, which may be NULL; of any row if the rows have no order.
pub fn first(values: Expr) -> Expr {
    first_value(values, Vec::new())
}

/// The value of the last row, which may be NULL; of any row if the rows have no order.
pub fn last(values: Expr) -> Expr {
    last_value(values, Vec::new())
}

/// The value of the row that is first in this order.
pub fn first_by(values: Expr, order: impl IntoIterator<Item = SortExpr>) -> Expr {
    first_value(values, order.into_iter().collect())
}

/// The value of the row that is last in this order.
pub fn last_by(values: Expr, order: impl IntoIterator<Item = SortExpr>) -> Expr {
    last_value(values, order.into_iter().collect())
}

/// The values of all rows as a list, NULLs too.
pub fn list(values: Expr) -> Expr {
    array_agg(values)
}

/// Whether the condition is true for any row.
pub fn any(condition: Expr) -> Expr {
    bool_or(condition)
}

/// Whether the condition is true for all rows for which it is not NULL.
pub fn all(condition: Expr) -> Expr {
    bool_and(condition)
}

/// The most frequent value.
///
/// # Errors
/// Those of [`call`], as for the functions below.
pub fn mode(values: Expr) -> Result<Expr> {
    call("mode", [values])
}

/// The skewness.
///
/// # Errors
/// As for [`mode`].
pub fn skew(values: Expr) -> Result<Expr> {
    call("skewness", [values])
}

/// The excess kurtosis.
///
/// # Errors
/// As for [`mode`].
pub fn kurtosis(values: Expr) -> Result<Expr> {
    call("kurtosis", [values])
}

/// The product.
///
/// # Errors
/// As for [`mode`].
pub fn product(values: Expr) -> Result<Expr> {
    call("product", [values])
}

/// The entropy of the values, in bits.
///
/// # Errors
/// As for [`mode`].
pub fn entropy(values: Expr) -> Result<Expr> {
    call("entropy", [values])
}

/// How often each value is there, as a map.
///
/// # Errors
/// As for [`mode`].
pub fn histogram(values: Expr) -> Result<Expr> {
    call("histogram", [values])
}

/// The value of the row where `by` is greatest.
///
/// # Errors
/// As for [`mode`].
pub fn arg_max(values: Expr, by: Expr) -> Result<Expr> {
    call("arg_max", [values, by])
}

/// The value of the row where `by` is least.
///
/// # Errors
/// As for [`mode`].
pub fn arg_min(values: Expr, by: Expr) -> Result<Expr> {
    call("arg_min", [values, by])
}
