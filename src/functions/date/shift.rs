//! Moments some time later, and the beginnings and ends of what they are in.

use std::str::FromStr;

use arrow::array::{ArrayRef, Int64Array};
use arrow::datatypes::{DataType, Int64Type, IntervalMonthDayNano, IntervalMonthDayNanoType};
use chrono::{Datelike, Days, Duration, NaiveDate, NaiveDateTime, Weekday};
use datafusion::common::{ScalarValue, exec_datafusion_err, exec_err};
use datafusion::error::Result;

use super::moment::{
    Clock, Moments, days_in_month, moments, moments_near, month_number, of_counts, out_of_range,
    plus_months,
};
use super::part::{DAY, Part, SECOND, nanos};
use crate::functions::inputs::{Inputs, Last};
use crate::functions::scalar::{INTERVAL, micros};

/// `date_add(moment, interval)`, `date_add(date, days)` and `date_add(part, number, moment)`.
pub(super) fn date_add(inputs: &Inputs) -> Result<ArrayRef> {
    shifted(inputs, 1)
}

/// `date_sub(moment, interval)` and `date_sub(date, days)`; with three arguments
/// [`date_sub`](super::difference::date_sub).
pub(super) fn date_sub(inputs: &Inputs) -> Result<ArrayRef> {
    if inputs.len() == 3 { super::difference::date_sub(inputs) } else { shifted(inputs, -1) }
}

/// The type of `date_add`: a date stays one when whole days are added, but for intervals, which
/// may have hours.
pub(super) fn added(types: &[DataType], constants: &[Option<&ScalarValue>]) -> Result<DataType> {
    let moment = |index: usize| match &types[index] {
        DataType::Date32 => micros(),
        other => other.clone(),
    };
    if types.len() == 2 {
        return Ok(if types[1] == INTERVAL { moment(0) } else { DataType::Date32 });
    }
    let part = constants[0].and_then(|part| part.try_as_str()).flatten();
    let part = part.map(|part| Part::parse(part, "date_add")).transpose()?;
    let days = part.is_some_and(|part| !matches!(part, Part::Nanos(_)));
    Ok(if days { types[2].clone() } else { moment(2) })
}

/// The type of `date_sub`.
pub(super) fn subtracted(
    types: &[DataType],
    constants: &[Option<&ScalarValue>],
) -> Result<DataType> {
    if types.len() == 3 { Ok(DataType::Int64) } else { added(types, constants) }
}

/// An interval in wide numbers.
#[derive(Clone, Copy)]
pub(super) struct Span {
    months: i64,
    days: i64,
    nanos: i128,
}

impl Span {
    /// So many parts, or `None` if they are too many.
    pub(super) fn of_part(part: Part, number: i64) -> Option<Self> {
        let mut span = Span { months: 0, days: 0, nanos: 0 };
        match part {
            Part::Months(months) => span.months = months.checked_mul(number)?,
            Part::IsoYear => span.months = number.checked_mul(12)?,
            Part::Weeks => span.days = number.checked_mul(7)?,
            Part::Days => span.days = number,
            Part::Nanos(length) => span.nanos = i128::from(length) * i128::from(number),
        }
        Some(span)
    }

    fn of_interval(interval: IntervalMonthDayNano) -> Self {
        Span {
            months: interval.months.into(),
            days: interval.days.into(),
            nanos: interval.nanoseconds.into(),
        }
    }

    /// As an interval, or `None` if it is too long for one.
    pub(super) fn to_interval(self) -> Option<IntervalMonthDayNano> {
        let (months, days) = (i32::try_from(self.months).ok()?, i32::try_from(self.days).ok()?);
        Some(IntervalMonthDayNano::new(months, days, i64::try_from(self.nanos).ok()?))
    }

    /// So many times as long.
    fn times(self, sign: i64) -> Option<Self> {
        Some(Span {
            months: self.months.checked_mul(sign)?,
            days: self.days.checked_mul(sign)?,
            nanos: self.nanos.checked_mul(sign.into())?,
        })
    }

    /// The local time later by the months and the days.
    fn plus_days(self, moment: NaiveDateTime) -> Option<NaiveDateTime> {
        let date = plus_months(moment.date(), self.months)?;
        let date = date.checked_add_signed(Duration::try_days(self.days)?)?;
        Some(date.and_time(moment.time()))
    }

