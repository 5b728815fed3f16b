//! Joins of any size in bounded memory.
//!
//! - this module: [`SpillingJoinExec`], the node of a physical plan, and [`SpillingJoins`], the rule
//!   that puts it in place of DataFusion's joins
//! - `operation`: the algorithm
//! - `collector`: the build side as it is read, in memory or in buckets
//! - `on_disk`: the rows on disk, as pairs of buckets or in chunks
//! - `barrier`: lets the outputs wait for each other
//! - `kernel`: the join of two inputs in memory, which is DataFusion's

mod barrier;
mod collector;
mod kernel;
mod on_disk;
mod operation;

use std::fmt;
use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{Statistics, internal_err};
use datafusion::error::Result;
use datafusion::execution::memory_pool::UnboundedMemoryPool;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::execution_plan::Boundedness;
use datafusion::physical_plan::filter_pushdown::{
    ChildPushdownResult, FilterDescription, FilterPushdownPhase, FilterPushdownPropagation,
};
use datafusion::physical_plan::metrics::{
    ExecutionPlanMetricsSet, MetricBuilder, MetricsSet, SpillMetrics,
};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::statistics::{ChildStats, StatisticsArgs};
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning,
    PlanProperties, ReplaceChildrenOptions,
};

use crate::kernel::{Outputs, context_with_pool, counted, recomputed};
use crate::session::Resources;
use kernel::Kernel;
use operation::{Context, Metrics, Origin};

/// A join that goes to disk when memory has no room for its build side, which is the left input.
///
/// All partitions of the left input are read into one build side; each partition of the right input
/// gives one of the output. Rows come in no order. The plan must read all partitions of the output
/// at the same time.
#[derive(Debug)]
pub(crate) struct SpillingJoinExec {
    kernel: Kernel,
    /// The node that the kernel was taken from: it knows schema, statistics and filters.
    plan: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
    outputs: Outputs,
}

impl fmt::Debug for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name())
    }
}

impl SpillingJoinExec {
    /// The join that a node does, able to spill; `None` if the node is no join or never ends.
    fn of(plan: &dyn ExecutionPlan) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        if plan.boundedness() != Boundedness::Bounded {
            return Ok(None);
        }
        let Some(kernel) = Kernel::of(plan)? else { return Ok(None) };
        let plan = kernel.plan();
        let mut equivalences = plan.equivalence_properties().clone();
        // Every output has rows of all partitions of the inputs.
        equivalences.clear_orderings();
        equivalences.clear_per_partition_constants();
        let partitions = plan.children()[1].output_partitioning().partition_count();
        let properties = Arc::new(PlanProperties::new(
            equivalences,
            Partitioning::UnknownPartitioning(partitions),
            plan.pipeline_behavior(),
            Boundedness::Bounded,
        ));
        let metrics = ExecutionPlanMetricsSet::new();
        Ok(Some(Arc::new(SpillingJoinExec {
            kernel,
            plan,
            properties,
            metrics,
            outputs: Outputs::default(),
        })))
    }

    /// The same for the join on top of a plan, or right below a projection on top.
    fn of_top(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
        if let Some(join) = SpillingJoinExec::of(plan.as_ref())? {
            return Ok(join);
        }
        if let Some(projection) = plan.downcast_ref::<ProjectionExec>()
            && let Some(join) = SpillingJoinExec::of(projection.input().as_ref())?
        {
            return plan.replace_children(vec![join], recomputed());
        }
        internal_err!("a join became {} in a rule", plan.name())
    }

    /// Begins the join; gives its outputs.
    fn start(&self, context: &Arc<TaskContext>) -> Result<Vec<SendableRecordBatchStream>> {
        let task = context_with_pool(context, Arc::new(UnboundedMemoryPool::default()))?;
        let counter = |name| MetricBuilder::new(&self.metrics).global_counter(name);
        let shared = Arc::new(Context {
            task,
            pool: Arc::clone(context.memory_pool()),
            resources: Resources::of(context)?,
            schema: self.schema(),
            metrics: Metrics {
                build_rows: counter("build_input_rows"),
                spills: SpillMetrics::new(&self.metrics, 0),
                pairs: counter("spilled_pairs"),
                chunks: counter("chunks"),
            },
        });
        let all = |child: &Arc<dyn ExecutionPlan>| {
            (0..child.output_partitioning().partition_count())
                .map(|partition| child.execute(partition, Arc::clone(context)))
                .collect::<Result<Vec<_>>>()
        };
        let (builds, probes) = (all(self.children()[0])?, all(self.children()[1])?);
        Ok(operation::start(&shared, &self.kernel, Origin::PLAN, builds, probes))
    }
}

