//! Rows whose keys are forgotten.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::{DFSchema, DFSchemaRef, internal_err};
use datafusion::error::Result;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{
    Expr, Extension, LogicalPlan, UserDefinedLogicalNode, UserDefinedLogicalNodeCore,
};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{ExtensionPlanner, PhysicalPlanner};

use crate::serialize::WrittenNode;

/// The rows of a plan, of which no more is known than their types. Filters and projections go
/// through it; nothing of it is left in a physical plan.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Apart {
    input: LogicalPlan,
    schema: DFSchemaRef,
}

/// The plan without its keys.
pub(crate) fn apart(input: LogicalPlan) -> Result<LogicalPlan> {
    Ok(LogicalPlan::Extension(Extension { node: Arc::new(Apart::new(input)?) }))
}

impl Apart {
    fn new(input: LogicalPlan) -> Result<Self> {
        let fields = input.schema().iter();
        let fields = fields.map(|(qualifier, field)| (qualifier.cloned(), Arc::clone(field)));
        let metadata = input.schema().metadata().clone();
        let schema = DFSchema::new_with_metadata(fields.collect(), metadata)?;
        Ok(Apart { input, schema: Arc::new(schema) })
    }

    fn of(mut inputs: Vec<LogicalPlan>) -> Result<Self> {
        match (inputs.pop(), inputs.is_empty()) {
            (Some(input), true) => Apart::new(input),
            _ => internal_err!("rows set apart have one input"),
        }
    }

    /// The rows inside of a node of this kind.
    pub(crate) fn input(node: &Extension) -> Option<&LogicalPlan> {
        node.node.as_any().downcast_ref::<Apart>().map(|apart| &apart.input)
    }
}

impl PartialOrd for Apart {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.input.partial_cmp(&other.input)
    }
}

impl WrittenNode for Apart {
    const KIND: &'static str = "apart";

    fn state(&self) -> Option<String> {
        Some(String::new())
    }

    fn read(_: &str, _: SchemaRef, _: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        Apart::of(inputs)
    }
}

impl UserDefinedLogicalNodeCore for Apart {
    fn name(&self) -> &'static str {
        "Apart"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    fn prevent_predicate_push_down_columns(&self) -> std::collections::HashSet<String> {
        std::collections::HashSet::new()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Apart")
    }

    fn with_exprs_and_inputs(&self, _: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        Apart::of(inputs)
    }

    fn necessary_children_exprs(&self, columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        Some(vec![columns.to_vec()])
    }
}

/// Plans the rows as they are.
pub(crate) struct Together;

#[async_trait]
impl ExtensionPlanner for Together {
    async fn plan_extension(
        &self,
        _: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _: &[&LogicalPlan],
        inputs: &[Arc<dyn ExecutionPlan>],
        _: &dyn Session,
        _: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        if !node.as_any().is::<Apart>() {
            return Ok(None);
        }
        match inputs {
            [input] => Ok(Some(Arc::clone(input))),
            _ => internal_err!("rows set apart have one input"),
        }
    }
}
