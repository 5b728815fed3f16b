//! Window functions of every kind in bounded memory.
//!
//! - this module: the nodes of a physical plan, [`SpillingWindowExec`] and [`SortedWindowExec`], and
//!   the rules that put them in place of DataFusion's
//! - `plan`: what is to be evaluated
//! - `operation`: partitions in no order: buckets by the hash of their keys, in memory or on disk
//! - `kernel`: rows that fit into memory
//! - `sorted`: a stream in order, whatever the size of its partitions
//! - `rows`, `frame`, `function`: the parts of that: rows that are still needed, where frames begin
//!   and end, and the functions
//! - `ranking`, `values`, `aggregate`, `buffered`: the functions by family: of the number of a row, of
//!   the value of another row, aggregates, and those that DataFusion evaluates
//! - `running`, `totals`: aggregates up to a row, in one pass over typed values

mod aggregate;
mod buffered;
mod frame;
mod function;
mod kernel;
mod operation;
mod plan;
mod ranking;
mod rows;
mod running;
mod sorted;
mod totals;
mod values;

use std::fmt;
use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{ColumnStatistics, Statistics, internal_err};
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::OrderingRequirements;
use datafusion::physical_expr::window::WindowExpr;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::execution_plan::{Boundedness, CardinalityEffect, EmissionType};
use datafusion::physical_plan::metrics::{
    ExecutionPlanMetricsSet, MetricBuilder, MetricsSet, SpillMetrics,
};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::statistics::{ChildStats, StatisticsArgs};
use datafusion::physical_plan::windows::{BoundedWindowAggExec, WindowAggExec, get_window_mode};
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties,
    InputDistributionRequirements, InputOrderMode, Partitioning, PlanProperties,
    ReplaceChildrenOptions,
};

use crate::kernel::{Outputs, counted, recomputed};
use crate::session::Resources;
use operation::{Context, Metrics};
use plan::{Stage, Windows};
use rows::Overflow;

/// Windows that share PARTITION BY, over rows in any order and any partitions.
///
/// All partitions of the input are read; the rows come out in no order, in as many partitions as
/// `outputs` says.
#[derive(Debug)]
pub(crate) struct SpillingWindowExec {
    input: Arc<dyn ExecutionPlan>,
    windows: Windows,
    /// Least partitions of the output.
    least_outputs: usize,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
    outputs: Outputs,
}

/// The window expressions of a node of DataFusion's, if it is one that ends.
fn window_exprs(plan: &dyn ExecutionPlan) -> Option<&[Arc<dyn WindowExpr>]> {
    if plan.boundedness() != Boundedness::Bounded {
        return None;
    }
    if let Some(window) = plan.downcast_ref::<WindowAggExec>() {
        return Some(window.window_expr());
    }
    let window = plan.downcast_ref::<BoundedWindowAggExec>()?;
    (window.state_observer().is_none()).then(|| window.window_expr())
}

impl SpillingWindowExec {
    fn new(input: Arc<dyn ExecutionPlan>, windows: Windows, least_outputs: usize) -> Self {
        let partitions = input.output_partitioning().partition_count().max(least_outputs);
        let properties = Arc::new(PlanProperties::new(
            EquivalenceProperties::new(windows.schema()),
            Partitioning::UnknownPartitioning(partitions),
            EmissionType::Final,
            Boundedness::Bounded,
        ));
        let metrics = ExecutionPlanMetricsSet::new();
        let outputs = Outputs::default();
        SpillingWindowExec { input, windows, least_outputs, properties, metrics, outputs }
    }

