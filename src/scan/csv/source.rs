//! DataFusion's side of the scan: one reader a partition, projection, metrics.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{
    FileOpenFuture, FileOpener, FileScanConfig, FileSource,
};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::{DataFusionError, Result};
use datafusion::physical_expr::projection::ProjectionExprs;
use datafusion::physical_plan::metrics::{Count, ExecutionPlanMetricsSet, MetricBuilder};
use datafusion::physical_plan::{DisplayFormatType, PhysicalExpr, apply_expression_roots};
use datafusion_datasource::projection::{ProjectionOpener, SplitProjection};
use futures::{StreamExt, stream};
use object_store::ObjectStore;
use object_store::path::Path;

use super::boundary::Boundaries;
use super::bytes::ByteSource;
use super::convert::{self, BadValue};
use super::dialect::Dialect;
use super::records::{MAX_RECORD_BYTES, RecordError, Records};
use super::sniff::{column_names, same_names};
use crate::error::Error;

/// The files of a CSV table, their dialect and the wanted columns.
#[derive(Debug, Clone)]
pub(crate) struct CsvSource {
    dialect: Arc<Dialect>,
    table_schema: TableSchema,
    projection: SplitProjection,
    batch_size: usize,
    metrics: ExecutionPlanMetricsSet,
    boundaries: Arc<Boundaries>,
}

impl CsvSource {
    pub(crate) fn new(table_schema: TableSchema, dialect: Arc<Dialect>) -> Self {
        CsvSource {
            dialect,
            projection: SplitProjection::unprojected(&table_schema),
            table_schema,
            batch_size: 8192,
            metrics: ExecutionPlanMetricsSet::new(),
            boundaries: Arc::default(),
        }
    }
}

impl FileSource for CsvSource {
    fn create_file_opener(
        &self,
        object_store: Arc<dyn ObjectStore>,
        _base_config: &FileScanConfig,
        partition: usize,
    ) -> Result<Arc<dyn FileOpener>> {
        let file_schema = self.table_schema.file_schema();
        let opener = CsvOpener {
            store: object_store,
            dialect: Arc::clone(&self.dialect),
            file_schema: Arc::clone(file_schema),
            columns: self.projection.file_indices.clone(),
            batch_size: self.batch_size,
            bytes_scanned: MetricBuilder::new(&self.metrics).counter("bytes_scanned", partition),
            boundaries: Arc::clone(&self.boundaries),
        };
        ProjectionOpener::try_new(self.projection.clone(), Arc::new(opener), file_schema)
    }

    fn table_schema(&self) -> &TableSchema {
        &self.table_schema
    }

    fn with_batch_size(&self, batch_size: usize) -> Arc<dyn FileSource> {
        Arc::new(CsvSource { batch_size, ..self.clone() })
    }

    fn try_pushdown_projection(
        &self,
        projection: &ProjectionExprs,
    ) -> Result<Option<Arc<dyn FileSource>>> {
        let merged = self.projection.source.try_merge(projection)?;
        let projection = SplitProjection::new(self.table_schema.file_schema(), &merged);
        Ok(Some(Arc::new(CsvSource { projection, ..self.clone() })))
    }

    fn projection(&self) -> Option<&ProjectionExprs> {
        Some(&self.projection.source)
    }

    fn metrics(&self) -> &ExecutionPlanMetricsSet {
        &self.metrics
    }

    fn file_type(&self) -> &str {
        "csv"
    }

    fn supports_repartitioning(&self) -> bool {
        self.dialect.splittable
    }

    fn fmt_extra(&self, format: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        match format {
            DisplayFormatType::Default | DisplayFormatType::Verbose => write!(
                f,
                ", delimiter={:?}, header={}, parallel={}",
                char::from(self.dialect.delimiter),
                self.dialect.header,
                self.dialect.splittable
            ),
            DisplayFormatType::TreeRender => Ok(()),
        }
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        apply_expression_roots(self.projection.source.iter(), f)
    }
}

/// Opens files, or ranges of files, for one partition.
struct CsvOpener {
    store: Arc<dyn ObjectStore>,
    dialect: Arc<Dialect>,
    file_schema: SchemaRef,
    /// Indices of the wanted columns in `file_schema`.
    columns: Vec<usize>,
    batch_size: usize,
    bytes_scanned: Count,
    boundaries: Arc<Boundaries>,
}

