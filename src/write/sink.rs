//! Writes the rows of a query into one file, a folder, or a folder for each value of some columns.

use std::collections::VecDeque;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::common::config::TableParquetOptions;
use datafusion::common::internal_err;
use datafusion::common::runtime::SpawnedTask;
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::ListingTableUrl;
use datafusion::datasource::physical_plan::FileSinkConfig;
use datafusion::datasource::sink::{DataSink, DataSinkExec};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::context::SessionState;
use datafusion::execution::memory_pool::MemoryLimit;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::LexRequirement;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricsSet, SpillMetrics};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan};
use datafusion_datasource::file_sink_config::FileOutputMode;
use futures::{StreamExt, TryStreamExt, stream};
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};

use super::aside::Aside;
use super::partitions::{Collected, Partitions};
use crate::error::Error;
use crate::exchange::logical_bytes;
use crate::kernel::in_tasks;

/// The part of the memory limit that the rows of a row group of a Parquet file may have; encoded they
/// take less.
const ROW_GROUP_SHARE: usize = 8;

/// The same for those of all files together, where there is one for each value.
const ROW_GROUPS_SHARE: usize = 16;

/// Where rows go. Everything is made aside and appears when all of it is complete.
#[derive(Debug, Clone)]
pub(super) struct FileWrite {
    format: Arc<dyn FileFormat>,
    state: SessionState,
    conf: FileSinkConfig,
    order: Option<LexRequirement>,
    target: PathBuf,
    /// Whether the target is a file.
    is_file: bool,
    partitions: Option<Arc<Partitions>>,
    metrics: ExecutionPlanMetricsSet,
}

impl FileWrite {
    pub(super) fn new(
        format: Arc<dyn FileFormat>,
        state: SessionState,
        conf: FileSinkConfig,
        order: Option<LexRequirement>,
        input: &dyn ExecutionPlan,
    ) -> Result<Self> {
        let Some(url) = conf.table_paths.first() else {
            return internal_err!("a write without a target");
        };
        let Ok(target) = url.get_url().to_file_path() else {
            let what = format!("\"{}\" is not the path of a file", conf.original_url);
            return Err(Error::query(what).into());
        };
        let is_ordered =
            order.is_some() || input.properties().output_partitioning().partition_count() == 1;
        let names: Vec<String> =
            conf.table_partition_cols.iter().map(|(name, _)| name.clone()).collect();
        let partitions = if names.is_empty() {
            None
        } else {
            let (schema, keeps) = (&conf.output_schema, conf.keep_partition_by_columns);
            Some(Arc::new(Partitions::new(schema, &names, keeps, is_ordered)?))
        };
        let is_file = partitions.is_none() && conf.file_output_mode.single_file_output(url);
        let metrics = ExecutionPlanMetricsSet::new();
        Ok(FileWrite { format, state, conf, order, target, is_file, partitions, metrics })
    }

    fn begin(&self) -> crate::Result<Aside> {
        if self.is_file { Aside::for_file(&self.target) } else { Aside::for_folder(&self.target) }
    }

