//! Several frames computed at once.

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::catalog::Session as Planning;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DFSchema, DFSchemaRef, internal_err};
use datafusion::error::Result as DataFusionResult;
use datafusion::execution::memory_pool::MemoryPool;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{
    Expr, Extension, LogicalPlan, UserDefinedLogicalNode, UserDefinedLogicalNodeCore,
};
use datafusion::physical_expr::{
    Distribution, EquivalenceProperties, OrderingRequirements, PhysicalExpr,
};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties,
    InputDistributionRequirements, Partitioning, PlanProperties, execute_stream,
};
use datafusion::physical_planner::{ExtensionPlanner, PhysicalPlanner};

use super::output::collected;
use super::{DataFrame, Plan};
use crate::error::{Error, Result};
use crate::kernel::in_tasks;

/// Runs several queries of one session at the same time and gives the rows of each, which must fit
/// in memory together. What they have in common, aggregates, joins, windows and what is below them,
/// is run once.
///
/// # Errors
/// Those of planning and running; `Query` if the frames are of different sessions; `Resources` if
/// there is no room for all rows.
pub async fn collect_all(
    frames: impl IntoIterator<Item = DataFrame>,
) -> Result<Vec<Vec<RecordBatch>>> {
    let frames: Vec<DataFrame> = frames.into_iter().collect();
    let Some(first) = frames.first() else { return Ok(Vec::new()) };
    let session = first.session.clone();
    let context = Arc::new(first.plan.task_ctx());
    if frames.iter().any(|frame| !frame.session.is(&session)) {
        return Err(Error::query("frames of several sessions cannot be collected at once"));
    }
    let plan = physical_plan(frames).await?;
    let pool = Arc::clone(&session.context().runtime_env().memory_pool);
    let inputs = plan.children().into_iter().cloned();
    let rows = inputs.map(|input| rows(input, Arc::clone(&context), Arc::clone(&pool)));
    in_tasks(rows.collect::<Vec<_>>()).await
}

/// The plan of all frames, whose inputs are theirs.
async fn physical_plan(frames: Vec<DataFrame>) -> Result<Arc<dyn ExecutionPlan>> {
    let mut inputs = Vec::with_capacity(frames.len());
    let mut state = None;
    for frame in frames {
        let (of_frame, plan) = frame.plan.into_parts();
        state.get_or_insert(of_frame);
        inputs.push(plan);
    }
    let Some(state) = state else { return Err(Error::internal("no frames to collect")) };
    let node = Arc::new(All { inputs, schema: Arc::new(DFSchema::empty()) });
    let plan = LogicalPlan::Extension(Extension { node });
    let plan = Plan::new(state, plan).create_physical_plan().await?;
    let mut found = plan;
    while !found.is::<AllExec>() {
        let [child] = found.children()[..] else {
            return Err(Error::internal("the plan of several frames is lost"));
        };
        found = Arc::clone(child);
    }
    Ok(found)
}

/// All rows of a plan of one partition.
async fn rows(
    plan: Arc<dyn ExecutionPlan>,
    context: Arc<TaskContext>,
    pool: Arc<dyn MemoryPool>,
) -> Result<Vec<RecordBatch>> {
    collected(execute_stream(plan, context)?, &pool).await
}

/// Several plans; its own rows are none.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct All {
    inputs: Vec<LogicalPlan>,
    schema: DFSchemaRef,
}

impl PartialOrd for All {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        self.inputs.partial_cmp(&other.inputs)
    }
}

impl UserDefinedLogicalNodeCore for All {
    fn name(&self) -> &'static str {
        "All"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        self.inputs.iter().collect()
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "All")
    }

    fn with_exprs_and_inputs(
        &self,
        _: Vec<Expr>,
        inputs: Vec<LogicalPlan>,
    ) -> DataFusionResult<Self> {
        Ok(All { inputs, schema: Arc::clone(&self.schema) })
    }

    fn necessary_children_exprs(&self, _: &[usize]) -> Option<Vec<Vec<usize>>> {
        let all = |input: &LogicalPlan| (0..input.schema().fields().len()).collect();
        Some(self.inputs.iter().map(all).collect())
    }
}

/// Plans several frames at once.
pub(crate) struct Many;

#[async_trait]
impl ExtensionPlanner for Many {
    async fn plan_extension(
        &self,
        _: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _: &[&LogicalPlan],
        inputs: &[Arc<dyn ExecutionPlan>],
        _: &dyn Planning,
        _: &PhysicalPlanningContext,
    ) -> DataFusionResult<Option<Arc<dyn ExecutionPlan>>> {
        if !node.as_any().is::<All>() {
            return Ok(None);
        }
        let orders = inputs.iter().map(|input| {
            let order = input.output_ordering()?.clone();
            Some(OrderingRequirements::from(order))
        });
        let orders = orders.collect();
        Ok(Some(Arc::new(AllExec::new(inputs.to_vec(), orders))))
    }
}

/// Holds the plans of several frames together while they are planned, each with one partition and
/// in the order it asked for. It is not run itself.
#[derive(Debug)]
struct AllExec {
    inputs: Vec<Arc<dyn ExecutionPlan>>,
    orders: Vec<Option<OrderingRequirements>>,
    properties: Arc<PlanProperties>,
}

impl AllExec {
    fn new(inputs: Vec<Arc<dyn ExecutionPlan>>, orders: Vec<Option<OrderingRequirements>>) -> Self {
        let schema: SchemaRef = Arc::new(Schema::empty());
        let properties = Arc::new(PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Final,
            Boundedness::Bounded,
        ));
        AllExec { inputs, orders, properties }
    }
}

impl DisplayAs for AllExec {
    fn fmt_as(&self, kind: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match kind {
            DisplayFormatType::TreeRender => Ok(()),
            DisplayFormatType::Default | DisplayFormatType::Verbose => write!(f, "AllExec"),
        }
    }
}

impl ExecutionPlan for AllExec {
    fn name(&self) -> &'static str {
        "AllExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.inputs.iter().collect()
    }

    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        InputDistributionRequirements::new(vec![Distribution::SinglePartition; self.inputs.len()])
    }

    fn required_input_ordering(&self) -> Vec<Option<OrderingRequirements>> {
        self.orders.clone()
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false; self.inputs.len()]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> DataFusionResult<TreeNodeRecursion>,
    ) -> DataFusionResult<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(AllExec::new(children, self.orders.clone())))
    }

    fn execute(
        &self,
        _: usize,
        _: Arc<TaskContext>,
    ) -> DataFusionResult<SendableRecordBatchStream> {
        internal_err!("several frames are run one by one")
    }
}
