//! The table on a terminal: boxed, fitted to the width, and only its first and last rows, because
//! nobody reads a million of them. Below it stands how many rows there were.

use std::collections::VecDeque;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use comfy_table::{Cell, CellAlignment, ColumnConstraint, ContentArrangement, Table, Width};

use super::cells::{Cells, printable};
use super::layout::{ELLIPSIS, Heading, Layout, cut};
use super::types::{is_numeric, is_short, sql_type_name};
use super::{ResultWriter, TextSink};
use crate::error::Result;

/// A table of all rows is drawn in pieces of this many, with the widths of the first.
const PIECE_ROWS: usize = 1_000;

/// Stands for the rows left out.
const ROWS_LEFT_OUT: &str = "⋮";

/// The characters of the box, in comfy-table's order: thin lines, round corners, and no lines
/// between rows.
const BOX: &str = "││──├─┼┤│    ┬┴╭╮╰╯";

/// The line of the drawn table with the types: below the upper border and the names.
const TYPES_LINE: usize = 2;

const DIM: &str = "\x1b[2m";
const NOT_DIM: &str = "\x1b[0m";

/// Whether the terminal may be asked to show the types less bright than the names.
pub(super) fn terminal_can_dim() -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    !refused && std::env::var_os("TERM").is_some_and(|term| term != "dumb")
}

/// Draws a box around the rows that are shown.
pub(super) struct BoxedTable<'a> {
    headings: Vec<Heading>,
    sink: TextSink<'a>,
    terminal_width: usize,
    null_text: String,
    dim_types: bool,
    /// Rows shown from either end; without a limit all rows go through `head`, piece by piece.
    limits: Option<(usize, usize)>,
    head: Vec<Vec<String>>,
    tail: VecDeque<Vec<String>>,
    rows: u64,
    /// Set when a piece has been drawn.
    layout: Option<Layout>,
}

impl<'a> BoxedTable<'a> {
    pub(super) fn new(
        schema: SchemaRef,
        sink: TextSink<'a>,
        terminal_width: usize,
        max_rows: usize,
        null_text: String,
        dim_types: bool,
    ) -> Self {
        let headings = schema.fields().iter().map(|field| Heading {
            name: printable(field.name()).into_owned(),
            type_name: sql_type_name(field.data_type()),
            numeric: is_numeric(field.data_type()),
            whole: is_short(field.data_type()),
        });
        BoxedTable {
            headings: headings.collect(),
            sink,
            terminal_width,
            null_text,
            dim_types,
            limits: (max_rows > 0).then(|| (max_rows.div_ceil(2), max_rows / 2)),
            head: Vec::new(),
            tail: VecDeque::new(),
            rows: 0,
            layout: None,
        }
    }

    /// The cells of a row; more than the terminal has room for is not kept.
    fn row(&self, columns: &[Cells<'_>], row: usize) -> Vec<String> {
        let cell = |cells: &Cells<'_>| {
            let text = cells.display(row, &self.null_text);
            // One more column than fits, so that it still counts as too wide.
            if text.len() > self.terminal_width {
                cut(&text, self.terminal_width + 1)
            } else {
                text
            }
        };
        columns.iter().map(cell).collect()
    }

