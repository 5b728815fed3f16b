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
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use arrow::array::RecordBatch;
use arrow::datatypes::{FieldRef, SchemaRef};
use datafusion::common::utils::memory::estimate_memory_size;
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
use tokio::sync::Notify;

use super::kernel::{Divisible, Kernel, Side};
use crate::exchange::{
    BLOCK_BYTES, Buckets, Contents, MAX_BUCKETS, MAX_LEVEL, Nulls, Split, Splitter, compacted,
    concat, logical_bytes,
};
use crate::kernel::{Leaf, for_each, until_error};
use crate::memory::{Asked, JOIN_CONSUMER, Reclaim, Reclaimed, WaitingJoin};
use crate::session::{Knobs, Resources};

/// A pair of buckets whose build side is this much of all rows is not split again: most of its rows
/// must share a key.
const INDIVISIBLE_SHARE: f64 = 0.75;

/// A pair is turned round when its build side is so much larger than its probe side.
const SWAP_RATIO: f64 = 1.25;

/// A build side this small is always kept in memory.
const SMALL_BUILD_BYTES: usize = 1 << 20;

/// Chunks are at least so large, whatever memory is free.
const LEAST_CHUNK_BYTES: usize = 4 << 20;

/// Where a column has 32-bit offsets, no more than this is put into one batch.
const MOST_BYTES_OF_SMALL_OFFSETS: usize = 1_800 << 20;

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
    level: u32,
    /// Whether splitting them once more would not help.
    is_indivisible: bool,
    /// Bytes of the build side, where they are known.
    build_bytes: Option<usize>,
}

impl Origin {
    /// All rows of the inputs of a plan.
    pub(super) const PLAN: Origin = Origin { level: 0, is_indivisible: false, build_bytes: None };
}

struct Operation {
    context: Arc<Context>,
    kernel: Kernel,
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
    let outputs = probes.len();
    let consumer = MemoryConsumer::new(JOIN_CONSUMER).with_can_spill(true);
    let governor = &context.resources.governor;
    let waiting = governor.expect_join();
    let memory = Arc::new(consumer.register(&context.pool));
    let collector = Arc::new(Collector {
        context: Arc::clone(context),
        kernel: kernel.clone(),
        origin,
        memory: Arc::clone(&memory),
        most_bytes: most_bytes(&context.resources.knobs, origin.level, &builds[0].schema()),
        stage: Mutex::new(Stage::Whole(Vec::new())),
        bytes: AtomicUsize::new(0),
        bucket_count: OnceLock::new(),
        asked: Asked::default(),
    });
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
    let barrier = Arc::new(Barrier { remaining: AtomicUsize::new(outputs), passed: Notify::new() });
    (0..outputs)
        .map(|partition| {
            let ticket = Ticket { barrier: Arc::clone(&barrier) };
            let schema = Arc::clone(&context.schema);
            let output = Arc::clone(&operation).output(partition, ticket);
            Box::pin(RecordBatchStreamAdapter::new(schema, until_error(output))) as _
        })
        .collect()
}

/// Lets all outputs through when each has seen its probe rows, or was dropped.
struct Barrier {
    remaining: AtomicUsize,
    passed: Notify,
}

/// The right to be waited for.
struct Ticket {
    barrier: Arc<Barrier>,
}

impl Ticket {
    async fn pass(self) {
        let barrier = Arc::clone(&self.barrier);
        drop(self);
        loop {
            let passed = barrier.passed.notified();
            if barrier.remaining.load(Ordering::Acquire) == 0 {
                return;
            }
            passed.await;
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.barrier.remaining.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.barrier.passed.notify_waiters();
        }
    }
}

/// The build side once it has been read.
struct Built {
    /// The join of what is in memory, until it is done.
    in_memory: Mutex<Option<Arc<dyn ExecutionPlan>>>,
    /// What is on disk, if anything.
    on_disk: Option<Arc<OnDisk>>,
}

