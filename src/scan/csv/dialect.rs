//! What is true of a CSV file (or of all files of a table): everything a reader needs to know.

use datafusion::datasource::file_format::file_compression_type::FileCompressionType;

/// Words that mean NULL in a column that is not text, unless the user names others.
pub(crate) const USUAL_NULL_WORDS: [&str; 5] = ["null", "NULL", "NA", "N/A", "\\N"];

/// The settled form of a file: options where given, sniffed where not.
#[derive(Debug, Clone)]
pub(crate) struct Dialect {
    /// Byte between fields.
    pub(crate) delimiter: u8,
    /// Byte around fields.
    pub(crate) quote: u8,
    /// Byte before a quote inside a quoted field; `None`: quotes are doubled.
    pub(crate) escape: Option<u8>,
    /// Lines beginning with it are skipped.
    pub(crate) comment: Option<u8>,
    /// Whether the first record holds names.
    pub(crate) header: bool,
    /// Whether each file's header must hold the table's column names; off when the user gave the
    /// schema, who may rename columns so.
    pub(crate) checks_names: bool,
    /// Words that mean NULL.
    pub(crate) null_words: Vec<String>,
    /// Whether `null_words` hold in text columns too.
    pub(crate) null_words_in_text: bool,
    /// Whether a file may be read in several parts at once.
    pub(crate) splittable: bool,
    /// Compression of the files.
    pub(crate) compression: FileCompressionType,
    /// Mean length of a record in bytes, for estimates; 0 when unknown.
    pub(crate) mean_record_bytes: f64,
}

impl Default for Dialect {
    fn default() -> Self {
        Dialect {
            delimiter: b',',
            quote: b'"',
            escape: None,
            comment: None,
            header: true,
            checks_names: false,
            null_words: USUAL_NULL_WORDS.iter().map(ToString::to_string).collect(),
            null_words_in_text: false,
            splittable: true,
            compression: FileCompressionType::UNCOMPRESSED,
            mean_record_bytes: 0.0,
        }
    }
}

impl Dialect {
    /// A state machine for this dialect, at the start of a record.
    pub(crate) fn reader(&self) -> csv_core::Reader {
        csv_core::ReaderBuilder::new()
            .delimiter(self.delimiter)
            .quote(self.quote)
            .escape(self.escape)
            .double_quote(self.escape.is_none())
            .comment(self.comment)
            .build()
    }
}
