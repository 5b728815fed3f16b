//! A function over batches as a node of a logical plan.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::{Column, DFSchemaRef, internal_err};
use datafusion::error::Result;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{
    Expr, Extension, LogicalPlan, UserDefinedLogicalNode, UserDefinedLogicalNodeCore,
};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{ExtensionPlanner, PhysicalPlanner};

use super::Function;
use super::exec::MapExec;
use super::groups::MapGroupsExec;

/// The rows that a function makes of those of the input.
#[derive(Clone)]
pub(in crate::frame) struct MapNode {
    name: &'static str,
    input: LogicalPlan,
    schema: DFSchemaRef,
    function: Function,
    /// The columns that groups have in common; `None` for batches as they come.
    keys: Option<Vec<Column>>,
}

impl MapNode {
    pub(super) fn plan(
        name: &'static str,
        input: LogicalPlan,
        schema: DFSchemaRef,
        function: Function,
        keys: Option<Vec<Column>>,
    ) -> LogicalPlan {
        let node = Arc::new(MapNode { name, input, schema, function, keys });
        LogicalPlan::Extension(Extension { node })
    }

    /// Functions are equal if they are the same one.
    fn identity(&self) -> (usize, &Option<Vec<Column>>, &LogicalPlan) {
        (Arc::as_ptr(&self.function).cast::<()>() as usize, &self.keys, &self.input)
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
        self.identity().hash(state);
    }
}

impl PartialOrd for MapNode {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.identity().partial_cmp(&other.identity())
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
        self.keys.iter().flatten().cloned().map(Expr::Column).collect()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name)?;
        match &self.keys {
            None => Ok(()),
            Some(keys) => {
                let names: Vec<String> = keys.iter().map(Column::flat_name).collect();
                write!(f, ": keys=[{}]", names.join(", "))
            }
        }
    }

    fn with_exprs_and_inputs(
        &self,
        exprs: Vec<Expr>,
        mut inputs: Vec<LogicalPlan>,
    ) -> Result<Self> {
        let (Some(input), true) = (inputs.pop(), inputs.is_empty()) else {
            return internal_err!("{} has one input", self.name);
        };
        let mut keys = Vec::with_capacity(exprs.len());
        for expr in exprs {
            let Expr::Column(column) = expr else {
                return internal_err!("the keys of {} are columns", self.name);
            };
            keys.push(column);
        }
        let keys = self.keys.is_some().then_some(keys);
        Ok(MapNode { input, keys, ..self.clone() })
    }
}

/// Plans functions over batches.
pub(crate) struct Maps;

#[async_trait]
impl ExtensionPlanner for Maps {
    async fn plan_extension(
        &self,
        _: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        logical_inputs: &[&LogicalPlan],
        inputs: &[Arc<dyn ExecutionPlan>],
        _: &dyn Session,
        _: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let Some(node) = node.as_any().downcast_ref::<MapNode>() else { return Ok(None) };
        let ([logical], [input]) = (logical_inputs, inputs) else {
            return internal_err!("{} has one input", node.name);
        };
        let (input, function) = (Arc::clone(input), Arc::clone(&node.function));
        let schema = Arc::clone(node.schema.inner());
        Ok(Some(match &node.keys {
            None => Arc::new(MapExec::new(node.name, input, schema, function)),
            Some(keys) => {
                let indices = keys.iter().map(|key| logical.schema().index_of_column(key));
                let indices = indices.collect::<Result<Vec<_>>>()?;
                Arc::new(MapGroupsExec::new(input, schema, function, indices))
            }
        }))
    }
}
