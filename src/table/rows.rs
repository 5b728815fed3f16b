//! Rows that stay: in memory while there is room, else in a temporary file.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;
use datafusion::error::Result;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use datafusion::physical_plan::metrics::SpillMetrics;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::{StreamExt, stream};
use parking_lot::Mutex;

use super::bounds::Bounds;
use crate::error::{Error, ErrorKind};
use crate::exchange::{compacted, concat, logical_bytes, owned};
use crate::memory::{Reclaim, Reclaimed, TABLE_CONSUMER};
use crate::session::{ByteSize, Resources};
use crate::spill::{BlockRange, SpillFile, SpillStore};

/// Rows are put together until they have this size. A block costs some hundred bytes of memory even
/// when its rows are on disk, so it is larger than those that operators write.
pub(super) const BLOCK_BYTES: usize = 1 << 20;

/// Blocks that are read before they are asked for.
const READ_AHEAD: usize = 2;

/// Where rows that are kept may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Storage {
    /// In memory. They are not moved when others need it.
    Memory,
    /// In a temporary file.
    Disk,
    /// In memory while there is room, else in a temporary file.
    #[default]
    Both,
}

/// Where the rows of a table go. Several tasks may add to it at once.
///
/// Each block is reserved in memory when it comes, or written to disk if that is refused. Later,
/// blocks in memory are written when an operator needs the memory more. Clones are the same rows.
#[derive(Clone)]
pub(crate) struct Rows {
    inner: Arc<Inner>,
}

struct Inner {
    schema: SchemaRef,
    store: SpillStore,
    memory: MemoryReservation,
    storage: Storage,
    /// Most bytes in memory, whatever is free.
    most_bytes: usize,
    held_bytes: AtomicUsize,
    file: OnceLock<SpillFile>,
    /// Blocks that were in memory when they came; those that came last are written first.
    in_memory: Mutex<Vec<Weak<Block>>>,
    /// Held while another's request for memory is served.
    reclaiming: Mutex<()>,
    spills: Option<SpillMetrics>,
}

/// Some rows, which nobody changes. When it is dropped, so are its memory and its disk.
pub(crate) struct Block {
    owner: Arc<Inner>,
    pub(crate) rows: usize,
    pub(crate) bytes: usize,
    place: Mutex<Place>,
}

enum Place {
    Memory(RecordBatch),
    Disk(BlockRange),
}

impl Rows {
    /// No rows yet. Their memory is asked of `pool`; what goes to disk is counted by `spills`.
    pub(crate) fn new(
        schema: SchemaRef,
        resources: &Resources,
        pool: &Arc<dyn MemoryPool>,
        storage: Storage,
        spills: Option<SpillMetrics>,
    ) -> Self {
        let can_spill = storage == Storage::Both;
        let name = if can_spill { TABLE_CONSUMER } else { "rows in memory" };
        let memory = MemoryConsumer::new(name).with_can_spill(can_spill).register(pool);
        let most_bytes = resources.knobs.table_bytes.map_or(usize::MAX, |bytes| bytes as usize);
        let inner = Arc::new(Inner {
            schema,
            store: resources.store.clone(),
            memory,
            storage,
            most_bytes,
            held_bytes: AtomicUsize::new(0),
            file: OnceLock::new(),
            in_memory: Mutex::default(),
            reclaiming: Mutex::default(),
            spills,
        });
        if can_spill {
            resources.governor.register_reclaim(inner.memory.consumer(), &inner);
        }
        Rows { inner }
    }

    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.inner.schema
    }

    /// Begins to add rows.
    pub(crate) fn writer(&self) -> Writer {
        Writer {
            rows: self.clone(),
            pieces: Vec::new(),
            pieces_bytes: 0,
            blocks: Vec::new(),
            bounds: Bounds::of_no_rows(self.schema()),
        }
    }

    /// The rows of two blocks in one, if both are in memory and there is room for that.
    pub(super) fn joined(&self, first: &Block, second: &Block) -> Option<Arc<Block>> {
        let batches = vec![first.in_memory()?, second.in_memory()?];
        let bytes = first.bytes + second.bytes;
        if self.inner.storage == Storage::Disk || !self.inner.reserve(bytes) {
            return None;
        }
        match concat(self.schema(), batches) {
            Ok(batch) => Some(Inner::hold(&self.inner, batch, bytes)),
            Err(_) => {
                self.inner.give_back(bytes);
                None
            }
        }
    }
}

