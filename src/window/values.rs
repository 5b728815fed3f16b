//! Functions that give the value of another row: `lag`, `lead`, `first_value`, `last_value` and
//! `nth_value`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch, UInt32Array};
use arrow::compute::kernels::zip::zip;
use arrow::compute::{concat, take};
use datafusion::common::{ScalarValue, internal_err};
use datafusion::error::Result;
use datafusion::functions_window::{lead_lag, nth_value};
use datafusion::logical_expr::WindowUDF;
use datafusion::physical_expr::expressions::Literal;
use datafusion::physical_expr::window::WindowExpr;
use datafusion::physical_plan::windows::WindowUDFExpr;

use super::frame::{Edge, Frames, Part};
use super::function::{has_flag, literal};
use super::rows::{Cursor, Exprs, Rows};
use crate::exchange::compacted;

/// Functions that give the value of another row.
pub(super) struct Pick {
    target: Target,
    /// What is given where there is no such row.
    default: ScalarValue,
    frames: Frames,
    /// Rows that count (all, or those that are not NULL) before the start of a frame, before its
    /// end, and the row that is given.
    before_start: Counter,
    before_end: Counter,
    picked: Counter,
}

/// Which row it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// The n-th of the frame, counted from 1, or from its end if negative. 0 is none.
    Nth(i64),
    /// So many before the row itself, or after it if negative.
    Before(i64),
}

impl Target {
    pub(super) fn of(fun: &Arc<WindowUDF>, function: &WindowUDFExpr) -> Option<Self> {
        let is_reversed = has_flag(function, "is_reversed");
        let turned = |number: i64| if is_reversed { number.wrapping_neg() } else { number };
        let distance = || match function.args().get(1) {
            None => Some(1),
            Some(_) => literal(function, 1),
        };
        Some(match fun {
            _ if *fun == nth_value::first_value_udwf() => Target::Nth(1),
            _ if *fun == nth_value::last_value_udwf() => Target::Nth(-1),
            _ if *fun == nth_value::nth_value_udwf() => Target::Nth(turned(literal(function, 1)?)),
            _ if *fun == lead_lag::lag_udwf() => Target::Before(turned(distance()?)),
            _ if *fun == lead_lag::lead_udwf() => {
                Target::Before(turned(distance()?.wrapping_neg()))
            }
            _ => return None,
        })
    }
}

impl Pick {
    pub(super) fn new(
        target: Target,
        expr: &Arc<dyn WindowExpr>,
        function: &WindowUDFExpr,
    ) -> Result<Self> {
        let ignores_nulls = has_flag(function, "ignore_nulls");
        let field = expr.field()?;
        let default = match (target, function.args().get(2)) {
            (Target::Before(_), Some(default)) => match default.downcast_ref::<Literal>() {
                Some(literal) => literal.value().cast_to(field.data_type())?,
                None => return internal_err!("a default that is no constant"),
            },
            _ => ScalarValue::try_from(field.data_type())?,
        };
        let values: Exprs = expr.expressions().into_iter().take(1).collect();
        let counter = || Counter::new(Arc::clone(&values), ignores_nulls);
        let (before_start, before_end, picked) = (counter(), counter(), counter());
        let frames = Frames::new(expr.get_window_frame(), expr.order_by())?;
        Ok(Pick { target, default, frames, before_start, before_end, picked })
    }

    pub(super) async fn column(&mut self, rows: &mut Rows, part: &Part) -> Result<ArrayRef> {
        let mut found = Found::default();
        match self.target {
            Target::Nth(number) => {
                for run in self.frames.runs(part) {
                    let frame = self.frames.of(rows, part, &run).await?;
                    let start = self.before_start.before(rows, frame.start).await?;
                    let end = self.before_end.before(rows, frame.end).await?;
                    let distance = usize::try_from(number.unsigned_abs()).unwrap_or(usize::MAX);
                    let row = match number {
                        0 => None,
                        1.. => start.checked_add(distance - 1).filter(|row| *row < end),
                        _ => end.checked_sub(distance).filter(|row| *row >= start),
                    };
                    self.pick(rows, &mut found, row, run.rows.len()).await?;
                }
            }
            Target::Before(distance) => {
                for row in part.start..part.start + part.rows {
                    let row = self.other(rows, row, distance).await?;
                    self.pick(rows, &mut found, row, 1).await?;
                }
            }
        }
        found.finish(&self.picked, &self.default)
    }

    /// The row at a distance before a row, among those that count.
    async fn other(&mut self, rows: &mut Rows, row: usize, distance: i64) -> Result<Option<usize>> {
        let by = usize::try_from(distance.unsigned_abs()).unwrap_or(usize::MAX);
        if distance > 0 {
            return Ok(self.before_start.before(rows, row).await?.checked_sub(by));
        }
        if distance < 0 {
            let after = self.before_start.before(rows, row + 1).await?;
            return Ok(after.checked_add(by - 1));
        }
        // The row itself, whether it is NULL or not.
        self.picked.counts_all();
        Ok(Some(row))
    }

    async fn pick(
        &mut self,
        rows: &mut Rows,
        found: &mut Found,
        row: Option<usize>,
        times: usize,
    ) -> Result<()> {
        let place = match row {
            Some(row) => self.picked.place(rows, row, found).await?,
            None => None,
        };
        found.places.resize(found.places.len() + times, place);
        Ok(())
    }

