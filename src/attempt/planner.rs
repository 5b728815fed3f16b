//! From the logical nodes to those that run.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::internal_err;
use datafusion::error::Result;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{LogicalPlan, UserDefinedLogicalNode};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{ExtensionPlanner, PhysicalPlanner};

use super::plan::{InMemoryFirstExec, WithinBudgetExec};
use super::{InMemoryFirst, WithinBudget};

/// Plans attempts.
pub(crate) struct Attempts;

#[async_trait]
impl ExtensionPlanner for Attempts {
    async fn plan_extension(
        &self,
        _: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _: &[&LogicalPlan],
        inputs: &[Arc<dyn ExecutionPlan>],
        _: &dyn Session,
        _: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let node = node.as_any();
        if node.is::<InMemoryFirst>() {
            let [in_memory, bounded] = inputs else {
                return internal_err!("an attempt of {} plans", inputs.len());
            };
            let plan = InMemoryFirstExec::new(Arc::clone(in_memory), Arc::clone(bounded));
            return Ok(Some(Arc::new(plan)));
        }
        let Some(budget) = node.downcast_ref::<WithinBudget>() else { return Ok(None) };
        let [input] = inputs else {
            return internal_err!("a budget for {} plans", inputs.len());
        };
        Ok(Some(Arc::new(WithinBudgetExec::new(Arc::clone(input), budget.bytes_a_row))))
    }
}
