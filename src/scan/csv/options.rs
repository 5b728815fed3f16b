//! What the user says about a CSV file; what is left unsaid is sniffed.

use std::collections::HashMap;

use arrow::datatypes::SchemaRef;
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;

use crate::error::{Error, Result};

/// How to read a CSV file. Everything has a default; unset options are found from the file.
///
/// ```
/// use brimful::CsvOptions;
/// let options = CsvOptions::new().delimiter(b'\t').null_words(["null"]);
/// ```
#[derive(Debug, Clone, Default)]
pub struct CsvOptions {
    pub(crate) delimiter: Option<u8>,
    pub(crate) quote: Option<u8>,
    pub(crate) escape: Option<u8>,
    pub(crate) comment: Option<u8>,
    pub(crate) header: Option<bool>,
    pub(crate) null_words: Option<Vec<String>>,
    pub(crate) newlines_in_values: Option<bool>,
    pub(crate) schema: Option<SchemaRef>,
    pub(crate) compression: Option<FileCompressionType>,
}

impl CsvOptions {
    /// Options with everything left to be found from the file.
    pub fn new() -> Self {
        Self::default()
    }

    /// The byte between fields. Default: the most consistent of `,` tab `;` `|`.
    pub fn delimiter(mut self, delimiter: u8) -> Self {
        self.delimiter = Some(delimiter);
        self
    }

    /// The byte around fields that hold a delimiter or a newline. Default: `"`.
    pub fn quote(mut self, quote: u8) -> Self {
        self.quote = Some(quote);
        self
    }

    /// The byte before a quote inside a quoted field. Default: the quote is doubled.
    pub fn escape(mut self, escape: u8) -> Self {
        self.escape = Some(escape);
        self
    }

    /// Lines that begin with this byte are skipped. Default: none are.
    pub fn comment(mut self, comment: u8) -> Self {
        self.comment = Some(comment);
        self
    }

    /// Whether the first record holds the names of the columns. Default: it does unless one of its
    /// fields is a number or a date.
    pub fn header(mut self, header: bool) -> Self {
        self.header = Some(header);
        self
    }

    /// Words that mean NULL, in columns of every type. Default: the usual words (`null`, `NULL`,
    /// `NA`, `N/A`, `\N`) in columns that are not text, where they could be nothing else.
    pub fn null_words(mut self, words: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.null_words = Some(words.into_iter().map(Into::into).collect());
        self
    }

    /// Whether quoted fields may hold newlines. `true` reads each file from one end to the other,
    /// `false` reads parts of it at the same time. Default: found from the file's first part.
    pub fn newlines_in_values(mut self, yes: bool) -> Self {
        self.newlines_in_values = Some(yes);
        self
    }

    /// The names and types of the columns. Default: found from samples spread over the file.
    pub fn schema(mut self, schema: SchemaRef) -> Self {
        self.schema = Some(schema);
        self
    }

    /// Compression of the file. Default: by its extension (`.gz`, `.zst`, `.bz2`, `.xz`).
    ///
    /// # Errors
    /// `Config` if the name is none of `gzip`, `zstd`, `bzip2`, `xz`, `uncompressed`.
    pub fn compression(mut self, name: &str) -> Result<Self> {
        self.compression = Some(parse_compression(name)?);
        Ok(self)
    }

    /// Reads the `OPTIONS (…)` of a `CREATE EXTERNAL TABLE` or a `COPY`: our own names, and
    /// DataFusion's `format.…` names for the same things.
    pub(crate) fn from_sql(options: &HashMap<String, String>) -> Result<Self> {
        let mut parsed = CsvOptions::default();
        for (key, value) in options {
            let name = key.to_lowercase();
            match name.strip_prefix("format.").unwrap_or(&name) {
                "delimiter" | "delim" | "sep" => parsed.delimiter = Some(one_byte(key, value)?),
                "quote" => parsed.quote = Some(one_byte(key, value)?),
                "escape" => parsed.escape = Some(one_byte(key, value)?),
                "comment" => parsed.comment = Some(one_byte(key, value)?),
                "header" | "has_header" => parsed.header = Some(boolean(key, value)?),
                "newlines_in_values" => parsed.newlines_in_values = Some(boolean(key, value)?),
                "nullstr" | "null_value" => parsed.null_words = Some(vec![value.clone()]),
                "compression" => parsed.compression = Some(parse_compression(value)?),
                // Options for writing are the writer's to check.
                "double_quote"
                | "terminator"
                | "quote_style"
                | "date_format"
                | "datetime_format"
                | "timestamp_format"
                | "timestamp_tz_format"
                | "time_format"
                | "compression_level"
                | "ignore_leading_whitespace"
                | "ignore_trailing_whitespace" => {}
                _ => {
                    return Err(Error::config(format!("no CSV option \"{key}\"")).with_hint(
                        "the options are delimiter, quote, escape, comment, header, nullstr, \
                         newlines_in_values and compression",
                    ));
                }
            }
        }
        Ok(parsed)
    }
}

fn one_byte(key: &str, value: &str) -> Result<u8> {
    match value.as_bytes() {
        [byte] => Ok(*byte),
        br"\t" => Ok(b'\t'),
        _ => Err(Error::config(format!(
            "the CSV option \"{key}\" must be one ASCII character, not \"{value}\""
        ))),
    }
}

fn boolean(key: &str, value: &str) -> Result<bool> {
    match value.to_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err(Error::config(format!(
            "the CSV option \"{key}\" must be true or false, not \"{value}\""
        ))),
    }
}

fn parse_compression(name: &str) -> Result<FileCompressionType> {
    match name.to_lowercase().as_str() {
        "gz" | "gzip" => Ok(FileCompressionType::GZIP),
        "zst" | "zstd" => Ok(FileCompressionType::ZSTD),
        "bz2" | "bzip2" => Ok(FileCompressionType::BZIP2),
        "xz" => Ok(FileCompressionType::XZ),
        "" | "none" | "uncompressed" => Ok(FileCompressionType::UNCOMPRESSED),
        _ => Err(Error::config(format!("no compression \"{name}\""))
            .with_hint("the compressions are gzip, zstd, bzip2, xz and uncompressed")),
    }
}
