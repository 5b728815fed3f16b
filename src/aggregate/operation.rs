//! One aggregation: of the inputs of a plan, or of a bucket of another.
//!
//! All input is split into buckets by the hash of the group keys. When memory is refused, the largest
//! buckets go to disk. Then the outputs take the buckets, one each at a time or several small ones
//! together, and have DataFusion's operator aggregate them in memory, which is cheaper than one large
//! table even where all would fit. A bucket that memory has no room for is split by further bits of
//! the hash, as an aggregation of its own.

use std::sync::Arc;

use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::LexOrdering;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::metrics::{Count, SpillMetrics};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};

use crate::exchange::{
    BLOCK_BYTES, Buckets, Contents, MAX_BUCKETS, MAX_LEVEL, Nulls, Splitter, compacted,
};
use crate::kernel::{Leaf, PrepaidPool, context_with_pool, for_each, recomputed, until_error};
use crate::memory::Held;
use crate::session::Resources;
use crate::sort::sorted;

/// Memory that the aggregation of a bucket may need, as a multiple of the bucket's size: the keys and
/// states of its groups, their hash table, and the result that is made of them.
const KERNEL_SHARE: f64 = 3.0;

/// Buckets are aggregated together up to this size, and always in memory.
const TOGETHER_BYTES: usize = 1 << 20;

/// Rows of one group are aggregated in memory up to this size, whatever is free.
const LEAST_GROUP_BYTES: usize = 4 << 20;

/// A bucket that is this much of all rows is not split again: most of its rows must share a key.
const INDIVISIBLE_SHARE: f64 = 0.75;

/// Buckets of a level are at least so large, whatever memory is free.
const LEAST_BUCKET_BYTES: usize = 1 << 20;

/// Blocks are at least so large, whatever memory is free.
const LEAST_BLOCK_BYTES: usize = 16 << 10;

/// What all operations of an aggregation share.
pub(super) struct Context {
    pub(super) task: Arc<TaskContext>,
    pub(super) resources: Arc<Resources>,
    /// The aggregation of a bucket; its input is replaced.
    pub(super) kernel: Arc<AggregateExec>,
    pub(super) metrics: Metrics,
}

pub(super) struct Metrics {
    pub(super) spills: SpillMetrics,
    /// Buckets that were split once more.
    pub(super) split_buckets: Count,
}

type Batches = BoxStream<'static, Result<arrow::array::RecordBatch>>;

/// Begins an aggregation; gives its outputs. Nothing runs before one of them is polled.
pub(super) fn start(
    context: Arc<Context>,
    inputs: Vec<SendableRecordBatchStream>,
    outputs: usize,
) -> Vec<SendableRecordBatchStream> {
    let schema = context.kernel.schema();
    let collected = collect(Arc::clone(&context), 0, None, inputs)
        .map(|collected| collected.map(Arc::new).map_err(Arc::new))
        .boxed()
        .shared();
    (0..outputs)
        .map(|_| {
            let (context, collected) = (Arc::clone(&context), collected.clone());
            let groups = async move {
                let collected = collected.await.map_err(DataFusionError::Shared)?;
                Ok::<_, DataFusionError>(groups(context, collected))
            };
            let groups = until_error(stream::once(groups).try_flatten());
            Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&schema), groups)) as _
        })
        .collect()
}

/// All rows of an aggregation, by bucket.
struct Collected {
    level: u32,
    buckets: Arc<Buckets>,
    memory: Arc<MemoryReservation>,
    /// Bytes of all rows.
    bytes: usize,
    /// The first bucket that no output has taken.
    next: tokio::sync::Mutex<usize>,
}

