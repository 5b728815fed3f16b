//! Groups of rows by windows of time: hours, weeks, months, which may overlap.

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::functions::core::expr_fn::least;
use datafusion::functions_aggregate::min_max::{min, min_udaf};
use datafusion::functions_nested::expr_fn::make_array;
use datafusion::logical_expr::{Expr, cast, lit};

use super::accessors::{Change, Rounding, Unclear, changed};
use super::names::{exact_names, free_of};
use super::period::Period;
use super::rolling::{Closed, nanoseconds, unit_of};
use super::window::{columns, over, rows, window};
use super::{DataFrame, col};
use crate::error::{Error, Result};

/// More windows than this for one row are a mistake.
const MOST_WINDOWS: i128 = 100_000;

/// Which moment stands for a window in the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Label {
    /// Its first.
    #[default]
    Left,
    /// Its last.
    Right,
    /// That of its first row.
    Datapoint,
}

/// Windows of time, waiting for the aggregates.
#[derive(Debug, Clone)]
pub struct DynamicGroups {
    frame: DataFrame,
    time: String,
    every: Period,
    period: Period,
    offset: Period,
    closed: Closed,
    label: Label,
    by: Vec<String>,
}

impl DataFrame {
    /// Groups rows by windows of `time` that begin `every` so often: `"1h"`, `"2w"`, `"1mo"`, or
    /// `"10i"` for a column of whole numbers; see [`Period`] for the units.
    ///
    /// Windows begin at multiples of `every` since 1970, weeks on Mondays; where a time has a zone, as
    /// its clocks show them. Windows without rows are not in the result; nor are rows
    /// whose time is NULL. The rows need not be sorted.
    ///
    /// # Errors
    /// `Query` if there is no such column, or it does not fit `every`.
    pub fn group_by_dynamic(self, time: &str, every: &str) -> Result<DynamicGroups> {
        let every = Period::positive(every, "a window")?;
        if every.is_mixed() {
            return Err(Error::query("windows are of months, or of days and less, not of both")
                .with_hint("give `every` in one unit; `period` and `offset` may have several"));
        }
        let time = self.exact_name(time)?;
        let data_type = self.schema().field_with_name(&time)?.data_type().clone();
        let fits = match every.steps() {
            Some(_) => data_type.is_integer(),
            None => unit_of(&data_type).is_some(),
        };
        if !fits {
            return Err(Error::query(format!(
                "windows of {every} do not fit the column \"{time}\" of {data_type}"
            ))
            .with_hint("use steps, such as \"3i\", for whole numbers; cast texts to times"));
        }
        let offset = Period::of_nanoseconds(0);
        let (closed, label) = (Closed::Left, Label::Left);
        let by = Vec::new();
        Ok(DynamicGroups { frame: self, time, every, period: every, offset, closed, label, by })
    }

    /// The same as [`DataFrame::group_by_dynamic`], by the name that pandas has for it.
    ///
    /// # Errors
    /// As for [`DataFrame::group_by_dynamic`].
    pub fn resample(self, time: &str, every: &str) -> Result<DynamicGroups> {
        self.group_by_dynamic(time, every)
    }
}

impl DynamicGroups {
    /// How long each window is, if not as long as the distance of two.
    ///
    /// # Errors
    /// `Query` if it is no length of time.
    pub fn period(self, period: &str) -> Result<Self> {
        let period = Period::positive(period, "a window")?;
        self.same_kind(period)?;
        Ok(DynamicGroups { period, ..self })
    }

    /// How much later windows begin, or earlier if negative.
    ///
    /// # Errors
    /// `Query` if it is no length of time.
    pub fn offset(self, offset: &str) -> Result<Self> {
        let offset: Period = offset.parse()?;
        if !offset.is_zero() {
            self.same_kind(offset)?;
        }
        Ok(DynamicGroups { offset, ..self })
    }

    fn same_kind(&self, period: Period) -> Result<()> {
        if period.steps().is_some() == self.every.steps().is_some() {
            return Ok(());
        }
        Err(Error::query("steps of whole numbers do not go with lengths of time"))
    }

    /// Which ends of the windows belong to them; the first unless it is said.
    #[must_use]
    pub fn closed(self, closed: Closed) -> Self {
        DynamicGroups { closed, ..self }
    }

    /// Which moment stands for a window in the result; its first unless it is said.
    #[must_use]
    pub fn label(self, label: Label) -> Self {
        DynamicGroups { label, ..self }
    }

    /// Windows have rows of equal values of these columns only.
    ///
    /// # Errors
    /// `Query` if there is no such column.
    pub fn by(self, names: &[&str]) -> Result<Self> {
        let by = exact_names(self.frame.plan.schema(), names)?;
        Ok(DynamicGroups { by, ..self })
    }

