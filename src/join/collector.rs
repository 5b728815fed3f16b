//! The build side of a join, as it is read: whole in memory, or in buckets of which some are on disk.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use arrow::array::RecordBatch;
use arrow::datatypes::{FieldRef, SchemaRef};
use datafusion::common::utils::memory::estimate_memory_size;
use datafusion::error::Result;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::memory_pool::MemoryReservation;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::{StreamExt, TryStreamExt, stream};
use parking_lot::Mutex;

use super::kernel::Kernel;
use super::on_disk::{LEAST_CHUNK_BYTES, OnDisk, Routes, probe_rows};
use super::operation::{Built, Context, Origin};
use crate::exchange::{
    BLOCK_BYTES, Buckets, MAX_BUCKETS, MAX_LEVEL, Nulls, Split, Splitter, compacted, concat,
    logical_bytes,
};
use crate::kernel::{Leaf, for_each};
use crate::memory::{Asked, Reclaim, Reclaimed, WaitingJoin};
use crate::session::Knobs;

/// A build side this small is always kept in memory.
const SMALL_BUILD_BYTES: usize = 1 << 20;

/// Where a column has 32-bit offsets, no more than this is put into one batch.
const MOST_BYTES_OF_SMALL_OFFSETS: usize = 1_800 << 20;

/// Collects the build side.
pub(super) struct Collector {
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
pub(super) fn table_bytes(kernel: &Kernel, rows: usize) -> usize {
    if kernel.keys().is_none() {
        return rows / 8;
    }
    // Entries of hash and row, the next row of each, and a bit for rows that have matched.
    estimate_memory_size::<(u32, u64)>(rows, 0).unwrap_or(usize::MAX / 2) + 4 * rows + rows / 8
}

impl Collector {
    /// A collector of rows of this schema, which has read nothing.
    pub(super) fn new(
        context: &Arc<Context>,
        kernel: &Kernel,
        origin: Origin,
        memory: &Arc<MemoryReservation>,
        schema: &SchemaRef,
    ) -> Self {
        Collector {
            context: Arc::clone(context),
            kernel: kernel.clone(),
            origin,
            memory: Arc::clone(memory),
            stage: Mutex::new(Stage::Whole(Vec::new())),
            bytes: AtomicUsize::new(0),
            most_bytes: most_bytes(&context.resources.knobs, origin.level, schema),
            bucket_count: OnceLock::new(),
            asked: Asked::default(),
        }
    }

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
        let routes = Arc::new(Routes {
            probe,
            splitter,
            is_spilled,
            is_wanted,
            saw_rows: AtomicBool::new(false),
            saw_nulls: AtomicBool::new(false),
        });
        let routed = |stream: SendableRecordBatchStream| {
            let routes = Arc::clone(&routes);
            let rows = stream.try_filter_map(move |batch| {
                let routes = Arc::clone(&routes);
                async move { routes.route(batch).await }
            });
            Arc::new(tokio::sync::Mutex::new(rows.boxed()))
        };
        let probes = probes.into_iter().map(routed).collect();
        let on_disk = Arc::new(OnDisk { kernel, build, routes, probes, work: Mutex::new(None) });
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
pub(super) fn most_bytes(knobs: &Knobs, level: u32, schema: &SchemaRef) -> usize {
    use arrow::datatypes::DataType::{Binary, List, Map, Utf8};
    let knob = knobs.join_build_bytes.filter(|_| level <= knobs.least_levels.unwrap_or(0));
    let is_small =
        |field: &FieldRef| matches!(field.data_type(), Utf8 | Binary | List(_) | Map(_, _));
    let offsets = schema.fields().iter().any(is_small).then_some(MOST_BYTES_OF_SMALL_OFFSETS);
    let knob = knob.map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
    knob.unwrap_or(usize::MAX).min(offsets.unwrap_or(usize::MAX))
}

/// The rows of a batch by bucket; all in one without keys.
pub(super) fn split(splitter: Option<&Splitter>, batch: RecordBatch) -> Result<Split> {
    match splitter {
        Some(splitter) => splitter.split(&batch),
        None => Ok(Split::whole(batch)),
    }
}

/// Reads the build side.
pub(super) async fn build(
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