    /// Draws the rows in `head`, which are the first ones if nothing was drawn yet.
    fn draw(&mut self, is_last: bool) {
        if self.headings.is_empty() {
            return;
        }
        let is_first = self.layout.is_none();
        let rows = std::mem::take(&mut self.head);
        let layout = self
            .layout
            .get_or_insert_with(|| Layout::fit(&self.headings, rows.iter(), self.terminal_width));

        let mut table = Table::new();
        table.load_preset(BOX).set_content_arrangement(ContentArrangement::Disabled);
        if is_first {
            let headings = &self.headings;
            table.set_header(layout.pick(
                |index, width| {
                    let heading = &headings[index];
                    let type_name = cut(&heading.type_name, width);
                    Cell::new(format!("{}\n{type_name}", cut(&heading.name, width)))
                },
                || Cell::new(ELLIPSIS),
            ));
        }
        for row in &rows {
            table.add_row(layout.pick(
                |index, width| row.get(index).map_or_else(String::new, |cell| cut(cell, width)),
                || if is_left_out(row) { ROWS_LEFT_OUT.into() } else { ELLIPSIS.into() },
            ));
        }
        let shapes = layout.pick(
            |index, width| {
                let numeric = self.headings[index].numeric;
                (width, if numeric { CellAlignment::Right } else { CellAlignment::Left })
            },
            || (1, CellAlignment::Left),
        );
        for (column, (width, alignment)) in table.column_iter_mut().zip(shapes) {
            let width = u16::try_from(width + 2).unwrap_or(u16::MAX);
            column.set_constraint(ColumnConstraint::Absolute(Width::Fixed(width)));
            column.set_cell_alignment(alignment);
        }

        let lines: Vec<String> = table.lines().collect();
        // A piece has no border towards the next one, nor a second one towards the last.
        let border = usize::from(!is_first);
        let end = if is_last { lines.len() } else { lines.len() - 1 };
        for (number, line) in lines[..end].iter().enumerate().skip(border) {
            if self.dim_types && is_first && number == TYPES_LINE {
                let parts: Vec<String> = line.split('│').map(dimmed).collect();
                self.sink.text.extend_from_slice(parts.join("│").as_bytes());
            } else {
                self.sink.text.extend_from_slice(line.as_bytes());
            }
            self.sink.text.push(b'\n');
        }
    }

    fn footer(&self, rows_shown: u64) -> String {
        let mut footer = counted(self.rows, "row");
        if rows_shown < self.rows {
            footer.push_str(&format!(" ({} shown)", grouped(rows_shown)));
        }
        if let Some(Layout { shown, gap: Some(_) }) = &self.layout {
            let columns = counted(self.headings.len() as u64, "column");
            footer.push_str(&format!(", {columns} ({} shown)", shown.len()));
        }
        footer.push('\n');
        footer
    }
}

fn dimmed(part: &str) -> String {
    if part.trim().is_empty() { part.to_string() } else { format!("{DIM}{part}{NOT_DIM}") }
}

/// The row that stands for those left out has only such marks.
fn is_left_out(row: &[String]) -> bool {
    row.iter().all(|cell| cell == ROWS_LEFT_OUT)
}

impl ResultWriter for BoxedTable<'_> {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let columns = Cells::of_batch(batch)?;
        let count = batch.num_rows();
        self.rows += count as u64;
        let Some((head_rows, tail_rows)) = self.limits else {
            for row in 0..count {
                // Only when there is another row, as the last piece must not be empty.
                if self.head.len() == PIECE_ROWS {
                    self.draw(false);
                    self.sink.hand_over()?;
                }
                let cells = self.row(&columns, row);
                self.head.push(cells);
            }
            return Ok(());
        };
        let to_head = count.min(head_rows - self.head.len());
        for row in 0..to_head {
            let cells = self.row(&columns, row);
            self.head.push(cells);
        }
        // Of the rest, only the last rows can ever be shown.
        for row in to_head.max(count.saturating_sub(tail_rows))..count {
            if self.tail.len() == tail_rows {
                self.tail.pop_front();
            }
            let cells = self.row(&columns, row);
            self.tail.push_back(cells);
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        let shown = match self.limits {
            None => self.rows,
            Some(_) => (self.head.len() + self.tail.len()) as u64,
        };
        if shown < self.rows {
            self.head.push(vec![ROWS_LEFT_OUT.to_string(); self.headings.len()]);
        }
        self.head.extend(std::mem::take(&mut self.tail));
        self.draw(true);
        let footer = self.footer(shown);
        self.sink.text.extend_from_slice(footer.as_bytes());
        self.sink.finish()
    }
}

/// `1 row`, `45,000 rows`.
fn counted(count: u64, unit: &str) -> String {
    format!("{} {unit}{}", grouped(count), if count == 1 { "" } else { "s" })
}

