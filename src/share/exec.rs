//! A part of a plan that is run once for several references.

use std::fmt;
use std::sync::Arc;

use datafusion::common::Statistics;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::coop::make_cooperative;
use datafusion::physical_plan::execution_plan::EmissionType;
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricsSet, SpillMetrics};
use datafusion::physical_plan::statistics::StatisticsArgs;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning,
    PlanProperties,
};
use futures::future::{BoxFuture, Shared as SharedFuture};
use futures::{FutureExt, TryStreamExt, stream};
use parking_lot::Mutex;

use crate::kernel::counted;
use crate::table::StoredTable;

/// The rows of a part, once they are there.
type Run = SharedFuture<BoxFuture<'static, Result<StoredTable, Arc<DataFusionError>>>>;

/// What the references of a part share. The first that is read runs the part, all of it, in tasks of
/// its own; its rows stay, in memory or on disk, as long as the plan. So no reference waits for
/// another, however far ahead it is.
#[derive(Default)]
pub(super) struct Shared(Mutex<Option<Run>>);

/// One of the references of a part.
#[derive(Debug)]
pub(super) struct SharedExec {
    number: usize,
    /// The part; each reference has it, and one of them runs it.
    input: Arc<dyn ExecutionPlan>,
    shared: Arc<Shared>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl SharedExec {
    pub(super) fn new(number: usize, input: Arc<dyn ExecutionPlan>, shared: Arc<Shared>) -> Self {
        let mut equivalences = input.equivalence_properties().clone();
        // Its rows are dealt out anew.
        equivalences.clear_orderings();
        equivalences.clear_per_partition_constants();
        let properties = PlanProperties::new(
            equivalences,
            Partitioning::UnknownPartitioning(input.output_partitioning().partition_count()),
            EmissionType::Final,
            input.boundedness(),
        );
        let metrics = ExecutionPlanMetricsSet::new();
        SharedExec { number, input, shared, properties: Arc::new(properties), metrics }
    }

    fn run(&self, context: &Arc<TaskContext>) -> Run {
        let mut run = self.shared.0.lock();
        let run = run.get_or_insert_with(|| {
            let (input, context) = (Arc::clone(&self.input), Arc::clone(context));
            let spills = SpillMetrics::new(&self.metrics, 0);
            async move {
                let schema = input.schema();
                let table = StoredTable::of_plan(input, schema, context, Some(spills)).await;
                table.map_err(|err| Arc::new(DataFusionError::from(err)))
            }
            .boxed()
            .shared()
        });
        run.clone()
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", if self.0.lock().is_some() { "begun" } else { "not begun" })
    }
}

impl DisplayAs for SharedExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "SharedExec: {}", self.number)
    }
}

impl ExecutionPlan for SharedExec {
    fn name(&self) -> &str {
        "SharedExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![false]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let input = Arc::clone(&children[0]);
        Ok(Arc::new(SharedExec::new(self.number, input, Arc::clone(&self.shared))))
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let count = self.properties.output_partitioning().partition_count();
        let part = self.run(&context).map(move |table| match table {
            Ok(table) => Ok(table.part(partition, count)),
            Err(err) => Err(DataFusionError::Shared(err)),
        });
        let rows = stream::once(part).try_flatten();
        Ok(make_cooperative(counted(self.schema(), rows, &self.metrics, partition)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn statistics_from_inputs(
        &self,
        inputs: &[Arc<Statistics>],
        arguments: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        match (inputs, arguments.partition()) {
            ([input], None) => Ok(Arc::clone(input)),
            _ => Ok(Arc::new(Statistics::new_unknown(&self.schema()))),
        }
    }
}
