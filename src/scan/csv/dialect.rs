//! What is true of a CSV file (or of all files of a table): everything a reader needs to know.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use arrow::datatypes::DataType;
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use datafusion::execution::memory_pool::MemoryPool;
use serde::{Deserialize, Serialize};

use super::encoding::Encoding;
use super::rejects::RejectedRecords;
use super::structure::Marks;
use crate::scan::options::compression_name;
use crate::spill::SpillStore;

/// Words that mean NULL in a column that is not text, unless the user names others.
pub(crate) const USUAL_NULL_WORDS: [&str; 9] =
    ["null", "NULL", "Null", "NA", "N/A", "n/a", "#N/A", "\\N", "NaT"];

/// No record may be longer unless the user says so: a quote that is never closed would otherwise
/// take the rest of the file into memory.
pub(crate) const MAX_RECORD_BYTES: usize = 64 << 20;

/// The most that a user may say: offsets within a record, and a piece more, are of 32 bits.
pub(crate) const MOST_RECORD_BYTES: usize = u32::MAX as usize - 4 * PIECE_BYTES;

/// How much of a file is looked at at once unless a test says so.
pub(super) const PIECE_BYTES: usize = 2 << 20;

/// What ends a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Newline {
    /// `\n`, with or without `\r` before it; lines of both kinds may be mixed.
    Lf,
    /// `\r` alone.
    Cr,
}

impl Newline {
    /// The byte that ends a line, as lines are counted.
    pub(crate) fn byte(self) -> u8 {
        match self {
            Newline::Lf => b'\n',
            Newline::Cr => b'\r',
        }
    }
}

/// The settled form of a file: options where given, sniffed where not.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Dialect {
    /// Byte between fields.
    pub(crate) delimiter: u8,
    /// Byte around fields; `None`: fields are never quoted.
    pub(crate) quote: Option<u8>,
    /// Byte before a quote inside a quoted field; `None`: quotes are doubled.
    pub(crate) escape: Option<u8>,
    /// Lines beginning with it are skipped.
    pub(crate) comment: Option<u8>,
    /// What ends a record.
    pub(crate) newline: Newline,
    /// Lines of the file, as they are on disk and whatever is on them, before the header or the
    /// first record.
    pub(crate) skip_lines: usize,
    /// Whether the first record holds names. It may have fewer fields than the table has columns:
    /// [`header_names`](super::sniff::header_names) makes up the others.
    pub(crate) header: bool,
    /// Whether each file's header must hold the table's column names; off when the user gave the
    /// names, who may rename columns so.
    pub(crate) checks_names: bool,
    /// Words that mean NULL.
    pub(crate) null_words: Vec<String>,
    /// Whether `null_words` hold in text columns too.
    pub(crate) null_words_in_text: bool,
    /// Whether they hold where they are quoted, too.
    pub(crate) quoted_nulls: bool,
    /// Byte before the fraction of a number.
    pub(crate) decimal: u8,
    /// Byte between groups of three digits of a number.
    pub(crate) thousands: Option<u8>,
    /// Format of dates, in columns beyond the end of `formats`; `None`: ISO 8601.
    pub(crate) date_format: Option<String>,
    /// Format of timestamps, in columns beyond the end of `formats`; `None`: ISO 8601.
    pub(crate) timestamp_format: Option<String>,
    /// Format of the dates or timestamps of each file column; `None`: ISO 8601.
    /// [`Dialect::format_of`] knows what holds for a column.
    pub(crate) formats: Vec<Option<String>>,
    /// Of each file column, whether its type was found in samples: then a value that is not quite
    /// of the type, such as `07072` among integers, is an error. The types of columns beyond the
    /// end are given.
    pub(crate) found: Vec<bool>,
    /// Encoding of the (decompressed) files.
    pub(crate) encoding: Encoding,
    /// Whether fields that a record lacks at its end are NULL.
    pub(crate) null_padding: bool,
    /// Whether records that cannot be read are left out.
    pub(crate) ignore_errors: bool,
    /// How many have been left out, of all files of the session.
    #[serde(skip)]
    pub(crate) rejected_rows: Arc<AtomicU64>,
    /// The list that they are added to, if any.
    #[serde(skip)]
    pub(crate) rejects: Option<Arc<RejectedRecords>>,
    /// Whether text after a closing quote, and a quote that is never closed, are errors. Otherwise
    /// they are taken as they are.
    pub(crate) strict: bool,
    /// Longest record in bytes.
    pub(crate) max_record_bytes: usize,
    /// How much of a file is looked at before its records are converted: what is read, and where
    /// its fields end, stays in the processor's cache until then.
    #[serde(skip)]
    pub(crate) piece_bytes: usize,
    /// Threads that a query has.
    #[serde(skip)]
    pub(crate) threads: usize,
    /// Whether a file may be read in several parts at once, as far as the user is concerned.
    pub(crate) parallel: bool,
    /// Compression of the files.
    #[serde(with = "compression_name")]
    pub(crate) compression: FileCompressionType,
    /// Where memory comes from for records that are longer than a piece.
    #[serde(skip)]
    pub(crate) memory: Option<Arc<dyn MemoryPool>>,
    /// Where files are copied to that are elsewhere and can only be read from front to end.
    #[serde(skip)]
    pub(crate) temporary: Option<SpillStore>,
    /// Mean length of a record in bytes, for estimates; 0 when unknown.
    pub(crate) mean_record_bytes: f64,
}

