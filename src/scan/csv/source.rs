//! DataFusion's side of the scan: parts of files, projection, filters, metrics.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{DataType, Schema, SchemaRef};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::config::ConfigOptions;
use datafusion::datasource::listing::{FileRange, PartitionedFile};
use datafusion::datasource::physical_plan::{
    FileGroup, FileOpenFuture, FileOpener, FileScanConfig, FileSource,
};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::Result;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::projection::ProjectionExprs;
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_expr::{LexOrdering, conjunction};
use datafusion::physical_expr_common::physical_expr::is_volatile;
use datafusion::physical_plan::filter_pushdown::{FilterPushdownPropagation, PushedDown};
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricBuilder};
use datafusion::physical_plan::{DisplayFormatType, PhysicalExpr, apply_expression_roots};
use datafusion_datasource::projection::{ProjectionOpener, SplitProjection};
use futures::{StreamExt, stream};
use object_store::ObjectStore;

use super::convert::Rules;
use super::cuts::Cuts;
use super::dialect::Dialect;
use super::scan::{Predicate, Reading, Scan};
use crate::scan::store::{FileStore, is_local};

/// The smallest part of a file that is read on its own: less is not worth the beginning.
const LEAST_PART_BYTES: u64 = 256 << 10;

/// Pieces in a part of a file that is not local, at least and at most: each part begins with a
/// request that nothing is done beside.
const LEAST_PIECES_ELSEWHERE: u64 = 4;
const MOST_PIECES_ELSEWHERE: u64 = 8;

/// The files of a CSV table, their dialect, and the wanted columns and rows.
#[derive(Debug, Clone)]
pub(crate) struct CsvSource {
    dialect: Arc<Dialect>,
    table_schema: TableSchema,
    projection: SplitProjection,
    /// Which rows are wanted, over the table's columns; whoever reads the rows filters them again.
    predicate: Option<Arc<dyn PhysicalExpr>>,
    batch_size: usize,
    metrics: ExecutionPlanMetricsSet,
    cuts: Arc<Cuts>,
}

impl CsvSource {
    pub(crate) fn new(table_schema: TableSchema, dialect: Arc<Dialect>) -> Self {
        CsvSource {
            dialect,
            projection: SplitProjection::unprojected(&table_schema),
            table_schema,
            predicate: None,
            batch_size: 8192,
            metrics: ExecutionPlanMetricsSet::new(),
            cuts: Arc::default(),
        }
    }

    /// All that decides which rows the bytes of a file are.
    pub(crate) fn form(&self) -> String {
        self.dialect.form()
    }

    /// Whether an expression can be evaluated on the columns of a file, once or twice a row.
    fn is_of_file(&self, expr: &Arc<dyn PhysicalExpr>) -> bool {
        let width = self.table_schema.file_schema().fields().len();
        !is_volatile(expr)
            && collect_columns(expr).iter().all(|column: &Column| column.index() < width)
    }

    fn predicate(&self, file_schema: &SchemaRef) -> Result<Option<Predicate>> {
        let predicate = self.predicate.as_ref();
        predicate.map(|expr| Predicate::new(Arc::clone(expr), file_schema)).transpose()
    }
}

