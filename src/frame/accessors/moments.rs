//! Times and dates changed by the calendar or by their zone, whatever their unit.

use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, TimeUnit};
use chrono::{Datelike, Days, Months, NaiveDate, Weekday};
use datafusion::common::{exec_datafusion_err, plan_err};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::Expr;
use serde::{Deserialize, Serialize};

use super::rounding::{Rounding, from_numbers, rounded, to_numbers};
use super::zone::{Clocks, beyond};
use crate::frame::period::{NANOSECONDS_A_DAY, Period, TimeUnitName};
use crate::frame::rolling::nanoseconds;
use crate::functions::operation::{Operation, call};

/// Which working day a day of a weekend counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum Roll {
    /// The Monday after it.
    #[default]
    Forward,
    /// The Friday before it.
    Backward,
}

/// What is changed.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::frame) enum Change {
    ReplaceZone { zone: Option<String>, unclear: Unclear },
    ConvertZone(String),
    MonthStart,
    MonthEnd,
    BusinessDays(i32, Roll),
    Epoch(#[serde(with = "TimeUnitName")] TimeUnit),
    Round(Period, Rounding),
}

/// What becomes of times that the clocks of a zone show twice or never.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(in crate::frame) enum Unclear {
    Error,
    Null,
    /// The first moment, or the one when clocks skip it.
    First,
}

pub(in crate::frame) fn changed(expr: Expr, change: Change) -> Expr {
    call(change, vec![expr])
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::ReplaceZone { zone, unclear } => {
                let name = match unclear {
                    Unclear::Null => "replace_time_zone_or_null",
                    Unclear::Error | Unclear::First => "replace_time_zone",
                };
                write!(f, "{name}({})", zone.as_deref().unwrap_or("none"))
            }
            Change::ConvertZone(zone) => write!(f, "convert_time_zone({zone})"),
            Change::MonthStart => f.write_str("month_start"),
            Change::MonthEnd => f.write_str("month_end"),
            Change::BusinessDays(days, roll) => write!(f, "add_business_days({days}, {roll:?})"),
            Change::Epoch(unit) => write!(f, "timestamp({unit:?})"),
            Change::Round(every, Rounding::Down) => write!(f, "truncate({every})"),
            Change::Round(every, Rounding::Up) => write!(f, "ceil({every})"),
            Change::Round(every, Rounding::Nearest) => write!(f, "round({every})"),
        }
    }
}

impl Operation for Change {
    const KIND: &'static str = "change";

    fn gives(&self, types: &[DataType]) -> Result<DataType> {
        match (&types[0], self) {
            (DataType::Timestamp(unit, _), Change::ReplaceZone { zone, .. }) => {
                Ok(DataType::Timestamp(*unit, zone.as_deref().map(Arc::from)))
            }
            (DataType::Timestamp(unit, _), Change::ConvertZone(zone)) => {
                Ok(DataType::Timestamp(*unit, Some(zone.as_str().into())))
            }
            (DataType::Timestamp(..) | DataType::Date32, Change::Epoch(_)) => Ok(DataType::Int64),
            (time @ (DataType::Timestamp(..) | DataType::Date32), _)
                if !matches!(self, Change::ReplaceZone { .. } | Change::ConvertZone(_)) =>
            {
                Ok(time.clone())
            }
            (other, _) => plan_err!("{self} is for times, not for {other}"),
        }
    }

    fn compute(&self, columns: &[ArrayRef], gives: &DataType) -> Result<ArrayRef> {
        let values = &columns[0];
        match self {
            Change::ReplaceZone { unclear, .. } => zoned(&local(values)?, gives, *unclear),
            Change::ConvertZone(_) => converted(values, gives),
            Change::MonthStart => on_days(values, |day| day.with_day(1)),
            Change::MonthEnd => on_days(values, |day| {
                day.with_day(1)?.checked_add_months(Months::new(1))?.pred_opt()
            }),
            Change::Epoch(unit) => since_epoch(values, *unit),
            Change::BusinessDays(days, roll) => {
                on_days(values, |day| business_day(day, *days, *roll))
            }
            Change::Round(every, rounding) => rounded(values, *every, *rounding),
        }
    }
}

