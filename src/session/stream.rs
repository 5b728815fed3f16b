//! A running query: its batches and what it has cost so far.

use std::io::Write;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::FileScanConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::physical_plan::{ExecutionPlan, metrics::MetricValue};
use futures::{Stream, StreamExt, TryStreamExt};

use super::Session;
use crate::error::{Error, ErrorKind, Result};
use crate::output::{Format, Style, result_writer};
use crate::scan::shown_path;

/// A stream of record batches. Dropping it stops the query and removes its temporary files.
pub struct QueryStream {
    /// Keeps the folders for spills until the query has ended.
    _session: Session,
    plan: Arc<dyn ExecutionPlan>,
    batches: SendableRecordBatchStream,
    rows: u64,
}

/// What a query has read, returned and spilled so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueryMetrics {
    /// Rows returned.
    pub rows: u64,
    /// Bytes of input files that were read; of compressed CSV, after decompression.
    pub bytes_read: u64,
    /// Bytes written to temporary files.
    pub spilled_bytes: u64,
    /// Records of CSV files that were left out because they could not be read, as `ignore_errors`
    /// allows.
    pub rejected_rows: u64,
}

impl std::ops::AddAssign for QueryMetrics {
    fn add_assign(&mut self, other: Self) {
        self.rows += other.rows;
        self.bytes_read += other.bytes_read;
        self.spilled_bytes += other.spilled_bytes;
        self.rejected_rows += other.rejected_rows;
    }
}

impl QueryStream {
    pub(crate) fn new(
        session: Session,
        plan: Arc<dyn ExecutionPlan>,
        batches: SendableRecordBatchStream,
    ) -> Self {
        QueryStream { _session: session, plan, batches, rows: 0 }
    }

    /// The operators that run.
    pub(crate) fn plan(&self) -> &dyn ExecutionPlan {
        self.plan.as_ref()
    }

    /// Names and types of the columns.
    pub fn schema(&self) -> SchemaRef {
        self.batches.schema()
    }

    /// Writes all rows in a format, batch by batch.
    pub(crate) async fn write_to(
        &mut self,
        format: Format,
        sink: Box<dyn Write + Send + '_>,
        style: &Style,
    ) -> Result<()> {
        let mut writer = result_writer(format, self.schema(), sink, style)?;
        while let Some(batch) = self.try_next().await? {
            writer.write(&batch)?;
        }
        writer.finish()
    }

    /// Names the file in an error about the content of one, where the reader did not and there is
    /// only one it can be.
    fn named(&self, err: Error) -> Error {
        let mut paths = Vec::new();
        add_paths(self.plan.as_ref(), &mut paths);
        paths.dedup();
        match paths.as_slice() {
            [one] if err.kind() == ErrorKind::Input => err.in_file(one),
            _ => err,
        }
    }

    /// What the query has cost so far; final once the stream has ended.
    pub fn metrics(&self) -> QueryMetrics {
        let mut metrics = QueryMetrics { rows: self.rows, ..Default::default() };
        add_plan_metrics(self.plan.as_ref(), &mut metrics);
        metrics
    }
}

/// Sums the metrics of a plan and everything below it.
fn add_plan_metrics(plan: &dyn ExecutionPlan, total: &mut QueryMetrics) {
    let mut scanned = None;
    for metric in plan.metrics().iter().flat_map(|set| set.iter()) {
        match metric.value() {
            MetricValue::SpilledBytes(count) => total.spilled_bytes += count.value() as u64,
            MetricValue::Count { name, count } if name == "bytes_scanned" => {
                *scanned.get_or_insert(0) += count.value() as u64;
            }
            MetricValue::Count { name, count } if name == "rows_rejected" => {
                total.rejected_rows += count.value() as u64;
            }
            _ => {}
        }
    }
    total.bytes_read += scanned.unwrap_or_else(|| file_bytes(plan));
    for child in plan.children() {
        add_plan_metrics(child.as_ref(), total);
    }
}

/// The files that a plan reads itself, as opposed to what is below it, and the store of each.
pub(crate) fn files_of(
    plan: &dyn ExecutionPlan,
) -> impl Iterator<Item = (&ObjectStoreUrl, &PartitionedFile)> {
    plan.downcast_ref::<DataSourceExec>()
        .and_then(|scan| scan.data_source().downcast_ref::<FileScanConfig>())
        .into_iter()
        .flat_map(|config| {
            let files = config.file_groups.iter().flat_map(|group| group.files());
            files.map(|file| (&config.object_store_url, file))
        })
}

/// Size of the files of a scan that does not count what it reads (JSON, Arrow); 0 for others.
fn file_bytes(plan: &dyn ExecutionPlan) -> u64 {
    files_of(plan).map(|(_, file)| file.effective_size()).sum()
}

/// Adds the paths of all files that a plan and everything below it reads.
fn add_paths(plan: &dyn ExecutionPlan, paths: &mut Vec<String>) {
    paths.extend(files_of(plan).map(|(store, file)| shown_path(store, &file.object_meta.location)));
    for child in plan.children() {
        add_paths(child.as_ref(), paths);
    }
}

impl Stream for QueryStream {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.batches.poll_next_unpin(cx).map(|next| {
            next.map(|batch| {
                let batch = batch.map_err(|err| self.named(Error::from(err)))?;
                self.rows += batch.num_rows() as u64;
                Ok(batch)
            })
        })
    }
}

impl std::fmt::Debug for QueryStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("QueryStream").field("schema", &self.schema()).finish_non_exhaustive()
    }
}