    /// Computes aggregates of each window; the result has the columns of `by`, the label of the
    /// window under the name of the time, and the aggregates, and is sorted by the first two. The rows
    /// of a window are taken in the order of the time: the first is the earliest.
    ///
    /// # Errors
    /// As for [`DataFrame::select`].
    pub fn agg(self, aggregates: impl IntoIterator<Item = Expr>) -> Result<DataFrame> {
        let grid = self.grid()?;
        let aggregates: Vec<Expr> = aggregates.into_iter().collect();
        let steps = Steps::new(&self.frame, &aggregates);
        let by: Vec<&str> = self.by.iter().map(String::as_str).collect();
        let frame = self.frame.clone().filter(col(&self.time).is_not_null())?;
        let frame = frame.with_column(&steps.moment, grid.moment(col(&self.time)))?;
        let frame = frame.with_column(&steps.bin, grid.bin(self.before_moment(&steps)))?;
        let frame = self.started(frame, &grid, &by, &steps)?;
        let start = col(&steps.start);
        let label = match self.label {
            Label::Right => start.clone() + self.period.literal(),
            Label::Left | Label::Datapoint => start.clone(),
        };
        let label = grid.back(label);
        let mut keys = columns(&by);
        keys.push(label.alias(&steps.start));
        let first =
            (self.label == Label::Datapoint).then(|| min(col(&self.time)).alias(&steps.moment));
        let count = aggregates.len();
        let mut order = vec![frame.exact(col(&self.time))?.sort(true, false)];
        order.extend(self.frame.order().unwrap_or_default());
        let aggregates = aggregates.into_iter().chain(first.clone());
        let grouped = frame.group_by(keys).agg_in_order(aggregates, &order)?;
        let names: Vec<String> = grouped.schema().fields()[by.len() + 1..][..count]
            .iter()
            .map(|field| field.name().clone())
            .collect();
        let time = if first.is_some() { col(&steps.moment) } else { start };
        if let Some(name) = self.by.iter().chain([&self.time]).find(|name| names.contains(name)) {
            return Err(Error::query(format!("the result would have two columns \"{name}\""))
                .with_hint("give the aggregate another name with alias"));
        }
        let mut exprs = columns(&by);
        exprs.push(time.alias(&self.time));
        exprs.extend(names.iter().map(col));
        let order = by.iter().copied().chain([self.time.as_str()]);
        let order: Vec<_> = order.map(|name| col(name).sort(true, false)).collect();
        grouped.select(exprs)?.sort(order)
    }

    /// How the time is divided.
    fn grid(&self) -> Result<Grid> {
        let schema = self.frame.schema();
        let data_type = schema.field_with_name(&self.time)?.data_type().clone();
        let is_of_days =
            [self.period, self.offset, self.every].iter().all(|period| period.is_of_whole_days());
        Ok(Grid { data_type, every: self.every, is_of_days })
    }

    /// The moment whose bin is the last window that a row can be in, without the offset.
    fn before_moment(&self, steps: &Steps) -> Expr {
        let mut moment = col(&steps.moment);
        if !self.offset.is_zero() {
            moment = moment - self.offset.literal();
        }
        // A window that does not have its first moment has begun before the row.
        if self.closed.has_left() { moment } else { moment - self.step().literal() }
    }

    /// The least distance of two moments.
    fn step(&self) -> Period {
        if self.every.steps().is_some() {
            return Period::of_steps(1);
        }
        let schema = self.frame.schema();
        let unit = schema
            .field_with_name(&self.time)
            .ok()
            .and_then(|field| unit_of(field.data_type()))
            .unwrap_or(TimeUnit::Microsecond);
        Period::of_nanoseconds(nanoseconds(unit))
    }

    /// How many windows a row may be in.
    fn windows(&self) -> Result<i64> {
        let (count, is_exact) = match (self.every.steps(), self.period.steps()) {
            (Some(every), Some(period)) => {
                (div_ceil(period.into(), every.into()), period % every == 0)
            }
            _ => match (self.every.months(), self.period.months()) {
                (Some(every), Some(period)) => {
                    (div_ceil(period.into(), every.into()), period % every == 0)
                }
                _ => {
                    let (least, _) = self.every.nanosecond_bounds();
                    let (_, most) = self.period.nanosecond_bounds();
                    (div_ceil(most, least), most % least == 0)
                }
            },
        };
        let count = count + i128::from(self.closed == Closed::Both && is_exact);
        if count > MOST_WINDOWS {
            return Err(Error::query(format!("each row would be in up to {count} windows"))
                .with_hint("make `every` longer or `period` shorter"));
        }
        Ok(i64::try_from(count).unwrap_or(i64::MAX))
    }

