//! The rows of each bucket, in memory or on disk.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::error::Result;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::memory_pool::MemoryReservation;
use datafusion::physical_plan::metrics::SpillMetrics;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::{StreamExt, stream};
use parking_lot::Mutex;

use super::{Split, compacted, concat, logical_bytes, owned};
use crate::memory::{Held, Reclaim, Reclaimed};
use crate::spill::{BlockRange, SpillFile, SpillStore};

/// Rows of a bucket are put together until they have this size, then written or kept as one batch.
/// Large enough for sequential writes and few messages, small enough to have one in memory for each
/// bucket of each side.
pub(crate) const BLOCK_BYTES: usize = 256 << 10;

/// Rows by bucket. Several tasks may add to it at once.
///
/// Memory is taken from one reservation. When it is refused more, the largest bucket that is in
/// memory goes to disk, and what is added to it later follows.
pub(crate) struct Buckets {
    schema: SchemaRef,
    store: SpillStore,
    /// Part of the file's name.
    name: &'static str,
    file: OnceLock<SpillFile>,
    buckets: Vec<Mutex<Bucket>>,
    memory: Arc<MemoryReservation>,
    /// Most bytes in memory, whatever the reservation allows.
    cap_bytes: usize,
    block_bytes: usize,
    /// Memory that each row will need besides, while its bucket is in memory.
    row_bytes: usize,
    /// What of the reservation belongs to buckets in memory.
    held_bytes: AtomicUsize,
    /// Whether memory was taken for the blocks in the making of buckets on disk.
    is_staged: AtomicBool,
    /// Nothing is added or spilled any more.
    is_final: AtomicBool,
    /// Held while another's request for memory is served.
    reclaiming: Mutex<()>,
    metrics: SpillMetrics,
}

#[derive(Default)]
struct Bucket {
    is_spilled: bool,
    /// Finished batches, of a bucket that is in memory.
    batches: Vec<RecordBatch>,
    /// Rows that are not a block yet.
    pieces: Vec<RecordBatch>,
    pieces_bytes: usize,
    /// What of `batches` and `pieces` is reserved.
    memory_bytes: usize,
    /// Finished blocks, of a bucket that is on disk.
    blocks: Vec<BlockRange>,
    rows: usize,
    bytes: usize,
}

/// What a bucket holds. Clones share it.
#[derive(Clone)]
pub(crate) struct Contents {
    pub(crate) schema: SchemaRef,
    file: Option<SpillFile>,
    pub(crate) blocks: Vec<BlockRange>,
    /// The rows that are in memory.
    pub(crate) batches: Vec<RecordBatch>,
    pub(crate) rows: usize,
    /// Bytes of all rows in memory.
    pub(crate) bytes: usize,
}

impl Buckets {
    pub(crate) fn new(
        name: &'static str,
        schema: SchemaRef,
        count: usize,
        store: SpillStore,
        memory: Arc<MemoryReservation>,
        metrics: SpillMetrics,
    ) -> Self {
        Buckets {
            schema,
            store,
            name,
            file: OnceLock::new(),
            buckets: (0..count).map(|_| Mutex::default()).collect(),
            memory,
            cap_bytes: usize::MAX,
            block_bytes: BLOCK_BYTES,
            row_bytes: 0,
            held_bytes: AtomicUsize::new(0),
            is_staged: AtomicBool::new(false),
            is_final: AtomicBool::new(false),
            reclaiming: Mutex::new(()),
            metrics,
        }
    }

    /// Keeps no more than this in memory, whatever is allowed.
    pub(crate) fn with_cap_bytes(mut self, bytes: usize) -> Self {
        self.cap_bytes = bytes;
        self
    }

    /// Puts rows together until they have this size, instead of [`BLOCK_BYTES`].
    pub(crate) fn with_block_bytes(mut self, bytes: usize) -> Self {
        self.block_bytes = bytes;
        self
    }

    /// Takes so much memory more for each row.
    pub(crate) fn with_row_bytes(mut self, bytes: usize) -> Self {
        self.row_bytes = bytes;
        self
    }

    /// Sends these buckets to disk from the start.
    pub(crate) fn with_spilled(self, is_spilled: impl Fn(usize) -> bool) -> Self {
        for (number, bucket) in self.buckets.iter().enumerate() {
            bucket.lock().is_spilled = is_spilled(number);
        }
        self
    }

