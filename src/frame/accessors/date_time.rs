//! Functions of times, dates and durations.

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::functions::expr_fn::{date_part, to_char};
use datafusion::logical_expr::{Expr, cast, lit};

use super::moments::{Change, Roll, Unclear, changed};
use super::rounding::Rounding;
use crate::error::{Error, Result};
use crate::frame::period::Period;

/// Functions of times, dates and durations; see [`crate::ExprMethods::dt`].
#[derive(Debug, Clone)]
pub struct DateTime(pub(in crate::frame) Expr);

impl DateTime {
    fn part(self, part: &str) -> Expr {
        cast(date_part(lit(part), self.0), DataType::Int64)
    }

    /// The year.
    pub fn year(self) -> Expr {
        self.part("year")
    }

    /// The quarter, from 1 to 4.
    pub fn quarter(self) -> Expr {
        self.part("quarter")
    }

    /// The month, from 1 to 12.
    pub fn month(self) -> Expr {
        self.part("month")
    }

    /// The week of ISO 8601, from 1 to 53.
    pub fn week(self) -> Expr {
        self.part("week")
    }

    /// The day of the month, from 1.
    pub fn day(self) -> Expr {
        self.part("day")
    }

    /// The day of the year, from 1.
    pub fn ordinal_day(self) -> Expr {
        self.part("doy")
    }

    /// The day of the week, from 1 for Monday to 7 for Sunday.
    pub fn weekday(self) -> Expr {
        (self.part("dow") + lit(6_i64)) % lit(7_i64) + lit(1_i64)
    }

    /// The hour, from 0 to 23.
    pub fn hour(self) -> Expr {
        self.part("hour")
    }

    /// The minute, from 0 to 59.
    pub fn minute(self) -> Expr {
        self.part("minute")
    }

    /// The whole second, from 0 to 59.
    pub fn second(self) -> Expr {
        self.part("second")
    }

    /// The milliseconds of the second, from 0 to 999.
    pub fn millisecond(self) -> Expr {
        self.part("millisecond") % lit(1_000_i64)
    }

    /// The microseconds of the second, from 0 to 999999.
    pub fn microsecond(self) -> Expr {
        self.part("microsecond") % lit(1_000_000_i64)
    }

    /// The nanoseconds of the second, from 0 to 999999999.
    pub fn nanosecond(self) -> Expr {
        let all =
            cast(cast(self.0, DataType::Timestamp(TimeUnit::Nanosecond, None)), DataType::Int64);
        let second = lit(1_000_000_000_i64);
        (all % second.clone() + second.clone()) % second
    }

    /// The name of the day of the week, in English.
    pub fn day_name(self) -> Expr {
        self.strftime("%A")
    }

    /// The name of the month, in English.
    pub fn month_name(self) -> Expr {
        self.strftime("%B")
    }

    /// As text, by a format such as `%Y-%m-%d %H:%M:%S`.
    pub fn strftime(self, format: &str) -> Expr {
        to_char(self.0, lit(format))
    }

    /// The start of the period it is in: of the hour for `"1h"`, the week from Monday for `"1w"`,
    /// the month for `"1mo"`. Where the time has a zone, the clocks there say when periods start. A
    /// date stays one.
    ///
    /// # Errors
    /// `Query` if the period is none.
    pub fn truncate(self, every: &str) -> Result<Expr> {
        self.rounded(every, Rounding::Down)
    }

    /// The same as [`DateTime::truncate`].
    ///
    /// # Errors
    /// As for [`DateTime::truncate`].
    pub fn floor(self, every: &str) -> Result<Expr> {
        self.truncate(every)
    }

    /// The start of the next period, or the time itself where a period starts.
    ///
    /// # Errors
    /// As for [`DateTime::truncate`].
    pub fn ceil(self, every: &str) -> Result<Expr> {
        self.rounded(every, Rounding::Up)
    }

    /// The nearest start of a period; of two the later one.
    ///
    /// # Errors
    /// As for [`DateTime::truncate`], and `Query` for months, whose halves are no times.
    pub fn round(self, every: &str) -> Result<Expr> {
        if moments(every)?.months().is_some() {
            return Err(Error::query("times are rounded to days and less, not to months"));
        }
        self.rounded(every, Rounding::Nearest)
    }

