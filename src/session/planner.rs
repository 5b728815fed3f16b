//! From an optimized logical plan to a physical one.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::error::Result;
use datafusion::execution::context::QueryPlanner;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{DefaultPhysicalPlanner, PhysicalPlanner};

use crate::attempt::Attempts;
use crate::frame::{Many, Maps, SortedInputs};
use crate::keys::Together;
use crate::relations::AsofPlanner;
use crate::share::{Parts, with_shared_parts};
use crate::table::Changes;

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
            Arc::new(Changes::of(plan)?),
            Arc::new(Maps),
            Arc::new(Many),
            Arc::new(Parts::default()),
            Arc::new(Together),
            Arc::new(SortedInputs),
        ]);
        planner.create_physical_plan(&with_shared_parts(plan)?, session).await
    }
}
