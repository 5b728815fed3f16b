//! Which subqueries DataFusion turns into joins itself, fast and right.

use datafusion::common::DFSchema;
use datafusion::error::Result;
use datafusion::logical_expr::expr::InSubquery;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{
    Expr, ExprSchemable, LogicalPlan, Operator, Projection, SubqueryAlias,
};

use super::refs::{free, has, holds_subquery};

/// Rows of a plan that refers to nothing outside, which conditions on outer columns filter.
pub(super) fn is_filtered(plan: &LogicalPlan) -> Result<bool> {
    if free(plan)?.is_empty() {
        return Ok(true);
    }
    match plan {
        LogicalPlan::Filter(filter) if !holds_subquery(&filter.predicate)? => {
            is_filtered(&filter.input)
        }
        LogicalPlan::Projection(projection) => {
            let plain = !projection.expr.iter().any(Expr::contains_outer);
            Ok(plain && is_filtered(&projection.input)?)
        }
        LogicalPlan::SubqueryAlias(alias) => is_filtered(&alias.input),
        _ => Ok(false),
    }
}

/// Aggregates of all rows that equal outer columns: `SELECT sum(x) FROM e WHERE e.id = t.id`. They have
/// no alias, as DataFusion looks for its own columns beyond it.
pub(super) fn is_aggregate_by_equality(plan: &LogicalPlan) -> Result<bool> {
    match plan {
        LogicalPlan::Projection(projection) => {
            let plain = !projection.expr.iter().any(Expr::contains_outer);
            Ok(plain && is_aggregate_by_equality(&projection.input)?)
        }
        LogicalPlan::Aggregate(aggregate) => {
            let known = aggregate.aggr_expr.iter().all(is_known);
            Ok(aggregate.group_expr.is_empty()
                && known
                && is_filtered_by_equality(&aggregate.input)?)
        }
        _ => Ok(false),
    }
}

/// Whether DataFusion knows what an aggregate gives for no rows.
fn is_known(expr: &Expr) -> bool {
    let Expr::AggregateFunction(function) = expr.clone().unalias() else { return false };
    let name = function.func.name();
    let params = &function.params;
    let outside = params.args.iter().chain(params.filter.as_deref()).any(Expr::contains_outer);
    !outside
        && params.order_by.is_empty()
        && matches!(name, "count" | "sum" | "min" | "max" | "avg")
}

fn is_filtered_by_equality(plan: &LogicalPlan) -> Result<bool> {
    if free(plan)?.is_empty() {
        return Ok(true);
    }
    match plan {
        LogicalPlan::Filter(filter) => {
            let simple = split_conjunction(&filter.predicate).into_iter().all(is_equality);
            Ok(simple
                && !holds_subquery(&filter.predicate)?
                && is_filtered_by_equality(&filter.input)?)
        }
        LogicalPlan::SubqueryAlias(alias) => is_filtered_by_equality(&alias.input),
        _ => Ok(false),
    }
}

/// `e.id = t.id`, or a condition without outer columns.
fn is_equality(expr: &Expr) -> bool {
    if !expr.contains_outer() {
        return true;
    }
    let Expr::BinaryExpr(binary) = expr else { return false };
    let is_outer = |expr: &Expr| matches!(expr, Expr::OuterReferenceColumn(..));
    let is_inner = |expr: &Expr| matches!(expr, Expr::Column(_));
    let sides = (binary.left.as_ref(), binary.right.as_ref());
    binary.op == Operator::Eq
        && (is_outer(sides.0) && is_inner(sides.1) || is_inner(sides.0) && is_outer(sides.1))
}

/// Whether a plan is known to have a row.
pub(super) fn has_a_row(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Projection(Projection { input, .. })
        | LogicalPlan::SubqueryAlias(SubqueryAlias { input, .. }) => has_a_row(input),
        LogicalPlan::Aggregate(aggregate) => aggregate.group_expr.is_empty(),
        LogicalPlan::EmptyRelation(relation) => relation.produce_one_row,
        LogicalPlan::Values(values) => !values.values.is_empty(),
        _ => false,
    }
}

/// Whether every outer column of a plan is of this schema.
pub(super) fn is_bound(plan: &LogicalPlan, schema: &DFSchema) -> Result<bool> {
    Ok(free(plan)?.iter().all(|column| has(schema, column)))
}

/// Whether neither side of an IN is ever NULL.
pub(super) fn is_never_null(within: &InSubquery, schema: &DFSchema) -> Result<bool> {
    let nullable = within.expr.nullable(schema)?;
    Ok(!nullable && !within.subquery.subquery.schema().field(0).is_nullable())
}
