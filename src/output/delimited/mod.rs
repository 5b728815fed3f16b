//! CSV and its relatives, after RFC 4180 except for what [`CsvStyle`] says: [`Lines`] makes the text
//! of batches, for query results here and for files in [`crate::write`].
//!
//! NULL is an empty field unless it has a text, and the empty text is `""`, so that a reader can tell
//! them apart.

mod formats;
mod quoting;
mod results;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Schema};

use super::cells::{Cells, Form, into_text, printable};
use super::types::is_numeric;
use crate::error::{Error, Result, column_hint};
pub(crate) use formats::MomentFormat;
use quoting::Quoting;
pub(super) use results::DelimitedWriter;

/// How fields and lines are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CsvStyle {
    /// The byte between fields.
    pub(crate) delimiter: u8,
    /// The byte around fields; `None`: fields are never quoted.
    pub(crate) quote: Option<u8>,
    /// The byte before a quote inside of quotes; `None`: it is doubled.
    pub(crate) escape: Option<u8>,
    /// A byte that no line may begin with, besides `#`.
    pub(crate) comment: Option<u8>,
    /// Whether the names of the columns come first.
    pub(crate) header: bool,
    /// What NULL is.
    pub(crate) null_text: String,
    /// Whether a NULL that is alone on its line may look like the empty text.
    pub(crate) lone_null_is_empty: bool,
    /// More words that are taken for NULL where they are not in quotes.
    pub(crate) null_words: Vec<String>,
    /// Which fields are quoted.
    pub(crate) quotes: Quotes,
    /// Columns that are quoted whatever `quotes` says.
    pub(crate) forced: Forced,
    /// The byte before the fraction of a number.
    pub(crate) decimal: u8,
    /// Formats of dates, of timestamps without and with a zone, and of times, where they are not
    /// as ISO 8601 has them.
    pub(crate) date_format: Option<String>,
    pub(crate) timestamp_format: Option<String>,
    pub(crate) timestamptz_format: Option<String>,
    pub(crate) time_format: Option<String>,
    /// Formats of the first columns, in place of those.
    pub(crate) column_formats: Vec<Option<String>>,
    /// What ends a line.
    pub(crate) newline: &'static str,
    /// Whether blanks at the front of a text are left out.
    pub(crate) trims_front: bool,
    /// Whether blanks at the end of a text are left out.
    pub(crate) trims_end: bool,
    /// Empty lines before all else.
    pub(crate) skipped_lines: usize,
}

impl Default for CsvStyle {
    fn default() -> Self {
        CsvStyle {
            delimiter: b',',
            quote: Some(b'"'),
            escape: None,
            comment: None,
            header: true,
            null_text: String::new(),
            lone_null_is_empty: false,
            null_words: Vec::new(),
            quotes: Quotes::Needed,
            forced: Forced::None,
            decimal: b'.',
            date_format: None,
            timestamp_format: None,
            timestamptz_format: None,
            time_format: None,
            column_formats: Vec::new(),
            newline: "\n",
            trims_front: false,
            trims_end: false,
            skipped_lines: 0,
        }
    }
}

/// Which fields are quoted. NULL never is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quotes {
    /// Those that could be misread.
    Needed,
    /// Those, and all that are not numbers.
    NonNumeric,
    /// All.
    Always,
    /// None; a value that could be misread is an error.
    Never,
}

/// Columns whose values are all quoted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Forced {
    /// None.
    None,
    /// Those of these names.
    Columns(Vec<String>),
    /// All.
    All,
}

