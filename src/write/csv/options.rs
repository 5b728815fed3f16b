//! What the user says about the CSV files that are written.

use std::collections::HashMap;

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::parsers::CompressionTypeVariant;
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;

use crate::error::{Error, Result};
use crate::output::{CsvStyle, Forced, MomentFormat, Quotes};
use crate::scan::csv::{Dialect, Encoding, Newline};
use crate::scan::literal::parse_value;
use crate::scan::options::{Given, OptionValue, no_option, parse_compression};

/// How CSV files are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CsvWriteOptions {
    pub(crate) style: CsvStyle,
    pub(crate) compression: FileCompressionType,
    /// The compression's own default when `None`.
    pub(crate) compression_level: Option<u32>,
    /// Whether a quote inside of quotes is doubled, if that is said.
    double_quote: Option<bool>,
}

impl Default for CsvWriteOptions {
    fn default() -> Self {
        CsvWriteOptions {
            style: CsvStyle::default(),
            compression: FileCompressionType::UNCOMPRESSED,
            compression_level: None,
            double_quote: None,
        }
    }
}

/// Names of an option, the usual one first, and what it sets.
type OptionNames = (&'static [&'static str], fn(&mut CsvWriteOptions, &Given<'_>) -> Result<()>);

/// Options that reading knows too, by the same names.
const SHARED: [OptionNames; 10] = [
    (&["delim", "sep", "delimiter"], |o, given| {
        o.style.delimiter = given.byte()?;
        Ok(())
    }),
    (&["quote", "quotechar"], |o, given| {
        o.style.quote = given.byte_or_none()?;
        Ok(())
    }),
    (&["escape", "escapechar"], |o, given| {
        o.style.escape = given.byte_or_none()?;
        Ok(())
    }),
    (&["comment"], |o, given| {
        o.style.comment = given.byte_or_none()?;
        Ok(())
    }),
    (&["header", "has_header"], |o, given| {
        o.style.header = given.boolean()?;
        Ok(())
    }),
    (&["nullstr", "null_value", "null"], |o, given| {
        o.style.null_text = given.text()?;
        Ok(())
    }),
    (&["decimal_separator", "decimal"], |o, given| {
        o.style.decimal = match given.byte() {
            Ok(decimal @ (b'.' | b',')) => decimal,
            _ => return Err(given.must_be("'.' or ','")),
        };
        Ok(())
    }),
    (&["dateformat", "date_format"], |o, given| {
        o.style.date_format = format(given, &DataType::Date32)?;
        Ok(())
    }),
    (&["timestampformat", "timestamp_format", "datetime_format"], |o, given| {
        o.style.timestamp_format = format(given, &TIMESTAMP)?;
        Ok(())
    }),
    (&["compression"], |o, given| {
        let compression = parse_compression(&given.text()?)?;
        o.compression = compression.unwrap_or(FileCompressionType::UNCOMPRESSED);
        Ok(())
    }),
];

/// Options that only writing has.
const OWN: [OptionNames; 9] = [
    (&["timestamptzformat", "timestamp_tz_format"], |o, given| {
        o.style.timestamptz_format = format(given, &TIMESTAMP)?;
        Ok(())
    }),
    (&["timeformat", "time_format"], |o, given| {
        o.style.time_format = format(given, &DataType::Time64(TimeUnit::Microsecond))?;
        Ok(())
    }),
    (&["quote_style", "quoting"], |o, given| {
        o.style.quotes = match given.text()?.to_lowercase().replace('_', "").as_str() {
            "needed" | "necessary" | "minimal" => Quotes::Needed,
            "nonnumeric" => Quotes::NonNumeric,
            "always" | "all" => Quotes::Always,
            "never" | "none" => Quotes::Never,
            _ => return Err(given.must_be("necessary, non_numeric, always or never")),
        };
        Ok(())
    }),
    (&["force_quote"], |o, given| {
        o.style.forced = match given.texts()?.as_slice() {
            [all] if all == "*" => Forced::All,
            [] => Forced::None,
            names => Forced::Columns(names.to_vec()),
        };
        Ok(())
    }),
    (&["newline", "new_line", "terminator", "lineterminator"], |o, given| {
        o.style.newline = match given.text()?.to_lowercase().as_str() {
            "\n" | r"\n" | "lf" => "\n",
            "\r\n" | r"\r\n" | "crlf" => "\r\n",
            "\r" | r"\r" | "cr" => "\r",
            _ => return Err(given.must_be(r"'\n', '\r\n' or '\r'")),
        };
        Ok(())
    }),
    (&["double_quote"], |o, given| {
        o.double_quote = Some(given.boolean()?);
        Ok(())
    }),
    (&["compression_level"], |o, given| {
        o.compression_level = Some(given.count()?.try_into().unwrap_or(u32::MAX));
        Ok(())
    }),
    (&["ignore_leading_whitespace"], |o, given| {
        o.style.trims_front = given.boolean()?;
        Ok(())
    }),
    (&["ignore_trailing_whitespace"], |o, given| {
        o.style.trims_end = given.boolean()?;
        Ok(())
    }),
];

const TIMESTAMP: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);