    /// Adds the start of each window that a row is in.
    fn started(
        &self,
        frame: DataFrame,
        grid: &Grid,
        by: &[&str],
        steps: &Steps,
    ) -> Result<DataFrame> {
        let windows = self.windows()?;
        let shifted = |start: Expr| match self.offset.is_zero() {
            true => start,
            false => start + self.offset.literal(),
        };
        if windows == 1 {
            let frame = frame.with_column(&steps.start, shifted(col(&steps.bin)))?;
            let is_whole = self.period == self.every && self.closed != Closed::None;
            return if is_whole { Ok(frame) } else { frame.filter(self.is_inside(steps)) };
        }
        // Windows before the one that the first row begins are left out, as they would not be full.
        let own = shifted(grid.bin(col(&steps.moment)));
        let earliest = least(vec![shifted(col(&steps.bin)), own]);
        let earliest = window(min_udaf(), vec![earliest], rows(None, None));
        let frame = frame.with_column(&steps.first, over(earliest, columns(by)))?;
        let back = (0..windows).map(|count| lit(self.every.times(count)));
        let frame = frame.with_column(&steps.back, make_array(back.collect()))?;
        let session = frame.session.clone();
        let frame = DataFrame::new(session, frame.plan.unnest_columns(&[steps.back.as_str()])?);
        let start = grid.start_near(col(&steps.bin) - col(&steps.back));
        let frame = frame.with_column(&steps.start, shifted(start))?;
        frame.filter(self.is_inside(steps).and(col(&steps.start).gt_eq(col(&steps.first))))
    }

    /// Whether a row is before the end of a window that began before it.
    fn is_inside(&self, steps: &Steps) -> Expr {
        let end = col(&steps.start) + self.period.literal();
        let moment = col(&steps.moment);
        if self.closed.has_right() { moment.lt_eq(end) } else { moment.lt(end) }
    }
}

/// Names of columns that are there only between two steps.
struct Steps {
    moment: String,
    bin: String,
    first: String,
    back: String,
    start: String,
}

impl Steps {
    /// Names that neither a column nor an aggregate has.
    fn new(frame: &DataFrame, aggregates: &[Expr]) -> Self {
        let mut taken = frame.names();
        taken.extend(aggregates.iter().map(|expr| expr.schema_name().to_string()));
        let [moment, bin, first, back, start] =
            ["moment", "bin", "first", "back", "start"].map(|wish| free_of(&taken, wish));
        Steps { moment, bin, first, back, start }
    }
}

/// Rounds up; both are above 0.
fn div_ceil(number: i128, divisor: i128) -> i128 {
    (number + divisor - 1) / divisor
}

/// How a time is divided.
pub(super) struct Grid {
    pub(super) data_type: DataType,
    pub(super) every: Period,
    /// Whether nothing is shorter than a day, so that windows of dates are dates.
    pub(super) is_of_days: bool,
}

impl Grid {
    /// A time as bins are made of it: as the clocks of its zone show it where days count.
    pub(super) fn moment(&self, time: Expr) -> Expr {
        match &self.data_type {
            DataType::Timestamp(_, Some(_)) if self.every.is_of_calendar() => {
                changed(time, Change::ReplaceZone { zone: None, unclear: Unclear::Error })
            }
            DataType::Date32 | DataType::Date64 => {
                cast(time, DataType::Timestamp(TimeUnit::Microsecond, None))
            }
            other if other.is_integer() => cast(time, DataType::Int64),
            _ => time,
        }
    }

    /// The start of the bin of a moment.
    pub(super) fn bin(&self, moment: Expr) -> Expr {
        if let Some(steps) = self.every.steps() {
            let rest = (moment.clone() % lit(steps) + lit(steps)) % lit(steps);
            return moment - rest;
        }
        changed(moment, Change::Round(self.every, Rounding::Down))
    }

    /// The start of a bin that is so many bins before another, but for a change of the clocks between
    /// them.
    fn start_near(&self, moment: Expr) -> Expr {
        match &self.data_type {
            DataType::Timestamp(_, Some(_)) if !self.every.is_of_calendar() => {
                changed(moment, Change::Round(self.every, Rounding::Nearest))
            }
            _ => moment,
        }
    }

    /// A moment as a time of the column.
    pub(super) fn back(&self, moment: Expr) -> Expr {
        match &self.data_type {
            DataType::Timestamp(_, zone @ Some(_)) if self.every.is_of_calendar() => {
                let zone = zone.as_deref().map(str::to_string);
                changed(moment, Change::ReplaceZone { zone, unclear: Unclear::First })
            }
            DataType::Date32 | DataType::Date64 if self.is_of_days => {
                cast(moment, self.data_type.clone())
            }
            other if other.is_integer() => cast(moment, self.data_type.clone()),
            _ => moment,
        }
    }
}
