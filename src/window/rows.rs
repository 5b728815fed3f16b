//! The rows of a sorted stream, partition by partition.
//!
//! Of the partition that is open, the rows between the slowest and the fastest [`Cursor`] are kept:
//! in memory as long as there is room, then in a temporary file. A running sum needs a block, a frame
//! of a thousand rows about as many, a total all rows of the partition.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::partition;
use arrow::datatypes::SchemaRef;
use datafusion::common::utils::get_row_at_idx;
use datafusion::common::{ScalarValue, internal_err};
use datafusion::error::Result;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::memory_pool::MemoryReservation;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::metrics::SpillMetrics;
use futures::TryStreamExt;

use crate::exchange::{compacted, logical_bytes};
use crate::spill::{BlockRange, SpillFile, SpillStore};

/// A temporary file is given up for a new one at this size, so that the disk is free again when the
/// rows in it were used.
const FILE_BYTES: usize = 256 << 20;

pub(super) type Exprs = Arc<[Arc<dyn PhysicalExpr>]>;

/// The values of expressions for a batch.
pub(super) fn evaluate(exprs: &Exprs, batch: &RecordBatch) -> Result<Vec<ArrayRef>> {
    exprs.iter().map(|expr| expr.evaluate(batch)?.into_array(batch.num_rows())).collect()
}

/// Where runs of equal rows are.
pub(super) fn runs(columns: &[ArrayRef], rows: usize) -> Result<Vec<Range<usize>>> {
    if columns.is_empty() || rows == 0 {
        return Ok(std::iter::once(0..rows).collect());
    }
    Ok(partition(columns)?.ranges())
}

/// Where the rows go that memory has no room for.
#[derive(Clone)]
pub(super) struct Overflow {
    pub(super) store: SpillStore,
    pub(super) metrics: SpillMetrics,
    /// Most bytes in memory, whatever is free.
    pub(super) cap_bytes: usize,
}

/// The partitions of a stream that is sorted by the keys of the partitions first.
pub(super) struct Rows {
    input: SendableRecordBatchStream,
    keys: Exprs,
    /// Rows that were read and not given yet, and the partitions they are in.
    ahead: Option<(RecordBatch, VecDeque<Range<usize>>)>,
    /// The key of the open partition.
    key: Vec<ScalarValue>,
    blocks: VecDeque<Block>,
    /// The number of the first of `blocks`.
    first: usize,
    /// Rows of the open partition so far, and whether there are no more.
    count: usize,
    is_complete: bool,
    /// The block that was read last, which is wanted next.
    latest: Option<(usize, RecordBatch)>,
    memory: MemoryReservation,
    held_bytes: usize,
    overflow: Overflow,
    file: Option<(SpillFile, usize)>,
}

struct Block {
    start: usize,
    rows: usize,
    place: Place,
}

enum Place {
    Memory(RecordBatch, usize),
    Disk(SpillFile, BlockRange),
}

/// What comes next in a stream.
pub(super) enum Section {
    /// Complete partitions.
    Partitions(RecordBatch, Vec<Range<usize>>),
    /// The rows of one partition, which is open from now on.
    Open,
}

impl Rows {
    pub(super) fn new(
        input: SendableRecordBatchStream,
        keys: Exprs,
        memory: MemoryReservation,
        overflow: Overflow,
    ) -> Self {
        Rows {
            input,
            keys,
            ahead: None,
            key: Vec::new(),
            blocks: VecDeque::new(),
            first: 0,
            count: 0,
            is_complete: true,
            latest: None,
            memory,
            held_bytes: 0,
            overflow,
            file: None,
        }
    }

    pub(super) fn schema(&self) -> SchemaRef {
        self.input.schema()
    }

