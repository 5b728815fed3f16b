//! One join: of the inputs of a plan, or of a pair of buckets of another.
//!
//! The build side is collected first. If memory has room for it, it is joined as it is while the
//! probe side streams past, and nothing here costs anything. If not, its rows are split into buckets
//! by the hash of their keys; the largest go to disk, one after the other, as memory demands. What
//! stays in memory is joined while the probe side streams past; probe rows of other buckets follow
//! them to disk. Then the pairs of buckets on disk are joined one by one, each by an operation of
//! its own one level deeper, which has the next bits of the hash. This is the hybrid hash join
//! (DeWitt et al., Implementation Techniques for Main Memory Database Systems, SIGMOD 1984).
//!
//! Where splitting does not help, because all rows share a key or there is none, one side is joined
//! in chunks that fit, each with all rows of the other side, which is read again for each: a block
//! nested loop. Only a side whose rows can be answered apart from each other is cut into chunks.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::{Count, SpillMetrics};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::future::{BoxFuture, Shared};
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use parking_lot::Mutex;

use super::barrier::{Barrier, Ticket};
use super::collector::{Collector, build};
use super::kernel::{Kernel, Side};
use super::on_disk::{OnDisk, Work, chunk};
use crate::kernel::until_error;
use crate::memory::JOIN_CONSUMER;
use crate::session::Resources;

/// A pair of buckets whose build side is this much of all rows is not split again: most of its rows
/// must share a key.
const INDIVISIBLE_SHARE: f64 = 0.75;

/// A pair is turned round when its build side is so much larger than its probe side.
const SWAP_RATIO: f64 = 1.25;

/// What all operations of a join share.
pub(super) struct Context {
    /// The context that joins in memory run in. Their requests for memory are granted, because it
    /// was reserved before they began.
    pub(super) task: Arc<TaskContext>,
    pub(super) pool: Arc<dyn MemoryPool>,
    pub(super) resources: Arc<Resources>,
    /// The schema of the result.
    pub(super) schema: SchemaRef,
    pub(super) metrics: Metrics,
}

/// What an operation counts.
#[derive(Clone)]
pub(super) struct Metrics {
    pub(super) build_rows: Count,
    pub(super) spills: SpillMetrics,
    /// Pairs of buckets that were joined from disk.
    pub(super) pairs: Count,
    /// Chunks that were joined, each with all rows of the other side.
    pub(super) chunks: Count,
}

/// The rows that an operation is a part of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin {
    /// How often its rows were split before.
    pub(super) level: u32,
    /// Whether splitting them once more would not help.
    pub(super) is_indivisible: bool,
    /// Bytes of the build side, where they are known.
    pub(super) build_bytes: Option<usize>,
}

impl Origin {
    /// All rows of the inputs of a plan.
    pub(super) const PLAN: Origin = Origin { level: 0, is_indivisible: false, build_bytes: None };
}

pub(super) struct Operation {
    pub(super) context: Arc<Context>,
    pub(super) kernel: Kernel,
    origin: Origin,
    memory: Arc<MemoryReservation>,
    built: Shared<BoxFuture<'static, Result<Arc<Built>, Arc<DataFusionError>>>>,
}

/// Begins a join of build streams, which are read together, and probe streams, each of which gives
/// the output of the same number. Nothing runs before an output is polled; all outputs must be
/// polled or dropped, because the last rows come when all have seen their probe rows.
pub(super) fn start(
    context: &Arc<Context>,
    kernel: &Kernel,
    origin: Origin,
    builds: Vec<SendableRecordBatchStream>,
    probes: Vec<SendableRecordBatchStream>,
) -> Vec<SendableRecordBatchStream> {
    let tickets = Barrier::tickets(probes.len());
    let consumer = MemoryConsumer::new(JOIN_CONSUMER).with_can_spill(true);
    let governor = &context.resources.governor;
    let waiting = governor.expect_join();
    let memory = Arc::new(consumer.register(&context.pool));
    let schema = builds[0].schema();
    let collector = Arc::new(Collector::new(context, kernel, origin, &memory, &schema));
    governor.register_reclaim(memory.consumer(), &collector);
    let built = build(collector, waiting, builds, probes).map(|built| match built {
        Ok(built) => Ok(Arc::new(built)),
        Err(err) => Err(Arc::new(err)),
    });
    let operation = Arc::new(Operation {
        context: Arc::clone(context),
        kernel: kernel.clone(),
        origin,
        memory,
        built: built.boxed().shared(),
    });
    tickets
        .into_iter()
        .enumerate()
        .map(|(partition, ticket)| {
            let schema = Arc::clone(&context.schema);
            let output = Arc::clone(&operation).output(partition, ticket);
            Box::pin(RecordBatchStreamAdapter::new(schema, until_error(output))) as _
        })
        .collect()
}

