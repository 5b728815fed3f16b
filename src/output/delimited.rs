//! CSV and TSV after RFC 4180, except that lines end in `\n`: a header line, quotes only where they
//! are needed. NULL is an empty field, the empty string is `""`.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use super::cells::Cells;
use super::{ResultWriter, TextSink};
use crate::error::Result;

/// Writes values between delimiters.
pub(super) struct DelimitedWriter<'a> {
    schema: SchemaRef,
    sink: TextSink<'a>,
    delimiter: u8,
    started: bool,
}

impl<'a> DelimitedWriter<'a> {
    pub(super) fn new(schema: SchemaRef, sink: TextSink<'a>, delimiter: u8) -> Self {
        DelimitedWriter { schema, sink, delimiter, started: false }
    }

    fn start(&mut self) {
        if self.started {
            return;
        }
        self.started = true;
        if self.schema.fields().is_empty() {
            return;
        }
        let out = &mut self.sink.text;
        for (index, field) in self.schema.fields().iter().enumerate() {
            if index > 0 {
                out.push(self.delimiter);
            }
            let start = out.len();
            out.extend_from_slice(field.name().as_bytes());
            quote_from(start, self.delimiter, out);
        }
        out.push(b'\n');
    }
}

impl ResultWriter for DelimitedWriter<'_> {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.start();
        let columns = Cells::of_batch(batch)?;
        // Readers skip empty lines, so a NULL that is alone on its line has to be visible.
        let null_text: &[u8] = if columns.len() == 1 { b"\"\"" } else { b"" };
        for row in 0..if columns.is_empty() { 0 } else { batch.num_rows() } {
            let out = &mut self.sink.text;
            for (index, cells) in columns.iter().enumerate() {
                if index > 0 {
                    out.push(self.delimiter);
                }
                if cells.is_null(row) {
                    out.extend_from_slice(null_text);
                    continue;
                }
                let start = out.len();
                cells.push_text(row, out);
                if !cells.is_tame() || out.len() == start {
                    quote_from(start, self.delimiter, out);
                }
            }
            out.push(b'\n');
            self.sink.end_row()?;
        }
        self.sink.hand_over()
    }

    fn finish(&mut self) -> Result<()> {
        self.start();
        self.sink.finish()
    }
}

/// Puts the field that begins at `start` into quotes if it needs them.
#[inline]
fn quote_from(start: usize, delimiter: u8, out: &mut Vec<u8>) {
    let field = &out[start..];
    // Without an early end, so that many bytes are compared at once.
    let special = field.iter().fold(false, |found, &byte| {
        found | (byte == b'"') | (byte == delimiter) | (byte == b'\n') | (byte == b'\r')
    });
    if special || field.is_empty() {
        let field = out.split_off(start);
        out.push(b'"');
        for part in field.split_inclusive(|byte| *byte == b'"') {
            out.extend_from_slice(part);
            if part.ends_with(b"\"") {
                out.push(b'"');
            }
        }
        out.push(b'"');
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, ListArray};
    use arrow::datatypes::Int32Type;

    use super::super::Format;
    use super::super::test_support::{awkward, counted, written_text};
    use super::*;

    #[test]
    fn quotes_only_where_needed() {
        assert_eq!(
            written_text(Format::Csv, &[awkward()]),
            "id,text,at,sum\n\
             1,\"a,\"\"b\"\"\tc\",2015-01-15 19:05:39,1.50\n\
             ,\"\",,-0.05\n\
             -30,\"日本|\nx\",,\n"
        );
        assert_eq!(
            written_text(Format::Tsv, &[awkward()]),
            "id\ttext\tat\tsum\n\
             1\t\"a,\"\"b\"\"\tc\"\t2015-01-15 19:05:39\t1.50\n\
             \t\"\"\t\t-0.05\n\
             -30\t\"日本|\nx\"\t\t\n"
        );
    }

    #[test]
    fn a_lonely_null_is_visible() {
        let column: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None]));
        let batch = RecordBatch::try_from_iter([("a \"b\"", column)]).unwrap();
        assert_eq!(written_text(Format::Csv, &[batch]), "\"a \"\"b\"\"\"\n1\n\"\"\n");
    }

    #[test]
    fn nested_values_are_quoted_json() {
        let list = ListArray::from_iter_primitive::<Int32Type, _, _>(vec![
            Some(vec![Some(1), Some(2)]),
            Some(vec![Some(3)]),
        ]);
        let batch = RecordBatch::try_from_iter([("l", Arc::new(list) as ArrayRef)]).unwrap();
        assert_eq!(written_text(Format::Csv, &[batch]), "l\n\"[1,2]\"\n[3]\n");
    }

    #[test]
    fn an_empty_result_has_a_header_and_long_ones_have_one() {
        assert_eq!(written_text(Format::Csv, &[counted(0, 0)]), "n\n");
        assert_eq!(written_text(Format::Csv, &[]), "");
        let long = written_text(Format::Csv, &[counted(0, 50_000), counted(50_000, 50_000)]);
        let expected: String = (0..100_000).map(|n| format!("{n}\n")).collect();
        assert_eq!(long, format!("n\n{expected}"));
    }
}
