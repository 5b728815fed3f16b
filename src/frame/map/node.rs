//! A function over batches as a node of a logical plan.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::compute::SortOptions;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::{Column, DFSchema, DFSchemaRef, internal_err};
use datafusion::error::Result;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{
    Expr, Extension, LogicalPlan, SortExpr, UserDefinedLogicalNode, UserDefinedLogicalNodeCore,
};
use datafusion::physical_expr::PhysicalSortExpr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{ExtensionPlanner, PhysicalPlanner};

use super::Function;
use super::exec::MapExec;
use super::groups::MapGroupsExec;
use crate::error::Error;
use crate::frame::upsample::Steps;
use crate::serialize::WrittenNode;

/// The rows that a function makes of those of the input.
#[derive(Clone)]
pub(crate) struct MapNode {
    name: &'static str,
    input: LogicalPlan,
    schema: DFSchemaRef,
    function: Function,
    /// `None` for batches as they come.
    grouping: Option<Grouping>,
    /// Of an upsample, its steps: what makes the function again.
    steps: Option<Steps>,
}

/// How rows are put into groups.
#[derive(Debug, Clone, PartialEq, PartialOrd)]
pub(super) struct Grouping {
    /// The columns that a group has in common.
    pub(super) keys: Vec<Column>,
    /// The order of the rows of a group; empty for any.
    pub(super) order: Vec<SortExpr>,
}

impl MapNode {
    pub(super) fn plan(
        name: &'static str,
        input: LogicalPlan,
        schema: DFSchemaRef,
        function: Function,
        grouping: Option<Grouping>,
    ) -> LogicalPlan {
        let steps = None;
        let node = Arc::new(MapNode { name, input, schema, function, grouping, steps });
        LogicalPlan::Extension(Extension { node })
    }

    /// The moments between the bounds of each row, which are its last two columns; with the other
    /// columns they are those of `schema`.
    pub(in crate::frame) fn upsample(
        input: LogicalPlan,
        steps: Steps,
        schema: SchemaRef,
    ) -> Result<Self> {
        Ok(MapNode {
            name: "upsample",
            input,
            function: steps.function(Arc::clone(&schema)),
            schema: Arc::new(DFSchema::try_from(schema)?),
            grouping: None,
            steps: Some(steps),
        })
    }

    /// Functions are equal if they are the same one.
    fn identity(&self) -> (usize, &Option<Grouping>, &LogicalPlan) {
        (Arc::as_ptr(&self.function).cast::<()>() as usize, &self.grouping, &self.input)
    }
}

impl fmt::Debug for MapNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(self.name).field("input", &self.input).finish_non_exhaustive()
    }
}

impl PartialEq for MapNode {
    fn eq(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }
}

impl Eq for MapNode {}

impl Hash for MapNode {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let (function, _, input) = self.identity();
        (function, input).hash(state);
    }
}

impl PartialOrd for MapNode {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.identity().partial_cmp(&other.identity())
    }
}

impl WrittenNode for MapNode {
    const KIND: &'static str = "upsample";

    fn state(&self) -> Option<String> {
        serde_json::to_string(&self.steps?).ok()
    }

    fn read(
        state: &str,
        columns: SchemaRef,
        _: Vec<Expr>,
        inputs: Vec<LogicalPlan>,
    ) -> Result<Self> {
        let steps = serde_json::from_str(state).map_err(Error::damaged)?;
        match <[LogicalPlan; 1]>::try_from(inputs) {
            Ok([input]) => MapNode::upsample(input, steps, columns),
            Err(inputs) => internal_err!("an upsample of {} plans", inputs.len()),
        }
    }
}

impl UserDefinedLogicalNodeCore for MapNode {
    fn name(&self) -> &str {
        self.name
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        let Some(Grouping { keys, order }) = &self.grouping else { return Vec::new() };
        let keys = keys.iter().cloned().map(Expr::Column);
        keys.chain(order.iter().map(|sort| sort.expr.clone())).collect()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name)?;
        let Some(Grouping { keys, order }) = &self.grouping else { return Ok(()) };
        let names: Vec<String> = keys.iter().map(Column::flat_name).collect();
        write!(f, ": keys=[{}]", names.join(", "))?;
        if order.is_empty() {
            return Ok(());
        }
        let order: Vec<String> = order.iter().map(ToString::to_string).collect();
        write!(f, ", order=[{}]", order.join(", "))
    }

    fn with_exprs_and_inputs(
        &self,
        exprs: Vec<Expr>,
        mut inputs: Vec<LogicalPlan>,
    ) -> Result<Self> {
        let (Some(input), true) = (inputs.pop(), inputs.is_empty()) else {
            return internal_err!("{} has one input", self.name);
        };
        let Some(Grouping { keys, order }) = &self.grouping else {
            return Ok(MapNode { input, ..self.clone() });
        };
        let mut exprs = exprs.into_iter();
        let keys = exprs.by_ref().take(keys.len()).map(|expr| match expr {
            Expr::Column(column) => Ok(column),
            _ => internal_err!("the keys of {} are columns", self.name),
        });
        let keys = keys.collect::<Result<_>>()?;
        let order = order.iter().zip(exprs);
        let order = order.map(|(sort, expr)| SortExpr { expr, ..sort.clone() }).collect();
        Ok(MapNode { input, grouping: Some(Grouping { keys, order }), ..self.clone() })
    }
}

/// Plans functions over batches.
pub(crate) struct Maps;

#[async_trait]
impl ExtensionPlanner for Maps {
    async fn plan_extension(
        &self,
        planner: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        logical_inputs: &[&LogicalPlan],
        inputs: &[Arc<dyn ExecutionPlan>],
        session: &dyn Session,
        context: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let Some(node) = node.as_any().downcast_ref::<MapNode>() else { return Ok(None) };
        let ([logical], [input]) = (logical_inputs, inputs) else {
            return internal_err!("{} has one input", node.name);
        };
        let (input, function) = (Arc::clone(input), Arc::clone(&node.function));
        let schema = Arc::clone(node.schema.inner());
        let Some(Grouping { keys, order }) = &node.grouping else {
            return Ok(Some(Arc::new(MapExec::new(node.name, input, schema, function))));
        };
        let keys = keys.iter().map(|key| logical.schema().index_of_column(key));
        let keys = keys.collect::<Result<_>>()?;
        let order = order.iter().map(|sort| {
            let expr =
                planner.create_physical_expr(&sort.expr, logical.schema(), session, context)?;
            Ok(PhysicalSortExpr::new(expr, SortOptions::new(!sort.asc, sort.nulls_first)))
        });
        let order = order.collect::<Result<_>>()?;
        Ok(Some(Arc::new(MapGroupsExec::new(input, schema, function, keys, order))))
    }
}
