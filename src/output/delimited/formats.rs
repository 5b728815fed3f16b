//! Dates, times and timestamps in formats that the user gives, in the manner of `strftime`.

use std::fmt::Write as _;
use std::io::Write as _;

use arrow::array::timezone::Tz;
use arrow::array::types::{
    ArrowPrimitiveType, ArrowTimestampType, Date32Type, Date64Type, Time32MillisecondType,
    Time32SecondType, Time64MicrosecondType, Time64NanosecondType, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
};
use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, TimeUnit};
use chrono::format::{Item, StrftimeItems};
use chrono::{DateTime, NaiveTime, Utc};

use crate::error::{Error, Result};
use crate::output::cells::PushText;

/// A format that is ready for the values of a column.
///
/// Dates are written as midnight in UTC, and timestamps without a zone as if they were in UTC.
#[derive(Debug, Clone)]
pub(crate) struct MomentFormat {
    items: Vec<Item<'static>>,
    /// Whether a timestamp of another zone is written in UTC: `%Z` has no other name.
    in_utc: bool,
}

impl MomentFormat {
    /// Compiles a format for values of a type. `%f` has the digits of its unit.
    ///
    /// # Errors
    /// A phrase for the user, if a specifier is unknown or says nothing of such values.
    pub(crate) fn new(format: &str, data_type: &DataType) -> Result<Self, String> {
        let digits = match data_type {
            DataType::Timestamp(unit, _) | DataType::Time32(unit) | DataType::Time64(unit) => {
                match unit {
                    TimeUnit::Second | TimeUnit::Millisecond => '3',
                    TimeUnit::Microsecond => '6',
                    TimeUnit::Nanosecond => '9',
                }
            }
            _ => '6',
        };
        let (sized, in_utc) = with_digits(format, digits);
        let items = StrftimeItems::new(&sized).parse_to_owned();
        let items =
            items.map_err(|_| "a format with specifiers such as %Y-%m-%d or %H:%M".to_string())?;
        let format = MomentFormat { items, in_utc };
        // Formatting fails if a specifier asks for what such values do not have.
        let mut sample = String::new();
        let (tried, what) = match data_type {
            DataType::Time32(_) | DataType::Time64(_) => {
                let noon = NaiveTime::from_num_seconds_from_midnight_opt(43_200, 0);
                let noon = noon.expect("within a day");
                let items = noon.format_with_items(format.items.iter());
                (write!(sample, "{items}"), "times")
            }
            _ => {
                let items = DateTime::<Utc>::UNIX_EPOCH.format_with_items(format.items.iter());
                (write!(sample, "{items}"), "dates and timestamps")
            }
        };
        match tried {
            Ok(()) => Ok(format),
            Err(_) => Err(format!("a format of {what}")),
        }
    }

    /// Prepares a column of dates, times or timestamps.
    ///
    /// # Errors
    /// `Query` if a value is beyond the years that formats know, or no time of a day.
    pub(super) fn prepare<'a>(&'a self, array: &'a dyn Array) -> Result<PushText<'a>> {
        match array.data_type() {
            DataType::Date32 => {
                const DAY_SECONDS: i64 = 86_400;
                let values = array.as_primitive::<Date32Type>().values();
                self.days(array, None, |row| {
                    DateTime::from_timestamp(i64::from(values[row]) * DAY_SECONDS, 0)
                })
            }
            DataType::Date64 => {
                let values = array.as_primitive::<Date64Type>().values();
                self.days(array, None, |row| DateTime::from_timestamp_millis(values[row]))
            }
            DataType::Timestamp(TimeUnit::Second, zone) => {
                self.timestamps::<TimestampSecondType>(array, zone.as_deref(), 1)
            }
            DataType::Timestamp(TimeUnit::Millisecond, zone) => {
                self.timestamps::<TimestampMillisecondType>(array, zone.as_deref(), 1_000)
            }
            DataType::Timestamp(TimeUnit::Microsecond, zone) => {
                self.timestamps::<TimestampMicrosecondType>(array, zone.as_deref(), 1_000_000)
            }
            DataType::Timestamp(TimeUnit::Nanosecond, zone) => {
                self.timestamps::<TimestampNanosecondType>(array, zone.as_deref(), 1_000_000_000)
            }
            DataType::Time32(TimeUnit::Second) => self.times::<Time32SecondType>(array, 1),
            DataType::Time32(_) => self.times::<Time32MillisecondType>(array, 1_000),
            DataType::Time64(TimeUnit::Microsecond) => {
                self.times::<Time64MicrosecondType>(array, 1_000_000)
            }
            DataType::Time64(_) => self.times::<Time64NanosecondType>(array, 1_000_000_000),
            other => Err(Error::internal(format!("a format for {other}"))),
        }
    }

