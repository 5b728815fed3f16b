//! INSERT, UPDATE, DELETE and MERGE as plans. Each writes what is new beside what is there, and makes a
//! version of it when all went well.

use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray, BooleanBufferBuilder, RecordBatch};
use arrow::compute::{SortOptions, filter_record_batch, interleave};
use arrow::datatypes::{SchemaRef, UInt64Type};
use async_trait::async_trait;
use datafusion::common::internal_err;
use datafusion::datasource::sink::{DataSink, DataSinkExec};
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{LexRequirement, PhysicalSortRequirement};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan};
use futures::{StreamExt, TryStreamExt};

use super::rows::{Block, Writer, read};
use super::{StoredTable, Version};
use crate::error::Error;

/// A plan that adds the rows of `input` to a table and gives their number.
pub(super) fn insert(
    table: &StoredTable,
    input: Arc<dyn ExecutionPlan>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let schema = Arc::clone(table.rows.schema());
    datafusion::common::SchemaExt::logically_equivalent_names_and_types(
        schema.as_ref(),
        &input.schema(),
    )?;
    let sink = Insert { table: table.clone(), schema };
    Ok(Arc::new(DataSinkExec::new(input, Arc::new(sink), None)))
}

/// Where the rows of an INSERT go.
#[derive(Debug)]
struct Insert {
    table: StoredTable,
    schema: SchemaRef,
}

impl DisplayAs for Insert {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "insert")
    }
}

#[async_trait]
impl DataSink for Insert {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    async fn write_all(
        &self,
        mut data: SendableRecordBatchStream,
        _: &Arc<TaskContext>,
    ) -> Result<u64> {
        let mut writer = self.table.rows.writer();
        let mut count = 0;
        while let Some(batch) = data.try_next().await? {
            count += batch.num_rows();
            writer.add(&batch).await?;
        }
        self.table.append(writer.finish().await?);
        Ok(count as u64)
    }
}

/// What a change does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd)]
pub(crate) enum ChangeKind {
    Delete,
    Update,
    Merge,
}

impl fmt::Display for ChangeKind {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            ChangeKind::Delete => "Delete",
            ChangeKind::Update => "Update",
            ChangeKind::Merge => "Merge",
        })
    }
}

/// A plan that makes the changes in `input` to a version of a table, and gives the number of rows that
/// are changed. A row of `input` is
/// - the number of a row of that version; NULL for one that is new;
/// - whether the row is taken out;
/// - values of columns of the table, which have the names and types of those.
///
/// They are sorted by the number, so that the table is gone through once, and each change is seen
/// beside others of the same row: DELETE and UPDATE take any one of them, for MERGE it is an error.
pub(super) fn change(
    kind: ChangeKind,
    table: &StoredTable,
    base: Arc<Version>,
    input: Arc<dyn ExecutionPlan>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let schema = input.schema();
    let values = table.rows.schema().fields().iter().map(|field| {
        let mut names = schema.fields().iter().skip(FIRST_VALUE);
        let place = names.position(|value| value.name() == field.name());
        place.map(|place| FIRST_VALUE + place)
    });
    let number = Arc::new(Column::new(schema.field(0).name(), 0));
    let order = PhysicalSortRequirement::new(number, Some(ORDER));
    let values = values.collect();
    let sink = Change { kind, table: table.clone(), base, schema, values };
    Ok(Arc::new(DataSinkExec::new(input, Arc::new(sink), LexRequirement::new([order]))))
}

/// What is in front of the values of a change: the number of the row, and whether it is taken out.
pub(super) const FIRST_VALUE: usize = 2;

/// How changes are sorted by the number of their row. New rows come last.
pub(super) const ORDER: SortOptions = SortOptions { descending: false, nulls_first: false };

/// Where changes of a version go.
#[derive(Debug)]
struct Change {
    kind: ChangeKind,
    table: StoredTable,
    base: Arc<Version>,
    /// Of what comes in.
    schema: SchemaRef,
    /// For each column of the table, where its new values are.
    values: Vec<Option<usize>>,
}

impl DisplayAs for Change {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}", self.kind.to_string().to_lowercase())
    }
}

#[async_trait]
impl DataSink for Change {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    async fn write_all(
        &self,
        mut data: SendableRecordBatchStream,
        _: &Arc<TaskContext>,
    ) -> Result<u64> {
        let mut next = NextVersion::of(self);
        let mut last = None;
        let mut count = 0;
        while let Some(batch) = data.try_next().await? {
            let batch = self.once_each(batch, &mut last)?;
            let changed = batch.num_rows() - batch.column(0).null_count();
            count += batch.num_rows();
            next.change(&batch.slice(0, changed)).await?;
            if changed < batch.num_rows() {
                next.add(&batch.slice(changed, batch.num_rows() - changed)).await?;
            }
        }
        if count == 0 {
            return Ok(0);
        }
        next.keep_rest().await?;
        self.table.replace(&self.base, next.writer.finish().await?)?;
        Ok(count as u64)
    }
}