/// The rows that memory had no room for.
struct OnDisk {
    kernel: Kernel,
    build: Arc<Buckets>,
    probe: Buckets,
    /// How probe rows are split; `None` if there are no keys to split by.
    splitter: Option<Splitter>,
    /// Whether a bucket is on disk, by its number.
    is_spilled: Vec<bool>,
    /// Whether probe rows of a bucket can have an effect, by its number.
    is_wanted: Vec<bool>,
    saw_probe_rows: AtomicBool,
    saw_probe_nulls: AtomicBool,
    /// The probe rows of each output that are joined in memory; reading them sends the others to
    /// disk.
    probes: Vec<Arc<tokio::sync::Mutex<BoxStream<'static, Result<RecordBatch>>>>>,
    /// What is left to do when all probe rows were read.
    work: Mutex<Option<VecDeque<Work>>>,
}

/// A part of the join that is done from disk.
enum Work {
    Pair { build: Contents, probe: Contents },
    Chunk { kernel: Kernel, build: Contents, probe: Contents },
}

/// Collects the build side.
struct Collector {
    context: Arc<Context>,
    kernel: Kernel,
    origin: Origin,
    memory: Arc<MemoryReservation>,
    stage: Mutex<Stage>,
    /// Bytes that were added.
    bytes: AtomicUsize,
    /// Most bytes that may be kept in memory, whatever is free.
    most_bytes: usize,
    /// Decided once: both sides must be split alike, and free memory changes.
    bucket_count: OnceLock<usize>,
    /// Whether another needs memory more than we do.
    asked: Asked,
}

enum Stage {
    /// All rows so far, in memory.
    Whole(Vec<RecordBatch>),
    Split(Arc<Buckets>),
}

/// Bytes of the hash table and what goes with it, for a build side of so many rows.
fn table_bytes(kernel: &Kernel, rows: usize) -> usize {
    if kernel.keys().is_none() {
        return rows / 8;
    }
    // Entries of hash and row, the next row of each, and a bit for rows that have matched.
    estimate_memory_size::<(u32, u64)>(rows, 0).unwrap_or(usize::MAX / 2) + 4 * rows + rows / 8
}

impl Collector {
    /// Whether `bytes` and `rows` more can be kept in memory.
    fn fits(&self, bytes: usize, rows: usize) -> bool {
        let total = self.bytes.load(Ordering::Relaxed) + bytes;
        if total > self.most_bytes || self.asked.take() {
            return false;
        }
        let needed = bytes + rows * self.row_bytes();
        self.memory.try_grow(needed).is_ok()
    }

    /// What a row needs in the table, on average: it grows by doubling, so half of the most.
    fn row_bytes(&self) -> usize {
        const ROWS: usize = 1 << 20;
        table_bytes(&self.kernel, ROWS * 3 / 4) / ROWS
    }

    /// How rows of the build side and of the probe side are split.
    fn splitters(&self) -> Option<(Splitter, Splitter)> {
        if self.origin.is_indivisible || self.origin.level > MAX_LEVEL {
            return None;
        }
        let (build_keys, probe_keys) = self.kernel.keys()?;
        let buckets = self.bucket_count();
        let nulls = |is_preserved: bool| match self.kernel.null_equals_nothing() {
            true if !is_preserved => Nulls::Dropped,
            _ => Nulls::Hashed,
        };
        let (build_preserved, probe_preserved) = self.kernel.preserves();
        let build_nulls =
            if self.kernel.is_null_aware() { Nulls::Apart } else { nulls(build_preserved) };
        let level = self.origin.level;
        Some((
            Splitter::new(build_keys, level, buckets, build_nulls),
            Splitter::new(probe_keys, level, buckets, nulls(probe_preserved)),
        ))
    }

    /// As many buckets as are likely to be small enough each.
    fn bucket_count(&self) -> usize {
        *self.bucket_count.get_or_init(|| {
            let resources = &self.context.resources;
            if let Some(buckets) = resources.knobs.buckets {
                return buckets.next_power_of_two().min(MAX_BUCKETS);
            }
            let Some(bytes) = self.origin.build_bytes else { return MAX_BUCKETS };
            let each = (resources.governor.free_bytes() / 8).max(LEAST_CHUNK_BYTES);
            (bytes / each + 1).next_power_of_two().clamp(4, MAX_BUCKETS)
        })
    }

    /// Bytes that are put together before they are written.
    fn block_bytes(&self) -> usize {
        BLOCK_BYTES.min((self.most_bytes / 256).max(1))
    }