impl CsvStyle {
    /// Whether the parts of the style go together.
    ///
    /// # Errors
    /// `Config` if they do not.
    pub(crate) fn check(&self) -> Result<()> {
        let shown = |byte: u8| char::from(byte).escape_default();
        let marks = [
            ("delimiter", Some(self.delimiter)),
            ("quote", self.quote),
            ("escape", self.escape),
            ("comment sign", self.comment),
        ];
        for (index, (name, byte)) in marks.iter().enumerate() {
            let other = marks[..index].iter().find(|(_, other)| byte.is_some() && other == byte);
            if let (Some((other, _)), Some(byte)) = (other, byte) {
                let what = format!("the {other} and the {name} are both '{}'", shown(*byte));
                return Err(Error::config(what));
            }
        }
        if !matches!(self.decimal, b'.' | b',') {
            return Err(Error::config("the decimal separator must be '.' or ','"));
        }
        let null = &self.null_text;
        let bytes = marks[..2].iter().filter_map(|(_, byte)| *byte).chain(*b"\n\r");
        for byte in bytes {
            if null.as_bytes().contains(&byte) {
                let what = format!("the text of NULL, '{null}', holds '{}'", shown(byte));
                return Err(Error::config(what).with_hint("it is written without quotes"));
            }
        }
        if self.comment.is_some() && null.as_bytes().first().copied() == self.comment {
            return Err(Error::config(format!("the text of NULL, '{null}', begins a comment")));
        }
        let wants_quotes = matches!(self.quotes, Quotes::Always | Quotes::NonNumeric);
        if self.quote.is_none() && (wants_quotes || self.forced != Forced::None) {
            return Err(Error::config("fields are to be quoted, and there is no quote"));
        }
        if self.quotes == Quotes::Never && self.forced != Forced::None {
            return Err(Error::config("fields are to be quoted and never to be quoted"));
        }
        Ok(())
    }

    /// The byte around fields that are quoted, if any are.
    fn usable_quote(&self) -> Option<u8> {
        self.quote.filter(|_| self.quotes != Quotes::Never)
    }

    /// The format of a column's values; `None` if it has none.
    ///
    /// # Errors
    /// `Config` if the format is not one of such values.
    fn format_of(&self, column: usize, data_type: &DataType) -> Result<Option<MomentFormat>> {
        let usual = match data_type {
            DataType::Date32 | DataType::Date64 => &self.date_format,
            DataType::Timestamp(_, None) => &self.timestamp_format,
            DataType::Timestamp(_, Some(_)) => &self.timestamptz_format,
            DataType::Time32(_) | DataType::Time64(_) => &self.time_format,
            _ => return Ok(None),
        };
        let own = self.column_formats.get(column).and_then(Option::as_ref);
        let Some(format) = own.or(usual.as_ref()) else { return Ok(None) };
        let compiled = MomentFormat::new(format, data_type);
        compiled.map(Some).map_err(|allowed| Error::config(format!("'{format}' is not {allowed}")))
    }
}

/// Makes the lines of tables of one schema.
#[derive(Debug)]
pub(crate) struct Lines {
    style: CsvStyle,
    quoting: Quoting,
    columns: Vec<LineColumn>,
}

/// What is known of a column before its values are.
#[derive(Debug)]
struct LineColumn {
    name: String,
    data_type: DataType,
    format: Option<MomentFormat>,
    is_forced: bool,
}

/// When the fields of a column are quoted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Treatment {
    /// If they are empty.
    Plain,
    /// If they need it.
    Look,
    /// Always.
    Quote,
}

impl Lines {
    /// Lines of a style for tables of a schema.
    ///
    /// # Errors
    /// `Config` if the style contradicts itself or the schema.
    pub(crate) fn new(style: CsvStyle, schema: &Schema) -> Result<Self> {
        style.check()?;
        let words = style.null_words.iter().chain([&style.null_text]);
        let words = words.map(|word| word.as_bytes().to_vec());
        let CsvStyle { delimiter, quote, escape, comment, .. } = style;
        let quoting = Quoting::new(delimiter, quote, escape, comment, words);
        let mut columns = Vec::with_capacity(schema.fields().len());
        for (index, field) in schema.fields().iter().enumerate() {
            columns.push(LineColumn {
                name: field.name().clone(),
                data_type: field.data_type().clone(),
                format: style.format_of(index, values_type(field.data_type()))?,
                is_forced: style.forced == Forced::All,
            });
        }
        if let Forced::Columns(names) = &style.forced {
            for name in names {
                let exact = columns.iter().position(|column| column.name == *name);
                let place = exact.or_else(|| {
                    columns.iter().position(|column| column.name.eq_ignore_ascii_case(name))
                });
                let Some(place) = place else {
                    let names: Vec<String> = columns.into_iter().map(|c| c.name).collect();
                    let error = Error::config(format!("force_quote: no column \"{name}\""));
                    return Err(column_hint(name, &names)
                        .into_iter()
                        .fold(error, Error::with_hint));
                };
                columns[place].is_forced = true;
            }
        }
        Ok(Lines { style, quoting, columns })
    }

