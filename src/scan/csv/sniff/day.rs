//! How the dates and timestamps of a column are written.
//!
//! The usual formats are tried on the first value, and those that fit on all others. A column in
//! which every date could be read with the day first and with the month first is none.

use std::sync::LazyLock;

use arrow::datatypes::TimeUnit;

use crate::scan::csv::values::DateFormat;

/// A format that is tried.
#[derive(Debug)]
pub(super) struct Format {
    pub(super) text: String,
    pub(super) has_time: bool,
    parser: DateFormat,
    /// Whether days and months must have two digits: `1.2.10` is a version rather than a date.
    is_padded: bool,
}

impl Format {
    /// Whether a value is written so, and nothing of it is lost.
    fn fits(&self, field: &[u8]) -> bool {
        let is_padded = |field: &[u8]| (field.get(2), field.get(5)) == (Some(&b'.'), Some(&b'.'));
        self.parser.parse_exact_timestamp(field, TimeUnit::Microsecond).is_some()
            && (!self.is_padded || is_padded(field))
            && (!self.has_time || has_whole_minutes(field))
    }
}

/// Whether two digits follow each colon: `10:5` could be half past ten.
fn has_whole_minutes(field: &[u8]) -> bool {
    let mut parts = field.split(|byte| *byte == b':').skip(1);
    parts.all(|part| part.len() >= 2 && part[..2].iter().all(u8::is_ascii_digit))
}

/// All formats that are tried.
static FORMATS: LazyLock<Vec<Format>> = LazyLock::new(|| {
    let mut dates = Vec::new();
    for separator in ["/", "-", "."] {
        let mut add = |parts: [&str; 3]| dates.push(parts.join(separator));
        add(["%Y", "%m", "%d"]);
        add(["%d", "%m", "%Y"]);
        // Dots stand between parts where the day comes first.
        if separator != "." {
            add(["%m", "%d", "%Y"]);
        }
        // Years of two digits are only told from days by a slash, or by the name of the month.
        if separator == "/" {
            add(["%d", "%m", "%y"]);
            add(["%m", "%d", "%y"]);
        }
    }
    dates.push(PADDED.to_string());
    for year in ["%Y", "%y"] {
        for separator in ["/", "-", ".", " "] {
            dates.push(["%d", "%b", year].join(separator));
            if separator != "." {
                dates.push(["%b", "%d", year].join(separator));
            }
        }
        dates.push(format!("%b %d, {year}"));
    }
    let mut times = vec![String::new()];
    for before in [" ", "T"] {
        for (hour, half) in [("%H", ""), ("%I", " %p")] {
            for seconds in ["", ":%S", ":%S.%f"] {
                times.push(format!("{before}{hour}:%M{seconds}{half}"));
            }
        }
    }
    let all = dates.iter().flat_map(|date| times.iter().map(move |time| (date, time)));
    let all = all.filter_map(|(date, time)| {
        let text = format!("{date}{time}");
        let parser = DateFormat::new(&text).ok()?;
        Some(Format { text, has_time: !time.is_empty(), parser, is_padded: date == PADDED })
    });
    all.collect()
});

/// The date whose days and months must have two digits.
const PADDED: &str = "%d.%m.%y";

/// What the values of a column have been so far.
#[derive(Debug, Clone, Default)]
pub(super) enum Days {
    /// No value was seen.
    #[default]
    Unseen,
    /// All values fit these formats; none at all if there is none.
    Alike(Vec<&'static Format>),
}

impl Days {
    /// Looks at one value.
    pub(super) fn add(&mut self, field: &[u8]) {
        match self {
            Days::Unseen => {
                let fit = FORMATS.iter().filter(|format| format.fits(field));
                *self = Days::Alike(fit.collect());
            }
            Days::Alike(formats) => formats.retain(|format| format.fits(field)),
        }
    }

    /// The format of the column, if all values have one and there is no doubt about it.
    pub(super) fn format(&self) -> Option<&'static Format> {
        match self {
            Days::Alike(formats) if formats.len() == 1 => formats.first().copied(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(values: &[&str]) -> Option<String> {
        let mut days = Days::default();
        values.iter().for_each(|value| days.add(value.as_bytes()));
        days.format().map(|format| format.text.clone())
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
            (&["January 5, 2011", "Feb 6, 2011"], "%b %d, %Y"),
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
            &["31/12/2015", "30/02/2015"],
            &["1/13/2015 0:30 AM"],
            &["1/13/2015 13:00 PM"],
            &["13/01/2015 10:5"],
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

    #[test]
    fn all_dates_go_with_all_times() {
        assert_eq!(FORMATS.len(), 27 * 13);
    }
}
