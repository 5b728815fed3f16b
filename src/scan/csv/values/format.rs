//! Dates and timestamps in a format that the user gives, in the manner of `strptime`.

use arrow::array::timezone::Tz;
use arrow::datatypes::TimeUnit;

use super::time::{
    SECONDS_PER_DAY, days_since_epoch, exactly_in_unit, fraction, in_unit, is_leap, utc_of,
};

/// A format of dates or timestamps, ready for parsing.
///
/// | Specifier | Text |
/// |---|---|
/// | `%Y` `%y` | year of four digits; of two, of which 69 to 99 are 1969 to 1999 |
/// | `%m` `%d` `%H` `%I` `%M` `%S` | one or two digits; `%I` is the hour of 12 that `%p` halves |
/// | `%e` | the day too, with a space before a single digit or not |
/// | `%b` `%B` | English name of a month, in full or its first three letters, in any case |
/// | `%j` | day of the year, one to three digits |
/// | `%p` | `AM` or `PM` in any case |
/// | `%f` | one to nine digits, a fraction of a second; what is below the unit is cut off |
/// | `%z` | `+HHMM`, `+HH:MM`, `+HH` or `Z`; the result is in UTC |
/// | `%Z` | `UTC`, `GMT` or `Z` in any case |
/// | `%F` `%D` `%T` `%R` | `%Y-%m-%d`, `%m/%d/%y`, `%H:%M:%S`, `%H:%M` |
/// | `%%` | a percent sign |
///
/// The flags `-`, `_` and `0`, as in `%-d`, are taken and change nothing. A number that is directly
/// followed by another number in the format has all of its digits, as in `%m%d%Y`. All else stands
/// for itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DateFormat {
    items: Box<[Item]>,
    has_zone: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Item {
    Literal(u8),
    /// A number of `min` to `max` digits.
    Number {
        part: Part,
        min: u8,
        max: u8,
    },
    /// A day of two digits, of which the first may be a space.
    PaddedDay,
    MonthName,
    HalfOfDay,
    Fraction,
    Offset,
    Utc,
}

/// What a number in the text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Year,
    YearOfCentury,
    Month,
    Day,
    DayOfYear,
    Hour,
    HourOfHalf,
    Minute,
    Second,
}

/// The parts of a text.
#[derive(Debug, Clone, Copy)]
struct Parts {
    year: u32,
    month: u32,
    day: u32,
    /// From 1; 0 if the format has month and day.
    day_of_year: u32,
    hour: u32,
    minute: u32,
    second: u32,
    nanos: u32,
    /// What the clock is ahead of UTC by.
    offset_seconds: i32,
}

impl DateFormat {
    /// Compiles a format.
    ///
    /// # Errors
    /// A sentence for the user, if a specifier is unknown or there twice, if the format does not
    /// tell a day, or if `%I` and `%p` are not together.
    pub(crate) fn new(format: &str) -> Result<DateFormat, String> {
        let mut compiler = Compiler { format, items: Vec::new(), seen: Vec::new() };
        compiler.add(format)?;
        compiler.finish()
    }

    /// Whether the text says what its clock is ahead of UTC by.
    pub(crate) fn has_zone(&self) -> bool {
        self.has_zone
    }

    /// Days since 1970-01-01, of the day in UTC if the format has a zone.
    pub(crate) fn parse_date(&self, field: &[u8]) -> Option<i32> {
        let (seconds, _) = self.parse(field)?;
        Some(seconds.div_euclid(SECONDS_PER_DAY) as i32)
    }

    /// Microseconds since 1970-01-01, in UTC if the format has a zone; midnight if it has no time.
    pub(crate) fn parse_timestamp_us(&self, field: &[u8]) -> Option<i64> {
        self.parse_timestamp(field, TimeUnit::Microsecond)
    }

    /// Like [`DateFormat::parse_timestamp_us`], in another unit. `None` as well if nanoseconds would
    /// exceed 64 bits.
    pub(crate) fn parse_timestamp(&self, field: &[u8], unit: TimeUnit) -> Option<i64> {
        let (seconds, nanos) = self.parse(field)?;
        in_unit(seconds, nanos, unit)
    }

