//! Finds the dialect of a file and the types of its columns from samples.
//!
//! ```text
//! text   ── encoding; samples as UTF-8
//! form   ── delimiter, quote, escape: the split that makes most records alike
//! top    ── comments, lines to skip, header, number of columns
//! kind   ── types of columns   day ── formats of dates
//! files  ── which files are sampled, and where   report ── the answer of `sniff_csv`
//! split  ── bytes → records, tolerant of everything
//! ```
//!
//! The front of the first file settles the form. Types come from the fronts of files spread over
//! the table and from pieces spread over each, so that a column which turns from numbers to text in
//! the middle is seen as text. A type is only taken when every sampled value has it; numbers with
//! leading zeros, which lose them as numbers, stay text, and so do dates that can be read in two
//! ways.

mod day;
mod files;
mod form;
mod kind;
mod report;
mod split;
mod text;
mod top;

use std::collections::HashSet;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;

use super::dialect::{Dialect, Newline};
use super::encoding::Encoding;
use super::options::{CsvOptions, SampleRows, Types};
use super::sample::Sample;
use super::structure;
use super::values::{DateFormat, NumberStyle};
use crate::error::{Error, Result};
pub(crate) use files::sniff_files;
use form::find_form;
use kind::{Column, GivenFormat, GivenFormats, Kind, Looks, Settled};
use split::{Split, after_lines};
use top::find_top;

/// What was found out about a table.
#[derive(Debug)]
pub(crate) struct Sniffed {
    pub(crate) dialect: Dialect,
    /// Columns of the files.
    pub(crate) schema: SchemaRef,
    /// Whether no value was seen of a column whose type the user leaves open.
    pub(crate) unseen: Vec<bool>,
    /// What ends most lines, as `\\n`, `\\r\\n` or `\\r`.
    pub(crate) line_end: &'static str,
}

impl Sniffed {
    /// What the options say, and what is usual where they say nothing.
    ///
    /// # Errors
    /// `Config` if they do not say what the columns are, or contradict each other.
    fn as_said(options: &CsvOptions, compression: FileCompressionType) -> Result<Self> {
        let Some(schema) = &options.schema else {
            let what = "the option \"auto_detect\" is false, and the columns are not given";
            return Err(
                Error::config(what).with_hint("columns = {'id': 'BIGINT', 'name': 'VARCHAR'}")
            );
        };
        let mut dialect = Dialect::as_said(options, compression)?;
        let fields = schema.fields();
        let names: Vec<String> = fields.iter().map(|field| field.name().clone()).collect();
        let mut types: Vec<DataType> =
            fields.iter().map(|field| field.data_type().clone()).collect();
        let mut formats = vec![None; fields.len()];
        let given = options.give_types(&names, &mut types, &mut formats)?;
        dialect.found = given.iter().map(|given| !given).collect();
        dialect.formats = formats;
        let unseen = vec![false; fields.len()];
        Ok(Sniffed { dialect, schema: Arc::clone(schema), unseen, line_end: "\\n" })
    }

    /// Gives a column of this name, in any case, a type, and a format if there is one.
    pub(crate) fn give(&mut self, name: &str, data_type: &DataType, format: Option<&String>) {
        let fields = self.schema.fields();
        let Some(column) = fields.iter().position(|f| f.name().eq_ignore_ascii_case(name)) else {
            return;
        };
        if let (Some(format), Some(slot)) = (format, self.dialect.formats.get_mut(column)) {
            *slot = Some(format.clone());
        }
        let dated =
            |data_type: &DataType| matches!(data_type, DataType::Date32 | DataType::Timestamp(..));
        // A format leaves a date or a timestamp what it is.
        if format.is_none() || !dated(fields[column].data_type()) {
            let mut fields = fields.to_vec();
            let field = fields[column].as_ref().clone().with_data_type(data_type.clone());
            fields[column] = Arc::new(field);
            self.schema = Arc::new(Schema::new(fields));
        }
        if let Some(found) = self.dialect.found.get_mut(column) {
            *found = false;
        }
        self.unseen[column] = false;
    }
}

