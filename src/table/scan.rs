//! The rows of a table, as they were when the query was planned, as the source of a scan.

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, UInt64Array};
use arrow::datatypes::SchemaRef;
use datafusion::common::Statistics;
use datafusion::common::config::ConfigOptions;
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::datasource::source::{DataSource, DataSourceExec};
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::projection::ProjectionExprs;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::execution_plan::SchedulingType;
use datafusion::physical_plan::limit::LimitStream;
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet};
use datafusion::physical_plan::projection::{all_alias_free_columns, new_projections_for_columns};
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayFormatType, ExecutionPlan, Partitioning};
use futures::StreamExt;

use super::Version;
use super::change::ORDER;
use super::rows::{Block, read};

/// A scan is not divided into parts smaller than this: starting one costs more than it saves.
const LEAST_PART_BYTES: usize = 1 << 20;

/// Reads some columns of the rows of one version of a table. A part reads blocks that follow each
/// other, and one part gives the rows in the order in which they were added.
#[derive(Debug, Clone)]
pub(super) struct TableScan {
    version: Arc<Version>,
    /// The schema of all columns. One more than the table has is the number of the row.
    schema: SchemaRef,
    projected: SchemaRef,
    projection: Vec<usize>,
    parts: Vec<Vec<Arc<Block>>>,
    fetch: Option<usize>,
    metrics: ExecutionPlanMetricsSet,
}

impl TableScan {
    /// The same in at most `count` parts; `None` if one is enough.
    fn in_parts(&self, count: usize) -> Option<Self> {
        if self.parts.len() != 1 || self.fetch.is_some() {
            return None;
        }
        let parts = parts(&self.parts[0], count);
        (parts.len() > 1).then(|| TableScan { parts, ..self.clone() })
    }

    pub(super) fn new(
        version: Arc<Version>,
        schema: SchemaRef,
        projection: Option<&Vec<usize>>,
        fetch: Option<usize>,
    ) -> Result<Self> {
        let all = || (0..schema.fields().len()).collect();
        let projection = projection.map_or_else(all, Vec::clone);
        Ok(TableScan {
            projected: Arc::new(schema.project(&projection)?),
            parts: vec![version.blocks.clone()],
            version,
            schema,
            projection,
            fetch,
            metrics: ExecutionPlanMetricsSet::new(),
        })
    }

    /// Where the number of the row is among the columns, if it is read.
    fn number(&self) -> Option<usize> {
        let number = self.version.bounds.column_count();
        self.projection.iter().position(|column| *column == number)
    }
}

/// The columns of a projection, the last of which may be the number of the row.
fn with_numbers(
    batch: &RecordBatch,
    start: usize,
    projection: &[usize],
    schema: &SchemaRef,
) -> Result<RecordBatch> {
    let numbers = || {
        let numbers = start as u64..(start + batch.num_rows()) as u64;
        Arc::new(UInt64Array::from_iter_values(numbers)) as ArrayRef
    };
    let columns = projection.iter().map(|column| match batch.columns().get(*column) {
        Some(column) => Arc::clone(column),
        None => numbers(),
    });
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns.collect(), &options)?)
}

/// Cuts blocks into as many parts of about the same size, each of which has at least
/// [`LEAST_PART_BYTES`].
pub(super) fn parts(blocks: &[Arc<Block>], count: usize) -> Vec<Vec<Arc<Block>>> {
    let bytes: usize = blocks.iter().map(|block| block.bytes).sum();
    let each = (bytes / count.max(1)).max(LEAST_PART_BYTES);
    let mut parts: Vec<Vec<Arc<Block>>> = vec![Vec::new()];
    let mut seen = 0;
    for block in blocks {
        // By its middle, so that parts are full on average.
        let part = ((seen + block.bytes / 2) / each).min(count.max(1) - 1);
        if part >= parts.len() {
            parts.push(Vec::new());
        }
        parts.last_mut().expect("there is one").push(Arc::clone(block));
        seen += block.bytes;
    }
    parts
}

/// Reads tables in parts where a plan would deal out their rows to its parts.
///
/// DataFusion asks any source for parts, whether what is above can use them or not, and the rows of a
/// plain `SELECT` would come in another order than they were added in.
#[derive(Debug)]
pub(crate) struct TableScansInParts;