/// The build side once it has been read.
pub(super) struct Built {
    /// The join of what is in memory, until it is done.
    pub(super) in_memory: Mutex<Option<Arc<dyn ExecutionPlan>>>,
    /// What is on disk, if anything.
    pub(super) on_disk: Option<Arc<OnDisk>>,
}

pub(super) type Batches = BoxStream<'static, Result<RecordBatch>>;

impl Operation {
    async fn built(&self) -> Result<Arc<Built>> {
        self.built.clone().await.map_err(DataFusionError::Shared)
    }

    fn output(
        self: Arc<Self>,
        partition: usize,
        ticket: Ticket,
    ) -> impl futures::Stream<Item = Result<RecordBatch>> + Send + 'static {
        let this = Arc::clone(&self);
        let in_memory = stream::once(async move { this.in_memory(partition).await }).try_flatten();
        let on_disk = stream::once(async move { self.on_disk(ticket).await }).try_flatten();
        in_memory.chain(on_disk)
    }

    /// Joins what is in memory with the probe rows of an output, to their end.
    async fn in_memory(&self, partition: usize) -> Result<Batches> {
        let built = self.built().await?;
        let join = built.in_memory.lock().clone();
        let joined = match join {
            Some(join) => {
                let joined = join.execute(partition, Arc::clone(&self.context.task))?;
                shaped(&self.context, &self.kernel, joined)
            }
            None => stream::empty().boxed(),
        };
        let Some(on_disk) = &built.on_disk else { return Ok(joined) };
        // A join may end before it has read all probe rows; those for the disk must get there.
        let probe = Arc::clone(&on_disk.probes[partition]);
        let rest = stream::once(async move {
            let mut probe = probe.lock().await;
            while probe.try_next().await?.is_some() {}
            Ok::<_, DataFusionError>(stream::empty())
        })
        .try_flatten();
        Ok(joined.chain(rest).boxed())
    }

    /// Joins what is on disk, as long as there is something that no other output does.
    async fn on_disk(self: Arc<Self>, ticket: Ticket) -> Result<Batches> {
        let built = self.built().await?;
        let Some(on_disk) = built.on_disk.clone() else { return Ok(stream::empty().boxed()) };
        ticket.pass().await;
        {
            let mut work = on_disk.work.lock();
            if work.is_none() {
                // Nothing is in memory any more but blocks in the making.
                built.in_memory.lock().take();
                let staging = on_disk.build.staging_bytes() + on_disk.routes.probe.staging_bytes();
                self.memory.shrink(self.memory.size().saturating_sub(staging));
                *work = Some(on_disk.work(&self)?);
            }
        }
        let parts = stream::try_unfold((self, on_disk), |(this, on_disk)| async {
            let next = on_disk.work.lock().as_mut().and_then(VecDeque::pop_front);
            let Some(work) = next else { return Ok::<_, DataFusionError>(None) };
            let part = this.part(&on_disk, work);
            Ok(Some((part, (this, on_disk))))
        });
        Ok(parts.try_flatten().boxed())
    }

    fn part(&self, on_disk: &OnDisk, work: Work) -> Batches {
        let context = &self.context;
        let (mut build, mut probe) = match work {
            Work::Pair { build, probe } => (build, probe),
            Work::Chunk { kernel, build, probe } => {
                context.metrics.chunks.add(1);
                return chunk(Arc::clone(context), kernel, build, probe);
            }
        };
        context.metrics.pairs.add(1);
        let mut kernel = on_disk.kernel.clone();
        if build.bytes as f64 > probe.bytes as f64 * SWAP_RATIO {
            kernel = kernel.turned();
            std::mem::swap(&mut build, &mut probe);
        }
        let knobs = &context.resources.knobs;
        let is_forced = self.origin.level < knobs.least_levels.unwrap_or(0);
        let share = build.bytes as f64 / self.all_bytes(on_disk, kernel.build_side()) as f64;
        let origin = Origin {
            level: self.origin.level + 1,
            is_indivisible: share > INDIVISIBLE_SHARE && !is_forced,
            build_bytes: Some(build.bytes),
        };
        let (builds, probes) = (vec![build.stream()], vec![probe.stream()]);
        let outputs = start(context, &kernel, origin, builds, probes);
        stream::iter(outputs).flatten().boxed()
    }

    /// Bytes of all buckets of a side.
    fn all_bytes(&self, on_disk: &OnDisk, side: Side) -> usize {
        let buckets = match side == on_disk.kernel.build_side() {
            true => &*on_disk.build,
            false => &on_disk.routes.probe,
        };
        (0..buckets.len()).map(|bucket| buckets.size(bucket).1).sum::<usize>().max(1)
    }
}

/// The batches of a join as batches of the result.
pub(super) fn shaped(
    context: &Arc<Context>,
    kernel: &Kernel,
    joined: SendableRecordBatchStream,
) -> Batches {
    let (kernel, schema) = (kernel.clone(), Arc::clone(&context.schema));
    joined.map(move |batch| kernel.shaped(&batch?, &schema)).boxed()
}