    /// The first row whose block it may still ask for.
    pub(super) fn needs(&self) -> usize {
        let picked = self.picked.values.needs(0);
        match self.target {
            Target::Before(_) => picked.min(self.before_start.needs()),
            Target::Nth(_) => {
                // Nothing is ever counted before the first row.
                let starts_first = matches!(self.frames.start, Edge::First);
                let start = if starts_first { usize::MAX } else { self.before_start.needs() };
                picked.min(start).min(self.before_end.needs()).min(self.frames.needs())
            }
        }
    }
}

/// Counts rows, all or those that are not NULL.
struct Counter {
    values: Cursor,
    ignores_nulls: bool,
    /// Rows that were passed, and those of them that count.
    row: usize,
    count: usize,
    /// The places of the rows of the current block that count, once they were asked for.
    places: Option<Vec<u32>>,
}

impl Counter {
    fn new(values: Exprs, ignores_nulls: bool) -> Self {
        Counter { values: Cursor::new(values), ignores_nulls, row: 0, count: 0, places: None }
    }

    fn counts_all(&mut self) {
        self.ignores_nulls = false;
    }

    /// How many rows before this one count.
    async fn before(&mut self, rows: &mut Rows, row: usize) -> Result<usize> {
        if !self.ignores_nulls {
            return Ok(row);
        }
        let mut count = self.count;
        let wanted = self.row..row.max(self.row);
        self.values
            .visit(rows, wanted, |columns| {
                count += columns[0].len() - columns[0].logical_null_count();
                Ok(())
            })
            .await?;
        (self.row, self.count) = (row.max(self.row), count);
        Ok(count)
    }

    /// The first row whose block it may still ask for to count.
    fn needs(&self) -> usize {
        if self.ignores_nulls { self.values.needs(self.row) } else { usize::MAX }
    }

    /// The place of the row of this number, of those that count, in the block that the cursor is
    /// then in; `found` is told before it leaves one. `None` if there are not as many.
    async fn place(
        &mut self,
        rows: &mut Rows,
        number: usize,
        found: &mut Found,
    ) -> Result<Option<u32>> {
        if !self.ignores_nulls {
            if !self.values.rows().contains(&number) {
                found.leave(&self.values)?;
                if !self.values.seek(rows, number).await? {
                    return Ok(None);
                }
            }
            return Ok(Some(self.values.place(number) as u32));
        }
        loop {
            if let Some(places) = &self.places {
                if let Some(place) = places.get(number - self.count) {
                    return Ok(Some(*place));
                }
                if self.is_last(rows).await? {
                    return Ok(None);
                }
                self.count += places.len();
                found.leave(&self.values)?;
            }
            let next = self.values.rows().end;
            if !self.values.seek(rows, next).await? {
                return Ok(None);
            }
            let column = &self.values.columns[0];
            let nulls = column.logical_nulls();
            let counts =
                |row: &u32| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(*row as usize));
            self.places = Some((0..column.len() as u32).filter(counts).collect());
        }
    }

    /// Whether the cursor is in the last block.
    async fn is_last(&self, rows: &mut Rows) -> Result<bool> {
        Ok(!rows.reach(self.values.rows().end).await?)
    }
}

/// Values that were found, in pieces, one for each block they are in.
#[derive(Default)]
struct Found {
    pieces: Vec<ArrayRef>,
    /// The places in the current block of those that are not in a piece; `None` where there is no
    /// row.
    places: Vec<Option<u32>>,
    /// Whether there is a row.
    is_found: Vec<bool>,
}

impl Found {
    /// Takes the values of the block that is left.
    fn leave(&mut self, values: &Cursor) -> Result<()> {
        if self.places.iter().any(Option::is_some) {
            let places = std::mem::take(&mut self.places);
            self.is_found.extend(places.iter().map(Option::is_some));
            let piece = take(&values.columns[0], &UInt32Array::from(places), None)?;
            self.pieces.push(own(piece)?);
        }
        Ok(())
    }

    fn finish(mut self, picked: &Counter, default: &ScalarValue) -> Result<ArrayRef> {
        self.leave(&picked.values)?;
        if !self.places.is_empty() {
            self.is_found.resize(self.is_found.len() + self.places.len(), false);
            let none = ScalarValue::try_from(default.data_type())?;
            self.pieces.push(none.to_array_of_size(self.places.len())?);
        }
        let pieces: Vec<&dyn Array> = self.pieces.iter().map(AsRef::as_ref).collect();
        let values =
            if let [piece] = self.pieces.as_slice() { Arc::clone(piece) } else { concat(&pieces)? };
        if default.is_null() || self.is_found.iter().all(|found| *found) {
            return Ok(values);
        }
        Ok(zip(&BooleanArray::from(self.is_found), &values, &default.to_scalar()?)?)
    }
}

/// The same values without those of other rows that they may hold on to.
fn own(column: ArrayRef) -> Result<ArrayRef> {
    let batch = compacted(RecordBatch::try_from_iter_with_nullable([("", column, true)])?);
    Ok(Arc::clone(batch.column(0)))
}
