//! Dates, times and intervals as text: ISO dates, `2015-01-15 19:05:39` for timestamps, and the
//! PostgreSQL form for intervals (`1 year 2 mons 3 days 04:05:06`). Fractions of a second appear
//! only where there are any, without trailing zeros.

use super::numbers::{push_padded, push_pair, push_signed, push_unsigned};

/// Nanoseconds in a second.
pub(super) const SECOND_NANOS: i64 = 1_000_000_000;

/// Seconds in a day.
pub(super) const DAY_SECONDS: i64 = 86_400;

/// Nanoseconds in a day.
const DAY_NANOS: i128 = DAY_SECONDS as i128 * SECOND_NANOS as i128;

/// Months in a year.
const YEAR_MONTHS: i32 = 12;

/// Year, month and day of a day counted from 1970-01-01, in the proleptic Gregorian calendar.
///
/// Years are counted from March here, so that the leap day is the last one of its year, in eras of
/// 400 years, which all have the same number of days.
fn calendar(days: i64) -> (i64, u64, u64) {
    const ERA_DAYS: i64 = 146_097;
    const MARCH_0000_TO_1970_DAYS: i64 = 719_468;
    let days = days + MARCH_0000_TO_1970_DAYS;
    let era = days.div_euclid(ERA_DAYS);
    let day_of_era = days.rem_euclid(ERA_DAYS);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month as u64, day as u64)
}

/// Appends the date of a day counted from 1970-01-01. Years of more than four digits have a sign.
#[inline]
pub(super) fn push_date(days: i64, out: &mut Vec<u8>) {
    let (year, month, day) = calendar(days);
    if let Ok(year @ 0..=9_999) = u64::try_from(year) {
        push_pair(year / 100, out);
        push_pair(year, out);
    } else {
        out.push(if year < 0 { b'-' } else { b'+' });
        push_padded(year.unsigned_abs(), 4, out);
    }
    out.push(b'-');
    push_pair(month, out);
    out.push(b'-');
    push_pair(day, out);
}

/// Appends a time of day, or an amount of time: hours have more than two digits where they must.
#[inline]
pub(super) fn push_clock(seconds: u64, nanos: u64, out: &mut Vec<u8>) {
    let hours = seconds / 3_600;
    if hours < 100 {
        push_pair(hours, out);
    } else {
        push_unsigned(hours, out);
    }
    out.push(b':');
    push_pair(seconds / 60 % 60, out);
    out.push(b':');
    push_pair(seconds % 60, out);
    if nanos > 0 {
        out.push(b'.');
        push_padded(nanos, 9, out);
        while out.last() == Some(&b'0') {
            out.pop();
        }
    }
}

/// Appends date and time of day of a timestamp in `PER_SECOND`ths of a second since 1970, shifted
/// by an offset from UTC.
#[inline]
pub(super) fn push_timestamp<const PER_SECOND: i64>(
    value: i64,
    offset_seconds: i64,
    out: &mut Vec<u8>,
) {
    let seconds = value.div_euclid(PER_SECOND).saturating_add(offset_seconds);
    let nanos = value.rem_euclid(PER_SECOND) * (SECOND_NANOS / PER_SECOND);
    push_date(seconds.div_euclid(DAY_SECONDS), out);
    out.push(b' ');
    push_clock(seconds.rem_euclid(DAY_SECONDS) as u64, nanos as u64, out);
}

/// Appends an offset from UTC as `+01:00`.
pub(super) fn push_offset(offset_seconds: i64, out: &mut Vec<u8>) {
    out.push(if offset_seconds < 0 { b'-' } else { b'+' });
    let offset_seconds = offset_seconds.unsigned_abs();
    push_pair(offset_seconds / 3_600, out);
    out.push(b':');
    push_pair(offset_seconds / 60 % 60, out);
    if !offset_seconds.is_multiple_of(60) {
        out.push(b':');
        push_pair(offset_seconds % 60, out);
    }
}

