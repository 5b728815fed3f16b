//! What is said of records and values that cannot be read: errors, and rows that are left out.

use std::sync::atomic::Ordering;

use datafusion::error::DataFusionError;

use super::{Reading, Scan};
use crate::error::{Error, ErrorKind};
use crate::scan::csv::convert::Fields;
use crate::scan::csv::hints::HintedColumn;
use crate::scan::csv::lines::line_numbers;
use crate::scan::csv::rejects::Rejected;
use crate::scan::csv::source::type_name;
use crate::scan::csv::structure::Irregularity;

/// How many characters of a wrong value a message shows.
const SHOWN_CHARS: usize = 60;
/// How many characters of a record that is left out are kept.
const REJECTED_CHARS: usize = 500;

impl Scan {
    /// The text of a field of the piece.
    fn text(&self, record: usize, column: usize) -> Vec<u8> {
        let width = self.reading.file_schema.fields().len();
        let (bytes, index) = (self.piece.bytes.as_slice(), &self.index);
        let fields = Fields { bytes, index, width, rules: &self.reading.rules };
        fields.text(record, column, &mut Vec::new()).to_vec()
    }

    /// The error of a record of the piece that is not like the others.
    pub(super) async fn bad_record(&self, from: usize, why: Irregularity) -> DataFusionError {
        let place = self.place(self.piece.base + from as u64).await;
        let width = self.reading.file_schema.fields().len();
        let error = Error::input(format!("{place} {}", irregular_message(why, width)));
        let error = error.with_hint(match why {
            Irregularity::Fields(count) if count < width => {
                "mend the line, or read it with null_padding = true (missing fields are NULL) or \
                 ignore_errors = true (such rows are left out and counted)"
            }
            _ => {
                "mend the line, or read the file with ignore_errors = true: such rows are left out \
                 and counted"
            }
        });
        error.into()
    }

    /// The error of a record at this offset of the file that is longer than allowed.
    pub(super) async fn too_long(&self, offset: u64) -> DataFusionError {
        let place = self.place(offset).await;
        let most = self.reading.dialect.max_record_bytes;
        let bytes = if most == 1 { "byte" } else { "bytes" };
        Error::input(format!("{place} begins a record of more than {most} {bytes}"))
            .with_hint(
                "a quote that is never closed is the usual cause; records that are that long need \
                 a larger max_line_size",
            )
            .into()
    }

    /// The error of a record, at this offset, that there is no memory for.
    pub(super) async fn no_room(
        &self,
        bytes: usize,
        offset: u64,
        source: DataFusionError,
    ) -> DataFusionError {
        let place = self.place(offset).await;
        let message =
            format!("{place} begins a record that needs more than {bytes} bytes of memory");
        Error::new(ErrorKind::Resources, message)
            .with_hint("a quote that is never closed is the usual cause; or raise the memory limit")
            .with_source(source)
            .into()
    }

    /// The error of a value that is not of its column's type.
    pub(super) async fn bad_value(&self, record: usize, column: usize) -> DataFusionError {
        let value = self.text(record, column);
        let offset = self.piece.base + u64::from(self.index.starts[record]);
        let place = self.place(offset).await;
        let error = Error::input(format!("{place}: {}", self.value_message(column, &value)));
        if std::str::from_utf8(&value).is_err() {
            let hint = "name the encoding of the file, such as encoding = 'latin-1'";
            return error.with_hint(hint).into();
        }
        let field = self.reading.file_schema.field(column);
        let column = HintedColumn {
            rules: &self.reading.rules,
            place: column,
            name: field.name(),
            data_type: field.data_type(),
        };
        error.with_hint(column.hint(&value)).into()
    }

    /// What is wrong with such a value.
    fn value_message(&self, column: usize, value: &[u8]) -> String {
        let schema = &self.reading.file_schema;
        let name = schema.field(column).name();
        let shown = shortened(value, SHOWN_CHARS);
        if std::str::from_utf8(value).is_err() {
            return format!("column \"{name}\" is not UTF-8: \"{shown}\"");
        }
        let is = type_name(schema, column);
        format!("column \"{name}\" is {is}, but the value is \"{shown}\"")
    }

    /// Leaves a record out for such a value.
    pub(super) fn reject_value(&self, record: usize, column: usize) {
        let message = self.value_message(column, &self.text(record, column));
        let start = self.index.starts[record] as usize;
        let width = self.reading.file_schema.fields().len();
        let end = self.index.ends[(record + 1) * width - 1] as usize;
        let offset = self.piece.base + start as u64;
        self.reject(offset, Some(column), &self.piece.bytes[start..end], message);
    }

    /// Leaves a record out and counts it.
    pub(super) fn reject(&self, offset: u64, column: Option<usize>, record: &[u8], error: String) {
        let Reading { store, dialect, file_schema, .. } = &*self.reading;
        self.reading.rows_rejected.add(1);
        dialect.rejected_rows.fetch_add(1, Ordering::Relaxed);
        if let Some(list) = &dialect.rejects {
            let column = column.map(|column| file_schema.field(column).name().clone());
            let text = shortened(record.trim_ascii_end(), REJECTED_CHARS);
            list.add(store, &self.meta, dialect, offset, Rejected { column, error, text });
        }
    }

    /// `"path" line 42`, counted from the beginning of the file.
    async fn place(&self, offset: u64) -> String {
        let Reading { store, dialect, .. } = &*self.reading;
        match line_numbers(store, &self.meta, dialect, &[offset]).await.as_deref() {
            Ok([line]) => format!("\"{}\" line {line}", self.path()),
            _ => format!("\"{}\" byte {offset}", self.path()),
        }
    }
}

/// What is wrong with a record, after "line 42".
pub(super) fn irregular_message(why: Irregularity, width: usize) -> String {
    match why {
        Irregularity::Fields(found) => {
            let fields = if found == 1 { "field" } else { "fields" };
            format!("has {found} {fields}, expected {width}")
        }
        Irregularity::OpenQuote => "begins a quoted field that is never closed".to_string(),
        Irregularity::TextAfterQuote => {
            "has text between the closing quote and the end of a field".to_string()
        }
    }
}

/// As much of a value as can be shown in a message.
fn shortened(bytes: &[u8], chars: usize) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(4 * chars + 4)]);
    let mut shown: String = text.chars().take(chars).collect();
    if shown.len() < bytes.len() {
        shown.push('…');
    }
    shown
}