    /// Writes rows to `path`, with the writer of the format; gives their number.
    async fn write(
        &self,
        path: &Path,
        mode: FileOutputMode,
        data: SendableRecordBatchStream,
        context: &Arc<TaskContext>,
    ) -> Result<u64> {
        let schema = data.schema();
        let mut data = pieces(data, piece_bytes(context)).boxed();
        // The width of the first rows stands for that of all.
        let first = data.try_next().await?;
        let format = match &first {
            Some(batch) => self.bounded(row_bytes(batch), context),
            None => Arc::clone(&self.format),
        };
        let data = stream::iter(first.map(Ok)).chain(data);
        let data = Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&schema), data));
        let conf = FileSinkConfig {
            table_paths: vec![url_of(path, mode)?],
            table_partition_cols: Vec::new(),
            output_schema: Arc::clone(&schema),
            file_output_mode: mode,
            ..self.conf.clone()
        };
        let order = self.order.clone().filter(|_| self.partitions.is_none());
        let input = Arc::new(EmptyExec::new(schema));
        let plan = format.create_writer_physical_plan(input, &self.state, conf, order).await?;
        match plan.downcast_ref::<DataSinkExec>() {
            Some(plan) => plan.sink().write_all(data, context).await,
            None => internal_err!("a format without a sink"),
        }
    }

    /// The format, with row groups that are small enough for rows of this size.
    fn bounded(&self, row_bytes: usize, context: &TaskContext) -> Arc<dyn FileFormat> {
        let Some(parquet) = self.format.downcast_ref::<ParquetFormat>() else {
            return Arc::clone(&self.format);
        };
        const LEAST_ROWS: usize = 128;
        let most_bytes = match self.partitions {
            Some(_) => limit_bytes(context) / ROW_GROUPS_SHARE / threads(context),
            None => limit_bytes(context) / ROW_GROUP_SHARE,
        };
        let most_rows = (most_bytes / row_bytes.max(1)).max(LEAST_ROWS);
        let mut options: TableParquetOptions = parquet.options().clone();
        options.global.max_row_group_size = options.global.max_row_group_size.min(most_rows);
        Arc::new(ParquetFormat::default().with_options(options))
    }

    /// One file, or as many as DataFusion makes in a folder.
    async fn write_plain(
        &self,
        aside: &Path,
        data: SendableRecordBatchStream,
        context: &Arc<TaskContext>,
    ) -> Result<Done> {
        let (path, mode) = if self.is_file {
            (aside.join("file"), FileOutputMode::SingleFile)
        } else {
            (aside.to_path_buf(), FileOutputMode::Directory)
        };
        let rows = self.write(&path, mode, data, context).await?;
        let entries = std::fs::read_dir(aside).map_err(|err| Error::io("list", aside, err))?;
        let mut files = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|err| Error::io("list", aside, err))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            files.push((name.clone(), PathBuf::from(name)));
        }
        Ok(Done { rows, files })
    }

    /// A folder for each value.
    async fn write_partitioned(
        &self,
        partitions: &Arc<Partitions>,
        aside: &Path,
        data: SendableRecordBatchStream,
        context: &Arc<TaskContext>,
    ) -> Result<Done> {
        let spills = SpillMetrics::new(&self.metrics, 0);
        let collected = Arc::new(partitions.collect(data, context, spills).await?);
        let buckets = Arc::new(Mutex::new((0..collected.count()).collect::<VecDeque<_>>()));
        let failed = Arc::new(watch::Sender::new(false));
        let workers = (0..threads(context)).map(|worker| {
            let folders = Folders {
                write: self.clone(),
                partitions: Arc::clone(partitions),
                context: Arc::clone(context),
                aside: aside.to_path_buf(),
                worker,
                open: None,
                done: Done::default(),
            };
            let (collected, buckets) = (Arc::clone(&collected), Arc::clone(&buckets));
            let failed = Arc::clone(&failed);
            // None is stopped from outside, because a file might then be made after all was removed.
            async move { Ok(folders.write(&collected, &buckets, &failed).await) }
        });
        let mut done = Done::default();
        for part in in_tasks::<_, DataFusionError, _>(workers).await? {
            let part = part?;
            done.rows += part.rows;
            done.files.extend(part.files);
        }
        Ok(done)
    }
}

/// What was written.
#[derive(Default)]
struct Done {
    rows: u64,
    /// Names in the hidden folder, and the paths below the target that they will have.
    files: Vec<(String, PathBuf)>,
}

/// Writes buckets, a file after the other.
struct Folders {
    write: FileWrite,
    partitions: Arc<Partitions>,
    context: Arc<TaskContext>,
    aside: PathBuf,
    /// A number that no other has.
    worker: usize,
    open: Option<OpenFile>,
    done: Done,
}

/// The file that is being written.
struct OpenFile {
    folder: PathBuf,
    /// `None` if it gets no more rows.
    batches: Option<mpsc::Sender<RecordBatch>>,
    task: SpawnedTask<Result<u64>>,
}

impl Folders {
    /// Writes buckets until there are none, or one of those that do so has failed; tells the others
    /// if it fails itself. However it ends, nothing is being written any more.
    async fn write(
        mut self,
        collected: &Collected,
        buckets: &Mutex<VecDeque<usize>>,
        failed: &watch::Sender<bool>,
    ) -> Result<Done> {
        let mut other = failed.subscribe();
        let written = tokio::select! {
            written = self.write_buckets(collected, buckets) => written,
            _ = other.wait_for(|failed| *failed) => Ok(()),
        };
        if written.is_err() {
            failed.send_replace(true);
        }
        let closed = self.close().await;
        written.and(closed).map(|()| self.done)
    }

    async fn write_buckets(
        &mut self,
        collected: &Collected,
        buckets: &Mutex<VecDeque<usize>>,
    ) -> Result<()> {
        loop {
            let bucket = buckets.lock().pop_front();
            let Some(bucket) = bucket else { return Ok(()) };
            self.write_bucket(collected, bucket).await?;
        }
    }

    async fn write_bucket(&mut self, collected: &Collected, bucket: usize) -> Result<()> {
        let contents = collected.take(bucket);
        if contents.rows == 0 {
            return Ok(());
        }
        let mut rows = self.partitions.sorted(&contents, &self.context)?;
        drop(contents);
        while let Some(batch) = rows.try_next().await? {
            for (folder, piece) in self.partitions.pieces(&batch)? {
                if self.open.as_ref().is_none_or(|open| open.folder != folder) {
                    self.close().await?;
                    self.begin(folder);
                }
                let batches = self.open.as_ref().and_then(|open| open.batches.as_ref());
                if batches.expect("just begun").send(piece).await.is_err() {
                    // The writer has given up, and says why.
                    return self.close().await;
                }
            }
        }
        self.close().await
    }