    fn timestamps<'a, T: ArrowTimestampType>(
        &'a self,
        array: &'a dyn Array,
        zone: Option<&str>,
        per_second: i64,
    ) -> Result<PushText<'a>> {
        let values: &[i64] = array.as_primitive::<T>().values();
        self.days(array, zone, move |row| {
            let (seconds, nanos) = split(values[row], per_second);
            DateTime::from_timestamp(seconds, nanos)
        })
    }

    fn days<'a>(
        &'a self,
        array: &'a dyn Array,
        zone: Option<&str>,
        at: impl Fn(usize) -> Option<DateTime<Utc>> + 'a,
    ) -> Result<PushText<'a>> {
        all_known(array, |row| at(row).is_some(), "is beyond the years that a format can show")?;
        let at = move |row| at(row).expect("all values are known");
        let zone = zone.filter(|_| !self.in_utc).map(str::parse::<Tz>).transpose()?;
        Ok(match zone {
            None => Box::new(move |row, out| {
                write!(out, "{}", at(row).format_with_items(self.items.iter())).expect(TRIED);
            }),
            Some(zone) => Box::new(move |row, out| {
                let at = at(row).with_timezone(&zone);
                write!(out, "{}", at.format_with_items(self.items.iter())).expect(TRIED);
            }),
        })
    }

    fn times<'a, T: ArrowPrimitiveType<Native: Into<i64>>>(
        &'a self,
        array: &'a dyn Array,
        per_second: i64,
    ) -> Result<PushText<'a>> {
        let values: &[T::Native] = array.as_primitive::<T>().values();
        let at = move |row: usize| {
            let (seconds, nanos) = split(values[row].into(), per_second);
            NaiveTime::from_num_seconds_from_midnight_opt(seconds.try_into().ok()?, nanos)
        };
        all_known(array, |row| at(row).is_some(), "is not a time of a day")?;
        Ok(Box::new(move |row, out| {
            let at = at(row).expect("all values are known");
            write!(out, "{}", at.format_with_items(self.items.iter())).expect(TRIED);
        }))
    }
}

/// Why formatting does not fail.
const TRIED: &str = "the format was tried with such a value";

/// Whole seconds and the nanoseconds after them.
fn split(value: i64, per_second: i64) -> (i64, u32) {
    let nanos = value.rem_euclid(per_second) * (1_000_000_000 / per_second);
    (value.div_euclid(per_second), nanos as u32)
}

fn all_known(array: &dyn Array, is_known: impl Fn(usize) -> bool, trouble: &str) -> Result<()> {
    match (0..array.len()).find(|row| array.is_valid(*row) && !is_known(*row)) {
        None => Ok(()),
        Some(row) => {
            let cells = crate::output::cells::Cells::new(array)?;
            Err(Error::query(format!("{} {trouble}", cells.display(row, ""))))
        }
    }
}

/// The format with a number of digits for `%f`, and whether it has a `%Z`.
fn with_digits(format: &str, digits: char) -> (String, bool) {
    let (mut sized, mut has_zone_name) = (String::with_capacity(format.len() + 1), false);
    let mut chars = format.chars();
    while let Some(char) = chars.next() {
        sized.push(char);
        if char != '%' {
            continue;
        }
        match chars.next() {
            Some('f') => sized.extend([digits, 'f']),
            Some(specifier) => {
                has_zone_name |= specifier == 'Z';
                sized.push(specifier);
            }
            None => {}
        }
    }
    (sized, has_zone_name)
}

#[cfg(test)]
mod tests {
    use arrow::array::{
        Date32Array, Date64Array, Time64NanosecondArray, TimestampMicrosecondArray,
        TimestampSecondArray,
    };

    use super::*;

    fn texts(format: &str, array: &dyn Array) -> Vec<String> {
        let format = MomentFormat::new(format, array.data_type()).unwrap();
        let push = format.prepare(array).unwrap();
        let text = |row| {
            let mut out = Vec::new();
            push(row, &mut out);
            String::from_utf8(out).unwrap()
        };
        (0..array.len()).map(text).collect()
    }

    #[test]
    fn values_of_every_type() {
        let days = Date32Array::from(vec![16_450, -1]);
        assert_eq!(texts("%d.%m.%Y", &days), ["15.01.2015", "31.12.1969"]);
        assert_eq!(texts("%-d %b %y, %H:%M", &days), ["15 Jan 15, 00:00", "31 Dec 69, 00:00"]);
        let at = Date64Array::from(vec![1_421_348_739_500]);
        assert_eq!(texts("%F %T", &at), ["2015-01-15 19:05:39"]);
        let at = TimestampMicrosecondArray::from(vec![1_421_348_739_500_000, -1]);
        assert_eq!(
            texts("%FT%T.%f", &at),
            ["2015-01-15T19:05:39.500000", "1969-12-31T23:59:59.999999"]
        );
        assert_eq!(texts("100%% %I %p%z %Z", &at)[0], "100% 07 PM+0000 UTC");
        let times = Time64NanosecondArray::from(vec![1, 86_399_000_000_000]);
        assert_eq!(texts("%H.%M.%S,%f", &times), ["00.00.00,000000001", "23.59.59,000000000"]);
    }

    #[test]
    fn zones() {
        let at = TimestampSecondArray::from(vec![1_421_348_739]).with_timezone("+05:30");
        assert_eq!(texts("%F %H:%M%z", &at), ["2015-01-16 00:35+0530"]);
        assert_eq!(texts("%F %H:%M %Z", &at), ["2015-01-15 19:05 UTC"]);
        assert_eq!(texts("%F %H:%M %%Z", &at), ["2015-01-16 00:35 %Z"]);
    }

    #[test]
    fn what_formats_cannot_show() {
        let time = DataType::Time64(TimeUnit::Microsecond);
        assert_eq!(MomentFormat::new("%H %Y", &time).unwrap_err(), "a format of times");
        for format in ["%!", "%Y-%"] {
            let error = MomentFormat::new(format, &DataType::Date32).unwrap_err();
            assert!(error.contains("specifiers"), "{error}");
        }
        let far = TimestampSecondArray::from(vec![None, Some(1 << 50)]);
        let format = MomentFormat::new("%F", far.data_type()).unwrap();
        let error = format.prepare(&far).err().expect("a year of eight digits").to_string();
        assert!(error.contains("is beyond the years"), "{error}");
    }
}