    pub(crate) fn is_spilled(&self, bucket: usize) -> bool {
        self.buckets[bucket].lock().is_spilled
    }

    /// Takes memory for the blocks in the making of buckets on disk, if that was not done before. Where
    /// it is not known from the start that there will be such, [`Buckets::add`] does so in time.
    pub(crate) fn stage(&self) {
        if !self.is_staged.swap(true, Ordering::Relaxed) {
            self.memory.grow(self.staging_bytes());
        }
    }

    /// Gives the memory for the blocks in the making, once, if it was taken. Nothing may be added later.
    pub(crate) fn take_staging(&self) -> Option<Held> {
        let was_staged = self.is_staged.swap(false, Ordering::Relaxed);
        was_staged.then(|| Held::new(&self.memory, self.staging_bytes()))
    }

    /// What blocks in the making of buckets on disk are likely to take.
    pub(crate) fn staging_bytes(&self) -> usize {
        self.buckets.len() * self.block_bytes / 2
    }

    /// Adds the rows of a split batch for which `wanted` says so.
    ///
    /// # Errors
    /// Those of writing a temporary file.
    pub(crate) async fn add(&self, split: &Split, wanted: impl Fn(usize) -> bool) -> Result<()> {
        let rows = split.batch.num_rows().max(1);
        let bytes = logical_bytes(&split.batch);
        for (number, range) in split.ranges.iter().enumerate() {
            if !range.is_empty() && wanted(number) {
                let mut piece = split.batch.slice(range.start, range.len());
                if range.len() * 2 * split.ranges.len() < rows {
                    // A few rows of many would keep all of them in memory until their block is full.
                    piece = owned(&piece)?;
                }
                // Exact enough, where looking at each piece would cost more than splitting.
                self.add_piece(number, piece, bytes * range.len() / rows).await?;
            }
        }
        if self.file.get().is_some() {
            self.stage();
        }
        Ok(())
    }

    async fn add_piece(&self, number: usize, piece: RecordBatch, bytes: usize) -> Result<()> {
        let held_bytes = bytes + piece.num_rows() * self.row_bytes;
        let mut reserved = 0;
        while !self.is_spilled(number) {
            if self.reserve(held_bytes) {
                reserved = held_bytes;
                break;
            }
            if !self.spill_largest().await? {
                // There is no room for even this: it follows its bucket to disk.
                self.spill(number).await?;
            }
        }
        let (pieces, pieces_bytes, is_spilled) = {
            let mut bucket = self.buckets[number].lock();
            bucket.rows += piece.num_rows();
            bucket.bytes += bytes;
            bucket.pieces.push(piece);
            bucket.pieces_bytes += bytes;
            // Blocks in the making of spilled buckets are counted together: see `stage`.
            if !bucket.is_spilled {
                bucket.memory_bytes += reserved;
            } else if reserved > 0 {
                self.held_bytes.fetch_sub(reserved, Ordering::Relaxed);
                self.memory.shrink(reserved);
            }
            if bucket.pieces_bytes < self.block_bytes {
                return Ok(());
            }
            let pieces = std::mem::take(&mut bucket.pieces);
            (pieces, std::mem::take(&mut bucket.pieces_bytes), bucket.is_spilled)
        };
        let block = compacted(concat(&self.schema, pieces)?);
        if !is_spilled {
            let mut bucket = self.buckets[number].lock();
            if !bucket.is_spilled {
                bucket.batches.push(block);
                return Ok(());
            }
            // It was spilled in the meantime, without these rows.
        }
        self.write(number, block, pieces_bytes).await
    }

    fn reserve(&self, bytes: usize) -> bool {
        let held = self.held_bytes.load(Ordering::Relaxed);
        let fits = held + bytes <= self.cap_bytes && self.memory.try_grow(bytes).is_ok();
        if fits {
            self.held_bytes.fetch_add(bytes, Ordering::Relaxed);
        }
        fits
    }

    async fn write(&self, number: usize, block: RecordBatch, bytes: usize) -> Result<()> {
        let range = self.file()?.append(&block, bytes).await?;
        self.written(number, range);
        Ok(())
    }

    fn written(&self, number: usize, range: BlockRange) {
        self.metrics.spilled_bytes.add(range.stored_bytes);
        self.metrics.spilled_rows.add(range.rows);
        self.buckets[number].lock().blocks.push(range);
    }

