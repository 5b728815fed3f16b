//! How far moments are apart.

use std::sync::Arc;

use arrow::array::{ArrayRef, IntervalMonthDayNanoArray};
use arrow::datatypes::{Float64Type, Int64Type, IntervalMonthDayNano};
use chrono::{Datelike, NaiveDateTime, NaiveTime};
use datafusion::common::exec_datafusion_err;
use datafusion::error::Result;

use super::moment::{Moments, days_in_month, month_number};
use super::part::{DAY, Part, SECOND, nanos};
use crate::functions::inputs::{Inputs, Last};

/// `date_diff(part, a, b)`: how often a new part begins between `a` and `b`. For weeks, how many
/// times seven days lie between the dates.
pub(super) fn date_diff(inputs: &Inputs) -> Result<ArrayRef> {
    between(inputs, begun)
}

/// `date_sub(part, a, b)`: how many whole parts lie between `a` and `b`.
pub(super) fn date_sub(inputs: &Inputs) -> Result<ArrayRef> {
    between(inputs, whole)
}

fn between(
    inputs: &Inputs,
    count: fn(Part, NaiveDateTime, NaiveDateTime) -> i128,
) -> Result<ArrayRef> {
    let parts = inputs.texts(0);
    let (starts, ends) = (Moments::new(inputs, 1)?, Moments::new(inputs, 2)?);
    let mut known = Last::new();
    inputs.numbers::<Int64Type>(|row| {
        let (Some(part), Some(start), Some(end)) = (parts.get(row), starts.get(row), ends.get(row))
        else {
            return Ok(None);
        };
        let part = known.get(part, |part| Part::parse(part, inputs.name))?;
        i64::try_from(count(*part, start, end)).map(Some).map_err(|_| {
            exec_datafusion_err!("{}: there is too much between {start} and {end}", inputs.name)
        })
    })
}

fn begun(part: Part, start: NaiveDateTime, end: NaiveDateTime) -> i128 {
    match part {
        Part::Months(months) => {
            let number = |moment: NaiveDateTime| month_number(moment.date()).div_euclid(months);
            (number(end) - number(start)).into()
        }
        Part::IsoYear => (end.iso_week().year() - start.iso_week().year()).into(),
        Part::Weeks => i128::from((end.date() - start.date()).num_days() / 7),
        Part::Days => (end.date() - start.date()).num_days().into(),
        Part::Nanos(length) => {
            let number = |moment| nanos(moment).div_euclid(length.into());
            number(end) - number(start)
        }
    }
}

fn whole(part: Part, start: NaiveDateTime, end: NaiveDateTime) -> i128 {
    let distance = nanos(end) - nanos(start);
    match part {
        Part::Months(months) => (whole_months(start, end) / months).into(),
        Part::IsoYear => (whole_months(start, end) / 12).into(),
        Part::Weeks => distance / i128::from(7 * DAY),
        Part::Days => distance / i128::from(DAY),
        Part::Nanos(length) => distance / i128::from(length),
    }
}

/// A month is whole at the same day and time of the next, or at the last day of a shorter one.
fn whole_months(start: NaiveDateTime, end: NaiveDateTime) -> i64 {
    if start > end {
        return -whole_months(end, start);
    }
    let months = month_number(end.date()) - month_number(start.date());
    let day = start.day().min(days_in_month(end.date()));
    months - i64::from((end.day(), end.time()) < (day, start.time()))
}

/// `age(a, b)`: from `b` to `a` in years and months, days and time; `age(a)` until today.
pub(super) fn age(inputs: &Inputs) -> Result<ArrayRef> {
    let moments = Moments::new(inputs, 0)?;
    let from = Moments::new(inputs, 1)?;
    let ages = inputs.rows().map(|row| Some(aged(from.get(row)?, moments.get(row)?)));
    Ok(Arc::new(ages.collect::<IntervalMonthDayNanoArray>()))
}

fn aged(start: NaiveDateTime, end: NaiveDateTime) -> IntervalMonthDayNano {
    if end < start {
        let age = aged(end, start);
        return IntervalMonthDayNano::new(-age.months, -age.days, -age.nanoseconds);
    }
    let mut months = month_number(end.date()) - month_number(start.date());
    let mut days = i64::from(end.day()) - i64::from(start.day());
    let mut time = since_midnight(end.time()) - since_midnight(start.time());
    if time < 0 {
        time += DAY;
        days -= 1;
    }
    if days < 0 {
        // The days that are left of the month in which it began.
        days += i64::from(days_in_month(start.date()));
        months -= 1;
    }
    let small = |number: i64| i32::try_from(number).unwrap_or(i32::MAX);
    IntervalMonthDayNano::new(small(months), small(days), time)
}

fn since_midnight(time: NaiveTime) -> i64 {
    (time - NaiveTime::MIN).num_nanoseconds().unwrap_or(DAY - 1)
}

/// `months_between(a, b)`: the months from `b` to `a`. Whole ones if both are the same day of
/// their month or the last; else the rest counts in months of 31 days, rounded to 8 digits unless
/// a third argument is false.
pub(super) fn months_between(inputs: &Inputs) -> Result<ArrayRef> {
    let (ends, starts) = (Moments::new(inputs, 0)?, Moments::new(inputs, 1)?);
    let rounded = match inputs.len() {
        3 => Some(inputs.booleans_of(2)),
        _ => None,
    };
    inputs.numbers::<Float64Type>(|row| {
        let (Some(end), Some(start)) = (ends.get(row), starts.get(row)) else { return Ok(None) };
        let rounded = match &rounded {
            Some(rounded) => rounded.get(row),
            None => Some(true),
        };
        Ok(rounded.map(|rounded| {
            let months = fraction_of_months(start, end);
            if rounded { (months * 1e8).round() / 1e8 } else { months }
        }))
    })
}

fn fraction_of_months(start: NaiveDateTime, end: NaiveDateTime) -> f64 {
    let months = (month_number(end.date()) - month_number(start.date())) as f64;
    let last = |moment: NaiveDateTime| moment.day() == days_in_month(moment.date());
    if start.day() == end.day() || (last(start) && last(end)) {
        return months;
    }
    let seconds = |moment: NaiveDateTime| {
        i64::from(moment.day()) * (DAY / SECOND) + since_midnight(moment.time()) / SECOND
    };
    months + (seconds(end) - seconds(start)) as f64 / (31 * (DAY / SECOND)) as f64
}

#[cfg(test)]
mod tests {
    use chrono::NaiveDate;

    use super::super::moment::plus_months;
    use super::*;

    #[test]
    fn whole_months_and_the_rest_reach_the_end() {
        let first = NaiveDate::from_ymd_opt(2019, 12, 25).expect("a date");
        for start in first.iter_days().take(100) {
            for end in start.iter_days().take(100) {
                let at = |date: NaiveDate| date.and_time(NaiveTime::MIN);
                let months = whole_months(at(start), at(end));
                assert!(plus_months(start, months).expect("in range") <= end, "{start} {end}");
                assert!(plus_months(start, months + 1).expect("in range") > end, "{start} {end}");
                assert_eq!(whole_months(at(end), at(start)), -months);
            }
        }
    }
}
