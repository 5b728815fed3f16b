//! Subqueries that refer to the query around them, as joins.
//!
//! - this module: [`Decorrelation`], the rule, which goes through a plan and its subqueries from the
//!   inside out
//! - `simple`: what is left to DataFusion's own rules
//! - `refs`: which outer columns a plan refers to
//! - `domain`: the outer values that a subquery is computed for; `push` and `push_join` compute it
//!   for all of them at once
//! - `value`: subqueries in expressions; `direct`: those that are a join with no more ado
//! - `lateral`: subqueries in FROM that refer to the tables before them
//! - `single_row`: the check for a second row
//!
//! docs/sql.md lists what can be written.

mod direct;
mod domain;
mod lateral;
mod push;
mod push_join;
mod refs;
mod simple;
mod single_row;
mod value;

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, internal_err, not_impl_err};
use datafusion::error::Result;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{BinaryExpr, Expr, Filter, Join, JoinType, LogicalPlan, Operator};
use datafusion::optimizer::AnalyzerRule;

use domain::{columns, projected, restored};
use push_join::filters_of;
use refs::{free, has, holds_subquery, subquery_of};
use simple::{has_a_row, is_aggregate_by_equality, is_bound, is_filtered, is_never_null};
use value::Input;

/// Makes joins of the subqueries that DataFusion's rules refuse, or would get wrong.
///
/// It runs before DataFusion checks what its own rules can do, and after types are settled.
#[derive(Debug)]
pub(crate) struct Decorrelation;

impl AnalyzerRule for Decorrelation {
    fn name(&self) -> &'static str {
        "decorrelation"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        if has_subqueries(&plan)? { unnested(plan) } else { Ok(plan) }
    }
}

fn has_subqueries(plan: &LogicalPlan) -> Result<bool> {
    plan.exists(|node| {
        let mut found = matches!(node, LogicalPlan::Subquery(_));
        node.apply_expressions(|expr| {
            found |= holds_subquery(expr)?;
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(found)
    })
}

/// The plan without the subqueries that are ours.
fn unnested(plan: LogicalPlan) -> Result<LogicalPlan> {
    let plan = plan.map_children(|child| Ok(Transformed::yes(unnested(child)?)))?.data;
    let plan = plan.map_subqueries(|plan| match plan {
        LogicalPlan::Subquery(mut subquery) => {
            subquery.subquery = Arc::new(unnested(Arc::unwrap_or_clone(subquery.subquery))?);
            Ok(Transformed::yes(LogicalPlan::Subquery(subquery)))
        }
        _ => internal_err!("a subquery is wanted"),
    })?;
    let plan = plan.data.recompute_schema()?;
    match plan {
        LogicalPlan::Filter(filter) => filtered(filter),
        LogicalPlan::Join(join) => match lateral::unnested(&join)? {
            Some(plan) => Ok(plan),
            None => joined(join),
        },
        plan => with_values(plan),
    }
}

/// Whether a subquery in an expression is ours, in a node that is no filter.
fn is_ours(plan: &LogicalPlan, expr: &Expr) -> Result<bool> {
    let Expr::ScalarSubquery(subquery) = expr else { return Ok(true) };
    let rows = subquery.subquery.as_ref();
    if free(rows)?.is_empty() {
        // DataFusion takes the value to be one of the column, though there may be no row.
        return Ok(!rows.schema().field(0).is_nullable() && !has_a_row(rows));
    }
    let is_plain = matches!(plan, LogicalPlan::Projection(_) | LogicalPlan::Filter(_));
    let input = plan.inputs().first().map(|input| Arc::clone(input.schema()));
    let is_bound = match input {
        Some(schema) => is_bound(rows, &schema)?,
        None => false,
    };
    Ok(!(is_plain && is_bound && is_aggregate_by_equality(rows)?))
}

/// A node with one input, whose expressions may hold subqueries.
fn with_values(plan: LogicalPlan) -> Result<LogicalPlan> {
    let exprs = plan.expressions();
    let input = match plan.inputs().as_slice() {
        [input] if any_is_ours(&plan, &exprs)? => Some((*input).clone()),
        _ => None,
    };
    let Some(input) = input else { return Ok(plan) };
    let names = NamePreserver::new(&plan);
    let mut values = Input::new(input, &exprs, &[])?;
    let replaced = exprs.into_iter().map(|expr| {
        let name = names.save(&expr);
        Ok(name.restore(values.replaced(expr, &|expr| is_ours(&plan, expr))?))
    });
    let replaced = replaced.collect::<Result<_>>()?;
    let node = plan.with_new_exprs(replaced, vec![values.plan])?;
    restored(node, plan.schema())
}

fn any_is_ours(plan: &LogicalPlan, exprs: &[Expr]) -> Result<bool> {
    for expr in exprs {
        if expr.exists(|expr| Ok(subquery_of(expr).is_some() && is_ours(plan, expr)?))? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Conditions, of which DataFusion does some; those without a subquery come first.
fn filtered(filter: Filter) -> Result<LogicalPlan> {
    if !holds_subquery(&filter.predicate)? {
        return Ok(LogicalPlan::Filter(filter));
    }
    let schema = Arc::clone(filter.input.schema());
    let mut early = Vec::new();
    let mut ours = Vec::new();
    for condition in split_conjunction_owned(filter.predicate) {
        if is_done(&condition, &schema)? { early.push(condition) } else { ours.push(condition) }
    }
    let mut plan = Arc::unwrap_or_clone(filter.input);
    if let Some(early) = conjunction(early) {
        plan = LogicalPlan::Filter(Filter::try_new(early, Arc::new(plan))?);
    }
    if ours.is_empty() {
        return Ok(plan);
    }
    let mut input = Input::new(plan, &ours, &[])?;
    let mut conditions = Vec::with_capacity(ours.len());
    for condition in ours {
        conditions.push(if subquery_of(&condition).is_some() {
            input.condition(condition)?
        } else {
            input.replaced(condition, &is_not_constant)?
        });
    }
    if let Some(conditions) = conjunction(conditions) {
        input.plan = LogicalPlan::Filter(Filter::try_new(conditions, Arc::new(input.plan))?);
    }
    restored(input.plan, &schema)
}

/// Whether a subquery within a condition is ours: any but a value that is the same for all rows.
fn is_not_constant(expr: &Expr) -> Result<bool> {
    match expr {
        Expr::ScalarSubquery(subquery) => Ok(!free(&subquery.subquery)?.is_empty()),
        _ => Ok(true),
    }
}

/// Whether DataFusion does a condition of a filter as it is.
fn is_done(condition: &Expr, schema: &DFSchema) -> Result<bool> {
    match condition {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And | Operator::Or, right }) => {
            Ok(is_done_within(left, schema)? && is_done_within(right, schema)?)
        }
        Expr::InSubquery(within) => {
            let rows = within.subquery.subquery.as_ref();
            let is_simple = is_filtered(rows)? && is_bound(rows, schema)?;
            // A NULL makes NOT IN neither true nor false; DataFusion knows that of whole tables.
            let is_known =
                !within.negated || free(rows)?.is_empty() || is_never_null(within, schema)?;
            Ok(is_simple && is_known && !holds_subquery(&within.expr)?)
        }
        other => is_done_within(other, schema),
    }
}

/// The same within AND and OR, where DataFusion takes an IN that is not true for false.
fn is_done_within(expr: &Expr, schema: &DFSchema) -> Result<bool> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And | Operator::Or, right }) => {
            Ok(is_done_within(left, schema)? && is_done_within(right, schema)?)
        }
        Expr::Exists(exists) => {
            let rows = exists.subquery.subquery.as_ref();
            Ok(is_filtered(rows)? && is_bound(rows, schema)?)
        }
        Expr::InSubquery(within) => {
            let rows = within.subquery.subquery.as_ref();
            let is_simple = is_filtered(rows)? && is_bound(rows, schema)?;
            Ok(is_simple && !within.negated && !holds_subquery(&within.expr)?)
        }
        other => {
            let has_other = other.exists(|expr| match expr {
                Expr::ScalarSubquery(subquery) => {
                    let rows = subquery.subquery.as_ref();
                    let is_simple = free(rows)?.is_empty()
                        || is_bound(rows, schema)? && is_aggregate_by_equality(rows)?;
                    Ok(!is_simple)
                }
                expr => Ok(subquery_of(expr).is_some()),
            })?;
            Ok(!has_other)
        }
    }
}

