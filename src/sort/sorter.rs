//! Collects the rows of one sort, in memory as long as there is room and in sorted runs on disk when
//! there is not.

use std::sync::Arc;

use arrow::array::{BinaryArray, RecordBatch};
use arrow::compute::{filter_record_batch, interleave_record_batch};
use arrow::datatypes::SchemaRef;
use datafusion::error::Result;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use datafusion::physical_plan::metrics::{Count, SpillMetrics};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::stream::BoxStream;
use futures::{TryStreamExt, stream};

use super::order::{Common, Entry, Keys, key_bytes, sorted};
use crate::exchange::{BLOCK_BYTES, compacted, concat, logical_bytes};
use crate::memory::Asked;
use crate::session::Resources;
use crate::spill::{BlockRange, SpillFile, off_thread};

/// Batches are put together until they have this size: rows are then taken from few places, and
/// strings lie close together.
const PART_BYTES: usize = 2 << 20;

/// A batch of the result has at most about this size.
pub(super) const BATCH_BYTES: usize = 1 << 20;

/// A run is at least so large, whatever memory is free: smaller ones would be too many to merge.
const LEAST_RUN_BYTES: usize = 4 << 20;

/// From so many rows on, those that cannot be among the wanted are dropped.
const LEAST_CUT_ROWS: usize = 1 << 18;

/// Name of the consumers of memory.
const CONSUMER: &str = "sort";

/// What a sort is given.
pub(super) struct Context {
    pub(super) schema: SchemaRef,
    pub(super) keys: Keys,
    /// Only so many rows are wanted.
    pub(super) fetch: Option<usize>,
    /// Most rows of a batch of the result.
    pub(super) most_batch_rows: usize,
    pub(super) pool: Arc<dyn MemoryPool>,
    pub(super) resources: Arc<Resources>,
    pub(super) spills: SpillMetrics,
    /// Runs that were merged into longer ones before the last merge.
    pub(super) rewritten_runs: Count,
}

impl Context {
    /// Rows of a batch that has `wanted` bytes, where so many rows have so many bytes.
    pub(super) fn rows_of(&self, wanted: usize, rows: usize, bytes: usize) -> usize {
        (wanted / (bytes / rows.max(1)).max(1)).clamp(1, self.most_batch_rows)
    }
}

/// Sorts some of the rows of an operation.
pub(super) struct Sorter {
    pub(super) context: Arc<Context>,
    pub(super) memory: Arc<MemoryReservation>,
    /// Batches that are not a part yet, and their bytes.
    pieces: Vec<RecordBatch>,
    pieces_bytes: usize,
    parts: Vec<Part>,
    rows: usize,
    /// What the keys of all rows have in common.
    pub(super) common: Common,
    /// Rows whose key is greater are not among the wanted.
    bound: Option<Vec<u8>>,
    pub(super) runs: Vec<Run>,
    /// All runs are in one file, so that their number has nothing to do with that of open files.
    file: Option<SpillFile>,
    asked: Arc<Asked>,
}

/// Rows in memory, with their keys.
struct Part {
    batch: RecordBatch,
    keys: BinaryArray,
    /// What is reserved for it.
    bytes: usize,
}

impl Part {
    fn new(batch: RecordBatch, keys: BinaryArray) -> Self {
        let entries = batch.num_rows() * size_of::<Entry>();
        let bytes = logical_bytes(&batch) + key_bytes(&keys) + entries;
        Part { batch, keys, bytes }
    }
}

/// Sorted rows in the file of their sort. Clones are the same run.
#[derive(Clone)]
pub(super) struct Run {
    file: SpillFile,
    blocks: Vec<BlockRange>,
    /// Bytes of all rows in memory.
    pub(super) bytes: usize,
}

impl Run {
    /// The rows in order.
    pub(super) fn stream(self) -> SendableRecordBatchStream {
        self.file.read(self.blocks)
    }

    /// Gives the disk space back.
    pub(super) fn release(&self) {
        for block in &self.blocks {
            self.file.release(*block);
        }
    }

    /// Bytes of the largest block in memory.
    pub(super) fn block_bytes(&self) -> usize {
        self.blocks.iter().map(|block| block.memory_bytes).max().unwrap_or(0)
    }
}

/// Rows in memory in their order, from which batches are taken.
struct Sorted {
    parts: Vec<Part>,
    entries: Vec<Entry>,
    /// Entries that were taken.
    taken: usize,
}

impl Sorted {
    /// Rows and bytes of all parts.
    fn size(&self) -> (usize, usize) {
        let rows = self.parts.iter().map(|part| part.batch.num_rows()).sum();
        (rows, self.parts.iter().map(|part| part.bytes).sum())
    }

    /// The next so many rows; `None` at the end.
    fn next(&mut self, rows: usize) -> Result<Option<RecordBatch>> {
        let end = self.entries.len().min(self.taken + rows);
        let places: Vec<(usize, usize)> =
            self.entries[self.taken..end].iter().map(|entry| entry.place()).collect();
        self.taken = end;
        if places.is_empty() {
            return Ok(None);
        }
        let batches: Vec<&RecordBatch> = self.parts.iter().map(|part| &part.batch).collect();
        // Strings would hold on to those of all other rows of their parts.
        Ok(Some(compacted(interleave_record_batch(&batches, &places)?)))
    }
}

