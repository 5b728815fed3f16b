//! Parts of dates and times, by the names SQL has for them.

use chrono::NaiveDateTime;
use datafusion::common::exec_err;
use datafusion::error::Result;

/// A unit of time. The short ones have a length; the long ones are so many months.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Months(i64),
    /// A calendar year with weeks, by ISO 8601.
    IsoYear,
    Weeks,
    Days,
    Nanos(i64),
}

pub(super) const MICROSECOND: i64 = 1000;
pub(super) const SECOND: i64 = 1_000_000_000;
pub(super) const DAY: i64 = 86_400 * SECOND;

impl Part {
    /// The part of this name.
    ///
    /// # Errors
    /// `Execution` if there is none.
    pub(super) fn parse(name: &str, function: &str) -> Result<Self> {
        let part = match name.to_ascii_lowercase().as_str() {
            "millennium" | "millennia" | "millenium" | "mil" | "mils" => Part::Months(12_000),
            "century" | "centuries" | "cent" | "c" => Part::Months(1200),
            "decade" | "decades" | "dec" | "decs" => Part::Months(120),
            "year" | "years" | "yr" | "yrs" | "y" | "yy" | "yyyy" => Part::Months(12),
            "quarter" | "quarters" | "qtr" | "qq" | "q" => Part::Months(3),
            "month" | "months" | "mon" | "mons" | "mm" => Part::Months(1),
            "isoyear" => Part::IsoYear,
            "week" | "weeks" | "w" | "wk" | "ww" | "weekofyear" | "yearweek" => Part::Weeks,
            "day" | "days" | "d" | "dd" | "dayofmonth" | "dow" | "dayofweek" | "weekday"
            | "isodow" | "doy" | "dayofyear" => Part::Days,
            "hour" | "hours" | "hr" | "hrs" | "h" | "hh" => Part::Nanos(3600 * SECOND),
            "minute" | "minutes" | "min" | "mins" | "m" | "mi" | "n" => Part::Nanos(60 * SECOND),
            "second" | "seconds" | "sec" | "secs" | "s" | "ss" | "epoch" => Part::Nanos(SECOND),
            "millisecond" | "milliseconds" | "ms" | "msec" | "msecs" => {
                Part::Nanos(1000 * MICROSECOND)
            }
            "microsecond" | "microseconds" | "us" | "usec" | "usecs" => Part::Nanos(MICROSECOND),
            "nanosecond" | "nanoseconds" | "ns" | "nsec" | "nsecs" => Part::Nanos(1),
            _ => {
                return exec_err!(
                    "{function}: no date part \"{name}\"; parts are year, quarter, month, week, \
                     day, hour, minute, second and so on"
                );
            }
        };
        Ok(part)
    }
}

/// Nanoseconds since 1970, wider than 64 bits because dates are further away than that.
pub(super) fn nanos(moment: NaiveDateTime) -> i128 {
    let moment = moment.and_utc();
    i128::from(moment.timestamp()) * i128::from(SECOND)
        + i128::from(moment.timestamp_subsec_nanos())
}