/// A join with subqueries in its condition.
fn joined(join: Join) -> Result<LogicalPlan> {
    let Some(condition) = &join.filter else { return Ok(LogicalPlan::Join(join)) };
    if !holds_subquery(condition)? {
        return Ok(LogicalPlan::Join(join));
    }
    if join.join_type == JoinType::Inner {
        let conditions = conjunction(filters_of(&join));
        let pairs = Join::try_new(
            join.left,
            join.right,
            Vec::new(),
            None,
            JoinType::Inner,
            join.join_constraint,
            join.null_equality,
            false,
        )?;
        let pairs = Arc::new(LogicalPlan::Join(pairs));
        return match conditions {
            Some(conditions) => filtered(Filter::try_new(conditions, pairs)?),
            None => Ok(Arc::unwrap_or_clone(pairs)),
        };
    }
    outer_joined(&join, condition)
}

/// The same for an outer join: each subquery becomes a column of the side that it refers to.
fn outer_joined(join: &Join, condition: &Expr) -> Result<LogicalPlan> {
    let exprs = std::slice::from_ref(condition);
    let mut left = Input::new(join.left.as_ref().clone(), exprs, &[&join.right])?;
    let is_of = |expr: &Expr, schema: &DFSchema| -> Result<bool> {
        let outer = match subquery_of(expr) {
            Some(rows) => is_bound(rows, schema)?,
            None => true,
        };
        Ok(outer && expr.column_refs().into_iter().all(|column| has(schema, column)))
    };
    let condition = left.replaced(condition.clone(), &|expr| is_of(expr, join.left.schema()))?;
    let mut right = Input::new(join.right.as_ref().clone(), exprs, &[&left.plan])?;
    let condition = right.replaced(condition, &|expr| is_of(expr, join.right.schema()))?;
    if holds_subquery(&condition)? {
        return not_impl_err!("a subquery about both sides in the condition of an outer join");
    }
    let joined = Join::try_new(
        Arc::new(left.plan),
        Arc::new(right.plan),
        join.on.clone(),
        Some(condition),
        join.join_type,
        join.join_constraint,
        join.null_equality,
        join.null_aware,
    )?;
    projected(LogicalPlan::Join(joined), columns(&join.schema).collect())
}
