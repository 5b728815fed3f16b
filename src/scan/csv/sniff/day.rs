//! How the dates and timestamps of a column are written.
//!
//! A value such as `3/1/16 0:07` is taken apart into numbers and what separates them. All values of
//! a column must be made alike; then the order of day, month and year follows from those values
//! that leave no other. A column in which every date could be read both ways is none.

use super::kind::is_of_microseconds;

/// Whether a date has this part first, second or third.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Orders {
    /// Month, day, year.
    mdy: bool,
    /// Day, month, year.
    dmy: bool,
    /// Year, month, day.
    ymd: bool,
}

/// What all values of a column have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shape {
    separator: Separator,
    /// Whether the month is a name.
    named_month: bool,
    /// Digits of the year: 2 or 4.
    year_digits: usize,
    time: Option<Time>,
}

/// What stands between the parts of a date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Separator {
    /// The same byte twice: `/`, `-`, `.` or a space.
    Byte(u8),
    /// As in `Jan 5, 2011`.
    Comma,
}

/// The form of a time of day after the date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Time {
    /// A space or `T`.
    before: u8,
    seconds: bool,
    fraction: bool,
    /// AM or PM follows a space.
    half: bool,
}

/// What the values of a column have been so far.
#[derive(Debug, Clone, Copy, Default)]
pub(super) enum Days {
    /// No value was seen.
    #[default]
    Unseen,
    Alike(Alike),
    /// Some value is no date, or is written differently.
    None,
}

/// Dates that are written alike.
#[derive(Debug, Clone, Copy)]
pub(super) struct Alike {
    shape: Shape,
    orders: Orders,
}

impl Days {
    /// Looks at one value.
    pub(super) fn add(&mut self, field: &[u8]) {
        let found = match self {
            Days::None => return,
            _ => parse(field),
        };
        *self = match (*self, found) {
            (Days::Unseen, Some(alike)) => Days::Alike(alike),
            (Days::Alike(a), Some(b)) if a.shape == b.shape => {
                let orders = Orders {
                    mdy: a.orders.mdy && b.orders.mdy,
                    dmy: a.orders.dmy && b.orders.dmy,
                    ymd: a.orders.ymd && b.orders.ymd,
                };
                let any = orders.mdy || orders.dmy || orders.ymd;
                if any { Days::Alike(Alike { orders, ..a }) } else { Days::None }
            }
            _ => Days::None,
        };
    }

    /// The format of the column and whether it has a time of day, if all values have one and there
    /// is no doubt about it.
    pub(super) fn format(&self) -> Option<(String, bool)> {
        let Days::Alike(Alike { shape, orders }) = self else { return None };
        let year = if shape.year_digits == 4 { "%Y" } else { "%y" };
        let month = if shape.named_month { "%b" } else { "%m" };
        let parts = match orders {
            Orders { mdy: true, dmy: false, ymd: false } => [month, "%d", year],
            Orders { mdy: false, dmy: true, ymd: false } => ["%d", month, year],
            Orders { mdy: false, dmy: false, ymd: true } => [year, month, "%d"],
            _ => return None,
        };
        let mut format = match shape.separator {
            Separator::Byte(byte) => parts.join(&char::from(byte).to_string()),
            Separator::Comma => format!("{} {}, {}", parts[0], parts[1], parts[2]),
        };
        if let Some(time) = shape.time {
            format.push(char::from(time.before));
            format.push_str(if time.half { "%I:%M" } else { "%H:%M" });
            format.push_str(if time.seconds { ":%S" } else { "" });
            format.push_str(if time.fraction { ".%f" } else { "" });
            format.push_str(if time.half { " %p" } else { "" });
        }
        Some((format, shape.time.is_some()))
    }
}

/// A number at the front: its value, its digits and the rest. At most four digits.
fn number(text: &[u8]) -> Option<(u32, usize, &[u8])> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if !(1..=4).contains(&digits) {
        return None;
    }
    let value = text[..digits].iter().fold(0, |value, byte| value * 10 + u32::from(byte - b'0'));
    Some((value, digits, &text[digits..]))
}

