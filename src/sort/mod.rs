//! Sorts of any size in bounded memory.
//!
//! - this module: [`SpillingSortExec`], the node of a physical plan, and [`SpillingSorts`], the rule
//!   that puts it in place of DataFusion's sort
//! - `order`: the order of rows by normalized keys
//! - `sorter`: collects rows; writes them as sorted runs when memory is refused
//! - `merge`: sorted runs into one sorted stream

mod merge;
mod order;
mod sorter;

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::DataType;
use arrow::row::{RowConverter, SortField};
use datafusion::common::Statistics;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{LexOrdering, PhysicalExpr};
use datafusion::physical_expr_common::physical_expr::is_volatile;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::execution_plan::{Boundedness, CardinalityEffect};
use datafusion::physical_plan::metrics::{
    ExecutionPlanMetricsSet, MetricBuilder, MetricsSet, SpillMetrics,
};
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::statistics::{ChildStats, StatisticsArgs};
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, Distribution, ExecutionPlan, ExecutionPlanProperties,
    InputDistributionRequirements, PlanProperties, ReplaceChildrenOptions,
};
use futures::{TryStreamExt, stream};

use crate::kernel::{counted, in_tasks, recomputed, until_error};
use crate::session::Resources;
use order::Keys;
use sorter::{Context, Finished, Sorter};

/// A top-k of more rows than this is a sort that stops early: DataFusion's keeps all k rows in memory.
const MOST_TOP_ROWS: usize = 10_000;

/// DataFusion's top-k keeps this many batches of rows it does not want before it lets go of them.
const TOP_K_BATCHES: usize = 20;

/// Rows of such a batch.
const TOP_K_BATCH_ROWS: usize = 8192;

/// A top-k that keeps more than about this is ours as well.
const MOST_TOP_BYTES: usize = 32 << 20;

/// A sort that goes to disk when memory has no room for its rows. Each partition of the input gives
/// one of the output, or all of them together one, as the sort that it stands for says.
#[derive(Debug)]
pub(crate) struct SpillingSortExec {
    sort: Arc<SortExec>,
    metrics: ExecutionPlanMetricsSet,
}

impl SpillingSortExec {
    /// The sort that a node does, able to spill; `None` if the node is none that we take over.
    fn of(plan: &Arc<dyn ExecutionPlan>) -> Result<Option<Self>> {
        let Some(sort) = plan.downcast_ref::<SortExec>() else { return Ok(None) };
        let input = sort.input();
        if is_small(sort)?
            || sort.expr().iter().any(|key| is_volatile(&key.expr))
            || input.boundedness() != Boundedness::Bounded
            || input.equivalence_properties().ordering_satisfy(sort.expr().clone())?
            || !has_normalized_keys(sort.expr(), input)?
        {
            return Ok(None);
        }
        Ok(Some(SpillingSortExec {
            sort: Arc::new(sort.clone()),
            metrics: ExecutionPlanMetricsSet::new(),
        }))
    }
}

impl SpillingSortExec {
    /// The sort of all partitions into one that a node does whose input is ours, sorted partition by
    /// partition; `None` if the node is no such merge.
    ///
    /// All runs are then merged at once, not those of each partition first.
    fn merging(plan: &Arc<dyn ExecutionPlan>) -> Option<Self> {
        let merge = plan.downcast_ref::<SortPreservingMergeExec>()?;
        let SpillingSortExec { sort, .. } = merge.input().downcast_ref()?;
        let is_same = sort.expr() == merge.expr()
            && sort.preserve_partitioning()
            && (sort.fetch().is_none() || sort.fetch() == merge.fetch());
        is_same.then(|| {
            let whole = sort.as_ref().clone().with_preserve_partitioning(false);
            let whole =
                if sort.fetch() == merge.fetch() { whole } else { whole.with_fetch(merge.fetch()) };
            SpillingSortExec { sort: Arc::new(whole), metrics: ExecutionPlanMetricsSet::new() }
        })
    }
}

/// Whether a sort stays DataFusion's because it needs few rows. Not where it is by lists or structs:
/// there DataFusion 55 loses rows, because it drops those that are not known to be less than the last
/// of the first rows, and NULLs inside make that unknown.
fn is_small(sort: &SortExec) -> Result<bool> {
    let schema = sort.input().schema();
    for key in sort.expr() {
        if key.expr.data_type(&schema)?.is_nested() {
            return Ok(false);
        }
    }
    let Some(rows) = sort.fetch() else { return Ok(false) };
    let width: usize = schema.fields().iter().map(|field| width(field.data_type())).sum();
    let kept = rows.saturating_add(TOP_K_BATCHES * TOP_K_BATCH_ROWS).saturating_mul(width);
    Ok(rows <= MOST_TOP_ROWS && kept <= MOST_TOP_BYTES)
}

