//! Frames whose rows are kept for the session.

use std::any::Any;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Statistics;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::datasource::source_as_provider;
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::{
    Expr, LogicalPlan, LogicalPlanBuilder, SubqueryAlias, TableScan, TableType,
};
use datafusion::physical_plan::ExecutionPlan;

use super::{DataFrame, Plan};
use crate::error::Result;
use crate::table::{Storage, StoredTable, check_names, in_order};

impl DataFrame {
    /// Runs the query and keeps its rows for this session, in a place. The frame it gives reads
    /// them, as often as it is used; they are dropped with the last frame that does, or forgotten
    /// with [`DataFrame::unpersist`]. Rows that were sorted stay so.
    ///
    /// # Errors
    /// Those of planning and running; `Query` if two columns have the same name; `Resources` if
    /// there is no room in the place.
    pub async fn persist(self, storage: Storage) -> Result<Self> {
        let schema = self.schema();
        check_names(&schema)?;
        let origin = self.logical();
        let context = Arc::new(self.plan.task_ctx());
        let plan = self.plan.clone().create_physical_plan().await?;
        let table = StoredTable::of_plan_in(storage, in_order(plan), schema, context, None).await?;
        let kept = Persisted { table, origin };
        let plan = self.session.context().read_table(Arc::new(kept))?;
        Ok(self.with(plan))
    }

    /// The same frame without the rows that [`DataFrame::persist`] kept for it: they are computed
    /// again when they are needed. What was kept is dropped with the last frame that reads it.
    ///
    /// # Errors
    /// Those of building the plan.
    pub fn unpersist(self) -> Result<Self> {
        let (state, plan) = self.plan.into_parts();
        let plan = plan.transform_up_with_subqueries(|node| match origin(&node)? {
            Some(origin) => Ok(Transformed::yes(origin)),
            None => Ok(Transformed::no(node)),
        })?;
        Ok(DataFrame::new(self.session, Plan::new(state, plan.data)))
    }

    /// Whether rows that [`DataFrame::persist`] has kept are read.
    ///
    /// # Errors
    /// Those of looking at the plan.
    pub fn is_persisted(&self) -> Result<bool> {
        let plan = self.plan.logical_plan();
        Ok(plan.exists(|node| Ok(origin(node)?.is_some()))?)
    }
}

/// The plan that kept rows came from, for a scan of such rows, under the name of the scan.
fn origin(node: &LogicalPlan) -> DataFusionResult<Option<LogicalPlan>> {
    let LogicalPlan::TableScan(scan) = node else { return Ok(None) };
    let provider = source_as_provider(&scan.source)?;
    let origin = origin_of_persisted(provider.as_ref());
    origin.map(|origin| in_place_of_scan(scan, origin.clone())).transpose()
}

/// The plan that the rows of a table came from, if they were kept for a frame.
pub(crate) fn origin_of_persisted(table: &dyn TableProvider) -> Option<&LogicalPlan> {
    let kept = (table as &dyn Any).downcast_ref::<Persisted>()?;
    Some(&kept.origin)
}

/// A plan with the columns of a table, in place of a scan of it.
pub(crate) fn in_place_of_scan(
    scan: &TableScan,
    plan: LogicalPlan,
) -> DataFusionResult<LogicalPlan> {
    let named = SubqueryAlias::try_new(Arc::new(plan), scan.table_name.clone())?;
    let mut plan = LogicalPlanBuilder::from(LogicalPlan::SubqueryAlias(named));
    for filter in &scan.filters {
        plan = plan.filter(filter.clone())?;
    }
    if scan.projection.is_some() {
        let columns = scan.projected_schema.columns();
        plan = plan.project(columns.into_iter().map(Expr::Column))?;
    }
    if let Some(fetch) = scan.fetch {
        plan = plan.limit(0, Some(fetch))?;
    }
    plan.build()
}

/// Rows that are kept, and the plan they came from.
#[derive(Debug)]
pub(super) struct Persisted {
    table: StoredTable,
    origin: LogicalPlan,
}

#[async_trait]
impl TableProvider for Persisted {
    fn schema(&self) -> SchemaRef {
        self.table.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn statistics(&self) -> Option<Statistics> {
        self.table.statistics()
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        self.table.scan(session, projection, filters, limit).await
    }
}