    fn rounded(self, every: &str, rounding: Rounding) -> Result<Expr> {
        Ok(changed(self.0, Change::Round(moments(every)?, rounding)))
    }

    /// So much later, or earlier with a leading `-`. Months keep the day where they have it.
    ///
    /// # Errors
    /// `Query` if it is no length of time.
    pub fn offset_by(self, by: &str) -> Result<Expr> {
        let period: Period = by.parse()?;
        if period.steps().is_some() {
            return Err(no_steps());
        }
        Ok(self.0 + period.literal())
    }

    /// The seconds since 1970.
    pub fn epoch(self) -> Expr {
        self.timestamp(TimeUnit::Second)
    }

    /// The time since 1970 in a unit, rounded down.
    pub fn timestamp(self, unit: TimeUnit) -> Expr {
        changed(self.0, Change::Epoch(unit))
    }

    /// The whole days of a duration.
    pub fn total_days(self) -> Expr {
        self.total_seconds() / lit(86_400_i64)
    }

    /// The whole hours of a duration.
    pub fn total_hours(self) -> Expr {
        self.total_seconds() / lit(3_600_i64)
    }

    /// The whole minutes of a duration.
    pub fn total_minutes(self) -> Expr {
        self.total_seconds() / lit(60_i64)
    }

    /// The whole seconds of a duration.
    pub fn total_seconds(self) -> Expr {
        self.total(TimeUnit::Second)
    }

    /// The whole milliseconds of a duration.
    pub fn total_milliseconds(self) -> Expr {
        self.total(TimeUnit::Millisecond)
    }

    /// The whole microseconds of a duration.
    pub fn total_microseconds(self) -> Expr {
        self.total(TimeUnit::Microsecond)
    }

    fn total(self, unit: TimeUnit) -> Expr {
        cast(cast(self.0, DataType::Duration(unit)), DataType::Int64)
    }

    /// The same clock time in a zone, or without one: another moment. The query fails at a time that
    /// the clocks of the zone never show, or twice.
    pub fn replace_time_zone(self, zone: Option<&str>) -> Expr {
        changed(self.0, Change::ReplaceZone { zone: zone.map(Into::into), unclear: Unclear::Error })
    }

    /// As [`DateTime::replace_time_zone`], with NULL for times that clocks never show, or twice.
    pub fn replace_time_zone_or_null(self, zone: Option<&str>) -> Expr {
        changed(self.0, Change::ReplaceZone { zone: zone.map(Into::into), unclear: Unclear::Null })
    }

    /// The same moment, shown by the clocks of a zone. Times without a zone are taken as UTC.
    pub fn convert_time_zone(self, zone: &str) -> Expr {
        changed(self.0, Change::ConvertZone(zone.into()))
    }

    /// So many working days later, or earlier if negative. Days of a weekend count as the next or
    /// the last working day first.
    pub fn add_business_days(self, days: i32, roll: Roll) -> Expr {
        changed(self.0, Change::BusinessDays(days, roll))
    }

    /// Whether the year has 366 days.
    pub fn is_leap_year(self) -> Expr {
        let year = self.year();
        let by = |number: i64| (year.clone() % lit(number)).eq(lit(0_i64));
        by(4).and(by(100).is_not_true()).or(by(400))
    }

    /// The first day of the month, at the same time of the day.
    pub fn month_start(self) -> Expr {
        changed(self.0, Change::MonthStart)
    }

    /// The last day of the month, at the same time of the day.
    pub fn month_end(self) -> Expr {
        changed(self.0, Change::MonthEnd)
    }
}

/// A period that times are divided by.
fn moments(every: &str) -> Result<Period> {
    let period = Period::positive(every, "a period")?;
    if period.steps().is_some() {
        return Err(no_steps());
    }
    if period.is_mixed() {
        return Err(Error::query("times are divided by months, or by days and less, not by both"));
    }
    Ok(period)
}

fn no_steps() -> Error {
    Error::query("steps are for whole numbers, not for times").with_hint("write \"1h\" or \"1d\"")
}