impl FileSource for CsvSource {
    fn create_file_opener(
        &self,
        object_store: Arc<dyn ObjectStore>,
        config: &FileScanConfig,
        partition: usize,
    ) -> Result<Arc<dyn FileOpener>> {
        let file_schema = self.table_schema.file_schema();
        let types: Vec<&DataType> =
            file_schema.fields().iter().map(|field| field.data_type()).collect();
        let columns = self.projection.file_indices.clone();
        let counter = |name| MetricBuilder::new(&self.metrics).counter(name, partition);
        let temporary = self.dialect.temporary.clone();
        let store = FileStore::new(config.object_store_url.clone(), object_store, temporary);
        let reading = Reading {
            store,
            rules: Rules::new(&self.dialect, &types)?,
            marks: self.dialect.marks(),
            dialect: Arc::clone(&self.dialect),
            schema: Arc::new(file_schema.project(&columns)?),
            columns,
            predicate: self.predicate(file_schema)?,
            file_schema: Arc::clone(file_schema),
            batch_size: self.batch_size,
            decode_threads: (self.dialect.threads / config.file_groups.len().max(1)).max(1),
            bytes_scanned: counter("bytes_scanned"),
            rows_filtered: counter("rows_filtered"),
            rows_rejected: counter("rows_rejected"),
        };
        let opener = CsvOpener { reading: Arc::new(reading), cuts: Arc::clone(&self.cuts) };
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

    fn filter(&self) -> Option<Arc<dyn PhysicalExpr>> {
        self.predicate.clone()
    }

    /// Takes what can be evaluated on columns of the file, so that the other columns are converted
    /// only for the rows that pass.
    ///
    /// The filter above stays: it knows how many rows to expect, and gathers what is left of many
    /// batches.
    fn try_pushdown_filters(
        &self,
        filters: Vec<Arc<dyn PhysicalExpr>>,
        _config: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Arc<dyn FileSource>>> {
        let answers = vec![PushedDown::No; filters.len()];
        let propagation = FilterPushdownPropagation::with_parent_pushdown_result(answers);
        let mut taken = filters.into_iter().filter(|filter| self.is_of_file(filter)).peekable();
        if taken.peek().is_none() {
            return Ok(propagation);
        }
        let predicate = conjunction(self.predicate.clone().into_iter().chain(taken));
        let source = CsvSource { predicate: Some(predicate), ..self.clone() };
        Ok(propagation.with_updated_node(Arc::new(source)))
    }

    fn metrics(&self) -> &ExecutionPlanMetricsSet {
        &self.metrics
    }

    fn file_type(&self) -> &str {
        "csv"
    }

    fn supports_repartitioning(&self) -> bool {
        self.dialect.is_splittable()
    }

    /// Cuts the files into parts of at most a [`Dialect::piece_bytes`], or a few of them if they are not
    /// local. Each partition takes the next part when it is done with its last.
    fn repartitioned(
        &self,
        target_partitions: usize,
        least_bytes: usize,
        _output_ordering: Option<LexOrdering>,
        config: &FileScanConfig,
    ) -> Result<Option<FileScanConfig>> {
        let files = || config.file_groups.iter().flat_map(|group| group.files());
        let bytes: u64 = files().map(PartitionedFile::effective_size).sum();
        let whole = files().all(|file| file.range.is_none());
        if !self.supports_repartitioning()
            || !whole
            || target_partitions < 2
            || bytes < least_bytes.min(self.dialect.piece_bytes) as u64
        {
            return Ok(None);
        }
        let piece = self.dialect.piece_bytes as u64;
        let (least, most) = match is_local(&config.object_store_url) {
            true => (LEAST_PART_BYTES.min(piece), piece),
            false => (LEAST_PIECES_ELSEWHERE * piece, MOST_PIECES_ELSEWHERE * piece),
        };
        let part_bytes = (bytes / (4 * target_partitions as u64)).clamp(least, most);
        let mut parts = Vec::new();
        for file in files() {
            let size = file.object_meta.size;
            for start in (0..size.max(1)).step_by(part_bytes as usize) {
                let mut part = file.clone();
                let end = (start + part_bytes).min(size);
                part.range = Some(FileRange { start: start as i64, end: end as i64 });
                parts.push(part);
            }
        }
        // Parts that follow one another are in one group, so that rows stay in order in it.
        let group_len = parts.len().div_ceil(target_partitions);
        let groups = parts.chunks(group_len).map(|group| FileGroup::new(group.to_vec())).collect();
        let mut repartitioned = config.clone();
        repartitioned.file_groups = groups;
        Ok(Some(repartitioned))
    }

    fn fmt_extra(&self, format: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        match format {
            DisplayFormatType::Default | DisplayFormatType::Verbose => {
                write!(
                    f,
                    ", delimiter={:?}, header={}, parallel={}",
                    char::from(self.dialect.delimiter),
                    self.dialect.header,
                    self.dialect.is_splittable()
                )?;
                match &self.predicate {
                    Some(predicate) => write!(f, ", predicate={predicate}"),
                    None => Ok(()),
                }
            }
            DisplayFormatType::TreeRender => Ok(()),
        }
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        match apply_expression_roots(self.projection.source.iter(), f)? {
            TreeNodeRecursion::Stop => Ok(TreeNodeRecursion::Stop),
            _ => apply_expression_roots(self.predicate.iter(), f),
        }
    }
}

/// Opens files, or parts of files, for one partition.
struct CsvOpener {
    reading: Arc<Reading>,
    cuts: Arc<Cuts>,
}

impl FileOpener for CsvOpener {
    fn open(&self, file: PartitionedFile) -> Result<FileOpenFuture> {
        let cuts = self.cuts.of(&file.object_meta);
        let scan = Scan::open(Arc::clone(&self.reading), cuts, file);
        Ok(Box::pin(async move {
            let batches = stream::try_unfold(scan.await?, |mut scan| async move {
                Ok(scan.next_batch().await?.map(|batch| (batch, scan)))
            });
            Ok(batches.boxed())
        }))
    }
}

/// The SQL word for a column's type, with its article.
pub(super) fn type_name(schema: &Schema, column: usize) -> String {
    match schema.field(column).data_type() {
        DataType::Boolean => "a boolean".to_string(),
        integer if integer.is_integer() => "an integer".to_string(),
        DataType::Float32 | DataType::Float64 => "a number".to_string(),
        DataType::Date32 => "a date".to_string(),
        DataType::Timestamp(..) => "a timestamp".to_string(),
        other => format!("of type {other}"),
    }
}
