//! `strptime`: text as moments.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::timezone::Tz;
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, TimeUnit};
use chrono::{Duration, NaiveDate, NaiveDateTime, NaiveTime, Weekday};
use datafusion::common::{ScalarValue, exec_err};
use datafusion::error::Result;

use super::directive::{DAYS, Field, Format, Item, MONTHS};
use super::moment::{moments, to_utc};
use crate::functions::inputs::{Inputs, Last, Texts};

/// Texts in a format, or in the first that fits of a list; another text is an error.
pub(super) fn strptime(inputs: &Inputs) -> Result<ArrayRef> {
    parse(inputs, |text, formats| {
        exec_err!(
            "{}: \"{text}\" is not in the format \"{}\"; try_strptime gives NULL for it",
            inputs.name,
            formats.replace(BETWEEN, "\" or \"")
        )
    })
}

/// The same, with NULL for other texts.
pub(super) fn try_strptime(inputs: &Inputs) -> Result<ArrayRef> {
    parse(inputs, |_, _| Ok(None))
}

/// Between the formats of a list, where it is one text.
const BETWEEN: &str = "\u{1}";

fn parse(
    inputs: &Inputs,
    otherwise: impl Fn(&str, &str) -> Result<Option<NaiveDateTime>>,
) -> Result<ArrayRef> {
    let texts = inputs.texts(0);
    let formats = Formats::new(inputs);
    let mut parsed: Last<Vec<Format>> = Last::new();
    // Without a zone in the type of the result, the local time of the text is what is wanted, but
    // for a text that names its offset.
    moments(inputs, |row| {
        let (Some(text), Some(key)) = (texts.get(row), formats.get(row)) else { return Ok(None) };
        let wanted = parsed.get(&key, |key| {
            key.split(BETWEEN).map(|format| Format::parse(format, inputs.name)).collect()
        })?;
        match wanted.iter().find_map(|format| moment(text, format)) {
            Some(moment) => Ok(Some(moment)),
            None => otherwise(text, &key),
        }
    })
}

/// The type of what is parsed: with a zone or in nanoseconds if the format is a constant that has
/// them. Of several, which may fit in any row, none says so: what has an offset becomes UTC.
pub(super) fn returned(_: &[DataType], constants: &[Option<&ScalarValue>]) -> Result<DataType> {
    let format = constants.get(1).copied().flatten().and_then(ScalarValue::try_as_str).flatten();
    // A wrong format is for the first row to refuse: there may be none.
    let format = format.and_then(|format| Format::parse(format, "strptime").ok());
    let has = |fields: &[Field]| format.as_ref().is_some_and(|format| format.has(fields));
    let unit = if has(&[Field::Nano]) { TimeUnit::Nanosecond } else { TimeUnit::Microsecond };
    let zone = has(&[Field::Offset, Field::Zone]);
    Ok(DataType::Timestamp(unit, zone.then(|| Arc::from("+00:00"))))
}

/// The formats of a list as one text, without NULLs.
fn joined(formats: &ArrayRef) -> Option<String> {
    let formats = arrow::compute::cast(formats, &DataType::Utf8).ok()?;
    let formats: Vec<&str> = formats.as_string::<i32>().iter().flatten().collect();
    Some(formats.join(BETWEEN))
}

/// The second argument.
enum Formats<'a> {
    One(Texts<'a>),
    Lists(&'a ArrayRef, bool),
}

impl<'a> Formats<'a> {
    fn new(inputs: &'a Inputs) -> Self {
        let (array, constant) = inputs.column(1);
        match array.data_type() {
            DataType::List(_) => Formats::Lists(array, constant),
            _ => Formats::One(inputs.texts(1)),
        }
    }

    fn get(&self, row: usize) -> Option<Cow<'_, str>> {
        match self {
            Formats::One(texts) => texts.get(row).map(Into::into),
            Formats::Lists(lists, constant) => {
                let row = if *constant { 0 } else { row };
                let lists = lists.as_list::<i32>();
                lists.is_valid(row).then(|| joined(&lists.value(row)))?.map(Into::into)
            }
        }
    }
}

/// What a text says of a moment.
#[derive(Default)]
struct Parts {
    year: Option<i32>,
    year_of_century: Option<i32>,
    month: Option<u32>,
    day: Option<u32>,
    day_of_year: Option<u32>,
    /// Days from Monday.
    weekday: Option<u32>,
    week_from_sunday: Option<u32>,
    week_from_monday: Option<u32>,
    iso_year: Option<i32>,
    iso_week: Option<u32>,
    hour: Option<u32>,
    hour12: Option<u32>,
    afternoon: Option<bool>,
    minute: u32,
    second: u32,
    nanos: u32,
    offset_seconds: Option<i64>,
    zone: Option<Tz>,
}

