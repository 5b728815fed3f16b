//! Dates, times of day and timestamps as ISO 8601 writes them.

use arrow::array::timezone::Tz;
use arrow::compute::kernels::cast_utils::{Parser, string_to_datetime, string_to_time_nanoseconds};
use arrow::datatypes::{Date32Type, TimeUnit};
use chrono::{DateTime, Offset, TimeZone, Utc};

use super::digits::{self, HIGH_BITS, ZEROS};

const NANOS_PER_SECOND: i64 = 1_000_000_000;
pub(super) const SECONDS_PER_DAY: i64 = 86_400;

/// `YYYY-MM-DD`; days since 1970-01-01.
///
/// Also takes what arrow's cast to a date takes: `YYYYMMDD`, months and days of one digit, a
/// timestamp, whose date in UTC is taken, and years of more digits after a sign.
#[inline]
pub(crate) fn parse_date(field: &[u8]) -> Option<i32> {
    match field.try_into() {
        Ok(date) => iso_date(date).or_else(|| uncommon_date(field)),
        Err(_) => uncommon_date(field),
    }
}

/// `YYYY-MM-DD` like [`parse_date`], and nothing else.
#[inline]
pub(crate) fn parse_exact_date(field: &[u8]) -> Option<i32> {
    iso_date(field.try_into().ok()?)
}

/// `YYYY-MM-DD HH:MM:SS[.fraction][zone]`, with a space or a `T` in the middle; the time since
/// 1970-01-01, in UTC when a zone is given. What is below the unit is cut off. `None` if nanoseconds
/// would exceed 64 bits, which span the years 1677 to 2262.
///
/// Also takes what arrow's `string_to_datetime` takes: `HHMMSS`, and a date alone. A second of 60
/// is the first of the next minute.
#[inline]
pub(crate) fn parse_timestamp(field: &[u8], unit: TimeUnit) -> Option<i64> {
    let (seconds, nanos) = timestamp(field)?;
    in_unit(seconds, nanos, unit)
}

/// Like [`parse_timestamp`], where a text without a zone is the clock of this one. `None` as well for
/// what that clock never shows, or shows twice.
pub(crate) fn parse_timestamp_in(field: &[u8], unit: TimeUnit, zone: &Tz) -> Option<i64> {
    let (seconds, nanos) = match iso_timestamp(field) {
        Some((clock, nanos, [])) => (utc_of(clock, zone)?, nanos),
        Some((seconds, nanos, _)) => (seconds, nanos),
        None => uncommon_timestamp(field, zone)?,
    };
    in_unit(seconds, nanos, unit)
}

/// Seconds since 1970-01-01 in UTC, when the clock of a zone shows so many.
pub(super) fn utc_of(clock: i64, zone: &Tz) -> Option<i64> {
    let shown = DateTime::from_timestamp(clock, 0)?.naive_utc();
    let offset = zone.offset_from_local_datetime(&shown).single()?;
    Some(clock - i64::from(offset.fix().local_minus_utc()))
}

/// Like [`parse_timestamp`], for texts with a zone if they are `ZONED` and without one if not, that
/// have no digits but zeros below the unit. A date alone has no zone.
#[inline]
pub(crate) fn parse_exact_timestamp<const ZONED: bool>(
    field: &[u8],
    unit: TimeUnit,
) -> Option<i64> {
    let (seconds, nanos) = match iso_timestamp(field) {
        Some((seconds, nanos, zone)) if zone.is_empty() != ZONED => (seconds, nanos),
        _ => uncommon_exact_timestamp(field, ZONED)?,
    };
    exactly_in_unit(seconds, nanos, unit)
}

/// A moment in a unit; what is below it is cut off. `None` if nanoseconds would exceed 64 bits.
#[inline]
pub(super) fn in_unit(seconds: i64, nanos: u32, unit: TimeUnit) -> Option<i64> {
    let nanos = i64::from(nanos);
    match unit {
        TimeUnit::Second => Some(seconds),
        TimeUnit::Millisecond => Some(seconds * 1_000 + nanos / 1_000_000),
        TimeUnit::Microsecond => Some(seconds * 1_000_000 + nanos / 1_000),
        TimeUnit::Nanosecond => {
            let value = i128::from(seconds) * i128::from(NANOS_PER_SECOND) + i128::from(nanos);
            i64::try_from(value).ok()
        }
    }
}

/// Like [`in_unit`]; `None` as well if there is something below the unit.
#[inline]
pub(super) fn exactly_in_unit(seconds: i64, nanos: u32, unit: TimeUnit) -> Option<i64> {
    let unit_nanos = match unit {
        TimeUnit::Second => 1_000_000_000,
        TimeUnit::Millisecond => 1_000_000,
        TimeUnit::Microsecond => 1_000,
        TimeUnit::Nanosecond => 1,
    };
    if !nanos.is_multiple_of(unit_nanos) {
        return None;
    }
    in_unit(seconds, nanos, unit)
}

