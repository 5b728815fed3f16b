//! A function over batches as they come.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::internal_err;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties,
};
use futures::{StreamExt, TryStreamExt, stream};

use super::{Function, Pieces, checked, guarded};
use crate::kernel::{counted, until_error};

/// Gives each batch to a function.
pub(super) struct MapExec {
    name: &'static str,
    input: Arc<dyn ExecutionPlan>,
    schema: SchemaRef,
    function: Function,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl MapExec {
    pub(super) fn new(
        name: &'static str,
        input: Arc<dyn ExecutionPlan>,
        schema: SchemaRef,
        function: Function,
    ) -> Self {
        let partitions = input.output_partitioning().partition_count();
        let properties = Arc::new(PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&schema)),
            datafusion::physical_plan::Partitioning::UnknownPartitioning(partitions),
            EmissionType::Incremental,
            Boundedness::Bounded,
        ));
        let metrics = ExecutionPlanMetricsSet::new();
        MapExec { name, input, schema, function, properties, metrics }
    }
}

/// What a function makes of a batch, as a stream of batches of a schema.
pub(super) fn results(
    name: &'static str,
    function: &Function,
    batch: RecordBatch,
    schema: SchemaRef,
) -> Result<impl futures::Stream<Item = Result<RecordBatch>> + use<>> {
    let pieces = guarded(name, || function(batch))?;
    Ok(stream::try_unfold(pieces, move |mut pieces: Pieces| {
        let next = guarded(name, || pieces.next().transpose());
        let next =
            next.and_then(|batch| batch.map(|batch| checked(name, &batch, &schema)).transpose());
        async move { Ok(next?.map(|batch| (batch, pieces))) }
    }))
}

impl fmt::Debug for MapExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MapExec").field("input", &self.input).finish_non_exhaustive()
    }
}

impl DisplayAs for MapExec {
    fn fmt_as(&self, kind: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match kind {
            DisplayFormatType::TreeRender => write!(f, "{}", self.name),
            DisplayFormatType::Default | DisplayFormatType::Verbose => {
                write!(f, "MapExec: {}", self.name)
            }
        }
    }
}

impl ExecutionPlan for MapExec {
    fn name(&self) -> &str {
        "MapExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let (Some(input), true) = (children.pop(), children.is_empty()) else {
            return internal_err!("a function over several plans");
        };
        let (schema, function) = (Arc::clone(&self.schema), Arc::clone(&self.function));
        Ok(Arc::new(MapExec::new(self.name, input, schema, function)))
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let (name, function) = (self.name, Arc::clone(&self.function));
        let schema = Arc::clone(&self.schema);
        let mapped = self
            .input
            .execute(partition, context)?
            .try_filter(|batch| futures::future::ready(batch.num_rows() > 0))
            .map(move |batch| results(name, &function, batch?, Arc::clone(&schema)))
            .try_flatten();
        Ok(counted(self.schema(), until_error(mapped), &self.metrics, partition))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}
