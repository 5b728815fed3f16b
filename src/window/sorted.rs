//! Window functions over a stream that is sorted, in memory that does not depend on its partitions.

use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::error::Result;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::{StreamExt, stream};

use super::frame::Peers;
use super::function::{Function, order_exprs};
use super::kernel;
use super::plan::Stage;
use super::rows::{Overflow, Rows, Section};
use crate::kernel::until_error;

/// Consumers of windows have this name.
pub(super) const CONSUMER: &str = "window";

/// The rows of a stream that is sorted by PARTITION BY and ORDER BY of a stage, in the same order,
/// with the results of the stage.
pub(super) fn run(
    stage: Arc<Stage>,
    input: SendableRecordBatchStream,
    pool: &Arc<dyn MemoryPool>,
    overflow: Overflow,
) -> SendableRecordBatchStream {
    let memory = MemoryConsumer::new(CONSUMER).with_can_spill(true).register(pool);
    let states = MemoryConsumer::new("window functions").register(pool);
    let schema = Arc::clone(&stage.schema);
    let evaluation = Evaluation {
        rows: Rows::new(input, Arc::clone(&stage.keys), memory, overflow),
        stage,
        states,
        functions: Vec::new(),
        peers: None,
        number: 0,
    };
    let batches = stream::try_unfold(evaluation, |mut evaluation| async {
        let batch = evaluation.next().await?;
        Ok(batch.map(|batch| (batch, evaluation)))
    });
    Box::pin(RecordBatchStreamAdapter::new(schema, until_error(batches).boxed()))
}

struct Evaluation {
    stage: Arc<Stage>,
    rows: Rows,
    /// For what functions hold.
    states: MemoryReservation,
    /// Of the open partition.
    functions: Vec<Function>,
    peers: Option<Peers>,
    /// The block that comes next.
    number: usize,
}

impl Evaluation {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            tokio::task::consume_budget().await;
            if let Some(batch) = self.next_of_partition().await? {
                return Ok(Some(batch));
            }
            match self.rows.next_section().await? {
                None => return Ok(None),
                Some(Section::Partitions(batch, ranges)) => {
                    return Ok(Some(kernel::add_columns(&self.stage, batch, &ranges).await?));
                }
                Some(Section::Open) => self.open()?,
            }
        }
    }

    /// Begins a partition.
    fn open(&mut self) -> Result<()> {
        let schema = &self.stage.input;
        let functions =
            self.stage.exprs.iter().map(|expr| Function::of(expr, schema, &self.states));
        self.functions = functions.collect::<Result<_>>()?;
        self.peers = Some(Peers::new(order_exprs(&self.stage.order_by)));
        self.number = 0;
        Ok(())
    }

    /// The next block of the open partition with its results; `None` if it has ended.
    async fn next_of_partition(&mut self) -> Result<Option<RecordBatch>> {
        let Some(peers) = &mut self.peers else { return Ok(None) };
        let Some(block) = self.rows.block(self.number).await? else {
            self.peers = None;
            self.functions.clear();
            return Ok(None);
        };
        self.number += 1;
        let mut columns = block.columns().to_vec();
        let part = peers.next(&block)?;
        let mut needed = part.start + part.rows;
        for function in &mut self.functions {
            columns.push(function.column(&mut self.rows, &part).await?);
            needed = needed.min(function.needs());
        }
        self.rows.forget_before(needed);
        Ok(Some(RecordBatch::try_new(Arc::clone(&self.stage.schema), columns)?))
    }
}