/// What is known of a table so far: the dialect, and what its columns can be.
struct Sniffer<'a> {
    options: &'a CsvOptions,
    dialect: Dialect,
    /// Names in the header, or made up.
    names: Vec<String>,
    columns: Vec<Column>,
    given: GivenFormats,
    style: NumberStyle,
    line_end: &'static str,
    /// Lines at the top of the first file that are comments or empty, if they were found to be what
    /// is skipped of every file.
    comment_lines: Option<usize>,
}

impl<'a> Sniffer<'a> {
    /// Settles the dialect and looks at all samples.
    ///
    /// # Errors
    /// `Input` if the first file is empty, or if the files have different columns or encodings;
    /// `Config` if options contradict each other or the files.
    fn new(
        samples: &[(String, Sample)],
        options: &'a CsvOptions,
        compression: FileCompressionType,
    ) -> Result<Self> {
        let (path, raw) =
            samples.first().ok_or_else(|| Error::internal("no sample of a CSV file"))?;
        let encoding = common_encoding(samples, options.encoding)?;
        let first = text::decoded(path, raw, encoding)?;
        let mut dialect = Dialect {
            newline: find_newline(&first.head),
            encoding,
            ..Dialect::as_said(options, compression)?
        };
        let lines = after_lines(&first.head, options.skip_lines.unwrap_or(0), dialect.newline);
        find_form(lines, first.whole, options, &mut dialect);
        let top = find_top(&first.head, first.whole, options, &mut dialect);
        if top.width == 0 && first.whole {
            return Err(Error::input(format!("\"{path}\" is empty: it has no header and no rows")));
        }
        if top.width == 0 {
            let bytes = first.head.len();
            let what = format!("\"{path}\": no record ends in the first {bytes} bytes");
            return Err(Error::input(what).with_hint(
                "a quote that is never closed is the usual cause; records that are that long need \
                 a larger max_line_size, or auto_detect = false",
            ));
        }
        let lines = after_lines(&first.head, dialect.skip_lines, dialect.newline);
        let front = Split::new(lines, &dialect, usize::MAX, first.whole);
        dialect.mean_record_bytes = raw.head.len() as f64 / front.len().max(1) as f64;
        let header = top.header.unwrap_or_default();
        let fields: Vec<&[u8]> = header.iter().map(Vec::as_slice).collect();
        let names = header_names(&fields, top.width);
        let mut sniffer = Sniffer {
            options,
            style: NumberStyle { decimal: dialect.decimal, thousands: dialect.thousands },
            columns: vec![Column::default(); names.len()],
            given: GivenFormats {
                date: given_format("dateformat", options.date_format.as_deref())?,
                timestamp: given_format("timestampformat", options.timestamp_format.as_deref())?,
            },
            names,
            line_end: line_end(&first.head, dialect.newline),
            comment_lines: (options.skip_lines.is_none() && dialect.skip_lines > 0)
                .then(|| comment_lines(&first.head, dialect.newline))
                .filter(|_| first.head.starts_with(b"#")),
            dialect,
        };
        sniffer.add_sample(path, path, &first)?;
        for (other, raw) in &samples[1..] {
            sniffer.add_sample(path, other, &text::decoded(other, raw, encoding)?)?;
        }
        Ok(sniffer)
    }

    /// Checks that the header of a file is that of the first, and looks at its rows.
    fn add_sample(&mut self, first_path: &str, path: &str, sample: &Sample) -> Result<()> {
        if let Some(count) = self.comment_lines
            && let other = comment_lines(&sample.head, self.dialect.newline)
            && other != count
        {
            return Err(Error::input(format!(
                "\"{path}\" begins with {other} lines of comments, but \"{first_path}\" with \
                 {count}"
            ))
            .with_hint("comment = '#' skips all lines that begin with #"));
        }
        let lines = after_lines(&sample.head, self.dialect.skip_lines, self.dialect.newline);
        let limit = match self.options.sample_rows {
            Some(SampleRows::First(rows)) => rows + usize::from(self.dialect.header),
            _ => usize::MAX,
        };
        let split = Split::new(lines, &self.dialect, limit, sample.whole);
        if self.dialect.checks_names && self.dialect.header && split.len() > 0 {
            let header: Vec<&[u8]> = split.record(0).collect();
            let names = header_names(&header, self.names.len());
            same_names(first_path, &self.names, path, &names)?;
        }
        self.widen(&split, usize::from(self.dialect.header));
        for piece in &sample.pieces {
            // It begins in a record, perhaps within quotes, and ends in another.
            let Some(start) = structure::guess_start(piece, &self.dialect.marks()) else {
                continue;
            };
            let split = Split::new(&piece[start..], &self.dialect, usize::MAX, false);
            let fits = |record: &usize| self.fits(split.width(*record));
            // Otherwise the guess was wrong.
            if (0..split.len()).filter(fits).count() * 2 > split.len() {
                self.widen(&split, 0);
            }
        }
        Ok(())
    }

