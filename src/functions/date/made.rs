//! Dates, timestamps and intervals made of numbers, and numbers made of them.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, IntervalMonthDayNanoArray};
use arrow::compute::{DatePart, cast, date_part};
use arrow::datatypes::{DataType, Float64Type, Int64Type, IntervalMonthDayNano, TimeUnit};
use chrono::{Datelike, NaiveDate, NaiveTime, Timelike};
use datafusion::common::{ScalarValue, exec_datafusion_err, exec_err};
use datafusion::error::Result;

use super::moment::{Moments, moments, of_counts, out_of_range};
use super::part::{MICROSECOND, Part, SECOND, nanos};
use super::shift::Span;
use crate::functions::inputs::Inputs;
use crate::functions::scalar::micros;

/// The counts of a second of `epoch_ms` and the like.
fn per_second(function: &str) -> i64 {
    match function {
        "epoch_ms" | "make_timestamp_ms" => 1000,
        "epoch_ns" | "make_timestamp_ns" => SECOND,
        _ => 1_000_000,
    }
}

/// The type of `epoch_ms`: a count of a moment, and a moment of a count.
pub(super) fn epoch_type(types: &[DataType], _: &[Option<&ScalarValue>]) -> Result<DataType> {
    Ok(if types[0] == DataType::Int64 { micros() } else { DataType::Int64 })
}

/// `epoch_ms(moment)`: how many since 1970; `epoch_ms(number)`: the moment.
pub(super) fn epoch(inputs: &Inputs) -> Result<ArrayRef> {
    if *inputs.data_type(0) == DataType::Int64 {
        return of_epoch(inputs);
    }
    let values = Moments::new(inputs, 0)?;
    let length = i128::from(SECOND / per_second(inputs.name));
    inputs.numbers::<Int64Type>(|row| {
        let Some(utc) = values.utc(row) else { return Ok(None) };
        let count = i64::try_from(nanos(utc).div_euclid(length)).ok();
        count.map(Some).ok_or_else(|| out_of_range(inputs.name, &utc.to_string()))
    })
}

/// Timestamps of counts since 1970: of microseconds, but for those of nanoseconds.
fn of_epoch(inputs: &Inputs) -> Result<ArrayRef> {
    let counts = inputs.values::<Int64Type>(0);
    let per_second = per_second(inputs.name);
    let per_result = match &inputs.returned {
        DataType::Timestamp(TimeUnit::Nanosecond, _) => SECOND,
        _ => 1_000_000,
    };
    let counts = inputs
        .rows()
        .map(|row| {
            let Some(count) = counts.get(row) else { return Ok(None) };
            let scaled = (i128::from(count) * i128::from(per_result)).div_euclid(per_second.into());
            let scaled = i64::try_from(scaled).ok();
            scaled.map(Some).ok_or_else(|| out_of_range(inputs.name, &count.to_string()))
        })
        .collect::<Result<Int64Array>>()?;
    of_counts(counts, &inputs.returned)
}

/// `make_timestamp(year, month, day, hour, minute, second)`, or of microseconds since 1970.
pub(super) fn make_timestamp(inputs: &Inputs) -> Result<ArrayRef> {
    if inputs.len() == 1 {
        return of_epoch(inputs);
    }
    let parts: Vec<_> = (0..5).map(|index| inputs.values::<Int64Type>(index)).collect();
    let seconds = inputs.values::<Float64Type>(5);
    moments(inputs, |row| {
        let values: Option<Vec<i64>> = parts.iter().map(|part| part.get(row)).collect();
        let (Some(values), Some(second)) = (values, seconds.get(row)) else { return Ok(None) };
        let moment = timestamp(&values, second);
        moment.map(Some).ok_or_else(|| {
            let [year, month, day, hour, minute] = values[..] else {
                return out_of_range(inputs.name, "the moment");
            };
            exec_datafusion_err!(
                "{}: there is no {year}-{month:02}-{day:02} {hour:02}:{minute:02}:{second}",
                inputs.name
            )
        })
    })
}