/// The moment of a text in a format; UTC, if it says where it is.
fn moment(text: &str, format: &Format) -> Option<NaiveDateTime> {
    let mut parts = Parts::default();
    let mut rest = Rest(text.trim_start());
    for item in &format.0 {
        match item {
            Item::Literal(literal) => rest.literal(literal)?,
            Item::Field(field) | Item::Bare(field) => parts.read(*field, &mut rest)?,
        }
    }
    if !rest.0.trim_end().is_empty() {
        return None;
    }
    let local = parts.date()?.and_time(parts.time()?);
    Some(match (parts.offset_seconds, parts.zone) {
        (Some(seconds), _) => local.checked_sub_signed(Duration::seconds(seconds))?,
        (None, Some(zone)) => to_utc(local, zone),
        (None, None) => local,
    })
}

impl Parts {
    fn read(&mut self, field: Field, rest: &mut Rest<'_>) -> Option<()> {
        match field {
            Field::WeekdayShort => self.weekday = Some(rest.name(&DAYS, 3)?),
            Field::Weekday => self.weekday = Some(rest.name(&DAYS, usize::MAX)?),
            Field::WeekdayFromSunday => self.weekday = Some((rest.number(1)? + 6) % 7),
            Field::WeekdayFromMonday => self.weekday = Some(rest.number(1)?.checked_sub(1)?),
            Field::Day => self.day = Some(rest.number(2)?),
            Field::BlankDay => {
                rest.0 = rest.0.trim_start();
                self.day = Some(rest.number(2)?);
            }
            Field::MonthShort => self.month = Some(rest.name(&MONTHS, 3)? + 1),
            Field::MonthName => self.month = Some(rest.name(&MONTHS, usize::MAX)? + 1),
            Field::Month => self.month = Some(rest.number(2)?),
            Field::YearOfCentury => self.year_of_century = Some(rest.signed(2)?),
            Field::Year => self.year = Some(rest.signed(4)?),
            Field::Hour => self.hour = Some(rest.number(2)?),
            Field::Hour12 => {
                let hour = rest.number(2)?;
                self.hour12 = Some((1..=12).contains(&hour).then_some(hour % 12)?);
            }
            Field::AmPm => self.afternoon = Some(rest.name(&["AM", "PM"], usize::MAX)? == 1),
            Field::Minute => self.minute = rest.number(2)?,
            Field::Second => self.second = rest.number(2)?,
            Field::Milli => self.nanos = rest.fraction(3)?,
            Field::Micro => self.nanos = rest.fraction(6)?,
            Field::Nano => self.nanos = rest.fraction(9)?,
            Field::Offset => self.offset_seconds = Some(rest.offset()?),
            Field::Zone => self.zone = Some(rest.zone()?),
            Field::DayOfYear => self.day_of_year = Some(rest.number(3)?),
            Field::WeekFromSunday => self.week_from_sunday = Some(rest.number(2)?),
            Field::WeekFromMonday => self.week_from_monday = Some(rest.number(2)?),
            Field::IsoYear => self.iso_year = Some(rest.signed(4)?),
            Field::IsoWeek => self.iso_week = Some(rest.number(2)?),
        }
        Some(())
    }

    /// The date, by the most telling parts; 1900-01-01 where nothing is said.
    fn date(&self) -> Option<NaiveDate> {
        // Two digits mean the years from 1969 to 2068.
        let short =
            self.year_of_century.map(|year| if year < 69 { 2000 + year } else { 1900 + year });
        let year = self.year.or(short).unwrap_or(1900);
        if let Some(week) = self.iso_week {
            let year = self.iso_year.unwrap_or(year);
            return NaiveDate::from_isoywd_opt(year, week, weekday(self.weekday.unwrap_or(0))?);
        }
        if let Some(day) = self.day_of_year {
            return NaiveDate::from_yo_opt(year, day);
        }
        if self.month.is_none() && self.day.is_none() {
            let from_monday = self.weekday.unwrap_or(0);
            if let Some(week) = self.week_from_monday {
                return in_week(year, week, Weekday::Mon, from_monday);
            }
            if let Some(week) = self.week_from_sunday {
                let from_sunday = (self.weekday.unwrap_or(6) + 1) % 7;
                return in_week(year, week, Weekday::Sun, from_sunday);
            }
        }
        NaiveDate::from_ymd_opt(year, self.month.unwrap_or(1), self.day.unwrap_or(1))
    }

