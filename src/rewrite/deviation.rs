//! The median of the distances from the median: two medians, the first of which is joined to the
//! rows of its group.

use std::sync::Arc;

use datafusion::common::{JoinConstraint, JoinType, NullEquality};
use datafusion::error::Result;
use datafusion::functions::math::expr_fn::abs;
use datafusion::functions_aggregate::median::median_udaf;
use datafusion::logical_expr::{Expr, Join, LogicalPlan};

use super::branch::Branch;
use super::functions::called;
use super::{COLUMN, DeviationShare, Rewrite, aggregated, column, projected};

/// What the names of the medians begin with, so that they are rewritten.
const MEDIAN: &str = "__median";

/// The branch of these aggregates, which are all the same. Its medians are rewritten in their turn.
pub(super) fn branch(rewrite: &Rewrite<'_>, share: &DeviationShare) -> Result<Branch> {
    let next = || rewrite.names.next(COLUMN);
    let next_median = || rewrite.names.next(MEDIAN);
    let (value, distance) = (next(), next());
    let (middle, result) = (next_median(), next_median());
    let rows = rows(rewrite, share, &value)?;
    let median = |of: &str, name: &str| called(median_udaf(), vec![column(of)], None).alias(name);

    let keys = rewrite.key_columns();
    let middles = aggregated(rows.clone(), keys.clone(), vec![median(&value, &middle)])?;
    let group_keys: Vec<String> = keys.iter().map(|_| next()).collect();
    let mut exprs: Vec<_> =
        keys.iter().zip(&group_keys).map(|(key, name)| key.clone().alias(name)).collect();
    exprs.push(column(&middle));
    let middles = projected(middles, exprs)?;

    // The left side is the one to build a table of.
    let on = group_keys.iter().map(column).zip(keys.iter().cloned()).collect();
    let join = Join::try_new(
        Arc::new(middles),
        Arc::new(rows),
        on,
        None,
        JoinType::Inner,
        JoinConstraint::On,
        NullEquality::NullEqualsNull,
        false,
    )?;
    let mut exprs = keys.clone();
    exprs.push(abs(column(&value) - column(&middle)).alias(&distance));
    let plan = projected(LogicalPlan::Join(join), exprs)?;

    let plan = aggregated(plan, keys.clone(), vec![median(&distance, &result)])?;
    let results: Vec<_> = share.wanted.iter().map(|wanted| wanted.index).collect();
    let columns =
        share.wanted.iter().map(|wanted| column(&result).alias(rewrite.result_name(wanted)));
    let exprs: Vec<Expr> = keys.into_iter().chain(columns).collect();
    Ok(Branch { plan: projected(plan, exprs)?, results })
}

/// The keys and the value of each row, or of each value of a group.
fn rows(rewrite: &Rewrite<'_>, share: &DeviationShare, value: &str) -> Result<LogicalPlan> {
    let mut input = rewrite.input();
    input.add(&share.value, value.to_string());
    let rows = input.plan()?;
    if !share.distinct {
        return Ok(rows);
    }
    let groups = rewrite.key_columns().into_iter().chain([column(value)]).collect();
    aggregated(rows, groups, Vec::new())
}