/// A format of values of a type; `None` for `auto`.
fn format(given: &Given<'_>, data_type: &DataType) -> Result<Option<String>> {
    let text = given.text()?;
    if matches!(text.as_str(), "auto" | "") {
        return Ok(None);
    }
    match MomentFormat::new(&text, data_type) {
        Ok(_) if text.contains('%') => Ok(Some(text)),
        Ok(_) => Err(given.must_be("a format such as '%d.%m.%Y'")),
        Err(allowed) => Err(given.must_be(&allowed)),
    }
}

impl CsvWriteOptions {
    /// Reads the `OPTIONS (…)` of a `COPY`. `delimiter` is that of the format.
    ///
    /// # Errors
    /// `Config` for an option that is not known, a value that is not allowed, and options that
    /// contradict each other.
    pub(crate) fn from_sql(options: &HashMap<String, String>, delimiter: u8) -> Result<Self> {
        let mut parsed = CsvWriteOptions::default();
        parsed.style.delimiter = delimiter;
        for (key, text) in options {
            let lower = key.to_lowercase();
            // Those of writing files at all.
            if lower.starts_with("execution.") {
                continue;
            }
            let name = lower.strip_prefix("format.").unwrap_or(&lower);
            let all = SHARED.iter().chain(&OWN);
            let Some((names, set)) = all.clone().find(|(names, _)| names.contains(&name)) else {
                let names: Vec<_> = all.map(|(names, _)| *names).collect();
                return Err(no_option("CSV", name, &names));
            };
            // Other values may begin so and mean it.
            let list = if names[0] == "force_quote" { parse_value(text) } else { None };
            let value = list.unwrap_or_else(|| OptionValue::Text(text.clone()));
            set(&mut parsed, &Given { name, value: &value })?;
        }
        parsed.finished()
    }

    /// Sets an option that only writing has; gives whether it is one.
    ///
    /// # Errors
    /// `Config` if the value is not allowed.
    pub(crate) fn set_own(&mut self, given: &Given<'_>) -> Result<bool> {
        let option = OWN.iter().find(|(names, _)| names.contains(&given.name));
        option.map_or(Ok(false), |(_, set)| set(self, given).map(|()| true))
    }

    /// The options for files that are to be read like others.
    ///
    /// # Errors
    /// `Config` if the encoding is one that is only read, or these options contradict the dialect.
    pub(crate) fn like(mut self, dialect: &Dialect) -> Result<Self> {
        if dialect.encoding != Encoding::Utf8 {
            return Err(Error::config("rows can only be added to CSV files in UTF-8"));
        }
        let style = &mut self.style;
        style.delimiter = dialect.delimiter;
        style.quote = dialect.quote;
        style.escape = dialect.escape;
        style.comment = dialect.comment;
        style.header = dialect.header;
        style.decimal = dialect.decimal;
        style.skipped_lines = dialect.skip_lines;
        if dialect.newline == Newline::Cr {
            style.newline = "\r";
        }
        if dialect.null_words_in_text {
            style.null_words = dialect.null_words.clone();
        }
        style.date_format = dialect.date_format.clone();
        style.timestamp_format = dialect.timestamp_format.clone();
        style.column_formats = dialect.formats.clone();
        self.compression = dialect.compression;
        self.finished()
    }