    fn begin(&mut self, folder: PathBuf) {
        let name = format!("{}-{}", self.worker, self.done.files.len());
        let path = self.aside.join(&name);
        let (batches, mut received) = mpsc::channel(1);
        let (write, context) = (self.write.clone(), Arc::clone(&self.context));
        let schema = Arc::clone(&self.partitions.file_schema);
        let task = SpawnedTask::spawn(async move {
            let data = stream::poll_fn(move |cx| received.poll_recv(cx)).map(Ok);
            let data = Box::pin(RecordBatchStreamAdapter::new(schema, data));
            write.write(&path, FileOutputMode::SingleFile, data, &context).await
        });
        let file = format!("{}.{}", unique(), self.write.conf.file_extension);
        self.done.files.push((name, folder.join(file)));
        self.open = Some(OpenFile { folder, batches: Some(batches), task });
    }

    /// Waits until the open file is complete. If that is not waited for, it stays the open one.
    async fn close(&mut self) -> Result<()> {
        let Some(open) = &mut self.open else { return Ok(()) };
        open.batches = None;
        let lost = |err| Error::internal(format!("a task was lost: {err}"));
        let rows = open.task.join_unwind_mut().await.map_err(lost);
        self.open = None;
        self.done.rows += rows??;
        Ok(())
    }
}

/// A name that no other file of the folder has.
fn unique() -> String {
    format!("{:016x}", rand::random::<u64>())
}

fn threads(context: &TaskContext) -> usize {
    context.session_config().target_partitions().max(1)
}

fn limit_bytes(context: &TaskContext) -> usize {
    match context.memory_pool().memory_limit() {
        MemoryLimit::Finite(bytes) => bytes,
        MemoryLimit::Infinite | MemoryLimit::Unknown => usize::MAX,
    }
}

/// Rows are handed to a writer in pieces of about this size: it may have a hundred of them at once.
fn piece_bytes(context: &TaskContext) -> usize {
    (limit_bytes(context) / 2048).clamp(32 << 10, 1 << 20)
}

/// Bytes of a row, on average.
fn row_bytes(batch: &RecordBatch) -> usize {
    logical_bytes(batch).div_ceil(batch.num_rows().max(1))
}

/// Cuts batches into pieces of about so many bytes.
fn pieces(
    data: SendableRecordBatchStream,
    bytes: usize,
) -> impl futures::Stream<Item = Result<RecordBatch>> + Send {
    data.map_ok(move |batch| {
        let rows = (bytes / row_bytes(&batch).max(1)).max(1);
        let starts = (0..batch.num_rows().max(1)).step_by(rows);
        let slices: Vec<Result<RecordBatch>> = starts
            .map(|start| Ok(batch.slice(start, rows.min(batch.num_rows() - start))))
            .collect();
        stream::iter(slices)
    })
    .try_flatten()
}

fn url_of(path: &Path, mode: FileOutputMode) -> Result<ListingTableUrl> {
    let url = if mode == FileOutputMode::Directory {
        url::Url::from_directory_path(path)
    } else {
        url::Url::from_file_path(path)
    };
    match url {
        Ok(url) => ListingTableUrl::try_new(url, None),
        Err(()) => internal_err!("\"{}\" is not an absolute path", path.display()),
    }
}

impl DisplayAs for FileWrite {
    fn fmt_as(&self, kind: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        let (format, target) = (&self.conf.file_extension, self.target.display());
        match kind {
            DisplayFormatType::TreeRender => writeln!(f, "format: {format}\nfile={target}"),
            DisplayFormatType::Default | DisplayFormatType::Verbose => {
                write!(f, "FileWrite(format={format}, target={target}")?;
                let names = self.conf.table_partition_cols.iter().map(|(name, _)| name.as_str());
                let names: Vec<&str> = names.collect();
                if !names.is_empty() {
                    write!(f, ", partitioned by {}", names.join(", "))?;
                }
                write!(f, ")")
            }
        }
    }
}

#[async_trait]
impl DataSink for FileWrite {
    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn schema(&self) -> &SchemaRef {
        &self.conf.output_schema
    }

    async fn write_all(
        &self,
        data: SendableRecordBatchStream,
        context: &Arc<TaskContext>,
    ) -> Result<u64> {
        let mut aside = self.begin()?;
        let written = match &self.partitions {
            None => self.write_plain(aside.path(), data, context).await,
            Some(partitions) => {
                self.write_partitioned(partitions, aside.path(), data, context).await
            }
        };
        let end = SpawnedTask::spawn_blocking(move || {
            let rows = written.and_then(|done| {
                aside.commit(&done.files)?;
                Ok(done.rows)
            });
            aside.discard();
            rows
        });
        let lost = |err| Error::internal(format!("a task was lost: {err}"));
        end.join_unwind().await.map_err(lost)?
    }
}