    /// Like [`DateFormat::parse_timestamp`], with the clock of this zone where the format has none.
    pub(crate) fn parse_timestamp_in(
        &self,
        field: &[u8],
        unit: TimeUnit,
        zone: &Tz,
    ) -> Option<i64> {
        let (seconds, nanos) = self.parse(field)?;
        let seconds = if self.has_zone { seconds } else { utc_of(seconds, zone)? };
        in_unit(seconds, nanos, unit)
    }

    /// Like [`DateFormat::parse_timestamp`], for texts that have no digits but zeros below the unit.
    pub(crate) fn parse_exact_timestamp(&self, field: &[u8], unit: TimeUnit) -> Option<i64> {
        let (seconds, nanos) = self.parse(field)?;
        exactly_in_unit(seconds, nanos, unit)
    }

    /// Seconds since 1970-01-01 and nanoseconds within the second.
    fn parse(&self, field: &[u8]) -> Option<(i64, u32)> {
        let mut parts = Parts {
            year: 0,
            month: 1,
            day: 1,
            day_of_year: 0,
            hour: 0,
            minute: 0,
            second: 0,
            nanos: 0,
            offset_seconds: 0,
        };
        let mut rest = field;
        for item in &self.items {
            rest = parts.take(*item, rest)?;
        }
        if !rest.is_empty() {
            return None;
        }
        parts.since_epoch()
    }
}

impl Parts {
    /// Reads one item from the front of `text`; the rest.
    #[inline]
    fn take<'a>(&mut self, item: Item, text: &'a [u8]) -> Option<&'a [u8]> {
        match item {
            Item::Literal(byte) => match text {
                [first, rest @ ..] if *first == byte => Some(rest),
                _ => None,
            },
            Item::Number { part, min, max } => {
                let (value, rest) = number(text, min, max)?;
                self.set(part, value);
                Some(rest)
            }
            Item::PaddedDay => {
                let (value, rest) = match text {
                    [b' ', rest @ ..] => number(rest, 1, 1)?,
                    text => number(text, 1, 2)?,
                };
                self.day = value;
                Some(rest)
            }
            Item::MonthName => {
                let (month, rest) = month_name(text)?;
                self.month = month;
                Some(rest)
            }
            Item::HalfOfDay => {
                let [half, b'M' | b'm', rest @ ..] = text else { return None };
                match half {
                    b'A' | b'a' => {}
                    b'P' | b'p' => self.hour += 12,
                    _ => return None,
                }
                Some(rest)
            }
            Item::Fraction => {
                let (nanos, rest) = fraction(text)?;
                self.nanos = nanos;
                Some(rest)
            }
            Item::Offset => {
                let (seconds, rest) = offset(text)?;
                self.offset_seconds = seconds;
                Some(rest)
            }
            Item::Utc => match text {
                [b'Z' | b'z', rest @ ..] => Some(rest),
                _ => {
                    let (name, rest) = text.split_first_chunk::<3>()?;
                    let is_utc =
                        name.eq_ignore_ascii_case(b"UTC") || name.eq_ignore_ascii_case(b"GMT");
                    is_utc.then_some(rest)
                }
            },
        }
    }

    #[inline]
    fn set(&mut self, part: Part, value: u32) {
        /// A value no check lets pass.
        const INVALID: u32 = 99;
        match part {
            Part::Year => self.year = value,
            Part::YearOfCentury => self.year = value + if value < 69 { 2000 } else { 1900 },
            Part::Month => self.month = value,
            Part::Day => self.day = value,
            // 0 would stand for no day of the year.
            Part::DayOfYear => self.day_of_year = if value == 0 { u32::MAX } else { value },
            Part::Hour => self.hour = value,
            // `%p` may come before or after and adds 12.
            Part::HourOfHalf => {
                self.hour += if (1..=12).contains(&value) { value % 12 } else { INVALID };
            }
            Part::Minute => self.minute = value,
            Part::Second => self.second = value,
        }
    }

    fn since_epoch(&self) -> Option<(i64, u32)> {
        // As in the usual format, a second of 60 is the first of the next minute.
        if self.hour > 23 || self.minute > 59 || self.second > 60 {
            return None;
        }
        let mut days = days_since_epoch(self.year, self.month, self.day)?;
        if self.day_of_year != 0 {
            if self.day_of_year > 365 + u32::from(is_leap(self.year)) {
                return None;
            }
            days += self.day_of_year as i32 - 1;
        }
        let seconds = (self.hour * 60 + self.minute) * 60 + self.second;
        let local = i64::from(days) * SECONDS_PER_DAY + i64::from(seconds);
        Some((local - i64::from(self.offset_seconds), self.nanos))
    }
}