    fn file(&self) -> Result<&SpillFile> {
        if let Some(file) = self.file.get() {
            return Ok(file);
        }
        let file = self.store.create(self.name, Arc::clone(&self.schema))?;
        // Of two that are made at once one is dropped again.
        if self.file.set(file).is_ok() {
            self.metrics.spill_file_count.add(1);
        }
        Ok(self.file.get().expect("just set"))
    }

    /// The bucket with most bytes in memory.
    fn largest(&self) -> Option<usize> {
        if self.is_final.load(Ordering::Acquire) {
            return None;
        }
        let sizes = self.buckets.iter().enumerate().filter_map(|(number, bucket)| {
            let bucket = bucket.try_lock()?;
            (!bucket.is_spilled && bucket.memory_bytes > 0).then_some((bucket.memory_bytes, number))
        });
        sizes.max().map(|(_, number)| number)
    }

    /// Marks a bucket as spilled and gives what is to be written, with its size.
    fn take(&self, number: usize) -> (Vec<RecordBatch>, usize) {
        let mut bucket = self.buckets[number].lock();
        bucket.is_spilled = true;
        // Pieces stay; they become the first block of what follows.
        let bytes = bucket.bytes.saturating_sub(bucket.pieces_bytes);
        (std::mem::take(&mut bucket.batches), bytes)
    }

    /// Gives back the memory of a bucket that was written, but for what is `kept`.
    fn release(&self, number: usize, kept: usize) {
        let bytes = {
            let mut bucket = self.buckets[number].lock();
            let bytes = bucket.memory_bytes.saturating_sub(kept);
            bucket.memory_bytes -= bytes;
            bytes
        };
        self.held_bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.memory.shrink(bytes);
    }

    /// Writes a bucket to disk.
    async fn spill(&self, number: usize) -> Result<()> {
        let (batches, bytes) = self.take(number);
        let each = bytes / batches.len().max(1);
        for batch in batches {
            self.write(number, batch, each).await?;
        }
        self.release(number, 0);
        Ok(())
    }

    /// Writes the largest bucket to disk; `false` if there is none in memory.
    ///
    /// # Errors
    /// Those of writing a temporary file.
    pub(crate) async fn spill_largest(&self) -> Result<bool> {
        let Some(number) = self.largest() else { return Ok(false) };
        self.spill(number).await?;
        Ok(true)
    }

    /// Says that all rows were added. What is in memory now stays there.
    pub(crate) fn finish(&self) {
        // Waits for what is being written for the sake of another.
        let _idle = self.reclaiming.lock();
        self.is_final.store(true, Ordering::Release);
    }

    /// Rows and bytes of the buckets that are in memory.
    pub(crate) fn in_memory(&self) -> (usize, usize) {
        self.buckets.iter().map(|bucket| bucket.lock()).fold((0, 0), |(rows, bytes), bucket| {
            if bucket.is_spilled {
                (rows, bytes)
            } else {
                (rows + bucket.rows, bytes + bucket.bytes)
            }
        })
    }

    /// Rows and bytes of a bucket.
    pub(crate) fn size(&self, bucket: usize) -> (usize, usize) {
        let bucket = self.buckets[bucket].lock();
        (bucket.rows, bucket.bytes)
    }

    pub(crate) fn len(&self) -> usize {
        self.buckets.len()
    }

    /// Takes what a bucket holds while others may still go to disk, with the memory that is reserved
    /// for it. Nothing may be added to it later.
    pub(crate) fn take_out(&self, bucket: usize) -> (Contents, Held) {
        // Waits for what is being written for the sake of another.
        let _idle = self.reclaiming.lock();
        let held = std::mem::take(&mut self.buckets[bucket].lock().memory_bytes);
        self.held_bytes.fetch_sub(held, Ordering::Relaxed);
        (self.contents(bucket), Held::new(&self.memory, held))
    }

    /// Takes what a bucket holds. Nothing may be added to it later.
    pub(crate) fn contents(&self, bucket: usize) -> Contents {
        let mut bucket = self.buckets[bucket].lock();
        let mut batches = std::mem::take(&mut bucket.batches);
        batches.append(&mut bucket.pieces);
        Contents {
            schema: Arc::clone(&self.schema),
            file: self.file.get().cloned(),
            blocks: std::mem::take(&mut bucket.blocks),
            batches,
            rows: bucket.rows,
            bytes: bucket.bytes,
        }
    }
}