impl Sorter {
    pub(super) fn new(context: Arc<Context>) -> Self {
        let consumer = MemoryConsumer::new(CONSUMER).with_can_spill(true);
        let memory = Arc::new(consumer.register(&context.pool));
        let asked = Arc::new(Asked::default());
        context.resources.governor.register_reclaim(memory.consumer(), &asked);
        Sorter {
            context,
            memory,
            pieces: Vec::new(),
            pieces_bytes: 0,
            parts: Vec::new(),
            rows: 0,
            common: Common::default(),
            bound: None,
            runs: Vec::new(),
            file: None,
            asked,
        }
    }

    /// Adds rows.
    ///
    /// # Errors
    /// Those of evaluating the keys and of writing temporary files.
    pub(super) async fn add(&mut self, batch: RecordBatch) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let batch = match &self.bound {
            None => batch,
            Some(bound) => {
                let wanted = self.context.keys.maybe_up_to(&batch, bound)?;
                match wanted.true_count() {
                    0 => return Ok(()),
                    count if count == batch.num_rows() => batch,
                    // Few rows must not hold on to the strings of all.
                    _ => compacted(filter_record_batch(&batch, &wanted)?),
                }
            }
        };
        self.pieces_bytes += logical_bytes(&batch);
        self.pieces.push(batch);
        if self.pieces_bytes >= PART_BYTES.min(self.most_bytes()) {
            self.add_part().await?;
        }
        Ok(())
    }

    /// Most bytes in memory, as tests say.
    fn most_bytes(&self) -> usize {
        let knob = self.context.resources.knobs.sort_bytes;
        knob.map_or(usize::MAX, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX))
    }

    /// Makes a part of the pieces.
    async fn add_part(&mut self) -> Result<()> {
        let pieces = std::mem::take(&mut self.pieces);
        self.pieces_bytes = 0;
        let batch = compacted(concat(&self.context.schema, pieces)?);
        let keys = self.context.keys.of(&batch)?;
        self.common.add_all(&keys);
        let part = Part::new(batch, keys);
        if self.asked.take() && self.memory.size() > LEAST_RUN_BYTES {
            self.write_run().await?;
        }
        while !self.reserve(part.bytes) {
            if self.parts.is_empty() {
                // There is no room for even this.
                self.memory.grow(part.bytes);
                break;
            }
            if !self.cut().await? {
                self.write_run().await?;
            }
        }
        self.rows += part.batch.num_rows();
        self.parts.push(part);
        if self
            .context
            .fetch
            .is_some_and(|fetch| self.rows >= LEAST_CUT_ROWS.max(fetch.saturating_mul(4)))
        {
            self.cut().await?;
        }
        Ok(())
    }

    fn reserve(&self, bytes: usize) -> bool {
        let held = self.memory.size();
        if held + bytes > self.most_bytes() {
            return false;
        }
        if self.memory.try_grow(bytes).is_ok() {
            return true;
        }
        let is_little = held + bytes <= LEAST_RUN_BYTES;
        if is_little {
            self.memory.grow(bytes);
        }
        is_little
    }

    /// Drops the rows that cannot be among the wanted; `false` if that would gain little.
    async fn cut(&mut self) -> Result<bool> {
        let Some(fetch) = self.context.fetch.filter(|fetch| self.rows >= fetch.saturating_mul(2))
        else {
            return Ok(false);
        };
        let mut sorted = self.take_sorted().await?;
        let mut kept = Vec::new();
        let (rows, bytes) = sorted.size();
        let rows = self.context.rows_of(BLOCK_BYTES, rows, bytes);
        while let Some(batch) = sorted.next(rows)? {
            kept.push(batch);
            tokio::task::yield_now().await;
        }
        self.note_bound(&sorted);
        drop(sorted);
        self.memory.free();
        self.rows = fetch;
        for batch in kept {
            let keys = self.context.keys.of(&batch)?;
            let part = Part::new(batch, keys);
            self.memory.grow(part.bytes);
            self.parts.push(part);
        }
        Ok(true)
    }

    /// Remembers the key of the last row that is wanted, where as many rows are known.
    fn note_bound(&mut self, sorted: &Sorted) {
        let is_full = self.context.fetch == Some(sorted.entries.len());
        if let Some(last) = sorted.entries.last().filter(|_| is_full) {
            let (part, row) = last.place();
            self.bound = Some(sorted.parts[part].keys.value(row).to_vec());
        }
    }

    /// Takes what is in memory, in order.
    async fn take_sorted(&mut self) -> Result<Sorted> {
        let parts = std::mem::take(&mut self.parts);
        self.rows = 0;
        let fetch = self.context.fetch;
        let (memory, common) = (Arc::clone(&self.memory), self.common.clone());
        let sorted = off_thread(move || {
            // A sort that has begun goes on when the query is dropped, and holds its rows so long.
            let _memory = memory;
            let keys: Vec<&BinaryArray> = parts.iter().map(|part| &part.keys).collect();
            let entries = sorted(&keys, &common, fetch);
            Ok(Sorted { parts, entries, taken: 0 })
        });
        Ok(sorted.await?)
    }

    /// Writes what is in memory as a run.
    pub(super) async fn write_run(&mut self) -> Result<()> {
        let sorted = self.take_sorted().await?;
        self.note_bound(&sorted);
        let file = self.file()?;
        let run = write(&self.context, file, sorted).await?;
        self.runs.push(run);
        self.memory.free();
        Ok(())
    }

    /// Writes the rows of a sorted stream as a run.
    pub(super) async fn rewrite(
        &mut self,
        mut sorted: BoxStream<'static, Result<RecordBatch>>,
    ) -> Result<()> {
        let mut run = RunWriter::new(self.file()?);
        while let Some(batch) = sorted.try_next().await? {
            run.add(&self.context, batch).await?;
        }
        self.runs.push(run.finish());
        Ok(())
    }

    /// The file of the runs.
    fn file(&mut self) -> Result<SpillFile> {
        if let Some(file) = &self.file {
            return Ok(file.clone());
        }
        let (store, schema) = (&self.context.resources.store, Arc::clone(&self.context.schema));
        let file = self.file.insert(store.create(CONSUMER, schema)?).clone();
        self.context.spills.spill_file_count.add(1);
        Ok(file)
    }

    /// Says that all rows were added.
    ///
    /// # Errors
    /// Those of evaluating the keys and of writing temporary files.
    pub(super) async fn finish(mut self) -> Result<Finished> {
        if !self.pieces.is_empty() {
            self.add_part().await?;
        }
        if self.runs.is_empty() {
            let sorted = self.take_sorted().await?;
            return Ok(Finished::InMemory(InMemory { sorter: self, sorted }));
        }
        if !self.parts.is_empty() {
            self.write_run().await?;
        }
        Ok(Finished::OnDisk(self))
    }
}