/// A number of `min` to `max` digits, as many as there are, and the rest.
#[inline]
fn number(text: &[u8], min: u8, max: u8) -> Option<(u32, &[u8])> {
    let mut value = 0;
    let mut count = 0;
    for byte in text.iter().take(usize::from(max)) {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            break;
        }
        value = value * 10 + u32::from(digit);
        count += 1;
    }
    (count >= usize::from(min)).then(|| (value, &text[count..]))
}

const MONTHS: [&[u8]; 12] = [
    b"january",
    b"february",
    b"march",
    b"april",
    b"may",
    b"june",
    b"july",
    b"august",
    b"september",
    b"october",
    b"november",
    b"december",
];

/// The number of the month at the front of `text`, from 1, and the rest.
fn month_name(text: &[u8]) -> Option<(u32, &[u8])> {
    let short = text.first_chunk::<3>()?.map(|byte| byte.to_ascii_lowercase());
    let index = MONTHS.iter().position(|name| name.starts_with(&short))?;
    let name = MONTHS[index];
    let len = match text.get(..name.len()) {
        Some(full) if full.eq_ignore_ascii_case(name) => name.len(),
        _ => short.len(),
    };
    Some((index as u32 + 1, &text[len..]))
}

/// Seconds ahead of UTC, and the rest.
fn offset(text: &[u8]) -> Option<(i32, &[u8])> {
    let (sign, text) = match text {
        [b'Z' | b'z', rest @ ..] => return Some((0, rest)),
        [b'+', rest @ ..] => (1, rest),
        [b'-', rest @ ..] => (-1, rest),
        _ => return None,
    };
    let (hours, text) = number(text, 2, 2)?;
    let (minutes, text) = match text {
        [b':', rest @ ..] => number(rest, 2, 2)?,
        text => number(text, 2, 2).unwrap_or((0, text)),
    };
    (hours <= 23 && minutes <= 59).then(|| (sign * (hours * 3600 + minutes * 60) as i32, text))
}

/// A format on its way to its items.
struct Compiler<'a> {
    /// The whole format, for errors.
    format: &'a str,
    items: Vec<Item>,
    /// The letters of the specifiers so far.
    seen: Vec<char>,
}

