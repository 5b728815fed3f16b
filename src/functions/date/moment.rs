//! Timestamps and dates as what a calendar and a clock say, and back.

use std::sync::Arc;

use arrow::array::timezone::Tz;
use arrow::array::{Array, ArrayRef, AsArray, Int64Array};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Date32Type, Int64Type, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType,
};
use chrono::{
    DateTime, Datelike, Duration, LocalResult, NaiveDate, NaiveDateTime, Offset, TimeZone,
};
use datafusion::common::{exec_datafusion_err, exec_err};
use datafusion::error::Result;

use crate::functions::inputs::Inputs;

/// The days from the year 0 to 1970, as chrono counts them.
const EPOCH_FROM_CE: i32 = 719_163;

/// The type of a moment: how it is counted, and where its clock is.
#[derive(Debug, Clone)]
pub(super) struct Clock {
    unit: Option<TimeUnit>,
    zone: Option<Tz>,
}

/// A moment of a row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Instant {
    pub(super) utc: NaiveDateTime,
    /// What a clock shows then.
    pub(super) local: NaiveDateTime,
}

/// The moments of an argument, each as its local time.
pub(super) struct Moments {
    counts: Int64Array,
    constant: bool,
    clock: Clock,
}

impl Clock {
    /// The clock of a date or a timestamp.
    pub(super) fn new(data_type: &DataType) -> Result<Self> {
        Ok(match data_type {
            DataType::Timestamp(unit, zone) => {
                let zone = zone.as_deref().map(str::parse).transpose()?;
                Clock { unit: Some(*unit), zone }
            }
            DataType::Date32 => Clock { unit: None, zone: None },
            other => return exec_err!("{other} is not a date or a timestamp"),
        })
    }

    /// The zone, if there is one.
    pub(super) fn zone(&self) -> Option<Tz> {
        self.zone
    }

    /// The moment as UTC.
    pub(super) fn utc(&self, count: i64) -> Option<NaiveDateTime> {
        let moment = match self.unit {
            None => {
                let days = i32::try_from(count).ok()?.checked_add(EPOCH_FROM_CE)?;
                return NaiveDate::from_num_days_from_ce_opt(days)?.and_hms_opt(0, 0, 0);
            }
            Some(TimeUnit::Second) => DateTime::from_timestamp_secs(count)?,
            Some(TimeUnit::Millisecond) => DateTime::from_timestamp_millis(count)?,
            Some(TimeUnit::Microsecond) => DateTime::from_timestamp_micros(count)?,
            Some(TimeUnit::Nanosecond) => DateTime::from_timestamp_nanos(count),
        };
        Some(moment.naive_utc())
    }

    /// What the clock shows.
    pub(super) fn local(&self, count: i64) -> Option<NaiveDateTime> {
        self.utc(count).map(|utc| self.local_of_utc(utc))
    }

    /// What the clock shows at a moment in UTC.
    pub(super) fn local_of_utc(&self, utc: NaiveDateTime) -> NaiveDateTime {
        self.zone.map_or(utc, |zone| from_utc(utc, zone))
    }

    /// The UTC of a local time that was made of another moment. Where clocks are set back, the one
    /// of two that is as far from UTC as that moment.
    pub(super) fn utc_near(&self, local: NaiveDateTime, origin: NaiveDateTime) -> NaiveDateTime {
        let Some(zone) = self.zone else { return local };
        match zone.from_local_datetime(&local) {
            LocalResult::Ambiguous(first, _)
                if first.offset().fix() == zone.offset_from_utc_datetime(&origin).fix() =>
            {
                first.naive_utc()
            }
            _ => to_utc(local, zone),
        }
    }

    /// The count of a local time, or `None` out of range.
    pub(super) fn count(&self, local: NaiveDateTime) -> Option<i64> {
        let utc = match self.zone {
            Some(zone) => to_utc(local, zone),
            None => local,
        };
        self.count_of_utc(utc)
    }

    /// The count of a moment as UTC, or `None` out of range.
    pub(super) fn count_of_utc(&self, utc: NaiveDateTime) -> Option<i64> {
        let utc = utc.and_utc();
        match self.unit {
            None => Some(i64::from(utc.num_days_from_ce() - EPOCH_FROM_CE)),
            Some(TimeUnit::Second) => Some(utc.timestamp()),
            Some(TimeUnit::Millisecond) => Some(utc.timestamp_millis()),
            Some(TimeUnit::Microsecond) => Some(utc.timestamp_micros()),
            Some(TimeUnit::Nanosecond) => utc.timestamp_nanos_opt(),
        }
    }
}

/// The UTC of a local time. The later of two, where clocks are set back; where they are set
/// forward, a time that is skipped is as long after the change as it would have been.
pub(super) fn to_utc(local: NaiveDateTime, zone: Tz) -> NaiveDateTime {
    match zone.from_local_datetime(&local) {
        LocalResult::Single(moment) | LocalResult::Ambiguous(_, moment) => moment.naive_utc(),
        LocalResult::None => {
            let before = zone.offset_from_utc_datetime(&(local - Duration::days(1))).fix();
            local - Duration::seconds(i64::from(before.local_minus_utc()))
        }
    }
}

/// The local time of a moment in UTC.
pub(super) fn from_utc(utc: NaiveDateTime, zone: Tz) -> NaiveDateTime {
    zone.from_utc_datetime(&utc).naive_local()
}

/// A zone by its name or offset.
pub(super) fn zone(name: &str, function: &str) -> Result<Tz> {
    let known = match name {
        "Z" | "z" => "UTC",
        other => other,
    };
    known.parse().map_err(|_| {
        exec_datafusion_err!(
            "{function}: no time zone \"{name}\"; zones are named as Europe/Berlin or +02:00"
        )
    })
}

