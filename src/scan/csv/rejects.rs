//! Records that were left out because they could not be read, as a table.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use arrow::array::{ArrayRef, RecordBatch, StringArray, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use object_store::ObjectMeta;
use object_store::path::Path;

use super::dialect::Dialect;
use super::lines::line_numbers;
use crate::scan::store::FileStore;

/// `file`, `line` and `byte` (from 0) of the record's beginning, `column` if a value is wrong,
/// `error`, and the beginning of the record's `text`.
static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    Arc::new(Schema::new(vec![
        Field::new("file", DataType::Utf8, false),
        Field::new("line", DataType::UInt64, false),
        Field::new("byte", DataType::UInt64, false),
        Field::new("column", DataType::Utf8, true),
        Field::new("error", DataType::Utf8, false),
        Field::new("text", DataType::Utf8, false),
    ]))
});

/// Records that the scans of a table have left out since it was opened.
#[derive(Debug)]
pub(crate) struct RejectedRecords {
    /// How many are kept at most.
    limit: usize,
    files: Mutex<BTreeMap<Path, RejectedOfFile>>,
}

#[derive(Debug)]
struct RejectedOfFile {
    store: FileStore,
    meta: ObjectMeta,
    dialect: Arc<Dialect>,
    /// By where they begin.
    records: BTreeMap<u64, Rejected>,
}

/// What is known of one record.
#[derive(Debug, Clone)]
pub(crate) struct Rejected {
    pub(crate) column: Option<String>,
    pub(crate) error: String,
    pub(crate) text: String,
}

impl RejectedRecords {
    /// An empty list that keeps this many.
    pub(crate) fn new(limit: usize) -> Self {
        RejectedRecords { limit, files: Mutex::default() }
    }

    /// Adds a record that begins at a byte of a file, unless it is there or the list is full.
    pub(crate) fn add(
        &self,
        store: &FileStore,
        meta: &ObjectMeta,
        dialect: &Arc<Dialect>,
        offset: u64,
        rejected: Rejected,
    ) {
        let mut files = self.files();
        if files.values().map(|file| file.records.len()).sum::<usize>() >= self.limit {
            return;
        }
        let file = files.entry(meta.location.clone()).or_insert_with(|| RejectedOfFile {
            store: store.clone(),
            meta: meta.clone(),
            dialect: Arc::clone(dialect),
            records: BTreeMap::new(),
        });
        file.records.insert(offset, rejected);
    }

    fn files(&self) -> MutexGuard<'_, BTreeMap<Path, RejectedOfFile>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All of them in the order of files and lines.
    async fn batch(&self) -> Result<RecordBatch> {
        let lists: Vec<_> = self
            .files()
            .values()
            .map(|file| {
                let records: Vec<(u64, Rejected)> =
                    file.records.iter().map(|(offset, record)| (*offset, record.clone())).collect();
                (file.store.clone(), file.meta.clone(), Arc::clone(&file.dialect), records)
            })
            .collect();
        let (mut files, mut lines, mut bytes) = (Vec::new(), Vec::new(), Vec::new());
        let mut rejected = Vec::new();
        for (store, meta, dialect, records) in lists {
            let (offsets, records): (Vec<u64>, Vec<Rejected>) = records.into_iter().unzip();
            lines.extend(line_numbers(&store, &meta, &dialect, &offsets).await?);
            let path = store.shown(&meta.location);
            files.extend(std::iter::repeat_n(path, records.len()));
            bytes.extend(offsets);
            rejected.extend(records);
        }
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from(files)),
            Arc::new(UInt64Array::from(lines)),
            Arc::new(UInt64Array::from(bytes)),
            Arc::new(
                rejected.iter().map(|record| record.column.as_deref()).collect::<StringArray>(),
            ),
            Arc::new(StringArray::from_iter_values(rejected.iter().map(|record| &record.error))),
            Arc::new(StringArray::from_iter_values(rejected.iter().map(|record| &record.text))),
        ];
        Ok(RecordBatch::try_new(Arc::clone(&SCHEMA), columns)?)
    }
}

/// The list as a table, which shows what is there when it is planned.
#[derive(Debug)]
pub(crate) struct RejectsTable(pub(crate) Arc<RejectedRecords>);

#[async_trait]
impl TableProvider for RejectsTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&SCHEMA)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let batch = self.0.batch().await?;
        let plan = MemorySourceConfig::try_new_exec(
            &[vec![batch]],
            Arc::clone(&SCHEMA),
            projection.cloned(),
        )?;
        Ok(plan)
    }
}
