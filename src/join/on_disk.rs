//! What of a join had no room in memory: the rows of both sides on disk, and how they are joined.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::array::RecordBatch;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::MemoryConsumer;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt, stream};
use parking_lot::Mutex;

use super::collector::{most_bytes, split, table_bytes};
use super::kernel::{Divisible, Kernel, Side};
use super::operation::{Batches, Context, Operation, shaped};
use crate::exchange::{Buckets, Contents, Splitter, compacted, concat};
use crate::kernel::Leaf;
use crate::memory::JOIN_CONSUMER;
use crate::session::Knobs;

/// Chunks are at least so large, whatever memory is free.
pub(super) const LEAST_CHUNK_BYTES: usize = 4 << 20;

/// The rows that memory had no room for.
pub(super) struct OnDisk {
    pub(super) kernel: Kernel,
    pub(super) build: Arc<Buckets>,
    pub(super) routes: Arc<Routes>,
    /// The probe rows of each output that are joined in memory; reading them sends the others to
    /// disk.
    pub(super) probes: Vec<Arc<tokio::sync::Mutex<BoxStream<'static, Result<RecordBatch>>>>>,
    /// What is left to do when all probe rows were read.
    pub(super) work: Mutex<Option<VecDeque<Work>>>,
}

/// Where probe rows go. The streams of [`OnDisk`] hold it while they write, so it holds none of them.
pub(super) struct Routes {
    pub(super) probe: Buckets,
    /// How probe rows are split; `None` if there are no keys to split by.
    pub(super) splitter: Option<Splitter>,
    /// Whether a bucket is on disk, by its number.
    pub(super) is_spilled: Vec<bool>,
    /// Whether probe rows of a bucket can have an effect, by its number.
    pub(super) is_wanted: Vec<bool>,
    pub(super) saw_rows: AtomicBool,
    pub(super) saw_nulls: AtomicBool,
}

/// A part of the join that is done from disk.
pub(super) enum Work {
    Pair { build: Contents, probe: Contents },
    Chunk { kernel: Kernel, build: Contents, probe: Contents },
}

impl Routes {
    /// Sends the probe rows of buckets on disk there and gives back the others.
    pub(super) async fn route(&self, batch: RecordBatch) -> Result<Option<RecordBatch>> {
        if batch.num_rows() == 0 {
            return Ok(None);
        }
        self.saw_rows.store(true, Ordering::Relaxed);
        let split = split(self.splitter.as_ref(), compacted(batch))?;
        if split.had_null {
            self.saw_nulls.store(true, Ordering::Relaxed);
        }
        let goes = |bucket: usize| self.is_spilled[bucket] && self.is_wanted[bucket];
        self.probe.add(&split, goes).await?;
        let in_memory = (0..split.ranges.len())
            .filter(|bucket| !self.is_spilled[*bucket])
            .map(|bucket| split.ranges[bucket].len())
            .sum();
        Ok((in_memory > 0).then(|| split.batch.slice(0, in_memory)))
    }
}

impl OnDisk {
    /// The parts that are done from disk.
    pub(super) fn work(&self, operation: &Operation) -> Result<VecDeque<Work>> {
        let routes = &*self.routes;
        routes.probe.finish();
        let mut work = VecDeque::new();
        if routes.splitter.is_none() {
            let build = self.build.contents(0);
            let probe = routes.probe.contents(0);
            let outputs = self.probes.len();
            return chunks(&operation.context, &self.kernel, outputs, build, probe);
        }
        let is_null_aware = operation.kernel.is_null_aware();
        if is_null_aware && routes.saw_nulls.load(Ordering::Relaxed) {
            // x NOT IN (…, NULL) is never true.
            return Ok(work);
        }
        // NULL NOT IN (an empty set) is true, NULL NOT IN (anything) is not.
        let skips_nulls = is_null_aware && routes.saw_rows.load(Ordering::Relaxed);
        let buckets = self.build.len() - usize::from(skips_nulls);
        let (build_preserved, probe_preserved) = self.kernel.preserves();
        for bucket in (0..buckets).filter(|bucket| routes.is_spilled[*bucket]) {
            let build = self.build.contents(bucket);
            let probe = routes.probe.contents(bucket);
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

/// Probe rows that are joined without a pause, where each may match all of so many build rows.
pub(super) fn probe_rows(build_rows: usize) -> usize {
    const PAIRS: usize = 4 << 20;
    (PAIRS / build_rows.max(1)).clamp(1, 8192)
}

/// Joins a chunk with all rows of the other side.
pub(super) fn chunk(
    context: Arc<Context>,
    kernel: Kernel,
    build: Contents,
    probe: Contents,
) -> Batches {
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
