//! One line for each value, as `psql` does after `\x`: a rule with the number of the row, then
//! `name | value` lines. For rows that are too wide for a table.

use std::io::Write;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use unicode_width::UnicodeWidthStr;

use super::cells::{Cells, into_text, printable};
use super::{ResultWriter, TextSink};
use crate::error::Result;

/// Writes rows as blocks of lines.
pub(super) struct VerticalWriter<'a> {
    /// The names, padded to the same width.
    names: Vec<String>,
    name_width: usize,
    sink: TextSink<'a>,
    null_text: String,
    decorate: bool,
    rows: u64,
}

impl<'a> VerticalWriter<'a> {
    pub(super) fn new(
        schema: &Schema,
        sink: TextSink<'a>,
        null_text: String,
        decorate: bool,
    ) -> Self {
        let names: Vec<_> = schema.fields().iter().map(|field| printable(field.name())).collect();
        let name_width = names.iter().map(|name| name.width()).max().unwrap_or(0);
        let padded = names.iter().map(|name| {
            let missing = name_width - name.width();
            format!("{name}{:missing$}", "")
        });
        let names = padded.collect();
        VerticalWriter { names, name_width, sink, null_text, decorate, rows: 0 }
    }

    fn push_value(&mut self, cells: &Cells<'_>, row: usize) {
        let out = &mut self.sink.text;
        if cells.is_null(row) {
            out.extend_from_slice(self.null_text.as_bytes());
        } else if cells.is_tame() {
            cells.push_text(row, out);
        } else {
            let mut text = Vec::new();
            cells.push_text(row, &mut text);
            // Long texts are what this format is for, so their lines stay lines.
            for (index, line) in into_text(text).split('\n').enumerate() {
                if index > 0 {
                    trim_line(out);
                    write!(out, "\n{:1$} | ", "", self.name_width)
                        .expect("writing to a Vec does not fail");
                }
                let line = line.strip_suffix('\r').unwrap_or(line);
                out.extend_from_slice(printable(line).as_bytes());
            }
        }
        trim_line(out);
        out.push(b'\n');
    }
}

/// No line ends in blanks.
fn trim_line(out: &mut Vec<u8>) {
    while out.last() == Some(&b' ') {
        out.pop();
    }
}

impl ResultWriter for VerticalWriter<'_> {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let columns = Cells::of_batch(batch)?;
        for row in 0..batch.num_rows() {
            self.rows += 1;
            let mut rule = format!("-[ {} ]---", self.rows);
            while rule.len() < self.name_width + 2 {
                rule.push('-');
            }
            self.sink.text.extend_from_slice(rule.as_bytes());
            self.sink.text.push(b'\n');
            for (index, cells) in columns.iter().enumerate() {
                self.sink.text.extend_from_slice(self.names[index].as_bytes());
                self.sink.text.extend_from_slice(b" | ");
                self.push_value(cells, row);
            }
            self.sink.end_row()?;
        }
        self.sink.hand_over()
    }

    fn finish(&mut self) -> Result<()> {
        if self.decorate && self.rows == 0 {
            self.sink.text.extend_from_slice(b"0 rows\n");
        }
        self.sink.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_support::{awkward, counted, written, written_text};
    use super::super::{Format, Style};

    #[test]
    fn blocks_of_lines() {
        assert_eq!(
            written_text(Format::Vertical, &[awkward()]),
            "-[ 1 ]---\n\
             id   | 1\n\
             text | a,\"b\"\\tc\n\
             at   | 2015-01-15 19:05:39\n\
             sum  | 1.50\n\
             -[ 2 ]---\n\
             id   | NULL\n\
             text |\n\
             at   | NULL\n\
             sum  | -0.05\n\
             -[ 3 ]---\n\
             id   | -30\n\
             text | 日本|\n     \
                  | x\n\
             at   | NULL\n\
             sum  | NULL\n"
        );
    }

    #[test]
    fn nothing_is_said_of_nothing_but_on_a_terminal() {
        assert_eq!(written_text(Format::Vertical, &[counted(0, 0)]), "");
        let style = Style { terminal_width: Some(80), ..Style::default() };
        assert_eq!(written(Format::Vertical, &[counted(0, 0)], &style), b"0 rows\n");
    }
}
