//! From an optimized logical plan to a physical one.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::not_impl_err;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::execution::context::QueryPlanner;
use datafusion::logical_expr::{LogicalPlan, WriteOp};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{DefaultPhysicalPlanner, PhysicalPlanner};

use crate::attempt::Attempts;
use crate::frame::{Many, Maps, SortedInputs};
use crate::keys::Together;
use crate::relations::AsofPlanner;
use crate::share::{Parts, with_shared_parts};

/// Refuses changes of a table that DataFusion 55 would make to other rows: of the input of a DELETE or
/// an UPDATE it sees nothing but filters, so every row would be changed where the optimizer has made
/// something else of a condition.
fn check_change(plan: &LogicalPlan) -> Result<()> {
    let LogicalPlan::Dml(change) = plan else { return Ok(()) };
    if !matches!(change.op, WriteOp::Delete | WriteOp::Update) {
        return Ok(());
    }
    change.input.apply(|node| match node {
        LogicalPlan::Projection(_)
        | LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Filter(_)
        | LogicalPlan::TableScan(_) => Ok(TreeNodeRecursion::Continue),
        LogicalPlan::EmptyRelation(_) => {
            not_impl_err!("{} with a condition that is never true", change.op)
        }
        _ => not_impl_err!(
            "{} with a subquery, a join or a LIMIT; write the rows that stay with CREATE OR REPLACE TABLE … AS",
            change.op
        ),
    })?;
    Ok(())
}

/// DataFusion's planner, which knows our logical nodes; equal parts of a query become one.
#[derive(Debug)]
pub(super) struct Planner;

#[async_trait]
impl QueryPlanner for Planner {
    async fn create_physical_plan(
        &self,
        plan: &LogicalPlan,
        session: &dyn Session,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let planner = DefaultPhysicalPlanner::with_extension_planners(vec![
            Arc::new(AsofPlanner),
            Arc::new(Attempts),
            Arc::new(Maps),
            Arc::new(Many),
            Arc::new(Parts::default()),
            Arc::new(Together),
            Arc::new(SortedInputs),
        ]);
        check_change(plan)?;
        planner.create_physical_plan(&with_shared_parts(plan)?, session).await
    }
}