/// Bytes that a value is likely to take.
fn width(data_type: &DataType) -> usize {
    const TEXT_BYTES: usize = 32;
    data_type.primitive_width().unwrap_or(TEXT_BYTES)
}

/// Whether there are normalized keys for all types that a plan is sorted by.
fn has_normalized_keys(order: &LexOrdering, input: &Arc<dyn ExecutionPlan>) -> Result<bool> {
    let schema = input.schema();
    let fields = order
        .iter()
        .map(|key| Ok(SortField::new(key.expr.data_type(&schema)?)))
        .collect::<Result<Vec<_>>>()?;
    Ok(RowConverter::supports_fields(&fields))
}

impl DisplayAs for SpillingSortExec {
    fn fmt_as(&self, kind: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.sort.fmt_as(kind, f)
    }
}

impl ExecutionPlan for SpillingSortExec {
    fn name(&self) -> &str {
        "SortExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.sort.properties()
    }

    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        // Any partitions will do, also to make one of them.
        InputDistributionRequirements::new(vec![Distribution::UnspecifiedDistribution])
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.sort.children()
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.sort.apply_expressions(f)
    }

    fn dynamic_expressions_produced(&self) -> Vec<Arc<dyn PhysicalExpr>> {
        self.sort.dynamic_expressions_produced()
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
        replaced(Arc::clone(&self.sort).replace_children(children, options)?)
    }

    fn reset_state(self: Arc<Self>) -> Result<Arc<dyn ExecutionPlan>> {
        replaced(Arc::clone(&self.sort).reset_state()?)
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let input = self.sort.input();
        let partitions = match self.sort.preserve_partitioning() {
            true => partition..partition + 1,
            false => 0..input.output_partitioning().partition_count(),
        };
        let inputs = partitions
            .map(|partition| input.execute(partition, Arc::clone(&context)))
            .collect::<Result<Vec<_>>>()?;
        let operation = Arc::new(Context {
            schema: self.schema(),
            keys: Keys::new(self.sort.expr(), &self.schema())?,
            fetch: self.sort.fetch(),
            most_batch_rows: context.session_config().batch_size(),
            pool: Arc::clone(context.memory_pool()),
            resources: Resources::of(&context)?,
            spills: SpillMetrics::new(&self.metrics, partition),
            rewritten_runs: MetricBuilder::new(&self.metrics).counter("rewritten_runs", partition),
        });
        let sorted = async move {
            let sorters = inputs.into_iter().map(|input| sort(Arc::clone(&operation), input));
            let sorted = in_tasks(sorters).await?;
            merge::merged(&operation, sorted).await
        };
        let sorted = until_error(stream::once(sorted).try_flatten());
        Ok(counted(self.schema(), sorted, &self.metrics, partition))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn child_stats_requests(&self, partition: Option<usize>) -> Vec<ChildStats> {
        self.sort.child_stats_requests(partition)
    }

    fn statistics_from_inputs(
        &self,
        inputs: &[Arc<Statistics>],
        arguments: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        self.sort.statistics_from_inputs(inputs, arguments)
    }

    fn fetch(&self) -> Option<usize> {
        self.sort.fetch()
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        self.sort.cardinality_effect()
    }
}

/// Sorts the rows of a stream.
async fn sort(operation: Arc<Context>, mut input: SendableRecordBatchStream) -> Result<Finished> {
    let mut sorter = Sorter::new(operation);
    while let Some(batch) = input.try_next().await? {
        sorter.add(batch).await?;
    }
    drop(input);
    sorter.finish().await
}

/// A plan whose partitions are those of `input` in this order.
///
/// # Errors
/// If the order is not one of columns of the input.
pub(crate) fn sorted(
    order: LexOrdering,
    input: Arc<dyn ExecutionPlan>,
) -> Result<Arc<dyn ExecutionPlan>> {
    replaced(Arc::new(SortExec::new(order, input).with_preserve_partitioning(true)))
}

/// A plan with its topmost sort replaced, if that is one of those we take over.
fn replaced(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    Ok(match SpillingSortExec::of(&plan)? {
        Some(sort) => Arc::new(sort),
        None => plan,
    })
}

/// Replaces the sorts of a plan by ones that spill as the memory limit wants it.
///
/// It runs after the rules that move sorts and limits.
#[derive(Debug)]
pub(crate) struct SpillingSorts;

impl PhysicalOptimizerRule for SpillingSorts {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| {
            let sort = match SpillingSortExec::of(&node)? {
                Some(sort) => Some(sort),
                None => SpillingSortExec::merging(&node),
            };
            Ok(match sort {
                Some(sort) => Transformed::yes(Arc::new(sort) as _),
                None => Transformed::no(node),
            })
        })
        .data()
    }

    fn name(&self) -> &str {
        "SpillingSorts"
    }

    fn schema_check(&self) -> bool {
        true
    }
}
