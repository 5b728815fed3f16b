//! What the tests of the writers share: a sink that can be looked at, and a batch with one of
//! everything that is awkward.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use arrow::array::{
    Array, ArrayRef, Decimal128Array, Int64Array, RecordBatch, StringArray, TimestampSecondArray,
};
use arrow::datatypes::Schema;

use super::cells::Cells;
use super::{Format, Style, result_writer};

/// Keeps what is written to it.
#[derive(Clone, Default)]
pub(super) struct Kept(Arc<Mutex<Vec<u8>>>);

impl Kept {
    pub(super) fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap().clone()
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8(self.bytes()).unwrap()
    }
}

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What a format makes of some batches.
pub(super) fn written(format: Format, batches: &[RecordBatch], style: &Style) -> Vec<u8> {
    let kept = Kept::default();
    let schema = batches.first().map_or(Arc::new(Schema::empty()), RecordBatch::schema);
    let mut writer = result_writer(format, schema, Box::new(kept.clone()), style).unwrap();
    for batch in batches {
        writer.write(batch).unwrap();
    }
    writer.finish().unwrap();
    drop(writer);
    kept.bytes()
}

/// The same as text, in the plain style.
pub(super) fn written_text(format: Format, batches: &[RecordBatch]) -> String {
    String::from_utf8(written(format, batches, &Style::default())).unwrap()
}

/// Nulls, an empty string, quotes, delimiters, line ends, wide characters, a time, a decimal.
pub(super) fn awkward() -> RecordBatch {
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None, Some(-30)]));
    let texts: ArrayRef =
        Arc::new(StringArray::from(vec![Some("a,\"b\"\tc"), Some(""), Some("日本|\nx")]));
    let times: ArrayRef =
        Arc::new(TimestampSecondArray::from(vec![Some(1_421_348_739), None, None]));
    let amounts = Decimal128Array::from(vec![Some(150), Some(-5), None]);
    let amounts: ArrayRef = Arc::new(amounts.with_precision_and_scale(9, 2).unwrap());
    RecordBatch::try_from_iter_with_nullable([
        ("id", numbers, true),
        ("text", texts, true),
        ("at", times, true),
        ("sum", amounts, true),
    ])
    .unwrap()
}

/// A batch of one column of numbers, counted from `first`.
pub(super) fn counted(first: i64, rows: i64) -> RecordBatch {
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(first..first + rows));
    RecordBatch::try_from_iter([("n", numbers)]).unwrap()
}

/// The values of a column as people see them, NULL as `-`.
pub(super) fn texts(array: &dyn Array) -> Vec<String> {
    let cells = Cells::new(array).unwrap();
    (0..array.len()).map(|row| cells.display(row, "-")).collect()
}

/// The values of a column as JSON, with a blank between.
pub(super) fn json(array: &dyn Array) -> String {
    let cells = Cells::new(array).unwrap();
    let mut out = Vec::new();
    for row in 0..array.len() {
        cells.push_json(row, &mut out);
        out.push(b' ');
    }
    String::from_utf8(out).unwrap().trim_end().to_string()
}