    /// The UTC of the moment later by all of it; hours pass by the clock of the world, not the one
    /// on the wall.
    fn after(self, utc: NaiveDateTime, clock: &Clock) -> Option<NaiveDateTime> {
        let by_days = match (self.months, self.days) {
            (0, 0) => utc,
            _ => clock.utc_near(self.plus_days(clock.local_of_utc(utc))?, utc),
        };
        at(nanos(by_days) + self.nanos)
    }
}

/// The moment so many nanoseconds after 1970.
fn at(nanos: i128) -> Option<NaiveDateTime> {
    let second = i128::from(SECOND);
    let seconds = i64::try_from(nanos.div_euclid(second)).ok()?;
    let rest = u32::try_from(nanos.rem_euclid(second)).ok()?;
    Some(chrono::DateTime::from_timestamp(seconds, rest)?.naive_utc())
}

fn shifted(inputs: &Inputs, sign: i64) -> Result<ArrayRef> {
    let of_part = inputs.len() == 3;
    let moments = Moments::new(inputs, if of_part { 2 } else { 0 })?;
    let clock = Clock::new(&inputs.returned)?;
    let mut known = Last::new();
    let mut span = |row: usize| -> Result<Option<Span>> {
        if !of_part {
            let values = |row| match inputs.data_type(1) {
                DataType::Int64 => {
                    Span::of_part(Part::Days, inputs.values::<Int64Type>(1).get(row)?)
                }
                _ => {
                    let interval = inputs.values::<IntervalMonthDayNanoType>(1).get(row)?;
                    Some(Span::of_interval(interval))
                }
            };
            return Ok(values(row));
        }
        let (Some(part), Some(number)) =
            (inputs.texts(0).get(row), inputs.values::<Int64Type>(1).get(row))
        else {
            return Ok(None);
        };
        let part = known.get(part, |part| Part::parse(part, inputs.name))?;
        let span = Span::of_part(*part, number);
        span.map(Some).ok_or_else(|| out_of_range(inputs.name, &number.to_string()))
    };
    let counts = inputs
        .rows()
        .map(|row| {
            let (Some(utc), Some(span)) = (moments.utc(row), span(row)?) else {
                return Ok(None);
            };
            let later = span.times(sign).and_then(|span| span.after(utc, &clock));
            let count = later.and_then(|later| clock.count_of_utc(later));
            count.map(Some).ok_or_else(|| {
                let moment = clock.local_of_utc(utc);
                exec_datafusion_err!("{}: what {moment} becomes is out of range", inputs.name)
            })
        })
        .collect::<Result<Int64Array>>()?;
    of_counts(counts, &inputs.returned)
}

/// `add_months(date, months)`.
pub(super) fn add_months(inputs: &Inputs) -> Result<ArrayRef> {
    let (dates, months) = (Moments::new(inputs, 0)?, inputs.values::<Int64Type>(1));
    moments(inputs, |row| {
        let (Some(date), Some(months)) = (dates.get(row), months.get(row)) else {
            return Ok(None);
        };
        let later = plus_months(date.date(), months);
        later.map(|date| Some(midnight(date))).ok_or_else(|| {
            exec_datafusion_err!(
                "{}: {} and {months} months is out of range",
                inputs.name,
                date.date()
            )
        })
    })
}

fn midnight(date: NaiveDate) -> NaiveDateTime {
    date.and_time(chrono::NaiveTime::MIN)
}

/// `last_day(date)`: of its month.
pub(super) fn last_day(inputs: &Inputs) -> Result<ArrayRef> {
    let dates = Moments::new(inputs, 0)?;
    moments(inputs, |row| {
        Ok(dates.get(row).and_then(|date| date.with_day(days_in_month(date.date()))))
    })
}

/// `next_day(date, weekday)`: the first such day after a date.
pub(super) fn next_day(inputs: &Inputs) -> Result<ArrayRef> {
    let (dates, names) = (Moments::new(inputs, 0)?, inputs.texts(1));
    let mut known = Last::new();
    moments(inputs, |row| {
        let (Some(date), Some(name)) = (dates.get(row), names.get(row)) else { return Ok(None) };
        let weekday = known.get(name, |name| weekday(name, inputs.name))?;
        let after =
            (6 + weekday.num_days_from_monday() - date.weekday().num_days_from_monday()) % 7;
        let days = Days::new(u64::from(after) + 1);
        let later = date.checked_add_days(days);
        later.map(Some).ok_or_else(|| out_of_range(inputs.name, &date.to_string()))
    })
}