/// The rows of these blocks, in this order.
pub(crate) fn read(schema: SchemaRef, blocks: Vec<Arc<Block>>) -> SendableRecordBatchStream {
    let batches =
        stream::iter(blocks).map(|block| async move { block.read().await }).buffered(READ_AHEAD);
    Box::pin(RecordBatchStreamAdapter::new(schema, batches))
}

impl Inner {
    fn reserve(&self, bytes: usize) -> bool {
        let held = self.held_bytes.fetch_add(bytes, Ordering::Relaxed);
        let fits = held + bytes <= self.most_bytes && self.memory.try_grow(bytes).is_ok();
        if !fits {
            self.held_bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
        fits
    }

    fn has_no_room(&self) -> Error {
        let held = ByteSize(self.held_bytes.load(Ordering::Relaxed) as u64);
        Error::new(
            ErrorKind::Resources,
            format!("the rows to keep in memory need more than is free: {held} of them were kept"),
        )
        .with_hint("keep them in `Storage::Both` or `Storage::Disk`, or raise the memory limit")
    }

    fn give_back(&self, bytes: usize) {
        self.held_bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.memory.shrink(bytes);
    }

    /// A block in memory that was reserved.
    fn hold(inner: &Arc<Inner>, batch: RecordBatch, bytes: usize) -> Arc<Block> {
        let rows = batch.num_rows();
        let place = Mutex::new(Place::Memory(batch));
        let block = Arc::new(Block { owner: Arc::clone(inner), rows, bytes, place });
        let mut all = inner.in_memory.lock();
        if all.len() == all.capacity() {
            all.retain(|block| block.strong_count() > 0);
        }
        all.push(Arc::downgrade(&block));
        block
    }

    async fn keep(inner: &Arc<Inner>, batch: RecordBatch) -> Result<Arc<Block>> {
        let (rows, bytes) = (batch.num_rows(), logical_bytes(&batch));
        if inner.storage != Storage::Disk && inner.reserve(bytes) {
            return Ok(Inner::hold(inner, batch, bytes));
        }
        if inner.storage == Storage::Memory {
            return Err(inner.has_no_room().into());
        }
        let range = inner.file()?.append(&batch, bytes).await?;
        inner.spilled(range);
        let place = Mutex::new(Place::Disk(range));
        Ok(Arc::new(Block { owner: Arc::clone(inner), rows, bytes, place }))
    }

    fn file(&self) -> Result<&SpillFile> {
        if let Some(file) = self.file.get() {
            return Ok(file);
        }
        let file = self.store.create("table", Arc::clone(&self.schema))?;
        // Of two that are made at once one is dropped again.
        if self.file.set(file).is_ok()
            && let Some(spills) = &self.spills
        {
            spills.spill_file_count.add(1);
        }
        Ok(self.file.get().expect("just set"))
    }

    fn spilled(&self, range: BlockRange) {
        if let Some(spills) = &self.spills {
            spills.spilled_bytes.add(range.stored_bytes);
            spills.spilled_rows.add(range.rows);
        }
    }

    /// Writes a block on this thread; gives the bytes of memory that were set free.
    fn spill(&self, block: &Block) -> Result<usize> {
        let Some(batch) = block.in_memory() else { return Ok(0) };
        let range = self.file()?.append_now(&batch, block.bytes)?;
        self.spilled(range);
        *block.place.lock() = Place::Disk(range);
        self.give_back(block.bytes);
        Ok(block.bytes)
    }
}

impl Reclaim for Inner {
    fn reclaim(&self, bytes: usize) -> Reclaimed {
        /// The caller's thread is busy for as long as this takes.
        const MOST_BYTES: usize = 32 << 20;
        let Some(_alone) = self.reclaiming.try_lock() else { return Reclaimed::Nothing };
        let mut given = 0;
        while given < bytes.min(MOST_BYTES) {
            let Some(block) = self.in_memory.lock().pop() else { break };
            let Some(block) = block.upgrade() else { continue };
            match self.spill(&block) {
                Ok(bytes) => given += bytes,
                // It stays where it is: the one that asks for memory is told that there is none.
                Err(_) => {
                    self.in_memory.lock().push(Arc::downgrade(&block));
                    break;
                }
            }
        }
        if given > 0 { Reclaimed::Bytes(given) } else { Reclaimed::Nothing }
    }
}

impl Block {
    fn in_memory(&self) -> Option<RecordBatch> {
        match &*self.place.lock() {
            Place::Memory(batch) => Some(batch.clone()),
            Place::Disk(_) => None,
        }
    }