    /// Appends what comes before the rows.
    ///
    /// # Errors
    /// `Query` if a name needs quotes and must not have any.
    pub(crate) fn push_head(&self, out: &mut Vec<u8>) -> Result<()> {
        for _ in 0..self.style.skipped_lines {
            out.extend_from_slice(self.style.newline.as_bytes());
        }
        if !self.style.header || self.columns.is_empty() {
            return Ok(());
        }
        let treatment = match self.style.quotes {
            Quotes::Always | Quotes::NonNumeric => Treatment::Quote,
            Quotes::Needed | Quotes::Never => Treatment::Look,
        };
        for (index, column) in self.columns.iter().enumerate() {
            if index > 0 {
                out.push(self.style.delimiter);
            }
            let start = out.len();
            out.extend_from_slice(column.name.as_bytes());
            if !self.quoted(treatment, start, index == 0, out) {
                let shown = printable(&column.name).into_owned();
                return Err(no_quotes(&format!("the name of column \"{shown}\"")));
            }
        }
        out.extend_from_slice(self.style.newline.as_bytes());
        Ok(())
    }

    /// Prepares the rows of a batch.
    ///
    /// # Errors
    /// `Query` if a value has no text.
    pub(crate) fn rows<'a>(&'a self, batch: &'a RecordBatch) -> Result<Rows<'a>> {
        let mut columns = Vec::with_capacity(self.columns.len());
        for (column, array) in self.columns.iter().zip(batch.columns()) {
            let cells = self.cells(column, array)?;
            let treatment = self.treatment(column, cells.form());
            columns.push(RowColumn { cells, treatment });
        }
        Ok(Rows { lines: self, columns, count: batch.num_rows() })
    }

    fn cells<'a>(&self, column: &'a LineColumn, array: &'a ArrayRef) -> Result<Cells<'a>> {
        let Some(format) = &column.format else {
            return Ok(self.edited(column, Cells::new(array.as_ref())?));
        };
        let in_column = |err: Error| Error::query(format!("column \"{}\": {err}", column.name));
        if values_type(array.data_type()) == array.data_type() {
            let push = format.prepare(array.as_ref()).map_err(in_column)?;
            return Ok(Cells::of_texts(array.as_ref(), push));
        }
        // Dictionaries and runs of moments.
        let values = cast(array, values_type(array.data_type()))?;
        let push = format.prepare(values.as_ref()).map_err(in_column)?;
        let texts = (0..values.len()).map(|row| {
            let mut text = Vec::new();
            if values.is_valid(row) {
                push(row, &mut text);
            }
            text
        });
        let texts: Vec<Vec<u8>> = texts.collect();
        let push = move |row: usize, out: &mut Vec<u8>| out.extend_from_slice(&texts[row]);
        Ok(Cells::of_texts(array.as_ref(), Box::new(push)))
    }

    /// With the decimal separator of the style, and without the blanks that it leaves out.
    fn edited<'a>(&self, column: &LineColumn, cells: Cells<'a>) -> Cells<'a> {
        let CsvStyle { decimal, trims_front, trims_end, .. } = self.style;
        let is_text = cells.form() == Form::Text;
        if decimal != b'.' && is_numeric(&column.data_type) {
            cells.edited(move |start, out| {
                if let Some(point) = out[start..].iter().position(|byte| *byte == b'.') {
                    out[start + point] = decimal;
                }
            })
        } else if is_text && (trims_front || trims_end) {
            cells.edited(move |start, out| {
                if trims_end {
                    let kept = out[start..].trim_ascii_end().len();
                    out.truncate(start + kept);
                }
                if trims_front {
                    let kept = out[start..].trim_ascii_start().len();
                    out.drain(start..out.len() - kept);
                }
            })
        } else {
            cells
        }
    }

    fn treatment(&self, column: &LineColumn, form: Form) -> Treatment {
        let is_quoted = match self.style.quotes {
            Quotes::Always => true,
            Quotes::NonNumeric => !is_numeric(&column.data_type),
            Quotes::Needed | Quotes::Never => false,
        };
        if is_quoted || column.is_forced {
            return Treatment::Quote;
        }
        let has_comma = self.style.decimal == self.style.delimiter && is_numeric(&column.data_type);
        if self.quoting.leaves(form) && !has_comma { Treatment::Plain } else { Treatment::Look }
    }

    /// Puts the field that begins at `start` into quotes where it gets them; `false` if it must have
    /// them and cannot.
    #[inline]
    fn quoted(
        &self,
        treatment: Treatment,
        start: usize,
        is_first: bool,
        out: &mut Vec<u8>,
    ) -> bool {
        let gets_quotes = match treatment {
            Treatment::Plain => out.len() == start,
            Treatment::Look => self.quoting.needs_quotes(&out[start..], is_first),
            Treatment::Quote => true,
        };
        if !gets_quotes {
            return true;
        }
        match self.style.usable_quote() {
            Some(quote) => {
                self.quoting.enclose(quote, start, out);
                true
            }
            None => !self.quoting.must_quote(&out[start..], is_first),
        }
    }
}