    fn new_buckets(&self, name: &'static str, schema: SchemaRef, count: usize) -> Buckets {
        let context = &self.context;
        Buckets::new(
            name,
            schema,
            count,
            context.resources.store.clone(),
            Arc::clone(&self.memory),
            context.metrics.spills.clone(),
        )
        .with_block_bytes(self.block_bytes())
    }

    async fn collect(self: Arc<Self>, mut stream: SendableRecordBatchStream) -> Result<()> {
        let splitter = self.splitters().map(|(build, _)| build);
        while let Some(batch) = stream.try_next().await? {
            if self.origin.level == 0 {
                self.context.metrics.build_rows.add(batch.num_rows());
            }
            if batch.num_rows() > 0 {
                self.add(compacted(batch), splitter.as_ref()).await?;
            }
        }
        Ok(())
    }

    async fn add(&self, batch: RecordBatch, splitter: Option<&Splitter>) -> Result<()> {
        let bytes = logical_bytes(&batch);
        let buckets = {
            let mut stage = self.stage.lock();
            match &mut *stage {
                Stage::Split(buckets) => Some(Arc::clone(buckets)),
                Stage::Whole(batches) if self.fits(bytes, batch.num_rows()) => {
                    self.bytes.fetch_add(bytes, Ordering::Relaxed);
                    batches.push(batch);
                    return Ok(());
                }
                Stage::Whole(_) => None,
            }
        };
        let buckets = match buckets {
            Some(buckets) => buckets,
            None => self.split(batch.schema(), splitter).await?,
        };
        buckets.add(&split(splitter, batch)?, |_| true).await
    }

    /// Splits what is in memory into buckets.
    async fn split(&self, schema: SchemaRef, splitter: Option<&Splitter>) -> Result<Arc<Buckets>> {
        let (buckets, batches) = {
            let mut stage = self.stage.lock();
            let batches = match &mut *stage {
                Stage::Split(buckets) => return Ok(Arc::clone(buckets)),
                Stage::Whole(batches) => std::mem::take(batches),
            };
            let count = splitter.map_or(1, Splitter::count);
            let buckets = self
                .new_buckets("build", schema, count)
                .with_cap_bytes(self.most_bytes)
                .with_row_bytes(self.row_bytes());
            // Rows without keys cannot stay in memory in part, and those of NOT IN are only known to
            // match nothing when all probe rows were seen.
            let all = splitter.is_none() || self.kernel.is_null_aware();
            let buckets = Arc::new(buckets.with_spilled(|_| all));
            // From here on the buckets take memory themselves, and for blocks in the making.
            self.memory.free();
            buckets.stage();
            *stage = Stage::Split(Arc::clone(&buckets));
            (buckets, batches)
        };
        for batch in batches {
            buckets.add(&split(splitter, batch)?, |_| true).await?;
        }
        Ok(buckets)
    }

    /// Decides what stays in memory, once all rows were added.
    async fn finish(
        &self,
        schema: SchemaRef,
        probes: Vec<SendableRecordBatchStream>,
    ) -> Result<Built> {
        let splitters = self.splitters();
        let whole = match &mut *self.stage.lock() {
            Stage::Whole(batches) => Some(std::mem::take(batches)),
            Stage::Split(_) => None,
        };
        if let Some(batches) = whole {
            if self.reserve_whole(&batches) {
                return self.whole(schema, batches, probes);
            }
            *self.stage.lock() = Stage::Whole(batches);
            self.split(Arc::clone(&schema), splitters.as_ref().map(|(build, _)| build)).await?;
        }
        let buckets = match &*self.stage.lock() {
            Stage::Split(buckets) => Arc::clone(buckets),
            Stage::Whole(_) => unreachable!("it was split above"),
        };
        self.in_part(schema, buckets, splitters.map(|(_, probe)| probe), probes).await
    }

    /// Takes the memory that the join of a whole build side needs; `false` if there is not as much.
    fn reserve_whole(&self, batches: &[RecordBatch]) -> bool {
        let rows = batches.iter().map(RecordBatch::num_rows).sum();
        let bytes = self.bytes.load(Ordering::Relaxed);
        let columns = batches.first().map_or(1, |batch| batch.num_columns().max(1));
        // One column is there twice while batches are put together.
        let needed = bytes + table_bytes(&self.kernel, rows) + bytes / columns;
        let more = needed.saturating_sub(self.memory.size());
        if self.memory.try_grow(more).is_ok() {
            return true;
        }
        if bytes <= SMALL_BUILD_BYTES.min(self.most_bytes) {
            self.memory.grow(more);
            return true;
        }
        false
    }

