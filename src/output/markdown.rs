//! GitHub Markdown tables: pipes and backslashes escaped, line ends as `<br>`, numbers aligned on
//! the right by the marker under the header. The source is not padded, as widths are unknown while
//! rows stream by.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use super::cells::{Cells, into_text, printable};
use super::types::is_numeric;
use super::{ResultWriter, TextSink};
use crate::error::Result;

/// Writes rows between pipes.
pub(super) struct MarkdownWriter<'a> {
    schema: SchemaRef,
    sink: TextSink<'a>,
    null_text: String,
    started: bool,
}

impl<'a> MarkdownWriter<'a> {
    pub(super) fn new(schema: SchemaRef, sink: TextSink<'a>, null_text: String) -> Self {
        MarkdownWriter { schema, sink, null_text: escaped(&null_text), started: false }
    }

    fn start(&mut self) {
        if self.started || self.schema.fields().is_empty() {
            return;
        }
        self.started = true;
        let (mut names, mut marks) = (String::from("|"), String::from("|"));
        for field in self.schema.fields() {
            names.push_str(&format!(" {} |", escaped(field.name())));
            marks.push_str(if is_numeric(field.data_type()) { " ---: |" } else { " --- |" });
        }
        self.sink.text.extend_from_slice(format!("{names}\n{marks}\n").as_bytes());
    }
}

impl ResultWriter for MarkdownWriter<'_> {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.start();
        let columns = Cells::of_batch(batch)?;
        for row in 0..if columns.is_empty() { 0 } else { batch.num_rows() } {
            self.sink.text.push(b'|');
            for cells in &columns {
                self.sink.text.push(b' ');
                if cells.is_null(row) {
                    self.sink.text.extend_from_slice(self.null_text.as_bytes());
                } else if cells.is_tame() {
                    cells.push_text(row, &mut self.sink.text);
                } else {
                    let mut text = Vec::new();
                    cells.push_text(row, &mut text);
                    self.sink.text.extend_from_slice(escaped(&into_text(text)).as_bytes());
                }
                self.sink.text.extend_from_slice(b" |");
            }
            self.sink.text.push(b'\n');
            self.sink.end_row()?;
        }
        self.sink.hand_over()
    }

    fn finish(&mut self) -> Result<()> {
        self.start();
        self.sink.finish()
    }
}

/// The text of a cell: a backslash before a pipe would undo the escape, so it is escaped as well.
fn escaped(text: &str) -> String {
    let mut cell = String::with_capacity(text.len());
    let mut lines = text.split('\n');
    if let Some(first) = lines.next() {
        push_escaped(first, &mut cell);
    }
    for line in lines {
        cell.push_str("<br>");
        push_escaped(line, &mut cell);
    }
    cell
}

fn push_escaped(line: &str, cell: &mut String) {
    for c in line.strip_suffix('\r').unwrap_or(line).chars() {
        match c {
            '|' | '\\' => cell.extend(['\\', c]),
            c if c.is_control() => cell.push_str(&printable(c.encode_utf8(&mut [0; 4]))),
            c => cell.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Format;
    use super::super::test_support::{awkward, counted, written_text};
    use super::*;

    #[test]
    fn a_table() {
        assert_eq!(
            written_text(Format::Markdown, &[awkward()]),
            "| id | text | at | sum |\n\
             | ---: | --- | --- | ---: |\n\
             | 1 | a,\"b\"\\tc | 2015-01-15 19:05:39 | 1.50 |\n\
             | NULL |  | NULL | -0.05 |\n\
             | -30 | 日本\\|<br>x | NULL | NULL |\n"
        );
        assert_eq!(written_text(Format::Markdown, &[counted(0, 0)]), "| n |\n| ---: |\n");
    }

    #[test]
    fn escapes_cannot_be_undone() {
        assert_eq!(escaped("a\\|b\r\nc"), "a\\\\\\|b<br>c");
    }
}