impl DisplayAs for SpillingJoinExec {
    fn fmt_as(&self, kind: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match kind {
            DisplayFormatType::TreeRender => self.plan.fmt_as(kind, f),
            DisplayFormatType::Default | DisplayFormatType::Verbose => {
                let text = displayed(&self.plan, kind);
                // The node's own name and the mode, which does not apply.
                let details = text.split_once(": ").map_or("", |(_, details)| details);
                let details = details.trim_start_matches("mode=CollectLeft, ");
                write!(f, "{}", self.name())?;
                if details.is_empty() { Ok(()) } else { write!(f, ": {details}") }
            }
        }
    }
}

/// What a node says of itself.
fn displayed(plan: &Arc<dyn ExecutionPlan>, kind: DisplayFormatType) -> String {
    struct Shown<'a>(&'a Arc<dyn ExecutionPlan>, DisplayFormatType);
    impl fmt::Display for Shown<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.0.fmt_as(self.1, f)
        }
    }
    Shown(plan, kind).to_string()
}

impl ExecutionPlan for SpillingJoinExec {
    fn name(&self) -> &str {
        self.kernel.name()
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false, true]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.plan.children()
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.plan.apply_expressions(f)
    }

    fn dynamic_expressions_produced(&self) -> Vec<Arc<dyn PhysicalExpr>> {
        self.plan.dynamic_expressions_produced()
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, recomputed())
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        SpillingJoinExec::of_top(Arc::clone(&self.plan).replace_children(children, options)?)
    }

    fn reset_state(self: Arc<Self>) -> Result<Arc<dyn ExecutionPlan>> {
        SpillingJoinExec::of_top(Arc::clone(&self.plan).reset_state()?)
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let output = self.outputs.take(partition, || self.start(&context))?;
        Ok(counted(self.schema(), output, &self.metrics, partition))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn child_stats_requests(&self, partition: Option<usize>) -> Vec<ChildStats> {
        self.plan.child_stats_requests(partition)
    }

    fn statistics_from_inputs(
        &self,
        inputs: &[Arc<Statistics>],
        arguments: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        self.plan.statistics_from_inputs(inputs, arguments)
    }

    fn try_swapping_with_projection(
        &self,
        projection: &ProjectionExec,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        self.plan
            .try_swapping_with_projection(projection)?
            .map(SpillingJoinExec::of_top)
            .transpose()
    }

    fn gather_filters_for_pushdown(
        &self,
        phase: FilterPushdownPhase,
        parent_filters: Vec<Arc<dyn PhysicalExpr>>,
        config: &ConfigOptions,
    ) -> Result<FilterDescription> {
        self.plan.gather_filters_for_pushdown(phase, parent_filters, config)
    }

    fn handle_child_pushdown_result(
        &self,
        phase: FilterPushdownPhase,
        result: ChildPushdownResult,
        config: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Arc<dyn ExecutionPlan>>> {
        let mut propagation = self.plan.handle_child_pushdown_result(phase, result, config)?;
        if let Some(updated) = propagation.updated_node.take() {
            propagation.updated_node = Some(SpillingJoinExec::of_top(updated)?);
        }
        Ok(propagation)
    }
}

/// Replaces the joins of a plan by ones that spill.
///
/// It runs when the sides of the joins have been chosen and before it is decided what must be
/// repartitioned or sorted, because our joins need neither and keep no order.
#[derive(Debug)]
pub(crate) struct SpillingJoins;

impl PhysicalOptimizerRule for SpillingJoins {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| {
            Ok(match SpillingJoinExec::of(node.as_ref())? {
                Some(join) => Transformed::yes(join),
                None => Transformed::no(node),
            })
        })
        .data()
    }

    fn name(&self) -> &str {
        "SpillingJoins"
    }

    fn schema_check(&self) -> bool {
        true
    }
}
