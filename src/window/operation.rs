//! Windows over partitions that come in no order.
//!
//! All rows are split into buckets by the hash of the PARTITION BY keys, in memory as long as there
//! is room; then the outputs take the buckets from a queue. A bucket that fits into memory is sorted
//! and evaluated there, whole. One that does not is split again, by the next bits of the hash; where
//! that does not help, because most of it is one partition, it is sorted on disk and its partitions
//! are evaluated as they stream past.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::common::internal_err;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_plan::metrics::{Count, SpillMetrics};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use parking_lot::Mutex;

use super::kernel;
use super::plan::{Stage, Windows};
use super::rows::Overflow;
use super::sorted::{self, CONSUMER};
use crate::exchange::{
    BLOCK_BYTES, Buckets, Contents, MAX_BUCKETS, MAX_LEVEL, Nulls, Splitter, compacted, concat,
};
use crate::kernel::{Leaf, for_each, until_error};
use crate::memory::Held;
use crate::session::Resources;
use crate::sort;

/// A bucket that has this much of all rows is not split again: most of them must share a key.
const INDIVISIBLE_SHARE: f64 = 0.75;

/// Buckets are evaluated together up to this size, and always in memory.
const SMALL_BYTES: usize = 1 << 20;

/// What all parts of an operation share.
pub(super) struct Context {
    pub(super) windows: Windows,
    pub(super) task: Arc<TaskContext>,
    pub(super) resources: Arc<Resources>,
    pub(super) metrics: Metrics,
}

/// What an operation counts.
pub(super) struct Metrics {
    pub(super) spills: SpillMetrics,
    /// Buckets that were split once more.
    pub(super) split: Count,
    /// Buckets that were sorted on disk.
    pub(super) streamed: Count,
}

type Batches = BoxStream<'static, Result<RecordBatch>>;
type Queue = Arc<Mutex<VecDeque<Work>>>;

/// Begins to evaluate windows over all rows of some streams; gives the outputs. Nothing runs before
/// one is polled.
pub(super) fn start(
    context: &Arc<Context>,
    inputs: Vec<SendableRecordBatchStream>,
    outputs: usize,
) -> Vec<SendableRecordBatchStream> {
    let exchange = Exchange::new(context, 0);
    let collected = async move {
        for_each(inputs, |input| Arc::clone(&exchange).collect(input)).await?;
        let work = exchange.finish(outputs).await?;
        Ok::<Queue, DataFusionError>(Arc::new(Mutex::new(work.into())))
    };
    let collected = collected.map(|queue| queue.map_err(Arc::new)).boxed().shared();
    let schema = context.windows.schema();
    (0..outputs)
        .map(|_| {
            let (context, collected) = (Arc::clone(context), collected.clone());
            let queue = async move { collected.await.map_err(DataFusionError::Shared) };
            let parts = stream::once(queue).map_ok(move |queue| parts(Arc::clone(&context), queue));
            let batches = until_error(parts.try_flatten());
            Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&schema), batches)) as _
        })
        .collect()
}

/// Takes work from a queue until there is none.
fn parts(context: Arc<Context>, queue: Queue) -> Batches {
    let parts = stream::unfold((context, queue), |(context, queue)| async {
        let work = queue.lock().pop_front()?;
        Some((part(Arc::clone(&context), work), (context, queue)))
    });
    parts.flatten().boxed()
}

/// Buckets that are evaluated together.
struct Work {
    contents: Vec<Contents>,
    bytes: usize,
    rows: usize,
    /// How often the rows were split before, and whether it would not help to do so again.
    level: u32,
    is_indivisible: bool,
    /// The memory of buckets that are there and of what it takes to evaluate them.
    held: Option<(Held, Arc<Held>)>,
    /// The memory of rows of buckets on disk that were not written.
    staging: Option<Arc<Held>>,
}

impl Work {
    fn stream(&self, context: &Context) -> SendableRecordBatchStream {
        let streams: Vec<_> = self.contents.iter().map(Contents::stream).collect();
        let schema = Arc::clone(&context.windows.input);
        Box::pin(RecordBatchStreamAdapter::new(schema, stream::iter(streams).flatten()))
    }
}

/// Rows by the hash of the keys of their partitions.
struct Exchange {
    context: Arc<Context>,
    splitter: Splitter,
    buckets: Arc<Buckets>,
    memory: Arc<MemoryReservation>,
    level: u32,
}