/// The rows of a batch on their way to lines.
#[derive(Debug)]
pub(crate) struct Rows<'a> {
    lines: &'a Lines,
    columns: Vec<RowColumn<'a>>,
    count: usize,
}

#[derive(Debug)]
struct RowColumn<'a> {
    cells: Cells<'a>,
    treatment: Treatment,
}

impl Rows<'_> {
    /// How many lines there are: as many as rows, or none if these have no columns.
    pub(crate) fn count(&self) -> usize {
        if self.columns.is_empty() { 0 } else { self.count }
    }

    /// Appends the line of a row.
    ///
    /// # Errors
    /// `Query` if a value needs quotes and must not have any.
    #[inline]
    pub(crate) fn push(&self, row: usize, out: &mut Vec<u8>) -> Result<()> {
        let lines = self.lines;
        for (index, column) in self.columns.iter().enumerate() {
            if index > 0 {
                out.push(lines.style.delimiter);
            }
            if column.cells.is_null(row) {
                out.extend_from_slice(lines.style.null_text.as_bytes());
                if self.columns.len() == 1 && lines.style.null_text.is_empty() {
                    self.push_lonely_null(out)?;
                }
                continue;
            }
            let start = out.len();
            column.cells.push_text(row, out);
            if !lines.quoted(column.treatment, start, index == 0, out) {
                return Err(self.refused(index, start, out));
            }
        }
        out.extend_from_slice(lines.style.newline.as_bytes());
        Ok(())
    }

    /// Readers skip empty lines, so a NULL that is alone on its line has to be visible. In quotes, it
    /// is an empty text where texts are read.
    fn push_lonely_null(&self, out: &mut Vec<u8>) -> Result<()> {
        let Lines { style, quoting, columns } = self.lines;
        let mut words = style.null_words.iter();
        if let Some(word) = words.find(|word| quoting.leaves_word(word.as_bytes())) {
            out.extend_from_slice(word.as_bytes());
            return Ok(());
        }
        let LineColumn { name, data_type, .. } = &columns[0];
        let may_be_empty = style.lone_null_is_empty
            || style.null_words.iter().any(String::is_empty)
            || !has_empty_value(data_type);
        let what = match style.usable_quote() {
            Some(quote) if may_be_empty => {
                out.extend_from_slice(&[quote, quote]);
                return Ok(());
            }
            Some(_) => format!("NULL in column \"{name}\" would be an empty text"),
            None => format!("NULL in column \"{name}\" would be an empty line"),
        };
        Err(Error::query(what).with_hint("nullstr gives NULL a text"))
    }

    /// That the field from `start` on needs quotes.
    #[cold]
    fn refused(&self, column: usize, start: usize, out: &mut Vec<u8>) -> Error {
        /// Of a longer value only so much is shown.
        const SHOWN_CHARS: usize = 60;
        let text = into_text(out.split_off(start));
        let shown: String = printable(&text).chars().take(SHOWN_CHARS).collect();
        let name = &self.lines.columns[column].name;
        no_quotes(&format!("the value '{shown}' of column \"{name}\""))
    }
}

fn no_quotes(what: &str) -> Error {
    Error::query(format!("{what} cannot be written without quotes"))
        .with_hint("quotes are allowed with a quote and another quote_style than never")
}

