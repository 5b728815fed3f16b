//! Grouped aggregation of any number of groups in bounded memory.
//!
//! - this module: [`SpillingAggregateExec`], the node of a physical plan, and
//!   [`SpillingAggregates`], the rule that puts it in place of DataFusion's last aggregation
//! - `operation`: the algorithm

mod operation;

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::Statistics;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::physical_expr_common::physical_expr::is_volatile;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::execution_plan::{Boundedness, CardinalityEffect, EmissionType};
use datafusion::physical_plan::filter_pushdown::{
    ChildPushdownResult, FilterDescription, FilterPushdownPhase, FilterPushdownPropagation,
};
use datafusion::physical_plan::metrics::{
    ExecutionPlanMetricsSet, MetricBuilder, MetricsSet, SpillMetrics,
};
use datafusion::physical_plan::statistics::{ChildStats, StatisticsArgs};
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, InputOrderMode,
    Partitioning, PlanProperties, ReplaceChildrenOptions,
};

use crate::kernel::{Outputs, counted, recomputed};
use crate::session::Resources;

/// The last aggregation of a plan, which goes to disk when memory has no room for its rows.
///
/// Its input is what partial aggregations give or, where those would collect values instead of
/// reducing rows, the rows themselves. They are split by the hash of the group keys into buckets, each
/// of which is aggregated on its own. All partitions of the input are read together; the outputs have
/// the groups in no order, each group in one of them.
#[derive(Debug)]
pub(crate) struct SpillingAggregateExec {
    /// The node that does the aggregation of a bucket. It knows schema, statistics and filters.
    kernel: Arc<AggregateExec>,
    /// Outputs, at most.
    target_partitions: usize,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
    outputs: Outputs,
}

impl SpillingAggregateExec {
    fn new(kernel: AggregateExec, target_partitions: usize) -> Self {
        let mut equivalences = kernel.properties().eq_properties.clone();
        equivalences.clear_orderings();
        equivalences.clear_per_partition_constants();
        let inputs = kernel.input().output_partitioning().partition_count();
        let properties = Arc::new(PlanProperties::new(
            equivalences,
            Partitioning::UnknownPartitioning(inputs.min(target_partitions).max(1)),
            EmissionType::Final,
            Boundedness::Bounded,
        ));
        SpillingAggregateExec {
            kernel: Arc::new(kernel),
            target_partitions,
            properties,
            metrics: ExecutionPlanMetricsSet::new(),
            outputs: Outputs::default(),
        }
    }

    /// The same with another node for the buckets.
    fn with_kernel(&self, kernel: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
        match kernel.downcast_ref::<AggregateExec>() {
            Some(kernel) => {
                Ok(Arc::new(SpillingAggregateExec::new(kernel.clone(), self.target_partitions)))
            }
            None => datafusion::common::internal_err!("an aggregation became {}", kernel.name()),
        }
    }

    /// The last aggregation that a node does, able to spill; `None` if the node does none that we
    /// take over: one without groups, or one that reads its groups in order or stops early and so
    /// holds few of them. With several grouping sets no order is relied upon: DataFusion 55 says that
    /// the rows of all sets are in the order of the input, which a partial aggregation that gives its
    /// groups early breaks.
    fn of(plan: &Arc<dyn ExecutionPlan>, target_partitions: usize) -> Result<Option<Self>> {
        let Some(last) = plan.downcast_ref::<AggregateExec>() else { return Ok(None) };
        let is_last = matches!(last.mode(), AggregateMode::Final | AggregateMode::FinalPartitioned);
        let Some(partial) = last.input().downcast_ref::<AggregateExec>() else { return Ok(None) };
        let has_sets = partial.group_expr().has_grouping_set();
        let is_plain = |aggregate: &AggregateExec| {
            aggregate.limit_options().is_none()
                && (has_sets || *aggregate.input_order_mode() != InputOrderMode::Sorted)
        };
        if !is_last
            || *partial.mode() != AggregateMode::Partial
            || partial.group_expr().is_empty()
            || !is_plain(last)
            || !is_plain(partial)
            || partial.input().boundedness() != Boundedness::Bounded
        {
            return Ok(None);
        }
        let collects = partial.aggr_expr().iter().any(|function| collects(function));
        // Keys that are drawn anew each time they are evaluated must be evaluated once.
        let is_volatile = partial.group_expr().input_exprs().iter().any(is_volatile);
        let kernel = if collects && !has_sets && !is_volatile {
            let single = AggregateExec::try_new(
                AggregateMode::Single,
                partial.group_expr().clone(),
                partial.aggr_expr().to_vec(),
                partial.filter_expr().to_vec(),
                Arc::clone(partial.input()),
                partial.input_schema(),
            )?;
            if single.schema() == last.schema() { single } else { last.clone() }
        } else {
            last.clone()
        };
        Ok(Some(SpillingAggregateExec::new(kernel, target_partitions)))
    }

