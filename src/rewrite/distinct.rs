//! Aggregates of distinct values: the values of each group are its groups in another aggregate.

use std::sync::Arc;

use datafusion::error::Result;
use datafusion::functions_aggregate::count::count_udaf;
use datafusion::logical_expr::{Expr, lit};

use crate::functions::aggregate::over_counts;

use super::branch::{Above, Branch, Input, Rider, values_and_whole_groups};
use super::functions::{Wanted, called};
use super::{COLUMN, DistinctShare, Rewrite, aggregated, column, projected};

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
    let counts = Counts::of(rewrite, share, &values);
    let groups = rewrite.key_columns().into_iter().chain(values.clone()).collect();
    let plan = aggregated(input.plan()?, groups, below(&riders, &counts))?;
    Branch::of(rewrite, plan, above(rewrite, share, &values, &counts, riders)?)
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
    let counts = Counts::of(rewrite, share, &values);
    let groups = vec![values_and_whole_groups(rewrite, &values)];
    let plan = aggregated(input.plan()?, groups, below(&riders, &counts))?;
    // The values of a row for a whole group are NULL, which makes no difference.
    let mut exprs = rewrite.key_columns();
    exprs.extend(values.iter().cloned());
    exprs.extend(counts.column());
    for rider in &riders {
        exprs.extend(rider.of_whole_groups()?);
    }
    let plan = projected(plan, exprs)?;
    Branch::of(rewrite, plan, above(rewrite, share, &values, &counts, riders)?)
}

/// How often each value is there, where that is needed.
struct Counts {
    value: Expr,
    name: Option<String>,
}

impl Counts {
    fn of(rewrite: &Rewrite<'_>, share: &DistinctShare, values: &[Expr]) -> Self {
        let needed = share.counted.iter().any(|wanted| !wanted.function.params.distinct);
        Counts { value: values[0].clone(), name: needed.then(|| rewrite.names.next(COLUMN)) }
    }

    fn below(&self) -> Option<Expr> {
        let name = self.name.as_ref()?;
        Some(called(count_udaf(), vec![self.value.clone()], None).alias(name))
    }

    fn column(&self) -> Option<Expr> {
        self.name.as_ref().map(column)
    }
}

fn below(riders: &[Rider], counts: &Counts) -> Vec<Expr> {
    riders.iter().flat_map(|rider| rider.below.clone()).chain(counts.below()).collect()
}

/// A column for each of the values, two for two that are the same.
fn columns(share: &DistinctShare, input: &mut Input<'_>) -> Vec<Expr> {
    share.values.iter().map(|value| input.own_column(value)).collect()
}

fn above(
    rewrite: &Rewrite<'_>,
    share: &DistinctShare,
    values: &[Expr],
    counts: &Counts,
    riders: Vec<Rider>,
) -> Result<Vec<Above>> {
    let one = |wanted: &Wanted, aggregate: Expr| {
        let name = rewrite.result_name(wanted);
        let aggregates = vec![aggregate.alias(&name)];
        Above { aggregates, result: column(name), index: wanted.index }
    };
    let mut all = Vec::with_capacity(share.wanted.len() + share.counted.len() + riders.len());
    for wanted in &share.wanted {
        let function = called(Arc::clone(&wanted.function.func), values.to_vec(), None);
        all.push(one(wanted, function));
    }
    for wanted in &share.counted {
        // Without a column of counts, every value counts once.
        let count = counts.column().unwrap_or_else(|| lit(1_i64));
        all.push(one(wanted, over_counts(&wanted.function, counts.value.clone(), count)?));
    }
    all.extend(riders.into_iter().map(|rider| rider.above));
    Ok(all)
}
