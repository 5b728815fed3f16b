//! Plans of DataFusion's operators that our operators run on rows of their own.
//!
//! Our operators decide what is in memory and what is on disk, and leave the work on a part that fits
//! to DataFusion's: a kernel. Its inputs are [`Leaf`]s. It asks no one for memory, because the
//! operator has reserved what the part needs.

mod leaf;

use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::error::Result;
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::MemoryPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::physical_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};
use futures::{StreamExt, stream};

pub(crate) use leaf::Leaf;

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
