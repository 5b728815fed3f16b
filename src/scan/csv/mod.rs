//! Reading CSV: bytes → records → typed columns.
//!
//! ```text
//! options ── what the user said            dialect ── what is true of this file
//!                    └──────── sniff ────────┘  (samples spread over the file)
//! source  ── DataFusion's side: one reader a partition, projection, metrics
//!   bytes ── the file, or its decompressed form, in large pieces
//!   records ── csv_core's state machine: where fields and records end
//!   convert ── fields of the wanted columns → arrow arrays
//!   boundary ── where a partition's first record begins, and the proof that its neighbour agrees
//! format  ── DataFusion's `FileFormat`, which makes a source for a table and writes CSV
//! ```
//!
//! Fields follow RFC 4180 with the usual extensions: any one-byte delimiter, quote, escape and
//! comment; `\n`, `\r\n` or `\r` between records; empty lines skipped; a UTF-8 byte order mark
//! skipped. An empty field is NULL.
//!
//! Nothing is dropped or padded in silence: a record with too many or too few fields, a value that
//! is not of its column's type, a quoted field that never ends and text that is not UTF-8 are
//! errors of kind `Input` that give the path, the line and the column.

mod boundary;
mod bytes;
mod convert;
mod dialect;
mod format;
mod options;
mod records;
mod sniff;
mod source;

pub(crate) use bytes::Sample;
pub(crate) use format::sniff_files;
pub(crate) use format::{CsvFormat, CsvFormatFactory};
pub use options::CsvOptions;
pub(crate) use sniff::sniff;