impl Exchange {
    fn new(context: &Arc<Context>, level: u32) -> Arc<Self> {
        let resources = &context.resources;
        let consumer = MemoryConsumer::new(CONSUMER).with_can_spill(true);
        let memory = Arc::new(consumer.register(context.task.memory_pool()));
        let count = resources.knobs.buckets.unwrap_or(MAX_BUCKETS);
        let count = count.next_power_of_two().min(MAX_BUCKETS);
        let keys = context.windows.keys();
        let cap_bytes = context.cap_bytes(level);
        let buckets = Arc::new(
            Buckets::new(
                "window",
                Arc::clone(&context.windows.input),
                count,
                resources.store.clone(),
                Arc::clone(&memory),
                context.metrics.spills.clone(),
            )
            .with_cap_bytes(cap_bytes)
            .with_block_bytes(BLOCK_BYTES.min((cap_bytes / 256).max(1))),
        );
        resources.governor.register_reclaim(memory.consumer(), &buckets);
        Arc::new(Exchange {
            context: Arc::clone(context),
            splitter: Splitter::new(keys, level, count, Nulls::Hashed),
            buckets,
            memory,
            level,
        })
    }

    async fn collect(self: Arc<Self>, mut stream: SendableRecordBatchStream) -> Result<()> {
        while let Some(batch) = stream.try_next().await? {
            tokio::task::consume_budget().await;
            if batch.num_rows() == 0 {
                continue;
            }
            let split = self.splitter.split(&compacted(batch))?;
            self.buckets.add(&split, |_| true).await?;
        }
        Ok(())
    }

    /// Decides what stays in memory; gives the work that is to be done, that in memory first.
    /// `outputs` do it at the same time.
    async fn finish(&self, outputs: usize) -> Result<Vec<Work>> {
        let windows = &self.context.windows;
        let buckets = 0..self.buckets.len();
        let working_bytes = loop {
            let in_memory = buckets.clone().filter(|bucket| !self.buckets.is_spilled(*bucket));
            let work = in_memory.map(|bucket| {
                let (rows, bytes) = self.buckets.size(bucket);
                kernel::work_bytes(windows, bytes, rows)
            });
            // Small buckets are put together.
            let needed = outputs * work.max().map_or(0, |bytes| bytes.max(2 * SMALL_BYTES));
            let is_small = self.buckets.in_memory().1 <= SMALL_BYTES;
            if is_small || self.memory.try_grow(needed).is_ok() {
                break if is_small { 0 } else { needed };
            }
            self.buckets.spill_largest().await?;
        };
        self.buckets.finish();
        let hold = |bytes| Held::new(&self.memory, bytes);
        let working = Arc::new(hold(working_bytes));
        let staging = self.buckets.take_staging().map(Arc::new);
        let all_bytes: usize = buckets.clone().map(|bucket| self.buckets.size(bucket).1).sum();
        let (mut in_memory, mut on_disk) = (Vec::new(), Vec::new());
        for bucket in buckets {
            let is_spilled = self.buckets.is_spilled(bucket);
            let contents = self.buckets.contents(bucket);
            if contents.rows == 0 {
                continue;
            }
            let (rows, bytes) = (contents.rows, contents.bytes);
            let held = (!is_spilled).then(|| (hold(bytes), Arc::clone(&working)));
            let staging = staging.clone().filter(|_| is_spilled);
            let list = if is_spilled { &mut on_disk } else { &mut in_memory };
            if let Some(Work { contents: others, bytes: sum, rows: all, held: other, .. }) =
                list.last_mut()
                && *sum + bytes <= SMALL_BYTES
            {
                others.push(contents);
                (*sum, *all) = (*sum + bytes, *all + rows);
                if let (Some((other, _)), Some((own, _))) = (other, held) {
                    other.absorb(own);
                }
                continue;
            }
            let is_indivisible = bytes as f64 > all_bytes as f64 * INDIVISIBLE_SHARE;
            let level = self.level + 1;
            let contents = vec![contents];
            list.push(Work { contents, bytes, rows, level, is_indivisible, held, staging });
        }
        in_memory.append(&mut on_disk);
        Ok(in_memory)
    }
}

impl Context {
    /// Most bytes that may be kept in memory at a level, whatever is free, as tests say.
    fn cap_bytes(&self, level: u32) -> usize {
        let knobs = &self.resources.knobs;
        let cap = knobs.window_bytes.filter(|_| level <= knobs.least_levels.unwrap_or(0));
        cap.map_or(usize::MAX, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX))
    }
}