impl Buckets {
    /// As [`Buckets::contents`]; whoever takes them accounts for their memory from now on.
    pub(crate) fn hand_over(&self, bucket: usize) -> Contents {
        let contents = self.contents(bucket);
        self.release(bucket, 0);
        contents
    }
}

impl Reclaim for Buckets {
    fn reclaim(&self, bytes: usize) -> Reclaimed {
        /// The caller's thread is busy for as long as this takes.
        const MOST_BYTES: usize = 32 << 20;
        let Some(_alone) = self.reclaiming.try_lock() else { return Reclaimed::Nothing };
        let mut given = 0;
        while given < bytes.min(MOST_BYTES) {
            let Some(number) = self.largest() else { break };
            let held = self.buckets[number].lock().memory_bytes;
            let (batches, size) = self.take(number);
            let each = size / batches.len().max(1);
            let mut kept = 0;
            for batch in batches {
                // What cannot be written now is kept, to be written with what follows: the error
                // belongs to this query, not to the one that asks for memory.
                match self.file().and_then(|file| Ok(file.append_now(&batch, each)?)) {
                    Ok(range) => self.written(number, range),
                    Err(_) => {
                        kept += each + batch.num_rows() * self.row_bytes;
                        self.buckets[number].lock().pieces.push(batch);
                    }
                }
            }
            self.release(number, kept);
            given += held.saturating_sub(kept);
            if kept > 0 {
                break;
            }
        }
        if given > 0 { Reclaimed::Bytes(given) } else { Reclaimed::Nothing }
    }
}

