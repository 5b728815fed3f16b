//! Reading CSV: bytes → records → typed columns.
//!
//! ```text
//! options ── what the user said            dialect ── what is true of this file
//!                    └──────── sniff ────────┘  (samples spread over the files)
//!                              foreign ── files that are no CSV, by their first bytes
//! encoding ── bytes of other encodings → UTF-8
//! source  ── DataFusion's side: parts of files, projection, filters, metrics
//!   scan  ── one reader: the records that begin in one part of a file → record batches
//!     input     ── the bytes: read at any place, or decoded from front to end by compressed and
//!                  encoding
//!     remote    ── those of a file in an object store, with what is read next on its way
//!     cuts      ── where records begin after the places at which the file is cut
//!     structure ── where fields and records end, 64 bytes at a time
//!     convert   ── fields of the wanted columns → arrow arrays, with values for each value
//!     predicate ── which rows are wanted, told from one column after the other
//!     faults    ── what is said of records and values that cannot be read
//!     hints     ── what the user can do about a value that is not of its column's type
//! format  ── DataFusion's `FileFormat`, which makes a source for a table, and our sink for a write
//! ```
//!
//! Fields follow RFC 4180 with the usual extensions: any one-byte delimiter, quote, escape and
//! comment; `\n`, `\r\n` or `\r` between records; empty lines skipped; a UTF-8 byte order mark
//! skipped. An empty field is NULL; in a column of text, one in quotes is an empty text.
//!
//! Nothing is dropped or padded in silence: a record with too many or too few fields, a value that
//! is not of its column's type, a quoted field that never ends and text that is not UTF-8 are
//! errors of kind `Input` that give the path, the line and the column.

mod compressed;
mod convert;
mod cuts;
mod dialect;
mod encoding;
mod foreign;
mod format;
mod hints;
mod input;
mod lines;
mod options;
mod rejects;
mod remote;
mod sample;
mod scan;
mod sniff;
mod source;
mod structure;
mod values;

pub(crate) use dialect::{Dialect, Newline};
pub(crate) use encoding::{BYTE_ORDER_MARK, Encoding};
pub(crate) use format::{CsvFormat, CsvFormatFactory};
pub use options::CsvOptions;
pub(crate) use options::{Rejects, Types};
pub(crate) use rejects::{RejectedRecords, RejectsTable};
pub(crate) use sniff::{Sniffed, column_place, sniff_files};
pub(crate) use source::CsvSource;