impl Default for Dialect {
    fn default() -> Self {
        Dialect {
            delimiter: b',',
            quote: Some(b'"'),
            escape: None,
            comment: None,
            newline: Newline::Lf,
            skip_lines: 0,
            header: true,
            checks_names: false,
            null_words: USUAL_NULL_WORDS.iter().map(ToString::to_string).collect(),
            null_words_in_text: false,
            quoted_nulls: false,
            decimal: b'.',
            thousands: None,
            date_format: None,
            timestamp_format: None,
            formats: Vec::new(),
            found: Vec::new(),
            encoding: Encoding::Utf8,
            null_padding: false,
            ignore_errors: false,
            rejected_rows: Arc::default(),
            rejects: None,
            strict: true,
            max_record_bytes: MAX_RECORD_BYTES,
            piece_bytes: PIECE_BYTES,
            threads: 1,
            parallel: true,
            compression: FileCompressionType::UNCOMPRESSED,
            memory: None,
            temporary: None,
            mean_record_bytes: 0.0,
        }
    }
}

impl Dialect {
    /// Whether files of both are read alike; they may be of different lengths.
    pub(crate) fn reads_like(&self, other: &Dialect) -> bool {
        let form = |dialect: &Dialect| {
            let Dialect { delimiter, quote, escape, comment, newline, skip_lines, .. } = *dialect;
            let Dialect { header, decimal, thousands, encoding, compression, .. } = *dialect;
            let bytes = (delimiter, quote, escape, comment, newline, skip_lines);
            (bytes, header, decimal, thousands, encoding, compression)
        };
        form(self) == form(other)
            && self.null_words == other.null_words
            && self.formats == other.formats
    }

    /// All that decides which rows the bytes of a file are, as a text.
    pub(crate) fn form(&self) -> String {
        let usual = Dialect::default();
        let form = Dialect {
            rejected_rows: usual.rejected_rows,
            rejects: usual.rejects,
            piece_bytes: usual.piece_bytes,
            threads: usual.threads,
            parallel: usual.parallel,
            memory: usual.memory,
            temporary: usual.temporary,
            mean_record_bytes: usual.mean_record_bytes,
            ..self.clone()
        };
        format!("{form:?}")
    }

    /// The format of a file column's dates or timestamps; `None`: ISO 8601.
    pub(crate) fn format_of(&self, column: usize, data_type: &DataType) -> Option<&str> {
        let format = match (self.formats.get(column), data_type) {
            (Some(format), DataType::Date32 | DataType::Timestamp(..)) => format,
            (None, DataType::Date32) => &self.date_format,
            (None, DataType::Timestamp(..)) => &self.timestamp_format,
            _ => return None,
        };
        format.as_deref()
    }

    /// The bytes that say where fields and records end.
    pub(crate) fn marks(&self) -> Marks {
        let Dialect { delimiter, quote, comment, .. } = *self;
        // A quote that escapes itself is one that is doubled.
        let escape = self.escape.filter(|escape| Some(*escape) != quote);
        Marks { delimiter, quote, escape, comment }
    }

    /// Whether the bytes of a file have to be decompressed or translated before they are parsed.
    pub(crate) fn is_decoded(&self) -> bool {
        self.compression.is_compressed() || self.encoding != Encoding::Utf8
    }

    /// Whether a file can be read in several parts at once.
    pub(crate) fn is_splittable(&self) -> bool {
        self.parallel && !self.is_decoded()
    }
}
