//! Joins whose right side refers to the rows of the left one.

use std::sync::Arc;

use datafusion::common::Column;
use datafusion::error::Result;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, Filter, Join, JoinType, LogicalPlan};

use super::domain::{Condition, Domain, Names, columns, named, projected};
use super::push_join::{condition_of, filters_of};
use super::refs::lateral;
use super::simple::{is_aggregate_by_equality, is_bound, is_filtered};
use crate::rewrite::gives_same_rows;
use crate::share::run_once;

/// The join without references from one side to the other; `None` if there are none, or if
/// DataFusion can do it.
pub(super) fn unnested(join: &Join) -> Result<Option<LogicalPlan>> {
    let columns = lateral(&join.right, join.left.schema())?;
    if columns.is_empty() || is_left_to_datafusion(join)? {
        return Ok(None);
    }
    let names = Names::beside([join.left.as_ref(), join.right.as_ref()])?;
    if join.join_type == JoinType::Inner && is_row_by_row(&join.right, &columns)? {
        return of_each_row(join, &names).map(Some);
    }
    let left = join.left.as_ref().clone();
    let left = if gives_same_rows(&left)? { left } else { run_once(left) };
    let domain = Domain::distinct(&left, columns, &names)?;
    let right = domain.push(&join.right)?;
    let condition = Condition { same: domain.pairs_with_outer(), ..condition_of(join) };
    let joined = condition.join(left, right, join.join_type)?;
    with_columns_of(joined, join).map(Some)
}

fn with_columns_of(joined: LogicalPlan, join: &Join) -> Result<LogicalPlan> {
    projected(joined, columns(&join.schema).collect())
}

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
    let simple = is_filtered(plan)? || is_aggregate_by_equality(plan)?;
    Ok(simple && is_bound(plan, join.left.schema())?)
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
    Ok(match conjunction(filters_of(join)) {
        Some(filter) => LogicalPlan::Filter(Filter::try_new(filter, Arc::new(rows))?),
        None => rows,
    })
}

/// Whether the rows that a plan gives for an outer row do not depend on whether another one is
/// equal, and outer rows are read once.
fn is_row_by_row(plan: &LogicalPlan, outer: &[Column]) -> Result<bool> {
    let is_used = |plan: &LogicalPlan| -> Result<bool> {
        Ok(super::refs::free(plan)?.iter().any(|column| outer.contains(column)))
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
