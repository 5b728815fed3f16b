//! A chart of bars as text.

use arrow::array::{Array, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use unicode_width::UnicodeWidthStr;

use super::{DataFrame, col};
use crate::error::{Error, Result};

/// A chart of more rows than this cannot be read.
const MOST_ROWS: usize = 1000;

/// Eighths of a character, none first.
const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

impl DataFrame {
    /// Runs the query and draws a bar of up to `width` characters for each row, as long as the
    /// number of `value` and after the text of `label`. NULLs and numbers below 0 have no bar.
    ///
    /// # Errors
    /// Those of planning and running; `Query` if there is no such column, one is not a number, or
    /// there are more than 1000 rows.
    pub async fn bar(self, label: &str, value: &str, width: usize) -> Result<String> {
        let frame = self.select([col(label).alias("label"), col(value).alias("value")])?;
        if !frame.schema().field(1).data_type().is_numeric() {
            return Err(Error::query(format!("\"{value}\" is not a number that a bar can show")));
        }
        let mut rows = Vec::new();
        for batch in frame.limit(MOST_ROWS + 1)?.collect().await? {
            let labels = ArrayFormatter::try_new(batch.column(0), &FormatOptions::default())?;
            let numbers = cast(batch.column(1), &DataType::Float64)?;
            let numbers = numbers.as_primitive::<Float64Type>();
            let texts = ArrayFormatter::try_new(batch.column(1), &FormatOptions::default())?;
            rows.extend((0..batch.num_rows()).map(|row| {
                let number = numbers.is_valid(row).then(|| numbers.value(row));
                (labels.value(row).to_string(), number, texts.value(row).to_string())
            }));
        }
        if rows.len() > MOST_ROWS {
            return Err(Error::query(format!("a chart of bars has up to {MOST_ROWS} rows"))
                .with_hint("limit the rows, or group them first"));
        }
        Ok(chart(&rows, width))
    }
}

/// Rows of a label, a number and its text.
fn chart(rows: &[(String, Option<f64>, String)], width: usize) -> String {
    let finite = rows.iter().filter_map(|(_, number, _)| *number).filter(|n| n.is_finite());
    let most = finite.fold(0.0, f64::max);
    let indent = rows.iter().map(|(label, ..)| label.width()).max().unwrap_or(0);
    let mut text = String::new();
    for (label, number, shown) in rows {
        let part = match number {
            Some(number) if most > 0.0 => (number / most).clamp(0.0, 1.0),
            _ => 0.0,
        };
        let eighths = if part.is_nan() { 0 } else { (part * (width * 8) as f64).round() as usize };
        let bar = "█".repeat(eighths / 8) + EIGHTHS[eighths % 8];
        let blanks = " ".repeat(indent - label.width());
        text.push_str(format!("{label}{blanks} {bar} {shown}").trim_end());
        text.push('\n');
    }
    text
}