    /// With what follows from several options.
    fn finished(mut self) -> Result<Self> {
        let style = &mut self.style;
        if style.timestamptz_format.is_none() {
            style.timestamptz_format = style.timestamp_format.clone();
        }
        // A quote that escapes itself is one that is doubled.
        style.escape = style.escape.filter(|escape| Some(*escape) != style.quote);
        match (self.double_quote, style.escape) {
            (Some(true), Some(_)) => {
                return Err(Error::config("double_quote and escape contradict each other"));
            }
            (Some(false), None) => style.escape = Some(b'\\'),
            _ => {}
        }
        style.check()?;
        if let Some(level) = self.compression_level {
            check_level(self.compression, level)?;
        }
        Ok(self)
    }
}

fn check_level(compression: FileCompressionType, level: u32) -> Result<()> {
    let (name, levels) = match compression.get_variant() {
        CompressionTypeVariant::GZIP => ("gzip", 0..=9),
        CompressionTypeVariant::BZIP2 => ("bzip2", 1..=9),
        CompressionTypeVariant::XZ => ("xz", 0..=9),
        CompressionTypeVariant::ZSTD => ("zstd", 1..=22),
        CompressionTypeVariant::UNCOMPRESSED => {
            return Err(Error::config("compression_level is given without a compression"));
        }
    };
    if levels.contains(&level) {
        return Ok(());
    }
    let (first, last) = levels.into_inner();
    Err(Error::config(format!("the compression_level of {name} is {first} to {last}, not {level}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(options: &[(&str, &str)]) -> Result<CsvWriteOptions> {
        let options = options.iter().map(|(name, value)| (name.to_string(), value.to_string()));
        CsvWriteOptions::from_sql(&options.collect(), b',')
    }

    #[test]
    fn names_and_values() {
        let usual = CsvStyle::default();
        for (name, value, expected) in [
            ("delim", ";", CsvStyle { delimiter: b';', ..usual.clone() }),
            ("format.delimiter", r"\t", CsvStyle { delimiter: b'\t', ..usual.clone() }),
            ("QUOTE", "'", CsvStyle { quote: Some(b'\''), ..usual.clone() }),
            ("quote", "", CsvStyle { quote: None, ..usual.clone() }),
            ("escape", "\\", CsvStyle { escape: Some(b'\\'), ..usual.clone() }),
            ("escape", "\"", usual.clone()),
            ("double_quote", "false", CsvStyle { escape: Some(b'\\'), ..usual.clone() }),
            ("double_quote", "true", usual.clone()),
            ("format.has_header", "false", CsvStyle { header: false, ..usual.clone() }),
            ("nullstr", "[NULL]", CsvStyle { null_text: "[NULL]".into(), ..usual.clone() }),
            ("null_value", "-", CsvStyle { null_text: "-".into(), ..usual.clone() }),
            ("quote_style", "NonNumeric", CsvStyle { quotes: Quotes::NonNumeric, ..usual.clone() }),
            ("quote_style", "necessary", usual.clone()),
            ("force_quote", "*", CsvStyle { forced: Forced::All, ..usual.clone() }),
            (
                "force_quote",
                "['a', 'b,c']",
                CsvStyle {
                    forced: Forced::Columns(vec!["a".into(), "b,c".into()]),
                    ..usual.clone()
                },
            ),
            (
                "force_quote",
                "a",
                CsvStyle { forced: Forced::Columns(vec!["a".into()]), ..usual.clone() },
            ),
            ("decimal_separator", ",", CsvStyle { decimal: b',', ..usual.clone() }),
            ("newline", r"\r\n", CsvStyle { newline: "\r\n", ..usual.clone() }),
            ("terminator", "\r", CsvStyle { newline: "\r", ..usual.clone() }),
            (
                "dateformat",
                "%d.%m.%y",
                CsvStyle { date_format: Some("%d.%m.%y".into()), ..usual.clone() },
            ),
            ("time_format", "%H%M", CsvStyle { time_format: Some("%H%M".into()), ..usual.clone() }),
            (
                "timestampformat",
                "%F %Hh",
                CsvStyle {
                    timestamp_format: Some("%F %Hh".into()),
                    timestamptz_format: Some("%F %Hh".into()),
                    ..usual.clone()
                },
            ),
            ("ignore_leading_whitespace", "true", CsvStyle { trims_front: true, ..usual.clone() }),
            ("execution.keep_partition_by_columns", "true", usual.clone()),
        ] {
            assert_eq!(parse(&[(name, value)]).unwrap().style, expected, "{name} {value}");
        }
        let options = parse(&[("compression", "zstd"), ("compression_level", "19")]).unwrap();
        assert_eq!(options.compression, FileCompressionType::ZSTD);
        assert_eq!(options.compression_level, Some(19));
    }

    #[test]
    fn what_is_refused() {
        for (options, trouble) in [
            (&[("format.colour", "red")][..], "no CSV option \"colour\""),
            (&[("skip", "1")], "no CSV option \"skip\""),
            (&[("delim", "ab")], "the option \"delim\" must be one ASCII character, not \"ab\""),
            (&[("delim", "\"")], "the delimiter and the quote are both '\\\"'"),
            (&[("escape", ",")], "the delimiter and the escape are both ','"),
            (&[("comment", "\"")], "the quote and the comment sign are both '\\\"'"),
            (&[("newline", "x")], r#"the option "newline" must be '\n', '\r\n' or '\r', not "x""#),
            (
                &[("quote_style", "some")],
                "the option \"quote_style\" must be necessary, non_numeric, always or never, \
                 not \"some\"",
            ),
            (
                &[("quote", ""), ("quote_style", "always")],
                "fields are to be quoted, and there is no quote",
            ),
            (
                &[("quote", ""), ("force_quote", "*")],
                "fields are to be quoted, and there is no quote",
            ),
            (&[("nullstr", "a\nb")], "the text of NULL, 'a\nb', holds '\\n'"),
            (&[("nullstr", "!"), ("comment", "!")], "the text of NULL, '!', begins a comment"),
            (&[("decimal", "x")], "the option \"decimal\" must be '.' or ',', not \"x\""),
            (
                &[("dateformat", "DD.MM.")],
                "the option \"dateformat\" must be a format such as '%d.%m.%Y', not \"DD.MM.\"",
            ),
            (
                &[("timeformat", "%Y")],
                "the option \"timeformat\" must be a format of times, not \"%Y\"",
            ),
            (
                &[("double_quote", "true"), ("escape", "\\")],
                "double_quote and escape contradict each other",
            ),
            (&[("compression_level", "3")], "compression_level is given without a compression"),
            (
                &[("compression", "gzip"), ("compression_level", "10")],
                "the compression_level of gzip is 0 to 9, not 10",
            ),
        ] {
            assert_eq!(parse(options).unwrap_err().to_string(), trouble);
        }
        let hint = parse(&[("delmiter", ";")]).unwrap_err();
        assert_eq!(hint.hint(), Some("did you mean \"delimiter\"?"));
    }

    #[test]
    fn like_the_files_of_a_table() {
        let dialect = Dialect {
            delimiter: b'|',
            quote: None,
            header: false,
            newline: Newline::Cr,
            null_words: vec!["NA".into()],
            null_words_in_text: true,
            formats: vec![None, Some("%d.%m.%Y".into())],
            ..Dialect::default()
        };
        let options = CsvWriteOptions::default().like(&dialect).unwrap();
        let expected = CsvStyle {
            delimiter: b'|',
            quote: None,
            header: false,
            newline: "\r",
            null_words: vec!["NA".into()],
            column_formats: vec![None, Some("%d.%m.%Y".into())],
            ..CsvStyle::default()
        };
        assert_eq!(options.style, expected);
        let latin = Dialect { encoding: Encoding::Latin1, ..Dialect::default() };
        let error = CsvWriteOptions::default().like(&latin).unwrap_err().to_string();
        assert_eq!(error, "rows can only be added to CSV files in UTF-8");
    }
}