    fn time(&self) -> Option<NaiveTime> {
        let hour = match (self.hour12, self.hour, self.afternoon) {
            (Some(hour), _, afternoon) => hour + if afternoon == Some(true) { 12 } else { 0 },
            (None, Some(hour), Some(_)) if hour > 12 => return None,
            (None, Some(hour), Some(afternoon)) => hour % 12 + if afternoon { 12 } else { 0 },
            (None, hour, _) => hour.unwrap_or(0),
        };
        NaiveTime::from_hms_nano_opt(hour, self.minute, self.second, self.nanos)
    }
}

fn weekday(days_from_monday: u32) -> Option<Weekday> {
    Weekday::try_from(u8::try_from(days_from_monday).ok()?).ok()
}

/// The day so far into a week; week 1 begins with the first such day of the year.
fn in_week(year: i32, week: u32, first_day: Weekday, days: u32) -> Option<NaiveDate> {
    let first = NaiveDate::from_weekday_of_month_opt(year, 1, first_day, 1)?;
    let days = (i64::from(week) - 1) * 7 + i64::from(days);
    first.checked_add_signed(Duration::days(days))
}

/// What is left of a text.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    fn take(&mut self, length: usize) -> &'a str {
        let (taken, rest) = self.0.split_at(length);
        self.0 = rest;
        taken
    }

    /// Passes a text as it is, but for blanks: one or more stand for as many.
    fn literal(&mut self, mut literal: &str) -> Option<()> {
        while let Some(c) = literal.chars().next() {
            if c.is_whitespace() {
                let rest = self.0.trim_start();
                (rest.len() < self.0.len()).then(|| self.0 = rest)?;
                literal = literal.trim_start();
            } else {
                self.0 = self.0.strip_prefix(c)?;
                literal = &literal[c.len_utf8()..];
            }
        }
        Some(())
    }

    /// The digits that come next, at most so many.
    fn digits(&mut self, most: usize) -> Option<&'a str> {
        let digits = self.0.bytes().take(most).take_while(u8::is_ascii_digit).count();
        (digits > 0).then(|| self.take(digits))
    }

    fn number(&mut self, most: usize) -> Option<u32> {
        self.digits(most)?.parse().ok()
    }

    fn signed(&mut self, most: usize) -> Option<i32> {
        let negative = self.0.starts_with('-');
        if negative {
            self.take(1);
        }
        let number: i32 = self.digits(most)?.parse().ok()?;
        Some(if negative { -number } else { number })
    }

    /// Digits after a point, as billionths.
    fn fraction(&mut self, most: usize) -> Option<u32> {
        let digits = self.digits(most)?;
        let number: u32 = digits.parse().ok()?;
        let missing = u32::try_from(9 - digits.len()).ok()?;
        Some(number * 10_u32.pow(missing))
    }

    /// One of these names, or as many of its letters, in either case; the longest that fits.
    fn name(&mut self, names: &[&str], letters: usize) -> Option<u32> {
        let fits = |name: &&str| {
            let name = &name[..name.len().min(letters)];
            let next = self.0.get(..name.len())?;
            next.eq_ignore_ascii_case(name).then_some(name.len())
        };
        let (index, length) =
            names.iter().enumerate().find_map(|(i, name)| Some((i, fits(name)?)))?;
        self.take(length);
        u32::try_from(index).ok()
    }

    /// `+02`, `-0530`, `+05:30` or `Z`, in seconds.
    fn offset(&mut self) -> Option<i64> {
        let sign = match self.0.bytes().next()? {
            b'Z' | b'z' => {
                self.take(1);
                return Some(0);
            }
            b'+' => 1,
            b'-' => -1,
            _ => return None,
        };
        self.take(1);
        let hours = self.number(2)?;
        if self.0.starts_with(':') {
            self.take(1);
        }
        let minutes = self.number(2).unwrap_or(0);
        (minutes < 60).then_some(sign * i64::from(hours * 3600 + minutes * 60))
    }

    fn zone(&mut self) -> Option<Tz> {
        let of_name = |c: char| c.is_ascii_alphanumeric() || "_/+-".contains(c);
        let length = self.0.find(|c| !of_name(c)).unwrap_or(self.0.len());
        self.take(length).parse().ok()
    }
}