    /// The join of a build side that is in memory.
    fn whole(
        &self,
        schema: SchemaRef,
        batches: Vec<RecordBatch>,
        probes: Vec<SendableRecordBatchStream>,
    ) -> Result<Built> {
        let build = concat(&schema, batches)?;
        let mut probe = Leaf::new(probes[0].schema(), probes);
        if self.kernel.keys().is_none() {
            probe = probe.with_rows(probe_rows(build.num_rows()));
        }
        let build = Leaf::of_batch(build);
        // A filter that was given to what is read must be about all rows: not about those of a pair.
        let filter = self.kernel.dynamic_filter().filter(|_| self.origin.level == 0);
        if let Some(filter) = &filter {
            probe = probe.with_expression(Arc::clone(filter) as _);
        }
        let join = self.kernel.with_inputs(Arc::new(build), Arc::new(probe), filter)?;
        Ok(Built { in_memory: Mutex::new(Some(join)), on_disk: None })
    }

    /// The join of a build side of which a part, or nothing, is in memory.
    async fn in_part(
        &self,
        schema: SchemaRef,
        build: Arc<Buckets>,
        splitter: Option<Splitter>,
        probes: Vec<SendableRecordBatchStream>,
    ) -> Result<Built> {
        if let Some(filter) = self.kernel.dynamic_filter() {
            filter.mark_complete();
        }
        let probe_schema = probes[0].schema();
        let probe = self
            .new_buckets("probe", Arc::clone(&probe_schema), build.len())
            .with_spilled(|_| true);
        probe.stage();
        loop {
            let (rows, bytes) = build.in_memory();
            let columns = schema.fields().len().max(1);
            let table = table_bytes(&self.kernel, rows).saturating_sub(rows * self.row_bytes());
            let needed = table + bytes / columns;
            if rows == 0 || self.memory.try_grow(needed).is_ok() {
                break;
            }
            build.spill_largest().await?;
        }
        build.finish();
        let (_, probe_preserved) = self.kernel.preserves();
        let is_spilled: Vec<bool> =
            (0..build.len()).map(|bucket| build.is_spilled(bucket)).collect();
        let is_wanted: Vec<bool> =
            (0..build.len()).map(|bucket| probe_preserved || build.size(bucket).0 > 0).collect();
        let kernel = self.kernel.without_null_awareness()?;

        let splitter = splitter.map(|splitter| splitter.with_first(|bucket| !is_spilled[bucket]));
        let is_any_in_memory = is_spilled.iter().any(|is_spilled| !is_spilled);
        let mut batches = Vec::new();
        for bucket in (0..build.len()).filter(|bucket| !is_spilled[*bucket]) {
            batches.extend(build.contents(bucket).batches);
        }
        let resident = concat(&schema, batches)?;
        let on_disk = Arc::new_cyclic(|on_disk: &Weak<OnDisk>| OnDisk {
            kernel,
            build,
            probe,
            splitter,
            is_spilled,
            is_wanted,
            saw_probe_rows: AtomicBool::new(false),
            saw_probe_nulls: AtomicBool::new(false),
            probes: probes
                .into_iter()
                .map(|probe| {
                    let on_disk = Weak::clone(on_disk);
                    let routed = probe.try_filter_map(move |batch| {
                        let on_disk = on_disk.upgrade();
                        async move {
                            // The query was dropped.
                            let Some(on_disk) = on_disk else { return Ok(None) };
                            on_disk.route(batch).await
                        }
                    });
                    Arc::new(tokio::sync::Mutex::new(routed.boxed()))
                })
                .collect(),
            work: Mutex::new(None),
        });
        let in_memory = is_any_in_memory
            .then(|| {
                let streams = on_disk.probes.iter().map(|probe| {
                    let probe = Arc::clone(probe);
                    let rows = stream::unfold(probe, |probe| async {
                        let next = probe.lock().await.next().await?;
                        Some((next, probe))
                    });
                    let schema = Arc::clone(&probe_schema);
                    Box::pin(RecordBatchStreamAdapter::new(schema, rows)) as _
                });
                let probe = Leaf::new(Arc::clone(&probe_schema), streams.collect());
                let build = Leaf::of_batch(resident);
                on_disk.kernel.with_inputs(Arc::new(build), Arc::new(probe), None)
            })
            .transpose()?;
        Ok(Built { in_memory: Mutex::new(in_memory), on_disk: Some(on_disk) })
    }
}