/// Whether a value may have no text.
fn has_empty_value(data_type: &DataType) -> bool {
    let values = values_type(data_type);
    values.is_string() || values.is_binary()
}

/// The type of the values themselves, of a column that may be encoded.
fn values_type(data_type: &DataType) -> &DataType {
    match data_type {
        DataType::Dictionary(_, values) => values_type(values),
        DataType::RunEndEncoded(_, values) => values_type(values.data_type()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        BinaryArray, BooleanArray, Date32Array, DictionaryArray, Float64Array, Int64Array,
        ListArray, StringArray, TimestampSecondArray,
    };
    use arrow::datatypes::{Int8Type, Int32Type};

    use super::*;

    fn try_written(style: CsvStyle, batch: &RecordBatch) -> Result<String> {
        let lines = Lines::new(style, &batch.schema())?;
        let mut out = Vec::new();
        lines.push_head(&mut out)?;
        let rows = lines.rows(batch)?;
        for row in 0..rows.count() {
            rows.push(row, &mut out)?;
        }
        Ok(String::from_utf8(out).unwrap())
    }

    fn written(style: CsvStyle, batch: &RecordBatch) -> String {
        try_written(style, batch).unwrap()
    }

    fn table(columns: impl IntoIterator<Item = (&'static str, ArrayRef)>) -> RecordBatch {
        let columns = columns.into_iter().map(|(name, column)| (name, column, true));
        RecordBatch::try_from_iter_with_nullable(columns).unwrap()
    }

    fn mixed() -> RecordBatch {
        table([
            ("n", Arc::new(Int64Array::from(vec![Some(1), None])) as ArrayRef),
            ("x", Arc::new(Float64Array::from(vec![-0.5, 12.0]))),
            ("b", Arc::new(BooleanArray::from(vec![true, false]))),
            ("day", Arc::new(Date32Array::from(vec![Some(16_450), None]))),
            ("at", Arc::new(TimestampSecondArray::from(vec![1_421_348_739, 0]))),
            ("text", Arc::new(StringArray::from(vec![Some("a \"b\""), Some("")]))),
        ])
    }

    #[test]
    fn quotes_of_every_style() {
        let style = |quotes| CsvStyle { quotes, newline: "\r\n", ..CsvStyle::default() };
        assert_eq!(
            written(style(Quotes::Needed), &mixed()),
            "n,x,b,day,at,text\r\n\
             1,-0.5,true,2015-01-15,2015-01-15 19:05:39,\"a \"\"b\"\"\"\r\n\
             ,12.0,false,,1970-01-01 00:00:00,\"\"\r\n"
        );
        assert_eq!(
            written(style(Quotes::NonNumeric), &mixed()),
            "\"n\",\"x\",\"b\",\"day\",\"at\",\"text\"\r\n\
             1,-0.5,\"true\",\"2015-01-15\",\"2015-01-15 19:05:39\",\"a \"\"b\"\"\"\r\n\
             ,12.0,\"false\",,\"1970-01-01 00:00:00\",\"\"\r\n"
        );
        let always = CsvStyle { escape: Some(b'\\'), ..style(Quotes::Always) };
        assert_eq!(
            written(CsvStyle { header: false, ..always }, &mixed()).lines().next(),
            Some(
                "\"1\",\"-0.5\",\"true\",\"2015-01-15\",\"2015-01-15 19:05:39\",\
                 \"a \\\"b\\\"\""
            )
        );
        let forced = Forced::Columns(vec!["N".to_string(), "day".to_string()]);
        let some = CsvStyle { forced, header: false, ..CsvStyle::default() };
        assert_eq!(
            written(some, &mixed()),
            "\"1\",-0.5,true,\"2015-01-15\",2015-01-15 19:05:39,\"a \"\"b\"\"\"\n\
             ,12.0,false,,1970-01-01 00:00:00,\"\"\n"
        );
    }

    #[test]
    fn values_that_never_get_quotes() {
        let never =
            CsvStyle { quotes: Quotes::Never, null_text: "-".into(), ..CsvStyle::default() };
        let texts = |texts: Vec<Option<&str>>| {
            table([("a", Arc::new(StringArray::from(texts)) as ArrayRef)])
        };
        assert_eq!(written(never.clone(), &texts(vec![Some(" x'y "), None])), "a\n x'y \n-\n");
        for text in ["", "-", "a,b", "a\nb", "say \"x\"", "#1"] {
            let error = try_written(never.clone(), &texts(vec![Some(text)])).unwrap_err();
            let shown = text.replace('\n', "\\n");
            let expected =
                format!("the value '{shown}' of column \"a\" cannot be written without quotes");
            assert_eq!(error.to_string(), expected);
        }
        let none = CsvStyle { quote: None, ..CsvStyle::default() };
        assert_eq!(written(none.clone(), &texts(vec![Some("say \"x\"")])), "a\nsay \"x\"\n");
        let error = try_written(none.clone(), &texts(vec![None])).unwrap_err().to_string();
        assert_eq!(error, "NULL in column \"a\" would be an empty line");
        let name = table([("a,b", Arc::new(Int64Array::from(vec![1])) as ArrayRef)]);
        let error = try_written(none, &name).unwrap_err().to_string();
        assert_eq!(error, "the name of column \"a,b\" cannot be written without quotes");
    }

    #[test]
    fn null_is_not_its_text() {
        let texts = StringArray::from(vec![None, Some("NA"), Some(""), Some("none"), Some("x")]);
        let numbers = Int64Array::from(vec![Some(7), None, Some(-7), None, None]);
        let batch = table([("t", Arc::new(texts) as ArrayRef), ("n", Arc::new(numbers))]);
        let style = CsvStyle {
            null_text: "NA".into(),
            null_words: vec!["none".into()],
            ..CsvStyle::default()
        };
        assert_eq!(
            written(style.clone(), &batch),
            "t,n\nNA,7\n\"NA\",NA\n\"\",-7\n\"none\",NA\nx,NA\n"
        );
        let seven = CsvStyle { null_text: "7".into(), ..style };
        assert_eq!(written(seven, &batch), "t,n\n7,\"7\"\nNA,7\n\"\",-7\n\"none\",7\nx,7\n");
    }

    #[test]
    fn one_column() {
        let numbers = Int64Array::from(vec![Some(1), None]);
        let batch = table([("", Arc::new(numbers) as ArrayRef)]);
        assert_eq!(written(CsvStyle::default(), &batch), "\"\"\n1\n\"\"\n");
        let style = CsvStyle { null_text: "NULL".into(), skipped_lines: 2, ..CsvStyle::default() };
        assert_eq!(written(style, &batch), "\n\n\"\"\n1\nNULL\n");

        // Among texts, `""` is one.
        let texts = StringArray::from(vec![Some(""), None]);
        let texts = table([("t", Arc::new(texts) as ArrayRef)]);
        let error = try_written(CsvStyle::default(), &texts).unwrap_err();
        assert_eq!(error.to_string(), "NULL in column \"t\" would be an empty text");
        assert_eq!(error.hint(), Some("nullstr gives NULL a text"));
        let words = |words: &[&str]| words.iter().map(ToString::to_string).collect();
        for (style, expected) in [
            (CsvStyle { null_text: "-".into(), ..CsvStyle::default() }, "t\n\"\"\n-\n"),
            (
                CsvStyle { null_words: words(&["a,b", "NA"]), ..CsvStyle::default() },
                "t\n\"\"\nNA\n",
            ),
            (CsvStyle { null_words: words(&[""]), ..CsvStyle::default() }, "t\n\"\"\n\"\"\n"),
            (CsvStyle { lone_null_is_empty: true, ..CsvStyle::default() }, "t\n\"\"\n\"\"\n"),
        ] {
            assert_eq!(written(style, &texts), expected);
        }
    }

    #[test]
    fn formats_and_decimal_commas() {
        let style = CsvStyle {
            decimal: b',',
            date_format: Some("%d.%m.%Y".into()),
            timestamp_format: Some("%H,%M".into()),
            column_formats: vec![None, None, None, Some("%e/%-m".into())],
            ..CsvStyle::default()
        };
        let first =
            |style, batch: &RecordBatch| written(style, batch).lines().nth(1).unwrap().to_string();
        assert_eq!(
            first(style.clone(), &mixed()),
            "1,\"-0,5\",true,15/1,\"19,05\",\"a \"\"b\"\"\""
        );
        let style = CsvStyle { delimiter: b';', column_formats: Vec::new(), ..style };
        assert_eq!(first(style.clone(), &mixed()), "1;-0,5;true;15.01.2015;19,05;\"a \"\"b\"\"\"");
        let values = Arc::new(Date32Array::from(vec![Some(0), None]));
        let keys = [Some(0), Some(1), None].into_iter().collect();
        let days = DictionaryArray::<Int8Type>::try_new(keys, values).unwrap();
        let days = table([
            ("day", Arc::new(days) as ArrayRef),
            ("n", Arc::new(Int64Array::from(vec![1; 3]))),
        ]);
        assert_eq!(written(style, &days), "day;n\n01.01.1970;1\n;1\n;1\n");
        let wrong = CsvStyle { date_format: Some("%Q".into()), ..CsvStyle::default() };
        let error = try_written(wrong, &mixed()).unwrap_err().to_string();
        assert!(error.starts_with("'%Q' is not a format"), "{error}");
    }

    #[test]
    fn delimiters_that_values_hold() {
        let colon = CsvStyle { delimiter: b':', header: false, ..CsvStyle::default() };
        assert_eq!(
            written(colon, &mixed()).lines().next(),
            Some("1:-0.5:true:2015-01-15:\"2015-01-15 19:05:39\":\"a \"\"b\"\"\"")
        );
        let minus = CsvStyle { delimiter: b'-', header: false, ..CsvStyle::default() };
        let line = written(minus, &mixed());
        assert!(line.starts_with("1-\"-0.5\"-true-\"2015-01-15\"-"), "{line}");
    }

    #[test]
    fn nested_and_binary_values() {
        let list = ListArray::from_iter_primitive::<Int32Type, _, _>(vec![
            Some(vec![Some(1), Some(2)]),
            Some(vec![]),
        ]);
        let bytes = BinaryArray::from_vec(vec![b"\x00\xff", b""]);
        let batch = table([("l", Arc::new(list) as ArrayRef), ("b", Arc::new(bytes))]);
        assert_eq!(written(CsvStyle::default(), &batch), "l,b\n\"[1,2]\",00ff\n[],\"\"\n");
    }

    #[test]
    fn blanks_may_be_left_out() {
        let texts = StringArray::from(vec![" a b ", "  ", ""]);
        let batch = table([
            ("t", Arc::new(texts) as ArrayRef),
            ("n", Arc::new(Int64Array::from(vec![1; 3]))),
        ]);
        let trimmed = |trims_front, trims_end| {
            written(CsvStyle { trims_front, trims_end, ..CsvStyle::default() }, &batch)
        };
        assert_eq!(trimmed(false, false), "t,n\n\" a b \",1\n\"  \",1\n\"\",1\n");
        assert_eq!(trimmed(true, true), "t,n\na b,1\n\"\",1\n\"\",1\n");
        assert_eq!(trimmed(true, false), "t,n\n\"a b \",1\n\"\",1\n\"\",1\n");
        assert_eq!(trimmed(false, true), "t,n\n\" a b\",1\n\"\",1\n\"\",1\n");
    }

    #[test]
    fn styles_that_contradict_themselves() {
        let base = CsvStyle::default;
        for (style, trouble) in [
            (CsvStyle { quote: Some(b','), ..base() }, "the delimiter and the quote are both ','"),
            (CsvStyle { escape: Some(b'"'), ..base() }, "the quote and the escape are both '\\\"'"),
            (CsvStyle { decimal: b'x', ..base() }, "the decimal separator must be '.' or ','"),
            (CsvStyle { null_text: "a,b".into(), ..base() }, "the text of NULL, 'a,b', holds ','"),
            (
                CsvStyle { quote: None, quotes: Quotes::Always, ..base() },
                "fields are to be quoted, and there is no quote",
            ),
            (
                CsvStyle { quotes: Quotes::Never, forced: Forced::All, ..base() },
                "fields are to be quoted and never to be quoted",
            ),
            (
                CsvStyle { forced: Forced::Columns(vec!["dai".into()]), ..base() },
                "force_quote: no column \"dai\"",
            ),
        ] {
            assert_eq!(try_written(style, &mixed()).unwrap_err().to_string(), trouble);
        }
    }
}
