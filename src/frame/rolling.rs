//! Aggregates over the rows around a row: by their number, or by their time.

use std::sync::Arc;

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::functions_aggregate::count::count_udaf;
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::{
    AggregateUDF, Expr, WindowFrame, WindowFrameBound, WindowFrameUnits, cast, lit, when,
};

use super::names::{exact_names, output_name};
use super::period::Period;
use super::window::{columns, ordered, over, rows, window, window_of};
use super::{DataFrame, col};
use crate::error::{Error, Result};
use crate::functions::aggregate::sliding;

/// A window of rows: how many, how many of them must not be NULL, and where the row itself is.
///
/// A number alone is a window that ends with the row and needs as many values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rolling {
    window: usize,
    min_periods: Option<usize>,
    center: bool,
}

impl Rolling {
    /// A window of so many rows, the last of which is the row itself.
    pub fn rows(window: usize) -> Self {
        Rolling { window, min_periods: None, center: false }
    }

    /// How many values there must be for a result; as many as the window has rows unless it is
    /// said.
    #[must_use]
    pub fn min_periods(self, values: usize) -> Self {
        Rolling { min_periods: Some(values), ..self }
    }

    /// The row is in the middle of the window; where it has two, it is the second.
    #[must_use]
    pub fn center(self) -> Self {
        Rolling { center: true, ..self }
    }

    /// So many values are enough, unless it was said how many are.
    pub(super) fn or_min_periods(self, values: usize) -> Self {
        Rolling { min_periods: self.min_periods.or(Some(values)), ..self }
    }

    fn frame(self) -> WindowFrame {
        let window = i64::try_from(self.window.max(1)).unwrap_or(i64::MAX);
        let before = if self.center { window / 2 } else { window - 1 };
        rows(Some(-before), Some(window - 1 - before))
    }
}

impl From<usize> for Rolling {
    fn from(window: usize) -> Self {
        Rolling::rows(window)
    }
}

/// Which ends of a window belong to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Closed {
    /// The first moment does.
    Left,
    /// The last moment does.
    #[default]
    Right,
    /// Both do.
    Both,
    /// Neither does.
    None,
}

impl Closed {
    pub(super) fn has_left(self) -> bool {
        matches!(self, Closed::Left | Closed::Both)
    }

    pub(super) fn has_right(self) -> bool {
        matches!(self, Closed::Right | Closed::Both)
    }
}

/// A window of time that ends with the row itself; a text alone is its length, as of [`Period`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RollingBy {
    period: String,
    closed: Closed,
    min_periods: Option<usize>,
}

impl RollingBy {
    /// A window of this length without its first moment.
    pub fn period(period: impl Into<String>) -> Self {
        RollingBy { period: period.into(), closed: Closed::Right, min_periods: None }
    }

    /// Which ends of the window belong to it.
    #[must_use]
    pub fn closed(self, closed: Closed) -> Self {
        RollingBy { closed, ..self }
    }

    /// How many values there must be for a result; 1 unless it is said.
    #[must_use]
    pub fn min_periods(self, values: usize) -> Self {
        RollingBy { min_periods: Some(values), ..self }
    }

    /// So many values are enough, unless it was said how many are.
    pub(super) fn or_min_periods(self, values: usize) -> Self {
        RollingBy { min_periods: self.min_periods.or(Some(values)), ..self }
    }
}

impl From<&str> for RollingBy {
    fn from(period: &str) -> Self {
        RollingBy::period(period)
    }
}

/// An aggregate over a frame, where the frame has `least` values.
fn with_enough(
    aggregate: &Arc<AggregateUDF>,
    args: Vec<Expr>,
    frame: &WindowFrame,
    least: usize,
) -> Result<Expr> {
    let value = args.first().cloned().unwrap_or_else(|| lit(1_i64));
    let result = window(sliding(aggregate), args, frame.clone());
    if least == 0 {
        return Ok(result);
    }
    let least = i64::try_from(least).unwrap_or(i64::MAX);
    let count = window(count_udaf(), vec![value], frame.clone());
    Ok(when(count.gt_eq(lit(least)), result).end()?)
}

pub(super) fn by_rows(
    aggregate: &Arc<AggregateUDF>,
    args: Vec<Expr>,
    rolling: Rolling,
) -> Result<Expr> {
    if rolling.window == 0 {
        return Err(Error::query("a rolling window must have a row"));
    }
    let least = rolling.min_periods.unwrap_or(rolling.window);
    if least > rolling.window {
        return Err(Error::query(format!(
            "a window of {} rows never has {least} values",
            rolling.window
        )));
    }
    with_enough(aggregate, args, &rolling.frame(), least)
}

pub(super) fn by_time(
    aggregate: &Arc<AggregateUDF>,
    args: Vec<Expr>,
    by: &str,
    rolling: &RollingBy,
) -> Result<Expr> {
    let period = Period::positive(&rolling.period, "a rolling window")?;
    let key = Key::of_microseconds(col(by), period);
    let least = rolling.min_periods.unwrap_or(1);
    let expr = with_enough(aggregate, args, &key.frame(period, rolling.closed), least)?;
    Ok(ordered(expr, vec![key.expr.sort(true, false)]))
}

/// What windows of time are ordered by, and the least distance of two of its values.
struct Key {
    expr: Expr,
    step: Period,
}

impl Key {
    /// A time to the microsecond, or a whole number for steps.
    fn of_microseconds(time: Expr, period: Period) -> Self {
        Key::of(time, period, TimeUnit::Microsecond)
    }