impl Reclaim for Collector {
    fn reclaim(&self, bytes: usize) -> Reclaimed {
        let Some(stage) = self.stage.try_lock() else { return Reclaimed::Nothing };
        match &*stage {
            Stage::Split(buckets) => {
                let buckets = Arc::clone(buckets);
                drop(stage);
                buckets.reclaim(bytes)
            }
            // Splitting takes too long to be done here: the next batch leads to it.
            Stage::Whole(_) => self.asked.reclaim(bytes),
        }
    }
}

/// Most bytes of a build side that may be kept in memory, whatever is free: as tests say, and what
/// columns with 32-bit offsets can hold.
fn most_bytes(knobs: &Knobs, level: u32, schema: &SchemaRef) -> usize {
    use arrow::datatypes::DataType::{Binary, List, Map, Utf8};
    let knob = knobs.join_build_bytes.filter(|_| level <= knobs.least_levels.unwrap_or(0));
    let is_small =
        |field: &FieldRef| matches!(field.data_type(), Utf8 | Binary | List(_) | Map(_, _));
    let offsets = schema.fields().iter().any(is_small).then_some(MOST_BYTES_OF_SMALL_OFFSETS);
    let knob = knob.map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
    knob.unwrap_or(usize::MAX).min(offsets.unwrap_or(usize::MAX))
}

/// The rows of a batch by bucket; all in one without keys.
fn split(splitter: Option<&Splitter>, batch: RecordBatch) -> Result<Split> {
    match splitter {
        Some(splitter) => splitter.split(&batch),
        None => Ok(Split::whole(batch)),
    }
}

/// Reads the build side.
async fn build(
    collector: Arc<Collector>,
    waiting: WaitingJoin,
    builds: Vec<SendableRecordBatchStream>,
    probes: Vec<SendableRecordBatchStream>,
) -> Result<Built> {
    drop(waiting);
    let schema = builds[0].schema();
    for_each(builds, |stream| Arc::clone(&collector).collect(stream)).await?;
    collector.finish(schema, probes).await
}

impl OnDisk {
    /// Sends the probe rows of buckets on disk there and gives back the others.
    async fn route(&self, batch: RecordBatch) -> Result<Option<RecordBatch>> {
        if batch.num_rows() == 0 {
            return Ok(None);
        }
        self.saw_probe_rows.store(true, Ordering::Relaxed);
        let split = split(self.splitter.as_ref(), compacted(batch))?;
        if split.had_null {
            self.saw_probe_nulls.store(true, Ordering::Relaxed);
        }
        let goes = |bucket: usize| self.is_spilled[bucket] && self.is_wanted[bucket];
        self.probe.add(&split, goes).await?;
        let in_memory = (0..split.ranges.len())
            .filter(|bucket| !self.is_spilled[*bucket])
            .map(|bucket| split.ranges[bucket].len())
            .sum();
        Ok((in_memory > 0).then(|| split.batch.slice(0, in_memory)))
    }

    /// The parts that are done from disk.
    fn work(&self, operation: &Operation) -> Result<VecDeque<Work>> {
        self.probe.finish();
        let mut work = VecDeque::new();
        if self.splitter.is_none() {
            let build = self.build.contents(0);
            let probe = self.probe.contents(0);
            let outputs = self.probes.len();
            return chunks(&operation.context, &self.kernel, outputs, build, probe);
        }
        let is_null_aware = operation.kernel.is_null_aware();
        if is_null_aware && self.saw_probe_nulls.load(Ordering::Relaxed) {
            // x NOT IN (…, NULL) is never true.
            return Ok(work);
        }
        // NULL NOT IN (an empty set) is true, NULL NOT IN (anything) is not.
        let skips_nulls = is_null_aware && self.saw_probe_rows.load(Ordering::Relaxed);
        let buckets = self.build.len() - usize::from(skips_nulls);
        let (build_preserved, probe_preserved) = self.kernel.preserves();
        for bucket in (0..buckets).filter(|bucket| self.is_spilled[*bucket]) {
            let build = self.build.contents(bucket);
            let probe = self.probe.contents(bucket);
            let is_empty = (build.rows == 0 && !probe_preserved)
                || (probe.rows == 0 && !build_preserved)
                || (build.rows == 0 && probe.rows == 0);
            if !is_empty {
                work.push_back(Work::Pair { build, probe });
            }
        }
        Ok(work)
    }
}