impl FileOpener for CsvOpener {
    fn open(&self, file: PartitionedFile) -> Result<FileOpenFuture> {
        let (start, end) = match &file.range {
            Some(range) => (range.start.max(0) as u64, range.end.max(0) as u64),
            None => (0, u64::MAX),
        };
        let mut scan = Scan {
            store: Arc::clone(&self.store),
            location: file.object_meta.location,
            records: Records::new(&self.dialect, self.file_schema.fields().len()),
            dialect: Arc::clone(&self.dialect),
            file_schema: Arc::clone(&self.file_schema),
            schema: Arc::new(self.file_schema.project(&self.columns)?),
            columns: self.columns.clone(),
            batch_size: self.batch_size,
            bytes_scanned: self.bytes_scanned.clone(),
            boundaries: Arc::clone(&self.boundaries),
            source: None,
            start,
            end,
            position: start.saturating_sub(1),
            record_starts: Vec::new(),
            finished: false,
        };
        Ok(Box::pin(async move {
            scan.begin().await?;
            let batches = stream::try_unfold(scan, |mut scan| async move {
                Ok(scan.next_batch().await?.map(|batch| (batch, scan)))
            });
            Ok(batches.boxed())
        }))
    }
}

/// The reading of one file, or of the records that begin in one range of it.
struct Scan {
    store: Arc<dyn ObjectStore>,
    location: Path,
    dialect: Arc<Dialect>,
    file_schema: SchemaRef,
    /// Schema of the wanted columns.
    schema: SchemaRef,
    columns: Vec<usize>,
    batch_size: usize,
    bytes_scanned: Count,
    boundaries: Arc<Boundaries>,
    /// Set by `begin`.
    source: Option<ByteSource>,
    /// Records that begin in `start..end` are ours.
    start: u64,
    end: u64,
    /// Place of the next unused byte in the (decompressed) file.
    position: u64,
    records: Records,
    /// Where each finished record begins.
    record_starts: Vec<u64>,
    finished: bool,
}

impl Scan {
    /// Opens the file and stands at the first record that is ours.
    async fn begin(&mut self) -> Result<()> {
        let compression = self.dialect.compression;
        self.source = Some(
            ByteSource::open(self.store.as_ref(), &self.location, self.position, compression)
                .await?,
        );
        if self.start > 0 {
            self.skip_line().await?;
        } else if self.dialect.header {
            self.read_records(1).await?;
            if self.dialect.checks_names && self.records.len() == 1 {
                self.check_header()?;
            }
            self.records.clear();
            self.record_starts.clear();
        }
        Ok(())
    }

    /// Skips the rest of the record that began before our range, as far as a newline tells.
    async fn skip_line(&mut self) -> Result<()> {
        let source = self.source.as_mut().expect("begin opened it");
        loop {
            let bytes = source.fill(&self.location).await?;
            if bytes.is_empty() {
                break;
            }
            let found = memchr::memchr(b'\n', bytes);
            let count = found.map_or(bytes.len(), |index| index + 1);
            source.consume(count);
            self.position += count as u64;
            if found.is_some() {
                break;
            }
        }
        self.skip_empty_lines().await?;
        Ok(self.boundaries.agree(&self.location, self.start, self.position)?)
    }

    /// Moves to the first byte of the next record.
    async fn skip_empty_lines(&mut self) -> Result<()> {
        let source = self.source.as_mut().expect("begin opened it");
        loop {
            let bytes = source.fill(&self.location).await?;
            let count = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
            let more = count > 0 && count == bytes.len();
            source.consume(count);
            self.position += count as u64;
            if !more {
                return Ok(());
            }
        }
    }

    fn check_header(&self) -> Result<()> {
        let header: Vec<&[u8]> =
            (0..self.file_schema.fields().len()).map(|i| self.records.field(0, i)).collect();
        let names: Vec<String> =
            self.file_schema.fields().iter().map(|field| field.name().clone()).collect();
        Ok(same_names("the table", &names, &self.path(), &column_names(&header))?)
    }

