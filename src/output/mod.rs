//! Results on their way out: record batches become text on a terminal, text in a pipe, or a file.
//!
//! [`result_writer`] gives a [`ResultWriter`] for a [`Format`]; it is fed batches and finished once.
//! Every writer works in constant memory, so the size of a result does not matter. All text formats
//! share one conversion of values (`cells`); what they add is the punctuation between them.
//! [`OutputFile`] is the sink for files: they appear whole under their name or not at all.

mod cells;
mod columnar;
mod delimited;
mod file;
mod json;
mod layout;
mod markdown;
mod moments;
mod nested;
mod numbers;
mod plain;
mod scalars;
mod table;
mod types;
mod vertical;

use std::fmt;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::str::FromStr;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use clap::ValueEnum;

use crate::error::{Error, Result};

pub(crate) use delimited::{CsvStyle, Forced, Lines, MomentFormat, Quotes};
pub use file::OutputFile;
pub(crate) use file::replaceable;
pub(crate) use json::JsonValues;
pub use types::sql_type_name;

/// The form results are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, ValueEnum)]
pub enum Format {
    /// A table for people: boxed and fitted on a terminal, aligned plain text elsewhere
    Table,
    /// Comma-separated values with a header line
    Csv,
    /// Tab-separated values with a header line
    Tsv,
    /// One JSON array of objects
    Json,
    /// One JSON object a line
    #[value(alias = "jsonl")]
    Ndjson,
    /// A GitHub Markdown table
    #[value(alias = "md")]
    Markdown,
    /// One line for each value, for wide rows
    Vertical,
    /// An Apache Parquet file
    Parquet,
    /// An Apache Arrow IPC file
    Arrow,
}

impl Format {
    /// Whether the output is bytes that do not belong on a terminal.
    pub fn is_binary(self) -> bool {
        matches!(self, Format::Parquet | Format::Arrow)
    }

    /// The format that the extension of a file name stands for.
    pub fn from_path(path: &Path) -> Option<Format> {
        let extension = path.extension()?.to_str()?.to_ascii_lowercase();
        Some(match extension.as_str() {
            "csv" => Format::Csv,
            "tsv" => Format::Tsv,
            "json" => Format::Json,
            "ndjson" | "jsonl" => Format::Ndjson,
            "md" => Format::Markdown,
            "parquet" => Format::Parquet,
            "arrow" => Format::Arrow,
            "txt" => Format::Table,
            _ => return None,
        })
    }

    fn name(self) -> &'static str {
        match self {
            Format::Table => "table",
            Format::Csv => "csv",
            Format::Tsv => "tsv",
            Format::Json => "json",
            Format::Ndjson => "ndjson",
            Format::Markdown => "markdown",
            Format::Vertical => "vertical",
            Format::Parquet => "parquet",
            Format::Arrow => "arrow",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Format {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        <Format as ValueEnum>::from_str(text.trim(), true).map_err(|_| {
            let names: Vec<&str> = Format::value_variants().iter().map(|f| f.name()).collect();
            Error::config(format!(
                "unknown output format \"{text}\"; the formats are {}",
                names.join(", ")
            ))
        })
    }
}

/// How the formats for people look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Style {
    /// The columns of the terminal the text goes to: decorate and fit. `None` elsewhere: nothing
    /// decorative, and nothing left out.
    pub terminal_width: Option<usize>,
    /// Rows of a [`Format::Table`] shown on a terminal; 0 shows all.
    pub max_rows: usize,
    /// What stands for NULL in [`Format::Table`], [`Format::Markdown`] and [`Format::Vertical`].
    pub null_text: String,
}

impl Default for Style {
    fn default() -> Self {
        Style { terminal_width: None, max_rows: 40, null_text: "NULL".to_string() }
    }
}

impl Style {
    /// The style for standard output as it is: fitted if it is a terminal, plain elsewhere.
    pub fn for_stdout() -> Self {
        /// Where a terminal does not tell its width.
        const USUAL_WIDTH: usize = 80;
        let terminal_width = std::io::stdout().is_terminal().then(|| {
            terminal_size::terminal_size().map_or(USUAL_WIDTH, |(width, _)| usize::from(width.0))
        });
        Style { terminal_width, ..Style::default() }
    }
}

/// Takes the batches of one result in order.
pub trait ResultWriter {
    /// Adds the rows of a batch.
    ///
    /// # Errors
    /// When the sink fails, or a value has no form in this format.
    fn write(&mut self, batch: &RecordBatch) -> Result<()>;

    /// Writes what is still owed (a footer, or a header when there were no batches) and flushes the
    /// sink. To be called once, last.
    ///
    /// # Errors
    /// When the sink fails.
    fn finish(&mut self) -> Result<()>;
}

