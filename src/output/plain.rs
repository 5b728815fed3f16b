//! The table where there is no terminal: a header line, a line of dashes, and all rows and columns
//! of the result, aligned by the widths of the first rows and cut nowhere.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use unicode_width::UnicodeWidthStr;

use super::cells::{Cells, printable};
use super::types::is_numeric;
use super::{ResultWriter, TextSink};
use crate::error::Result;

/// The column widths follow from this many rows; wider cells further on push the rest aside.
const SAMPLE_ROWS: usize = 1_000;

/// The sample ends before that when it has this many bytes.
const SAMPLE_BYTES: usize = 8 * 1024 * 1024;

/// What is between two columns.
const GAP: &str = "  ";

/// Writes aligned lines.
pub(super) struct PlainTable<'a> {
    schema: SchemaRef,
    sink: TextSink<'a>,
    null_text: String,
    /// The first rows, until they have told the widths.
    sample: Vec<Vec<String>>,
    sample_bytes: usize,
    /// Empty while the sample is taken.
    widths: Vec<usize>,
    line: String,
}

impl<'a> PlainTable<'a> {
    pub(super) fn new(schema: SchemaRef, sink: TextSink<'a>, null_text: String) -> Self {
        PlainTable {
            schema,
            sink,
            null_text,
            sample: Vec::new(),
            sample_bytes: 0,
            widths: Vec::new(),
            line: String::new(),
        }
    }

    /// Settles the widths and writes the header and the rows of the sample.
    fn start(&mut self) -> Result<()> {
        let schema = SchemaRef::clone(&self.schema);
        let names: Vec<_> = schema.fields().iter().map(|field| printable(field.name())).collect();
        let mut widths: Vec<usize> = names.iter().map(|name| name.width()).collect();
        for row in &self.sample {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.width());
            }
        }
        self.widths = widths;
        let dashes: Vec<String> = self.widths.iter().map(|width| "-".repeat(*width)).collect();
        self.push_row(&names);
        self.push_row(&dashes);
        for row in std::mem::take(&mut self.sample) {
            self.push_row(&row);
            self.sink.end_row()?;
        }
        Ok(())
    }

    fn push_row(&mut self, row: &[impl AsRef<str>]) {
        self.line.clear();
        for (index, cell) in row.iter().enumerate() {
            if index > 0 {
                self.line.push_str(GAP);
            }
            let cell = cell.as_ref();
            let missing = self.widths[index].saturating_sub(cell.width());
            if is_numeric(self.schema.field(index).data_type()) {
                pad(&mut self.line, missing);
                self.line.push_str(cell);
            } else {
                self.line.push_str(cell);
                pad(&mut self.line, missing);
            }
        }
        self.sink.text.extend_from_slice(self.line.trim_end_matches(' ').as_bytes());
        self.sink.text.push(b'\n');
    }
}

fn pad(line: &mut String, blanks: usize) {
    line.extend(std::iter::repeat_n(' ', blanks));
}

impl ResultWriter for PlainTable<'_> {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        if self.schema.fields().is_empty() {
            return Ok(());
        }
        let columns = Cells::of_batch(batch)?;
        for row in 0..batch.num_rows() {
            let cells: Vec<String> =
                columns.iter().map(|cells| cells.display(row, &self.null_text)).collect();
            if self.widths.is_empty() {
                self.sample_bytes += cells.iter().map(String::len).sum::<usize>();
                self.sample.push(cells);
                if self.sample.len() >= SAMPLE_ROWS || self.sample_bytes >= SAMPLE_BYTES {
                    self.start()?;
                }
            } else {
                self.push_row(&cells);
                self.sink.end_row()?;
            }
        }
        self.sink.hand_over()
    }

    fn finish(&mut self) -> Result<()> {
        if self.widths.is_empty() && !self.schema.fields().is_empty() {
            self.start()?;
        }
        self.sink.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Format;
    use super::super::test_support::{awkward, counted, written_text};

    #[test]
    fn columns_are_aligned_and_lines_have_no_blanks_at_the_end() {
        assert_eq!(
            written_text(Format::Table, &[awkward()]),
            concat!(
                "  id  text      at                     sum\n",
                "----  --------  -------------------  -----\n",
                "   1  a,\"b\"\\tc  2015-01-15 19:05:39   1.50\n",
                "NULL            NULL                 -0.05\n",
                " -30  日本|\\nx  NULL                  NULL\n",
            )
        );
    }

    #[test]
    fn an_empty_result_is_a_header() {
        assert_eq!(written_text(Format::Table, &[counted(0, 0)]), "n\n-\n");
        assert_eq!(written_text(Format::Table, &[]), "");
    }

    #[test]
    fn wider_cells_after_the_sample_do_not_matter() {
        let text = written_text(Format::Table, &[counted(0, 999), counted(999, 2)]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[..3], ["  n", "---", "  0"]);
        assert_eq!(lines[1_001..], ["999", "1000"]);
    }
}