impl PhysicalOptimizerRule for TableScansInParts {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| {
            Ok(match scan_in_parts(node.as_ref()) {
                Some(scan) => Transformed::yes(DataSourceExec::from_data_source(scan) as _),
                None => Transformed::no(node),
            })
        })
        .data()
    }

    fn name(&self) -> &str {
        "TableScansInParts"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The scan that does what a node does which deals out the rows of a table.
fn scan_in_parts(node: &dyn ExecutionPlan) -> Option<TableScan> {
    let dealt = node.downcast_ref::<RepartitionExec>()?;
    let Partitioning::RoundRobinBatch(count) = dealt.partitioning() else { return None };
    let scan = dealt.input().downcast_ref::<DataSourceExec>()?;
    scan.data_source().downcast_ref::<TableScan>()?.in_parts(*count)
}

impl DataSource for TableScan {
    fn open(&self, partition: usize, _: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let (projection, schema) = (self.projection.clone(), Arc::clone(&self.projected));
        let before = self.parts[..partition].iter().flatten();
        let mut start: usize = before.map(|block| block.rows).sum();
        let batches = read(Arc::clone(&self.schema), self.parts[partition].clone());
        let batches = batches.map(move |batch| {
            let batch = batch?;
            let projected = with_numbers(&batch, start, &projection, &schema)?;
            start += batch.num_rows();
            Ok(projected)
        });
        let schema = Arc::clone(&self.projected);
        let stream = Box::pin(RecordBatchStreamAdapter::new(schema, batches));
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        Ok(Box::pin(LimitStream::new(stream, 0, self.fetch, metrics)))
    }

    fn fmt_as(&self, kind: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        let rows = self.version.bounds.rows;
        match kind {
            DisplayFormatType::TreeRender => writeln!(f, "format=table\nrows={rows}"),
            DisplayFormatType::Default | DisplayFormatType::Verbose => {
                write!(f, "table, partitions={}, rows={rows}", self.parts.len())?;
                match self.fetch {
                    Some(fetch) => write!(f, ", fetch={fetch}"),
                    None => Ok(()),
                }
            }
        }
    }

    fn output_partitioning(&self) -> Partitioning {
        Partitioning::UnknownPartitioning(self.parts.len())
    }

    fn eq_properties(&self) -> EquivalenceProperties {
        let mut properties = EquivalenceProperties::new(Arc::clone(&self.projected));
        if let Some(number) = self.number() {
            let column = Column::new(self.projected.field(number).name(), number);
            properties.add_ordering([PhysicalSortExpr::new(Arc::new(column), ORDER)]);
        }
        properties
    }

    fn scheduling_type(&self) -> SchedulingType {
        SchedulingType::NonCooperative
    }

    fn partition_statistics(&self, partition: Option<usize>) -> Result<Arc<Statistics>> {
        let all = self.version.bounds.statistics(&self.projection);
        let statistics = match partition.filter(|_| self.parts.len() > 1) {
            None => all,
            Some(partition) => {
                let rows = self.parts[partition].iter().map(|block| block.rows).sum();
                let mut part = all.to_inexact();
                part.num_rows = Precision::Exact(rows);
                for column in &mut part.column_statistics {
                    column.null_count = Precision::Absent;
                }
                part
            }
        };
        Ok(Arc::new(statistics.with_fetch(self.fetch, 0, 1)?))
    }

    fn with_fetch(&self, fetch: Option<usize>) -> Option<Arc<dyn DataSource>> {
        Some(Arc::new(TableScan { fetch, ..self.clone() }))
    }

    fn fetch(&self) -> Option<usize> {
        self.fetch
    }

    fn metrics(&self) -> ExecutionPlanMetricsSet {
        self.metrics.clone()
    }

    fn try_swapping_with_projection(
        &self,
        projection: &ProjectionExprs,
    ) -> Result<Option<Arc<dyn DataSource>>> {
        let exprs: Vec<_> = projection.iter().cloned().collect();
        if !all_alias_free_columns(&exprs) {
            return Ok(None);
        }
        let projection = new_projections_for_columns(&exprs, &self.projection);
        let projected = Arc::new(self.schema.project(&projection)?);
        Ok(Some(Arc::new(TableScan { projection, projected, ..self.clone() })))
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }
}
