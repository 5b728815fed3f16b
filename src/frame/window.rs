//! Windows as methods of expressions: `col("x").shift(1).over(&["k"]).ordered(&["t"])`.
//!
//! Each method makes a window without partitions and, but for ranks and windows of time, without an
//! order; [`over`] and [`ordered`] give them to all windows of an expression.

use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::functions_aggregate::count::count_udaf;
use datafusion::functions_aggregate::min_max::{max_udaf, min_udaf};
use datafusion::functions_aggregate::sum::sum_udaf;
use datafusion::functions_window::expr_fn as windows;
use datafusion::logical_expr::expr::{AggregateFunction, WindowFunction, WindowFunctionParams};
use datafusion::logical_expr::{
    Expr, SortExpr, WindowFrame, WindowFrameBound, WindowFrameUnits, WindowFunctionDefinition,
    cast, lit, when,
};

use super::col;

/// What rank equal values have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ties {
    /// The mean of the ranks they take.
    #[default]
    Average,
    /// The least of the ranks they take: 1, 2, 2, 4.
    Min,
    /// The most of the ranks they take: 1, 3, 3, 4.
    Max,
    /// The next rank, so that none is left out: 1, 2, 2, 3.
    Dense,
    /// Each its own, in any order.
    Ordinal,
}

/// A window over `frame` without partitions and order.
pub(super) fn window(
    function: impl Into<WindowFunctionDefinition>,
    args: Vec<Expr>,
    frame: WindowFrame,
) -> Expr {
    let mut window = WindowFunction::new(function, args);
    window.params.window_frame = frame;
    Expr::from(window)
}

/// A frame of rows; `None` is unbounded, and distances are counted from the row itself.
pub(super) fn rows(start: Option<i64>, end: Option<i64>) -> WindowFrame {
    let none = ScalarValue::UInt64(None);
    let bound = |distance: i64| match distance {
        0 => WindowFrameBound::CurrentRow,
        _ => {
            let rows = ScalarValue::UInt64(Some(distance.unsigned_abs()));
            if distance < 0 {
                WindowFrameBound::Preceding(rows)
            } else {
                WindowFrameBound::Following(rows)
            }
        }
    };
    let start = start.map_or(WindowFrameBound::Preceding(none.clone()), bound);
    let end = end.map_or(WindowFrameBound::Following(none), bound);
    WindowFrame::new_bounds(WindowFrameUnits::Rows, start, end)
}

/// All rows up to the row itself.
pub(super) fn so_far() -> WindowFrame {
    rows(None, Some(0))
}

/// An expression where another is not NULL.
pub(super) fn where_valid(of: &Expr, then: Expr) -> Expr {
    match when(of.clone().is_not_null(), then.clone()).end() {
        Ok(expr) => expr,
        // A CASE with one branch has nothing that could be wrong.
        Err(_) => then,
    }
}

/// Changes all windows of an expression, those inside of others too; aggregates that are in no window
/// become windows over whole partitions.
fn with_windows(expr: Expr, change: impl Fn(&mut WindowFunctionParams)) -> Expr {
    let changed = expr.clone().transform_up(|expr| match expr {
        Expr::WindowFunction(mut window) => {
            change(&mut window.params);
            Ok(Transformed::yes(Expr::WindowFunction(window)))
        }
        other => Ok(Transformed::no(other)),
    });
    let changed = changed.and_then(|changed| {
        changed.data.transform_down(|expr| match expr {
            Expr::AggregateFunction(aggregate) => {
                let mut window = window_of(aggregate);
                change(&mut window.params);
                Ok(Transformed::new(Expr::from(window), true, TreeNodeRecursion::Jump))
            }
            Expr::WindowFunction(_) => Ok(Transformed::new(expr, false, TreeNodeRecursion::Jump)),
            other => Ok(Transformed::no(other)),
        })
    });
    changed.map_or(expr, |changed| changed.data)
}

