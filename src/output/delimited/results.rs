//! Query results as delimited text.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use super::{CsvStyle, Lines};
use crate::error::Result;
use crate::output::{ResultWriter, TextSink};

/// Writes values between delimiters.
pub(in crate::output) struct DelimitedWriter<'a> {
    lines: Lines,
    sink: TextSink<'a>,
    started: bool,
}

impl<'a> DelimitedWriter<'a> {
    pub(in crate::output) fn try_new(
        schema: &SchemaRef,
        sink: TextSink<'a>,
        delimiter: u8,
    ) -> Result<Self> {
        // People are shown what there is, and have no other text for NULL.
        let style = CsvStyle { delimiter, lone_null_is_empty: true, ..CsvStyle::default() };
        Ok(DelimitedWriter { lines: Lines::new(style, schema)?, sink, started: false })
    }

    fn start(&mut self) -> Result<()> {
        if self.started {
            return Ok(());
        }
        self.started = true;
        self.lines.push_head(&mut self.sink.text)
    }
}

impl ResultWriter for DelimitedWriter<'_> {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.start()?;
        let rows = self.lines.rows(batch)?;
        for row in 0..rows.count() {
            rows.push(row, &mut self.sink.text)?;
            self.sink.end_row()?;
        }
        self.sink.hand_over()
    }

    fn finish(&mut self) -> Result<()> {
        self.start()?;
        self.sink.finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, ListArray};
    use arrow::datatypes::Int32Type;

    use super::*;
    use crate::output::Format;
    use crate::output::test_support::{awkward, counted, written_text};

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
