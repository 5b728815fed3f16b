//! What windows are to be evaluated.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::error::Result;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::projection::{ProjectionExpr, update_expr};
use datafusion::physical_expr::window::WindowExpr;
use datafusion::physical_expr::{PhysicalExpr, PhysicalSortExpr};

use super::kernel;
use super::rows::Exprs;

/// Window expressions that have PARTITION BY and ORDER BY in common, as a step that adds their
/// columns to its input.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) exprs: Vec<Arc<dyn WindowExpr>>,
    /// The PARTITION BY expressions.
    pub(super) keys: Exprs,
    pub(super) order_by: Vec<PhysicalSortExpr>,
    /// Which columns of what the step before gives are the input; all if `None`.
    pub(super) columns: Option<Vec<usize>>,
    /// The columns of the input, alone and followed by those of the expressions.
    pub(super) input: SchemaRef,
    pub(super) schema: SchemaRef,
    /// Whether the step before leaves its rows in an order that will do.
    pub(super) is_sorted: bool,
    /// What evaluating the expressions holds of their results, for each row.
    pub(super) result_bytes: usize,
}

impl Stage {
    /// The step of expressions that share PARTITION BY and ORDER BY, over rows in no order.
    pub(super) fn first(
        exprs: &[Arc<dyn WindowExpr>],
        input: SchemaRef,
        schema: SchemaRef,
    ) -> Self {
        let (keys, order_by) = match exprs {
            [first, ..] => (first.partition_by(), first.order_by()),
            [] => (&[] as &[_], &[] as &[_]),
        };
        Stage {
            exprs: exprs.to_vec(),
            keys: keys.iter().cloned().collect(),
            order_by: order_by.to_vec(),
            columns: None,
            result_bytes: kernel::result_bytes(exprs, &input),
            input,
            schema,
            is_sorted: false,
        }
    }

    /// The same step after another, some columns of which are its input; `None` if its partitions
    /// are others.
    ///
    /// # Errors
    /// If an expression is about a column that there is not.
    pub(super) fn after(
        self,
        before: &Stage,
        columns: Option<&[ProjectionExpr]>,
    ) -> Result<Option<Self>> {
        let indices = match columns {
            None => None,
            Some(columns) => {
                let index =
                    |column: &ProjectionExpr| Some(column.expr.downcast_ref::<Column>()?.index());
                match columns.iter().map(index).collect::<Option<Vec<_>>>() {
                    Some(indices) => Some(indices),
                    None => return Ok(None),
                }
            }
        };
        // As an expression of the step before.
        let moved = |expr: &Arc<dyn PhysicalExpr>| match columns {
            None => Ok(Some(Arc::clone(expr))),
            Some(columns) => update_expr(expr, columns, true),
        };
        let keys = self.keys.iter().map(moved).collect::<Result<Option<Vec<_>>>>()?;
        let Some(keys) = keys else { return Ok(None) };
        let same = keys.len() == before.keys.len()
            && keys.iter().all(|key| before.keys.iter().any(|other| key.eq(other)))
            && before.keys.iter().all(|key| keys.iter().any(|other| key.eq(other)));
        if !same {
            return Ok(None);
        }
        let mut is_sorted = self.order_by.len() <= before.order_by.len();
        for (own, other) in self.order_by.iter().zip(&before.order_by) {
            let same = moved(&own.expr)?.is_some_and(|expr| expr.eq(&other.expr));
            is_sorted &= same && own.options == other.options;
        }
        Ok(Some(Stage { columns: indices, is_sorted, ..self }))
    }
}

/// Window expressions that share PARTITION BY, in steps.
#[derive(Debug, Clone)]
pub(super) struct Windows {
    pub(super) stages: Vec<Arc<Stage>>,
    /// The columns of the rows that come in.
    pub(super) input: SchemaRef,
}

impl Windows {
    /// The PARTITION BY expressions, of the rows that come in.
    pub(super) fn keys(&self) -> Vec<Arc<dyn PhysicalExpr>> {
        self.stages.first().map_or(Vec::new(), |stage| stage.keys.to_vec())
    }

    /// The columns of the rows that go out.
    pub(super) fn schema(&self) -> SchemaRef {
        let last = self.stages.last().map_or(&self.input, |stage| &stage.schema);
        Arc::clone(last)
    }
}