/// `HH:MM:SS[.fraction]`; microseconds since midnight, below those of a day. What is below a
/// microsecond is cut off.
///
/// Also takes what arrow's cast to a time takes: hours of one digit, no seconds, ` AM` and ` PM`.
#[inline]
pub(crate) fn parse_time_us(field: &[u8]) -> Option<i64> {
    let nanos = match iso_time(field) {
        Some((seconds, nanos, [])) => i64::from(seconds) * NANOS_PER_SECOND + i64::from(nanos),
        _ => string_to_time_nanoseconds(str::from_utf8(field).ok()?).ok()?,
    };
    (nanos < SECONDS_PER_DAY * NANOS_PER_SECOND).then_some(nanos / 1_000)
}

/// `HH:MM:SS[.fraction]` like [`parse_time_us`], and nothing else; no digits but zeros below the
/// microsecond, and no second of 60.
#[inline]
pub(crate) fn parse_exact_time_us(field: &[u8]) -> Option<i64> {
    let (seconds, nanos, []) = iso_time(field)? else { return None };
    if field.get(6) == Some(&b'6') {
        return None;
    }
    exactly_in_unit(i64::from(seconds), nanos, TimeUnit::Microsecond)
}

/// Days since 1970-01-01 of a day of the (proleptic Gregorian) calendar, in the years 0 to 9999;
/// `None` if the calendar does not have it.
#[inline]
pub(super) fn days_since_epoch(year: u32, month: u32, day: u32) -> Option<i32> {
    days(year / 100, year % 100, month, day)
}

/// The same, with the two halves of the year apart: then nothing needs to be divided.
#[inline]
fn days(century: u32, year: u32, month: u32, day: u32) -> Option<i32> {
    /// Days from 0000-01-01 to 1970-01-01.
    const EPOCH: i32 = 719_528;
    /// Of each month but the 0th, its length and the days before it, in a year without a leap day.
    const MONTHS: [(u32, u32); 13] = [
        (0, 0),
        (31, 0),
        (28, 31),
        (31, 59),
        (30, 90),
        (31, 120),
        (30, 151),
        (31, 181),
        (31, 212),
        (30, 243),
        (31, 273),
        (30, 304),
        (31, 334),
    ];
    let &(length, before) = MONTHS.get(month as usize)?;
    let is_leap = if year == 0 { century } else { year }.is_multiple_of(4);
    if day.wrapping_sub(1) >= length + u32::from(is_leap && month == 2) {
        return None;
    }
    // Multiples of 100 in the years before this one, and of 4 among them and among all years.
    let centuries = century + u32::from(year != 0);
    let years = 100 * century + year;
    let leap_days = years.div_ceil(4) - centuries + centuries.div_ceil(4);
    let days = 365 * years + leap_days + before + u32::from(is_leap && month > 2) + day - 1;
    Some(days as i32 - EPOCH)
}

#[inline]
pub(super) fn is_leap(year: u32) -> bool {
    year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400)
}

/// The sum of a byte with this has its highest bit set if the byte is no digit; for the bytes that
/// are zero where the text agrees with a pattern, if they are not zero.
const fn checks(pattern: [u8; 8]) -> u64 {
    let mut checks = [0x76; 8];
    let mut index = 0;
    while index < 8 {
        if pattern[index] != b'0' {
            checks[index] = 0x7f;
        }
        index += 1;
    }
    u64::from_le_bytes(checks)
}

/// The digits of eight characters that must have those of `pattern` where it has no `0`, with a
/// zero there, and a word whose [`HIGH_BITS`] are clear if they do.
#[inline]
fn matched(text: [u8; 8], pattern: [u8; 8]) -> (u64, u64) {
    let digits = u64::from_le_bytes(text) ^ u64::from_le_bytes(pattern);
    (digits, digits.wrapping_add(checks(pattern)) | digits)
}

/// The number in byte `index` of digits and the next.
#[inline]
fn pair(digits: u64, index: u32) -> u32 {
    let pairs = digits.wrapping_mul(10).wrapping_add(digits >> 8);
    (pairs >> (8 * index)) as u32 & 0xff
}

/// `YYYY-MM-DD`, and nothing else.
#[inline]
fn iso_date(text: &[u8; 10]) -> Option<i32> {
    let (front, [d0, d1]) = text.split_first_chunk::<8>()? else { return None };
    let (front, wrong) = matched(*front, *b"0000-00-");
    let (d0, d1) = (d0.wrapping_sub(b'0'), d1.wrapping_sub(b'0'));
    if (wrong & HIGH_BITS != 0) | (d0 > 9) | (d1 > 9) {
        return None;
    }
    let day = u32::from(d0) * 10 + u32::from(d1);
    days(pair(front, 0), pair(front, 2), pair(front, 5), day)
}