/// An aggregate as a window over whole partitions.
pub(super) fn window_of(aggregate: AggregateFunction) -> WindowFunction {
    let AggregateFunction { func, params } = aggregate;
    let mut window = WindowFunction::new(WindowFunctionDefinition::AggregateUDF(func), params.args);
    window.params.distinct = params.distinct;
    window.params.filter = params.filter;
    window.params.null_treatment = params.null_treatment;
    window.params.order_by = params.order_by;
    window.params.window_frame = rows(None, None);
    window
}

/// Gives all windows of an expression that have no partitions these.
pub(super) fn over(expr: Expr, keys: Vec<Expr>) -> Expr {
    with_windows(expr, |params| {
        if params.partition_by.is_empty() {
            params.partition_by.clone_from(&keys);
        }
    })
}

/// Gives all windows of an expression that have no order this one.
pub(super) fn ordered(expr: Expr, order: Vec<SortExpr>) -> Expr {
    with_windows(expr, |params| {
        if params.order_by.is_empty() {
            params.order_by.clone_from(&order);
        }
    })
}

/// Columns as expressions.
pub(super) fn columns(names: &[&str]) -> Vec<Expr> {
    names.iter().map(|name| col(*name)).collect()
}

/// Columns in ascending order, NULLs last.
pub(super) fn ascending(names: &[&str]) -> Vec<SortExpr> {
    names.iter().map(|name| col(*name).sort(true, false)).collect()
}

pub(super) fn rank(expr: Expr, ties: Ties, descending: bool) -> Expr {
    let order = vec![expr.clone().sort(!descending, false)];
    let of = |function: Expr| ordered(function, order.clone());
    // All rows up to the last of the peers.
    let peers = WindowFrame::new(Some(false));
    let last = || of(window(count_udaf(), vec![lit(1_i64)], peers.clone()));
    let first = || cast(of(windows::rank()), DataType::Int64);
    let rank = match ties {
        Ties::Min => first(),
        Ties::Max => last(),
        Ties::Dense => cast(of(windows::dense_rank()), DataType::Int64),
        Ties::Ordinal => cast(of(windows::row_number()), DataType::Int64),
        Ties::Average => cast(first() + last(), DataType::Float64) / lit(2.0),
    };
    where_valid(&expr, rank)
}

/// The value `distance` rows before, or after if negative; `fill` where there is no such row.
pub(super) fn shift(expr: Expr, distance: i64, fill: Option<ScalarValue>) -> Expr {
    if distance < 0 {
        windows::lead(expr, Some(distance.saturating_neg()), fill)
    } else {
        windows::lag(expr, Some(distance), fill)
    }
}

pub(super) fn pct_change(expr: Expr, distance: i64) -> Expr {
    let before = cast(shift(expr.clone(), distance, None), DataType::Float64);
    cast(expr, DataType::Float64) / before - lit(1.0)
}

pub(super) fn cum_sum(expr: Expr) -> Expr {
    where_valid(&expr, window(sum_udaf(), vec![expr.clone()], so_far()))
}

pub(super) fn cum_min(expr: Expr) -> Expr {
    where_valid(&expr, window(min_udaf(), vec![expr.clone()], so_far()))
}

pub(super) fn cum_max(expr: Expr) -> Expr {
    where_valid(&expr, window(max_udaf(), vec![expr.clone()], so_far()))
}

pub(super) fn cum_count(expr: Expr) -> Expr {
    window(count_udaf(), vec![expr], so_far())
}

/// The number of each row, from 1.
pub fn row_number() -> Expr {
    windows::row_number()
}

/// The rows in so many parts of equal size, numbered from 1; the first ones have a row more where
/// they cannot be equal.
pub fn ntile(parts: i64) -> Expr {
    windows::ntile(lit(parts))
}

/// How far a row is, from 0 to 1: its rank less one, of all ranks less one.
pub fn percent_rank() -> Expr {
    windows::percent_rank()
}

/// The part of the rows that are not after a row, above 0 and up to 1.
pub fn cume_dist() -> Expr {
    windows::cume_dist()
}