impl Change {
    /// One change of each row, the last of which in an earlier batch was `last`.
    fn once_each(&self, batch: RecordBatch, last: &mut Option<u64>) -> Result<RecordBatch> {
        let numbers = batch.column(0).as_primitive::<UInt64Type>();
        let is_first = numbers.iter().map(|number| {
            let before = std::mem::replace(last, number);
            number.is_none() || number != before
        });
        let is_first: BooleanArray = is_first.map(Some).collect();
        if is_first.false_count() == 0 {
            return Ok(batch);
        }
        if self.kind == ChangeKind::Merge {
            return Err(Error::query(
                "several rows of the source change the same row of the table",
            )
            .with_hint(
                "let ON match each row of the table once, or make one row of those in the source",
            )
            .into());
        }
        Ok(filter_record_batch(&batch, &is_first)?)
    }
}

/// Goes through the blocks of a version and writes those with changes anew. The others are in both
/// versions.
struct NextVersion<'a> {
    change: &'a Change,
    blocks: std::vec::IntoIter<Arc<Block>>,
    batches: SendableRecordBatchStream,
    /// The block that is gone through.
    current: Option<Current>,
    writer: Writer,
}

struct Current {
    block: Arc<Block>,
    rows: RecordBatch,
    /// The number of the first row.
    start: usize,
    /// How many rows are written.
    done: usize,
}

impl<'a> NextVersion<'a> {
    fn of(change: &'a Change) -> Self {
        let blocks = change.base.blocks.clone();
        let rows = &change.table.rows;
        NextVersion {
            batches: read(Arc::clone(rows.schema()), blocks.clone()),
            blocks: blocks.into_iter(),
            current: None,
            writer: rows.writer(),
            change,
        }
    }

    /// Writes rows up to the last one that is changed. The changes have numbers that rise, from one
    /// call to the next as well.
    async fn change(&mut self, changes: &RecordBatch) -> Result<()> {
        let mut done = 0;
        while done < changes.num_rows() {
            let numbers = changes.column(0).as_primitive::<UInt64Type>().values();
            let first = numbers[done] as usize;
            while self.end() <= first {
                if !self.next_block().await? {
                    return internal_err!("a change of row {first}, which is not there");
                }
            }
            let end = self.end();
            let count = numbers[done..].partition_point(|number| (*number as usize) < end);
            self.change_block(&changes.slice(done, count)).await?;
            done += count;
        }
        Ok(())
    }

    /// The number of the row after the current block.
    fn end(&self) -> usize {
        self.current.as_ref().map_or(0, |current| current.start + current.rows.num_rows())
    }

    /// Ends the current block and goes on to the next one, if there is one.
    async fn next_block(&mut self) -> Result<bool> {
        tokio::task::consume_budget().await;
        let start = self.end();
        if let Some(Current { block, rows, done, .. }) = self.current.take() {
            match done {
                0 => self.writer.keep(block, &rows).await?,
                done => self.writer.add(&rows.slice(done, rows.num_rows() - done)).await?,
            }
        }
        let (Some(block), Some(rows)) = (self.blocks.next(), self.batches.next().await) else {
            return Ok(false);
        };
        self.current = Some(Current { block, rows: rows?, start, done: 0 });
        Ok(true)
    }

    async fn keep_rest(&mut self) -> Result<()> {
        while self.next_block().await? {}
        Ok(())
    }

    /// Changes rows of the current block.
    async fn change_block(&mut self, changes: &RecordBatch) -> Result<()> {
        let Some(current) = &mut self.current else { return internal_err!("no block to change") };
        let numbers = changes.column(0).as_primitive::<UInt64Type>().values();
        let is_out = changes.column(1).as_boolean();
        let Some(last) = numbers.last() else { return Ok(()) };
        let first = current.start + current.done;
        let rows = current.rows.slice(current.done, *last as usize + 1 - first);
        current.done += rows.num_rows();

        let mut stays = BooleanBufferBuilder::new(rows.num_rows());
        // For each row that stays: that of the table, or that of the changes.
        let mut places = Vec::with_capacity(rows.num_rows());
        let mut change = 0;
        for row in 0..rows.num_rows() {
            if numbers[change] as usize != first + row {
                stays.append(true);
                places.push((0, row));
                continue;
            }
            stays.append(!is_out.value(change));
            if !is_out.value(change) {
                places.push((1, change));
            }
            change += 1;
        }
        let kept = filter_record_batch(&rows, &BooleanArray::from(stays.finish()))?;
        let columns = self.change.values.iter().enumerate().map(|(column, value)| match value {
            None => Ok(Arc::clone(kept.column(column))),
            Some(value) => interleave(&[rows.column(column), changes.column(*value)], &places),
        });
        let columns = columns.collect::<Result<_, _>>()?;
        self.writer.add(&RecordBatch::try_new(kept.schema(), columns)?).await
    }

    /// Adds new rows after all others.
    async fn add(&mut self, rows: &RecordBatch) -> Result<()> {
        self.keep_rest().await?;
        let values: Option<Vec<usize>> = self.change.values.iter().copied().collect();
        let Some(values) = values else { return internal_err!("a new row without all its values") };
        self.writer.add(&rows.project(&values)?).await
    }
}