    /// Widens the column types by the values of records from `first` on. Records of another width
    /// are left to the scan, which reports them; here they may be no more than a piece cut in the
    /// wrong place.
    fn widen(&mut self, split: &Split, first: usize) {
        let looks = Looks {
            null_words: &self.dialect.null_words,
            doubtful_words: self.options.null_words.is_none(),
            style: self.style,
            maybe_comma: self.options.decimal.is_none()
                && self.options.thousands.is_none()
                && self.dialect.delimiter != b',',
            given: &self.given,
        };
        for record in first..split.len() {
            if self.fits(split.width(record)) {
                for (column, field) in self.columns.iter_mut().zip(split.record(record)) {
                    column.add(field, &looks);
                }
            }
        }
    }

    /// Whether records of so many fields are rows.
    fn fits(&self, width: usize) -> bool {
        width == self.columns.len() || self.dialect.null_padding && width < self.columns.len()
    }

    /// Settles the columns.
    fn finish(mut self) -> Result<Sniffed> {
        let commas = self.columns.iter().any(Column::is_comma_float);
        let points = self.columns.iter().any(Column::is_point_float);
        let comma = commas && !points;
        if comma {
            self.dialect.decimal = b',';
        }
        let settled: Vec<Settled> =
            self.columns.iter().map(|column| column.settle(&self.given, comma)).collect();
        let mut types: Vec<DataType> = settled
            .iter()
            .map(|settled| match self.options.all_text {
                true => DataType::Utf8View,
                false => settled.data_type(),
            })
            .collect();
        let mut formats: Vec<Option<String>> =
            settled.iter().map(|settled| settled.format.clone()).collect();
        let mut names = self.names.clone();
        rename(&mut names, self.options, &mut types, &mut formats)?;
        let found = types.clone();
        let given = self.options.give_types(&names, &mut types, &mut formats)?;
        let is_unseen = |column: usize| {
            let open = !self.options.all_text && types[column] == found[column];
            open && settled.get(column).is_none_or(|settled| settled.kind == Kind::Null)
        };
        let unseen: Vec<bool> = (0..types.len()).map(is_unseen).collect();

        let mut null_words = std::mem::take(&mut self.dialect.null_words);
        for (column, data_type) in self.columns.iter().zip(&types) {
            if !data_type.is_string() {
                for word in column.doubtful_words() {
                    if !null_words.iter().any(|known| known == word) {
                        null_words.push(word.to_string());
                    }
                }
            }
        }
        self.dialect.null_words = null_words;
        self.dialect.found = given.iter().map(|given| !given).collect();
        self.dialect.formats = formats;
        let schema = match &self.options.schema {
            Some(schema) => Arc::clone(schema),
            None => {
                let fields = names.into_iter().zip(types);
                let fields = fields.map(|(name, data_type)| Field::new(name, data_type, true));
                Arc::new(Schema::new(fields.collect::<Vec<_>>()))
            }
        };
        Ok(Sniffed { dialect: self.dialect, schema, unseen, line_end: self.line_end })
    }
}

