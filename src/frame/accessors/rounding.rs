//! Times at the start of a period: of the hour, the week, the month.

use arrow::array::{Array, ArrayRef, AsArray, Int64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int32Type, Int64Type};
use chrono::{Datelike, NaiveDate};
use datafusion::error::Result;
use serde::{Deserialize, Serialize};

use super::zone::{Clocks, beyond};
use crate::frame::period::{NANOSECONDS_A_DAY, Period};
use crate::frame::rolling::nanoseconds;

/// Which start is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(in crate::frame) enum Rounding {
    /// That of the period it is in.
    Down,
    /// That of the next one, unless it is a start itself.
    Up,
    /// The nearest; of two the later one.
    Nearest,
}

/// Times or dates at starts of periods. Where they have a zone, periods begin as its clocks show it.
pub(super) fn rounded(values: &ArrayRef, every: Period, rounding: Rounding) -> Result<ArrayRef> {
    let (unit, clocks) = match values.data_type() {
        DataType::Timestamp(unit, zone) => {
            let clocks = zone.as_deref().map(|zone| Clocks::new(zone, *unit)).transpose()?;
            (nanoseconds(*unit), clocks)
        }
        _ => (NANOSECONDS_A_DAY, None),
    };
    let starts = Starts { every, unit: unit.into() };
    let half = match rounding {
        Rounding::Nearest => starts.every.parts().1 / 2 / i128::from(unit),
        Rounding::Down | Rounding::Up => 0,
    };
    let is_up = rounding == Rounding::Up;
    let numbers = to_numbers(values)?;
    let moved = numbers.as_primitive::<Int64Type>().try_unary(|moment| {
        let near = i64::try_from(i128::from(moment) + half).map_err(|_| beyond(moment))?;
        let shown = clocks.as_ref().map_or(Ok(near), |clocks| clocks.shown(near))?;
        let start = starts.start(shown, is_up).ok_or_else(|| beyond(moment))?;
        clocks.as_ref().map_or(Ok(start), |clocks| clocks.moment_near(start, near))
    });
    let moved: Int64Array = moved?;
    from_numbers(&moved, values.data_type())
}

/// What times and dates are counted in, as it is.
pub(super) fn to_numbers(values: &ArrayRef) -> Result<ArrayRef> {
    // A date is cast to days by way of its own width alone.
    let values = match values.data_type() {
        DataType::Date32 => &cast(values, &DataType::Int32)?,
        _ => values,
    };
    Ok(cast(values, &DataType::Int64)?)
}

/// Times or dates of what [`to_numbers`] gives.
pub(super) fn from_numbers(numbers: &Int64Array, data_type: &DataType) -> Result<ArrayRef> {
    match data_type {
        DataType::Date32 => {
            let days = numbers
                .try_unary::<_, Int32Type, _>(|day| i32::try_from(day).map_err(|_| beyond(day)))?;
            Ok(cast(&days, data_type)?)
        }
        _ => Ok(cast(numbers, data_type)?),
    }
}

/// Where periods begin, of times counted in a unit of so many nanoseconds.
struct Starts {
    every: Period,
    unit: i128,
}

impl Starts {
    /// The start of the period that a time is in, or of the next one unless it is a start.
    fn start(&self, time: i64, is_up: bool) -> Option<i64> {
        let day = i128::from(NANOSECONDS_A_DAY);
        let time = i128::from(time) * self.unit;
        let (months, length) = self.every.parts();
        let start = if months == 0 {
            // Weeks begin on Mondays, and 1970 began on a Thursday.
            let origin = if self.every.is_weeks() { 4 * day } else { 0 };
            let start = time - (time - origin).rem_euclid(length);
            if is_up && start != time { start + length } else { start }
        } else {
            let date = NaiveDate::from_epoch_days(i32::try_from(time.div_euclid(day)).ok()?)?;
            let month = (date.year() - 1970) * 12 + date.month0().cast_signed();
            let month = month - month.rem_euclid(months);
            let start = start_of_month(month)?;
            if is_up && start != time { start_of_month(month.checked_add(months)?)? } else { start }
        };
        // A start between two times that can be told apart.
        let rest = i128::from(is_up && start.rem_euclid(self.unit) != 0);
        i64::try_from(start.div_euclid(self.unit) + rest).ok()
    }
}

/// The nanoseconds up to the first day of a month, counted from 1970.
fn start_of_month(month: i32) -> Option<i128> {
    let (year, month) = (1970 + month.div_euclid(12), month.rem_euclid(12) + 1);
    let date = NaiveDate::from_ymd_opt(year, month.cast_unsigned(), 1)?;
    Some(i128::from(date.to_epoch_days()) * i128::from(NANOSECONDS_A_DAY))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(every: &str, unit: i128, time: i64) -> [i64; 2] {
        let starts = Starts { every: every.parse().unwrap(), unit };
        [false, true].map(|is_up| starts.start(time, is_up).unwrap())
    }

    #[test]
    fn periods_begin_at_multiples_since_1970() {
        let second = 1_000_000_000;
        assert_eq!(start("1h", second, 3_599), [0, 3_600]);
        assert_eq!(start("1h", second, -1), [-3_600, 0]);
        assert_eq!(start("1h", second, 7_200), [7_200, 7_200]);
        // 1970-01-01 was a Thursday.
        assert_eq!(start("1w", 86_400 * second, 0), [-3, 4]);
        assert_eq!(start("1q", 86_400 * second, 89), [0, 90]);
        assert_eq!(start("5mo", 86_400 * second, -1), [-153, 0]);
    }

    #[test]
    fn starts_between_two_times() {
        assert_eq!(start("1500us", 1_000_000, 2), [1, 3]);
        assert_eq!(start("1500us", 1_000_000, 1), [0, 2]);
        // Dates are their own hours.
        assert_eq!(start("1h", 86_400_000_000_000, 5), [5, 5]);
    }
}
