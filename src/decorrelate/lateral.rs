//! Joins whose right side refers to the rows of the left one.

use std::sync::Arc;

use datafusion::common::Column;
use datafusion::common::tree_node::TreeNode;
use datafusion::error::Result;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, Filter, Join, JoinType, LogicalPlan};

use super::domain::{Condition, Domain, Names, columns, named, projected, same_each_time};
use super::push_join::{condition_of, filters_of};
use super::refs::{free, lateral};
use super::simple::{is_aggregate_by_equality, is_bound, is_filtered};

/// The join without references from one side to the other; `None` if there are none, or if
/// DataFusion can do it.
pub(super) fn unnested(join: &Join) -> Result<Option<LogicalPlan>> {
    let outer = lateral(&join.right, join.left.schema())?;
    if outer.is_empty() || is_left_to_datafusion(join)? {
        return Ok(None);
    }
    let names = Names::beside([join.left.as_ref(), join.right.as_ref()])?;
    if join.join_type == JoinType::Inner && is_row_by_row(&join.right, &outer)? {
        return of_each_row(join, &names).map(Some);
    }
    let left = same_each_time(join.left.as_ref().clone())?;
    let domain = Domain::distinct(&left, outer, &names)?;
    let right = domain.push(&join.right)?;
    let condition = Condition { same: domain.pairs_with_outer(), ..condition_of(join) };
    let joined = super::joined(condition.join(left, right, join.join_type)?)?;
    projected(joined, columns(&join.schema).collect()).map(Some)
}

/// Whether a rule of DataFusion does a join. In each of its few passes it does one of those that are
/// within each other.
fn is_left_to_datafusion(join: &Join) -> Result<bool> {
    if !matches!(join.join_type, JoinType::Inner | JoinType::Left) {
        return Ok(false);
    }
    let right = match join.right.as_ref() {
        LogicalPlan::SubqueryAlias(alias) => alias.input.as_ref(),
        right => right,
    };
    let LogicalPlan::Subquery(subquery) = right else { return Ok(false) };
    let plan = subquery.subquery.as_ref();
    let has_lateral =
        |plan: &LogicalPlan| plan.exists(|node| Ok(matches!(node, LogicalPlan::Subquery(_))));
    let simple = is_filtered(plan)? || is_aggregate_by_equality(plan)?;
    let is_alone = !has_lateral(&join.left)? && !has_lateral(plan)?;
    Ok(simple && is_alone && is_bound(plan, join.left.schema())?)
}

/// The right side computed for each row of the left one, all of whose columns are carried along.
fn of_each_row(join: &Join, names: &Names) -> Result<LogicalPlan> {
    let all = join.left.schema().columns();
    let width = all.len();
    let domain = Domain::every_row(&join.left, all, names)?;
    let rows = domain.push(&join.right)?;
    let mut exprs: Vec<Expr> = join
        .schema
        .columns()
        .into_iter()
        .zip(domain.key_names())
        .map(|(Column { relation, name, .. }, key)| named(key).alias_qualified(relation, name))
        .collect();
    exprs.extend(columns(&join.schema).skip(width));
    let rows = projected(rows, exprs)?;
    match conjunction(filters_of(join)) {
        Some(filter) => super::filtered(Filter::try_new(filter, Arc::new(rows))?),
        None => Ok(rows),
    }
}

/// Whether the rows that a plan gives for an outer row do not depend on whether another one is
/// equal, and outer rows are read once.
fn is_row_by_row(plan: &LogicalPlan, outer: &[Column]) -> Result<bool> {
    let is_used = |plan: &LogicalPlan| -> Result<bool> {
        Ok(free(plan)?.iter().any(|column| outer.contains(column)))
    };
    if !is_used(plan)? {
        return Ok(true);
    }
    match plan {
        LogicalPlan::Projection(_)
        | LogicalPlan::Filter(_)
        | LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Subquery(_)
        | LogicalPlan::Unnest(_) => is_row_by_row(plan.inputs()[0], outer),
        LogicalPlan::Join(join) => match (is_used(&join.left)?, is_used(&join.right)?) {
            (true, true) => Ok(false),
            (_, false) => {
                use JoinType::{Inner, Left, LeftAnti, LeftMark, LeftSemi};
                let keeps = matches!(join.join_type, Inner | Left | LeftSemi | LeftAnti | LeftMark);
                Ok(keeps && is_row_by_row(&join.left, outer)?)
            }
            (false, true) => {
                Ok(join.join_type == JoinType::Inner && is_row_by_row(&join.right, outer)?)
            }
        },
        _ => Ok(false),
    }
}