/// Times as the clocks of their zone show them.
fn local(values: &ArrayRef) -> Result<ArrayRef> {
    let DataType::Timestamp(unit, Some(zone)) = values.data_type() else {
        return Ok(Arc::clone(values));
    };
    let clocks = Clocks::new(zone, *unit)?;
    let shown = cast(values, &DataType::Int64)?;
    let shown: Int64Array =
        shown.as_primitive::<Int64Type>().try_unary(|moment| clocks.shown(moment))?;
    Ok(cast(&shown, &DataType::Timestamp(*unit, None))?)
}

/// The moments when the clocks of a zone show these times.
fn zoned(shown: &ArrayRef, to: &DataType, unclear: Unclear) -> Result<ArrayRef> {
    let DataType::Timestamp(unit, Some(zone)) = to else { return Ok(Arc::clone(shown)) };
    let clocks = Clocks::new(zone, *unit)?;
    let shown = cast(shown, &DataType::Int64)?;
    let shown = shown.as_primitive::<Int64Type>();
    let moments: Int64Array = match unclear {
        Unclear::Error => shown.try_unary(|shown| clocks.moment(shown))?,
        Unclear::Null => {
            let moments = shown.iter().map(|shown| match shown {
                Some(shown) => clocks.single_moment(shown),
                None => Ok(None),
            });
            moments.collect::<Result<_>>()?
        }
        Unclear::First => shown.try_unary(|shown| clocks.first_moment(shown))?,
    };
    Ok(cast(&moments, to)?)
}

/// The same moments under another zone.
fn converted(values: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    let moments = cast(values, &DataType::Int64)?;
    Ok(cast(&moments, to)?)
}

/// Values of a unit in a day.
fn per_day(unit: TimeUnit) -> i64 {
    NANOSECONDS_A_DAY / nanoseconds(unit)
}

/// Times since 1970 in a unit, rounded down.
fn since_epoch(values: &ArrayRef, unit: TimeUnit) -> Result<ArrayRef> {
    let numbers = to_numbers(values)?;
    let in_a_day = match values.data_type() {
        DataType::Timestamp(unit, _) => per_day(*unit),
        _ => 1,
    };
    let wanted = per_day(unit);
    let numbers = numbers.as_primitive::<Int64Type>();
    if in_a_day >= wanted {
        let divisor = in_a_day / wanted;
        let rounded: Int64Array = numbers.unary(|number| number.div_euclid(divisor));
        return Ok(Arc::new(rounded));
    }
    let factor = wanted / in_a_day;
    let finer: Int64Array = numbers.try_unary(|number| {
        number.checked_mul(factor).ok_or_else(|| {
            exec_datafusion_err!("the time {number} is out of range of 64 bits in another unit")
        })
    })?;
    Ok(Arc::new(finer))
}

/// Times and dates with another day.
fn on_days(values: &ArrayRef, change: impl Fn(NaiveDate) -> Option<NaiveDate>) -> Result<ArrayRef> {
    let (shown, in_a_day) = match values.data_type() {
        DataType::Timestamp(unit, _) => (local(values)?, per_day(*unit)),
        _ => (Arc::clone(values), 1),
    };
    let numbers = to_numbers(&shown)?;
    let moved: Int64Array = numbers.as_primitive::<Int64Type>().try_unary(|number| {
        let day = i32::try_from(number.div_euclid(in_a_day)).ok();
        let date = day.and_then(NaiveDate::from_epoch_days).and_then(&change);
        let date = date.ok_or_else(|| beyond(number))?;
        let moved = i64::from(date.to_epoch_days()) * in_a_day + number.rem_euclid(in_a_day);
        Ok::<_, DataFusionError>(moved)
    })?;
    zoned(&from_numbers(&moved, shown.data_type())?, values.data_type(), Unclear::Error)
}

/// The working day that comes so many after one.
fn business_day(day: NaiveDate, days: i32, roll: Roll) -> Option<NaiveDate> {
    let start = match (day.weekday(), roll) {
        (Weekday::Sat, Roll::Forward) => day.checked_add_days(Days::new(2))?,
        (Weekday::Sun, Roll::Forward) => day.checked_add_days(Days::new(1))?,
        (Weekday::Sat, Roll::Backward) => day.checked_sub_days(Days::new(1))?,
        (Weekday::Sun, Roll::Backward) => day.checked_sub_days(Days::new(2))?,
        _ => day,
    };
    let place = i64::from(start.weekday().num_days_from_monday()) + i64::from(days);
    let moved = i64::from(days) + 2 * place.div_euclid(5);
    start.checked_add_signed(chrono::TimeDelta::try_days(moved)?)
}