impl CsvOptions {
    /// Puts the types and formats that the user gives in the place of those that were found. Tells
    /// of each column whether its type is given.
    fn give_types(
        &self,
        names: &[String],
        types: &mut [DataType],
        formats: &mut [Option<String>],
    ) -> Result<Vec<bool>> {
        let mut is_given = vec![false; types.len()];
        let mut give = |column: usize, data_type: &DataType| {
            // A format that fits the values is kept, if it fits the type, too.
            let named = match data_type {
                DataType::Date32 => self.date_format.clone(),
                DataType::Timestamp(..) => self.timestamp_format.clone(),
                _ => None,
            };
            formats[column] = named.or(formats[column].take());
            types[column] = data_type.clone();
            is_given[column] = true;
        };
        match &self.types {
            Types::Sniffed => {}
            Types::ByName(given) => {
                for (name, data_type) in given {
                    give(column_place("types", name, names)?, data_type);
                }
            }
            Types::ByPlace(given) => {
                if given.len() > names.len() {
                    return Err(too_many("types", given.len(), names.len()));
                }
                for (column, data_type) in given.iter().enumerate() {
                    give(column, data_type);
                }
            }
        }
        if let Some(schema) = &self.schema {
            for (column, field) in schema.fields().iter().enumerate().take(names.len()) {
                give(column, field.data_type());
            }
        }
        for (name, format, data_type) in &self.column_formats {
            given_format("dateformat", Some(format))?;
            let column = match &self.schema {
                Some(schema) => {
                    let names: Vec<String> =
                        schema.fields().iter().map(|field| field.name().clone()).collect();
                    column_place("dateformat", name, &names)?
                }
                None => column_place("dateformat", name, names)?,
            };
            if column >= types.len() {
                continue;
            }
            formats[column] = Some(format.clone());
            is_given[column] = true;
            if !matches!(types[column], DataType::Date32 | DataType::Timestamp(..)) {
                types[column] = data_type.clone();
            }
        }
        Ok(is_given)
    }
}

/// Settles the dialect and the schema of a table from samples of (some of) its files.
///
/// # Errors
/// `Input` if the first file is empty, or if the files have different columns or encodings;
/// `Config` if options contradict each other or the files.
#[cfg(test)]
fn sniff(
    samples: &[(String, Sample)],
    options: &CsvOptions,
    compression: FileCompressionType,
) -> Result<(Dialect, SchemaRef)> {
    let sniffed = Sniffer::new(samples, options, compression)?.finish()?;
    Ok((sniffed.dialect, sniffed.schema))
}

impl Dialect {
    /// What the options say, and what is usual where they say nothing.
    ///
    /// # Errors
    /// `Config` if they contradict each other.
    fn as_said(options: &CsvOptions, compression: FileCompressionType) -> Result<Self> {
        let usual = Dialect::default();
        let (decimal, thousands) = number_style(options)?;
        let quote = options.quote.unwrap_or(usual.quote);
        Ok(Dialect {
            delimiter: options.delimiter.unwrap_or(usual.delimiter),
            quote,
            // The quote itself means that quotes are doubled.
            escape: options.escape.flatten().filter(|escape| Some(*escape) != quote),
            comment: options.comment.flatten(),
            skip_lines: options.skip_lines.unwrap_or(0),
            header: options.header.unwrap_or(false),
            checks_names: options.schema.is_none() && options.names.is_none(),
            null_words: options.null_words.clone().unwrap_or(usual.null_words),
            null_words_in_text: options.null_words.is_some(),
            quoted_nulls: options.quoted_nulls,
            decimal,
            thousands,
            date_format: options.date_format.clone(),
            timestamp_format: options.timestamp_format.clone(),
            encoding: options.encoding.unwrap_or(Encoding::Utf8),
            null_padding: options.null_padding,
            ignore_errors: options.ignore_errors || options.rejects().is_some(),
            strict: !options.lenient,
            max_record_bytes: options.max_record_bytes.unwrap_or(usual.max_record_bytes),
            parallel: options.parallel.unwrap_or(true),
            compression,
            ..usual
        })
    }
}

