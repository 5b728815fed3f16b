//! The order that the rows of a plan are known to have.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::functions_window::expr_fn::row_number;
use datafusion::logical_expr::{
    AggregateUDF, Expr, ExprFunctionExt, LogicalPlan, LogicalPlanBuilder, Projection, SortExpr,
};

use super::DataFrame;
use super::names::{columns, output_name, under_its_name};
use super::sorted::SetSorted;
use crate::error::Result;

impl DataFrame {
    /// The rows in an order, whatever theirs was.
    pub(super) fn in_order(&self, keys: Vec<SortExpr>) -> Result<Self> {
        let plan = without_order(self.logical())?;
        Ok(self.planned(LogicalPlanBuilder::from(plan).sort(keys)?.build()?))
    }

    /// What the rows are sorted by, in terms of the columns, if the last thing that gave them an
    /// order was a sort, or a word that they are sorted, and its keys are still there.
    pub(super) fn order(&self) -> Option<Vec<SortExpr>> {
        order_of(self.plan.logical_plan())
    }
}

/// The plan without the sorts at its top. A sort above would undo them; and where DataFusion 55 has a
/// sort, a limited sort and a sort above each other, it may lose the limit.
fn without_order(plan: LogicalPlan) -> Result<LogicalPlan> {
    Ok(match plan {
        LogicalPlan::Sort(sort) if sort.fetch.is_none() => {
            without_order(Arc::unwrap_or_clone(sort.input))?
        }
        LogicalPlan::Filter(_) | LogicalPlan::Projection(_) | LogicalPlan::SubqueryAlias(_) => {
            plan.map_children(|input| Ok(Transformed::yes(without_order(input)?)))?.data
        }
        plan => plan,
    })
}

fn order_of(plan: &LogicalPlan) -> Option<Vec<SortExpr>> {
    match plan {
        // What is another value the next time says nothing of the order.
        LogicalPlan::Sort(sort) if sort.expr.iter().any(|key| key.expr.is_volatile()) => None,
        LogicalPlan::Sort(sort) => Some(sort.expr.clone()),
        LogicalPlan::Extension(extension) => {
            extension.node.as_any().downcast_ref::<SetSorted>().map(|sorted| sorted.order.clone())
        }
        LogicalPlan::Filter(filter) => order_of(&filter.input),
        LogicalPlan::Limit(limit) => order_of(&limit.input),
        LogicalPlan::Projection(projection) => {
            let keys = order_of(&projection.input)?;
            keys.into_iter().map(|key| above(projection, key)).collect()
        }
        LogicalPlan::SubqueryAlias(alias) => {
            let inside = columns(alias.input.schema()).into_iter();
            let outside = columns(&alias.schema).into_iter();
            let pairs: Vec<_> = inside.zip(outside).map(|((_, a), (_, b))| (a, b)).collect();
            order_of(&alias.input)?.into_iter().map(|key| replaced(&pairs, key)).collect()
        }
        _ => None,
    }
}

/// A key of the rows below a projection in terms of its columns.
fn above(projection: &Projection, key: SortExpr) -> Option<SortExpr> {
    let outside = columns(&projection.schema);
    let inside = projection.expr.iter().map(|expr| expr.clone().unalias());
    let pairs: Vec<_> =
        inside.zip(outside).map(|(inside, (_, outside))| (inside, outside)).collect();
    replaced(&pairs, key)
}

/// The key with columns replaced; `None` if one has no replacement.
fn replaced(pairs: &[(Expr, Expr)], key: SortExpr) -> Option<SortExpr> {
    let mut is_known = true;
    let new = key.expr.transform_down(|expr| {
        if !matches!(expr, Expr::Column(_)) {
            return Ok(Transformed::no(expr));
        }
        let found = pairs.iter().find(|(old, _)| *old == expr);
        is_known &= found.is_some();
        Ok(found.map_or_else(|| Transformed::no(expr), |(_, new)| Transformed::yes(new.clone())))
    });
    let expr = new.ok().filter(|_| is_known)?.data;
    Some(SortExpr { expr, ..key })
}

/// Whether the value of an aggregate depends on the order of its rows.
pub(super) fn is_of_order(function: &AggregateUDF) -> bool {
    const OF_ORDER: [&str; 5] =
        ["first_value", "last_value", "nth_value", "array_agg", "string_agg"];
    OF_ORDER.contains(&function.name())
}

/// An expression whose aggregates take their rows in an order if they depend on one and have none,
/// under the name it had.
pub(super) fn aggregated_in_order(expr: Expr, order: &[SortExpr]) -> Result<Expr> {
    // DataFusion counts on no key being there twice.
    let mut keys: Vec<SortExpr> = Vec::new();
    for key in order {
        if !keys.iter().any(|known| known.expr == key.expr) {
            keys.push(key.clone());
        }
    }
    let name = output_name(&expr);
    let changed = expr.transform_up(|expr| {
        let Expr::AggregateFunction(mut aggregate) = expr else { return Ok(Transformed::no(expr)) };
        let params = &mut aggregate.params;
        // Distinct values are in no order but their own.
        let takes_order = !keys.is_empty()
            && is_of_order(&aggregate.func)
            && params.order_by.is_empty()
            && !params.distinct;
        if takes_order {
            params.order_by.clone_from(&keys);
        }
        let expr = Expr::AggregateFunction(aggregate);
        Ok(Transformed::new_transformed(expr, takes_order))
    })?;
    Ok(under_its_name(changed, &name))
}

/// The number of each row, from 1, among those with the same keys, in an order if there is one.
pub(super) fn row_numbers(keys: Vec<Expr>, order: Vec<SortExpr>) -> Result<Expr> {
    let number = row_number().partition_by(keys);
    let number = if order.is_empty() { number } else { number.order_by(order) };
    Ok(number.build()?)
}
