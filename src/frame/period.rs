//! Lengths of time as text: `1h`, `15m`, `1d12h`, `1mo`.

use std::fmt;
use std::str::FromStr;

use arrow::compute::kernels::cast_utils::parse_interval_month_day_nano;
use arrow::datatypes::TimeUnit;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{Expr, lit};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

pub(super) const NANOSECONDS_A_DAY: i64 = 86_400_000_000_000;

/// Units of less than a day in nanoseconds.
const TIMES: [(i64, &str); 6] = [
    (1, "ns"),
    (1_000, "us"),
    (1_000_000, "ms"),
    (1_000_000_000, "s"),
    (60_000_000_000, "m"),
    (3_600_000_000_000, "h"),
];

/// A length of time, or of an index: months, days and nanoseconds, or a number of steps.
///
/// As a text it is a list of whole numbers with their units, without anything between: `ns`, `us`,
/// `ms`, `s`, `m` (minutes), `h`, `d`, `w`, `mo` (months), `q` (quarters), `y`; or `i` alone, steps
/// of a column of whole numbers. A leading `-` is for all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Period {
    months: i32,
    days: i32,
    nanoseconds: i64,
    steps: i64,
}

impl Period {
    const ZERO: Period = Period { months: 0, days: 0, nanoseconds: 0, steps: 0 };

    /// Steps of a column of whole numbers, if it is nothing else.
    pub(super) fn steps(self) -> Option<i64> {
        (self.steps != 0).then_some(self.steps)
    }

    pub(super) fn is_positive(self) -> bool {
        self != Period::ZERO
            && [i64::from(self.months), i64::from(self.days), self.nanoseconds, self.steps]
                .iter()
                .all(|part| *part >= 0)
    }

    pub(super) fn is_zero(self) -> bool {
        self == Period::ZERO
    }

    /// Whether it is longer on some days than on others where clocks are changed.
    pub(super) fn is_of_calendar(self) -> bool {
        self.months != 0 || self.days != 0
    }

    /// Whether it ends at the same time of a day as it began.
    pub(super) fn is_of_whole_days(self) -> bool {
        self.nanoseconds == 0
    }

    /// So many times the same, as a value of SQL.
    pub(super) fn times(self, count: i64) -> ScalarValue {
        if let Some(steps) = self.steps() {
            return ScalarValue::Int64(Some(steps.saturating_mul(count)));
        }
        let small = i32::try_from(count).unwrap_or(i32::MAX);
        ScalarValue::new_interval_mdn(
            self.months.saturating_mul(small),
            self.days.saturating_mul(small),
            self.nanoseconds.saturating_mul(count),
        )
    }

    /// Months alone.
    pub(super) fn months(self) -> Option<i32> {
        (self.months != 0 && self.days == 0 && self.nanoseconds == 0).then_some(self.months)
    }

    /// Whole weeks alone.
    pub(super) fn is_weeks(self) -> bool {
        self.months == 0 && self.nanoseconds == 0 && self.days != 0 && self.days % 7 == 0
    }

    /// Whether months are mixed with what is no month.
    pub(super) fn is_mixed(self) -> bool {
        self.months != 0 && (self.days != 0 || self.nanoseconds != 0)
    }

    /// Its months, and the nanoseconds of its days and the rest.
    pub(super) fn parts(self) -> (i32, i128) {
        let days = i128::from(self.days) * i128::from(NANOSECONDS_A_DAY);
        (self.months, days + i128::from(self.nanoseconds))
    }

    /// The least and the most nanoseconds it can take.
    pub(super) fn nanosecond_bounds(self) -> (i128, i128) {
        let day = i128::from(NANOSECONDS_A_DAY);
        let (months, rest) = self.parts();
        let months = i128::from(months);
        (rest + months * 28 * day, rest + months * 31 * day)
    }

    /// The same without another.
    pub(super) fn less(self, other: Period) -> Self {
        Period {
            months: self.months - other.months,
            days: self.days - other.days,
            nanoseconds: self.nanoseconds - other.nanoseconds,
            steps: self.steps - other.steps,
        }
    }

    /// A number of steps.
    pub(super) fn of_steps(steps: i64) -> Self {
        Period { steps, ..Period::ZERO }
    }

    /// A length of nanoseconds.
    pub(super) fn of_nanoseconds(nanoseconds: i64) -> Self {
        Period { nanoseconds, ..Period::ZERO }
    }

    /// The value of SQL: an interval, or a whole number for steps.
    pub(super) fn value(self) -> ScalarValue {
        match self.steps() {
            Some(steps) => ScalarValue::Int64(Some(steps)),
            None => ScalarValue::new_interval_mdn(self.months, self.days, self.nanoseconds),
        }
    }

    pub(super) fn literal(self) -> Expr {
        lit(self.value())
    }

    /// A length above nothing, as `what` must be.
    ///
    /// # Errors
    /// `Query` if it is none.
    pub(super) fn positive(text: &str, what: &str) -> Result<Self> {
        let period: Period = text.parse()?;
        if period.is_positive() {
            return Ok(period);
        }
        Err(Error::query(format!("{what} must be longer than nothing, not \"{text}\"")))
    }
}