impl Compiler<'_> {
    fn add(&mut self, format: &str) -> Result<(), String> {
        let mut chars = format.chars();
        while let Some(char) = chars.next() {
            if char != '%' {
                let mut bytes = [0; 4];
                self.items.extend(char.encode_utf8(&mut bytes).bytes().map(Item::Literal));
                continue;
            }
            let mut specifier = chars.next();
            if let Some('-' | '_' | '0') = specifier {
                specifier = chars.next();
            }
            let Some(specifier) = specifier else {
                return Err(
                    self.error("ends in the middle of a specifier; \"%%\" is a percent sign")
                );
            };
            self.add_specifier(specifier)?;
        }
        Ok(())
    }

    fn add_specifier(&mut self, specifier: char) -> Result<(), String> {
        let number = |part, max| Item::Number { part, min: 1, max };
        let item = match specifier {
            '%' => {
                self.items.push(Item::Literal(b'%'));
                return Ok(());
            }
            'F' => return self.add("%Y-%m-%d"),
            'D' => return self.add("%m/%d/%y"),
            'T' => return self.add("%H:%M:%S"),
            'R' => return self.add("%H:%M"),
            'Y' => Item::Number { part: Part::Year, min: 4, max: 4 },
            'y' => Item::Number { part: Part::YearOfCentury, min: 2, max: 2 },
            'm' => number(Part::Month, 2),
            'd' => number(Part::Day, 2),
            'j' => number(Part::DayOfYear, 3),
            'H' => number(Part::Hour, 2),
            'I' => number(Part::HourOfHalf, 2),
            'M' => number(Part::Minute, 2),
            'S' => number(Part::Second, 2),
            'e' => Item::PaddedDay,
            'b' | 'B' => Item::MonthName,
            'p' => Item::HalfOfDay,
            'f' => Item::Fraction,
            'z' => Item::Offset,
            'Z' => Item::Utc,
            other => {
                return Err(self.error(&format!(
                    "has the unknown specifier \"%{other}\"; known are \
                     %Y %y %m %d %e %b %B %j %H %I %p %M %S %f %z %Z %F %D %T %R %%"
                )));
            }
        };
        if self.seen.contains(&specifier) {
            return Err(self.error(&format!("has \"%{specifier}\" twice")));
        }
        self.seen.push(specifier);
        self.items.push(item);
        Ok(())
    }

    fn finish(mut self) -> Result<DateFormat, String> {
        // What is said in two ways could be said differently.
        for (ways, part) in
            [(&['Y', 'y'][..], "year"), (&['m', 'b', 'B', 'j'], "month"), (&['d', 'e', 'j'], "day")]
        {
            match ways.iter().filter(|way| self.seen.contains(way)).count() {
                0 => return Err(self.error(&format!("has no {part}"))),
                1 => {}
                _ => return Err(self.error(&format!("has two specifiers of the {part}"))),
            }
        }
        let has = |letter| self.seen.contains(&letter);
        if has('I') != has('p') {
            return Err(self.error("needs both of \"%I\" and \"%p\", or \"%H\""));
        }
        if has('I') && has('H') {
            return Err(self.error("has both \"%H\" and \"%I\""));
        }
        if has('z') && has('Z') {
            return Err(self.error("has both \"%z\" and \"%Z\""));
        }
        let has_zone = has('z') || has('Z');
        for index in 1..self.items.len() {
            if !self.items[index].begins_with_digit() {
                continue;
            }
            match &mut self.items[index - 1] {
                Item::Number { min, max, .. } => *min = *max,
                Item::PaddedDay | Item::Fraction | Item::Offset => {
                    return Err(
                        self.error("needs something between \"%e\", \"%f\" or \"%z\" and a number")
                    );
                }
                _ => {}
            }
        }
        Ok(DateFormat { items: self.items.into(), has_zone })
    }

    fn error(&self, trouble: &str) -> String {
        format!("the date format \"{}\" {trouble}", self.format)
    }
}