/// The join of two sides in chunks of one of them, of which each output takes one at a time.
fn chunks(
    context: &Context,
    kernel: &Kernel,
    outputs: usize,
    build: Contents,
    probe: Contents,
) -> Result<VecDeque<Work>> {
    let sides = |side: Side| match side == kernel.build_side() {
        true => (build.clone(), probe.clone()),
        false => (probe.clone(), build.clone()),
    };
    let joins = match kernel.divisible() {
        Divisible::Either if build.bytes <= probe.bytes => vec![(kernel.clone(), build, probe)],
        Divisible::Either => vec![(kernel.turned(), probe, build)],
        Divisible::Only(side) => {
            let (build, probe) = sides(side);
            vec![(kernel.building(side), build, probe)]
        }
        Divisible::Neither => {
            let [left, right] = kernel.halves_of_full()?;
            let (build, probe) = sides(Side::Left);
            vec![(left, build.clone(), probe.clone()), (right, probe, build)]
        }
    };
    let knobs = &context.resources.knobs;
    let chunk_bytes = match knobs.join_build_bytes {
        Some(bytes) => usize::try_from(bytes).unwrap_or(usize::MAX).max(1),
        None => {
            let free = context.resources.governor.free_bytes();
            (free / (2 * outputs).max(4)).max(LEAST_CHUNK_BYTES)
        }
    };
    let mut work = VecDeque::new();
    for (kernel, build, probe) in joins {
        let most = most_bytes(&Knobs::default(), 0, &build.schema);
        for build in build.chunks(chunk_bytes.min(most)) {
            if build.rows > 0 {
                let (kernel, probe) = (kernel.clone(), probe.clone());
                work.push_back(Work::Chunk { kernel, build, probe });
            }
        }
    }
    Ok(work)
}

type Batches = BoxStream<'static, Result<RecordBatch>>;

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
                let staging = on_disk.build.staging_bytes() + on_disk.probe.staging_bytes();
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
            false => &on_disk.probe,
        };
        (0..buckets.len()).map(|bucket| buckets.size(bucket).1).sum::<usize>().max(1)
    }
}

/// Probe rows that are joined without a pause, where each may match all of so many build rows.
fn probe_rows(build_rows: usize) -> usize {
    const PAIRS: usize = 4 << 20;
    (PAIRS / build_rows.max(1)).clamp(1, 8192)
}

/// Joins a chunk with all rows of the other side.
fn chunk(context: Arc<Context>, kernel: Kernel, build: Contents, probe: Contents) -> Batches {
    let joined = async move {
        let consumer = MemoryConsumer::new(JOIN_CONSUMER).with_can_spill(true);
        let memory = consumer.register(&context.pool);
        memory.grow(build.bytes + table_bytes(&kernel, build.rows));
        let batches: Vec<RecordBatch> = build.stream().try_collect().await?;
        let schema = Arc::clone(&build.schema);
        let build = concat(&schema, batches)?;
        let probe = Leaf::new(Arc::clone(&probe.schema), vec![probe.stream()])
            .with_rows(probe_rows(build.num_rows()));
        let build = Leaf::of_batch(build);
        let join = kernel.with_inputs(Arc::new(build), Arc::new(probe), None)?;
        let joined = join.execute(0, Arc::clone(&context.task))?;
        let joined = shaped(&context, &kernel, joined);
        // The memory is held as long as the stream is.
        Ok::<_, DataFusionError>(joined.inspect(move |_| {
            let _ = &memory;
        }))
    };
    stream::once(joined).try_flatten().boxed()
}

/// The batches of a join as batches of the result.
fn shaped(context: &Arc<Context>, kernel: &Kernel, joined: SendableRecordBatchStream) -> Batches {
    let (kernel, schema) = (kernel.clone(), Arc::clone(&context.schema));
    joined.map(move |batch| kernel.shaped(&batch?, &schema)).boxed()
}