    /// Goes on to the next partitions; all rows of the open one must have been read.
    ///
    /// # Errors
    /// Those of the input, and of writing a temporary file.
    pub(super) async fn next_section(&mut self) -> Result<Option<Section>> {
        debug_assert!(self.is_complete);
        self.forget_before(usize::MAX);
        (self.first, self.count) = (0, 0);
        self.file = None;
        let (batch, mut ranges) = match self.ahead.take() {
            Some(ahead) => ahead,
            None => match self.next_batch().await? {
                Some(batch) => {
                    let ranges = runs(&evaluate(&self.keys, &batch)?, batch.num_rows())?;
                    (batch, ranges.into())
                }
                None => return Ok(None),
            },
        };
        let Some(last) = ranges.pop_back() else { return internal_err!("a batch without rows") };
        if let Some(first) = ranges.front() {
            let complete = batch.slice(first.start, last.start - first.start);
            let start = first.start;
            let ranges = ranges.iter().map(|range| range.start - start..range.end - start);
            let ranges = ranges.collect();
            self.ahead = Some((batch, VecDeque::from([last])));
            return Ok(Some(Section::Partitions(complete, ranges)));
        }
        self.is_complete = false;
        let rows = batch.slice(last.start, last.len());
        self.key = get_row_at_idx(&evaluate(&self.keys, &rows)?, 0)?;
        self.push(rows).await?;
        Ok(Some(Section::Open))
    }