impl Moments {
    /// The moments of a date or timestamp argument.
    pub(super) fn new(inputs: &Inputs, index: usize) -> Result<Self> {
        let (array, constant) = inputs.column(index);
        let clock = Clock::new(array.data_type())?;
        let counts = match array.data_type() {
            DataType::Date32 => array.as_primitive::<Date32Type>().unary::<_, Int64Type>(i64::from),
            _ => cast(array, &DataType::Int64)?.as_primitive().clone(),
        };
        Ok(Moments { counts, constant, clock })
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// How it is counted, or `None` for NULL.
    pub(super) fn count(&self, row: usize) -> Option<i64> {
        let row = if self.constant { 0 } else { row };
        self.counts.is_valid(row).then(|| self.counts.value(row))
    }

    /// The moment as UTC, or `None` for NULL.
    pub(super) fn utc(&self, row: usize) -> Option<NaiveDateTime> {
        self.count(row).and_then(|count| self.clock.utc(count))
    }

    /// The moment by the clock of a zone, or `None` for NULL. What has no zone of its own is a local
    /// time of this one.
    pub(super) fn on(&self, row: usize, zone: Option<Tz>) -> Option<Instant> {
        let utc = self.utc(row)?;
        Some(match (self.clock.zone, zone) {
            (_, None) => Instant { utc, local: utc },
            (None, Some(zone)) => Instant { utc: to_utc(utc, zone), local: utc },
            (Some(_), Some(zone)) => Instant { utc, local: from_utc(utc, zone) },
        })
    }

    /// What the clock shows, or `None` for NULL.
    pub(super) fn get(&self, row: usize) -> Option<NaiveDateTime> {
        self.count(row).and_then(|count| self.clock.local(count))
    }
}

/// Dates or timestamps of the type that is returned, made row by row as local time.
pub(super) fn moments(
    inputs: &Inputs,
    make: impl FnMut(usize) -> Result<Option<NaiveDateTime>>,
) -> Result<ArrayRef> {
    moments_as(inputs, &inputs.returned, make)
}

/// Dates or timestamps of the type that is returned, made row by row of the local time of others,
/// as local time too.
pub(super) fn moments_near(
    inputs: &Inputs,
    origins: &Moments,
    mut make: impl FnMut(usize, NaiveDateTime) -> Result<Option<NaiveDateTime>>,
) -> Result<ArrayRef> {
    let clock = Clock::new(&inputs.returned)?;
    let counts = inputs
        .rows()
        .map(|row| {
            let Some(utc) = origins.utc(row) else { return Ok(None) };
            let Some(local) = make(row, clock.local_of_utc(utc))? else { return Ok(None) };
            let count = clock.count_of_utc(clock.utc_near(local, utc));
            count.map(Some).ok_or_else(|| out_of_range(inputs.name, &local.to_string()))
        })
        .collect::<Result<Int64Array>>()?;
    of_counts(counts, &inputs.returned)
}

/// Dates or timestamps of this type, made row by row as local time.
pub(super) fn moments_as(
    inputs: &Inputs,
    data_type: &DataType,
    mut make: impl FnMut(usize) -> Result<Option<NaiveDateTime>>,
) -> Result<ArrayRef> {
    let clock = Clock::new(data_type)?;
    let counts = inputs
        .rows()
        .map(|row| {
            let Some(local) = make(row)? else { return Ok(None) };
            let count = clock.count(local);
            count.map(Some).ok_or_else(|| out_of_range(inputs.name, &local.to_string()))
        })
        .collect::<Result<Int64Array>>()?;
    of_counts(counts, data_type)
}

/// Dates or timestamps of their counts.
pub(super) fn of_counts(counts: Int64Array, data_type: &DataType) -> Result<ArrayRef> {
    let zone = match data_type {
        DataType::Timestamp(_, zone) => zone.clone(),
        _ => None,
    };
    Ok(match data_type {
        DataType::Timestamp(TimeUnit::Second, _) => {
            Arc::new(counts.reinterpret_cast::<TimestampSecondType>().with_timezone_opt(zone))
        }
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            Arc::new(counts.reinterpret_cast::<TimestampMillisecondType>().with_timezone_opt(zone))
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            Arc::new(counts.reinterpret_cast::<TimestampMicrosecondType>().with_timezone_opt(zone))
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            Arc::new(counts.reinterpret_cast::<TimestampNanosecondType>().with_timezone_opt(zone))
        }
        other => cast(&cast(&counts, &DataType::Int32)?, other)?,
    })
}

/// What is said of a moment that the type of the result cannot hold.
pub(super) fn out_of_range(function: &str, value: &str) -> datafusion::error::DataFusionError {
    exec_datafusion_err!("{function}: {value} is out of range")
}

/// The months since the year 0.
pub(super) fn month_number(date: NaiveDate) -> i64 {
    i64::from(date.year()) * 12 + i64::from(date.month0())
}

/// The date so many months later, on the last day of the month if it has no such day.
pub(super) fn plus_months(date: NaiveDate, months: i64) -> Option<NaiveDate> {
    let number = month_number(date).checked_add(months)?;
    let year = i32::try_from(number.div_euclid(12)).ok()?;
    let month = u32::try_from(number.rem_euclid(12)).ok()? + 1;
    let first = NaiveDate::from_ymd_opt(year, month, 1)?;
    first.with_day(date.day().min(days_in_month(first)))
}

/// The days of the month of a date.
pub(super) fn days_in_month(date: NaiveDate) -> u32 {
    u32::from(date.num_days_in_month())
}
