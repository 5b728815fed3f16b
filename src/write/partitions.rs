//! Rows by the values of some columns: a folder for each, as Hive names them.
//!
//! Rows are split into buckets by the hash of the values, in memory while there is room. When all are
//! there, each bucket is sorted by the values, by our sort, which spills too; so the rows of
//! a value follow each other and one file is open at a time in each of a few tasks, whatever the
//! number of values.

use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions, UInt64Array};
use arrow::compute::{cast, partition};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::error::Result;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{LexOrdering, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::metrics::SpillMetrics;
use futures::TryStreamExt;
use object_store::path::PathPart;

use crate::error::Error;
use crate::exchange::{Buckets, Contents, MAX_BUCKETS, Nulls, Splitter, compacted};
use crate::kernel::Leaf;
use crate::scan::NULL_NAME;
use crate::session::Resources;
use crate::sort;

/// Rows of a bucket are put together until they have this size. There are many buckets, and a write
/// must do with little memory.
const BLOCK_BYTES: usize = 128 << 10;

/// How rows are divided, and what of them is written.
#[derive(Debug)]
pub(super) struct Partitions {
    /// Places and names of the columns whose values make the path.
    keys: Vec<(usize, String)>,
    /// Places of the columns that are written.
    kept: Vec<usize>,
    /// Whether rows of equal values must stay in the order in which they come.
    is_ordered: bool,
    /// The columns that are written.
    pub(super) file_schema: SchemaRef,
    /// Those, the values as text, and if the order matters, the number of the row.
    inner_schema: SchemaRef,
}

impl Partitions {
    /// Divides rows of a schema by the columns of these names.
    ///
    /// # Errors
    /// `Query` if a column is not there, or its type has no text, or no column is left to write.
    pub(super) fn new(
        schema: &SchemaRef,
        names: &[String],
        keeps_keys: bool,
        is_ordered: bool,
    ) -> Result<Self> {
        let mut keys = Vec::with_capacity(names.len());
        for name in names {
            let index = schema.index_of(name)?;
            let data_type = schema.field(index).data_type();
            if data_type.is_nested() || !arrow::compute::can_cast_types(data_type, &DataType::Utf8)
            {
                let what = format!("the values of \"{name}\" cannot be the names of folders");
                return Err(Error::query(what).into());
            }
            keys.push((index, name.clone()));
        }
        let is_key = |index: usize| keys.iter().any(|(key, _)| *key == index);
        let kept: Vec<usize> =
            (0..schema.fields().len()).filter(|index| keeps_keys || !is_key(*index)).collect();
        if kept.is_empty() {
            return Err(Error::query("no column is left to write beside those of the folders")
                .with_hint("keep them with OPTIONS (execution.keep_partition_by_columns true)")
                .into());
        }
        let file_schema = Arc::new(schema.project(&kept)?);
        let mut fields: Vec<Arc<Field>> = file_schema.fields().iter().cloned().collect();
        for number in 0..keys.len() {
            fields.push(Arc::new(Field::new(format!("key {number}"), DataType::Utf8, true)));
        }
        if is_ordered {
            fields.push(Arc::new(Field::new("row", DataType::UInt64, false)));
        }
        let inner_schema = Arc::new(Schema::new(fields));
        Ok(Partitions { keys, kept, is_ordered, file_schema, inner_schema })
    }

    /// The rows with their values as text, the first of them being the row of this number.
    fn prepared(&self, batch: &RecordBatch, first_row: u64) -> Result<RecordBatch> {
        let mut columns: Vec<ArrayRef> =
            self.kept.iter().map(|index| Arc::clone(batch.column(*index))).collect();
        for (index, _) in &self.keys {
            columns.push(cast(batch.column(*index), &DataType::Utf8)?);
        }
        let rows = batch.num_rows();
        if self.is_ordered {
            let numbers = first_row..first_row + rows as u64;
            columns.push(Arc::new(UInt64Array::from_iter_values(numbers)));
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.inner_schema), columns, &options)?)
    }

    /// The columns with the values as text, and if it is there, that of the row's number.
    fn keys(&self) -> impl Iterator<Item = Arc<dyn PhysicalExpr>> {
        (self.kept.len()..self.inner_schema.fields().len()).map(|index| {
            let name = self.inner_schema.field(index).name();
            Arc::new(Column::new(name, index)) as Arc<dyn PhysicalExpr>
        })
    }

    /// Reads all rows and splits them into buckets.
    pub(super) async fn collect(
        &self,
        mut data: SendableRecordBatchStream,
        context: &Arc<TaskContext>,
        spills: SpillMetrics,
    ) -> Result<Collected> {
        let resources = Resources::of(context)?;
        let consumer = MemoryConsumer::new("partitioned write").with_can_spill(true);
        let memory = Arc::new(consumer.register(context.memory_pool()));
        let count = resources.knobs.buckets.unwrap_or(MAX_BUCKETS).next_power_of_two();
        let count = count.min(MAX_BUCKETS);
        let cap_bytes = resources.knobs.write_bytes.map_or(usize::MAX, |bytes| bytes as usize);
        let schema = Arc::clone(&self.inner_schema);
        let store = resources.store.clone();
        let buckets = Buckets::new("write", schema, count, store, Arc::clone(&memory), spills)
            .with_block_bytes(BLOCK_BYTES)
            .with_cap_bytes(cap_bytes);
        let buckets = Arc::new(buckets);
        // Now, while little else of the write holds memory.
        buckets.stage();
        resources.governor.register_reclaim(memory.consumer(), &buckets);

        let keys = self.keys().take(self.keys.len()).collect();
        let splitter = Splitter::new(keys, 0, count, Nulls::Hashed);
        let mut row = 0;
        while let Some(batch) = data.try_next().await? {
            if batch.num_rows() > 0 {
                let split = splitter.split(&compacted(self.prepared(&batch, row)?))?;
                buckets.add(&split, |_| true).await?;
                row += batch.num_rows() as u64;
            }
        }
        buckets.finish();
        Ok(Collected { buckets, _memory: memory })
    }

    /// The rows of a bucket, those of the same values next to each other.
    pub(super) fn sorted(
        &self,
        contents: &Contents,
        context: &Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let order = self.keys().map(PhysicalSortExpr::new_default);
        let Some(order) = LexOrdering::new(order) else {
            return Err(Error::internal("a folder for each value of no column").into());
        };
        let leaf = Leaf::new(Arc::clone(&self.inner_schema), vec![contents.stream()]);
        sort::sorted(order, Arc::new(leaf))?.execute(0, Arc::clone(context))
    }

    /// The rows of a sorted batch for each folder, as they are written.
    pub(super) fn pieces(&self, batch: &RecordBatch) -> Result<Vec<(PathBuf, RecordBatch)>> {
        let keys = &batch.columns()[self.kept.len()..self.kept.len() + self.keys.len()];
        let rows = batch.project(&(0..self.kept.len()).collect::<Vec<_>>())?;
        let pieces = partition(keys)?.ranges().into_iter().map(|range| {
            let path = self.path(keys, range.start);
            (path, rows.slice(range.start, range.len()))
        });
        Ok(pieces.collect())
    }

    /// The folder of a row: `name=value/…`, with `%` codes for characters that names cannot have.
    fn path(&self, keys: &[ArrayRef], row: usize) -> PathBuf {
        let parts = self.keys.iter().zip(keys).map(|((_, name), values)| {
            let values = values.as_string::<i32>();
            let value = if values.is_null(row) { NULL_NAME } else { values.value(row) };
            PathPart::from(format!("{name}={value}")).as_ref().to_string()
        });
        parts.collect()
    }
}

