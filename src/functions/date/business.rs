//! Working days: those from Monday to Friday.

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Int64Type};
use chrono::{Datelike, Duration, NaiveDate, NaiveTime};
use datafusion::common::exec_datafusion_err;
use datafusion::error::Result;

use super::moment::{Moments, moments_as};
use crate::functions::inputs::Inputs;

/// Days since a Monday long ago.
fn since_a_monday(date: NaiveDate) -> i64 {
    i64::from(date.num_days_from_ce()) - 1
}

/// The working days before a date, since that Monday.
fn working_days_before(date: NaiveDate) -> i64 {
    let days = since_a_monday(date);
    days.div_euclid(7) * 5 + days.rem_euclid(7).min(5)
}

/// `is_business_day(date)`.
pub(super) fn is_business_day(inputs: &Inputs) -> Result<ArrayRef> {
    let dates = Moments::new(inputs, 0)?;
    inputs.booleans(|row| Ok(dates.get(row).map(|date| date.weekday().num_days_from_monday() < 5)))
}

/// `business_days_between(a, b)`: the working days from `a` up to the one before `b`; negative
/// when `b` is earlier.
pub(super) fn business_days_between(inputs: &Inputs) -> Result<ArrayRef> {
    let (starts, ends) = (Moments::new(inputs, 0)?, Moments::new(inputs, 1)?);
    inputs.numbers::<Int64Type>(|row| {
        let (Some(start), Some(end)) = (starts.get(row), ends.get(row)) else { return Ok(None) };
        Ok(Some(working_days_before(end.date()) - working_days_before(start.date())))
    })
}

/// `add_business_days(date, days)`: the date so many working days later, or earlier. From a
/// weekend the first is the Monday after, or the Friday before.
pub(super) fn add_business_days(inputs: &Inputs) -> Result<ArrayRef> {
    let (dates, days) = (Moments::new(inputs, 0)?, inputs.values::<Int64Type>(1));
    moments_as(inputs, &DataType::Date32, |row| {
        let (Some(date), Some(days)) = (dates.get(row), days.get(row)) else { return Ok(None) };
        let later = plus_working_days(date.date(), days);
        later.map(|date| Some(date.and_time(NaiveTime::MIN))).ok_or_else(|| {
            exec_datafusion_err!(
                "{}: {} and {days} working days is out of range",
                inputs.name,
                date.date()
            )
        })
    })
}

fn plus_working_days(date: NaiveDate, days: i64) -> Option<NaiveDate> {
    if days == 0 {
        return Some(date);
    }
    let weekday = i64::from(date.weekday().num_days_from_monday());
    // A weekend counts as the Friday before it, or as the Monday after it.
    let from = match (weekday, days > 0) {
        (5.., true) => 4,
        (5.., false) => 7,
        (day, _) => day,
    };
    let monday = since_a_monday(date) - weekday;
    // Weeks of working days, counted from that Monday.
    let (weeks, rest) = (from / 7, from % 7);
    let working = (weeks * 5 + rest).checked_add(days)?;
    let target = monday + working.div_euclid(5) * 7 + working.rem_euclid(5);
    let ahead = Duration::try_days(target - since_a_monday(date))?;
    date.checked_add_signed(ahead)
}