    async fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        while let Some(batch) = self.input.try_next().await? {
            if batch.num_rows() > 0 {
                return Ok(Some(batch));
            }
        }
        Ok(None)
    }

    /// Reads more rows of the open partition; `false` if there are none.
    async fn pull(&mut self) -> Result<bool> {
        if self.is_complete {
            return Ok(false);
        }
        let Some(batch) = self.next_batch().await? else {
            self.is_complete = true;
            return Ok(false);
        };
        let keys = evaluate(&self.keys, &batch)?;
        let mut ranges = VecDeque::from(runs(&keys, batch.num_rows())?);
        if get_row_at_idx(&keys, 0)? != self.key {
            self.is_complete = true;
            self.ahead = Some((batch, ranges));
            return Ok(false);
        }
        let own = ranges.pop_front().map_or(0, |range| range.end);
        if ranges.is_empty() {
            self.push(batch).await?;
        } else {
            self.is_complete = true;
            let rows = batch.slice(0, own);
            self.ahead = Some((batch, ranges));
            self.push(rows).await?;
        }
        Ok(true)
    }

    async fn push(&mut self, batch: RecordBatch) -> Result<()> {
        let batch = compacted(batch);
        let (bytes, rows) = (logical_bytes(&batch), batch.num_rows());
        let number = self.first + self.blocks.len();
        let fits = self.held_bytes + bytes <= self.overflow.cap_bytes
            && self.memory.try_grow(bytes).is_ok();
        let place = if fits {
            self.held_bytes += bytes;
            Place::Memory(batch.clone(), bytes)
        } else {
            let (file, range) = self.write(&batch, bytes).await?;
            Place::Disk(file, range)
        };
        self.blocks.push_back(Block { start: self.count, rows, place });
        self.count += rows;
        self.latest = Some((number, batch));
        Ok(())
    }

    async fn write(
        &mut self,
        batch: &RecordBatch,
        bytes: usize,
    ) -> Result<(SpillFile, BlockRange)> {
        let (file, written) = match self.file.take() {
            Some((file, written)) if written < FILE_BYTES => (file, written),
            _ => {
                self.overflow.metrics.spill_file_count.add(1);
                (self.overflow.store.create("window", self.input.schema())?, 0)
            }
        };
        let range = file.append(batch, bytes).await?;
        self.overflow.metrics.spilled_bytes.add(range.stored_bytes);
        self.overflow.metrics.spilled_rows.add(range.rows);
        self.file = Some((file.clone(), written + range.stored_bytes));
        Ok((file, range))
    }

    /// A block of the open partition; `None` after the last.
    pub(super) async fn block(&mut self, number: usize) -> Result<Option<RecordBatch>> {
        while number >= self.first + self.blocks.len() {
            if !self.pull().await? {
                return Ok(None);
            }
        }
        if let Some((latest, batch)) = &self.latest
            && *latest == number
        {
            return Ok(Some(batch.clone()));
        }
        let Some(block) = number.checked_sub(self.first).and_then(|i| self.blocks.get(i)) else {
            return internal_err!("block {number} of a partition was given up");
        };
        match &block.place {
            Place::Memory(batch, _) => Ok(Some(batch.clone())),
            Place::Disk(file, range) => file.read(vec![*range]).try_next().await,
        }
    }

    /// Reads on until the row of this number is there; `false` if the partition has none.
    pub(super) async fn reach(&mut self, row: usize) -> Result<bool> {
        while row >= self.count {
            if !self.pull().await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Reads the partition to its end; says how many rows it has.
    pub(super) async fn complete(&mut self) -> Result<usize> {
        while self.pull().await? {}
        Ok(self.count)
    }

    /// The number of the block with a row that is there, and the number of its first row.
    fn locate(&self, row: usize) -> (usize, usize) {
        let after = self.blocks.partition_point(|block| block.start <= row);
        let index = after.saturating_sub(1);
        (self.first + index, self.blocks.get(index).map_or(0, |block| block.start))
    }

    /// Gives up the blocks with rows before this one only.
    pub(super) fn forget_before(&mut self, row: usize) {
        while self.blocks.front().is_some_and(|block| block.start + block.rows <= row) {
            self.first += 1;
            if let Some(Block { place: Place::Memory(_, bytes), .. }) = self.blocks.pop_front() {
                self.held_bytes -= bytes;
                self.memory.shrink(bytes);
            }
        }
        if self.latest.as_ref().is_some_and(|(latest, _)| *latest < self.first) {
            self.latest = None;
        }
    }
}

/// A position among the rows of the open partition, with the values of expressions there. It only
/// moves forward.
pub(super) struct Cursor {
    exprs: Exprs,
    /// The rows of the block it is in; none before the first move.
    rows: Range<usize>,
    pub(super) columns: Vec<ArrayRef>,
}

impl Cursor {
    pub(super) fn new(exprs: Exprs) -> Self {
        Cursor { exprs, rows: 0..0, columns: Vec::new() }
    }

    /// Moves to the block with this row; `false` if the partition has no such row.
    pub(super) async fn seek(&mut self, rows: &mut Rows, row: usize) -> Result<bool> {
        if self.rows.contains(&row) {
            return Ok(true);
        }
        if !rows.reach(row).await? {
            return Ok(false);
        }
        let (number, start) = rows.locate(row);
        let Some(batch) = rows.block(number).await? else { return Ok(false) };
        self.columns = evaluate(&self.exprs, &batch)?;
        self.rows = start..start + batch.num_rows();
        Ok(true)
    }

    /// The rows of the block it is in, by their numbers in the partition.
    pub(super) fn rows(&self) -> Range<usize> {
        self.rows.clone()
    }

    /// The place of a row in the block.
    pub(super) fn place(&self, row: usize) -> usize {
        row - self.rows.start
    }

    /// The first row whose block it may still ask for, if it is not moved to one before `row`.
    pub(super) fn needs(&self, row: usize) -> usize {
        row.max(self.rows.end)
    }

    /// Gives the values of all rows from `from` up to `to` to `each`, block by block.
    pub(super) async fn visit(
        &mut self,
        rows: &mut Rows,
        wanted: Range<usize>,
        mut each: impl FnMut(&[ArrayRef]) -> Result<()>,
    ) -> Result<()> {
        let mut row = wanted.start;
        while row < wanted.end {
            if !self.seek(rows, row).await? {
                return internal_err!("a partition ended before row {row}");
            }
            let end = self.rows.end.min(wanted.end);
            let place = self.place(row);
            if place == 0 && end == self.rows.end {
                each(&self.columns)?;
            } else {
                let slices = self.columns.iter().map(|column| column.slice(place, end - row));
                each(&slices.collect::<Vec<_>>())?;
            }
            row = end;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{AsArray, Int64Array};
    use arrow::datatypes::Int64Type;
    use datafusion::execution::memory_pool::{
        GreedyMemoryPool, MemoryConsumer, MemoryPool, UnboundedMemoryPool,
    };
    use datafusion::physical_expr::expressions::Column;
    use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
    use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
    use futures::stream;

    use super::*;
    use crate::session::SessionOptions;

    fn column(name: &str, index: usize) -> Exprs {
        [Arc::new(Column::new(name, index)) as Arc<dyn PhysicalExpr>].into_iter().collect()
    }

    /// Batches of 10 rows with a key and the number of the row.
    fn input(keys: &[i64]) -> SendableRecordBatchStream {
        let rows: Vec<i64> = (0..keys.len() as i64).collect();
        let batches: Vec<RecordBatch> = keys
            .chunks(10)
            .zip(rows.chunks(10))
            .map(|(keys, rows)| {
                let columns = [("key", keys), ("row", rows)];
                let array =
                    |values: &[i64]| Arc::new(Int64Array::from(values.to_vec())) as ArrayRef;
                RecordBatch::try_from_iter(columns.map(|(name, values)| (name, array(values))))
                    .unwrap()
            })
            .collect();
        let schema = batches[0].schema();
        Box::pin(RecordBatchStreamAdapter::new(schema, stream::iter(batches.into_iter().map(Ok))))
    }

    struct Case {
        _folder: tempfile::TempDir,
        store: SpillStore,
        pool: Arc<dyn MemoryPool>,
        rows: Rows,
    }

    fn case(keys: &[i64], pool: Arc<dyn MemoryPool>, cap_bytes: usize) -> Case {
        let folder = tempfile::tempdir().unwrap();
        let store = SpillStore::new(&SessionOptions::new().temp_dirs([folder.path()])).unwrap();
        let metrics = SpillMetrics::new(&ExecutionPlanMetricsSet::new(), 0);
        let overflow = Overflow { store: store.clone(), metrics, cap_bytes };
        let memory = MemoryConsumer::new("test").register(&pool);
        let rows = Rows::new(input(keys), column("key", 0), memory, overflow);
        Case { _folder: folder, store, pool, rows }
    }

    fn numbers(batch: &RecordBatch) -> Vec<i64> {
        batch.column(1).as_primitive::<Int64Type>().values().to_vec()
    }

    #[tokio::test]
    async fn small_partitions_come_together_and_large_ones_are_opened() {
        // Rows 0..3 and 3..7 in the first batch, then 7..27, then 27..30.
        let keys: Vec<i64> = [[0; 3].as_slice(), &[1; 4], &[2; 20], &[3; 3]].concat();
        let mut case = case(&keys, Arc::new(UnboundedMemoryPool::default()), usize::MAX);
        let rows = &mut case.rows;
        let Some(Section::Partitions(batch, ranges)) = rows.next_section().await.unwrap() else {
            panic!("the first two are complete")
        };
        assert_eq!((numbers(&batch), ranges), ((0..7).collect(), vec![0..3, 3..7]));
        assert!(matches!(rows.next_section().await.unwrap(), Some(Section::Open)));
        assert!(rows.reach(19).await.unwrap());
        assert!(!rows.reach(20).await.unwrap());
        assert_eq!(rows.complete().await.unwrap(), 20);
        assert_eq!(numbers(&rows.block(1).await.unwrap().unwrap()), (10..20).collect::<Vec<_>>());
        assert!(rows.block(3).await.unwrap().is_none());
        assert!(matches!(rows.next_section().await.unwrap(), Some(Section::Open)));
        assert_eq!(rows.complete().await.unwrap(), 3);
        assert!(rows.next_section().await.unwrap().is_none());
        assert_eq!(case.pool.reserved(), 0);
    }

    #[tokio::test]
    async fn what_memory_has_no_room_for_is_on_disk_until_it_is_given_up() {
        let pool = Arc::new(GreedyMemoryPool::new(390));
        // A block has 160 bytes.
        for (cap_bytes, in_memory) in [(usize::MAX, 320), (200, 160), (0, 0)] {
            let mut case = case(&[5; 95], Arc::clone(&pool) as _, cap_bytes);
            let rows = &mut case.rows;
            assert!(matches!(rows.next_section().await.unwrap(), Some(Section::Open)));
            assert_eq!(rows.complete().await.unwrap(), 95);
            assert_eq!(case.pool.reserved(), in_memory);
            assert!(case.store.metrics().disk_bytes > 0);
            let mut cursor = Cursor::new(column("row", 1));
            let mut seen: Vec<i64> = Vec::new();
            let see = |columns: &[ArrayRef]| {
                seen.extend(columns[0].as_primitive::<Int64Type>().values());
                Ok(())
            };
            cursor.visit(rows, 3..94, see).await.unwrap();
            assert_eq!(seen, (3..94).collect::<Vec<i64>>());
            // The cursor has the values of the last block and asks for none before.
            assert_eq!(cursor.needs(94), 95);
            rows.forget_before(90);
            assert_eq!(case.pool.reserved(), 0);
            assert!(rows.block(8).await.is_err(), "it was given up");
            assert_eq!(numbers(&rows.block(9).await.unwrap().unwrap()).len(), 5);
            assert!(rows.next_section().await.unwrap().is_none());
            assert_eq!(case.store.metrics().disk_bytes, 0);
        }
    }
}