/// The name of a month, of three letters, at the front, and the rest.
fn month_name(text: &[u8]) -> Option<&[u8]> {
    const MONTHS: [&[u8; 3]; 12] = [
        b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov",
        b"dec",
    ];
    let (name, rest) = text.split_at_checked(3)?;
    let known = MONTHS.iter().any(|month| name.eq_ignore_ascii_case(*month));
    (known && !rest.first().is_some_and(u8::is_ascii_alphabetic)).then_some(rest)
}

fn parse(field: &[u8]) -> Option<Alike> {
    const LONGEST: usize = 40;
    if field.len() > LONGEST {
        return None;
    }
    // A month's name comes first or second; in its place the order is certain.
    if let Some(rest) = month_name(field) {
        return month_first(rest);
    }
    let (first, first_digits, rest) = number(field)?;
    let (separator, rest) = rest.split_first()?;
    if !matches!(separator, b'/' | b'-' | b'.' | b' ') {
        return None;
    }
    let is_day = |value: u32, digits: usize| (1..=31).contains(&value) && digits <= 2;
    let is_month = |value: u32, digits: usize| (1..=12).contains(&value) && digits <= 2;
    let orders_only = |mdy, dmy, ymd| Orders { mdy, dmy, ymd };
    if let Some(rest) = month_name(rest) {
        let rest = rest.strip_prefix(std::slice::from_ref(separator))?;
        let (_, year_digits, rest) = number(rest)?;
        let shape = shape(Separator::Byte(*separator), true, year_digits, rest)?;
        let certain = Alike { shape, orders: orders_only(false, true, false) };
        return is_day(first, first_digits).then_some(certain);
    }
    if *separator == b' ' {
        return None;
    }
    let (second, second_digits, rest) = number(rest)?;
    let rest = rest.strip_prefix(std::slice::from_ref(separator))?;
    let (third, third_digits, rest) = number(rest)?;
    if first_digits == 4 {
        let shape = shape(Separator::Byte(*separator), false, 4, rest)?;
        let valid = is_month(second, second_digits) && is_day(third, third_digits);
        return valid.then_some(Alike { shape, orders: orders_only(false, false, true) });
    }
    // Those of versions, such as 1.2.10, are no dates.
    let short = first_digits.min(second_digits) < 2;
    if *separator == b'.' && third_digits == 2 && short {
        return None;
    }
    let shape = shape(Separator::Byte(*separator), false, third_digits, rest)?;
    let orders = Orders {
        // Dots stand between parts where the day comes first.
        mdy: *separator != b'.' && is_month(first, first_digits) && is_day(second, second_digits),
        dmy: is_day(first, first_digits) && is_month(second, second_digits),
        ymd: false,
    };
    (orders.mdy || orders.dmy).then_some(Alike { shape, orders })
}

/// `Jan 5, 2011` or `Jan-05-2011`, after the month.
fn month_first(rest: &[u8]) -> Option<Alike> {
    let (separator, rest) = rest.split_first()?;
    if !matches!(separator, b'/' | b'-' | b' ') {
        return None;
    }
    let (day, day_digits, rest) = number(rest)?;
    let (separator, rest) = match rest.strip_prefix(b", ") {
        Some(rest) if *separator == b' ' => (Separator::Comma, rest),
        _ => (Separator::Byte(*separator), rest.strip_prefix(std::slice::from_ref(separator))?),
    };
    let (_, year_digits, rest) = number(rest)?;
    let shape = shape(separator, true, year_digits, rest)?;
    let valid = (1..=31).contains(&day) && day_digits <= 2;
    valid.then_some(Alike { shape, orders: Orders { mdy: true, dmy: false, ymd: false } })
}