/// Where the rows are when all were added.
pub(super) enum Finished {
    InMemory(InMemory),
    /// In the runs.
    OnDisk(Sorter),
}

/// Rows of a sort that fitted into memory.
pub(super) struct InMemory {
    sorter: Sorter,
    sorted: Sorted,
}

impl InMemory {
    /// What the keys of the rows have in common.
    pub(super) fn common(&self) -> &Common {
        &self.sorter.common
    }

    /// The rows in order. They go to disk when another needs the memory.
    pub(super) fn stream(self) -> SendableRecordBatchStream {
        let schema = Arc::clone(&self.sorter.context.schema);
        let state = State::Memory(Box::new(self.sorter), self.sorted);
        Box::pin(RecordBatchStreamAdapter::new(schema, stream::try_unfold(state, next_batch)))
    }
}

/// Where the rest of a sort that fitted into memory is.
enum State {
    Memory(Box<Sorter>, Sorted),
    Disk(SendableRecordBatchStream),
}

async fn next_batch(state: State) -> Result<Option<(RecordBatch, State)>> {
    let mut rest = match state {
        State::Memory(mut sorter, mut sorted) => {
            if !sorter.asked.take() {
                let (rows, bytes) = sorted.size();
                let batch = sorted.next(sorter.context.rows_of(BATCH_BYTES, rows, bytes))?;
                return Ok(batch.map(|batch| (batch, State::Memory(sorter, sorted))));
            }
            let file = sorter.file()?;
            let run = write(&sorter.context, file, sorted).await?;
            sorter.memory.free();
            run.stream()
        }
        State::Disk(rest) => rest,
    };
    Ok(rest.try_next().await?.map(|batch| (batch, State::Disk(rest))))
}

/// Writes sorted rows as a run.
async fn write(context: &Context, file: SpillFile, mut sorted: Sorted) -> Result<Run> {
    let mut run = RunWriter::new(file);
    let (rows, bytes) = sorted.size();
    let rows = context.rows_of(BLOCK_BYTES, rows, bytes);
    while let Some(batch) = sorted.next(rows)? {
        run.add(context, batch).await?;
    }
    Ok(run.finish())
}

/// A run in the making.
struct RunWriter(Run);

impl RunWriter {
    fn new(file: SpillFile) -> Self {
        RunWriter(Run { file, blocks: Vec::new(), bytes: 0 })
    }

    async fn add(&mut self, context: &Context, batch: RecordBatch) -> Result<()> {
        let batch = compacted(batch);
        let bytes = logical_bytes(&batch);
        let range = self.0.file.append(&batch, bytes).await?;
        context.spills.spilled_bytes.add(range.stored_bytes);
        context.spills.spilled_rows.add(range.rows);
        self.0.blocks.push(range);
        self.0.bytes += bytes;
        Ok(())
    }

    fn finish(self) -> Run {
        self.0
    }
}
