//! Aggregates of distinct values: the values of each group are its groups in another aggregate.

use std::sync::Arc;

use datafusion::error::Result;
use datafusion::logical_expr::Expr;

use super::branch::{Above, Branch, Input, Rider, values_and_whole_groups};
use super::functions::{Wanted, called};
use super::{DistinctShare, Rewrite, aggregated, column, projected};

/// Groups by keys and values, then by keys. The riders are computed for each value, and merged.
pub(super) fn merged(
    rewrite: &Rewrite<'_>,
    share: &DistinctShare,
    riders: &[Wanted],
) -> Result<Branch> {
    let mut input = rewrite.input();
    let values = columns(share, &mut input);
    let riders = riders.iter().map(|wanted| Rider::merged(rewrite, wanted, &mut input));
    let riders: Vec<_> = riders.collect();
    let groups = rewrite.key_columns().into_iter().chain(values.clone()).collect();
    let below = riders.iter().flat_map(|rider| rider.below.clone()).collect();
    let plan = aggregated(input.plan()?, groups, below)?;
    Branch::of(rewrite, plan, above(rewrite, share, &values, riders))
}

/// The same in a pass that makes a row for each whole group too, where the riders come from.
pub(super) fn with_totals(
    rewrite: &Rewrite<'_>,
    share: &DistinctShare,
    riders: &[Wanted],
) -> Result<Branch> {
    let mut input = rewrite.input();
    let values = columns(share, &mut input);
    let riders = riders.iter().map(|wanted| Rider::picked(rewrite, wanted, &mut input));
    let riders: Vec<_> = riders.collect();
    let groups = vec![values_and_whole_groups(rewrite, &values)];
    let below = riders.iter().flat_map(|rider| rider.below.clone()).collect();
    let plan = aggregated(input.plan()?, groups, below)?;
    // The values of a row for a whole group are NULL, which makes no difference.
    let mut exprs = rewrite.key_columns();
    exprs.extend(values.iter().cloned());
    for rider in &riders {
        exprs.extend(rider.of_whole_groups()?);
    }
    let plan = projected(plan, exprs)?;
    Branch::of(rewrite, plan, above(rewrite, share, &values, riders))
}

/// A column for each of the values, two for two that are the same.
fn columns(share: &DistinctShare, input: &mut Input<'_>) -> Vec<Expr> {
    share.values.iter().map(|value| input.own_column(value)).collect()
}

fn above(
    rewrite: &Rewrite<'_>,
    share: &DistinctShare,
    values: &[Expr],
    riders: Vec<Rider>,
) -> Vec<Above> {
    let of_values = share.wanted.iter().map(|wanted| {
        let name = rewrite.result_name(wanted);
        let function = called(Arc::clone(&wanted.function.func), values.to_vec(), None);
        let aggregates = vec![function.alias(&name)];
        Above { aggregates, result: column(name), index: wanted.index }
    });
    of_values.chain(riders.into_iter().map(|rider| rider.above)).collect()
}
