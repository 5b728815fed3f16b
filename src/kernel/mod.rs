//! Plans of DataFusion's operators that our operators run on rows of their own.
//!
//! Our operators decide what is in memory and what is on disk, and leave the work on a part that fits
//! to DataFusion's: a kernel. Its inputs are [`Leaf`]s. It is granted all memory it asks for, because
//! the operator has reserved what the part needs: see [`PrepaidPool`]. [`Outputs`] are those of an
//! operator whose partitions share their work, which [`in_tasks`] and [`for_each`] divide.

mod leaf;
mod outputs;
mod pool;

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::error::Result;
use datafusion::execution::memory_pool::MemoryPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, RecordOutput};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};
use futures::{StreamExt, stream};
use tokio::task::JoinSet;

use crate::error::Error;
pub(crate) use leaf::Leaf;
pub(crate) use outputs::Outputs;
pub(crate) use pool::PrepaidPool;

/// The context of a task with another memory pool.
///
/// # Errors
/// Those of building a runtime.
pub(crate) fn context_with_pool(
    context: &TaskContext,
    pool: Arc<dyn MemoryPool>,
) -> Result<Arc<TaskContext>> {
    let runtime = RuntimeEnvBuilder::from_runtime_env(&context.runtime_env())
        .with_memory_pool(pool)
        .build_arc()?;
    Ok(Arc::new(TaskContext::new(
        context.task_id(),
        context.session_id(),
        context.session_config().clone(),
        context.scalar_functions().clone(),
        context.higher_order_functions().clone(),
        context.aggregate_functions().clone(),
        context.window_functions().clone(),
        runtime,
    )))
}

/// To give a node other children, whose properties differ.
pub(crate) fn recomputed() -> ReplaceChildrenOptions {
    ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute)
}

/// Reads all streams at the same time.
///
/// # Errors
/// The first of any; the others are stopped.
pub(crate) async fn for_each<F>(
    mut streams: Vec<SendableRecordBatchStream>,
    read: impl Fn(SendableRecordBatchStream) -> F,
) -> Result<()>
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    if streams.len() == 1 {
        return read(streams.remove(0)).await;
    }
    in_tasks(streams.into_iter().map(read)).await?;
    Ok(())
}

/// Does all work at the same time, each in a task of its own; gives the results in the order of the
/// work.
///
/// # Errors
/// The first of any; the others are stopped.
pub(crate) async fn in_tasks<T, E, F>(work: impl IntoIterator<Item = F>) -> Result<Vec<T>, E>
where
    T: Send + 'static,
    E: From<Error> + Send + 'static,
    F: Future<Output = Result<T, E>> + Send + 'static,
{
    let mut tasks = JoinSet::new();
    for (number, work) in work.into_iter().enumerate() {
        tasks.spawn(async move { work.await.map(|result| (number, result)) });
    }
    let mut results = Vec::with_capacity(tasks.len());
    while let Some(ended) = tasks.join_next().await {
        match ended {
            Ok(result) => results.push(result?),
            Err(err) if err.is_panic() => std::panic::resume_unwind(err.into_panic()),
            Err(err) => return Err(Error::internal(format!("a task was lost: {err}")).into()),
        }
    }
    results.sort_unstable_by_key(|(number, _)| *number);
    Ok(results.into_iter().map(|(_, result)| result).collect())
}

/// The rows of a partition, counted as its output.
pub(crate) fn counted(
    schema: SchemaRef,
    rows: impl futures::Stream<Item = Result<RecordBatch>> + Send + 'static,
    metrics: &ExecutionPlanMetricsSet,
    partition: usize,
) -> SendableRecordBatchStream {
    let metrics = BaselineMetrics::new(metrics, partition);
    let counted = rows.map(move |batch| batch.record_output(&metrics));
    Box::pin(RecordBatchStreamAdapter::new(schema, counted))
}

/// Ends a stream at its first error.
pub(crate) fn until_error(
    stream: impl futures::Stream<Item = Result<RecordBatch>> + Send + 'static,
) -> impl futures::Stream<Item = Result<RecordBatch>> + Send + 'static {
    stream::unfold(Some(stream.boxed()), |stream| async {
        let mut stream = stream?;
        match stream.next().await? {
            Ok(batch) => Some((Ok(batch), Some(stream))),
            Err(err) => Some((Err(err), None)),
        }
    })
}