/// `HH:MM:SS[.fraction]` with one to nine digits of fraction, at the front of `text`: seconds,
/// nanoseconds and the rest. A second may be 60.
#[inline]
fn iso_time(text: &[u8]) -> Option<(u32, u32, &[u8])> {
    let (time, rest) = text.split_first_chunk::<8>()?;
    let (time, wrong) = matched(*time, *b"00:00:00");
    if wrong & HIGH_BITS != 0 {
        return None;
    }
    let (hour, minute, second) = (pair(time, 0), pair(time, 3), pair(time, 6));
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let seconds = (hour * 60 + minute) * 60 + second;
    match rest {
        [b'.', rest @ ..] => {
            let (nanos, rest) = fraction(rest)?;
            Some((seconds, nanos, rest))
        }
        rest => Some((seconds, 0, rest)),
    }
}

/// One to nine digits as a fraction, in billionths, and the rest, which begins with no digit.
#[inline]
pub(super) fn fraction(text: &[u8]) -> Option<(u32, &[u8])> {
    let word = digits::load(text);
    let count = digits::leading(word);
    if count == 0 {
        return None;
    }
    // Zeros above the digits are trailing ones.
    let kept = u64::MAX >> (8 * (8 - count));
    let nanos = digits::eight((word ^ ZEROS) & kept)? as u32 * 10;
    match text.get(count..)? {
        [digit @ b'0'..=b'9', rest @ ..] => match rest {
            [b'0'..=b'9', ..] => None,
            rest => Some((nanos + u32::from(digit - b'0'), rest)),
        },
        rest => Some((nanos, rest)),
    }
}

/// Seconds since 1970-01-01 in UTC, and nanoseconds within the second.
#[inline]
fn timestamp(field: &[u8]) -> Option<(i64, u32)> {
    match iso_timestamp(field) {
        Some((seconds, nanos, _)) => Some((seconds, nanos)),
        None => uncommon_timestamp(field, &Utc),
    }
}

/// The common forms: `YYYY-MM-DD[ T]HH:MM:SS[.fraction][Z]`. Seconds, nanoseconds and the zone,
/// which is `Z` or nothing.
#[inline]
fn iso_timestamp(field: &[u8]) -> Option<(i64, u32, &[u8])> {
    let (date, rest) = field.split_first_chunk::<10>()?;
    let [b' ' | b'T' | b't', time @ ..] = rest else { return None };
    let (seconds, nanos, zone) = iso_time(time)?;
    if !matches!(zone, [] | [b'Z' | b'z']) {
        return None;
    }
    let days = iso_date(date)?;
    Some((i64::from(days) * SECONDS_PER_DAY + i64::from(seconds), nanos, zone))
}

#[cold]
fn uncommon_timestamp<Z: TimeZone>(field: &[u8], zone: &Z) -> Option<(i64, u32)> {
    let time = string_to_datetime(zone, str::from_utf8(field).ok()?).ok()?;
    // chrono keeps the second 60 as a 59 with more than a billion nanoseconds.
    let nanos = i64::from(time.timestamp_subsec_nanos());
    Some((time.timestamp() + nanos / NANOS_PER_SECOND, (nanos % NANOS_PER_SECOND) as u32))
}

/// The other forms, with a zone or without one. The name of a zone, such as `UTC`, is taken for
/// none as well if it does not move the clock.
#[cold]
fn uncommon_exact_timestamp(field: &[u8], zoned: bool) -> Option<(i64, u32)> {
    /// Characters of a date and what follows it, and of `HH:MM:SS.` with nine digits.
    const DATE: usize = 11;
    const CLOCK: usize = 18;
    if let Ok(date) = field.try_into() {
        let days = iso_date(date).filter(|_| !zoned)?;
        return Some((i64::from(days) * SECONDS_PER_DAY, 0));
    }
    let is_clock = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b':' | b'.');
    let (_, clock) = field.split_at_checked(DATE)?;
    let end = clock.iter().position(|byte| !is_clock(byte)).unwrap_or(clock.len());
    let (clock, zone) = clock.split_at(end);
    // Further digits of the fraction are not looked at.
    if clock.iter().skip(CLOCK).any(|byte| *byte != b'0') {
        return None;
    }
    let moment = uncommon_timestamp(field, &Utc)?;
    let is_named = !zone.is_empty() && !zone.iter().any(|b| matches!(b, b'Z' | b'z' | b'+' | b'-'));
    let fits = match zoned {
        true => !zone.is_empty(),
        false if is_named => timestamp(&field[..DATE + end]) == Some(moment),
        false => zone.is_empty(),
    };
    fits.then_some(moment)
}

#[cold]
fn uncommon_date(field: &[u8]) -> Option<i32> {
    // Up to ten characters arrow only looks at as many as it needs: "2020-01-1x" would be a date.
    if field.len() <= 10 && !field.last()?.is_ascii_digit() {
        return None;
    }
    Date32Type::parse(str::from_utf8(field).ok()?)
}
