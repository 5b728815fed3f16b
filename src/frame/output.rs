//! Running a frame: its rows as a stream, in memory, kept, shown or written.

use std::path::Path;
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::compute::cast;
use arrow::datatypes::DataType;
use arrow::record_batch::RecordBatch;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool};
use datafusion::physical_plan::execute_stream;
use datafusion::scalar::ScalarValue;
use futures::{Stream, TryStreamExt};

use super::DataFrame;
use crate::error::{Error, ErrorKind, Result};
use crate::exchange::{compacted, logical_bytes};
use crate::output::{Format, OutputFile, Style};
use crate::session::{ByteSize, QueryMetrics, QueryStream};
use crate::table::Storage;

/// All rows of a stream, which count towards the memory limit until all are there.
///
/// # Errors
/// Those of the stream, and `Resources` if there is no room for all rows.
pub(super) async fn collected<E>(
    mut rows: impl Stream<Item = Result<RecordBatch, E>> + Unpin,
    pool: &Arc<dyn MemoryPool>,
) -> Result<Vec<RecordBatch>>
where
    Error: From<E>,
{
    let memory = MemoryConsumer::new("collected rows").register(pool);
    let mut batches = Vec::new();
    while let Some(batch) = rows.try_next().await? {
        let batch = compacted(batch);
        memory.try_grow(logical_bytes(&batch)).map_err(|err| {
            Error::new(
                ErrorKind::Resources,
                format!(
                    "the result needs more memory than it may use: {} of it were collected",
                    ByteSize(memory.size() as u64)
                ),
            )
            .with_hint("stream it, write it to a file or cache it; or raise the memory limit")
            .with_source(err)
        })?;
        batches.push(batch);
    }
    Ok(batches)
}

impl DataFrame {
    /// Runs the query and gives its batches as they come.
    ///
    /// # Errors
    /// Those of planning; the stream gives those of running.
    pub async fn stream(self) -> Result<QueryStream> {
        let context = Arc::new(self.plan.task_ctx());
        let plan = self.plan.clone().create_physical_plan().await?;
        let batches = execute_stream(Arc::clone(&plan), context)?;
        Ok(QueryStream::new(self.session, plan, batches))
    }

    /// Runs the query and gives all of its rows, which must fit in memory.
    ///
    /// They count towards the memory limit until all are there, then they are the caller's.
    ///
    /// # Errors
    /// Those of planning and running, and `Resources` if there is no room for all rows; then
    /// [`DataFrame::stream`], [`DataFrame::cache`] and the methods that write files still work.
    pub async fn collect(self) -> Result<Vec<RecordBatch>> {
        let pool = Arc::clone(&self.session.context().runtime_env().memory_pool);
        collected(self.stream().await?, &pool).await
    }

    /// Runs the query and keeps its rows for this session: in memory while there is room, else in
    /// temporary files, as [`DataFrame::persist`] does with [`Storage::Both`].
    ///
    /// # Errors
    /// Those of planning and running, and `Query` if two columns have the same name.
    pub async fn cache(self) -> Result<Self> {
        self.persist(Storage::Both).await
    }

    /// The only value of the only row; NULL if there is no row.
    pub(crate) async fn value(self) -> Result<ScalarValue> {
        let none = self.schema().field(0).data_type().clone();
        let batches = self.limit(2)?.collect().await?;
        match batches.iter().map(RecordBatch::num_rows).sum::<usize>() {
            0 => Ok(ScalarValue::try_from(&none)?),
            1 => {
                let batch = batches.iter().find(|batch| batch.num_rows() == 1);
                let batch = batch.ok_or_else(|| Error::internal("a row is missing"))?;
                Ok(ScalarValue::try_from_array(batch.column(0), 0)?)
            }
            _ => Err(Error::query("a value has one row, and there are more")),
        }
    }

    /// Runs the query and counts its rows.
    ///
    /// # Errors
    /// Those of planning and running.
    pub async fn len(&self) -> Result<u64> {
        self.clone().count().await
    }

    /// Runs the query until it is known whether there is a row.
    ///
    /// # Errors
    /// Those of planning and running.
    pub async fn is_empty(&self) -> Result<bool> {
        Ok(self.clone().limit(1)?.len().await? == 0)
    }