/// The day of a full name, three letters or two.
fn weekday(name: &str, function: &str) -> Result<Weekday> {
    let trimmed = name.trim();
    let letters = ["mo", "tu", "we", "th", "fr", "sa", "su"];
    let short = letters.iter().position(|two| trimmed.eq_ignore_ascii_case(two));
    if let Some(day) = short.and_then(|i| Weekday::try_from(u8::try_from(i).ok()?).ok()) {
        return Ok(day);
    }
    match Weekday::from_str(trimmed) {
        Ok(day) => Ok(day),
        Err(_) => exec_err!("{function}: no day of the week \"{name}\"; days are Mon or Monday"),
    }
}

/// `time_bucket(width, moment)`: the beginning of the bucket of this width that a moment is in.
/// Buckets of days and less are counted from Monday 2000-01-03, those of months from 2000-01-01,
/// or from a third argument; a third that is an interval moves them.
pub(super) fn time_bucket(inputs: &Inputs) -> Result<ArrayRef> {
    let widths = inputs.values::<IntervalMonthDayNanoType>(0);
    let values = Moments::new(inputs, 1)?;
    let (mut offsets, mut origins) = (None, None);
    if inputs.len() == 3 {
        if *inputs.data_type(2) == INTERVAL {
            offsets = Some(inputs.values::<IntervalMonthDayNanoType>(2));
        } else {
            origins = Some(Moments::new(inputs, 2)?);
        }
    }
    moments_near(inputs, &values, |row, moment| {
        let Some(width) = widths.get(row) else { return Ok(None) };
        let width = Width::new(width, inputs.name)?;
        let bucket = match (&offsets, &origins) {
            (Some(offsets), _) => {
                let Some(offset) = offsets.get(row).map(Span::of_interval) else {
                    return Ok(None);
                };
                width.moved(moment, offset)
            }
            (None, Some(origins)) => {
                let Some(origin) = origins.get(row) else { return Ok(None) };
                width.bucket(moment, origin)
            }
            (None, None) => width.bucket(moment, width.origin()),
        };
        bucket.map(Some).ok_or_else(|| out_of_range(inputs.name, &moment.to_string()))
    })
}

/// The width of buckets.
#[derive(Clone, Copy)]
enum Width {
    Months(i64),
    Nanos(i128),
}

impl Width {
    fn new(width: IntervalMonthDayNano, function: &str) -> Result<Self> {
        let nanos = i128::from(width.days) * i128::from(DAY) + i128::from(width.nanoseconds);
        match (width.months, nanos) {
            (1.., 0) => Ok(Width::Months(width.months.into())),
            (0, 1..) => Ok(Width::Nanos(nanos)),
            (0, _) | (..0, 0) => exec_err!("{function}: the width of a bucket must be above 0"),
            _ => exec_err!("{function}: the width has months and days; give it one of them"),
        }
    }

    fn origin(self) -> NaiveDateTime {
        let day = match self {
            Width::Months(_) => 1,
            Width::Nanos(_) => 3,
        };
        NaiveDate::from_ymd_opt(2000, 1, day).map(midnight).unwrap_or_default()
    }

    fn bucket(self, moment: NaiveDateTime, origin: NaiveDateTime) -> Option<NaiveDateTime> {
        match self {
            Width::Months(months) => {
                let origin = origin.date().with_day(1)?;
                let since = month_number(moment.date()) - month_number(origin);
                plus_months(origin, since.div_euclid(months) * months).map(midnight)
            }
            Width::Nanos(width) => {
                let origin = nanos(origin);
                let since = nanos(moment) - origin;
                at(origin + since.div_euclid(width) * width)
            }
        }
    }

    /// The bucket where all begin later by an offset.
    fn moved(self, moment: NaiveDateTime, offset: Span) -> Option<NaiveDateTime> {
        let plus = |moment, span: Span| at(nanos(span.plus_days(moment)?) + span.nanos);
        plus(self.bucket(plus(moment, offset.times(-1)?)?, self.origin())?, offset)
    }
}
