//! Functions we know nothing of: those of users, and aggregates with FILTER.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::compute::concat_batches;
use datafusion::common::{ScalarValue, internal_err};
use datafusion::error::Result;
use datafusion::execution::memory_pool::MemoryReservation;
use datafusion::logical_expr::window_state::PartitionBatchState;
use datafusion::physical_expr::window::{
    PartitionBatches, PartitionWindowAggStates, WindowEvalContext, WindowExpr,
};

use super::frame::Part;
use super::rows::Rows;
use crate::exchange::logical_bytes;

/// A function we know nothing of: DataFusion evaluates it on the rows that it needs, or on all.
pub(super) struct Buffered {
    expr: Arc<dyn WindowExpr>,
    batches: PartitionBatches,
    states: PartitionWindowAggStates,
    /// The block that is read next, and its first row.
    next: usize,
    next_row: usize,
    /// The results of all rows, where they cannot be had before.
    results: Option<ArrayRef>,
    /// What is held of all this.
    memory: MemoryReservation,
}

impl Buffered {
    pub(super) fn new(expr: &Arc<dyn WindowExpr>, memory: &MemoryReservation) -> Self {
        Buffered {
            expr: Arc::clone(expr),
            batches: PartitionBatches::default(),
            states: PartitionWindowAggStates::default(),
            next: 0,
            next_row: 0,
            results: None,
            memory: memory.new_empty(),
        }
    }

    pub(super) async fn column(&mut self, rows: &mut Rows, part: &Part) -> Result<ArrayRef> {
        if !self.expr.uses_bounded_memory() {
            let results = match &self.results {
                Some(results) => Arc::clone(results),
                None => self.evaluate_all(rows).await?,
            };
            self.results = Some(Arc::clone(&results));
            return Ok(results.slice(part.start, part.rows));
        }
        loop {
            if let Some(state) = self.states.values_mut().next()
                && state.state.out_col.len() >= part.rows
            {
                let results = Arc::clone(&state.state.out_col);
                let left = results.len() - part.rows;
                state.state.out_col = results.slice(part.rows, left);
                return Ok(results.slice(0, part.rows));
            }
            self.advance(rows).await?;
        }
    }

    async fn evaluate_all(&mut self, rows: &mut Rows) -> Result<ArrayRef> {
        let mut batches = Vec::new();
        while let Some(batch) = rows.block(self.next).await? {
            (self.next, self.next_row) = (self.next + 1, self.next_row + batch.num_rows());
            // The rows once more in one batch, and a value for each while results are made.
            let values = batch.num_rows() * size_of::<ScalarValue>();
            self.memory.try_grow(2 * logical_bytes(&batch) + values)?;
            batches.push(batch);
        }
        let batch = concat_batches(&rows.schema(), &batches)?;
        drop(batches);
        let results = self.expr.evaluate(&batch)?;
        drop(batch);
        self.memory.resize(results.get_array_memory_size());
        Ok(results)
    }

    /// Reads a block more and evaluates what can be.
    async fn advance(&mut self, rows: &mut Rows) -> Result<()> {
        let block = rows.block(self.next).await?;
        if self.batches.is_empty() {
            let none = PartitionBatchState::new(rows.schema());
            self.batches.insert(Vec::new(), none);
        }
        let Some(state) = self.batches.values_mut().next() else {
            return internal_err!("a partition without rows");
        };
        if let Some(result) = self.states.values_mut().next() {
            // What was evaluated for good is not kept.
            let done = &mut result.state;
            let pruned = done.window_frame_range.start.min(done.last_calculated_index);
            let left = state.record_batch.num_rows() - pruned;
            state.record_batch = state.record_batch.slice(pruned, left);
            done.prune_state(pruned);
        }
        match block {
            Some(block) => {
                (self.next, self.next_row) = (self.next + 1, self.next_row + block.num_rows());
                let bytes = logical_bytes(&state.record_batch) + logical_bytes(&block);
                // Twice while they are put together.
                self.memory.try_resize(2 * bytes)?;
                state.extend(&block)?;
            }
            None if state.is_end => return internal_err!("a function gave too few results"),
            None => state.is_end = true,
        }
        let context = WindowEvalContext::default();
        self.expr.evaluate_stateful(&self.batches, &mut self.states, &context)
    }

    /// The first row whose block it may still ask for.
    pub(super) fn needs(&self) -> usize {
        self.next_row
    }
}
