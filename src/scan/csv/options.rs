//! What the user says about a CSV file; what is left unsaid is sniffed.

use std::collections::HashMap;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use serde::{Deserialize, Serialize};

use super::dialect::MOST_RECORD_BYTES;
use super::encoding::Encoding;
use super::sniff::{Sniffed, column_place};
use crate::error::{Error, Result};
use crate::scan::literal::parse_value;
use crate::scan::options::{FileOptions, Given, OptionValue, no_option};
use crate::write::csv::CsvWriteOptions;

/// How to read a CSV file. Everything has a default; unset options are found from the file.
///
/// ```
/// use brimful::CsvOptions;
/// let options = CsvOptions::new().delimiter(b'\t').null_words(["null"]);
/// ```
#[derive(Debug, Clone, Default)]
pub struct CsvOptions {
    /// Whether nothing is found from the files.
    pub(crate) as_said: bool,
    pub(crate) delimiter: Option<u8>,
    /// `Some(None)`: fields are never quoted.
    pub(crate) quote: Option<Option<u8>>,
    /// `Some(None)`: quotes are doubled.
    pub(crate) escape: Option<Option<u8>>,
    /// `Some(None)`: there are no comments.
    pub(crate) comment: Option<Option<u8>>,
    pub(crate) header: Option<bool>,
    pub(crate) skip_lines: Option<usize>,
    pub(crate) names: Option<Vec<String>>,
    pub(crate) types: Types,
    pub(crate) schema: Option<SchemaRef>,
    pub(crate) use_columns: Option<Vec<String>>,
    pub(crate) all_text: bool,
    pub(crate) null_words: Option<Vec<String>>,
    pub(crate) quoted_nulls: bool,
    pub(crate) decimal: Option<u8>,
    pub(crate) thousands: Option<u8>,
    pub(crate) date_format: Option<String>,
    pub(crate) timestamp_format: Option<String>,
    /// Columns with formats of their own, and the types these are for.
    pub(crate) column_formats: Vec<(String, String, DataType)>,
    pub(crate) encoding: Option<Encoding>,
    pub(crate) sample_rows: Option<SampleRows>,
    pub(crate) parallel: Option<bool>,
    pub(crate) null_padding: bool,
    pub(crate) ignore_errors: bool,
    pub(crate) store_rejects: Option<bool>,
    pub(crate) rejects_table: Option<String>,
    pub(crate) rejects_limit: Option<usize>,
    pub(crate) lenient: bool,
    pub(crate) max_record_bytes: Option<usize>,
    /// What only holds for files that are added to a table.
    pub(crate) written: CsvWriteOptions,
    pub(crate) files: FileOptions,
}

/// Types that the user gives to some of the columns.
#[derive(Debug, Clone, Default)]
pub(crate) enum Types {
    #[default]
    Sniffed,
    ByName(Vec<(String, DataType)>),
    /// From the first column on.
    ByPlace(Vec<DataType>),
}

/// How many rows at the front of each sampled file are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SampleRows {
    First(usize),
    /// Every row of every file.
    All,
}

/// Where records go that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rejects {
    /// Name of the table that lists them.
    pub(crate) table: String,
    /// How many are listed at most.
    pub(crate) limit: usize,
}

/// Records that are listed unless the user says another number.
const REJECTS_LIMIT: usize = 10_000;

/// Name of the table of rejected records, unless the user gives one.
const REJECTS_TABLE: &str = "reject_errors";

