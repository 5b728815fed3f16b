//! Aggregates over frames.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::execution::memory_pool::MemoryReservation;
use datafusion::logical_expr::Accumulator;
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::physical_expr::window::WindowExpr;

use super::frame::{Frames, Part};
use super::rows::{Cursor, Exprs, Rows};

/// So many rows at once are worth a look at what an aggregate holds.
const MANY_ROWS: usize = 1024;

/// An aggregate over frames. Rows are added when a frame reaches them, and taken back when it has
/// left them.
pub(super) struct Aggregate {
    accumulator: Box<dyn Accumulator>,
    /// What the accumulator holds.
    memory: MemoryReservation,
    is_sliding: bool,
    frames: Frames,
    added: Cursor,
    removed: Cursor,
    /// The rows that are in the accumulator.
    frame: Range<usize>,
    /// Its value, if that was asked for.
    value: Option<ScalarValue>,
    /// The value of a frame without rows.
    empty: ScalarValue,
}

impl Aggregate {
    pub(super) fn new(
        expr: &Arc<dyn WindowExpr>,
        aggregate: &AggregateFunctionExpr,
        is_sliding: bool,
        memory: &MemoryReservation,
    ) -> Result<Self> {
        let arguments: Exprs = expr.expressions().into_iter().collect();
        let accumulator = match is_sliding {
            true => aggregate.create_sliding_accumulator()?,
            false => aggregate.create_accumulator()?,
        };
        Ok(Aggregate {
            accumulator,
            memory: memory.new_empty(),
            is_sliding,
            frames: Frames::new(expr.get_window_frame(), expr.order_by())?,
            added: Cursor::new(Arc::clone(&arguments)),
            removed: Cursor::new(arguments),
            frame: 0..0,
            value: None,
            empty: aggregate.default_value(expr.field()?.data_type())?,
        })
    }

    pub(super) async fn column(&mut self, rows: &mut Rows, part: &Part) -> Result<ArrayRef> {
        let runs = self.frames.runs(part);
        let mut values = Vec::with_capacity(part.rows);
        for run in &runs {
            let frame = self.frames.of(rows, part, run).await?;
            let value = self.value(rows, frame).await?;
            if runs.len() == 1 {
                return value.to_array_of_size(part.rows);
            }
            values.resize(values.len() + run.rows.len(), value);
        }
        self.memory.try_resize(self.accumulator.size())?;
        ScalarValue::iter_to_array(values)
    }

    /// The value for a frame, none of whose ends is before that of the last one.
    async fn value(&mut self, rows: &mut Rows, frame: Range<usize>) -> Result<ScalarValue> {
        if frame.is_empty() {
            let reached = frame.end.max(self.frame.end);
            if self.is_sliding && reached > 0 {
                self.remove_before(rows, self.frame.end).await?;
                self.frame = reached..reached;
            }
            return Ok(self.empty.clone());
        }
        if frame.end > self.frame.end {
            let (accumulator, memory) = (&mut self.accumulator, &self.memory);
            let add = |columns: &[ArrayRef]| {
                accumulator.update_batch(columns)?;
                // Asked for now and then: it may take as long as adding a row.
                let is_large = columns.first().is_some_and(|column| column.len() >= MANY_ROWS);
                if is_large { memory.try_resize(accumulator.size()) } else { Ok(()) }
            };
            self.added.visit(rows, self.frame.end..frame.end, add).await?;
            self.frame.end = frame.end;
            self.value = None;
        }
        if self.is_sliding {
            self.remove_before(rows, frame.start).await?;
        }
        match &self.value {
            Some(value) => Ok(value.clone()),
            None => {
                let value = self.accumulator.evaluate()?;
                self.value = Some(value.clone());
                Ok(value)
            }
        }
    }

    async fn remove_before(&mut self, rows: &mut Rows, row: usize) -> Result<()> {
        let row = row.min(self.frame.end);
        if row > self.frame.start {
            let (accumulator, old) = (&mut self.accumulator, self.frame.start..row);
            self.removed.visit(rows, old, |columns| accumulator.retract_batch(columns)).await?;
            self.frame.start = row;
            self.value = None;
        }
        Ok(())
    }

    /// The first row whose block it may still ask for.
    pub(super) fn needs(&self) -> usize {
        let removed =
            if self.is_sliding { self.removed.needs(self.frame.start) } else { usize::MAX };
        self.added.needs(self.frame.end).min(removed).min(self.frames.needs())
    }
}