/// Evaluates the windows of some buckets.
fn part(context: Arc<Context>, work: Work) -> Batches {
    stream::once(async move {
        if work.held.is_some() {
            return in_memory(context, work, None).await;
        }
        let consumer = MemoryConsumer::new(CONSUMER).with_can_spill(true);
        let memory = consumer.register(context.task.memory_pool());
        let needed = work.bytes + kernel::work_bytes(&context.windows, work.bytes, work.rows);
        if work.bytes <= context.cap_bytes(work.level) {
            let is_granted = memory.try_grow(needed).is_ok();
            if is_granted || work.bytes <= SMALL_BYTES {
                if !is_granted {
                    memory.grow(needed);
                }
                return in_memory(context, work, Some(memory)).await;
            }
        }
        if work.is_indivisible || work.level > MAX_LEVEL {
            context.metrics.streamed.add(1);
            return streamed(&context, &work);
        }
        context.metrics.split.add(1);
        split(context, work).await
    })
    .try_flatten()
    .boxed()
}

/// Splits buckets once more.
async fn split(context: Arc<Context>, work: Work) -> Result<Batches> {
    let exchange = Exchange::new(&context, work.level);
    let rows = work.stream(&context);
    drop(work);
    Arc::clone(&exchange).collect(rows).await?;
    let queue = Arc::new(Mutex::new(exchange.finish(1).await?.into()));
    Ok(parts(context, queue))
}

/// Evaluates what fits into memory, for which `memory` was taken.
async fn in_memory(
    context: Arc<Context>,
    work: Work,
    memory: Option<MemoryReservation>,
) -> Result<Batches> {
    let Work { contents, held, staging, .. } = work;
    let mut batches = Vec::new();
    for contents in contents {
        let mut stream = contents.stream();
        drop(contents);
        while let Some(batch) = stream.try_next().await? {
            batches.push(batch);
        }
    }
    drop(staging);
    let batch = concat(&context.windows.input, batches)?;
    let batch = kernel::run(&context.windows, batch).await?;
    let rows = context.task.session_config().batch_size();
    let starts = (0..batch.num_rows()).step_by(rows);
    let slices = starts.map(move |start| {
        // The memory is held as long as the rows are.
        let _ = (&held, &memory);
        Ok(batch.slice(start, rows.min(batch.num_rows() - start)))
    });
    Ok(stream::iter(slices).boxed())
}

/// Sorts rows on disk and evaluates their partitions as they stream past.
fn streamed(context: &Context, work: &Work) -> Result<Batches> {
    let (windows, resources) = (&context.windows, &context.resources);
    let overflow = Overflow {
        store: resources.store.clone(),
        metrics: context.metrics.spills.clone(),
        cap_bytes: context.cap_bytes(0),
    };
    let mut rows = work.stream(context);
    for stage in &windows.stages {
        if let Some(columns) = &stage.columns {
            let columns = columns.clone();
            let projected = rows.map(move |batch| Ok(batch?.project(&columns)?));
            let schema = Arc::clone(&stage.input);
            rows = Box::pin(RecordBatchStreamAdapter::new(schema, projected));
        }
        if !stage.is_sorted {
            rows = in_order(rows, ordering(stage)?, &context.task)?;
        }
        let pool = context.task.memory_pool();
        rows = sorted::run(Arc::clone(stage), rows, pool, overflow.clone());
    }
    Ok(rows.boxed())
}

/// The keys of the partitions, then ORDER BY.
fn ordering(stage: &Stage) -> Result<LexOrdering> {
    let keys = stage.keys.iter().map(|key| PhysicalSortExpr::new_default(Arc::clone(key)));
    match LexOrdering::new(keys.chain(stage.order_by.iter().cloned())) {
        Some(ordering) => Ok(ordering),
        None => internal_err!("windows without keys were split"),
    }
}

/// Sorts rows of any number in the memory that the task may have.
fn in_order(
    rows: SendableRecordBatchStream,
    ordering: LexOrdering,
    task: &Arc<TaskContext>,
) -> Result<SendableRecordBatchStream> {
    let leaf = Leaf::new(rows.schema(), vec![rows]);
    sort::sorted(ordering, Arc::new(leaf))?.execute(0, Arc::clone(task))
}