impl Contents {
    /// The rows, first those in memory, then those on disk.
    pub(crate) fn stream(&self) -> SendableRecordBatchStream {
        let memory = stream::iter(self.batches.clone().into_iter().map(Ok));
        match &self.file {
            Some(file) if !self.blocks.is_empty() => {
                let all = memory.chain(file.read(self.blocks.clone()));
                Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), all))
            }
            _ => Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), memory)),
        }
    }

    /// The same rows in parts of about `bytes`, at least one.
    pub(crate) fn chunks(&self, bytes: usize) -> Vec<Contents> {
        let part = |blocks: &[BlockRange], batches: Vec<RecordBatch>| {
            let rows = |blocks: &[BlockRange]| blocks.iter().map(|block| block.rows).sum::<usize>();
            let memory: usize = batches.iter().map(logical_bytes).sum();
            Contents {
                schema: Arc::clone(&self.schema),
                file: self.file.clone(),
                rows: rows(blocks) + batches.iter().map(RecordBatch::num_rows).sum::<usize>(),
                bytes: memory + blocks.iter().map(|block| block.memory_bytes).sum::<usize>(),
                blocks: blocks.to_vec(),
                batches,
            }
        };
        let mut batches = self.batches.clone();
        let mut size: usize = batches.iter().map(logical_bytes).sum();
        let mut chunks = Vec::new();
        let mut start = 0;
        for (number, block) in self.blocks.iter().enumerate() {
            if size > 0 && size + block.memory_bytes > bytes {
                chunks.push(part(&self.blocks[start..number], std::mem::take(&mut batches)));
                (start, size) = (number, 0);
            }
            size += block.memory_bytes;
        }
        chunks.push(part(&self.blocks[start..], batches));
        chunks
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, AsArray, Int64Array, StringViewArray};
    use arrow::datatypes::Int64Type;
    use datafusion::execution::memory_pool::{GreedyMemoryPool, MemoryConsumer, MemoryPool};
    use datafusion::physical_expr::expressions::Column;
    use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
    use futures::TryStreamExt;

    use super::*;
    use crate::exchange::{Nulls, Splitter};
    use crate::session::SessionOptions;

    fn batch(from: i64, rows: i64) -> RecordBatch {
        let text = (from..from + rows).map(|i| Some(format!("some text of row number {i}")));
        RecordBatch::try_from_iter([
            ("n", Arc::new(Int64Array::from_iter_values(from..from + rows)) as ArrayRef),
            ("s", Arc::new(StringViewArray::from_iter(text)) as ArrayRef),
        ])
        .unwrap()
    }

    struct Case {
        _folder: tempfile::TempDir,
        store: SpillStore,
        splitter: Splitter,
        memory: Arc<MemoryReservation>,
    }

    impl Case {
        fn new(memory_bytes: usize) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let options = SessionOptions::new().temp_dirs([folder.path()]);
            let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(memory_bytes));
            Case {
                store: SpillStore::new(&options).unwrap(),
                _folder: folder,
                splitter: Splitter::new(vec![Arc::new(Column::new("n", 0))], 0, 8, Nulls::Hashed),
                memory: Arc::new(MemoryConsumer::new("test").register(&pool)),
            }
        }

        fn buckets(&self) -> Buckets {
            let metrics = SpillMetrics::new(&ExecutionPlanMetricsSet::new(), 0);
            let (store, memory) = (self.store.clone(), Arc::clone(&self.memory));
            Buckets::new("test", batch(0, 0).schema(), 8, store, memory, metrics)
                .with_block_bytes(4 << 10)
        }

        /// Adds 20,000 rows; `between` is called after each batch of 500.
        async fn fill(&self, buckets: &Buckets, mut between: impl FnMut(usize)) {
            for number in 0..40 {
                let split = self.splitter.split(&batch(number * 500, 500)).unwrap();
                buckets.add(&split, |_| true).await.unwrap();
                between(number as usize);
            }
        }
    }

    /// All rows of all buckets, sorted; checks the sizes on the way.
    async fn rows(buckets: &Buckets) -> Vec<i64> {
        let mut all = Vec::new();
        for bucket in 0..buckets.len() {
            let contents = buckets.contents(bucket);
            let batches: Vec<RecordBatch> = contents.stream().try_collect().await.unwrap();
            assert_eq!(contents.rows, batches.iter().map(RecordBatch::num_rows).sum::<usize>());
            for chunk in contents.chunks(10_000) {
                let rows: Vec<RecordBatch> = chunk.stream().try_collect().await.unwrap();
                assert_eq!(chunk.rows, rows.iter().map(RecordBatch::num_rows).sum::<usize>());
                all.extend(rows.iter().flat_map(|batch| {
                    batch.column(0).as_primitive::<Int64Type>().values().to_vec()
                }));
            }
        }
        all.sort_unstable();
        all
    }

    #[tokio::test]
    async fn with_ample_memory_nothing_is_written() {
        let case = Case::new(1 << 30);
        let buckets = case.buckets();
        case.fill(&buckets, |_| ()).await;
        assert_eq!(buckets.in_memory().0, 20_000);
        assert_eq!(rows(&buckets).await, (0..20_000).collect::<Vec<_>>());
        assert_eq!(case.store.metrics().files, 0);
    }

    #[tokio::test]
    async fn the_largest_go_to_disk_when_memory_is_refused() {
        let case = Case::new(600 << 10);
        let buckets = case.buckets();
        case.fill(&buckets, |_| ()).await;
        let spilled = (0..8).filter(|bucket| buckets.is_spilled(*bucket)).count();
        assert!(spilled > 0 && spilled < 8, "{spilled}");
        assert!(case.memory.size() <= 600 << 10);
        assert_eq!(rows(&buckets).await, (0..20_000).collect::<Vec<_>>());
        assert_eq!(case.store.metrics().files, 1);
    }

    #[tokio::test]
    async fn without_memory_all_go_to_disk() {
        let case = Case::new(0);
        let buckets = case.buckets();
        case.fill(&buckets, |_| ()).await;
        assert!((0..8).all(|bucket| buckets.is_spilled(bucket)));
        // No more than for the blocks in the making, half full on average, which are given once.
        assert_eq!(case.memory.size(), 8 * (4 << 10) / 2);
        drop(buckets.take_staging());
        assert_eq!(case.memory.size(), 0);
        assert!(buckets.take_staging().is_none());
        assert_eq!(rows(&buckets).await, (0..20_000).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn others_can_take_the_memory_at_any_time() {
        let case = Case::new(1 << 30);
        let buckets = case.buckets();
        case.fill(&buckets, |number| {
            if number % 10 == 9 {
                let before = case.memory.size();
                let reclaimed = buckets.reclaim(20 << 10);
                assert!(
                    matches!(reclaimed, Reclaimed::Bytes(bytes) if bytes >= 20 << 10),
                    "{reclaimed:?}"
                );
                assert!(case.memory.size() < before);
            }
        })
        .await;
        buckets.finish();
        assert_eq!(buckets.reclaim(1), Reclaimed::Nothing, "what is finished stays");
        assert_eq!(rows(&buckets).await, (0..20_000).collect::<Vec<_>>());
    }
}