/// The one encoding of all files.
fn common_encoding(samples: &[(String, Sample)], given: Option<Encoding>) -> Result<Encoding> {
    let marked = |sample: &Sample| Encoding::of_mark(&sample.head);
    if let Some(given) = given {
        // A mark tells which of the two kinds of UTF-16 it is.
        let first = samples.first().and_then(|(_, sample)| marked(sample));
        return Ok(match (given, first) {
            (Encoding::Utf16Le | Encoding::Utf16Be, Some(Encoding::Utf16Be)) => Encoding::Utf16Be,
            (Encoding::Utf16Le | Encoding::Utf16Be, Some(Encoding::Utf16Le)) => Encoding::Utf16Le,
            _ => given,
        });
    }
    let is_ascii = |sample: &Sample| {
        sample.head.is_ascii() && sample.pieces.iter().all(|piece| piece.is_ascii())
    };
    let mut common: Option<(&String, Encoding)> = None;
    for (path, sample) in samples {
        let encoding = text::find_encoding(sample);
        common = match common {
            None => Some((path, encoding)),
            Some((_, before)) if before == encoding => common,
            // ASCII is a part of the others.
            Some((_, Encoding::Utf8))
                if encoding.is_one_byte()
                    && samples.iter().all(|(_, sample)| {
                        is_ascii(sample) || text::find_encoding(sample).is_one_byte()
                    }) =>
            {
                Some((path, encoding))
            }
            Some((_, before)) if before.is_one_byte() && is_ascii(sample) => common,
            Some((first, before)) => {
                return Err(Error::input(format!(
                    "\"{path}\" is {}, but \"{first}\" is {}",
                    encoding.name(),
                    before.name()
                ))
                .with_hint("read files of different encodings one at a time"));
            }
        };
    }
    Ok(common.map_or(Encoding::Utf8, |(_, encoding)| encoding))
}

/// Lines at the top that begin with `#` or are empty.
fn comment_lines(text: &[u8], newline: Newline) -> usize {
    let lines = text.split(|byte| *byte == newline.byte());
    lines.take_while(|line| line.trim_ascii().is_empty() || line[0] == b'#').count()
}

/// What ends most lines.
fn find_newline(text: &[u8]) -> Newline {
    let lf = memchr::memchr_iter(b'\n', text).count();
    let lone_cr = memchr::memchr_iter(b'\r', text)
        .filter(|at| text.get(at + 1).is_some_and(|next| *next != b'\n'))
        .count();
    let last_cr = usize::from(text.last() == Some(&b'\r') && lf == 0);
    if lone_cr + last_cr > lf { Newline::Cr } else { Newline::Lf }
}

/// What ends most lines, as SQL would write it.
fn line_end(text: &[u8], newline: Newline) -> &'static str {
    if newline == Newline::Cr {
        return "\\r";
    }
    let all = memchr::memchr_iter(b'\n', text).count();
    let both = memchr::memmem::find_iter(text, b"\r\n").count();
    if both * 2 > all { "\\r\\n" } else { "\\n" }
}

/// The bytes before fractions and between thousands.
fn number_style(options: &CsvOptions) -> Result<(u8, Option<u8>)> {
    let decimal = match (options.decimal, options.thousands) {
        (Some(decimal), _) => decimal,
        (None, Some(b'.')) => b',',
        (None, _) => b'.',
    };
    if options.thousands == Some(decimal) {
        return Err(Error::config(format!(
            "\"{}\" cannot stand both before fractions and between thousands",
            char::from(decimal)
        )));
    }
    if !matches!(decimal, b'.' | b',') {
        return Err(Error::config("the option \"decimal_separator\" must be \".\" or \",\""));
    }
    Ok((decimal, options.thousands))
}

fn given_format(option: &str, format: Option<&str>) -> Result<Option<GivenFormat>> {
    let parse = |text: &str| {
        let parser = DateFormat::new(text)
            .map_err(|err| Error::config(format!("the option \"{option}\": {err}")))?;
        Ok(GivenFormat { text: text.to_string(), parser })
    };
    format.map(parse).transpose()
}

/// Puts the names that the user gives before those that were found. Of a table whose short rows are
/// padded there may be more than were found.
fn rename(
    names: &mut Vec<String>,
    options: &CsvOptions,
    types: &mut Vec<DataType>,
    formats: &mut Vec<Option<String>>,
) -> Result<()> {
    let Some(given) = &options.names else { return Ok(()) };
    if given.len() > names.len() {
        if !options.null_padding {
            return Err(too_many("names", given.len(), names.len()));
        }
        names.resize(given.len(), String::new());
        types.resize(given.len(), DataType::Utf8View);
        formats.resize(given.len(), None);
    }
    let mut seen = HashSet::new();
    if let Some(twice) = given.iter().find(|name| !seen.insert(*name)) {
        return Err(Error::config(format!("the option \"names\" has \"{twice}\" twice")));
    }
    names[..given.len()].clone_from_slice(given);
    // Those that were found must not repeat them.
    let fields: Vec<&[u8]> = names.iter().map(String::as_bytes).collect();
    *names = column_names(&fields);
    Ok(())
}