/// The shape of a date with what follows it.
fn shape(
    separator: Separator,
    named_month: bool,
    year_digits: usize,
    rest: &[u8],
) -> Option<Shape> {
    // Years of two digits are only told from days by a slash, or by the name of the month.
    let short = matches!(separator, Separator::Byte(b'/')) || named_month;
    if !(year_digits == 4 || year_digits == 2 && (short || separator == Separator::Byte(b'.'))) {
        return None;
    }
    let time = match rest.split_first() {
        None => None,
        Some((before @ (b' ' | b'T'), rest)) => Some(time(*before, rest)?),
        Some(_) => return None,
    };
    Some(Shape { separator, named_month, year_digits, time })
}

/// What follows two digits of minutes or seconds.
fn two_digits(text: &[u8]) -> Option<&[u8]> {
    number(text).filter(|(value, digits, _)| *digits == 2 && *value <= 59).map(|(.., rest)| rest)
}

fn time(before: u8, text: &[u8]) -> Option<Time> {
    let (hour, hour_digits, rest) = number(text)?;
    if hour > 23 || hour_digits > 2 {
        return None;
    }
    let (mut seconds, mut fraction) = (false, false);
    let mut rest = two_digits(rest.strip_prefix(b":")?)?;
    if let Some(after) = rest.strip_prefix(b":") {
        rest = two_digits(after)?;
        seconds = true;
        if let Some(after) = rest.strip_prefix(b".") {
            let digits = after.iter().take_while(|byte| byte.is_ascii_digit()).count();
            if !(1..=9).contains(&digits) || !is_of_microseconds(&after[..digits]) {
                return None;
            }
            rest = &after[digits..];
            fraction = true;
        }
    }
    let half = rest.eq_ignore_ascii_case(b" am") || rest.eq_ignore_ascii_case(b" pm");
    (half || rest.is_empty()).then_some(Time { before, seconds, fraction, half })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(values: &[&str]) -> Option<String> {
        let mut days = Days::default();
        values.iter().for_each(|value| days.add(value.as_bytes()));
        days.format().map(|(format, _)| format)
    }

    #[test]
    fn orders_follow_from_values() {
        for (values, expected) in [
            (&["01/02/2015", "01/13/2015"][..], "%m/%d/%Y"),
            (&["1/2/2015", "13/1/2015"], "%d/%m/%Y"),
            (&["3/1/16 0:07", "3/31/16 23:59"], "%m/%d/%y %H:%M"),
            (&["31.12.2012", "1.1.2013"], "%d.%m.%Y"),
            (&["01.02.2012"], "%d.%m.%Y"),
            (&["2015/01/02"], "%Y/%m/%d"),
            (&["2015-1-2"], "%Y-%m-%d"),
            (&["25-12-2015 10:00:01.5"], "%d-%m-%Y %H:%M:%S.%f"),
            (&["5/19/2006 12:00:00 AM"], "%m/%d/%Y %I:%M:%S %p"),
            (&["05-Jan-2011", "6-feb-2011"], "%d-%b-%Y"),
            (&["Jan 5, 2011"], "%b %d, %Y"),
            (&["5 Mar 99"], "%d %b %y"),
        ] {
            assert_eq!(format(values).as_deref(), Some(expected), "{values:?}");
        }
    }

    #[test]
    fn doubtful_and_mixed_columns_have_none() {
        for values in [
            &["01/02/2015", "03/04/2015"][..],
            &["13/01/2015", "01/13/2015"],
            &["13/01/2015", "13.01.2015"],
            &["13/01/2015", "13/01/15"],
            &["13/01/2015", "13/01/2015 00:00"],
            &["13/01/2015", "x"],
            &["32/01/2015"],
            &["01-13-15"],
            &["1.2.3"],
            &["1.2.10"],
            &["1/2"],
            &["12345"],
            &["20150102"],
            &["13/01/2015 24:00"],
            &["13/01/2015 10:00:00.123456789"],
            &["Janet 5, 2011"],
            &[],
        ] {
            assert_eq!(format(values), None, "{values:?}");
        }
    }
}
