//! Formats of dates and times: `%Y-%m-%d %H:%M:%S`.

use datafusion::common::exec_err;
use datafusion::error::Result;

/// A format, in its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Format(pub(super) Vec<Item>);

/// A part of a format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Item {
    /// Text as it is.
    Literal(String),
    Field(Field),
    /// A number without leading zeros.
    Bare(Field),
}

/// A part of a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    WeekdayShort,
    Weekday,
    /// 0 is Sunday.
    WeekdayFromSunday,
    /// 1 is Monday, 7 is Sunday.
    WeekdayFromMonday,
    Day,
    /// A day of two places, the first a blank.
    BlankDay,
    MonthShort,
    MonthName,
    Month,
    YearOfCentury,
    Year,
    Hour,
    Hour12,
    AmPm,
    Minute,
    Second,
    Milli,
    Micro,
    Nano,
    Offset,
    Zone,
    DayOfYear,
    /// 0 before the first Sunday.
    WeekFromSunday,
    /// 0 before the first Monday.
    WeekFromMonday,
    IsoYear,
    IsoWeek,
}

impl Format {
    /// The parts of a format.
    ///
    /// # Errors
    /// `Execution` for a letter that is none.
    pub(super) fn parse(format: &str, function: &str) -> Result<Self> {
        let mut items = Items::default();
        items.add(format, format, function)?;
        Ok(Format(items.items))
    }

    /// Whether there is a field like this.
    pub(super) fn has(&self, wanted: &[Field]) -> bool {
        self.0.iter().any(|item| match item {
            Item::Literal(_) => false,
            Item::Field(field) | Item::Bare(field) => wanted.contains(field),
        })
    }
}

#[derive(Default)]
struct Items {
    items: Vec<Item>,
}

impl Items {
    fn literal(&mut self, c: char) {
        match self.items.last_mut() {
            Some(Item::Literal(text)) => text.push(c),
            _ => self.items.push(Item::Literal(c.to_string())),
        }
    }

    /// Adds a part of a format, or what a letter stands for.
    fn add(&mut self, part: &str, format: &str, function: &str) -> Result<()> {
        let mut chars = part.chars();
        while let Some(c) = chars.next() {
            if c != '%' {
                self.literal(c);
                continue;
            }
            let mut letter = chars.next();
            let bare = letter == Some('-');
            if bare {
                letter = chars.next();
            }
            let Some(letter) = letter else {
                return exec_err!("{function}: the format \"{format}\" ends after %");
            };
            if letter == '%' && !bare {
                self.literal('%');
            } else if let (Some(several), false) = (several(letter), bare) {
                self.add(several, format, function)?;
            } else if let Some(field) = field(letter) {
                self.items.push(if bare { Item::Bare(field) } else { Item::Field(field) });
            } else {
                let minus = if bare { "-" } else { "" };
                return exec_err!(
                    "{function}: the format \"{format}\" has %{minus}{letter}, which means nothing"
                );
            }
        }
        Ok(())
    }
}

/// Letters that stand for several.
fn several(letter: char) -> Option<&'static str> {
    Some(match letter {
        'c' => "%Y-%m-%d %H:%M:%S",
        'x' | 'F' => "%Y-%m-%d",
        'X' | 'T' => "%H:%M:%S",
        'R' => "%H:%M",
        'D' => "%m/%d/%y",
        _ => return None,
    })
}

fn field(letter: char) -> Option<Field> {
    Some(match letter {
        'a' => Field::WeekdayShort,
        'A' => Field::Weekday,
        'w' => Field::WeekdayFromSunday,
        'u' => Field::WeekdayFromMonday,
        'd' => Field::Day,
        'e' => Field::BlankDay,
        'b' | 'h' => Field::MonthShort,
        'B' => Field::MonthName,
        'm' => Field::Month,
        'y' => Field::YearOfCentury,
        'Y' => Field::Year,
        'H' => Field::Hour,
        'I' => Field::Hour12,
        'p' => Field::AmPm,
        'M' => Field::Minute,
        'S' => Field::Second,
        'g' => Field::Milli,
        'f' => Field::Micro,
        'n' => Field::Nano,
        'z' => Field::Offset,
        'Z' => Field::Zone,
        'j' => Field::DayOfYear,
        'U' => Field::WeekFromSunday,
        'W' => Field::WeekFromMonday,
        'G' => Field::IsoYear,
        'V' => Field::IsoWeek,
        _ => return None,
    })
}

/// The names of days, from Monday.
pub(super) const DAYS: [&str; 7] =
    ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// The names of months.
pub(super) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