/// A number with a comma between groups of three digits.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, StringArray};

    use super::super::test_support::{Kept, awkward, counted as numbers};
    use super::*;

    fn drawn(batches: &[RecordBatch], width: usize, max_rows: usize, dim: bool) -> String {
        let kept = Kept::default();
        let sink = TextSink::new(Box::new(kept.clone()));
        let null_text = "NULL".to_string();
        let mut table = BoxedTable::new(batches[0].schema(), sink, width, max_rows, null_text, dim);
        for batch in batches {
            table.write(batch).unwrap();
        }
        table.finish().unwrap();
        kept.text()
    }

    #[test]
    fn a_small_table_is_shown_whole() {
        assert_eq!(
            drawn(&[awkward()], 80, 40, false),
            "\
╭────────┬──────────┬─────────────────────┬──────────────╮
│     id │ text     │ at                  │          sum │
│ bigint │ varchar  │ timestamp           │ decimal(9,2) │
├────────┼──────────┼─────────────────────┼──────────────┤
│      1 │ a,\"b\"\\tc │ 2015-01-15 19:05:39 │         1.50 │
│   NULL │          │ NULL                │        -0.05 │
│    -30 │ 日本|\\nx │ NULL                │         NULL │
╰────────┴──────────┴─────────────────────┴──────────────╯
3 rows
"
        );
    }

    #[test]
    fn rows_and_columns_that_do_not_fit_are_left_out() {
        let names = ["first", "second", "third", "fourth", "fifth", "sixth"];
        let text: ArrayRef = Arc::new(StringArray::from(vec!["a long text to be cut"; 700]));
        let columns = names.map(|name| (name, ArrayRef::clone(&text)));
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        assert_eq!(
            drawn(&[batch.clone(), batch], 50, 3, false),
            "\
╭──────────────┬──────────────┬───┬──────────────╮
│ first        │ second       │ … │ sixth        │
│ varchar      │ varchar      │   │ varchar      │
├──────────────┼──────────────┼───┼──────────────┤
│ a long text… │ a long text… │ … │ a long text… │
│ a long text… │ a long text… │ … │ a long text… │
│ ⋮            │ ⋮            │ ⋮ │ ⋮            │
│ a long text… │ a long text… │ … │ a long text… │
╰──────────────┴──────────────┴───┴──────────────╯
1,400 rows (3 shown), 6 columns (3 shown)
"
        );
    }

    #[test]
    fn the_last_rows_come_from_several_batches() {
        let batches: Vec<RecordBatch> = (0..10).map(|first| numbers(first, 1)).collect();
        let table = drawn(&batches, 80, 5, false);
        let shown: Vec<&str> = table
            .lines()
            .skip(4)
            .map(|line| line.trim_matches(['│', ' ']))
            .take_while(|cell| !cell.starts_with('╰'))
            .collect();
        assert_eq!(shown, ["0", "1", "2", "⋮", "8", "9"]);
        assert!(table.ends_with("\n10 rows (5 shown)\n"));
        assert!(drawn(&batches, 80, 10, false).ends_with("\n10 rows\n"));
        assert!(drawn(&batches, 80, 1, false).ends_with("\n10 rows (1 shown)\n"));
    }

    #[test]
    fn all_rows_are_drawn_in_pieces_that_join() {
        let whole = drawn(&[numbers(1_000, 2_500)], 80, 0, false);
        let lines: Vec<&str> = whole.lines().collect();
        assert_eq!(lines.len(), 2_500 + 6);
        for (index, line) in lines[4..2_504].iter().enumerate() {
            assert_eq!(*line, format!("│   {} │", 1_000 + index));
        }
        assert_eq!(lines[2_504..], ["╰────────╯", "2,500 rows"]);
        // Also when the last piece is a full one.
        let whole = drawn(&[numbers(1_000, 1_000)], 80, 0, false);
        assert!(whole.ends_with("│   1999 │\n╰────────╯\n1,000 rows\n"));
    }

    #[test]
    fn an_empty_result_has_a_header() {
        assert_eq!(
            drawn(&[numbers(0, 0)], 80, 40, true),
            "\
╭────────╮
│      n │
│\u{1b}[2m bigint \u{1b}[0m│
├────────┤
╰────────╯
0 rows
"
        );
    }
}
