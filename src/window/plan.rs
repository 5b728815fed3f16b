//! What windows are to be evaluated.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::physical_expr::PhysicalSortExpr;
use datafusion::physical_expr::window::WindowExpr;

use super::rows::Exprs;

/// Window expressions that have PARTITION BY and ORDER BY in common, as a step that adds their
/// columns to its input.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) exprs: Vec<Arc<dyn WindowExpr>>,
    pub(super) order_by: Vec<PhysicalSortExpr>,
    /// Whether the step before leaves its rows in an order that will do.
    pub(super) is_sorted: bool,
    /// The order within partitions that its rows are in: ORDER BY, or more.
    sorted_by: Vec<PhysicalSortExpr>,
    /// The columns of the input, then those of the expressions.
    pub(super) schema: SchemaRef,
}

impl Stage {
    /// The step of expressions that share PARTITION BY and ORDER BY, after another or none.
    pub(super) fn new(
        exprs: &[Arc<dyn WindowExpr>],
        schema: SchemaRef,
        before: Option<&Stage>,
    ) -> Self {
        let order_by = exprs.first().map_or(&[] as &[_], |expr| expr.order_by()).to_vec();
        let sorted_before = before.map(|before| &before.sorted_by);
        let sorted_before = sorted_before.filter(|before| before.starts_with(&order_by));
        Stage {
            exprs: exprs.to_vec(),
            is_sorted: sorted_before.is_some(),
            sorted_by: sorted_before.unwrap_or(&order_by).clone(),
            order_by,
            schema,
        }
    }
}

/// Window expressions that share PARTITION BY, in steps.
#[derive(Debug, Clone)]
pub(super) struct Windows {
    /// The PARTITION BY expressions.
    pub(super) keys: Exprs,
    pub(super) stages: Vec<Arc<Stage>>,
    /// The columns of the rows that come in.
    pub(super) input: SchemaRef,
}

impl Windows {
    /// The columns of the rows that go out.
    pub(super) fn schema(&self) -> SchemaRef {
        let last = self.stages.last().map_or(&self.input, |stage| &stage.schema);
        Arc::clone(last)
    }
}