impl Item {
    fn begins_with_digit(self) -> bool {
        match self {
            Item::Literal(byte) => byte.is_ascii_digit(),
            Item::Number { .. } | Item::PaddedDay | Item::Fraction => true,
            Item::MonthName | Item::HalfOfDay | Item::Offset | Item::Utc => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::TimeUnit;
    use rand::{RngCore, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use crate::scan::csv::values::tests::parse_timestamp_us;
    use crate::scan::csv::values::{DateFormat, parse_date};

    fn format(format: &str) -> DateFormat {
        DateFormat::new(format).unwrap()
    }

    #[test]
    fn values_of_formats() {
        for (format_text, text, usual) in [
            ("%m/%d/%y %H:%M", "3/1/16 0:07", "2016-03-01 00:07:00"),
            ("%m/%d/%Y %H:%M", "03/01/2016 00:07", "2016-03-01 00:07:00"),
            ("%-m/%-d/%Y %I:%M:%S %p", "12/31/1999 12:05:09 am", "1999-12-31 00:05:09"),
            ("%p %I:%M %F", "PM 1:59 2020-02-29", "2020-02-29 13:59:00"),
            ("%I%p %F", "12PM 2020-02-29", "2020-02-29 12:00:00"),
            ("%m%d%Y", "02291904", "1904-02-29 00:00:00"),
            ("%Y%m%d%H%M%S", "20150115190539", "2015-01-15 19:05:39"),
            ("%d.%m.%Y", "1.2.2003", "2003-02-01 00:00:00"),
            ("%e %B %Y", " 9 september 1998", "1998-09-09 00:00:00"),
            ("%e-%b-%y", "30-MAY-68", "2068-05-30 00:00:00"),
            ("%b %e, %y", "Sept 9, 69", ""),
            ("%b %e, %y", "Sep 9, 69", "1969-09-09 00:00:00"),
            ("%Y-%j", "2016-366", "2016-12-31 00:00:00"),
            ("%Y%j", "2015001", "2015-01-01 00:00:00"),
            ("%j/%Y %T.%f", "60/2015 23:59:59.5", "2015-03-01 23:59:59.500000"),
            ("%D %R", "01/02/03 4:05", "2003-01-02 04:05:00"),
            ("%FT%T.%f%z", "2015-01-15T01:05:39.123456789-0330", "2015-01-15 04:35:39.123456"),
            ("%F %T %z", "2015-01-01 01:05:39 +02", "2014-12-31 23:05:39"),
            ("%F %T%z", "2015-01-01 01:05:39+02:00", "2014-12-31 23:05:39"),
            ("%F %T%z", "2015-01-01 01:05:39Z", "2015-01-01 01:05:39"),
            ("%F %T %Z", "2015-01-01 01:05:39 utc", "2015-01-01 01:05:39"),
            ("%F %T", "2015-01-01 01:05:60", "2015-01-01 01:06:00"),
            ("%%%Y år %m. %d", "%2015 år 7. 08", "2015-07-08 00:00:00"),
            ("%F", "0000-01-01", "0000-01-01 00:00:00"),
            ("%F", "9999-12-31", "9999-12-31 00:00:00"),
        ] {
            let parsed = format(format_text).parse_timestamp_us(text.as_bytes());
            assert_eq!(parsed, parse_timestamp_us(usual.as_bytes()), "{format_text} of {text:?}");
        }
        assert_eq!(format("%m/%d/%y").parse_date(b"1/2/70"), Some(1));
        assert_eq!(format("%F %T").parse_date(b"1969-12-31 23:00:00"), Some(-1));
        assert_eq!(format("%F %T%z").parse_date(b"1970-01-01 23:00:00-02:00"), Some(1));
    }

    #[test]
    fn what_is_not_of_the_format() {
        for (format_text, text) in [
            ("%m/%d/%Y", "2/30/2015"),
            ("%m/%d/%Y", "13/1/2015"),
            ("%m/%d/%Y", "0/1/2015"),
            ("%m/%d/%Y", "1/1/15"),
            ("%m/%d/%Y", "1/1/20155"),
            ("%m/%d/%Y", "1/1/2015 "),
            ("%m/%d/%Y", "1/1/"),
            ("%m/%d/%Y", "001/1/2015"),
            ("%m/%d/%Y", "1-1-2015"),
            ("%m/%d/%Y", ""),
            ("%m%d%Y", "1012015"),
            ("%Y-%j", "2015-366"),
            ("%Y-%j", "2015-0"),
            ("%F %R", "2015-01-01 24:00"),
            ("%F %R", "2015-01-01 23:60"),
            ("%F %T", "2015-01-01 23:59:61"),
            ("%F %I%p", "2015-01-01 13PM"),
            ("%F %I%p", "2015-01-01 0AM"),
            ("%F %I%p", "2015-01-01 1XM"),
            ("%F %T.%f", "2015-01-01 00:00:00."),
            ("%F %T.%f", "2015-01-01 00:00:00.1234567890"),
            ("%F%z", "2015-01-01+24"),
            ("%F%z", "2015-01-01+0160"),
            ("%F%z", "2015-01-01 01"),
            ("%F%Z", "2015-01-01PST"),
            ("%d %b %Y", "1 Foo 2015"),
            ("%d %b %Y", "1 \u{e9}t\u{e9} 2015"),
        ] {
            let format = format(format_text);
            assert_eq!(
                format.parse_timestamp_us(text.as_bytes()),
                None,
                "{format_text} of {text:?}"
            );
            assert_eq!(format.parse_date(text.as_bytes()), None, "{format_text} of {text:?}");
        }
    }

    #[test]
    fn every_format_meets_any_bytes() {
        let formats = ["%e%b%y%I%p%M%S", "%j.%Y %T.%f%z", "%F%Z", "%D %R", "%B%e, %Y"].map(format);
        let alphabet = b"0123456789 /-:.+aApPmMjJanuUtTcCzZ\0\xff";
        let mut random = ChaCha8Rng::seed_from_u64(1);
        for _ in 0..50_000 {
            let len = random.next_u32() % 24;
            let text: Vec<u8> =
                (0..len).map(|_| alphabet[random.next_u32() as usize % alphabet.len()]).collect();
            for format in &formats {
                let date = format.parse_timestamp_us(&text).map(|us| us.div_euclid(86_400_000_000));
                assert_eq!(format.parse_date(&text).map(i64::from), date, "{text:?}");
            }
        }
    }

    #[test]
    fn usual_dates_by_format() {
        let format = format("%d.%m.%Y");
        for days in (-719_528..2_932_897).step_by(17) {
            let date = chrono::DateTime::from_timestamp(i64::from(days) * 86_400, 0).unwrap();
            let usual = date.format("%Y-%m-%d").to_string();
            let written = date.format("%-d.%-m.%Y").to_string();
            assert_eq!(format.parse_date(written.as_bytes()), Some(days), "{written}");
            assert_eq!(parse_date(usual.as_bytes()), Some(days), "{usual}");
        }
    }

    #[test]
    fn fractions_in_units() {
        let format = format("%d.%m.%Y %T.%f");
        for (text, unit, cut, exact) in [
            ("2.1.1970 00:00:00.123456789", TimeUnit::Nanosecond, 123_456_789, true),
            ("2.1.1970 00:00:00.123456789", TimeUnit::Microsecond, 123_456, false),
            ("2.1.1970 00:00:00.123456000", TimeUnit::Microsecond, 123_456, true),
            ("2.1.1970 00:00:00.123456", TimeUnit::Millisecond, 123, false),
            ("2.1.1970 00:00:00.0", TimeUnit::Second, 0, true),
        ] {
            let parsed = format.parse_timestamp(text.as_bytes(), unit);
            let midnight = format.parse_timestamp(b"2.1.1970 00:00:00.0", unit);
            assert_eq!(parsed, midnight.map(|start| start + cut), "{text} in {unit:?}");
            let expected = parsed.filter(|_| exact);
            assert_eq!(format.parse_exact_timestamp(text.as_bytes(), unit), expected, "{text}");
        }
        // Beyond the years of nanoseconds.
        assert_eq!(format.parse_timestamp(b"1.1.1600 00:00:00.5", TimeUnit::Nanosecond), None);
    }

    #[test]
    fn kinds_of_formats() {
        assert!(!format("%F").has_zone());
        assert!(!format("%d %b %y, %Hh").has_zone());
        assert!(format("%F %T%z").has_zone());
    }

    #[test]
    fn formats_that_make_no_sense() {
        for (format, trouble) in [
            ("%Y-%m-%q", "unknown specifier \"%q\""),
            ("%Y-%m-%d%", "in the middle of a specifier"),
            ("%Y-%m-%-", "in the middle of a specifier"),
            ("%H:%M", "has no year"),
            ("%Y", "has no month"),
            ("%B %Y", "has no day"),
            ("%F %Y", "has \"%Y\" twice"),
            ("%F %y", "two specifiers of the year"),
            ("%F %j", "two specifiers of the month"),
            ("%F %I:%M", "needs both"),
            ("%F %R %p", "needs both"),
            ("%F %H %I %p", "has both \"%H\" and \"%I\""),
            ("%F %z %Z", "has both \"%z\" and \"%Z\""),
            ("%F %H:%M:%f%S", "something between"),
        ] {
            let error = DateFormat::new(format).unwrap_err();
            assert!(error.contains(trouble), "{error}");
            assert!(error.starts_with(&format!("the date format \"{format}\"")), "{error}");
        }
    }
}
