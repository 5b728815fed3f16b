//! `strftime`: moments as text.

use std::fmt::Write as _;

use arrow::array::ArrayRef;
use arrow::array::timezone::Tz;
use chrono::{Datelike, Timelike};
use datafusion::error::Result;

use super::directive::{DAYS, Field, Format, Item, MONTHS};
use super::moment::{Instant, Moments};
use crate::functions::inputs::{Inputs, Last};
use arrow::datatypes::DataType;

/// `strftime(moment, format)`, the arguments in either order.
pub(super) fn strftime(inputs: &Inputs) -> Result<ArrayRef> {
    let (moment, format) = if *inputs.data_type(0) == DataType::Utf8View { (1, 0) } else { (0, 1) };
    let moments = Moments::new(inputs, moment)?;
    let formats = inputs.texts(format);
    let zone = moments.clock().zone();
    let mut parsed = Last::new();
    inputs.write(|row, out| {
        let (Some(moment), Some(format)) = (moments.on(row, zone), formats.get(row)) else {
            return Ok(false);
        };
        let format = parsed.get(format, |format| Format::parse(format, inputs.name))?;
        write(moment, zone, format, out);
        Ok(true)
    })
}

fn write(moment: Instant, zone: Option<Tz>, format: &Format, out: &mut String) {
    for item in &format.0 {
        match item {
            Item::Literal(text) => out.push_str(text),
            Item::Field(field) => write_field(moment, zone, *field, true, out),
            Item::Bare(field) => write_field(moment, zone, *field, false, out),
        }
    }
}

/// The name in a list, counted from 0.
fn name(names: &[&'static str], index: u32) -> &'static str {
    usize::try_from(index).ok().and_then(|i| names.get(i)).copied().unwrap_or_default()
}

fn write_field(instant: Instant, zone: Option<Tz>, field: Field, padded: bool, out: &mut String) {
    let moment = instant.local;
    let days_from_monday = moment.weekday().num_days_from_monday();
    let days_from_sunday = moment.weekday().num_days_from_sunday();
    let day = name(&DAYS, days_from_monday);
    let month = name(&MONTHS, moment.month0());
    let nanos = moment.nanosecond() % 1_000_000_000;
    let (value, width) = match field {
        Field::WeekdayShort => return out.push_str(&day[..3]),
        Field::Weekday => return out.push_str(day),
        Field::MonthShort => return out.push_str(&month[..3]),
        Field::MonthName => return out.push_str(month),
        Field::AmPm => return out.push_str(if moment.hour() < 12 { "AM" } else { "PM" }),
        Field::Offset => return write_offset(instant, out),
        Field::Zone => {
            return zone.into_iter().for_each(|zone| push(out, format_args!("{zone}")));
        }
        Field::Year => return write_year(moment.year(), padded, out),
        Field::IsoYear => return write_year(moment.iso_week().year(), padded, out),
        Field::BlankDay => return push(out, format_args!("{:2}", moment.day())),
        Field::WeekdayFromSunday => (days_from_sunday, 1),
        Field::WeekdayFromMonday => (days_from_monday + 1, 1),
        Field::Day => (moment.day(), 2),
        Field::Month => (moment.month(), 2),
        Field::YearOfCentury => (moment.year().rem_euclid(100).unsigned_abs(), 2),
        Field::Hour => (moment.hour(), 2),
        Field::Hour12 => (moment.hour12().1, 2),
        Field::Minute => (moment.minute(), 2),
        Field::Second => (moment.second(), 2),
        Field::Milli => (nanos / 1_000_000, 3),
        Field::Micro => (nanos / 1000, 6),
        Field::Nano => (nanos, 9),
        Field::DayOfYear => (moment.ordinal(), 3),
        Field::WeekFromSunday => ((moment.ordinal() + 6 - days_from_sunday) / 7, 2),
        Field::WeekFromMonday => ((moment.ordinal() + 6 - days_from_monday) / 7, 2),
        Field::IsoWeek => (moment.iso_week().week(), 2),
    };
    let width = if padded { width } else { 0 };
    push(out, format_args!("{value:0width$}"));
}

fn write_year(year: i32, padded: bool, out: &mut String) {
    let sign = if year < 0 { "-" } else { "" };
    let width = if padded { 4 } else { 0 };
    push(out, format_args!("{sign}{:0width$}", year.unsigned_abs()));
}

/// `+01`, or `+05:30`. Without a zone, a moment is taken for UTC.
fn write_offset(instant: Instant, out: &mut String) {
    let seconds = (instant.local - instant.utc).num_seconds();
    let sign = if seconds < 0 { '-' } else { '+' };
    let (hours, minutes) = (seconds.abs() / 3600, seconds.abs() / 60 % 60);
    push(out, format_args!("{sign}{hours:02}"));
    if minutes != 0 {
        push(out, format_args!(":{minutes:02}"));
    }
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a string takes any text");
}

/// The full name of the day of the week, or of the month.
pub(super) fn day_name(inputs: &Inputs) -> Result<ArrayRef> {
    names(inputs, Field::Weekday)
}

/// The full name of the month.
pub(super) fn month_name(inputs: &Inputs) -> Result<ArrayRef> {
    names(inputs, Field::MonthName)
}

fn names(inputs: &Inputs, field: Field) -> Result<ArrayRef> {
    let moments = Moments::new(inputs, 0)?;
    inputs.write(|row, out| {
        let moment = moments.on(row, moments.clock().zone());
        if let Some(moment) = moment {
            write_field(moment, None, field, true, out);
        }
        Ok(moment.is_some())
    })
}