    async fn read(&self) -> Result<RecordBatch> {
        let range = match &*self.place.lock() {
            Place::Memory(batch) => return Ok(batch.clone()),
            Place::Disk(range) => *range,
        };
        Ok(self.owner.file()?.block(range).await?)
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        match self.place.get_mut() {
            Place::Memory(_) => self.owner.give_back(self.bytes),
            Place::Disk(range) => {
                if let Some(file) = self.owner.file.get() {
                    file.release(*range);
                }
            }
        }
    }
}

impl std::fmt::Debug for Block {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} rows", self.rows)
    }
}

/// Puts batches together to blocks and keeps them. Dropped, it leaves nothing.
pub(crate) struct Writer {
    rows: Rows,
    /// Rows that are not a block yet.
    pieces: Vec<RecordBatch>,
    pieces_bytes: usize,
    blocks: Vec<Arc<Block>>,
    bounds: Bounds,
}

/// What a writer has added.
pub(crate) struct Written {
    pub(crate) blocks: Vec<Arc<Block>>,
    pub(crate) bounds: Bounds,
}

impl Writer {
    /// Adds rows, in this order.
    ///
    /// # Errors
    /// `Query` if a value is NULL where the schema says that none is; those of writing a temporary
    /// file.
    pub(crate) async fn add(&mut self, batch: &RecordBatch) -> Result<()> {
        let bytes = logical_bytes(batch);
        let rows = batch.num_rows();
        // A batch of wide rows is cut, so that what is read back at once has a bounded size.
        let parts = (bytes / (2 * BLOCK_BYTES)).clamp(1, rows.max(1));
        let step = rows.div_ceil(parts).max(1);
        for start in (0..rows).step_by(step) {
            let length = step.min(rows - start);
            let piece = batch.slice(start, length);
            let piece = if parts > 1 { owned(&piece)? } else { compacted(piece) };
            self.add_piece(piece, bytes * length / rows).await?;
        }
        Ok(())
    }

    /// Adds a block of these rows as it is. Its rows are given too.
    ///
    /// # Errors
    /// Those of writing a temporary file.
    pub(super) async fn keep(&mut self, block: Arc<Block>, rows: &RecordBatch) -> Result<()> {
        if !self.pieces.is_empty() {
            self.end_block().await?;
        }
        self.bounds.add(rows)?;
        self.blocks.push(block);
        Ok(())
    }

    async fn add_piece(&mut self, piece: RecordBatch, bytes: usize) -> Result<()> {
        // Names and metadata are those of the table, which are not always those of the plan.
        let options = RecordBatchOptions::new().with_row_count(Some(piece.num_rows()));
        let schema = Arc::clone(self.rows.schema());
        let columns = piece.columns().to_vec();
        self.pieces.push(RecordBatch::try_new_with_options(schema, columns, &options)?);
        self.pieces_bytes += bytes;
        if self.pieces_bytes >= BLOCK_BYTES {
            self.end_block().await?;
        }
        Ok(())
    }

    async fn end_block(&mut self) -> Result<()> {
        self.pieces_bytes = 0;
        let pieces = std::mem::take(&mut self.pieces);
        let is_copied = pieces.len() > 1;
        let mut batch = concat(self.rows.schema(), pieces)?;
        if !is_copied && batch.get_array_memory_size() > 2 * logical_bytes(&batch) {
            // A slice would keep all that it is a slice of.
            batch = owned(&batch)?;
        }
        self.bounds.add(&batch)?;
        self.blocks.push(Inner::keep(&self.rows.inner, compacted(batch)).await?);
        Ok(())
    }

    /// Keeps the rest and gives everything.
    ///
    /// # Errors
    /// Those of writing a temporary file.
    pub(crate) async fn finish(mut self) -> Result<Written> {
        if !self.pieces.is_empty() {
            self.end_block().await?;
        }
        Ok(Written { blocks: self.blocks, bounds: self.bounds })
    }
}
