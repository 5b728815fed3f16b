//! Between moments and what the clocks of a time zone show.

use arrow::array::timezone::Tz;
use arrow::datatypes::TimeUnit;
use chrono::{DateTime, MappedLocalTime, NaiveDateTime, Offset, TimeZone};
use datafusion::common::exec_datafusion_err;
use datafusion::error::Result;

use crate::error::Error;
use crate::frame::rolling::nanoseconds;

/// More seconds than there are between two changes of the clocks.
const AROUND_A_CHANGE: i64 = 86_400;

/// The clocks of a time zone; they count in a unit.
pub(super) struct Clocks<'a> {
    name: &'a str,
    zone: Tz,
    per_second: i64,
}

impl<'a> Clocks<'a> {
    pub(super) fn new(name: &'a str, unit: TimeUnit) -> Result<Self> {
        Ok(Clocks { name, zone: name.parse()?, per_second: 1_000_000_000 / nanoseconds(unit) })
    }

    /// What they show at a moment.
    pub(super) fn shown(&self, moment: i64) -> Result<i64> {
        let offset = self.offset(moment.div_euclid(self.per_second))?;
        moment.checked_add(offset * self.per_second).ok_or_else(|| beyond(moment))
    }

    /// When they show this.
    ///
    /// # Errors
    /// `Query` if they do so twice, or never, as they are put back or forward.
    pub(super) fn moment(&self, shown: i64) -> Result<i64> {
        let how_often = match self.moments(shown)? {
            MappedLocalTime::Single(moment) => return Ok(moment),
            MappedLocalTime::Ambiguous(..) => "twice",
            MappedLocalTime::None => "never",
        };
        let time = date_time(shown.div_euclid(self.per_second))?;
        Err(Error::query(format!("clocks in {} show {time} {how_often}", self.name))
            .with_hint("replace_time_zone_or_null gives NULL for such times")
            .into())
    }

    /// When they show this, if they do so once.
    pub(super) fn single_moment(&self, shown: i64) -> Result<Option<i64>> {
        Ok(self.moments(shown)?.single())
    }

    /// The first moment when they show this, or if they skip it, the one when they do.
    pub(super) fn first_moment(&self, shown: i64) -> Result<i64> {
        match self.moments(shown)? {
            MappedLocalTime::Single(moment) | MappedLocalTime::Ambiguous(moment, _) => Ok(moment),
            MappedLocalTime::None => {
                let second = shown.div_euclid(self.per_second);
                let (mut before, mut after) = (second - AROUND_A_CHANGE, second + AROUND_A_CHANGE);
                while after - before > 1 {
                    let middle = before.midpoint(after);
                    if middle + self.offset(middle)? < second {
                        before = middle;
                    } else {
                        after = middle;
                    }
                }
                Ok(after * self.per_second)
            }
        }
    }

    /// The moment next to another at which they show this: the last one up to it if it is in the
    /// past, else the first one after it.
    pub(super) fn moment_near(&self, shown: i64, near: i64) -> Result<i64> {
        let MappedLocalTime::Ambiguous(first, second) = self.moments(shown)? else {
            return self.first_moment(shown);
        };
        let is_past = shown <= self.shown(near)?;
        let is_second = if is_past { second <= near } else { first < near };
        Ok(if is_second { second } else { first })
    }

    fn moments(&self, shown: i64) -> Result<MappedLocalTime<i64>> {
        let time = date_time(shown.div_euclid(self.per_second))?;
        let offsets = self.zone.offset_from_local_datetime(&time);
        Ok(offsets
            .map(|offset| shown - i64::from(offset.fix().local_minus_utc()) * self.per_second))
    }

    /// How many seconds they are ahead of UTC.
    fn offset(&self, second: i64) -> Result<i64> {
        let offset = self.zone.offset_from_utc_datetime(&date_time(second)?);
        Ok(i64::from(offset.fix().local_minus_utc()))
    }
}

fn date_time(second: i64) -> Result<NaiveDateTime> {
    let time = DateTime::from_timestamp(second, 0).ok_or_else(|| beyond(second))?;
    Ok(time.naive_utc())
}

/// The error for a number that is no time.
pub(super) fn beyond(number: impl std::fmt::Display) -> datafusion::error::DataFusionError {
    exec_datafusion_err!("{number} is beyond all dates")
}