/// Reads all inputs; `bytes` of them, if that is known.
async fn collect(
    context: Arc<Context>,
    level: u32,
    bytes: Option<usize>,
    inputs: Vec<SendableRecordBatchStream>,
) -> Result<Collected> {
    let resources = &context.resources;
    let consumer = MemoryConsumer::new("aggregate").with_can_spill(true);
    let memory = Arc::new(consumer.register(context.task.memory_pool()));
    let keys = context.kernel.group_expr().input_exprs();
    let splitter = Splitter::new(keys, level, bucket_count(&context, bytes), Nulls::Hashed);
    let knob = resources.knobs.aggregate_bytes.map(|bytes| bytes as usize);
    let block_bytes = block_bytes(&context);
    let buckets = Arc::new(
        Buckets::new(
            "groups",
            context.kernel.input().schema(),
            splitter.count(),
            resources.store.clone(),
            Arc::clone(&memory),
            context.metrics.spills.clone(),
        )
        .with_cap_bytes(knob.unwrap_or(usize::MAX))
        .with_block_bytes(block_bytes),
    );
    resources.governor.register_reclaim(memory.consumer(), &buckets);
    for_each(inputs, |mut input| {
        let (buckets, splitter) = (Arc::clone(&buckets), splitter.clone());
        async move {
            while let Some(batch) = input.try_next().await? {
                tokio::task::consume_budget().await;
                if batch.num_rows() > 0 {
                    buckets.add(&splitter.split(&compacted(batch))?, |_| true).await?;
                }
            }
            Ok(())
        }
    })
    .await?;
    let bytes = (0..buckets.len()).map(|bucket| buckets.size(bucket).1).sum();
    Ok(Collected { level, buckets, memory, bytes, next: tokio::sync::Mutex::new(0) })
}

/// Bytes of a bucket that are put together before they are written: fewer where all of these blocks
/// together would be much of the memory.
fn block_bytes(context: &Context) -> usize {
    if context.resources.knobs.aggregate_bytes == Some(0) {
        return 1;
    }
    let share = context.resources.governor.free_bytes() / (4 * MAX_BUCKETS);
    share.clamp(LEAST_BLOCK_BYTES, BLOCK_BYTES)
}

/// As many buckets as are likely to be small enough each.
fn bucket_count(context: &Context, bytes: Option<usize>) -> usize {
    if let Some(buckets) = context.resources.knobs.buckets {
        return buckets.next_power_of_two().min(MAX_BUCKETS);
    }
    let Some(bytes) = bytes else { return MAX_BUCKETS };
    let each = (context.resources.governor.free_bytes() / 32).max(LEAST_BUCKET_BYTES);
    (bytes / each + 1).next_power_of_two().clamp(4, MAX_BUCKETS)
}

/// What an output does next.
enum Work {
    /// Aggregates these rows, for which memory is reserved, in so many bytes.
    Prepaid(Vec<Contents>, Held),
    /// Aggregates these rows in as much memory as it is given.
    Governed(Vec<Contents>, Held),
    /// Splits these rows into further buckets.
    Split(Contents, Held),
}

/// The groups of the buckets that no other output takes.
fn groups(context: Arc<Context>, collected: Arc<Collected>) -> Batches {
    let parts = stream::try_unfold((context, collected), |(context, collected)| async {
        let Some(work) = collected.next(&context).await? else { return Ok(None) };
        let part = match work {
            Work::Prepaid(contents, held) => {
                let pool = Arc::new(PrepaidPool::new(held));
                let task = context_with_pool(&context.task, pool)?;
                aggregated(&context, task, contents)?
            }
            Work::Governed(contents, held) => {
                // Not one of those that share: it can give nothing back.
                let consumer = MemoryConsumer::new("aggregate of one group");
                let memory = Arc::new(consumer.register(context.task.memory_pool()));
                let pool = Arc::new(PrepaidPool::limited(memory));
                let task = context_with_pool(&context.task, pool)?;
                let groups = aggregated(&context, task, contents)?;
                groups.inspect(move |_| _ = &held).boxed()
            }
            Work::Split(contents, held) => {
                context.metrics.split_buckets.add(1);
                split(Arc::clone(&context), collected.level + 1, contents, held)
            }
        };
        Ok::<_, DataFusionError>(Some((part, (context, collected))))
    });
    parts.try_flatten().boxed()
}

/// The groups of a bucket, split once more.
fn split(context: Arc<Context>, level: u32, contents: Contents, held: Held) -> Batches {
    let groups = async move {
        let (stream, bytes) = (contents.stream(), contents.bytes);
        drop(contents);
        let collected = collect(Arc::clone(&context), level, Some(bytes), vec![stream]).await?;
        drop(held);
        Ok::<_, DataFusionError>(groups(context, Arc::new(collected)))
    };
    stream::once(groups.boxed()).try_flatten().boxed()
}

