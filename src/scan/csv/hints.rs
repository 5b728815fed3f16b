//! What the user can do about a value that is not of its column's type.

use arrow::datatypes::{DataType, TimeUnit};

use super::convert::Rules;
use super::values::{
    DateFormat, parse_date, parse_exact_f64_styled, parse_exact_timestamp, parse_f64_styled,
    parse_i64_styled,
};
use crate::scan::options::OptionValue;

/// A column of a file, as far as its values are concerned.
#[derive(Clone, Copy)]
pub(super) struct HintedColumn<'a> {
    pub(super) rules: &'a Rules,
    /// Its place in the file.
    pub(super) place: usize,
    pub(super) name: &'a str,
    pub(super) data_type: &'a DataType,
}

impl HintedColumn<'_> {
    /// The hint of an error about `value`, which is not of the column's type: the type that keeps
    /// all of it, if there is one.
    pub(super) fn hint(&self, value: &[u8]) -> String {
        let better = match self.data_type {
            integer if integer.is_integer() => self.beyond_integers(value),
            DataType::Float64 => self.beyond_doubles(value),
            DataType::Date32 => self.beyond_dates(value),
            DataType::Timestamp(_, zone) => self.beyond_timestamps(value, zone.is_some()),
            _ => None,
        };
        better.unwrap_or_else(|| self.as_text(value))
    }

    /// `types = {'name': 'TYPE'}`.
    fn types(&self, data_type: &str) -> String {
        let data_type = OptionValue::Text(data_type.to_string());
        let types = OptionValue::Struct(vec![(self.name.to_string(), data_type)]);
        format!("types = {}", types.to_sql())
    }

    /// Read the column as text; a word may also mean NULL.
    fn as_text(&self, value: &[u8]) -> String {
        /// Longer words are not likely to stand for a value that is missing.
        const LONGEST_WORD: usize = 30;
        let text = format!("read the column as text, with {}", self.types("VARCHAR"));
        match str::from_utf8(value) {
            Ok(word) if value.len() <= LONGEST_WORD && !value.iter().any(u8::is_ascii_digit) => {
                let word = OptionValue::Text(word.to_string()).to_sql();
                format!("{text}, or name the word that means NULL: nullstr = {word}")
            }
            _ => text,
        }
    }

    fn beyond_integers(&self, value: &[u8]) -> Option<String> {
        let numbers = self.rules.numbers();
        if parse_i64_styled(value, numbers).is_some() {
            let is_small = *self.data_type != DataType::Int64;
            let bigger = || format!("read the column with {}", self.types("BIGINT"));
            return self.front(value).or_else(|| is_small.then(bigger));
        }
        if parse_exact_f64_styled(value, numbers).is_some() {
            return Some(format!("read the column with {}", self.types("DOUBLE")));
        }
        self.beyond_doubles(value)
    }

    fn beyond_doubles(&self, value: &[u8]) -> Option<String> {
        /// Digits of the largest decimal.
        const DIGITS: usize = 38;
        let numbers = self.rules.numbers();
        parse_f64_styled(value, numbers)?;
        let front = self.front(value);
        if front.is_some() || parse_exact_f64_styled(value, numbers).is_some() {
            return front;
        }
        let point = value.iter().position(|byte| *byte == numbers.decimal);
        let scale = point.map_or(0, |point| value.len() - point - 1);
        let as_text = self.types("VARCHAR");
        Some(match value.len() <= DIGITS {
            true => format!(
                "a DOUBLE would not keep its digits: read the column with {} or {as_text}",
                self.types(&format!("DECIMAL({DIGITS}, {scale})"))
            ),
            false => format!("a DOUBLE would not keep its digits: read the column with {as_text}"),
        })
    }

    /// What a number would lose at its front, if its column was found to be one of numbers.
    fn front(&self, value: &[u8]) -> Option<String> {
        let digits = value.strip_prefix(b"-").unwrap_or(value);
        let front = match digits.first() {
            Some(b'0') => "leading zero",
            Some(b'+') => "plus sign",
            _ => return None,
        };
        self.rules.is_found(self.place).then(|| {
            let text = self.types("VARCHAR");
            format!("as a number it would lose its {front}: read the column as text, with {text}")
        })
    }

    fn beyond_dates(&self, value: &[u8]) -> Option<String> {
        if !self.rules.is_found(self.place) || self.rules.format(self.place).is_some() {
            return None;
        }
        let data_type = match moment_type(value) {
            // Of the other dates, the zone is not known.
            Some(zoned) if zoned.starts_with("TIMESTAMPTZ") => return None,
            Some(plain) => plain,
            // Given, the type takes other forms of dates as well.
            None => parse_date(value).map(|_| "DATE")?,
        };
        Some(format!("read the column with {}", self.types(data_type)))
    }

    fn beyond_timestamps(&self, value: &[u8], zoned: bool) -> Option<String> {
        if !self.rules.is_found(self.place) {
            return None;
        }
        let data_type = match self.rules.format(self.place) {
            None => moment_type(value)?,
            Some(format) => format_type(format, value, zoned)?,
        };
        if zoned == data_type.starts_with("TIMESTAMPTZ") {
            return Some(format!("read the column with {}", self.types(data_type)));
        }
        let data_type = if zoned { self.types("TIMESTAMPTZ") } else { self.types(data_type) };
        let text = self.types("VARCHAR");
        let which = if zoned { "this one, which has none, is" } else { "those without one are" };
        Some(format!(
            "some timestamps have a zone: if {which} in UTC, read the column with {data_type}, \
             else with {text}"
        ))
    }
}