    /// Runs the query and counts its rows, as [`DataFrame::len`] does. How many values each column has
    /// is [`GroupBy::count`](super::GroupBy::count) of one group.
    ///
    /// # Errors
    /// Those of planning and running.
    pub async fn count(self) -> Result<u64> {
        Ok(self.plan.count().await? as u64)
    }

    /// Runs the query and prints it as a table on standard output.
    ///
    /// # Errors
    /// Those of planning and running, and `Io` if standard output cannot be written to.
    pub async fn show(self) -> Result<()> {
        let style = Style::for_stdout();
        self.write_to(Format::Table, Box::new(std::io::stdout()), &style).await?;
        Ok(())
    }

    /// Runs the query and writes a CSV file with a header.
    ///
    /// # Errors
    /// Those of planning and running, and of writing; then the file is as it was before.
    pub async fn write_csv(self, path: impl AsRef<Path>) -> Result<QueryMetrics> {
        self.write_file(path.as_ref(), Format::Csv).await
    }

    /// Runs the query and writes a Parquet file.
    ///
    /// # Errors
    /// As for [`DataFrame::write_csv`].
    pub async fn write_parquet(self, path: impl AsRef<Path>) -> Result<QueryMetrics> {
        self.write_file(path.as_ref(), Format::Parquet).await
    }

    /// Runs the query and writes a file of one JSON object a line.
    ///
    /// # Errors
    /// As for [`DataFrame::write_csv`].
    pub async fn write_json(self, path: impl AsRef<Path>) -> Result<QueryMetrics> {
        self.write_file(path.as_ref(), Format::Ndjson).await
    }

    /// Runs the query and writes an Arrow IPC file.
    ///
    /// # Errors
    /// As for [`DataFrame::write_csv`].
    pub async fn write_arrow(self, path: impl AsRef<Path>) -> Result<QueryMetrics> {
        self.write_file(path.as_ref(), Format::Arrow).await
    }

    async fn write_file(self, path: &Path, format: Format) -> Result<QueryMetrics> {
        let mut file = OutputFile::create(path)?;
        let metrics = self.write_to(format, Box::new(&mut file), &Style::default()).await?;
        file.commit()?;
        Ok(metrics)
    }

    /// Runs the query and writes its rows in any format, batch by batch.
    async fn write_to(
        self,
        format: Format,
        sink: Box<dyn std::io::Write + Send + '_>,
        style: &Style,
    ) -> Result<QueryMetrics> {
        let mut stream = self.stream().await?;
        stream.write_to(format, sink, style).await?;
        Ok(stream.metrics())
    }

    /// The plan as a text: logical and physical, or with `analyze` the physical one after running
    /// it, with what each operator did.
    ///
    /// # Errors
    /// Those of planning and, with `analyze`, of running.
    pub async fn explain(self, analyze: bool) -> Result<String> {
        self.with(self.plan.clone().explain(false, analyze)?).plan_text().await
    }

    /// Runs an `EXPLAIN` and gives its plans as one text, each under its name; a plan in a
    /// [`PlanFormat`](super::PlanFormat) as it is.
    ///
    /// # Errors
    /// Those of planning and, with `ANALYZE`, of running.
    pub async fn plan_text(self) -> Result<String> {
        let mut text = String::new();
        for batch in &self.collect().await? {
            let columns = batch.columns().iter().map(|column| cast(column, &DataType::Utf8));
            let columns = columns.collect::<Result<Vec<_>, _>>()?;
            let (names, plans) = match columns.as_slice() {
                [names, plans] => (names, plans),
                [plan] => {
                    text.extend(plan.as_string::<i32>().iter().flatten());
                    continue;
                }
                _ => return Err(Error::internal("a plan is not one or two columns")),
            };
            let rows = names.as_string::<i32>().iter().zip(plans.as_string::<i32>());
            for (name, plan) in rows {
                let name = name.unwrap_or_default().replace('_', " ");
                text.push_str(&format!("{name}:\n{}\n", plan.unwrap_or_default().trim_end()));
            }
        }
        Ok(text)
    }
}