/// The groups of some buckets.
fn aggregated(
    context: &Context,
    task: Arc<TaskContext>,
    contents: Vec<Contents>,
) -> Result<Batches> {
    let schema = context.kernel.input().schema();
    let streams: Vec<_> = contents.iter().map(Contents::stream).collect();
    drop(contents);
    let rows = RecordBatchStreamAdapter::new(Arc::clone(&schema), stream::iter(streams).flatten());
    let mut input: Arc<dyn ExecutionPlan> = Arc::new(Leaf::new(schema, vec![Box::pin(rows)]));
    if let Some(order) = wanted_order(&context.kernel) {
        input = sorted(order, input)?;
    }
    let kernel = Arc::clone(&context.kernel).replace_children(vec![input], recomputed())?;
    Ok(kernel.execute(0, task)?.boxed())
}

/// The order in which aggregates want their rows, if they do.
fn wanted_order(kernel: &AggregateExec) -> Option<LexOrdering> {
    let orders = kernel.required_input_ordering();
    let order = orders.into_iter().next().flatten()?.into_single();
    LexOrdering::new(order.into_iter().map(Into::into))
}

impl Collected {
    /// What there is to do next; `None` at the end.
    async fn next(&self, context: &Context) -> Result<Option<Work>> {
        let mut next = self.next.lock().await;
        let is_forced = self.level < context.resources.knobs.least_levels.unwrap_or(0);
        let together = if is_forced { 0 } else { TOGETHER_BYTES };
        let Some((numbers, bytes)) = self.take_numbers(&mut next, together) else {
            return Ok(None);
        };
        let share = bytes as f64 / self.bytes.max(1) as f64;
        let is_divisible = numbers.len() == 1
            && self.level < MAX_LEVEL
            && (is_forced || share <= INDIVISIBLE_SHARE);
        let needed = (bytes as f64 * KERNEL_SHARE) as usize;
        let mut fits = !(is_forced && is_divisible) && self.reserve(needed).await?;
        let always = if is_divisible { TOGETHER_BYTES } else { LEAST_GROUP_BYTES };
        if !fits && !is_forced && bytes <= always {
            // To refuse so little would help nobody.
            self.memory.grow(needed);
            fits = true;
        }
        let mut contents = Vec::with_capacity(numbers.len());
        let mut held = Held::new(&self.memory, if fits { needed } else { 0 });
        for number in numbers {
            let (bucket, rows) = self.buckets.take_out(number);
            contents.push(bucket);
            held.absorb(rows);
        }
        Ok(Some(match fits {
            true => Work::Prepaid(contents, held),
            false if is_divisible => Work::Split(contents.remove(0), held),
            false => Work::Governed(contents, held),
        }))
    }

    /// The numbers of the next buckets that have rows, several up to a size, and their bytes. Without
    /// any rows all buckets are taken once, because aggregates may have an answer for that as well.
    fn take_numbers(&self, next: &mut usize, together: usize) -> Option<(Vec<usize>, usize)> {
        let (mut numbers, mut bytes) = (Vec::new(), 0);
        if self.bytes == 0 && *next == 0 {
            *next = self.buckets.len();
            return Some(((0..self.buckets.len()).collect(), 0));
        }
        while *next < self.buckets.len() {
            let (rows, size) = self.buckets.size(*next);
            if rows > 0 {
                if !numbers.is_empty() && bytes + size > together {
                    break;
                }
                numbers.push(*next);
                bytes += size;
            }
            *next += 1;
        }
        (!numbers.is_empty()).then_some((numbers, bytes))
    }

    /// Takes memory; writes buckets that are still in memory to disk for it.
    async fn reserve(&self, bytes: usize) -> Result<bool> {
        loop {
            if self.memory.try_grow(bytes).is_ok() {
                return Ok(true);
            }
            if !self.buckets.spill_largest().await? {
                return Ok(false);
            }
        }
    }
}
