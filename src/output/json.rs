//! JSON: one array with an object on each line, or bare objects, one a line. NULL is kept as
//! `null`, numbers keep all their digits, everything else is a string or nested.

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::Schema;

use super::cells::{Cells, push_json_string};
use super::types::unique_names;
use super::{ResultWriter, TextSink};
use crate::error::Result;

/// What stands around the objects.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// One array.
    Array,
    /// Only line ends.
    Lines,
}

/// Writes each row as an object.
pub(super) struct JsonWriter<'a> {
    /// For each column what precedes its value: `{"first":` or `,"next":`.
    keys: Vec<Vec<u8>>,
    sink: TextSink<'a>,
    layout: Layout,
    empty: bool,
}

impl<'a> JsonWriter<'a> {
    pub(super) fn new(schema: &Schema, sink: TextSink<'a>, layout: Layout) -> Self {
        let names = unique_names(schema);
        let keys = names.iter().enumerate().map(|(index, name)| {
            let mut key = vec![if index == 0 { b'{' } else { b',' }];
            push_json_string(name, &mut key);
            key.push(b':');
            key
        });
        JsonWriter { keys: keys.collect(), sink, layout, empty: true }
    }
}

impl ResultWriter for JsonWriter<'_> {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let columns = Cells::of_batch(batch)?;
        for row in 0..batch.num_rows() {
            let out = &mut self.sink.text;
            if self.layout == Layout::Array {
                out.extend_from_slice(if self.empty { b"[\n" } else { b",\n" });
            }
            self.empty = false;
            if columns.is_empty() {
                out.push(b'{');
            }
            for (key, cells) in self.keys.iter().zip(&columns) {
                out.extend_from_slice(key);
                cells.push_json(row, out);
            }
            out.push(b'}');
            if self.layout == Layout::Lines {
                out.push(b'\n');
            }
            self.sink.end_row()?;
        }
        self.sink.hand_over()
    }

    fn finish(&mut self) -> Result<()> {
        if self.layout == Layout::Array {
            let end: &[u8] = if self.empty { b"[]\n" } else { b"\n]\n" };
            self.sink.text.extend_from_slice(end);
        }
        self.sink.finish()
    }
}

/// The values of a column as JSON, for functions.
pub(crate) struct JsonValues<'a>(Cells<'a>);

impl<'a> JsonValues<'a> {
    /// Prepares a column.
    pub(crate) fn new(array: &'a dyn Array) -> Result<Self> {
        Ok(JsonValues(Cells::new(array)?))
    }

    /// Appends a value, NULL as `null`.
    pub(crate) fn push(&self, row: usize, out: &mut Vec<u8>) {
        self.0.push_json(row, out);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Float64Array, Int32Array};
    use arrow::datatypes::{DataType, Field};

    use super::super::Format;
    use super::super::test_support::{awkward, counted, written_text};
    use super::*;

    const OBJECTS: [&str; 3] = [
        r#"{"id":1,"text":"a,\"b\"\tc","at":"2015-01-15 19:05:39","sum":1.50}"#,
        r#"{"id":null,"text":"","at":null,"sum":-0.05}"#,
        r#"{"id":-30,"text":"日本|\nx","at":null,"sum":null}"#,
    ];

    #[test]
    fn an_array_has_one_object_a_line() {
        let text = written_text(Format::Json, &[awkward(), awkward()]);
        let objects = OBJECTS.join(",\n");
        assert_eq!(text, format!("[\n{objects},\n{objects}\n]\n"));
        let parsed: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(parsed.as_array().unwrap().len(), 6);
        assert_eq!(written_text(Format::Json, &[counted(0, 0)]), "[]\n");
    }

    #[test]
    fn lines_have_one_object_each() {
        let text = written_text(Format::Ndjson, &[awkward()]);
        assert_eq!(text, OBJECTS.join("\n") + "\n");
        assert_eq!(written_text(Format::Ndjson, &[counted(0, 0)]), "");
    }

    #[test]
    fn equal_names_are_numbered_and_infinities_are_null() {
        let field = |data_type| Field::new("a", data_type, true);
        let schema = Schema::new(vec![field(DataType::Int32), field(DataType::Float64)]);
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int32Array::from(vec![1, 2])),
            Arc::new(Float64Array::from(vec![f64::INFINITY, 0.25])),
        ];
        let batch = RecordBatch::try_new(Arc::new(schema), columns).unwrap();
        assert_eq!(
            written_text(Format::Ndjson, &[batch]),
            "{\"a\":1,\"a_1\":null}\n{\"a\":2,\"a_1\":0.25}\n"
        );
    }
}