    async fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        self.records.clear();
        self.record_starts.clear();
        self.read_records(self.batch_size).await?;
        if self.records.len() == 0 {
            return Ok(None);
        }
        let mut arrays = Vec::with_capacity(self.columns.len());
        for column in &self.columns {
            let data_type = self.file_schema.field(*column).data_type();
            match convert::column(&self.records, *column, data_type, &self.dialect) {
                Ok(array) => arrays.push(array),
                Err(bad) => return Err(self.bad_value(*column, bad).await),
            }
        }
        let options = RecordBatchOptions::new().with_row_count(Some(self.records.len()));
        Ok(Some(RecordBatch::try_new_with_options(Arc::clone(&self.schema), arrays, &options)?))
    }

    /// Reads until `count` records are finished or no more begin in our range.
    async fn read_records(&mut self, count: usize) -> Result<()> {
        let first = self.position;
        let result = self.read_records_inner(count).await;
        self.bytes_scanned.add((self.position - first) as usize);
        match result {
            Err(ReadError::Record(err)) => Err(self.bad_record(err).await),
            Err(ReadError::Other(err)) => Err(err),
            Ok(()) => Ok(()),
        }
    }

    async fn read_records_inner(&mut self, count: usize) -> Result<(), ReadError> {
        while self.records.len() < count && !self.finished {
            if !self.records.in_record() {
                self.skip_empty_lines().await.map_err(ReadError::Other)?;
                if self.position >= self.end {
                    self.boundaries
                        .agree(&self.location, self.end, self.position)
                        .map_err(|err| ReadError::Other(err.into()))?;
                    self.finished = true;
                    break;
                }
                self.record_starts.push(self.position);
            }
            let source = self.source.as_mut().expect("begin opened it");
            let bytes = source.fill(&self.location).await.map_err(ReadError::Other)?;
            let at_end = bytes.is_empty();
            let (used, done) = self.records.read(bytes).map_err(ReadError::Record)?;
            source.consume(used);
            self.position += used as u64;
            if at_end && !done {
                self.finished = true;
            }
        }
        Ok(())
    }

    async fn bad_record(&mut self, err: RecordError) -> DataFusionError {
        let begins = self.record_starts.last().copied().unwrap_or(self.position);
        let place = self.place(begins).await;
        let expected = self.file_schema.fields().len();
        let error = match err {
            RecordError::FieldCount(found) => {
                let fields = if found == 1 { "field" } else { "fields" };
                Error::input(format!("{place} has {found} {fields}, expected {expected}"))
            }
            RecordError::TooLong => Error::input(format!(
                "{place} begins a record of more than {} MiB",
                MAX_RECORD_BYTES >> 20
            ))
            .with_hint("a quote that is never closed is the usual cause"),
            RecordError::OpenQuote => {
                Error::input(format!("{place} begins a quoted field that is never closed"))
            }
        };
        let error = match error.hint() {
            // Reading from a cut on, a newline in a field looks like a short record.
            None if self.start > 0 || self.end < u64::MAX => error.with_hint(
                "mend the line, or, if quoted fields hold newlines, create the table with \
                 OPTIONS (newlines_in_values true)",
            ),
            None => error.with_hint("mend the line"),
            Some(_) => error,
        };
        error.into()
    }

    async fn bad_value(&mut self, column: usize, bad: BadValue) -> DataFusionError {
        let place = self.place(self.record_starts[bad.record]).await;
        let field = self.file_schema.field(column);
        if bad.not_utf8 {
            return Error::input(format!(
                "{place}: column \"{}\" is not UTF-8: \"{}\"",
                field.name(),
                bad.value
            ))
            .with_hint("convert the file to UTF-8, for example with iconv")
            .into();
        }
        Error::input(format!(
            "{place}: column \"{}\" is {}, but the value is \"{}\"",
            field.name(),
            type_name(&self.file_schema, column),
            bad.value
        ))
        .with_hint(format!(
            "read the column as text: CREATE EXTERNAL TABLE … (…, \"{}\" VARCHAR, …), or name the \
             word that means NULL: OPTIONS (nullstr '{}')",
            field.name(),
            bad.value
        ))
        .into()
    }

    /// `"path" line 42`, counted from the beginning of the file.
    async fn place(&mut self, offset: u64) -> String {
        match self.line_at(offset).await {
            Ok(line) => format!("\"{}\" line {line}", self.path()),
            Err(_) => format!("\"{}\" byte {offset}", self.path()),
        }
    }

    async fn line_at(&mut self, offset: u64) -> Result<u64> {
        let compression = self.dialect.compression;
        let mut source =
            ByteSource::open(self.store.as_ref(), &self.location, 0, compression).await?;
        let (mut line, mut left) = (1, offset);
        while left > 0 {
            let bytes = source.fill(&self.location).await?;
            let count = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            if count == 0 {
                break;
            }
            line += memchr::memchr_iter(b'\n', &bytes[..count]).count() as u64;
            source.consume(count);
            left -= count as u64;
        }
        Ok(line)
    }

    fn path(&self) -> String {
        crate::scan::shown_path(&self.location)
    }
}

enum ReadError {
    Record(RecordError),
    Other(DataFusionError),
}

/// The SQL word for a column's type, with its article.
fn type_name(schema: &Schema, column: usize) -> String {
    use arrow::datatypes::DataType;
    match schema.field(column).data_type() {
        DataType::Boolean => "a boolean".to_string(),
        DataType::Int64 => "an integer".to_string(),
        DataType::Float64 => "a number".to_string(),
        DataType::Date32 => "a date".to_string(),
        DataType::Timestamp(..) => "a timestamp".to_string(),
        other => format!("of type {other}"),
    }
}