fn too_many(option: &str, given: usize, columns: usize) -> Error {
    let columns = if columns == 1 { "1 column".to_string() } else { format!("{columns} columns") };
    Error::config(format!(
        "the option \"{option}\" has {given} entries, but the file has {columns}"
    ))
}

/// Place of the column of this name, in any case if none is spelt so.
///
/// # Errors
/// `Config` with the columns there are, in the name of `option`.
pub(crate) fn column_place(option: &str, name: &str, names: &[String]) -> Result<usize> {
    let exact = names.iter().position(|known| known == name);
    let found = exact.or_else(|| names.iter().position(|known| known.eq_ignore_ascii_case(name)));
    found.ok_or_else(|| {
        let error = Error::config(format!("the option \"{option}\": no column \"{name}\""));
        match crate::error::nearest(name, names) {
            Some(near) => error.with_hint(format!("did you mean \"{near}\"?")),
            None => error.with_hint(format!("the columns are {}", names.join(", "))),
        }
    })
}

/// Names as the header has them, and made-up ones as far as `width` columns. The header of some files
/// has fewer fields than their rows.
pub(crate) fn header_names(header: &[&[u8]], width: usize) -> Vec<String> {
    let missing = width.saturating_sub(header.len());
    let fields: Vec<&[u8]> = header.iter().copied().chain(vec![&b""[..]; missing]).collect();
    column_names(&fields)
}

/// Names as the header has them, without surrounding blanks; made up where empty, numbered where
/// they repeat.
pub(crate) fn column_names(header: &[&[u8]]) -> Vec<String> {
    let mut taken: HashSet<String> = HashSet::new();
    header
        .iter()
        .enumerate()
        .map(|(index, field)| {
            let name = String::from_utf8_lossy(field).trim().to_string();
            let name = if name.is_empty() { format!("column_{}", index + 1) } else { name };
            let mut unique = name.clone();
            let mut number = 1;
            while !taken.insert(unique.clone()) {
                unique = format!("{name}_{number}");
                number += 1;
            }
            unique
        })
        .collect()
}

