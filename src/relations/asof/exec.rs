//! The node of a physical plan.

use std::fmt;
use std::sync::Arc;

use arrow::compute::SortOptions;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DFSchema, internal_err};
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{LogicalPlan, UserDefinedLogicalNode};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{
    EquivalenceProperties, LexOrdering, OrderingRequirements, PhysicalExpr, PhysicalSortExpr,
};
use datafusion::physical_plan::execution_plan::EmissionType;
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, Distribution, ExecutionPlan, ExecutionPlanProperties,
    InputDistributionRequirements, PlanProperties,
};
use datafusion::physical_planner::{ExtensionPlanner, PhysicalPlanner};
use futures::stream;

use super::Rule;
use super::logical::AsofNode;
use super::merge::{Merge, On, sort_options};
use crate::kernel::{counted, until_error};

/// Merges its inputs, which are in order and hashed by the keys, partition by partition. The rows of
/// the left side stay in order.
#[derive(Debug)]
struct AsofJoinExec {
    sides: [Arc<dyn ExecutionPlan>; 2],
    on: [On; 2],
    rule: Rule,
    keeps_left: bool,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl AsofJoinExec {
    fn new(
        sides: [Arc<dyn ExecutionPlan>; 2],
        on: [On; 2],
        rule: Rule,
        keeps_left: bool,
        schema: SchemaRef,
    ) -> Self {
        let left = &sides[0];
        let orderings = left.equivalence_properties().oeq_class().iter().cloned();
        // The left columns come first, so what is known of them stays true.
        let properties = Arc::new(PlanProperties::new(
            EquivalenceProperties::new_with_orderings(schema, orderings),
            left.output_partitioning().clone(),
            EmissionType::Final,
            left.boundedness(),
        ));
        let metrics = ExecutionPlanMetricsSet::new();
        AsofJoinExec { sides, on, rule, keeps_left, properties, metrics }
    }

    fn columns(&self, side: usize) -> Vec<Arc<dyn PhysicalExpr>> {
        let schema = self.sides[side].schema();
        let column = |index: &usize| {
            Arc::new(Column::new(schema.field(*index).name(), *index)) as Arc<dyn PhysicalExpr>
        };
        self.on[side].iter().map(column).collect()
    }

    fn keys(&self, side: usize) -> Vec<Arc<dyn PhysicalExpr>> {
        let mut columns = self.columns(side);
        columns.pop();
        columns
    }

    fn ordering(&self, side: usize) -> Option<OrderingRequirements> {
        let [of_keys, of_order] = sort_options(self.rule.strategy);
        let columns = self.columns(side);
        let last = columns.len() - 1;
        let sort = |(number, expr): (usize, Arc<dyn PhysicalExpr>)| {
            let options: SortOptions = if number == last { of_order } else { of_keys };
            PhysicalSortExpr::new(expr, options)
        };
        LexOrdering::new(columns.into_iter().enumerate().map(sort)).map(OrderingRequirements::from)
    }
}

impl DisplayAs for AsofJoinExec {
    fn fmt_as(&self, kind: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pairs = self.columns(0).into_iter().zip(self.columns(1));
        let mut pairs: Vec<String> = pairs.map(|(l, r)| format!("({l}, {r})")).collect();
        let order = pairs.pop().unwrap_or_default();
        let Rule { strategy, exact, .. } = self.rule;
        match kind {
            DisplayFormatType::TreeRender => {
                writeln!(f, "order={order}")?;
                writeln!(f, "on={}", pairs.join(", "))
            }
            DisplayFormatType::Default | DisplayFormatType::Verbose => write!(
                f,
                "{}: strategy={strategy:?}, order={order}, on=[{}], exact={exact}, keeps_left={}",
                self.name(),
                pairs.join(", "),
                self.keeps_left
            ),
        }
    }
}

impl ExecutionPlan for AsofJoinExec {
    fn name(&self) -> &'static str {
        "AsofJoinExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.sides.iter().collect()
    }

    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        if self.on[0].len() == 1 {
            let one = Distribution::SinglePartition;
            return InputDistributionRequirements::new(vec![one.clone(), one]);
        }
        let hashed = [0, 1].map(|side| Distribution::KeyPartitioned(self.keys(side)));
        InputDistributionRequirements::co_partitioned(hashed.into())
    }

    fn required_input_ordering(&self) -> Vec<Option<OrderingRequirements>> {
        vec![self.ordering(0), self.ordering(1)]
    }

    /// The order of the left side is kept, but another one that is wanted above must not be asked of
    /// it in place of the one that the join needs.
    fn maintains_input_order(&self) -> Vec<bool> {
        vec![false, false]
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        let exprs = [self.columns(0), self.columns(1)].concat();
        datafusion::physical_plan::apply_expression_roots(&exprs, f)
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let Ok(sides) = <[Arc<dyn ExecutionPlan>; 2]>::try_from(children) else {
            return internal_err!("an ASOF join has two inputs");
        };
        let (on, schema) = (self.on.clone(), self.schema());
        Ok(Arc::new(AsofJoinExec::new(sides, on, self.rule, self.keeps_left, schema)))
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let [left, right] = &self.sides;
        let [left_on, right_on] = self.on.clone();
        let sides = [
            (left.execute(partition, Arc::clone(&context))?, left_on),
            (right.execute(partition, context)?, right_on),
        ];
        let merge = Merge::new(sides, self.rule, self.keeps_left, self.schema())?;
        let batches = stream::try_unfold(merge, |mut merge| async {
            let batch = merge.next().await?;
            Ok(batch.map(|batch| (batch, merge)))
        });
        Ok(counted(self.schema(), until_error(batches), &self.metrics, partition))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

/// Plans ASOF joins.
pub(crate) struct AsofPlanner;

#[async_trait]
impl ExtensionPlanner for AsofPlanner {
    async fn plan_extension(
        &self,
        _: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        plans: &[&LogicalPlan],
        inputs: &[Arc<dyn ExecutionPlan>],
        _: &dyn Session,
        _: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let Some(asof) = node.as_any().downcast_ref::<AsofNode>() else { return Ok(None) };
        let ([left, right], [left_plan, right_plan]) = (inputs, plans) else {
            return internal_err!("an ASOF join has two inputs");
        };
        let index = |schema: &DFSchema, column| schema.index_of_column(column);
        let (mut left_on, mut right_on) = (On::new(), On::new());
        for (l, r) in asof.keys.iter().chain([&asof.order]) {
            left_on.push(index(left_plan.schema(), l)?);
            right_on.push(index(right_plan.schema(), r)?);
        }
        Ok(Some(Arc::new(AsofJoinExec::new(
            [Arc::clone(left), Arc::clone(right)],
            [left_on, right_on],
            asof.rule,
            asof.keeps_left,
            Arc::clone(node.schema().inner()),
        ))))
    }
}