    /// Begins the aggregation; gives its outputs.
    fn start(&self, context: &Arc<TaskContext>) -> Result<Vec<SendableRecordBatchStream>> {
        let shared = operation::Context {
            task: Arc::clone(context),
            resources: Resources::of(context)?,
            kernel: Arc::clone(&self.kernel),
            metrics: operation::Metrics {
                spills: SpillMetrics::new(&self.metrics, 0),
                split_buckets: MetricBuilder::new(&self.metrics).global_counter("split_buckets"),
            },
        };
        let input = self.kernel.input();
        let inputs = (0..input.output_partitioning().partition_count())
            .map(|partition| input.execute(partition, Arc::clone(context)))
            .collect::<Result<Vec<_>>>()?;
        let outputs = self.properties.partitioning.partition_count();
        Ok(operation::start(Arc::new(shared), inputs, outputs))
    }
}

/// Whether the state of an aggregate grows with the rows of its group.
fn collects(function: &AggregateFunctionExpr) -> bool {
    let is_list = |data_type: &DataType| {
        matches!(
            data_type,
            DataType::List(_)
                | DataType::LargeList(_)
                | DataType::ListView(_)
                | DataType::Map(_, _)
        )
    };
    let name = function.fun().name();
    if name.starts_with("approx_") {
        return false;
    }
    let state = function.state_fields().unwrap_or_default();
    function.is_distinct()
        || name == "string_agg"
        || state.iter().any(|field| is_list(field.data_type()))
}

impl DisplayAs for SpillingAggregateExec {
    fn fmt_as(&self, kind: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kernel.fmt_as(kind, f)
    }
}

impl ExecutionPlan for SpillingAggregateExec {
    fn name(&self) -> &str {
        "AggregateExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![*self.kernel.mode() == AggregateMode::Single]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![self.kernel.input()]
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.kernel.apply_expressions(f)
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
        self.with_kernel(Arc::clone(&self.kernel).replace_children(children, options)?)
    }

    fn reset_state(self: Arc<Self>) -> Result<Arc<dyn ExecutionPlan>> {
        self.with_kernel(Arc::clone(&self.kernel).reset_state()?)
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

    fn child_stats_requests(&self, _: Option<usize>) -> Vec<ChildStats> {
        vec![ChildStats::At(None)]
    }

    fn statistics_from_inputs(
        &self,
        inputs: &[Arc<Statistics>],
        arguments: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        if arguments.partition().is_some() {
            return Ok(Arc::new(Statistics::new_unknown(&self.schema())));
        }
        self.kernel.statistics_from_inputs(inputs, arguments)
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        self.kernel.cardinality_effect()
    }

    fn gather_filters_for_pushdown(
        &self,
        phase: FilterPushdownPhase,
        parent_filters: Vec<Arc<dyn PhysicalExpr>>,
        config: &ConfigOptions,
    ) -> Result<FilterDescription> {
        self.kernel.gather_filters_for_pushdown(phase, parent_filters, config)
    }

    fn handle_child_pushdown_result(
        &self,
        phase: FilterPushdownPhase,
        result: ChildPushdownResult,
        config: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Arc<dyn ExecutionPlan>>> {
        let mut propagation = self.kernel.handle_child_pushdown_result(phase, result, config)?;
        if let Some(updated) = propagation.updated_node.take() {
            propagation.updated_node = Some(self.with_kernel(updated)?);
        }
        Ok(propagation)
    }
}

/// Replaces the last aggregations of a plan by ones that spill.
///
/// It runs before it is decided what must be repartitioned, because ours splits its rows itself.
#[derive(Debug)]
pub(crate) struct SpillingAggregates;

impl PhysicalOptimizerRule for SpillingAggregates {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| {
            Ok(match SpillingAggregateExec::of(&node, config.execution.target_partitions)? {
                Some(aggregate) => Transformed::yes(Arc::new(aggregate) as _),
                None => Transformed::no(node),
            })
        })
        .data()
    }

    fn name(&self) -> &str {
        "SpillingAggregates"
    }

    fn schema_check(&self) -> bool {
        true
    }
}