/// Appends an interval. Each part has its own sign, as it has in the value.
pub(super) fn push_interval(months: i32, days: i64, nanos: i64, out: &mut Vec<u8>) {
    let start = out.len();
    let parts = [
        (i64::from(months / YEAR_MONTHS), " year"),
        (i64::from(months % YEAR_MONTHS), " mon"),
        (days, " day"),
    ];
    for (count, unit) in parts.into_iter().filter(|(count, _)| *count != 0) {
        push_signed(count, out);
        out.extend_from_slice(unit.as_bytes());
        out.extend_from_slice(if count == 1 { b" " } else { b"s " });
    }
    if nanos != 0 || out.len() == start {
        if nanos < 0 {
            out.push(b'-');
        }
        let nanos = nanos.unsigned_abs();
        let second = SECOND_NANOS.unsigned_abs();
        push_clock(nanos / second, nanos % second, out);
    } else {
        out.pop();
    }
}

/// Appends an amount of time as days and a clock.
pub(super) fn push_duration(value: i64, nanos_each: i64, out: &mut Vec<u8>) {
    let nanos = i128::from(value) * i128::from(nanos_each);
    push_interval(0, (nanos / DAY_NANOS) as i64, (nanos % DAY_NANOS) as i64, out);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(push: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        push(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn dates_agree_with_chrono() {
        let start = chrono::NaiveDate::from_ymd_opt(1970, 1, 1).unwrap();
        for days in (-719_528..2_932_896).step_by(97).chain([-719_528, -1, 0, 59, 789, 2_932_896]) {
            let expected = start + chrono::TimeDelta::days(days);
            assert_eq!(text(|out| push_date(days, out)), expected.to_string());
        }
        assert_eq!(text(|out| push_date(2_932_897, out)), "+10000-01-01");
        assert_eq!(text(|out| push_date(-719_529, out)), "-0001-12-31");
    }

    #[test]
    fn timestamps_have_a_fraction_only_where_there_is_one() {
        let at = 1_421_348_739_i64;
        assert_eq!(text(|out| push_timestamp::<1>(at, 0, out)), "2015-01-15 19:05:39");
        assert_eq!(
            text(|out| push_timestamp::<1_000>(at * 1_000 + 120, 0, out)),
            "2015-01-15 19:05:39.12"
        );
        assert_eq!(
            text(|out| push_timestamp::<1_000_000_000>(-1, 0, out)),
            "1969-12-31 23:59:59.999999999"
        );
        assert_eq!(text(|out| push_timestamp::<1>(at, 19_800, out)), "2015-01-16 00:35:39");
        assert_eq!(text(|out| push_offset(19_800, out)), "+05:30");
        assert_eq!(text(|out| push_offset(-3_600, out)), "-01:00");
        // The ends of the range are far away, but no reason to stop.
        for end in [i64::MIN, i64::MAX] {
            assert!(!text(|out| push_timestamp::<1>(end, 0, out)).is_empty());
        }
    }

    #[test]
    fn intervals() {
        let second = SECOND_NANOS;
        assert_eq!(
            text(|out| push_interval(14, 3, 14_706 * second, out)),
            "1 year 2 mons 3 days 04:05:06"
        );
        assert_eq!(text(|out| push_interval(0, 0, 0, out)), "00:00:00");
        assert_eq!(text(|out| push_interval(-1, 1, 0, out)), "-1 mons 1 day");
        assert_eq!(text(|out| push_interval(0, 0, -second / 2, out)), "-00:00:00.5");
        assert_eq!(text(|out| push_duration(90_000, second, out)), "1 day 01:00:00");
        assert_eq!(text(|out| push_duration(-90_000, second, out)), "-1 days -01:00:00");
        assert_eq!(text(|out| push_interval(0, 0, 360_000 * second, out)), "100:00:00");
    }
}