fn timestamp(parts: &[i64], second: f64) -> Option<chrono::NaiveDateTime> {
    let part = |index: usize| u32::try_from(*parts.get(index)?).ok();
    let date = NaiveDate::from_ymd_opt(i32::try_from(parts[0]).ok()?, part(1)?, part(2)?)?;
    // 60 seconds and 24:00:00 are the next minute and the next day.
    if !(0.0..=60.0).contains(&second) {
        return None;
    }
    let micros = (second * 1e6).round() as i64;
    let minute = match (part(3)?, part(4)?) {
        (24, 0) if second == 0.0 => date.succ_opt()?.and_time(NaiveTime::MIN),
        (hour, minute) => date.and_hms_opt(hour, minute, 0)?,
    };
    minute.checked_add_signed(chrono::Duration::microseconds(micros))
}

/// `to_days(number)` and the like: an interval of as many.
pub(super) fn to_interval(inputs: &Inputs) -> Result<ArrayRef> {
    let unit = inputs.name.strip_prefix("to_").unwrap_or(inputs.name);
    let part = Part::parse(unit, inputs.name)?;
    if let (DataType::Float64, Part::Nanos(length)) = (inputs.data_type(0), part) {
        return of_floats(inputs, length);
    }
    let numbers = inputs.values::<Int64Type>(0);
    let intervals = inputs.rows().map(|row| {
        let Some(number) = numbers.get(row) else { return Ok(None) };
        let interval = Span::of_part(part, number).and_then(Span::to_interval);
        interval.map(Some).ok_or_else(|| out_of_range(inputs.name, &number.to_string()))
    });
    Ok(Arc::new(intervals.collect::<Result<IntervalMonthDayNanoArray>>()?))
}

/// Intervals of fractions, to the microsecond; those of nanoseconds to the nanosecond.
fn of_floats(inputs: &Inputs, length: i64) -> Result<ArrayRef> {
    let numbers = inputs.values::<Float64Type>(0);
    let step = length.min(MICROSECOND);
    let intervals = inputs.rows().map(|row| {
        let Some(number) = numbers.get(row) else { return Ok(None) };
        let steps = (number * (length as f64 / step as f64)).round();
        if steps.is_nan() || steps.abs() >= i64::MAX as f64 {
            return exec_err!("{}: {number} is out of range", inputs.name);
        }
        let nanos = (steps as i64).checked_mul(step);
        let nanos = nanos.ok_or_else(|| out_of_range(inputs.name, &number.to_string()))?;
        Ok(Some(IntervalMonthDayNano::new(0, 0, nanos)))
    });
    Ok(Arc::new(intervals.collect::<Result<IntervalMonthDayNanoArray>>()?))
}

/// Parts that follow from the year or the week of a moment.
pub(super) fn of_calendar(inputs: &Inputs) -> Result<ArrayRef> {
    let (array, _) = inputs.column(0);
    let years = |part| -> Result<Int64Array> {
        let parts = cast(&date_part(array, part)?, &DataType::Int64)?;
        Ok(parts.as_primitive().clone())
    };
    // The year 0 is the first before the common era.
    let counted = |length: i64| {
        move |year: i64| if year > 0 { (year - 1) / length + 1 } else { (year - length) / length }
    };
    let result: Int64Array = match inputs.name {
        "era" => years(DatePart::Year)?.unary(|year| i64::from(year > 0)),
        "decade" => years(DatePart::Year)?.unary(|year| year / 10),
        "century" => years(DatePart::Year)?.unary(counted(100)),
        "millennium" => years(DatePart::Year)?.unary(counted(1000)),
        _ => {
            let weeks = years(DatePart::Week)?;
            arrow::compute::binary(&years(DatePart::YearISO)?, &weeks, |year, week| {
                if year < 0 { year * 100 - week } else { year * 100 + week }
            })?
        }
    };
    Ok(Arc::new(result))
}

/// `julian(moment)`: the Julian day, counted from midnight as in Postgres.
pub(super) fn julian(inputs: &Inputs) -> Result<ArrayRef> {
    /// The Julian day of the last day before the year 1.
    const BEFORE_YEAR_1: i32 = 1_721_425;
    let values = Moments::new(inputs, 0)?;
    inputs.numbers::<Float64Type>(|row| {
        Ok(values.get(row).map(|moment| {
            let day = f64::from(moment.num_days_from_ce() + BEFORE_YEAR_1);
            let time = f64::from(moment.num_seconds_from_midnight())
                + f64::from(moment.nanosecond()) / SECOND as f64;
            day + time / 86_400.0
        }))
    })
}