impl Period {
    /// A length above or below nothing, as a text of this language or an interval of SQL.
    ///
    /// # Errors
    /// `Query` if it is none, or of steps.
    pub(super) fn of_interval(text: &str) -> Result<Self> {
        let period = text.parse::<Period>().or_else(|err| {
            let interval = parse_interval_month_day_nano(text).map_err(|_| err)?;
            Ok::<_, Error>(Period {
                months: interval.months,
                days: interval.days,
                nanoseconds: interval.nanoseconds,
                steps: 0,
            })
        })?;
        let (months, rest) = period.parts();
        let goes_on = (months >= 0 && rest >= 0) || (months <= 0 && rest <= 0);
        if goes_on && (months, rest) != (0, 0) {
            return Ok(period);
        }
        Err(Error::query(format!("moments cannot be \"{text}\" apart"))
            .with_hint("write \"1d\", \"15m\" or \"1mo\""))
    }
}

impl FromStr for Period {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            Error::query(format!("\"{text}\" is not a length of time")).with_hint(
                "write numbers with units, such as \"1h\", \"15m\", \"1d12h\" or \"1mo\"; units are \
                 ns, us, ms, s, m, h, d, w, mo, q, y, and i for steps of whole numbers",
            )
        };
        let trimmed = text.trim();
        let (sign, mut rest) = match trimmed.strip_prefix('-') {
            Some(rest) => (-1, rest),
            None => (1, trimmed),
        };
        if rest.is_empty() {
            return Err(wrong());
        }
        let mut period = Period::ZERO;
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
            let number = rest[..digits].parse::<i64>().map_err(|_| wrong())? * sign;
            rest = &rest[digits..];
            let letters = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
            period = period.plus(number, &rest[..letters]).ok_or_else(wrong)?;
            rest = &rest[letters..];
        }
        let is_mixed = period.steps != 0 && Period { steps: 0, ..period } != Period::ZERO;
        if is_mixed { Err(wrong()) } else { Ok(period) }
    }
}

impl Period {
    /// The same and `number` of a unit; `None` if there is no such unit or it is too much.
    fn plus(mut self, number: i64, unit: &str) -> Option<Self> {
        let mut months = |each: i32| {
            let months = i32::try_from(number).ok()?.checked_mul(each)?;
            self.months = self.months.checked_add(months)?;
            Some(())
        };
        match unit {
            "mo" => months(1)?,
            "q" => months(3)?,
            "y" => months(12)?,
            "d" | "w" => {
                let days = i32::try_from(number).ok()?;
                let days = days.checked_mul(if unit == "w" { 7 } else { 1 })?;
                self.days = self.days.checked_add(days)?;
            }
            "i" => self.steps = self.steps.checked_add(number)?,
            _ => {
                let unit = if matches!(unit, "µs" | "μs") { "us" } else { unit };
                let (each, _) = TIMES.iter().find(|(_, name)| *name == unit)?;
                self.nanoseconds = self.nanoseconds.checked_add(number.checked_mul(*each)?)?;
            }
        }
        Some(self)
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_zero() {
            return f.write_str("0ns");
        }
        let (months, days, mut rest) = (self.months.into(), self.days.into(), self.nanoseconds);
        let parts = [(self.steps, "i"), (months, "mo"), (days, "d")];
        if parts.iter().any(|(part, _)| *part < 0) || rest < 0 {
            f.write_str("-")?;
        }
        for (part, unit) in parts.into_iter().filter(|(part, _)| *part != 0) {
            write!(f, "{}{unit}", part.unsigned_abs())?;
        }
        for (each, unit) in TIMES.iter().rev() {
            let part = rest / each;
            if part != 0 {
                write!(f, "{}{unit}", part.unsigned_abs())?;
                rest %= each;
            }
        }
        Ok(())
    }
}

/// How Arrow's units of time are written down.
#[derive(Serialize, Deserialize)]
#[serde(remote = "TimeUnit")]
pub(super) enum TimeUnitName {
    Second,
    Millisecond,
    Microsecond,
    Nanosecond,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read() {
        let read = |text: &str| text.parse::<Period>().unwrap();
        let hours = |hours: i64| Period::of_nanoseconds(hours * 3_600_000_000_000);
        assert_eq!(read("1h"), hours(1));
        assert_eq!(read("-90m").nanoseconds, -5_400_000_000_000);
        assert_eq!(read("1d12h"), Period { days: 1, ..hours(12) });
        assert_eq!(read("2w").days, 14);
        assert_eq!(read("1y1q2mo").months, 17);
        assert_eq!(read("5i").steps(), Some(5));
        assert_eq!(read("1ms1us1ns").nanoseconds, 1_001_001);
        assert!(read("0s").is_zero() && !read("0s").is_positive());
        assert!(read("1mo1d").is_mixed() && read("1w").is_weeks());
    }

    #[test]
    fn texts_are_written() {
        for text in ["1h", "-1h30m", "1mo2d", "3i", "14d", "1ms1us1ns", "0ns"] {
            assert_eq!(text.parse::<Period>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn others_are_refused() {
        for text in ["", "-", "h", "1", "1 h", "1x", "1h-2m", "1i2h", "99999999999y", "1.5h"] {
            let error = text.parse::<Period>().unwrap_err();
            assert!(error.to_string().contains("not a length of time"), "{text}: {error}");
        }
        assert!(Period::positive("0s", "a window").is_err());
    }
}