/// Checks that two files of a table have the same columns, whatever the case of their names.
///
/// # Errors
/// `Input` that names the first column that differs.
pub(crate) fn same_names(
    path: &str,
    names: &[String],
    other: &str,
    others: &[String],
) -> Result<()> {
    let hint = "union_by_name = true reads them as one table, with NULL in the columns that a file \
                lacks; or read them one at a time";
    if names.len() != others.len() {
        return Err(Error::input(format!(
            "\"{other}\" has {} columns, but \"{path}\" has {}",
            others.len(),
            names.len()
        ))
        .with_hint(hint));
    }
    match names.iter().zip(others).position(|(a, b)| !a.eq_ignore_ascii_case(b)) {
        None => Ok(()),
        Some(index) => Err(Error::input(format!(
            "column {} is called \"{}\" in \"{other}\", but \"{}\" in \"{path}\"",
            index + 1,
            others[index],
            names[index]
        ))
        .with_hint(hint)),
    }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::TimeUnit;

    use super::*;

    fn sniffed(text: &str) -> (Dialect, SchemaRef) {
        let sample = Sample { head: text.as_bytes().to_vec(), whole: true, pieces: vec![] };
        let samples = [("t.csv".to_string(), sample)];
        sniff(&samples, &CsvOptions::default(), FileCompressionType::UNCOMPRESSED).unwrap()
    }

    fn types(text: &str) -> Vec<DataType> {
        sniffed(text).1.fields().iter().map(|field| field.data_type().clone()).collect()
    }

    #[test]
    fn types_hold_for_every_value() {
        let text = "a,b,c,d,e\n1,1,2015-01-01,00591,\n2,1.5,2015-01-01 00:00:00,12,\n";
        assert_eq!(
            types(text),
            [
                DataType::Int64,
                DataType::Float64,
                DataType::Timestamp(TimeUnit::Microsecond, None),
                DataType::Utf8View,
                DataType::Utf8View,
            ]
        );
    }

    #[test]
    fn found_types_are_those_not_given() {
        let text = "a,b,c,d\n1,2,2015-01-02,x\n";
        let found = |options: &CsvOptions| {
            let sample = Sample { head: text.as_bytes().to_vec(), whole: true, pieces: vec![] };
            let samples = [("t.csv".to_string(), sample)];
            sniff(&samples, options, FileCompressionType::UNCOMPRESSED).unwrap().0.found
        };
        assert_eq!(found(&CsvOptions::new()), [true; 4]);
        let by_name = CsvOptions::new().types([("B", DataType::Int64)]);
        assert_eq!(found(&by_name), [true, false, true, true]);
        let by_place =
            CsvOptions { types: Types::ByPlace(vec![DataType::Int32]), ..CsvOptions::new() };
        assert_eq!(found(&by_place), [false, true, true, true]);
        let format = ("c".to_string(), "%Y-%m-%d".to_string(), DataType::Date32);
        let by_format = CsvOptions { column_formats: vec![format], ..CsvOptions::new() };
        assert_eq!(found(&by_format), [true, true, false, true]);
        let field = |name: &str| Field::new(name, DataType::Utf8View, true);
        let schema = Schema::new(["a", "b", "c", "d"].map(field).to_vec());
        assert_eq!(found(&CsvOptions::new().schema(Arc::new(schema))), [false; 4]);
    }

    #[test]
    fn pieces_may_begin_within_quotes() {
        let rows = "1,\"a\nb, c\n3,x\n\"\n2,\"y\"\n".repeat(20);
        let head = format!("id,text\n{rows}");
        for start in 0..30 {
            let pieces = vec![rows.as_bytes()[start..].to_vec().into()];
            let sample = Sample { head: head.clone().into(), whole: false, pieces };
            let samples = [("t.csv".to_string(), sample)];
            let options = CsvOptions::default();
            let (_, schema) = sniff(&samples, &options, FileCompressionType::UNCOMPRESSED).unwrap();
            assert_eq!(schema.field(0).data_type(), &DataType::Int64, "from {start} on");
        }
    }

    #[test]
    fn files_have_as_many_comments_at_the_top() {
        let result = |others: &str, options: CsvOptions| {
            let samples = ["# x\n\na,b\n1,2\n3,4\n", others].map(|text| {
                let head = text.as_bytes().to_vec();
                ("t.csv".to_string(), Sample { head, whole: true, pieces: vec![] })
            });
            sniff(&samples, &options, FileCompressionType::UNCOMPRESSED)
        };
        assert_eq!(result("# y\n\na,b\n5,6\n", CsvOptions::new()).unwrap().0.skip_lines, 2);
        for others in ["a,b\n5,6\n", "# y\n# z\n\na,b\n5,6\n", "# y\na,b\n5,6\n"] {
            let error = result(others, CsvOptions::new()).unwrap_err();
            assert!(error.to_string().contains("lines of comments, but"), "{error}");
            assert_eq!(result(others, CsvOptions::new().comment(b'#')).unwrap().0.skip_lines, 0);
        }
    }

    #[test]
    fn commas_before_fractions_and_points_between_thousands() {
        assert_eq!(
            types("id;price;people\n1;2,50;1.234\n2;3,25;12.345\n3;4;7\n"),
            [DataType::Int64, DataType::Float64, DataType::Utf8View]
        );
        // Where points come before fractions, commas do not.
        assert_eq!(
            types("id;price;level\n1;2,50;1.234\n2;3,25;0.500\n"),
            [DataType::Int64, DataType::Utf8View, DataType::Float64]
        );
        assert_eq!(types("a;b\n1;1.234\n2;3.500\n"), [DataType::Int64, DataType::Float64]);
    }

    #[test]
    fn delimiters_and_headers() {
        let (dialect, schema) = sniffed("a;b\n1,5;2,5\n2,5;3,5\n");
        assert_eq!(dialect.delimiter, b';');
        assert!(dialect.header);
        assert_eq!(schema.field(0).name(), "a");
        let (dialect, schema) = sniffed("1\t2\n3\t4\n");
        assert_eq!(dialect.delimiter, b'\t');
        assert!(!dialect.header);
        assert_eq!(schema.field(1).name(), "column_2");
    }

    #[test]
    fn names_are_made_unique() {
        let (_, schema) = sniffed(", a ,a\nx,y,z\n");
        let names: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        assert_eq!(names, ["column_1", "a", "a_1"]);
    }
}