    fn of(time: Expr, period: Period, unit: TimeUnit) -> Self {
        if period.steps().is_some() {
            let step = Period::of_steps(1);
            return Key { expr: cast(time, DataType::Int64), step };
        }
        let step = Period::of_nanoseconds(nanoseconds(unit));
        Key { expr: cast(time, DataType::Timestamp(unit, None)), step }
    }

    /// The rows of a window that ends with the row itself.
    fn frame(&self, period: Period, closed: Closed) -> WindowFrame {
        let period = if closed.has_left() { period } else { period.less(self.step) };
        let start = match period.is_zero() {
            true => WindowFrameBound::CurrentRow,
            false => WindowFrameBound::Preceding(period.value()),
        };
        let end = match closed.has_right() {
            true => WindowFrameBound::CurrentRow,
            false => WindowFrameBound::Preceding(self.step.value()),
        };
        WindowFrame::new_bounds(WindowFrameUnits::Range, start, end)
    }
}

/// The nanoseconds of a unit.
pub(super) fn nanoseconds(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1_000_000_000,
        TimeUnit::Millisecond => 1_000_000,
        TimeUnit::Microsecond => 1_000,
        TimeUnit::Nanosecond => 1,
    }
}

/// The unit of a time; that of a date is the microsecond.
pub(super) fn unit_of(data_type: &DataType) -> Option<TimeUnit> {
    match data_type {
        DataType::Timestamp(unit, _) => Some(*unit),
        DataType::Date32 | DataType::Date64 => Some(TimeUnit::Microsecond),
        _ => None,
    }
}

/// Windows of time, one for each row, waiting for the aggregates.
#[derive(Debug, Clone)]
pub struct RollingGroups {
    frame: DataFrame,
    time: String,
    period: Period,
    closed: Closed,
    by: Vec<String>,
}

impl DataFrame {
    /// A window for each row: the rows whose `time` is in the period up to its own. The rows need
    /// not be sorted.
    ///
    /// # Errors
    /// `Query` if there is no such column, or the period is none.
    pub fn rolling(self, time: &str, period: &str) -> Result<RollingGroups> {
        let period = Period::positive(period, "a rolling window")?;
        let time = self.exact_name(time)?;
        let closed = Closed::Right;
        Ok(RollingGroups { frame: self, time, period, closed, by: Vec::new() })
    }
}

impl RollingGroups {
    /// Which ends of the windows belong to them.
    #[must_use]
    pub fn closed(self, closed: Closed) -> Self {
        RollingGroups { closed, ..self }
    }

    /// Windows have rows of equal values of these columns only.
    ///
    /// # Errors
    /// `Query` if there is no such column.
    pub fn by(self, names: &[&str]) -> Result<Self> {
        let by = exact_names(self.frame.plan.schema(), names)?;
        Ok(RollingGroups { by, ..self })
    }

    /// Computes aggregates of each window; the result has the columns of `by`, the time, and the
    /// aggregates, and a row for each row.
    ///
    /// # Errors
    /// As for [`DataFrame::select`].
    pub fn agg(self, aggregates: impl IntoIterator<Item = Expr>) -> Result<DataFrame> {
        let names: Vec<&str> = self.by.iter().map(String::as_str).collect();
        let data_type = self.frame.schema().field_with_name(&self.time)?.data_type().clone();
        let unit = unit_of(&data_type).unwrap_or(TimeUnit::Microsecond);
        if (self.period.steps().is_some()) != data_type.is_integer() {
            return Err(Error::query(format!(
                "a window of {} does not fit the column \"{}\" of {data_type}",
                self.period, self.time
            ))
            .with_hint("use steps, such as \"3i\", for whole numbers, and times for times"));
        }
        let key = Key::of(col(&self.time), self.period, unit);
        let frame = key.frame(self.period, self.closed);
        let order = vec![key.expr.sort(true, false)];
        let mut exprs = columns(&names);
        exprs.push(col(&self.time));
        for expr in aggregates {
            let name = output_name(&expr);
            let in_frame = over_frame(expr, &frame)?;
            exprs.push(over(ordered(in_frame, order.clone()), columns(&names)).alias(name));
        }
        self.frame.select(exprs)
    }
}

/// The aggregates of an expression as windows over a frame, whose order they have.
fn over_frame(expr: Expr, frame: &WindowFrame) -> Result<Expr> {
    let changed = expr.transform_down(|expr| {
        let Expr::AggregateFunction(mut aggregate) = expr else { return Ok(Transformed::no(expr)) };
        let AggregateFunction { func, params } = &mut aggregate;
        // A quantile has its values in order, whatever that of the rows.
        let is_of_values = func.supports_within_group_clause()
            && matches!(params.order_by.as_slice(),
                [order] if order.asc && Some(&order.expr) == params.args.first());
        if !is_of_values && !params.order_by.is_empty() {
            let what = format!("{} has an order besides that of the time", func.name());
            let error = Error::query(what);
            return Err(error.with_hint("leave it out: windows have their rows by time").into());
        }
        params.order_by.clear();
        *func = sliding(func);
        let mut window = window_of(aggregate);
        window.params.window_frame = frame.clone();
        Ok(Transformed::new(Expr::from(window), true, TreeNodeRecursion::Jump))
    })?;
    if changed.transformed {
        return Ok(changed.data);
    }
    Err(Error::query(format!("{} is not an aggregate", changed.data))
        .with_hint("give aggregates, such as sum(col(\"x\"))"))
}

/// A quantile as an argument.
pub(super) fn quantile(of: f64) -> Result<Expr> {
    if (0.0..=1.0).contains(&of) {
        return Ok(lit(ScalarValue::Float64(Some(of))));
    }
    Err(Error::query(format!("a quantile is between 0 and 1, not {of}")))
}