/// A writer of results with this schema to `sink`, in the given format.
///
/// Nothing is written before the first batch or the end, so a query that fails at once leaves no
/// header behind (Parquet and Arrow files begin with their magic bytes all the same).
///
/// # Errors
/// When the format has no form for one of the types, or the sink fails.
pub fn result_writer<'a>(
    format: Format,
    schema: SchemaRef,
    sink: Box<dyn Write + Send + 'a>,
    style: &Style,
) -> Result<Box<dyn ResultWriter + Send + 'a>> {
    let null_text = style.null_text.clone();
    let text = TextSink::new(sink);
    Ok(match format {
        Format::Table => match style.terminal_width {
            Some(width) => {
                let dim_types = table::terminal_can_dim();
                let rows = style.max_rows;
                Box::new(table::BoxedTable::new(schema, text, width, rows, null_text, dim_types))
            }
            None => Box::new(plain::PlainTable::new(schema, text, null_text)),
        },
        Format::Csv => Box::new(delimited::DelimitedWriter::try_new(&schema, text, b',')?),
        Format::Tsv => Box::new(delimited::DelimitedWriter::try_new(&schema, text, b'\t')?),
        Format::Json => Box::new(json::JsonWriter::new(&schema, text, json::Layout::Array)),
        Format::Ndjson => Box::new(json::JsonWriter::new(&schema, text, json::Layout::Lines)),
        Format::Markdown => Box::new(markdown::MarkdownWriter::new(schema, text, null_text)),
        Format::Vertical => {
            let decorate = style.terminal_width.is_some();
            Box::new(vertical::VerticalWriter::new(&schema, text, null_text, decorate))
        }
        Format::Parquet => Box::new(columnar::ParquetWriter::try_new(&schema, text.into_inner())?),
        Format::Arrow => Box::new(columnar::ArrowWriter::try_new(&schema, text.into_inner())?),
    })
}

/// Text is handed to the sink in pieces of about this many bytes.
const PIECE_BYTES: usize = 64 * 1024;

/// A sink with the text that is still to go to it.
struct TextSink<'a> {
    text: Vec<u8>,
    sink: Box<dyn Write + Send + 'a>,
}

impl<'a> TextSink<'a> {
    fn new(sink: Box<dyn Write + Send + 'a>) -> Self {
        TextSink { text: Vec::new(), sink }
    }

    /// Hands the text over when there is enough of it: to be called after each row.
    #[inline]
    fn end_row(&mut self) -> Result<()> {
        if self.text.len() >= PIECE_BYTES { self.hand_over() } else { Ok(()) }
    }

    /// Hands the text over, so that a slow query shows what it has: called after each batch.
    fn hand_over(&mut self) -> Result<()> {
        // A failed write must not be repeated by a later call.
        let outcome = self.sink.write_all(&self.text);
        self.text.clear();
        // One huge value must not keep its space for the rest of the result.
        self.text.shrink_to(4 * PIECE_BYTES);
        Ok(outcome?)
    }

    /// Hands the rest over and flushes the sink.
    fn finish(&mut self) -> Result<()> {
        self.hand_over()?;
        Ok(self.sink.flush()?)
    }

    fn into_inner(self) -> Box<dyn Write + Send + 'a> {
        self.sink
    }
}

#[cfg(test)]
mod test_support;

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int32Array};

    use super::*;

    #[test]
    fn formats_are_found_by_name_and_by_path() {
        for format in Format::value_variants() {
            assert_eq!(format.to_string().to_uppercase().parse::<Format>().unwrap(), *format);
            assert_eq!(format.to_possible_value().unwrap().get_name(), format.to_string());
        }
        assert_eq!("jsonl".parse::<Format>().unwrap(), Format::Ndjson);
        assert_eq!(
            "xls".parse::<Format>().unwrap_err().to_string(),
            "unknown output format \"xls\"; the formats are table, csv, tsv, json, ndjson, \
             markdown, vertical, parquet, arrow"
        );
        assert_eq!(Format::from_path(Path::new("a/b.JSONL")), Some(Format::Ndjson));
        assert_eq!(Format::from_path(Path::new("b.txt")), Some(Format::Table));
        assert_eq!(Format::from_path(Path::new("csv")), None);
        assert!(Format::Arrow.is_binary() && !Format::Table.is_binary());
    }

    /// A pipe whose reader went away after some bytes.
    struct Closing(usize);

    impl Write for Closing {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.0 == 0 {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            let taken = bytes.len().min(self.0);
            self.0 -= taken;
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_broken_pipe_is_known_in_every_format() {
        let column: ArrayRef = Arc::new(Int32Array::from_iter_values(0..10_000));
        let batch = RecordBatch::try_from_iter([("a", column)]).unwrap();
        for format in Format::value_variants() {
            let style = Style { terminal_width: None, ..Style::default() };
            let sink = Box::new(Closing(10));
            let outcome = result_writer(*format, batch.schema(), sink, &style)
                .and_then(|mut writer| writer.write(&batch).and_then(|()| writer.finish()));
            assert!(outcome.unwrap_err().is_broken_pipe(), "{format}");
        }
    }
}