    /// The windows that a node evaluates, able to spill; `None` if it is no such node, has no
    /// PARTITION BY, or its input is in order already.
    fn of(plan: &dyn ExecutionPlan, least_outputs: usize) -> Result<Option<Self>> {
        let Some(exprs) = window_exprs(plan) else { return Ok(None) };
        let [first, ..] = exprs else { return Ok(None) };
        let same = |expr: &Arc<dyn WindowExpr>| {
            expr.partition_by() == first.partition_by() && expr.order_by() == first.order_by()
        };
        if first.partition_by().is_empty() || !exprs.iter().all(same) {
            return Ok(None);
        }
        let input = plan.children()[0];
        let keys = first.partition_by();
        if let Some((_, InputOrderMode::Sorted)) = get_window_mode(keys, first.order_by(), input)? {
            return Ok(None);
        }
        let stage = Stage::first(exprs, input.schema(), plan.schema());
        let (below, columns) = match input.downcast_ref::<ProjectionExec>() {
            Some(projection) => (projection.input(), Some(projection.expr())),
            None => (input, None),
        };
        // Windows with the same partitions below this one are evaluated on the same buckets.
        let below = below.downcast_ref::<SpillingWindowExec>();
        if let Some((below, before)) =
            below.and_then(|below| Some((below, below.windows.stages.last()?)))
            && let Some(stage) = stage.after(before, columns)?
        {
            let mut windows = below.windows.clone();
            windows.stages.push(Arc::new(stage));
            let input = Arc::clone(&below.input);
            return Ok(Some(SpillingWindowExec::new(input, windows, least_outputs)));
        }
        let stage = Stage::first(exprs, input.schema(), plan.schema());
        let windows = Windows { stages: vec![Arc::new(stage)], input: input.schema() };
        Ok(Some(SpillingWindowExec::new(Arc::clone(input), windows, least_outputs)))
    }

    /// Begins to read the input; gives the outputs.
    fn start(&self, task: &Arc<TaskContext>) -> Result<Vec<SendableRecordBatchStream>> {
        let counter = |name| MetricBuilder::new(&self.metrics).global_counter(name);
        let context = Arc::new(Context {
            windows: self.windows.clone(),
            task: Arc::clone(task),
            resources: Resources::of(task)?,
            metrics: Metrics {
                spills: SpillMetrics::new(&self.metrics, 0),
                split: counter("split_buckets"),
                streamed: counter("streamed_buckets"),
            },
        });
        let inputs = (0..self.input.output_partitioning().partition_count())
            .map(|partition| self.input.execute(partition, Arc::clone(task)))
            .collect::<Result<Vec<_>>>()?;
        let outputs = self.properties.output_partitioning().partition_count();
        Ok(operation::start(&context, inputs, outputs))
    }
}

/// Shows the window expressions of a node.
fn show<'a>(
    name: &str,
    exprs: impl Iterator<Item = &'a Arc<dyn WindowExpr>>,
    kind: DisplayFormatType,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    if let DisplayFormatType::TreeRender = kind {
        let names: Vec<&str> = exprs.map(|expr| expr.name()).collect();
        return writeln!(f, "select_list={}", names.join(", "));
    }
    let names: Vec<String> =
        exprs.map(|expr| format!("{}, frame: {}", expr.name(), expr.get_window_frame())).collect();
    write!(f, "{name}: wdw=[{}]", names.join(", "))
}

/// The expressions that window expressions are made of.
fn apply<'a>(
    exprs: impl Iterator<Item = &'a Arc<dyn WindowExpr>>,
    f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
) -> Result<TreeNodeRecursion> {
    let exprs = exprs.flat_map(|expr| {
        let all = expr.all_expressions();
        all.args.into_iter().chain(all.partition_by_exprs).chain(all.order_by_exprs)
    });
    let exprs: Vec<_> = exprs.collect();
    datafusion::physical_plan::apply_expression_roots(&exprs, f)
}

impl DisplayAs for SpillingWindowExec {
    fn fmt_as(&self, kind: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exprs = self.windows.stages.iter().flat_map(|stage| &stage.exprs);
        show(self.name(), exprs, kind, f)
    }
}

impl ExecutionPlan for SpillingWindowExec {
    fn name(&self) -> &str {
        "SpillingWindowExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        apply(self.windows.stages.iter().flat_map(|stage| &stage.exprs), f)
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let Some(input) = children.pop() else { return internal_err!("a window without input") };
        let windows = self.windows.clone();
        Ok(Arc::new(SpillingWindowExec::new(input, windows, self.least_outputs)))
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
        let mut statistics = inputs[0].as_ref().clone();
        let columns = self.schema().fields().len();
        if self.windows.stages.iter().any(|stage| stage.columns.is_some()) {
            // Columns were dropped or moved in between.
            statistics.column_statistics.clear();
        }
        statistics.column_statistics.resize(columns, ColumnStatistics::new_unknown());
        statistics.total_byte_size = Precision::Absent;
        Ok(Arc::new(statistics))
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        CardinalityEffect::Equal
    }
}