/// All rows of a write, by bucket.
pub(super) struct Collected {
    buckets: Arc<Buckets>,
    _memory: Arc<MemoryReservation>,
}

impl Collected {
    pub(super) fn count(&self) -> usize {
        self.buckets.len()
    }

    /// Takes the rows of a bucket, which whoever reads them now has to account for.
    pub(super) fn take(&self, bucket: usize) -> Contents {
        self.buckets.hand_over(bucket)
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{BooleanArray, Date32Array, Int64Array, StringViewArray};

    use super::*;

    fn batch() -> RecordBatch {
        let columns: [(&str, ArrayRef); 4] = [
            ("n", Arc::new(Int64Array::from(vec![1, 2, 3]))),
            ("day", Arc::new(Date32Array::from(vec![Some(0), None, Some(19_000)]))),
            ("b", Arc::new(BooleanArray::from(vec![true, false, true]))),
            ("s", Arc::new(StringViewArray::from(vec!["a/b%", "", "ü =x"]))),
        ];
        RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true)))
            .unwrap()
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| name.to_string()).collect()
    }

    #[test]
    fn folders_have_the_names_of_hive() {
        let batch = batch();
        let partitions =
            Partitions::new(&batch.schema(), &names(&["s", "day"]), false, true).unwrap();
        let prepared = partitions.prepared(&batch, 5).unwrap();
        let pieces = partitions.pieces(&prepared).unwrap();
        let paths: Vec<&str> = pieces.iter().map(|(path, _)| path.to_str().unwrap()).collect();
        assert_eq!(
            paths,
            [
                "s=a%2Fb%25/day=1970-01-01",
                "s=/day=__HIVE_DEFAULT_PARTITION__",
                "s=%C3%BC =x/day=2022-01-08"
            ]
        );
        assert_eq!(pieces[1].1, batch.project(&[0, 2]).unwrap().slice(1, 1));
    }

    #[test]
    fn columns_are_kept_if_asked_for_and_one_must_be_left() {
        let schema = batch().schema();
        let kept = Partitions::new(&schema, &names(&["n"]), true, false).unwrap();
        assert_eq!(kept.file_schema, schema);
        let all = names(&["n", "day", "b", "s"]);
        assert!(Partitions::new(&schema, &all, false, false).is_err());
        assert!(Partitions::new(&schema, &names(&["missing"]), false, false).is_err());
    }
}