/// The type that keeps all of a timestamp as ISO 8601 writes it.
fn moment_type(value: &[u8]) -> Option<&'static str> {
    let plain = |unit| parse_exact_timestamp::<false>(value, unit).is_some();
    let zoned = |unit| parse_exact_timestamp::<true>(value, unit).is_some();
    if plain(TimeUnit::Microsecond) {
        Some("TIMESTAMP")
    } else if plain(TimeUnit::Nanosecond) {
        Some("TIMESTAMP(9)")
    } else if zoned(TimeUnit::Microsecond) {
        Some("TIMESTAMPTZ")
    } else {
        zoned(TimeUnit::Nanosecond).then_some("TIMESTAMPTZ(9)")
    }
}

/// The type that keeps all of a timestamp of a format.
fn format_type(format: &DateFormat, value: &[u8], zoned: bool) -> Option<&'static str> {
    format.parse_exact_timestamp(value, TimeUnit::Nanosecond)?;
    Some(if zoned { "TIMESTAMPTZ(9)" } else { "TIMESTAMP(9)" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::csv::dialect::Dialect;

    fn hint(dialect: &Dialect, data_type: &DataType, value: &str) -> String {
        let rules = Rules::new(dialect, &[data_type]).expect("the formats are valid");
        HintedColumn { rules: &rules, place: 0, name: "v", data_type }.hint(value.as_bytes())
    }

    #[test]
    fn hints_name_the_type_that_keeps_the_value() {
        let found = Dialect { found: vec![true], ..Dialect::default() };
        let given = Dialect::default();
        let micros = DataType::Timestamp(TimeUnit::Microsecond, None);
        let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into()));
        let types = |data_type: &str| format!("types = {{'v': '{data_type}'}}");
        let with = |data_type: &str| format!("read the column with {}", types(data_type));
        let text = format!("read the column as text, with {}", types("VARCHAR"));
        let word =
            |word: &str| format!("{text}, or name the word that means NULL: nullstr = {word}");
        let front = |front: &str| format!("as a number it would lose its {front}: {text}");
        let digits = |data_type: &str| {
            let (decimal, text) = (with(data_type), types("VARCHAR"));
            format!("a DOUBLE would not keep its digits: {decimal} or {text}")
        };
        let zone = |which: &str| {
            let (zoned, text) = (with("TIMESTAMPTZ"), types("VARCHAR"));
            format!("some timestamps have a zone: if {which} in UTC, {zoned}, else with {text}")
        };
        for (dialect, data_type, value, expected) in [
            (&found, &DataType::Int64, "07072", front("leading zero")),
            (&found, &DataType::Int64, "+4912", front("plus sign")),
            (&found, &DataType::Int64, "17.25", with("DOUBLE")),
            (&found, &DataType::Int64, "12345678901234567890", digits("DECIMAL(38, 0)")),
            (&found, &DataType::Int64, "n/a?", word("'n/a?'")),
            (&found, &DataType::Int64, "it's", word("'it''s'")),
            (&found, &DataType::Int64, "12 ", text.clone()),
            (&given, &DataType::Int32, "17.25", with("DOUBLE")),
            (&given, &DataType::Int8, "128", with("BIGINT")),
            (&found, &DataType::Float64, "07.5", front("leading zero")),
            (&found, &DataType::Float64, "12345678901234567.89", digits("DECIMAL(38, 2)")),
            (&found, &DataType::Float64, "1e400", text.clone()),
            (&found, &DataType::Date32, "2015-12-31 23:30:00", with("TIMESTAMP")),
            (&found, &DataType::Date32, "20151231", with("DATE")),
            (&found, &DataType::Date32, "2015-12-31 23:30:00Z", text.clone()),
            (&found, &micros, "2015-12-31 23:30:00+02:00", zone("those without one are")),
            (&found, &micros, "2015-12-31 23:30:00.123456789", with("TIMESTAMP(9)")),
            (&found, &micros, "later", word("'later'")),
            (&found, &utc, "2015-12-31 23:30:00", zone("this one, which has none, is")),
            (&given, &DataType::Boolean, "2", text.clone()),
        ] {
            assert_eq!(hint(dialect, data_type, value), expected, "{value} in {data_type}");
        }
        let format = Some("%d.%m.%Y %T.%f".to_string());
        let formatted = Dialect { formats: vec![format], ..found };
        assert_eq!(hint(&formatted, &micros, "1.2.2015 01:02:03.1234567"), with("TIMESTAMP(9)"));
    }
}