/// Windows over rows that are in order, which they keep.
#[derive(Debug)]
pub(crate) struct SortedWindowExec {
    /// The node that this one stands for: it knows what order it needs and gives.
    plan: Arc<dyn ExecutionPlan>,
    stage: Arc<Stage>,
    metrics: ExecutionPlanMetricsSet,
}

impl SortedWindowExec {
    /// The windows that a node evaluates, able to spill; `None` if it is no such node.
    fn of(plan: &Arc<dyn ExecutionPlan>) -> Option<Self> {
        let exprs = window_exprs(plan.as_ref())?;
        let bounded = plan.downcast_ref::<BoundedWindowAggExec>();
        if bounded.is_some_and(|plan| plan.input_order_mode != InputOrderMode::Sorted) {
            return None;
        }
        // DataFusion puts windows together whose orders differ in keys that are equal within a partition.
        if exprs.iter().any(|expr| expr.order_by() != exprs[0].order_by()) {
            return None;
        }
        let input = plan.children()[0].schema();
        let stage = Arc::new(Stage::first(exprs, input, plan.schema()));
        let metrics = ExecutionPlanMetricsSet::new();
        Some(SortedWindowExec { plan: Arc::clone(plan), stage, metrics })
    }

    /// The same for a node that must be one.
    fn around(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
        match SortedWindowExec::of(&plan) {
            Some(window) => Ok(Arc::new(window)),
            None => internal_err!("a window became {}", plan.name()),
        }
    }
}

impl DisplayAs for SortedWindowExec {
    fn fmt_as(&self, kind: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(self.name(), self.stage.exprs.iter(), kind, f)
    }
}

impl ExecutionPlan for SortedWindowExec {
    fn name(&self) -> &str {
        "SortedWindowExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.plan.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.plan.children()
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        apply(self.stage.exprs.iter(), f)
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        self.plan.maintains_input_order()
    }

    fn required_input_ordering(&self) -> Vec<Option<OrderingRequirements>> {
        self.plan.required_input_ordering()
    }

    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        self.plan.input_distribution_requirements()
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
        SortedWindowExec::around(Arc::clone(&self.plan).replace_children(children, options)?)
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let resources = Resources::of(&context)?;
        let cap =
            resources.knobs.window_bytes.map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
        let overflow = Overflow {
            store: resources.store.clone(),
            metrics: SpillMetrics::new(&self.metrics, partition),
            cap_bytes: cap.unwrap_or(usize::MAX),
        };
        let input = self.children()[0].execute(partition, Arc::clone(&context))?;
        let pool = context.memory_pool();
        let output = sorted::run(Arc::clone(&self.stage), input, pool, overflow);
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

    fn cardinality_effect(&self) -> CardinalityEffect {
        CardinalityEffect::Equal
    }
}

/// Replaces the windows of a plan that have a PARTITION BY by ones that spill.
///
/// It runs before it is decided what must be repartitioned or sorted, because they need neither and
/// keep no order.
#[derive(Debug)]
pub(crate) struct SpillingWindows;

impl PhysicalOptimizerRule for SpillingWindows {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        options: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let least_outputs = options.execution.target_partitions;
        plan.transform_up(|node| {
            Ok(match SpillingWindowExec::of(node.as_ref(), least_outputs)? {
                Some(window) => Transformed::yes(Arc::new(window) as _),
                None => Transformed::no(node),
            })
        })
        .data()
    }

    fn name(&self) -> &str {
        "SpillingWindows"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Replaces the other windows of a plan, whose input is in order.
///
/// It runs when all orders are settled.
#[derive(Debug)]
pub(crate) struct SortedWindows;

impl PhysicalOptimizerRule for SortedWindows {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| {
            Ok(match SortedWindowExec::of(&node) {
                Some(window) => Transformed::yes(Arc::new(window) as _),
                None => Transformed::no(node),
            })
        })
        .data()
    }

    fn name(&self) -> &str {
        "SortedWindows"
    }

    fn schema_check(&self) -> bool {
        true
    }
}
