//! The rows of a table, as they were when the query was planned, as the source of a scan.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::Statistics;
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::source::DataSource;
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::projection::ProjectionExprs;
use datafusion::physical_expr::{EquivalenceProperties, LexOrdering, PhysicalExpr};
use datafusion::physical_plan::execution_plan::SchedulingType;
use datafusion::physical_plan::limit::LimitStream;
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet};
use datafusion::physical_plan::projection::{all_alias_free_columns, new_projections_for_columns};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayFormatType, Partitioning};
use futures::StreamExt;

use super::Version;
use super::rows::{Block, read};

/// A scan is not divided into parts smaller than this: starting one costs more than it saves.
const LEAST_PART_BYTES: usize = 1 << 20;

/// Reads some columns of the rows of one version of a table. A part reads blocks that follow each
/// other, and one part gives the rows in the order in which they were added.
#[derive(Debug, Clone)]
pub(super) struct TableScan {
    version: Arc<Version>,
    /// The schema of all columns.
    schema: SchemaRef,
    projected: SchemaRef,
    projection: Vec<usize>,
    parts: Vec<Vec<Arc<Block>>>,
    fetch: Option<usize>,
    metrics: ExecutionPlanMetricsSet,
}

impl TableScan {
    pub(super) fn new(
        version: Arc<Version>,
        schema: SchemaRef,
        projection: Option<&Vec<usize>>,
    ) -> Result<Self> {
        let all = || (0..schema.fields().len()).collect();
        let projection = projection.map_or_else(all, Vec::clone);
        Ok(TableScan {
            projected: Arc::new(schema.project(&projection)?),
            parts: vec![version.blocks.clone()],
            version,
            schema,
            projection,
            fetch: None,
            metrics: ExecutionPlanMetricsSet::new(),
        })
    }
}

/// Cuts blocks into as many parts of about the same size, each of which has at least
/// [`LEAST_PART_BYTES`].
fn parts(blocks: &[Arc<Block>], count: usize) -> Vec<Vec<Arc<Block>>> {
    let bytes: usize = blocks.iter().map(|block| block.bytes).sum();
    let each = (bytes / count.max(1)).max(LEAST_PART_BYTES);
    let mut parts: Vec<Vec<Arc<Block>>> = vec![Vec::new()];
    let mut seen = 0;
    for block in blocks {
        // By its middle, so that parts are full on average.
        let part = ((seen + block.bytes / 2) / each).min(count - 1);
        if part >= parts.len() {
            parts.push(Vec::new());
        }
        parts.last_mut().expect("there is one").push(Arc::clone(block));
        seen += block.bytes;
    }
    parts
}

impl DataSource for TableScan {
    fn open(&self, partition: usize, _: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let projection = self.projection.clone();
        let batches = read(Arc::clone(&self.schema), self.parts[partition].clone())
            .map(move |batch| Ok(batch?.project(&projection)?));
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

    fn repartitioned(
        &self,
        target: usize,
        _: usize,
        order: Option<LexOrdering>,
    ) -> Result<Option<Arc<dyn DataSource>>> {
        if order.is_some() || self.parts.len() != 1 || self.fetch.is_some() {
            return Ok(None);
        }
        let parts = parts(&self.parts[0], target.max(1));
        if parts.len() == 1 {
            return Ok(None);
        }
        Ok(Some(Arc::new(TableScan { parts, ..self.clone() })))
    }

    fn output_partitioning(&self) -> Partitioning {
        Partitioning::UnknownPartitioning(self.parts.len())
    }

    fn eq_properties(&self) -> EquivalenceProperties {
        EquivalenceProperties::new(Arc::clone(&self.projected))
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
