//! Sorted runs into one sorted stream.
//!
//! As many runs are open at once as memory allows. Where that is fewer than there are, the shortest are
//! merged into a longer run first, just as many as make the last merge possible.

use std::sync::Arc;

use datafusion::error::Result;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, UnboundedMemoryPool};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet};
use datafusion::physical_plan::sorts::streaming_merge::StreamingMergeBuilder;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::StreamExt;

use super::sorter::{Context, Run, Sorter};

/// Most runs that are merged at once: more comparisons for each row than this cost more than writing
/// the rows once more.
const MOST_OPEN_RUNS: usize = 256;

/// Runs that are merged at once, whatever memory is free.
const LEAST_OPEN_RUNS: usize = 4;

/// Blocks of an open run that are in memory: the one being merged, its keys, the one before, of which
/// rows may still be referred to, and those read ahead.
const BLOCKS_OF_OPEN_RUN: usize = 5;

/// The rows of all runs of a sort, in order.
pub(super) async fn merged(mut sorter: Sorter) -> Result<SendableRecordBatchStream> {
    loop {
        let open = open_runs(&sorter);
        if sorter.runs.len() <= open {
            break;
        }
        let count = open.min(sorter.runs.len() - open + 1);
        sorter.runs.sort_by_key(|run| std::cmp::Reverse(run.bytes));
        let shortest = sorter.runs.split_off(sorter.runs.len() - count);
        sorter.context.rewritten_runs.add(count);
        let rows = merge(&sorter, shortest.clone(), Context::block_rows)?;
        sorter.rewrite(rows).await?;
        shortest.iter().for_each(Run::release);
        sorter.memory.free();
    }
    let runs = std::mem::take(&mut sorter.runs);
    let schema = Arc::clone(&sorter.context.schema);
    let rows = merge(&sorter, runs, Context::batch_rows)?;
    // The memory is held as long as the stream is.
    let rows = rows.inspect(move |_| {
        let _ = &sorter.memory;
    });
    Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
}

/// Takes memory for as many runs as can be open at once.
fn open_runs(sorter: &Sorter) -> usize {
    let block_bytes = sorter.runs.iter().map(Run::block_bytes).max().unwrap_or(0);
    let each = block_bytes * BLOCKS_OF_OPEN_RUN;
    let knob = sorter.context.resources.knobs.merge_runs;
    let most = knob.unwrap_or(MOST_OPEN_RUNS).max(2).min(sorter.runs.len());
    let least = most.min(LEAST_OPEN_RUNS);
    sorter.memory.grow(least * each);
    let more = (least..most).take_while(|_| sorter.memory.try_grow(each).is_ok());
    (least + more.count()).max(2)
}

/// The rows of some runs, in order, in batches of as many rows as `batch_rows` says.
fn merge(
    sorter: &Sorter,
    runs: Vec<Run>,
    batch_rows: impl Fn(&Context, usize, usize) -> usize,
) -> Result<SendableRecordBatchStream> {
    let context = &sorter.context;
    let rows = runs.iter().map(Run::rows).sum::<usize>();
    let bytes = runs.iter().map(|run| run.bytes).sum();
    let batch_rows = batch_rows(context, rows, bytes);
    let mut streams: Vec<_> = runs.into_iter().map(Run::stream).collect();
    if streams.len() == 1 {
        return Ok(streams.remove(0));
    }
    // What it needs is reserved already.
    let pool: Arc<dyn MemoryPool> = Arc::new(UnboundedMemoryPool::default());
    StreamingMergeBuilder::new()
        .with_streams(streams)
        .with_schema(Arc::clone(&context.schema))
        .with_expressions(&context.keys.order)
        .with_metrics(BaselineMetrics::new(&ExecutionPlanMetricsSet::new(), 0))
        .with_batch_size(batch_rows)
        .with_fetch(context.fetch)
        .with_reservation(MemoryConsumer::new("merge").register(&pool))
        .build()
}
