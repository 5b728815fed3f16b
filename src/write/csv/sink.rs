//! The rows of a query as CSV files, of which several threads make the text.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::common::runtime::{JoinSet, SpawnedTask};
use datafusion::datasource::physical_plan::{FileSink, FileSinkConfig};
use datafusion::datasource::sink::DataSink;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType};
use datafusion_datasource::write::ObjectWriterBuilder;
use datafusion_datasource::write::demux::DemuxedStreamReceiver;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::ObjectStore;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;

use super::CsvWriteOptions;
use crate::error::Error;
use crate::exchange::logical_bytes;
use crate::output::Lines;

/// Bytes that are handed to a file on this computer at once; a few such pieces may be on their way.
const LOCAL_PIECE_BYTES: usize = 1 << 20;

/// Writes CSV files.
#[derive(Debug)]
pub(crate) struct CsvSink {
    config: FileSinkConfig,
    options: CsvWriteOptions,
    lines: Arc<Lines>,
}

impl CsvSink {
    /// # Errors
    /// `Config` if the options contradict the columns.
    pub(crate) fn try_new(config: FileSinkConfig, options: CsvWriteOptions) -> crate::Result<Self> {
        let lines = Arc::new(Lines::new(options.style.clone(), config.output_schema())?);
        Ok(CsvSink { config, options, lines })
    }
}

/// One file in the making.
struct CsvFile {
    lines: Arc<Lines>,
    writer: Box<dyn AsyncWrite + Send + Unpin>,
    /// What the user calls it.
    target: String,
    /// How many batches are made into text at the same time.
    threads: usize,
}

impl CsvFile {
    /// Writes all batches in order; gives the number of their rows.
    ///
    /// If a batch has no text, the file is left as it is.
    async fn write(mut self, mut batches: mpsc::Receiver<RecordBatch>) -> crate::Result<u64> {
        let batches = stream::poll_fn(move |cx| batches.poll_recv(cx));
        let lines = self.lines;
        let lost = |err| Error::internal(format!("a task was lost: {err}"));
        let failed = |err| Error::io("write", &self.target, err);
        let mut texts = batches
            .enumerate()
            .map(|(number, batch)| {
                let lines = Arc::clone(&lines);
                async move {
                    let rows = batch.num_rows() as u64;
                    let task = SpawnedTask::spawn(async move { text(&lines, &batch, number == 0) });
                    let text = task.join_unwind().await.map_err(lost)??;
                    Ok::<_, Error>((text, rows))
                }
            })
            .buffered(self.threads);
        let mut rows = 0;
        while let Some((text, count)) = texts.try_next().await? {
            self.writer.write_all(&text).await.map_err(failed)?;
            rows += count;
        }
        self.writer.shutdown().await.map_err(failed)?;
        Ok(rows)
    }
}

/// The lines of a batch, with what comes before the rows if it is the first of its file.
fn text(lines: &Lines, batch: &RecordBatch, is_first: bool) -> crate::Result<Vec<u8>> {
    let mut out = Vec::with_capacity(logical_bytes(batch) * 2);
    if is_first {
        lines.push_head(&mut out)?;
    }
    let rows = lines.rows(batch)?;
    for row in 0..rows.count() {
        rows.push(row, &mut out)?;
    }
    Ok(out)
}

#[async_trait]
impl FileSink for CsvSink {
    fn config(&self) -> &FileSinkConfig {
        &self.config
    }

    async fn spawn_writer_tasks_and_join(
        &self,
        context: &Arc<TaskContext>,
        demux_task: SpawnedTask<Result<()>>,
        mut files: DemuxedStreamReceiver,
        store: Arc<dyn ObjectStore>,
    ) -> Result<u64> {
        let config = context.session_config();
        let piece_bytes = if self.config.object_store_url.as_str() == "file:///" {
            LOCAL_PIECE_BYTES
        } else {
            config.options().execution.objectstore_writer_buffer_size
        };
        let mut writes = JoinSet::new();
        while let Some((path, batches)) = files.recv().await {
            let writer =
                ObjectWriterBuilder::new(self.options.compression, &path, Arc::clone(&store))
                    .with_buffer_size(Some(piece_bytes))
                    .with_compression_level(self.options.compression_level)
                    .build()?;
            let threads = config.target_partitions().max(1);
            let (lines, target) = (Arc::clone(&self.lines), self.config.original_url.clone());
            writes.spawn(CsvFile { lines, writer, target, threads }.write(batches));
        }
        // Where one fails its batches are not taken any more. Then there are no more for the others
        // either, which come to an end, too.
        let lost = |err| Error::internal(format!("a task was lost: {err}"));
        let mut written: Result<u64> = Ok(0);
        while let Some(result) = writes.join_next().await {
            let result = result.map_err(lost)?.map_err(DataFusionError::from);
            written = written.and_then(|rows| result.map(|more| rows + more));
        }
        // That a file takes no more batches is not the reason why.
        let divided = demux_task.join_unwind().await.map_err(lost)?;
        let rows = written?;
        divided.map(|()| rows)
    }
}

#[async_trait]
impl DataSink for CsvSink {
    fn schema(&self) -> &SchemaRef {
        self.config.output_schema()
    }

    async fn write_all(
        &self,
        data: SendableRecordBatchStream,
        context: &Arc<TaskContext>,
    ) -> Result<u64> {
        FileSink::write_all(self, data, context).await
    }
}

impl DisplayAs for CsvSink {
    fn fmt_as(&self, kind: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        let file = &self.config.original_url;
        match kind {
            DisplayFormatType::TreeRender => writeln!(f, "format: csv\nfile={file}"),
            DisplayFormatType::Default | DisplayFormatType::Verbose => {
                write!(f, "CsvSink(file={file})")
            }
        }
    }
}
