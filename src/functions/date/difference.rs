//! How far moments are apart.

use std::sync::Arc;

use arrow::array::timezone::Tz;
use arrow::array::{ArrayRef, IntervalMonthDayNanoArray};
use arrow::datatypes::{Float64Type, Int64Type, IntervalMonthDayNano};
use chrono::{Datelike, NaiveDateTime, NaiveTime};
use datafusion::common::exec_datafusion_err;
use datafusion::error::Result;

use super::moment::{Instant, Moments, days_in_month, month_number};
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

/// Two arguments by one clock: that of the first, or of the second if the first has no zone.
struct Pairs {
    first: Moments,
    second: Moments,
    zone: Option<Tz>,
}

impl Pairs {
    /// The argument of this number and the one that follows it.
    fn new(inputs: &Inputs, first: usize) -> Result<Self> {
        let (first, second) = (Moments::new(inputs, first)?, Moments::new(inputs, first + 1)?);
        let zone = first.clock().zone().or(second.clock().zone());
        Ok(Pairs { first, second, zone })
    }

    fn get(&self, row: usize) -> Option<(Instant, Instant)> {
        Some((self.first.on(row, self.zone)?, self.second.on(row, self.zone)?))
    }
}

fn between(inputs: &Inputs, count: fn(Part, Instant, Instant) -> i128) -> Result<ArrayRef> {
    let (parts, pairs) = (inputs.texts(0), Pairs::new(inputs, 1)?);
    let mut known = Last::new();
    inputs.numbers::<Int64Type>(|row| {
        let (Some(part), Some((start, end))) = (parts.get(row), pairs.get(row)) else {
            return Ok(None);
        };
        let part = known.get(part, |part| Part::parse(part, inputs.name))?;
        i64::try_from(count(*part, start, end)).map(Some).map_err(|_| {
            let (start, end) = (start.local, end.local);
            exec_datafusion_err!("{}: there is too much between {start} and {end}", inputs.name)
        })
    })
}

fn begun(part: Part, start: Instant, end: Instant) -> i128 {
    let days = || (end.local.date() - start.local.date()).num_days();
    match part {
        Part::Months(months) => {
            let number = |moment: Instant| month_number(moment.local.date()).div_euclid(months);
            (number(end) - number(start)).into()
        }
        Part::IsoYear => (end.local.iso_week().year() - start.local.iso_week().year()).into(),
        Part::Weeks => i128::from(days() / 7),
        Part::Days => days().into(),
        Part::Nanos(length) => {
            // Parts begin by the clock on the wall, and pass by that of the world.
            let length = i128::from(length);
            let begin =
                |moment: Instant| nanos(moment.utc) - nanos(moment.local).rem_euclid(length);
            (begin(end) - begin(start)) / length
        }
    }
}

fn whole(part: Part, start: Instant, end: Instant) -> i128 {
    let local = nanos(end.local) - nanos(start.local);
    match part {
        Part::Months(months) => (whole_months(start.local, end.local) / months).into(),
        Part::IsoYear => (whole_months(start.local, end.local) / 12).into(),
        Part::Weeks => local / i128::from(7 * DAY),
        Part::Days => local / i128::from(DAY),
        Part::Nanos(length) => (nanos(end.utc) - nanos(start.utc)) / i128::from(length),
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
    let pairs = Pairs::new(inputs, 0)?;
    let ages = inputs.rows().map(|row| {
        let (end, start) = pairs.get(row)?;
        Some(aged(start.local, end.local))
    });
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
    let pairs = Pairs::new(inputs, 0)?;
    let rounded = match inputs.len() {
        3 => Some(inputs.booleans_of(2)),
        _ => None,
    };
    inputs.numbers::<Float64Type>(|row| {
        let Some((end, start)) = pairs.get(row) else { return Ok(None) };
        let rounded = match &rounded {
            Some(rounded) => rounded.get(row),
            None => Some(true),
        };
        Ok(rounded.map(|rounded| {
            let months = fraction_of_months(start.local, end.local);
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