/// Names of an option, the usual one first, and what it sets.
type OptionNames = (&'static [&'static str], fn(&mut CsvOptions, &Given<'_>) -> Result<()>);

/// The options of `CREATE EXTERNAL TABLE … OPTIONS (…)` and of `read_csv(…)`, besides those in
/// [`FileOptions::NAMES`].
const OPTIONS: [OptionNames; 29] = [
    (&["delim", "sep", "delimiter"], |o, given| {
        o.delimiter = Some(given.byte()?);
        Ok(())
    }),
    (&["quote", "quotechar"], |o, given| {
        o.quote = Some(given.byte_or_none()?);
        Ok(())
    }),
    (&["escape", "escapechar"], |o, given| {
        o.escape = Some(given.byte_or_none()?);
        Ok(())
    }),
    (&["comment"], |o, given| {
        o.comment = Some(given.byte_or_none()?);
        Ok(())
    }),
    (&["header", "has_header"], |o, given| {
        o.header = Some(given.boolean()?);
        Ok(())
    }),
    (&["skip", "skiprows"], |o, given| {
        o.skip_lines = Some(given.count()?);
        Ok(())
    }),
    (&["names", "column_names"], |o, given| {
        o.names = Some(given.texts()?);
        Ok(())
    }),
    (&["types", "dtypes", "dtype", "column_types"], |o, given| {
        o.types = match given.value {
            OptionValue::List(types) => {
                let types = types.iter().map(|value| given.type_of(value));
                Types::ByPlace(types.collect::<Result<_>>()?)
            }
            OptionValue::Struct(_) => Types::ByName(given.types_by_name()?),
            _ => {
                return Err(given.must_be(
                    "a struct of names and types, such as {'id': 'BIGINT'}, or a list of types",
                ));
            }
        };
        Ok(())
    }),
    (&["columns"], |o, given| {
        if let OptionValue::List(_) = given.value {
            let allowed = "a struct of the names and types of all columns";
            return Err(given.must_be(allowed).with_hint("usecols takes a list of names"));
        }
        let fields = given.types_by_name()?;
        let fields = fields.into_iter().map(|(name, data_type)| Field::new(name, data_type, true));
        o.schema = Some(Schema::new(fields.collect::<Vec<_>>()).into());
        Ok(())
    }),
    (&["usecols", "use_columns"], |o, given| {
        o.use_columns = Some(given.texts()?);
        Ok(())
    }),
    (&["all_varchar", "all_text"], |o, given| {
        o.all_text = given.boolean()?;
        Ok(())
    }),
    (&["nullstr", "null_value", "null_values", "na_values", "null"], |o, given| {
        o.null_words = Some(given.texts()?);
        Ok(())
    }),
    (&["allow_quoted_nulls"], |o, given| {
        o.quoted_nulls = given.boolean()?;
        Ok(())
    }),
    (&["decimal_separator", "decimal"], |o, given| {
        o.decimal = Some(given.byte()?);
        Ok(())
    }),
    (&["thousands", "thousands_separator"], |o, given| {
        o.thousands = given.byte_or_none()?;
        Ok(())
    }),
    (&["dateformat", "date_format"], |o, given| {
        o.date_format = o.formats(given, &DataType::Date32)?;
        Ok(())
    }),
    (&["timestampformat", "timestamp_format", "datetime_format"], |o, given| {
        let micros = DataType::Timestamp(TimeUnit::Microsecond, None);
        o.timestamp_format = o.formats(given, &micros)?;
        Ok(())
    }),
    (&["encoding"], |o, given| {
        let text = given.text()?;
        let allowed = "utf-8, utf-16, utf-16-be, latin-1 or windows-1252";
        o.encoding = Some(Encoding::parse(&text).ok_or_else(|| given.must_be(allowed))?);
        Ok(())
    }),
    (&["sample_size"], |o, given| {
        o.sample_rows = Some(match given.text()?.as_str() {
            "-1" => SampleRows::All,
            _ => match given.count() {
                Ok(rows @ 1..) => SampleRows::First(rows),
                _ => return Err(given.must_be("a number of rows, or -1 for all")),
            },
        });
        Ok(())
    }),
    (&["auto_detect"], |o, given| {
        o.as_said = !given.boolean()?;
        Ok(())
    }),
    // Any file may have them.
    (&["newlines_in_values"], |_, given| given.boolean().map(drop)),
    (&["parallel"], |o, given| {
        o.parallel = Some(given.boolean()?);
        Ok(())
    }),
    (&["null_padding"], |o, given| {
        o.null_padding = given.boolean()?;
        Ok(())
    }),
    (&["ignore_errors"], |o, given| {
        o.ignore_errors = given.boolean()?;
        Ok(())
    }),
    (&["strict_mode", "strict"], |o, given| {
        o.lenient = !given.boolean()?;
        Ok(())
    }),
    (&["max_line_size", "maximum_line_size"], |o, given| {
        o.max_record_bytes = match given.count()? {
            bytes @ 1..=MOST_RECORD_BYTES => Some(bytes),
            _ => {
                let allowed = format!("a number of bytes from 1 to {MOST_RECORD_BYTES}");
                return Err(given.must_be(&allowed));
            }
        };
        Ok(())
    }),
    (&["store_rejects"], |o, given| {
        o.store_rejects = Some(given.boolean()?);
        Ok(())
    }),
    (&["rejects_table"], |o, given| {
        o.rejects_table = Some(given.text()?);
        Ok(())
    }),
    (&["rejects_limit"], |o, given| {
        o.rejects_limit = Some(given.count()?);
        Ok(())
    }),
];

/// One format of dates or timestamps; `None` for `auto`.
fn format(given: &Given<'_>) -> Result<Option<String>> {
    let text = given.text()?;
    match text.as_str() {
        "auto" | "" => Ok(None),
        _ if text.contains('%') => Ok(Some(text)),
        _ => Err(given.must_be("a format such as '%d.%m.%Y'")),
    }
}

impl CsvOptions {
    /// Options with everything left to be found from the file.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether what is not said is found from the files. Default: `true`. If not, the columns have to
    /// be said, by [`CsvOptions::schema`], and all else is as usual: `,` between fields, `"` around
    /// them and doubled inside, no header, no comments, ISO 8601 for dates, UTF-8.
    pub fn auto_detect(mut self, yes: bool) -> Self {
        self.as_said = !yes;
        self
    }

    /// The byte between fields. Default: the one that splits the file best, of `,` tab `;` `|` `:`
    /// `~` and space.
    pub fn delimiter(mut self, delimiter: u8) -> Self {
        self.delimiter = Some(delimiter);
        self
    }

    /// The byte around fields that hold a delimiter or a newline; `None`: fields are never quoted.
    /// Default: `"`, or `'` where that is what quotes.
    pub fn quote(mut self, quote: impl Into<Option<u8>>) -> Self {
        self.quote = Some(quote.into());
        self
    }

    /// The byte before a quote inside a quoted field; `None`: the quote is doubled. Default: found
    /// from the file.
    pub fn escape(mut self, escape: impl Into<Option<u8>>) -> Self {
        self.escape = Some(escape.into());
        self
    }

    /// Lines that begin with this byte are skipped. Default: `#` if such lines are comments below the
    /// header, too; above it, those are skipped in any case.
    pub fn comment(mut self, comment: impl Into<Option<u8>>) -> Self {
        self.comment = Some(comment.into());
        self
    }

    /// Whether the first record holds the names of the columns. Default: it does unless one of its
    /// fields is a number or a date, or it looks like all the others.
    pub fn header(mut self, header: bool) -> Self {
        self.header = Some(header);
        self
    }

    /// Lines before the header or the first record that are no part of the table. Default: found
    /// from the file.
    pub fn skip_lines(mut self, lines: usize) -> Self {
        self.skip_lines = Some(lines);
        self
    }

    /// Names of the first columns, in place of those in the header.
    pub fn names(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.names = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// Types of the columns of these names. Default: found from samples spread over the file.
    pub fn types(mut self, types: impl IntoIterator<Item = (impl Into<String>, DataType)>) -> Self {
        let types = types.into_iter().map(|(name, data_type)| (name.into(), data_type));
        self.types = Types::ByName(types.collect());
        self
    }

    /// The names and types of all columns. Default: found from samples spread over the file.
    pub fn schema(mut self, schema: SchemaRef) -> Self {
        self.schema = Some(schema);
        self
    }

    /// The columns that the table shall have, in this order. Default: all of the file.
    pub fn use_columns(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.use_columns = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// Whether columns whose type is not given are text. Default: `false`.
    pub fn all_text(mut self, yes: bool) -> Self {
        self.all_text = yes;
        self
    }

    /// Words that mean NULL, in columns of every type. Default: the usual words (`null`, `NULL`,
    /// `NA`, `N/A`, `\N`) in columns that are not text, where they could be nothing else.
    pub fn null_words(mut self, words: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.null_words = Some(words.into_iter().map(Into::into).collect());
        self
    }

    /// Whether the words of [`CsvOptions::null_words`] mean NULL where they are quoted, too. Default:
    /// `false`; in a column of text those are words.
    pub fn allow_quoted_nulls(mut self, yes: bool) -> Self {
        self.quoted_nulls = yes;
        self
    }

    /// The byte before the fraction of a number. Default: `.`, or `,` where that is what the file
    /// has.
    pub fn decimal_separator(mut self, decimal: u8) -> Self {
        self.decimal = Some(decimal);
        self
    }

    /// The byte between groups of three digits. Default: none; such numbers are text.
    pub fn thousands(mut self, thousands: u8) -> Self {
        self.thousands = Some(thousands);
        self
    }

    /// How dates are written, such as `%d.%m.%Y`: columns with only such values are dates. Default:
    /// found for each column.
    pub fn date_format(mut self, format: impl Into<String>) -> Self {
        self.date_format = Some(format.into());
        self
    }

    /// How timestamps are written, such as `%m/%d/%Y %H:%M`. Default: found for each column.
    pub fn timestamp_format(mut self, format: impl Into<String>) -> Self {
        self.timestamp_format = Some(format.into());
        self
    }

    /// Encoding of the file: `utf-8`, `utf-16`, `utf-16-be`, `latin-1` or `windows-1252`. Default:
    /// found from the file.
    ///
    /// # Errors
    /// `Config` for another name.
    pub fn encoding(self, name: &str) -> Result<Self> {
        self.with("encoding", OptionValue::Text(name.to_string()))
    }

    /// Compression of the file: `gzip`, `zstd`, `bzip2`, `xz`, `uncompressed` or `auto`. Default:
    /// by its extension (`.gz`, `.zst`, `.bz2`, `.xz`).
    ///
    /// # Errors
    /// `Config` for another name.
    pub fn compression(self, name: &str) -> Result<Self> {
        self.with("compression", OptionValue::Text(name.to_string()))
    }

    /// Rows at the front of each sampled file that are looked at, besides pieces from further on.
    /// Default: those in its first 256 KiB.
    pub fn sample_rows(mut self, rows: usize) -> Self {
        self.sample_rows = Some(SampleRows::First(rows));
        self
    }

    /// Looks at every row of every file before types are settled.
    pub fn sample_all_rows(mut self) -> Self {
        self.sample_rows = Some(SampleRows::All);
        self
    }

    /// Whether parts of a file may be read at the same time. Default: `true`.
    pub fn parallel(mut self, yes: bool) -> Self {
        self.parallel = Some(yes);
        self
    }

    /// Whether fields that a record lacks at its end are NULL. Default: `false`; it is an error.
    pub fn null_padding(mut self, yes: bool) -> Self {
        self.null_padding = yes;
        self
    }

    /// Whether records that cannot be read are left out. Default: `false`; they are errors.
    pub fn ignore_errors(mut self, yes: bool) -> Self {
        self.ignore_errors = yes;
        self
    }

    /// Whether quotes in wrong places are errors, or else taken as they are. Default: `true`.
    pub fn strict(mut self, yes: bool) -> Self {
        self.lenient = !yes;
        self
    }

    /// Longest record in bytes, at most somewhat less than 4 GiB. Default: 64 MiB.
    pub fn max_record_bytes(mut self, bytes: usize) -> Self {
        self.max_record_bytes = Some(bytes.min(MOST_RECORD_BYTES));
        self
    }

    /// Whether files with different columns are read together: columns are matched by name, and
    /// those that a file lacks are NULL. Default: `false`; such files are an error.
    pub fn union_by_name(mut self, yes: bool) -> Self {
        self.files.union_by_name = yes;
        self
    }

    /// Adds a column of this name that holds the path of each row's file.
    pub fn filename(mut self, column: impl Into<String>) -> Self {
        self.files.filename = Some(column.into());
        self
    }

    /// Whether `name=value/` in a path makes a column. Default: below a folder that is read.
    pub fn hive_partitioning(mut self, yes: bool) -> Self {
        self.files.hive_partitioning = Some(yes);
        self
    }

    /// Sets one option by its SQL name.
    fn with(mut self, name: &str, value: OptionValue) -> Result<Self> {
        self.set(&Given { name, value: &value })?;
        Ok(self)
    }

    /// Sets one option by one of its SQL names.
    ///
    /// # Errors
    /// `Config` if there is none of this name or the value is not allowed.
    pub(crate) fn set(&mut self, given: &Given<'_>) -> Result<()> {
        if self.files.set(given)? {
            return Ok(());
        }
        let name = given.name.to_lowercase();
        let option = OPTIONS.iter().find(|(names, _)| names.contains(&name.as_str()));
        match option {
            Some((_, set)) => set(self, given),
            None => {
                let ours = OPTIONS.iter().map(|(names, _)| *names);
                let names: Vec<_> = ours.chain(FileOptions::NAMES).collect();
                Err(no_option("CSV", given.name, &names))
            }
        }
    }

    /// One format for all columns, or a struct of columns with formats of their own.
    fn formats(&mut self, given: &Given<'_>, data_type: &DataType) -> Result<Option<String>> {
        let OptionValue::Struct(entries) = given.value else { return format(given) };
        for (column, value) in entries {
            if let Some(format) = format(&Given { name: given.name, value })? {
                self.column_formats.push((column.clone(), format, data_type.clone()));
            }
        }
        Ok(None)
    }

    /// Reads the `OPTIONS (…)` of a `CREATE EXTERNAL TABLE`, those for writing too: our own names,
    /// and DataFusion's `format.…` names for the same things.
    pub(crate) fn from_sql(options: &HashMap<String, String>) -> Result<Self> {
        let mut parsed = CsvOptions::default();
        for (key, text) in options {
            let lower = key.to_lowercase();
            let name = lower.strip_prefix("format.").unwrap_or(&lower);
            // Lists and structs come inside of texts here.
            let value = match text.trim_start().chars().next() {
                Some('[' | '{') => parse_value(text),
                _ => None,
            };
            let value = value.unwrap_or_else(|| OptionValue::Text(text.clone()));
            let given = Given { name, value: &value };
            if !parsed.written.set_own(&given)? {
                parsed.set(&given)?;
            }
        }
        Ok(parsed)
    }

    /// Gives types and formats by name to files of different columns.
    ///
    /// # Errors
    /// `Config` for a name that no file has, and for types that are given by place.
    pub(crate) fn give_by_name(&self, files: &mut [Sniffed]) -> Result<()> {
        let mut all: Vec<String> = Vec::new();
        for field in files.iter().flat_map(|file| file.schema.fields()) {
            if !all.contains(field.name()) {
                all.push(field.name().clone());
            }
        }
        let types = match &self.types {
            Types::Sniffed => &[][..],
            Types::ByName(types) => types,
            Types::ByPlace(_) => {
                return Err(Error::config("columns united by name need types by name, too")
                    .with_hint("types = {'id': 'BIGINT'}"));
            }
        };
        let given = types.iter().map(|(name, data_type)| (name, data_type, None));
        let formats = self.column_formats.iter();
        let formats = formats.map(|(name, format, data_type)| (name, data_type, Some(format)));
        for (name, data_type, format) in given.chain(formats) {
            let exact = &all[column_place("types", name, &all)?];
            for file in files.iter_mut() {
                file.give(exact, data_type, format);
            }
        }
        Ok(())
    }

    /// The same with these, or no, rejected records.
    pub(crate) fn with_rejects(mut self, rejects: Option<Rejects>) -> Self {
        self.store_rejects = Some(rejects.is_some());
        self.rejects_limit = rejects.as_ref().map(|rejects| rejects.limit);
        self.rejects_table = rejects.map(|rejects| rejects.table);
        self
    }

    /// Where records go that cannot be read, if they are asked for.
    pub(crate) fn rejects(&self) -> Option<Rejects> {
        let named = self.rejects_table.is_some() || self.rejects_limit.is_some();
        self.store_rejects.unwrap_or(named).then(|| Rejects {
            table: self.rejects_table.clone().unwrap_or_else(|| REJECTS_TABLE.to_string()),
            limit: self.rejects_limit.unwrap_or(REJECTS_LIMIT),
        })
    }
}
